"""Saving, moving and sharing a .blend: what is ours goes along, or says why not."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import bpy
import flow
import pytest
from test_jobs import reopen


@pytest.fixture
def placed(scene, clips, engine, tick_until):
    engine.script(movie=str(clips.recast))
    flow.ready_to_convert(scene, clips, tick_until)
    bpy.ops.understudy.convert(draft=True)
    tick_until(lambda: flow.idle(scene))
    return flow.placed(scene)[0]


def test_the_first_save_takes_the_project_along(addon, scene, engine, placed, tmp_path):
    state = scene.understudy
    old = engine.home / "unsaved" / state.project_id
    assert (old / "recasts").is_dir()
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "film.blend"))
    new = tmp_path / "film.understudy"
    assert not old.exists() and (new / "recasts").is_dir() and addon.project.folder(state) == new
    assert Path(state.shot.scan.folder).is_dir() and str(new) in state.shot.scan.folder
    assert str(new) in bpy.path.abspath(placed.filepath) and addon.steps.missing_for_swap(state) == ""
    scene = reopen(tmp_path / "film.blend")  # written before the move
    assert Path(scene.understudy.shot.scan.folder).parents[1] == new
    assert Path(bpy.path.abspath(flow.placed(scene)[0].filepath)).is_file()


def test_nothing_is_moved_under_a_running_job(addon, scene, engine, placed, clips, tick_until, tmp_path):
    engine.script(hold=["train"])
    assert bpy.ops.understudy.train() == {"FINISHED"}
    tick_until(lambda: scene.understudy.jobs[-1].state == "running")
    old = engine.home / "unsaved" / scene.understudy.project_id
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "film.blend"))
    assert old.is_dir() and addon.project.folder(scene.understudy) == old
    engine.script(hold=[])
    tick_until(lambda: flow.idle(scene))
    assert not old.exists() and addon.project.folder(scene.understudy) == tmp_path / "film.understudy"
    assert addon.steps.known_model(scene.understudy, "quick").startswith(str(tmp_path))


def test_the_curve_of_an_ended_training_is_there_after_reopening(addon, scene, engine, placed, tick_until, tmp_path):
    assert bpy.ops.understudy.train() == {"FINISHED"}
    tick_until(lambda: flow.idle(scene))
    job = scene.understudy.jobs[-1]
    known = list(addon.loss_curve.points(job.id))
    assert job.state == "done" and len(known) >= 2
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "film.blend"))
    job = reopen(tmp_path / "film.blend").understudy.jobs[-1]
    assert addon.loss_curve.points(job.id) == [(step, pytest.approx(loss)) for step, loss in known]


def test_a_long_curve_is_saved_in_few_points(addon):
    addon.loss_curve.add("long", [(step, 1 / (step + 1)) for step in range(3000)])
    kept = addon.loss_curve.thinned("long")
    assert kept[0][0] == 0 and kept[-1][0] == 2999 and len(kept) == addon.loss_curve.SAVED_POINTS


def test_save_as_goes_on_with_the_same_project(addon, scene, engine, placed, tmp_path):
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "film.blend"))
    (tmp_path / "b").mkdir()
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "b" / "second.blend"))
    state = reopen(tmp_path / "b" / "second.blend").understudy
    assert addon.project.folder(state) == tmp_path / "film.understudy"
    assert addon.steps.missing_for_swap(state) == ""


def test_a_project_that_is_gone_is_said(addon, scene, engine, placed, tmp_path):
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "film.blend"))
    shutil.rmtree(tmp_path / "film.understudy")
    state = reopen(tmp_path / "film.blend").understudy
    assert "find the people again" in addon.steps.missing_for_swap(state)
    with pytest.raises(RuntimeError, match=r"is not at .* any more: find the people again"):
        bpy.ops.understudy.train()


def test_footage_that_is_gone_is_said(addon, scene, clips, engine, tmp_path):
    movie = tmp_path / "shot.mp4"
    shutil.copy(clips.movie, movie)
    flow.add_shot(scene, type(clips)(**{**vars(clips), "movie": movie}))
    bpy.ops.understudy.mark_range()
    movie.unlink()
    with pytest.raises(RuntimeError, match="find it with File > External Data"):
        bpy.ops.understudy.scan_shot()


def test_a_file_of_a_newer_addon_is_left_alone(addon, scene, clips, engine):
    flow.add_shot(scene, clips)
    scene.understudy.schema = addon.properties.SCHEMA + 1
    with pytest.raises(RuntimeError, match="newer Understudy"):
        bpy.ops.understudy.mark_range()
    assert addon.steps.missing_for_faces(scene.understudy).endswith("update the add-on to go on with it.")


def test_a_linked_scene_is_left_alone(addon, scene, engine, placed, tmp_path):
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "film.blend"))
    bpy.ops.wm.read_homefile(use_factory_startup=True, use_empty=True)
    with bpy.data.libraries.load(str(tmp_path / "film.blend"), link=True) as (there, here):
        here.scenes = [there.scenes[0]]
    (linked,) = [one for one in bpy.data.scenes if one.library]
    assert "linked from another .blend" in addon.steps.locked(linked.understudy)
    addon.jobs.resume()
    addon.jobs.tick()
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "other.blend"))
    assert not (tmp_path / "other.understudy").exists()


@pytest.mark.parametrize("place", ["../../Documents", "absolute"])
def test_saving_moves_no_folder_that_a_strangers_blend_names(addon, scene, engine, tmp_path, place):
    theirs = engine.home.parent / "Documents"
    theirs.mkdir(exist_ok=True)
    (theirs / "letter.txt").write_text("dear")
    scene.understudy.project_id = str(theirs) if place == "absolute" else "../../" + theirs.name
    if place != "absolute":
        (engine.home / "unsaved").mkdir(parents=True, exist_ok=True)
    scene.understudy.project = ""
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "film.blend"))
    reopen(tmp_path / "film.blend")
    assert (theirs / "letter.txt").read_text() == "dear"
    assert not (tmp_path / "film.understudy").exists()


def test_a_blend_names_no_folder_as_its_project_that_is_none(addon, scene, engine, tmp_path):
    theirs = tmp_path / "Documents"
    theirs.mkdir()
    scene.understudy.project = str(theirs)
    assert addon.project.folder(scene.understudy) != theirs


@pytest.mark.skipif(os.name == "nt", reason="Windows lets only administrators make links")
def test_a_project_that_is_a_link_is_neither_taken_nor_read(addon, scene, engine, tmp_path):
    theirs, link = tmp_path / "theirs.understudy", tmp_path / "film.understudy"
    (theirs / "consent").mkdir(parents=True)
    (theirs / "consent" / "ann.json").write_text("{}")
    link.symlink_to(theirs)
    scene.understudy.project = str(link)
    assert addon.project.folder(scene.understudy) != link
    with pytest.raises(OSError, match="leads out"):
        addon.project.project_files.read_json(link / "consent" / "ann.json")


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has file names that are no UTF-8")
def test_a_strip_whose_file_has_no_text_for_a_name_is_refused_in_a_sentence(scene, clips, tmp_path):
    """Python cannot give Blender such a name, its file browser can: here the bytes of the saved file are changed."""
    plain = tmp_path / "cafe_.mp4"
    plain.write_bytes(clips.movie.read_bytes())
    scene.sequence_editor.strips.new_movie("shot", str(plain), 1, 10)
    blend = tmp_path / "film.blend"
    bpy.ops.wm.save_as_mainfile(filepath=str(blend), compress=False, relative_remap=False)
    blend.write_bytes(blend.read_bytes().replace(b"cafe_.mp4", b"caf\xe9_.mp4"))
    plain.rename(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9_.mp4"))
    bpy.ops.wm.open_mainfile(filepath=str(blend))
    opened = bpy.data.scenes[0]
    if bpy.app.version >= (5, 0, 0):
        bpy.context.workspace.sequencer_scene = opened
    opened.sequence_editor.active_strip = opened.sequence_editor.strips[0]
    for operator in (bpy.ops.understudy.mark_range, bpy.ops.understudy.add_identity):
        with pytest.raises(RuntimeError, match=r"caf\\xe9_.mp4 is not in UTF-8: rename the file"):
            operator()
    assert opened.understudy.shot.strip_id == "" and not len(opened.understudy.identities)
