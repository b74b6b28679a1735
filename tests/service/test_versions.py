"""Files that earlier versions left, kept in `kept/`: written by the code of their time, read by today's.

home-1.0          a queue of protocol 1.0
project-first     a scan (NASA's portrait of Eileen Collins) and a model in training, of the first version that had them
project-second    the same of the version after: corrections, boxes, averages, scores, sources
"""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from understudy.engine import job_bodies
from understudy.engine.errors import DataError
from understudy.engine.faces.alignments import load_alignments
from understudy.engine.faces.facesets.faceset import load_faceset
from understudy.engine.faces.networks import weights
from understudy.engine.faces.people.summary import read_summary
from understudy.engine.model.model_folder import load_refiner, read_card
from understudy.engine.model.networks import refiner_network
from understudy.engine.protocol import Clip, Identity, Material, PeopleEdit, PeopleSpec, ScanSpec, TrainSpec
from understudy.engine.remote.path_map import rewrite
from understudy.engine.reporter import Silent
from understudy.engine.service.store import SCHEMA, Store

KEPT = Path(__file__).parent / "kept"


def test_the_jobs_of_protocol_1_0_are_taken_over(tmp_path: Path) -> None:
    home = tmp_path / "home"
    shutil.copytree(KEPT / "home-1.0", home)
    for _ in range(2):  # migrated, and as migrated
        store = Store(home)
        finished, waiting = store.job("finished"), store.job("waiting")
        assert finished and waiting
        assert (finished.state, finished.result["people"], finished.priority, finished.after) == ("done", 2, 0, [])
        assert (waiting.state, waiting.kind, waiting.spec["output"]) == ("queued", "convert", "/project/out.mp4")
        assert [event.data["state"] for event in store.events("finished", 0)] == ["queued", "running", "done"]
        assert [job.id for job in store.unfinished()] == ["waiting"]
        store.close()
        with sqlite3.connect(home / "jobs.sqlite") as database:
            assert database.execute("PRAGMA user_version").fetchone() == (SCHEMA,)


def test_a_newer_list_of_jobs_is_left_alone(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "jobs.sqlite") as database:
        database.execute(f"PRAGMA user_version = {SCHEMA + 1}")
    with pytest.raises(DataError, match="newer Understudy"):
        Store(tmp_path)


def test_a_row_that_cannot_be_read_harms_no_other(tmp_path: Path) -> None:
    home = tmp_path / "home"
    shutil.copytree(KEPT / "home-1.0", home)
    with sqlite3.connect(home / "jobs.sqlite") as database:
        database.execute("UPDATE jobs SET job = '{\"id\": 7}' WHERE id = 'finished'")
    store = Store(home)
    assert [job.id for job in store.jobs()] == ["waiting"]
    assert store.prune(0) == [] and (home / "jobs" / "finished").is_dir()
    store.close()


@pytest.fixture(params=["project-first", "project-second"])
def project(request: pytest.FixtureRequest, tmp_path: Path, people_footage: dict[str, Path]) -> Path:
    """A project of that time, moved to where its footage is now."""
    folder = tmp_path / "film.understudy"
    shutil.copytree(KEPT / request.param, folder)
    portrait = str(people_footage["astronaut"])
    for file in [*folder.glob("scan/*.json"), folder / "scan" / "alignments.safetensors"]:
        moved = tmp_path / file.name
        if rewrite(file, moved, lambda text: portrait if text == "/footage/astronaut.png" else text):
            moved.replace(file)
    return folder


def test_a_scan_of_an_earlier_version_is_read_corrected_and_made_again(project: Path, record_consent: Any) -> None:
    if weights.missing():
        pytest.skip("the face networks are not fetched (`make models`)")
    scan = project / "scan"
    assert [person.frames for person in read_summary(scan).people] == [1]
    assert len(load_alignments(scan)) == 1
    edit = PeopleEdit(action="rename", persons=[0], name="Eileen")
    assert job_bodies.run("people", PeopleSpec(scan=str(scan), edits=[edit]), Silent())["people"] == 1
    assert read_summary(scan).people[0].name == "Eileen"
    clip = Clip(path=load_alignments(scan).clip.path)
    assert job_bodies.run("scan", ScanSpec(clip=clip, output=str(scan)), Silent())["people"] == 1
    assert read_summary(scan).people[0].name == "Eileen"
    assert job_bodies.run("scan", ScanSpec(clip=clip, output=str(scan)), Silent())["people"] == 1, "and once more"


def test_a_model_of_an_earlier_version_is_trained_on(
    project: Path, record_consent: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(refiner_network.SIZES, "quick", (64, 2))  # what the kept ones were made with
    before = read_card(project / "model")
    assert before.identities == ["Ada", "Bea"] and before.steps == 4
    record_consent(project, "Ada", "Bea")
    for scan in ("Ada", "Bea"):
        assert len(load_alignments(project / scan)) == 2
    identities = [Identity(name=n, material=[Material(scan=str(project / n), person=0)]) for n in before.identities]
    spec = TrainSpec(
        identities=identities, output=str(project / "model"), preset="quick", minutes=before.minutes + 0.03
    )
    told: list[str] = []
    reporter = Silent()
    reporter.log = lambda text, level="info": told.append(text)  # type: ignore[method-assign]
    result = job_bodies.run("train", spec, reporter)
    assert any(text.startswith("Training at step 4") for text in told), told
    assert result["steps"] > 4 and result["minutes"] > before.minutes
    assert load_refiner(project / "model", read_card(project / "model")) is not None


def test_what_a_later_version_made_is_refused_with_a_sentence(project: Path) -> None:
    card = project / "model" / "model.json"
    card.write_text(card.read_text().replace('"schema": 1', '"schema": 2'))
    with pytest.raises(DataError, match="version 2"):
        read_card(project / "model")
    summary = project / "scan" / "scan.json"
    summary.write_text(summary.read_text().replace('"schema": 1', '"schema": 2'))
    with pytest.raises(DataError, match="version 2"):
        read_summary(project / "scan")
    for file, read in (
        (project / "scan" / "alignments.safetensors", lambda: load_alignments(project / "scan")),
        (
            project / "model" / "facesets" / "0.faceset",
            lambda: load_faceset(project / "model" / "facesets" / "0.faceset"),
        ),
    ):
        file.write_bytes(file.read_bytes().replace(b'\\"schema\\": 1', b'\\"schema\\": 2', 1))
        with pytest.raises(DataError, match="version 2"):
            read()
