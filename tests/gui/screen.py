"""A screen that nobody sees: looked at as a picture, read by tesseract, acted on with a real mouse and keyboard.

Nothing waits by the clock: after every move, click and key `settle` waits until the program on the screen has
taken it in, and everything looked for is looked for until it is there or its time is up. Times are long, for a
machine that does other things beside: only a failure takes them whole, and it leaves a picture.
"""

from __future__ import annotations

import csv
import io
import os
import random
import re
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

WIDTH, HEIGHT = (int(pixels) for pixels in os.environ.get("UNDERSTUDY_GUI_SIZE", "1600x1000").split("x"))
"""The screen's; the stories' own pictures are cut out of the usual one."""
DISPLAY = f":{random.randrange(100, 10000)}"  # others may run on this machine
SCREEN = (0, 0, WIDTH, HEIGHT)
PATIENCE = float(os.environ.get("UNDERSTUDY_GUI_PATIENCE", "60"))
"""Seconds to wait for whatever no job of the engine has to bring."""
END = time.monotonic() + float(os.environ.get("UNDERSTUDY_GUI_SECONDS", "inf"))
"""When all of it has to be over: nothing is waited for any longer, whoever waits."""
ENLARGED = (3, 2, 4)  # tesseract reads letters of about 30 pixels best; what it misreads so, it may read otherwise


@dataclass(frozen=True)
class Word:
    """A word on the screen, in screen pixels."""

    text: str
    x: int
    y: int
    width: int
    height: int


