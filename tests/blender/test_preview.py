"""The recast over the preview, as far as it goes without a window: what is asked, kept, dropped and let go.
The drawing itself is looked at in tests/gui."""

from __future__ import annotations

import json
from types import SimpleNamespace

import bpy
import flow
import footage
import pytest


@pytest.fixture
def shot(addon, scene, clips, engine, tick_until):
    engine.script(people=2, movie=str(clips.recast))
    strip = flow.ready_to_convert(scene, clips, tick_until)
    bpy.context.window_manager.understudy.show = True
    yield strip
    bpy.context.window_manager.understudy.show = False
    addon.preview.forget()


@pytest.fixture
def look(addon, scene):
    """What the overlay does as it draws the frame of the playhead, and the timer after it."""
    region = SimpleNamespace(view2d=SimpleNamespace(view_to_region=lambda x, y, clip: (x, y)))

    def draw(frame=None):
        if frame is not None:
            scene.frame_set(frame)
        here = addon.preview.here(scene)
        return here and addon.overlay.frame_to_show(bpy.context.window_manager.understudy, here, region)

    return draw


@pytest.fixture
def until(addon, tick_until):
    def wait(condition):
        def once():
            addon.preview.tick()
            return condition()

        tick_until(once)

    return wait


def recast_instead(scene, person):
    """Somebody else of the shot gets the only face."""
    key = scene.understudy.swaps[0].identity
    bpy.ops.understudy.assign(person=scene.understudy.swaps[0].person, identity="KEPT")
    bpy.ops.understudy.assign(person=person, identity=key)


def asked(engine):
    file = engine.home / "fake_previews"
    return [json.loads(line) for line in file.read_text().splitlines()] if file.is_file() else []


def pixel(frame):
    image = bpy.data.images[frame.image]
    return tuple(round(value * 255) for value in image.pixels[:2])


def test_the_draft_of_the_playheads_frame_comes(addon, scene, engine, shot, look, until):
    assert look(25) is None
    until(lambda: look() is not None)
    frame = look()
    (spec,) = asked(engine)
    assert spec["frame"] == 15 and spec["model"] == "" and len(spec["identities"]) == 2  # 25 on the timeline
    assert spec["swaps"][0]["target"] == scene.understudy.swaps[0].target and spec["width"] == 64
    assert frame.steps == 0 and pixel(frame) == (15, 0)
    assert addon.overlay.note(bpy.context.window_manager.understudy, frame, "") == "Draft: not trained yet"


def test_nobodys_new_face_is_asked_for_without_consent(addon, scene, engine, shot, look, until):
    folder = addon.project.folder(scene.understudy)
    kept = {file: file.read_text() for file in (folder / "consent").iterdir()}
    for file in kept:
        file.unlink()
    addon.consent_records.look_again()
    assert look(25) is None and not addon.preview.pending() and asked(engine) == []
    bpy.context.window_manager.understudy.view = "matte"  # shows no face
    until(lambda: look() is not None)
    bpy.context.window_manager.understudy.view = "recast"
    assert look() is None and len(asked(engine)) == 1
    for file, text in kept.items():
        file.write_text(text)
    addon.consent_records.look_again()
    until(lambda: look() is not None)  # no click in between


def test_a_frame_that_was_seen_is_not_asked_for_again(engine, shot, look, until):
    for number in (25, 26, 25, 26):
        look(number)
        until(lambda: look() is not None)
    assert [spec["frame"] for spec in asked(engine)] == [15, 16]


def test_only_the_newest_frame_waits(addon, engine, shot, look, until):
    until(lambda: look(20) is not None)
    engine.script(preview_takes=0.3)
    for number in range(21, 36):
        look(number)
    until(lambda: look() is not None)
    frames = [spec["frame"] for spec in asked(engine)]
    assert frames[-1] == 25 and len(frames) <= 3  # the first, perhaps one that was under way, the last


