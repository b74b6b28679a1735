"""The command line on real people: whole swaps, and what is left when one cannot be finished."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from understudy.engine.faces.alignments import load_alignments
from understudy.engine.faces.networks import weights
from understudy.engine.media.reader import read_frames
from understudy.engine.model.model_folder import prepare
from understudy.engine.protocol import Identity, Material
from understudy.engine.reporter import Silent

BOTH = ["--consent", "face=Eileen Collins: public domain", "--consent", "target=The man in the car: test footage"]
pytestmark = pytest.mark.skipif(bool(weights.missing()), reason="the face networks are not fetched (`make models`)")


@pytest.mark.parametrize(("output", "why"), [("file", "a file is there"), ("file/model", "no folder")])
def test_a_model_cannot_be_where_a_file_is(run, record_consent, carphone_folder, output, why):
    Path("file").write_text("something else")
    record_consent("project", "Ann")
    words = ["--identity", f"Ann={carphone_folder}", "-o", output, "--preset", "draft", "--project", "project"]
    code, answer, said = run("train", *words)
    assert code == 1
    assert why in answer["error"]
    assert "Traceback" not in said
    assert Path("file").read_text() == "something else"


def test_a_training_that_fails_leaves_no_folder(run, record_consent, tmp_path, carphone_folder, make_clip):
    """The second person's footage is gone; the first one's faces are gathered before that shows."""
    lost = tmp_path / "lost"
    shutil.copytree(carphone_folder, lost)
    alignments = load_alignments(lost)
    replace(alignments, clip=replace(alignments.clip, path=str(tmp_path / "gone.mp4"))).save(lost)
    record_consent(tmp_path, "Ann", "Bob")
    people = ["--identity", f"Ann={carphone_folder}", "--identity", f"Bob={lost}"]
    code, answer, _ = run("train", *people, "-o", "model", "--preset", "draft", "--project", tmp_path)
    assert code == 3
    assert "gone.mp4 is not there" in answer["error"]
    assert list(Path.cwd().iterdir()) == []


@pytest.fixture
def untrained(tmp_path, record_consent, astronaut_folder) -> Path:
    """A model that waits for its training: its faces are gathered."""
    folder = tmp_path / "model"
    record_consent(tmp_path, "woman", "man")
    woman = Identity(name="woman", material=[Material(scan=str(astronaut_folder), person=0)])
    prepare(folder, [woman], "quick", Silent())
    return folder


def test_a_model_that_was_never_trained_makes_no_draft_unasked(run, carphone_folder, untrained):
    words = ["convert", carphone_folder, "--model", untrained, "--swap", "0:man=woman", "-o", "new/out.mp4"]
    code, answer, _ = run(*words)
    assert code == 6
    assert "was never trained. Train it, or recast as a draft (--draft)" in answer["error"]
    assert list(Path.cwd().iterdir()) == []


@pytest.mark.skipif(sys.platform == "win32", reason="Windows sends no signal to one process")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_conversion_told_to_end_leaves_nothing(tmp_path, carphone_folder, untrained, number):
    partial = tmp_path / "new" / "out.mp4.part"
    words = ["convert", carphone_folder, "--model", untrained, "--swap", "0:man=woman", "--draft", "--json"]
    command = [sys.executable, "-m", "understudy.engine", *map(str, words), "-o", str(tmp_path / "new" / "out.mp4")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as conversion:
        while not partial.exists():
            assert conversion.poll() is None, conversion.stderr.read()
            time.sleep(0.01)
        conversion.send_signal(number)
        out, err = conversion.communicate(timeout=60)
    assert conversion.returncode == 130, err
    assert json.loads(out.splitlines()[-1])["exit_code"] == 130
    assert "Traceback" not in err
    assert sorted(p.name for p in tmp_path.iterdir()) == ["consent", "model"]


def test_a_whole_swap(run, people_footage):
    words = ["swap", people_footage["carphone"], "--face", people_footage["astronaut"], "-o", "out.mp4"]
    words += ["--start", "4", "--end", "14", "--preset", "draft", *BOTH]
    code, answer, said = run(*words)
    assert code == 0, said
    assert (answer["frames"], answer["recast"]) == (10, 10)
    assert answer["movie"] == str(Path("out.mp4").resolve())
    source = list(read_frames(people_footage["carphone"], 4, 14))
    result = list(read_frames(Path("out.mp4")))
    assert len(result) == 10
    for before, after in zip(source, result, strict=True):
        differs = np.abs(before.rgb.astype(int) - after.rgb).max(-1) > 25  # more than coding does
        assert 0.01 < differs.mean() < 0.3  # the face, and not the rest
    assert sorted(p.name for p in Path.cwd().iterdir()) == ["out.mp4", "out.mp4.understudy.json", "out.understudy"]
    assert not [p for p in Path.cwd().rglob("*") if ".part" in p.name]
    assert Path(answer["model"], "model.json").is_file()


@pytest.mark.parametrize("lacks", ["a face", "person 9"])
def test_a_swap_that_lacks_somebody_says_what_it_keeps(run, tmp_path, make_clip, people_footage, lacks):
    face = make_clip(tmp_path / "faceless.mp4", 4)
    words = [
        "swap",
        people_footage["carphone"],
        "--end",
        "8",
        "--face",
        face,
        "-o",
        "out.mp4",
        "--preset",
        "draft",
        *BOTH,
    ]
    code, answer, _ = run(*words, *(["--person", "9"] if lacks == "person 9" else []))
    assert code == 4
    assert ("Person 9 does not appear" if lacks == "person 9" else "No face was found") in answer["error"]
    work = Path("out.understudy").resolve()
    assert f"What was scanned is kept in {work} for the next run." in answer["error"]
    observed, kept = sorted((work / "scans").iterdir())
    assert observed.name == ".observed"
    assert kept.name.startswith("carphone-")
    assert (kept / "scan.json").is_file()
    assert [p.name for p in Path.cwd().iterdir()] == ["out.understudy"]


def test_a_swap_into_a_shot_without_a_face_leaves_the_consents_and_what_was_seen(
    run, tmp_path, make_clip, people_footage
):
    shot = make_clip(tmp_path / "faceless.mp4", 4)
    code, answer, _ = run("swap", shot, "--face", people_footage["astronaut"], "-o", "out.mp4", *BOTH)
    assert code == 4
    assert "kept" not in answer["error"]
    work = Path("out.understudy").resolve()
    kept = {p.relative_to(work).parent.parts[:2] for p in Path.cwd().rglob("*") if p.is_file()}
    assert kept == {("consent",), ("scans", ".observed")}
