"""Doubtful frames of a recast: found by the engine, gone through with the playhead, ticked, marked on the timeline."""

from __future__ import annotations

import importlib

import bpy
import flow
import pytest

FOUND = [
    {"frame": 25, "start": 24, "end": 28, "person": 0, "cause": "gaze", "score": 3.0, "causes": {"gaze": 3.0}},
    {"frame": 12, "start": 12, "end": 13, "person": 0, "cause": "flicker", "score": 2.0, "causes": {"flicker": 2.0}},
    {"frame": 18, "start": 17, "end": 20, "person": 0, "cause": "profile", "score": 1.1, "causes": {"profile": 1.1}},
]


@pytest.fixture
def doubts(addon):
    return importlib.import_module(f"{flow.EXTENSION}.addon.state.doubts")


@pytest.fixture
def placed(scene, clips, engine, tick_until):
    return flow.placed_draft(scene, clips, engine, tick_until)


def known(scene, doubts, placed):
    return [(one.frame, one.cause, one.seen) for one in doubts.of(scene.understudy, placed["understudy"]["job"])]


def test_what_the_engine_finds_is_gone_through_worst_first(scene, engine, tick_until, placed, doubts):
    engine.script(doubtful=FOUND)
    assert bpy.ops.understudy.review() == {"FINISHED"}
    tick_until(lambda: flow.idle(scene))
    assert scene.understudy.error == ""
    assert known(scene, doubts, placed) == [(25, "gaze", False), (12, "flicker", False), (18, "profile", False)]
    went = []
    for step in (1, 1, 1, 1, -1):
        assert bpy.ops.understudy.doubt_step(step=step) == {"FINISHED"}
        went.append(scene.frame_current)
    assert went == [35, 22, 28, 35, 28]  # the timeline shows the source ten frames later
    doubts.of(scene.understudy, placed["understudy"]["job"])[1].seen = True
    scene.frame_set(35)
    bpy.ops.understudy.doubt_step(step=1)
    assert scene.frame_current == 28  # what was looked at is passed over
    assert bpy.ops.understudy.review() == {"FINISHED"}
    tick_until(lambda: flow.idle(scene))
    assert known(scene, doubts, placed)[1] == (12, "flicker", True)


def test_markers_stand_at_them_and_go_again(scene, placed, doubts):
    doubts.keep(scene.understudy, placed["understudy"]["job"], FOUND)
    scene.timeline_markers.new("mine", frame=22)
    assert bpy.ops.understudy.doubt_markers() == {"FINISHED"}
    assert sorted((m.frame, m.name) for m in scene.timeline_markers) == [
        (22, "? Changes more than the footage does"),
        (22, "mine"),
        (28, "? Turned far aside"),
        (35, "? The eyes do not do what the footage's do"),
    ]
    assert bpy.ops.understudy.doubt_markers() == {"FINISHED"}
    assert [m.name for m in scene.timeline_markers] == ["mine"]


@pytest.mark.parametrize("told", [{}, {"frame": 1}, {**FOUND[0], "cause": "dull"}, {**FOUND[0], "frame": "1"}, 3, None])
def test_what_is_no_doubtful_frame_is_not_kept(scene, placed, doubts, told):
    doubts.keep(scene.understudy, "a job", [told, FOUND[0]])
    assert [one.frame for one in doubts.of(scene.understudy, "a job")] == [25]


def test_nothing_to_go_to_is_said(scene, placed, doubts):
    with pytest.raises(RuntimeError, match="first"):
        bpy.ops.understudy.doubt_step(step=1)
    doubts.keep(scene.understudy, placed["understudy"]["job"], [{**one, "frame": 500} for one in FOUND])
    with pytest.raises(RuntimeError, match="looked at"):
        bpy.ops.understudy.doubt_step(step=1)
