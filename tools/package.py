"""Build the Blender extension and check it, with Blender's own tool: dist/understudy-VERSION.zip.

usage: package.py [--bpy-environment FOLDER] [--output FOLDER]

Any Python runs it: Blender's `blender_ext.py` out of an installed bpy needs no bpy itself.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def extension_tool(environment: Path) -> Path:
    """Blender's command line for extensions, inside the bpy that an environment holds."""
    pattern = "lib*/**/site-packages/bpy/*/scripts/addons_core/bl_pkg/cli/blender_ext.py"
    found = sorted(environment.glob(pattern))
    if not found:
        sys.exit(f"{environment} holds no bpy. Run `make` first, or name an environment with --bpy-environment.")
    return found[-1]


def build(environment: Path, output: Path) -> Path:
    """The finished zip, built and validated."""
    manifest = tomllib.loads((ROOT / "blender_manifest.toml").read_text(encoding="utf-8"))
    output.mkdir(parents=True, exist_ok=True)
    final = output / f"{manifest['id']}-{manifest['version']}.zip"
    tool = extension_tool(environment)
    run(tool, "build", f"--source-dir={ROOT}", f"--output-filepath={final}")
    run(tool, "validate", str(final))
    return final


def run(tool: Path, *arguments: str) -> None:
    result = subprocess.run([sys.executable, tool, *arguments], capture_output=True, text=True)
    if result.returncode:
        sys.exit(f"Blender's extension tool refused: {(result.stdout + result.stderr).strip()}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bpy-environment", type=Path, default=ROOT / ".env" / "bpy50")
    parser.add_argument("--output", type=Path, default=ROOT / "dist")
    options = parser.parse_args()
    print(build(options.bpy_environment, options.output))


if __name__ == "__main__":
    main()
