"""Blender as a module, with the built zip installed as an extension, in folders of the tests' own."""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
EXTENSION = "bl_ext.user_default.understudy"

if importlib.util.find_spec("bpy") is None:
    collect_ignore_glob = ["test_*.py"]  # the engine's environment has no Blender
else:
    sys.path.insert(0, str(HERE))  # fake_engine, footage
    _aside = tempfile.TemporaryDirectory(prefix="understudy-blender-")
    # before bpy is imported, or the user's own configuration is read and written
    os.environ["BLENDER_USER_RESOURCES"] = str(Path(_aside.name) / "blender")
    os.environ["UNDERSTUDY_HOME"] = str(Path(_aside.name) / "home")
    # only the tests of the real engine may find it
    os.environ["UNDERSTUDY_TEST_ENGINE_PYTHON"] = os.environ.pop("UNDERSTUDY_ENGINE_PYTHON", "")


def pytest_sessionfinish() -> None:
    if "bpy" in sys.modules:
        import addon_utils

        addon_utils.disable(EXTENSION)


@pytest.hookimpl(trylast=True)
def pytest_unconfigure(config: pytest.Config) -> None:
    """End at once when everything is reported.

    As a module, Blender 4.5 sometimes never comes back from its own clearing up at exit: it destroys a condition
    that a thread of it still waits on (`GlobalState::~GlobalState`).
    """
    session = config.pluginmanager.get_plugin("session")
    if "bpy" in sys.modules and session is not None:
        _aside.cleanup()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(int(session.exitstatus))


@pytest.fixture(scope="session")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built and validated zip."""
    environment = Path(sys.prefix)
    result = subprocess.run(
        [sys.executable, ROOT / "tools" / "package.py", "--bpy-environment", environment,
         "--output", tmp_path_factory.mktemp("dist")],
        capture_output=True, text=True,
    )  # fmt: skip
    assert result.returncode == 0, result.stdout + result.stderr
    return Path(result.stdout.strip())


@pytest.fixture(scope="session")
def addon(package: Path) -> SimpleNamespace:
    """The installed extension's modules by their names."""
    import bpy

    assert bpy.ops.extensions.package_install_files(
        filepath=str(package), repo="user_default", enable_on_install=True
    ) == {"FINISHED"}
    names = ["compat", "jobs.jobs", "state.people_store", "sequencer.placing", "sequencer.recasts", "state.cast",
             "jobs.follow", "jobs.known_footage", "state.user_preferences",
             "state.project", "state.properties", "state.settings_group", "state.failures",
             "sequencer.source_look", "sequencer.in_step", "sequencer.marking",
             "sequencer.strip_media", "state.steps",
             "sequencer.timeline", "sequencer.sound_strips", "sequencer.voice_placing", "state.voice_steps",
             "state.voice_properties", "operators", "panels", "viewport.preview",
             "viewport.overlay", "viewport.aside", "state.consent_records", "state.coverage", "state.face_boxes",
             "sequencer.picture_geometry", "viewport.loss_curve", "i18n", "state.hooks",
             "handlers", "engine_link.environment", "engine_link.engine_setup", "sequencer.scene_strips",
             "engine_link.sidecar", "engine_link.reports"]  # fmt: skip
    modules = {name.rpartition(".")[2]: importlib.import_module(f"{EXTENSION}.addon.{name}") for name in names}
    modules |= {name: importlib.import_module(f"{EXTENSION}.engine.{module}") for name, module in (
        ("protocol", "protocol"), ("http_client", "protocol.http_client"))}  # fmt: skip
    return SimpleNamespace(**modules)


@pytest.fixture
def scene(addon: SimpleNamespace):
    """The scene of a fresh file, in the sequencer."""
    import bpy

    bpy.ops.wm.read_homefile(use_factory_startup=True, use_empty=True)
    return use_first_scene()


def use_first_scene():
    """What a user does by opening the sequencer: choose the scene."""
    import bpy

    scene = bpy.data.scenes[0]
    if bpy.app.version >= (5, 0, 0):
        bpy.context.workspace.sequencer_scene = scene
    scene.render.fps = 24
    scene.sequence_editor_create()
    return scene


@pytest.fixture(scope="session")
def clips(addon: SimpleNamespace, tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """Footage with a counter in it: 48 frames as a movie and as pictures, and a recast of frames 10 to 29."""
    import bpy
    import footage

    bpy.ops.wm.read_homefile(use_factory_startup=True, use_empty=True)
    folder = tmp_path_factory.mktemp("clips")
    return SimpleNamespace(
        movie=footage.movie(folder / "counter.mp4", 0, 48),
        fast=footage.movie(folder / "fast.mp4", 0, 48, fps=30),
        pictures=footage.pictures(folder / "pictures", 0, 24),
        recast=footage.movie(folder / "recast.mp4", 10, 20, marked=True),
        recast_pictures=footage.pictures(folder / "recast pictures", 10, 20, marked=True),
        one=footage.movie(folder / "one.mp4", 5, 1, marked=True),
    )


class FakeEngine:
    """The scripted engine, in a home folder of its own; see fake_engine.py."""

    def __init__(self, home: Path, program: Path) -> None:
        self.home, self.program = home, program
        self.home.mkdir(parents=True, exist_ok=True)

    def script(self, **wanted: object) -> None:
        file = self.home / "fake.json"
        now = json.loads(file.read_text()) if file.is_file() else {}
        part = file.with_suffix(".part")
        part.write_text(json.dumps({**now, **wanted}))
        part.replace(file)

    def starts(self) -> list[int]:
        file = self.home / "fake_starts"
        return [int(line) for line in file.read_text().split()] if file.is_file() else []

    def kill(self) -> None:
        import flow

        for pid in self.starts():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
            flow.ended(pid, 1)


@pytest.fixture
def engine(addon: SimpleNamespace, scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A scripted engine that the add-on's launcher finds and starts."""
    import fake_engine
    import flow

    home = tmp_path / "home"
    monkeypatch.setenv("UNDERSTUDY_HOME", str(home))
    monkeypatch.setattr(addon.sidecar, "PACE", addon.sidecar.Pace(poll=0.02, retry=0.05))
    flow.restart_addon_connection(addon)
    fake = FakeEngine(home, fake_engine.wrapper(tmp_path))
    addon.user_preferences.preferences().engine_python = str(fake.program)
    yield fake
    flow.restart_addon_connection(addon)
    addon.user_preferences.preferences().engine_python = ""
    fake.kill()


@pytest.fixture
def tick_until(addon: SimpleNamespace):
    """Be the timer until `condition()` holds."""

    def wait(condition, seconds: float = 20.0) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, f"waited {seconds} s; {addon.jobs.engine}"
            addon.jobs.tick()
            time.sleep(0.01)

    return wait


@pytest.fixture
def heard(addon: SimpleNamespace, monkeypatch: pytest.MonkeyPatch):
    """Every report that the add-on takes in."""
    reports, take_in = [], addon.jobs._take_in

    def hear(report) -> None:
        reports.append(report)
        take_in(report)

    monkeypatch.setattr(addon.jobs, "_take_in", hear)
    return reports
