"""The cast of a shot: somebody added later, somebody removed; what takes are; strips that are cut, copied, moved."""

from __future__ import annotations

import importlib
import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import bpy
import flow
import footage
import pytest
from test_takes import duplicate
from test_takes import ready as ready
from test_takes import recast as recast


@pytest.fixture
def two(scene, clips, engine, tick_until):
    """Two people found, and two identities that nobody got yet but the selected person the first."""
    engine.script(people=2, movie=str(clips.recast))
    flow.add_shot(scene, clips)
    flow.mark_and_scan(scene, tick_until)
    for file in (clips.pictures, clips.fast):
        assert bpy.ops.understudy.add_identity_file(filepath=str(file)) == {"FINISHED"}
    tick_until(lambda: flow.idle(scene))
    flow.agree(scene, tick_until)
    return scene.understudy


def faces(state):
    return {swap.person: swap.identity for swap in state.swaps}


def active(scene, strip):
    for one in scene.sequence_editor.strips:
        one.select = one == strip
    scene.sequence_editor.active_strip = strip


def test_the_second_person_is_added_and_nobody_loses_a_face(addon, scene, two, engine, recast, tick_until):
    first, second = (one.key for one in two.identities)
    assert faces(two) == {1: first}
    man = recast(draft=True)
    assert bpy.ops.understudy.choose_person(person=0) == {"FINISHED"}
    assert faces(two) == {1: first} and two.person == 0
    assert bpy.ops.understudy.assign(person=0, identity=second) == {"FINISHED"}
    assert faces(two) == {1: first, 0: second}
    before = json.loads(man["understudy"]["swaps"])
    assert addon.cast.in_words(two, before) == "Person 2 → Pictures; adds Person 1 → Fast"
    with addon.hooks.quiet():
        two.shot.scan.people[0].name, two.identities[1].name = "Ilse Werner", "Mia Farrow"
        assert addon.cast.in_first_names(two) == "Ilse → Mia, Person 2 → Pictures"
        two.shot.scan.people[0].name = "The Man"
        assert addon.cast.in_first_names(two) == "The Man → Mia, Person 2 → Pictures"
        two.shot.scan.people[1].name = two.shot.scan.people[0].name = "Ilse Werner"
        assert addon.cast.in_first_names(two) == "Ilse Werner → Mia Farrow, Ilse Werner → Pictures"
        two.shot.scan.people[1].name = "Person 2"
        two.shot.scan.people[0].name, two.identities[1].name = "Person 1", "Fast"
    flow.agree(scene, tick_until)
    both = recast(draft=True)
    spec = json.loads((engine.home / "fake_convert.json").read_text())
    assert [(s["person"], s["identity"]) for s in spec["swaps"]] == [(0, second), (1, first)]
    # another cast is no take: the one below is covered, and seen again when this one is removed
    assert man.mute and not both.mute and addon.recasts.takes(scene, both) == [both]
    assert both.name == "Fast, Pictures · draft · shot" and scene.sequence_editor.active_strip == both
    assert bpy.ops.understudy.assign(person=1, identity="KEPT") == {"FINISHED"}
    assert addon.cast.in_words(two, json.loads(both["understudy"]["swaps"])) == ("Person 1 → Fast; removes Person 2")
    lady = recast(draft=True)
    assert [s.mute for s in (man, both, lady)] == [True, True, False]
    assert bpy.ops.understudy.remove_recast() == {"FINISHED"}
    assert not both.mute and man.mute and scene.sequence_editor.active_strip == both
    addon.follow.follow()
    assert faces(two) == {1: first, 0: second}  # the panel shows the cast of what is there
    assert bpy.ops.understudy.remove_recast() == {"FINISHED"}
    assert not man.mute


