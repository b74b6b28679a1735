"""What others on this computer may not read: the home folder and what is in it, tokens, consents and their proofs."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from understudy.engine import job_bodies
from understudy.engine.alone import alone
from understudy.engine.cli import execute
from understudy.engine.faces.alignments import load_alignments
from understudy.engine.protocol import (
    Clip,
    ConsentRecord,
    Identity,
    Material,
    ReportSpec,
    ScanSpec,
    TrainSpec,
    make_home,
)
from understudy.engine.provenance.begun import Begun, begun
from understudy.engine.provenance.consent import record_consent, today
from understudy.engine.remote.link import remember_cancel
from understudy.engine.reporter import Silent
from understudy.engine.service.preview_process import PreviewRenderer
from understudy.engine.service.store import Store

from .harness import Engine

if sys.platform == "win32":
    pytest.skip("who may read a file is said in other ways there", allow_module_level=True)


@pytest.fixture(autouse=True)
def usual_mask() -> object:
    before = os.umask(0o022)
    yield
    os.umask(before)


@pytest.fixture
def no_mask() -> None:
    os.umask(0)  # as some containers have it; `usual_mask` puts it back


def read_by_others(root: Path) -> list[Path]:
    """What somebody else reaches below a folder that they may enter."""
    found = []
    for path in root.iterdir():
        mode = path.stat().st_mode
        if not mode & 0o077:
            continue
        found += read_by_others(path) if stat.S_ISDIR(mode) else [path]
        found += [path] if stat.S_ISDIR(mode) and mode & 0o044 else []
    return found


def test_a_home_is_its_users_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNDERSTUDY_HOME", str(tmp_path / "a" / "home"))
    assert stat.S_IMODE(make_home().stat().st_mode) == 0o700


@pytest.mark.parametrize("inside", [[], ["models", "outputs", "jobs.sqlite-wal"], ["models", "letters"], [".bashrc"]])
def test_an_open_home_is_closed_where_it_is_understudys(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], inside: list[str]
) -> None:
    home = tmp_path / "home"
    for folder in (home, *(home / name for name in inside)):
        folder.mkdir(mode=0o755)
    monkeypatch.setenv("UNDERSTUDY_HOME", str(home))
    alone_ours = inside not in (["models", "letters"], [".bashrc"])
    execute(["doctor"])  # which changes nothing
    assert ("may look into it" in capsys.readouterr().out) == alone_ours and home.stat().st_mode & 0o077
    assert execute(["identity", "list", "--project", str(tmp_path)]) == 0
    assert ("could look into" in capsys.readouterr().err) == alone_ours
    assert stat.S_IMODE(home.stat().st_mode) == (0o700 if alone_ours else 0o755)
    assert execute(["identity", "list", "--project", str(tmp_path)]) == 0
    assert not capsys.readouterr().err


def test_what_shows_faces_is_its_users_alone(
    tmp_path: Path, carphone_folder: Path, record_consent: Callable[..., None], no_mask: None
) -> None:
    project = tmp_path / "film.understudy"
    scan, model, report = project / "scans" / "shot", project / "models" / "one", tmp_path / "report.html"
    record_consent(project, "man")
    clip = Clip(path=str(load_alignments(carphone_folder).clip.path), start=0, end=3)
    job_bodies.run("scan", ScanSpec(clip=clip, output=str(scan), project=str(project)), Silent())
    people = [Identity(name="man", material=[Material(scan=str(scan), person=0)])]
    spec = TrainSpec(identities=people, output=str(model), preset="draft", project=str(project))
    job_bodies.run("train", spec, Silent())
    work = tmp_path / "elsewhere" / "deep" / "shot"  # a folder that is called as the user likes
    job_bodies.run("scan", ScanSpec(clip=clip, output=str(work)), Silent())
    made = [project, *project.rglob("*"), *(tmp_path / "elsewhere").rglob("*"), tmp_path / "elsewhere"]
    assert scan / "person-0.jpg" in made and model / "model.json" in made and work / "scan.json" in made
    assert [path for path in made if path.stat().st_mode & 0o077] == []
    job_bodies.run("report", ReportSpec(project=str(project), output=str(report)), Silent())
    assert stat.S_IMODE(report.stat().st_mode) == 0o666  # to be shown, as the mask lets
    note = Begun(id="a" * 16, date=today(), output=str(tmp_path / "renders" / "x.mp4"), identities=["man"])
    with begun(project, note):
        assert stat.S_IMODE((tmp_path / "renders").stat().st_mode) == 0o777
        assert stat.S_IMODE((tmp_path / "renders" / "x.mp4.part").stat().st_mode) == 0o700
        assert stat.S_IMODE((project / "provenance" / "begun").stat().st_mode) == 0o700


def test_an_engine_at_work_in_an_open_folder(tmp_path: Path) -> None:
    """The user named a folder that others may enter: what the engine writes there is not for them."""
    home = tmp_path / "home"
    home.mkdir(mode=0o755)
    (home / "jobs").mkdir(mode=0o755)  # of an older version
    engine = Engine(home, "scripted:run")
    try:
        engine.start()
        engine.submit("one", steps=1)
        engine.wait_for("one", "done")
        open_files = {path.name for path in read_by_others(home)} - {"one.json", "one.out"}  # the test's own
        assert not {name for name in open_files if not name.startswith(("device.json", "rates"))}, open_files
        assert stat.S_IMODE((home / "jobs").stat().st_mode) == 0o700
        for name in ("engine.json", "engine.log", "jobs.sqlite", "jobs.sqlite-wal"):
            assert stat.S_IMODE((home / name).stat().st_mode) == 0o600, name
    finally:
        engine.clean_up()


def test_folders_that_others_make_in_a_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNDERSTUDY_HOME", str(tmp_path))
    tmp_path.chmod(0o755)
    Store(tmp_path).close()
    remember_cancel("3f2a")
    PreviewRenderer(tmp_path, "scripted:Still")._make_room()
    with alone(tmp_path / "x.mp4"):
        assert not read_by_others(tmp_path)


def test_consents_and_what_proves_them(tmp_path: Path) -> None:
    document = tmp_path / "release.pdf"
    document.write_bytes(b"signed")
    project = tmp_path / "film.understudy"
    project.mkdir()
    precious = tmp_path / "precious"
    precious.write_text("mine")
    folder = project / "consent" / "files"
    folder.mkdir(parents=True)
    record = ConsentRecord(
        identity="Ann", person="Ann Lee", basis="written permission", scope="this project", date=today(),
        file=str(document),
    )  # fmt: skip
    import hashlib

    (folder / f"{hashlib.sha256(b'signed').hexdigest()[:16]}.pdf.part").symlink_to(precious)  # a stranger's trap
    file = record_consent(project, record)
    assert stat.S_IMODE(Path(file).stat().st_mode) == 0o600
    (copy,) = (path for path in folder.iterdir() if not path.is_symlink())
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600 and copy.read_bytes() == b"signed"
    assert precious.read_text() == "mine"
