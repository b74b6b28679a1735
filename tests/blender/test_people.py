"""Who is who: names, merging, rejecting; identities of several footages; several swaps at once; forgetting."""

from __future__ import annotations

import json
from pathlib import Path

import bpy
import flow
import pytest


@pytest.fixture
def shot(scene, clips, engine, tick_until):
    engine.script(people=3, movie=str(clips.recast))
    flow.add_shot(scene, clips)
    flow.mark_and_scan(scene, tick_until)
    return scene.understudy


def idle(scene, tick_until):
    tick_until(lambda: flow.idle(scene))
    assert scene.understudy.error == ""


def test_a_name_goes_to_the_engine_and_comes_back(addon, scene, shot, tick_until):
    shot.shot.scan.people[1].name = "Grace"
    assert shot.jobs[-1].kind == "people"
    idle(scene, tick_until)
    person = addon.people_store.person_of(shot.shot.scan, 1)
    assert person.name == "Grace" and person.known and len(shot.jobs) == 2  # reading it back renames nothing
    on_disk = json.loads(Path(shot.shot.scan.folder, "scan.json").read_text())["people"]
    assert [one["name"] for one in on_disk] == ["Person 0", "Grace", "Person 2"]
    assert [addon.people_store.called(p) for p in shot.shot.scan.people] == ["Person 1", "Grace", "Person 3"]


def test_the_consent_names_the_person(addon, scene, shot, clips, tick_until):
    assert bpy.ops.understudy.add_identity_file(filepath=str(clips.pictures)) == {"FINISHED"}
    idle(scene, tick_until)
    target = shot.swaps[0].target
    for key, _ in addon.steps.lacking_consent(shot):
        bpy.ops.understudy.consent(identity=key, person=f"Cary {len(key)}", basis="test footage", scope="tests")
    idle(scene, tick_until)
    person = addon.people_store.person_of(shot.shot.scan, 1)
    assert person.name == f"Cary {len(target)}" and person.known
    assert addon.people_store.called(addon.people_store.person_of(shot.shot.scan, 0)) == "Person 1"
    # the name makes nobody else of them, here or in another range that shows the same face
    assert shot.swaps[0].target == addon.steps.target_of(shot, person) == target
    assert addon.steps.lacking_consent(shot) == []
    assert shot.identities[0].name == f"Cary {len(shot.identities[0].key)}"  # it was called after its file


def test_an_identity_is_called_after_who_is_in_the_file(addon):
    called = addon.people_store.name_from_file
    assert called("actor-b-480x480") == "Actor B" and called("man_beard 1080p copy") == "Man Beard"
    assert called("Steve_McQueen-4k-24fps") == "Steve McQueen" and called("720p") == "720p"


def test_merging_keeps_who_was_chosen(addon, scene, shot, tick_until):
    bpy.ops.understudy.add_identity_person()  # of the selected one, the most prominent
    assert shot.person == shot.swaps[0].person == 1
    target = shot.swaps[0].target
    assert bpy.ops.understudy.merge_people(other="0") == {"FINISHED"}
    idle(scene, tick_until)
    assert [p.person for p in shot.shot.scan.people] == [0, 2]
    assert shot.person == shot.swaps[0].person == 0 and shot.swaps[0].target == target
    assert addon.people_store.person_of(shot.shot.scan, 0).frames == 39


def test_rejected_people_are_gone_and_can_be_brought_back(addon, scene, shot, tick_until):
    assert bpy.ops.understudy.reject_person() == {"FINISHED"}
    idle(scene, tick_until)
    assert [p.person for p in addon.people_store.there(shot.shot.scan)] == [0, 2]
    assert bpy.ops.understudy.restore_people() == {"FINISHED"}
    idle(scene, tick_until)
    assert len(addon.people_store.there(shot.shot.scan)) == 3
    with pytest.raises(RuntimeError, match="Nobody was rejected"):
        bpy.ops.understudy.restore_people()


def test_several_swaps_at_once(addon, scene, shot, engine, clips, tick_until):
    for file in (clips.pictures, clips.fast):
        assert bpy.ops.understudy.add_identity_file(filepath=str(file)) == {"FINISHED"}
        idle(scene, tick_until)
    first, second = (one.key for one in shot.identities)
    assert bpy.ops.understudy.assign(person=1, identity=first) == {"FINISHED"}
    assert bpy.ops.understudy.assign(person=0, identity=second) == {"FINISHED"}
    flow.agree(scene, tick_until)
    assert bpy.ops.understudy.convert(draft=True) == {"FINISHED"}
    idle(scene, tick_until)
    spec = json.loads((engine.home / "fake_convert.json").read_text())
    assert [(s["person"], s["identity"]) for s in spec["swaps"]] == [(0, second), (1, first)]
    trained = json.loads((engine.home / "fake_train.json").read_text())
    assert [i["name"] for i in trained["identities"]] == [
        shot.swaps[1].target, second, shot.swaps[0].target, first
    ]  # fmt: skip
    assert flow.placed(scene)[0].name == "Fast, Pictures · draft · shot"
    assert bpy.ops.understudy.assign(person=0, identity="KEPT") == {"FINISHED"}
    assert [s.person for s in shot.swaps] == [1]


