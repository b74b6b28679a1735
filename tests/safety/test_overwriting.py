"""Nothing that Understudy did not make is written over, unless that is said; and what a recast is made of never is."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from understudy.engine import job_bodies
from understudy.engine.errors import UnderstudyError
from understudy.engine.protocol import (
    ConvertSettings,
    ConvertSpec,
    ReportSpec,
    SoundClip,
    VoiceSpec,
)
from understudy.engine.provenance.credentials import Claim, sidecar, sign
from understudy.engine.provenance.outputs import require_output
from understudy.engine.reporter import Silent

FRAMES = 5


class AtTheLast(Silent):
    """Somebody who puts a file where the recast will be, while it is being made."""

    def __init__(self, place: Path) -> None:
        self.place = place

    def progress(self, fraction: float, message: str) -> None:
        if message.startswith("Recasting frame") and not self.place.exists():
            self.place.write_bytes(b"a grade of three days")


@pytest.fixture
def spec(spec: ConvertSpec) -> ConvertSpec:
    return replace(spec, end=FRAMES)


def convert(spec: ConvertSpec) -> None:
    job_bodies.run("convert", spec, Silent())


@pytest.mark.parametrize("folder", ["consent", "consent/files", "provenance", "scans/shot", "models", "voices"])
@pytest.mark.parametrize("known", ["by the job", "by its name", "by its consents"])
def test_nothing_is_made_where_a_project_keeps_something_else(tmp_path: Path, folder: str, known: str) -> None:
    project = tmp_path / ("film.understudy" if known == "by its name" else "work")
    told = str(project) if known == "by the job" else str(tmp_path / "other.understudy")
    (project / "consent").mkdir(parents=True)
    if known == "by its consents":
        (project / "consent" / "ann.json").write_text("{}")
    place = {"output": str(project / folder / "face.mp4"), "project": told}
    spec = ConvertSpec(scan=str(tmp_path / "scan"), model=str(tmp_path / "model"), swaps=[], **place)
    for one in (spec, ReportSpec(**place)):
        with pytest.raises(UnderstudyError, match=f"where the project keeps its {folder.split('/')[0]}"):
            require_output(one)
    require_output(replace(spec, output=str(project / "recasts" / "face.mp4")))


def test_a_file_that_is_not_ours_stays(spec: ConvertSpec) -> None:
    output = Path(spec.output)
    output.write_bytes(b"memories")
    with pytest.raises(UnderstudyError, match=r"exists, and is nothing that Understudy made.*--overwrite"):
        convert(spec)
    assert output.read_bytes() == b"memories" and not output.with_name("shot.mp4.part").exists()
    convert(replace(spec, overwrite=True))
    assert output.read_bytes() != b"memories"
    convert(replace(spec, settings=ConvertSettings(feather=0.2)))  # our own, as it was made
    made = output.read_bytes()
    output.write_bytes(made[:-1000] + b"graded" + made[-994:])
    with pytest.raises(UnderstudyError, match="as it was made"):
        convert(spec)


def test_a_file_that_appears_while_the_recast_is_made_stays(spec: ConvertSpec, project: Path) -> None:
    output = Path(spec.output)
    with pytest.raises(UnderstudyError, match="exists"):
        job_bodies.run("convert", spec, AtTheLast(output))
    assert output.read_bytes() == b"a grade of three days"
    records = [path.read_text() for path in (project / "provenance").glob("*.json")]
    assert not [text for text in records if spec.output in text]
    output.unlink()
    convert(spec)
    assert output.is_file()


@pytest.mark.parametrize(("format", "name"), [("png", "pictures"), ("exr", "linear"), ("ffv1", "shot.mkv")])
def test_pictures_and_sidecars_are_known_again(spec: ConvertSpec, tmp_path: Path, format: Any, name: str) -> None:
    spec = replace(spec, format=format, output=str(tmp_path / name))
    convert(spec)
    shutil.rmtree(Path(spec.project) / "provenance")  # by their credentials alone
    convert(replace(spec, settings=ConvertSettings(feather=0.2)))
    shutil.rmtree(Path(spec.project) / "provenance")
    output = Path(spec.output)
    changed = sorted(p for p in output.iterdir() if p.suffix != ".c2pa")[2] if output.is_dir() else output
    data = bytearray(changed.read_bytes())
    data[len(data) // 2] ^= 1
    changed.write_bytes(data)
    with pytest.raises(UnderstudyError, match="exists"):
        convert(spec)
    assert changed.read_bytes() == data


def test_a_matte_and_credentials_of_something_else_stay(spec: ConvertSpec, tmp_path: Path) -> None:
    layer = replace(spec, output=str(tmp_path / "shot.mov"), layer=True)
    matte = tmp_path / "shot-matte.mov"
    matte.write_bytes(b"drawn by hand")
    with pytest.raises(UnderstudyError, match=r"shot-matte\.mov exists"):
        convert(layer)
    assert matte.read_bytes() == b"drawn by hand"
    matte.unlink()
    convert(layer)
    convert(replace(layer, settings=ConvertSettings(feather=0.2)))
    beside = tmp_path / "other.c2pa"
    beside.write_bytes(b"the credentials of other.avi")
    with pytest.raises(UnderstudyError, match=r"other\.c2pa exists"):
        convert(replace(spec, output=str(tmp_path / "other.mkv"), format="ffv1"))
    assert beside.read_bytes() == b"the credentials of other.avi"


@pytest.mark.parametrize("overwrite", [False, True])
def test_what_a_recast_is_made_of_is_never_written_over(
    spec: ConvertSpec, project: Path, tmp_path: Path, make_clip: Any, overwrite: bool
) -> None:
    from understudy.engine.faces.people.summary import read_summary

    footage = {scan.name: Path(read_summary(scan).clip.path) for scan in (project / "scans").iterdir()}
    for path in footage.values():
        link = tmp_path / f"link-{path.name}.mp4"
        link.hardlink_to(path) if path.stat().st_dev == tmp_path.stat().st_dev else link.symlink_to(path)
        with pytest.raises(UnderstudyError, match=r"made from|footage itself"):
            convert(replace(spec, output=str(link), overwrite=overwrite))
        assert link.exists()
    portraits = tmp_path / "portraits"
    portraits.mkdir()
    (portraits / "1.png").write_bytes(b"a face")
    scan = tmp_path / "else.understudy" / "scans" / "portraits"
    shutil.copytree(next((project / "scans").iterdir()), scan)
    text = (
        (scan / "scan.json").read_text().replace(str(footage[next((project / "scans").iterdir()).name]), str(portraits))
    )
    (scan / "scan.json").write_text(text)
    spec = replace(spec, project=str(scan.parents[1]), output=str(portraits), format="png", overwrite=overwrite)
    with pytest.raises(UnderstudyError, match="made from"):
        require_output(spec)


def test_a_recording_that_a_voice_was_made_of_stays(tmp_path: Path) -> None:
    from understudy.engine.durable import hash_file

    recording = tmp_path / "ann.wav"
    recording.write_bytes(b"her voice")
    voice = tmp_path / "film.understudy" / "voices" / "ann"
    voice.mkdir(parents=True)
    (voice / "voice.json").write_text(json.dumps({"identity": "Ann", "sources": [hash_file(recording)]}))
    spec = VoiceSpec(
        clip=SoundClip(path=str(tmp_path / "bob.wav")), voice=str(voice), output=str(recording), target="Bob",
        identity="Ann", project=str(tmp_path / "film.understudy"), overwrite=True,
    )  # fmt: skip
    with pytest.raises(UnderstudyError, match="made from"):
        require_output(spec)
    recording.write_bytes(b"something else")
    require_output(spec)
    with pytest.raises(UnderstudyError, match="exists"):
        require_output(replace(spec, overwrite=False))


def test_a_film_that_was_rendered_is_no_recast(tmp_path: Path, make_clip: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNDERSTUDY_HOME", str(tmp_path / "home"))
    film = make_clip(tmp_path / "film.mp4", FRAMES)
    sign(film, Claim("film.mp4", "A film was rendered that holds recast faces.", [], {"recasts": ["ab"]}))
    spec = ConvertSpec(scan=str(tmp_path), model=str(tmp_path), swaps=[], output=str(film))
    with pytest.raises(UnderstudyError, match="exists"):
        require_output(spec)
    sign(film, Claim("film.mp4", "A face was replaced by machine learning.", [], {"id": "ab"}))
    require_output(spec)
    assert not sidecar(film).exists()


def test_the_command_line(run: Any, tmp_path: Path, make_clip: Any) -> None:
    shot, face = make_clip(tmp_path / "shot.mp4", FRAMES), make_clip(tmp_path / "f.mp4", FRAMES)
    before = face.read_bytes()
    for more in ([], ["--overwrite"]):
        code, answer, _ = run("swap", shot, "--face", face, "-o", face, "--consent", "face=A:own", *more)
        assert code == 1 and "made from" in answer["error"]
    other = make_clip(tmp_path / "other.mp4", 3)
    code, answer, _ = run("swap", shot, "--face", face, "-o", other, "--consent", "face=A:own")
    assert code == 1 and "--overwrite" in answer["error"]
    assert face.read_bytes() == before and other.is_file()


def test_reports(tmp_path: Path, run: Any, record_consent: Any) -> None:
    project, page = tmp_path / "film.understudy", tmp_path / "report.html"
    record_consent(project, "Ann")
    spec = ReportSpec(project=str(project), output=str(page))
    page.write_text("<h1>my novel</h1>")
    code, answer, _ = run("identity", "report", "--project", project, "-o", page)
    assert code == 1 and "--overwrite" in answer["error"] and page.read_text() == "<h1>my novel</h1>"
    assert run("identity", "report", "--project", project, "-o", page, "--overwrite")[0] == 0
    job_bodies.run("report", spec, Silent())  # over its own
    page.write_text(page.read_text().replace("Ann", "Bob"))
    with pytest.raises(UnderstudyError, match="exists"):
        job_bodies.run("report", spec, Silent())
    record = next((project / "consent").glob("*.json"))
    with pytest.raises(UnderstudyError, match="made from"):
        job_bodies.run("report", replace(spec, output=str(record), overwrite=True), Silent())


def test_exported_alignments(tmp_path: Path, run: Any, carphone_folder: Path) -> None:
    scan, theirs = tmp_path / "scan", tmp_path / "notes.json"
    shutil.copytree(carphone_folder, scan)
    theirs.write_text("{}")
    code, answer, _ = run("alignments", "export", scan, "-o", theirs)
    assert code == 1 and "--overwrite" in answer["error"] and theirs.read_text() == "{}"
    before = (scan / "scan.json").read_bytes()
    code, answer, _ = run("alignments", "export", scan, "-o", scan / "scan.json", "--overwrite")
    assert code == 1 and "made from" in answer["error"] and (scan / "scan.json").read_bytes() == before
    code, answer, _ = run("alignments", "export", scan, "-o", theirs, "--overwrite")
    assert code == 1 and "not even --overwrite" in answer["error"] and theirs.read_text() == "{}"
    theirs.write_text('{"format": "understudy alignments", "changed": 1}')
    assert run("alignments", "export", scan, "-o", theirs, "--overwrite")[0] == 0
    assert len(theirs.read_text()) > 100
    consents = tmp_path / "film.understudy" / "consent"
    consents.mkdir(parents=True)
    code, answer, _ = run("alignments", "export", scan, "-o", consents / "n.json", "--overwrite")
    assert code == 1 and "keeps its consent" in answer["error"] and not list(consents.iterdir())
