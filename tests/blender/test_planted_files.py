"""Pipes, devices and links in a project that comes from somebody else: nothing waits, nothing of the user's goes."""

from __future__ import annotations

import os
import signal
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(os.name == "nt", reason="links and pipes in folders are other things there")
LONGEST_SECONDS = 5.0
"""So long a read that never waits may take on a machine however busy."""


@contextmanager
def promptly():
    def stop(*_):
        raise AssertionError("it waits")

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, LONGEST_SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize("kind", ["pipe", "long", "device"])
def test_what_is_no_file_of_a_project_is_not_waited_for(addon, scene, tmp_path, kind):
    project = tmp_path / "film.understudy"
    for name in ("consent/face.json", "scans/a/scan.json", "scans/a/boxes.json", "voices/a/voice.json"):
        path = project / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if kind == "pipe":
            os.mkfifo(path)
        elif kind == "device":
            path.symlink_to("/dev/zero")
        else:
            with path.open("wb") as file:
                file.truncate(1 << 40)  # a hole, which takes no room on the disk
    scan, clip = str(project / "scans" / "a"), addon.project.clip("/x", 0, 1, 0)
    with promptly():
        assert addon.consent_records.records(project) == {}
        assert addon.face_boxes.read(scan) == {}
        assert addon.voice_steps.card(project / "voices" / "a") == {}
        with pytest.raises(addon.people_store.ScanUnreadable):
            addon.people_store.fill(scene.understudy.shot.scan, clip, scan)


def test_a_pipe_in_place_of_a_recast_is_not_placed(addon, scene, tmp_path):
    os.mkfifo(tmp_path / "recast.mkv")
    with promptly(), pytest.raises(addon.placing.CannotPlace, match="is not at"):
        addon.placing.place(scene, str(tmp_path / "recast.mkv"), {})


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks at a process as only Linux shows it")
def test_the_process_beside_blender_stands_in_no_folder_of_a_stranger(addon, tmp_path, monkeypatch):
    """From there it would find a stranger's `python3` where the search path has a `.`."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", os.pathsep.join([".", os.environ["PATH"]]))
    beside = addon.sidecar._spawn(addon.sidecar.find_python())
    try:
        assert Path(f"/proc/{beside.pid}/cwd").samefile(sys.prefix)
        environ = Path(f"/proc/{beside.pid}/environ")
        with promptly():
            while not (told := environ.read_bytes()):  # it is nothing yet while the program is being loaded
                time.sleep(0.01)
        variables = dict(one.split(b"=", 1) for one in told.split(b"\0") if one)
        assert b"." not in variables[b"PATH"].split(os.fsencode(os.pathsep))
    finally:
        beside.kill()
        beside.wait()
        beside.stdin.close()