def test_outside_of_the_shot_nothing_is_asked(addon, scene, engine, shot, look, tick_until):
    for number in (5, 19, 40, 300):
        assert look(number) is None
    assert not addon.preview.pending() and asked(engine) == []
    shot.mute = True
    scene.sequence_editor.strips.remove(shot)
    assert look(25) is None


def test_training_makes_the_picture_better_by_itself(scene, engine, shot, look, until, tick_until):
    until(lambda: look(25) is not None)
    engine.script(steps=7)
    assert bpy.ops.understudy.train() == {"FINISHED"}
    tick_until(lambda: flow.idle(scene))
    assert look().steps == 0  # the draft stays until the better one is there
    until(lambda: look().steps == 7)
    assert pixel(look()) == (15, 7)
    assert asked(engine)[-1]["model"] == scene.understudy.jobs[-1].model


def test_views_fit_and_who_is_whose_are_asked_anew(scene, engine, shot, look, until):
    view = bpy.context.window_manager.understudy
    until(lambda: look(25) is not None)
    for change in (lambda: setattr(view, "view", "matte"), lambda: setattr(scene.understudy.fit, "feather", 0.25),
                   lambda: recast_instead(scene, 0)):  # fmt: skip
        change()
        assert look() is None
        until(lambda: look() is not None)
    said = asked(engine)
    assert [spec["view"] for spec in said] == ["recast", "matte", "matte", "matte"]
    assert said[2]["settings"]["feather"] == 0.25 and said[3]["swaps"][0]["person"] == 0
    view.view = "original"
    assert look() is None and len(asked(engine)) == 4
    view.view = "recast"


def test_why_there_is_no_picture_is_said_and_tried_again(addon, engine, shot, look, until, monkeypatch):
    monkeypatch.setattr(addon.preview, "RETRY_SECONDS", 0.2)
    engine.script(fail={"preview": "The face is turned away here. Move on."})
    until(lambda: look(25) is not None)
    assert look().error == "The face is turned away here. Move on."
    engine.script(fail={})
    until(lambda: not look().error)


def test_an_engine_that_is_gone_is_started_for_the_preview(addon, engine, shot, look, until):
    engine.kill()
    until(lambda: look(25) is not None and not look().error)
    assert len(engine.starts()) == 2


def test_nothing_of_it_is_in_the_file(addon, scene, engine, shot, look, until, tmp_path):
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "cut.blend"))
    changed = bpy.data.is_dirty  # before 5.2 always, in the background
    until(lambda: look(25) is not None)
    assert len(bpy.data.images) == 1 and bpy.data.is_dirty == changed
    bpy.ops.wm.save_mainfile()
    assert [image.name for image in bpy.data.images] == []
    until(lambda: look() is not None)
    bpy.ops.ed.undo_push(message="an edit")
    bpy.ops.ed.undo()
    assert [image.name for image in bpy.data.images] == []


def test_memory_is_bounded(addon, engine, shot, look, until, monkeypatch):
    monkeypatch.setattr(addon.preview, "_room", lambda: 3 * 64 * 64 * 4)
    for number in range(20, 27):
        until(lambda n=number: look(n) is not None)
    until(lambda: len(bpy.data.images) <= 3)
    assert len(addon.preview._frames) == 3


def test_a_preview_nobody_draws_is_let_go_and_the_timer_ends(addon, engine, shot, look, until, monkeypatch):
    monkeypatch.setattr(addon.preview, "UNSEEN_TICKS", 3)
    look(25)
    until(lambda: addon.preview._frames)
    for _ in range(5):
        left = addon.preview.tick()
    assert left is None and len(bpy.data.images) == 0


def test_the_wipe_cuts_the_picture(addon):
    placed = addon.picture_geometry.Placement(width=200, height=100, crop=(20, 10, 0, 0))
    corners = placed.corners(left=0.25)
    assert [p[0] for p, _ in corners] == [-50.0, 90.0, 90.0, -50.0]
    assert [t[0] for _, t in corners] == [0.25, 0.95, 0.95, 0.25]
    assert placed.corners(left=0.96) == []


