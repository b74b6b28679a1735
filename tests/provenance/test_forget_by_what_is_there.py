"""Whoever is forgotten is found by what lies there, faces and names in each file, and not by what a card says of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from understudy.engine import job_bodies
from understudy.engine.arrays import read_arrays, write_arrays
from understudy.engine.faces.networks import weights
from understudy.engine.faces.people import gallery
from understudy.engine.protocol import ForgetSpec, consent_file, home
from understudy.engine.provenance.consent import bind, read_consent
from understudy.engine.reporter import Silent

Record = Callable[..., Path]
ANN, BOB, CID = np.eye(3, 128, dtype=np.float32)
NETWORKS = home() / "models"
SOMEBODY = '{"people": [{"id": 0, "name": "Person 0", "known": false}]}'


def forget(project: Path, identity: str = "Ann") -> dict[str, str]:
    """What stays, and why."""
    spec = ForgetSpec(project=str(project), identity=identity)
    return {one["path"]: one["why"] for one in job_bodies.run("forget", spec, Silent())["left"]}


def faceset(model: Path, number: int, facts: dict[str, Any]) -> Path:
    """A faceset that says what `facts` do, and shows nobody."""
    path = model / "facesets" / f"{number}.faceset"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_arrays(path, "faceset", 1, {"pixels": np.zeros((1, 16, 16, 3), np.uint8)}, facts)
    return path


def scan(folder: Path, *looks: np.ndarray, listed: str = SOMEBODY) -> Path:
    """A scan of people who look so, the last of whom is nobody's where it is -1; `listed` is its scan.json."""
    folder.mkdir(parents=True)
    count = len(looks)
    arrays = {
        "person": np.arange(count, dtype=np.int32), "track": np.arange(count, dtype=np.int32),
        "carried": np.zeros(count, np.bool_), "embedding": np.array(looks, np.float32),
    }  # fmt: skip
    write_arrays(folder / "alignments.safetensors", "alignments", 1, arrays, {})
    if listed:
        (folder / "scan.json").write_text(listed)
    return folder


@pytest.mark.parametrize("card", ['{"identities": []}', '{"identities": ["Bob"]}', "[damaged", ""])
@pytest.mark.parametrize("place", ["models/one", "extra/copied"])
def test_a_model_is_theirs_by_its_facesets(film: Path, card: str, place: str) -> None:
    model = film / place
    faceset(model, 0, {"name": "Bob"})
    faceset(model, 1, {"name": "Ann "})
    if card:
        (model / "model.json").write_text(card)
    assert forget(film) == {} and not model.exists()


def test_a_model_is_theirs_by_its_network(film: Path) -> None:
    model = film / "models" / "one"
    model.mkdir(parents=True)
    (model / "model.json").write_text('{"identities": []}')
    write_arrays(model / "weights.safetensors", "model", 1, {"a": np.zeros(1)}, {"identities": ["Bob", "Ann"]})
    assert forget(film) == {} and not model.exists()


def test_facesets_that_do_not_say_whose_they_are_are_told(film: Path) -> None:
    model = film / "models" / "one"
    silent, others = faceset(model, 0, {}), faceset(film / "models" / "two", 0, {"name": "Bob"})
    (model / "model.json").write_text('{"identities": ["Bob"]}')
    others.parents[1].joinpath("model.json").write_text('{"identities": ["Bob"]}')
    loose = faceset(film / "aside", 0, {"name": "Ann"}).rename(film / "hers.faceset")
    told = forget(film)
    assert set(told) == {str(silent), str(loose)} and "does not say whose" in told[str(silent)]
    assert silent.is_file() and others.is_file()


@pytest.mark.parametrize("known_by", ["consent", "gallery", "scan"])
def test_scans_are_theirs_by_the_faces_in_them(film: Path, known_by: str) -> None:
    if known_by == "consent":
        bind(film, "Ann", [ANN.tolist()])
    elif known_by == "gallery":
        gallery.remember(film, "shot.mp4", {"Ann": (ANN, 3)})
    else:
        scan(film / "scans" / "named", ANN, listed='{"people": [{"id": 0, "name": "Ann", "known": true}]}')
    hers = [scan(film / "scans" / "hers", BOB, 0.9 * ANN), scan(film / "copied" / "hers", ANN, listed="")]
    called = scan(film / "scans" / "called", ANN, listed='{"people": [{"id": 0, "name": "Bob", "known": true}]}')
    others = [scan(film / "scans" / "bobs", BOB), scan(film / "copied" / "bobs", CID, listed="")]
    damaged = scan(film / "scans" / "damaged", BOB)
    (damaged / "alignments.safetensors").write_bytes(b"embeddings")
    told = forget(film)
    assert set(told) == {str(called), str(damaged)} and "called that of bob" in told[str(called)]
    assert not any(one.exists() for one in hers) and all(one.is_dir() for one in (called, damaged, *others))


