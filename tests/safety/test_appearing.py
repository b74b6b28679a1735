"""A file that appears at an output, or is changed there, while that is being made, stays as it is."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from understudy.engine import durable
from understudy.engine.durable import look, put, write_json
from understudy.engine.errors import UnderstudyError
from understudy.engine.media.partial_output import publish
from understudy.engine.media.waveform import SoundInfo, SoundWriter
from understudy.engine.protocol import SoundClip
from understudy.engine.reporter import Silent

THEIRS = b"a grade of three days"
INFO = SoundInfo(
    path=Path(), track=0, rate=8000, channels=1, layout="mono", sample="s16", bits=16, codec="pcm_s16le",
    samples=800, first=0.0, tracks=1, movie=False,
)  # fmt: skip


def refuse(path: Path) -> None:
    raise UnderstudyError(f"{path} exists.")


def made_in(folder: Path, name: str = "made") -> Path:
    path = folder / name
    path.write_bytes(b"ours")
    return path


@pytest.mark.parametrize("links", [True, False], ids=["hard links", "no hard links"])
def test_what_lies_there_is_asked_about(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, links: bool) -> None:
    if not links:

        def no_link(*_: Any, **__: Any) -> None:
            raise PermissionError(1, "Operation not permitted")

        monkeypatch.setattr(os, "link", no_link)
    final = tmp_path / "final"
    put(made_in(tmp_path), final, refuse)
    assert final.read_bytes() == b"ours" and list(tmp_path.iterdir()) == [final]
    final.write_bytes(THEIRS)
    with pytest.raises(UnderstudyError, match="exists"):
        put(made_in(tmp_path), final, refuse)
    assert final.read_bytes() == THEIRS
    asked: list[Path] = []
    put(made_in(tmp_path), final, asked.append)
    assert asked == [final] and final.read_bytes() == b"ours"
    final.unlink()
    final.symlink_to(tmp_path / "nowhere")
    with pytest.raises(UnderstudyError):
        put(made_in(tmp_path), final, refuse)
    assert final.is_symlink() and not (tmp_path / "nowhere").exists()


def test_what_is_changed_while_it_is_asked_about_is_asked_about_again(tmp_path: Path) -> None:
    final, times = tmp_path / "final", [0]
    final.write_bytes(b"an earlier one of ours")

    def allow(path: Path) -> None:
        times[0] += 1
        if path.read_bytes() == THEIRS:
            raise UnderstudyError("theirs")
        path.write_bytes(THEIRS)

    with pytest.raises(UnderstudyError, match="theirs"):
        put(made_in(tmp_path), final, allow)
    assert final.read_bytes() == THEIRS and times == [2]


@pytest.mark.parametrize("earlier", [False, True])
@pytest.mark.parametrize("kind", ["file", "folder"])
def test_what_comes_while_a_recast_is_signed_stays(tmp_path: Path, kind: str, earlier: bool) -> None:
    work, final = tmp_path / "work", tmp_path / "final"
    work.mkdir()
    made = work / "pictures"
    theirs = final / "1.png" if kind == "folder" else final

    def put_theirs(_: Any) -> dict[Path, Path]:
        theirs.parent.mkdir(exist_ok=True)
        theirs.write_bytes(THEIRS)
        return {}

    if kind == "folder":
        made.mkdir()
        made_in(made, "1.png")
    else:
        made_in(work, "pictures")
    if earlier:
        theirs.parent.mkdir(exist_ok=True)
        theirs.write_bytes(b"an earlier recast")
    before = look(made)
    with pytest.raises(UnderstudyError, match="put there or changed"):
        publish({final: made}, put_theirs)
    assert theirs.read_bytes() == THEIRS and look(made) == before
    publish({final: made})
    assert theirs.read_bytes() == b"ours" and sorted(p.name for p in tmp_path.iterdir()) == ["final", "work"]


WRITERS: dict[str, Callable[[Path, Callable[[Path], None]], Any]] = {
    "x.json": lambda path, allow: write_json(path, {}, durable.SHARED, allow=allow),
    "x.wav": lambda path, allow: _sound(path, allow),
}


def _sound(path: Path, allow: Callable[[Path], None]) -> None:
    with SoundWriter(path, INFO, allow=allow) as writer:
        writer.write(np.zeros((800, 1), np.int16))
        path.write_bytes(THEIRS)


@pytest.mark.parametrize("name", WRITERS)
def test_writers_ask(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(THEIRS)
    with pytest.raises(UnderstudyError, match="exists"):
        WRITERS[name](path, refuse)
    assert path.read_bytes() == THEIRS and list(tmp_path.iterdir()) == [path]


def test_commands_ask_at_the_last(
    tmp_path: Path, carphone_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from understudy.engine.cli import execute
    from understudy.engine.faces.interchange import alignments_json

    output, load = tmp_path / "faces.json", alignments_json.load_alignments

    def meanwhile(scan: Path) -> Any:
        if not output.exists():
            output.write_bytes(THEIRS)
        return load(scan)

    monkeypatch.setattr(alignments_json, "load_alignments", meanwhile)
    monkeypatch.setenv("UNDERSTUDY_HOME", str(tmp_path / "home"))
    for form in ("understudy", "faceswap"):
        output.unlink(missing_ok=True)
        assert execute(["alignments", "export", str(carphone_folder), "-o", str(output), "--format", form]) == 1
        assert f"{output} exists. Choose another name" in capsys.readouterr().err
        assert output.read_bytes() == THEIRS
    monkeypatch.setattr(alignments_json, "load_alignments", load)
    output.unlink()
    for again in ([], ["--overwrite"]):
        assert execute(["alignments", "export", str(carphone_folder), "-o", str(output), *again]) == 0
    assert json.loads(output.read_text())["format"] == "understudy alignments"


def test_separated_sound_asks_at_the_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from understudy.engine.voice import stems

    source, output, rest = tmp_path / "in.wav", tmp_path / "voice.wav", tmp_path / "rest.wav"
    with SoundWriter(source, INFO) as writer:
        writer.write(np.zeros((800, 1), np.int16))

    def meanwhile(mix: np.ndarray, rate: int, device: str) -> np.ndarray:
        output.write_bytes(THEIRS)
        return np.zeros_like(mix)

    monkeypatch.setattr(stems, "separate", meanwhile)
    with pytest.raises(UnderstudyError, match="exists"):
        stems.separate_file(SoundClip(path=str(source)), output, rest, Silent(), allow=refuse)
    assert output.read_bytes() == THEIRS and len(list(tmp_path.glob("*.part*"))) == 0
