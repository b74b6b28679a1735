"""What a release holds: one version, bytes that depend on the files alone, checksums, and a list of what is in it."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import tarfile
import time
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
BLENDERS = [ROOT / ".env" / name for name in ("bpy52", "bpy50", "bpy45") if (ROOT / ".env" / name).is_dir()]
WHEN = 1_700_000_000
SUFFIXES = {".zip", ".whl", ".gz", ".json", ".md", ""}


@pytest.fixture(scope="module")
def release(tmp_path_factory) -> Path:
    if not BLENDERS or not (ROOT / ".git").exists():
        pytest.skip("a release needs a checkout with git, and a bpy in .env/")
    output = tmp_path_factory.mktemp("dist")
    command = [sys.executable, ROOT / "tools" / "release.py", "--bpy-environment", BLENDERS[0], "--output", output]
    own = {**os.environ, "SOURCE_DATE_EPOCH": str(WHEN)}
    result = subprocess.run(command, env=own, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    return output


def test_it_is_whole_and_has_its_checksums(release):
    found = {path.relative_to(release).as_posix(): path for path in release.rglob("*") if path.is_file()}
    assert {Path(name).suffix for name in found if "/" not in name} == SUFFIXES
    lines = found.pop("SHA256SUMS").read_text().splitlines()
    sums = {name: digest for digest, name in (line.split("  ") for line in lines)}
    assert sums == {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in found.items()}
    (listed,) = json.loads(found["extensions/index.json"].read_text())["data"]
    archive = found[f"extensions/understudy-{listed['version']}.zip"]
    assert listed["archive_hash"] == f"sha256:{sums[archive.relative_to(release).as_posix()]}"
    assert "Built 2023-11-14, 22:13" in found["extensions/index.html"].read_text()


def test_times_and_order_in_it_are_the_sources_not_the_builds(release):
    day = time.gmtime(WHEN)[:6]
    for path in (*release.glob("*.zip"), *release.glob("*.whl")):
        with zipfile.ZipFile(path) as file:
            assert {(*one.date_time[:5], one.date_time[5] // 2) for one in file.infolist()} == {(*day[:5], day[5] // 2)}
            assert path.suffix == ".whl" or file.namelist() == sorted(file.namelist())
    (source,) = release.glob("*.tar.gz")
    with tarfile.open(source) as file:
        members = file.getmembers()
    assert {one.mtime for one in members} == {WHEN} and {(one.uid, one.uname) for one in members} == {(0, "")}
    assert [one.name for one in members] == sorted(one.name for one in members)


def test_the_wheel_holds_all_of_the_engine_that_git_knows(release):
    known = subprocess.run(["git", "ls-files", "engine"], cwd=ROOT, capture_output=True, text=True).stdout.split()
    (wheel,) = release.glob("*.whl")
    with zipfile.ZipFile(wheel) as file:
        inside = {name.removeprefix("understudy/") for name in file.namelist() if name.startswith("understudy/engine/")}
    assert inside == {name for name in known if (ROOT / name).is_file()}


def test_the_bill_of_materials_names_packages_and_networks(release):
    (path,) = release.glob("*.cdx.json")
    bill = json.loads(path.read_text())
    named = {one["name"] for one in bill["components"]}
    assert {"torch", "numpy", "av", "blazeface", "embedding"} <= named and "pytest" not in named
    references = [one["bom-ref"] for one in bill["components"]] + [bill["metadata"]["component"]["bom-ref"]]
    assert len(references) == len(set(references))
    for one in bill["dependencies"]:
        assert {one["ref"], *one["dependsOn"]} <= set(references)