def test_what_is_spoiled_is_told_and_no_fault(film: Path) -> None:
    """Embeddings of a voice in a face's consent, and columns of other kinds than an alignments file has."""
    bind(film, "Ann", [ANN.tolist()])
    path = consent_file(film, "Ann")
    consent = json.loads(path.read_text())
    consent["subject"], consent["seen"]["faces"] = "voice", [[0.0] * 256]
    path.write_text(json.dumps(consent))
    gallery.remember(film, "shot.mp4", {"Ann": (ANN, 3)})
    spoiled = []
    for column in ("person", "track", "embedding"):
        folder = scan(film / "scans" / column, ANN)
        columns, _ = read_arrays(folder / "alignments.safetensors", "alignments", 1)
        columns[column] = columns[column].astype(np.bool_)
        write_arrays(folder / "alignments.safetensors", "alignments", 1, columns, {})
        spoiled.append(str(folder))
    assert sorted(forget(film)) == sorted(spoiled)


def test_a_scan_without_its_list_is_told_where_nobody_knows_how_they_look(film: Path) -> None:
    copy = scan(film / "copied" / "somebody", CID, listed="")
    assert list(forget(film)) == [str(copy)] and copy.is_dir()


@pytest.mark.skipif(bool(weights.missing()), reason="the face networks are not installed here")
def test_a_faceset_under_another_name_is_told_by_its_pictures(
    film: Path, astronaut_faces: Any, astronaut_scan: Any, carphone_faces: Any
) -> None:
    (home() / "models").symlink_to(NETWORKS)
    bind(film, "Ann", [astronaut_scan.embedding.mean(0).tolist()])
    model = film / "models" / "one"
    (model / "facesets").mkdir(parents=True)
    for number, faces in enumerate((carphone_faces, astronaut_faces)):
        faces.save(model / "facesets" / f"{number}.faceset")
    (model / "model.json").write_text('{"identities": ["man", "woman"]}')
    assert list(forget(film)) == [str(model / "facesets" / "1.faceset")]


def test_a_voice_is_theirs_by_its_recordings(film: Path) -> None:
    voice = film / "voices" / "one"
    voice.mkdir(parents=True)
    (voice / "voice.json").write_text('{"identity": "Bob"}')
    write_arrays(voice / "recordings.safetensors", "voice", 1, {"sound": np.zeros(1)}, {"identity": "Ann"})
    assert forget(film) == {} and not voice.exists()


def test_known_people_that_are_damaged_or_look_like_them_are_told(film: Path) -> None:
    known = film / gallery.FILE_NAME
    gallery.remember(film, "shot.mp4", {"Ann": (ANN, 3), "Annie": (0.95 * ANN, 2), "Bob": (BOB, 3)})
    told = forget(film)
    assert list(told) == [str(known)] and "called that of Annie" in told[str(known)]
    assert sorted(gallery.known_people(film)) == ["Annie", "Bob"]
    known.write_bytes(b"damaged")
    told = forget(film, "Bob")
    assert list(told) == [str(known)] and "Remove it" in told[str(known)] and read_consent(film, "Bob") is None


def test_a_record_that_knows_no_contents_takes_no_file_of_the_users_along(
    film: Path, record: Record, recast: Callable[..., dict[str, Any]]
) -> None:
    mine, pictures, made = (film / "recasts" / name for name in ("mine.mp4", "pictures", "made.mp4"))
    recast(made)
    pictures.mkdir()
    for path in (mine, pictures / "holiday.png"):
        path.write_bytes(b"mine")
    records = [record(path, f"{n}" * 16) for n, path in enumerate((mine, pictures), 1)]
    gone = record(made)
    told = forget(film)
    assert set(told) == {str(mine), str(pictures)} and all("not surely" in why for why in told.values())
    assert mine.is_file() and (pictures / "holiday.png").is_file() and all(one.is_file() for one in records)
    assert not made.exists() and not gone.exists()  # its credentials say which recast it is
    assert json.loads(records[0].read_text())["output_sha256"] == ""


@pytest.mark.parametrize("place", [".git/m", ".outside/k/m", ".incoming/m", "models/.m.old", "sub/.x.part/m"])
def test_a_model_in_a_hidden_folder_is_told(film: Path, place: str) -> None:
    hidden = faceset(film / place, 0, {"name": "Ann"})
    (film / place / "model.json").write_text('{"identities": ["Ann"]}')
    left = forget(film)
    assert hidden.is_file() and any(hidden.is_relative_to(path) for path in left)


def test_what_has_names_of_ours_by_its_place_alone_stays(film: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNDERSTUDY_HOME", str(film.parent / "home"))
    mine = [
        film / ".plates.old" / "masks" / "000001.png",
        film / "models" / "notes" / "preview.jpg",
        film / "models" / "notes" / "timelapse" / "1.jpg",
        film.parent / "home" / "previews" / "holiday" / "photo.jpg",
    ]
    ours = [film.parent / "home" / "previews" / name for name in ("0123456789abcdef.png", "voice-1200.jpg")]
    for path in (*mine, *ours):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("mine")
    (film / "models" / "notes" / "facesets").mkdir()
    left = forget(film)
    assert all(path.read_text() == "mine" for path in mine) and not any(path.exists() for path in ours)
    assert {str(film / ".plates.old"), str(film / "models" / "notes")} <= left.keys()
