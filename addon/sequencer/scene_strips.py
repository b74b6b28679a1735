"""A scene strip is rendered to a movie first, by a Blender of its own beside this one; then that movie is recast.

The .blend is saved as a copy, a second Blender without a window renders the strip's frames of it, and this one goes
on meanwhile. The finished movie gets a strip above the scene strip, frame for frame, and that is what is marked.

The project may come from anybody: what is made there has a name that nobody had before, and takes no file's place.
"""

from __future__ import annotations

import contextlib
import itertools
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import bpy

from ...engine import child_process, durable, reading
from .. import compat
from ..i18n import tr
from ..jobs import jobs
from ..state import hooks, project, project_files
from . import marking, strip_media, timeline

TICK_SECONDS = 0.5
STOP_SECONDS = 5.0
"""So long Blender's end waits for the other one's, before it leaves its files behind."""

HARMLESS = """
import bpy, os, re
kept = re.compile(
    "shading_system|use_multiview|use_disk_cache|use_external|use_library_path|cache_type|is_cache_baking|custom_mode|"
    "(^|[.])type($|[^_a-z])"
)
every = list(bpy.data.user_map())
every += [tree for one in every if (tree := getattr(one, "node_tree", None)) is not None]
curves, strips = [], []
for action in bpy.data.actions:
    bags = [bag for layer in action.layers for part in layer.strips for bag in part.channelbags]
    curves += [curve for bag in bags for curve in bag.fcurves]
for animation in [found for one in every if (found := getattr(one, "animation_data", None)) is not None]:
    curves += animation.drivers
    strips += [strip for track in animation.nla_tracks for strip in track.strips]
for strip in strips:
    curves += strip.fcurves
    strips += strip.strips
for curve in curves:
    if kept.search(curve.data_path):
        curve.data_path = "nothing"
for scene in bpy.data.scenes:
    scene.render.use_multiview, scene.render.ffmpeg.use_autosplit = False, False
    if hasattr(scene, "cycles"):
        scene.cycles.shading_system = False
for tree in [one for one in every if hasattr(one, "nodes")]:
    for node in [one for one in tree.nodes if one.bl_idname in ("CompositorNodeOutputFile", "ShaderNodeScript")]:
        tree.nodes.remove(node)
for camera in bpy.data.cameras:
    if hasattr(camera, "custom_bytecode"):
        # the path first: Cycles would compile what it names, into a file beside that, when the text changes
        for name in ("custom_filepath", "custom_shader", "custom_bytecode", "custom_bytecode_hash"):
            if getattr(camera, name):
                setattr(camera, name, None if name == "custom_shader" else "")
        camera.type = "PERSP" if camera.type == "CUSTOM" else camera.type
def keep_aside(active):
    for cache in (active, *active.point_caches):
        cache.use_external, cache.use_disk_cache, cache.filepath, cache.name = False, False, "", ""
for number, object in enumerate(bpy.data.objects):
    for modifier in object.modifiers:
        domain = getattr(modifier, "domain_settings", None)
        if domain is not None:
            for name in [one for one in domain.bl_rna.properties.keys() if one.startswith("is_cache_baking")]:
                setattr(domain, name, False)
            if domain.cache_type == "REPLAY":
                domain.cache_directory = os.path.join(os.getcwd(), f"fluid-{number}")
        for held in (modifier, *getattr(getattr(modifier, "canvas_settings", None), "canvas_surfaces", ())):
            if getattr(held, "point_cache", None) is not None:
                keep_aside(held.point_cache)
    for system in object.particle_systems:
        keep_aside(system.point_cache)
for scene in bpy.data.scenes:
    if scene.rigidbody_world is not None:
        keep_aside(scene.rigidbody_world.point_cache)
"""
"""What of a .blend would write elsewhere, or run code of its own, while it is rendered goes, in the copy that is: File
Output nodes, shaders that are programs (OSL, of nodes and cameras), and simulations' caches on the disk: a fluid that
is simulated as it is rendered keeps its own in the folder that this process stands in, others theirs in memory.

A frame that is rendered sets again what is animated, by curves of any data-block that leads there (`data.type` of an
object, `action["x"].type` of an NLA strip): so no curve and no driver may name such a setting, and a camera keeps no
program. What Blender does not animate (paths; `use_autosplit`, which appends to the movie's name) is only set."""

RENDER = """
import os, sys
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
with open(path, "rb+") as movie:
    os.fsync(movie.fileno())  # here, where nobody waits for it
sys.stdout.flush()
os._exit(0)
"""


@dataclass(kw_only=True)
class Rendering:
    """A scene strip that is being rendered: `frames` of them, `done` so far. `movie` is the name that is wanted for
    `part`, which the other Blender writes; what it says goes into `log`."""

    scene: str
    strip_id: str
    frames: int
    movie: Path
    part: Path
    log: Path
    aside: tempfile.TemporaryDirectory
    process: subprocess.Popen
    done: int = 0
    stopped: bool = False


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
    if project_files.leads_out(folder):
        return tr("{path} is a link that leads out of the project: put a folder in its place.", path=folder)
    movie = folder / f"{project.slug(strip.name)}-{first}-{right - left}.mkv"
    frames = (str(first), str(first + right - left - 1))
    try:
        rendering = _start(scene, strip, frames, movie)
    except OSError as error:
        return tr("Nothing can be made in {path} ({error}).", path=folder, error=error.strerror or error)
    if not bpy.app.timers.is_registered(tick):
        bpy.app.timers.register(tick, first_interval=TICK_SECONDS)
    return ""


