"""Passes for a compositor: laid over the footage they are the recast, and their maps lead to the face."""

from __future__ import annotations

import json
import struct
import zlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from understudy.engine.errors import MediaError
from understudy.engine.faces.geometry.align import crop
from understudy.engine.media.exr import attributes
from understudy.engine.media.exr_writer import exr_bytes, text_of
from understudy.engine.media.float_view import Patch
from understudy.engine.media.footage import footage_of
from understudy.engine.media.passes import LAYERS
from understudy.engine.media.pictures import read_picture
from understudy.engine.media.reader import probe, read_frames
from understudy.engine.media.signal import signal_of
from understudy.engine.media.writer import MovieWriter
from understudy.engine.protocol import Clip


def channels_of(path: Path) -> dict[str, Any]:
    """The channels (H, W) of a ZIP scan-line file by its specification, not by our writer's code."""
    data = path.read_bytes()
    told = attributes(data)
    x0, y0, x1, y1 = struct.unpack("<4i", told[b"dataWindow"])
    width, height, listed, kinds = x1 - x0 + 1, y1 - y0 + 1, told[b"channels"], {}
    while listed[0]:
        name, listed = listed.split(b"\0", 1)
        kinds[name.decode()], listed = (np.float16, np.float32)[listed[0] - 1], listed[16:]
    rows: dict[str, list[Any]] = {name: [] for name in kinds}
    position = data.index(b"\0\0", data.index(b"screenWindowWidth"))
    blocks = -(-height // 16)
    first = next(n for n in range(position, len(data)) if is_table(data, n, blocks))
    for place in struct.unpack_from(f"<{blocks}Q", data, first):
        top, size = struct.unpack_from("<iI", data, place)
        lines = min(16, height - top)
        need = lines * width * sum(np.dtype(kind).itemsize for kind in kinds.values())
        raw = np.frombuffer(data[place + 8 : place + 8 + size], np.uint8)
        if size < need:
            steps = np.frombuffer(zlib.decompress(raw.tobytes()), np.uint8).astype(np.int64)
            steps[1:] -= 128
            whole = (np.cumsum(steps) & 255).astype(np.uint8)
            half = (need + 1) // 2
            raw = np.empty(need, np.uint8)
            raw[0::2], raw[1::2] = whole[:half], whole[half:]
        at = 0
        for _ in range(lines):
            for name, kind in kinds.items():
                size = width * np.dtype(kind).itemsize
                rows[name].append(raw[at : at + size].copy().view(kind))
                at += size
    return {name: np.stack(lines) for name, lines in rows.items()}


def is_table(data: bytes, at: int, blocks: int) -> bool:
    """Whether the places of the blocks begin here: the first block follows them."""
    return bool(struct.unpack_from("<Q", data, at)[0] == at + 8 * blocks)


def rgb_of(channels: dict[str, Any]) -> Any:
    """(H, W, 3) float32."""
    return np.stack([channels[name] for name in "RGB"], -1).astype(np.float32)


def linear(picture: Any) -> Any:
    """(H, W, 3) of an OpenEXR picture that FFmpeg reads."""
    return signal_of(picture, (0, 0, picture.width, picture.height))


def test_a_file_of_several_layers_is_read_as_it_was_written(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    channels = {name: random.normal(size=(37, 21)).astype(np.float16) for name in ("R", "G", "B", "A", "eyes.A")}
    channels["st.R"] = random.random((37, 21)).astype(np.float32)
    data = exr_bytes(channels, {"said": "yes"})
    (tmp_path / "a.exr").write_bytes(data)
    assert text_of(data, "said") == "yes"
    seen = linear(read_picture(tmp_path / "a.exr"))
    assert all((seen[..., n] == channels[name]).all() for n, name in enumerate("RGB"))
    again = channels_of(tmp_path / "a.exr")
    assert list(again) == sorted(channels) and all((again[name] == channels[name]).all() for name in channels)


def test_over_floating_point_footage_passes_give_the_very_recast(tmp_path: Path) -> None:
    random = np.random.default_rng(1)
    y, x = np.mgrid[0:48, 0:64] / 48
    light = np.stack([0.1 + 0.5 * x, 0.2 + 0.3 * y, 0.3 + 0.2 * x * y], -1).astype(np.float16)
    footage = tmp_path / "footage"
    footage.mkdir()
    (footage / "shot.0001.exr").write_bytes(exr_bytes({name: light[..., n] for n, name in enumerate("RGB")}, {}))
    info = probe(footage_of(Clip(path=str(footage))))
    (frame,) = read_frames(footage)
    matte = np.linspace(0, 1, 20 * 30, dtype=np.float32).reshape(20, 30)
    under = frame.view((10, 8, 40, 28))
    fresh = random.random((20, 30, 3)).astype(np.float32)
    layers = {name: matte for name in LAYERS}
    patch = Patch(10, 8, under + matte[..., None] * (fresh - under), matte, layers, {"person": 4})
    for name in ("passes", "exr"):
        with MovieWriter(tmp_path / name, info, 0, 1, format=name, people=[4]) as writer:  # type: ignore[arg-type]
            writer.write(frame, [patch])
    made = channels_of(tmp_path / "passes" / "shot.0001.exr")
    over = rgb_of(made) + light.astype(np.float32) * (1 - made["A"][..., None].astype(np.float32))
    plain = linear(read_picture(tmp_path / "exr" / "shot.0001.exr"))
    assert np.abs(plain - light).max() > 0.3
    assert np.abs(over - plain).max() < 2**-10  # of half floats between 0.5 and 1, twice
    with MovieWriter(tmp_path / "two", info, 0, 1, format="passes", people=[4, 7]) as writer:
        writer.write(frame, [patch])
    made = channels_of(tmp_path / "two" / "shot.0001.exr")
    assert set(made) == {*"RGBA", *(f"person{n}_{name}" for n in (4, 7) for name in LAYERS)}
    assert made["person4_matte.A"].max() == 1 and not made["person7_matte.A"].any()


def test_passes_over_the_footage_are_the_recast(
    run: Any, carphone_folder: Path, carphone_scan: Any, drafts: Path
) -> None:
    consent = ["--consent", "woman=Eileen Collins:test footage", "--consent", "man=A Man:test footage"]
    words = ["--model", drafts, "--project", ".", "--swap", "0:man=woman", "--start", "3", "--end", "6"]
    code, answer, _ = run("convert", carphone_folder, *words, "--format", "passes", "-o", "out/passes")
    assert code == 7 and not Path("out").exists(), answer  # nobody's permission is on record
    code, answer, said = run("convert", carphone_folder, *words, "--format", "passes", "-o", "out/passes", *consent)
    assert code == 0 and answer["frames"] == 3, said
    files = sorted(Path("out/passes").glob("*.exr"))
    assert len(files) == 3 and list(Path("provenance").glob("*.json"))
    code, _, said = run("convert", carphone_folder, *words, "--format", "exr", "-o", "out/plain")
    assert code == 0, said
    code, _, said = run("convert", "--like", "out/passes", "-o", "out/passes", "--project", ".")
    assert code == 0, said  # ours as it was made: written again
    told = json.loads(Path("out/passes-faces.json").read_text())
    assert [one["frame"] for one in told["frames"]] == [3, 4, 5]
    plain = sorted(Path("out/plain").glob("*.exr"))
    frames = list(read_frames(Path(carphone_scan.clip.path), 3, 6))
    for file, other, frame, facts in zip(files, plain, frames, told["frames"], strict=True):
        found = channels_of(file)
        assert set(found) == {*"RGBA", *LAYERS}
        face, matte = rgb_of(found), found["A"].astype(np.float32)
        assert (face == linear(read_picture(file))).all()  # as other programs read them
        assert 0.02 < (matte > 0).mean() < 0.5 and not face[matte == 0].any()
        below = np.where(
            frame.rgb / 255 <= 0.04045, frame.rgb / 255 / 12.92, ((frame.rgb / 255 + 0.055) / 1.055) ** 2.4
        )
        over = face + below * (1 - matte[..., None])
        away = np.abs(over - linear(read_picture(other)))
        assert away.mean() < 2e-3, away.mean()  # the footage's own 8 bits and halved chroma
        (one,) = facts["faces"]
        assert one["person"] == 0 and one["identity"] == "woman"
        size = one["size"]
        aligned = crop(frame.rgb, np.array(one["frame_to_face"])[:2], size)
        x, y = found["st.R"] * size - np.float32(0.5), (1 - found["st.G"]) * size - np.float32(0.5)
        back = cv2.remap(aligned, x, y, cv2.INTER_CUBIC)
        inside = matte > 0.5
        assert np.abs(back.astype(int) - frame.rgb)[inside].mean() < 2
        for part in ("eyes.A", "lips.A", "skin.A"):
            assert 0.003 < found[part][inside].mean() < 0.95, part
        assert found["uv.R"][inside].min() >= 0 and found["uv.R"].max() <= 1
        rows, columns = (np.average(axis, weights=found["lips.A"]) for axis in np.mgrid[: len(matte), : len(matte[0])])
        u, v = (found[name][round(rows), round(columns)] for name in ("uv.R", "uv.G"))
        assert (found["st.B"][inside] == 1).all()
        assert 0.4 < u < 0.6 and 0.1 < v < 0.4  # the mouth lies in the middle of the lower part of the unrolled face


def test_a_folder_of_other_files_is_refused(run: Any, carphone_folder: Path, drafts: Path) -> None:
    Path("mine").mkdir()
    Path("mine/notes.txt").write_text("keep")
    words = ["--model", drafts, "--swap", "0:man=woman", "--format", "passes", "-o", "mine"]
    code, answer, _ = run("convert", carphone_folder, *words)
    assert code == MediaError.exit_code and "other files" in answer["error"]
    assert Path("mine/notes.txt").read_text() == "keep" and len(list(Path("mine").iterdir())) == 1