def test_the_network_of_a_cast_serves_a_part_of_it(addon, scene, two, recast, tick_until):
    second = two.identities[1].key
    bpy.ops.understudy.assign(person=0, identity=second)
    flow.agree(scene, tick_until)
    both = recast(draft=True)
    trained = [job.model for job in two.jobs if job.kind == "train"]
    Path(trained[-1]).mkdir(parents=True, exist_ok=True)
    bpy.ops.understudy.assign(person=1, identity="KEPT")
    assert addon.steps.known_model(two, "draft") == trained[-1] and not addon.steps.known_model(two, two.preset)
    alone = recast(draft=True)
    assert [job.model for job in two.jobs if job.kind == "train"] == trained
    assert alone["understudy"]["model"] == both["understudy"]["model"]
    bpy.ops.understudy.assign(person=1, identity=second)  # it never learned that pair, but knows both of them
    assert addon.steps.known_model(two, "draft") == trained[-1]
    shutil.rmtree(trained[-1])
    assert not addon.steps.known_model(two, "draft")


def test_everybody_is_called_as_the_consents_say(scene, two, tick_until):
    bpy.ops.understudy.assign(person=0, identity=two.identities[1].key)
    lacking = importlib.import_module(f"{flow.EXTENSION}.addon.state.steps").lacking_consent
    for record in (Path(scene.understudy.project) / "consent").glob("*"):
        record.unlink()
    importlib.import_module(f"{flow.EXTENSION}.addon.state.consent_records").look_again()
    rows = [{"name": "", "identity": key, "called": name, "person": f"Full {name}", "basis": "own face", "file": "",
             "role": ""} for key, name in lacking(two)]  # fmt: skip
    assert len(rows) == 4 and bpy.ops.understudy.consents(rows=rows, scope="tests", date="") == {"FINISHED"}
    told = [edit["name"] for job in two.jobs if job.kind == "people" for edit in json.loads(job.about)["edits"]]
    assert sorted(told) == ["Full Person 1", "Person 2"]  # the second had a name of an earlier consent
    tick_until(lambda: flow.idle(scene))


def test_a_recast_made_active_shows_its_range_and_cast(addon, scene, two, recast):
    first, second = (one.key for one in two.identities)
    man = recast(draft=True)
    folder = two.shot.scan.folder
    other = scene.sequence_editor.strips.new_movie("other", man.filepath, 1, 300)
    active(scene, other)
    addon.follow.follow()
    bpy.ops.understudy.mark_range()
    assert two.shot.strip_name == "other" and not len(two.shot.scan.people) and not len(two.swaps)
    active(scene, man)
    addon.follow.follow()
    assert two.shot.scan.folder == folder and (two.shot.start, two.shot.end) == (20, 40)
    assert len(two.shot.scan.people) == 2 and faces(two) == {1: first} and two.person == 1
    # until the selection changes again, what is chosen by hand stays
    bpy.ops.understudy.assign(person=0, identity=second)
    addon.follow.follow()
    assert faces(two) == {1: first, 0: second}


def test_the_source_shows_the_cast_of_the_recast_that_is_seen(addon, scene, two, recast, tick_until):
    source = scene.sequence_editor.active_strip
    first, second = (one.key for one in two.identities)
    man = recast(draft=True)
    bpy.ops.understudy.assign(person=0, identity=second)
    flow.agree(scene, tick_until)
    recast(draft=True)
    scene.frame_set(25)
    active(scene, man)  # an older one, muted
    addon.follow.follow()
    assert faces(two) == {1: first}
    active(scene, source)
    addon.follow.follow()
    assert faces(two) == {1: first, 0: second}
    bpy.ops.understudy.assign(person=0, identity=first)  # of the user's own
    for strip in (None, source):
        active(scene, strip)
        addon.follow.follow()
    assert faces(two) == {1: first, 0: first}


def test_a_range_marked_again_has_its_people_and_cast(addon, scene, two):
    first = two.identities[0].key
    strip = scene.sequence_editor.strips["shot"]
    addon.compat.set_span(strip, 30, 50)
    bpy.ops.understudy.mark_range()
    assert not len(two.shot.scan.people)
    addon.compat.set_span(strip, 20, 40)
    bpy.ops.understudy.mark_range()
    assert len(two.shot.scan.people) == 2 and faces(two) == {1: first}


