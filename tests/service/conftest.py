"""Engines for the tests to use and to kill."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from .harness import Engine


@pytest.fixture
def stopped_engine(tmp_path: Path) -> Iterator[Engine]:
    home = tmp_path / "home"
    home.mkdir()
    engine = Engine(home, "scripted:run", {"supervisor.IDLE_SECONDS": 0.5})
    yield engine
    engine.clean_up()


@pytest.fixture
def engine(stopped_engine: Engine) -> Engine:
    return stopped_engine.start()


@pytest.fixture(scope="module")
def shared_engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """One engine for the tests of a module that do not harm it."""
    engine = Engine(tmp_path_factory.mktemp("home"), "scripted:run")
    yield engine.start()
    engine.clean_up()
