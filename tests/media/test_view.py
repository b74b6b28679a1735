"""The display-referred view, and its change carried back at the footage's own depth."""

from __future__ import annotations

from dataclasses import dataclass

import av
import cv2
import numpy as np
import pytest
from understudy.engine.media import reader, tone_mapping
from understudy.engine.media.float_view import Patch, apply_patches
from understudy.engine.media.planes import planar, plane_array
from understudy.engine.media.reader import Frame, read_frames

PQ, HLG, LINEAR = 16, 18, 8


@dataclass
class Kind:
    """Pixels of a movie: format, matrix, primaries, transfer, range (1 studio, 2 full)."""

    pixel_format: str
    matrix: int = 1
    primaries: int = 1
    transfer: int = 1
    range: int = 1

    def __str__(self) -> str:
        names = {PQ: "pq", HLG: "hlg", LINEAR: "linear"}
        return (
            f"{self.pixel_format}-{names.get(self.transfer, 'sdr')}-{self.matrix}-{'full' if self.range == 2 else ''}"
        )


KINDS = [
    Kind("yuv420p"), Kind("yuv420p", 6), Kind("yuv420p", range=2), Kind("yuv422p10le"), Kind("yuv444p12le"),
    Kind("yuv420p10le", 9, 9, PQ), Kind("yuv422p10le", 9, 9, HLG), Kind("yuv420p10le", 9, 9, HLG, 2),
    Kind("yuv444p16le"), Kind("yuv411p"), Kind("yuv440p"), Kind("gbrp"), Kind("gbrp10le", 0, 12, PQ),
    Kind("gbrap16le"), Kind("gray10le"), Kind("gbrpf32le", 0, 1, LINEAR), Kind("gbrapf16le", 0, 2, LINEAR),
    Kind("nv12"), Kind("p010le", 9),
]  # fmt: skip


def made(kind: Kind, width: int = 97, height: int = 61, smooth: bool = False) -> av.VideoFrame:
    """A frame of noise (or of slow waves) inside the nominal range, of these pixels."""
    random = np.random.default_rng(1)
    loose = {"nv12": "yuv420p", "p010le": "yuv420p10le"}.get(kind.pixel_format, kind.pixel_format)
    frame = av.VideoFrame(width, height, loose)
    for number in range(len(frame.planes)):
        samples = plane_array(frame, number)
        y, x = np.mgrid[0 : samples.shape[0], 0 : samples.shape[1]]
        reach = 0.2 if number == 0 or frame.format.is_rgb else 0.04
        wave = 0.5 + reach * np.sin(x / samples.shape[1] * 3 + number) * np.cos(y / samples.shape[0] * 2)
        values = wave if smooth else random.uniform(0.2, 0.8, samples.shape)
        if samples.dtype.kind == "f":
            samples[:] = values * 3
        else:
            bits = frame.format.components[0].bits
            samples[:] = np.round(values * ((1 << bits) - 1))
    if loose != kind.pixel_format:
        frame = frame.reformat(format=kind.pixel_format)
    frame.colorspace, frame.color_primaries, frame.color_trc, frame.color_range = (
        kind.matrix, kind.primaries, kind.transfer, kind.range,
    )  # fmt: skip
    return frame


def planes(frame: av.VideoFrame) -> list[np.ndarray]:
    frame = planar(frame)
    return [plane_array(frame, part.plane).copy() for part in frame.format.components]


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_an_unchanged_view_changes_no_sample_even_inside_the_mask(kind):
    native = made(kind)
    for x0, y0, x1, y1 in [(0, 0, 97, 61), (13, 7, 52, 40), (96, 60, 97, 61), (0, 21, 1, 22)]:
        patch = Patch(x0, y0, Frame(0, native).view((x0, y0, x1, y1)), np.ones((y1 - y0, x1 - x0), np.float32))
        for old, new in zip(planes(native), planes(apply_patches(native, [patch])), strict=True):
            assert np.array_equal(old, new)


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_a_rectangles_view_does_not_depend_on_the_rectangle(kind):
    frame = Frame(0, made(kind))
    whole = frame.view()
    for x0, y0, x1, y1 in [(13, 7, 52, 40), (96, 60, 97, 61), (50, 0, 97, 9), (0, 1, 3, 61)]:
        assert np.allclose(frame.view((x0, y0, x1, y1)), whole[y0:y1, x0:x1], atol=2e-6)


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_the_view_in_bytes_is_the_view_rounded(kind):
    frame = Frame(0, made(kind, smooth=True))
    error = frame.rgb - 255 * np.clip(frame.view(), 0, 1)
    inner = np.abs(error[2:-2, 4:-4])  # tables near black, and libswscale's chroma, lie a little aside
    assert np.quantile(inner, 0.9) < 2 and inner.max() < 6
    assert abs(error.mean()) < 0.6


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_what_is_painted_is_what_is_seen(kind):
    """A flat new colour over noise reads back as that colour, to the depth's rounding."""
    if kind.pixel_format.startswith("gray"):
        pytest.skip("grey has one colour")
    native = made(kind)
    colour = np.array([0.62, 0.45, 0.38], np.float32)
    patch = Patch(9, 5, np.broadcast_to(colour, (40, 60, 3)), np.ones((40, 60), np.float32))
    after = apply_patches(native, [patch])
    seen = Frame(0, after).view((20, 15, 50, 35))
    assert np.abs(seen - colour).max() < 0.012


