"""Forgetting somebody takes all that is theirs, and nothing else: what a record says may come from anybody."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from understudy.engine import job_bodies
from understudy.engine.convert.convert_settings import save_settings
from understudy.engine.durable import hash_file
from understudy.engine.errors import UnderstudyError
from understudy.engine.protocol import ConvertSpec, ForgetSpec, consent_file, project_of
from understudy.engine.provenance.begun import Begun, all_begun, begun, recasts_of
from understudy.engine.provenance.consent import read_consent
from understudy.engine.provenance.credentials import Claim, sign
from understudy.engine.provenance.forget import forget as erase_identity
from understudy.engine.reporter import Silent

ID = "0123456789abcdef"
Record = Callable[..., Path]
pytestmark = pytest.mark.usefixtures("own_home")


def forget(project: Path, identity: str = "Ann") -> dict[str, Any]:
    return job_bodies.run("forget", ForgetSpec(project=str(project), identity=identity), Silent())


def test_a_record_of_a_folder_of_the_user_takes_nothing_along(film: Path, tmp_path: Path, record: Record) -> None:
    mine = tmp_path / "Documents"
    for name in ("thesis.odt", "holiday.png", "recast.mp4"):
        mine.mkdir(exist_ok=True)
        (mine / name).write_bytes(b"mine")
    kept = record(mine)
    result = forget(film)
    assert sorted(p.name for p in mine.iterdir()) == ["holiday.png", "recast.mp4", "thesis.odt"]
    assert [one["path"] for one in result["left"]] == [str(mine)] and "not surely" in result["left"][0]["why"]
    assert kept.is_file() and read_consent(film, "Ann") is None


@pytest.mark.parametrize("place", ["{mine}", "{film}/../../Documents/cv.mp4", "Documents/cv.mp4", "", "/", "{film}"])
@pytest.mark.parametrize("voice", [False, True])
def test_a_record_of_a_file_of_the_user_takes_nothing_along(
    film: Path, tmp_path: Path, record: Record, place: str, voice: bool, make_clip: Any
) -> None:
    mine = tmp_path / "Documents" / "cv.mp4"
    mine.parent.mkdir()
    make_clip(mine, 8)
    output = place.format(mine=mine, film=film)
    facts = {"output_sha256": hash_file(mine), "output_bytes": mine.stat().st_size}
    if voice:
        write_voice(film, output, **facts)
    else:
        record(output, **facts)
    (mine.parent / "cv.mp4.part" / "segments").mkdir(parents=True)
    (mine.parent / "cv.mp4.understudy.json").write_text("{}")
    before = sorted(tmp_path.rglob("*"))
    result = forget(film)
    assert sorted(tmp_path.rglob("*")) == [*before] and len(result["left"]) >= 1
    assert result["removed"] == []


def write_voice(film: Path, output: Path | str, **facts: Any) -> Path:
    path = film / "provenance" / "voices" / f"{ID}.json"
    path.parent.mkdir(parents=True)
    data = {
        "id": ID, "date": "2026-11-30", "output": str(output), "output_sha256": "", "source": "/shot.mp4",
        "source_sha256": "ab", "start": 0.0, "end": None, "identity": "Ann", "target": "Bob", "identity_person": "",
        "target_person": "", "voice": "", "recordings": [], "marked": True,
    }  # fmt: skip
    path.write_text(json.dumps(data | facts))
    return path


@pytest.mark.skipif(os.name != "posix", reason="links need rights of their own on Windows")
@pytest.mark.parametrize("inner", ["recasts", "models", "scans", "voices", "provenance"])
def test_no_link_in_a_project_is_followed(
    film: Path, tmp_path: Path, record: Record, inner: str, opened: list[str]
) -> None:
    mine = tmp_path / "mine"
    (mine / "one" / "facesets").mkdir(parents=True)
    (mine / "scans" / ".observed").mkdir(parents=True)
    (mine / ".observed").mkdir()
    (mine / "one" / "model.json").write_text('{"identities": ["Ann"]}')
    (mine / "one" / "voice.json").write_text('{"identity": "Ann"}')
    (mine / "one" / "scan.json").write_text('{"people": [{"name": "Ann", "known": true}]}')
    (mine / "shot.mp4").write_bytes(b"mine")
    if inner != "provenance":
        record(film / "recasts" / "shot.mp4")
        record(film / "link" / "shot.mp4", "fedcba9876543210")
        (film / "link").symlink_to(mine)
    else:
        record(film / "recasts" / "shot.mp4").rename(mine / f"{ID}.json")
        (film / "provenance").rmdir()
    (film / inner).symlink_to(mine)
    before = sorted(mine.rglob("*"))
    with pytest.raises(UnderstudyError, match="leads out of the project"):
        forget(film)
    opened.clear()
    erase_identity(film, "Ann")  # and where nothing refuses the project at the door, either
    assert str(film) in opened and not [path for path in opened if path.startswith(str(mine))]
    assert sorted(mine.rglob("*")) == before and (film / inner).is_symlink()


@pytest.mark.skipif(os.name != "posix", reason="links need rights of their own on Windows")
def test_a_link_in_the_place_of_a_recast_is_not_followed(film: Path, tmp_path: Path, record: Record) -> None:
    mine = tmp_path / "mine.mp4"
    mine.write_bytes(b"mine")
    (film / "recasts").mkdir()
    (film / "recasts" / "shot.mp4").symlink_to(mine)
    kept = record(film / "recasts" / "shot.mp4")
    assert len(forget(film)["left"]) == 1
    assert mine.read_bytes() == b"mine" and kept.is_file()


def test_a_record_cannot_name_another_file_by_its_id(film: Path, record: Record) -> None:
    other = film / "people.txt"
    other.write_text("mine")
    record(film / "recasts" / "gone.mp4", id="../people.txt/..")
    forget(film)
    assert other.read_text() == "mine" and (film / "provenance" / f"{ID}.json").is_file()


def test_consent_and_the_faces_of_others_are_no_recast(film: Path, record: Record) -> None:
    others = film / "models" / "others" / "model.json"
    others.parent.mkdir(parents=True)
    others.write_text('{"identities": ["Bob"]}')
    for n, place in enumerate(
        (film / "consent", others.parent, others, consent_file(film, "Bob"), film / "consent" / "x")
    ):
        record(place, f"{n:016}")
    forget(film)
    assert others.is_file() and read_consent(film, "Bob") is not None


def test_a_recast_outside_goes_by_what_it_says_itself(
    film: Path, tmp_path: Path, record: Record, recast: Callable[..., dict[str, Any]], make_clip: Any
) -> None:
    output = film.parent / "film.mp4"
    gone = record(output, **recast(output))
    beside = make_clip(film.parent / "film-b-matte-painting.mp4", 4)
    (film.parent / "film.c2pa").write_bytes(b"of film.mkv")
    result = forget(film)
    assert not output.exists() and not gone.exists() and beside.is_file() and result["left"] == []
    assert (film.parent / "film.c2pa").is_file()


def test_pictures_outside_go_by_what_each_says_itself(
    film: Path, tmp_path: Path, record: Record, make_counter_picture: Any
) -> None:
    import cv2

    folder = tmp_path / "renders" / "shot"
    folder.mkdir(parents=True)
    for n in range(3):
        cv2.imwrite(str(folder / f"{n}.png"), make_counter_picture(n, 96, 64))
        if n < 2:
            sign(folder / f"{n}.png", Claim("shot", "A face was replaced.", [], {"id": ID}))
    save_settings(ConvertSpec(scan="", model="", swaps=[], output=str(folder), project=str(film)))
    gone = record(folder)
    forget(film)
    assert [p.name for p in folder.iterdir()] == ["2.png"] and not gone.exists()


@pytest.mark.parametrize("inside", [True, False])
def test_a_renamed_recast_is_found(
    film: Path, record: Record, recast: Callable[..., dict[str, Any]], make_clip: Any, inside: bool
) -> None:
    folder = film / "recasts" if inside else film.parent
    facts = recast(folder / "shot.mp4")
    gone = record(folder / "shot.mp4", **facts)
    (folder / "shot.mp4").rename(folder / "the good one.mp4")
    other = make_clip(folder / "other.mp4", 4)
    assert forget(film)["left"] == []
    assert not (folder / "the good one.mp4").exists() and other.is_file() and not gone.exists()


def test_a_recast_of_a_project_that_was_moved_is_found(
    film: Path, record: Record, recast: Callable[..., dict[str, Any]]
) -> None:
    facts = recast(film / "recasts" / "shot.mp4")
    record(film.with_name("before.understudy") / "recasts" / "shot.mp4", **facts)
    forget(film)
    assert not (film / "recasts" / "shot.mp4").exists()


def test_what_was_not_found_is_said_and_stays_on_record(
    film: Path, record: Record, recast: Callable[..., dict[str, Any]], capsys: Any
) -> None:
    from understudy.engine.cli import execute

    output = film.parent / "film.mp4"
    kept = record(output, **recast(output))
    elsewhere = film.parent / "elsewhere"
    elsewhere.mkdir()
    output.rename(elsewhere / "film.mp4")
    assert execute(["identity", "forget", "Ann", "--project", str(film), "--yes"]) == 1  # not all of it is done
    said = capsys.readouterr().out
    assert f"{output}  (It was not found under this name, nor under another there" in said
    assert "Not all of Ann is gone" in said and kept.is_file()


@pytest.mark.parametrize("place", [".config.old", ".vim.part", "recasts/raw.part", "models/mywork/facesets"])
@pytest.mark.parametrize("may_be_ours", [False, True])
def test_what_only_has_a_name_of_ours_is_nothing_of_theirs(
    film: Path, capsys: Any, place: str, may_be_ours: bool
) -> None:
    from understudy.engine.cli import execute

    names = {".config.old": "person-3.jpg", ".vim.part": "masks/000001.png.part", "recasts/raw.part": "sound.wav"}
    theirs = film / place / (names.get(place, "0.faceset") if may_be_ours else "thesis.txt")
    theirs.parent.mkdir(parents=True)
    header = b'{"a": {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}}'
    theirs.write_bytes(len(header).to_bytes(8, "little") + header)
    code = execute(["identity", "forget", "Ann", "--project", str(film), "--yes"])
    said = capsys.readouterr().out
    assert theirs.exists()
    assert ("Not all of Ann is gone" in said, code) == ((True, 1) if may_be_ours else (False, 0)), said
    assert ("Files that Understudy did not make stay" in said) is not may_be_ours
    assert "what was exported, copied, renamed or backed up" in said


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root looks into every folder")
def test_a_folder_that_cannot_be_looked_into_may_hold_them(film: Path, capsys: Any) -> None:
    from understudy.engine.cli import execute

    (film / ".shot.part" / "masks").mkdir(parents=True)
    (film / ".shot.part" / "masks").chmod(0)
    assert execute(["identity", "forget", "Ann", "--project", str(film), "--yes"]) == 1
    assert "Not all of Ann is gone" in capsys.readouterr().out


def test_a_recast_that_took_the_place_of_another_stays(
    film: Path, record: Record, recast: Callable[..., dict[str, Any]]
) -> None:
    output = film / "recasts" / "shot.mp4"
    gone = record(output, **recast(output))
    facts = recast(output, "f" * 16)
    kept = record(output, "f" * 16, cast=[{"person": 0, "identity": "Bob", "target": "Ann"}], **facts)
    assert forget(film)["left"] == []
    assert output.is_file() and kept.is_file() and not gone.exists()


def test_what_was_made_from_a_recast_goes_along(
    film: Path, record: Record, recast: Callable[..., dict[str, Any]]
) -> None:
    first = recast(film / "picture.mp4")
    record(film / "picture.mp4", **first)
    facts = recast(film.parent / "film.mp4", "f" * 16)
    write_voice(
        film, film.parent / "film.mp4", identity="Cid", source_sha256=first["output_sha256"], **facts, id="f" * 16
    )
    forget(film)
    assert not (film / "picture.mp4").exists() and not (film.parent / "film.mp4").exists()


def test_the_command_lists_and_asks(
    film: Path, record: Record, recast: Callable[..., dict[str, Any]], capsys: Any
) -> None:
    from understudy.engine.cli import execute

    output = film / "recasts" / "shot.mp4"
    record(output, **recast(output))
    words = ["identity", "forget", "Ann", "--project", str(film)]
    assert execute(words) == 1  # nobody is at a terminal
    said = capsys.readouterr()
    assert str(output) in said.out and "Add --yes" in said.err and "gone" not in said.out and output.is_file()
    assert execute([*words, "--yes"]) == 0
    assert "gone for good" in capsys.readouterr().out and not output.exists()


@pytest.mark.skipif(os.name != "posix", reason="no pseudo terminals")
@pytest.mark.parametrize(("answer", "erased"), [("yes", True), ("no", False), ("", False)])
def test_whoever_sits_at_a_terminal_is_asked(
    film: Path, record: Record, recast: Callable[..., dict[str, Any]], answer: str, erased: bool
) -> None:
    output = film / "recasts" / "shot.mp4"
    record(output, **recast(output))
    keyboard, terminal = os.openpty()
    try:
        os.write(keyboard, f"{answer}\n".encode())
        words = [sys.executable, "-m", "understudy.engine", "identity", "forget", "Ann", "--project", str(film)]
        done = subprocess.run(words, stdin=terminal, stdout=subprocess.PIPE, stderr=terminal, timeout=120, check=False)
        asked = os.read(keyboard, 1 << 16).decode()
    finally:
        os.close(keyboard)
        os.close(terminal)
    assert "Erase Ann" in asked and str(output) in done.stdout.decode()
    assert done.returncode == (0 if erased else 1) and output.exists() is not erased


@pytest.mark.parametrize("card", ['{"identities": 5}', '{"identities": ["Ann"], "material": 3}', "[" * 9000, "\0"])
def test_damaged_files_of_a_project_stop_nothing(film: Path, card: str) -> None:
    for place in ("models/a/model.json", "scans/b/scan.json", "voices/c/voice.json"):
        (film / place).parent.mkdir(parents=True)
        (film / place).write_text(card)
    forget(film)
    assert read_consent(film, "Ann") is None


@pytest.mark.parametrize("facts", [{"output": 5}, {"cast": [3]}, {"cast": {}}, {"id": None}])
def test_a_damaged_record_is_named(film: Path, record: Record, facts: dict[str, Any]) -> None:
    damaged = record(film / "x.mp4", **{k: v for k, v in facts.items() if k != "output"})
    if "output" in facts:
        damaged.write_text(json.dumps(json.loads(damaged.read_text()) | facts))
    with pytest.raises(UnderstudyError, match=f"{ID}.json is damaged"):
        forget(film)


def test_the_project_of_a_path() -> None:
    for inner in ("scans", "models", "recasts", "voices"):
        assert project_of(f"/work/{inner}/one") == Path("/work")
    assert project_of("/work/shot") == Path("/work")
    assert project_of("/film.understudy/scans/one") == Path("/film.understudy")
    assert project_of("/film.understudy/deep/er/one") == Path("/film.understudy")


def test_a_renamed_movie_that_left_its_credentials_behind_is_named(
    film: Path, record: Record, recast: Callable[..., dict[str, Any]]
) -> None:
    output = film.parent / "film.mkv"
    kept = record(output, **recast(output))
    assert output.with_suffix(".c2pa").is_file()
    output.rename(film.parent / "good.mkv")
    (left,) = forget(film)["left"]
    assert left["path"] == str(film.parent / "good.mkv") and "to the last bit" in left["why"]
    assert kept.is_file() and (film.parent / "good.mkv").is_file()


def test_a_movie_with_its_credentials_beside_it_goes_with_them(
    film: Path, record: Record, recast: Callable[..., dict[str, Any]], make_clip: Any
) -> None:
    output = film.parent / "film.mkv"
    gone = record(output, **recast(output))
    forget(film)
    assert not output.exists() and not output.with_suffix(".c2pa").exists() and not gone.exists()
    kept = record(output, **recast(output))
    output.unlink()
    make_clip(output, 9)  # another movie under that name, which the credentials do not fit
    assert len(forget(film)["left"]) == 1
    assert output.is_file() and kept.is_file()


@pytest.mark.parametrize("place", ["outside", "project", "recasts"])
@pytest.mark.parametrize("ends", ["stopped", "failed", "done"])
def test_a_recast_is_on_record_from_its_beginning(film: Path, place: str, ends: str) -> None:
    folder = {"outside": film.parent / "new" / "er", "project": film, "recasts": film / "recasts"}[place]
    work = folder / "shot.mp4.part"
    note = Begun(id=ID, date="2026-11-30", output=str(folder / "shot.mp4"), identities=["ann"])
    with contextlib.suppress(KeyError), begun(film, note):
        assert recasts_of(work) == {ID: str(film)} and [one for _, one in all_begun(film)] == [note]
        if ends == "stopped":
            (work / "segments").mkdir()
            (work / "segments" / "00000000.mkv").write_bytes(b"faces")
        if ends != "done":
            raise KeyError
    if ends == "stopped":
        assert {item["path"] for item in forget(film)["items"]} >= {str(work)}
    assert not work.exists() and all_begun(film) == [] and folder.exists() == (ends == "stopped" or place == "project")


def test_the_unfinished_recasts_of_others_stay(film: Path, tmp_path: Path) -> None:
    kept = []
    for place, identifier in ((film / "recasts", "b" * 16), (tmp_path, "c" * 16)):
        work = place / "shot.mp4.part"
        with begun(film, Begun(id=identifier, date="2026-11-30", output=str(place / "shot.mp4"), identities=["Bob"])):
            (work / "segments").mkdir()
        kept.append(work)
    record = film / "provenance" / "begun" / f"{ID}.json"
    told = {"id": ID, "date": "2026-11-30", "output": str(tmp_path / "shot.mp4"), "identities": ["Ann"]}
    record.write_text(json.dumps(told))  # a project's word that somebody else's working folder is hers
    (left,) = forget(film)["left"]
    assert left["path"] == str(tmp_path / "shot.mp4.part") and all(work.is_dir() for work in kept)
    assert record.is_file()
    forget(film, "Bob")
    assert not any(work.exists() for work in kept)


def test_a_recast_that_was_recorded_and_killed_before_it_had_its_name(film: Path, record: Record) -> None:
    output = film.parent / "film.mp4"
    gone = record(output, output_sha256="ab" * 32, output_bytes=9)
    with begun(film, Begun(id=ID, date="2026-11-30", output=str(output), identities=["Ann"])):
        (film.parent / "film.mp4.part" / "joined.mp4").write_bytes(b"her faces")
    assert forget(film)["left"] == [] and not gone.exists() and list(film.parent.iterdir()) == [film]


def test_two_recasts_in_one_working_folder(film: Path) -> None:
    work = film / "shot.mp4.part"
    for identifier, name in ((ID, "Ann"), ("b" * 16, "Bob")):
        with begun(film, Begun(id=identifier, date="2026-11-30", output=str(film / "shot.mp4"), identities=[name])):
            (work / "segments").mkdir(exist_ok=True)
    forget(film)
    assert not work.exists()


def test_nothing_of_a_face_stays_in_the_corners(film: Path) -> None:
    corners = [
        film / place
        for place in (
            "scans/.observed/ab/00000000-00000008.safetensors", "scans/scans/.observed/a/00000000-00000008.safetensors",
            "scans/.shot.part/alignments.safetensors", "scans/.shot.old/alignments.safetensors",
            "scans/.shot.people/alignments.safetensors", "models/begun/facesets/0.faceset",
            "recasts/old.mp4.part/segments/00000000.nut",
        )
    ]  # fmt: skip
    for file in corners:
        file.parent.mkdir(parents=True)
        file.write_bytes(b"embeddings")
    forget(film)
    assert not [file for file in corners if file.parent.exists()]
