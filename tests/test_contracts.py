"""The contracts between the programs and the stages, read off the code's own imports."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
STAGES = ["media", "faces", "provenance", "model", "voice", "convert"]


def imports(file: Path, for_types: bool = True) -> list[str]:
    """Every module a file imports, relative ones made absolute from the repository's root; with or without what only
    a type checker reads."""
    package = list(file.relative_to(ROOT).parts[:-1])
    found = []
    tree = ast.parse(file.read_text(encoding="utf-8"))
    if not for_types:
        for node in ast.walk(tree):
            if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
                node.body = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                base = package[: len(package) - node.level + 1]
                module = ".".join(base + ([node.module] if node.module else []))
            else:
                module = node.module or ""
            found.append(module)
            found += [f"{module}.{alias.name}" for alias in node.names]
    return found


def files(folder: str) -> list[Path]:
    found = sorted((ROOT / folder).rglob("*.py"))
    assert found, f"{folder} holds no code"
    return found


@pytest.mark.parametrize("file", files("addon"), ids=lambda f: str(f.relative_to(ROOT)))
def test_addon_imports_only_protocol_of_the_engine(file: Path) -> None:
    for module in imports(file):
        top = module.split(".")[0]
        assert top not in {"torch", "cv2", "scipy", "av", "numpy"}, f"{file} imports {module}"
        shared = {"engine", "engine.protocol", "engine.child_process"}  # standard library only
        if top == "engine" and module not in shared:
            assert module.startswith("engine.protocol."), f"{file} imports {module}"


def imported_in_blender() -> dict[Path, set[str]]:
    """Every file of ours that Blender's process may load, from the add-on's root on, and all the modules it imports."""
    found: dict[Path, set[str]] = {}
    waiting = [ROOT / "addon" / "__init__.py"]
    while waiting:
        file = waiting.pop()
        if file in found:
            continue
        found[file] = set(imports(file, for_types=False))
        for module in found[file]:
            path = ROOT.joinpath(*module.split("."))
            waiting += [one for one in (path.with_suffix(".py"), path / "__init__.py") if one.is_file()]
    return found


def test_no_thread_runs_in_blender() -> None:
    """Blender 4.5 and 5.0 crash when a Python thread runs while an operator does: see `engine_link/sidecar.py`."""
    found = imported_in_blender()
    names = {str(file.relative_to(ROOT / "addon")) for file in found if file.is_relative_to(ROOT / "addon")}
    assert {"jobs/jobs.py", "viewport/preview.py", "engine_link/engine_setup.py", "engine_link/sidecar.py"} <= names
    assert not [name for name in names if name.startswith("side_process/") and name != "side_process/__init__.py"]
    for file, modules in found.items():
        tops = {module.split(".")[0] for module in modules}
        assert not tops & {"threading", "_thread", "concurrent", "multiprocessing", "queue", "asyncio"}, file


@pytest.mark.parametrize("file", files("engine"), ids=lambda f: str(f.relative_to(ROOT)))
def test_engine_knows_neither_blender_nor_the_addon(file: Path) -> None:
    for module in imports(file):
        assert module.split(".")[0] not in {"bpy", "bmesh", "mathutils", "addon"}, f"{file} imports {module}"


@pytest.mark.parametrize("stage", STAGES)
def test_no_stage_reaches_forward(stage: str) -> None:
    later = STAGES[STAGES.index(stage) + 1 :]
    for file in files(f"engine/{stage}"):
        for module in imports(file):
            parts = module.split(".")
            if parts[0] == "engine" and len(parts) > 1:
                assert parts[1] not in {*later, "service", "jobs", "cli"}, f"{file} imports {module}"


def test_supervisor_never_loads_torch() -> None:
    code = (
        "import sys, understudy.engine.service.server, understudy.engine.service.serve\n"
        "print([m for m in ('torch', 'cv2', 'numpy', 'av', 'scipy') if m in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
