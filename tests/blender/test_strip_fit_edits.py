"""A recast's own fit after what editors do to strips: pulled handles, cuts, moves, deletions, other scenes."""

from __future__ import annotations

import bpy
import flow
import pytest
from test_strip_fit import strip_fit as strip_fit
from test_strip_fit import update as update


@pytest.fixture
def placed(scene, clips, engine, tick_until):
    return flow.placed_draft(scene, clips, engine, tick_until, feather=0.2)


def keyed(strip, *points, name="amount"):
    for frame, value in points:
        setattr(strip, f"understudy_fit_{name}", value)
        strip.keyframe_insert(f"understudy_fit_{name}", frame=frame)


def curve_of(strip_fit, strip, name="amount"):
    return next(curve for its, curve in strip_fit._curves(strip) if its == name)


def handles(addon, strip, left, right):
    addon.compat.set_span(strip, left, right)


def test_handles_pulled_past_the_footage_hold_its_ends(addon, scene, placed, strip_fit, update):
    keyed(placed, (15, 1.0), (20, 0.5), (39, 0.5), (45, 0.0))
    handles(addon, placed, 15, 46)
    about = addon.placing.about_of(placed)
    shown = dict(strip_fit.frames_shown(scene, placed, about))
    assert sorted(shown) == list(range(15, 46))
    assert [shown[frame] for frame in (15, 19, 20, 39, 40, 45)] == [10, 10, 10, 29, 29, 29]
    for frame in (15, 45):  # where the doubtful frames' arrows ask
        assert len(list(strip_fit.frames_shown(scene, placed, about, frame))) == 1
    spec = update()  # each frame is made as its own place has it, not the held one
    assert spec["curves"] == {} and spec["settings"]["amount"] == pytest.approx(0.5)


def test_only_held_frames_are_made_as_they_are_held(addon, scene, placed, update):
    keyed(placed, (10, 0.25), (20, 1.0))
    handles(addon, placed, 10, 13)
    spec = update()
    assert spec["curves"] == {} and spec["settings"]["amount"] <= 0.5


def test_both_halves_of_a_cut_are_driven(scene, placed, strip_fit, update):
    placed.driver_add("understudy_fit_feather").driver.expression = "frame / 100"
    scene.frame_set(25)
    second = placed.split(frame=30, split_method="SOFT")
    assert {name for name, _ in strip_fit._drivers(second)} == {"feather"}
    spec = update()
    assert spec["curves"]["feather"] == [[10, pytest.approx(0.2)], [29, pytest.approx(0.39)]]


def test_a_driver_works_in_a_scene_that_no_window_shows(addon, placed, strip_fit, scene):
    about = addon.placing.about_of(placed)
    record = dict(placed["understudy"].items())
    other = bpy.data.scenes.new("elsewhere")
    try:
        other.sequence_editor_create()
        strip = other.sequence_editor.strips.new_movie("again", placed.filepath, 3, 20)
        strip["understudy"] = record
        driver = strip.driver_add("understudy_fit_feather").driver
        driver.expression = "frame / 100"
        other.frame_set(5)
        values = dict(strip_fit._sampled(other, strip, about))
        assert values[10]["feather"] == pytest.approx(0.2) and values[15]["feather"] == pytest.approx(0.25)
        assert other.frame_current == 5
        other.frame_set(33)
        assert strip_fit.settings_now(strip).feather == pytest.approx(0.33)
    finally:
        bpy.data.scenes.remove(other)


@pytest.mark.parametrize("how", ["keys", "driver"])
@pytest.mark.parametrize("by", ["Remove", "Blender"])
def test_a_deleted_recast_leaves_nothing_to_the_next_of_its_name(
    addon, scene, placed, strip_fit, clips, engine, tick_until, how, by
):
    name = placed.name
    if how == "keys":
        keyed(placed, (20, 1.0), (30, 0.0))
    else:
        placed.driver_add("understudy_fit_amount").driver.expression = "0.1"
    if by == "Remove":
        addon.placing.remove(scene, placed)
    else:
        scene.sequence_editor.strips.remove(placed)
    for strip in scene.sequence_editor.strips:
        strip.select = strip.name == "shot"
    scene.sequence_editor.active_strip = scene.sequence_editor.strips["shot"]
    assert bpy.ops.understudy.convert(draft=True) == {"FINISHED"}
    tick_until(lambda: flow.idle(scene))
    (again,) = flow.placed(scene)
    scene.frame_set(33)
    assert again.name == name and again.understudy_fit_amount == 1
    assert not list(strip_fit._curves(again)) and not list(strip_fit._drivers(again))
    assert not strip_fit.is_changed(again)


def test_a_move_changes_nothing_and_a_slip_does(addon, scene, placed, strip_fit, update):
    keyed(placed, (20, 1.0), (30, 0.0))
    update()
    assert not strip_fit.is_changed(placed)
    for by in (7, -20, 13):
        name = "content_start" if "content_start" in placed.bl_rna.properties else "frame_start"
        setattr(placed, name, getattr(placed, name) + by)
        assert not strip_fit.is_changed(placed)
    handles(addon, placed, 22, 35)
    assert not strip_fit.is_changed(placed)
    curve = curve_of(strip_fit, placed)
    for point in curve.keyframe_points:
        point.co[0] += 3
    assert strip_fit.is_changed(placed)


def set_interpolation(curve):
    curve.keyframe_points[0].interpolation = "LINEAR"


def set_easing(curve):
    curve.keyframe_points[0].easing = "EASE_OUT"


def move_handle(curve):
    curve.keyframe_points[0].handle_right_type = "FREE"
    curve.keyframe_points[0].handle_right = (26, 0.1)


def extrapolate(curve):
    curve.extrapolation = "LINEAR"


def add_modifier(curve):
    curve.modifiers.new("NOISE")


def mute(curve):
    curve.mute = True


@pytest.mark.parametrize("edit", [set_interpolation, set_easing, move_handle, extrapolate, add_modifier, mute])
def test_what_shapes_a_curve_is_a_change(placed, strip_fit, update, edit):
    keyed(placed, (20, 1.0), (30, 0.0))
    update()
    assert not strip_fit.is_changed(placed)
    edit(curve_of(strip_fit, placed))
    assert strip_fit.is_changed(placed)


def test_a_modifiers_setting_and_a_drivers_variable_are_changes(scene, placed, strip_fit, update):
    keyed(placed, (20, 1.0), (30, 0.0))
    noise = curve_of(strip_fit, placed).modifiers.new("NOISE")
    driver = placed.driver_add("understudy_fit_feather").driver
    variable = driver.variables.new()
    variable.name, variable.targets[0].id_type = "size", "SCENE"
    variable.targets[0].id, variable.targets[0].data_path = scene, "render.resolution_x"
    driver.expression = "size / 10000"
    update()
    assert not strip_fit.is_changed(placed)
    noise.strength = 3.0
    assert strip_fit.is_changed(placed)
    update()
    assert not strip_fit.is_changed(placed)
    variable.targets[0].data_path = "render.resolution_y"
    assert strip_fit.is_changed(placed)


def test_the_preview_shows_the_piece_at_the_playhead(addon, scene, placed):
    second = placed.split(frame=30, split_method="SOFT")
    second.understudy_fit_amount = 0.3
    placed.select, second.select = True, False
    scene.sequence_editor.active_strip = placed
    view = bpy.context.window_manager.understudy
    seen = []
    for frame in (25, 35):
        scene.frame_set(frame)
        seen.append(addon.preview.spec_for(scene.understudy, view, frame - 10, 64).settings.amount)
    assert seen == [1.0, pytest.approx(0.3)]
