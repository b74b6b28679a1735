"""After each of Blender's own edits of a shot and its recast, Update, takes and Remove do what their words say."""

from __future__ import annotations

import bpy
import flow
import footage
import pytest
import test_timeline as timelines
from test_cast import two as two
from test_takes import ready as ready
from test_takes import recast as recast

UPDATE = bpy.ops.understudy.update


def choose(scene, *strips):
    """Select these strips, the first one active."""
    for strip in scene.sequence_editor.strips_all:
        strip.select = strip in strips
    scene.sequence_editor.active_strip = strips[0]


def operator(name, **arguments):
    """One of Blender's own operators in the sequencer."""
    with timelines.sequencer_context():
        return getattr(bpy.ops.sequencer, name)(**arguments)


def files(addon, scene):
    return [addon.placing.file_of(strip) for strip in addon.recasts.placed(scene)]


def cut(addon, scene, source, first):
    choose(scene, first, source)
    operator("split", frame=30, type="SOFT", side="BOTH")


def move(addon, scene, source, first):
    choose(scene, first, source)
    for strip in (source, first):
        name = "content_start" if bpy.app.version >= (5, 1, 0) else "frame_start"
        setattr(strip, name, getattr(strip, name) + 100)


def slip(addon, scene, source, first):
    choose(scene, first, source)
    addon.compat.set_span(first, 25, 35)
    addon.compat.set_span(source, 25, 35)
    operator("slip", offset=2)


def retime(addon, scene, source, first):
    for strip in (source, first):
        choose(scene, strip)
        operator("retiming_segment_speed_set", speed=50)


def meta(addon, scene, source, first):
    choose(scene, first, source)
    operator("meta_make")


def shown_scene(scene):
    """The sequencer shows this scene."""
    if bpy.app.version >= (5, 0, 0):
        bpy.context.workspace.sequencer_scene = scene
    else:
        bpy.context.window.scene = scene
    return scene


@pytest.mark.parametrize("edit", [cut, move, slip, retime, meta])
def test_after(addon, scene, clips, engine, ready, recast, tmp_path, edit):
    source = ready(flow.add_shot(scene, clips))
    first = recast(draft=True)
    edit(addon, scene, source, first)
    spans = [addon.compat.span(one) for one in addon.recasts.placed(scene)]
    before = [addon.compat.content(one) for one in addon.recasts.placed(scene)]
    scene.frame_set(addon.compat.span(first)[0] + 1)
    if edit is meta:
        choose(scene, first.parent_meta())  # the recast in it under the playhead is meant
    else:
        choose(scene, addon.recasts.placed(scene)[-1])
    engine.script(movie=str(footage.movie(tmp_path / "better.mp4", 10, 20, marked=True)))
    assert recast(UPDATE) is None
    made = addon.recasts.placed(scene)
    assert [addon.compat.span(one) for one in made] == spans
    assert [addon.compat.content(one) for one in made] == before
    assert len(set(files(addon, scene))) == 1 and "-02" in files(addon, scene)[0]
    assert all(addon.recasts.takes(scene, one) == [one] for one in made)
    assert bpy.ops.understudy.remove_recast() == {"FINISHED"}
    assert len(addon.recasts.placed(scene)) == len(made) - 1
    assert not source.mute
    now = scene.sequence_editor.active_strip
    if edit is meta:
        assert now.type == "META"  # what is in it is not seen
    else:
        # the piece of the source under it; of another speed, source and recast end on other frames
        assert not now.get("understudy") and (edit is retime or addon.compat.span(now) == spans[-1])


def test_removing_a_piece_shows_what_it_hid_and_no_more(addon, scene, two, recast, tick_until):
    first = recast(draft=True)
    bpy.ops.understudy.assign(person=1 - two.swaps[0].person, identity=two.identities[1].key)
    flow.agree(scene, tick_until)
    second = recast(draft=True)
    assert first.mute and not second.mute
    choose(scene, second, first)
    operator("split", frame=30, type="SOFT", side="BOTH")
    addon.recasts.own_ids(scene)
    made = {(one.name.partition(" ·")[0], addon.compat.span(one)): one for one in addon.recasts.placed(scene)}
    his, both = first.name.partition(" ·")[0], second.name.partition(" ·")[0]
    choose(scene, made[both, (30, 40)])
    assert bpy.ops.understudy.remove_recast() == {"FINISHED"}
    assert {key: one.mute for key, one in made.items() if key != (both, (30, 40))} == {
        (both, (20, 30)): False, (his, (20, 30)): True, (his, (30, 40)): False,
    }  # fmt: skip
    assert scene.sequence_editor.active_strip == made[his, (30, 40)]