def test_a_crowd_is_filtered(addon, scene, clips, engine, tick_until):
    engine.script(people=12)
    flow.add_shot(scene, clips)
    flow.mark_and_scan(scene, tick_until)
    state, rows = scene.understudy, addon.cast.rows
    assert len(rows(state)) == addon.cast.ROWS and state.person == 1
    state.crowd = "LONGEST"
    assert [p.person for p in rows(state)] == list(range(8))
    bpy.ops.understudy.choose_person(person=11)
    assert [p.person for p in rows(state)] == [*range(7), 11]
    state.crowd = "NAMED"
    assert [p.person for p in rows(state)] == [11]


def test_film_with_sound(addon, scene, clips, engine):
    """Add > Movie leaves the sound active, and both selected."""
    strips = scene.sequence_editor.strips
    picture = flow.add_shot(scene, clips)
    sound = strips.new_sound("sound", str(silence(engine.home)), 2, 10)
    sound.select, scene.sequence_editor.active_strip = True, sound
    assert bpy.ops.understudy.mark_range() == {"FINISHED"}
    assert scene.understudy.shot.strip_name == picture.name
    picture.select = False
    scene.sequence_editor.active_strip = sound
    with pytest.raises(RuntimeError, match="Select a movie or image strip first"):
        bpy.ops.understudy.mark_range()


def silence(folder):
    import wave

    folder.mkdir(exist_ok=True)
    with wave.open(str(folder / "silence.wav"), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(b"\0\0" * 16000)
    return folder / "silence.wav"


def test_halves_are_updated_together_and_are_no_takes(addon, scene, clips, ready, recast, tmp_path):
    ready(flow.add_shot(scene, clips))
    left = recast(draft=True)
    right = left.split(frame=30, split_method="SOFT")
    addon.compat.set_span(right, 31, 38)
    old = left.filepath
    active(scene, right)
    assert addon.recasts.takes(scene, right) == [right] and addon.recasts.takes(scene, left) == [left]
    assert recast(bpy.ops.understudy.update) is None
    assert left.filepath == right.filepath != old
    assert addon.compat.span(left) == (20, 30) and addon.compat.span(right) == (31, 38)
    assert [footage.shown(scene, f, tmp_path) for f in (25, 33)] == [(15, True), (23, True)]
    ids = {addon.recasts.id_of(strip) for strip in (left, right)}
    assert len(ids) == 2 and "" not in ids


def test_a_duplicate_elsewhere_is_a_recast_of_its_own(addon, scene, clips, ready, recast):
    ready(flow.add_shot(scene, clips))
    strip = recast(draft=True)
    other = scene.sequence_editor.strips.new_movie("copy", strip.filepath, 5, 160)
    other["understudy"] = strip["understudy"].to_dict()
    other["understudy_recast"] = strip["understudy_recast"]
    assert addon.recasts.takes(scene, strip) == [strip]
    old = strip.filepath
    active(scene, other)
    assert recast(bpy.ops.understudy.update) is None
    assert strip.filepath == old != other.filepath
    assert bpy.ops.understudy.remove_recast() == {"FINISHED"}
    assert flow.placed(scene) == [strip]


def test_a_cut_shot_is_marked_and_seen_in_both_halves(addon, scene, clips, ready):
    source = ready(flow.add_shot(scene, clips))
    source.split(frame=30, split_method="SOFT")
    assert addon.marking.where(scene) == (20, 40, source.channel)
    for frame in (25, 35):
        scene.frame_set(frame)
        assert addon.preview.here(scene).frame == frame - 10 and addon.preview.here(scene).seen
    source.mute = True
    assert addon.preview.here(scene).seen  # the other half
    scene.frame_set(25)
    assert not addon.preview.here(scene).seen


def test_the_recast_under_the_playhead_of_the_source_is_meant(addon, scene, clips, ready, recast):
    source = ready(flow.add_shot(scene, clips))
    left = recast(draft=True)
    right = left.split(frame=30, split_method="SOFT")
    active(scene, source)
    for frame, strip in ((25, left), (35, right), (45, None)):
        scene.frame_set(frame)
        assert addon.recasts.meant(scene) == strip
    with pytest.raises(RuntimeError, match="Select a recast, or its source with the playhead on it"):
        bpy.ops.understudy.update()
    scene.frame_set(35)
    assert bpy.ops.understudy.remove_recast() == {"FINISHED"}
    assert flow.placed(scene) == [left]


def test_marking_on_a_recast_marks_its_source(addon, scene, clips, ready, recast):
    source = ready(flow.add_shot(scene, clips))
    strip = recast(draft=True)
    active(scene, strip)
    assert bpy.ops.understudy.mark_range() == {"FINISHED"}
    assert scene.understudy.shot.strip_name == source.name


def test_names_follow_the_identities(addon, scene, clips, ready, recast):
    ready(flow.add_shot(scene, clips))
    strip = recast(draft=True)
    assert strip.name == "One · draft · shot"
    scene.understudy.identities[0].name = "Bart"
    assert strip.name == "Bart · draft · shot"
    strip.name = "my own"
    scene.understudy.identities[0].name = "Mia"
    assert strip.name == "my own" and strip["understudy"]["identity_name"] == "Mia"


def test_an_identity_that_nobody_named_is_called_as_its_consent_says(scene, clips, ready, recast, tick_until):
    ready(flow.add_shot(scene, clips))
    strip, identity = recast(draft=True), scene.understudy.identities[0]
    assert identity.name == "One"
    for person, name in (("Bart Beard", "Bart Beard"), ("Another Name", "Bart Beard")):
        assert bpy.ops.understudy.consent(
            identity=identity.key, called=identity.name, person=person, basis="test footage", scope="tests"
        ) == {"FINISHED"}
        tick_until(lambda: flow.idle(scene))
        assert identity.name == name and strip.name == f"{name} · draft · shot"


def test_the_live_recast_steps_aside_and_says_why(addon, scene, clips, ready):
    source = ready(flow.add_shot(scene, clips))
    scene.frame_set(25)
    assert addon.preview.here(scene).aside == ""
    title = scene.sequence_editor.strips.new_movie("title", str(clips.movie), 5, 10)
    assert "“title” lies over it" in addon.preview.here(scene).aside
    title.mute = True
    assert addon.preview.here(scene).aside == ""
    source.modifiers.new("bright", "BRIGHT_CONTRAST")
    assert "modifiers" in addon.preview.here(scene).aside
    scene.sequence_editor.channels[source.channel].mute = True
    assert "muted" in addon.preview.here(scene).aside


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("blend_alpha", 0.5, "not fully opaque"), ("blend_type", "ADD", "is blended"),
        ("color_multiply", 2.0, "colours"), ("mute", True, "“shot” is muted"),
    ],
)  # fmt: skip
def test_the_live_recast_is_no_picture_that_the_edit_does_not_show(addon, scene, clips, ready, name, value, said):
    source = ready(flow.add_shot(scene, clips))
    scene.frame_set(25)
    setattr(source, name, value)
    assert said in addon.preview.here(scene).aside


