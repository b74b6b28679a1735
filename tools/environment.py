"""Make a Python environment in a folder, or bring it up to date; does nothing when nothing changed.

usage: environment.py [--python PYTHON] FOLDER PIP_ARGUMENT...

Works where the system's Python lacks ensurepip (Debian's without python3-venv): then pip
fetches virtualenv into a temporary folder and that makes the environment.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import subprocess
import sys
import tempfile
from pathlib import Path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("requirements", nargs=argparse.REMAINDER)
    options = parser.parse_args()
    wanted = hashlib.sha256(
        "\n".join([options.python, *options.requirements, Path("pyproject.toml").read_text(encoding="utf-8")]).encode()
    ).hexdigest()
    stamp = options.folder / "understudy-stamp"
    if stamp.is_file() and stamp.read_text() == wanted:
        return
    python = options.folder / "bin" / "python"
    if not python.exists() or version(python) != version(options.python):
        create(options.folder, options.python)
    print(f"installing into {options.folder}: {' '.join(options.requirements)}", flush=True)
    run_pip(python, ["pip>=25.1,<27"])  # the first that knows --group
    run_pip(python, options.requirements)
    stamp.write_text(wanted)


def version(python: Path | str) -> str:
    """Which Python it is, and that its pip works; empty when it does not."""
    return subprocess.run([python, "-m", "pip", "--version"], capture_output=True, text=True).stdout.partition("(")[2]


def run_pip(python: Path, requirements: list[str]) -> None:
    command = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *requirements]
    result = subprocess.run(command, stderr=subprocess.PIPE, text=True)
    if result.returncode:  # what pip says when all went well (about its sources, about editable packages) helps nobody
        sys.exit(f"{result.stderr}\npip could not install what is needed; its own words are above.")


def create(folder: Path, python: str) -> None:
    has_ensurepip = subprocess.run([python, "-c", "import ensurepip, venv"], capture_output=True).returncode == 0
    if has_ensurepip:
        subprocess.run([python, "-m", "venv", "--clear", folder], check=True)
        return
    with tempfile.TemporaryDirectory() as aside:
        subprocess.run([python, "-m", "pip", "install", "--quiet", "--target", aside, "virtualenv"], check=True)
        subprocess.run(
            [python, "-m", "virtualenv", "--quiet", "--clear", folder],
            check=True,
            env={**os.environ, "PYTHONPATH": aside},
        )


if __name__ == "__main__":
    main()
