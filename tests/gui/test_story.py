"""From a fresh file to a placed strip, undo, reopening and an update: by mouse and keyboard, in the installed zip."""

from __future__ import annotations

import time
from pathlib import Path

import cv2
import numpy as np
from window import HEIGHT, ROOT, WIDTH, Window

FOOTAGE = ROOT / ".build" / "footage"
SCREEN = (0, 0, WIDTH, HEIGHT)
STRIPS = "[[s.name, s.channel, s.left_handle, s.right_handle] for s in strips()]"


def jobs(window: Window, kind: str) -> list[str]:
    """The states of the scene's jobs of a kind, oldest first."""
    return window.ask(f"[job.state for job in sequencer().jobs if job.kind == '{kind}']")


def wait_for_job(window: Window, kind: str, seconds: float) -> None:
    """Until the newest job of a kind is done; what it failed with otherwise."""

    def ended() -> bool:
        assert not (error := window.ask("sequencer().error")), error
        return jobs(window, kind)[-1:] == ["done"]

    window.wait(ended, f"{kind} that is done", seconds)


def consent(window: Window, name: str, full_name: str) -> None:
    """Give a consent in the dialog that the panel's button opens."""
    known = len(window.ask("[job.id for job in sequencer().jobs if job.kind == 'consent']"))
    window.click(f"Consent of {name}")
    window.fill("Full Name", full_name, SCREEN, right=150)
    window.screenshot(f"consent of {name}")
    window.click_at(*window.seek("Put on Record", SCREEN))
    window.wait(lambda: len(jobs(window, "consent")) > known, "consent")
    wait_for_job(window, "consent", 60)


def recast_button(window: Window) -> tuple[int, int]:
    """The button over the one for the draft; other things on the panel are called Recast too."""
    x, _, width, _ = panel = window.region("SEQUENCE_EDITOR", "UI")
    _, y = window.seek("without Training", panel)
    return window.seek("Recast", (x, y - 45, width, 40), last=True)


def face(picture: Path) -> np.ndarray:
    """The middle of the preview of a screenshot, where the man's face is, as float."""
    shown = cv2.imread(str(picture))
    assert shown is not None
    return shown[190:320, 790:910].astype(float)


def difference(a: Path, b: Path) -> float:
    """Mean absolute difference of two screenshots' faces, in levels of 255."""
    return float(np.abs(face(a) - face(b)).mean())


def test_the_whole_way(window: Window) -> None:
    began = time.monotonic()
    window.start()
    window.new_video_editing()
    window.screenshot("a fresh file")
    window.add_movie(FOOTAGE / "carphone.mp4")
    window.open_sidebar()
    window.click_tab("Understudy")
    window.screenshot("the empty panel")
    window.key("ctrl+shift+s")
    window.choose_file(window.folder / "story.blend", "Save As")
    window.wait(lambda: window.ask("bpy.data.filepath").endswith("/story.blend"), "saved file")

    window.click("Mark Range")
    window.wait(lambda: window.ask("sequencer().shot.source_end") == 120, "marked range")
    window.click("Find People")
    window.wait(lambda: jobs(window, "scan"), "scan")
    window.screenshot("scanning")
    wait_for_job(window, "scan", 180)
    assert window.ask("len(sequencer().shot.scan.people)") == 1
    original = window.screenshot("people found")

    # a face is clicked in the preview itself
    x, y, width, height = window.region("SEQUENCE_EDITOR", "PREVIEW")
    window.click("Click a Face")
    window.move(x + width // 2, y + height // 2 - 20)
    window.screenshot("clicking a face")
    window.click_at(x + width // 2, y + height // 2 - 20)
    window.wait(lambda: window.ask("[swap.person for swap in sequencer().swaps]") == [0], "chosen person")

    window.click("Add Identity")
    window.click("From File or Folder")
    window.choose_file(FOOTAGE / "astronaut.png", "From File or Folder")
    window.wait(lambda: len(jobs(window, "scan")) == 2, "scan of the portrait")
    wait_for_job(window, "scan", 120)
    window.wait(lambda: window.ask("sequencer().swaps[0].identity"), "assigned identity")
    window.screenshot("identity")
    consent(window, "Astronaut", "Eileen Collins")
    consent(window, "Person", "The Man in the Car")

    # the draft shows over the preview before anything is trained
    panel = window.region("SEQUENCE_EDITOR", "UI")
    px, py = window.seek("4 Preview", panel)
    window.click_at(px - 42, py)  # the box before the title
    window.wait(lambda: window.ask("bpy.context.window_manager.understudy.show"), "preview switched on")
    window.wait(lambda: window.find("Draft not trained yet", (x, y, width, height)), "draft over the preview", 90)
    time.sleep(1)
    draft = window.screenshot("draft over the preview")
    assert difference(original, draft) > 4
    _, wy = window.seek("Wipe", panel)
    window.click_at(panel[0] + 27, wy)  # the arrows before the slider
    window.wait(lambda: window.ask("bpy.context.window_manager.understudy.use_wipe"), "wipe")
    window.click_at(panel[0] + 325, wy)  # the mouse behind it
    window.click_at(x + width // 2 - 40, y + height // 2)
    window.wait(lambda: window.ask("bpy.context.window_manager.understudy.wipe") < 0.48, "dragged wipe")
    window.screenshot("wipe")
    window.click_at(panel[0] + 27, wy)
    window.wait(lambda: not window.ask("bpy.context.window_manager.understudy.use_wipe"), "no wipe")

    window.fill("Minutes", "0.5", panel, right=120)
    assert abs(window.ask("sequencer().minutes") - 0.5) < 1e-3
    window.click("Train", last=True)
    window.wait(lambda: jobs(window, "train"), "training")
    time.sleep(4)
    window.screenshot("training")
    wait_for_job(window, "train", 240)
    window.wait(lambda: window.find("Step", (x, y, width, height)), "trained frame over the preview", 60)
    trained = window.screenshot("trained")
    assert difference(draft, trained) > 0.1

    window.click_at(*recast_button(window))
    window.wait(lambda: jobs(window, "convert"), "conversion")
    window.screenshot("recasting")
    wait_for_job(window, "convert", 240)
    placed = [["carphone.mp4", 1, 1, 121], ["carphone.mp4 as Astronaut (quick)", 2, 1, 121]]
    window.wait(lambda: window.ask(STRIPS) == placed, "placed strip")
    window.screenshot("placed")
    print(f"\nfrom a fresh file to the placed strip: {window.clicks} clicks, {time.monotonic() - began:.0f} seconds")

    sx, sy, swidth, sheight = window.region("SEQUENCE_EDITOR", "WINDOW")
    window.move(sx + swidth - 60, sy + sheight // 3)
    window.key("ctrl+z")
    window.wait(lambda: window.ask(STRIPS) == placed[:1], "undone strip")
    window.screenshot("undone")
    window.key("ctrl+shift+z")
    window.wait(lambda: window.ask(STRIPS) == placed, "redone strip")
    window.key("ctrl+s")
    window.wait(lambda: not window.ask("bpy.data.is_dirty"), "saved file")
    longest = window.ask("sorted(blocks)[-5:]")
    print(f"longest holds of the interface in seconds: {longest}")
    window.key("ctrl+q")
    assert window.wait_closed() == 0

    window.start(window.folder / "story.blend")
    window.click_tab("Understudy")
    assert window.ask(STRIPS) == placed
    assert window.ask("[[p.name for p in sequencer().shot.scan.people], len(sequencer().identities)]")[1] == 1
    window.screenshot("reopened")
