"""How fast is conversion, and where does its time go?

usage: python benchmarks/convert_speed.py SCAN MODEL IDENTITY OUT_FOLDER [--frames 48] [--height 1080] [--device cpu]

The scanned clip's frames are scaled to each height (1080 alone, or several: --height 360 1080 2160) and its
alignments with them, written as H.264, and recast. Prints frames a second of the whole conversion, its ratio to
decoding and encoding the same file untouched, what getting ready takes once, CPU milliseconds a frame of each stage
measured by itself (decode, the face's bytes, network with cutting out, measuring, compositing, carrying the change
back, encode), and peak memory (`convert_memory.py` looks at it over time).
"""

from __future__ import annotations

import argparse
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import torch
from process_memory import peak, resident
from understudy.engine.convert.composite import composite
from understudy.engine.convert.conversion import convert
from understudy.engine.convert.face_batch import crop_of, render_faces
from understudy.engine.convert.plan import Placement, make_plan
from understudy.engine.convert.render import FRAMES_PER_BATCH, Work, render
from understudy.engine.convert.source_identities import load_sources
from understudy.engine.faces.alignments import Alignments, load_alignments
from understudy.engine.media.float_view import apply_patches
from understudy.engine.media.reader import probe, read_frames
from understudy.engine.media.writer import MovieWriter
from understudy.engine.memory import keep_memory
from understudy.engine.protocol import Clip, ConvertSpec, Swap
from understudy.engine.provenance.recasts import marker
from understudy.engine.reporter import Silent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scan", type=Path)
    parser.add_argument("model", type=Path)
    parser.add_argument("identity")
    parser.add_argument("out", type=Path)
    parser.add_argument("--frames", type=int, default=48)
    parser.add_argument("--height", type=int, nargs="+", default=[1080])
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    keep_memory()  # as every job does
    for height in options.height:
        scan = scaled(load_alignments(options.scan), height, options.frames, options.frames, options.out)
        one(scan, options.model.resolve(), options.identity, options.out, torch.device(options.device))


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What a conversion of `frames` frames took, and what decoding and encoding them untouched: seconds by the clock
    and of processor time. `ready` is what comes before its first frame, and is not in `whole`."""

    frames: int
    width: int
    height: int
    faces: str
    plain: tuple[float, float]
    ready: tuple[float, float]
    whole: tuple[float, float]


def one(scan: Path, model: Path, identity: str, out: Path, device: torch.device) -> None:
    """Measure the conversion of one scan, and print it."""
    found, work, spec, alignments = measured(scan, model, identity, out, device)
    count, plain, whole = found.frames, found.plain, found.whole
    print(
        f"{found.width}×{found.height}, {count} frames, faces of {found.faces}: "
        f"ready in {found.ready[0]:.1f} s (CPU {found.ready[1]:.1f} s); then {count / whole[0]:.1f} frames/s, "
        f"{whole[0] / plain[0]:.2f} × decode + encode ({count / plain[0]:.1f} frames/s); CPU time "
        f"{1000 * whole[1] / count:.0f} ms a frame, {whole[1] / plain[1]:.2f} × decode + encode; "
        f"{resident():.0f} MB now, {peak():.0f} MB at most",
        flush=True,
    )
    stages(spec, alignments, work, count, plain[1])


def measured(
    scan: Path, model: Path, identity: str, out: Path, device: torch.device
) -> tuple[Measured, Work, ConvertSpec, Alignments]:
    """Convert one scan on a device into a new folder in `out`; what it took, and what it was made of."""
    alignments = load_alignments(scan)
    path = Path(alignments.clip.path)
    info = probe(path)
    shutil.rmtree(out / "recast", ignore_errors=True)  # or its segments would be taken over
    (out / "recast").mkdir(parents=True)
    spec = ConvertSpec(
        scan=str(scan),
        model=str(model),
        swaps=[Swap(person=0, identity=identity)],
        output=str(out / "recast" / "recast.mp4"),
    )

    def untouched() -> None:
        with MovieWriter(out / "plain.mp4", info, 0, info.frames) as writer:
            for frame in read_frames(path):
                writer.write(frame)

    plain = took(untouched)
    for _ in range(2):  # the second time nothing is cold, as in the conversion that it is taken off from
        begun = [time.perf_counter(), time.process_time()]
        sources = load_sources(model, {identity}, device, True)
        plan = make_plan(alignments, spec.swaps, sources, spec.settings)
        ready = (time.perf_counter() - begun[0], time.process_time() - begun[1])
    every = took(lambda: convert(spec, device, Silent(), marker(spec)))
    found = Measured(
        frames=info.frames,
        width=info.width,
        height=info.height,
        faces=faces_of(plan),
        plain=plain,
        ready=ready,
        whole=(every[0] - ready[0], every[1] - ready[1]),
    )
    return found, Work(plan, sources, device, marker(spec)), spec, alignments


def took(work: Callable[[], object]) -> tuple[float, float]:
    """Seconds by the clock, and of processor time."""
    begun = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - begun[0], time.process_time() - begun[1]


def faces_of(plan: dict[int, list[Placement]]) -> str:
    """Sides of the crops, in source pixels and as they are rendered."""
    first = next(iter(plan.values()))[0]
    return f"{first.size / np.sqrt(abs(np.linalg.det(first.matrix[:, :2]))):.0f} pixels rendered at {first.size}"


def stages(spec: ConvertSpec, alignments: Alignments, work: Work, count: int, plain: float) -> None:
    """CPU time of each stage by itself."""
    spent = dict.fromkeys(("decode", "bytes", "network", "measure", "composite", "carry"), 0.0)
    frames = iter(read_frames(Path(alignments.clip.path)))
    rendered = 0
    while rendered < min(count, 6 * FRAMES_PER_BATCH):
        t = [time.process_time()]
        batch = [f for _, f in zip(range(FRAMES_PER_BATCH), frames, strict=False)]
        t.append(time.process_time())
        for frame in batch:
            for placement in work.plan.get(frame.index, ()):
                crop_of(frame, placement)
        t.append(time.process_time())
        render_faces(batch, work.plan, work.sources, work.device)
        t.append(time.process_time())
        made = render(batch, work, None)
        t.append(time.process_time())
        patches = [composite(i.frame.view, i.frame.index, i.faces, work.mark) for i in made]
        t.append(time.process_time())
        for item, some in zip(made, patches, strict=True):
            apply_patches(item.frame.native, some)
        t.append(time.process_time())
        steps = np.diff(t)
        steps[3] -= steps[2]
        for name, step in zip(spent, steps, strict=True):
            spent[name] += step
        rendered += len(batch)
    each = {name: 1000 * seconds / rendered for name, seconds in spent.items()}
    each["encode"] = 1000 * plain / count - each["decode"]
    print("  CPU ms a frame: " + ", ".join(f"{name} {value:.1f}" for name, value in each.items()), flush=True)


def scaled(alignments: Alignments, height: int, frames: int, count: int, out: Path, faces: float = 1.0) -> Path:
    """A scan of the clip's first frames at another height, there and back until there are `count` of them.

    Of every 25 frames the first `faces` 0..1 of them keep their face.
    """
    factor = height / alignments.height
    width = round(alignments.width * factor / 2) * 2
    factors = np.array([width / alignments.width, factor], np.float32)
    folder = out / f"scan-{height}"
    folder.mkdir(exist_ok=True)
    pictures = [f.rgb for f in read_frames(Path(alignments.clip.path), 0, frames)]
    period = [*range(frames), *reversed(range(frames))][:count]
    path = out / f"clip-{height}.mp4"
    with av.open(str(path), "w") as container:
        options = {"crf": "14", "preset": "veryfast", "bf": "0", "x264-params": "open-gop=0"}
        stream = container.add_stream("libx264", rate=Fraction(25), options=options)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        packets = []
        for n in period:
            picture = cv2.resize(pictures[n], (width, height), interpolation=cv2.INTER_CUBIC)
            packets += stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24"))
        packets += stream.encode(None)
        coded = [(bytes(packet), packet.is_keyframe, packet.time_base) for packet in packets]
        for n in range(count):  # the period again and again, encoded once
            data, key, base = coded[n % len(period)]
            packet = av.Packet(data)
            packet.pts = packet.dts = round(n / 25 / base)
            packet.time_base, packet.stream, packet.is_keyframe = base, stream, key
            packet.duration = round(1 / 25 / base)
            container.mux(packet)
    rows = {int(alignments.frame[r]): int(r) for r in alignments.of_person(0)}
    order = [(n, period[n % len(period)]) for n in range(count) if n % 25 < 25 * faces]
    numbers, chosen = (np.array(x) for x in zip(*((n, rows[f]) for n, f in order if f in rows), strict=True))
    names = ("box", "landmarks", "score", "sharpness", "embedding", "track", "person", "carried")
    columns = {name: getattr(alignments, name)[chosen] for name in names}
    columns["irises"] = None if alignments.irises is None else alignments.irises[chosen] * factors
    columns["box"] = columns["box"] * np.tile(factors, 2)
    columns["landmarks"] = columns["landmarks"] * np.float32([*factors, factor])
    clip = Clip(path=str(path.resolve()), start=0, end=None)
    made = replace(
        alignments, clip=clip, width=width, height=height, fps=Fraction(25), frame=numbers.astype(np.int32), **columns
    )
    made.save(folder)
    return folder


if __name__ == "__main__":
    main()
