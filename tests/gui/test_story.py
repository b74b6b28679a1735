"""From a fresh file to a placed strip, undo, reopening and an update: by mouse and keyboard, in the installed zip."""

from __future__ import annotations

from pathlib import Path

from window import ROOT, VIDEO_EDITING, Window

FOOTAGE = ROOT / ".build" / "footage"


def test_the_whole_way(window: Window) -> None:
    fresh = next(window.chroot.glob(VIDEO_EDITING))
    window.start(Path("/") / fresh.relative_to(window.chroot))
    window.screenshot("a fresh file")
    window.add_movie(FOOTAGE / "carphone.mp4")
    window.click_tab("Understudy")
    window.screenshot("the empty panel")
