"""The one way in which the engine and the add-on's helper start programs. Standard library only.

A child finds its modules where its own Python has them: not in the folder that the user happens to stand in, which may
hold a stranger's `json.py`, nor where the environment points. What the user sets for torch, FFmpeg, proxies or package
indexes is handed on.
"""

from __future__ import annotations

import functools
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

MISLEADING = {
    *("PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP", "PYTHONINSPECT", "PYTHONEXECUTABLE", "PYTHONPLATLIBDIR"),
    *(
        "PYTHONUSERBASE",
        "PYTHONPYCACHEPREFIX",
        "PYTHONBREAKPOINT",
        "PYTHONCASEOK",
        "PYTHONWARNINGS",
        "__PYVENV_LAUNCHER__",
    ),
    *(
        "PIP_TARGET",
        "PIP_PREFIX",
        "PIP_ROOT",
        "PIP_USER",
        "PIP_DEST",
        "PIP_PYTHON",
        "PIP_REQUIREMENT",
        "PIP_CONSTRAINT",
    ),
    *("PIP_SRC", "PIP_LOG", "PIP_PLATFORM", "PIP_PYTHON_VERSION", "PIP_IMPLEMENTATION", "PIP_ABI", "PIP_EDITABLE"),
    *("PIP_REQUIRE_VIRTUALENV", "PIP_GLOBAL_OPTION", "PIP_CONFIG_SETTINGS", "PIP_DRY_RUN", "PIP_REPORT"),
}
"""What makes a Python load other code than its own, or pip put its files elsewhere."""
LIBRARIES = {"LD_LIBRARY_PATH", "LD_PRELOAD", "LD_AUDIT", "DYLD_LIBRARY_PATH", "DYLD_INSERT_LIBRARIES"}
"""Where the loader takes libraries from before any other place. Steam and Flatpak start Blender with theirs, which may
be none for another program."""
SEARCHED = {"PATH", *LIBRARIES}
"""Lists of places that programs and libraries are taken from; only absolute ones are handed on."""


START_SECONDS = 30.0
"""So long a Python may take to start, on a machine however busy."""


def environment(more: Mapping[str, str] | None = None) -> dict[str, str]:
    """This process's environment without what misleads a child, and `more` on top of it."""
    kept = {name: value for name, value in os.environ.items() if name.upper() not in MISLEADING}
    for name in kept.keys() & SEARCHED:
        places = [place for place in kept[name].split(os.pathsep) if Path(place).is_absolute()]
        if places:
            kept[name] = os.pathsep.join(places)
        else:
            del kept[name]
    return {**kept, "PYTHONSAFEPATH": "1", **(more or {})}  # as -P, and for the children of the child


def module(name: str, *arguments: str, python: str | Path = sys.executable) -> list[str]:
    """The command that runs a module of a Python."""
    return [str(python), "-P", "-m", name, *arguments]


def start(
    command: list[str], *, cwd: str | Path, more: Mapping[str, str] | None = None, **options: Any
) -> subprocess.Popen[Any]:
    """Start a program in the folder `cwd`, which is ours; `options` are Popen's. Raises OSError."""
    return subprocess.Popen(command, cwd=cwd, env=_fit(command[0], environment(more)), **options)


def run(
    command: list[str], *, more: Mapping[str, str] | None = None, **options: Any
) -> subprocess.CompletedProcess[Any]:
    """Run a program to its end, in this Python's own folder; `options` are those of `subprocess.run`.

    Raises OSError, and subprocess.TimeoutExpired where a timeout was given.
    """
    env = _fit(command[0], environment(more))
    return subprocess.run(command, **{"cwd": sys.prefix, "check": False, **options}, env=env)


def _fit(program: str | Path, env: dict[str, str]) -> dict[str, str]:
    """The environment, without the libraries that it names where a Python does not start with them and does without."""
    named = {name: env[name] for name in sorted(env.keys() & LIBRARIES)}
    if not named or not Path(program).name.startswith("python"):
        return env
    if _starts(str(program), tuple(named.items())) or not _starts(str(program), ()):
        return env
    return {name: value for name, value in env.items() if name not in named}


@functools.cache
def _starts(program: str, libraries: tuple[tuple[str, str], ...]) -> bool:
    """Whether a Python finds what its standard library is linked with."""
    plain = {name: value for name, value in environment().items() if name not in LIBRARIES}
    try:
        done = subprocess.run(
            [program, "-I", "-c", "import ctypes, hashlib, sqlite3, ssl, zlib"],
            env={**plain, **dict(libraries)}, cwd=sys.prefix, capture_output=True, timeout=START_SECONDS, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0
