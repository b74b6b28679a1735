"""From consent to forgetting: a real recast that carries its mark and credentials, is reported, and can be erased."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from understudy.engine import job_bodies
from understudy.engine.errors import DataError, UnderstudyError
from understudy.engine.protocol import (
    Clip,
    ConvertSettings,
    ConvertSpec,
    CredentialSpec,
    ForgetSpec,
    Identity,
    Material,
    ReportSpec,
    Swap,
    TrainSpec,
    consent_file,
)
from understudy.engine.provenance.credentials import read_credentials
from understudy.engine.provenance.recasts import all_recasts, mark_number
from understudy.engine.provenance.verify import verify
from understudy.engine.reporter import Silent

FRAMES = 24


@pytest.fixture(scope="module")
def shot_folder(tmp_path_factory: Any, people_footage: dict[str, Path], astronaut_folder: Path) -> Path:
    """The man in the car, enlarged so that his face is 200 pixels wide, scanned."""
    from fractions import Fraction

    import av
    import cv2
    from understudy.engine.faces.scan import scan
    from understudy.engine.media.reader import read_frames

    folder: Path = tmp_path_factory.mktemp("enlarged")
    with av.open(str(folder / "man.mp4"), "w") as movie:
        stream = movie.add_stream("libx264", rate=Fraction(25), options={"crf": "10", "preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = 176 * 3, 144 * 3, "yuv420p"
        for frame in read_frames(people_footage["carphone"], 0, FRAMES):
            large = cv2.resize(frame.rgb, (stream.width, stream.height), interpolation=cv2.INTER_CUBIC)
            movie.mux(stream.encode(av.VideoFrame.from_ndarray(large, "rgb24")))
        movie.mux(stream.encode(None))
    scan(Clip(path=str(folder / "man.mp4")), folder / "man", Silent())
    return folder / "man"


@pytest.fixture(scope="module")
def project(tmp_path_factory: Any, shot_folder: Path, astronaut_folder: Path, record_consent: Any) -> Path:
    """A project with two scans, a draft model of both people, and their consent."""
    folder: Path = tmp_path_factory.mktemp("films") / "film.understudy"
    for scan in (shot_folder, astronaut_folder):
        shutil.copytree(scan, folder / "scans" / scan.name)
    record_consent(folder, "woman", "man")
    people = [
        Identity(name=name, material=[Material(scan=str(folder / "scans" / scan.name), person=0)])
        for name, scan in (("woman", astronaut_folder), ("man", shot_folder))
    ]
    model = folder / "models" / "both"
    job_bodies.run(
        "train", TrainSpec(identities=people, output=str(model), preset="draft", project=str(folder)), Silent()
    )
    return folder


@pytest.fixture(scope="module")
def spec(project: Path, shot_folder: Path) -> ConvertSpec:
    return ConvertSpec(
        scan=str(project / "scans" / shot_folder.name),
        model=str(project / "models" / "both"),
        swaps=[Swap(person=0, identity="woman", target="man")],
        output=str(project / "recasts" / "shot.mp4"),
        project=str(project),
    )


@pytest.fixture(scope="module")
def made(spec: ConvertSpec) -> dict[str, Any]:
    return job_bodies.run("convert", spec, Silent())


def test_a_recast_says_what_it_is(spec: ConvertSpec, made: dict[str, Any], project: Path) -> None:
    verdict = verify(Path(spec.output), Silent())
    found = verdict.credentials
    assert found and found.id == made["credentials"] and found.state == "Valid"
    assert [i["relationship"] for i in found.ingredients] == ["parentOf", "inputTo", "inputTo"]
    assert not any(name in json.dumps(verdict.to_json()) for name in ("woman", "of the tests"))
    (recast,) = all_recasts(project)
    assert recast.credentials == found.id and recast.mark == mark_number(spec) == found.facts["mark"]
    assert [mark.number for mark in verdict.marks] == [recast.mark]
    assert recast.cast[0].identity_person == "woman of the tests"


def test_the_mark_is_left_out_only_for_a_reason(spec: ConvertSpec, project: Path) -> None:
    plain = replace(spec, output=str(project / "recasts" / "plain.mp4"), settings=ConvertSettings(mark=False))
    with pytest.raises(DataError, match="reason"):
        job_bodies.run("convert", plain, Silent())
    plain = replace(plain, settings=ConvertSettings(mark=False, mark_reason="the grade comes first"))
    job_bodies.run("convert", plain, Silent())
    verdict = verify(Path(plain.output), Silent())
    assert not verdict.marks and verdict.faces
    assert verdict.credentials and verdict.credentials.facts["markReason"] == "the grade comes first"
    assert all_recasts(project)[-1].mark_reason == "the grade comes first"


def test_credentials_are_told_without_the_face_networks(
    spec: ConvertSpec, made: dict[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("UNDERSTUDY_HOME", str(tmp_path))
    verdict = verify(Path(spec.output), Silent())
    assert verdict.credentials and verdict.credentials.id == made["credentials"] and verdict.faces is None
    assert "not looked for. The face networks are not installed" in verdict.sentences()[-1]


def test_a_render_of_the_timeline_names_its_recasts(
    spec: ConvertSpec, made: dict[str, Any], project: Path, make_clip: Any
) -> None:
    render = make_clip(project.parent / "render.mp4", 8)
    order = CredentialSpec(file=str(render), ingredients=[spec.output], project=str(project))
    result = job_bodies.run("credential", order, Silent())
    found = read_credentials(render)
    assert found and found.id == result["credentials"] and found.state == "Valid"
    assert found.ingredients == [
        {"title": "shot.mp4", "relationship": "componentOf", "credentials": made["credentials"]}
    ]
    with pytest.raises(DataError, match="is not there"):
        job_bodies.run("credential", replace(order, file=str(render.with_name("gone.mp4"))), Silent())


def test_the_report_tells_who_was_recast_where(made: dict[str, Any], project: Path) -> None:
    page = project.parent / "report.html"
    job_bodies.run("report", ReportSpec(project=str(project), output=str(page)), Silent())
    text = page.read_text()
    recast = all_recasts(project)[0]
    for fact in ("man of the tests", "woman of the tests", "test footage", recast.output_sha256, recast.source_sha256,
                 made["credentials"], f"{recast.mark:04x}", "shot.mp4"):  # fmt: skip
        assert fact in text
    assert "http" not in text.replace("http://www.w3.org", "")  # nothing is loaded from anywhere


def test_forgetting_erases_a_face_and_what_came_of_it(made: dict[str, Any], project: Path, tmp_path: Path) -> None:
    film = tmp_path / "film.understudy"
    shutil.copytree(project, film)
    for record in (film / "provenance").glob("*.json"):
        record.write_text(record.read_text().replace(str(project), str(film)))
    begun = film / "recasts" / "take 2.mp4.part" / "segments"  # a conversion that was stopped; it may show her
    begun.mkdir(parents=True)
    (begun / "00000000.mkv").write_bytes(b"faces")
    (film / "models" / "both" / "timelapse").mkdir(exist_ok=True)
    (film / "models" / "both" / "timelapse" / "00000010.jpg").write_bytes(b"a face")
    order = ForgetSpec(project=str(film), identity="woman", dry_run=True)
    everything = sorted(p for p in film.rglob("*") if p.is_file())
    listed = job_bodies.run("forget", order, Silent())
    assert listed["removed"] == [] and sorted(p for p in film.rglob("*") if p.is_file()) == everything
    what = {Path(item["path"]).name for item in listed["items"]}
    assert {"both", "astronaut", "shot.mp4", "take 2.mp4.part"} <= what
    assert all(item["bytes"] > 0 for item in listed["items"])
    removed = job_bodies.run("forget", replace(order, dry_run=False), Silent())["removed"]
    assert {item["path"] for item in listed["items"]} == set(removed)
    assert not (film / "models" / "both").exists() and not (film / "recasts" / "shot.mp4").exists()
    assert not (film / "scans" / "astronaut").exists() and not begun.exists()
    note = json.loads(consent_file(film, "woman").read_text())
    assert note["forgotten"] and note["history"][0]["person"] == "woman of the tests"
    assert [p.name for p in film.rglob("*.faceset")] == []
    with pytest.raises(UnderstudyError, match="permission is on record for woman"):
        nobody = [Identity(name="woman", material=[])]
        spec = TrainSpec(identities=nobody, output=str(film / "models" / "x"), project=str(film))
        job_bodies.run("train", spec, Silent())
    job_bodies.run("report", ReportSpec(project=str(film), output=str(tmp_path / "after.html")), Silent())
    assert "forgotten on" in (tmp_path / "after.html").read_text()


def test_nobody_of_that_name(project: Path) -> None:
    with pytest.raises(UnderstudyError, match="knows nobody called Zoe"):
        job_bodies.run("forget", ForgetSpec(project=str(project), identity="Zoe"), Silent())
