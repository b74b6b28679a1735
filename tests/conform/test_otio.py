"""Edits as OpenTimelineIO has them: recasts that are asked for in them, and recasts marked and used in them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import opentimelineio as otio
import pytest
from opentimelineio.opentime import RationalTime, TimeRange
from understudy.engine import cli
from understudy.engine.conform.edit import read_edit
from understudy.engine.conform.marks import KEY, mark_recasts, wanted_recasts
from understudy.engine.errors import DataError
from understudy.engine.provenance.recasts import FOLDER, Cast, Recast
from understudy.engine.provenance.records import keep_record


def span(start: float, count: float, rate: float = 24) -> TimeRange:
    return TimeRange(RationalTime(start, rate), RationalTime(count, rate))


def clip(name: str, path: Path | str, shown: TimeRange, whole: TimeRange, **facts: Any) -> otio.schema.Clip:
    media = otio.schema.ExternalReference(target_url=str(path), available_range=whole)
    return otio.schema.Clip(name=name, media_reference=media, source_range=shown, **facts)


def marker(name: str, of: TimeRange) -> otio.schema.Marker:
    return otio.schema.Marker(name=name, marked_range=of)


def edit_of(*clips: otio.schema.Item, rate: float = 24) -> otio.schema.Timeline:
    edit = otio.schema.Timeline("cut", global_start_time=RationalTime(0, rate))
    edit.tracks.append(otio.schema.Track("V1", kind="Video"))
    edit.tracks[0].extend(clips)
    return edit


def recast(source: Path, output: Path, start: int, end: int, number: int = 1) -> Recast:
    return Recast(
        id=f"{number:016x}", date="2026-12-01", output=str(output), output_sha256="ab", source=str(source),
        source_sha256="cd", start=start, end=end, frames=end - start, recast=end - start, model="m", model_sha256="",
        cast=[Cast(person=0, identity="Ann", target="Bob", identity_person="Ann Example", target_person="Bob Example")],
    )  # fmt: skip


@pytest.mark.parametrize("rate", [24.0, 25.0, 30000 / 1001])
def test_markers_ask_for_recasts_of_the_frames_that_they_span(tmp_path: Path, rate: float) -> None:
    """The second clip's media begins at one hour, as a camera's does; the edit shows frames 48 to 95 of it."""
    hour = 3600 * round(rate)
    first = clip("one", tmp_path / "one.mov", span(10, 50, rate), span(0, 200, rate))
    first.markers.append(marker("Recast: Bob = Ann", span(20, 12, rate)))
    second = clip("two", (tmp_path / "two.mov").as_uri(), span(hour + 48, 48, rate), span(hour, 500, rate))
    second.markers.append(marker("RECAST", span(hour + 50, 0, rate)))
    second.markers.append(marker("grade this", span(hour + 50, 4, rate)))
    edit = edit_of(first, second, rate=rate)
    edit.tracks.markers.append(marker("recast - Mia", span(55, 10, rate)))  # over the cut at 50
    found = wanted_recasts(edit, tmp_path)
    assert [(Path(one.footage).name, one.start, one.end, one.at, one.target, one.identity) for one in found] == [
        ("one.mov", 20, 32, 10, "Bob", "Ann"),
        ("two.mov", 48, 96, 50, "", ""),
        ("two.mov", 53, 63, 55, "", "Mia"),
    ]
    assert all(one.rate == rate for one in found)


def test_what_lies_above_is_asked_for_and_other_rates_are_counted_in_their_own(tmp_path: Path) -> None:
    edit = edit_of(clip("low", tmp_path / "low.mov", span(0, 100), span(0, 100)))
    edit.tracks.append(otio.schema.Track("V2", kind="Video"))
    edit.tracks[1].append(otio.schema.Gap(source_range=span(0, 40)))
    edit.tracks[1].append(clip("high", tmp_path / "high.mov", span(0, 40, 48), span(0, 400, 48)))  # 20 of the edit's
    edit.tracks.markers.append(marker("Recast: Ann", span(30, 40)))
    found = [(Path(one.footage).name, one.start, one.end, one.at) for one in wanted_recasts(edit, tmp_path)]
    assert found == [("low.mov", 30, 40, 30), ("high.mov", 0, 40, 40), ("low.mov", 60, 70, 60)]
    edit.tracks[1].enabled = False
    found = [(Path(one.footage).name, one.start, one.end, one.at) for one in wanted_recasts(edit, tmp_path)]
    assert found == [("low.mov", 30, 70, 30)]


def test_recasts_are_marked_and_used_and_a_second_run_changes_nothing(tmp_path: Path) -> None:
    one, two = tmp_path / "one.mov", tmp_path / "one recast.mov"
    edit = edit_of(
        clip("a", one, span(86400 + 10, 50), span(86400, 200)),
        clip("b", tmp_path / "other.mov", span(0, 10), span(0, 10)),
        clip("c", one, span(86400 + 30, 10), span(86400, 200)),
    )
    made = [recast(one, tmp_path / "old.mov", 0, 45, 1), recast(one, two, 20, 40, 2)]
    plain = edit.deepcopy()
    assert mark_recasts(plain, tmp_path, made, use=False) == (2, [])
    marks = [[(m.name, m.marked_range) for m in one.markers] for one in plain.find_clips()]
    assert marks == [
        [("Recast: Bob = Ann", span(86400 + a, n)) for a, n in ((10, 10), (20, 20), (40, 5))],
        [],
        [("Recast: Bob = Ann", span(86400 + 30, 10))],
    ]
    facts = plain.tracks[0][0].markers[1].metadata[KEY]
    assert facts["file"] == str(two) and list(facts["frames"]) == [20, 40]
    assert "Example" not in plain.to_json_string()  # who consented stays in the project
    again = plain.deepcopy()
    mark_recasts(again, tmp_path, made, use=False)
    assert again.to_json_string() == plain.to_json_string()
    assert mark_recasts(edit, tmp_path, made, use=True) == (2, [])
    shown = [
        (Path(c.media_reference.target_url).name, c.trimmed_range().start_time.value - 86400, c.duration().value)
        for c in edit.find_clips()
        if c.name != "b"
    ]
    assert shown == [
        ("old.mov", 10, 10), ("one%20recast.mov", 20, 20), ("old.mov", 40, 5), ("one.mov", 45, 15),
        ("one%20recast.mov", 30, 10),
    ]  # fmt: skip
    assert edit.duration() == plain.duration()
    assert [len(c.markers) for c in edit.find_clips()] == [1, 1, 1, 0, 0, 1]  # each of its own frames
    recast_clip = edit.tracks[0][1]
    assert Path(recast_clip.media_references()["DEFAULT_MEDIA"].target_url).name == "one.mov"
    assert recast_clip.available_range() == span(86400 + 20, 20)


def test_retimed_clips_are_marked_and_stay(tmp_path: Path) -> None:
    fast = clip("fast", tmp_path / "one.mov", span(0, 20), span(0, 200))
    fast.effects.append(otio.schema.LinearTimeWarp(time_scalar=2.0))
    backwards = clip("back", tmp_path / "one.mov", span(0, 20), span(0, 200))
    backwards.effects.append(otio.schema.LinearTimeWarp(time_scalar=-1.0))
    edit = edit_of(fast, backwards)
    count, told = mark_recasts(edit, tmp_path, [recast(tmp_path / "one.mov", tmp_path / "r.mov", 30, 60)], use=True)
    assert count == 1 and len(told) == 1 and "fast" in told[0]
    assert [m.marked_range for m in edit.tracks[0][0].markers] == [span(30, 10)]  # of its forty frames
    assert not edit.tracks[0][1].markers and len(edit.tracks[0]) == 2


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"OTIO_SCHEMA": "Clip.2", "name": "x"}',
        "{" * 5000,
        "\0",
        '{"OTIO_SCHEMA": "Timeline.1", "tracks": 3}',
    ],
)
def test_what_is_no_edit_is_refused_in_a_sentence(tmp_path: Path, text: str) -> None:
    (tmp_path / "cut.otio").write_text(text)
    with pytest.raises(DataError):
        read_edit(tmp_path / "cut.otio")


def test_the_commands(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    project, source = tmp_path / "film.understudy", tmp_path / "one.mov"
    (tmp_path / "r.mov").write_bytes(b"recast")
    keep_record(project / FOLDER, recast(source, tmp_path / "r.mov", 5, 15))
    keep_record(project / FOLDER, recast(source, tmp_path / "gone.mov", 0, 30, 2))
    shown = clip("a", source.name, span(0, 20), span(0, 30))
    shown.markers.append(marker("Recast: Ann", span(0, 0)))
    path, output = tmp_path / "cut.otio", tmp_path / "out.otio"
    otio.adapters.write_to_file(edit_of(shown), str(path))
    assert cli.execute(["otio", "wanted", str(path), "--json"]) == 0
    (wanted,) = json.loads(capsys.readouterr().out.splitlines()[-1])["wanted"]
    assert (wanted["footage"], wanted["start"], wanted["end"], wanted["identity"]) == (str(source), 0, 20, "Ann")
    mark = ["otio", "mark", str(path), "--project", str(project), "-o", str(output), "--use"]
    assert cli.execute(mark) == 0
    assert "1 recasts are no longer" in capsys.readouterr().out
    made = otio.adapters.read_from_file(str(output))
    assert [Path(c.media_reference.target_url).name for c in made.find_clips()] == ["one.mov", "r.mov", "one.mov"]
    assert cli.execute(mark) == 1 and "exists" in capsys.readouterr().err
    assert cli.execute([*mark, "--overwrite"]) == 0
    own = tmp_path / "own.otio"
    otio.adapters.write_to_file(edit_of(shown), str(own))
    assert cli.execute([*mark[:-2], str(own), "--use", "--overwrite"]) == 1  # somebody's edit
    assert cli.execute([*mark[:-2], str(path), "--use", "--overwrite"]) == 1  # the edit itself is never written over
    assert cli.execute(["otio", "wanted", str(tmp_path / "none.otio")]) == 6