def test_a_meta_strip_and_the_previews_size_count(addon, scene, clips, ready):
    strip = flow.add_shot(scene, clips)
    meta = scene.sequence_editor.strips.new_meta("meta", strip.channel, 20)
    strip.move_to_meta(meta)
    addon.compat.set_span(meta, *addon.compat.span(strip))
    source = ready(strip)
    scene.frame_set(25)
    assert addon.preview.here(scene).aside == "" and addon.preview.here(scene).channel == meta.channel
    meta.transform.offset_x = 40
    assert "“meta” moves or crops" in addon.preview.here(scene).aside
    meta.transform.offset_x = 0
    meta.mute = True
    assert "“meta” is muted" in addon.preview.here(scene).aside
    space = SimpleNamespace(proxy_render_size="PROXY_25", display_channel=0)
    assert addon.aside.in_view(scene, space, meta.channel) == "" and addon.aside.share(scene, space) == 0.25
    space.display_channel = meta.channel - 1 or 1
    assert ("channels up to" in addon.aside.in_view(scene, space, meta.channel + 1)) and source.parent_meta() == meta
    space.proxy_render_size, space.display_channel = "NONE", 0
    assert "No Display" in addon.aside.in_view(scene, space, meta.channel)


def folds():
    window = bpy.context.window_manager
    window.understudy.show = False
    window.understudy_folds.toggled = ""
    return window.understudy_folds


