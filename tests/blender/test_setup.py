"""Setting the engine up without a terminal: what is refused, cancelled, resumed, removed. The packages are tiny ones
that the test builds itself, so that pip and the environment are real and nothing is downloaded."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import time
import zipfile
from pathlib import Path

import bpy
import flow
import pytest


@pytest.fixture
def home(addon, scene, tmp_path, monkeypatch):
    monkeypatch.setenv("UNDERSTUDY_HOME", str(tmp_path / "home"))
    flow.restart_addon_connection(addon)
    yield tmp_path / "home"
    addon.user_preferences.preferences().wheels = ""
    addon.engine_setup.installer.cancel()
    finished(addon, 30)
    addon.engine_setup.installer.progress = addon.reports.Progress()
    flow.restart_addon_connection(addon)


def wheel(folder: Path, name: str, body: str) -> None:
    info = f"{name}-1.0.dist-info"
    with zipfile.ZipFile(folder / f"{name}-1.0-py3-none-any.whl", "w") as file:
        file.writestr(f"{name}.py", body)
        file.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        file.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        file.writestr(f"{info}/RECORD", "")


@pytest.fixture
def root(addon, tmp_path, monkeypatch):
    """The extension's folder as the process beside Blender sees it: a copy, of which a test changes what it likes."""
    root = tmp_path / "root"
    (root / "engine").mkdir(parents=True)
    (root / "__init__.py").write_text("")
    (root / "engine" / "__init__.py").write_text("")
    for name in ("child_process.py", "reading.py"):
        shutil.copy(addon.sidecar.ROOT / "engine" / name, root / "engine")
    for name in ("addon", "engine/protocol"):
        shutil.copytree(addon.sidecar.ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(addon.sidecar, "ROOT", root)
    return root


@pytest.fixture
def small(addon, root, tmp_path):
    """An extension whose engine needs one package of ours, and whose own programs answer at once."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    wheel(folder, "tinydependency", "word = 'here'\n")
    (root / "addon" / "engine_link" / "engine-pins.txt").write_text("tinydependency==1.0\n")
    (root / "engine" / "__main__.py").write_text(
        "import sys, tinydependency\nprint('asked', *sys.argv[1:], tinydependency.word)\n"
    )
    version = addon.environment.version()
    (root / "pyproject.toml").write_text(f'[project]\nversion = "{version}"\ndependencies = ["tinydependency"]\n')
    return folder


def finished(addon, seconds=600):
    """Be the timer until the set-up has ended."""
    deadline = time.monotonic() + seconds
    while addon.engine_setup.tick() is not None:
        assert time.monotonic() < deadline, addon.engine_setup.installer.progress
        time.sleep(0.01)
    return addon.engine_setup.installer.progress


def test_without_online_access_it_says_so(addon, home):
    assert not bpy.app.online_access or os.environ.get("BLENDER_ONLINE")
    with pytest.raises(RuntimeError, match="Allow Online Access in Preferences > System, or name a folder of wheels"):
        bpy.ops.understudy.setup()
    assert not home.exists()


def test_offline_from_a_folder_what_fails_first_and_away_again(addon, home, small):
    """One environment for all of it: making one takes pip its seconds."""
    (only,) = small.iterdir()
    only.rename(small.parent / only.name)
    addon.user_preferences.preferences().wheels = str(small)
    assert addon.engine_setup.needed()
    assert bpy.ops.understudy.setup() == {"FINISHED"}
    with pytest.raises(RuntimeError, match="under way"):
        bpy.ops.understudy.setup()
    failed = finished(addon)
    assert failed.state == "failed" and "could not be installed" in failed.error and "setup.log" in failed.error
    assert not (home / "env").exists() and addon.engine_setup.needed()
    made = (home / "env.part" / "pyvenv.cfg").stat().st_mtime_ns

    # a second try goes on from there; an engine that does not work here is not put in place
    (small.parent / only.name).rename(only)
    program = addon.sidecar.ROOT / "engine" / "__main__.py"
    works = program.read_text()
    program.write_text("import sys\nprint('No torch for this processor.')\nsys.exit('doctor' in sys.argv)\n")
    bpy.ops.understudy.setup()
    failed = finished(addon)
    assert failed.state == "failed" and "No torch for this processor." in failed.error
    assert not (home / "env").exists()

    program.write_text(works)
    bpy.ops.understudy.setup()
    done = finished(addon)
    assert done.state == "done", (done, (home / "setup.log").read_text())
    assert (home / "env" / "pyvenv.cfg").stat().st_mtime_ns == made  # the environment was not made again
    python = addon.environment.python_of(home / "env")
    ours = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    said = subprocess.run([python, "-m", "understudy.engine", "hello"], capture_output=True, text=True, env=ours).stdout
    assert said == "asked hello here\n"
    assert json.loads((home / "env" / "understudy.json").read_text())["version"] == addon.environment.version()
    assert not addon.engine_setup.needed() and not addon.engine_setup.outdated()
    assert addon.environment.find_python("") == python

    (home / "unsaved" / "film").mkdir(parents=True)
    assert bpy.ops.understudy.remove_engine() == {"FINISHED"}
    assert finished(addon).state == "idle"
    assert [thing.name for thing in home.iterdir()] == ["unsaved"]


def test_cancel_stops_at_once(addon, home, small):
    addon.user_preferences.preferences().wheels = str(small)
    bpy.ops.understudy.setup()
    assert bpy.ops.understudy.cancel_setup() == {"FINISHED"}
    assert finished(addon, 10).state == "cancelled" and not (home / "env").exists()
    with pytest.raises(RuntimeError, match="No set-up is under way"):
        bpy.ops.understudy.cancel_setup()


def test_everything_the_engine_needs_is_pinned(addon):
    from packaging.requirements import Requirement

    pins = dict(line.split("==") for line in addon.environment.PINS.read_text().split())
    for line in addon.environment.requirements():
        needed = Requirement(line)
        name = needed.name.lower().replace("_", "-")
        assert name in pins and pins[name] in needed.specifier, line


def test_uv_is_what_it_should_be(addon, home, root, tmp_path):
    """A Python for systems without one comes by uv, whose wheel is checked."""
    installer = root / "addon" / "side_process" / "installer.py"
    code = installer.read_text()
    installer.write_text(code + '\n\ndef find_python():\n    return ""\n')
    (tmp_path / re.search(r'"(uv-.*\.whl)"', code)[1]).write_bytes(b"something else")
    addon.user_preferences.preferences().wheels = str(tmp_path)
    bpy.ops.understudy.setup()
    failed = finished(addon)
    assert failed.state == "failed" and "not what it should be" in failed.error
