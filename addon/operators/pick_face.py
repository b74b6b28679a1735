"""Click a face in the preview to choose a person."""

from __future__ import annotations

from typing import Any

import bpy

from .. import compat
from ..i18n import tr
from ..state import face_boxes, hooks, people_store
from ..viewport import overlay, preview
from .view import LEAVING, PASSED, missing_for_look, preview_at


class UNDERSTUDY_OT_pick_face(bpy.types.Operator):
    """Choose a person by a click on the face in the preview. Undoable."""

    bl_idname = "understudy.pick_face"
    bl_label = "Click a Face"
    bl_description = "Select a person by clicking their face in the preview; Esc ends it"
    bl_options = {"UNDO"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        missing = missing_for_look(context)
        cls.poll_message_set(missing)
        return not missing

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        overlay.picking = True
        context.window.cursor_modal_set("EYEDROPPER")
        context.window_manager.modal_handler_add(self)
        context.workspace.status_text_set(tr("Click the face of a person. Esc: cancel"))
        hooks.redraw_sequencers({"PREVIEW"})
        return {"RUNNING_MODAL"}

    def modal(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        scene = compat.sequencer_scene(context)
        if event.type in LEAVING or scene is None:
            return self._end(context, {"CANCELLED"})
        if event.type == "MOUSEMOVE":
            face = self._face(context, scene, event)
            hovered = face.person if face else None
            if hovered != overlay.hovered:
                overlay.hovered = hovered
                hooks.redraw_sequencers({"PREVIEW"})
            return {"RUNNING_MODAL"}
        if event.type == "LEFTMOUSE" and event.value == "PRESS":
            if preview_at(context.window, event) is None:
                return {"PASS_THROUGH"}
            face = self._face(context, scene, event)
            if face is None or people_store.person_of(scene.understudy.shot.scan, face.person) is None:
                self.report({"INFO"}, tr("There is no known face here"))
                return {"RUNNING_MODAL"}
            scene.understudy.person = face.person
            context.window_manager.understudy_folds.people = True  # the tab shows who it is
            return self._end(context, {"FINISHED"})
        return {"PASS_THROUGH"} if event.type in PASSED or event.type.startswith("TIMER") else {"RUNNING_MODAL"}

    def _face(self, context: bpy.types.Context, scene: bpy.types.Scene, event: bpy.types.Event) -> Any:
        found, here = preview_at(context.window, event), preview.here(scene)
        if found is None or here is None:
            return None
        region, x, y = found
        at = here.placement.to_source(*region.view2d.region_to_view(x, y))
        faces = preview.faces(scene.understudy.shot.scan.folder, here.frame)
        return face_boxes.face_at([face for face in faces if face.person >= 0], *at) if at else None

    def _end(self, context: bpy.types.Context, result: set[str]) -> set[str]:
        overlay.picking, overlay.hovered = False, None
        context.window.cursor_modal_restore()
        context.workspace.status_text_set(None)
        hooks.redraw_sequencers()
        return result


CLASSES = (UNDERSTUDY_OT_pick_face,)
