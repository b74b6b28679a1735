"""Recast a face in Blender without a window: mark, scan, draft, train, recast, place, and look at it.

Run by a Python that has bpy (`make demo`). Everything is done by the add-on's own operators, installed from the
built extension; the engine runs in its own Python. Makes OUT/demo.blend, OUT/before-after.mp4, OUT/sheet.png.
"""

from __future__ import annotations

import argparse
import importlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
import traceback
from pathlib import Path
from types import SimpleNamespace
from typing import IO

import demo_pictures
import footage

ROOT = Path(__file__).resolve().parents[1]
EXTENSION = "bl_ext.user_default.understudy"
PICTURES = {".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff"}
NEWS_SECONDS = 5.0


class Failed(Exception):
    """The demo cannot go on; the message is one sentence."""


def main() -> None:
    options = read_options()
    out = options.out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    talk = divert_blenders_words(out / "blender.log")

    def say(text: str) -> None:
        print(text, file=talk, flush=True)

    code = 0
    with tempfile.TemporaryDirectory(prefix="understudy-demo-") as aside:
        # before bpy is imported: the user's own Blender configuration stays untouched
        os.environ["BLENDER_USER_RESOURCES"] = aside
        try:
            demo(options, out, say)
        except (Failed, demo_pictures.Unreadable) as error:
            say(f"The demo failed: {error}")
            code = 1
        except KeyboardInterrupt:
            say("Stopped. Run it again to begin anew.")
            code = 130
        except Exception as error:
            traceback.print_exc()
            say(f"The demo failed: {type(error).__name__}: {error} (all of it in {out / 'blender.log'}).")
            code = 1
    sys.exit(code)


def read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--engine-python", type=Path, default=ROOT / ".env" / "engine" / "bin" / "python")
    parser.add_argument("--shot", type=Path, help="movie to recast (a man talking in a car)")
    parser.add_argument(
        "--face", type=Path, help="movie, picture or folder of pictures of the face to use (a portrait)"
    )
    parser.add_argument("--out", type=Path, default=ROOT / "demo")
    parser.add_argument("--minutes", type=float, default=5.0, help="how long to train")
    parser.add_argument("--frames", type=int, default=240, help="recast at most this many frames of the shot")
    return parser.parse_args()


def divert_blenders_words(log: Path) -> IO[str]:
    """Send what Blender prints to a log; answers the terminal, for our own lines."""
    terminal = os.fdopen(os.dup(1), "w", encoding="utf-8", errors="replace")
    sys.stdout.flush()
    with log.open("w", encoding="utf-8") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    return terminal


def demo(options: argparse.Namespace, out: Path, say) -> None:
    began = time.monotonic()
    shot, face = options.shot, options.face
    say("Understudy's demo: Blender (no window) and the engine recast a face together.")
    if shot is None or face is None:
        say("Fetching the footage that was not named …")
        fetched = footage.footage()
        shot, face = shot or fetched["carphone"], face or fetched["astronaut"]
    shot, face = shot.resolve(), face.resolve()
    for path in (shot, face):
        if not path.exists():
            raise Failed(f"There is nothing at {path}.")
    say(f"  the shot   {shot}\n  the face   {face}")
    say("It finds the people in both, makes a draft, trains, recasts, places both as strips and renders a comparison.")
    say(f"That takes about {options.minutes + 2:.0f} minutes from here on two cores; {options.minutes:g} are training.")

    say("Building and installing the extension …")
    addon = install(options.engine_python)
    import bpy

    blend = out / "demo.blend"
    shutil.rmtree(blend.with_suffix(".understudy"), ignore_errors=True)  # an earlier demo's scans and models
    scene = bpy.context.scene
    bpy.context.workspace.sequencer_scene = scene
    shot_strip, face_strip = lay_out(scene, shot, face)
    bpy.ops.wm.save_as_mainfile(filepath=str(blend))
    started = addon.launcher.running() is None
    try:
        placed = recast(scene, shot_strip, face_strip, options, addon, Watch(addon, scene, say))
    finally:
        if started:
            stop_engine(addon)
    bpy.ops.wm.save_as_mainfile(filepath=str(blend))
    say("Rendering the comparison in Blender …")
    (swap,) = addon.steps.chosen(scene.understudy)
    person = addon.people_store.person_of(scene.understudy.shot.scan, swap.person)
    columns = [("source", shot_strip), *((name, strip) for name, strip in placed.items())]
    video = demo_pictures.before_after(scene, [columns[0], columns[-1]], out / "before-after.mp4")
    sheet = demo_pictures.contact_sheet(scene, columns, list(person.box), out / "sheet.png")
    say(f"Done in {(time.monotonic() - began) / 60:.1f} minutes.")
    say(f"  the .blend            {blend}\n  before and after      {video}\n  source|draft|trained  {sheet}")


