"""A .blend and a project folder of somebody else, spoiled at random: they open, draw, tick and save without an
exception, and nothing beside them is opened, written, moved or removed."""

from __future__ import annotations

import importlib
import random
import shutil
import sys
from pathlib import Path

import bpy
import flow
import pytest
from test_jobs import reopen
from test_panels import draw  # noqa: F401

ROOT = Path(__file__).resolve().parents[2]
ROUNDS, SEED = 40, 15


@pytest.fixture
def fuzz(monkeypatch):
    """The fuzzer of the command line, whose spoiling and watching is used here."""
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    return importlib.import_module("project_fuzz")


def groups(group):
    """A property group and all those in it."""
    yield group
    for prop in group.bl_rna.properties:
        if prop.identifier == "rna_type":
            continue
        value = getattr(group, prop.identifier)
        if prop.type == "POINTER" and value is not None:
            yield from groups(value)
        elif prop.type == "COLLECTION":
            for one in value:
                yield from groups(one)


def spoil_state(addon, state, hostile, rng):
    """Set a text or number of a scene's state to something hostile, as a file could hold it; says what."""
    places = [
        (group, prop)
        for group in groups(state)
        for prop in group.bl_rna.properties
        if prop.type in {"STRING", "INT"} and not getattr(prop, "is_array", False) and not prop.is_readonly
    ]
    group, prop = rng.choice(places)
    fitting = [value for value in hostile if isinstance(value, str) == (prop.type == "STRING")]
    value = rng.choice(fitting)
    with addon.hooks.quiet():
        try:
            setattr(group, prop.identifier, value)
        except (UnicodeEncodeError, ValueError, TypeError, OverflowError):
            return "nothing"
    return f"{type(group).__name__}.{prop.identifier} = {value!r:.60}"


def spoil_record(scene, hostile, rng):
    """Set or remove something that a recast's strip remembers; says what."""
    record = rng.choice(flow.placed(scene))["understudy"]
    key = rng.choice(sorted(record.keys()))
    if rng.random() < 0.3:
        del record[key]
        return f"a recast without {key}"
    record[key] = value = rng.choice(hostile)
    return f"a recast whose {key} = {value!r:.60}"


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="watches by inotify, which only Linux has")
def test_a_spoiled_blend_and_project_open(addon, scene, clips, engine, tick_until, tmp_path, capfd, fuzz, draw):  # noqa: F811
    engine.script(movie=str(clips.recast))
    flow.ready_to_convert(scene, clips, tick_until)
    bpy.ops.understudy.train()
    tick_until(lambda: flow.idle(scene))
    bpy.ops.understudy.convert(draft=True)
    tick_until(lambda: flow.idle(scene))
    clean, outside = tmp_path / "clean", tmp_path / "outside"
    clean.mkdir()
    outside.mkdir()
    bpy.ops.wm.save_as_mainfile(filepath=str(clean / "film.blend"))
    assert (clean / "film.understudy").is_dir()
    for name in ("canary.txt", ".hidden"):
        (outside / name).write_text("nobody named this")
    rng = random.Random(SEED)
    texts = [
        "{",
        "[]",
        "null",
        '{"swaps": 3}',
        "[[1]]",
        '{"then": [], "after": {}}',
        "..",
        "/",
        "x",
        "\x1b[2J",
        "a" * 500,
    ]
    texts += [str(outside), str(outside / "canary.txt"), "//../outside/canary.txt", "//../outside", "../../outside"]
    hostile = [*texts, -1, 0, 2**31 - 1, -(2**31)]
    for number in range(ROUNDS):
        bpy.ops.wm.read_homefile(use_factory_startup=True, use_empty=True)
        trial = tmp_path / "trial"
        shutil.rmtree(trial, ignore_errors=True)
        shutil.copytree(clean, trial, symlinks=True)
        scene = reopen(trial / "film.blend")
        how = [spoil_state(addon, scene.understudy, hostile, rng) for _ in range(rng.randint(1, 4))]
        how += [spoil_record(scene, hostile, rng) for _ in range(rng.randint(0, 2))]
        bpy.ops.wm.save_mainfile(filepath=str(trial / "film.blend"))
        how += [fuzz.spoil(trial / "film.understudy", outside, rng) for _ in range(rng.randint(0, 2))]
        capfd.readouterr()
        with fuzz.watching(outside) as events:
            scene = reopen(trial / "film.blend")
            addon.consent_records.look_again()
            draw()
            scene.sequence_editor.active_strip = next(iter(flow.placed(scene)), None)
            draw()
            for _ in range(5):
                addon.jobs.tick()
            bpy.ops.wm.save_mainfile(filepath=str(trial / "film.blend"))
            happened = events()
        said = "".join(capfd.readouterr())
        assert "Traceback" not in said and "Error" not in said, (number, how, said)
        assert not happened, (number, how, happened)
    assert (outside / "canary.txt").read_text() == "nobody named this"
    assert sorted(path.name for path in outside.iterdir()) == [".hidden", "canary.txt"]
