"""The voice: sound is marked, drafted or trained, and comes back in sync; what is heard; what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import bpy
import flow
import numpy as np
import pytest
import sound
import test_takes
import test_timeline as timelines
from test_edits import choose


@pytest.fixture
def noise(tmp_path):
    """6 s of sound, and 3 s of another one."""
    folder = tmp_path / "sound"
    folder.mkdir()
    return sound.write(folder / "song.wav", 6.0), sound.write(folder / "ann.wav", 3.0, seed=1)


@pytest.fixture
def strip(addon, scene, noise):
    """The song from frame 10 on, trimmed: frames 30 to 129 play seconds 5/6 to 5."""
    made = scene.sequence_editor.strips.new_sound("song", str(noise[0]), 2, 10)
    addon.compat.set_span(made, 30, 130)
    scene.sequence_editor.active_strip = made
    scene.frame_start, scene.frame_end = 1, 160
    return made


def row(key, person):
    """A row of the dialog of consents."""
    return {"name": key, "identity": key, "called": person, "person": person, "basis": "test footage", "file": "",
            "role": ""}  # fmt: skip


def agree(addon, scene, tick_until):
    """Both have agreed to the use of their voices."""
    rows = [row(key, name) for key, name in addon.voice_steps.lacking_consent(scene.understudy)]
    assert bpy.ops.understudy.voice_consents(rows=rows, scope="tests") == {"FINISHED"}
    tick_until(lambda: flow.idle(scene))
    assert scene.understudy.error == ""
    addon.consent_records.look_again()


@pytest.fixture
def ready(addon, scene, strip, noise, engine, tick_until):
    """Everything up to the last button: frames 40 to 63 are marked."""
    scene.use_preview_range, scene.frame_preview_start, scene.frame_preview_end = True, 40, 63
    assert bpy.ops.understudy.mark_sound(by="PREVIEW") == {"FINISHED"}
    assert bpy.ops.understudy.add_voice_file(filepath=str(noise[1])) == {"FINISHED"}
    scene.understudy.speech.speaker = "Bob Orr"
    agree(addon, scene, tick_until)
    return strip


@pytest.fixture
def recast(addon, scene, tick_until):
    def run(operator=bpy.ops.understudy.voice_draft):
        before = addon.voice_placing.placed(scene)
        assert operator() == {"FINISHED"}
        tick_until(lambda: flow.idle(scene))
        assert scene.understudy.error == ""
        (made,) = [one for one in addon.voice_placing.placed(scene) if one not in before]
        return made

    return run


def test_a_draft_lands_in_sync_to_the_sample(addon, scene, ready, recast, engine, tmp_path):
    ready.volume, ready.pan = 0.5, 0.25
    before = sound.mixed(tmp_path / "before.wav")
    assert before.max() > 1000
    placed = recast()
    spec = json.loads((engine.home / "fake_voice.json").read_text())
    assert spec["clip"]["start"] == pytest.approx(30 / 24) and spec["clip"]["end"] == pytest.approx(54 / 24)
    assert spec["draft"] and spec["settings"]["octave"] is None and spec["target"] == "bob-orr"
    assert json.loads((engine.home / "fake_voice_train.json").read_text())["minutes"] == 0
    assert addon.compat.span(placed) == (30, 130) and placed.channel == 3 and placed.show_waveform
    assert ready.mute and not placed.mute and (placed.volume, placed.pan) == (0.5, 0.25)
    assert Path(bpy.path.abspath(placed.sound.filepath)).parent.name == "recasts"
    assert np.array_equal(sound.mixed(tmp_path / "after.wav"), before)  # the scripted engine hands out a copy
    assert scene.sequence_editor.active_strip == placed and placed.name == "Ann · draft · song"
    assert dict(placed["understudy_voice"].items()).keys() >= {"job", "consent", "credentials", "synthetic"}


def test_what_was_trimmed_moved_and_cut_since_is_in_sync_as_well(addon, scene, ready, engine, tick_until, tmp_path):
    engine.script(hold=["voice"])
    assert bpy.ops.understudy.voice_draft() == {"FINISHED"}
    tick_until(lambda: scene.understudy.jobs[-1].state == "running")
    addon.compat.set_content(ready, 17.0, (8, 3))
    addon.compat.set_span(ready, 35, 90)
    before = sound.mixed(tmp_path / "before.wav")
    engine.script(hold=[])
    tick_until(lambda: flow.idle(scene))
    (placed,) = addon.voice_placing.placed(scene)
    assert addon.compat.span(placed) == (35, 90)
    assert np.array_equal(sound.mixed(tmp_path / "after.wav"), before) and before.max() > 1000


def test_a_deleted_source_leaves_its_recast_where_it_was(addon, scene, ready, engine, tick_until, tmp_path):
    before = sound.mixed(tmp_path / "before.wav")
    engine.script(hold=["voice"])
    bpy.ops.understudy.voice_draft()
    tick_until(lambda: scene.understudy.jobs[-1].state == "running")
    addon.compat.remove_strip(scene.sequence_editor.strips, ready)
    engine.script(hold=[])
    tick_until(lambda: flow.idle(scene))
    (placed,) = addon.voice_placing.placed(scene)
    assert addon.compat.span(placed) == (30, 130)
    assert np.array_equal(sound.mixed(tmp_path / "after.wav"), before)
    with pytest.raises(RuntimeError, match="is not on the timeline any more"):
        bpy.ops.understudy.hear_voice()


def test_volume_and_pan_are_animated_as_the_sources_are(addon, scene, ready, recast, tmp_path):
    for frame, volume in ((30, 0.1), (80, 1.0), (120, 0.3)):
        ready.volume = volume
        ready.keyframe_insert("volume", frame=frame)
    ready.pan = 0.5
    ready.keyframe_insert("pan", frame=40)
    driver = ready.driver_add("pan")
    driver.driver.expression = "0.25"
    scene.frame_set(1)
    before = sound.mixed(tmp_path / "before.wav")
    placed = recast()
    path = f"sequence_editor.{addon.compat.animation_path(placed)}"
    (bag,) = addon.compat.curve_bags(scene.animation_data.action)
    curve = next(one for one in bag if one.data_path == f"{path}.volume")
    assert [point.co.x for point in curve.keyframe_points] == [30, 80, 120]
    assert [point.co.y for point in curve.keyframe_points] == pytest.approx([0.1, 1.0, 0.3])
    assert any(one.data_path == f"{path}.pan" for one in bag)
    assert any(one.data_path == f"{path}.pan" for one in scene.animation_data.drivers)
    scene.frame_set(1)
    assert np.array_equal(sound.mixed(tmp_path / "after.wav"), before)


def test_an_equalizer_comes_along(addon, scene, ready, recast, tmp_path):
    with timelines.sequencer_context():
        scene.sequence_editor.active_strip = ready
        bpy.ops.sequencer.strip_modifier_add(type="SOUND_EQUALIZER")
        ready.modifiers[0].graphics[0].curve_mapping.curves[0].points.new(1000, 20)
        before = sound.mixed(tmp_path / "before.wav")
        placed = recast()
    (copied,) = placed.modifiers
    assert [tuple(point.location) for point in copied.graphics[0].curve_mapping.curves[0].points][1] == (1000, 20)
    assert np.array_equal(sound.mixed(tmp_path / "after.wav"), before)
    assert placed.select and scene.sequence_editor.active_strip == placed


def test_a_copied_song_and_its_recast_are_of_their_own(addon, scene, ready, recast):
    first = recast()
    made = test_takes.duplicate(addon, scene, {"song", first.name}, 200, up=5)
    source = next(one for one in made if not one.get("understudy_voice"))
    (copied,) = [one for one in made if one.get("understudy_voice")]
    scene.frame_set(50)
    choose(scene, first)
    bpy.ops.understudy.hear_voice()
    assert (ready.mute, first.mute, source.mute, copied.mute) == (False, True, True, False)
    choose(scene, copied)
    bpy.ops.understudy.hear_voice()
    assert (ready.mute, first.mute, source.mute, copied.mute) == (False, True, False, True)
    assert source["understudy_id"] != ready["understudy_id"]


def test_one_undo_step(addon, scene, ready, recast):
    bpy.ops.ed.undo_push(message="before")
    recast()
    bpy.ops.ed.undo()
    scene = bpy.data.scenes[0]
    assert [one.name for one in scene.sequence_editor.strips] == ["song"] and not scene.sequence_editor.strips[0].mute
    bpy.ops.ed.redo()
    scene = bpy.data.scenes[0]
    assert len(addon.voice_placing.placed(scene)) == 1 and scene.sequence_editor.strips["song"].mute


def test_before_and_after_takes_and_removing(addon, scene, ready, recast, engine):
    def muted():
        return [one.mute for one in (ready, first, second)]

    first = recast()
    scene.sequence_editor.active_strip = ready
    second = recast(bpy.ops.understudy.voice_train)
    spec = json.loads((engine.home / "fake_voice_train.json").read_text())
    assert spec["minutes"] == 2.0 and not json.loads((engine.home / "fake_voice.json").read_text())["draft"]
    assert muted() == [True, True, False] and second.name.startswith("Ann · trained")
    scene.frame_set(50)
    for active in (ready, first, second, None):
        scene.sequence_editor.active_strip = active
        assert bpy.ops.understudy.hear_voice() == {"FINISHED"} and muted() == [False, True, True], active
        assert bpy.ops.understudy.hear_voice() == {"FINISHED"} and muted() == [True, True, False], active
    scene.sequence_editor.active_strip = ready
    bpy.ops.understudy.next_voice_take()
    assert muted() == [True, False, True] and scene.sequence_editor.active_strip == first
    bpy.ops.understudy.hear_voice()
    bpy.ops.understudy.hear_voice()
    assert muted() == [True, False, True]  # the take that was heard
    assert bpy.ops.understudy.remove_voice_recast() == {"FINISHED"}
    assert [one.name for one in addon.voice_placing.placed(scene)] == [second.name] and not second.mute
    assert scene.sequence_editor.active_strip == second and ready.mute
    bpy.ops.understudy.remove_voice_recast()
    assert not ready.mute and len(scene.sequence_editor.strips) == 1
    with pytest.raises(RuntimeError, match="Select a recast voice"):
        bpy.ops.understudy.hear_voice()
    assert bpy.ops.understudy.place_voice() == {"FINISHED"} and ready.mute


def test_a_trained_voice_is_used_again(addon, scene, ready, recast):
    def trainings():
        return len([job for job in scene.understudy.jobs if job.kind == "voice-train"])

    recast(bpy.ops.understudy.voice_train)
    assert trainings() == 1
    recast(bpy.ops.understudy.voice_train)
    assert trainings() == 1
    scene.understudy.speech.minutes = 5.0
    recast(bpy.ops.understudy.voice_train)
    assert trainings() == 2


def test_another_range_goes_on_from_what_is_heard(addon, scene, ready, recast, engine):
    first = recast()
    scene.sequence_editor.active_strip = first
    scene.frame_preview_start, scene.frame_preview_end = 80, 99
    assert bpy.ops.understudy.mark_sound(by="PREVIEW") == {"FINISHED"}
    assert scene.understudy.speech.strip_name == "song"  # a recast's source is marked
    second = recast()
    assert json.loads((engine.home / "fake_voice.json").read_text())["clip"]["path"] == addon.voice_placing.file_of(
        first
    )
    assert addon.voice_placing.ranges_in_words(scene, second) == "40–63, 80–99"
    bpy.ops.understudy.mark_sound(by="PREVIEW")
    recast()  # the same frames again: a take of the source itself
    assert json.loads((engine.home / "fake_voice.json").read_text())["clip"]["path"].endswith("song.wav")


def test_a_movies_own_sound_is_worked_on_from_either(addon, scene, clips, engine, noise):
    movie = scene.sequence_editor.strips.new_movie("film", str(clips.movie), 1, 10)
    scene.sequence_editor.active_strip = movie
    with pytest.raises(RuntimeError, match="“film” has no sound strip beside it"):
        bpy.ops.understudy.mark_sound()
    other = scene.sequence_editor.strips.new_sound("other", str(noise[1]), 2, 10)
    with pytest.raises(RuntimeError, match="has no sound strip beside it"):
        bpy.ops.understudy.mark_sound()
    own = scene.sequence_editor.strips.new_sound("own", str(noise[0]), 3, 10)
    own.sound.filepath = str(clips.movie)
    for active in (movie, own):
        scene.sequence_editor.active_strip = active
        assert bpy.ops.understudy.mark_sound(by="STRIP") == {"FINISHED"}
        assert scene.understudy.speech.strip_name == "own" and scene.understudy.speech.source == str(clips.movie)
    assert "understudy_id" not in other and "understudy_id" not in movie


def test_what_cannot_be_marked_is_said(addon, scene, clips, strip, noise, engine, tmp_path):
    editor = scene.sequence_editor
    strip.select, editor.active_strip = False, None
    with pytest.raises(RuntimeError, match="Select a sound strip, or a movie strip"):
        bpy.ops.understudy.mark_sound()
    editor.active_strip = editor.strips.new_image("picture", str(sorted(clips.pictures.iterdir())[0]), 5, 1)
    with pytest.raises(RuntimeError, match="Select a sound strip, or a movie strip"):
        bpy.ops.understudy.mark_sound()
    choose(scene, strip)
    scene.use_preview_range, scene.frame_preview_start, scene.frame_preview_end = True, 200, 220
    with pytest.raises(RuntimeError, match="lies outside the range"):
        bpy.ops.understudy.mark_sound(by="PREVIEW")
    strip.sound.pack()
    with pytest.raises(RuntimeError, match="is packed into the"):
        bpy.ops.understudy.mark_sound(by="STRIP")
    strip.sound.unpack(method="REMOVE")
    strip.sound.filepath = str(tmp_path / "gone.wav")
    with pytest.raises(RuntimeError, match=r"is not at .*gone.wav"):
        bpy.ops.understudy.mark_sound(by="STRIP")
    assert scene.understudy.speech.strip_id == "" and "understudy_id" not in strip


def test_each_step_says_what_it_waits_for(addon, scene, strip, noise, engine, tick_until):
    missing, state = addon.voice_steps.missing_for_recast, scene.understudy
    assert missing(state) == "Mark the sound to recast first."
    bpy.ops.understudy.mark_sound()
    assert missing(state) == "Choose whose voice is to be heard first."
    with pytest.raises(RuntimeError, match="There is no file at"):
        bpy.ops.understudy.add_voice_file(filepath="/nowhere/ann.wav")
    picture = noise[0].with_name("ann.png")
    picture.touch()
    with pytest.raises(RuntimeError, match=r"ann\.png is no sound and no movie"):
        bpy.ops.understudy.add_voice_file(filepath=str(picture))
    bpy.ops.understudy.add_voice_file(filepath=str(noise[1]))
    assert missing(state) == "Record the consent of Ann, Who is heard in song first."
    with pytest.raises(RuntimeError, match="Record the consent of Ann"):
        bpy.ops.understudy.voice_draft()
    with pytest.raises(RuntimeError, match="full name is missing"):
        bpy.ops.understudy.voice_consents(rows=[row("ann", " ")], scope="tests")
    agree(addon, scene, tick_until)
    folder = addon.project.folder(state)
    assert len(list((folder / "consent" / "voices").glob("*.json"))) == 2
    assert not list((folder / "consent").glob("*.json"))  # nobody's face
    assert state.speech.speaker == "Who is heard in song"  # called by the name on record from now on
    assert missing(state) == ""
    engine.script(hold=["voice-train"])
    bpy.ops.understudy.voice_draft()
    tick_until(lambda: state.jobs[-2].state == "running")
    assert missing(state) == "A voice is being recast." and state.jobs[-2].seconds_left > 0
    assert bpy.ops.understudy.cancel(job=state.jobs[-2].id) == {"FINISHED"}
    engine.script(hold=[])
    tick_until(lambda: flow.idle(scene))
    assert addon.voice_placing.placed(scene) == [] and state.error == ""
    noise[1].unlink()
    assert missing(state).startswith("The recording ") and missing(state).endswith("add it again.")


def test_an_error_is_said_at_the_step_in_frames_of_the_timeline(addon, scene, ready, engine, tick_until):
    why = "There is music or noise in song.wav between 1.2 and 2.2 s, but no voice. Choose a range in which it sounds."
    engine.script(fail={"voice": why})
    bpy.ops.understudy.voice_draft()
    tick_until(lambda: flow.idle(scene))
    state = scene.understudy
    assert "in song.wav between the frames 40 and 63, but no voice." in state.error
    assert addon.failures.place(state) == addon.failures.step(state) == "voice"
    assert bpy.context.window_manager.understudy_folds.voice
    assert [one.name for one in scene.sequence_editor.strips] == ["song"] and not ready.mute


def test_missing_networks_are_fetched_where_that_is_allowed(addon, scene, ready, engine, tick_until):
    engine.script(fail={"voice-train": "They are not installed. Run `understudy models fetch --voice` (160 MB)."})
    bpy.context.preferences.system.use_online_access = False
    bpy.ops.understudy.voice_draft()
    tick_until(lambda: flow.idle(scene))
    assert scene.understudy.error.endswith("then the first voice fetches them.")
    assert [job.state for job in scene.understudy.jobs if job.kind == "voice"] == ["failed"]
    engine.script(fail={})
    bpy.context.preferences.system.use_online_access = True
    bpy.ops.understudy.voice_draft()
    tick_until(lambda: flow.idle(scene))
    bpy.context.preferences.system.use_online_access = False
    assert json.loads((engine.home / "fake_voice_train.json").read_text())["fetch"]
    assert len(addon.voice_placing.placed(scene)) == 1


def test_a_voice_of_an_identity_comes_from_its_footage(addon, scene, clips, noise, engine, tick_until):
    assert bpy.ops.understudy.add_identity_file(filepath=str(clips.movie), scan=False) == {"FINISHED"}
    identity = scene.understudy.identities[0]
    assert bpy.ops.understudy.choose_voice(voice=identity.key) == {"FINISHED"}
    voice = addon.voice_steps.chosen(scene.understudy)
    assert (voice.key, voice.name) == (identity.key, identity.name)
    assert [one.path for one in voice.recordings] == [str(clips.movie)]
    song = scene.sequence_editor.strips.new_sound("song", str(noise[0]), 2, 10)
    scene.sequence_editor.active_strip = song
    addon.compat.set_span(song, 34, 58)
    bpy.ops.understudy.add_voice(voice=identity.key)
    assert (voice.recordings[1].start, voice.recordings[1].end) == (1.0, 2.0)
    assert addon.voice_steps.clips(voice)[1] == addon.protocol.SoundClip(path=str(noise[0]), start=1.0, end=2.0)
    bpy.ops.understudy.remove_voice(voice=identity.key, recording=0)
    assert len(voice.recordings) == 1
    bpy.ops.understudy.remove_voice(voice=identity.key)
    assert not len(scene.understudy.voices) and scene.understudy.speech.voice == ""


def test_the_settings_begin_as_the_engines_do(addon, scene):
    fit = scene.understudy.speech.fit
    assert addon.voice_properties.settings(fit) == addon.protocol.VoiceSettings()
    fit.pitch, fit.octave, fit.semitones, fit.excitation, fit.keep_room = "MOVED", -1, 2.5, "synth", False
    assert addon.voice_properties.settings(fit) == addon.protocol.VoiceSettings(
        octave=-1, semitones=2.5, excitation="synth", keep_room=False
    )


def test_saved_and_opened_elsewhere(addon, scene, ready, recast, noise, tmp_path):
    recast()
    first = tmp_path / "first"
    first.mkdir()
    bpy.ops.wm.save_as_mainfile(filepath=str(first / "film.blend"))
    assert noise[0].is_file() and (first / "film.understudy" / "recasts").is_dir()
    scene = bpy.data.scenes[0]
    (placed,) = addon.voice_placing.placed(scene)
    assert Path(bpy.path.abspath(placed.sound.filepath)).resolve().is_relative_to(first)
    bpy.ops.wm.save_mainfile()
    first.rename(tmp_path / "second")
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "second" / "film.blend"))
    scene = bpy.data.scenes[0]
    (placed,) = addon.voice_placing.placed(scene)
    assert Path(bpy.path.abspath(placed.sound.filepath)).is_file()
    assert scene.understudy.speech.source == str(noise[0])
    assert scene.understudy.voices[0].recordings[0].path == str(noise[1])
    placed["understudy_voice"]["start"] = "one"
    scene.sequence_editor.strips["song"]["understudy_voice"] = 3
    addon.voice_placing.drop_damaged(scene)
    assert addon.voice_placing.placed(scene) == []


def test_credentials_of_a_render_name_what_is_heard(addon, scene, ready, recast, engine, tick_until, tmp_path):
    recast()
    heard = recast(bpy.ops.understudy.voice_train)
    render = tmp_path / "render.mp4"
    render.touch()
    assert bpy.ops.understudy.credentials(filepath=str(render)) == {"FINISHED"}
    tick_until(lambda: flow.idle(scene))
    spec = json.loads((engine.home / "fake_credential.json").read_text())
    assert spec["ingredients"] == [addon.voice_placing.file_of(heard)]
