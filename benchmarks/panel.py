"""Drafts, or trained recasts, of a panel of pairs of clips: figures, a table, and a sheet of each pair's worst frames.

usage: python benchmarks/panel.py FOOTAGE WORK [--pairs NAME …] [--minutes M] [--frames N] [--compare OLD.json]

FOOTAGE is the folder that the paths of panel_pairs.json (or of --table) start from. WORK keeps scans and facesets, so
that another run costs drafting and judging alone; each run writes WORK/results/LABEL.json and WORK/sheets/LABEL/.

identity    dlib's distance from the recast face to the mean of the source's own frames; floor is how far those lie
            from it, p95 the 95th percentile
retrieval   share of frames whose nearest of all the panel's people is the source
expression  dlib's inner 51 points from where the footage has them, % of the eyes' distance; and by the engine's own
            mesh (lips, lids, brows), with what measuring the footage twice gives
gaze        irises between the corners of open eyes, from where the footage has them, % of the eye's width; apart is
            how far the two eyes disagree about it
lids        how far lids are open, against the footage, % of the eye's width; winks: frames where one eye does it more
skin        % of plain skin whose colour lies beyond what source and footage show there
shade       correlation of the recast's low and middle frequencies of luma on skin with the footage's
folds       correlation of what changes in skin's fine shading (a frown, a fold beside the mouth) with the footage's
hair        % of the face that is hair in the recast and was none (needs --hair, MediaPipe's network)
flicker     by how much more two frames in a row differ than the footage's, 8-bit levels
s/face      seconds a face takes on one thread, reading and writing not counted
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import time
from datetime import date
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import cv2
import numpy as np
import torch
from panel_judge import Judge, Person, Verdict, flicker, hair_network, judge_folds, judge_frame, person
from panel_recast import Pair, draft_source, faceset_of, recasts, scan_of, trained_source
from panel_sheets import HIGHER_IS_BETTER, sheet
from understudy.engine.protocol import ConvertSettings

PAIRS = Path(__file__).with_name("panel_pairs.json")
OWN_FRAMES = 40
"""Frames of a source that tell who it is."""
SAME = 0.25
"""People whose mean embeddings lie nearer than this are one: the gallery does not count them against each other."""
HEADS = {
    "identity": "ident", "identity_p95": "p95", "floor": "floor", "retrieved": "retr", "expression": "expr",
    "expression_floor": "efl", "own_expression": "own", "own_floor": "ofl", "gaze": "gaze", "gaze_floor": "gfl",
    "eyes_apart": "apart", "lids": "lids", "wink": "wink", "skin": "skin", "shade_low": "shLow", "shade_mid": "shMid",
    "folds": "folds", "hair": "hair", "doubt": "doubt", "flicker": "flick", "seconds": "s/face",
}  # fmt: skip
JUDGED = {
    "identity": 0.008, "expression": 0.15, "own_expression": 0.15, "gaze": 0.5, "eyes_apart": 0.5, "lids": 0.5,
    "wink": 0.04, "skin": 0.5, "shade_low": 0.01, "shade_mid": 0.02, "folds": 0.03, "hair": 0.3, "flicker": 0.1,
}  # fmt: skip
"""Figures that two runs are compared by, and the difference of a pair's means below which nobody sees it."""