class Screen:
    """An X server inside a chroot. What went wrong leaves a picture in `shots`, beside those of the story."""

    def __init__(self, chroot: Path, folder: Path) -> None:
        self.chroot, self.folder = chroot, folder
        self.shots = folder / "screenshots"
        self.shots.mkdir(parents=True, exist_ok=True)
        self.clicks = self.keys = 0
        self._number = 0
        self._processes: list[subprocess.Popen[bytes]] = []
        self._read: tuple[bytes, list[list[Word]], set[str]] = (b"", [], set())
        self._mouse = (WIDTH // 2, HEIGHT // 2)

    def start_screen(self) -> None:
        """Start the X server and a window manager."""
        buffer = self.folder / "framebuffer"
        buffer.mkdir(exist_ok=True)
        self._spawn(
            "Xvfb", DISPLAY, "-screen", "0", f"{WIDTH}x{HEIGHT}x24", "+extension", "GLX", "-nolisten", "tcp",
            "-nolisten", "local", "-noreset", "-nocursor", "-fbdir", str(buffer),
        )  # fmt: skip
        self.wait(lambda: (self.chroot / f"tmp/.X11-unix/X{DISPLAY[1:]}").exists(), "X server")
        self.wait(lambda: self._dump().exists() and self._dump().stat().st_size > WIDTH * HEIGHT * 4, "framebuffer")
        self._spawn("env", f"DISPLAY={DISPLAY}", "openbox")

    def close(self) -> None:
        """End what still runs."""
        for process in reversed(self._processes):
            if process.poll() is None:
                process.terminate()
                with suppress(subprocess.TimeoutExpired):
                    process.wait(10)
                process.kill()

    def command(self, *arguments: str | Path, **environment: str) -> str:
        """Run a program on the screen; its output."""
        result = subprocess.run(
            ["chroot", self.chroot, "env", f"DISPLAY={DISPLAY}", *(f"{k}={v}" for k, v in environment.items()),
             *map(str, arguments)],
            capture_output=True, text=True, timeout=4 * PATIENCE,
        )  # fmt: skip
        assert result.returncode == 0, f"{arguments}: {result.stderr}"
        return result.stdout

    def _spawn(self, *arguments: str) -> None:
        self._processes.append(
            subprocess.Popen(["chroot", self.chroot, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        )

    def settle(self) -> None:
        """Wait until what was done has been taken in."""

    # -- looking

    def wait(self, condition: Callable[[], Any], what: str, seconds: float = PATIENCE) -> Any:
        """Wait until something holds; a picture tells what was there instead."""
        began = time.monotonic()
        while not (found := condition()):
            waited = time.monotonic() - began
            if waited > seconds:
                self.fail(f"waited {seconds:.0f} s for {what}", f"no {what}")
            self.hurry(what)
            time.sleep(0.1)
        return found

    def hurry(self, what: str) -> None:
        """Fail where the time for all of the tests is over."""
        if time.monotonic() > END:
            self.fail(f"the time for all of the tests is over, while waiting for {what}", f"no time for {what}")

    def fail(self, sentence: str, shot: str) -> None:
        """End the story, with a picture of what there was instead."""
        seen = ""
        with suppress(Exception):
            seen = f"; the screen then is {self.screenshot(shot)}"
        raise AssertionError(sentence + seen)

    def _dump(self) -> Path:
        return self.folder / "framebuffer" / "Xvfb_screen0"

    def picture(self, within: tuple[int, int, int, int] = SCREEN) -> np.ndarray:
        """A rectangle x, y, width, height of the screen as it is now: (height, width, 3) uint8, BGR."""
        raw = self._dump().read_bytes()  # an XWD file that the X server draws into
        head = np.frombuffer(raw, ">u4", 25)
        start = int(head[0]) + int(head[19]) * 12  # behind the header and the colour map
        stride, height = int(head[12]), int(head[5])
        pixels = np.frombuffer(raw, np.uint8, stride * height, start).reshape(height, stride // 4, 4)
        x, y, wide, high = within
        return pixels[y : y + high, x : x + wide, :3].copy()

    def still(self, within: tuple[int, int, int, int] = SCREEN, seconds: float = 4.0) -> np.ndarray:
        """The picture once nothing in it moves any more; what moves on (a running job's bar) is taken as it is."""
        deadline = time.monotonic() + seconds
        before = self.picture(within)
        while True:
            self.settle()
            now = self.picture(within)
            if np.array_equal(before, now) or time.monotonic() > deadline:
                return now
            before = now

    def screenshot(self, name: str, within: tuple[int, int, int, int] = SCREEN) -> Path:
        """Keep a picture of the screen, numbered in the order of the story."""
        self._number += 1
        path = self.shots / f"{self._number:02d} {name}.png"
        cv2.imwrite(str(path), self.still(within))
        return path

    def find(
        self, text: str, within: tuple[int, int, int, int], last: bool = False, turned: bool = False
    ) -> tuple[int, int] | None:
        """The middle of words that stand beside each other in a rectangle x, y, width, height of the screen, the first
        or the last such; or None. Looked for again in the same picture, it is read at another size.

        `turned`: they run downwards; the place is then of the picture turned to the left, from its corner.
        """
        x, y = (0, 0) if turned else within[:2]
        grey = cv2.cvtColor(self.picture(within), cv2.COLOR_BGR2GRAY)
        grey = cv2.rotate(grey, cv2.ROTATE_90_COUNTERCLOCKWISE) if turned else grey
        picture = bytes(str((within, turned)), "ascii") + grey.tobytes()
        if picture != self._read[0]:
            self._read = (picture, [], set())
        _, readings, sought = self._read
        if not readings or (text in sought and len(readings) < len(ENLARGED)):
            readings.append(self._words(grey, ENLARGED[len(readings)], x, y))
        sought.add(text)
        found = (_beside_each_other(text, words, last) for words in readings)
        return next((place for place in found if place), None)

    def _words(self, grey: np.ndarray, enlarged: int, x: int, y: int) -> list[Word]:
        grey = cv2.resize(grey, None, fx=enlarged, fy=enlarged, interpolation=cv2.INTER_CUBIC)
        # strokes brighter than what they stand on, whether on a panel, a grey button or a blue one
        strokes = cv2.morphologyEx(grey, cv2.MORPH_TOPHAT, np.ones((19, 19), np.uint8))
        page = self.folder / "read.pgm"
        cv2.imwrite(str(page), 255 - np.clip(strokes.astype(np.int32) * 2, 0, 255).astype(np.uint8))
        read = self.command("tesseract", page, "-", "--psm", "11", "tsv", OMP_THREAD_LIMIT="1")
        found = []
        for row in csv.DictReader(io.StringIO(read), delimiter="\t", quoting=csv.QUOTE_NONE):
            if row["text"].strip() and float(row["conf"]) > 20:
                left, top, wide, high = (int(row[k]) // enlarged for k in ("left", "top", "width", "height"))
                found.append(Word(row["text"].strip(), x + left, y + top, wide, high))
        return found

    def around(self) -> tuple[int, int, int, int]:
        """The part of the screen around the mouse, where menus and dialogs open: much sooner read than all of it."""
        left = min(max(self._mouse[0] - 450, 0), WIDTH - 900)
        top = min(max(self._mouse[1] - 350, 0), HEIGHT - 700)
        return left, top, 900, 700

    # -- acting

    def move(self, x: int, y: int) -> None:
        """Move the mouse, in two steps: Blender notices where it is when it moves."""
        self.command("xdotool", "mousemove", str(x - 3), str(y))
        self.settle()
        self.command("xdotool", "mousemove", str(x), str(y))
        self.settle()
        self._mouse = (x, y)

    def click_at(self, x: int, y: int) -> None:
        """Move there and click."""
        self.move(x, y)
        self.command("xdotool", "click", "1")
        self.clicks += 1
        self.settle()

    def drag(self, x0: int, y0: int, x1: int, y1: int) -> None:
        """Press, move and let go, in steps."""
        self.move(x0, y0)
        self.command("xdotool", "mousedown", "1")
        self.clicks += 1
        for part in range(1, 6):
            self.command("xdotool", "mousemove", str(x0 + (x1 - x0) * part // 5), str(y0 + (y1 - y0) * part // 5))
            self.settle()
        self.command("xdotool", "mouseup", "1")
        self.settle()

    def scroll(self, x: int, y: int, lines: int) -> None:
        """Turn the wheel, downwards where positive."""
        self.move(x, y)
        self.command("xdotool", "click", "--repeat", str(abs(lines)), "--delay", "20", "5" if lines > 0 else "4")
        self.settle()

    def turn(self, lines: int) -> None:
        """Turn the wheel with Ctrl under the mouse, which goes through a list without opening it."""
        wheel = ("click", "--repeat", str(abs(lines)), "--delay", "20", "5" if lines > 0 else "4")
        self.command("xdotool", "keydown", "ctrl", *wheel, "keyup", "ctrl")
        self.settle()

    def key(self, *keys: str) -> None:
        """Press keys, such as ctrl+z, under the mouse."""
        for key in keys:
            self.command("xdotool", "key", "--clearmodifiers", key)
            self.keys += 1
            self.settle()

    def type(self, text: str) -> None:
        """Type a text."""
        self.command("xdotool", "type", "--delay", "12", text)
        self.settle()

    def until(self, act: Callable[[], Any], condition: Callable[[], Any], what: str) -> Any:
        """Act until something holds, which it does at once unless the screen was about to change."""
        for _ in range(4):
            act()
            deadline = time.monotonic() + PATIENCE / 6
            while time.monotonic() < deadline:
                if found := condition():
                    return found
                self.hurry(what)
                time.sleep(0.1)
        return self.fail(f"tried four times without {what}", f"no {what}")


def _beside_each_other(text: str, words: list[Word], last: bool) -> tuple[int, int] | None:
    wanted = [plain(word) for word in text.split()]
    found = None
    for start in range(len(words)):
        here = words[start : start + len(wanted)]
        if [plain(word.text) for word in here] == wanted and max(w.y for w in here) - min(w.y for w in here) < 12:
            left, right = here[0].x, here[-1].x + here[-1].width
            found = (left + right) // 2, here[0].y + here[0].height // 2
            if not last:
                break
    return found


def plain(word: str) -> str:
    """A word without what tesseract sees in icons and frames."""
    return re.sub(r"[^a-z0-9]", "", word.lower())
