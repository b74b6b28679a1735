"""Recasts of strips whose time was changed, as layers, inside metas; several takes; in place; without a trace."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

import bpy
import flow
import footage
import pytest
import test_timeline as timelines
from test_planted_files import promptly


@pytest.fixture
def ready(scene, clips, engine, tick_until):
    """Mark a strip, and everything up to the last button."""

    def make(strip, **marking):
        engine.script(movie=str(clips.recast), pictures=str(clips.recast_pictures))
        scene.sequence_editor.active_strip = strip
        assert bpy.ops.understudy.mark_range(**marking) == {"FINISHED"}
        assert bpy.ops.understudy.scan_shot() == {"FINISHED"}
        assert bpy.ops.understudy.add_identity_file(filepath=str(clips.one)) == {"FINISHED"}
        tick_until(lambda: flow.idle(scene))
        flow.agree(scene, tick_until)
        return strip

    return make


@pytest.fixture
def recast(scene, engine, tick_until):
    def run(operator=bpy.ops.understudy.convert, **arguments):
        before = set(flow.all_placed(scene))
        assert operator(**arguments) == {"FINISHED"}
        tick_until(lambda: flow.idle(scene))
        assert scene.understudy.error == ""
        made = [strip for strip in flow.all_placed(scene) if strip not in before]
        return made[0] if made else None

    return run


@pytest.mark.parametrize("make", [timelines.slowed, timelines.frozen, timelines.rate_adjusted, timelines.strobed])
def test_a_strip_of_changed_time_is_matched_frame_for_frame(addon, scene, clips, ready, recast, tmp_path, make):
    strip = ready(make(addon, scene, clips))
    shot = scene.understudy.shot
    expected = [footage.shown(scene, frame, tmp_path)[0] for frame in range(shot.start, shot.end)]
    footage.pictures(tmp_path / "recast", shot.source_start, shot.source_end - shot.source_start, marked=True)
    script(tmp_path / "recast")
    placed = recast(draft=True)
    spec = json.loads((Path(addon.protocol.home()) / "fake_convert.json").read_text())
    assert spec["format"] == "png" and addon.compat.span(placed) == (shot.start, shot.end)
    assert placed.channel > strip.channel
    assert [footage.shown(scene, f, tmp_path) for f in range(shot.start, shot.end)] == [(n, True) for n in expected]


def script(pictures):
    import os

    home = Path(os.environ["UNDERSTUDY_HOME"])
    now = json.loads((home / "fake.json").read_text())
    (home / "fake.json").write_text(json.dumps({**now, "pictures": str(pictures)}))


def test_a_reversed_strip_gets_a_reversed_movie(addon, scene, clips, ready, recast, tmp_path):
    strip = timelines.reversed_frames(addon, scene, clips)
    addon.compat.set_span(strip, 28, 48)  # source frames 29 to 10
    ready(strip)
    expected = [footage.shown(scene, frame, tmp_path)[0] for frame in range(28, 48)]
    assert expected == list(range(29, 9, -1))
    placed = recast(draft=True)
    assert placed.type == "MOVIE" and placed.use_reverse_frames
    assert [footage.shown(scene, f, tmp_path) for f in range(28, 48)] == [(n, True) for n in expected]


def test_inside_a_meta_the_recast_lies_in_the_meta(addon, scene, clips, ready, recast, tmp_path):
    strip = timelines.inside_meta(addon, scene, clips)
    meta = strip.parent_meta()
    addon.compat.set_span(meta, 20, 40)
    ready(strip)
    placed = recast(draft=True)
    assert placed.parent_meta() == meta and placed.channel > strip.channel and addon.compat.span(placed) == (20, 40)
    assert [footage.shown(scene, f, tmp_path) for f in (20, 31, 39)] == [(10, True), (21, True), (29, True)]


def test_a_meta_is_marked_by_what_is_in_it(addon, scene, clips, ready):
    strip = timelines.inside_meta(addon, scene, clips)
    meta = strip.parent_meta()
    scene.frame_set(20)
    ready(meta)
    assert scene.understudy.shot.strip_name == strip.name and strip["understudy_id"]


def test_ranges(addon, scene, clips, engine):
    strip = flow.add_shot(scene, clips)
    state = scene.understudy
    with pytest.raises(RuntimeError, match="Neither in nor out"):
        bpy.ops.understudy.mark_range(by="PLAYHEAD")
    scene.frame_set(24)
    bpy.ops.understudy.set_in()
    scene.frame_set(30)
    bpy.ops.understudy.set_out()
    assert state.mark_by == "PLAYHEAD" and bpy.ops.understudy.mark_range() == {"FINISHED"}
    assert (state.shot.start, state.shot.end, state.shot.source_start) == (24, 31, 14)
    with pytest.raises(RuntimeError, match="no markers"):
        bpy.ops.understudy.mark_range(by="MARKERS")
    for frame in (22, 28, 35):
        scene.timeline_markers.new("m", frame=frame)
    assert bpy.ops.understudy.mark_range(by="MARKERS") == {"FINISHED"}
    assert (state.shot.start, state.shot.end) == (28, 35)
    with pytest.raises(RuntimeError, match="No preview range"):
        bpy.ops.understudy.mark_range(by="PREVIEW")
    assert strip["understudy_id"] == state.shot.strip_id


def test_the_fit_begins_as_the_engines_does(addon, scene):
    assert (
        addon.settings_group.read(scene.understudy.fit, addon.protocol.ConvertSettings)
        == addon.protocol.ConvertSettings()
    )


def test_recasts_get_names_that_are_free_and_look_like_what_they_are(addon, scene, engine):
    recasts = addon.project.folder(scene.understudy) / "recasts"
    first = addon.project.new_recast(scene.understudy, "shot v1.2", set(), "")
    assert first.name == "shot-v1-2-01"
    first.mkdir(parents=True)
    (recasts / "shot-v1-2-02.mov").touch()
    promised = {str(recasts / "shot-v1-2-03.mp4")}
    assert addon.project.new_recast(scene.understudy, "shot v1.2", promised, ".mp4").name == "shot-v1-2-04.mp4"


def test_a_layer_lies_over_its_source_with_alpha(addon, scene, clips, engine, ready, recast):
    ready(flow.add_shot(scene, clips))
    scene.understudy.layer = True
    placed = recast(draft=True)
    spec = json.loads((engine.home / "fake_convert.json").read_text())
    assert spec["layer"] and spec["format"] == "png" and "." not in Path(spec["output"]).name
    assert placed.type == "IMAGE" and placed.alpha_mode == "STRAIGHT" and placed.blend_type == "ALPHA_OVER"
    assert placed["understudy"]["layer"]


def test_modifiers_come_along(scene, clips, ready, recast):
    strip = ready(flow.add_shot(scene, clips))
    strip.modifiers.new("bright", "BRIGHT_CONTRAST").bright = 12.5
    balance = strip.modifiers.new("balance", "COLOR_BALANCE")
    balance.color_balance.gain = (1.5, 1.0, 0.5)
    curves = strip.modifiers.new("curves", "CURVES")
    curves.curve_mapping.curves[3].points.new(0.25, 0.75)
    placed = recast(draft=True)
    assert [(m.name, m.type) for m in placed.modifiers] == [(m.name, m.type) for m in strip.modifiers]
    assert placed.modifiers["bright"].bright == 12.5
    assert tuple(placed.modifiers["balance"].color_balance.gain) == (1.5, 1.0, 0.5)
    assert [tuple(p.location) for p in placed.modifiers["curves"].curve_mapping.curves[3].points] == [
        tuple(p.location) for p in curves.curve_mapping.curves[3].points
    ]


def test_takes_are_alternatives(addon, scene, clips, ready, recast):
    ready(flow.add_shot(scene, clips))
    scene.frame_set(25)
    assert addon.placing.take_in_view(scene) == ""
    first = recast(draft=True)
    assert addon.placing.take_in_view(scene) == "Placed Recast"
    second, third = recast(draft=True), recast(draft=True)
    assert [s.mute for s in (first, second, third)] == [True, True, False]
    assert len({s.channel for s in (first, second, third)}) == 3
    scene.sequence_editor.active_strip = third
    assert bpy.ops.understudy.next_take() == {"FINISHED"}
    assert [s.mute for s in (first, second, third)] == [False, True, True]
    assert scene.sequence_editor.active_strip == first
    view = bpy.context.window_manager.understudy
    drawn = addon.preview.Frame(stamp=0, steps=7)
    below = addon.placing.take_in_view(scene)
    assert addon.overlay.note(view, drawn, below) == "Step 7 (live, over Take 1 of 3)"
    view.view = "original"
    assert addon.overlay.note(view, None, below) == "Take 1 of 3"
    assert addon.overlay.note(view, None, "") == "Original"
    view.view = "recast"
    scene.sequence_editor.channels[first.channel].mute = True
    assert addon.placing.take_in_view(scene) == ""
    scene.sequence_editor.channels[first.channel].mute = False
    bpy.ops.understudy.next_take(step=-1)
    assert [s.mute for s in (first, second, third)] == [True, True, False]
    scene.frame_set(41)
    assert addon.placing.take_in_view(scene) == ""
    assert bpy.ops.understudy.remove_recast() == {"FINISHED"}
    assert len(flow.placed(scene)) == 2 and not addon.recasts.takes(scene, second)[-1].mute


def test_update_changes_what_is_shown_and_nothing_else(addon, scene, clips, engine, ready, recast, tmp_path):
    ready(flow.add_shot(scene, clips))
    placed = recast(draft=True)
    placed.transform.offset_x, placed.channel, placed.blend_alpha = 0.0, 7, 0.5
    old = placed.filepath
    addon.compat.set_span(placed, 22, 38)
    scene.sequence_editor.active_strip = placed
    assert recast(bpy.ops.understudy.update) is None  # no new strip
    assert placed.filepath != old and placed.channel == 7 and placed.blend_alpha == 0.5
    assert addon.compat.span(placed) == (22, 38)
    placed.blend_alpha = 1.0
    assert footage.shown(scene, 25, tmp_path) == (15, True)
    engine.script(movie=str(clips.one))
    bpy.ops.understudy.update()
    flow.wait_idle(addon, scene)
    assert "1 frames where 20 were marked" in scene.understudy.error and footage.shown(scene, 25, tmp_path)[1]


def test_removing_leaves_no_trace(addon, scene, clips, ready, recast):
    strip = ready(flow.add_shot(scene, clips))
    placed = recast(draft=True)
    other = scene.sequence_editor.strips.new_movie("other", str(clips.movie), 1, 300)
    scene.sequence_editor.active_strip = other
    bpy.ops.understudy.mark_range()
    scene.sequence_editor.active_strip = placed
    assert bpy.ops.understudy.remove_recast() == {"FINISHED"}
    assert flow.placed(scene) == [] and "understudy_id" not in strip and other["understudy_id"]
    assert scene.sequence_editor.active_strip == strip
    with pytest.raises(RuntimeError, match="Select a recast, or its source"):
        bpy.ops.understudy.remove_recast()


def test_content_credentials_name_what_is_seen(scene, clips, engine, ready, recast, tick_until, tmp_path):
    ready(flow.add_shot(scene, clips))
    recast(draft=True)
    seen = recast(draft=True)
    render = tmp_path / "render.mp4"
    render.write_bytes(clips.one.read_bytes())
    assert bpy.ops.understudy.credentials(filepath=str(render)) == {"FINISHED"}
    tick_until(lambda: flow.idle(scene))
    spec = json.loads((engine.home / "fake_credential.json").read_text())
    assert spec["file"] == str(render) and spec["ingredients"] == [bpy.path.abspath(seen.filepath)]


def test_a_scene_strip_is_rendered_and_the_movie_is_marked(addon, scene, clips, engine, tmp_path, monkeypatch):
    """By a second Blender, while this one goes on; what a path has in braces is no template. It loads no module of the
    folder that the user stands in, and takes the place of nothing in the project."""
    trap = "import os, pathlib\npathlib.Path(os.environ['TRACE']).touch()\nraise SystemExit(3)\n"
    stranger = tmp_path / "stranger"
    stranger.mkdir()
    for name in ("json.py", "subprocess.py"):
        (stranger / name).write_text(trap)
    monkeypatch.chdir(stranger)
    monkeypatch.setenv("PYTHONPATH", str(stranger))
    monkeypatch.setenv("TRACE", str(tmp_path / "trace"))
    (tmp_path / "{shot} #1 [a] 50%").mkdir()
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "{shot} #1 [a] 50%" / "{film}.blend"))
    other = bpy.data.scenes.new("inner")
    footage.prepare(other)
    other.render.fps = 24
    other.sequence_editor_create().strips.new_movie("counter", str(clips.movie), 1, 1)
    other.frame_start, other.frame_end = 1, 48
    strip = scene.sequence_editor.strips.new_scene("scene strip", other, 1, 10)
    strip.scene_input = "SEQUENCER"
    footage.prepare(scene)
    addon.compat.set_span(strip, 14, 22)
    scene.sequence_editor.active_strip = strip
    folder = addon.project.folder(scene.understudy) / "intermediates"
    planted = plant(folder, tmp_path, "scene-strip-5-8")
    assert bpy.ops.understudy.mark_range() == {"FINISHED"}
    with pytest.raises(RuntimeError, match="is being rendered"):
        bpy.ops.understudy.mark_range()
    deadline = time.monotonic() + 60
    while addon.scene_strips.tick() is not None:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    shot = scene.understudy.shot
    assert scene.understudy.error == "" and (shot.start, shot.end) == (14, 22)
    movie = next(s for s in scene.sequence_editor.strips if s.type == "MOVIE")
    assert shot.strip_id == movie["understudy_id"] and movie.channel == 2
    assert [footage.shown(scene, frame, tmp_path)[0] for frame in range(14, 22)] == list(range(4, 12))
    made = folder / "scene-strip-5-8-2.mkv"
    assert Path(shot.source) == made and (os.name == "nt" or made.stat().st_mode & 0o777 == 0o600)
    assert sorted(folder.iterdir()) == sorted([*planted, made])
    assert {path: path.read_text() for path in planted} == planted and not (tmp_path / "trace").exists()


def test_what_renders_a_scene_strip_runs_no_scripts_and_writes_nothing_else(addon, scene, tmp_path):
    """A driver in Python is asked for only while the scene is rendered, and File Output nodes write where they like."""
    said = " ".join(addon.scene_strips._blender(tmp_path / "scene.blend"))
    assert "--disable-autoexec" in said or "use_scripts=False" in said
    trees = [bpy.data.node_groups.new("compositing", "CompositorNodeTree")]
    if hasattr(scene, "node_tree"):
        scene.use_nodes = True
        trees.append(scene.node_tree)
    for tree in trees:
        tree.nodes.new("CompositorNodeOutputFile")
        tree.nodes.new("CompositorNodeBlur")
    scene.render.use_multiview = True
    # in no collection: Blender as a module does not survive that a fluid is simulated
    smoke, shirt = (bpy.data.objects.new(name, bpy.data.meshes.new(name)) for name in ("smoke", "shirt"))
    smoke.modifiers.new("fluid", "FLUID").fluid_type = "DOMAIN"
    domain = smoke.modifiers[0].domain_settings
    domain.cache_type, domain.cache_directory = "REPLAY", str(tmp_path / "outside")
    domain.is_cache_baking_data = True
    cloth = shirt.modifiers.new("cloth", "CLOTH").point_cache
    cloth.use_disk_cache, cloth.name = True, "../../outside"
    material = bpy.data.materials.new("program")
    material.use_nodes = True
    material.node_tree.nodes.new("ShaderNodeScript")
    camera = bpy.data.cameras.new("program")
    camera.type = "CUSTOM" if "CUSTOM" in camera.bl_rna.properties["type"].enum_items else "ORTHO"
    scene.cycles.shading_system = True
    assert addon.scene_strips.HARMLESS in said
    exec(addon.scene_strips.HARMLESS, {})
    kinds = [{node.bl_idname for node in tree.nodes} for tree in trees]
    assert all("CompositorNodeBlur" in own and "CompositorNodeOutputFile" not in own for own in kinds)
    assert not scene.render.use_multiview and not scene.cycles.shading_system
    assert Path(domain.cache_directory).parent == Path.cwd() and not (cloth.use_disk_cache or cloth.name)
    assert not domain.is_cache_baking_any
    assert "ShaderNodeScript" not in {node.bl_idname for node in material.node_tree.nodes}
    assert camera.type in ("PERSP", "ORTHO")


def test_no_animation_makes_what_is_rendered_harmful_again(addon, scene):
    """Curves and drivers that are evaluated with a frame, of data-blocks that lead to the one that is meant."""
    camera = bpy.data.cameras.new("program")
    filmed, moved, mixed = (bpy.data.objects.new(name, camera) for name in ("filmed", "moved", "mixed"))
    for one in (filmed, moved, mixed):
        scene.collection.objects.link(one)
    custom = next(one.value for one in camera.bl_rna.properties["type"].enum_items if one.identifier == "CUSTOM")
    action = bpy.data.actions.new("of two objects")
    bags = action.layers.new("layer").strips.new(type="KEYFRAME")
    for one in (moved, filmed):
        bag = bags.channelbag(action.slots.new("OBJECT", one.name), ensure=True)
        bag.fcurves.new("data.type" if one is filmed else "location", index=0).keyframe_points.insert(1, custom)
        one.animation_data_create().action = action
        one.animation_data.action_slot = bag.slot
    weighed = mixed.animation_data_create().nla_tracks.new().strips.new("strip", 1, bpy.data.actions.new("mixed"))
    weighed.use_animated_influence, weighed.action["camera"] = True, camera
    weighed.fcurves[0].data_path = 'action["camera"].type'
    weighed.fcurves[0].keyframe_points.insert(1, custom)
    for settings, name in ((scene.cycles, "shading_system"), (scene.render, "use_multiview")):
        settings.driver_add(name).driver.expression = "frame"
    camera.custom_filepath, camera.custom_mode = "/camera.oso", "INTERNAL"
    camera.custom_bytecode = "OpenShadingLanguage 1.00"
    scene.render.ffmpeg.use_autosplit = True
    scene.frame_set(2)
    assert (camera.type, scene.cycles.shading_system, scene.render.use_multiview) == ("CUSTOM", True, True)
    exec(addon.scene_strips.HARMLESS, {})
    scene.frame_set(3)
    assert (camera.type, scene.cycles.shading_system, scene.render.use_multiview) == ("PERSP", False, False)
    assert camera.custom_filepath == camera.custom_bytecode == "" and not scene.render.ffmpeg.use_autosplit
    assert moved.location.x == custom


def plant(folder, outside, stem):
    """What a stranger, or the user, may have in a project under names that follow from a strip's; with its texts."""
    folder.mkdir(parents=True)
    (folder / f"{stem}.mkv").write_text("a film of the user's")
    found = {folder / f"{stem}.mkv": "a film of the user's"}
    for ending in (".blend", ".log", ".part.mkv") if os.name != "nt" else ():
        precious = outside / f"precious{ending}"
        precious.write_text(f"of the user's{ending}")
        (folder / f"{stem}{ending}").symlink_to(precious)
        found[folder / f"{stem}{ending}"] = f"of the user's{ending}"
    return found


