"""The tab: which steps are open, where errors are said, where the range is drawn, our key."""

from __future__ import annotations

import bpy
import flow
import pytest

STEPS = ("range", "people", "identities", "preview", "train", "convert")


def opened():
    return {name for name in STEPS if getattr(bpy.context.window_manager.understudy_folds, name)}


@pytest.fixture
def folds(scene):
    window = bpy.context.window_manager
    window.understudy.show = False
    window.understudy_folds.toggled = ""
    return window.understudy_folds


def test_the_step_in_hand_is_open_and_what_is_finished_takes_a_line(scene, folds, clips, engine, tick_until):
    engine.script(movie=str(clips.recast))
    flow.add_shot(scene, clips)
    assert opened() == {"range"}
    bpy.ops.understudy.mark_range()
    assert opened() == {"people"}
    bpy.ops.understudy.scan_shot()
    tick_until(lambda: flow.idle(scene))
    assert opened() == {"people", "identities"}
    folds.range, folds.identities = True, False
    assert opened() == {"range", "people"}
    folds.range = True  # it is
    assert opened() == {"range", "people"}
    bpy.ops.understudy.add_identity_file(filepath=str(clips.pictures))
    tick_until(lambda: flow.idle(scene))
    flow.agree(scene, tick_until)
    assert opened() == {"train", "convert"}  # another step is in hand: nothing is kept open
    bpy.context.window_manager.understudy.show = True
    assert opened() == {"preview", "train", "convert"}
    bpy.ops.understudy.train()
    tick_until(lambda: flow.idle(scene))
    assert opened() == {"preview", "convert"}
    folds.train = True
    assert opened() == {"preview", "train", "convert"}
    bpy.context.window_manager.understudy.show = False


def test_no_scene_leaves_the_first_step_open(scene, folds):
    if bpy.app.version < (5, 0, 0):
        pytest.skip("Blender 4.5's sequencer always shows the window's scene")
    bpy.context.workspace.sequencer_scene = None
    assert opened() == {"range"}


def test_an_error_is_said_at_the_row_it_is_about_in_frames_of_the_timeline(addon, scene, folds, clips, engine,
                                                                          tick_until):  # fmt: skip
    engine.script(fail={"scan": "No face was found in frames 10 to 29 of counter.mp4. Choose another folder."})
    flow.add_shot(scene, clips)
    flow.mark_and_scan(scene, tick_until)
    state = scene.understudy
    where = "It is chosen in the preferences of Understudy: Keep Projects In."
    assert state.error == f"No face was found in frames 20 to 39 of counter.mp4. Choose another folder. {where}"
    assert addon.failures.place(state) == addon.failures.step(state) == "people"
    engine.script(fail={})
    flow.mark_and_scan(scene, tick_until)
    engine.script(fail={"scan": "No face was found in frames 0 to 29 of pictures."})
    bpy.ops.understudy.add_identity_file(filepath=str(clips.pictures))
    tick_until(lambda: state.error)
    assert state.error == "No face was found in frames 1 to 30 of pictures."
    assert addon.failures.place(state) == flow.material(scene).key
    assert not len(state.swaps)  # the selected person, who got it when it was added, has their own face again
    said = "No face was found in frames 0 to 0 of a.png. Choose a range that shows a face, not from the side alone."
    told = "No face was found in frame 1 of a.png. Add material that shows the face, not from the side alone."
    assert addon.failures.in_words(state, state.jobs[-1], said) == told
    assert addon.failures.of_a_folder("/etc/x belongs to the system. Choose a folder of your own.")
    assert addon.failures.step(state) == "identities" and "identities" in opened()
    assert addon.failures.faceless(state)
    bpy.ops.understudy.remove_identity(identity=state.identities[0].key)
    assert not addon.failures.faceless(state)
    state.error = "Said by nobody's job."
    assert addon.failures.place(state) == addon.failures.TOP and addon.failures.step(state) == ""


def test_the_range_is_drawn_where_its_strip_lies(addon, scene, clips, engine):
    strip = flow.add_shot(scene, clips)
    where = addon.marking.where
    assert where(scene) is None
    bpy.ops.understudy.mark_range()
    assert where(scene) == (20, 40, 1)
    strip.channel = 3
    if bpy.app.version >= (5, 1, 0):
        strip.content_start += 7
    else:
        strip.frame_start += 7
    assert where(scene) == (27, 47, 3)
    addon.compat.set_span(strip, 30, 44)
    assert where(scene) == (30, 44, 3)
    scene.sequence_editor.strips.remove(strip)
    assert where(scene) is None


def test_what_is_scrolled_to(addon):
    across = addon.compat._into_view
    assert across(100, 200, 800) == 0  # it is seen
    assert across(900, 1000, 800) == 240 and across(-300, -200, 800) == -340
    assert across(100, 2000, 800) == 0 and across(600, 2000, 800) == 560  # longer than what is seen: its begin


def test_what_the_engine_calls_by_its_key_is_named_but_in_no_path(addon, scene):
    state = scene.understudy
    identity = state.identities.add()
    identity.key, identity.name = "beard-04f59a", r"Bart \1"
    path = "/film.understudy/recasts/interview-beard-04f59a-draft-05.mp4"
    said = f"{path} cannot be written for beard-04f59a: “beard-04f59a” needs {path[1:]} and beard-04f59a."
    told = rf"{path} cannot be written for Bart \1: “Bart \1” needs {path[1:]} and Bart \1."
    assert addon.steps.named(state, said) == told
    for kept in ("/facesets/beard-04f59a/faces.bin", r"C:\facesets\beard-04f59a", "beard-04f59a.json"):
        assert addon.steps.named(state, kept) == kept
