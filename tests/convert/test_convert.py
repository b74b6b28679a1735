"""Conversion: the right face in the right frames, everything else untouched, nothing left when it fails."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from understudy.engine.convert import conversion as conversion
from understudy.engine.convert.face_batch import render_faces, seen
from understudy.engine.convert.patch import place_of, warped_face, warped_mask
from understudy.engine.convert.plan import make_plan, view_dissolves
from understudy.engine.convert.render import Work, recast_still
from understudy.engine.convert.source_identities import load_sources
from understudy.engine.convert.track_facts import TrackFacts
from understudy.engine.errors import DataError, NoFaceError, Stopped
from understudy.engine.faces.alignments import load_alignments
from understudy.engine.faces.facesets.spectacles import learn_spectacles
from understudy.engine.faces.geometry.align import crop, crop_matrix, hull_mask, transform
from understudy.engine.faces.networks.embedding import Embedder
from understudy.engine.faces.networks.parser import parse
from understudy.engine.media.reader import read_frames
from understudy.engine.model.draft.views import doubts, make_views
from understudy.engine.model.model_folder import prepare
from understudy.engine.protocol import Clip, ConvertSettings, ConvertSpec, Identity, Material, Swap
from understudy.engine.reporter import Silent

CPU = torch.device("cpu")
DEFAULTS = ConvertSettings()


def convert(
    scan: Path, model: Path, swaps: list[Swap], output: Path, report: Any = None, **others: Any
) -> dict[str, int]:
    """The conversion under test, told in one line."""
    spec = ConvertSpec(scan=str(scan), model=str(model), swaps=swaps, output=str(output), **others)
    return conversion.convert(spec, CPU, report or Silent())


@pytest.fixture(scope="module")
def drafts(tmp_path_factory: pytest.TempPathFactory, astronaut_folder: Path) -> Path:
    folder = tmp_path_factory.mktemp("model")
    prepare(
        folder, [Identity(name="woman", material=[Material(scan=str(astronaut_folder), person=0)])], "draft", Silent()
    )
    return folder


def test_a_crop_goes_back_to_where_it_was_cut(carphone_scan: Any) -> None:
    frame = next(read_frames(Path(carphone_scan.clip.path)))
    matrix = crop_matrix(carphone_scan.landmarks[0], 256)
    mask = np.zeros((256, 256), np.float32)
    cv2.circle(mask, (128, 128), 80, 1.0, -1)
    place = place_of(matrix, mask, frame.rgb.shape[1], frame.rgb.shape[0])
    assert place is not None
    x0, y0, x1, y1 = place.box
    fresh = warped_face(crop(frame.rgb, matrix, 256).astype(np.float32), place)
    alpha = warped_mask(mask, place)
    assert np.abs(fresh - frame.rgb[y0:y1, x0:x1])[alpha > 0.5].mean() < 2
    edges = np.concatenate([alpha[0], alpha[-1], alpha[:, 0], alpha[:, -1]])
    assert not edges.any() and alpha.max() == 1  # the rectangle holds all of the mask


def test_a_face_half_out_of_the_picture_is_placed_in_part() -> None:
    matrix = np.array([[1.0, 0.0, 20.0], [0.0, 1.0, 10.0]])  # crop pixel = source pixel + (20, 10)
    mask = np.ones((32, 32), np.float32)
    place = place_of(matrix, mask, 50, 40)
    assert place is not None and place.box[:2] == (0, 0)
    fresh, alpha = warped_face(np.full((32, 32, 3), 200, np.float32), place), warped_mask(mask, place)
    assert (fresh[:20, :10] == 200).all() and (alpha[:20, :10] == 1).all()
    assert not alpha[24:].any() and not alpha[:, 14:].any()
    assert place_of(np.array([[1.0, 0.0, 500.0], [0.0, 1.0, 0.0]]), mask, 50, 40) is None
    assert place_of(matrix, np.zeros((32, 32), np.float32), 50, 40) is None


def test_draft_recast_is_the_other_person_and_nothing_else_changes(
    tmp_path: Path, carphone_folder: Path, carphone_scan: Any, astronaut_scan: Any, drafts: Path
) -> None:
    output = tmp_path / "recast.mp4"
    counts = convert(carphone_folder, drafts, [Swap(person=0, identity="woman")], output)
    clip = carphone_scan.clip
    source = list(read_frames(Path(clip.path), clip.start, clip.end))
    result = list(read_frames(output))
    assert counts["frames"] == len(source) == len(result) and counts["recast"] == len(source)
    embedder = Embedder("cpu")
    woman = astronaut_scan.embedding[0]
    nearer = []
    for row in range(0, len(carphone_scan), 6):
        index = int(carphone_scan.frame[row]) - clip.start
        faces = embedder.embed([source[index].rgb, result[index].rgb], carphone_scan.landmarks[[row, row]])
        nearer.append(np.linalg.norm(faces - woman, axis=1))
        outside = np.ones(source[index].rgb.shape[:2], bool)
        x0, y0, x1, y1 = carphone_scan.box[row].astype(int)
        outside[max(0, y0 - 4) : y1 + 4, max(0, x0 - 4) : x1 + 4] = False
        error = ((source[index].rgb.astype(float) - result[index].rgb)[outside] ** 2).mean()
        assert 10 * np.log10(255**2 / error) > 38  # all that H.264 at its finest loses on noise
    before, after = np.mean(nearer, 0)
    assert after < before - 0.1


def test_every_pixel_that_is_not_marked_as_touched_is_the_sources_own(
    carphone_folder: Path, carphone_scan: Any, drafts: Path
) -> None:
    sources = load_sources(drafts, {"woman"}, CPU, use_refiner=False)
    plan = make_plan(carphone_scan, [Swap(person=0, identity="woman")], sources, replace(DEFAULTS, shape=0.0))
    frames = list(read_frames(Path(carphone_scan.clip.path), 0, 8))
    for frame in frames:
        picture, matte = recast_still(frame, Work(plan, sources, CPU))
        touched = matte > 0
        assert (picture[~touched] == frame.rgb[~touched]).all()
        assert 0.02 < touched.mean() < 0.5 and (picture != frame.rgb).any()


def test_frames_without_a_face_pass_through(
    tmp_path: Path, carphone_folder: Path, carphone_scan: Any, drafts: Path
) -> None:
    kept = carphone_scan.frame >= carphone_scan.clip.start + 10
    columns = {n: getattr(carphone_scan, n)[kept] for n in ("frame", "box", "landmarks", "score", "sharpness")}
    columns |= {n: getattr(carphone_scan, n)[kept] for n in ("embedding", "track", "person", "carried", "irises")}
    replace(carphone_scan, **columns).save(tmp_path)
    counts = convert(tmp_path, drafts, [Swap(person=0, identity="woman")], tmp_path / "out.mp4")
    assert counts["frames"] - counts["recast"] == 10


@pytest.mark.parametrize(
    ("swaps", "error", "words"),
    [
        ([Swap(person=7, identity="woman")], NoFaceError, "Person 7 does not appear"),
        ([Swap(person=0, identity="nobody")], DataError, "does not know nobody"),
        ([Swap(person=0, identity="woman"), Swap(person=0, identity="woman")], DataError, "one face only"),
        ([], DataError, "Nobody is to be recast"),
    ],
)
def test_what_cannot_be_done_leaves_nothing(
    tmp_path: Path, carphone_folder: Path, drafts: Path, swaps: list[Swap], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        convert(carphone_folder, drafts, swaps, tmp_path / "out.mp4")
    assert not list(tmp_path.iterdir())


def test_stopping_leaves_no_movie(tmp_path: Path, carphone_folder: Path, drafts: Path) -> None:
    class StopsAtThird(Silent):
        checks = 0

        def check(self) -> None:
            self.checks += 1
            if self.checks == 3:
                raise Stopped("Stopped.")

    with pytest.raises(Stopped):
        swaps = [Swap(person=0, identity="woman")]
        convert(carphone_folder, drafts, swaps, tmp_path / "out.mp4", StopsAtThird())
    assert not list(tmp_path.iterdir())


def test_footage_that_changed_since_the_scan_is_refused(
    tmp_path: Path, carphone_scan: Any, drafts: Path, make_clip: Any
) -> None:
    other = make_clip(tmp_path / "other.mp4", 60)
    replace(carphone_scan, clip=Clip(path=str(other), start=0, end=48)).save(tmp_path)
    with pytest.raises(DataError, match="Scan it again"):
        convert(tmp_path, drafts, [Swap(person=0, identity="woman")], tmp_path / "out.mp4")
    assert load_alignments(tmp_path).clip.path == str(other)
    assert not list(tmp_path.glob("out*"))


def test_who_stands_nearer_and_keeps_their_face_is_not_touched(carphone_scan: Any, drafts: Path) -> None:
    """Another person's face, put half in front of the one that is recast, and then half behind it."""
    names = ("frame", "box", "landmarks", "score", "sharpness", "embedding", "track", "person", "carried", "irises")
    first = {n: getattr(carphone_scan, n)[:1] for n in names}
    face = first["landmarks"]
    shift = np.float32([0.5 * np.ptp(face[0, :, 0]), 0, 0])
    sources = load_sources(drafts, {"woman"}, CPU, use_refiner=False)
    frame = next(iter(read_frames(Path(carphone_scan.clip.path), int(first["frame"][0]))))
    mattes = {}
    for scale in (1.2, 0.8):
        other = (face - face.mean(1, keepdims=True)) * np.float32(scale) + face.mean(1, keepdims=True) + shift
        second = {**first, "landmarks": other, "person": first["person"] + 1, "track": first["track"] + 1}
        columns = {n: np.concatenate([first[n], second[n]]) for n in names}
        both = replace(carphone_scan, **columns)
        plan = make_plan(both, [Swap(person=0, identity="woman")], sources, ConvertSettings(shape=0.0))
        picture, matte = recast_still(frame, Work(plan, sources, CPU))
        hull = cv2.convexHull(other[0, :, :2].astype(np.float32))
        inside = np.zeros(matte.shape, np.uint8)
        cv2.fillConvexPoly(inside, np.round(hull).astype(np.int32), 1)
        mattes[scale] = matte[cv2.erode(inside, np.ones((3, 3), np.uint8)) > 0]
        assert matte.max() > 0.9
        assert (picture[matte == 0] == frame.rgb[matte == 0]).all()
    assert mattes[1.2].max() == 0  # the one in front keeps every pixel
    assert mattes[0.8].max() > 0.9  # the one behind is covered by the face in front of it


