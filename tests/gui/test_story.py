"""From a fresh file to a placed strip, undo, reopening and an update: by mouse and keyboard, in the installed zip."""

from __future__ import annotations

from window import ROOT, Window

FOOTAGE = ROOT / ".build" / "footage"


def test_the_whole_way(window: Window) -> None:
    window.start()
    window.new_video_editing()
    window.screenshot("a fresh file")
    window.add_movie(FOOTAGE / "carphone.mp4")
    window.open_sidebar()
    window.click_tab("Understudy")
    window.screenshot("the empty panel")
    window.key("ctrl+shift+s")
    window.choose_file(window.folder / "story.blend", "Save As")
    window.wait(lambda: window.ask("bpy.data.filepath"), "saved file")
    window.click("Mark from Strip")
    window.click("Find People")
    window.wait(lambda: window.ask("bool(sequencer().jobs)"), "job")
    window.screenshot("scanning")
    window.wait(lambda: window.ask("len(sequencer().shot.scan.people)"), "people", 120)
    window.screenshot("people found")