def install(engine_python: Path) -> SimpleNamespace:
    """The add-on's modules, out of the freshly built zip."""
    if not engine_python.is_file():
        raise Failed(f"The engine's Python is not at {engine_python}. Run `make demo`, which installs it.")
    built = subprocess.run(
        [sys.executable, ROOT / "tools" / "package.py", "--bpy-environment", sys.prefix], capture_output=True, text=True
    )
    if built.returncode:
        raise Failed(f"The extension could not be built. {built.stderr.strip()}")
    import bpy

    try:
        bpy.ops.extensions.package_install_files(
            filepath=built.stdout.strip(), repo="user_default", enable_on_install=True
        )
    except RuntimeError as error:
        raise Failed(f"Blender did not install the extension: {str(error).strip()}") from None
    # absolute, but not resolved: a virtual environment's Python is a link and knows its packages by its place
    bpy.context.preferences.addons[EXTENSION].preferences.engine_python = str(engine_python.absolute())
    names = ("compat", "jobs.jobs", "side_process.launcher", "state.people_store", "state.steps")
    return SimpleNamespace(
        **{name.rpartition(".")[2]: importlib.import_module(f"{EXTENSION}.addon.{name}") for name in names}
    )


def lay_out(scene, shot: Path, face: Path):
    """Two strips on the timeline, one after the other, in a scene of the shot's size and rate."""
    strips = scene.sequence_editor_create().strips
    shot_strip = add_strip(strips, "Shot", shot, 1)
    element = shot_strip.elements[0]
    if not element.orig_width:
        raise Failed(f"Blender cannot read {shot}.")
    scene.render.resolution_x, scene.render.resolution_y = element.orig_width, element.orig_height
    scene.render.resolution_percentage = 100
    scene.view_settings.view_transform = "Standard"
    if shot_strip.type == "MOVIE":
        scene.render.fps = round(shot_strip.fps)
        scene.render.fps_base = scene.render.fps / shot_strip.fps
    face_strip = add_strip(strips, "Face", face, int(shot_strip.frame_final_end) + 24)
    if face_strip.type == "IMAGE" and len(face_strip.elements) == 1:
        face_strip.frame_final_duration = 50
    scene.frame_start, scene.frame_end = 1, int(shot_strip.frame_final_end) - 1
    return shot_strip, face_strip


def add_strip(strips, name: str, path: Path, start: int):
    files = sorted(f for f in path.iterdir() if f.suffix.lower() in PICTURES) if path.is_dir() else [path]
    if not files:
        raise Failed(f"The folder {path} holds no pictures.")
    try:
        if files[0].suffix.lower() not in PICTURES:
            return strips.new_movie(name, str(path), 1, start, fit_method="ORIGINAL")
        strip = strips.new_image(name, str(files[0]), 1, start, fit_method="ORIGINAL")
    except RuntimeError:
        raise Failed(f"Blender cannot read {path}.") from None
    for file in files[1:]:
        strip.elements.append(file.name)
    return strip


class Watch:
    """Does what Blender's timer does, and tells how the jobs get on."""

    def __init__(self, addon: SimpleNamespace, scene, say) -> None:
        self.addon, self.scene, self.say = addon, scene, say

    def until_idle(self, what: str) -> None:
        """Tick until no job is left. Raises Failed with the add-on's own sentence."""
        state, told = self.scene.understudy, 0.0
        self.say(f"{what} …")
        while running := self.addon.steps.unfinished(state):
            self.addon.jobs.tick()
            if state.error or self.addon.jobs.engine.state == "failed":
                break
            if time.monotonic() - told > NEWS_SECONDS:
                told = time.monotonic()
                for job in running:
                    self.say(f"  {job.progress:4.0%}  {job.message}{self.facts(job)}")
            time.sleep(0.02)
        if error := state.error or self.addon.jobs.engine.error:
            raise Failed(error)

    @staticmethod
    def facts(job) -> str:
        loss = f", loss {job.loss:.3f} at step {job.step}" if job.loss >= 0 else ""
        return loss + (f", {job.seconds_left:.0f} s left" if job.seconds_left >= 0 else "")


