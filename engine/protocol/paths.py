"""Where things lie: the user's folder, the engine's address, the project of a file."""

from __future__ import annotations

import os
import sys
from dataclasses import MISSING, field, fields, is_dataclass
from pathlib import Path, PurePath
from typing import Any

INSIDE_A_PROJECT = ("scans", "models", "recasts", "voices")
"""Folders of a project folder that hold one folder or file for each scan, model, …."""

IN_A_HOME = (
    *("cache", "compiled", "device.json", "engine.", "env", "jobs", "media", "mirrors", "models", "outputs"),
    *("preview", "python", "rates.json", "remote", "setup.log", "signing", "tools", "unsaved", "wheels"),
)
"""What the names in `home` begin with."""

MAX_PATH_LENGTH = 4096
"""Characters; what Linux allows."""
ABSOLUTE = r"[A-Za-z]:[\\/][^\x00]*" if sys.platform == "win32" else r"/[^\x00]*"


def path_pattern(may_be_empty: bool = False) -> str:
    """A regular expression of absolute paths of this system."""
    return f"^({ABSOLUTE})?$" if may_be_empty else f"^{ABSOLUTE}$"


def absolute_path(default: str = MISSING) -> str:  # type: ignore[assignment]
    """A dataclass field that names a file or a folder; with the default "", it may be left empty."""
    metadata = {"absolute_path": True, "pattern": path_pattern(default == ""), "max_length": MAX_PATH_LENGTH}
    made: str = field(default=default, metadata=metadata)
    return made


def check_path(name: str, path: str) -> None:
    """Raise ValueError unless `path` is absolute and plain: whoever reads it may be in another folder."""
    parts = PurePath(path)
    if not parts.is_absolute() or ".." in parts.parts or "\0" in path or len(path) > MAX_PATH_LENGTH:
        raise ValueError(f"{name} must be an absolute path without .., not {path[:200]!r}.")


def check_paths(message: Any) -> None:
    """`check_path` of every field that `absolute_path` made in a dataclass and in the dataclasses within it."""
    if isinstance(message, list):
        for part in message:
            check_paths(part)
    if not is_dataclass(message):
        return
    for one in fields(message):
        value = getattr(message, one.name)
        if "absolute_path" not in one.metadata:
            check_paths(value)
        elif value or one.default != "":
            check_path(one.name, value)


def project_of(path: str | Path) -> Path:
    """The project folder that a scan, model, voice or recast lies in: the nearest parent named `*.understudy`, else
    the folder that holds it, or the one above where that is called as one of `INSIDE_A_PROJECT`.

    Specs whose `project` is empty mean this one of their `output` (or `scan`)."""
    path = Path(path)
    holds = path.parent.parent if path.parent.name in INSIDE_A_PROJECT else path.parent
    return next((parent for parent in path.parents if parent.suffix == ".understudy"), holds)


def home() -> Path:
    """The user's Understudy folder: models, jobs and the running engine's address.

    `UNDERSTUDY_HOME` names another. Not created here.
    """
    named = os.environ.get("UNDERSTUDY_HOME")
    if named:
        return Path(named)
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", Path.home())) / "Understudy"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "Understudy"
    return Path(os.environ.get("XDG_DATA_HOME", Path.home() / ".local" / "share")) / "understudy"


def make_home() -> Path:
    """`home`, made if need be so that nobody else on this computer looks into it. Raises OSError."""
    folder = home()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if is_open_home():
        folder.chmod(0o700)
    return folder


def is_open_home() -> bool:
    """Whether others on this computer may look into `home`, although it is Understudy's alone: made by an older
    version or another program. A folder that the user named keeps its mode where it holds anything else. Raises
    OSError."""
    folder = home()
    if sys.platform == "win32" or not folder.is_dir() or not folder.stat().st_mode & 0o077:
        return False
    if folder.stat().st_uid != os.geteuid():
        return False
    return not os.environ.get("UNDERSTUDY_HOME") or all(p.name.startswith(IN_A_HOME) for p in folder.iterdir())


def address_file() -> Path:
    """Where a running engine writes its `EngineInfo` and token (mode 0600)."""
    return home() / "engine.json"
