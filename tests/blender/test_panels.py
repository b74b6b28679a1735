"""What the panels say in each state. A recorder stands in for UILayout, which exists only in a window."""

from __future__ import annotations

import dataclasses
import json
from types import SimpleNamespace

import bpy
import flow
import pytest


class Recorder:
    """Takes any call of UILayout, remembers texts and operators, refuses names that UILayout does not have."""

    def __init__(self, log=None):
        object.__setattr__(self, "log", [] if log is None else log)

    def __setattr__(self, name, value):
        assert name in bpy.types.UILayout.bl_rna.properties, name

    def __getattr__(self, name):
        if name in bpy.types.UILayout.bl_rna.properties:
            return True
        function = bpy.types.UILayout.bl_rna.functions[name]  # KeyError: there is no such thing to draw
        known = {parameter.identifier for parameter in function.parameters}

        def draw(*arguments, **options):
            assert set(options) <= known, (name, set(options) - known)
            if "icon" in options:
                assert options["icon"] in function.parameters["icon"].enum_items, options["icon"]
            if name in {"operator", "operator_menu_enum"}:
                idname = arguments[0]
                group, operator = idname.split(".")
                properties = getattr(getattr(bpy.ops, group), operator).get_rna_type().properties
                self.log.append(("operator", idname, options.get("text", "")))
                return Settings(properties, self.log)
            if name == "prop":
                assert arguments[1] in arguments[0].bl_rna.properties
            self.log.append((name, options.get("text", "")))
            # a sub-panel answers its line and, as all are open here, what is below it
            return (Recorder(self.log), Recorder(self.log)) if name.startswith("panel") else Recorder(self.log)

        return draw


class Settings:
    """An operator's properties as a button sets them."""

    def __init__(self, properties, log):
        object.__setattr__(self, "properties", properties)
        object.__setattr__(self, "log", log)

    def __setattr__(self, name, value):
        assert name in self.properties.keys(), name  # noqa: SIM118
        self.log.append(("set", name, value))


@pytest.fixture
def draw(addon):
    context = SimpleNamespace(
        scene=None, workspace=None, window=None, window_manager=bpy.context.window_manager,
        preferences=SimpleNamespace(system=SimpleNamespace(ui_scale=1.0)), region=SimpleNamespace(width=260),
    )  # fmt: skip

    def panels() -> str:
        context.workspace, context.scene = bpy.context.workspace, bpy.context.scene
        context.window_manager = bpy.context.window_manager  # another one after a file is opened
        said = []
        for cls in addon.panels.CLASSES:
            if not hasattr(cls, "poll") or cls.poll(context):
                layout = Recorder()
                cls.draw(SimpleNamespace(layout=layout), context)
                for header in ("draw_header",):
                    if hasattr(cls, header):
                        getattr(cls, header)(SimpleNamespace(layout=layout), context)
                said += [" ".join(str(part) for part in entry if part != "") for entry in layout.log]
        # sentences are drawn over several lines
        return " ".join(" ".join(said).replace("label ", "").split())

    return panels


def test_an_empty_scene_says_how_to_begin(scene, draw):
    said = draw()
    assert "Select a movie or image strip first." in said
    assert "Mark the range to recast first." in said
    assert "Add the footage of the person" in said
    assert "Save the .blend" in said


def test_no_scene_says_so(scene, draw):
    if bpy.app.version < (5, 0, 0):
        pytest.skip("Blender 4.5's sequencer always shows the window's scene")
    bpy.context.workspace.sequencer_scene = None
    assert draw().count("Choose a scene in the sequencer's header first.") >= 4


def test_what_is_known_of_the_footage_is_said_before_anything_runs(scene, clips, engine, tick_until, draw):
    found = [
        {"kind": "is", "text": "counter.mp4 is a movie."},
        {"kind": "kept", "text": "Its size."},
        {"kind": "lost", "text": "1 sound track that nothing here decodes."},
        {"kind": "cannot", "text": "H.265."},
    ]
    engine.script(footage=found)
    flow.add_shot(scene, clips)
    assert bpy.ops.understudy.mark_range() == {"FINISHED"}
    assert "things to know" not in draw()
    tick_until(lambda: "things to know" in draw())
    said = draw().replace("column ", "")
    assert "Footage: 2 things to know Cannot be done H.265. Lost, or otherwise 1 sound track" in said
    assert not scene.understudy.jobs
    (asked,) = map(json.loads, (engine.home / "fake_footage").read_text().splitlines())
    assert asked == {"path": str(clips.movie), "start": 10, "end": 30, "stream": 0, "played": True}
    engine.script(footage=found[:1])
    assert bpy.ops.understudy.mark_range() == {"FINISHED"}  # its file may be another
    tick_until(lambda: "Footage What it is" in draw())


