"""What `--overwrite` replaces, and what not even it does: footage of others, consents, files of a project."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from understudy.engine import job_bodies
from understudy.engine.cli import execute
from understudy.engine.convert.convert_settings import save_settings
from understudy.engine.errors import UnderstudyError
from understudy.engine.media.partial_output import settings_file
from understudy.engine.protocol import ConvertSpec, consent_file, to_json
from understudy.engine.provenance.credentials import Claim, sign
from understudy.engine.provenance.outputs import require_output, require_writable
from understudy.engine.provenance.overwriting import Kind
from understudy.engine.reporter import Silent

THEIRS = b'{"my own": "notes of three days"}'


def write_picture(path: Path) -> Path:
    from understudy.engine.convert.still_frame import write_png

    path.parent.mkdir(exist_ok=True)
    write_png(path, np.zeros((8, 8, 3), np.uint8), 8)
    return path


def test_settings_of_somebody_elses_stay(spec: ConvertSpec, make_clip: Any, run: Any, tmp_path: Path) -> None:
    beside = settings_file(Path(spec.output))
    beside.write_bytes(THEIRS)
    with pytest.raises(UnderstudyError, match=r"shot\.mp4\.understudy\.json exists"):
        job_bodies.run("convert", spec, Silent())
    footage = make_clip(tmp_path / "good.mp4", 3)
    code, answer, _ = run("swap", footage, "--face", footage, "-o", spec.output)
    assert code == 1 and "understudy.json exists" in answer["error"]  # before anything is scanned
    assert beside.read_bytes() == THEIRS and not Path(spec.output).exists()
    with pytest.raises(UnderstudyError, match="does not tell how a recast was made"):
        job_bodies.run("convert", replace(spec, overwrite=True), Silent())
    assert beside.read_bytes() == THEIRS and not Path(spec.output).exists()
    beside.unlink()
    job_bodies.run("convert", spec, Silent())
    job_bodies.run("convert", spec, Silent())  # over its own
    assert json.loads(beside.read_text())["convert"]["output"] == spec.output


@pytest.fixture
def valuables(tmp_path: Path, make_clip: Any, record_consent: Callable[..., None]) -> dict[str, Path]:
    """Files that no command may replace: footage, a damaged movie, consents where they lie and elsewhere, records."""
    other = tmp_path / "other.understudy"
    record_consent(other, "Ann")
    consent = consent_file(other, "Ann")
    copied = Path(shutil.copy(consent, tmp_path / "kept.json"))
    work = tmp_path / "wk"
    record_consent(work, "Bob")
    document = work / "consent" / "files" / "release.html"
    document.parent.mkdir()
    document.write_text("<html>I agree.</html>")
    scan = tmp_path / "elsewhere" / "scan.json"
    scan.parent.mkdir()
    scan.write_text("{}")
    movie = make_clip(tmp_path / "holiday.mp4", 3)
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(movie.read_bytes()[:700])
    named = Path(shutil.copy(movie, tmp_path / "holiday.json"))
    page = Path(shutil.copy(movie, tmp_path / "holiday.html"))
    made = {"a": consent, "b": copied, "c": consent_file(work, "Bob"), "d": document, "e": scan, "f": movie, "g": cut}
    link = tmp_path / "link.json"
    link.symlink_to(copied)
    drawing = tmp_path / "logo.html"
    drawing.write_text("<svg></svg>")
    record = tmp_path / "record.json"
    record.write_text('{"output": "/x.mp4", "output_sha256": "", "credentials": ""}')
    photo = write_picture(tmp_path / "photo.png")
    more = {"h": named, "i": page, "j": link, "k": drawing, "l": record, "m": photo}
    return {**made, **more, "n": write_picture(tmp_path / "frames" / "1.png").parent}


def test_valuables_stay(
    valuables: dict[str, Path], tmp_path: Path, carphone_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scan = tmp_path / "scan"
    shutil.copytree(carphone_folder, scan)
    project = tmp_path / "film.understudy"
    project.mkdir()
    for path in valuables.values():
        before = path.read_bytes() if path.is_file() else b""
        for words in (
            ["alignments", "export", str(scan), "-o", str(path), "--overwrite"],
            ["alignments", "export", str(scan), "-o", str(path), "--format", "faceswap", "--overwrite"],
            ["identity", "report", "--project", str(project), "-o", str(path), "--overwrite"],
        ):
            if path.name in ("logo.html", "release.html") and words[0] == "alignments":
                continue
            assert execute(words) == 1, words
            said = capsys.readouterr().err
            assert "not even --overwrite replaces it" in said or "made from" in said, said
        if path.name != "logo.html":  # no recast has such a name
            with pytest.raises(UnderstudyError, match=r"not even --overwrite|made from"):
                require_output(ConvertSpec(scan="", model="", swaps=[], output=str(path), overwrite=True))
        assert path.is_dir() or (path.read_bytes() == before and path.is_symlink() == (path.name == "link.json"))


@pytest.mark.parametrize(
    ("kind", "data", "goes"),
    [
        ("page", b"<h1>a page</h1>", True),
        ("page", b"\xef\xbb\xbf  <!doctype html>" + "é".encode() * 40000, True),
        ("page", b"a poem", False),
        ("page", b"<?xml version='1.0'?><svg/>", False),
        ("faces", b'{"format": "understudy alignments", "schema": 1', True),
        ("faces", b'{"shot_000001.mp4": [{"detected": [1, 2, 3, 4]', True),
        ("faces", b' {"__meta__": {}, "__data__": {}}', True),
        ("faces", b" [1, 2]", False),
        ("faces", b'{"my own": ["notes of three days"]}', False),
        ("faces", b'{"protocol": "1.0", "convert": {}}', False),
        ("faces", b"a poem", False),
        ("faces", b'{"format": "understudy alignments", "a": "\0"}', False),
        ("settings", b'{"protocol": "1.0", "convert": {}}', True),
        ("settings", b"", True),
        ("settings", b'{"format": "understudy alignments", "faces": []}', False),
        ("settings", THEIRS, False),
        ("media", b"", True),
        ("media", b"a note by the name of a movie", True),
        ("media", b"\0\0\0\x18ftypmp42", False),
        ("media", b"\xff\xd8\xff\xe0", False),
    ],
)
def test_of_what_kind_a_file_is(tmp_path: Path, kind: Kind, data: bytes, goes: bool) -> None:
    path = tmp_path / "x"
    path.write_bytes(data)
    if goes:
        require_writable(path, [], True, kind=kind)
        return
    with pytest.raises(UnderstudyError, match="not even --overwrite"):
        require_writable(path, [], True, kind=kind)


def test_a_recast_that_was_changed_goes(tmp_path: Path, make_clip: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """It says of itself that it is one; a film that recasts were cut into is none."""
    monkeypatch.setenv("UNDERSTUDY_HOME", str(tmp_path / "home"))
    film = make_clip(tmp_path / "film.mp4", 3)
    spec = ConvertSpec(scan=str(tmp_path), model=str(tmp_path), swaps=[], output=str(film), overwrite=True)
    sign(film, Claim("film.mp4", "A film was rendered that holds recast faces.", [], {"recasts": ["ab"]}))
    with pytest.raises(UnderstudyError, match="not even --overwrite"):
        require_output(spec)
    sign(film, Claim("film.mp4", "A face was replaced by machine learning.", [], {"id": "ab"}))
    data = bytearray(film.read_bytes())
    data[-100] ^= 1
    film.write_bytes(data)
    with pytest.raises(UnderstudyError, match="say --overwrite"):
        require_output(replace(spec, overwrite=False))
    require_output(spec)


@pytest.mark.parametrize("overwrite", [False, True])
def test_what_lies_between_pictures_stays(spec: ConvertSpec, tmp_path: Path, overwrite: bool) -> None:
    pictures = replace(spec, output=str(tmp_path / "pictures"), format="png")
    job_bodies.run("convert", pictures, Silent())
    (tmp_path / "pictures" / ".DS_Store").touch()
    require_output(pictures)  # our own
    (tmp_path / "pictures" / "notes.txt").write_bytes(THEIRS)
    with pytest.raises(UnderstudyError, match="pictures exists"):
        require_output(replace(pictures, overwrite=overwrite))


def test_an_export_of_ours_goes_wherever_it_lies(tmp_path: Path, run: Any, carphone_folder: Path) -> None:
    scan = tmp_path / "film.understudy" / "scans" / "shot"
    shutil.copytree(carphone_folder, scan)
    place = scan.parent / "shot.json"
    assert run("alignments", "export", scan, "-o", place)[0] == 0
    code, answer, _ = run("alignments", "export", scan, "-o", place)
    assert code == 1 and answer["error"].startswith(f"{place} exists. Choose another name")  # it is ours
    assert run("alignments", "export", scan, "-o", place, "--overwrite")[0] == 0
    assert run("alignments", "export", scan, "-o", place, "--format", "faceswap", "--overwrite")[0] == 0
    assert run("alignments", "export", scan, "-o", place, "--overwrite")[0] == 0


def test_settings_of_a_recast_are_no_export(spec: ConvertSpec, tmp_path: Path, run: Any) -> None:
    settings = settings_file(tmp_path / "other.mp4")
    save_settings(replace(spec, output=str(tmp_path / "other.mp4")))
    before = settings.read_bytes()
    code, answer, _ = run("alignments", "export", spec.scan, "-o", settings, "--overwrite")
    assert code == 1 and "not even --overwrite replaces it" in answer["error"] and settings.read_bytes() == before


def test_help_and_code_say_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["swap"], ["convert"], ["alignments", "export"], ["identity", "report"], ["voice", "swap"]):
        with pytest.raises(SystemExit):
            execute([*words, "--help"])
        said = " ".join(capsys.readouterr().out.replace("│", " ").split())
        assert "never over footage that is no recast of Understudy's, a consent" in said, said
    assert to_json(ConvertSpec(scan="", model="", swaps=[], output=""))["overwrite"] is False
