"""A recast strip's own fit: written when it is placed, keyed and driven as Blender does, sent when it is updated."""

from __future__ import annotations

import importlib
import json
import math
from pathlib import Path

import bpy
import flow
import pytest


@pytest.fixture
def strip_fit(addon):
    return importlib.import_module(f"{flow.EXTENSION}.addon.sequencer.strip_fit")


@pytest.fixture
def placed(scene, clips, engine, tick_until):
    def meanwhile():
        scene.understudy.fit.feather = 0.4  # the next one's

    return flow.placed_draft(scene, clips, engine, tick_until, meanwhile, feather=0.2)


@pytest.fixture
def update(addon, scene, tick_until):
    def run():
        assert bpy.ops.understudy.update() == {"FINISHED"}
        tick_until(lambda: flow.idle(scene))
        assert scene.understudy.error == ""
        return json.loads((Path(addon.protocol.home()) / "fake_convert.json").read_text())

    return run


def test_a_recast_has_the_fit_that_it_was_made_with(scene, placed, strip_fit, update):
    assert strip_fit.has_own(placed) and not strip_fit.is_changed(placed)
    assert placed.understudy_fit_feather == pytest.approx(0.2)
    placed.understudy_fit_regions_eyes = 0.25
    assert strip_fit.is_changed(placed)
    spec = update()
    assert spec["settings"]["feather"] == pytest.approx(0.2) and spec["curves"] == {}
    assert spec["settings"]["regions"] == [1, 1, 0.25, 1, 1, 1]
    assert not strip_fit.is_changed(placed)


def test_keyframes_are_sent_as_curves_of_the_source(scene, placed, strip_fit, update):
    for frame, value in ((20, 1.0), (30, 0.0)):
        placed.understudy_fit_amount = value
        placed.keyframe_insert("understudy_fit_amount", frame=frame)
    for frame, value in ((20, "mkl"), (25, "none")):
        placed.understudy_fit_colour = value
        placed.keyframe_insert("understudy_fit_colour", frame=frame)
    assert strip_fit.is_changed(placed)
    scene.frame_set(22)
    spec = update()
    assert scene.frame_current == 22
    amount = spec["curves"]["amount"]
    assert amount[0] == [10, 1.0] and [20, 0.0] in amount and amount[-1] == [29, 0.0]
    assert not any(20 < frame < 29 for frame, _ in amount)  # a straight run has its ends alone
    values = [value for _, value in amount]
    assert values == sorted(values, reverse=True) and len(amount) > 5  # Blender's curve is no straight line
    assert spec["curves"]["colour"] == [[10, "mkl"], [15, "none"], [29, "none"]]
    assert not strip_fit.is_changed(placed)
    (curve,) = [c for name, c in strip_fit._curves(placed) if name == "amount"]
    curve.keyframe_points[1].co[1] = 0.5
    assert strip_fit.is_changed(placed)


def test_each_piece_of_a_cut_recast_has_its_own(scene, placed, strip_fit, update):
    second = placed.split(frame=30, split_method="SOFT")
    assert strip_fit.has_own(second) and not strip_fit.is_changed(second)
    second.understudy_fit_amount = 0.3
    assert strip_fit.is_changed(second) and not strip_fit.is_changed(placed)
    spec = update()
    assert spec["curves"] == {"amount": [[10, 1.0], [19, 1.0], [20, 0.3], [29, 0.3]]}
    assert not strip_fit.is_changed(second) and not strip_fit.is_changed(placed)


def test_a_driver_is_followed_frame_by_frame(scene, placed, update):
    driver = placed.driver_add("understudy_fit_feather").driver
    driver.expression = "frame / 100"
    scene.frame_set(33)
    spec = update()
    assert scene.frame_current == 33
    assert spec["curves"]["feather"] == [[10, pytest.approx(0.2)], [29, pytest.approx(0.39)]]


def test_values_beyond_their_limits_are_held_within(scene, placed, update):
    placed.keyframe_insert("understudy_fit_amount", frame=20)
    (curve,) = [c for bag in _bags(scene) for c in bag if c.data_path.endswith("understudy_fit_amount")]
    curve.keyframe_points[0].co[1] = 7.0
    curve.keyframe_points.insert(30, -7.0)
    amount = update()["curves"]["amount"]
    assert (amount[0][1], amount[-1][1]) == (1.0, 0.0)
    assert all(0 <= value <= 1 and math.isfinite(value) for _, value in amount)


def _bags(scene):
    action = scene.animation_data.action
    if hasattr(action, "fcurves"):
        return [action.fcurves]
    return [bag.fcurves for layer in action.layers for part in layer.strips for bag in part.channelbags]


def test_the_preview_shows_the_strips_fit_at_the_playhead(addon, scene, placed):
    for frame, value in ((20, 1.0), (30, 0.0)):
        placed.understudy_fit_amount = value
        placed.keyframe_insert("understudy_fit_amount", frame=frame)
    scene.frame_set(30)
    view = bpy.context.window_manager.understudy
    spec = addon.preview.spec_for(scene.understudy, view, 20, 64)
    assert spec.settings.amount == 0 and spec.settings.feather == pytest.approx(0.2)
    for strip in scene.sequence_editor.strips:
        strip.select = strip.name == "shot"
    scene.sequence_editor.active_strip = scene.sequence_editor.strips["shot"]
    scene.frame_set(50)
    spec = addon.preview.spec_for(scene.understudy, view, 20, 64)
    assert spec.settings.amount == 1 and spec.settings.feather == pytest.approx(0.4)


def test_a_recast_of_an_older_add_on_is_updated_with_the_scenes_fit(scene, placed, strip_fit, update):
    del placed["understudy"][strip_fit.SIGNATURE]
    assert not strip_fit.has_own(placed) and not strip_fit.is_changed(placed)
    assert update()["settings"]["feather"] == pytest.approx(0.4)
    assert strip_fit.has_own(placed) and placed.understudy_fit_feather == pytest.approx(0.4)


def test_settings_that_a_later_version_has_change_no_fit(placed, strip_fit, monkeypatch):
    strip = placed
    group = strip_fit.settings_group
    every = group.properties_of
    now = strip_fit.signature(strip)
    monkeypatch.setattr(
        group, "properties_of", lambda kind: {n: p for n, p in every(kind).items() if n != "spectacles"}
    )
    assert strip_fit.signature(strip) == now  # an add-on that knew nothing of spectacles
    monkeypatch.undo()
    strip.understudy_fit_spectacles = "wear"
    assert strip_fit.signature(strip) != now and strip_fit.is_changed(strip)


@pytest.mark.parametrize("fit", [None, "", "{", "[]", '{"feather": "wide"}', '{"feather": 9}', 3])
def test_a_fit_that_is_none_is_not_written(placed, strip_fit, fit):
    before = strip_fit.signature(placed)
    strip_fit.give(placed, fit)
    assert strip_fit.signature(placed) == before


def test_a_recast_of_a_recast_takes_over_no_keys_of_its_fit(scene, placed, strip_fit):
    animation = importlib.import_module(f"{flow.EXTENSION}.addon.sequencer.strip_animation")
    placed.keyframe_insert("understudy_fit_amount", frame=20)
    placed.keyframe_insert("blend_alpha", frame=20)
    other = scene.sequence_editor.strips.new_movie("other", placed.filepath, 9, 60)
    animation.copy(scene, other, placed)
    paths = {
        curve.data_path.rpartition(".")[2] for bag in _bags(scene) for curve in bag if '"other"' in curve.data_path
    }
    assert paths == {"blend_alpha"}
