"""A scene strip is rendered to a movie first, by a Blender of its own beside this one; then that movie is recast.

The .blend is saved as a copy, a second Blender without a window renders the strip's frames of it, and this one goes
on meanwhile. The finished movie gets a strip above the scene strip, frame for frame, and that is what is marked.
"""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import bpy

from ...engine import reading
from .. import compat
from ..i18n import tr
from ..jobs import jobs
from ..state import hooks, project
from . import marking, strip_media, timeline

TICK_SECONDS = 0.5

RENDER = """
import bpy, os, sys
name, first, last, use, path = sys.argv[sys.argv.index("--") + 1 :]
scene = bpy.data.scenes[name]
scene.frame_start, scene.frame_end, scene.frame_step = int(first), int(last), 1
settings = scene.render.image_settings
if "media_type" in settings.bl_rna.properties:
    settings.media_type = "VIDEO"
settings.file_format = "FFMPEG"
ffmpeg = scene.render.ffmpeg
ffmpeg.format, ffmpeg.codec, ffmpeg.audio_codec = "MKV", "FFV1", "NONE"
scene.render.use_file_extension = False
scene.render.filepath = path.replace("{", "{{").replace("}", "}}")  # in output paths, braces are templates
scene.render.use_sequencer = use == "SEQUENCER"
bpy.ops.render.render(animation=True, scene=name)
sys.stdout.flush()
os._exit(0)
"""


@dataclass(kw_only=True)
class Rendering:
    """A scene strip that is being rendered: `frames` of them, `done` so far."""

    scene: str
    strip_id: str
    frames: int
    movie: Path
    copy: Path
    process: subprocess.Popen
    log: IO[bytes]
    done: int = 0


rendering: Rendering | None = None


def begin(scene: bpy.types.Scene, strip: bpy.types.Strip) -> str:
    """Start to render what `strip` shows. Answers why not, "" when it runs."""
    global rendering
    if rendering is not None:
        return tr("A scene strip is being rendered.")
    timing = compat.strip_timing(scene, strip)
    if not timing.plain:
        return tr("“{name}” is retimed or reversed: undo that, recast, then do it again.", name=strip.name)
    left, right = (
        max(timing.left, timing.content_start),
        min(timing.right, timing.content_start + timing.content_frames),
    )
    first = strip.scene.frame_start + timing.trim_start + left - timing.content_start
    folder = project.folder(scene.understudy) / "intermediates"
    folder.mkdir(parents=True, exist_ok=True)
    movie = folder / f"{project.slug(strip.name)}-{first}-{right - left}.mkv"
    copy = movie.with_suffix(".blend")
    bpy.ops.wm.save_as_mainfile(filepath=str(copy), copy=True, check_existing=False)
    part = movie.with_name(movie.stem + ".part.mkv")
    log = movie.with_suffix(".log").open("wb")
    arguments = ["--", strip.scene.name, str(first), str(first + right - left - 1), strip.scene_input, str(part)]
    process = subprocess.Popen(
        [*_blender(copy), *arguments], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
        env={**os.environ, jobs.ASIDE: "1"},
    )  # fmt: skip
    rendering = Rendering(
        scene=scene.name, strip_id=strip_media.remember(strip), frames=right - left, movie=movie, copy=copy,
        process=process, log=log,
    )  # fmt: skip
    if not bpy.app.timers.is_registered(tick):
        bpy.app.timers.register(tick, first_interval=TICK_SECONDS)
    return ""


def _blender(blend: Path) -> list[str]:
    """The command that opens a .blend without a window and runs RENDER; bpy as a module does it in Python."""
    if bpy.app.binary_path:
        return [bpy.app.binary_path, "--background", str(blend), "--python-expr", RENDER]
    opening = f"import bpy; bpy.ops.wm.open_mainfile(filepath={str(blend)!r})\n"
    return [sys.executable, "-c", opening + RENDER]


def tick() -> float | None:
    """Look how far it is; place and mark the movie when it is there. Runs only while something is rendered."""
    global rendering
    if rendering is None:
        return None
    code = rendering.process.poll()
    if code is None:
        rendering.done = _frames_done(rendering.movie.with_suffix(".log"))
        hooks.redraw_sequencers({"UI"})
        return TICK_SECONDS
    ended, rendering = rendering, None
    ended.log.close()
    ended.copy.unlink(missing_ok=True)
    scene = bpy.data.scenes.get(ended.scene)
    part = ended.movie.with_name(ended.movie.stem + ".part.mkv")
    if scene is None:
        part.unlink(missing_ok=True)
    elif code != 0 or not part.is_file():
        part.unlink(missing_ok=True)
        jobs.set_recast_with_defaults(scene, False)
        scene.understudy.error = tr("The scene strip could not be rendered: {path} tells why.",
                                    path=ended.movie.with_suffix(".log"))  # fmt: skip
    else:
        part.replace(ended.movie)
        _place(scene, ended)
    hooks.redraw_sequencers({"UI"})
    return None


def _frames_done(log: Path) -> int:
    try:
        return reading.read_bytes(log).count(b"ppend frame")
    except OSError:
        return 0


def _place(scene: bpy.types.Scene, ended: Rendering) -> None:
    strip = next((one for one in compat.all_strips(scene) if one.get(strip_media.STRIP_ID) == ended.strip_id), None)
    if strip is None:
        return
    timing = compat.strip_timing(scene, strip)
    start = max(timing.left, timing.content_start)
    holder, _ = compat.neighbours(scene, strip)
    taken = [(one.channel, *compat.span(one)) for one in holder]
    try:
        channel = timeline.free_channel(taken, strip.channel, start, start + ended.frames, compat.HIGHEST_CHANNEL)
        name = tr("{name} rendered", name=strip.name)
        movie = compat.new_movie(holder, name, project.relative(str(ended.movie)), channel, start)
    except (timeline.RangeError, RuntimeError) as error:
        scene.understudy.error = str(error)
        return
    movie.transform.scale_x, movie.transform.scale_y = strip.transform.scale_x, strip.transform.scale_y
    marked = timeline.mark(compat.strip_timing(scene, movie))
    marking.take(scene, movie, str(ended.movie), marked, compat.stored_frames(scene, movie))
    if hooks.go_on is not None and scene.understudy.recast_with_defaults:
        hooks.go_on(scene, "done")


def cancel() -> None:
    """Stop rendering and leave nothing behind."""
    if rendering is not None:
        rendering.process.terminate()


def register() -> None:
    """Nothing to do until a scene strip is marked."""


def unregister() -> None:
    """Stop what is being rendered."""
    cancel()
    if bpy.app.timers.is_registered(tick):
        bpy.app.timers.unregister(tick)
