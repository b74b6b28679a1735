"""A project that knows Ann, and what records say of recasts of hers."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from understudy.engine.convert.convert_settings import save_settings
from understudy.engine.durable import hash_file
from understudy.engine.protocol import ConvertSpec
from understudy.engine.provenance.credentials import Claim, sign

ID = "0123456789abcdef"
Record = Callable[..., Path]


@pytest.fixture
def own_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    monkeypatch.setenv("UNDERSTUDY_HOME", str(tmp_path / "home"))


@pytest.fixture
def film(own_home: None, tmp_path: Path, record_consent: Any) -> Path:
    """A project that knows Ann."""
    folder = tmp_path / "films" / "film.understudy"
    record_consent(folder, "Ann", "Bob")
    return folder


@pytest.fixture
def record(film: Path) -> Record:
    """Write the record of a recast in which Ann appears."""

    def write(output: Path | str, identifier: str = ID, **facts: Any) -> Path:
        path = film / "provenance" / f"{identifier}.json"
        path.parent.mkdir(exist_ok=True)
        data = {
            "id": identifier, "date": "2026-11-30", "output": str(output), "output_sha256": "", "source": "/shot.mp4",
            "source_sha256": "ab", "start": 0, "end": 8, "frames": 8, "recast": 8, "model": "", "model_sha256": "",
            "cast": [{"person": 0, "identity": "Ann", "target": "Bob"}],
        }  # fmt: skip
        path.write_text(json.dumps(data | facts))
        return path

    return write


@pytest.fixture
def recast(make_clip: Any, film: Path) -> Callable[..., dict[str, Any]]:
    """Make a movie with credentials of a recast, and the settings beside it; gives what a record says of it."""

    def make(path: Path, identifier: str = ID) -> dict[str, Any]:
        path.parent.mkdir(parents=True, exist_ok=True)
        make_clip(path, 8)
        sign(path, Claim(path.name, "A face was replaced.", [], {"id": identifier}, str(film)))
        save_settings(ConvertSpec(scan="", model="", swaps=[], output=str(path), project=str(film)))
        return {"output_sha256": hash_file(path), "output_bytes": path.stat().st_size}

    return make


watches: list[list[str]] = []  # of what this process opens; a hook cannot be taken away again


def note_opened(event: str, arguments: tuple[Any, ...]) -> None:
    for opened in watches if event in ("open", "os.listdir", "os.scandir") else []:
        opened.append(os.path.realpath(arguments[0]) if isinstance(arguments[0], str | os.PathLike) else "")


sys.addaudithook(note_opened)


@pytest.fixture
def opened() -> Iterator[list[str]]:
    """The files and folders that are opened while the test runs, all links resolved."""
    watches.append([])
    yield watches[-1]
    watches.pop()
