"""What tests of conversions have in common."""

from __future__ import annotations

from pathlib import Path

import pytest
from understudy.engine.model.model_folder import prepare
from understudy.engine.protocol import Identity, Material
from understudy.engine.reporter import Silent


@pytest.fixture(scope="session")
def drafts(tmp_path_factory: pytest.TempPathFactory, astronaut_folder: Path) -> Path:
    """A model of the portrait's woman that was not trained."""
    folder = tmp_path_factory.mktemp("model")
    material = [Material(scan=str(astronaut_folder), person=0)]
    prepare(folder, [Identity(name="woman", material=material)], "draft", Silent())
    return folder
