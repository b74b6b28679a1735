"""The recast comes back where its source is, frame for frame, as one undo step, or not at all."""

from __future__ import annotations

import json
from pathlib import Path

import bpy
import flow
import footage
import pytest


@pytest.fixture
def shot(scene, clips, engine, tick_until):
    engine.script(movie=str(clips.recast))
    return flow.ready_to_convert(scene, clips, tick_until)


def convert(scene, tick_until, draft=True):
    assert bpy.ops.understudy.convert(draft=draft) == {"FINISHED"}
    tick_until(lambda: flow.idle(scene))


def test_strip_covers_the_range_and_frame_k_shows_source_frame_k(addon, scene, shot, tick_until, tmp_path):
    convert(scene, tick_until)
    (strip,) = flow.placed(scene)
    assert addon.compat.span(strip) == (20, 40)
    assert strip.channel == 2 and strip.name == "Pictures · draft · shot"
    for frame in range(20, 40):
        assert footage.shown(scene, frame, tmp_path) == (10 + frame - 20, True)
    strip.mute = True
    for frame in (20, 33, 39):  # and so does the source below it
        assert footage.shown(scene, frame, tmp_path) == (10 + frame - 20, False)


def test_looks_like_its_source(scene, shot, tick_until):
    shot.transform.offset_x, shot.transform.scale_y, shot.transform.rotation = 7.0, 0.5, 0.25
    shot.crop.min_x, shot.crop.max_y = 3, 4
    shot.blend_type, shot.blend_alpha, shot.use_flip_x, shot.color_saturation = "CROSS", 0.75, True, 0.5
    convert(scene, tick_until)
    (strip,) = flow.placed(scene)
    assert (strip.transform.offset_x, strip.transform.scale_y, strip.transform.rotation) == (7.0, 0.5, 0.25)
    assert (strip.crop.min_x, strip.crop.max_y) == (3, 4)
    assert (strip.blend_type, strip.blend_alpha, strip.use_flip_x) == ("CROSS", 0.75, True)
    assert strip.color_saturation == 0.5


def test_carries_what_made_it(scene, shot, tick_until):
    convert(scene, tick_until)
    record = flow.placed(scene)[0]["understudy"].to_dict()
    assert record["synthetic"] is True
    assert record["identity"] == scene.understudy.identities[0].key
    assert record["person"] == 0 and record["preset"] == "draft"
    assert (record["source_start"], record["source_end"]) == (10, 30)
    pictures, person = record["consent"].split("; ")
    assert pictures.startswith("Pictures: test footage, 20") and person.startswith("Person 1: test footage, 20")
    assert record["job"] == scene.understudy.jobs[-1].id


def test_goes_to_the_next_free_channel_under_what_lies_over_its_source(scene, shot, clips, tick_until):
    strips, channels = scene.sequence_editor.strips, scene.sequence_editor.channels
    title = strips.new_movie("title", str(clips.movie), 4, 15)
    elsewhere = strips.new_movie("elsewhere", str(clips.movie), 2, 300)
    channels[2].lock = True
    convert(scene, tick_until)
    assert flow.placed(scene)[0].channel == 3 and (title.channel, elsewhere.channel) == (4, 2)
    convert(scene, tick_until)  # no channel is left below the title
    assert [one.channel for one in flow.placed(scene)] == [3, 4] and title.channel == 5
    assert channels[2].lock and not channels[3].lock


def test_follows_a_source_that_was_moved_while_it_was_made(addon, scene, shot, tick_until):
    assert bpy.ops.understudy.convert(draft=True) == {"FINISHED"}
    if bpy.app.version >= (5, 1, 0):
        shot.content_start += 100
    else:
        shot.frame_start += 100
    shot.name = "renamed"
    tick_until(lambda: flow.idle(scene))
    assert addon.compat.span(flow.placed(scene)[0]) == (120, 140)


def test_stays_where_it_was_marked_when_the_source_is_gone(addon, scene, shot, tick_until):
    assert bpy.ops.understudy.convert(draft=True) == {"FINISHED"}
    scene.sequence_editor.strips.remove(shot)
    tick_until(lambda: flow.idle(scene))
    assert addon.compat.span(flow.placed(scene)[0]) == (20, 40)


def test_finds_its_half_after_a_split(addon, scene, shot, tick_until):
    assert bpy.ops.understudy.convert(draft=True) == {"FINISHED"}
    right = shot.split(frame=30, split_method="SOFT")
    right.channel = 6
    tick_until(lambda: flow.idle(scene))
    strip = flow.placed(scene)[0]
    assert addon.compat.span(strip) == (20, 40)
    assert strip.channel == 2


