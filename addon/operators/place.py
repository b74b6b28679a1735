"""Place a recast again, compare takes, take one away."""

from __future__ import annotations

from collections.abc import Callable

import bpy
from bpy.props import IntProperty

from .. import compat
from ..constants import STRIP_RECORD
from ..i18n import tr
from ..sequencer import hidden_sources, in_step, placing, recasts, source_look, timeline
from ..state import hooks, kept_json, project, steps
from .common import Undoable
from .convert import active_recast


def last_recast(context: bpy.types.Context) -> bpy.types.PropertyGroup | None:
    """The newest finished conversion of the scene, or None."""
    return steps.newest_done(steps.state_of(context), "convert")


class UNDERSTUDY_OT_place(Undoable, bpy.types.Operator):
    """Place the newest recast above its source. Undoable."""

    bl_idname = "understudy.place"
    bl_label = "Place Again"
    bl_description = "Place the newest recast on a free channel above its source strip"

    @classmethod
    def missing(cls, context: bpy.types.Context) -> str:
        if missing := steps.locked(steps.state_of(context)):
            return missing
        return "" if last_recast(context) else tr("Recast the range first.")

    def execute(self, context: bpy.types.Context) -> set[str]:
        job = last_recast(context)
        try:
            placing.place(compat.sequencer_scene(context), job.output, {**steps.about(job), "job": job.id})
        except placing.CannotPlace as error:
            return self.refuse(str(error))
        return {"FINISHED"}


class _Take(Undoable):
    @classmethod
    def missing(cls, context: bpy.types.Context) -> str:
        if missing := steps.locked(steps.state_of(context)):
            return missing
        return "" if active_recast(context) else tr("Select a recast, or its source with the playhead on it, first.")


def next_take(
    operator: bpy.types.Operator, scene: bpy.types.Scene, takes: list[bpy.types.Strip],
    show: Callable[[bpy.types.Scene, bpy.types.Strip], object],
    pieces: Callable[[bpy.types.Scene, bpy.types.Strip], list[bpy.types.Strip]] = lambda scene, take: [take],
) -> set[str]:  # fmt: skip
    """Show, or let be heard, the take `operator.step` on from the one that is; it is selected, with the `pieces` that
    it was cut into, and said."""
    now = next((i for i, take in enumerate(takes) if not take.mute), -operator.step)
    strip = takes[(now + operator.step) % len(takes)]
    show(scene, strip)
    scene.sequence_editor.active_strip = strip
    for take in takes:
        for piece in pieces(scene, take):
            piece.select = take == strip
    said = tr("Take {number} of {n}: “{name}”", number=takes.index(strip) + 1, n=len(takes), name=strip.name)
    operator.report({"INFO"}, said)
    return {"FINISHED"}


def go_on_with(scene: bpy.types.Scene, strip: bpy.types.Strip | None) -> None:
    """Select what is there once a recast is gone: the panel goes on with it. In a meta strip that is not open, that is
    the meta strip, which is selected already."""
    opened = scene.sequence_editor.meta_stack
    if strip is not None and strip.parent_meta() == (opened[-1] if len(opened) else None):
        scene.sequence_editor.active_strip = strip
        strip.select = True


class UNDERSTUDY_OT_next_take(_Take, bpy.types.Operator):
    """See the next of several recasts of the same frames. Undoable."""

    bl_idname = "understudy.next_take"
    bl_label = "Show Next Take"
    bl_description = "See the next recast of these frames; the others are muted"

    step: IntProperty(name="Step", description="1 is the next take, -1 the one before", default=1, options={"HIDDEN"})

    def execute(self, context: bpy.types.Context) -> set[str]:
        scene = compat.sequencer_scene(context)
        recasts.own_ids(scene)
        return next_take(self, scene, recasts.takes(scene, active_recast(context)), recasts.show_take, recasts.pieces)


