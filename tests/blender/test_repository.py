"""The extension out of a repository that a web server serves: Blender lists it, installs it and updates it, and what
the user has set and set up stays."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import bpy
import pytest

ROOT = Path(__file__).resolve().parents[2]
FILES = ("__init__.py", "blender_manifest.toml", "pyproject.toml", "README.md", "LICENSE")

STORY = """
import functools, http.server, importlib, os, pathlib, shutil, sys, threading
served, archives = pathlib.Path(sys.argv[1]), sys.argv[2:]
class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=served))
if not (child := os.fork()):  # no thread and no server in Blender's process
    server.serve_forever()
server.socket.close()
import atexit, signal
import bpy
def serve(archive):
    sys.path.insert(0, os.environ["TOOLS"])
    import package
    for old in served.iterdir():
        old.unlink()
    shutil.copy(archive, served)
    package.run(package.extension_tool(pathlib.Path(sys.prefix)), "server-generate", f"--repo-dir={served}", "--html")
try:
    preferences = bpy.context.preferences
    preferences.system.use_online_access = True
    repositories = preferences.extensions.repos
    url = f"http://127.0.0.1:{server.server_port}/index.json"
    repository = repositories.new(name="Understudy", module="understudy_repository", remote_url=url)
    repository.use_remote_url = True
    index = list(repositories).index(repository)
    name = "bl_ext.understudy_repository.understudy"
    home = pathlib.Path(os.environ["UNDERSTUDY_HOME"])
    def version():
        return importlib.import_module(name + ".addon.engine_link.environment").version()
    serve(archives[0])
    bpy.ops.extensions.repo_sync(repo_index=index)
    bpy.ops.extensions.package_install(repo_index=index, pkg_id="understudy", enable_on_install=True)
    first = version()
    python = home / "env" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text("")
    (home / "env" / "understudy.json").write_text('{"version": "%s"}' % first)
    preferences.addons[name].preferences.project_location = "/kept/here"
    setup = importlib.import_module(name + ".addon.engine_link.engine_setup")
    assert not setup.outdated() and not setup.needed()
    serve(archives[1])
    bpy.ops.extensions.repo_sync(repo_index=index)
    bpy.ops.extensions.package_upgrade_all()
    setup = importlib.import_module(name + ".addon.engine_link.engine_setup")
    print("STORY", first, version(), preferences.addons[name].preferences.project_location, setup.outdated(),
          python.exists(), hasattr(bpy.types.Scene, "understudy"), flush=True)
finally:
    os.kill(child, signal.SIGKILL)
os._exit(0)
"""


@pytest.mark.skipif(bpy.app.version < (5, 2, 0), reason="takes its seconds in one Blender, the newest")
def test_blender_installs_from_the_repository_and_updates(package, tmp_path):
    newer = tmp_path / "newer"
    newer.mkdir()
    for name in (
        "__init__.py",
        "blender_manifest.toml",
        "pyproject.toml",
        "README.md",
        "LICENSE",
        "addon",
        "engine",
        "tools",
    ):
        source = ROOT / name
        copy = shutil.copytree if source.is_dir() else shutil.copy
        copy(source, newer / name)
    before = package.stem.partition("-")[2]
    for name in ("blender_manifest.toml", "pyproject.toml"):
        text = (newer / name).read_text(encoding="utf-8")
        (newer / name).write_text(text.replace(f'version = "{before}"', 'version = "9.2.0"', 1), encoding="utf-8")
    command = [sys.executable, newer / "tools" / "package.py", "--bpy-environment", sys.prefix, "--output", tmp_path]
    update = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
    (tmp_path / "served").mkdir()
    own = {"BLENDER_USER_RESOURCES": str(tmp_path / "user"), "UNDERSTUDY_HOME": str(tmp_path / "home")}
    result = subprocess.run(
        [sys.executable, "-c", STORY, str(tmp_path / "served"), str(package), update],
        env={**os.environ, **own, "TOOLS": str(ROOT / "tools"), "UNDERSTUDY_ENGINE_PYTHON": ""},
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert f"STORY {before} 9.2.0 /kept/here True True True" in result.stdout, result.stdout + result.stderr
