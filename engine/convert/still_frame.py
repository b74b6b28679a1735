"""One frame as it would be recast now, again and again: nothing that was loaded is loaded twice."""

from __future__ import annotations

import json
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from ..durable import write_bytes
from ..errors import DataError, MediaError
from ..faces import alignments
from ..faces.alignments import Alignments, load_alignments
from ..faces.facesets.faceset import gather
from ..faces.geometry.align import crop_matrix, to_opencv
from ..media.footage import footage_of
from ..media.reader import Frame, read_frames
from ..model.model_folder import ModelCard, faceset_path, facesets, load_refiner, read_card
from ..model.recast import Source
from ..protocol import ConvertSettings, Identity, PreviewResult, PreviewSpec, to_json
from ..reporter import Silent
from ..settings import check_settings
from .face_batch import TrackFacts
from .plan import Placement, make_plan
from .render import Work, recast_still
from .source_identities import make_sources, require_known
from .track_facts import learn_tracks

DRAFT_FACES, DRAFT_SIZE = 48, 256
PLANNED = ("smooth", "lids", "mouth", "gaze")
"""The settings that a plan depends on beyond a face's own; with others it is the same plan."""
CACHE_SIZE = 6
"""Scans, models, plans kept at a time; the one not asked for longest goes first."""


