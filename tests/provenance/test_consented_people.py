"""Consent belongs to a person: under a name that stands for somebody else nobody is trained or recast."""

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
from understudy.engine.commands.swap import SwapAll
from understudy.engine.errors import ConsentError, DataError
from understudy.engine.faces.alignments import load_alignments
from understudy.engine.faces.networks import weights
from understudy.engine.faces.people import appearance
from understudy.engine.faces.people.gallery import SAME_PERSON
from understudy.engine.faces.scan import scan
from understudy.engine.protocol import (
    Clip,
    ConsentRecord,
    ConvertSpec,
    Identity,
    Material,
    PreviewSpec,
    Swap,
    TrainSpec,
    consent_file,
    to_json,
)
from understudy.engine.provenance import consent
from understudy.engine.provenance.consented_people import name_of
from understudy.engine.provenance.recasts import all_recasts
from understudy.engine.reporter import Silent
from understudy.engine.service import preview_worker

pytestmark = pytest.mark.skipif(bool(weights.missing()), reason="the face networks are not fetched (`make models`)")
BOTH = ["--consent", "face=Eileen Collins: public domain", "--consent", "target=The man in the car: test footage"]
WOMAN = ConsentRecord(
    identity="Ann", person="Eileen Collins", basis="test footage", scope="tests", date="2026-03-01"
)  # fmt: skip


@pytest.fixture(scope="session")
def hopper_folder(tmp_path_factory: pytest.TempPathFactory, people_footage: dict[str, Path]) -> Path:
    """The scan folder of the other portrait."""
    folder = tmp_path_factory.mktemp("scans") / "hopper"
    scan(Clip(path=str(people_footage["hopper"])), folder, Silent())
    return folder


def train(project: Path, model: str, **people: Path) -> dict[str, Any]:
    """Gather a draft's faces of people by name and scan folder."""
    identities = [
        Identity(name=name, material=[Material(scan=str(folder), person=0)]) for name, folder in people.items()
    ]
    output = project / "models" / model
    spec = TrainSpec(identities=identities, output=str(output), preset="draft", project=str(project))
    return job_bodies.run("train", spec, Silent())


def faces_of(project: Path, name: str) -> np.ndarray:
    seen = consent.seen_with(project, name)
    assert seen is not None
    return np.array(seen.faces)


def test_other_footage_in_the_same_folder_is_asked_about_again(run: Any, people_footage: dict[str, Path]) -> None:
    """What ran before on the first one's consent, and credited her."""
    common = [people_footage["carphone"], "--start", "4", "--end", "8", "--preset", "draft", "--work", "work"]
    woman = ["swap", *common, "--face", people_footage["astronaut"]]
    other = ["swap", *common, "--face", people_footage["hopper"]]
    code, first, said = run(*woman, "-o", "one.mp4", *BOTH)
    assert code == 0, said
    assert (first["face"], first["target"]) == ("face", "target")

    code, answer, _ = run(*other, "-o", "two.mp4")
    assert code == 7
    assert "Somebody else is seen in grace_hopper.jpg than face was before" in answer["error"]
    assert "understudy identity consent face-2 " in answer["error"]
    assert not Path("two.mp4").exists()

    hers = ["--consent", "face-2=Grace Hopper: public domain"]  # by the name that is told, or the role's
    code, second, said = run(*other, "-o", "two.mp4", *hers)
    assert code == 0, said
    assert (second["face"], second["target"]) == ("face-2", "target")
    casts = {Path(one.output).name: one.cast[0] for one in all_recasts(Path("work"))}
    assert casts["one.mp4"].identity_person == "Eileen Collins"
    assert casts["two.mp4"].identity_person == "Grace Hopper"
    assert {cast.target_person for cast in casts.values()} == {"The man in the car"}

    code, again, said = run(*woman, "-o", "three.mp4")  # each is known again, and nobody is asked
    assert code == 0, said
    assert again["face"] == "face" and again["model"] == first["model"]
    code, again, said = run(*other, "-o", "four.mp4")
    assert code == 0, said
    assert again["face"] == "face-2" and again["model"] == second["model"]

    shot = ["convert", again["scan"], "-o", "five.mp4"]
    code, _, said = run(*shot, "--model", again["model"], "--swap", "0:target=face-2")
    assert code == 0, said
    assert not Path("work/models/consent").exists()


