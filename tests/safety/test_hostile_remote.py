"""A remote engine that is somebody else's writes what its job makes, in its place, and nothing else."""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from safetensors.numpy import save
from understudy.engine import job_bodies
from understudy.engine.convert.convert_settings import load_settings
from understudy.engine.errors import UnderstudyError
from understudy.engine.faces.alignments import SHAPES
from understudy.engine.faces.networks import weights
from understudy.engine.faces.people import gallery
from understudy.engine.faces.people.edits import edit_people
from understudy.engine.faces.people.summary import read_summary
from understudy.engine.media.reader import probe
from understudy.engine.protocol import (
    Clip,
    ConvertSpec,
    Identity,
    Material,
    PeopleEdit,
    ScanSpec,
    Swap,
    TrainSpec,
)
from understudy.engine.provenance.credentials import Claim, sign
from understudy.engine.remote.fetched import require_model_of
from understudy.engine.remote.file_sync import Exchange
from understudy.engine.remote.link import Link, chosen_remote, raise_unreachable
from understudy.engine.remote.path_map import Places, rewrite
from understudy.engine.remote.remote_job import inputs_of
from understudy.engine.remote.remote_job import run as run_there
from understudy.engine.reporter import Silent

from .other_engine import EVIL, ROOT, Answers, Hostile


class Seen(Silent):
    """Keeps the previews that are shown."""

    def __init__(self) -> None:
        self.shown: list[Path] = []

    def preview(self, path: Path, caption: str) -> None:
        self.shown.append(path)


