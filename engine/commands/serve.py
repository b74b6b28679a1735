"""`understudy serve`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import tyro

from .arguments import Json


@dataclass(kw_only=True)
class Serve:
    """Run the engine for Blender and other clients."""

    port: Annotated[int | None, tyro.conf.arg(metavar="INT", help_behavior_hint="")] = None
    """Port on 127.0.0.1; without it, a free one."""
    idle_minutes: Annotated[float | None, tyro.conf.arg(metavar="MINUTES", help_behavior_hint="")] = None
    """End after as many minutes in which nobody asked for anything and no job was to be done."""
    json: Json = False

    manual: ClassVar[str] = """\
  Answers on this machine only. The address and the token are in engine.json of Understudy's home
  folder. Jobs that run when it stops go on at its next start. Blender starts it by itself.

Example
  understudy serve
"""

    def run(self) -> dict[str, Any]:
        """Serve until told to stop."""
        from ..service.serve import serve

        serve(self.port, idle=None if self.idle_minutes is None else 60 * self.idle_minutes)
        return {}
