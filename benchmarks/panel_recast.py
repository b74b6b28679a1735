"""Scans, facesets and drafts of the panel's pairs, kept between runs as far as they still hold."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from understudy.engine.convert.plan import Placement, make_plan
from understudy.engine.convert.render import Work, average_neighbours, composite_frames, render
from understudy.engine.convert.source_identities import make_sources
from understudy.engine.convert.track_facts import learn_tracks
from understudy.engine.faces.alignments import Alignments, load_alignments
from understudy.engine.faces.facesets import faceset as faceset_module
from understudy.engine.faces.facesets import masks as masks_module
from understudy.engine.faces.facesets.faceset import Faceset, gather, load_faceset
from understudy.engine.faces.networks import occlusion as occlusion_module
from understudy.engine.job_bodies import run
from understudy.engine.media.float_view import Patch
from understudy.engine.media.reader import read_frames
from understudy.engine.model.draft.gaze import irises
from understudy.engine.model.model_folder import DRAFT_FACES, ModelCard, faceset_path, load_refiner, read_card
from understudy.engine.model.recast import Source
from understudy.engine.protocol import (
    Clip,
    ConsentRecord,
    ConvertSettings,
    Identity,
    Material,
    ScanSpec,
    Swap,
    TrainSpec,
)
from understudy.engine.provenance.consent import record_consent, today
from understudy.engine.reporter import Silent

CPU = torch.device("cpu")
RUN = 2
"""Frames in a row that are recast at a time: flicker is what two of them differ by."""


@dataclass(frozen=True)
class Pair:
    """A shot and whose face comes into it; persons by their numbers in the scans."""

    name: str
    shot: Path
    face: Path
    shot_person: int = 0
    face_person: int = 0


@dataclass(frozen=True, eq=False)
class Shown:
    """One frame of a pair: the footage and the recast (H, W, 3) uint8 RGB, matte (H, W) float32, its place."""

    frame: int
    footage: np.ndarray
    recast: np.ndarray
    matte: np.ndarray
    placement: Placement


def scan_of(clip: Path, work: Path) -> Alignments:
    """A clip's alignments, scanned once."""
    folder = work / "scans" / clip.stem
    if not (folder / "scan.json").is_file():
        run("scan", ScanSpec(clip=Clip(path=str(clip.resolve())), output=str(folder), project=str(work)), Silent())
    return load_alignments(folder)


def faceset_of(clip: Path, person: int, work: Path) -> Faceset:
    """A person's faces as a draft takes them, cut anew when what cuts and masks them has changed."""
    scan_of(clip, work)
    makers = [Path(str(m.__file__)) for m in (faceset_module, masks_module, occlusion_module)]
    makers += sorted(makers[2].parent.glob("*.safetensors"))
    stamp = hashlib.sha256(b"".join(p.read_bytes() for p in makers)).hexdigest()[:8]
    path = work / "facesets" / f"{clip.stem}-{person}-{stamp}.faceset"
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        material = [Material(scan=str(work / "scans" / clip.stem), person=person)]
        found = gather(Identity(name=clip.stem, material=material), DRAFT_FACES, Silent())
        replace(found, irises=irises(found.pixels, found.landmarks, CPU)).save(path)
    return load_faceset(path)


def draft_source(pair: Pair, work: Path) -> Source:
    """The face of a pair, ready to appear with no training."""
    faceset = faceset_of(pair.face, pair.face_person, work)
    card = ModelCard(schema=1, preset="draft", identities=["face"], material=[])
    return make_sources(card, [faceset], None, {"face"}, CPU)["face"]


def trained_source(pair: Pair, work: Path, minutes: float) -> Source:
    """The same with a network trained for so long on both people; an earlier training goes on."""
    folder = work / "models" / pair.name.replace("<-", "--")
    people = []
    for name, clip, person in (("face", pair.face, pair.face_person), ("shot", pair.shot, pair.shot_person)):
        scan_of(clip, work)
        agreed = ConsentRecord(identity=name, person=name, basis="test footage", scope="measuring", date=today())
        record_consent(work, agreed)
        people.append(Identity(name=name, material=[Material(scan=str(work / "scans" / clip.stem), person=person)]))
    run("train", TrainSpec(identities=people, output=str(folder), minutes=minutes, project=str(work)), Silent())
    card = read_card(folder)
    sets = [load_faceset(faceset_path(folder, card, name)) for name in card.identities]
    return make_sources(card, sets, load_refiner(folder, card), {"face"}, CPU)["face"]


def chosen_frames(plan: dict[int, list[Placement]], count: int) -> list[int]:
    """About `count` of a plan's frames in runs of RUN, spread evenly over it."""
    frames = sorted(plan)
    starts = [n for n, f in enumerate(frames[: -RUN + 1]) if frames[n + RUN - 1] - f == RUN - 1] or [0]
    picked = np.unique(np.linspace(0, len(starts) - 1, max(1, count // RUN)).round().astype(int))
    return sorted({frames[starts[n] + k] for n in picked for k in range(RUN) if starts[n] + k < len(frames)})


def recasts(pair: Pair, source: Source, work: Path, count: int, settings: ConvertSettings) -> tuple[list[Shown], float]:
    """About `count` frames of a pair recast, and the seconds that a face took but for reading and writing."""
    alignments = scan_of(pair.shot, work)
    swaps = [Swap(person=pair.shot_person, identity="face")]
    plan = make_plan(alignments, swaps, {"face": source}, settings)
    wanted = chosen_frames(plan, count)
    tracks = learn_tracks(pair.shot, plan, wanted, {"face": source}, CPU)
    job = Work(plan, {"face": source}, CPU, scan=work / "scans" / pair.shot.stem, tracks=tracks)
    shown: list[Shown] = []
    seconds = 0.0
    frames = (f for f in read_frames(pair.shot, wanted[0], wanted[-1] + 1) if f.index in set(wanted))
    with ThreadPoolExecutor(1) as pool:
        for some in _runs(frames):
            for frame in some:
                frame.rgb  # noqa: B018 - decoded before the clock starts
            begun = time.perf_counter()
            made = list(composite_frames(average_neighbours(render(some, job, None)), job, pool))
            seconds += time.perf_counter() - begun
            for frame, patches in made:
                recast, matte = _laid(frame.rgb, patches)
                shown.append(Shown(frame.index, frame.rgb.copy(), recast, matte, plan[frame.index][0]))
    return shown, seconds / max(len(shown), 1)


def _runs(frames: Iterable) -> Iterator[list]:
    run: list = []
    for frame in frames:
        if run and frame.index != run[-1].index + 1:
            yield run
            run = []
        run.append(frame)
    if run:
        yield run


def _laid(rgb: np.ndarray, patches: list[Patch]) -> tuple[np.ndarray, np.ndarray]:
    from understudy.engine.convert.composite import paste_patches

    return paste_patches(rgb, patches)