def test_each_step_says_what_it_waits_for(addon, scene, clips, engine, tick_until, draw):
    engine.script(people=2, hold=["scan"], movie=str(clips.recast))
    flow.add_shot(scene, clips)
    bpy.ops.understudy.mark_range()
    said = draw()
    assert "shot: 20 frames, 20 to 39" in said and "Scan the shot first." in said
    bpy.ops.understudy.scan_shot()
    tick_until(lambda: scene.understudy.jobs[-1].state == "running")
    said = draw()
    assert said.count("Finding people 25%, 4 s left") == 1  # in place of the button, as high as that
    assert "understudy.cancel" in said and "operator understudy.scan_shot" not in said
    engine.script(hold=[])
    tick_until(lambda: flow.idle(scene))
    said = draw()
    assert "understudy.choose_person Person 2 set person 1 20" not in said
    assert "understudy.choose_person Person 2" in said and "19 frames" in said
    assert "Add an identity first." in said
    bpy.ops.understudy.add_identity_file(filepath=str(clips.pictures))
    assert "Its footage is being scanned." in draw()
    assert draw().count("understudy.cancel") == 1
    tick_until(lambda: flow.idle(scene))
    said = draw()
    assert "Record the consent of Pictures, Person 2 first." in said
    assert "operator understudy.consents" in said and "Consent of" not in said  # one button for both
    bpy.ops.understudy.consent(
        identity=scene.understudy.identities[0].key, person="Full Name", basis="test footage", scope="tests"
    )
    tick_until(lambda: flow.idle(scene))
    addon.consent_records.look_again()
    said = draw()
    assert "operator understudy.consents" not in said and "Consent of Person 2…" in said
    flow.agree(scene, tick_until)
    said = draw()
    assert "Train, then Recast" in said and "Record the consent" not in said
    engine.script(hold=["train"])
    bpy.ops.understudy.train()
    tick_until(lambda: scene.understudy.jobs[-1].step)
    said = draw()
    assert said.count("loss 0.375 at step 7") == said.count("Training 25%, 4 s left") == 1  # in one place
    assert "operator understudy.train" not in said
    assert "Recast when Trained" in said
    engine.script(hold=[])
    tick_until(lambda: flow.idle(scene))
    assert "Train, then Recast" not in draw()
    bpy.ops.understudy.convert()
    tick_until(lambda: flow.idle(scene))
    said = draw()
    assert "understudy.update" in said  # of the recast over the active strip
    assert "understudy.next_take" not in said and "live preview lies over it" not in said  # there is one take
    scene.frame_set(25)
    bpy.context.window_manager.understudy.show = True
    bpy.ops.understudy.convert()
    tick_until(lambda: flow.idle(scene))
    said = draw()
    assert "understudy.next_take Take 2 of 2" in said and "live preview lies over it" in said
    bpy.context.window_manager.understudy.show = False
    bpy.ops.understudy.remove_recast()
    bpy.ops.understudy.remove_recast()
    assert "understudy.place" in draw()


def test_a_draft_shows_its_progress_in_place_of_its_button(addon, scene, clips, engine, tick_until, draw):
    engine.script(hold=["train", "convert"], movie=str(clips.recast))
    flow.ready_to_convert(scene, clips, tick_until)
    before = draw()
    assert "understudy.convert Draft, without Training" in before
    bpy.ops.understudy.convert(draft=True)
    assert scene.understudy.jobs[-1].message == "Waits for the faces"
    tick_until(lambda: scene.understudy.jobs[-2].state == "running")
    said = draw()
    assert said.count("Gathering faces 25%") == 1 and "understudy.convert Draft" not in said
    assert "understudy.convert Recast" in said  # in its place, disabled
    assert "understudy.train Train: a Recast Is under Way" in said and "understudy.recast_with_defaults" in said
    assert said.count("understudy.cancel") == 1 and "Waits for" not in said
    scene.understudy.jobs[-2].state = "done"
    assert "Waiting for the engine" in draw() and "Waits for the faces" not in draw()
    scene.understudy.jobs[-2].state = "running"
    engine.script(hold=["convert"])
    tick_until(lambda: scene.understudy.jobs[-1].state == "running")
    assert draw().count("Recasting 25%") == 1
    scene.understudy.jobs[-1].progress = 0.0  # nothing was measured yet
    assert "Recasting 0%" in draw() and "left" not in draw().partition("Recasting 0%")[2][:10]
    assert bpy.ops.understudy.cancel() == {"FINISHED"}
    assert draw().count("Stopping…") == 1
    tick_until(lambda: flow.idle(scene))
    assert "understudy.convert Draft, without Training" in draw()


def test_a_running_jobs_warning_is_shown(scene, clips, engine, tick_until, draw):
    engine.script(hold=["scan"], warn={"scan": "The worker died; the job is started again."})
    flow.add_shot(scene, clips)
    bpy.ops.understudy.mark_range()
    bpy.ops.understudy.scan_shot()
    tick_until(lambda: scene.understudy.jobs[-1].warning)
    said = draw()
    assert "The worker died; the job is started again." in said and "Nobody needs" not in said
    engine.script(hold=[])
    tick_until(lambda: flow.idle(scene))
    assert "The worker died" not in draw()


