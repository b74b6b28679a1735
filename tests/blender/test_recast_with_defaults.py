"""One button from a strip to its recast; what waits for a training; the order of the queue."""

from __future__ import annotations

import json

import bpy
import flow
import pytest


def idle(scene, tick_until):
    tick_until(lambda: flow.idle(scene))
    assert scene.understudy.error == ""


def agree_at_once(addon, scene):
    """What the dialog for several consents does when it is confirmed."""
    rows = [
        {
            "name": "",
            "identity": key,
            "called": name,
            "person": "Full Name",
            "basis": "test footage",
            "file": "",
            "role": "",
        }
        for key, name in addon.steps.lacking_consent(scene.understudy)
    ]
    return bpy.ops.understudy.consents(rows=rows, scope="tests", date="2026-01-31")


def test_one_button_goes_the_recast_with_defaults(addon, scene, clips, engine, tick_until):
    engine.script(people=2, movie=str(clips.recast))
    flow.add_shot(scene, clips)
    state = scene.understudy
    assert bpy.ops.understudy.recast_with_defaults(filepath=str(clips.pictures)) == {"FINISHED"}
    assert state.recast_with_defaults and [job.kind for job in state.jobs] == ["scan", "scan"]
    idle(scene, tick_until)
    # of several people it asks first who gets the face
    assert state.recast_with_defaults and len(state.swaps) == 0 and len(state.jobs) == 2
    assert bpy.ops.understudy.assign(person=1, identity=state.identities[0].key) == {"FINISHED"}
    assert bpy.ops.understudy.recast_with_defaults() == {"FINISHED"}
    # it stops where a human being has to speak
    assert state.recast_with_defaults and len(state.jobs) == 2 and len(addon.steps.lacking_consent(state)) == 2
    assert agree_at_once(addon, scene) == {"FINISHED"}
    idle(scene, tick_until)
    assert [job.kind for job in state.jobs] == ["scan", "scan", "consent", "consent", "people", "train", "convert"]
    assert not state.recast_with_defaults and addon.compat.span(flow.placed(scene)[0]) == (20, 40)
    kept = addon.consent_records.record(addon.project.folder(state), state.identities[0].key)
    assert (kept.person, kept.basis, kept.scope, kept.date) == ("Full Name", "test footage", "tests", "2026-01-31")
    # the engine has both: the recast is made with Blender closed, too
    submitted = json.loads((engine.home / "fake_jobs.json").read_text())
    assert submitted[state.jobs[6].id]["job"]["after"] == [state.jobs[5].id]
    assert "after" not in dict(flow.placed(scene)[0]["understudy"])
    # once more: a model is there, so nothing is trained
    assert bpy.ops.understudy.recast_with_defaults() == {"FINISHED"}
    idle(scene, tick_until)
    assert [job.kind for job in state.jobs][7:] == ["convert"] and len(flow.placed(scene)) == 2


def test_it_is_left_off_while_it_waits_and_goes_on_where_it_was(addon, scene, clips, engine, tick_until):
    engine.script(people=1, movie=str(clips.recast))
    flow.add_shot(scene, clips)
    state = scene.understudy
    assert not bpy.ops.understudy.stop_going_on.poll()
    bpy.ops.understudy.recast_with_defaults(filepath=str(clips.pictures))
    idle(scene, tick_until)
    assert state.recast_with_defaults and addon.steps.lacking_consent(state)  # it waits for these
    assert bpy.ops.understudy.stop_going_on() == {"FINISHED"} and not state.recast_with_defaults
    assert agree_at_once(addon, scene) == {"FINISHED"}
    idle(scene, tick_until)
    assert {job.kind for job in state.jobs} == {"scan", "consent", "people"}  # nothing was trained
    assert len(state.swaps) == 1 and bpy.ops.understudy.recast_with_defaults() == {"FINISHED"}
    idle(scene, tick_until)
    assert [job.kind for job in state.jobs][-2:] == ["train", "convert"] and len(flow.placed(scene)) == 1


def test_the_next_strip_is_marked_by_itself_but_no_identitys_footage(addon, scene, clips, engine, tick_until):
    engine.script(movie=str(clips.recast))
    flow.add_shot(scene, clips)
    bpy.ops.understudy.recast_with_defaults(filepath=str(clips.pictures))
    idle(scene, tick_until)
    agree_at_once(addon, scene)
    idle(scene, tick_until)
    strips = scene.sequence_editor.strips
    scene.sequence_editor.active_strip = strips.new_image("face", str(clips.pictures / "0000.png"), 5, 1)
    flow_folder = sorted(p.name for p in clips.pictures.iterdir())
    for name in flow_folder[1:]:
        scene.sequence_editor.active_strip.elements.append(name)
    strip_to_mark = addon.operators.recast_with_defaults.strip_to_mark
    scene.understudy.identities[0].materials[0].clip_path = str(clips.pictures)
    assert strip_to_mark(scene) is None
    scene.sequence_editor.active_strip = flow.placed(scene)[0]
    assert strip_to_mark(scene) is None
    other = strips.new_movie("other", str(clips.fast), 6, 1)
    scene.sequence_editor.active_strip = other
    assert strip_to_mark(scene) == other


def test_a_failure_ends_it(scene, clips, engine, tick_until):
    engine.script(fail={"scan": "The disk is full."})
    flow.add_shot(scene, clips)
    bpy.ops.understudy.recast_with_defaults(filepath=str(clips.pictures))
    tick_until(lambda: flow.idle(scene))
    assert scene.understudy.error == "The disk is full." and not scene.understudy.recast_with_defaults
    with pytest.raises(RuntimeError, match="There is no file or folder"):
        scene.understudy.identities.clear()
        bpy.ops.understudy.recast_with_defaults(filepath="/nowhere.mp4")


