"""The zip, and what enabling and disabling it leaves in Blender."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import bpy
import flow
import pytest

NEEDED = {"__init__.py", "addon", "engine", "blender_manifest.toml", "pyproject.toml", "README.md", "LICENSE"}


def test_the_zip_holds_what_is_needed_and_no_more(package):
    with zipfile.ZipFile(package) as file:
        inside = file.namelist()
        manifest = tomllib.loads(file.read("blender_manifest.toml").decode())
    top = {name.split("/")[0] for name in inside}
    assert top == NEEDED
    assert {"addon/operators/convert.py", "engine/protocol/jobs.py", "engine/faces/geometry/mesh_topology.json"} <= set(
        inside
    )
    assert not [name for name in inside if "__pycache__" in name or "/." in name or name.endswith((".part", ".pyc"))]
    assert all(len(reason) <= 64 for reason in manifest["permissions"].values())
    assert manifest["blender_version_min"] == "4.5.0" and "wheels" not in manifest


def test_what_lies_about_in_the_repository_stays_out_of_the_zip(package, tmp_path):
    root = Path(__file__).resolve().parents[2]
    copy = tmp_path / "copy"
    copy.mkdir()
    for source in (root / name for name in (*NEEDED, "tools")):
        if source.is_dir():
            shutil.copytree(source, copy / source.name)
        else:
            shutil.copy(source, copy)
    strays = ("recast.mp4", "recast.understudy/models/face/model.json", "out/addon/sheet.png", ".env/pip.py",
              "engine/__pycache__/cli.pyc", "engine/faces/.hidden.py", "addon/x.part", "__init__.py.orig")  # fmt: skip
    for stray in strays:
        (copy / stray).parent.mkdir(parents=True, exist_ok=True)
        (copy / stray).write_bytes(b"a stray")
    subprocess.run(
        [sys.executable, copy / "tools" / "package.py", "--bpy-environment", sys.prefix, "--output", tmp_path / "dist"],
        check=True,
    )
    (built,) = (tmp_path / "dist").iterdir()
    with zipfile.ZipFile(built) as ours, zipfile.ZipFile(package) as clean:
        assert sorted(ours.namelist()) == sorted(clean.namelist())


def test_every_operator_says_what_it_does(addon):
    for cls in addon.operators.CLASSES:
        assert len(cls.bl_description) > 10 and not cls.bl_description.endswith("."), cls
        assert cls.bl_idname.startswith("understudy.")
    for cls in addon.properties.CLASSES[-1:]:
        for prop in cls.bl_rna.properties:
            if prop.identifier in {"preset", "minutes", "consent"}:
                assert prop.description, prop.identifier


def test_disabling_leaves_nothing_and_enabling_works_again(addon, scene):
    import addon_utils

    handlers = {name: list(getattr(bpy.app.handlers, name)) for name in flow.LISTENED}
    assert all(any("understudy" in h.__module__ for h in found) for found in handlers.values())
    assert bpy.app.timers.is_registered(addon.jobs.tick)
    addon.jobs.poller().start_engine("")
    process = addon.sidecar.SIDECAR.process
    addon_utils.disable(flow.EXTENSION)
    try:
        for name in flow.LISTENED:
            assert not [h for h in getattr(bpy.app.handlers, name) if "understudy" in h.__module__]
        assert not bpy.app.timers.is_registered(addon.jobs.tick)
        assert not bpy.app.timers.is_registered(addon.jobs._connect)
        assert process.wait(2) == 0
        assert not hasattr(bpy.types.Scene, "understudy")
        assert not [n for n in dir(bpy.types) if n.startswith(("UNDERSTUDY_", "Understudy"))]
        assert "mark_range" not in dir(bpy.ops.understudy)
    finally:
        addon_utils.enable(flow.EXTENSION)
    assert scene.understudy.minutes == 10.0
    assert bpy.app.timers.is_registered(addon.jobs.tick)


QUIT = """
import os, sys, warnings
warnings.simplefilter("error", DeprecationWarning)
import bpy
bpy.ops.extensions.package_install_files(filepath=sys.argv[1], repo="user_default", enable_on_install=True)
import importlib
jobs = importlib.import_module("bl_ext.user_default.understudy.addon.jobs.jobs")
scene = bpy.context.scene
if bpy.app.version >= (5, 0, 0):
    bpy.context.workspace.sequencer_scene = scene
strip = scene.sequence_editor_create().strips.new_movie("shot", sys.argv[2], 1, 10)
scene.sequence_editor.active_strip = strip
bpy.ops.understudy.mark_range()
bpy.ops.understudy.scan_shot()
jobs.tick()
print("quitting", flush=True)
"""


def test_blender_quits_with_the_addon_and_a_job_on(package, clips, tmp_path):
    """Blender 4.5 hangs as it quits when a timer or handler is left; and nothing of ours uses names that go away."""
    result = subprocess.run(
        [sys.executable, "-c", QUIT, str(package), str(clips.movie)],
        env={**os.environ, "BLENDER_USER_RESOURCES": str(tmp_path / "user"), "UNDERSTUDY_HOME": str(tmp_path / "home")},
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert "quitting" in result.stdout and result.returncode == 0, result.stdout + result.stderr
    assert "Traceback" not in result.stderr


def test_no_sequencer_scene(addon, scene):
    """From Blender 5.0 on the sequencer may show no scene at all."""
    if bpy.app.version < (5, 0, 0):
        pytest.skip("Blender 4.5's sequencer always shows the window's scene")
    bpy.context.workspace.sequencer_scene = None
    for operator in (bpy.ops.understudy.mark_range, bpy.ops.understudy.scan_shot, bpy.ops.understudy.train):
        with pytest.raises(RuntimeError, match="Choose a scene"):
            operator()


def test_only_compat_asks_for_blenders_version():
    root = Path(__file__).resolve().parents[2] / "addon"
    asking = [file.name for file in root.rglob("*.py") if "app.version" in file.read_text(encoding="utf-8")]
    assert asking == ["compat.py"]