def test_the_engines_keys_are_names_in_the_panel(scene, clips, engine, tick_until, draw):
    flow.ready_to_convert(scene, clips, tick_until)
    identity = scene.understudy.identities[0]
    identity.name = "Grace"
    scene.understudy.error = f"{identity.key}'s faces are small."
    said = draw()
    assert "Grace's faces are small." in said and identity.key + "'s" not in said
    target = scene.understudy.swaps[0].target
    scene.understudy.error = f"{target}'s faces are small, and so are shot-0123abcd-person-1's."
    assert "Person 1's faces are small, and so are Person 2's." in draw()


def test_errors_are_shown(addon, scene, clips, engine, tick_until, draw):
    engine.script(people=0)
    flow.add_shot(scene, clips)
    flow.mark_and_scan(scene, tick_until)
    said = draw()
    assert "No face was found in the marked footage" in said and "understudy.dismiss_error" in said
    addon.jobs.engine = addon.reports.EngineReport(state="failed", error="The engine is not installed. Install it.")
    said = draw()
    assert "The engine is not installed. Install it." in said and "understudy.start_engine" in said


def test_an_older_engine_is_offered_an_update_also_while_it_runs(addon, scene, draw, tmp_path, monkeypatch):
    home = tmp_path / "home"
    python = addon.environment.python_of(home / "env")
    python.parent.mkdir(parents=True)
    python.write_text("")
    (home / "env" / "understudy.json").write_text('{"version": "0.0.9"}')
    monkeypatch.setenv("UNDERSTUDY_HOME", str(home))
    monkeypatch.delenv("UNDERSTUDY_ENGINE_PYTHON", raising=False)
    monkeypatch.setattr(addon.engine_setup, "_version", None)
    monkeypatch.setattr(addon.jobs, "engine", addon.reports.EngineReport(state="ready", version="0.0.9"))
    said = draw()
    assert f"The engine is version 0.0.9, the add-on {addon.environment.version()}: update the engine." in said
    assert "understudy.setup" in said
    monkeypatch.setattr(addon.engine_setup, "_version", addon.environment.version())
    assert "update the engine" not in draw()


def test_the_panel_says_whose_engine_works(addon, scene, clips, engine, tick_until, draw, tmp_path, monkeypatch):
    monkeypatch.setattr(addon.sidecar, "PACE", dataclasses.replace(addon.sidecar.PACE, far=0.05))
    preferences = addon.user_preferences.preferences()
    with pytest.raises(RuntimeError, match="token file"):
        bpy.ops.understudy.use_remote()
    token = tmp_path / "token"
    token.write_text("t" * 64 + "\n")
    preferences.remote_address, preferences.remote_token_file = "http://127.0.0.1:7860", str(token)
    engine.script(refuse_remote="The remote engine refuses the token.")
    bpy.ops.understudy.use_remote()
    tick_until(lambda: addon.jobs.engine.error)
    assert "The remote engine refuses the token." in draw() and addon.jobs.engine.state == "ready"
    there = {"url": "http://127.0.0.1:7860", "state": "ready", "host": "gpubox", "device": "NVIDIA H200"}
    engine.script(refuse_remote="", remote=there, hold=["scan"])
    bpy.ops.understudy.use_remote()
    tick_until(lambda: addon.jobs.engine.remote)
    assert json.loads((engine.home / "fake_remote.json").read_text()) == {"url": there["url"], "token": "t" * 64}
    assert addon.jobs.engine.error == ""
    assert "Engine: remote on gpubox, NVIDIA H200" in draw()
    flow.add_shot(scene, clips)
    bpy.ops.understudy.mark_range()
    bpy.ops.understudy.scan_shot()
    tick_until(lambda: scene.understudy.jobs[0].state == "running")
    assert "Engine: remote on gpubox, NVIDIA H200" in draw()
    engine.script(remote={**there, "state": "away", "error": "The remote engine does not answer."})
    tick_until(lambda: addon.jobs.engine.remote.state == "away")
    said = draw()
    assert "Nothing is lost" in said and "Engine: remote (http://127.0.0.1:7860)" in said
    assert scene.understudy.jobs[0].state == "running"
    engine.script(remote=there)
    tick_until(lambda: addon.jobs.engine.remote.state == "ready")
    engine.script(remote=None, hold=[])
    bpy.ops.understudy.use_this_computer()
    tick_until(lambda: addon.jobs.engine.remote is None and flow.idle(scene))
    assert json.loads((engine.home / "fake_remote.json").read_text()) == {"url": "", "token": ""}
    assert "Engine: this computer, cpu" in draw()


def test_two_who_look_alike_are_offered_as_one(scene, clips, engine, tick_until, draw):
    engine.script(people=2, alike=[1, 0], unnamed="1 of 9 pictures is not used.")
    flow.add_shot(scene, clips)
    flow.mark_and_scan(scene, tick_until)
    scene.understudy.person = 0
    said = draw()
    assert said.count("Looks like Person 2: a mirror, a picture, or the same person?") == 1
    assert said.count("1 of 9 pictures is not used.") == 1
    assert said.count("They Are One: Merge with Person 2") == 1
    assert bpy.ops.understudy.merge_people(other="1") == {"FINISHED"}
    tick_until(lambda: flow.idle(scene))
    assert "Looks like" not in draw()
