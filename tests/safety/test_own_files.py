"""What is removed is provably ours by what it holds: files of others stay, whatever their folder is called."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from understudy.engine import durable, job_bodies
from understudy.engine.errors import UnderstudyError
from understudy.engine.faces.scan import replace_folder
from understudy.engine.media.partial_output import empty_partial, remove_partial
from understudy.engine.media.reader import probe
from understudy.engine.media.waveform import SoundInfo, SoundWriter
from understudy.engine.media.writer import MovieWriter
from understudy.engine.own_files import contents, remove_ours, unproven
from understudy.engine.protocol import ForgetSpec, Identity, Material, SoundClip, TrainSpec, VoiceTrainSpec
from understudy.engine.provenance.begun import Begun, begun
from understudy.engine.provenance.outputs import require_output
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


def a_scan(folder: Path) -> Path:
    put(folder / "scan.json", json.dumps({"people": [{"id": 0}]}))
    for name in ("alignments.safetensors", "person-0.jpg", "masks/000003.png"):
        put(folder / name, b"faces")
    return folder


def rescan(output: Path, meanwhile: Any = None) -> None:
    with replace_folder(output) as folder:
        put(folder / "scan.json", json.dumps({"people": []}))
        if meanwhile:
            put(meanwhile)


@pytest.mark.parametrize("name", ["person-anna.jpg", "person-1.jpg", "boxes.txt", "source.json"])
def test_pictures_of_the_user_are_no_scan(tmp_path: Path, name: str) -> None:
    for scanned in (False, True):
        folder = tmp_path / f"portraits-{scanned}"
        theirs = put(folder / name, '{"mine": 1}')
        if scanned:
            a_scan(folder)
        before = sorted(folder.rglob("*"))
        with pytest.raises(UnderstudyError, match=rf"something other than a scan \({name}\)"):
            rescan(folder)
        assert theirs.read_text() == '{"mine": 1}' and sorted(folder.rglob("*")) == before


def test_folders_beside_a_scan_that_are_called_like_its_leftovers_stay(tmp_path: Path) -> None:
    theirs = [put(tmp_path / name / "thesis.txt") for name in (".config.old", ".config.part", ".config.people")]
    for _ in range(2):
        rescan(tmp_path / "config")
    assert sorted(p.name for p in tmp_path.iterdir()) == [".config.old", ".config.part", ".config.people", "config"]
    assert all(path.read_bytes() == THEIRS for path in theirs)


def test_what_a_killed_scan_left_goes_or_is_put_back(tmp_path: Path) -> None:
    a_scan(tmp_path / ".shot.old")
    (tmp_path / ".shot.part").mkdir()
    put(tmp_path / ".shot.part" / "alignments.safetensors")
    rescan(tmp_path / "shot")
    assert [p.name for p in tmp_path.iterdir()] == ["shot"]
    assert sorted(p.name for p in (tmp_path / "shot").iterdir()) == ["masks", "scan.json"]


@pytest.mark.parametrize("name", ["notes.txt", "person-anna.jpg", "deep/er.txt"])
def test_what_is_put_into_a_scan_while_it_is_made_anew_stays(tmp_path: Path, name: str) -> None:
    scan = a_scan(tmp_path / "shot")
    before = (scan / "scan.json").read_bytes()
    with pytest.raises(UnderstudyError, match="something other than a scan"):
        rescan(scan, scan / name)
    assert (scan / name).read_bytes() == THEIRS and (scan / "scan.json").read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["shot"]


def test_a_mask_that_is_drawn_meanwhile_stays(tmp_path: Path) -> None:
    scan = a_scan(tmp_path / "shot")
    rescan(scan, scan / "masks" / "000009.png")
    assert sorted(p.name for p in (scan / "masks").iterdir()) == ["000003.png", "000009.png"]


def test_temporary_names_are_nobodys(tmp_path: Path, run: Any, record_consent: Any) -> None:
    project, page, sound = tmp_path / "film.understudy", tmp_path / "rep.html", tmp_path / "x.wav"
    record_consent(project, "Ann")
    names = ("rep.html.part", f"rep.html.{16 * 'a'}.part", "al.json.part", ".x.part.wav")
    theirs = [put(tmp_path / name) for name in names]
    for path in theirs:
        os.utime(path, (0, 0))
    before = sorted(tmp_path.iterdir())
    assert run("identity", "report", "--project", project, "-o", page)[0] == 0
    with durable.writing(tmp_path / "al.json", durable.SHARED) as partial:  # as exported alignments are
        partial.write_text("{}")
    info = SoundInfo(
        path=sound, track=0, rate=8000, channels=1, layout="mono", sample="s16", bits=16, codec="pcm_s16le",
        samples=8, first=0.0, tracks=1, movie=False,
    )  # fmt: skip
    with SoundWriter(sound, info) as writer:
        writer.write(np.zeros((8, 1), np.int16))
    assert sorted(tmp_path.iterdir()) == sorted([*before, page, sound, tmp_path / "al.json"])
    assert all(path.read_bytes() == THEIRS for path in theirs)


@pytest.mark.parametrize("keep_suffix", [True, False])
def test_what_a_killed_writer_left_goes_when_it_is_old(tmp_path: Path, keep_suffix: bool) -> None:
    final = tmp_path / "shot.wav"
    new, old = (durable.make_beside(final, keep_suffix=keep_suffix) for _ in range(2))
    os.utime(old, (0, 0))
    third = durable.make_beside(final, keep_suffix=keep_suffix)
    assert sorted(tmp_path.iterdir()) == sorted([new, third])
    durable.write_json(tmp_path / ("n" * 255), {})
    assert (tmp_path / ("n" * 255)).read_text() == "{}"


NOTES = ("notes.txt", "segments/notes.txt", "joined-notes.txt", "pictures/holiday.png", "sound.wav", "segments/a.png")


@pytest.mark.parametrize("notes", NOTES)
@pytest.mark.parametrize("mixed", [True, False])
def test_notes_in_a_folder_named_like_an_unfinished_recast_stay(
    tmp_path: Path, make_clip: Any, notes: str, mixed: bool
) -> None:
    source, output = make_clip(tmp_path / "in.mp4", 3), tmp_path / "o2.mp4"
    theirs = put(tmp_path / "o2.mp4.part" / notes)
    if mixed:
        put(theirs.parents[notes.count("/")] / "segments" / "00000000.json", "{}")
    note = Begun(id="a" * 16, date="2026-11-30", output=str(output), identities=["Ann"])
    before = sorted(tmp_path.rglob("*"))
    with (
        pytest.raises(UnderstudyError, match="in the way"),
        begun(tmp_path / "film.understudy", note),
        MovieWriter(output, probe(source), 0, 3),
    ):
        pass
    empty_partial(output) if not mixed else remove_partial(output)
    assert theirs.read_bytes() == THEIRS
    assert {path for path in before if path.is_file()} <= set(tmp_path.rglob("*"))


WRITTEN = {
    "model": ["facesets/0.faceset", "model.json", "weights.safetensors", "preview.jpg", "timelapse/00000001.jpg"],
    "voice": ["voice.json", "recordings.safetensors", "network.safetensors"],
}


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind, names in WRITTEN.items() for name in names])
@pytest.mark.parametrize("data", [THEIRS, b'{"mine": 1}', b"\x02\0\0\0\0\0\0\0{}"], ids=["text", "JSON", "tensors"])
def test_a_model_or_voice_is_made_over_nobodys_files(
    tmp_path: Path, kind: Any, name: str, data: bytes, record_consent: Any
) -> None:
    folder, project = tmp_path / "mine", tmp_path / "film.understudy"
    data = b'{"mine": 1}' if name == "model.json" else data  # a damaged one is told as such by whoever reads it
    theirs = put(folder / name, data)
    (folder / ".lock").touch()
    record_consent(project, "Ann")
    people = [Identity(name="Ann", material=[Material(scan=str(tmp_path / "scan"), person=0)])]
    spec: Any = TrainSpec(identities=people, output=str(folder), project=str(project))
    if kind == "voice":
        clips = [SoundClip(path=str(tmp_path / "x.wav"))]
        spec = VoiceTrainSpec(identity="Ann", material=clips, output=str(folder), project=str(project))
    before = sorted(folder.rglob("*"))
    with pytest.raises(UnderstudyError, match="holds files that Understudy did not make where the"):
        require_output(spec)
    assert theirs.read_bytes() == data and sorted(folder.rglob("*")) == before


def test_a_model_that_was_begun_is_gone_on_with(tmp_path: Path) -> None:
    header = b'{"__metadata__": {"understudy": "{}"}}'
    put(tmp_path / "facesets" / "0.faceset", len(header).to_bytes(8, "little") + header)
    put(tmp_path / "facesets" / f"1.faceset.{16 * 'a'}.part", b"half")
    put(tmp_path / "notes.txt")
    (tmp_path / ".lock").touch()
    put(tmp_path / "timelapse" / "00000001.jpg", b"\xff\xd8")
    assert unproven(tmp_path, "model") == []
    put(tmp_path / "model.json", json.dumps({"identities": ["Ann"]}))
    put(tmp_path / "preview.jpg", b"\xff\xd8")
    assert unproven(tmp_path, "model") == []
    put(tmp_path / "weights.safetensors", b"\x02\0\0\0\0\0\0\0{}")
    assert unproven(tmp_path, "model") == [tmp_path / "weights.safetensors"]