@pytest.fixture
def scene_strip(scene, tmp_path):
    """A scene strip of 8 frames, in a .blend that was saved."""
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "film.blend"))
    other = bpy.data.scenes.new("inner")
    other.frame_start, other.frame_end = 1, 8
    strip = scene.sequence_editor.strips.new_scene("scene strip", other, 1, 1)
    scene.sequence_editor.active_strip = strip
    return strip


@pytest.mark.parametrize("stopped", [False, True])
def test_what_a_failed_rendering_says_takes_no_files_place(
    addon, scene, scene_strip, engine, tmp_path, monkeypatch, stopped
):
    folder = tmp_path / "film.understudy" / "intermediates"
    folder.mkdir(parents=True)
    log = folder / "scene-strip-1-8.log"
    log.write_text("notes") if os.name == "nt" else os.mkfifo(log)
    does = "time.sleep(60)" if stopped else "sys.exit('no light in the scene')"
    command = [sys.executable, "-c", f"import sys, time\n{does}"]
    monkeypatch.setattr(addon.scene_strips, "_blender", lambda blend: command)
    with promptly():
        assert bpy.ops.understudy.mark_range() == {"FINISHED"}
    aside = Path(addon.scene_strips.rendering.aside.name)
    assert (aside / "scene.blend").is_file()
    if stopped:
        assert bpy.ops.understudy.cancel_rendering() == {"FINISHED"}
    deadline = time.monotonic() + 20
    while addon.scene_strips.tick() is not None:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    told = folder / "scene-strip-1-8-2.log"
    assert not aside.exists() and sorted(folder.iterdir()) == sorted([log, *([] if stopped else [told])])
    assert scene.understudy.error == ("" if stopped else f"The scene strip could not be rendered: {told} tells why.")
    assert stopped or "no light" in told.read_text()


