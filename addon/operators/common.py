"""What operators have in common. A subclass says in `missing` what it waits for; that is its button's tooltip too.

`Undoable` operators change what is chosen and are one undo step each. `Outside` ones start or stop what runs
outside Blender: undoing would not take that back, so they are none.
"""

from __future__ import annotations

import bpy

from ..state import steps


class _Operator:
    @classmethod
    def missing(cls, context: bpy.types.Context) -> str:
        """One sentence that says what has to come first, "" when the operator can run."""
        return steps.locked(steps.state_of(context))

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        missing = cls.missing(context)
        cls.poll_message_set(missing)
        return not missing

    def refuse(self, sentence: str) -> set[str]:
        """End with an error message."""
        self.report({"ERROR"}, sentence)
        return {"CANCELLED"}


class Undoable(_Operator):
    """One undo step."""

    bl_options = {"REGISTER", "UNDO"}


class Outside(_Operator):
    """No undo step."""

    bl_options = set()