class StillRecaster:
    """Renders single frames; keeps scans, facesets, networks and plans loaded between calls.

    What changes on disk is loaded anew: a scan that was corrected, the weights of a model in training.
    Not safe for threads: one caller at a time.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._kept: OrderedDict[Hashable, Any] = OrderedDict()
        torch.set_flush_denormal(True)

    def render(self, spec: PreviewSpec, output: Path) -> PreviewResult:
        """Write the frame's view as a PNG at `output`, no wider than `spec.width`.

        What is smoothed over time in a conversion is measured on this frame alone. Raises DataError,
        NoFaceError or MediaError with what to do, and leaves nothing half-written.
        """
        begun = time.perf_counter()
        check_settings(spec.settings)
        if spec.width < 16:
            raise DataError(f"A preview {spec.width} pixels wide shows nothing. Ask for 16 or more.")
        scan = self._scan(Path(spec.scan))
        frame = self._frame(scan, spec.frame)
        steps = 0
        if spec.view == "original" or (spec.view == "landmarks" and not spec.swaps):
            picture = frame.rgb if spec.view == "original" else draw_landmarks(frame.rgb, scan, spec)
        else:
            sources, steps, stamp = self._sources(spec)
            plan = self._plan(scan, spec, sources, stamp)
            if spec.view == "landmarks":
                picture = draw_landmarks(frame.rgb, scan, spec)
            else:
                picture = self._recast(frame, plan, sources, spec, self._tracks(scan, spec, plan, sources))
        write_png(output, picture, spec.width)
        return PreviewResult(path=str(output), steps=steps, seconds=time.perf_counter() - begun)

    def _recast(
        self,
        frame: Frame,
        plan: dict[int, list[Placement]],
        sources: dict[str, Source],
        spec: PreviewSpec,
        tracks: dict[int, TrackFacts],
    ) -> np.ndarray:
        shown = {spec.frame: [replace(p, settings=spec.settings) for p in plan.get(spec.frame, ())]}
        work = Work(
            shown if spec.settings.amount > 0 else {}, sources, self._device, scan=Path(spec.scan), tracks=tracks
        )
        picture, matte = recast_still(frame, work)
        if spec.view == "matte":
            return np.repeat(np.round(255 * matte).astype(np.uint8)[..., None], 3, 2)
        return picture

    def _scan(self, folder: Path) -> Alignments:
        stamp = file_stamp(folder / alignments.FILE_NAME)
        loaded: Alignments = self._keep(("scan", folder, stamp), lambda: load_alignments(folder))
        return loaded

    def _frame(self, scan: Alignments, index: int) -> Frame:
        footage = footage_of(scan.clip)
        path = footage.path

        def read() -> Frame:
            frame = next(iter(read_frames(footage, index, index + 1)))
            if frame.rgb.shape[:2] != (scan.height, scan.width):
                raise MediaError(f"{path.name} has another size than when it was scanned. Scan it again.")
            return frame

        found: Frame = self._keep(("frame", footage, file_stamp(path), index), read)
        return found

    def _sources(self, spec: PreviewSpec) -> tuple[dict[str, Source], int, Hashable]:
        """Ready sources, the steps of training behind them, and what their views depend on."""
        names = {swap.identity for swap in spec.swaps}
        if not spec.model:
            wanted = [identity for identity in spec.identities if identity.name in names]
            for name in names - {identity.name for identity in wanted}:
                raise DataError(f"There is no material of {name}. Add footage or a picture of them to the identity.")
            made = {identity.name: self._draft_source(identity) for identity in wanted}
            return {name: source for name, (source, _) in made.items()}, 0, tuple(key for _, key in made.values())
        folder = Path(spec.model)
        card = read_card(folder)
        require_known(card, names)
        files = [faceset_path(folder, card, name) for name in card.identities]
        faces = ("facesets", folder, card.preset, *(file_stamp(path) for path in files))
        weights = ("weights", folder, card.preset, file_stamp(folder / "weights.safetensors"))
        prepared: dict[str, Source] = self._keep(
            ("sources", *faces),
            lambda: make_sources(card, facesets(folder, card), None, set(card.identities), self._device),
        )
        if not (folder / "weights.safetensors").is_file():  # in the first minutes of a training
            return {name: prepared[name] for name in names}, 0, faces
        steps, refiner = self._keep(weights, lambda: self._refiner(folder, card))
        return {name: replace(prepared[name], refiner=refiner) for name in names}, steps, faces

    def _refiner(self, folder: Path, card: ModelCard) -> tuple[int, Any]:
        refiner = load_refiner(folder, card)
        return read_card(folder).steps, refiner.to(self._device) if refiner is not None else None

    def _draft_source(self, identity: Identity) -> tuple[Source, Hashable]:
        stamps = tuple((m.scan, m.person, file_stamp(Path(m.scan) / alignments.FILE_NAME)) for m in identity.material)
        key = ("draft", identity.name, stamps)

        def make() -> Source:
            faceset = gather(identity, DRAFT_SIZE, Silent(), DRAFT_FACES)
            card = ModelCard(schema=1, preset="draft", identities=[identity.name], material=[])
            return make_sources(card, [faceset], None, {identity.name}, self._device)[identity.name]

        return self._keep(key, make), key

    def _plan(
        self, scan: Alignments, spec: PreviewSpec, sources: dict[str, Source], stamp: Hashable
    ) -> dict[int, list[Placement]]:
        swaps = tuple((swap.person, swap.identity) for swap in spec.swaps)
        scanned = file_stamp(Path(spec.scan) / alignments.FILE_NAME)
        kinds = tuple(type(source.refiner).__name__ for source in sources.values())
        planned = ConvertSettings(**{name: getattr(spec.settings, name) for name in PLANNED})
        key = ("plan", spec.scan, scanned, swaps, stamp, kinds, json.dumps(to_json(planned)))
        plan: dict[int, list[Placement]] = self._keep(key, lambda: make_plan(scan, spec.swaps, sources, planned))
        return plan

    def _tracks(
        self, scan: Alignments, spec: PreviewSpec, plan: dict[int, list[Placement]], sources: dict[str, Source]
    ) -> dict[int, TrackFacts]:
        """What is known of the faces of this frame."""
        front = spec.settings.keep_front or spec.settings.spectacles != "keep"
        footage = footage_of(scan.clip)
        tracks = tuple(sorted((p.track, sources[p.source].meshless) for p in plan.get(spec.frame, ())))
        stamps = file_stamp(footage.path), file_stamp(Path(spec.scan) / alignments.FILE_NAME)
        key = ("tracks", footage, *stamps, spec.scan, tracks, front)
        known: dict[int, TrackFacts] = self._keep(
            key, lambda: learn_tracks(footage, plan, [spec.frame], sources, self._device, spectacles=front)
        )
        return known

    def _keep(self, key: Hashable, make: Callable[[], Any]) -> Any:
        """What was made for this key, or make it now; of each kind only the last few are kept."""
        if key not in self._kept:
            made = make()
            kind = key[0] if isinstance(key, tuple) else key
            same = [k for k in self._kept if isinstance(k, tuple) and k[0] == kind]
            for old in same[: max(0, len(same) - CACHE_SIZE + 1)]:
                del self._kept[old]
            self._kept[key] = made
        self._kept.move_to_end(key)
        return self._kept[key]


def file_stamp(path: Path) -> tuple[int, int]:
    """Tells a file from a later one of the same name; (0, 0) where there is none."""
    try:
        status = path.stat()
    except OSError:
        return (0, 0)
    return (status.st_mtime_ns, status.st_size)


def draw_landmarks(rgb: np.ndarray, scan: Alignments, spec: PreviewSpec) -> np.ndarray:
    """A copy of the frame with the mesh's points and the crop's frame of every swapped person, or of everybody."""
    picture = rgb.copy()
    wanted = {swap.person for swap in spec.swaps}
    for row in np.flatnonzero(scan.frame == spec.frame):
        if wanted and int(scan.person[row]) not in wanted:
            continue
        colour = (255, 176, 0) if scan.carried[row] else (0, 230, 118)
        size = float(np.ptp(scan.landmarks[row][:, 1])) / 220
        radius, thick = max(round(16 * size), 6), max(round(size), 1)  # a small face is not painted over
        for x, y in scan.landmarks[row][:, :2]:
            centre = (round((float(x) - 0.5) * 16), round((float(y) - 0.5) * 16))
            cv2.circle(picture, centre, radius, colour, -1, cv2.LINE_AA, shift=4)
        square = np.array([[[-0.5, -0.5], [0.5, -0.5], [0.5, 0.5], [-0.5, 0.5]]])  # the one pixel's edges to OpenCV
        corners = cv2.transform(square, cv2.invertAffineTransform(to_opencv(crop_matrix(scan.landmarks[row], 1))))
        cv2.polylines(picture, [np.round(corners[0] * 16).astype(np.int32)], True, colour, thick, cv2.LINE_AA, shift=4)
    return picture


def write_png(output: Path, rgb: np.ndarray, width: int) -> None:
    """Write (H, W, 3) uint8 RGB as a PNG in one step, reduced to `width` where it is wider."""
    if rgb.shape[1] > width:
        height = max(1, round(rgb.shape[0] * width / rgb.shape[1]))
        rgb = cv2.resize(rgb, (width, height), interpolation=cv2.INTER_AREA)
    data = cv2.imencode(".png", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_PNG_COMPRESSION, 1])[1]
    output.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(output, data.tobytes())
