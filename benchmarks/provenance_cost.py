"""What share of a conversion's work are its mark, hashes, metadata and signature?

usage: python benchmarks/provenance_cost.py RECAST OUT [--end N]

RECAST is a movie that `understudy convert` or `swap` made, with its `.understudy.json` beside it; it is made again as
OUT, in another folder, in one process whose CPU time is divided up: putting the mark in (by thread), and everything
after the last frame (hashing, XMP, signing in its own process, the record).
"""

from __future__ import annotations

import argparse
import json
import resource
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from understudy.engine.convert import conversion as conversion
from understudy.engine.job_bodies import pick_device
from understudy.engine.protocol import ConvertSpec, from_json
from understudy.engine.provenance import recasts
from understudy.engine.reporter import Silent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recast", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--end", type=int)
    options = parser.parse_args()
    told = json.loads(options.recast.with_name(f"{options.recast.name}.understudy.json").read_text(encoding="utf-8"))
    spec = from_json(ConvertSpec, told["convert"])
    spec = replace(spec, output=str(options.out.resolve()), end=options.end or spec.end)
    options.out.unlink(missing_ok=True)
    marking = 0.0

    def timed(*face: Any) -> Any:
        nonlocal marking
        begun = time.thread_time()
        marked = put(*face)
        marking += time.thread_time() - begun
        return marked

    put = recasts.marker(spec)
    assert put is not None, "this recast was made without a mark"
    import torch

    signing = 0.0

    def sign(counts: dict[str, int], made: Mapping[Path, Path]) -> dict[Path, Path]:
        nonlocal signing
        started = cpu()
        beside = recasts.certify(spec, Silent(), {}, counts, made)
        signing = cpu() - started
        return beside

    begun = cpu()
    counts = conversion.convert(spec, torch.device(pick_device()), Silent(), timed, sign)
    whole = cpu() - begun
    frames = counts["frames"]
    print(f"{frames} frames, {counts['recast']} recast: {whole:.1f} s of CPU, {1000 * whole / frames:.0f} ms a frame")
    print(
        f"  the mark {marking:.2f} s, {marking / whole:.1%} ({1000 * marking / max(counts['recast'], 1):.1f} ms a face)"
    )
    print(f"  hashes, XMP, signature, record {signing:.2f} s, {signing / whole:.1%} (starting two processes, mostly)")
    print(f"  together {(marking + signing) / whole:.1%}")


def cpu() -> float:
    """CPU seconds of this process and the children that ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


if __name__ == "__main__":
    main()
