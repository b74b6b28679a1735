"""From a fresh file to a placed strip, undo, reopening and an update: by mouse and keyboard, in the installed zip."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from looks import WANTED, looks
from screen import HEIGHT, WIDTH
from window import ROOT, Window

FOOTAGE = ROOT / ".build" / "footage"
STATUS_BAR = (0, HEIGHT - 24, WIDTH, 24)
FINAL = {"done", "failed", "cancelled"}
JOB_SECONDS = 600  # for a scan, a training or a conversion, however busy the machine is


def jobs(window: Window, kind: str) -> list[str]:
    """The states of the scene's jobs of a kind, oldest first."""
    return window.ask(f"[job.state for job in sequencer().jobs if job.kind == '{kind}']")


def count(window: Window, kind: str, n: int) -> Callable[[], bool]:
    """Whether there are `n` jobs of a kind."""
    return lambda: len(jobs(window, kind)) == n


def wait_for_job(window: Window, kind: str) -> None:
    """Until no job of a kind runs and the newest is done; what it failed with otherwise."""

    def ended() -> bool:
        assert not (error := window.ask("sequencer().error")), error
        states = jobs(window, kind)
        return states[-1:] == ["done"] and set(states) <= FINAL

    window.wait(ended, f"{kind} that is done", JOB_SECONDS)


def consents(window: Window, face: str = "Eileen Collins", shown: str = "The Man in the Car", known: int = 2) -> None:
    """Give both consents in the dialog that the panel's button opens; `known` there are then."""
    x, y = window.until(
        lambda: window.click("Record Consents"),
        lambda: window.find("Full Name", window.around()), "dialog of consents",
    )  # fmt: skip
    window.click_at(x + 150, y)
    window.type(face)
    window.key("Return")
    x, y = window.wait(lambda: window.find("Full Name", window.around(), last=True), "the other's name")
    window.click_at(x + 150, y)
    window.type(shown)
    window.key("Return")
    window.screenshot("both consents")

    def confirm() -> None:
        if found := window.find("Put on Record", window.around()):
            window.click_at(*found)

    window.until(confirm, count(window, "consent", known), "consents")


def recast_button(window: Window) -> tuple[int, int]:
    """The button beside the one for the draft; other things on the panel are called Recast too."""
    x, y = window.seek("without Training", room=30)
    return x - window.region("SEQUENCE_EDITOR", "UI")[2] // 2, y


def train_button(window: Window) -> tuple[int, int]:
    """The button under the box; other things on the panel are called Train too."""
    window.unfold("5 Train")
    x, y = window.seek("Until Converged", room=30)
    return x, y + 26


def minutes(window: Window, wanted: float) -> None:
    """Write how long to train into the panel."""
    window.unfold("5 Train")

    def write() -> None:
        x, y = window.seek("Minutes")
        window.write(x + 60, y, str(wanted))

    window.until(write, lambda: abs(window.ask("sequencer().minutes") - wanted) < 1e-3, f"{wanted} minutes")


def add_identity(window: Window, path: Path) -> None:
    """A new identity from a file, which is looked through at once."""
    known = len(jobs(window, "scan"))
    window.unfold("3 Identities")
    entry = window.until(
        lambda: window.click("Add Identity"),
        lambda: window.find("Add Face from File", window.around()), "menu of sources",
    )  # fmt: skip
    window.click_at(*entry)
    window.choose_file(path, "Add Face from File")
    window.wait(count(window, "scan", known + 1), "scan of the identity")


def see(window: Window, view: str) -> None:
    """Choose what is shown over the preview: the wheel with Ctrl over the list beside that button goes through it."""
    views = ["original", "recast", "matte", "landmarks"]

    def turn() -> None:
        x, y = window.seek("Hold to Compare", room=60)
        window.move(x - 160, y)
        window.turn(1 if views.index(window.look("view")) < views.index(view) else -1)

    while window.look("view") != view:
        before = window.look("view")
        window.until(turn, lambda before=before: window.look("view") != before, f"view {view}")


