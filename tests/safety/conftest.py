"""What several of these tests begin with."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from understudy.engine import job_bodies
from understudy.engine.protocol import Identity, Material, TrainSpec
from understudy.engine.reporter import Silent


@pytest.fixture(scope="module")
def project(
    tmp_path_factory: pytest.TempPathFactory, carphone_folder: Path, astronaut_folder: Path, record_consent: Any
) -> Path:
    """A project with two scans, a draft model of the woman, and consent."""
    folder: Path = tmp_path_factory.mktemp("films") / "film.understudy"
    for scan in (carphone_folder, astronaut_folder):
        shutil.copytree(scan, folder / "scans" / scan.name)
    record_consent(folder, "woman", "man")
    people = [Identity(name="woman", material=[Material(scan=str(folder / "scans" / astronaut_folder.name), person=0)])]
    model = TrainSpec(identities=people, output=str(folder / "models" / "one"), preset="draft", project=str(folder))
    job_bodies.run("train", model, Silent())
    return folder
