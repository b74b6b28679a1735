"""A desktop Blender 5.2 in a window; tools/test_gui.sh sees to its place and skips all of this where there is none."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))  # screen, window

ROOT = Path(__file__).resolve().parents[2]
CHROOT = Path(os.environ.get("UNDERSTUDY_GUI_ROOT", ROOT / ".build" / "blender-window"))
FOLDER = ROOT / ".build" / "gui"


@pytest.fixture(scope="session")
def window() -> Iterator[object]:
    """A screen with the built zip installed, and nothing running on it yet."""
    import window as windows

    if "UNDERSTUDY_OWN_MOUNTS" not in os.environ:
        pytest.skip("mounts folders into the desktop Blender's place: run `make test-gui`, which keeps them apart")
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    package = subprocess.run(
        [sys.executable, ROOT / "tools" / "package.py", "--output", FOLDER], capture_output=True, text=True, check=True
    )
    with windows.blender_window(CHROOT, FOLDER / "run", Path(package.stdout.strip()), Path(sys.executable)) as screen:
        yield screen
