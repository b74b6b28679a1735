"""What a finished segment depends on, so that only what changed is converted again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np

from ..durable import hash_file
from ..faces.facesets.masks import drawn_path
from ..model.model_folder import faceset_path, read_card
from ..protocol import ConvertSpec, to_json
from ..reading import read_bytes
from .frame_measures import AVERAGING_RADIUS
from .plan import Placement

RENDER_VERSION = 13
"""Counted up when the same settings begin to give another picture."""


def segment_key(spec: ConvertSpec, plan: dict[int, list[Placement]], start: int, end: int) -> Callable[[int, int], str]:
    """A function that tells of frames first..last all that their recast depends on, as a hash.

    Where nobody is recast nothing counts: another model or other settings leave such a segment as it is. A
    segment also depends on the faces just before and after it, which its measures are averaged with. A draft depends
    on nobody's faceset but of those who appear in it: somebody added to the cast changes their own segments alone.
    """
    made_by, facesets = _fingerprint(spec), _facesets(spec)
    said: dict[int, str] = {}  # by the settings' identity: few differ in a film of thousands of frames

    def key(first: int, last: int) -> str:
        digest = hashlib.sha256()
        frames = range(max(start, first - AVERAGING_RADIUS), min(end, last + AVERAGING_RADIUS))
        if not any(frame in plan for frame in range(first, last)):
            return "untouched"
        digest.update(made_by)
        appear = {placement.source for frame in frames for placement in plan.get(frame, ())}
        digest.update(json.dumps([[name, facesets[name]] for name in sorted(appear & set(facesets))]).encode())
        for frame in frames:
            drawn = drawn_path(Path(spec.scan), frame)
            if frame in plan and drawn.is_file():
                digest.update(json.dumps([frame, drawn.stat().st_size, drawn.stat().st_mtime_ns]).encode())
            for placement in plan.get(frame, ()):
                told = [frame, placement.source, placement.size, placement.track, placement.choice.tolist()]
                told += [placement.opacity, placement.share, placement.carried]
                told += [] if placement.other is None else placement.other.tolist()
                wanted = placement.settings
                told.append(said.setdefault(id(wanted), json.dumps(to_json(wanted), sort_keys=True)))
                digest.update(json.dumps(told).encode())
                for array in (placement.face, placement.matrix, *placement.change, *placement.nearer):
                    digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()

    return key


def _facesets(spec: ConvertSpec) -> dict[str, str]:
    """What the draft of each identity of the cast is made of: their faceset's hash. Empty for what is refined."""
    folder, card = Path(spec.model), read_card(Path(spec.model))
    drafted = set() if _refined(spec) else {swap.identity for swap in spec.swaps}
    return {name: hash_file(faceset_path(folder, card, name)) for name in sorted(drafted & set(card.identities))}


def _refined(spec: ConvertSpec) -> bool:
    return spec.use_refiner and (Path(spec.model) / "weights.safetensors").is_file()


def _fingerprint(spec: ConvertSpec) -> bytes:
    """The files of the model that a recast is refined with, and how it is made."""
    folder = Path(spec.model)
    card = read_card(folder)
    if not _refined(spec):
        draft = {"making": RENDER_VERSION, "preset": card.preset}
        return json.dumps([draft, spec.scan], sort_keys=True).encode()
    files = [faceset_path(folder, card, name) for name in card.identities]
    files.append(folder / "weights.safetensors")
    stamps = [(f.stat().st_size, f.stat().st_mtime_ns) if f.is_file() else None for f in files]
    told = {"making": RENDER_VERSION, "files": stamps, "refiner": spec.use_refiner}
    # the mark in the faces is that of the scan and the model (`provenance.recasts.mark_number`)
    card_file = hashlib.sha256(read_bytes(folder / "model.json")).hexdigest()
    return json.dumps([told, card.identities, str(folder), card_file, spec.scan], sort_keys=True).encode()