def recast(scene, shot_strip, face_strip, options: argparse.Namespace, addon: SimpleNamespace, watch: Watch) -> dict:
    """The user's way through the panel. Answers the placed strips: draft and trained."""
    import bpy

    state, operators = scene.understudy, bpy.ops.understudy
    left, right = addon.compat.span(shot_strip)
    if right - left > options.frames:
        watch.say(f"Only the first {options.frames} of {right - left} frames are recast (--frames).")
        scene.use_preview_range = True
        scene.frame_preview_start, scene.frame_preview_end = left, left + options.frames - 1
    do(scene, shot_strip, operators.mark_range, by="PREVIEW" if scene.use_preview_range else "STRIP")
    do(scene, shot_strip, operators.scan_shot)
    watch.until_idle("Finding the people in the shot")
    do(scene, face_strip, operators.add_identity)
    watch.until_idle("Finding the face")
    (swap,) = addon.steps.chosen(state)
    target, face = addon.people_store.person_of(state.shot.scan, swap.person), state.identities[0]
    watch.say(
        f"  {len(state.shot.scan.people)} in the shot: {addon.people_store.called(target)} ({target.frames} frames) "
        f"becomes {face.name}"
    )
    state.minutes = options.minutes
    record_consents(state, options, addon, watch)
    placed = {}
    do(scene, shot_strip, operators.convert, draft=True)
    watch.until_idle("Making the draft")
    placed["draft"] = made(scene, "draft")
    do(scene, shot_strip, operators.train)
    watch.until_idle(f"Training for {options.minutes:g} minutes")
    do(scene, shot_strip, operators.convert)
    watch.until_idle("Recasting")
    placed["trained"] = made(scene, state.preset)
    for name, strip in placed.items():
        first, last = addon.compat.span(strip)
        watch.say(f"  {name}: strip “{strip.name}” on channel {strip.channel}, frames {first} to {last - 1}")
    return placed


def record_consents(state, options: argparse.Namespace, addon: SimpleNamespace, watch: Watch) -> None:
    """Put into the project why both faces may be used. Whoever names other footage answers for it."""
    import bpy

    (swap,) = addon.steps.chosen(state)
    footage_of_ours = {
        swap.target: ("The man of the carphone sequence", "test footage", options.shot),
        swap.identity: ("Eileen Collins", "public domain or rights cleared", options.face),
    }
    for key, (person, basis, named) in footage_of_ours.items():
        who, why = ("Named by whoever runs this demo", "written permission") if named else (person, basis)
        bpy.ops.understudy.consent(identity=key, person=who, basis=why, scope="this demo")
    watch.until_idle("Putting consent on record")


def do(scene, strip, operator, **arguments) -> None:
    """Select a strip and press a button. Raises Failed with what Blender would show."""
    scene.sequence_editor.active_strip = strip
    try:
        operator(**arguments)
    except RuntimeError as error:
        raise Failed(str(error).removeprefix("Error: ").strip()) from None


def made(scene, preset: str):
    """The placed strip of a preset."""
    for strip in scene.sequence_editor.strips:
        if (record := strip.get("understudy")) and record["preset"] == preset:
            return strip
    raise Failed(f"No strip was placed for the preset {preset}.")


def stop_engine(addon: SimpleNamespace) -> None:
    """Leave no engine behind that was not there before."""
    import bpy

    if bpy.ops.understudy.cancel.poll():
        bpy.ops.understudy.cancel()
    bpy.ops.understudy.stop_engine()
    deadline = time.monotonic() + 10
    while addon.jobs.engine.state != "stopped" and time.monotonic() < deadline:
        addon.jobs.tick()
        time.sleep(0.02)


if __name__ == "__main__":
    main()