def test_people_stay_open_until_the_range_is_recast(scene, two, recast, tick_until):
    assert len(two.swaps) == 1 and folds().people and not folds().identities
    bpy.ops.understudy.assign(person=0, identity=two.identities[1].key)
    assert folds().people  # a consent is lacking
    flow.agree(scene, tick_until)
    assert not folds().people  # everybody has a face
    bpy.ops.understudy.assign(person=0, identity="KEPT")
    assert folds().people
    recast(draft=True)
    assert not folds().people


def test_all_get_the_faces_they_had_before(addon, scene, two, recast, clips, tick_until):
    keys = [one.key for one in two.identities]
    for person, name in enumerate(("Ilse", "Cary")):
        two.shot.scan.people[person].name = name
    tick_until(lambda: flow.idle(scene))
    for person, key in enumerate(keys):
        bpy.ops.understudy.assign(person=person, identity=key)
    flow.agree(scene, tick_until)
    before = faces(two)
    for swap in two.swaps:
        swap.target = addon.steps.target_of(two, addon.people_store.person_of(two.shot.scan, swap.person))
    addon.cast.remember(two)
    with pytest.raises(RuntimeError, match="Nobody who is known"):
        bpy.ops.understudy.assign_as_before()
    two.swaps.clear()
    assert addon.cast.all_proposed(two) == before
    assert bpy.ops.understudy.assign_as_before() == {"FINISHED"}
    assert faces(two) == before


def test_a_face_that_was_not_found_is_not_offered(addon, scene, two, engine, clips, tick_until):
    engine.script(fail={"scan": "No face was found in frames 0 to 47 of one.mp4."})
    assert bpy.ops.understudy.add_identity_file(filepath=str(clips.one)) == {"FINISHED"}
    added = two.identities[-1]
    assert addon.steps.may_have_faces(two, added)  # it is looked for
    tick_until(lambda: flow.idle(scene))
    assert not addon.steps.may_have_faces(two, added)
    with pytest.raises(TypeError, match="not found"):
        bpy.ops.understudy.assign(person=0, identity=added.key)


def test_one_face_for_two_people_is_named_once(addon, scene, two, recast, tick_until):
    key = two.identities[0].key
    for person in (0, 1):
        bpy.ops.understudy.assign(person=person, identity=key)
    flow.agree(scene, tick_until)
    made = recast(draft=True)
    assert made.name == "Pictures · draft · shot"
    said = made["understudy"]["consent"].split("; ")
    assert len(said) == len(set(said)) == 3
    short = importlib.import_module(f"{flow.EXTENSION}.addon.panels.convert").consents_in_short
    assert short("A: own face, 2026; B: own face, 2026; A: own face, 2026") == "A, B: own face, 2026"
    two.identities[0].name = "Bart"
    assert made.name == "Bart · draft · shot"


def test_the_labels_tell_of_what_is_seen(addon, scene, two, recast, tick_until):
    first, second = (one.key for one in two.identities)
    man = recast(draft=True)
    bpy.ops.understudy.assign(person=0, identity=second)
    flow.agree(scene, tick_until)
    both = recast(draft=True)
    scene.frame_set(25)
    assert man.mute and not both.mute
    active(scene, man)
    addon.follow.follow()
    assert faces(two) == {1: first}  # the panel is about what is selected
    assert addon.overlay.faces_given(scene, two) == {0: second, 1: first}
    active(scene, both)
    addon.follow.follow()
    bpy.ops.understudy.assign(person=0, identity="KEPT")
    assert addon.overlay.faces_given(scene, two) == {1: first}  # as it will be recast


def test_the_faces_of_a_duplicate_are_found_over_it(addon, scene, two, recast):
    made = recast(draft=True)
    source = scene.sequence_editor.strips["shot"]
    copies = duplicate(addon, scene, {source.name, made.name}, 60)
    copy = next(one for one in copies if one.get("understudy"))
    active(scene, copy)
    addon.follow.follow()
    scene.frame_set(85)
    assert addon.preview.here(scene).frame == 15
    active(scene, made)
    addon.follow.follow()
    assert addon.preview.here(scene) is None
    scene.frame_set(25)
    assert addon.preview.here(scene).frame == 15
