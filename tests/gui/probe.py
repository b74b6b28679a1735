"""Runs inside Blender: answers what a test asks about its state. It looks; the mouse and the keyboard act.

One Python expression a line comes over a Unix socket; its value goes back as JSON.
"""

import contextlib
import json
import os
import socket
import time

import bpy

_listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
_listener.bind(os.environ["UNDERSTUDY_PROBE"])
_listener.listen(8)
_listener.setblocking(False)
_blocks = []
_last = 0.0
EVERY = 0.02


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


def sequencer():
    """The state that the add-on keeps in the scene that the sequencer shows."""
    return bpy.context.workspace.sequencer_scene.understudy


def strips():
    """The strips of the scene that the sequencer shows, lowest channel first."""
    return sorted(bpy.context.workspace.sequencer_scene.sequence_editor.strips, key=lambda strip: strip.channel)


def look():
    """Answer one question, if there is one."""
    global _last
    now = time.perf_counter()
    if _last:
        _blocks.append(now - _last - EVERY)
    try:
        connection, _ = _listener.accept()
    except BlockingIOError:
        _last = time.perf_counter()
        return EVERY
    with connection, contextlib.suppress(OSError):  # who asked may have given up waiting
        connection.settimeout(5)
        asked = connection.makefile().readline()
        names = {"bpy": bpy, "regions": regions, "tabs": tabs, "strips": strips, "sequencer": sequencer}
        try:
            text = json.dumps({"value": eval(asked, {**names, "blocks": _blocks})})
        except Exception as error:
            text = json.dumps({"error": f"{type(error).__name__}: {error}"})
        connection.sendall(text.encode() + b"\n")
    _last = time.perf_counter()
    return EVERY


bpy.app.timers.register(look, persistent=True)
