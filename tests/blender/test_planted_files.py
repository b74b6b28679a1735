"""Pipes, devices and links in a project that comes from somebody else: nothing waits, nothing of the user's goes."""

from __future__ import annotations

import os
import signal
from contextlib import contextmanager

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
