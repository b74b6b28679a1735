"""The process beside Blender: that nothing of Python runs next to Blender's main thread, and what happens when either
of the two is killed."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import bpy
import flow
import pytest

CHILDS = ("poller", "preview_requests", "installer", "side_process.main")


@pytest.fixture
def beside(addon, engine):
    """This Blender's process."""
    return addon.sidecar.SIDECAR


@pytest.fixture
def previewer(addon, engine):
    """A previewer of the test's own; it reads for no longer than the add-on's does."""
    handle = addon.preview.PreviewerHandle()
    return lambda: handle.hear(time.perf_counter() + addon.jobs.TICK_BUDGET_SECONDS), handle


def kill(sidecar):
    """As the system does when memory runs short."""
    process = sidecar.process
    os.kill(process.pid, signal.SIGKILL)
    process.wait(5)


def converting(scene, clips, engine, tick_until):
    engine.script(hold=["convert"], movie=str(clips.recast))
    flow.ready_to_convert(scene, clips, tick_until)
    bpy.ops.understudy.convert(draft=True)
    tick_until(lambda: scene.understudy.jobs[-1].kind == "convert" and scene.understudy.jobs[-1].state == "running")
    return scene.understudy.jobs[-1].id


def finals(addon, heard, job):
    reports = [one for one in heard if isinstance(one, addon.reports.JobReport) and one.id == job]
    return [one.state for one in reports if one.state in addon.protocol.FINAL_STATES]


def test_only_the_main_thread_of_python_runs_in_blender(addon, scene, clips, engine, tick_until, beside, tmp_path):
    before, seen = threading.enumerate(), set()  # other tests of this session may have theirs

    def until(condition):
        def once():
            addon.preview.tick()
            addon.engine_setup.tick()
            seen.update(thread.name for thread in threading.enumerate() if thread not in before)
            return condition()

        tick_until(once, 60)

    engine.script(movie=str(clips.recast))
    flow.ready_to_convert(scene, clips, until)
    bpy.ops.understudy.train()
    until(lambda: flow.idle(scene))
    bpy.ops.understudy.convert()
    until(lambda: flow.idle(scene))
    assert len(flow.placed(scene)) == 1
    view = bpy.context.window_manager.understudy
    region = SimpleNamespace(view2d=SimpleNamespace(view_to_region=lambda x, y, clip: (x, y)))
    scene.frame_set(25)
    view.show = True
    until(lambda: addon.overlay.frame_to_show(view, addon.preview.here(scene), region) is not None)
    until(lambda: addon.preview.faces(scene.understudy.shot.scan.folder, 12))
    view.show = False
    addon.preview.forget()
    addon.user_preferences.preferences().wheels = str(tmp_path / "nowhere")
    bpy.ops.understudy.setup()
    until(lambda: not addon.engine_setup.installer.busy)
    assert "no folder of wheels" in addon.engine_setup.installer.progress.error  # it worked, and in the process beside
    addon.user_preferences.preferences().wheels = ""
    addon.engine_setup.installer.progress = addon.reports.Progress()
    assert seen == set() and beside.process.poll() is None
    assert not [name for name in sys.modules if name.startswith(flow.EXTENSION) and name.endswith(CHILDS)]


def test_a_job_goes_on_when_the_process_is_killed(addon, scene, clips, engine, tick_until, beside, heard):
    job = converting(scene, clips, engine, tick_until)
    before = beside.process
    kill(beside)
    tick_until(lambda: beside.process not in {before, None} and not beside.connecting)
    engine.script(hold=[])
    tick_until(lambda: flow.idle(scene))
    assert finals(addon, heard, job) == ["done"] and len(flow.placed(scene)) == 1
    assert scene.understudy.error == "" and addon.jobs.engine.error == "" and len(engine.starts()) == 1


