"""Forgetting in one project folder erases nothing that another one made, and tells of copies wherever they lie."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from understudy.engine import job_bodies
from understudy.engine.convert.convert_settings import save_settings
from understudy.engine.durable import hash_file
from understudy.engine.media.partial_output import settings_file
from understudy.engine.protocol import ConvertSpec, ForgetSpec
from understudy.engine.provenance.begun import Begun, begun
from understudy.engine.provenance.credentials import Claim, sidecar, sign
from understudy.engine.provenance.recast_files import COPIED, ELSEWHERE, SAYING
from understudy.engine.reporter import Silent

ID = "0123456789abcdef"
Record = Callable[..., Path]
Recast = Callable[..., dict[str, Any]]


def forget(project: Path) -> dict[str, str]:
    """What stays of Ann, and why."""
    result = job_bodies.run("forget", ForgetSpec(project=str(project), identity="Ann"), Silent())
    return {one["path"]: one["why"] for one in result["left"]}


@pytest.mark.parametrize(
    ("place", "ending", "settings"),
    [("recasts", ".mp4", True), ("..", ".mkv", True), ("../renders", ".mp4", True), ("..", ".mkv", False)],
)
def test_a_copy_of_a_project_erases_nothing_of_the_first(
    film: Path, record: Record, recast: Recast, place: str, ending: str, settings: bool
) -> None:
    """The record in the copy names what the first one made."""
    output = (film / place / f"shot{ending}").resolve()
    kept = record(output, **recast(output))
    if not settings:
        settings_file(output).unlink()
    copy = film.with_name("copy.understudy")
    shutil.copytree(film, copy)
    before = sorted(output.parent.iterdir())
    assert forget(copy) == {str(output): ELSEWHERE}
    assert sorted(output.parent.iterdir()) == before
    assert not (copy / "recasts" / output.name).exists()  # its own
    assert (copy / "provenance" / kept.name).is_file() and kept.is_file()
    assert forget(film) == {} and not output.exists() and not kept.exists()


def test_a_project_that_was_moved_tells_what_it_made_elsewhere(
    film: Path, record: Record, recast: Recast, capsys: pytest.CaptureFixture[str]
) -> None:
    from understudy.engine.cli import execute

    output = film.parent / "renders" / "shot.mp4"
    record(output, **recast(output))
    shutil.copy(output, output.with_name("copy.mp4"))
    moved = film.rename(film.parent / "other.understudy")
    assert execute(["identity", "forget", "Ann", "--project", str(moved), "--yes"]) == 1
    said = capsys.readouterr().out
    assert "made by another project folder, or by this one where it lay before. They stay" in said
    assert f"forget them there, too: {output}" in said and "Not all of Ann is gone: 1 listed above" in said
    assert output.is_file() and output.with_name("copy.mp4").is_file()


@pytest.mark.parametrize("moved", [True, False])
def test_a_film_folder_that_was_moved_or_copied_with_its_recasts(
    film: Path, record: Record, recast: Recast, moved: bool
) -> None:
    output = film.parent / "shot.mp4"
    record(output, **recast(output))
    other = film.parent.with_name("again")
    if moved:
        film.parent.rename(other)
    else:
        shutil.copytree(film.parent, other)
    there = [other / output.name] if moved else [other / output.name, output]
    assert forget(other / film.name) == {str(path): ELSEWHERE for path in there}
    assert all(path.is_file() for path in there)


def test_an_unfinished_recast_of_the_first_stays_and_a_copied_one_goes(film: Path) -> None:
    for place in (film / "recasts", film.parent):
        note = Begun(id=f"{len(str(place)):016}", date="2026-11-30", output=str(place / "shot.mp4"), identities=["Ann"])
        with begun(film, note):
            (place / "shot.mp4.part" / "joined.mp4").write_bytes(b"her faces")
    copy = film.with_name("copy.understudy")
    shutil.copytree(film, copy)
    works = [film / "recasts" / "shot.mp4.part", film.parent / "shot.mp4.part"]
    assert forget(copy) == {str(work): ELSEWHERE for work in works}
    assert all((work / "joined.mp4").is_file() for work in works)
    assert not list(copy.rglob("joined.mp4"))
    assert forget(film) == {} and not any(work.exists() for work in works)


@pytest.mark.parametrize("on_record", [True, False])
@pytest.mark.parametrize("place", ["recasts/shot.bak", "kept", "a/b/c"])
def test_an_unfinished_recast_that_was_renamed_goes(film: Path, place: str, on_record: bool) -> None:
    with begun(film, Begun(id=ID, date="2026-11-30", output=str(film / "recasts" / "s.mp4"), identities=["Ann"])):
        (film / "recasts" / "s.mp4.part" / "joined.mp4").write_bytes(b"her faces")
    (film / place).parent.mkdir(parents=True, exist_ok=True)
    (film / "recasts" / "s.mp4.part").rename(film / place)
    if not on_record:
        shutil.rmtree(film / "provenance" / "begun")
    assert forget(film) == {} and not (film / place).exists()


@pytest.mark.parametrize("ending", [".mp4", ".mkv"])
def test_copies_anywhere_in_the_project_are_told(film: Path, record: Record, recast: Recast, ending: str) -> None:
    output = film / "recasts" / f"shot{ending}"
    kept = record(output, **recast(output))
    places = ["recasts/recast.bak", "a/b/.hidden", ".git/objects/ab", "scans/one/person-0.jpg", f"footage/x{ending}"]
    for place in places:
        (film / place).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(output, film / place)
    other = film / "inner.understudy" / f"x{ending}"  # another project
    other.parent.mkdir()
    shutil.copy(output, other)
    assert forget(film) == {str(film / place): COPIED for place in places}
    assert not output.exists() and not sidecar(output).exists() and kept.is_file() and other.is_file()
    for place in places:
        (film / place).unlink()
    assert str(output) in forget(film)  # it is not found, and stays on record


@pytest.mark.parametrize("named", ["", "scans"])
def test_no_record_hides_a_copy(film: Path, record: Record, recast: Recast, named: str) -> None:
    output = film / "recasts" / "shot.mp4"
    record(output, **recast(output))
    copy = film / "scans" / "one" / "x.bak"
    copy.parent.mkdir(parents=True)
    shutil.copy(output, copy)
    record(film / named, "f" * 16)
    assert forget(film)[str(copy)] == COPIED


def test_what_another_engine_made_for_this_project_goes(film: Path, record: Record, make_clip: Any) -> None:
    """Its credentials name the folder over there; the settings that came with it name this one."""
    output = make_clip(film.parent / "shot.mp4", 4)
    sign(output, Claim(output.name, "A face was replaced.", [], {"id": ID}, "/far/mirror"))
    gone = record(output, output_sha256=hash_file(output), output_bytes=output.stat().st_size)
    assert forget(film) == {str(output): ELSEWHERE} and gone.is_file()
    save_settings(ConvertSpec(scan="", model="", swaps=[], output=str(output), project=str(film)))
    assert forget(film) == {} and not output.exists() and not settings_file(output).exists() and not gone.exists()


def test_pictures_that_were_renamed_and_changed_copies_are_told(
    film: Path, record: Record, recast: Recast, make_counter_picture: Any
) -> None:
    import cv2
    from understudy.engine.provenance.outputs import hash_of

    folder = film / "recasts" / "shot"
    folder.mkdir(parents=True)
    for number in range(2):
        cv2.imwrite(str(folder / f"{number}.png"), make_counter_picture(number, 64, 48))
    size = sum(path.stat().st_size for path in folder.iterdir())
    record(folder, output_sha256=hash_of(folder), output_bytes=size)
    movie = film / "recasts" / "movie.mp4"
    record(movie, "f" * 16, **recast(movie, "f" * 16))
    folder.rename(film / "kept")
    graded = film / "graded.mp4"
    graded.write_bytes(movie.read_bytes() + b"\0\0\0\x08free")
    left = forget(film)
    assert left.pop(str(folder)).startswith("It was not found")
    assert left == {str(film / "kept"): COPIED, str(graded): SAYING} and not movie.exists()
