"""Which faces are found: each detector alone, the union, and the finished scan with its tracks.

Usage: python benchmarks/scan_recall.py FOOTAGE_FOLDER OUT_FOLDER --yunet FILE.onnx [--every 5] [--clips NAME ...]

A face of a frame counts where at least two of three families of detectors (MTCNN, BlazeFace, YuNet) see it: nobody
drew them by hand, and a face that only one family sees counts neither way. A false face is a box on which no other
family puts one, not even a doubtful one. Every 5th frame is compared. What the detectors say is kept in OUT_FOLDER,
and so is the scan: a second run measures only what is new.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from understudy.engine.errors import NoFaceError
from understudy.engine.faces.alignments import load_alignments
from understudy.engine.faces.detectors.found import Found, join, no_faces
from understudy.engine.faces.detectors.search import Search, deduplicate
from understudy.engine.faces.detectors.yunet import YuNet
from understudy.engine.faces.geometry.boxes import overlap
from understudy.engine.faces.scan import scan
from understudy.engine.media.reader import read_frames
from understudy.engine.protocol import Clip
from understudy.engine.reporter import Silent

FAMILIES = ("mtcnn", "blazeface", "yunet")
WAYS = (*FAMILIES, "mtcnn + blazeface", "all three", "scan")
CLASSES = ((0, 24), (24, 48), (48, 96), (96, 1e9))


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("footage", type=Path)
    arguments.add_argument("out", type=Path)
    arguments.add_argument("--yunet", type=Path, required=True)
    arguments.add_argument("--every", type=int, default=5)
    arguments.add_argument("--clips", nargs="*", default=[])
    options = arguments.parse_args()
    torch.set_flush_denormal(True)
    options.out.mkdir(parents=True, exist_ok=True)
    total: list[tuple[str, np.ndarray, dict[str, np.ndarray], dict[str, int], int]] = []
    print(f"{'':28}{'faces':>6}  " + "".join(f"{way:>20}" for way in WAYS) + "   (recall / false a frame)")
    for path in sorted(p for p in options.footage.iterdir() if not options.clips or p.name in options.clips):
        detections = kept(path, options.out / f"{path.stem}-{options.every}.npz", options.yunet, options.every)
        scanned = faces_of_scan(path, options.out / "p.understudy" / "scans" / path.stem)
        rows = compare(detections, scanned)
        total.append((path.name, *rows, len(detections)))
        show(path.name, [total[-1]])
    show("all clips", total)
    sizes = np.concatenate([t[1] for t in total])
    print("\nby height in pixels")
    for low, high in CLASSES:
        of = (sizes >= low) & (sizes < high)
        hits = {way: np.concatenate([t[2][way] for t in total])[of].mean() if of.any() else np.nan for way in WAYS}
        print(f"{f'{low:.0f} to {high:.0f}':28}{of.sum():6}  " + "".join(f"{hits[way]:20.3f}" for way in WAYS))


def kept(path: Path, cache: Path, yunet: Path, every: int) -> dict[int, dict[str, Found]]:
    """By frame, what each family sees at full size."""
    if not cache.is_file():
        families = {"mtcnn": Search(["mtcnn"]), "blazeface": Search(["blazeface"]), "yunet": YuNet(yunet)}
        arrays = {}
        for frame in read_frames(path):
            if frame.index % every == 0:
                for name, detect in families.items():
                    (answer,) = detect([frame.rgb])
                    arrays[f"{frame.index} {name}"] = np.column_stack([answer.boxes, answer.scores])
        np.savez(cache, **arrays)
    saved = np.load(cache)
    frames = sorted({int(key.split()[0]) for key in saved.files})
    return {f: {name: as_found(saved[f"{f} {name}"]) for name in FAMILIES} for f in frames}


def as_found(rows: np.ndarray) -> Found:
    return Found(rows[:, :4], rows[:, 4], np.full((len(rows), 5, 2), np.nan))


def faces_of_scan(path: Path, folder: Path) -> dict[int, np.ndarray]:
    try:
        scan(Clip(path=str(path)), folder, Silent())
    except NoFaceError:
        return {}
    alignments = load_alignments(folder)
    return {int(f): alignments.box[alignments.frame == f] for f in np.unique(alignments.frame)}


def compare(
    detections: dict[int, dict[str, Found]], scanned: dict[int, np.ndarray]
) -> tuple[np.ndarray, dict[str, np.ndarray], dict[str, int]]:
    """Heights of the reference faces, whether each was found in each way, and how many false ones there were."""
    heights: list[float] = []
    hits: dict[str, list[bool]] = {way: [] for way in WAYS}
    false = dict.fromkeys(WAYS, 0)
    for frame, families in detections.items():
        boxes = {name: families[name].boxes for name in FAMILIES}
        both = deduplicate(join([families["mtcnn"], families["blazeface"]])).boxes
        every = deduplicate(join([no_faces(), *families.values()]))
        ways = {**boxes, "mtcnn + blazeface": both, "all three": every.boxes}
        ways["scan"] = scanned.get(frame, np.empty((0, 4)))
        votes = sum(meets(every.boxes, boxes[name]).astype(int) for name in FAMILIES)
        reference = every.boxes[votes >= 2] if len(every.boxes) else np.empty((0, 4))
        heights += (reference[:, 3] - reference[:, 1]).tolist()
        for way in WAYS:
            hits[way] += meets(reference, ways[way]).tolist()
            others = [boxes[name] for name in FAMILIES if name not in way.split(" + ") and way != "all three"]
            supported = meets(ways[way], np.concatenate([reference, *others]))
            false[way] += int((~supported).sum())
    return np.array(heights), {way: np.array(values, bool) for way, values in hits.items()}, false


def meets(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(n,) bool: whether each box of `a` shows the same face as one of `b`."""
    if not len(a) or not len(b):
        return np.zeros(len(a), bool)
    return ((overlap(a, b) > 0.3) | (overlap(a, b, of_smaller=True) > 0.7)).any(1)


def show(name: str, rows: list[tuple[str, np.ndarray, dict[str, np.ndarray], dict[str, int], int]]) -> None:
    frames = sum(row[4] for row in rows)
    cells = []
    for way in WAYS:
        found = np.concatenate([row[2][way] for row in rows])
        cells.append(f"{found.mean():.3f} / {sum(row[3][way] for row in rows) / frames:.2f}" if len(found) else "-")
    count = sum(len(row[1]) for row in rows)
    print(f"{name:28}{count:6}  " + "".join(f"{cell:>20}" for cell in cells), flush=True)


if __name__ == "__main__":
    main()