@pytest.mark.skipif(os.name == "nt", reason="Windows lets only administrators make links")
@pytest.mark.parametrize("planted", ["link", "dangling", "file", "project"])
def test_no_scene_strip_is_rendered_into_a_folder_that_is_none_of_the_projects(
    scene, scene_strip, engine, tmp_path, planted
):
    theirs, project = tmp_path / "documents", tmp_path / "film.understudy"
    theirs.mkdir()
    folder = project / "intermediates"
    if planted == "project":
        project.symlink_to(theirs)
    else:
        project.mkdir()
        folder.touch() if planted == "file" else folder.symlink_to(theirs if planted == "link" else tmp_path / "none")
    with pytest.raises(RuntimeError, match="Nothing can be made in" if planted == "file" else "leads out of"):
        bpy.ops.understudy.mark_range()
    assert list(theirs.iterdir()) == [] and not (tmp_path / "none").exists()


def duplicate(addon, scene, names, by, up=0):
    """Shift-D of these strips, moved on by so many frames and so many channels."""
    for strip in scene.sequence_editor.strips:
        strip.select = strip.name in names
    before = {strip.name for strip in scene.sequence_editor.strips}
    with timelines.sequencer_context():
        bpy.ops.sequencer.duplicate()
    made = [strip for strip in scene.sequence_editor.strips if strip.name not in before]
    for strip in made:
        name = "content_start" if bpy.app.version >= (5, 1, 0) else "frame_start"
        setattr(strip, name, getattr(strip, name) + by)
        strip.channel = (2 if strip.get("understudy") else 1) + up
    return sorted(made, key=lambda one: one.channel)


