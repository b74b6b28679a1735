"""What is removed is provably ours by what it holds: files of others stay, whatever their folder is called."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from understudy.engine import job_bodies
from understudy.engine.own_files import contents, remove_ours
from understudy.engine.protocol import ForgetSpec
from understudy.engine.reporter import Silent

THEIRS = b"three years of work"


def put(path: Path, data: bytes | str = THEIRS) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return path


@pytest.fixture
def work(tmp_path: Path, record_consent: Any, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of the user's that is a project as well, as after `understudy swap` without one."""
    monkeypatch.setenv("UNDERSTUDY_HOME", str(tmp_path / "home"))
    folder = tmp_path / "work"
    record_consent(folder, "face")
    return folder


def forget(project: Path) -> dict[str, str]:
    spec = ForgetSpec(project=str(project), identity="face")
    return {one["path"]: one["why"] for one in job_bodies.run("forget", spec, Silent())["left"]}


OURS = {
    ".config.old": "alignments.safetensors",
    ".vim.part": "edits.json",
    ".friends.people": "boxes.json",
    ".observed": "ab12/00000000-00000008.safetensors",
    "models/mywork": "facesets/0.faceset",
    "recasts/raw.part": "segments/00000000.nut",
}


@pytest.mark.parametrize("place", OURS)
@pytest.mark.parametrize("mixed", [True, False])
def test_a_folder_that_is_only_named_like_ours_stays(work: Path, place: str, mixed: bool) -> None:
    folder = work / place
    if place == "models/mywork":
        (folder / "facesets").mkdir(parents=True)
    thesis, ours = put(folder / "thesis.txt"), folder / OURS[place]
    if mixed:
        put(ours, b"embeddings")
    left = forget(work)
    assert thesis.read_bytes() == THEIRS and not ours.exists()
    assert "thesis.txt" in left[str(folder)]


CARDS = {
    "scans/shot": ("scan.json", {"people": [{"id": 0, "name": "face", "known": True}]}, "person-0.jpg"),
    "models/one": ("model.json", {"identities": ["face"]}, "weights.safetensors"),
    "voices/hers": ("voice.json", {"identity": "face"}, "recordings.safetensors"),
    "shot": ("scan.json", {"people": [{"id": 0, "name": "face", "known": True}]}, "alignments.safetensors"),
}


@pytest.mark.parametrize("place", CARDS)
def test_footage_in_a_scan_a_model_or_a_voice_stays(work: Path, place: str) -> None:
    card, facts, other = CARDS[place]
    ours = [put(work / place / card, json.dumps(facts)), put(work / place / other)]
    names = ("original-footage.mp4", "deep/er/notes.txt", "person-anna.jpg", "person-7.jpg", "my.safetensors")
    theirs = [put(work / place / name) for name in names]
    left = forget(work)
    assert list(left) == [str(work / place)] and "and 2 more" in left[str(work / place)]
    assert not any(path.exists() for path in ours) and all(path.read_bytes() == THEIRS for path in theirs)
    assert forget(work) == {}  # nothing there is theirs any more


def test_files_that_say_they_are_something_else_are_foreign(tmp_path: Path) -> None:
    header = b'{"a": {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}}'
    others = [
        put(tmp_path / "scan.json", '{"scanner": "of a hospital"}'),
        put(tmp_path / "alignments.safetensors", len(header).to_bytes(8, "little") + header),
        put(tmp_path / "person-0.jpg"),
        put(tmp_path / "masks" / "000001.txt"),
    ]
    cut = put(tmp_path / "edits.json.part", '{"peop')
    assert set(contents(tmp_path, "scan").foreign) == set(others) and contents(tmp_path, "scan").ours == [cut]
    assert set(remove_ours(tmp_path, "scan")) == set(others)
    assert all(path.is_file() for path in others) and not cut.exists()