def test_a_copy_in_another_scene_is_of_the_same_project_and_cast(addon, scene, clips, ready, recast):
    source = ready(flow.add_shot(scene, clips))
    first = recast(draft=True)
    choose(scene, first, source)
    operator("copy")
    other = shown_scene(bpy.data.scenes.new("other"))
    other.sequence_editor_create()
    operator("paste")
    (copy,) = addon.recasts.placed(other)
    choose(other, copy)
    addon.follow.follow()
    state = other.understudy
    assert addon.project.folder(state) == addon.project.folder(scene.understudy)
    assert state.shot.strip_name == "shot" and [one.name for one in state.identities] == ["One"]
    assert [swap.identity for swap in state.swaps] == [swap.identity for swap in scene.understudy.swaps]
    assert UPDATE() == {"FINISHED"}
    flow.wait_idle(addon, other)
    assert state.error == "" and files(addon, other) != files(addon, scene)
    assert bpy.ops.understudy.remove_recast() == {"FINISHED"}
    assert not addon.recasts.placed(other) and addon.recasts.placed(scene) == [first]


def test_an_appended_scene_goes_on_with_its_project(addon, scene, clips, ready, recast, tmp_path):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "a" / "film.blend"))
    scene = bpy.data.scenes[0]
    ready(flow.add_shot(scene, clips))
    recast(draft=True)
    bpy.ops.wm.save_mainfile()
    bpy.ops.wm.read_homefile(use_factory_startup=True, use_empty=True)
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "b" / "other.blend"))
    bpy.ops.wm.append(filename="Scene", directory=str(tmp_path / "a" / "film.blend" / "Scene"))
    appended = shown_scene(next(s for s in bpy.data.scenes if s.sequence_editor and len(s.sequence_editor.strips)))
    state = appended.understudy
    assert addon.project.folder(state) == tmp_path / "a" / "film.understudy"
    assert state.shot.source == str(clips.movie) and state.identities[0].materials[0].clip_path == str(clips.one)
    choose(appended, addon.recasts.placed(appended)[0])
    before = files(addon, appended)
    assert UPDATE() == {"FINISHED"}
    flow.wait_idle(addon, appended)
    assert state.error == "" and files(addon, appended) != before


def test_of_a_cut_recast_the_selected_half_is_meant(addon, scene, clips, ready, recast):
    source = ready(flow.add_shot(scene, clips))
    first = recast(draft=True)
    scene.frame_set(30)
    choose(scene, first)
    operator("split", frame=30, type="SOFT", side="RIGHT")  # Blender selects the right half; the left one stays active
    left, right = sorted(addon.recasts.placed(scene), key=addon.compat.span)
    assert scene.sequence_editor.active_strip == left and not left.select and right.select
    assert addon.recasts.meant(scene) == right
    source.select = True  # what is connected is selected too
    assert addon.recasts.meant(scene) == right
    left.select, right.select = True, False
    assert addon.recasts.meant(scene) == left
    left.select = False
    assert addon.recasts.meant(scene) == right  # of the source that is selected the one at the playhead
    source.select, right.select = False, True
    assert bpy.ops.understudy.remove_recast() == {"FINISHED"}
    assert [addon.compat.span(one) for one in addon.recasts.placed(scene)] == [(20, 30)]


def test_a_recast_over_a_cut_source_is_cut_as_it_is(addon, scene, clips, engine, ready, recast, tmp_path):
    source = ready(flow.add_shot(scene, clips))
    choose(scene, source)
    operator("split", frame=30, type="SOFT", side="BOTH")
    halves = sorted(scene.sequence_editor.strips, key=addon.compat.span)
    addon.compat.set_span(halves[1], 32, 40)
    halves[1].modifiers.new("Bright", "BRIGHT_CONTRAST").bright = 0.0
    choose(scene, halves[0])
    scene.frame_set(35)
    recast(draft=True)
    left, right = sorted(addon.recasts.placed(scene), key=addon.compat.span)
    assert [addon.compat.span(one) for one in (left, right)] == [(20, 30), (32, 40)]
    assert scene.sequence_editor.active_strip == right and left.channel == right.channel
    assert [addon.recasts.source_of(scene, one) for one in (left, right)] == halves
    assert [len(one.modifiers) for one in (left, right)] == [0, 1]
    assert not any(addon.source_look.changed(scene, one, addon.recasts.source_of(scene, one)) for one in (left, right))
    assert [footage.shown(scene, frame, tmp_path) for frame in (25, 35)] == [(15, True), (25, True)]
    if hasattr(left, "connections"):
        assert [[other.name for other in one.connections] for one in (left, right)] == [[one.name] for one in halves]
    old = left.filepath
    assert recast(UPDATE) is None
    assert left.filepath == right.filepath != old
    recast(draft=True)
    assert [one.mute for one in (left, right)] == [True, True] and len(addon.recasts.placed(scene)) == 4
    assert [len(addon.recasts.takes(scene, one)) for one in (left, right)] == [2, 2]
    assert bpy.ops.understudy.remove_recast() == {"FINISHED"}
    assert [one.mute for one in (left, right)] == [True, False] and len(addon.recasts.placed(scene)) == 3