def same_colours_through_another_view_transform(window: Window) -> None:
    """What lies beside the face is the footage's own, and looks like it, in the recast that is drawn over it."""

    def beside_the_face(view: str) -> np.ndarray:
        see(window, view)
        window.wait(lambda: not window.ask("pending()"), f"{view} over the preview", JOB_SECONDS)
        return window.still()[90:300, 1010:1100].astype(float)  # the car's bright window

    def apart(a: np.ndarray, b: np.ndarray) -> float:
        return float(np.abs(a - b).mean())

    standard = beside_the_face("original")
    usual = apart(standard, beside_the_face("recast"))  # the preview's picture is another size
    window.ask("show_through('AgX')")
    shown = beside_the_face("original")
    assert apart(standard, shown) > usual + 3
    see(window, "recast")
    window.wait(lambda: apart(shown, beside_the_face("recast")) < usual + 1, "the footage's own colours")
    window.screenshot("recast through AgX")
    window.ask("show_through('Standard')")


def say(window: Window, text: str) -> None:
    """Print a figure, and keep it beside the screenshots."""
    with (window.folder / "figures.txt").open("a") as file:
        file.write(text + "\n")
    print(text)


def say_timings(window: Window) -> None:
    """Say how long the add-on held the main thread."""
    timings = window.ask("timings()")
    lines = [f"{n:>6} {'  '.join(f'{ms:8.2f}' for ms in rest)}  {name}" for name, (n, *rest) in timings.items()]
    say(window, "\n".join(["times; ms of wall clock: p50, p99, longest; of the thread: p99, longest", *lines]))


