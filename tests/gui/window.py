"""A desktop Blender in a window on a screen that nobody sees, worked with a real mouse and a real keyboard.

Buttons are found as a person finds them: by the words on them (tesseract reads the screen).
"""

from __future__ import annotations

import csv
import io
import json
import os
import re
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
WIDTH, HEIGHT = 1600, 1000
DISPLAY = ":97"
TAB_WIDTH = 24
ENLARGED = 3  # tesseract reads letters of about 30 pixels best
PREFERENCES = """
import bpy
view = bpy.context.preferences.view
view.show_splash, view.filebrowser_display_type = False, "SCREEN"
"""


@dataclass(frozen=True)
class Word:
    """A word on the screen, in screen pixels."""

    text: str
    x: int
    y: int
    width: int
    height: int
    line: tuple[int, int, int]


class Window:
    """The running Blender. Everything waits with a limit; what went wrong leaves a picture in `shots`."""

    def __init__(self, chroot: Path, folder: Path) -> None:
        self.chroot, self.folder = chroot, folder
        self.shots = folder / "screenshots"
        self.shots.mkdir(parents=True, exist_ok=True)
        self.clicks = 0
        self._number = 0
        self._probe = folder / "probe"
        self._processes: list[subprocess.Popen[bytes]] = []

    # -- programs inside the chroot

    def command(self, *arguments: str | Path, timeout: float = 60) -> str:
        """Run a program beside Blender, on its screen; its output."""
        result = subprocess.run(
            ["chroot", self.chroot, "env", f"DISPLAY={DISPLAY}", *map(str, arguments)],
            capture_output=True, text=True, timeout=timeout,
        )  # fmt: skip
        assert result.returncode == 0, f"{arguments}: {result.stderr}"
        return result.stdout

    def environment(self) -> list[str]:
        """What Blender is started with: a configuration and a home of the test's own."""
        return [
            "env", "-i", "PATH=/usr/bin:/bin:/usr/sbin", f"DISPLAY={DISPLAY}", "LANG=C.UTF-8", "ALSOFT_DRIVERS=null",
            "LIBGL_ALWAYS_SOFTWARE=1", "VK_DRIVER_FILES=/usr/share/vulkan/icd.d/lvp_icd.json",
            f"XDG_RUNTIME_DIR={self.folder}/xdg", f"BLENDER_USER_RESOURCES={self.folder}/blender",
            f"HOME={self.folder}/user", f"UNDERSTUDY_HOME={self.folder}/home", f"UNDERSTUDY_PROBE={self._probe}",
            f"UNDERSTUDY_ENGINE_PYTHON={self.folder}/engine-python",
        ]  # fmt: skip

    def install(self, package: Path) -> None:
        """Install the built zip as a user does, with Blender's own command line."""
        for name in ("xdg", "blender", "user", "home"):
            (self.folder / name).mkdir(exist_ok=True)
        subprocess.run(
            ["chroot", self.chroot, *self.environment(), "blender", "--command", "extension", "install-file",
             "-r", "user_default", "--enable", package],
            check=True, capture_output=True, timeout=120,
        )  # fmt: skip

    def start_screen(self) -> None:
        """Start the X server and a window manager."""
        self._spawn("Xvfb", DISPLAY, "-screen", "0", f"{WIDTH}x{HEIGHT}x24", "+extension", "GLX", "-nolisten", "tcp")
        self.wait(lambda: (self.chroot / f"tmp/.X11-unix/X{DISPLAY[1:]}").exists(), "the X server")
        self._spawn("env", f"DISPLAY={DISPLAY}", "openbox")

    def start(self, *arguments: str | Path) -> None:
        """Start Blender and wait until it answers."""
        self._probe.unlink(missing_ok=True)
        with (self.folder / "blender.log").open("ab") as log:
            self._blender = subprocess.Popen(
                ["chroot", self.chroot, *self.environment(), "blender", "--gpu-backend", "vulkan",
                 "--window-geometry", "0", "0", str(WIDTH), str(HEIGHT), "--window-fullscreen", "-noaudio",
                 *map(str, arguments), "--python", HERE / "probe.py", "--python-expr", PREFERENCES],
                stdout=log, stderr=subprocess.STDOUT,
            )  # fmt: skip
        self._processes.append(self._blender)
        self.wait(lambda: self.ask("bpy.app.version_string"), "Blender", 90)
        time.sleep(1.5)  # its first drawing

    def wait_closed(self, seconds: float = 30) -> int:
        """Blender's exit code once it has quit."""
        return self._blender.wait(seconds)

    def close(self) -> None:
        """End what still runs."""
        for process in reversed(self._processes):
            if process.poll() is None:
                process.terminate()
                with suppress(subprocess.TimeoutExpired):
                    process.wait(10)
                process.kill()

    def _spawn(self, *arguments: str) -> None:
        self._processes.append(
            subprocess.Popen(["chroot", self.chroot, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        )

    # -- looking

    def ask(self, expression: str) -> Any:
        """The value of a Python expression inside Blender; None while it does not answer."""
        assert not self._processes or self._blender.poll() is None, f"Blender ended; see {self.folder}/blender.log"
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
                connection.settimeout(20)
                connection.connect(str(self._probe))
                connection.sendall(expression.encode() + b"\n")
                answer = json.loads(connection.makefile().readline())
        except (FileNotFoundError, ConnectionError, TimeoutError, BlockingIOError, json.JSONDecodeError):
            return None
        assert "error" not in answer, f"{expression}: {answer['error']}"
        return answer["value"]

    def wait(self, condition: Callable[[], Any], what: str, seconds: float = 30) -> Any:
        """Wait until something holds; a picture tells what was there instead."""
        deadline = time.monotonic() + seconds
        while not (found := condition()):
            if time.monotonic() > deadline:
                with suppress(Exception):
                    self.screenshot(f"no {what}")
                raise AssertionError(f"waited {seconds} s for {what}")
            time.sleep(0.1)
        return found

    def screenshot(self, name: str) -> Path:
        """A picture of the whole screen, numbered in the order of the story."""
        self._number += 1
        path = self.shots / f"{self._number:02d} {name}.png"
        self.command("import", "-window", "root", path)
        return path

    def region(self, area: str, kind: str) -> tuple[int, int, int, int]:
        """x, y, width, height on the screen of a region, such as SEQUENCE_EDITOR's UI or PREVIEW."""
        found = [r[2:] for r in self.ask("regions()") if r[:2] == [area, kind]]
        assert found, f"no {kind} in {area}"
        return tuple(max(found, key=lambda r: r[2] * r[3]))  # type: ignore[return-value]

    def words(self, within: tuple[int, int, int, int], turned: bool = False) -> list[Word]:
        """Every word in a rectangle x, y, width, height of the screen.

        `turned`: they run downwards; places are then of the picture turned to the left, from its corner.
        """
        x, y, width, height = within
        picture = self.folder / "read.png"
        self.command("import", "-window", "root", "-crop", f"{width}x{height}+{x}+{y}", "+repage", picture)
        grey = cv2.imread(str(picture), cv2.IMREAD_GRAYSCALE)
        assert grey is not None
        grey = cv2.rotate(grey, cv2.ROTATE_90_COUNTERCLOCKWISE) if turned else grey
        grey = cv2.resize(grey, None, fx=ENLARGED, fy=ENLARGED, interpolation=cv2.INTER_CUBIC)
        # strokes brighter than what they stand on, whether on a panel, a grey button or a blue one
        strokes = cv2.morphologyEx(grey, cv2.MORPH_TOPHAT, np.ones((19, 19), np.uint8))
        cv2.imwrite(str(picture), 255 - np.clip(strokes.astype(np.int32) * 2, 0, 255).astype(np.uint8))
        if turned:
            x = y = 0
        read = self.command("tesseract", picture, "-", "--psm", "11", "tsv")
        found = []
        for row in csv.DictReader(io.StringIO(read), delimiter="\t", quoting=csv.QUOTE_NONE):
            if row["text"].strip() and float(row["conf"]) > 20:
                left, top, wide, high = (int(row[k]) // ENLARGED for k in ("left", "top", "width", "height"))
                line = (int(row["block_num"]), int(row["par_num"]), int(row["line_num"]))
                found.append(Word(row["text"].strip(), x + left, y + top, wide, high, line))
        return found

    def find(self, text: str, within: tuple[int, int, int, int], last: bool = False) -> tuple[int, int] | None:
        """The middle of words that stand beside each other on the screen, the first or the last such; or None."""
        wanted = [_plain(word) for word in text.split()]
        words = self.words(within)
        found = None
        for start in range(len(words)):
            here = words[start : start + len(wanted)]
            if [_plain(word.text) for word in here] == wanted and max(w.y for w in here) - min(w.y for w in here) < 12:
                left, right = here[0].x, here[-1].x + here[-1].width
                found = (left + right) // 2, here[0].y + here[0].height // 2
                if not last:
                    break
        return found

    # -- acting

    def move(self, x: int, y: int) -> None:
        """Move the mouse, in two steps: Blender notices where it is when it moves."""
        self.command("xdotool", "mousemove", str(x - 3), str(y), "sleep", "0.05", "mousemove", str(x), str(y))
        time.sleep(0.15)

    def click_at(self, x: int, y: int, button: int = 1) -> None:
        """Move there and click."""
        self.move(x, y)
        self.command("xdotool", "click", str(button))
        self.clicks += 1
        time.sleep(0.4)

    def key(self, *keys: str) -> None:
        """Press keys, such as ctrl+z, under the mouse."""
        for key in keys:
            self.command("xdotool", "key", "--clearmodifiers", key)
            time.sleep(0.3)

    def type(self, text: str) -> None:
        """Type a text."""
        self.command("xdotool", "type", "--delay", "12", text)
        time.sleep(0.2)

    def click(self, text: str, area: str = "SEQUENCE_EDITOR", kind: str = "UI", *, last: bool = False) -> None:
        """Click what says `text` in a region; scrolls to look for it. `last`: a panel's title says the same."""
        self.click_at(*self.seek(text, self.region(area, kind), last=last))

    def new_video_editing(self) -> None:
        """File > New > Video Editing."""

        def offered() -> tuple[int, int] | None:
            self.key("Escape", "ctrl+n")  # a window that has only just opened may miss the first keys
            time.sleep(1)
            return self.find("Video Editing", (0, 0, WIDTH, HEIGHT))

        self.move(WIDTH // 2, HEIGHT // 2)
        self.click_at(*self.wait(offered, "menu of templates", 60))
        self.wait(lambda: any(r[1] == "PREVIEW" for r in self.ask("regions()")), "Video Editing")

    def add_movie(self, path: Path) -> None:
        """Add > Movie in the sequencer, at the playhead."""
        x, y, width, height = self.region("SEQUENCE_EDITOR", "WINDOW")
        self.move(x + width // 2, y + height // 2)
        self.key("shift+a")
        self.click_at(*self.seek("Movie", (x, y, width, height)))
        self.wait(self._browsing, "file browser")
        self.click("Move Strips", "FILE_BROWSER", "TOOL_PROPS")  # else the strip hangs on the mouse
        self.choose_file(path, "Add Movie Strip")

    def choose_file(self, path: Path, button: str) -> None:
        """In the file browser that is open: type the path and press the button that ends it."""
        self.wait(self._browsing, "file browser")
        time.sleep(0.5)
        self.key("ctrl+l", "ctrl+a")
        self.type(str(path if path.exists() else path.parent))
        self.key("Return", "Escape")
        if not path.exists():
            x, y, width, height = self.region("FILE_BROWSER", "EXECUTE")
            self.write(x + width // 4, y + height // 2, path.name)
        self.click_at(*self.seek(button, self.region("FILE_BROWSER", "EXECUTE")))
        self.wait(lambda: not self._browsing(), "end of the file browser")
        time.sleep(1)
        x, y, width, height = self.region("SEQUENCE_EDITOR", "HEADER")
        self.click_at(x + width * 3 // 4, y + height // 2)  # until the first click Blender sees neither mouse nor keys

    def _browsing(self) -> bool:
        return any(r[:2] == ["FILE_BROWSER", "EXECUTE"] for r in self.ask("regions()"))

    def fill(self, beside: str, text: str, within: tuple[int, int, int, int], right: int = 0) -> None:
        """Write `text` into the field that stands `right` pixels to the right of the words `beside`."""
        x, y = self.seek(beside, within)
        self.write(x + right, y, text)

    def write(self, x: int, y: int, text: str) -> None:
        """Double click on a field and write into it."""
        self.click_at(x, y)
        self.command("xdotool", "click", "1")  # a number's field is written into after a double click
        time.sleep(0.3)
        self.key("ctrl+a")
        self.type(text)
        self.key("Return")

    def open_sidebar(self) -> None:
        """Open the timeline's sidebar (N) where it is closed."""
        x, y, width, height = self.region("SEQUENCE_EDITOR", "WINDOW")

        def open_now() -> bool:
            if any(r[:2] == ["SEQUENCE_EDITOR", "UI"] for r in self.ask("regions()")):
                return True
            self.move(x + width // 2, y + height // 2)
            self.key("n")
            time.sleep(1)
            return False

        self.wait(open_now, "sidebar")

    def click_tab(self, text: str, seconds: float = 10) -> None:
        """Click a tab of the sequencer's sidebar, whose name runs downwards."""
        x, y, width, height = self.region("SEQUENCE_EDITOR", "UI")
        edge = (x + width - TAB_WIDTH, y, TAB_WIDTH, height)

        def find() -> Word | None:
            return next((w for w in self.words(edge, True) if _plain(w.text) == _plain(text)), None)

        def in_front() -> bool:
            return text in self.ask("tabs()") and self.region("SEQUENCE_EDITOR", "UI")[2] > 2 * TAB_WIDTH

        word = self.wait(find, f"tab {text}", seconds)
        for _ in range(3):  # a click on the tab in front folds the sidebar away, another unfolds it
            self.click_at(edge[0] + 8, y + word.x + word.width // 2)  # turned to the left, x is what y was
            time.sleep(1.5)
            if in_front():
                return
        self.wait(in_front, f"tab {text} in front", seconds)

    def seek(self, text: str, within: tuple[int, int, int, int], *, last: bool = False) -> tuple[int, int]:
        """Where the words stand; scrolls until they are seen."""
        x, y, width, height = within
        wheel = [5] * 8 + [4] * 12 + [5] * 14  # down from where the panel stands, up to its top, down to its end
        while not (found := self.find(text, within, last)):
            if not wheel:
                self.screenshot(f"no {text}")
                raise AssertionError(f'"{text}" is not on the screen')
            self.move(x + width // 2, y + height // 2)
            self.command("xdotool", "click", "--repeat", "4", str(wheel.pop(0)))
            time.sleep(0.3)
        return found


def _plain(word: str) -> str:
    return re.sub(r"[^a-z0-9]", "", word.lower())


@contextmanager
def blender_window(chroot: Path, folder: Path, package: Path, engine_python: Path) -> Iterator[Window]:
    """A screen with the extension installed; `Window.start` opens Blender on it.

    Needs root and a mount namespace of its own: the repository is mounted at its own path inside the chroot, and
    the machine's root as /host, so that Blender starts the engine of this machine as it would start its own.
    """
    folder.mkdir(parents=True)
    inside = chroot / str(ROOT)[1:]
    for source, target in (("/", chroot / "host"), ("/sys", chroot / "sys"), ("/dev", chroot / "dev"), (ROOT, inside)):
        target.mkdir(parents=True, exist_ok=True)
        subprocess.run(["mount", "--rbind", source, target], check=True)
    subprocess.run(["mount", "-t", "proc", "proc", chroot / "proc"], check=True)
    (chroot / "tmp/.X11-unix").mkdir(mode=0o1777, exist_ok=True)
    (chroot / f"tmp/.X{DISPLAY[1:]}-lock").unlink(missing_ok=True)
    (chroot / f"tmp/.X11-unix/X{DISPLAY[1:]}").unlink(missing_ok=True)
    (folder / "home").mkdir()
    networks = Path(os.environ.get("UNDERSTUDY_HOME", ROOT / ".understudy")) / "models"
    (folder / "home" / "models").symlink_to(networks.resolve())
    program = folder / "engine-python"
    program.write_text(
        f'#!/bin/sh\nexec chroot /host /usr/bin/env UNDERSTUDY_HOME="$UNDERSTUDY_HOME" {engine_python} "$@"\n'
    )
    program.chmod(0o755)
    window = Window(chroot, folder)
    try:
        window.install(package)
        window.start_screen()
        yield window
    finally:
        window.close()
        address = folder / "home" / "engine.json"
        if address.is_file():
            with suppress(ProcessLookupError):
                os.kill(json.loads(address.read_text())["pid"], 15)
