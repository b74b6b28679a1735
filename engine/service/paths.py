"""Where a job may write.

All paths are absolute and plain (`protocol.check_paths`). What a job writes (`output`) must not lie among the system's
own files or the engine's, and must not take the place of anything that Understudy has not made: it is new, an empty
folder, inside a project folder (`*.understudy`), the output of an earlier job, or a folder that holds a scan
or a model. Symbolic links are followed before all this is looked at.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

from ..protocol import project_of

SYSTEM = (
    *("/bin", "/boot", "/dev", "/etc", "/lib", "/lib32", "/lib64", "/proc", "/run", "/sbin", "/sys", "/usr"),
    *("/System", "/private/etc", "C:/Windows", "C:/Program Files", "C:/Program Files (x86)"),
)
EXCEPTIONS = ("/dev/shm", "/run/media", "/run/user", "/usr/local/share")
OWN_FOLDERS = ("jobs", "models", "previews", "media")
OWN_FILES = ("engine.json", "engine.lock", "engine.log", "jobs.sqlite", "device.json", "preview.log")
MADE_BY_US = ("scan.json", "alignments.safetensors", "model.json", "voice.json", "facesets", "checkpoint.safetensors")


class Forbidden(ValueError):
    """A path that no job may write."""


class Occupied(ValueError):
    """Something that is not ours stands where a job would write."""


def check_output(spec: dict[str, Any], home: Path, ours: Collection[str]) -> None:
    """Raise Forbidden or Occupied when a job may not write its output. `ours` are the outputs of earlier jobs."""
    if not (named := spec.get("output")):
        return
    try:
        output = Path(named).resolve()
        own = home.resolve()
        here = {output, *output.parents}
        system = here & {Path(folder) for folder in SYSTEM} and not here & {Path(folder) for folder in EXCEPTIONS}
        if system or output == Path(output.anchor):
            raise Forbidden(f"{named} belongs to the system. Choose a folder of your own.")
        if output == own or here & {own / name for name in (*OWN_FOLDERS, *OWN_FILES)}:
            raise Forbidden(f"{named} belongs to the engine itself. Choose another folder.")
        if any(parent.exists() and not parent.is_dir() for parent in output.parents):
            raise Occupied(f"{named} cannot be made: a file stands where a folder should be. Choose another name.")
        if project_of(output).suffix == ".understudy" or named in ours or _free_or_ours(output):
            return
    except (OSError, RuntimeError) as error:  # a loop of links, a name too long, a folder that may not be read
        raise Occupied(f"{named} cannot be used ({error}). Choose another folder.") from None
    raise Occupied(f"{named} exists and was not made by Understudy. Choose another name, or move it away.")


def _free_or_ours(output: Path) -> bool:
    if not output.exists():
        return True
    return output.is_dir() and (not any(output.iterdir()) or any((output / name).exists() for name in MADE_BY_US))
