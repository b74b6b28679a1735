"""The texture of all frames, and what training shows of a swap before there is one."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from understudy.engine.faces.geometry.topology import MIRROR
from understudy.engine.model.draft.mesh_raster import about_eyes
from understudy.engine.model.draft.texture import carried, unrolled
from understudy.engine.model.draft.views import make_views
from understudy.engine.model.draft.warp import moved
from understudy.engine.model.networks import losses
from understudy.engine.model.recast import target_geometry
from understudy.engine.model.training import dataset
from understudy.engine.reporter import Silent

CPU = torch.device("cpu")


def pictures(faceset: Any, rows: list[int]) -> torch.Tensor:
    return torch.from_numpy(faceset.pixels[rows]).permute(0, 3, 1, 2).float() / 255


def test_a_face_unrolls_alike_on_both_sides(carphone_faces: Any) -> None:
    plane = unrolled(make_views(carphone_faces, CPU).neutral.face)
    assert plane[:, :2].min() > 0 and plane[:, :2].max() < 1
    assert np.allclose(plane[:, 0] + plane[MIRROR, 0], 1, atol=1e-5) and np.allclose(plane[:, 1], plane[MIRROR, 1])


def test_all_frames_together_show_the_face(carphone_faces: Any) -> None:
    rows = [0, 30]
    views = make_views(carphone_faces, CPU)
    target = target_geometry(carphone_faces.landmarks[rows], carphone_faces.size, CPU)
    texture, seen = carried(target, views, len(rows))
    weight = seen * target.inside
    error = ((texture - pictures(carphone_faces, rows)) ** 2).mean(1, keepdim=True)
    assert -10 * torch.log10((error * weight).sum() / weight.sum()) > 20
    assert weight.sum() > 0.9 * target.inside.sum() and (seen * (1 - target.inside)).max() == 0


def test_what_no_frame_shows_comes_from_the_other_side(large_astronaut_faces: Any) -> None:
    astronaut_faces = large_astronaut_faces
    half = astronaut_faces.masks.copy()
    middle = int(astronaut_faces.landmarks[0, 1, 0])  # the tip of the nose
    half[:, :, middle:] = 0
    views = make_views(replace(astronaut_faces, masks=half), CPU)
    target = target_geometry(astronaut_faces.landmarks, astronaut_faces.size, CPU)
    texture, seen = carried(target, views, 1)
    hidden = target.inside.clone()
    hidden[..., :middle] = 0
    assert (seen * hidden).sum() > 0.6 * hidden.sum()  # none of it was seen
    error = (texture - pictures(astronaut_faces, [0])).abs().mean(1, keepdim=True) * seen * hidden
    assert error.sum() / (seen * hidden).sum() < 0.2  # skin, not the black of what was masked out


def test_a_strand_that_some_frames_show_or_all_show_a_little_of_comes_into_no_texture(carphone_faces: Any) -> None:
    """A green patch on the cheek: opaque in every fourth frame, or in all of them where the mask is nearly shut."""
    size = carphone_faces.size
    target = target_geometry(carphone_faces.landmarks[:1], size, CPU)
    middles = carphone_faces.landmarks[:, [205, 425], :2].mean(1).round().astype(int)  # between the cheeks: the nose
    some, faint = carphone_faces.pixels.copy(), carphone_faces.pixels.copy()
    masks = np.full_like(carphone_faces.masks, 255)
    nearly_shut = masks.copy()
    for n, (x, y) in enumerate(middles):
        patch = np.s_[n, y - 6 : y + 6, x - 6 : x + 6]
        faint[patch] = [0, 60, 0]
        nearly_shut[patch] = 40
        if n % 4 == 0:
            some[patch] = [0, 60, 0]
    x, y = middles[0]
    here = np.s_[:, y - 3 : y + 3, x - 3 : x + 3]

    def shown(pixels: np.ndarray, mask: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
        texture, seen = carried(target, make_views(replace(carphone_faces, pixels=pixels, masks=mask), CPU).fused, 1)
        return texture[0][here], seen[0][here]

    plain, _ = shown(carphone_faces.pixels, masks)
    assert (shown(some, masks)[0] - plain).abs().mean() < 0.03
    texture, seen = shown(faint, nearly_shut)
    assert ((texture - plain).abs() * seen).mean() < 0.03


def test_eyes_of_several_frames_are_not_mixed(carphone_faces: Any) -> None:
    painted = np.zeros_like(carphone_faces.pixels)
    painted[::2, ..., 0], painted[1::2, ..., 1] = 255, 255  # every other frame red, the rest green
    masks = np.full_like(carphone_faces.masks, 255)
    views = make_views(replace(carphone_faces, pixels=painted, masks=masks), CPU)
    target = target_geometry(carphone_faces.landmarks[:1], carphone_faces.size, CPU)
    texture, seen = carried(target, views, 1)
    mixed = texture[:, :2].amin(1, keepdim=True)
    eyes = (target.eyes.sum(1, keepdim=True) > 0.9) & (seen > 0.9)
    skin = (about_eyes(target) < 0.01) & (seen > 0.9)
    assert eyes.any() and mixed[eyes].max() < 0.1 < 0.2 < mixed[skin].median()


def test_targets_stand_in_somebody_elses_light_but_not_in_their_own(carphone_faces: Any, astronaut_faces: Any) -> None:
    sets = (carphone_faces, astronaut_faces)
    materials = [dataset.make_training_set(s, make_views(s, CPU), 64, Silent()) for s in sets]
    generator = torch.Generator().manual_seed(1)
    draws = dataset.draw(materials, [(0, 40)], 0, generator)
    assert set(draws.lender.tolist()) == {-1, 1} and 0.55 < (draws.lender == 1).float().mean() < 0.95
    alone = dataset.draw(materials[:1], [(0, 8)], 0, generator)
    assert (alone.lender == -1).all()
    shape = torch.from_numpy(make_views(carphone_faces, CPU).neutral.face) / 2
    lit = draws.part(draws.lender == 1).part(slice(0, 4))
    still = replace(lit, light=torch.full_like(lit.light, 0.5), bend=0 * lit.bend, flip=torch.zeros_like(lit.flip))
    own = replace(still, lender=torch.full_like(still.lender, -1))
    strange, plain = (dataset.render(materials, d, shape) for d in (still, own))
    assert torch.equal(strange[1], plain[1])  # the truth is the same
    lights = [x[0][:, 9:12] for x in (strange, plain)]
    inside = strange[0][:, -1:]
    assert ((lights[0] - lights[1]).abs() * inside).sum() / inside.sum() > 0.01
    levels = [(x * inside).sum((2, 3)) / inside.sum((2, 3)) for x in lights]
    assert (levels[0] - levels[1]).abs().max() < 0.06  # another's tones in the same light at large


def test_a_draft_is_moved_by_what_the_flow_says() -> None:
    picture = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    flow = torch.zeros(2, 2, 32, 32)
    assert torch.allclose(moved(picture, flow), picture, atol=1e-5)
    flow[:, 0] = 2 / 32 * 3  # three pixels
    assert torch.allclose(moved(picture, flow)[..., :-3], picture[..., 3:], atol=1e-5)


def test_blur_costs_more_than_detail_in_the_wrong_place() -> None:
    truth = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    weight = torch.ones(1, 1, 64, 64)
    blurred, shifted = losses.blur(truth, 2.0), truth.roll(5, 3)
    costs = [losses.detail_loss(x, truth, weight).item() for x in (truth, shifted, blurred)]
    assert costs[0] == 0 and 3 * costs[1] < costs[2]
