"""What several of these tests begin with."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from understudy.engine import job_bodies
from understudy.engine.durable import write_json
from understudy.engine.protocol import ConvertSpec, Identity, Material, Swap, TrainSpec
from understudy.engine.reporter import Silent

from .other_engine import Hostile


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


@pytest.fixture
def spec(project: Path, carphone_folder: Path, tmp_path: Path) -> ConvertSpec:
    """The man of the project's first scan gets the woman's face, in three frames."""
    return ConvertSpec(
        scan=str(project / "scans" / carphone_folder.name),
        model=str(project / "models" / "one"),
        swaps=[Swap(person=0, identity="woman", target="man")],
        output=str(tmp_path / "shot.mp4"),
        project=str(project),
        end=3,
    )


@pytest.fixture
def hostile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hostile]:
    server = Hostile()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    monkeypatch.setenv("UNDERSTUDY_HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir(mode=0o700)
    url = f"http://127.0.0.1:{server.server_address[1]}"
    write_json(tmp_path / "home" / "remote.json", {"url": url, "token": "t" * 64})
    yield server
    server.shutdown()
    server.server_close()
    thread.join()