def test_an_identity_gathers_material(addon, scene, shot, engine, clips, tick_until):
    bpy.ops.understudy.add_identity_file(filepath=str(clips.pictures))
    key = shot.identities[0].key
    bpy.ops.understudy.add_identity_file(filepath=str(clips.fast), identity=key)
    idle(scene, tick_until)
    (identity,) = shot.identities
    assert len(identity.materials) == 2 and len(addon.people_store.material(identity)) == 2
    said = addon.people_store.amount_in_words(identity)
    assert said == "38 frames, no left profiles, no right profiles"
    assert bpy.ops.understudy.remove_material(material=identity.materials[1].key) == {"FINISHED"}
    assert len(identity.materials) == 1


def test_a_person_of_the_shot_may_lend_their_face(addon, scene, shot):
    assert bpy.ops.understudy.choose_person(person=2) == {"FINISHED"}
    assert bpy.ops.understudy.add_identity_person() == {"FINISHED"}
    (identity,) = shot.identities
    assert identity.name == "Person 3" and identity.materials[0].person == 2
    assert addon.people_store.material(identity)[0].scan == shot.shot.scan.folder


def test_coverage_in_words(addon):
    grid = [0] * 35
    assert addon.coverage.lacking(grid) == ([], [])  # not measured
    for row in range(5):
        grid[row * 7 : row * 7 + 7] = [1, 9, 9, 9, 9, 9, 9]
    assert addon.coverage.lacking(grid) == ([], ["left profiles"])
    assert addon.coverage.added([grid, grid, [1, 2]]) == [2 * n for n in grid]


def test_forgetting_shows_what_goes_and_asks(addon, scene, shot, clips, tick_until):
    bpy.ops.understudy.add_identity_file(filepath=str(clips.pictures))
    idle(scene, tick_until)
    flow.agree(scene, tick_until)
    key = shot.identities[0].key
    from_panel = addon.operators.consent.forgetting
    assert bpy.ops.understudy.forget(identity=key) == {"FINISHED"}
    idle(scene, tick_until)
    erased, left = from_panel(shot, key)
    assert len(erased) == 2 and len(shot.identities) == 1
    assert [path.rpartition("/")[2] for path in left] == ["renamed.mp4"]
    assert addon.consent_records.record(addon.project.folder(shot), key)
    bpy.ops.understudy.forget_no(identity=key)
    assert from_panel(shot, key) is None
    assert bpy.ops.understudy.forget(identity=key, confirmed=True) == {"FINISHED"}
    idle(scene, tick_until)
    assert len(shot.identities) == 0 and len(shot.swaps) == 0
    assert addon.consent_records.record(addon.project.folder(shot), key) is None


def test_the_report(scene, shot, tick_until):
    assert bpy.ops.understudy.report() == {"FINISHED"}
    idle(scene, tick_until)
    assert Path(shot.jobs[-1].output).read_text() == "<p>who was recast</p>"


def test_pause_and_resume(scene, shot, engine, clips, tick_until):
    engine.script(hold=["train"])
    bpy.ops.understudy.add_identity_file(filepath=str(clips.pictures))
    idle(scene, tick_until)
    flow.agree(scene, tick_until)
    bpy.ops.understudy.train()
    job = shot.jobs[-1]
    tick_until(lambda: job.state == "running" and job.verdict)
    assert job.verdict == "It still gets better." and job.preview.endswith("grid.png")
    with pytest.raises(RuntimeError, match="Nothing is paused"):
        bpy.ops.understudy.resume()
    bpy.ops.understudy.pause(job=job.id)
    tick_until(lambda: job.state == "paused")
    bpy.ops.understudy.resume(job=job.id)
    tick_until(lambda: job.state == "running")
    engine.script(hold=[])
    idle(scene, tick_until)
    spec = json.loads((engine.home / "fake_train.json").read_text())
    assert spec["minutes"] == 10.0
    shot.until_converged = True
    bpy.ops.understudy.train()
    idle(scene, tick_until)
    assert json.loads((engine.home / "fake_train.json").read_text())["minutes"] is None


def test_somebody_else_is_split_off_at_the_playhead(addon, scene, clips, engine, tick_until):
    engine.script(people=2, tracks=2, movie=str(clips.recast))
    flow.add_shot(scene, clips)
    flow.mark_and_scan(scene, tick_until)
    state = scene.understudy
    assert state.person == 1
    scene.frame_set(1)
    with pytest.raises(RuntimeError, match="Move the playhead"):
        bpy.ops.understudy.split_person()
    scene.frame_set(25)
    assert bpy.ops.understudy.split_person() == {"FINISHED"}
    idle(scene, tick_until)
    assert json.loads((engine.home / "fake_split.json").read_text()) == [1]  # the track that the playhead shows
    assert [p.person for p in state.shot.scan.people] == [0, 1, 2] and state.person == 1
    with pytest.raises(RuntimeError, match="without a break"):
        bpy.ops.understudy.split_person()
