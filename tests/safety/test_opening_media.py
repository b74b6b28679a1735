"""Footage and sound are opened in one way, for reading and for writing: a name is a name, never a protocol."""

from __future__ import annotations

import ast
from pathlib import Path

import cv2
import numpy as np
import pytest
from understudy.engine.media.pictures import read_picture
from understudy.engine.media.reader import probe
from understudy.engine.media.waveform import SoundInfo, SoundWriter, probe_sound

ROOT = Path(__file__).parents[2]
OPENERS = {
    "VideoCapture",
    "VideoWriter",
    "imread",
    "imreadmulti",
    "imwrite",
    "imreadanimation",
    "fromfile",
    "read_image",
}
NAMES = ["12:30 take", "http:127.0.0.1:19998", "take %03d", "concat:a|b", "data:,x", "-y", "crypto:x"]


def test_media_are_opened_in_one_place() -> None:
    for file in sorted((ROOT / "engine").rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call):
                continue
            call, where = ast.unparse(node.func), f"{file.relative_to(ROOT)}:{node.lineno}"
            if call in ("av.open", "av.container.open"):
                assert file.name == "open.py" and file.parent.name == "media", f"{where}: media.open is the way"
                assert ast.unparse(node.args[0]) == "url_of(path)", where
            assert call.rpartition(".")[2] not in OPENERS, f"{where}: read the bytes, or use media.open"


@pytest.mark.parametrize("name", NAMES)
def test_sound_is_written_to_the_file_that_is_named(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    info = SoundInfo(
        path=Path(), track=0, rate=8000, channels=1, layout="mono", sample="s16", bits=16, codec="pcm_s16le",
        samples=800, first=0.0, tracks=1, movie=False,
    )  # fmt: skip
    with SoundWriter(Path(f"{name}.wav"), info) as writer:
        writer.write(np.zeros((800, 1), np.int16))
    assert [path.name for path in tmp_path.iterdir()] == [f"{name}.wav"]
    assert probe_sound(Path(f"{name}.wav")).samples == 800


@pytest.mark.parametrize("name", NAMES)
def test_pictures_are_the_files_that_are_named(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A % in a name means no sequence: its neighbours are not looked at."""
    monkeypatch.chdir(tmp_path)
    for number in range(3):
        picture = cv2.imencode(".png", np.full((64, 64, 3), number, np.uint8))[1].tobytes()
        (tmp_path / f"take {number:03d}.png").write_bytes(picture)
    (tmp_path / f"{name}.png").write_bytes(cv2.imencode(".png", np.full((32, 48, 3), 200, np.uint8))[1].tobytes())
    assert probe(Path(f"{name}.png")).frames == 1
    assert (read_picture(Path(f"{name}.png")).width, read_picture(Path(f"{name}.png")).height) == (48, 32)
