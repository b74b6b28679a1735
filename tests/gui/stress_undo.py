"""Undo and redo around the removal of a recast, many times, while frames of the preview are asked for and drawn.

No Python thread runs in Blender, so no lock of ours can be in the way. Blender 5.2 by itself, without the add-on, hangs
at the first undo after a film with sound was added where it may use one core only: the job that reads the sound's
waveform ("Generating strip previews") waits for a thread that there is none of, and the undo waits for the job
(pthread_join). `Window.start` gives it more cores.

This is no test of the suite, for it takes minutes:
`tools/test_gui.sh .env/engine/bin/python tests/gui/stress_undo.py -k stress`; `UNDERSTUDY_STRESS_TIMES` says how often.
Where Blender stops answering, the stacks of its threads are kept beside its log, if gdb is there.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from test_story import (
    FOOTAGE,
    add_identity,
    consents,
    count,
    fresh_file_with_movie,
    recast_button,
    save,
    wait_for_job,
)
from window import Window

TIMES = int(os.environ.get("UNDERSTUDY_STRESS_TIMES", "50"))


def stacks(window: Window) -> None:
    """Keep what every thread of Blender does."""
    gdb = shutil.which("gdb")
    for process in Path("/proc").glob("[0-9]*"):
        comm = process / "comm"
        if gdb and comm.is_file() and comm.read_text().strip() == "blender":
            told = subprocess.run(
                [gdb, "-p", process.name, "-batch", "-ex", "thread apply all bt 25"], capture_output=True, text=True
            )
            (window.folder / f"stacks-{process.name}.txt").write_text(told.stdout + told.stderr)


def remove_and_undo(window: Window, times: int) -> None:
    """Remove the selected recast by the panel's button; undo, redo and undo that; then the playhead moves on, so that
    another frame is asked for."""
    strips = "len([s for s in strips() if s.type == 'MOVIE'])"
    there = window.ask(strips)
    x, y, width, height = window.region("SEQUENCE_EDITOR", "WINDOW")
    remove = window.seek("Remove")
    for number in range(times):
        window.click_at(*remove)
        window.wait(lambda: window.ask(strips) == there - 1, f"removal {number}")
        window.move(x + width - 60, y + height // 3)
        for key, left in (("ctrl+z", there), ("ctrl+shift+z", there - 1), ("ctrl+z", there)):
            window.until(lambda key=key: window.key(key), lambda left=left: window.ask(strips) == left, key)
        window.key("Right")
    assert window.ask(strips) == there


def test_stress(window: Window) -> None:
    window.start()
    fresh_file_with_movie(window)
    save(window, "stress.blend")
    window.press("Mark Range", lambda: window.ask("sequencer().shot.source_end") == 120, "marked range")
    window.press("Find People", count(window, "scan", 1), "scan")
    wait_for_job(window, "scan")
    add_identity(window, FOOTAGE / "astronaut.png")
    wait_for_job(window, "scan")
    consents(window)
    wait_for_job(window, "consent")
    window.ask("setattr(bpy.context.window_manager.understudy, 'show', True)")
    x, y = recast_button(window)
    half = window.region("SEQUENCE_EDITOR", "UI")[2] // 2
    window.until(lambda: window.click_at(x + half, y), count(window, "convert", 1), "draft")
    wait_for_job(window, "convert")
    try:
        remove_and_undo(window, TIMES)
    except AssertionError:
        stacks(window)
        raise
    assert window.quit() == 0