class UNDERSTUDY_OT_remove_recast(_Take, bpy.types.Operator):
    """Take a recast off the timeline; what it hid is seen again. Undoable."""

    bl_idname = "understudy.remove_recast"
    bl_label = "Remove Recast"
    bl_description = "Take this recast off the timeline; the footage below is as it was, the recast's file is kept"

    def execute(self, context: bpy.types.Context) -> set[str]:
        scene = compat.sequencer_scene(context)
        recasts.own_ids(scene)
        go_on_with(scene, placing.remove(scene, active_recast(context)))
        return {"FINISHED"}


class UNDERSTUDY_OT_follow_source(_Take, bpy.types.Operator):
    """Give a recast what was changed on its source since. Undoable."""

    bl_idname = "understudy.follow_source"
    bl_label = "Take Over Source's Changes"
    bl_description = "Give this recast the place, in time too, the blend and modifiers that its source has had since"

    def execute(self, context: bpy.types.Context) -> set[str]:
        scene = compat.sequencer_scene(context)
        recasts.own_ids(scene)
        pieces = recasts.pieces(scene, active_recast(context))
        pairs = [(piece, recasts.source_of(scene, piece)) for piece in pieces]
        changed = [(p, s) for p, s in pairs if source_look.changed(scene, p, s)]
        try:
            lost = in_step.follow(scene, changed)
        except timeline.RangeError as error:
            return self.refuse(tr(error.template, **error.facts))
        for piece, source in changed:
            if source_look.changed(scene, piece, source):
                source_look.take_over(scene, piece, source)
            hidden_sources.note(scene, piece, source)
            hidden_sources.settle(scene, source)
        if bpy.ops.sequencer.refresh_all.poll():  # Blender keeps the pictures of where they were
            bpy.ops.sequencer.refresh_all()
        if lost:
            return self.refuse(tr("The source shows none of the frames of “{name}” any more: mark it and recast again.",
                                  name=lost[0].name))  # fmt: skip
        return {"FINISHED"}


class UNDERSTUDY_OT_open_folder(Undoable, bpy.types.Operator):
    """Show a file of the project in the system's file browser."""

    bl_idname = "understudy.open_folder"
    bl_label = "Show Project Folder"
    bl_description = "Open the folder that scans, models, recasts and the report are kept in"
    bl_options = set()

    @classmethod
    def missing(cls, context: bpy.types.Context) -> str:
        state = steps.state_of(context)
        if state is None:
            return steps.no_scene()
        folder = project.folder_if_named(state)
        return "" if folder and folder.is_dir() else tr("There is no project folder yet: it comes with the first scan.")

    def execute(self, context: bpy.types.Context) -> set[str]:
        bpy.ops.wm.path_open(filepath=str(project.folder(steps.state_of(context))))
        return {"FINISHED"}


CLASSES = (
    UNDERSTUDY_OT_place,
    UNDERSTUDY_OT_next_take,
    UNDERSTUDY_OT_remove_recast,
    UNDERSTUDY_OT_follow_source,
    UNDERSTUDY_OT_open_folder,
)


def rename_strips(scene: bpy.types.Scene, identity: bpy.types.PropertyGroup) -> None:
    """Call the recasts by the names that their identities have (`hooks.rename_strips`)."""
    state = scene.understudy
    for strip in recasts.placed(scene):
        record = strip[STRIP_RECORD]
        keys = [one["identity"] for one in kept_json.swaps(record.get("swaps", ""))]
        if identity.key not in keys:
            continue
        faces = [steps.identity_named(state, key) for key in keys]
        if None in faces:
            continue
        before = placing.name_of(record)
        record["identity_name"] = ", ".join(dict.fromkeys(face.name for face in faces))
        if strip.name.startswith(before[:55]):  # a name that the user gave stays
            strip.name = placing.name_of(record)
    recasts.own_ids(scene)


def register() -> None:
    """Hear of identities that get another name."""
    hooks.rename_strips = rename_strips


def unregister() -> None:
    """Hear no more."""
    hooks.rename_strips = None
