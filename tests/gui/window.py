"""A desktop Blender in a window on a screen that nobody sees, worked with a real mouse and a real keyboard.

Buttons are found as a person finds them: by the words on them.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
from screen import DISPLAY, END, HEIGHT, PATIENCE, WIDTH, Screen

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
TAB_WIDTH = 24
# tooltips would lie over what is read
PREFERENCES = """
import bpy
view = bpy.context.preferences.view
view.show_splash = view.show_tooltips = False
view.filebrowser_display_type = "SCREEN"
"""


class Window(Screen):
    """The running Blender."""

    def __init__(self, chroot: Path, folder: Path) -> None:
        super().__init__(chroot, folder)
        self._probe = folder / "probe"
        self._blender: subprocess.Popen[bytes] | None = None

    def environment(self, engine: bool = True) -> list[str]:
        """What Blender is started with: a configuration and a home of the test's own, and (or not) an engine."""
        return [
            "env", "-i", "PATH=/usr/bin:/bin:/usr/sbin", f"DISPLAY={DISPLAY}", "LANG=C.UTF-8", "ALSOFT_DRIVERS=null",
            "LIBGL_ALWAYS_SOFTWARE=1", f"TMPDIR={self.folder}/tmp",
            f"XDG_RUNTIME_DIR={self.folder}/xdg", f"BLENDER_USER_RESOURCES={self.folder}/blender",
            f"HOME={self.folder}/user", f"UNDERSTUDY_HOME={self.folder}/home", f"UNDERSTUDY_PROBE={self._probe}",
            *([f"UNDERSTUDY_ENGINE_PYTHON={self.folder}/engine-python"] if engine else []),
        ]  # fmt: skip

    def install(self, package: Path) -> None:
        """Install the built zip as a user does, with Blender's own command line."""
        for name in ("xdg", "blender", "user", "tmp"):
            (self.folder / name).mkdir(exist_ok=True)
        subprocess.run(
            ["chroot", self.chroot, *self.environment(), "blender", "--command", "extension", "install-file",
             "-r", "user_default", "--enable", package],
            check=True, capture_output=True, timeout=10 * PATIENCE,
        )  # fmt: skip

    def start(self, *arguments: str | Path, engine: bool = True) -> None:
        """Start Blender and wait until it answers and has drawn itself."""
        if self._blender is not None and self._blender.poll() is None:
            self._blender.kill()  # a story that failed left it
            self._blender.wait()
        self._probe.unlink(missing_ok=True)
        cores = os.sched_getaffinity(0)
        if len(cores) == 1:  # Blender on one core never gets done with a sound's waveform, and an undo waits for it
            os.sched_setaffinity(0, range(os.cpu_count() or 1))
        with (self.folder / "blender.log").open("ab") as log:
            self._blender = subprocess.Popen(
                ["chroot", self.chroot, *self.environment(engine), "blender", "--gpu-backend", "opengl",
                 "--window-geometry", "0", "0", str(WIDTH), str(HEIGHT), "--window-fullscreen", "-noaudio",
                 *map(str, arguments), "--python", HERE / "probe.py", "--python-expr", PREFERENCES],
                stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
            )  # fmt: skip
        os.sched_setaffinity(0, cores)
        self._processes.append(self._blender)
        self.wait(lambda: self._answer("1 + 1"), "Blender", 4 * PATIENCE)
        # before its window is shown it builds its shaders, in software and for the first start all of them
        self.wait(lambda: self.picture().std() > 5, "Blender's first drawing", 4 * PATIENCE)
        self.still()

    def quit(self) -> int:
        """Quit with the keyboard; Blender's exit code."""
        assert self._blender is not None
        self.command("xdotool", "key", "--clearmodifiers", "ctrl+q")
        return self._blender.wait(2 * PATIENCE)

    # -- asking

    def ask(self, expression: str) -> Any:
        """The value of a Python expression inside Blender; waits while Blender is busy."""
        deadline = time.monotonic() + 2 * PATIENCE
        while (answer := self._answer(expression)) is None:
            if time.monotonic() > min(deadline, END):
                self.fail(f"Blender does not answer; see {self.folder}/blender.log", "no answer")
            time.sleep(0.1)
        assert "error" not in answer, f"{expression}: {answer['error']}"
        return answer["value"]

    def _answer(self, expression: str) -> dict[str, Any] | None:
        assert self._blender is not None and self._blender.poll() is None, (
            f"Blender ended with code {self._blender.poll()}: {self.folder}/blender.log, {self.folder}/tmp"
        )
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
                connection.settimeout(PATIENCE / 2)
                connection.connect(str(self._probe))
                connection.sendall(expression.encode() + b"\n")
                return json.loads(connection.makefile().readline())  # type: ignore[no-any-return]
        except (FileNotFoundError, ConnectionError, TimeoutError, BlockingIOError, json.JSONDecodeError):
            return None

    def settle(self) -> None:
        """Blender answers once in each turn of its main loop: after three answers, what the mouse or the keyboard did
        has been handled, and drawn."""
        if self._blender is not None and self._blender.poll() is None:
            for _ in range(3):
                self.ask("0")

    def look(self, name: str) -> Any:
        """One of the properties of how the window looks at the recast."""
        return self.ask(f"bpy.context.window_manager.understudy.{name}")

    def region(self, area: str, kind: str) -> tuple[int, int, int, int]:
        """x, y, width, height on the screen of a region, such as SEQUENCE_EDITOR's UI or PREVIEW."""
        found = [r[2:] for r in self.ask("regions()") if r[:2] == [area, kind]]
        assert found, f"no {kind} in {area}"
        return tuple(max(found, key=lambda r: r[2] * r[3]))  # type: ignore[return-value]

    # -- the panel

    def click(self, text: str, *, last: bool = False) -> None:
        """Click what says `text` in the panel; scrolls to look for it. `last`: a panel's title says the same."""
        self.click_at(*self.seek(text, last=last))

    def press(self, text: str, condition: Callable[[], Any], what: str, *, last: bool = False) -> None:
        """Click what says `text` in the panel until something holds."""
        self.until(lambda: self.click(text, last=last), condition, what)

    def unfold(self, step: str) -> None:
        """Open a step of the panel, such as "2 People", by a click on its line."""
        name = {"recast": "convert"}.get(step.split()[1].lower(), step.split()[1].lower())
        is_open = f"bpy.context.window_manager.understudy_folds.{name}"
        if not self.ask(is_open):
            self.press(step, lambda: self.ask(is_open), f"open {step}")

    def seek(
        self, text: str, within: tuple[int, int, int, int] | None = None, *, last: bool = False, room: int = 0
    ) -> tuple[int, int]:
        """Where the words stand, in the panel or another rectangle; scrolls until they are seen, with `room` pixels
        above and below for what belongs to them."""
        x, y, width, height = within or self.region("SEQUENCE_EDITOR", "UI")
        y, height = y + room, height - 2 * room
        # down from where the panel stands, up to its top, down to its end
        wheel = [4] * 8 + [-40] + [4] * 16 + [-40] + [3] * 22
        while True:
            self.hurry(text)
            before = self.picture((x, y, width, height))
            if found := self.find(text, (x, y, width, height), last):
                # what Blender has drawn may be on its way to the screen yet: the words must stay where they are
                self.settle()
                stays = np.array_equal(before, self.picture((x, y, width, height)))
                if stays or self.find(text, (x, y, width, height), last) == found:
                    return found
            elif wheel:
                self.scroll(x + width // 2, y + height // 2, wheel.pop(0))
            else:
                self.fail(f'"{text}" is not on the screen', f"no {text}")

    def open_sidebar(self) -> None:
        """Open the timeline's sidebar (N) where it is closed."""
        x, y, width, height = self.region("SEQUENCE_EDITOR", "WINDOW")

        def is_open() -> bool:
            return any(r[:2] == ["SEQUENCE_EDITOR", "UI"] for r in self.ask("regions()"))

        if not is_open():
            self.move(x + width // 2, y + height // 2)
            self.until(lambda: self.key("n"), is_open, "sidebar")

    def click_tab(self, text: str) -> None:
        """Click a tab of the sequencer's sidebar, whose name runs downwards."""

        def in_front() -> bool:
            return text in self.ask("tabs()") and self.region("SEQUENCE_EDITOR", "UI")[2] > 2 * TAB_WIDTH

        def click() -> None:
            if in_front():
                return  # another click would fold the sidebar away
            x, y, width, height = self.region("SEQUENCE_EDITOR", "UI")
            edge = (x + width - TAB_WIDTH, y, TAB_WIDTH, height)

            down, _ = self.wait(lambda: self.find(text, edge, turned=True), f"tab {text}")
            self.click_at(edge[0] + 8, y + down)  # turned to the left, x is what y was

        self.until(click, in_front, f"tab {text} in front")
        self.still()

    # -- Blender's own

    def new_video_editing(self) -> None:
        """File > New > Video Editing."""

        def offered() -> None:
            self.key("Escape", "ctrl+n")  # a window that has only just opened may miss the first keys
            self.still()

        self.move(WIDTH // 2, HEIGHT // 2)
        self.click_at(*self.until(offered, lambda: self.find("Video Editing", self.around()), "menu of templates"))
        self.wait(lambda: any(r[1] == "PREVIEW" for r in self.ask("regions()")), "Video Editing")
        self.still()

    def add_movie(self, path: Path) -> None:
        """Add > Movie in the sequencer, at the playhead."""
        x, y, width, height = self.region("SEQUENCE_EDITOR", "WINDOW")
        self.move(x + width // 2, y + height // 2)

        def menu() -> None:
            self.key("Escape", "shift+a")
            self.still()

        self.click_at(*self.until(menu, lambda: self.find("Movie", (x, y, width, height)), "menu Add"))
        self.wait(self.browsing, "file browser")
        # else the strip hangs on the mouse
        self.click_at(*self.seek("Move Strips", self.region("FILE_BROWSER", "TOOL_PROPS")))
        self.choose_file(path, "Add Movie Strip")

    def choose_file(self, path: Path, button: str) -> None:
        """In the file browser that is open: type the path and press the button that ends it."""
        self.wait(self.browsing, "file browser")
        self.still()
        there = path.exists()

        def name_it() -> None:
            x, y, width, height = self.region("FILE_BROWSER", "WINDOW")
            self.move(x + width // 2, y + height // 2)
            self.key("ctrl+l", "ctrl+a")
            self.type(str(path if there else path.parent))
            self.key("Return")

        self.until(name_it, lambda: Path(self.ask("browser()")[0]) == path.parent, f"folder {path.parent}")
        if self.ask("browser()")[1] != path.name:
            x, y, width, height = self.region("FILE_BROWSER", "EXECUTE")
            self.until(
                lambda: self.write(x + width // 4, y + height // 2, path.name),
                lambda: self.ask("browser()")[1] == path.name, f"file name {path.name}",
            )  # fmt: skip
        self._lost_click()

        def confirm() -> None:
            if self.browsing():
                self.click_at(*self.seek(button, self.region("FILE_BROWSER", "EXECUTE")))

        self.until(confirm, lambda: not self.browsing(), "end of the file browser")
        self._lost_click()

    def _lost_click(self) -> None:
        """After a path was typed, and after the file browser has closed, Blender sees neither mouse nor keys until a
        first click, which does nothing: it is given where there is nothing, at the right of the status bar (what is
        reported at its left opens a window), and not counted."""
        self.still()
        self.click_at(WIDTH * 4 // 5, HEIGHT - 9)
        self.clicks -= 1

    def browsing(self) -> bool:
        """Whether the file browser is open."""
        return any(r[:2] == ["FILE_BROWSER", "EXECUTE"] for r in self.ask("regions()"))

    def write(self, x: int, y: int, text: str) -> None:
        """Double click on a field and write into it."""
        self.move(x, y)
        self.command("xdotool", "click", "--repeat", "2", "--delay", "120", "1")
        self.clicks += 1
        self.settle()
        self.key("ctrl+a")
        self.type(text)
        self.key("Return")


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