def everything(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_only_what_a_scan_makes_is_written(hostile: Hostile, tmp_path: Path, record_consent: Any) -> None:
    outside, project = tmp_path / "outside", tmp_path / "film.understudy"
    outside.mkdir()
    for name in ("clip.mp4", "clip-original.mov", ".profile", "holiday.jpg"):
        (outside / name).write_bytes(b"mine")
    record_consent(project, "Ann")
    (project / "scans").mkdir()
    spec = ScanSpec(
        clip=Clip(path=str(outside / "clip.mp4")), output=str(project / "scans" / "shot"), project=str(project)
    )
    key = Places(project, {}).of(outside / "clip.mp4").split("/")[1]
    elsewhere = Places(project, {}).of(tmp_path / "home" / "remote.json").split("/")[1]
    hostile.listed = [
        *("scans/shot/person-0.jpg", "scans/shot/sub/x.bin", "scans/shot/.hidden", "scans/shot/../../consent/ann.json"),
        *("scans/shot2/scan.json", "consent/ann.json", "models/x/model.json", ".remote.json", ".incoming/x"),
        *(f".outside/{key}/{name}" for name in ("clip.mp4", "clip-original.mov", ".profile", "new.jpg", "holiday.jpg")),
        f".outside/{elsewhere}/remote.json",
        *("/etc/passwd", "../x", "", "scans/shot/", "people.safetensors"),
    ]
    hostile.previews = [
        *(str(tmp_path / "home" / "planted.jpg"), str(outside / "holiday.jpg"), f"{ROOT}/.outside/{key}/holiday.jpg"),
        *(f"{ROOT}/consent/ann.json", f"{ROOT}/scans/shot/../../planted.jpg", f"{ROOT}/scans/shot/person-0.jpg"),
    ]
    before, reporter = everything(tmp_path), Seen()
    result = job_bodies.run("scan", spec, reporter)
    assert result["scan"] == spec.output
    assert reporter.shown == [project / "scans" / "shot" / "person-0.jpg"]
    made = {name: data for name, data in everything(tmp_path).items() if before.get(name) != data}
    bookkeeping = {name for name in made if Path(name).name.startswith(".remote")}
    assert set(made) - bookkeeping == {"film.understudy/scans/shot/person-0.jpg"}  # who is known is known here
    assert not any(place.startswith((".outside", "consent")) for place in hostile.asked)
    assert f".outside/{key}/clip.mp4" in hostile.sent  # it did work


def scanned(project: Path, clip: Path) -> Path:
    """The folder of a finished scan of a movie of 8 frames, which shows nobody."""
    info = probe(clip)
    summary = {
        "schema": 1, "clip": {"path": str(clip)}, "width": info.width, "height": info.height,
        "fps": [24, 1], "frames": 8,
        "variable_frame_rate": False, "people": [],
    }  # fmt: skip
    folder = project / "scans" / "shot"
    folder.mkdir(parents=True)
    (folder / "scan.json").write_text(json.dumps(summary))
    return folder


class Recasting:
    """A conversion on the other engine, which sends `movie` and the record `sound` unless it is told otherwise."""

    def __init__(self, hostile: Hostile, folder: Path, make_clip: Callable[..., Path], **asked: Any) -> None:
        self.project, self.hostile = folder / "film.understudy", hostile
        self.output = folder / "out" / asked.pop("name", "shot.mp4")
        self.clip = make_clip(folder / "clip.mp4", 8)
        scan, model = scanned(self.project, self.clip), self.project / "models" / "x"
        self.spec = ConvertSpec(
            scan=str(scan), model=str(model), swaps=[Swap(person=0, identity="ann", target="bob")],
            output=str(self.output), project=str(self.project), **asked,
        )  # fmt: skip
        self.places = Places(self.project, {})
        self.places.root = ROOT
        self.place = self.places.of(self.output)
        self.cast = [{"person": 0, "identity": "ann", "target": "bob"}]

    def signed(self, data: bytes, identifier: str = 16 * "a", name: str = "there.mp4") -> bytes:
        path = self.project.parent / name
        path.write_bytes(data)
        sign(path, Claim(name, "", [], {"id": identifier}))
        return path.read_bytes()

    def record(self, digest: str, **other: Any) -> dict[str, Any]:
        self.places.of(self.clip)
        return {
            "id": 16 * "a", "date": "2026-11-30", "output": f"{ROOT}/{self.place}", "output_sha256": digest,
            "source": self.places.there(str(self.clip)), "source_sha256": "ab", "start": 0, "end": 8, "frames": 8,
            "recast": 8, "model": self.places.there(self.spec.model), "model_sha256": "", "cast": self.cast, "mark": 5,
        } | other  # fmt: skip

    def sends(self, files: dict[str, bytes], *records: dict[str, Any]) -> None:
        told = {f"provenance/{one['id']}.json": json.dumps(one).encode() for one in records}
        self.hostile.contents = {**files, **told}
        self.hostile.listed = [*self.hostile.contents]

    def run(self) -> dict[str, Any]:
        remote = chosen_remote()
        assert remote is not None
        return run_there(remote, "convert", self.spec, Silent())


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize("layer", [False, True])
def test_a_recast_is_asked_for_by_its_names(
    hostile: Hostile, tmp_path: Path, make_clip: Callable[..., Path], layer: bool
) -> None:
    asked = {"name": "shot.mov", "layer": layer, "format": "prores-4444"}
    one = Recasting(hostile, tmp_path, make_clip, **asked)
    folder = one.place.rpartition("/")[0]
    wanted = {"shot.mov", "shot.mov.understudy.json", *(["shot-matte.mov"] if layer else [])}
    others = ("shot-original.mov", "shot.mp4", "shot", "shot.mov/x", "shotgun.jpg", ".profile", "shot.mov.part")
    hostile.listed = [f"{folder}/{name}" for name in (*wanted, *others)]
    with pytest.raises(UnderstudyError, match="is no movie, and was not taken"):
        one.run()
    assert {*hostile.asked} == {f"{folder}/{name}" for name in wanted}
    assert not one.output.parent.exists() and not (one.project / ".incoming").exists()


def test_pictures_are_those_of_the_job_and_nothing_else(
    hostile: Hostile, tmp_path: Path, make_clip: Callable[..., Path], make_counter_picture: Any
) -> None:
    one = Recasting(hostile, tmp_path, make_clip, name="outs", format="png", start=2, end=4)
    good = {}
    for number in (2, 3):
        cv2.imwrite(str(tmp_path / "p.png"), make_counter_picture(number, 64, 64))
        good[f"outs.00000{number}.png"] = one.signed((tmp_path / "p.png").read_bytes(), name="p.png")
    digest = sha("".join(sha(data) for data in good.values()).encode())
    record = one.record(digest, start=2, end=4, frames=2, recast=2)
    evil = ("Makefile", "evil.sh", "sub/run.py", "000001.png", "outs.000001.png", "outs.000002.png.sh", "index.html")
    bad = {f"{one.place}/{name}": EVIL for name in evil}
    one.sends({f"{one.place}/{name}": EVIL for name in good} | bad, record)
    with pytest.raises(UnderstudyError, match=r"did not send all of outs, outs\.000002\.png for one"):
        one.run()
    assert not one.output.exists()
    one.sends({f"{one.place}/{name}": data for name, data in good.items()} | bad, record)
    assert one.run()["frames"] == 2
    assert everything(one.output) == good


def test_credentials_beside_a_recast_come_along(
    hostile: Hostile, tmp_path: Path, make_clip: Callable[..., Path]
) -> None:
    one = Recasting(hostile, tmp_path, make_clip, name="shot.mkv")
    movie = make_clip(tmp_path / "made.mkv", 8).read_bytes()
    one.signed(movie, name="there.mkv")
    beside = (tmp_path / "there.c2pa").read_bytes()
    files = {one.place: movie, one.place.replace(".mkv", ".c2pa"): beside}
    one.sends({one.place: movie}, one.record(sha(movie)))
    with pytest.raises(UnderstudyError, match=r"did not send all of shot\.mkv, shot\.c2pa for one"):
        one.run()
    one.sends(files, one.record(sha(movie)))
    one.run()
    assert everything(one.output.parent).items() >= {"shot.mkv": movie, "shot.c2pa": beside}.items()
    assert sorted(path.name for path in one.output.parent.iterdir()) == [
        "shot.c2pa", "shot.mkv", "shot.mkv.understudy.json",
    ]  # fmt: skip


def test_no_record_but_the_jobs_own_is_written(
    hostile: Hostile, tmp_path: Path, make_clip: Callable[..., Path]
) -> None:
    """Records and what was begun decide what forgetting removes: another engine writes none of another recast."""
    one = Recasting(hostile, tmp_path, make_clip)
    own = one.project / "provenance" / f"{9 * '0'}1234567.json"
    own.parent.mkdir(parents=True)
    own.write_text('{"mine": 1}')
    plain = make_clip(tmp_path / "plain.mp4", 8).read_bytes()
    movie = one.signed(plain)
    sound = one.record(sha(movie))
    one.sends({one.place: movie}, sound, {**sound, "id": 16 * "e"}, {**sound, "id": own.stem})
    hostile.contents["provenance/begun/x.json"] = hostile.contents["provenance/voices/x.json"] = b"{}"
    hostile.listed = [*hostile.contents]
    assert one.run() == {"movie": str(one.output), "frames": 8, "recast": 8, "credentials": ""}
    kept = sorted(path.relative_to(own.parent).as_posix() for path in own.parent.rglob("*"))
    assert kept == [own.name, f"{16 * 'a'}.json"] and own.read_text() == '{"mine": 1}'
    told = json.loads((own.parent / kept[1]).read_text())
    assert (told["output"], told["source"]) == (str(one.output), str(one.clip))
    assert load_settings(one.output) == one.spec  # and nothing that the other engine says of it
    before = everything(one.project) | everything(one.output.parent)
    later = make_clip(tmp_path / "later.mp4", 6).read_bytes()
    of_own, other = (one.signed(later, who) for who in (own.stem, 16 * "a"))
    known = one.record(sha(other))
    wrong: list[tuple[bytes, list[dict[str, Any]], str]] = [
        (EVIL, [sound], "is no movie, and was not taken"),
        (plain, [one.record(sha(plain))], "carries no content credentials that hold"),
        (other[:-9] + b"otherwise", [sound], "carries no content credentials that hold|is no movie"),
        (other, [], "sent no record"),
        (other, [{**known, "source": "/etc/passwd"}], "sent no record"),
        (other, [{**known, "cast": [{**one.cast[0], "identity": "eve"}]}], "sent no record"),
        (of_own, [one.record(sha(of_own), id=own.stem)], "sent no record"),
    ]
    wrong.append((other, [known], "The remote engine says: no"))
    for data, records, says in wrong:
        one.sends({one.place: data}, *records)
        hostile.refused = "provenance/" if "says: no" in says else ""
        with pytest.raises(UnderstudyError, match=says):
            one.run()
        after = everything(one.project) | everything(one.output.parent)
        assert {name: data for name, data in after.items() if not name.startswith(".remote")} == {
            name: data for name, data in before.items() if not name.startswith(".remote")
        }


def tensors(facts: str) -> bytes:
    return save({"x": np.zeros(1)}, metadata={"understudy": facts})


OTHERS_SCAN = [
    ("scan.json", {"path": "private.mp4"}),
    ("scan.json", {"stream": 1}),
    ("scan.json", {"end": 4}),
    ("scan.json", {"width": 32}),
    ("alignments.safetensors", {"path": "private.mp4"}),
    ("alignments.safetensors", {"lacking": ["person"]}),
    ("source.json", {"path": "private.mp4"}),
]


@pytest.mark.parametrize(("name", "told"), OTHERS_SCAN, ids=str)
def test_a_scan_is_of_the_footage_that_was_named(
    hostile: Hostile, tmp_path: Path, make_clip: Callable[..., Path], name: str, told: dict[str, Any]
) -> None:
    """What a scan calls its footage is sent with the next recast."""
    project, clip = tmp_path / "film.understudy", make_clip(tmp_path / "clip.mp4", 8)
    shutil.copy(clip, tmp_path / "private.mp4")
    spec = ScanSpec(clip=Clip(path=str(clip)), output=str(project / "scans" / "shot"), project=str(project))
    sound = json.loads((scanned(tmp_path / "there", clip) / "scan.json").read_text())
    there = f"{ROOT}/{Places(project, {}).of(clip)}"

    def told_of(change: dict[str, Any], of: str) -> bytes:
        change = {key: str(tmp_path / value) if key == "path" else value for key, value in change.items()}
        if of == "source.json":
            return json.dumps({"schema": 1, "path": there} | change).encode()
        size = {key: value for key, value in change.items() if key == "width"}
        lacking = change.pop("lacking", [])
        facts = {**sound, "clip": {"path": there} | {k: v for k, v in change.items() if k not in size}, **size}
        if of == "scan.json":
            return json.dumps(facts).encode()
        columns = {name: np.zeros((0, *shape), dtype) for name, (dtype, shape) in SHAPES.items() if name not in lacking}
        return save(columns, metadata={"understudy": json.dumps(facts | {"kind": "alignments"})})

    files = ("scan.json", "alignments.safetensors", "source.json")
    hostile.contents = {f"scans/shot/{one}": told_of(told if one == name else {}, one) for one in files}
    hostile.listed = [*hostile.contents]
    with pytest.raises(UnderstudyError, match=f"sent as {name} is no scan of clip.mp4, and nothing of it was kept"):
        job_bodies.run("scan", spec, Silent())
    assert not (project / "scans").exists() and not (project / ".incoming").exists()
    hostile.contents = {f"scans/shot/{one}": told_of({}, one) for one in files}
    assert job_bodies.run("scan", spec, Silent()) == {"scan": spec.output, "people": 0, "frames": 8}
    assert json.loads((project / "scans" / "shot" / "scan.json").read_text())["clip"]["path"] == str(clip)


@pytest.mark.parametrize(("name", "data", "sound"), [
    ("model.json", b'{"identities": ["ann", "eve"]}', b'{"identities": ["ann"]}'),
    ("model.json", b'{"identities": []}', b'{"identities": ["ann"]}'),
    ("model.json", b'{"identities": ["ann", "ann"]}', b'{"identities": ["ann"]}'),
    ("model.json", b'{"identities": {"ann": 1}}', b'{"identities": ["ann"]}'),
    ("facesets/0.faceset", tensors('{"name": "eve"}'), tensors('{"name": "ann"}')),
    ("weights.safetensors", tensors('{"identities": ["eve"]}'), tensors('{"identities": ["ann"]}')),
])  # fmt: skip
def test_a_model_is_of_those_who_were_named(tmp_path: Path, name: str, data: bytes, sound: bytes) -> None:
    path = tmp_path / Path(name).name
    spec = TrainSpec(identities=[Identity(name="ann", material=[])], output=str(tmp_path / "m"))
    path.write_bytes(data)
    with pytest.raises(UnderstudyError, match=f"sent as {name} is no model of ann"):
        require_model_of(spec, name, path)
    path.write_bytes(sound)
    require_model_of(spec, name, path)


def test_links_in_the_folder_of_what_is_fetched_are_not_followed(
    hostile: Hostile, tmp_path: Path, record_consent: Any
) -> None:
    outside, project = tmp_path / "outside", tmp_path / "film.understudy"
    outside.mkdir()
    (outside / "clip.mp4").write_bytes(b"mine")
    project.mkdir()
    (project / ".incoming").symlink_to(outside)
    name = hashlib.sha256(f"scans/shot/person-7.jpg/{hashlib.sha256(EVIL).hexdigest()}".encode()).hexdigest()[:32]
    hostile.listed = ["scans/shot/person-7.jpg"]
    spec = ScanSpec(
        clip=Clip(path=str(outside / "clip.mp4")), output=str(project / "scans" / "shot"), project=str(project)
    )
    job_bodies.run("scan", spec, Silent())
    assert sorted(p.name for p in outside.iterdir()) == ["clip.mp4"]
    assert (project / "scans" / "shot" / "person-7.jpg").read_bytes() == EVIL
    (project / ".incoming").mkdir(exist_ok=True)
    (project / ".incoming" / f"{name}.jpg").symlink_to(outside / "clip.mp4")
    (project / "scans" / "shot" / "person-7.jpg").unlink()
    job_bodies.run("scan", spec, Silent())
    assert (outside / "clip.mp4").read_bytes() == b"mine"


IMPOSSIBLE = [
    *(
        "a\0b",
        "a\nb",
        "\x1b[2J",
        "n" * 300,
        "n/" * 1500 + "x",
        "\ud800.bin",
        "..\\..\\x.bin",
        "C:x.bin",
        "a//b",
        ".",
        "..",
    ),
    *("x/../../y.bin", "./y.bin", "sub/.hidden/x", "x.part", "x.lock", "con\u202e", "e\u0301/..", " /../x", "*?.bin"),
]


def test_names_that_cannot_be_are_left_there(hostile: Hostile, tmp_path: Path) -> None:
    outside, project = tmp_path / "outside", tmp_path / "film.understudy"
    outside.mkdir()
    (outside / "clip.mp4").write_bytes(b"mine")
    output = project / "scans" / "shot"
    ordinary = ["person-3.jpg", "boxes.json"]
    others = [
        "masks/000004.png",
        "edits.json",
        "é.bin",
        "e\u0301.bin",
        "人.jpg",
        "A.bin",
        "person-3.jpg.py",
        "sub/deep/x.bin",
        "masks/evil.png",
    ]
    hostile.listed = [f"scans/shot/{name}" for name in (*IMPOSSIBLE, *ordinary, *others)]
    hostile.listed += ["SCANS/shot/x.bin", "scans/SHOT/x.bin", "/scans/shot/x.bin", "scans\\shot\\x.bin"]
    spec = ScanSpec(clip=Clip(path=str(outside / "clip.mp4")), output=str(output), project=str(project))
    before = everything(tmp_path)
    job_bodies.run("scan", spec, Silent())
    made = {name for name, data in everything(tmp_path).items() if before.get(name) != data}
    made = {name for name in made if not Path(name).name.startswith(".remote") and not name.startswith("home")}
    assert made == {f"film.understudy/scans/shot/{name}" for name in ordinary}


GARBAGE: list[dict[str, Any]] = [
    {},
    {"files": 3},
    {"files": [3]},
    {"files": [{"path": "scans/shot/person-0.jpg"}]},
    {"files": [{"path": 5, "sha256": "a" * 64, "bytes": 3}]},
    {"files": [{"path": "scans/shot/person-0.jpg", "sha256": "a" * 64, "bytes": -3}]},
    {"files": [{"path": "scans/shot/person-0.jpg", "sha256": "../x", "bytes": 3}]},
    {"files": [{"path": "scans/shot/person-0.jpg", "sha256": "0" * 64, "bytes": 0}]},
    {"files": [{"path": "scans/shot/person-0.jpg", "sha256": "a" * 64, "bytes": "many"}]},
]


@pytest.mark.parametrize("garbage", GARBAGE, ids=str)
def test_answers_that_are_none_end_in_a_sentence(
    hostile: Hostile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, garbage: dict[str, Any]
) -> None:
    said = Answers.say
    monkeypatch.setattr(Answers, "say", lambda self, told: said(self, garbage if "files" in told else told))
    clip = tmp_path / "clip.mp4"
    clip.write_bytes(b"mine")
    project = tmp_path / "film.understudy"
    spec = ScanSpec(clip=Clip(path=str(clip)), output=str(project / "scans" / "shot"), project=str(project))
    with pytest.raises(UnderstudyError, match="answers in a way that is not ours"):
        job_bodies.run("scan", spec, Silent())
    assert not (project / "scans" / "shot").exists()


EVENTS: list[Any] = [
    5,
    [3],
    [("progress", {"message": "x"})],
    [("progress", {"fraction": "x", "message": ""})],
    [("loss", {"step": 5000 * "1", "values": {}})],
    [("loss", {"step": 1, "values": {"loss": "x"}})],
    [("verdict", {"verdict": "improving", "text": "", "seconds_left": "x"})],
    [("verdict", {"verdict": "x", "text": "t"})],
    [("log", {"text": "x", "level": "\x1b"})],
    [("loss", {"step": 1 << 60, "values": {}})],
    [("progress", {"fraction": 0.5, "message": "x"})] * 2,  # the same number twice: it would be told for ever
    [("preview", {"path": 3})],
]


@pytest.mark.parametrize("events", EVENTS, ids=range(len(EVENTS)))
def test_events_that_are_none_end_in_a_sentence(
    hostile: Hostile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, events: Any
) -> None:
    told = events if events in (5, [3]) else [
        {"seq": 1, "time": 0.0, "kind": kind, "data": data} for kind, data in events
    ]  # fmt: skip
    said = Answers.say
    monkeypatch.setattr(
        Answers, "say", lambda self, one: said(self, {**one, "events": told} if "events" in one else one)
    )
    clip, project = tmp_path / "clip.mp4", tmp_path / "film.understudy"
    clip.write_bytes(b"mine")
    spec = ScanSpec(clip=Clip(path=str(clip)), output=str(project / "scans" / "shot"), project=str(project))
    with pytest.raises(UnderstudyError, match="answers in a way that is not ours"):
        job_bodies.run("scan", spec, Silent())


@pytest.mark.parametrize("spoken", ["1.x", "", 5000 * "1"])
def test_a_protocol_that_is_none_is_refused(hostile: Hostile, monkeypatch: pytest.MonkeyPatch, spoken: str) -> None:
    said = Answers.say
    monkeypatch.setattr(Answers, "say", lambda self, one: said(self, {**one, "protocol": spoken}))
    remote = chosen_remote()
    assert remote is not None
    with pytest.raises(UnderstudyError, match="answers in a way that is not ours"):
        Link(remote, raise_unreachable).info()


@pytest.mark.parametrize("lacking", [["b" * 64], ["../x"], [3], "all"])
def test_it_is_sent_nothing_that_was_not_offered(
    hostile: Hostile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lacking: Any
) -> None:
    said = Answers.say
    monkeypatch.setattr(
        Answers, "say", lambda self, told: said(self, {**told, "lacking": lacking} if "lacking" in told else told)
    )
    clip = tmp_path / "clip.mp4"
    clip.write_bytes(b"mine")
    project = tmp_path / "film.understudy"
    spec = ScanSpec(clip=Clip(path=str(clip)), output=str(project / "scans" / "shot"), project=str(project))
    with pytest.raises(UnderstudyError, match="answers in a way that is not ours"):
        job_bodies.run("scan", spec, Silent())


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights of their own there")
def test_what_a_strangers_project_names_is_not_sent(
    hostile: Hostile, tmp_path: Path, record_consent: Any, make_counter_picture: Any
) -> None:
    """A scan calls a folder of the user's its footage; a link in a scan leads to a key."""
    home, project = tmp_path / "mine", tmp_path / "film.understudy"
    home.mkdir()
    for name in ("id_rsa", "taxes.ods", "secret.png"):
        (home / name).write_bytes(b"a key, and no picture")
    cv2.imwrite(str(home / "face.png"), make_counter_picture(1, 64, 64))
    model, scan = project / "models" / "one", project / "scans" / "shot"
    for folder in (model, scan):
        folder.mkdir(parents=True)
    for named, sent in ((home, ["face.png"]), (home / "id_rsa", [])):
        (scan / "scan.json").write_text(json.dumps({"clip": {"path": str(named)}}))
        spec = ConvertSpec(scan=str(scan), model=str(model), swaps=[], output=str(tmp_path / "out.mp4"))
        if not sent:
            with pytest.raises(UnderstudyError, match="cannot be read as footage"):
                inputs_of(spec, Places(project, {}).of)
            continue
        with pytest.raises(UnderstudyError, match=r"secret\.png is no picture"):  # it is not sent, and counts here
            inputs_of(spec, Places(project, {}).of)
        (home / "secret.png").unlink()
        wanted, _ = inputs_of(spec, Places(project, {}).of)
        assert [one.path.name for one in wanted] == sent
    other = project / "other"  # no folder of ours, but called a scan of the same footage
    other.mkdir()
    (other / "scan.json").write_text(json.dumps({"clip": {"path": str(home / "face.png")}}))
    (other / "x.bin").symlink_to(home / "id_rsa")
    shutil.rmtree(scan)
    looking = ScanSpec(clip=Clip(path=str(home / "face.png")), output=str(scan), project=str(project))
    with pytest.raises(UnderstudyError, match="leads out of the project"):
        job_bodies.run("scan", looking, Silent())
    assert not any("id_rsa" in place or "x.bin" in place for place in hostile.sent)


@pytest.mark.parametrize("name", ["person-9.jpg", "boxes.json", "notes.txt"])
def test_files_of_the_users_in_a_folder_that_is_no_scan_stay(hostile: Hostile, tmp_path: Path, name: str) -> None:
    """As they do where it is scanned here: asked before anything is sent, and before anything that came is written."""
    project, clip = tmp_path / "film.understudy", tmp_path / "clip.mp4"
    clip.write_bytes(b"mine")
    folder = project / "scans" / "shot"
    spec = ScanSpec(clip=Clip(path=str(clip)), output=str(folder), project=str(project))
    folder.mkdir(parents=True)
    (folder / name).write_bytes(b'["mine"]')
    hostile.listed = [f"scans/shot/{name}", "scans/shot/alignments.safetensors"]
    hostile.previews = [f"{ROOT}/scans/shot/{name}"]
    remote = chosen_remote()
    assert remote is not None
    for run in (lambda: job_bodies.run("scan", spec, Silent()), lambda: run_there(remote, "scan", spec, Silent())):
        with pytest.raises(UnderstudyError, match="holds something other than a scan"):
            run()
        assert [(path.name, path.read_bytes()) for path in folder.iterdir()] == [(name, b'["mine"]')]


def test_what_the_user_corrected_drew_and_named_stays(hostile: Hostile, tmp_path: Path) -> None:
    """Whatever is listed, and whatever the project says that came from there before."""
    project, clip = tmp_path / "film.understudy", tmp_path / "clip.mp4"
    clip.write_bytes(b"mine")
    mine = ["scans/shot/masks/000003.png", "scans/shot/edits.json", "people.safetensors"]
    for name in mine:
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        (project / name).write_bytes(b'{"people": "mine"}')
    scan = project / "scans" / "shot"
    spec = ScanSpec(clip=Clip(path=str(clip)), output=str(scan), project=str(project))
    for listed in ([*mine, "scans/shot/masks/000004.png"], [], ["scans/shot/boxes.json"]):
        hostile.listed = listed
        job_bodies.run("scan", spec, Silent())
        assert {name: (project / name).read_bytes() for name in mine} == dict.fromkeys(mine, b'{"people": "mine"}')
        assert sorted(one.name for one in (scan / "masks").iterdir()) == ["000003.png"]
        ledger = json.loads((project / ".remote.json").read_text())
        for name in mine:  # as if it had come from there
            status = (project / name).stat()
            stamp = [status.st_size, status.st_mtime_ns]
            ledger["files"][name] = {"stamp": stamp, "sha256": sha(b"mine"), "made_there": True}
        (project / ".remote.json").write_text(json.dumps(ledger))


@pytest.mark.skipif(bool(weights.missing()), reason="the face networks are not installed here")
def test_who_is_who_in_a_scan_is_said_here(
    hostile: Hostile, tmp_path: Path, astronaut_folder: Path, people_footage: dict[str, Path]
) -> None:
    """The other engine gives the only person another name, and a picture of its own choice."""
    project, clip = tmp_path / "film.understudy", people_footage["astronaut"]
    scan = project / "scans" / "shot"
    shutil.copytree(astronaut_folder, scan)
    edit_people(scan, [PeopleEdit(action="rename", persons=[0], name="Ann")], Silent(), project)
    before = (scan / "edits.json").read_bytes()
    there = f"{ROOT}/{Places(project, {}).of(clip)}"
    for name in ("scan.json", "alignments.safetensors", "boxes.json"):
        made = tmp_path / name
        if not rewrite(scan / name, made, lambda text: there if text == str(clip) else text):
            shutil.copy(scan / name, made)
        hostile.contents[f"scans/shot/{name}"] = made.read_bytes()
    summary = json.loads(hostile.contents["scans/shot/scan.json"])
    summary["people"][0] |= {"name": "Eve", "thumbnail": "person-7.jpg"}
    hostile.contents["scans/shot/scan.json"] = json.dumps(summary).encode()
    hostile.contents["scans/shot/edits.json"] = before.replace(b"Ann", b"Eve")
    hostile.listed = [*hostile.contents, "people.safetensors"]
    spec = ScanSpec(clip=Clip(path=str(clip)), output=str(scan), project=str(project))
    assert job_bodies.run("scan", spec, Silent())["people"] == 1
    (person,) = read_summary(scan).people
    assert (person.name, person.known, person.thumbnail) == ("Ann", True, "person-0.jpg")
    assert b"Eve" not in (scan / "edits.json").read_bytes() and list(gallery.known_people(project)) == ["Ann"]
    shutil.rmtree(scan)
    assert job_bodies.run("scan", spec, Silent())["people"] == 1
    assert [one.name for one in read_summary(scan).people] == ["Ann"]  # whom the project knows
    assert (scan / "person-0.jpg").read_bytes().startswith(b"\xff\xd8")


@pytest.mark.parametrize("others", [[], ["models/one/weights.safetensors"]], ids=["nothing", "another file"])
def test_what_was_sent_stays_here_whatever_is_listed(
    hostile: Hostile, tmp_path: Path, record_consent: Any, make_counter_picture: Any, others: list[str]
) -> None:
    """Another engine that lost its mirror, or never was one of ours, lists none of the model that it goes on from."""
    project = tmp_path / "film.understudy"
    model, scan = project / "models" / "one", project / "scans" / "shot"
    for folder in (model / "facesets", scan):
        folder.mkdir(parents=True)
    clip = tmp_path / "clip.png"
    cv2.imwrite(str(clip), make_counter_picture(1, 64, 64))
    (scan / "scan.json").write_text(json.dumps({"clip": {"path": str(clip)}}))
    card = b'{"identities": []}'
    mine = {
        model / "model.json": card,
        model / "facesets" / "0.faceset": b"faces",
        model / "notes.txt": b"my notes",
    }
    for path, data in mine.items():
        path.write_bytes(data)
    record_consent(project, "ann")
    hostile.listed = others
    spec = TrainSpec(
        identities=[Identity(name="ann", material=[Material(scan=str(scan), person=0)])],
        output=str(model),
        project=str(project),
    )
    with contextlib.suppress(UnderstudyError):
        job_bodies.run("train", spec, Silent())
    assert any(place.endswith("notes.txt") for place in hostile.sent)
    assert {path: path.read_bytes() for path in mine} == mine


def test_a_folder_that_a_link_leads_to_is_not_emptied(hostile: Hostile, tmp_path: Path) -> None:
    """What was to be sent is known by the project's own word, so nothing is made in its folder for that."""
    project, mine = tmp_path / "film.understudy", tmp_path / "mine"
    (mine / "out").mkdir(parents=True)
    (mine / "out" / "novel.txt").write_bytes(b"mine")
    project.mkdir()
    (project / ".incoming").symlink_to(mine)
    remote = chosen_remote()
    assert remote is not None
    link = Link(remote, raise_unreachable)
    try:
        exchange = Exchange(project, link)
        exchange.send([], [], lambda share, sentence: None)
    finally:
        link.close()
    assert (mine / "out" / "novel.txt").read_bytes() == b"mine"


SPOILED: list[dict[str, Any]] = [
    {"files": {"scans/shot/x": 3}},
    {"files": {"scans/shot/x": {"stamp": 1, "sha256": "0" * 64}}},
    {"files": {"scans/shot/x": {"stamp": [1, 2], "sha256": None}}},
    {"folders": {"ab": 3}},
    {"folders": {"ab": "/a\0b"}},
    {"jobs": {"x": "../../v1/remote"}},
    {"jobs": {"x": {"a": 1}}},
    {"key": "../x"},
]


@pytest.mark.parametrize("spoiled", SPOILED, ids=str)
def test_what_a_project_says_of_its_mirror_is_looked_at(
    hostile: Hostile, tmp_path: Path, spoiled: dict[str, Any]
) -> None:
    project = tmp_path / "film.understudy"
    project.mkdir()
    good = {
        "schema": 1, "project": str(project), "key": "ab" * 16, "id": "", "root": "", "folders": {"ab": "/x"},
        "files": {"scans/shot/x": {"stamp": [1, 2], "sha256": "0" * 64}}, "jobs": {"x": "ab" * 16},
    }  # fmt: skip
    remote = chosen_remote()
    assert remote is not None
    link = Link(remote, raise_unreachable)
    try:
        (project / ".remote.json").write_text(json.dumps(good))
        assert Exchange(project, link).path.endswith("ab" * 16)
        (project / ".remote.json").write_text(json.dumps({**good, **spoiled}))
        assert not Exchange(project, link).path.endswith("ab" * 16)
    finally:
        link.close()
