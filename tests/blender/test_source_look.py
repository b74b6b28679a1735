"""What is changed on a source after its recast was placed: told, and taken over."""

from __future__ import annotations

import bpy
import flow
import pytest
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
