"""Contact sheets of scans: boxes, person colours, landmarks and masks drawn on every few frames, to be looked at.

Usage: python benchmarks/scan_sheets.py OUT_FOLDER SCAN_FOLDER ... [--columns 5] [--rows 4] [--faces]

A box has the colour and the number of its person (grey: nobody), a dashed one was carried, not measured. With
--faces the sheet shows the crops of each person instead, with landmarks and the mask's edge.
"""

from __future__ import annotations

import argparse
import colorsys
from pathlib import Path

import cv2
import numpy as np
from understudy.engine.faces.alignments import Alignments, load_alignments
from understudy.engine.faces.facesets.masks import face_masks
from understudy.engine.faces.geometry.align import crop, crop_matrix, transform
from understudy.engine.media.reader import read_frames

WIDTH = 420
FACE = 160


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("out", type=Path)
    arguments.add_argument("scans", type=Path, nargs="+")
    arguments.add_argument("--columns", type=int, default=5)
    arguments.add_argument("--rows", type=int, default=4)
    arguments.add_argument("--faces", action="store_true")
    options = arguments.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    for folder in options.scans:
        draw = faces if options.faces else frames
        path = options.out / f"{folder.name}{'-faces' if options.faces else ''}.png"
        cv2.imwrite(str(path), cv2.cvtColor(draw(load_alignments(folder), options), cv2.COLOR_RGB2BGR))
        print(path)


def colour(person: int) -> tuple[int, int, int]:
    if person < 0:
        return 150, 150, 150
    red, green, blue = colorsys.hsv_to_rgb(person * 0.381966 % 1, 0.9, 1.0)
    return int(255 * red), int(255 * green), int(255 * blue)


def frames(alignments: Alignments, options: argparse.Namespace) -> np.ndarray:
    """Whole frames, evenly spread."""
    clip = alignments.clip
    end = int(alignments.frame.max()) + 1 if clip.end is None else clip.end
    chosen = set(np.linspace(clip.start, end - 1, options.columns * options.rows).astype(int).tolist())
    tiles = []
    for frame in read_frames(Path(clip.path), clip.start, end):
        if frame.index in chosen:
            tiles.append(annotated(frame.rgb, frame.index, alignments))
    return grid(tiles, options.columns)


def annotated(image: np.ndarray, index: int, alignments: Alignments) -> np.ndarray:
    scale = WIDTH / image.shape[1]
    tile = cv2.resize(image, (WIDTH, round(image.shape[0] * scale)), interpolation=cv2.INTER_AREA)
    for row in np.flatnonzero(alignments.frame == index):
        tint = colour(int(alignments.person[row]))
        x0, y0, x1, y1 = (int(v) for v in alignments.box[row] * scale)
        if alignments.carried[row]:
            for x in range(x0, x1, 6):
                cv2.line(tile, (x, y0), (min(x + 3, x1), y0), tint, 1)
                cv2.line(tile, (x, y1), (min(x + 3, x1), y1), tint, 1)
        else:
            cv2.rectangle(tile, (x0, y0), (x1, y1), tint, 1)
        for x, y in alignments.landmarks[row, ::3, :2] * scale:
            cv2.circle(tile, (int(x), int(y)), 0, tint, -1)
        label = f"{alignments.person[row]}/{alignments.track[row]}"
        cv2.putText(tile, label, (x0, max(y0 - 2, 8)), cv2.FONT_HERSHEY_SIMPLEX, 0.33, tint, 1, cv2.LINE_AA)
    cv2.putText(tile, str(index), (3, 12), cv2.FONT_HERSHEY_SIMPLEX, 0.4, (255, 255, 255), 1, cv2.LINE_AA)
    return tile


def faces(alignments: Alignments, options: argparse.Namespace) -> np.ndarray:
    """A row of crops of each of the first persons, evenly spread over their frames."""
    wanted: dict[int, list[tuple[int, int, int]]] = {}
    people = [p for p in range(alignments.person.max(initial=-1) + 1) if len(alignments.of_person(p))][: options.rows]
    for line, person in enumerate(people):
        rows = alignments.of_person(person)
        for column, row in enumerate(rows[np.linspace(0, len(rows) - 1, options.columns).astype(int)]):
            wanted.setdefault(int(alignments.frame[row]), []).append((line, column, int(row)))
    sheet = np.zeros((max(1, len(people)) * FACE, options.columns * FACE, 3), np.uint8)
    for frame in read_frames(Path(alignments.clip.path), min(wanted, default=0)):
        for line, column, row in wanted.get(frame.index, []):
            matrix = crop_matrix(alignments.landmarks[row], FACE)
            tile = crop(frame.rgb, matrix, FACE)
            points = transform(alignments.landmarks[row], matrix)
            own, in_front = (stack[0] for stack in face_masks(tile[None], points[None]))
            edge, _ = cv2.findContours(np.minimum(own, 255 - in_front) // 128, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
            tint = colour(int(alignments.person[row]))
            for x, y in points[:, :2]:
                cv2.circle(tile, (int(x), int(y)), 0, tint, -1)
            cv2.drawContours(tile, edge, -1, (255, 255, 255), 1)
            mark = f"{frame.index}{' c' if alignments.carried[row] else ''}"
            cv2.putText(tile, mark, (3, 11), cv2.FONT_HERSHEY_SIMPLEX, 0.35, (255, 255, 0), 1, cv2.LINE_AA)
            sheet[line * FACE : (line + 1) * FACE, column * FACE : (column + 1) * FACE] = tile
    return sheet


def grid(tiles: list[np.ndarray], columns: int) -> np.ndarray:
    tiles = tiles + [np.zeros_like(tiles[0])] * (-len(tiles) % columns)
    return np.concatenate([np.concatenate(tiles[i : i + columns], 1) for i in range(0, len(tiles), columns)])


if __name__ == "__main__":
    main()
