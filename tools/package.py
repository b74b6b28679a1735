"""Build the Blender extension and check it, with Blender's own tool: dist/understudy-VERSION.zip.

usage: package.py [--bpy-environment FOLDER] [--output FOLDER]

Any Python runs it: Blender's `blender_ext.py` out of an installed bpy needs no bpy itself. With SOURCE_DATE_EPOCH set,
the same files give the same zip.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
import tomllib
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def extension_tool(environment: Path) -> Path:
    """Blender's command line for extensions, inside the bpy that an environment holds."""
    pattern = "lib*/**/site-packages/bpy/*/scripts/addons_core/bl_pkg/cli/blender_ext.py"
    found = sorted(environment.glob(pattern))
    if not found:
        sys.exit(f"{environment} holds no bpy. Run `make` first, or name an environment with --bpy-environment.")
    return found[-1]


def build(environment: Path, output: Path, root: Path = ROOT, when: int | None = None) -> Path:
    """The finished zip of the tree in `root`, built and validated; `when`, in seconds since 1970, dates all in it."""
    manifest = tomllib.loads((root / "blender_manifest.toml").read_text(encoding="utf-8"))
    output.mkdir(parents=True, exist_ok=True)
    final = output / f"{manifest['id']}-{manifest['version']}.zip"
    tool = extension_tool(environment)
    run(tool, "build", f"--source-dir={root}", f"--output-filepath={final}")
    if when is not None:
        settle(final, when)
    run(tool, "validate", str(final))
    return final


def settle(archive: Path, when: int) -> None:
    """Have every zip of the same files be the same: sorted, of one time and one mode."""
    with zipfile.ZipFile(archive) as before:
        inside = {name: before.read(name) for name in sorted(before.namelist())}
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as after:
        for name, data in inside.items():
            entry = zipfile.ZipInfo(name, time.gmtime(when)[:6])
            entry.compress_type, entry.create_system, entry.external_attr = zipfile.ZIP_DEFLATED, 3, 0o644 << 16
            after.writestr(entry, data)


def run(tool: Path, *arguments: str) -> None:
    result = subprocess.run([sys.executable, tool, *arguments], capture_output=True, text=True)
    if result.returncode:
        sys.exit(f"Blender's extension tool refused: {(result.stdout + result.stderr).strip()}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bpy-environment", type=Path, default=ROOT / ".env" / "bpy50")
    parser.add_argument("--output", type=Path, default=ROOT / "dist")
    options = parser.parse_args()
    said = os.environ.get("SOURCE_DATE_EPOCH", "")
    print(build(options.bpy_environment, options.output, when=int(said) if said.isdigit() else None))


if __name__ == "__main__":
    main()