def test_a_still_is_held_for_as_long_as_it_was_marked(addon, scene, clips, engine, tick_until, tmp_path):
    engine.script(movie=str(clips.one))
    strip = scene.sequence_editor.strips.new_image("still", str(clips.pictures / "frame005.png"), 1, 10)
    addon.compat.set_span(strip, 10, 40)
    scene.sequence_editor.active_strip = strip
    flow.mark_and_scan(scene, tick_until)
    bpy.ops.understudy.add_identity_file(filepath=str(clips.movie))
    tick_until(lambda: flow.idle(scene))
    flow.agree(scene, tick_until)
    convert(scene, tick_until)
    assert addon.compat.span(flow.placed(scene)[0]) == (10, 40)
    for frame in (10, 25, 39):
        assert footage.shown(scene, frame, tmp_path) == (5, True)


def test_a_sequence_of_pictures_becomes_one(addon, scene, clips, engine, tick_until, tmp_path):
    """As Source: what a movie would lose of an OpenEXR or 16-bit sequence is kept."""
    engine.script(pictures=str(clips.recast_pictures))
    files = sorted(clips.pictures.iterdir())[:20]
    (tmp_path / "shot.v2").mkdir()
    for number, file in enumerate(files, 1001):
        (tmp_path / "shot.v2" / f"a.{number}.png").write_bytes(file.read_bytes())
    names = sorted(file.name for file in (tmp_path / "shot.v2").iterdir())
    strip = scene.sequence_editor.strips.new_image("shot", str(tmp_path / "shot.v2" / names[0]), 1, 10)
    for name in names[1:]:
        strip.elements.append(name)
    scene.sequence_editor.active_strip = strip
    flow.mark_and_scan(scene, tick_until)
    bpy.ops.understudy.add_identity_file(filepath=str(clips.movie))
    tick_until(lambda: flow.idle(scene))
    flow.agree(scene, tick_until)
    assert scene.understudy.format == "same"
    convert(scene, tick_until)
    (placed,) = flow.placed(scene)
    assert placed.type == "IMAGE" and addon.compat.span(placed) == (10, 30) and len(placed.elements) == 20
    spec = json.loads((engine.home / "fake_convert.json").read_text())
    assert spec["format"] == "same" and "." not in Path(spec["output"]).name
    for frame in (10, 20, 29):
        assert footage.shown(scene, frame, tmp_path) == (frame, True)


def test_one_undo_step(scene, shot, tick_until):
    bpy.ops.ed.undo_push(message="before")
    convert(scene, tick_until)
    jobs = [job.id for job in scene.understudy.jobs]
    bpy.ops.ed.undo()
    scene = bpy.data.scenes[0]
    assert flow.placed(scene) == [] and len(scene.sequence_editor.strips) == 1
    assert [job.id for job in scene.understudy.jobs] == jobs and flow.idle(scene)
    assert len(scene.understudy.shot.scan.people) == 1
    bpy.ops.ed.redo()
    scene = bpy.data.scenes[0]
    assert len(flow.placed(scene)) == 1
    bpy.ops.ed.undo()
    assert bpy.ops.understudy.place() == {"FINISHED"}
    assert len(flow.placed(bpy.data.scenes[0])) == 1


def test_undo_does_not_lose_a_running_job(scene, shot, engine, tick_until):
    engine.script(hold=["train"])
    bpy.ops.ed.undo_push(message="before")
    bpy.ops.understudy.convert(draft=True)
    bpy.ops.ed.undo_push(message="an edit")
    tick_until(lambda: bpy.data.scenes[0].understudy.jobs[-2].state == "running")
    bpy.ops.ed.undo()
    bpy.ops.ed.undo()
    scene = bpy.data.scenes[0]
    states = [(job.kind, job.state) for job in scene.understudy.jobs][-2:]
    assert states == [("train", "running"), ("convert", "queued")]
    engine.script(hold=[])
    tick_until(lambda: flow.idle(scene) and len(flow.placed(scene)))


def test_a_movie_of_the_wrong_length_is_not_placed(scene, shot, engine, clips, tick_until):
    engine.script(movie=str(clips.one))
    convert(scene, tick_until)
    assert [s.name for s in scene.sequence_editor.strips] == ["shot"]
    assert "1 frames where 20 were marked" in scene.understudy.error


def test_a_movie_that_is_none_is_not_placed(scene, shot, engine, tmp_path, tick_until):
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"no movie at all")
    engine.script(movie=str(broken))
    convert(scene, tick_until)
    assert [s.name for s in scene.sequence_editor.strips] == ["shot"]
    assert scene.understudy.error.endswith("recast again.")


def test_trained_recast_needs_a_training(scene, shot, tick_until):
    convert(scene, tick_until, draft=False)  # trains by itself
    assert [job.kind for job in scene.understudy.jobs][-2:] == ["train", "convert"]
    job = scene.understudy.jobs[-2]
    assert (job.loss, job.step) == (0.375, 7)
    assert flow.placed(scene)[0]["understudy"]["preset"] == "quick"