@pytest.mark.parametrize(
    "kind", [Kind("yuv420p10le", 9, 9, PQ), Kind("yuv422p10le", 9, 9, HLG), Kind("yuv420p10le")], ids=str
)
def test_a_slow_gradient_has_no_bands(kind):
    """Every 10-bit code of a painted ramp is used, about as often as its neighbours: 8 bits would use each fourth."""
    width, height = 960, 40
    native = made(kind, width, height, smooth=True)
    ramp = np.broadcast_to(np.linspace(0.35, 0.6, width, dtype=np.float32)[None, :, None], (height, width, 3))
    after = apply_patches(native, [Patch(0, 0, ramp, np.ones((height, width), np.float32))])
    codes = planes(after)[0]
    histogram = np.bincount(codes.ravel())[codes.min() + 1 : codes.max()]
    assert codes.max() - codes.min() > 80
    assert (histogram > 0).all()
    assert np.diff(codes.astype(int), axis=1).max() <= 1
    smooth = cv2.blur(histogram.astype(np.float32)[:, None], (1, 9))[:, 0]
    assert (np.abs(histogram - smooth)[5:-5] < 0.75 * smooth[5:-5]).all()


def test_patches_that_overlap_count_in_their_order():
    native = made(Kind("yuv444p12le"))
    red, green = (np.broadcast_to(np.array(c, np.float32), (20, 20, 3)) for c in ([0.8, 0.2, 0.2], [0.2, 0.8, 0.2]))
    ones = np.ones((20, 20), np.float32)
    seen = Frame(0, apply_patches(native, [Patch(10, 10, red, ones), Patch(20, 20, green, ones)])).view()
    assert np.abs(seen[12:28, 12:19] - red[0, 0]).max() < 0.002
    assert np.abs(seen[21:39, 21:39] - green[0, 0]).max() < 0.002


@pytest.mark.parametrize(("transfer", "white"), [(PQ, 0.5807), (HLG, 0.75)])
def test_diffuse_white_of_203_nits_is_one_and_the_same(transfer, white):
    """BT.2408: 58 % PQ and 75 % HLG are the same white; it is near the top of the view, skin far below the shoulder."""
    signal = np.full((1, 1, 3), white, np.float32)
    assert np.allclose(tone_mapping.to_light(signal, transfer), 1, atol=0.01)
    seen = tone_mapping.to_view(signal, transfer, 9)
    assert np.ptp(seen) < 1e-4 and 0.93 < seen[0, 0, 0] < 0.96
    skin = tone_mapping.from_view(np.full((1, 1, 3), 0.6, np.float32), transfer, 9)
    assert np.allclose(tone_mapping.to_view(skin, transfer, 9), 0.6, atol=1e-4)
    assert 40 < tone_mapping.to_light(skin, transfer)[0, 0, 0] * 203 < 80  # cd/m²


def test_a_new_face_does_not_outshine_the_footage():
    native = made(Kind("yuv444p12le", 9, 9, PQ), smooth=True)
    patch = Patch(9, 5, np.ones((40, 60, 3), np.float32), np.ones((40, 60), np.float32))
    signal = Frame(0, apply_patches(native, [patch])).view((20, 15, 50, 35))
    assert np.allclose(signal, tone_mapping.ceiling(PQ), atol=0.01)


@pytest.mark.parametrize(
    ("form", "transfer"),
    [("yuv420p", 1), ("yuvj420p", 1), ("yuv422p10le", 1), ("yuv444p12le", 1), ("yuv420p10le", 16), ("yuv420p10le", 18)],
)
@pytest.mark.parametrize("rotation", [0, 90])
def test_a_part_in_bytes_is_cut_out_of_the_whole(
    form: str, transfer: int, rotation: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Converted by itself, every sample of a rectangle is what converting all of the frame gives."""
    monkeypatch.setattr(reader, "rotation_of", lambda frame: rotation)
    native = av.VideoFrame(1280, 208, form)
    random = np.random.default_rng(0)
    for plane in range(3):
        samples = plane_array(native, plane)
        samples[:] = random.integers(0, 1 << native.format.components[0].bits, samples.shape)
    native.color_trc, native.colorspace, native.color_primaries = transfer, 9 if transfer > 1 else 2, 9
    whole = reader.Frame(0, native).rgb
    frame = reader.Frame(0, native)
    for x0, y0, x1, y1 in ((0, 0, 90, 90), (33, 17, 150, 140), (101, 101, 208, 206), (37, 20, 60, 200)):
        assert (frame.part((x0, y0, x1, y1)) == whole[y0:y1, x0:x1]).all()
    assert "rgb" not in vars(frame)


def test_a_part_of_a_decoded_frame_is_cut_out_of_the_whole(tmp_path, make_clip):
    """What a frame says of itself beyond its samples, such as where chroma lies, counts as well."""
    path = make_clip(tmp_path / "clip.mp4", 3)
    for frame, again in zip(read_frames(path), read_frames(path), strict=True):
        assert (frame.part((21, 13, 90, 60)) == again.rgb[13:60, 21:90]).all() and "rgb" not in vars(frame)
