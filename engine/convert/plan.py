"""What to recast where: every face of every swap, frame by frame, settled before the first frame is read."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import cv2
import numpy as np

from ..errors import DataError, NoFaceError
from ..faces.alignments import Alignments
from ..faces.geometry.align import crop_matrix, mesh_radius, transform
from ..model.draft.gaze import shifted_irises
from ..model.draft.pose import opened
from ..model.draft.shape import Change, difference, neutral_face, reshaped
from ..model.draft.views import choose_views, doubts
from ..model.recast import Source
from ..protocol import ConvertSettings, Curves, Swap
from ..reporter import Reporter, Silent
from .landmark_smoothing import smooth_landmarks
from .profile_fade import fade_opacity
from .settings_over_time import settings_by_frame

FACES_PER_CHUNK = 2048
"""Faces that are looked at together: the choice of views compares every one with every view, and memory must not grow
with the length of a take. So many, spread over the film, also tell a person's usual face."""
RENDER_SIZES = (96, 128, 192, 256, 384, 512)
MAX_ENLARGEMENT = 1.25
"""By how much a recast crop may be enlarged where there is a larger size: beyond its own size a crop of 49 to 122
pixels gains little (40 to 50 dB from one of 256 pixels, whatever the size), and below .8 of it loses detail."""
DISSOLVE_WEIGHTS = (1, 2, 3, 2, 1)
"""How much the views of the frames around a frame count in it: a change of views is a dissolve, or it would be seen."""
SAME_VIEW_FRAMES = 2
"""Views so near to one another in the source's film show the same."""
SHOWN = [0, 2]
"""The views whose change is seen: the one that shows the face, and the one that shows the eyes."""


@dataclass(frozen=True)
class Placement:
    """One face to recast: by which source, from which views, at which place.

    face (468, 3) float32 are its landmarks in source pixels; matrix (2, 3) cuts the size × size crop; change is all of
    the source's shape (`shape.difference`), of which it gets what the settings say; choice (V,) views as
    `choose_views` gives them, and other (V,) those that it changes to or from, of which it shows `share` 0..1 (None:
    nothing changes nearby); radius in source pixels, larger is nearer; track as in the alignments; motion (2,) is how
    far the face moves from this frame to the next, in crop pixels; opacity 0..1 is how far it has faded in; nearer
    holds the outlines (K, 2), in crop pixels, of faces in front of this one that keep their own; doubt 0..1 is how far
    all views of the source lie from what the face does (`model.draft.views.doubts`); carried tells that the mesh was
    not measured there; settings are those of this frame.

    There is one for every frame of a film at once, so what follows from the rest is not kept.
    """

    source: str
    face: np.ndarray
    matrix: np.ndarray
    change: Change
    choice: np.ndarray
    size: int
    radius: float
    track: int
    motion: np.ndarray
    opacity: float = 1.0
    nearer: tuple[np.ndarray, ...] = ()
    other: np.ndarray | None = None
    share: float = 0.0
    doubt: float = 0.0
    carried: bool = False
    settings: ConvertSettings = field(default_factory=ConvertSettings)

    @property
    def visible(self) -> float:
        """How much of the recast is to be seen, 0..1."""
        return self.opacity * self.settings.amount

    @property
    def measured(self) -> np.ndarray:
        """(468, 3) float32 landmarks in the crop's pixels, as the footage has them."""
        return transform(self.face, self.matrix)

    @property
    def landmarks(self) -> np.ndarray:
        """(468, 3) float32 landmarks in the crop's pixels, of the shape that the recast face gets."""
        own = reshaped(self.measured, self.change, self.visible * self.settings.shape, self.settings.own)
        return opened(own[None], self.settings.lids, self.settings.mouth)[0]


