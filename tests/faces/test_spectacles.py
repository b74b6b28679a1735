"""Spectacles are found whole, in every frame of a track, and come off whole."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from understudy.engine.faces.facesets import spectacles
from understudy.engine.faces.facesets.drawn_spectacles import arms, drawn_spectacles
from understudy.engine.faces.facesets.masks import face_masks, layers, remove_spectacles, take_off
from understudy.engine.faces.facesets.reflections import reflections
from understudy.engine.faces.facesets.spectacles import learn_spectacles, wears_spectacles
from understudy.engine.faces.geometry.align import crop, crop_matrix, hull_mask, transform
from understudy.engine.faces.geometry.topology import BROWS
from understudy.engine.faces.networks.parser import parse
from understudy.engine.media.reader import read_frames

SIZE, FRAMES = 256, 8


@pytest.fixture(scope="module")
def track(astronaut_scan: Any, wearing: Any) -> dict[str, np.ndarray]:
    """A face in FRAMES crops that lie a little differently, bare and with wire spectacles: pixels, landmarks, wires."""
    picture = next(iter(read_frames(Path(astronaut_scan.clip.path)))).rgb
    face = astronaut_scan.landmarks[0]
    drawn, wires, lenses = wearing(picture, face, width=0.008, tone=110)
    random = np.random.default_rng(3)
    made: dict[str, list[np.ndarray]] = {name: [] for name in ("bare", "worn", "landmarks", "wires", "lenses")}
    for _ in range(FRAMES):
        angle, scale = random.uniform(-0.12, 0.12), random.uniform(0.93, 1.05)
        turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        matrix = crop_matrix(face, SIZE)
        centre = np.full(2, SIZE / 2)
        matrix = np.column_stack([turn @ matrix[:, :2], turn @ (matrix[:, 2] - centre) + centre])
        noise = random.normal(0, 2, (SIZE, SIZE, 3))
        for name, shown in (("bare", picture), ("worn", drawn)):
            made[name].append(np.clip(crop(shown, matrix, SIZE) + noise, 0, 255).astype(np.uint8))
        for name, mask in (("wires", wires), ("lenses", lenses)):
            made[name].append(crop(np.repeat(255 * mask[..., None].astype(np.uint8), 3, 2), matrix, SIZE)[..., 0] > 127)
        made["landmarks"].append(transform(face, matrix).astype(np.float32))
    return {name: np.stack(values) for name, values in made.items()}


def test_wires_are_in_front_whole_in_every_frame_and_what_they_frame_is_not(track: dict[str, np.ndarray]) -> None:
    pixels, landmarks = track["worn"], track["landmarks"]
    worn = learn_spectacles(pixels, landmarks, parse(pixels, landmarks))
    assert worn is not None and len(worn.rims) == 2
    _, in_front, lenses = layers(pixels, landmarks, [worn] * FRAMES)
    inside = np.stack([hull_mask(points, SIZE) > 127 for points in landmarks])
    for kept, lens, wires, framed, hull in zip(
        in_front > 127, lenses > 127, track["wires"], track["lenses"], inside, strict=True
    ):
        assert kept[wires & hull].mean() > 0.85  # of any one frame by itself three quarters are told
        assert kept[framed].mean() < 0.01
        assert lens[framed].mean() > 0.95
        away = cv2.dilate(wires.astype(np.uint8), np.ones((11, 11))) == 0
        assert kept[away & hull & ~framed].mean() < 0.02


def test_nobody_without_spectacles_is_given_any(track: dict[str, np.ndarray]) -> None:
    pixels, landmarks = track["bare"], track["landmarks"]
    told = parse(pixels, landmarks)
    assert not any(wears_spectacles(t, points) for t, points in zip(told, landmarks, strict=True))
    assert learn_spectacles(pixels, landmarks, told) is None
    masks = face_masks(pixels, landmarks)[0]
    same, also, found = remove_spectacles(pixels, masks, landmarks, np.zeros(FRAMES, np.int32))
    assert same is pixels and also is masks and found is None


def test_spectacles_come_off_whole_and_leave_the_skin_beside_them(track: dict[str, np.ndarray]) -> None:
    pixels, landmarks, wires = track["worn"], track["landmarks"], track["wires"]
    masks, in_front = face_masks(pixels, landmarks)
    bare, whole, found = remove_spectacles(
        pixels, np.minimum(masks, 255 - in_front), landmarks, np.zeros(FRAMES, np.int32)
    )
    assert found is not None and len(found.rims) == 2
    inside = np.stack([cv2.erode(hull_mask(points, SIZE), np.ones((9, 9))) > 127 for points in landmarks])
    seen = np.abs(pixels.astype(float) - track["bare"])[wires & inside].mean()
    left = np.abs(bare.astype(float) - track["bare"])[wires & inside].mean()
    assert left < 0.45 * seen
    assert (whole[wires & inside] > 200).mean() > 0.95  # skin again, which a draft may take
    away = np.stack([cv2.dilate(w.astype(np.uint8), np.ones((15, 15))) == 0 for w in wires]) & inside
    assert (np.abs(bare[away].astype(int) - pixels[away]).max(1) > 6).mean() < 0.03


def test_brows_above_lenses_without_rims_stay(track: dict[str, np.ndarray]) -> None:
    """The parser takes them for rims."""
    pixels, landmarks = track["worn"], track["landmarks"]
    masks, in_front = face_masks(pixels, landmarks)
    given = np.minimum(masks, 255 - in_front)
    brows = np.zeros(masks.shape, np.uint8)
    for n, points in enumerate(landmarks):
        for ring in BROWS:
            cv2.fillPoly(brows[n], [np.round(points[ring, :2]).astype(np.int32)], 1)

    def changed(faint: bool) -> float:
        real = spectacles.half_widths
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(spectacles, "half_widths", lambda *found: (real(*found)[0], faint))
            bare, _, _ = remove_spectacles(pixels, given, landmarks, np.zeros(FRAMES, np.int32))
        return float((np.abs(bare.astype(int) - pixels)[brows > 0].max(1) > 6).mean())

    assert changed(faint=False) > 0.5 and changed(faint=True) < 0.1


def test_spectacles_are_put_on_where_their_wearer_has_them(track: dict[str, np.ndarray]) -> None:
    pixels, landmarks = track["worn"], track["landmarks"]
    worn = learn_spectacles(pixels, landmarks, parse(pixels, landmarks))
    assert worn is not None
    everywhere = np.ones((SIZE, SIZE), np.float32)
    for points, wires, bare in zip(landmarks, track["wires"], track["bare"], strict=True):
        colours, alpha = drawn_spectacles(worn, points, everywhere, worn.light)
        dark, _ = drawn_spectacles(worn, points, everywhere, worn.light / 2)
        inside = hull_mask(points, SIZE) > 127
        assert alpha[wires & inside].mean() > 0.7
        assert alpha[(cv2.dilate(wires.astype(np.uint8), np.ones((9, 9))) == 0) & inside].mean() < 0.01
        drawn = alpha > 0.9
        assert np.abs(colours[drawn].mean() - 110) < 25 < np.abs(bare[drawn].mean() - 110)  # their grey, not the skin's
        assert np.allclose(dark, colours / 2, atol=0.6)
    _, alpha = drawn_spectacles(worn, landmarks[0], 0 * everywhere, worn.light)
    assert alpha.max() > 0.9 and arms(worn, landmarks[0])  # rims reach over what is behind the head, arms do not


def test_spectacles_of_the_footage_come_off_with_what_reaches_beyond_the_face(track: dict[str, np.ndarray]) -> None:
    pixels, landmarks = track["worn"], track["landmarks"]
    worn = learn_spectacles(pixels, landmarks, parse(pixels, landmarks))
    assert worn is not None and take_off(worn, track["bare"][0], landmarks[0]) is None
    found = take_off(worn, pixels[0], landmarks[0])
    assert found is not None
    bare, off = (x.astype(float) for x in found)
    wires = track["wires"][0]
    before, after = (np.abs(x - track["bare"][0])[wires].mean() for x in (pixels[0].astype(float), bare))
    assert after < 0.5 * before and off[wires].mean() > 200
    assert (bare == pixels[0])[off == 0].mean() > 0.97  # but for what lenses reflected


def test_where_spectacles_are_off_for_a_while_nothing_stays_in_front(track: dict[str, np.ndarray]) -> None:
    pixels, landmarks = track["worn"].copy(), track["landmarks"]
    pixels[:2] = track["bare"][:2]
    worn = learn_spectacles(pixels, landmarks, parse(pixels, landmarks))
    assert worn is not None
    _, in_front, lenses = layers(pixels, landmarks, [worn] * FRAMES)
    kept = [(front[wires] > 127).mean() for front, wires in zip(in_front, track["wires"], strict=True)]
    assert max(kept[:2]) < 0.2 and min(kept[2:]) > 0.6 and not lenses[:2].any() and lenses[2:].any((1, 2)).all()


def test_sunglasses_are_wholly_in_front_and_stay_on_a_face_that_is_lent(track: dict[str, np.ndarray]) -> None:
    landmarks, lenses = track["landmarks"], track["lenses"]
    dark = np.stack([cv2.dilate(x.astype(np.uint8), np.ones((5, 5))) for x in lenses])[..., None] > 0
    pixels = np.where(dark, track["worn"] * 0.12, track["worn"]).astype(np.uint8)
    worn = learn_spectacles(pixels, landmarks, parse(pixels, landmarks))
    assert worn is not None and worn.dark
    _, in_front, clear = layers(pixels, landmarks, [worn] * FRAMES)
    assert (in_front[lenses] > 127).mean() > 0.95 and not clear.any()
    masks = np.full(lenses.shape, 255, np.uint8)
    assert remove_spectacles(pixels, masks, landmarks, np.zeros(FRAMES, np.int32))[0] is pixels


def test_one_photograph_is_enough(track: dict[str, np.ndarray]) -> None:
    pixels, landmarks = track["worn"][:1], track["landmarks"][:1]
    worn = learn_spectacles(pixels, landmarks, parse(pixels, landmarks))
    assert worn is not None
    kept = layers(pixels, landmarks, [worn])[1][0] > 127
    assert kept[track["wires"][0] & (hull_mask(landmarks[0], SIZE) > 127)].mean() > 0.8


def test_what_a_lens_reflects_is_told_from_the_skin_behind_it(track: dict[str, np.ndarray]) -> None:
    landmarks, lens = track["landmarks"][0], track["lenses"][0]
    pixels = (track["worn"][0] * 0.6).astype(np.uint8)  # her skin is burnt out
    under_eye = landmarks[145, :2] + [0, 0.045 * SIZE]
    y, x = np.mgrid[0:SIZE, 0:SIZE]
    patch = (np.hypot(x - under_eye[0], y - under_eye[1]) < 0.03 * SIZE) & lens
    assert patch.sum() > 60
    cheek = np.median(pixels[np.hypot(x - landmarks[205, 0], y - landmarks[205, 1]) < 5], 0)
    dull = np.where(patch[..., None], cheek, pixels).astype(np.uint8)
    shown = {
        "dull": dull,
        "glare": np.clip(dull + patch[..., None] * np.array([60.0, 70, 80]), 0, 255).astype(np.uint8),
        "lit": np.clip(np.where(patch[..., None], 1.3 * dull, dull), 0, 255).astype(np.uint8),
    }
    skin, lenses = hull_mask(landmarks, SIZE), 255 * lens.astype(np.uint8)
    told = {name: reflections(picture, skin, lenses, landmarks).astype(int) for name, picture in shown.items()}
    inner = cv2.erode(patch.astype(np.uint8), np.ones((5, 5))) > 0
    away = cv2.dilate(patch.astype(np.uint8), np.ones((9, 9))) == 0
    assert (told["glare"] - told["dull"])[inner].mean() > 30
    assert (told["lit"] - told["dull"])[inner].mean() < 12  # skin in more light keeps its colour
    assert (told["glare"] == told["dull"])[away].mean() > 0.99 and not told["glare"][~lens].any()
    assert not reflections(shown["glare"], skin, np.zeros_like(lenses), landmarks).any()


def test_the_lit_edge_of_a_frame_goes_with_it_and_brows_do_not(track: dict[str, np.ndarray]) -> None:
    pixels, landmarks, wires = track["worn"].copy(), track["landmarks"], track["wires"]
    edges = []
    for n in range(FRAMES):  # a bright line below the wires
        edge = np.roll(wires[n], 5, 0) & ~cv2.dilate(wires[n].astype(np.uint8), np.ones((5, 5))).astype(bool)
        edge[: int(landmarks[n, 4, 1]) - 20] = False
        pixels[n][edge] = 250
        edges.append(edge)
    masks, in_front = face_masks(pixels, landmarks)
    bare, _, _ = remove_spectacles(pixels, np.minimum(masks, 255 - in_front), landmarks, np.zeros(FRAMES, np.int32))
    lit = np.stack(edges) & np.stack([hull_mask(points, SIZE) > 127 for points in landmarks])
    assert lit.sum() > 100
    left, seen = (np.abs(x.astype(float) - track["bare"])[lit].mean() for x in (bare, pixels))
    assert left < 0.3 * seen
