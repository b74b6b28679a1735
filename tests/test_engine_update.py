"""A newer add-on meets an older engine: it is updated in place, and the older one stays whole where that fails. Python,
pip and the environments are real; the packages are tiny ones that the test writes."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import types
import zipfile
from pathlib import Path
from queue import SimpleQueue

import pytest

addon = sys.modules.setdefault("understudy.addon", types.ModuleType("understudy.addon"))
addon.__path__ = [str(Path(__file__).parents[1] / "addon")]  # its own __init__ needs Blender
from understudy.addon.side_process import installer  # noqa: E402


@pytest.fixture
def extension(tmp_path, monkeypatch):
    """Writes an extension of a version, whose engine needs one package of the same version, and sets its engine up."""
    monkeypatch.setenv("UNDERSTUDY_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("PYTHONPATH", raising=False)
    root, wheels = tmp_path / "root", tmp_path / "wheels"
    (root / "engine").mkdir(parents=True)
    wheels.mkdir()
    (root / "__init__.py").write_text("")
    (root / "engine" / "__init__.py").write_text("")
    (root / "pins.txt").write_text("")
    monkeypatch.setattr(installer, "ROOT", root)
    monkeypatch.setattr(installer, "PINS", root / "pins.txt")

    def set_up(version: str, broken: bool = False) -> installer.Progress:
        wheel = wheels / f"tinydependency-{version}-py3-none-any.whl"
        write_wheel(wheel, version)
        if broken:
            wheel.write_bytes(wheel.read_bytes()[:200])
        said = "import tinydependency\nprint('engine', tinydependency.version)\n"
        (root / "engine" / "__main__.py").write_text(said)
        monkeypatch.setattr(installer, "version", lambda: version)
        monkeypatch.setattr(installer, "requirements", lambda: [f"tinydependency=={version}"])
        setter = installer.Installer(SimpleQueue())
        setter.start(str(wheels))
        setter.wait(120)
        return setter.progress

    return set_up


def write_wheel(path: Path, version: str) -> None:
    info = f"tinydependency-{version}.dist-info"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("tinydependency.py", f"version = '{version}'\n")
        file.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: tinydependency\nVersion: {version}\n")
        file.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        file.writestr(f"{info}/RECORD", "")


def engine(home: Path) -> tuple[str, str]:
    """What the engine that is set up says, and its stamp."""
    python = installer.python_of(home / "env")
    said = subprocess.run([python, "-m", "understudy.engine"], cwd=home, capture_output=True, text=True).stdout.strip()
    return said, json.loads((home / "env" / "understudy.json").read_text())["version"]


def test_an_update_takes_its_place_or_leaves_the_older_engine_whole(extension, tmp_path, monkeypatch):
    home = tmp_path / "home"
    assert extension("1.0").state == "done"
    assert engine(home) == ("engine 1.0", "1.0")
    ended = []
    monkeypatch.setattr(installer, "_stop_engine", lambda: ended.append(engine(home)))

    # one that was begun before, so that this one takes no time for another
    shutil.copytree(home / "env", home / "env.part", symlinks=True)
    failed = extension("2.0", broken=True)
    assert failed.state == "failed" and "could not be installed" in failed.error
    assert engine(home) == ("engine 1.0", "1.0") and not ended

    # it works where it was made, and not in its place
    part = home / "env.part"
    (home.parent / "root" / "engine" / "__main__.py").write_text("import sys\nsys.exit('--help' in sys.argv)\n")
    installer.Installer(SimpleQueue())._copy_engine(part)
    with pytest.raises(installer.SetupFailed, match="does not work in its place"):
        installer._replace(part)
    assert engine(home) == ("engine 1.0", "1.0") and not (home / "env.old").exists()

    # the older one is moved away and the new one cannot come
    replace = Path.replace

    def refuses(path: Path, to: Path) -> Path:
        if path.name == "env.part":
            raise PermissionError(13, "Permission denied")
        return replace(path, to)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", refuses)
        with pytest.raises(PermissionError):
            installer._replace(part)
    assert engine(home) == ("engine 1.0", "1.0") and not ended

    # a crash between both moves
    (home / "env").replace(home / "env.old")
    installer._restore()
    assert engine(home) == ("engine 1.0", "1.0") and not ended

    assert extension("2.0").state == "done"
    assert engine(home) == ("engine 2.0", "2.0")
    assert ended == [("engine 2.0", "2.0")]  # the older one worked until then
    assert not (home / "env.old").exists() and not (home / "env.part").exists()
