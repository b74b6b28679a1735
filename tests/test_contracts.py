"""A contract between the programs that imports alone do not show; those that they show are in pyproject.toml."""

from __future__ import annotations

import subprocess
import sys


def test_supervisor_never_loads_torch() -> None:
    code = (
        "import sys, understudy.engine.service.server, understudy.engine.service.serve\n"
        "print([m for m in ('torch', 'cv2', 'numpy', 'av', 'scipy') if m in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