def test_undo_does_not_stop_it(addon, scene, clips, engine, tick_until):
    engine.script(movie=str(clips.recast))
    flow.add_shot(scene, clips)
    bpy.ops.understudy.recast_with_defaults(filepath=str(clips.pictures))
    scene.understudy.recast_with_defaults = False  # as an undo leaves it
    addon.jobs.restore_after_undo()
    assert scene.understudy.recast_with_defaults
    idle(scene, tick_until)


def test_a_consent_lacks_nothing(addon, scene, clips, engine, tick_until):
    engine.script(people=1)
    flow.add_shot(scene, clips)
    bpy.ops.understudy.recast_with_defaults(filepath=str(clips.pictures))
    idle(scene, tick_until)
    row = {"name": "", "identity": "x", "called": "X", "person": " ", "basis": "own face", "file": "", "role": ""}
    with pytest.raises(RuntimeError, match="full name is missing"):
        bpy.ops.understudy.consents(rows=[row], scope="tests", date="")
    with pytest.raises(RuntimeError, match="no date"):
        bpy.ops.understudy.consents(rows=[{**row, "person": "X Y"}], scope="tests", date="tomorrow")
    assert len(scene.understudy.jobs) == 2


def test_stopping_a_training_stops_what_waits_for_it(addon, scene, clips, engine, tick_until):
    engine.script(hold=["train"], movie=str(clips.recast))
    flow.ready_to_convert(scene, clips, tick_until)
    assert bpy.ops.understudy.convert() == {"FINISHED"}
    train, convert = scene.understudy.jobs[-2].id, scene.understudy.jobs[-1].id
    by_id = {job.id: job for job in scene.understudy.jobs}
    tick_until(lambda: by_id[train].step)
    assert by_id[convert].state == "queued"
    bpy.ops.understudy.cancel(job=train)
    assert by_id[train].message == by_id[convert].message == "Stopping…" and addon.jobs.is_stopping(by_id[train])
    engine.script(hold=[])
    idle(scene, tick_until)
    assert (by_id[train].state, by_id[convert].state) == ("cancelled", "cancelled")
    assert not addon.jobs.is_stopping(by_id[train])
    assert scene.understudy.jobs[-1].id == convert and not flow.placed(scene) and scene.understudy.error == ""
    assert bpy.ops.understudy.convert() == {"FINISHED"}  # with what was learned
    assert scene.understudy.jobs[-1].kind == "convert" and len(scene.understudy.jobs) == len(by_id) + 1
    idle(scene, tick_until)
    assert len(flow.placed(scene)) == 1


def test_a_recast_that_was_cancelled_does_not_follow_a_stopped_training(scene, clips, engine, tick_until):
    engine.script(hold=["train"], movie=str(clips.recast))
    flow.ready_to_convert(scene, clips, tick_until)
    bpy.ops.understudy.convert()
    train, convert = scene.understudy.jobs[-2], scene.understudy.jobs[-1]
    tick_until(lambda: train.step)
    bpy.ops.understudy.cancel(job=convert.id)
    tick_until(lambda: convert.state == "cancelled")
    assert train.state == "running"
    bpy.ops.understudy.cancel(job=train.id)
    idle(scene, tick_until)
    assert train.state == "cancelled" and scene.understudy.jobs[-1] == convert and not flow.placed(scene)


def test_a_recast_may_wait_for_the_training_that_runs(scene, clips, engine, tick_until):
    engine.script(hold=["train"], movie=str(clips.recast))
    flow.ready_to_convert(scene, clips, tick_until)
    bpy.ops.understudy.train()
    assert bpy.ops.understudy.convert() == {"FINISHED"}
    assert [job.kind for job in scene.understudy.jobs][-2:] == ["train", "convert"]
    with pytest.raises(RuntimeError, match="under way"):
        bpy.ops.understudy.convert(draft=True)
    with pytest.raises(RuntimeError, match="under way"):
        bpy.ops.understudy.convert()
    engine.script(hold=[])
    idle(scene, tick_until)
    assert len(flow.placed(scene)) == 1


def test_a_failed_training_is_what_is_said(scene, clips, engine, tick_until):
    engine.script(fail={"train": "The graphics card is gone."})
    flow.ready_to_convert(scene, clips, tick_until)
    bpy.ops.understudy.convert()
    tick_until(lambda: flow.idle(scene))
    assert scene.understudy.error == "The graphics card is gone."


def test_the_queue_is_reordered(addon, scene, clips, engine, tick_until):
    engine.script(hold=["scan"])
    state = scene.understudy
    flow.add_shot(scene, clips)
    bpy.ops.understudy.mark_range()
    bpy.ops.understudy.scan_shot()
    bpy.ops.understudy.add_identity_file(filepath=str(clips.pictures))
    bpy.ops.understudy.add_identity_file(filepath=str(clips.fast))
    last = state.jobs[-1].id
    for job in state.jobs:
        job.state = "queued"  # the scripted engine has no queue: everything runs at once
    assert addon.steps.in_turn(state)[-1].id == last
    bpy.ops.understudy.run_next(job=last)
    tick_until(lambda: state.jobs[-1].priority == 1)
    for job in state.jobs:
        job.state = "queued"
    assert addon.steps.in_turn(state)[0].id == last
    engine.script(hold=[])
    tick_until(lambda: flow.idle(scene))