@pytest.mark.parametrize(
    "change",
    [{}, {"offset_x": 9.0, "offset_y": -5.0}, {"scale_x": 0.5, "scale_y": 1.25}, {"rotation": 0.4},
     {"rotation": -0.3, "origin": (0.25, 0.75), "scale_x": 0.8, "offset_x": 4.0}, {"flip": (True, False)},
     {"flip": (True, True), "offset_x": 9.0, "rotation": 0.2, "crop": (8, 0, 0, 6)}],
)  # fmt: skip
def test_a_place_in_the_picture_is_where_blender_shows_it(addon, scene, tmp_path, change):
    """A bright spot on a dark picture is found in the rendered frame where `to_view` says, and back."""
    spot = (40.0, 24.0)
    image = bpy.data.images.new("spot", 64, 64)
    pixels = [0.0, 0.0, 0.0, 1.0] * (64 * 64)
    for y in range(22, 26):
        for x in range(38, 42):
            pixels[((63 - y) * 64 + x) * 4 : ((63 - y) * 64 + x) * 4 + 3] = [1.0, 1.0, 1.0]
    image.pixels.foreach_set(pixels)
    image.filepath_raw, image.file_format = str(tmp_path / "spot.png"), "PNG"
    image.save()
    footage.prepare(scene)
    strip = scene.sequence_editor.strips.new_image("spot", str(tmp_path / "spot.png"), 1, 1, fit_method="ORIGINAL")
    change = dict(change)
    strip.use_flip_x, strip.use_flip_y = change.pop("flip", (False, False))
    strip.crop.min_x, strip.crop.max_x, strip.crop.min_y, strip.crop.max_y = change.pop("crop", (0, 0, 0, 0))
    for name, value in change.items():
        setattr(strip.transform, name, value)
    shown = footage.rendered(scene, 1, tmp_path)
    total = shown.sum()
    at = ((shown.sum(0) * range(64)).sum() / total + 0.5 - 32, (shown.sum(1) * range(64)).sum() / total + 0.5 - 32)
    placement = addon.compat.picture_placement(strip, 64, 64)
    assert placement.to_view(*spot) == pytest.approx(at, abs=0.35)
    assert placement.to_source(*placement.to_view(*spot)) == pytest.approx(spot)


def test_a_click_means_the_nearest_face(addon):
    face = addon.protocol.FaceBox
    left = face(frame=0, person=0, track=0, box=[0, 0, 100, 100], carried=False)
    right = face(frame=0, person=1, track=1, box=[90, 0, 190, 100], carried=True)
    assert (
        addon.face_boxes.face_at([left, right], 95, 50) is left
        or addon.face_boxes.face_at([left, right], 95, 50) is right
    )
    assert (
        addon.face_boxes.face_at([left, right], 60, 50) is left
        and addon.face_boxes.face_at([left, right], 130, 50) is right
    )
    assert addon.face_boxes.face_at([left, right], 50, 112) is left  # the chin
    assert addon.face_boxes.face_at([left, right], 50, 150) is None


def test_badges_know_who_is_where(addon, scene, engine, shot, until):
    folder = scene.understudy.shot.scan.folder
    until(lambda: addon.preview.faces(folder, 12))
    assert [f.person for f in addon.preview.faces(folder, 12)] == [0, 1]
    assert addon.preview.faces(folder, 63) and addon.preview.faces(folder, 64) == []


def test_the_loss_curve_falls_from_left_to_right(addon):
    curve = addon.loss_curve.picture([(0, 1.0), (50, 0.3), (100, 0.1)], 64, 32)
    line = [i // 4 for i in range(0, len(curve), 4) if tuple(curve[i : i + 4]) == addon.loss_curve.LINE]
    tops = [max(at // 64 for at in line if at % 64 == x) for x in range(64)]
    assert tops == sorted(tops, reverse=True) and tops[0] > 25 and tops[-1] < 5