def leave(window: Window) -> None:
    """Save and quit."""
    x, y, width, height = window.region("SEQUENCE_EDITOR", "WINDOW")
    window.move(x + width - 60, y + height // 3)
    window.until(lambda: window.key("ctrl+s"), lambda: not window.ask("bpy.data.is_dirty"), "saved file")
    say_timings(window)
    assert window.quit() == 0


def face(picture: Path) -> np.ndarray:
    """The middle of the preview of a screenshot, where the man's face is, as float."""
    shown = cv2.imread(str(picture))
    assert shown is not None
    return shown[190:320, 790:910].astype(float)


def difference(a: Path, b: Path) -> float:
    """Mean absolute difference of two screenshots' faces, in levels of 255."""
    return float(np.abs(face(a) - face(b)).mean())


def fresh_file_with_movie(window: Window) -> None:
    """File > New > Video Editing, the man in the car on the timeline, our tab in front."""
    window.new_video_editing()
    window.add_movie(FOOTAGE / "carphone.mp4")
    window.open_sidebar()
    window.click_tab("Understudy")


def save(window: Window, name: str) -> None:
    """Save under a new name."""
    window.until(lambda: window.key("ctrl+shift+s"), window.browsing, "file browser")
    window.choose_file(window.folder / name, "Save As")
    window.wait(lambda: window.ask("bpy.data.filepath").endswith(f"/{name}"), "saved file")


def test_what_a_new_user_sees(window: Window) -> None:
    """Without an engine the panel offers to set it up, and says what that takes."""
    window.start(engine=False)
    window.new_video_editing()
    window.open_sidebar()
    window.click_tab("Understudy")
    window.seek("Set Up Engine")
    window.seek("Allow Online Access")
    window.screenshot("no engine")
    looks(window, "0 no engine")
    assert not window.ask("bpy.ops.understudy.setup.poll()")
    window.ask("setattr(bpy.context.preferences.system, 'use_online_access', True)")
    window.wait(lambda: window.ask("bpy.ops.understudy.setup.poll()"), "set-up that can begin")
    window.screenshot("set-up that can begin")
    window.ask("setattr(bpy.context.preferences.system, 'use_online_access', False)")
    assert window.quit() == 0


def test_one_button(window: Window) -> None:
    """From a fresh file to a placed strip with as few clicks as there are."""
    window.start()
    fresh_file_with_movie(window)
    save(window, "short.blend")
    minutes(window, 0.1)  # what nobody but a test in a hurry does
    window.screenshot("the empty panel")
    looks(window, "1 empty")
    window.clicks = window.keys = 0
    began = time.monotonic()
    window.until(lambda: window.click("Recast with Defaults"), window.browsing, "file browser")
    window.choose_file(FOOTAGE / "astronaut.png", "Choose the New Face")
    window.wait(count(window, "scan", 2), "both scans")
    window.screenshot("both scans")
    looks(window, "2 scanning")
    wait_for_job(window, "scan")
    consents(window)
    window.wait(count(window, "convert", 1), "queued recast", JOB_SECONDS)
    window.screenshot("training, and the recast behind it")
    wait_for_job(window, "convert")
    placed = [["carphone.mp4", 1, 1, 121, True], ["Eileen Collins · quick · carphone.mp4", 2, 1, 121, True]]
    window.wait(lambda: window.ask("shown()") == placed, "placed strip")
    window.wait(lambda: window.find("Placed", STATUS_BAR), "word of the placed strip in the status bar", 20)
    window.screenshot("placed by one button")
    looks(window, "3 placed by one button")
    seconds = time.monotonic() - began
    say(window, f"from a strip to its recast: {window.clicks} clicks, {window.keys} keys, {seconds:.0f} s")
    leave(window)


def test_the_recast_with_defaults(window: Window) -> None:
    """Step by step through the panel."""
    began = time.monotonic()
    window.clicks = window.keys = 0
    window.start()
    fresh_file_with_movie(window)
    window.screenshot("a fresh file")
    save(window, "story.blend")

    window.press("Mark Range", lambda: window.ask("sequencer().shot.source_end") == 120, "marked range")
    window.press("Find People", count(window, "scan", 1), "scan")
    window.screenshot("scanning")
    wait_for_job(window, "scan")
    assert window.ask("len(sequencer().shot.scan.people)") == 1
    original = window.screenshot("people found")
    looks(window, "4 people")

    if WANTED:
        nobody = window.folder / "nobody.png"
        cv2.imwrite(str(nobody), np.full((256, 256, 3), 90, np.uint8))
        add_identity(window, nobody)
        window.wait(lambda: window.ask("sequencer().error"), "error", JOB_SECONDS)
        looks(window, "7 error")
        window.press("Dismiss", lambda: not window.ask("sequencer().error"), "no error")
        window.until(lambda: window.key("ctrl+z"), lambda: not window.ask("len(sequencer().identities)"), "no identity")

    # a face is clicked in the preview itself
    x, y, width, height = window.region("SEQUENCE_EDITOR", "PREVIEW")
    note = (x, y, width, 45)  # what the picture is, is said along the preview's top
    window.click("Click a Face")
    window.move(x + width // 2, y + height // 2 - 20)
    window.screenshot("clicking a face")
    window.click_at(x + width // 2, y + height // 2 - 20)
    window.wait(lambda: window.ask("sequencer().person") == 0, "selected person")
    assert window.ask("len(sequencer().swaps)") == 0  # a click selects and assigns nothing

    add_identity(window, FOOTAGE / "astronaut.png")
    wait_for_job(window, "scan")
    window.wait(lambda: window.ask("sequencer().swaps[0].identity"), "assigned identity")
    window.screenshot("identity")
    looks(window, "5 identity")
    consents(window)
    wait_for_job(window, "consent")

    # the draft shows over the preview before anything is trained
    def tick() -> None:
        px, py = window.seek("4 Preview")
        window.click_at(px - 42, py)  # the box before the title

    window.until(tick, lambda: window.look("show"), "preview switched on")
    window.wait(lambda: window.find("Draft not trained yet", note), "draft over the preview", JOB_SECONDS)
    draft = window.screenshot("draft over the preview")
    assert difference(original, draft) > 4
    left = window.region("SEQUENCE_EDITOR", "UI")[0]

    # the footage, as long as the key is held over the preview
    window.move(x + width // 2, y + height // 2)
    window.command("xdotool", "keydown", "v")
    window.wait(lambda: window.look("compare"), "footage while V is held")
    window.command("xdotool", "keyup", "v")
    window.wait(lambda: not window.look("compare"), "recast after V was held")

    def wipe(x: int) -> Callable[[], None]:
        return lambda: window.click_at(left + x, window.seek("Wipe")[1])

    window.until(wipe(18), lambda: window.look("use_wipe"), "wipe")  # the arrows before the slider
    window.click_at(left + 338, window.seek("Wipe")[1])  # the mouse behind it
    window.click_at(x + width // 2 - 40, y + height // 2)
    window.wait(lambda: window.look("wipe") < 0.48, "dragged wipe")
    window.screenshot("wipe")
    window.until(wipe(18), lambda: not window.look("use_wipe"), "no wipe")

    for view in ("matte", "landmarks", "recast"):
        see(window, view)
        window.wait(lambda: not window.ask("pending()"), f"{view} over the preview", JOB_SECONDS)
        window.screenshot(f"view {view}")

    same_colours_through_another_view_transform(window)
    minutes(window, 2 if WANTED else 0.5)
    window.until(lambda: window.click_at(*train_button(window)), count(window, "train", 1), "training")
    window.wait(lambda: window.ask("sequencer().jobs[-1].loss") >= 0, "loss", JOB_SECONDS)
    window.screenshot("training")
    looks(window, "6 training")
    wait_for_job(window, "train")
    window.wait(lambda: window.find("Step", note), "trained frame over the preview", JOB_SECONDS)
    trained = window.screenshot("trained")
    assert difference(draft, trained) > 0.1

    window.until(lambda: window.click_at(*recast_button(window)), count(window, "convert", 1), "conversion")
    window.screenshot("recasting")
    wait_for_job(window, "convert")
    placed = [["carphone.mp4", 1, 1, 121, True], ["Eileen Collins · quick · carphone.mp4", 2, 1, 121, True]]
    window.wait(lambda: window.ask("shown()") == placed, "placed strip")
    window.screenshot("placed")
    seconds = time.monotonic() - began
    say(window, f"from a fresh file to the placed strip, by every step: {window.clicks} clicks, {seconds:.0f} s")

    sx, sy, swidth, sheight = window.region("SEQUENCE_EDITOR", "WINDOW")
    window.move(sx + swidth - 60, sy + sheight // 3)
    window.until(lambda: window.key("ctrl+z"), lambda: window.ask("shown()") == placed[:1], "undone strip")
    window.screenshot("undone")
    window.until(lambda: window.key("ctrl+shift+z"), lambda: window.ask("shown()") == placed, "redone strip")
    leave(window)

    window.start(window.folder / "story.blend")
    window.click_tab("Understudy")
    assert window.ask("shown()") == placed
    assert window.ask("[i.name for i in sequencer().identities]") == ["Eileen Collins"]
    window.screenshot("reopened")

    # trained on, the strip is updated in place
    file = window.ask("strips()[1].filepath")
    minutes(window, 0.8)
    window.until(lambda: window.click_at(*train_button(window)), count(window, "train", 2), "second training")
    wait_for_job(window, "train")
    window.press("Update", count(window, "convert", 2), "update")
    wait_for_job(window, "convert")
    window.wait(lambda: window.ask("strips()[1].filepath") != file, "updated strip")
    assert window.ask("shown()") == placed
    window.screenshot("updated")

    # a second take, seen in turn with the first, and taken away again
    window.until(lambda: window.click_at(*recast_button(window)), count(window, "convert", 3), "second take")
    wait_for_job(window, "convert")
    takes = [*placed, ["Eileen Collins · quick · carphone.mp4.001", 3, 1, 121, True]]
    takes[1] = [*placed[1][:4], False]
    window.wait(lambda: window.ask("shown()") == takes, "second take")
    window.screenshot("second take")
    looks(window, "8 placed")
    window.press("Take 2 of 2", lambda: window.ask("[s[4] for s in shown()]") == [True, True, False], "first take")
    window.screenshot("first take")
    window.press("Remove", lambda: len(window.ask("shown()")) == 2, "one take less")
    window.press("Remove", lambda: window.ask("shown()") == placed[:1], "no recast")
    window.screenshot("removed")
    leave(window)