def _start(scene: bpy.types.Scene, strip: bpy.types.Strip, frames: tuple[str, str], movie: Path) -> Rendering:
    """Start the other Blender on a copy of the .blend. Raises OSError; then nothing is left."""
    durable.make_folders(movie.parent)
    with contextlib.ExitStack() as undo:
        aside = tempfile.TemporaryDirectory(dir=bpy.app.tempdir, ignore_cleanup_errors=True)
        undo.callback(aside.cleanup)
        part = durable.make_beside(movie, durable.PRIVATE, keep_suffix=True)
        undo.callback(part.unlink, missing_ok=True)
        log = durable.make_beside(movie.with_suffix(".log"), durable.PRIVATE)
        undo.callback(log.unlink, missing_ok=True)
        copy = Path(aside.name, "scene.blend")
        try:
            bpy.ops.wm.save_as_mainfile(filepath=str(copy), copy=True, check_existing=False)
        except RuntimeError as error:
            raise OSError(str(error)) from None
        arguments = ["--", strip.scene.name, *frames, strip.scene_input, str(part)]
        with log.open("rb+") as output:
            process = child_process.start(
                [*_blender(copy), *arguments], cwd=aside.name, more={jobs.ASIDE: "1"}, stdin=subprocess.DEVNULL,
                stdout=output, stderr=output,
            )  # fmt: skip
        undo.pop_all()
    return Rendering(
        scene=scene.name, strip_id=strip_media.remember(strip), frames=int(frames[1]) - int(frames[0]) + 1,
        movie=movie, part=part, log=log, aside=aside, process=process,
    )  # fmt: skip


def _blender(blend: Path) -> list[str]:
    """The command that opens a .blend without a window and runs RENDER; bpy as a module does it in Python. None of the
    .blend's scripts run there: whether they may here is not known before a driver of another scene asks for it, and the
    copy lies in another folder, which may be one that the user's preferences trust."""
    render = HARMLESS + RENDER
    if bpy.app.binary_path:
        return [bpy.app.binary_path, "--background", "--disable-autoexec", str(blend), "--python-expr", render]
    opening = f"import bpy; bpy.ops.wm.open_mainfile(filepath={str(blend)!r}, use_scripts=False)\n"
    return [sys.executable, "-P", "-c", opening + render]


def tick() -> float | None:
    """Look how far it is; place and mark the movie when it is there. Runs only while something is rendered."""
    global rendering
    if rendering is None:
        return None
    code = rendering.process.poll()
    if code is None:
        rendering.done = _frames_done(rendering.log)
        hooks.redraw_sequencers({"UI"})
        return TICK_SECONDS
    ended, rendering = rendering, None
    ended.aside.cleanup()
    scene = bpy.data.scenes.get(ended.scene)
    if scene is not None:
        _take(scene, ended, code)
    _remove(ended)
    hooks.redraw_sequencers({"UI"})
    return None


def _take(scene: bpy.types.Scene, ended: Rendering, code: int) -> None:
    """Name what was rendered, and place it; or name what was said and say where it is."""
    made, why = None, ""
    try:
        if code == 0 and ended.part.stat().st_size:
            made = _publish(ended.part, ended.movie)
        elif not ended.stopped:
            told = _publish(ended.log, ended.movie.with_suffix(".log"))
            why = tr("The scene strip could not be rendered: {path} tells why.", path=told)
    except OSError as error:
        why = tr("Nothing can be made in {path} ({error}).", path=ended.movie.parent, error=error.strerror or error)
    if made is not None:
        _place(scene, ended, made)
        return
    jobs.set_recast_with_defaults(scene, False)
    scene.understudy.error = why


def _publish(part: Path, wanted: Path) -> Path:
    """Give a finished file the name that is wanted for it, with the next number after it where something has that."""
    for number in itertools.count(1):
        final = wanted if number == 1 else wanted.with_name(f"{wanted.stem}-{number}{wanted.suffix}")
        with contextlib.suppress(FileExistsError):
            durable.put(part, final, _keep)
            return final
    raise AssertionError("numbers have no end")


def _keep(path: Path) -> None:
    raise FileExistsError(path)


def _remove(ended: Rendering) -> None:
    for path in (ended.part, ended.log):
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)


def _frames_done(log: Path) -> int:
    try:
        return reading.read_bytes(log).count(b"ppend frame")
    except OSError:
        return 0


def _place(scene: bpy.types.Scene, ended: Rendering, made: Path) -> None:
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
        movie = compat.new_movie(holder, name, project.relative(str(made)), channel, start)
    except (timeline.RangeError, RuntimeError) as error:
        scene.understudy.error = str(error)
        return
    movie.transform.scale_x, movie.transform.scale_y = strip.transform.scale_x, strip.transform.scale_y
    marked = timeline.mark(compat.strip_timing(scene, movie))
    marking.take(scene, movie, str(made), marked, compat.stored_frames(scene, movie))
    if hooks.go_on is not None and scene.understudy.recast_with_defaults:
        hooks.go_on(scene, "done")


def cancel() -> None:
    """Stop rendering and leave nothing behind."""
    if rendering is not None:
        rendering.stopped = True
        rendering.process.terminate()


def register() -> None:
    """Nothing to do until a scene strip is marked."""


def unregister() -> None:
    """Stop what is being rendered, and leave nothing of it."""
    global rendering
    if bpy.app.timers.is_registered(tick):
        bpy.app.timers.unregister(tick)
    cancel()
    if rendering is not None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            rendering.process.wait(STOP_SECONDS)
        rendering.aside.cleanup()
        _remove(rendering)
        rendering = None
