"""Where a job may write: never among the system's or the engine's files, never over what is somebody else's."""

from __future__ import annotations

from pathlib import Path

import pytest
from understudy.engine.protocol import Identity, Material, check_paths
from understudy.engine.service.paths import Forbidden, Occupied, check_output

from .harness import Engine


@pytest.mark.parametrize("path", ["/etc/passwd", "/usr/lib/x", "/proc/self/mem", "/", "/dev/sda", "/lib64/scan"])
def test_system_folders_are_refused(tmp_path: Path, path: str) -> None:
    with pytest.raises(Forbidden, match="belongs to the system"):
        check_output({"output": path}, tmp_path, set())


def test_links_are_followed_first(tmp_path: Path) -> None:
    (tmp_path / "innocent").symlink_to("/etc")
    with pytest.raises(Forbidden):
        check_output({"output": str(tmp_path / "innocent" / "cron.d")}, tmp_path / "home", set())
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    with pytest.raises(Occupied):
        check_output({"output": str(tmp_path / "loop" / "x")}, tmp_path / "home", set())


@pytest.mark.parametrize("name", ["", "jobs", "jobs/a/spec.json", "models/x", "engine.json", "jobs.sqlite"])
def test_the_engines_own_files_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(Forbidden, match="belongs to the engine"):
        check_output({"output": str(tmp_path / name)}, tmp_path, set())


def test_only_what_understudy_made_is_replaced(tmp_path: Path) -> None:
    home = tmp_path / "home"
    theirs = tmp_path / "holiday.mp4"
    theirs.write_bytes(b"memories")
    photos = tmp_path / "photos"
    photos.mkdir()
    (photos / "1.jpg").write_bytes(b"more")
    for path in (theirs, photos, theirs / "below"):
        with pytest.raises(Occupied):
            check_output({"output": str(path)}, home, set())
    check_output({"output": str(theirs)}, home, {str(theirs)})  # an earlier job's
    for name in ("scan.json", "model.json"):
        folder = tmp_path / name.removesuffix(".json")
        folder.mkdir()
        check_output({"output": str(folder)}, home, set())
        (folder / name).write_text("{}")
        check_output({"output": str(folder)}, home, set())
    recast = tmp_path / "film.understudy" / "recasts" / "shot.mp4"
    recast.parent.mkdir(parents=True)
    recast.write_bytes(b"an earlier take")
    check_output({"output": str(recast)}, home, set())
    check_output({"output": str(tmp_path / "new" / "deep" / "x.mov")}, home, set())
    check_output({}, home, set())


@pytest.mark.parametrize("path", ["x", "./x", "/a/../etc", "/a\0", "", "/" + "a" * 5000])
def test_paths_are_absolute_and_plain(path: str) -> None:
    with pytest.raises(ValueError, match="absolute path"):
        check_paths(Identity(name="Ann", material=[Material(scan=path, person=0)]))


def test_the_api_refuses_before_anything_is_kept(shared_engine: Engine, tmp_path: Path) -> None:
    theirs = tmp_path / "holiday.mp4"
    theirs.write_bytes(b"memories")
    for output, status in (("/etc/understudy", 403), (str(theirs), 409), (str(tmp_path / ".." / "x"), 400)):
        spec = {"clip": {"path": "/a.mp4"}, "output": output}
        answer = shared_engine.http.post("/v1/jobs", json={"id": "refused", "kind": "scan", "spec": spec})
        assert answer.status_code == status and answer.json()["error"].endswith(".")
        assert shared_engine.http.get("/v1/jobs/refused").status_code == 404
    assert theirs.read_bytes() == b"memories"