def test_the_nearer_of_two_recast_faces_covers_the_farther(carphone_scan: Any, drafts: Path) -> None:
    names = ("frame", "box", "landmarks", "score", "sharpness", "embedding", "track", "person", "carried", "irises")
    first = {n: getattr(carphone_scan, n)[:1] for n in names}
    face = first["landmarks"]
    shift = np.float32([-0.4 * np.ptp(face[0, :, 0]), 0, 0])
    other = (face - face.mean(1, keepdims=True)) * np.float32(0.8) + face.mean(1, keepdims=True) + shift
    second = {**first, "landmarks": other, "person": first["person"] + 1, "track": first["track"] + 1}
    both = replace(carphone_scan, **{n: np.concatenate([first[n], second[n]]) for n in names})
    sources = load_sources(drafts, {"woman"}, CPU, use_refiner=False)
    frame = next(iter(read_frames(Path(carphone_scan.clip.path), int(first["frame"][0]))))
    settings = ConvertSettings(shape=0.0, blend="feather", match_grain=False)

    def recast(*people: int) -> tuple[np.ndarray, np.ndarray]:
        plan = make_plan(both, [Swap(person=p, identity="woman") for p in people], sources, settings)
        return recast_still(frame, Work(plan, sources, CPU))

    alone, near = recast(0)
    together, union = recast(0, 1)
    again, _ = recast(1, 0)
    assert (together == again).all()
    covered = near > 0.999  # a thousandth of the farther face is there, which may turn the rounding
    assert covered.any() and np.abs(together[covered].astype(int) - alone[covered]).max() <= 1
    assert (union > 0).sum() > (near > 0).sum()