def test_a_job_that_ends_meanwhile_ends_once(addon, scene, clips, engine, tick_until, beside, heard):
    job = converting(scene, clips, engine, tick_until)
    kill(beside)
    engine.script(hold=[])
    address = addon.http_client.read_address()
    while addon.http_client.events(address, job, 0)[0].state != "done":
        time.sleep(0.01)
    tick_until(lambda: flow.idle(scene))
    assert finals(addon, heard, job) == ["done"] and len(flow.placed(scene)) == 1


def test_a_job_that_was_sent_to_a_dying_process_is_sent_again(addon, scene, clips, engine, tick_until, beside):
    flow.add_shot(scene, clips)
    bpy.ops.understudy.mark_range()
    bpy.ops.understudy.start_engine()
    tick_until(lambda: addon.jobs.engine.state == "ready")
    os.kill(beside.process.pid, signal.SIGSTOP)  # it reads no more
    bpy.ops.understudy.scan_shot()
    kill(beside)
    tick_until(lambda: flow.idle(scene))
    assert scene.understudy.error == "" and len(scene.understudy.shot.scan.people) == 1


def test_a_process_that_keeps_dying_is_given_up_and_started_by_hand(addon, scene, clips, engine, tick_until, beside):
    converting(scene, clips, engine, tick_until)
    for _ in range(addon.sidecar.RESTARTS):
        tick_until(lambda: beside.process is not None and not beside.connecting)
        kill(beside)
        beside.pump()
    tick_until(lambda: addon.jobs.engine.state == "failed")
    assert "stopped 3 times within ten minutes" in addon.jobs.engine.error and beside.process is None
    assert scene.understudy.jobs[-1].state == "running"  # it is not lost
    engine.script(hold=[])
    assert bpy.ops.understudy.start_engine() == {"FINISHED"}
    tick_until(lambda: flow.idle(scene))
    assert len(flow.placed(scene)) == 1 and addon.jobs.engine.state == "ready"


def test_a_picture_and_faces_come_although_the_process_is_killed(
    addon, scene, clips, engine, tick_until, beside, previewer
):
    hear, handle = previewer
    flow.ready_to_convert(scene, clips, tick_until)
    folder = scene.understudy.shot.scan.folder
    engine.script(preview_takes=0.5)
    spec = addon.preview.spec_for(scene.understudy, bpy.context.window_manager.understudy, 15, 64)
    handle.want(("one", 1), spec)
    handle.want_faces(folder)
    kill(beside)
    found = []
    tick_until(lambda: found.append(hear()) or len([one for one in found if one]) == 2)
    picture, faces = sorted((one for one in found if one), key=lambda one: isinstance(one, addon.reports.Faces))
    assert picture.key == ("one", 1) and Path(picture.path).is_file() and picture.error == ""
    assert faces.key == folder and len(faces.faces) == 64


@pytest.mark.parametrize("killed", [False, True])
def test_what_was_forgotten_is_not_heard_of(addon, scene, clips, engine, tick_until, beside, previewer, killed):
    """Another file was opened meanwhile."""
    hear, handle = previewer
    flow.ready_to_convert(scene, clips, tick_until)
    spec = addon.preview.spec_for(scene.understudy, bpy.context.window_manager.understudy, 15, 64)
    handle.want(("old", 1), spec)
    handle.want_faces("/old")
    handle.forget()
    if killed:
        kill(beside)
    handle.want(("new", 2), spec)
    handle.want_faces("/new")
    found = []
    tick_until(lambda: found.append(hear()) or len([one for one in found if one]) == 2)
    assert sorted(str(one.key) for one in found if one) == ["('new', 2)", "/new"]
    previews = [json.loads(line)["frame"] for line in (engine.home / "fake_previews").read_text().splitlines()]
    assert previews == [15] * len(previews) and len(previews) <= 2


