"""Where a recast lies among the other strips: under what lay over its source, in effects that use it, and back."""

from __future__ import annotations

import bpy
import flow
import footage
import pytest
import test_timeline as timelines
from test_takes import ready as ready
from test_takes import recast as recast


def state(addon, scene):
    """What the timeline holds, to be found again after a recast is removed."""
    inputs = [(s.name, s.input_1.name, getattr(s, "input_2", None) and s.input_2.name)
              for s in scene.sequence_editor.strips if getattr(s, "input_1", None)]  # fmt: skip
    places = [(s.name, s.channel, addon.compat.span(s), s.mute) for s in scene.sequence_editor.strips]
    names = [(c.name, c.mute, c.lock) for c in scene.sequence_editor.channels]
    return sorted(places), sorted(inputs), names


def two_shots(addon, scene, clips, kind):
    """The marked shot on frames 20 to 39, another one from 34 on, and a transition between them."""
    first = flow.add_shot(scene, clips)
    second = scene.sequence_editor.strips.new_movie("second", str(clips.fast), 2, 34)
    effect = timelines.effect(addon, scene, kind, first, second, channel=3)
    return first, second, effect


def test_a_transition_shows_the_recast(addon, scene, clips, ready, recast, tmp_path):
    first, second, effect = two_shots(addon, scene, clips, "CROSS")
    before, span = state(addon, scene), addon.compat.span(effect)
    ready(first)
    placed = recast(draft=True)
    assert effect.input_1 == placed and effect.input_2 == second and addon.compat.span(effect) == span
    assert first.channel < placed.channel < second.channel < effect.channel
    assert footage.shown(scene, 25, tmp_path) == (15, True)
    mixed = footage.rendered(scene, 37, tmp_path)
    assert 0.1 < mixed.mean() < 0.9 and len(set(mixed.round(2).ravel().tolist())) > 2
    again = recast(draft=True)
    assert effect.input_1 == again and placed.mute
    scene.sequence_editor.active_strip = again
    assert bpy.ops.understudy.next_take() == {"FINISHED"}
    assert effect.input_1 == placed
    addon.placing.remove(scene, placed)
    assert effect.input_1 == again
    addon.placing.remove(scene, again)
    assert state(addon, scene) == before


def levels(scene, frames, aside):
    """The brightest that is shown on each frame along the upper edge."""
    return [round(float(footage.rendered(scene, frame, aside)[-8:].max()), 1) for frame in frames]


def test_a_source_does_not_shine_through_what_its_recast_is_mixed_with(addon, scene, clips, ready, recast, tmp_path):
    first, second, _ = two_shots(addon, scene, clips, "CROSS")
    second.transform.scale_y = 0.5  # black above and below it
    before, shown = state(addon, scene), levels(scene, (25, 35, 37, 39), tmp_path)
    assert shown[0] == 1 > shown[1] > shown[2] > shown[3]
    ready(first)
    placed = recast(draft=True)
    assert levels(scene, (25, 35, 37, 39), tmp_path) == shown and footage.shown(scene, 25, tmp_path) == (15, True)
    addon.placing.remove(scene, placed)
    assert state(addon, scene) == before and not addon.compat.animated(scene, first)


@pytest.mark.parametrize("look", [{"blend_alpha": 0.5}, {"blend_type": "ADD", "color_multiply": 0.3}])
def test_a_transparent_source_does_not_shine_through(addon, scene, clips, engine, ready, recast, tmp_path, look):
    first = flow.add_shot(scene, clips)
    for name, value in look.items():
        setattr(first, name, value)
    scene.use_preview_range, scene.frame_preview_start, scene.frame_preview_end = True, 25, 34
    frames = (22, 25, 30, 34, 35)
    shown = levels(scene, frames, tmp_path)
    ready(first, by="PREVIEW")
    engine.script(movie=str(footage.movie(tmp_path / "ten.mp4", 15, 10, marked=True)))
    placed = recast(draft=True)
    again = recast(draft=True)
    assert (placed.mute, again.mute) == (True, False) and levels(scene, frames, tmp_path) == shown
    assert not addon.source_look.changed(scene, again, first) and not addon.compat.animated(scene, first)
    addon.placing.remove(scene, again)
    assert levels(scene, frames, tmp_path) == shown
    addon.placing.remove(scene, placed)
    assert levels(scene, frames, tmp_path) == shown and not first.mute and "understudy_hidden" not in first