def test_a_change_of_views_is_a_dissolve() -> None:
    frames = np.r_[np.arange(10, 22), np.arange(30, 34)]
    choices = np.full((16, 3), 40)
    choices[:6, 0] = 7
    choices[6:10, 0] = [90, 91, 92, 93]  # the source's own frames go on: no change
    choices[10:, 0] = 93
    choices[12:, 0] = 200  # another picture, but frames are missing before it
    shares = [share for _, share in view_dissolves(frames, choices)]
    np.testing.assert_allclose(shares[:8], np.r_[0, 0, 0, 0, 1, 3, 3, 1] / 9)
    assert not any(shares[8:])
    others = [other for other, _ in view_dissolves(frames, choices)]
    assert others[3] is None and others[5].tolist() == [90, 40, 40] and others[6].tolist() == [7, 40, 40]
    choices[:, 0], choices[6:, 2] = 7, 60  # other eyes in the same face are a change, too
    np.testing.assert_allclose([share for _, share in view_dissolves(frames, choices)][:8], shares[:8])
    choices[:, 2], choices[6:, 1] = 40, 90  # another filling is none
    assert not any(share for _, share in view_dissolves(frames, choices))


def test_a_dissolve_shows_both_views(tmp_path: Path, astronaut_scan: Any, carphone_folder: Path) -> None:
    man = Identity(name="man", material=[Material(scan=str(carphone_folder), person=0)])
    prepare(tmp_path / "m", [man], "draft", Silent())
    sources = load_sources(tmp_path / "m", {"man"}, CPU, use_refiner=False)
    frame = next(iter(read_frames(Path(astronaut_scan.clip.path))))
    swaps = [Swap(person=0, identity="man")]
    (placement,) = make_plan(astronaut_scan, swaps, sources, ConvertSettings(shape=0.0))[frame.index]
    assert placement.other is None
    first, second = (np.array([n, n, n]) for n in (0, len(sources["man"].views) // 2))

    def shown(**views: Any) -> tuple[np.ndarray, np.ndarray]:
        plan = {frame.index: [replace(placement, **views)]}
        (face,) = render_faces([frame], plan, sources, CPU)[frame.index]
        return face.face, face.mask

    (one, mask), (two, _) = shown(choice=first), shown(choice=second)
    inside = mask > 0.9
    assert np.abs(one - two)[inside].mean() > 2
    mixed, _ = shown(choice=first, other=second, share=0.25)
    assert np.abs(mixed - (0.75 * one + 0.25 * two))[inside].max() < 0.01


def test_what_stands_in_front_stays_in_front(tmp_path: Path, astronaut_scan: Any, carphone_folder: Path) -> None:
    """A ball before the woman's mouth: the man's face goes behind it, and takes nothing of its colour."""
    landmarks = astronaut_scan.landmarks[0]
    picture = next(iter(read_frames(Path(astronaut_scan.clip.path)))).rgb
    place, radius = landmarks[17, :2], 0.16 * float(np.ptp(landmarks[:, 1]))
    y, x = np.mgrid[0 : picture.shape[0], 0 : picture.shape[1]]
    away = np.hypot(x - place[0], y - place[1]) / radius
    shade = 0.5 + 0.5 * np.sqrt(np.clip(1 - away**2, 0, 1))[..., None]
    with_ball = np.where(away[..., None] < 1, (shade * [30, 60, 200]).astype(np.uint8), picture)
    shown = {}
    prepare(
        tmp_path / "m",
        [Identity(name="man", material=[Material(scan=str(carphone_folder), person=0)])],
        "draft",
        Silent(),
    )
    sources = load_sources(tmp_path / "m", {"man"}, CPU, use_refiner=False)
    for name, rgb, keep in (("plain", picture, True), ("kept", with_ball, True), ("painted", with_ball, False)):
        path = tmp_path / f"{name}.png"
        cv2.imwrite(str(path), cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR))
        settings = ConvertSettings(shape=0.0, match_grain=False, keep_front=keep)
        plan = make_plan(astronaut_scan, [Swap(person=0, identity="man")], sources, settings)
        shown[name] = recast_still(next(iter(read_frames(path))), Work(plan, sources, CPU))[0].astype(int)
    ball, around = away < 0.9, (away > 1.3) & (away < 2)
    assert np.abs(shown["kept"] - with_ball)[ball].mean() < 3
    assert np.abs(shown["painted"] - with_ball)[ball].mean() > 15
    assert (
        np.abs(shown["kept"] - shown["plain"])[around].mean()
        < 0.5 * np.abs(shown["painted"] - shown["plain"])[around].mean()
    )
    assert np.abs(shown["plain"] - picture)[around].mean() > 5  # it is a recast


def test_whose_spectacles_a_recast_shows(
    tmp_path: Path, astronaut_scan: Any, carphone_folder: Path, wearing: Any
) -> None:
    """The woman in wire spectacles gets the man's face: she keeps them, they are taken off, or he wears his own."""
    man = Identity(name="man", material=[Material(scan=str(carphone_folder), person=0)])
    prepare(tmp_path / "m", [man], "draft", Silent())
    source = load_sources(tmp_path / "m", {"man"}, CPU, use_refiner=False)["man"]
    bare = next(iter(read_frames(Path(astronaut_scan.clip.path)))).rgb
    face = astronaut_scan.landmarks[0]
    wired, wires, _ = wearing(bare, face, width=0.012, tone=40)
    matrix = crop_matrix(face, 256)
    crops, points = crop(wired, matrix, 256)[None], transform(face, matrix)[None]
    worn = learn_spectacles(crops, points, parse(crops, points))
    track = int(astronaut_scan.track[0])
    inside = cv2.erode(crop(np.repeat(255 * wires[..., None].astype(np.uint8), 3, 2), matrix, 256), np.ones((2, 2)))
    inside = (inside[..., 0] > 127) & (cv2.erode(hull_mask(points[0], 256), np.ones((31, 31))) > 127)

    def shown(policy: str, rgb: np.ndarray, spectacles: Any = None) -> np.ndarray:
        cv2.imwrite(str(tmp_path / "in.png"), cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR))
        sources = {"man": replace(source, views=replace(source.views, spectacles=spectacles))}
        settings = ConvertSettings(shape=0.0, match_grain=False, match_sharpness=False, spectacles=policy)
        plan = make_plan(astronaut_scan, [Swap(person=0, identity="man")], sources, settings)
        work = Work(plan, sources, CPU, tracks={track: TrackFacts(worn, None)})
        picture = recast_still(next(iter(read_frames(tmp_path / "in.png"))), work)[0]
        return crop(picture, matrix, 256).astype(int)

    without, kept, off = shown("keep", bare), shown("keep", wired), shown("remove", wired)
    assert np.abs(kept - without)[inside].mean() > 3 * np.abs(off - without)[inside].mean() > 0
    own = shown("wear", bare, worn)
    assert np.abs(own - without)[inside].mean() > 0.5 * np.abs(kept - without)[inside].mean()
    assert np.abs(shown("wear", wired) - off).max() == 0  # he has none


