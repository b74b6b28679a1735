"""A face at rest: bones tell where brows, lids and lips are, and a frown that lasts is hardly taken for a shape."""

from __future__ import annotations

import numpy as np
from understudy.engine.faces.geometry import align
from understudy.engine.faces.geometry.topology import BROWS
from understudy.engine.model.draft.rest import BONES, MEAN, MOVING, least_deformed, usual
from understudy.engine.model.draft.shape import difference, neutral_face

BROW = np.concatenate(BROWS)


def frowning(faces: np.ndarray, depth: float) -> np.ndarray:
    """The same faces (N, 468, 3) with their brows lower by `depth`."""
    lower = faces.copy()
    lower[:, BROW, 1] += depth
    return lower


def shaking(count: int) -> np.ndarray:
    """A face of mean bones over a few frames, a little shaken: (count, 468, 3)."""
    return MEAN + np.random.default_rng(0).normal(0, 0.002, (count, 468, 3)).astype(np.float32)


def test_the_mean_face_is_a_face_in_order() -> None:
    assert MEAN.shape == (468, 3) and np.abs(MEAN.mean(0)).max() < 1e-3
    assert abs(align.mesh_radius(MEAN) - 1) < 1e-3 and np.abs(align.yaw_pitch(MEAN)[0]) < 0.5
    assert np.abs(align.mirror(MEAN, 0.0) - MEAN).max() < 2e-3
    assert len(MOVING) + len(BONES) == 468 and not np.isin(MOVING, BONES).any()


def test_bones_tell_all_of_a_face_that_is_the_mean_one_moved_and_widened() -> None:
    assert np.abs(usual(MEAN) - MEAN).max() < 2e-3
    wider = MEAN * [1.1, 1.0, 1.0]
    away = np.abs(usual(wider.astype(np.float32)) - wider)
    assert away.max() < 0.025 and np.abs(MEAN - wider)[MOVING].max() > 0.05  # told by the bones alone
    frown = frowning(MEAN[None], 0.1)[0]
    assert np.abs(usual(frown) - MEAN).max() < 2e-3  # brows do not tell where brows ought to be


def test_the_calm_frames_of_a_clip_full_of_frowns_are_its_rest() -> None:
    faces = shaking(40)
    faces[10:] = frowning(faces[10:], 0.12)
    assert set(least_deformed(faces, np.zeros(40))) == set(range(10))
    turned = np.zeros(40)
    turned[:10] = 60
    assert not set(least_deformed(faces, turned)) & set(range(10))  # from the side it cannot be told


def test_a_frown_that_lasts_moves_the_brows_of_whoever_gets_the_face_by_less_than_half() -> None:
    calm, frown = shaking(20), frowning(shaking(20), 0.1)
    change = difference(neutral_face(calm), neutral_face(frown))
    assert 0.01 < change.at_rest[BROW, 1].mean() < 0.05
    longer = shaking(20)
    jaw = np.array([152, 148, 377, 176, 400, 149, 378])
    longer[:, jaw, 1] += 0.1  # bones are a shape
    moved = difference(neutral_face(calm), neutral_face(longer))
    told = (longer - calm)[:, jaw, 1].mean() / align.mesh_radius(longer).mean()
    assert moved.at_rest[jaw, 1].mean() > 0.5 * told > 2 * 0.018