def make_plan(
    alignments: Alignments,
    swaps: list[Swap],
    sources: dict[str, Source],
    settings: ConvertSettings,
    curves: Curves | None = None,
    report: Reporter | None = None,
) -> dict[int, list[Placement]]:
    """Source frame → the faces to recast in it, farther ones first.

    `curves` change some of the `settings` over time; each placement has those of its frame. Where nothing of a recast
    is seen, there is none.
    Where the mesh does not hold, a shared encoder recasts what the track carried there (in the target's own shape);
    without one a face is left alone; towards such frames of its track it fades (`profile_fade`).
    Raises NoFaceError when a person of a swap is not in the scan, DataError when one is swapped twice.
    """
    report = report or Silent()
    at = settings_by_frame(settings, curves or {})
    plan: dict[int, list[Placement]] = {}
    people = [swap.person for swap in swaps]
    if len(set(people)) != len(people):
        raise DataError("A person can get one face only. Remove one of the two swaps.")
    for swap in swaps:
        source = sources[swap.identity]
        meshless = source.meshless
        rows = np.flatnonzero(alignments.person == swap.person) if meshless else alignments.of_person(swap.person)
        if not len(rows):
            known = sorted(set(alignments.person[alignments.person >= 0].tolist()))
            names = ", ".join(map(str, known)) or "nobody"
            raise NoFaceError(f"Person {swap.person} does not appear in this clip; the scan knows {names}.")
        failed = np.flatnonzero((alignments.person == swap.person) & (alignments.score <= 0) & (not meshless))
        usual = alignments.landmarks[rows[:: -(-len(rows) // FACES_PER_CHUNK)]]
        rest = neutral_face(usual)
        change = difference(rest, source.views.neutral, 0.0 if meshless else 1.0)
        for track in np.unique(alignments.track[rows]):
            own = rows[alignments.track[rows] == track]
            wanted = [at(frame) for frame in alignments.frame[own].tolist()]
            steady = np.array([one.smooth for one in wanted])
            faces = smooth_landmarks(alignments.landmarks[own], alignments.frame[own], steady)
            seen = None if alignments.irises is None else alignments.irises[own]
            opacity = fade_opacity(alignments.frame[own], alignments.frame[failed[alignments.track[failed] == track]])
            side = _track_crop_side(faces)
            for part in range(0, len(own), FACES_PER_CHUNK):
                report.check()
                some = slice(part, part + FACES_PER_CHUNK)
                for frame, placement in _place_track(
                    alignments.frame[own[some]],
                    faces[some],
                    None if seen is None else seen[some],
                    alignments.carried[own[some]],
                    opacity[some],
                    wanted[some],
                    int(track),
                    source,
                    swap,
                    rest.face,
                    change,
                    side,
                ):
                    if placement.settings.amount > 0:
                        plan.setdefault(frame, []).append(placement)
    _add_nearer_outlines(plan, alignments, set(people))
    for placements in plan.values():
        placements.sort(key=lambda p: p.radius)
    return plan


def view_dissolves(frames: np.ndarray, choices: np.ndarray) -> list[tuple[np.ndarray | None, float]]:
    """Which other views each of a track's frames shows, and their share, because views change there or nearby.

    frames (T,) ascending, choices (T, V). Only the first view and the eyes' count: the other fills what the first
    lacks, and its change is not seen. The source's next few frames are no change either: they hardly differ. (None, 0)
    where none is.
    """
    reach = len(DISSOLVE_WEIGHTS) // 2
    shown: list[tuple[np.ndarray | None, float]] = []
    for n, own in enumerate(choices):
        around = range(max(n - reach, 0), min(n + reach + 1, len(frames)))
        near = {
            k: DISSOLVE_WEIGHTS[k - n + reach] for k in around if frames[k] - frames[n] == k - n
        }  # nothing is missing between
        others = {k: count for k, count in near.items() if (np.abs(choices[k] - own)[SHOWN] > SAME_VIEW_FRAMES).any()}
        if others:
            most = max(others, key=lambda k: others[k])
            shown.append((choices[most], sum(others.values()) / sum(near.values())))
        else:
            shown.append((None, 0.0))
    return shown


def _track_crop_side(faces: np.ndarray) -> float:
    """Side of a track's crops in source pixels, where the face is near."""
    sides = [1 / max(float(np.linalg.norm(crop_matrix(face, 1)[0, :2])), 1e-6) for face in faces]
    return float(np.quantile(sides, 0.9))


def _place_track(
    frames: np.ndarray,
    faces: np.ndarray,
    irises: np.ndarray | None,
    carried: np.ndarray,
    opacity: np.ndarray,
    settings: list[ConvertSettings],
    track: int,
    source: Source,
    swap: Swap,
    neutral: np.ndarray,
    change: Change,
    side: float,
) -> list[tuple[int, Placement]]:
    """The placements of one track, in frame order, rendered at one size throughout."""
    lids, mouth, gaze = (np.array([getattr(one, name) for one in settings]) for name in ("lids", "mouth", "gaze"))
    wanted = opened(faces, lids, mouth)
    irises = None if irises is None else shifted_irises(wanted, irises, gaze)
    choices = choose_views(wanted, source.views, neutral, irises)
    others = view_dissolves(frames, choices)
    doubt = doubts(wanted, choices, source.views, neutral, irises)
    limit = int(source.views.pixels.shape[-1])
    size = next((s for s in RENDER_SIZES if side <= MAX_ENLARGEMENT * s), RENDER_SIZES[-1])
    size = min(size, limit)
    middles = faces[..., :2].mean(1)
    placed = []
    for n, (frame, face, choice) in enumerate(zip(frames, faces, choices, strict=True)):
        matrix = crop_matrix(face, size)
        around = [k for k in (n - 1, n + 1) if 0 <= k < len(frames) and abs(int(frames[k]) - int(frame)) == 1]
        moved = [(middles[k] - middles[n]) * (k - n) for k in around]
        placement = Placement(
            source=swap.identity,
            face=face,
            matrix=matrix,
            change=change,
            choice=choice,
            size=size,
            radius=float(mesh_radius(face)),
            track=track,
            motion=matrix[:, :2] @ (np.mean(moved, 0) if moved else np.zeros(2)),
            opacity=float(opacity[n]),
            other=others[n][0],
            share=others[n][1],
            doubt=float(doubt[n]),
            carried=bool(carried[n]),
            settings=settings[n],
        )
        placed.append((int(frame), placement))
    return placed


def _add_nearer_outlines(plan: dict[int, list[Placement]], alignments: Alignments, swapped: set[int]) -> None:
    """Give every placement the outlines of those who keep their own face and stand nearer to the camera."""
    kept = np.flatnonzero(~np.isin(alignments.person, sorted(swapped)))
    for row in kept:
        frame = int(alignments.frame[row])
        face = alignments.landmarks[row]
        radius = float(mesh_radius(face))
        for number, placement in enumerate(plan.get(frame, ())):
            outline = transform(face, placement.matrix)[:, :2]
            size = placement.size
            apart = (outline.max(0) < 0).any() or (outline.min(0) > size).any()
            own = np.abs(np.median(outline - placement.measured[:, :2], 0)).max() < 0.08 * size  # found twice
            if radius >= placement.radius and not apart and not own:
                hull = cv2.convexHull(outline.astype(np.float32))[:, 0]
                plan[frame][number] = replace(placement, nearer=(*placement.nearer, hull))
