"""The engine's environment as far as Blender may ask at once: where it is, what is in it, what setting it up takes. No
bpy."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import platform
import shutil
import sys
import tomllib
from pathlib import Path
from typing import Literal

from ...engine import protocol

Device = Literal["cuda", "rocm", "mps", "cpu"]

ROOT = Path(__file__).resolve().parents[2]
"""The folder of the extension."""
PINS = Path(__file__).with_name("engine-pins.txt")

DOWNLOAD_MB: dict[Device, int] = {"cuda": 2940, "rocm": 4540, "mps": 390, "cpu": 490}
"""About what is downloaded, networks included."""


def device() -> Device:
    """What the engine would compute on here."""
    if sys.platform == "darwin":
        return "mps" if platform.machine() == "arm64" else "cpu"
    if shutil.which("nvidia-smi") or Path(r"C:\Windows\System32\nvidia-smi.exe").is_file():
        return "cuda"
    if sys.platform == "linux" and (shutil.which("rocminfo") or Path("/opt/rocm").is_dir()):
        return "rocm"
    return "cpu"


def folder() -> Path:
    """Where the finished environment is."""
    return protocol.home() / "env"


def python_of(environment: Path) -> Path:
    """The Python of an environment."""
    return environment / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")


def find_python(preference: str) -> Path | None:
    """The engine's Python: the preference, else `UNDERSTUDY_ENGINE_PYTHON`, else the one in the home folder.

    What is named but not there is not passed over in silence: the answer is then None.
    """
    named = preference or os.environ.get("UNDERSTUDY_ENGINE_PYTHON", "")
    inside = Path("Scripts", "python.exe") if sys.platform == "win32" else Path("bin", "python")
    python = Path(named).expanduser() if named else protocol.home() / "env" / inside
    return python if python.is_file() else None


def set_up() -> str:
    """The version of the engine that is set up, "" where none is."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        stamp = json.loads((folder() / "understudy.json").read_text(encoding="utf-8"))
        if python_of(folder()).exists():
            return str(stamp["version"])
    return ""


def version() -> str:
    """The version that this add-on would set up."""
    return str(_project()["version"])


def requirements() -> list[str]:
    """What the engine needs, as its pyproject.toml says."""
    return list(_project()["dependencies"])


@functools.cache
def _project() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
