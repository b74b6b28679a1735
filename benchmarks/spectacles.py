"""Rims of spectacles against outlines drawn by hand: what the parser tells frame by frame, and what the track knows.

usage: python benchmarks/spectacles.py FOOTAGE WORK [--sheet PICTURE.png]

FOOTAGE is the folder that the paths of labels/spectacles.json start from, WORK the panel's (it keeps the scans). A
label's rims are closed lines, its bridge and arms open ones, of points x, y, width in the frame's pixels. All is
measured in the crop in which a face of these clips is recast, within the landmarks' hull:

iou     overlap of what is kept with the label
near    the same, where a pixel beside the label is no fault (a wire is thinner than that, and what it smears stays)
whole   share of the labelled rims that is kept
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import cv2
import numpy as np
import torch
from panel_recast import scan_of
from understudy.engine.faces.facesets.masks import layers
from understudy.engine.faces.facesets.spectacles import learn_spectacles
from understudy.engine.faces.geometry.align import crop, crop_matrix, hull_mask, transform
from understudy.engine.faces.networks.parser import parse
from understudy.engine.media.reader import read_frames

LABELS = Path(__file__).parent / "labels" / "spectacles.json"
SIZE, LOOKED = 256, 16


def main() -> None:
    """Measure every labelled frame."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("footage", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--sheet", type=Path, help="a picture of all labels and answers")
    options = parser.parse_args()
    torch.set_num_threads(1)
    labels = json.loads(LABELS.read_text(encoding="utf-8"))
    tiles, table = [], []
    heads = f"{'near':>7}{'whole':>7}"
    print(f"{'clip':36}{'frame':>6}  {'before: iou':>12}{heads}  {'after: iou':>12}{heads}")
    for clip in dict.fromkeys(label["clip"] for label in labels):
        alignments = scan_of(options.footage / clip, options.work)
        rows = alignments.of_person(0)
        evenly = rows[np.linspace(0, len(rows) - 1, LOOKED).round().astype(int)]

        def face(row: int, clip: str = clip, alignments=alignments) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
            matrix = crop_matrix(alignments.landmarks[row], SIZE)
            frame = int(alignments.frame[row])
            picture = next(iter(read_frames(options.footage / clip, frame, frame + 1))).rgb
            return crop(picture, matrix, SIZE), transform(alignments.landmarks[row], matrix).astype(np.float32), matrix

        pixels, landmarks = (np.stack(x) for x in list(zip(*(face(r) for r in evenly), strict=True))[:2])
        worn = learn_spectacles(pixels, landmarks, parse(pixels, landmarks))
        for label in (x for x in labels if x["clip"] == clip):
            (row,) = rows[alignments.frame[rows] == label["frame"]]
            picture, points, matrix = face(row)
            hull = hull_mask(points, SIZE) > 127
            wanted = drawn(label, matrix) & hull
            before, after = (
                (layers(picture[None], points[None], [known])[1][0] > 127) & hull for known in (None, worn)
            )
            found = [*measured(before, wanted), *measured(after, wanted)]
            table.append(found)
            print(row_of(f"{Path(clip).stem:36}{label['frame']:6}", found), flush=True)
            tiles.append(tile(picture, (wanted, before, after)))
    print(row_of(f"{'mean':42}", np.mean(table, 0).tolist()))
    if options.sheet:
        cv2.imwrite(str(options.sheet), np.vstack(tiles)[..., ::-1])


def drawn(label: dict, matrix: np.ndarray) -> np.ndarray:
    """A label in a crop, (SIZE, SIZE) bool."""
    fine = 8
    picture = np.zeros((SIZE * fine, SIZE * fine), np.uint8)
    scale = float(np.sqrt(abs(np.linalg.det(matrix[:, :2]))))
    lines = [(line, True) for line in label["rims"]] + [(line, False) for line in [label["bridge"], *label["arms"]]]
    for line, closed in lines:
        values = np.array(line)
        values = smooth(np.concatenate([values, values[:1]]) if closed else values, closed)
        places = values[:, :2] @ matrix[:, :2].T + matrix[:, 2]
        for a, b, width in zip(places * fine, places[1:] * fine, values[:, 2] * scale * fine, strict=False):
            cv2.line(
                picture, np.round(a).astype(int).tolist(), np.round(b).astype(int).tolist(), 255, max(1, round(width))
            )
    return cv2.resize(picture, (SIZE, SIZE), interpolation=cv2.INTER_AREA) > 127


def smooth(values: np.ndarray, closed: bool) -> np.ndarray:
    """A line through points (K, C), eight steps from one to the next (Catmull and Rom 1974)."""
    ends = (values[-2:-1], values[1:2]) if closed else (values[:1], values[-1:])
    p = np.concatenate([ends[0], values, ends[1]])
    t = np.linspace(0, 1, 8, endpoint=False)[:, None]
    parts = []
    for a, b, c, d in zip(p, p[1:], p[2:], p[3:], strict=False):
        parts.append(b + 0.5 * t * (c - a + t * (2 * a - 5 * b + 4 * c - d + t * (3 * (b - c) + d - a))))
    return np.concatenate([*parts, values[-1:]])


def measured(found: np.ndarray, wanted: np.ndarray) -> tuple[float, float, float]:
    """iou, near, whole, as the module says."""
    grown = cv2.dilate(wanted.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    both = float((found & wanted).sum())
    iou = both / max(float((found | wanted).sum()), 1)
    near = both / max(both + float((wanted & ~found).sum()) + float((found & ~grown).sum()), 1)
    return iou, near, both / max(float(wanted.sum()), 1)


def row_of(name: str, found: list[float]) -> str:
    """A line of the table."""
    a, b, c, d, e, f = found
    return f"{name}  {a:12.2f}{b:7.2f}{c:7.2f}  {d:12.2f}{e:7.2f}{f:7.2f}"


def tile(picture: np.ndarray, masks: tuple[np.ndarray, ...]) -> np.ndarray:
    """A face, and the masks over it: label, before, after."""
    shown = [picture, *(np.where(m[..., None], np.uint8([255, 0, 0]), picture) for m in masks)]
    return np.hstack([x[SIZE // 5 : SIZE * 3 // 5] for x in shown])


if __name__ == "__main__":
    main()
