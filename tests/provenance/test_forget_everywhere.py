"""Whoever is forgotten is found anywhere in a project; what was changed, linked or mixed stays, and is told."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from understudy.engine import job_bodies
from understudy.engine.convert.convert_settings import save_settings
from understudy.engine.faces.people import gallery
from understudy.engine.media.partial_output import settings_file
from understudy.engine.protocol import ConvertSpec, ForgetSpec
from understudy.engine.provenance.credentials import Claim, sidecar, sign
from understudy.engine.provenance.outputs import hash_of, outputs_of
from understudy.engine.reporter import Silent

ID = "0123456789abcdef"
Record = Callable[..., Path]
Recast = Callable[..., dict[str, Any]]
needs_links = pytest.mark.skipif(os.name != "posix", reason="links need rights of their own on Windows")


def forget(project: Path, identity: str = "Ann") -> dict[str, str]:
    """What stays, and why."""
    spec = ForgetSpec(project=str(project), identity=identity)
    return {one["path"]: one["why"] for one in job_bodies.run("forget", spec, Silent())["left"]}


@pytest.mark.parametrize("place", ["recasts", ".", "..", "../renders"])
def test_copies_beside_a_recast_go_along(film: Path, record: Record, recast: Recast, place: str) -> None:
    output = (film / place / "shot.mp4").resolve()
    gone = record(output, **recast(output))
    for name in ("shot copy.mp4", "final.mp4", ".hidden.mp4"):
        shutil.copy(output, output.with_name(name))
    assert forget(film) == {} and not gone.exists()
    assert not list(output.parent.glob("*.mp4")) and not list(output.parent.glob("*.understudy.json"))


def test_a_copy_without_its_credentials_is_told(film: Path, record: Record, recast: Recast) -> None:
    output = film.parent / "shot.mkv"
    kept = record(output, **recast(output))
    copy = Path(shutil.copy(output, output.with_name("copy.mkv")))
    left = forget(film)
    assert list(left) == [str(copy)] and "to the last bit" in left[str(copy)]
    assert not output.exists() and copy.is_file() and kept.is_file()


@pytest.mark.parametrize("ending", [".mp4", ".mkv"])
@pytest.mark.parametrize("fate", ["bare", "changed", "gone"])
def test_a_copy_beside_a_recast_without_its_settings_is_told(
    film: Path, record: Record, recast: Recast, ending: str, fate: str
) -> None:
    output = film.parent / f"shot{ending}"
    record(output, **recast(output))
    settings_file(output).unlink()
    copy = Path(shutil.copy(output, output.with_name(f"copy{ending}")))
    if fate == "bare":
        sidecar(output).unlink(missing_ok=True)
    elif fate == "changed":
        data = bytearray(output.read_bytes())
        data[data.index(b"mdat") + 40 if ending == ".mp4" else len(data) // 2] ^= 1
        output.write_bytes(data)
    else:
        output.unlink()
    left = forget(film)
    told = " ".join(left.values())
    assert not copy.exists() or str(copy) in left or "not searched for copies" in told, left
    if fate == "bare" and ending == ".mkv":
        assert "to the last bit" in left[str(copy)]
    if fate == "changed" and ending == ".mp4":
        assert not copy.exists()  # it proves itself


@pytest.mark.parametrize("ending", [".mp4", ".mkv"])
@pytest.mark.parametrize("place", ["recasts", ".."])
def test_a_recast_that_was_changed_stays_and_is_told(
    film: Path, record: Record, recast: Recast, place: str, ending: str
) -> None:
    output = (film / place / f"shot{ending}").resolve()
    kept = record(output, **recast(output))
    copy = Path(shutil.copy(output, output.with_name(f"copy{ending}"))) if place == "recasts" else None
    with output.open("ab") as file:
        file.write(b"three days of work")
    left = forget(film)
    assert list(left) == [str(output)] and "changed since" in left[str(output)]
    assert output.is_file() and kept.is_file() and not (copy and copy.exists())


@pytest.mark.parametrize("place", ["recasts", "../renders"])
def test_pictures_that_were_changed_stay_and_are_told(
    film: Path, record: Record, make_counter_picture: Any, place: str
) -> None:
    import cv2

    folder = (film / place / "shot").resolve()
    folder.mkdir(parents=True)
    for n in range(3):
        cv2.imwrite(str(folder / f"{n}.png"), make_counter_picture(n, 96, 64))
        sign(folder / f"{n}.png", Claim("shot", "A face was replaced.", [], {"id": ID}))
    save_settings(ConvertSpec(scan="", model="", swaps=[], output=str(folder), project=str(film)))
    size = sum(path.stat().st_size for path in outputs_of(folder))
    record(folder, output_sha256=hash_of(folder), output_bytes=size)
    data = bytearray((folder / "1.png").read_bytes())
    data[len(data) // 2] ^= 1
    (folder / "1.png").write_bytes(data)
    left = forget(film)
    assert [p.name for p in folder.iterdir()] == ["1.png"] and "Not all of its pictures" in left[str(folder)]


def test_two_recasts_under_one_name(film: Path, record: Record, recast: Recast) -> None:
    output = film.parent / "shot.mp4"
    records = [record(output, **recast(output)), record(output, "f" * 16, **recast(output, "f" * 16))]
    assert forget(film) == {} and not output.exists() and not any(path.exists() for path in records)


def test_a_folder_outside_that_a_record_names_is_not_listed(
    film: Path, tmp_path: Path, record: Record, make_clip: Any, opened: list[str]
) -> None:
    mine = tmp_path / "mine"
    (mine / "inner").mkdir(parents=True)
    movie = make_clip(mine / "holiday.mp4", 4)
    for number, place in enumerate((mine, mine / "inner", mine / "missing.mp4", mine / "x" / "y.mp4")):
        record(place, f"{number:016}", output_sha256=hash_of(movie), output_bytes=movie.stat().st_size)
    opened.clear()
    assert len(forget(film)) == 4
    assert str(film) in opened and not [path for path in opened if path.startswith(str(mine))]


def card(folder: Path, name: str = "Ann") -> Path:
    """A scan that shows somebody."""
    folder.mkdir(parents=True)
    (folder / "scan.json").write_text(f'{{"people": [{{"id": 0, "name": "{name}", "known": true}}]}}')
    (folder / "alignments.safetensors").write_bytes(b"embeddings")
    (folder / "person-0.jpg").write_bytes(b"her face")
    return folder


def test_scans_models_and_voices_at_any_depth_go(film: Path) -> None:
    scan, others = card(film / "extra" / "scans" / "my"), card(film / "extra" / "scans" / "bobs", "Bob")
    (scan.parent / ".observed" / "ab").mkdir(parents=True)
    model, voice = film / "a" / "b" / "c" / "model", film / "sound" / "hers"
    for folder, text in ((model, '{"identities": ["Ann"]}'), (voice, '{"identity": "Ann"}')):
        folder.mkdir(parents=True)
        (folder / ("model.json" if folder == model else "voice.json")).write_text(text)
        (folder / ("weights.safetensors" if folder == model else "network.safetensors")).write_bytes(b"weights")
    other_project = card(film / "other.understudy" / "scans" / "hers")
    hidden = [card(film / place) for place in ("scans/.take-1234abcd", ".shot", "work/shot.understudy")]
    assert forget(film) == {}
    assert not any(folder.exists() for folder in hidden)  # called as the footage was, or as the user liked
    assert not scan.exists() and not model.exists() and not voice.exists()
    assert others.is_dir() and other_project.is_dir() and not (scan.parent / ".observed").exists()


def test_known_people_at_any_depth_are_forgotten(film: Path) -> None:
    looks = {name: (np.full(128, number, np.float32), 3) for number, name in enumerate(("Ann", "Bob", "ann "), 1)}
    folders = [film, film / "extra", film / "a" / "b" / "scans"]
    for folder in folders:
        folder.mkdir(parents=True, exist_ok=True)
        gallery.remember(folder, "shot.mp4", looks)
    damaged = film / "damaged" / gallery.FILE_NAME
    damaged.parent.mkdir()
    damaged.write_bytes(b"people")
    assert list(forget(film)) == [str(damaged)]
    assert [list(gallery.known_people(folder)) for folder in folders] == [["Bob"]] * 3


def test_a_folder_with_other_files_is_told(film: Path) -> None:
    scan = card(film / "work" / "my")
    (scan / "thesis.odt").write_bytes(b"mine")
    left = forget(film)
    assert "holds other files, too" in left[str(scan)] and "thesis.odt" in left[str(scan)]
    assert [path.name for path in scan.iterdir()] == ["thesis.odt"]


@needs_links
def test_links_that_lead_out_are_told(film: Path, tmp_path: Path, opened: list[str]) -> None:
    mine = card(tmp_path / "mine")
    (film / "scans").mkdir()
    (film / "models").mkdir()
    card(film / "scans" / "own")
    links = [film / "scans" / "far", film / "models" / "far", film / "linked", film / "scans" / "own" / "boxes.json"]
    for link in links:
        link.symlink_to(mine / "alignments.safetensors" if link.suffix else mine)
    single = film / "scans" / "one" / "scan.json"
    single.parent.mkdir()
    single.symlink_to(mine / "scan.json")
    (film / "scans" / "again").symlink_to("own")  # within the project
    (film / "shot.mp4").symlink_to("/dev/null")  # footage may lie anywhere
    opened.clear()
    left = forget(film)
    assert sorted(left) == sorted(map(str, [*links, single])) and all(str(mine) in why for why in left.values())
    assert not [path for path in opened if path.startswith(str(mine))] and len(list(mine.iterdir())) == 3
    assert not (film / "scans" / "own").exists()
