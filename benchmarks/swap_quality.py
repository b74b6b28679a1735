"""How good is a swap? Draft and trained, measured on every frame and laid side by side.

usage: python benchmarks/swap_quality.py CLIP OTHER_CLIP OUT_FOLDER [--minutes 10]

Trains the two people on each other, then recasts each as the other. Prints, for the draft and for the
trained recast:
  to source    mean embedding distance of the recast face to the source person (their own frames
               lie at "source spread" from each other's mean: the best that can be reached)
  to target    the same to the person who was replaced
  expression   mean distance of lips, lids and brows, measured anew on the result, from where the
               target's own frame has them, in % of the distance between the eyes; "floor" is what
               measuring the same frame twice from another start gives
  frames/s     of conversion alone, as a ratio to decoding and encoding the same frames untouched
and writes a sheet of pictures for each direction: target, draft, trained.
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import cv2
import numpy as np
from understudy.engine.faces.alignments import Alignments, load_alignments
from understudy.engine.faces.geometry.align import crop, crop_matrix
from understudy.engine.faces.networks.embedding import Embedder
from understudy.engine.faces.networks.face_mesh import Mesh, region_of_face
from understudy.engine.job_bodies import run
from understudy.engine.media.reader import probe, read_frames
from understudy.engine.media.writer import MovieWriter
from understudy.engine.model.draft.views import EXPRESSIVE_VERTICES
from understudy.engine.protocol import Clip, ConsentRecord, ConvertSpec, Identity, Material, ScanSpec, Swap, TrainSpec
from understudy.engine.provenance.consent import record_consent, today
from understudy.engine.reporter import Silent

EYES = (33, 263)
COLUMNS = 8
TILE = 224


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shot", type=Path)
    parser.add_argument("face", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--minutes", type=float, default=10.0)
    options = parser.parse_args()
    out: Path = options.out.resolve()
    scans = {"shot": out / "shot", "face": out / "face"}
    for name, path in (("shot", options.shot), ("face", options.face)):
        if not (scans[name] / "scan.json").is_file():
            begun = time.perf_counter()
            found = run("scan", ScanSpec(clip=Clip(path=str(path.resolve())), output=str(scans[name])), Silent())
            print(f"scan of {path.name}: {found['frames'] / (time.perf_counter() - begun):.1f} frames/s")
    for name in scans:
        agreed = ConsentRecord(identity=name, person=name, basis="test footage", scope="measuring", date=today())
        record_consent(out, agreed)
    people = [Identity(name=n, material=[Material(scan=str(scans[n]), person=0)]) for n in ("shot", "face")]
    trained = run(
        "train",
        TrainSpec(identities=people, output=str(out / "model"), minutes=options.minutes, project=str(out)),
        Silent(),
    )
    print(f"trained {trained['minutes']:.1f} minutes, {trained['steps']} steps")

    for target, source in (("shot", "face"), ("face", "shot")):
        report(out, scans, target, source)


def report(out: Path, scans: dict[str, Path], target_name: str, source_name: str) -> None:
    """Recast one clip's person as the other's, by draft and by the trained network, and print the figures."""
    target, source = load_alignments(scans[target_name]), load_alignments(scans[source_name])
    embedder, mesh = Embedder(), Mesh()
    identity, replaced = (frame_embeddings(a, embedder).mean(0) for a in (source, target))
    spread = np.linalg.norm(frame_embeddings(source, embedder) - identity, axis=1).mean()
    apart = np.linalg.norm(identity - replaced)
    print(f"\n{target_name} as {source_name}: source spread {spread:.3f}, the two people {apart:.3f}")
    plain = plain_seconds(target, out / "plain.mp4")
    movies = {}
    heads = ("to source", "to target", "expression %", "floor %", "frames/s", "x plain")
    print(" " * 8 + "".join(f"{head:>13}" for head in heads))
    for name in ("draft", "trained"):
        movies[name] = out / f"{target_name}-{name}.mp4"
        begun = time.perf_counter()
        spec = ConvertSpec(
            scan=str(scans[target_name]),
            model=str(out / "model"),
            swaps=[Swap(person=0, identity=source_name)],
            output=str(movies[name]),
            use_refiner=name == "trained",
        )
        counts = run("convert", spec, Silent())
        seconds = time.perf_counter() - begun
        figures = [*measure(target, movies[name], embedder, mesh, identity, replaced)]
        figures += [counts["frames"] / seconds, seconds / plain]
        print(f"{name:8}" + "".join(f"{figure:13.3f}" for figure in figures), flush=True)
    sheet(target, movies, out / f"{target_name}-sheet.png")
    print(f"look at {out / f'{target_name}-sheet.png'}")


def frame_embeddings(alignments: Alignments, embedder: Embedder, every: int = 5) -> np.ndarray:
    """Person 0's embedding in every fifth frame, each measured by itself: (n, 128)."""
    rows = {int(alignments.frame[r]): r for r in alignments.of_person(0)[::every]}
    frames = read_frames(Path(alignments.clip.path))
    return np.concatenate(
        [embedder.embed([f.rgb], alignments.landmarks[[rows[f.index]]]) for f in frames if f.index in rows]
    )


def plain_seconds(target: Alignments, path: Path) -> float:
    """Decode and encode the shot untouched."""
    begun = time.perf_counter()
    info = probe(Path(target.clip.path))
    with MovieWriter(path, info, 0, info.frames) as writer:
        for frame in read_frames(info.path):
            writer.write(frame)
    return time.perf_counter() - begun


def measure(
    target: Alignments, movie: Path, embedder: Embedder, mesh: Mesh, identity: np.ndarray, replaced: np.ndarray
) -> list[float]:
    """Mean over all frames: distance to source, to target, expression distance and its floor in %."""
    rows = {int(target.frame[row]): int(row) for row in target.of_person(0)}
    values = []
    for original, result in zip(read_frames(Path(target.clip.path)), read_frames(movie), strict=True):
        if original.index not in rows:
            continue
        known = target.landmarks[rows[original.index]]
        region = region_of_face(known)
        (after,), _ = mesh([result.rgb], [region])
        (before,), _ = mesh([original.rgb], [region])
        (again,), _ = mesh([original.rgb], [region * [1, 1, 1.08, 1]])
        between = np.linalg.norm(before[EYES[0], :2] - before[EYES[1], :2])
        (embedding,) = embedder.embed([result.rgb], known[None])
        moved, floor = (
            100 * np.linalg.norm(p - before, axis=1).mean() / between
            for p, before in ((p[EXPRESSIVE_VERTICES, :2], before[EXPRESSIVE_VERTICES, :2]) for p in (after, again))
        )
        values.append([np.linalg.norm(embedding - identity), np.linalg.norm(embedding - replaced), moved, floor])
    return np.mean(values, 0).tolist()


def sheet(target: Alignments, movies: dict[str, Path], path: Path) -> None:
    rows = target.of_person(0)
    chosen = {int(target.frame[r]): r for r in rows[np.linspace(0, len(rows) - 1, COLUMNS).round().astype(int)]}
    strips = []
    for movie in (Path(target.clip.path), *movies.values()):
        tiles = []
        for frame in read_frames(movie):
            if frame.index in chosen:
                matrix = crop_matrix(target.landmarks[chosen[frame.index]], TILE)
                tiles.append(crop(frame.rgb, matrix, TILE))
        strips.append(np.concatenate(tiles, 1))
    cv2.imwrite(str(path), cv2.cvtColor(np.concatenate(strips), cv2.COLOR_RGB2BGR))


if __name__ == "__main__":
    main()