def test_a_copy_is_one_of_its_own_from_before_it_is_moved(addon, scene, clips, ready, recast):
    """The timer looks while Shift-D still holds the copies over the originals."""
    source = ready(flow.add_shot(scene, clips))
    first = recast(draft=True)
    for strip in scene.sequence_editor.strips:
        strip.select = True
    with timelines.sequencer_context():
        bpy.ops.sequencer.duplicate()
    made = [strip for strip in scene.sequence_editor.strips if strip not in (source, first)]
    addon.recasts.own_ids(scene)
    for strip in made:
        name = "content_start" if "content_start" in strip.bl_rna.properties else "frame_start"
        setattr(strip, name, getattr(strip, name) + 100)
    addon.recasts.own_ids(scene)
    copy = next(strip for strip in made if not strip.get("understudy"))
    copied = next(strip for strip in made if strip.get("understudy"))
    assert addon.recasts.source_of(scene, copied) == copy and addon.recasts.source_of(scene, first) == source
    assert addon.in_step.frames_off(scene, copied, copy) == 0
    assert addon.recasts.takes(scene, copied) == [copied]


@pytest.mark.parametrize(("by", "up"), [(100, 0), (0, 4)])
@pytest.mark.parametrize("cut", [False, True])
def test_a_copy_of_a_shot_and_its_recast_is_a_shot_of_its_own(addon, scene, clips, ready, recast, by, up, cut):
    source = ready(flow.add_shot(scene, clips))
    first = recast(draft=True)
    names = {source.name, first.name}
    if cut:
        names.add(source.split(frame=30, split_method="SOFT").name)
    made = duplicate(addon, scene, names, by, up)
    copy, copied = made[0], made[-1]
    scene.sequence_editor.active_strip = scene.sequence_editor.strips["shot"]
    second = recast(draft=True)
    assert addon.compat.span(second) == (20, 30 if cut else 40) and second.channel > first.channel
    pieces = [addon.compat.span(one) for one in addon.recasts.pieces(scene, second)]
    assert pieces == ([(20, 30), (30, 40)] if cut else [(20, 40)])  # cut as what it lies over is
    assert first.mute and not second.mute and not copied.mute
    assert source["understudy_id"] == first["understudy"]["strip_id"] == second["understudy"]["strip_id"]
    assert copy["understudy_id"] == copied["understudy"]["strip_id"] != source["understudy_id"]
    ids = [strip["understudy_id"] for strip in scene.sequence_editor.strips if strip.get("understudy_id")]
    assert len(set(ids)) == 2 and len(ids) == (4 if cut else 2)
    assert addon.recasts.takes(scene, copied) == [copied]
    assert addon.placing.remove(scene, copied) in made
    assert [addon.recasts.source_of(scene, one).name for one in (first, second)] == ["shot", "shot"]


