"""Runs inside Blender: answers what a test asks about its state, and times the add-on. It looks; the mouse and the
keyboard act.

One Python expression a line comes over a Unix socket; its value goes back as JSON.
"""

import contextlib
import importlib
import json
import os
import socket
import sys
import time
from pathlib import Path

import bpy

ADDON = "bl_ext.user_default.understudy.addon"
EVERY = 0.02
_listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
_listener.bind(os.environ["UNDERSTUDY_PROBE"])
_listener.listen(8)
_listener.setblocking(False)

# -- what is on the screen


def regions():
    """Every region of the window: [area type, region type, x, y from the top, width, height] in screen pixels."""
    window = bpy.context.window_manager.windows[0]
    height = window.height
    return [
        [area.type, region.type, region.x, height - region.y - region.height, region.width, region.height]
        for area in window.screen.areas
        for region in area.regions
        if region.width > 1 and region.height > 1
    ]


def tabs():
    """The tabs in front in the sequencers' sidebars."""
    areas = [area for area in bpy.context.window_manager.windows[0].screen.areas if area.type == "SEQUENCE_EDITOR"]
    return [region.active_panel_category for area in areas for region in area.regions if region.type == "UI"]


def browser():
    """The folder and the file name in the file browser that is open."""
    area = next(area for area in bpy.context.window_manager.windows[0].screen.areas if area.type == "FILE_BROWSER")
    parameters = area.spaces.active.params
    return [os.fsdecode(parameters.directory), parameters.filename]


def sequencer():
    """The state that the add-on keeps in the scene that the sequencer shows."""
    return bpy.context.workspace.sequencer_scene.understudy


def strips():
    """The strips of the scene that the sequencer shows, lowest channel first."""
    return sorted(bpy.context.workspace.sequencer_scene.sequence_editor.strips, key=lambda strip: strip.channel)


def shown():
    """[name, channel, first frame, frame after the last, whether it is seen] of every strip, lowest channel first."""
    return [[s.name, s.channel, s.left_handle, s.right_handle, not s.mute] for s in strips()]


def pending():
    """Whether a frame of the preview is awaited."""
    return importlib.import_module(f"{ADDON}.viewport.preview").pending()


def strip_at(name):
    """Where the middle of a strip lies in the timeline, in screen pixels from the top left."""
    window = bpy.context.window_manager.windows[0]
    for area in window.screen.areas:
        for region in area.regions:
            if area.type == "SEQUENCE_EDITOR" and region.type == "WINDOW" and region.width > 1:
                strip = next(one for one in strips() if one.name == name)
                middle = (strip.left_handle + strip.right_handle) / 2, strip.channel + 0.5
                x, y = region.view2d.view_to_region(*middle, clip=False)
                return [region.x + x, window.height - region.y - y]
    return None


def show_through(name):
    """Choose the scene's view transform."""
    bpy.context.workspace.sequencer_scene.view_settings.view_transform = name


def dress(scale, light):
    """Change how Blender looks: its scale, and its light or dark theme."""
    theme = "Blender_Light.xml" if light else "Blender_Dark.xml"
    found = next(Path(bpy.utils.resource_path("LOCAL")).rglob(theme), None) or next(
        Path(bpy.utils.preset_paths("interface_theme")[0]).glob(theme), None
    )
    with bpy.context.temp_override(window=bpy.context.window_manager.windows[0]):
        if found:
            bpy.ops.script.execute_preset(filepath=str(found), menu_idname="USERPREF_MT_interface_theme_presets")
        else:
            bpy.ops.preferences.reset_default_theme()
    bpy.context.preferences.view.ui_scale = scale
    return str(found)


# -- how long the add-on holds the main thread

_began = []
_spans = {}


def watch():
    """Time every turn of the add-on's timers, and every operator, panel and draw handler, from now on."""
    tool, event = sys.monitoring.PROFILER_ID, sys.monitoring.events
    names = {code: name for name, code in _watched()}
    if sys.monitoring.get_tool(tool) is not None:
        return
    sys.monitoring.use_tool_id(tool, "understudy")

    def start(code, offset):
        _began.append((code, time.perf_counter(), time.thread_time()))

    def end(code, *_):
        if _began and _began[-1][0] is code:
            _, wall, own = _began.pop()
            _spans.setdefault(names[code], []).append((time.perf_counter() - wall, time.thread_time() - own))

    for what, hear in ((event.PY_START, start), (event.PY_RETURN, end), (event.PY_UNWIND, end)):
        sys.monitoring.register_callback(tool, what, hear)
    # unwinding cannot be watched of single functions
    sys.monitoring.set_events(tool, event.PY_UNWIND)
    for code in names:
        sys.monitoring.set_local_events(tool, code, event.PY_START | event.PY_RETURN)


def _watched():
    for part in ("jobs.jobs", "viewport.preview", "engine_link.engine_setup", "sequencer.scene_strips"):
        yield f"timer {part.rpartition('.')[2]}.tick", importlib.import_module(f"{ADDON}.{part}").tick.__code__
    yield "preview.texture", importlib.import_module(f"{ADDON}.viewport.preview").texture.__code__
    overlay = importlib.import_module(f"{ADDON}.viewport.overlay")
    yield "draw picture", overlay._draw_picture.__code__
    yield "draw words", overlay._draw_words.__code__
    for kind, part in (("operator", "operators"), ("panel", "panels")):
        for cls in importlib.import_module(f"{ADDON}.{part}").CLASSES:
            for base in cls.__mro__:
                for method in ("invoke", "execute", "modal", "draw"):
                    if method in vars(base) and base.__module__.startswith(ADDON):
                        yield f"{kind} {base.__name__}.{method}", vars(base)[method].__code__


def timings():
    """Of everything timed: how often; p50, p99 and longest in wall-clock ms; p99 and longest in the thread's own ms."""
    said = {}
    for name, spans in sorted(_spans.items()):
        wall, own = sorted(s[0] * 1e3 for s in spans), sorted(s[1] * 1e3 for s in spans)
        at = min(int(len(spans) * 0.99), len(spans) - 1)
        numbers = (wall[len(wall) // 2], wall[at], wall[-1], own[at], own[-1])
        said[name] = [len(spans), *(round(n, 2) for n in numbers)]
    return said


def look():
    """Answer one question, if there is one."""
    try:
        connection, _ = _listener.accept()
    except BlockingIOError:
        return EVERY
    with connection, contextlib.suppress(OSError):  # who asked may have given up waiting
        connection.settimeout(5)
        asked = connection.makefile().readline()
        try:
            text = json.dumps({"value": eval(asked, dict(globals()))})
        except Exception as error:
            text = json.dumps({"error": f"{type(error).__name__}: {error}"})
        connection.sendall(text.encode() + b"\n")
    return EVERY


watch()
bpy.app.timers.register(look, persistent=True)