def test_nothing_is_lost_or_doubled_when_many_reports_come(addon, scene, engine, tick_until, beside, heard, tmp_path):
    addon.jobs.tick()  # the first one takes up the open file's
    jobs = [f"job{number}" for number in range(150)]
    for job in jobs:
        addon.jobs.poller().submit(
            addon.user_preferences.engine_python(), job, "train", {"output": str(tmp_path / job)}
        )
    deadline = time.monotonic() + 60
    while beside.connecting:
        beside.pump()
    file, states = engine.home / "fake_jobs.json", []
    while states.count("done") < len(jobs):  # Blender renders, say: it hears nothing until all is over
        assert time.monotonic() < deadline
        time.sleep(0.1)
        known = json.loads(file.read_text()) if file.is_file() else {}
        states = [job["job"]["state"] for job in known.values()]
    tick_until(lambda: sum(one.state == "done" for one in heard) == len(jobs), 60)
    for job in jobs:
        reports = [one for one in heard if isinstance(one, addon.reports.JobReport) and one.id == job]
        assert [one.state for one in reports if one.state != "queued"] == ["running", "done"]
        assert [loss for one in reports for loss in one.losses] == [[3, 0.75], [7, 0.375]]
        assert [one.last_seq for one in reports] == sorted({one.last_seq for one in reports})


def test_many_faces_come_whole_and_in_order_and_no_tick_is_long(addon, engine, tick_until, previewer, tmp_path):
    """More than the connection holds, while Blender does not read."""
    hear, handle = previewer
    folders = [str(tmp_path / f"scan {number}") for number in range(12)]
    for number, folder in enumerate(folders):
        Path(folder).mkdir()
        rows = [[frame, number, i, 1.5, 2, 3.25 + i, 4, i] for frame in range(2000) for i in range(2)]
        Path(folder, "boxes.json").write_text(json.dumps(rows))
        handle.want_faces(folder)
    handle.want_faces(str(tmp_path / "none"))
    time.sleep(1.0)
    found, took = [], []

    def once():
        began = time.thread_time()
        answer = hear()
        took.append(time.thread_time() - began)
        found.extend([answer] if answer else [])
        return len(found) == len(folders) + 1

    tick_until(once, 60)
    assert [one.key for one in found] == [*folders, str(tmp_path / "none")] and found[-1].faces == {}
    for number, one in enumerate(found[:-1]):
        assert list(one.faces) == list(range(2000))
        assert all([f.person for f in faces] == [number, number] for faces in one.faces.values())
        assert one.faces[1999] == addon.face_boxes.read(one.key)[1999]
    ordinary = sorted(took)[int(len(took) * 0.95) - 1]
    print(f"{len(took)} ticks, p95 {ordinary * 1000:.1f} ms, longest (Python frees memory) {max(took) * 1000:.1f} ms")
    assert ordinary < 0.01


KILLED = """
import importlib, sys, time
import bpy
bpy.ops.extensions.package_install_files(filepath=sys.argv[1], repo="user_default", enable_on_install=True)
addon = "bl_ext.user_default.understudy.addon."
modules = ("jobs.jobs", "engine_link.sidecar", "engine_link.engine_setup")
jobs, sidecar, engine_setup = (importlib.import_module(addon + name) for name in modules)
jobs.poller().submit("", "ajob", "train", {"output": sys.argv[2]})
if sys.argv[3]:
    engine_setup.installer.start()
end = time.monotonic() + 40
while jobs.engine.state != "ready" or (sys.argv[3] and "Downloading" not in engine_setup.installer.progress.message):
    assert time.monotonic() < end, (jobs.engine, engine_setup.installer.progress)
    jobs.tick()
    engine_setup.tick()
    time.sleep(0.01)
print("now", sidecar.SIDECAR.process.pid, flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize("at_work", [False, True], ids=["watches a job", "sets the engine up, too"])
def test_a_killed_blender_takes_the_process_along(package, engine, tmp_path, at_work):
    """And the program that the set-up runs, a pip here that downloads for ever; the engine stays."""
    engine.script(hold=["train"])
    (tmp_path / "temporary").mkdir()
    pip = fake_pip(tmp_path) if at_work else None
    blender = subprocess.Popen(
        [sys.executable, "-c", KILLED, package, tmp_path / "model", "at work" if at_work else ""],
        env={**os.environ, "BLENDER_USER_RESOURCES": str(tmp_path / "user"), "TMPDIR": str(tmp_path / "temporary"),
             "UNDERSTUDY_ENGINE_PYTHON": str(engine.program),
             **({"PATH": f"{pip.parent}:{os.environ['PATH']}"} if pip else {})},
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    said = next((line for line in blender.stdout if line.startswith("now ")), "")
    assert said, "it ended before"
    beside = int(said.split()[1])
    assert not flow.ended(beside, 0)
    blender.kill()
    blender.wait()
    blender.stdout.close()
    assert flow.ended(beside, 2)
    if pip:
        assert flow.ended(int((tmp_path / "pip pid").read_text()), 1)
    assert not flow.ended(engine.starts()[-1], 0)
    left = [file.name for file in (tmp_path / "temporary").iterdir()]
    assert [name for name in left if not name.startswith("blender")] == []  # Blender's own, which was killed


def fake_pip(folder: Path) -> Path:
    """A Python that the set-up finds first: it makes environments of itself, and its pip goes on for ever."""
    program = folder / "programs" / "python3.13"
    program.parent.mkdir()
    program.write_text(f"""#!/bin/sh