def test_a_copied_shot_that_is_marked_is_not_the_first(addon, scene, clips, ready, recast):
    source = ready(flow.add_shot(scene, clips))
    recast(draft=True)
    (copy,) = duplicate(addon, scene, {source.name}, 60)
    scene.sequence_editor.active_strip = copy
    assert bpy.ops.understudy.mark_range() == {"FINISHED"}
    assert (scene.understudy.shot.start, scene.understudy.shot.strip_id) == (80, copy["understudy_id"])
    assert copy["understudy_id"] != source["understudy_id"]
    placed = recast(draft=True)
    assert addon.compat.span(placed) == (80, 100)
    assert [one.mute for one in flow.placed(scene)] == [False, False]


def test_a_copied_scene_keeps_its_own(addon, scene, clips, ready, recast, tmp_path):
    ready(flow.add_shot(scene, clips))
    first = recast(draft=True)
    other = scene.copy()
    theirs = next(s for s in other.sequence_editor.strips if s.get("understudy"))
    again = recast(draft=True)
    assert first.mute and not again.mute and not theirs.mute
    assert addon.recasts.source_of(other, theirs).id_data == other
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "film.blend"), copy=True)
    with bpy.data.libraries.load(str(tmp_path / "film.blend")) as (_there, here):
        here.scenes = [scene.name]
    appended = here.scenes[0]
    addon.recasts.own_ids(appended)
    made = addon.recasts.placed(appended)
    assert [one.mute for one in made] == [True, False]
    assert {addon.recasts.source_of(appended, one).name for one in made} == {"shot"}


def test_where_a_render_goes_is_no_fault(addon, scene):
    scene.render.filepath = "/tmp/{nothing of that name}/film"
    assert addon.operators.provenance.rendered_to(scene) == ""
    scene.render.filepath = "/tmp/{{braces}}/film"
    assert addon.operators.provenance.rendered_to(scene).startswith("/tmp/{braces}/film")
