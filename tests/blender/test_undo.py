"""What the panel shows after an undo: the cast of that moment, names that are on record, jobs that have ended."""

from __future__ import annotations

import bpy
import flow
import pytest
from test_cast import active, faces
from test_cast import two as two
from test_takes import ready as ready
from test_takes import recast as recast


@pytest.fixture
def both_placed(addon, scene, two, recast, tick_until):
    """The first person's recast, then one of both, each an undo step; the state of the scene."""
    recast(draft=True)
    bpy.ops.ed.undo_push(message="before")
    assert bpy.ops.understudy.assign(person=0, identity=two.identities[1].key) == {"FINISHED"}
    bpy.ops.ed.undo_push(message="assigned")
    flow.agree(scene, tick_until)
    recast(draft=True)
    addon.follow.follow()
    return two


def test_an_undone_placement_leaves_the_cast_that_was_to_be_placed(addon, both_placed):
    cast = faces(both_placed)
    assert len(cast) == 2
    bpy.ops.ed.undo()
    addon.follow.follow()
    scene = bpy.data.scenes[0]
    assert len(flow.placed(scene)) == 1 and faces(scene.understudy) == cast
    bpy.ops.ed.undo()
    addon.follow.follow()
    assert len(faces(bpy.data.scenes[0].understudy)) == 1
    bpy.ops.ed.redo()
    bpy.ops.ed.redo()
    addon.follow.follow()
    scene = bpy.data.scenes[0]
    assert len(flow.placed(scene)) == 2 and faces(scene.understudy) == cast


def test_names_that_a_job_brought_stay(scene, two, tick_until):
    nameless = [person.person for person in two.shot.scan.people if not person.known]
    bpy.ops.ed.undo_push(message="before")
    with_name = two.shot.scan.people[nameless[0]]
    with_name.name = "Ilse Werner"  # the engine is told, and its answer is no undo step
    tick_until(lambda: flow.idle(scene))
    bpy.ops.ed.undo_push(message="an edit")
    bpy.ops.ed.undo()
    person = bpy.data.scenes[0].understudy.shot.scan.people[nameless[0]]
    assert (person.name, person.known) == ("Ilse Werner", True)


def test_a_job_that_was_dropped_does_not_wait_for_ever(addon, scene, two, tick_until):
    bpy.ops.understudy.choose_person(person=0)
    job = addon.jobs.start(scene, "people", _edit(addon, two), about={"edits": []})
    dropped = job.id
    bpy.ops.ed.undo_push(message="while it waits")
    tick_until(lambda: flow.idle(scene))
    for _ in range(addon.jobs.KEPT_FINISHED + 1):
        addon.jobs.start(scene, "people", _edit(addon, two), about={"edits": []})
        tick_until(lambda: flow.idle(scene))
    assert dropped not in [job.id for job in two.jobs]
    bpy.ops.ed.undo_push(message="an edit")
    bpy.ops.ed.undo()
    scene = bpy.data.scenes[0]
    assert dropped not in [job.id for job in scene.understudy.jobs] and flow.idle(scene)


def _edit(addon, state):
    return addon.protocol.PeopleSpec(scan=state.shot.scan.folder, edits=[])


def test_a_half_that_was_moved_away_has_the_range_and_the_boxes(addon, scene, two, recast):
    strip = recast(draft=True)
    shot = scene.sequence_editor.strips["shot"]
    halves = [one.split(frame=30, split_method="SOFT") for one in (shot, strip)]
    addon.recasts.own_ids(scene)
    for half in halves:
        name = "content_start" if "content_start" in half.bl_rna.properties else "frame_start"
        setattr(half, name, getattr(half, name) + 20)
    scene.frame_set(55)
    marking, strip_media = addon.marking, addon.strip_media
    for one, span in ((halves[1], (50, 60)), (halves[0], (50, 60)), (strip, (20, 30)), (shot, (20, 30))):
        active(scene, one)
        assert marking.where(scene)[:2] == span, one.name
    assert strip_media.find_shown(scene, two.shot, 55) == halves[0]
    assert strip_media.find_shown(scene, two.shot, 25) == shot
    about = {**addon.placing.about_of(strip)}
    assert addon.placing.is_there(scene, about)
    with pytest.raises(RuntimeError, match="on the timeline already"):
        bpy.ops.understudy.place()
    assert len(flow.placed(scene)) == 2