def test_what_is_said_of_a_role_and_of_who_plays_it() -> None:
    command = SwapAll(shot=Path("a"), face=Path("b"), output=Path("c"), consent=["face=A: own", "face-2=B: own"])
    said = [command._said("face", name) for name in ("face", "face-2", "face-3")]
    assert said == [["face=A: own"], ["face-2=B: own"], ["face-3=A: own"]]
    names = ("face", "face-2", "face-99", "face-1", "face-02", "face-", "face-2x", "target-2", "faces")
    assert [consent.plays("face", name) for name in names] == [True, True, True, *[False] * 6]
    assert [command._said("target", name) for name in ("target", "target-2")] == [[], []]


def test_the_same_words_credit_nobody_else(run: Any, tmp_path: Path, people_footage: dict[str, Path]) -> None:
    """The same command line again, after other footage took the place of the first: what it says of one person is not
    said of another."""
    face = tmp_path / "actor.jpg"
    shutil.copy(people_footage["astronaut"], face)
    words = ["swap", people_footage["carphone"], "--end", "1", "--face", face, "--preset", "draft", "-o", "one.mp4"]
    assert run(*words, *BOTH)[0] == 0
    shutil.copy(people_footage["hopper"], face)
    before = consent.seen_with(Path("one.understudy"), "face")
    code, answer, _ = run(*words, *BOTH)
    assert code == 7 and "Somebody else is seen in actor.jpg than face was before" in answer["error"]
    assert '--consent "face-2=Full Name: written permission"' in answer["error"]
    assert consent.read_consent(Path("one.understudy"), "face-2") is None
    assert consent.seen_with(Path("one.understudy"), "face") == before
    shutil.copy(people_footage["astronaut"], face)
    code, answer, _ = run(*words, BOTH[0], "face=Grace Hopper: public domain", *BOTH[2:])
    assert (
        code == 7
        and "is on record as Eileen Collins's, and --consent says that it is Grace Hopper's" in answer["error"]
    )
    kept = consent.read_consent(Path("one.understudy"), "face")
    assert kept is not None and kept.person == "Eileen Collins"


def test_a_consent_said_in_the_same_words_is_not_opened_again(
    run: Any, tmp_path: Path, astronaut_folder: Path, hopper_folder: Path
) -> None:
    words = ["train", "-o", tmp_path / "models" / "one", "--preset", "draft", "--consent", "Ann=Ann Lee: own face"]
    assert run(*words, "--identity", f"Ann={astronaut_folder}")[0] == 0
    code, answer, _ = run(*words, "--identity", f"Ann={hopper_folder}")
    assert code == 7 and "Ann Lee's, but the face in hopper is somebody else's" in answer["error"]
    words[-1] = "Ann=ann lee : written permission"
    assert run(*words, "--identity", f"Ann={hopper_folder}")[0] == 7
    assert len(faces_of(tmp_path, "Ann")) == 1
    words[-1] = "Ann=Grace Hopper: public domain"  # somebody else is said to be her
    assert run(*words, "--identity", f"Ann={hopper_folder}")[0] == 0


def test_who_is_replaced_is_asked_about_again(run: Any, people_footage: dict[str, Path]) -> None:
    words = ["--face", people_footage["astronaut"], "--preset", "draft", "--work", "work"]
    code, _, said = run("swap", people_footage["carphone"], "--end", "3", *words, "-o", "one.mp4", *BOTH)
    assert code == 0, said
    code, answer, _ = run("swap", people_footage["hopper"], *words, "-o", "two", *BOTH[:2])
    assert code == 7
    assert "than target was before" in answer["error"] and "identity consent target-2 " in answer["error"]