def test_a_face_that_is_not_to_be_seen_keeps_its_own() -> None:
    mask = np.zeros((8, 8), np.float32)
    mask[2:6, 2:6] = 1
    fist = np.zeros_like(mask)
    assert seen(mask, fist, carried=True) == 1
    fist[:, 2:4] = 1  # half of it
    assert seen(mask, fist, carried=False) == 1 and seen(mask, fist, carried=True) == 0
    assert seen(mask, np.ones_like(mask), carried=False) == 0
    assert 0 <= seen(np.zeros_like(mask), fist, carried=False) <= 1


def test_doubt_is_kept_with_the_result_and_rises_where_no_view_fits(
    tmp_path: Path, carphone_scan: Any, carphone_folder: Path, drafts: Path
) -> None:
    convert(carphone_folder, drafts, [Swap(person=0, identity="woman")], tmp_path / "out.mp4")
    told = json.loads((tmp_path / "out.mp4.understudy.json").read_text())["doubt"]
    assert {int(frame) for frame in told} == set(carphone_scan.frame[carphone_scan.of_person(0)].tolist())
    assert all(0 <= value <= 1 for value in told.values())


def test_a_persons_own_frames_are_not_doubted(carphone_faces: Any) -> None:
    views = make_views(carphone_faces, CPU)
    rest = views.neutral.face
    own = np.repeat(np.arange(len(carphone_faces))[:, None], 3, 1)
    assert doubts(carphone_faces.landmarks, own, views, rest, carphone_faces.irises).max() < 1e-3
    shouting = carphone_faces.landmarks.copy()
    shouting[:, [14, 17, 87, 317, 152], 1] += 0.2 * carphone_faces.size
    assert doubts(shouting, own, views, rest).min() > 0.5