def main() -> None:
    """Run the panel."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("footage", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--table", type=Path, default=PAIRS, help="pairs of your own, like panel_pairs.json")
    parser.add_argument("--pairs", nargs="*", help="parts of the names of the pairs to run (default: all)")
    parser.add_argument("--minutes", type=float, default=0.0, help="train each pair so long; 0 is the draft")
    parser.add_argument("--frames", type=int, default=28, help="frames of a pair that are judged")
    parser.add_argument("--label", default="draft", help="name of this run's results")
    parser.add_argument("--compare", type=Path, help="results of an earlier run")
    parser.add_argument("--hair", type=Path, help="hair_segmentation.tflite of MediaPipe 0.8.2")
    parser.add_argument("--shape", type=float, default=ConvertSettings().shape)
    options = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    torch.set_flush_denormal(True)
    pairs = [
        Pair(p["name"], options.footage / p["shot"], options.footage / p["face"],
             p.get("shot_person", 0), p.get("face_person", 0))
        for p in json.loads(options.table.read_text(encoding="utf-8"))
    ]  # fmt: skip
    judge = Judge(hair_network(options.hair) if options.hair else None)
    people = gallery(judge, pairs, options.work)
    wanted = [p for p in pairs if not options.pairs or any(part in p.name for part in options.pairs)]
    results: dict[str, Any] = {"made": facts(options), "pairs": {}}
    path = options.work / "results" / f"{options.label}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    old = json.loads(options.compare.read_text(encoding="utf-8")) if options.compare else None
    print(f"{'pair':26}" + "".join(f"{h:>7}" for h in HEADS.values()), flush=True)
    for pair in wanted:
        verdicts, seconds = run_pair(judge, pair, people, options)
        results["pairs"][pair.name] = {
            "floor": people[(pair.face, pair.face_person)].floor,
            "seconds": seconds,
            "frames": [{"frame": v.frame, **{k: round(x, 4) for k, x in v.values.items()}} for v in verdicts],
        }
        print(row(pair.name, summary(results["pairs"][pair.name])), flush=True)
        sheet(verdicts, options.work / "sheets" / options.label / f"{pair.name.replace('<-', '--')}.png")
        path.write_text(json.dumps(results), encoding="utf-8")
    table = [summary(p) for p in results["pairs"].values()]
    print(row("mean", {k: float(np.nanmean([t[k] for t in table])) for k in HEADS}))
    if old:
        compare(old["pairs"], results["pairs"])


def run_pair(
    judge: Judge, pair: Pair, people: dict[tuple[Path, int], Person], options: argparse.Namespace
) -> tuple[list[Verdict], float]:
    """Recast and judge a pair."""
    source = (
        trained_source(pair, options.work, options.minutes) if options.minutes else draft_source(pair, options.work)
    )
    shown, seconds = recasts(pair, source, options.work, options.frames, ConvertSettings(shape=options.shape))
    own = people[(pair.face, pair.face_person)]
    target = people[(pair.shot, pair.shot_person)].embedding
    others = [p.embedding for p in people.values()]
    far = [e for e in others if min(np.linalg.norm(e - own.embedding), np.linalg.norm(e - target)) > SAME]
    verdicts = []
    for n, one in enumerate(shown):
        footage = (judge.look(one.footage, one.placement.face), judge.look(one.footage, one.placement.face, 1.08))
        verdict = judge_frame(judge, one, footage, own, np.stack(far), target)
        if n and one.frame == shown[n - 1].frame + 1:
            verdict.values["flicker"] = flicker(shown[n - 1], one, footage[0].mesh)
        verdicts.append(verdict)
    judge_folds(verdicts)
    return verdicts, seconds


def gallery(judge: Judge, pairs: list[Pair], work: Path) -> dict[tuple[Path, int], Person]:
    """All people of the panel, each from their own frames; kept in the work folder."""
    people: dict[tuple[Path, int], Person] = {}
    for key in dict.fromkeys(k for p in pairs for k in ((p.face, p.face_person), (p.shot, p.shot_person))):
        path = work / "people" / f"{key[0].stem}-{key[1]}.npz"
        if not path.is_file():
            scan_of(key[0], work)
            faces = faceset_of(*key, work)
            rows = np.linspace(0, len(faces) - 1, min(OWN_FRAMES, len(faces))).round().astype(int)
            found = person(judge, [faces.pixels[r] for r in rows], [faces.landmarks[r] for r in rows])
            path.parent.mkdir(parents=True, exist_ok=True)
            np.savez(path, **vars(found))
        with np.load(path) as stored:
            people[key] = Person(stored["embedding"], float(stored["floor"]), stored["low"], stored["high"])
    return people


def summary(pair: dict[str, Any]) -> dict[str, float]:
    """A pair's figures: means over its frames, and what is told of the whole of it."""
    values = {k: [f[k] for f in pair["frames"] if k in f] for k in HEADS}
    told = {k: float(np.mean(v)) if v else float("nan") for k, v in values.items()}
    told["identity_p95"] = float(np.percentile(values["identity"], 95))
    return told | {"floor": pair["floor"], "seconds": pair["seconds"]}


def row(name: str, told: dict[str, float]) -> str:
    """A line of the table."""
    return f"{name:26}" + "".join(f"{told[k]:7.3f}" if abs(told[k]) < 10 else f"{told[k]:7.1f}" for k in HEADS)


def compare(old: dict[str, Any], new: dict[str, Any]) -> None:
    """Print what changed between two runs, pair by pair, by more than chance.

    Frames are compared with themselves. A mean of a pair counts as changed when it moved by more than nobody sees
    (JUDGED) and by more than twice the standard error of its frames' own changes.
    """
    print("\nbefore → after; means over the pairs that both runs have")
    both = [name for name in new if name in old]
    for figure in JUDGED:
        a, b = (float(np.nanmean([summary(r[n])[figure] for n in both])) for r in (old, new))
        print(f"{figure:16}{a:9.3f} →{b:9.3f}")
    for name in both:
        better, worse = [], []
        before = {f["frame"]: f for f in old[name]["frames"]}
        for figure, least in JUDGED.items():
            moved = np.array([
                f[figure] - before[f["frame"]][figure]
                for f in new[name]["frames"]
                if figure in f and figure in before.get(f["frame"], {})
            ])  # fmt: skip
            if len(moved) < 2 or abs(moved.mean()) < max(least, 2 * moved.std() / len(moved) ** 0.5):
                continue
            good = (moved.mean() > 0) == (figure in HIGHER_IS_BETTER)
            (better if good else worse).append(f"{figure} {moved.mean():+.3f}")
        print(f"{name:26} better: {', '.join(better) or '-'}   WORSE: {', '.join(worse) or '-'}")


def facts(options: argparse.Namespace) -> dict[str, str]:
    """What a run was made with."""
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, cwd=PAIRS.parent)
    made = {k: str(v) for k, v in vars(options).items()}
    return made | {
        "commit": commit.stdout.strip(), "date": date.today().isoformat(), "machine": platform.processor(),
        "began": time.strftime("%H:%M"),
    }  # fmt: skip


if __name__ == "__main__":
    main()