def test_what_was_answered_for_footage_that_failed_is_not_taken_for_other_footage(
    run: Any, tmp_path: Path, make_clip: Callable[..., Path], people_footage: dict[str, Path]
) -> None:
    common = ["swap", people_footage["carphone"], "--end", "3", "--preset", "draft", "--work", "work"]
    faceless = make_clip(tmp_path / "faceless.mp4", 4)
    code, _, _ = run(*common, "--face", faceless, "-o", "one.mp4", *BOTH)
    assert code == 4
    code, answer, _ = run(*common, "--face", people_footage["astronaut"], "-o", "one.mp4")
    assert code == 7
    assert "record for face." in answer["error"]  # the man in the car is who he was


def test_a_training_under_somebody_elses_consent_is_refused(
    tmp_path: Path, astronaut_folder: Path, hopper_folder: Path
) -> None:
    project = tmp_path / "film.understudy"
    path = consent.record_consent(project, WOMAN)
    train(project, "one", Ann=astronaut_folder)
    with pytest.raises(ConsentError, match=r"Eileen Collins's, but the face in hopper is somebody else's\. .*Ann "):
        train(project, "two", Ann=hopper_folder)
    assert not (project / "models" / "two").exists()
    consent.record_consent(project, WOMAN)  # it is her after all: said again, it holds for both
    train(project, "two", Ann=hopper_folder)
    train(project, "one", Ann=astronaut_folder)
    assert len(faces_of(project, "Ann")) == 2
    consent.record_consent(project, replace(WOMAN, person="Grace Hopper", identity="ann"))
    train(project, "two", Ann=hopper_folder)
    with pytest.raises(ConsentError, match="Grace Hopper's"):
        train(project, "one", Ann=astronaut_folder)
    assert [old["person"] for old in json.loads(path.read_text())["history"]] == ["Eileen Collins"]


def test_a_model_that_shows_somebody_else_is_refused(
    tmp_path: Path, astronaut_folder: Path, hopper_folder: Path, carphone_folder: Path
) -> None:
    """What counts is what its pixels show, whatever it calls them."""
    project, strange = tmp_path / "film.understudy", tmp_path / "strange.understudy"
    for one in (project, strange):
        consent.record_consent(one, WOMAN)
        consent.record_consent(one, replace(WOMAN, identity="Bob", person="The man"))
    train(project, "one", Ann=astronaut_folder)
    train(strange, "one", Ann=hopper_folder)
    shutil.copytree(strange / "models" / "one", project / "models" / "theirs")
    swaps = [Swap(person=0, identity="Ann", target="Bob")]
    spec = ConvertSpec(
        scan=str(carphone_folder), model=str(project / "models" / "theirs"), swaps=swaps, end=2,
        output=str(tmp_path / "out.mp4"), project=str(project),
    )  # fmt: skip
    with pytest.raises(ConsentError, match="the face in the model theirs is somebody else's"):
        job_bodies.run("convert", spec, Silent())
    preview = PreviewSpec(scan=spec.scan, model=spec.model, swaps=swaps, frame=1, project=str(project))
    request = {"spec": to_json(preview), "output": str(tmp_path / "still.png")}
    assert "somebody else's" in preview_worker._answer(None, request)["error"]
    job_bodies.run("convert", replace(spec, model=str(project / "models" / "one")), Silent())
    assert (tmp_path / "out.mp4").is_file()
    assert len(faces_of(project, "Bob")) == 1
    train(project, "both", Ann=astronaut_folder, Bob=carphone_folder)
    with pytest.raises(ConsentError, match="The man's, but the face in astronaut is"):
        job_bodies.run("convert", replace(spec, scan=str(astronaut_folder)), Silent())


