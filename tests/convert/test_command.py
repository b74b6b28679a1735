"""`understudy convert`: settings by name, and a result made again."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from understudy.engine.commands.arguments import read_settings, settings_manual
from understudy.engine.convert.convert_settings import load_settings
from understudy.engine.errors import DataError, UnderstudyError
from understudy.engine.media.partial_output import settings_file
from understudy.engine.media.reader import read_frames
from understudy.engine.model.model_folder import prepare
from understudy.engine.protocol import ConvertSettings, Identity, Material
from understudy.engine.reporter import Silent


def test_settings_are_read_over_others() -> None:
    base = ConvertSettings(colour="none", shape=0.2)
    read = read_settings(["erode=0,0.1,0,0.05", "match_grain=false", "blend=seamless", "feather=0.2"], base)
    expected = ConvertSettings(
        colour="none", shape=0.2, erode=[0.0, 0.1, 0.0, 0.05], match_grain=False, blend="seamless", feather=0.2
    )
    assert read == expected
    for name in expected.__dict__:
        assert name == "mark_reason" or f"  {name} " in settings_manual(ConvertSettings)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("feather", "not NAME=VALUE"),
        ("sharp=1", "not NAME=VALUE"),
        ("feather=wide", "wants a number"),
        ("mark=maybe", "true or false"),
        ("erode=1;2", "commas"),
        ("colour=red", "must be one of"),
    ],
)
def test_settings_that_cannot_be_read_are_named(text: str, words: str) -> None:
    with pytest.raises(UnderstudyError, match=words):
        read_settings([text], ConvertSettings())


def test_a_result_is_made_again_like_it_was(run: Any, carphone_folder: Path, astronaut_folder: Path) -> None:
    material = [Material(scan=str(astronaut_folder), person=0)]
    prepare(Path("model"), [Identity(name="woman", material=material)], "draft", Silent())
    consent = ["--consent", "woman=Eileen Collins:test footage", "--consent", "man=A Man:test footage"]
    words = ["--model", "model", "--swap", "0:man=woman", "--start", "3", "--end", "9", "--format", "ffv1"]
    said = ["--set", "colour=reinhard", "--set", "feather=0.15"]
    said += ["--set", "mark=false", "--set", "mark_reason=two results are compared"]  # each would carry its own number
    code, answer, _ = run("convert", carphone_folder, *words, *said, "-o", "a/shot.mkv", *consent)
    assert code == 0 and answer["frames"] == 6
    expected = ConvertSettings(colour="reinhard", feather=0.15, mark=False, mark_reason="two results are compared")
    assert load_settings(Path("a/shot.mkv")).settings == expected
    code, answer, _ = run("convert", "--like", "a/shot.mkv", "-o", "b/shot.mkv")
    assert code == 0 and answer["frames"] == 6
    first, second = ([f.rgb for f in read_frames(Path(p))] for p in ("a/shot.mkv", "b/shot.mkv"))
    assert all((x == y).all() for x, y in zip(first, second, strict=True))
    code, _, _ = run("convert", "--like", "a/shot.mkv", "--set", "colour=none", "-o", "c/shot.mkv")
    assert code == 0 and load_settings(Path("c/shot.mkv")).settings == replace(expected, colour="none")
    code, answer, _ = run("convert", "-o", "d.mp4")
    assert code == 2 and "SCAN_DIR is missing" in answer["error"]
    settings_file(Path("a/shot.mkv")).write_text(json.dumps({"convert": {"scan": 3}}))
    with pytest.raises(DataError, match="damaged"):
        load_settings(Path("a/shot.mkv"))
