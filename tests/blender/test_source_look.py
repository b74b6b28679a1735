"""What is changed on a source after its recast was placed: told, and taken over."""

from __future__ import annotations

import bpy
import flow
import pytest
from test_edits import choose, cut
from test_takes import ready as ready
from test_takes import recast as recast


@pytest.fixture
def pair(scene, clips, ready, recast):
    source = ready(flow.add_shot(scene, clips))
    source.modifiers.new("Bright", "BRIGHT_CONTRAST").bright = 5.0
    return source, recast(draft=True)


def test_a_change_of_the_source_is_told_and_taken_over(addon, scene, pair):
    source, strip = pair
    changed = addon.source_look.changed
    assert changed(scene, strip, source) == set()
    strip.blend_alpha = 0.5  # the recast's own
    assert changed(scene, strip, source) == set()
    source.transform.offset_x, source.color_saturation, source.modifiers[0].bright = 40, 0.25, 9.0
    source.modifiers.new("Curves", "CURVES")
    assert changed(scene, strip, source) == {"place", "blend", "grade"}
    scene.sequence_editor.active_strip = strip
    assert bpy.ops.understudy.follow_source() == {"FINISHED"}
    assert changed(scene, strip, source) == set()
    assert (strip.transform.offset_x, strip.color_saturation, strip.blend_alpha) == (40, 0.25, 0.5)
    assert [(one.name, one.type) for one in strip.modifiers] == [("Bright", "BRIGHT_CONTRAST"), ("Curves", "CURVES")]
    assert strip.modifiers[0].bright == 9.0
    curve = source.modifiers[1].curve_mapping.curves[0]
    curve.points[0].location[1] = 0.3
    assert changed(scene, strip, source) == {"grade"}


def test_another_speed_asks_for_another_recast(addon, scene, pair):
    source, strip = pair
    source.use_reverse_frames = True
    assert addon.source_look.changed(scene, strip, source) == {"speed"}
    scene.sequence_editor.active_strip = strip
    assert bpy.ops.understudy.follow_source() == {"FINISHED"}
    assert addon.source_look.changed(scene, strip, source) == {"speed"} and not strip.use_reverse_frames


def test_a_source_that_moves_by_keyframes_is_no_change(addon, scene, pair):
    source, strip = pair
    source.transform.keyframe_insert("offset_x", frame=20)
    source.transform.offset_x = 90
    assert addon.source_look.changed(scene, strip, source) == set()


def test_an_update_keeps_what_the_source_was_like(addon, scene, engine, pair, tick_until):
    source, strip = pair
    source.transform.offset_x = 40
    scene.sequence_editor.active_strip = strip
    assert bpy.ops.understudy.update() == {"FINISHED"}
    tick_until(lambda: flow.idle(scene))
    assert addon.source_look.changed(scene, strip, source) == {"place"}


def keyed(holder, name, values):
    """Keyframes by timeline frame."""
    for frame, value in values.items():
        setattr(holder, name, value)
        holder.keyframe_insert(name, frame=frame)


def test_a_recast_is_animated_as_its_source_is(addon, scene, clips, ready, recast):
    source = ready(flow.add_shot(scene, clips))
    bright = source.modifiers.new("Bright", "BRIGHT_CONTRAST")
    keyed(source, "blend_alpha", {20: 0.25, 40: 1.0})
    keyed(source.transform, "offset_x", {20: 0, 30: 80, 40: 16})
    keyed(source.crop, "min_x", {20: 0, 40: 10})
    keyed(bright, "bright", {20: 0.0, 40: 8.0})
    source.transform.driver_add("offset_y").driver.expression = "frame / 2"
    bag = addon.compat.curve_bags(scene.animation_data.action)[0]
    next(curve for curve in bag if curve.data_path.endswith("offset_x")).modifiers.new("CYCLES")
    scene.frame_set(33)
    count = len(bag)
    strip = recast(draft=True)
    for frame in (20, 27, 35, 39, 47):
        scene.frame_set(frame)
        for one in ("transform.offset_x", "transform.offset_y", "blend_alpha", "crop.min_x", "modifiers[0].bright"):
            assert strip.path_resolve(one) == pytest.approx(source.path_resolve(one)), (frame, one)
    assert source.transform.offset_y == 23.5 and addon.compat.animated(scene, strip)
    addon.placing.remove(scene, strip)
    assert len(bag) == count == 4 and addon.compat.animated(scene, source)


def test_a_recast_is_read_in_the_colour_space_of_its_source(addon, scene, clips, ready, recast, tmp_path):
    source = ready(flow.add_shot(scene, clips))
    source.colorspace_settings.name = "Linear Rec.709"
    strip = recast(draft=True)
    assert strip.colorspace_settings.name == "Linear Rec.709"
    source.colorspace_settings.name = "Non-Color"
    assert addon.source_look.changed(scene, strip, source) == {"grade"}
    addon.source_look.take_over(scene, strip, source)
    assert strip.colorspace_settings.name == "Non-Color" and not addon.source_look.changed(scene, strip, source)
    (tmp_path / "a.exr").write_bytes(b"")
    linear = scene.sequence_editor.strips.new_image("linear", str(tmp_path / "a.exr"), 9, 60)
    before = linear.colorspace_settings.name
    addon.source_look.look_like(linear, source, False)
    assert linear.colorspace_settings.name == before  # what it holds is not the source's own numbers


def test_each_half_follows_the_half_of_the_source_that_it_lies_over(addon, scene, pair):
    source, first = pair
    cut(addon, scene, source, first)
    left, right = sorted(addon.recasts.placed(scene), key=addon.compat.span)
    halves = [addon.recasts.source_of(scene, one) for one in (left, right)]
    assert [addon.compat.span(one) for one in halves] == [(20, 30), (30, 40)]
    halves[0].color_saturation = 0.25
    assert addon.source_look.changed(scene, left, halves[0]) == {"blend"}
    assert addon.source_look.changed(scene, right, halves[1]) == set()
    choose(scene, right)
    assert bpy.ops.understudy.follow_source() == {"FINISHED"}
    assert (left.color_saturation, right.color_saturation) == (0.25, 1.0)
    halves[1].color_saturation = 0.5
    assert bpy.ops.understudy.follow_source() == {"FINISHED"}
    assert (left.color_saturation, right.color_saturation) == (0.25, 0.5)