def test_a_source_is_hidden_where_its_recast_is_after_both_were_moved(addon, scene, clips, ready, recast, tmp_path):
    first = flow.add_shot(scene, clips)
    first.blend_alpha = 0.5
    ready(first)
    placed = recast(draft=True)
    name = "content_start" if bpy.app.version >= (5, 1, 0) else "frame_start"
    setattr(first, name, getattr(first, name) + 10)
    scene.sequence_editor.active_strip = placed
    assert bpy.ops.understudy.follow_source() == {"FINISHED"}
    assert addon.compat.span(placed) == addon.compat.span(first) == (30, 50)
    assert levels(scene, (30, 40, 49), tmp_path) == [0.5] * 3
    curves = [curve for bag in addon.compat.curve_bags(scene.animation_data.action) for curve in bag]
    assert [[point.co[0] for point in curve.keyframe_points] for curve in curves] == [[29, 30, 50]]


@pytest.mark.parametrize("kind", ["ADJUSTMENT", "TEXT", "COLOR"])
def test_what_lies_over_the_source_lies_over_the_recast(addon, scene, clips, ready, recast, kind):
    first = flow.add_shot(scene, clips)
    length = {"length": 20} if bpy.app.version >= (5, 0, 0) else {"frame_end": 40}
    over = scene.sequence_editor.strips.new_effect("over", kind, 2, 20, **length)
    scene.sequence_editor.channels[2].name, scene.sequence_editor.channels[3].mute = "Grade", True
    before = state(addon, scene)
    ready(first)
    placed = recast(draft=True)
    assert (first.channel, placed.channel, over.channel) == (1, 2, 3)
    channels = scene.sequence_editor.channels
    assert [channels[n].name for n in (2, 3)] == ["Channel 2", "Grade"] and channels[4].mute and not channels[3].mute
    addon.placing.remove(scene, placed)
    assert state(addon, scene) == before


def test_an_adjustment_layer_grades_the_recast(addon, scene, clips, ready, recast, tmp_path):
    first = flow.add_shot(scene, clips)
    length = {"length": 20} if bpy.app.version >= (5, 0, 0) else {"frame_end": 40}
    over = scene.sequence_editor.strips.new_effect("over", "ADJUSTMENT", 2, 20, **length)
    over.color_multiply = 0.5
    ready(first)
    recast(draft=True)
    assert 0.4 < footage.rendered(scene, 30, tmp_path).max() < 0.8


def test_a_range_that_an_effect_uses_only_in_part_is_refused(addon, scene, clips):
    first, _, effect = two_shots(addon, scene, clips, "GAMMA_CROSS")
    scene.sequence_editor.active_strip = first
    scene.use_preview_range, scene.frame_preview_start, scene.frame_preview_end = True, 20, 36
    with pytest.raises(RuntimeError, match="uses frames of “shot” that are not marked"):
        bpy.ops.understudy.mark_range(by="PREVIEW")
    scene.frame_preview_end = 30
    assert bpy.ops.understudy.mark_range(by="PREVIEW") == {"FINISHED"}
    effect.mute, scene.frame_preview_end = True, 36
    assert bpy.ops.understudy.mark_range(by="PREVIEW") == {"FINISHED"}
    length = {"length": 20} if bpy.app.version >= (5, 0, 0) else {"frame_end": 40}
    camera = scene.sequence_editor.strips.new_effect("camera", "MULTICAM", 6, 20, **length)
    camera.multicam_source = 1
    with pytest.raises(RuntimeError, match="make a meta strip"):
        bpy.ops.understudy.mark_range(by="PREVIEW")
