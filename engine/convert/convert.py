"""Conversion: frames in, recast frames out, one pass, nothing on disk but the movie."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from ..errors import DataError
from ..faces.align import crop
from ..faces.alignments import load_alignments
from ..faces.masks import face_mask
from ..media.reader import Frame, probe, read_frames
from ..media.writer import MovieWriter, require_constant_rate
from ..model.folder import facesets, load_refiner, read_card
from ..model.networks import SIZES
from ..model.recast import Source, recast
from ..model.trainer import canonical_shape
from ..model.views import make_views
from ..protocol import Swap
from ..reporter import Reporter
from .paste import paste
from .plan import Placement, make_plan

BATCH = 8
"""Frames that are recast together."""


def load_sources(folder: Path, names: set[str], device: torch.device, use_refiner: bool) -> dict[str, Source]:
    """Make the wanted identities of a model ready to appear.

    Raises DataError when the model does not know one of them, or lacks its files.
    """
    card = read_card(folder)
    for name in sorted(names):
        if name not in card.identities:
            raise DataError(f"This model does not know {name}, but {', '.join(card.identities)}. Train one that does.")
    sets = facesets(folder, card)
    refiner = load_refiner(folder, card) if use_refiner else None
    if refiner is not None:
        refiner = refiner.to(device)
    size = SIZES[card.preset][0] if card.preset in SIZES else 0
    shape = canonical_shape(sets).to(device)
    known = enumerate(zip(card.identities, sets, strict=True))  # the card's names, not those in the facesets' files
    return {
        name: Source(make_views(faceset, device), refiner, number, size, shape)
        for number, (name, faceset) in known
        if name in names
    }


def convert(
    scan: Path,
    model: Path,
    swaps: list[Swap],
    output: Path,
    device: torch.device,
    report: Reporter,
    *,
    use_refiner: bool = True,
) -> dict[str, int]:
    """Recast the scanned clip into the movie `output`; frame k of it is frame `clip.start + k` of the source.

    Returns {"frames": all, "recast": those with a recast face}. Every sample outside the masks is the
    source's own up to the movie's coding. Raises DataError, NoFaceError or MediaError and leaves no movie.
    """
    torch.set_flush_denormal(True)
    report.progress(0.0, "Getting ready to recast")
    alignments = load_alignments(scan)
    if not swaps:
        raise DataError("Nobody is to be recast. Choose a person and the identity that appears.")
    clip = alignments.clip
    info = probe(Path(clip.path))
    require_constant_rate(info)
    if (info.width, info.height) != (alignments.width, alignments.height):
        raise DataError(
            f"{info.path.name} is {info.width}×{info.height} now, but was {alignments.width}×{alignments.height} when "
            "it was scanned. Scan it again."
        )
    start, end = clip.start, info.frames if clip.end is None else clip.end
    sources = load_sources(model, {s.identity for s in swaps}, device, use_refiner)
    plan = make_plan(alignments, swaps, sources)
    recast_frames = 0
    with MovieWriter(output, info, start, end) as writer:
        for batch in _batches(read_frames(info.path, start, end)):
            report.check()
            finished = recast_batch(batch, plan, sources, device)
            for frame in batch:
                if frame.index in finished:
                    writer.write(frame, *finished[frame.index])
                else:
                    writer.write(frame)
            recast_frames += len(finished)
            report.progress((batch[-1].index + 1 - start) / (end - start), f"Recasting frame {batch[-1].index}")
    return {"frames": end - start, "recast": recast_frames}


def recast_batch(
    frames: list[Frame], plan: dict[int, list[Placement]], sources: dict[str, Source], device: torch.device
) -> dict[int, tuple[np.ndarray, np.ndarray]]:
    """Recast the faces of a few frames: frame index → (picture (H, W, 3) uint8 RGB, touched (H, W) bool).

    Faces of one source and size go through the network together, across frames.
    """
    groups: dict[tuple[str, int], list[tuple[Frame, Placement]]] = {}
    for frame in frames:
        for placement in plan.get(frame.index, ()):
            groups.setdefault((placement.source, placement.size), []).append((frame, placement))
    done: dict[int, tuple[np.ndarray, np.ndarray]] = {}  # by placement's identity
    for (name, size), members in groups.items():
        pictures = np.stack([crop(f.rgb, p.matrix, size) for f, p in members])
        landmarks = np.stack([p.landmarks for _, p in members])
        own_masks = np.stack([face_mask(c, points) for c, points in zip(pictures, landmarks, strict=True)])
        face, mask = recast(
            sources[name],
            landmarks,
            torch.from_numpy(pictures).to(device).permute(0, 3, 1, 2).float() / 255,
            torch.from_numpy(own_masks)[:, None].to(device).float() / 255,
            torch.from_numpy(np.stack([p.choice for _, p in members])).to(device),
        )
        faces = (face * 255).permute(0, 2, 3, 1).cpu().numpy()
        masks = mask[:, 0].cpu().numpy()
        done.update({id(p): (f, m) for (_, p), f, m in zip(members, faces, masks, strict=True)})
    results = {}
    for frame in frames:
        placements = plan.get(frame.index, ())
        if placements:
            picture, touched = frame.rgb.copy(), np.zeros(frame.rgb.shape[:2], bool)
            for placement in placements:
                paste(picture, touched, *done[id(placement)], placement.matrix)
            results[frame.index] = (picture, touched)
    return results


def _batches(frames: Iterator[Frame]) -> Iterator[list[Frame]]:
    batch: list[Frame] = []
    for frame in frames:
        batch.append(frame)
        if len(batch) == BATCH:
            yield batch
            batch = []
    if batch:
        yield batch
