"""The user's way through the panel, by the add-on's own operators."""

from __future__ import annotations

import importlib
import subprocess
import time
from pathlib import Path

import bpy


def add_shot(scene, clips, left=20, right=40):
    """The counter on the timeline at frame 10, so that frames 20 to 39 show source frames 10 to 29."""
    strip = scene.sequence_editor.strips.new_movie("shot", str(clips.movie), 1, 10)
    strip.select = True
    if bpy.app.version >= (5, 1, 0):
        strip.left_handle, strip.right_handle = left, right
    else:
        strip.frame_final_start, strip.frame_final_end = left, right
    scene.sequence_editor.active_strip = strip
    return strip


def mark_and_scan(scene, tick_until):
    assert bpy.ops.understudy.mark_range() == {"FINISHED"}
    assert bpy.ops.understudy.scan_shot() == {"FINISHED"}
    tick_until(lambda: scene.understudy.shot.scan.folder or scene.understudy.error)


def ready_to_convert(scene, clips, tick_until):
    """Everything up to the last button."""
    strip = add_shot(scene, clips)
    mark_and_scan(scene, tick_until)
    assert bpy.ops.understudy.add_identity_file(filepath=str(clips.pictures)) == {"FINISHED"}
    tick_until(lambda: scene.understudy.identities[0].materials[0].scan.folder or scene.understudy.error)
    agree(scene, tick_until)
    return strip


def placed_draft(scene, clips, engine, tick_until, meanwhile=lambda: None, **fit):
    """A draft of source frames 10 to 29, placed on the timeline's frames 20 to 39 and alone selected; made with `fit`.
    `meanwhile` is done before it is."""
    engine.script(movie=str(clips.recast))
    ready_to_convert(scene, clips, tick_until)
    for name, value in fit.items():
        setattr(scene.understudy.fit, name, value)
    assert bpy.ops.understudy.convert(draft=True) == {"FINISHED"}
    meanwhile()
    tick_until(lambda: idle(scene))
    (strip,) = placed(scene)
    for one in scene.sequence_editor.strips:
        one.select = one == strip
    scene.sequence_editor.active_strip = strip
    return strip


def agree(scene, tick_until):
    """Everybody in the chosen swaps has agreed."""
    steps = importlib.import_module(f"{EXTENSION}.addon.state.steps")
    for key, name in steps.lacking_consent(scene.understudy):
        assert bpy.ops.understudy.consent(
            identity=key, called=name, person=name, basis="test footage", scope="tests"
        ) == {"FINISHED"}
    tick_until(lambda: idle(scene))
    assert scene.understudy.error == "", scene.understudy.error
    importlib.import_module(f"{EXTENSION}.addon.state.consent_records").look_again()


def material(scene, index=0):
    """The first footage of an identity."""
    return scene.understudy.identities[index].materials[0]


def placed(scene):
    """The strips that Understudy made."""
    return [strip for strip in scene.sequence_editor.strips if strip.get("understudy")]


def all_placed(scene):
    """Those inside metas too."""
    return [strip for strip in scene.sequence_editor.strips_all if strip.get("understudy")]


def wait_idle(addon, scene, seconds=20):
    """Be the timer until nothing runs."""
    deadline = time.monotonic() + seconds
    while not idle(scene):
        assert time.monotonic() < deadline
        addon.jobs.tick()
        time.sleep(0.01)


def idle(scene):
    """Nothing runs and nothing waits."""
    return all(job.state in {"done", "failed", "cancelled"} for job in scene.understudy.jobs)


def restart_addon_connection(addon):
    """Blender as after a restart: no process beside it, nothing known of the engine."""
    process = addon.sidecar.SIDECAR.process
    addon.jobs.unregister()
    if process:
        process.wait(10)
    addon.jobs.engine = addon.reports.EngineReport(state="stopped")
    addon.jobs.register()


def ended(pid: int, seconds: float) -> bool:
    """Whether a process, not of our own children, has ended within so long; it may wait to be reaped by its parent."""
    deadline = time.monotonic() + seconds
    while True:
        if _state(pid) in {"", "Z"}:
            return True
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)


def _state(pid: int) -> str:
    if Path("/proc/self/stat").is_file():
        try:
            return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            return ""
    return subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True).stdout.strip()[:1]


EXTENSION = "bl_ext.user_default.understudy"
LISTENED = ("save_pre", "save_post", "save_post_fail", "load_post", "undo_post", "redo_post")