def test_a_preview_ties_no_consent(tmp_path: Path, astronaut_folder: Path, carphone_folder: Path) -> None:
    """Who tries one person after another in the panel has not decided yet."""
    project = tmp_path / "film.understudy"
    for name in ("Ann", "Bob"):
        consent.record_consent(project, replace(WOMAN, identity=name))
    spec = PreviewSpec(
        scan=str(carphone_folder), swaps=[Swap(person=0, identity="Ann", target="Bob")], frame=1, project=str(project),
        identities=[Identity(name="Ann", material=[Material(scan=str(astronaut_folder), person=0)])],
    )  # fmt: skip

    def render(*_: Any) -> Any:
        raise DataError("reached")

    assert preview_worker._answer(render, {"spec": to_json(spec), "output": "x.png"}) == {"error": "reached"}
    seen = consent.seen_with(project, "Ann")
    assert seen is not None and seen.open and not seen.faces


def test_what_a_forgotten_person_looks_like_is_erased(tmp_path: Path, astronaut_folder: Path) -> None:
    project = tmp_path / "film.understudy"
    path = consent.record_consent(project, WOMAN)
    train(project, "one", Ann=astronaut_folder)
    assert len(faces_of(project, "Ann")) == 1
    assert "seen" not in consent.all_consents(project)[0]
    consent.withdraw(project, "Ann", "2026-04-01")
    kept = path.read_text()
    assert "Eileen Collins" in kept and "faces" not in kept and "seen" not in kept
    assert consent.seen_with(project, "Ann") is None


def test_a_damaged_embedding_is_no_consent(tmp_path: Path) -> None:
    path = consent.record_consent(tmp_path, WOMAN)
    data = json.loads(path.read_text())
    for faces in ([[0.1] * 127], [[float("nan")] * 128], ["face"], 3):
        path.write_text(json.dumps({**data, "seen": {"faces": faces, "open": False}}))
        with pytest.raises(DataError, match="is damaged"):
            consent.require_consent(tmp_path, ["Ann"])


def test_a_consent_of_an_earlier_version_is_tied_at_its_next_use(tmp_path: Path, astronaut_folder: Path) -> None:
    path = consent_file(tmp_path, "Ann")
    path.parent.mkdir()
    path.write_text(json.dumps({**to_json(WOMAN), "history": []}))
    train(tmp_path, "one", Ann=astronaut_folder)
    assert len(faces_of(tmp_path, "Ann")) == 1


def test_a_role_has_a_name_for_each_person(tmp_path: Path) -> None:
    looks = np.eye(128, dtype=np.float32)
    assert name_of(tmp_path, "face", looks[0]) == "face"
    for number, name in enumerate(("face", "face-2", "face-3")):
        consent.record_consent(tmp_path, replace(WOMAN, identity=name))
        consent.bind(tmp_path, name, [looks[number].tolist()])
    assert [name_of(tmp_path, "face", looks[n]) for n in range(4)] == ["face", "face-2", "face-3", "face-4"]
    near = looks[1] * (1 - 0.9 * SAME_PERSON)
    assert name_of(tmp_path, "face", near) == "face-2"


def test_crops_of_a_model_are_known_by_their_scan(
    tmp_path: Path, astronaut_folder: Path, carphone_folder: Path
) -> None:
    """A model's faces are measured anew: they must not seem somebody else's than those they were cut from."""
    consent.record_consent(tmp_path, WOMAN)
    consent.record_consent(tmp_path, replace(WOMAN, identity="Bob"))
    train(tmp_path, "one", Ann=astronaut_folder, Bob=carphone_folder)
    for number, folder in enumerate((astronaut_folder, carphone_folder)):
        look = appearance.of_person(folder, 0)
        assert look is not None
        (cut,) = appearance.of_faceset(tmp_path / "models" / "one" / "facesets" / f"{number}.faceset")
        assert np.linalg.norm(cut - look) < SAME_PERSON / 2
    nobody = tmp_path / "nobody"
    nobody.mkdir()
    alignments = load_alignments(astronaut_folder)
    replace(alignments, embedding=np.zeros_like(alignments.embedding)).save(nobody)
    assert appearance.of_person(nobody, 0) is None