case "$*" in
*"-m venv"*) for last; do :; done; mkdir -p "$last/bin"; cp "$0" "$last/bin/python" ;;
*"pip download"*) echo $$ > "{folder}/pip pid"; echo "Collecting torch"; echo "  Downloading torch.whl (9 MB)"
  exec sleep 1000 ;;
*) echo 3 13 ;;
esac
""")
    program.chmod(0o755)
    return program


def test_who_calls_first_is_not_taken_for_the_process(addon, engine, monkeypatch):
    monkeypatch.setattr(addon.sidecar, "_spawn", lambda python, spawn=addon.sidecar._spawn: slow(spawn, python))
    mine = addon.sidecar.Sidecar()
    callers = []

    def slow(spawn, python):
        callers.append(socket.create_connection(mine._listener.getsockname()))
        callers[-1].sendall(b"0" * 64 + b"\n" + b'JobReport {"id": "a", "state": "done"}\n')
        callers.append(socket.create_connection(mine._listener.getsockname()))  # says nothing at all
        return spawn(python)

    mine.ask("poller", "start_engine", addon.user_preferences.engine_python())
    deadline = time.monotonic() + 20
    heard = []
    while not heard or heard[-1][1]["state"] != "ready":
        assert time.monotonic() < deadline
        heard += [answer] if (answer := mine.hear("poller")) else []
        time.sleep(0.01)
    assert [(name, facts["state"]) for name, facts in heard] == [
        ("EngineReport", "starting"), ("EngineReport", "ready"),
    ]  # fmt: skip
    for caller in callers:
        with caller, contextlib.suppress(ConnectionResetError):
            assert caller.recv(1) == b""
    process = mine.process
    mine.close()
    assert process.wait(5) == 0


def test_blenders_python_is_found_beside_it(addon, monkeypatch):
    found = addon.sidecar.find_python()
    assert found == Path(sys.executable)
    monkeypatch.setattr(sys, "executable", "/opt/blender/blender")
    inside = addon.sidecar.find_python()
    assert inside.parent == Path(sys.prefix, "bin") and inside.is_file()
    said = subprocess.run([inside, "-c", "import sys; print(*sys.version_info[:2])"], capture_output=True, text=True)
    assert said.stdout.split() == [str(part) for part in sys.version_info[:2]]


def test_without_a_python_it_says_so(addon, scene, clips, engine, tick_until, monkeypatch):
    monkeypatch.setattr(sys, "executable", "")
    monkeypatch.setattr(sys, "prefix", "/nowhere")
    flow.add_shot(scene, clips)
    flow.mark_and_scan(scene, tick_until)
    assert scene.understudy.error.startswith("Blender's Python was not found")
    assert scene.understudy.jobs[-1].state == "failed"
    tick_until(lambda: addon.jobs.engine.state == "failed")
    addon.engine_setup.installer.start("")
    assert addon.engine_setup.installer.progress.error.startswith("Blender's Python was not found")
    addon.engine_setup.installer.progress = addon.reports.Progress()
