"""How fast footage is read and written, beside the floor of PyAV alone; and what 10-bit HDR loses on its way.

    python benchmarks/media_speed.py FOOTAGE OUT

FOOTAGE is any movie; it is scaled to 640×360, 1920×1080 and 3840×2160. Prints tables in Markdown.
"""

from __future__ import annotations

import argparse
import itertools
import os
import time
from pathlib import Path

import av
import numpy as np
from understudy.engine.media.float_view import Patch, apply_patches
from understudy.engine.media.planes import plane_array
from understudy.engine.media.reader import Frame, probe, read_frames
from understudy.engine.media.writer import MovieWriter

SIZES = {(640, 360): 240, (1920, 1080): 72, (3840, 2160): 24}
OPTIONS = {"crf": "12", "preset": "fast", "bf": "0"}


def scaled(footage: Path, output: Path, size: tuple[int, int], frames: int) -> Path:
    """The footage at another size, over again until it is long enough."""
    with av.open(str(output), "w") as container:
        stream = container.add_stream("libx264", rate=24, options={"crf": "20", "preset": "veryfast"})
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        source = itertools.chain.from_iterable(read_frames(footage) for _ in itertools.count())
        for number, frame in zip(range(frames), source, strict=False):
            picture = frame.native.reformat(*size, "yuv420p")
            picture.pts, picture.time_base = number, 1 / stream.codec_context.framerate
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
    return output


def floor(path: Path, output: Path) -> None:
    """Decode and encode with PyAV alone, as the writer sets its encoder."""
    with av.open(str(path)) as source, av.open(str(output), "w") as container:
        source.streams.video[0].thread_type = "AUTO"
        stream = container.add_stream("libx264", rate=24, options=OPTIONS)
        coder, like = stream.codec_context, source.streams.video[0]
        coder.width, coder.height, coder.pix_fmt, coder.gop_size = like.width, like.height, "yuv420p", 12
        coder.thread_count = os.cpu_count() or 1
        for frame in source.decode(video=0):
            frame.pict_type = 0
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def ours(path: Path, output: Path, share: float, format: str = "h264") -> None:
    """Read and write; `share` is the side of a recast square as a part of the height, 0 for none."""
    info = probe(path)
    side = int(info.height * share) // 2 * 2
    x, y = (info.width - side) // 2, (info.height - side) // 2
    matte = np.ones((side, side), np.float32)
    with MovieWriter(output, info, 0, info.frames, format=format) as writer:
        for frame in read_frames(path):
            patches = []
            if side:
                _ = frame.rgb
                patches = [Patch(x, y, frame.view((x, y, x + side, y + side)) * 0.9, matte)]
            writer.write(frame, patches)


def seconds(work, *arguments) -> float:
    begun = time.perf_counter()
    work(*arguments)
    return time.perf_counter() - begun


def speed(footage: Path, folder: Path) -> None:
    print("| | frames | PyAV alone | ours | ratio | with a face of a third of the height | ratio |")
    print("|---|---|---|---|---|---|---|")
    for size, frames in SIZES.items():
        path = scaled(footage, folder / f"{size[1]}.mp4", size, frames)
        probe(path)
        times = [
            min(seconds(work, path, folder / "out.mp4", *more) for _ in range(2))
            for work, *more in ((floor,), (ours, 0.0), (ours, 1 / 3))
        ]
        plain, passed, faced = (frames / t for t in times)
        print(
            f"| {size[0]}×{size[1]} | {frames} | {plain:.1f}/s | {passed:.1f}/s | {times[1] / times[0]:.2f} "
            f"| {faced:.1f}/s | {times[2] / times[0]:.2f} |",
            flush=True,
        )


def formats(folder: Path) -> None:
    print("\n| 1920×1080 as | frames/s |\n|---|---|")
    path = folder / "1080.mp4"
    for name, output in (
        ("h265", "o.mp4"), ("prores-hq", "o.mov"), ("dnxhr", "d.mov"), ("ffv1", "o.mkv"), ("png", "png"), ("exr", "exr")
    ):  # fmt: skip
        frames = probe(path).frames
        print(f"| {name} | {frames / seconds(ours, path, folder / output, 1 / 3, name):.1f} |", flush=True)


def hdr(folder: Path) -> None:
    """A ramp painted into 10-bit noise: samples outside are compared, codes inside are counted."""
    print("\n| 10 bit 4:2:0 | largest error outside | codes used of those in the ramp | of an 8-bit ramp |")
    print("|---|---|---|---|")
    for name, transfer in (("PQ", 16), ("HLG", 18)):
        native = av.VideoFrame(1920, 1080, "yuv420p10le")
        random = np.random.default_rng(0)
        for plane in range(3):
            samples = plane_array(native, plane)
            samples[:] = random.integers(300, 700, samples.shape)
        native.colorspace, native.color_primaries, native.color_trc, native.color_range = 9, 9, transfer, 1
        ramp = np.broadcast_to(np.linspace(0.2, 0.7, 1200, dtype=np.float32)[None, :, None], (600, 1200, 3))
        used = []
        for picture in (ramp, np.round(ramp * 255) / 255):
            after = apply_patches(
                native, [Patch(300, 200, picture.astype(np.float32), np.ones((600, 1200), np.float32))]
            )
            codes = plane_array(after, 0)[200:800, 300:1500]
            used.append(len(np.unique(codes)) / (int(codes.max()) - int(codes.min()) + 1))
        path = folder / f"{name}.mkv"
        with av.open(str(folder / "in.mkv"), "w") as container:
            stream = container.add_stream("ffv1", rate=24, options={"level": "3"})
            stream.width, stream.height, stream.pix_fmt = 1920, 1080, "yuv420p10le"
            coder = stream.codec_context
            coder.colorspace, coder.color_primaries, coder.color_trc, coder.color_range = 9, 9, transfer, 1
            native.pts = 0
            container.mux(stream.encode(native))
            container.mux(stream.encode(None))
        with MovieWriter(path, probe(folder / "in.mkv"), 0, 1, format="ffv1") as writer:
            frame: Frame = next(read_frames(folder / "in.mkv"))
            writer.write(frame, [Patch(300, 200, ramp, np.ones((600, 1200), np.float32))])
        result, worst = next(read_frames(path)).native, 0
        for plane, (x0, y0, x1, y1) in enumerate([(300, 200, 1500, 800), *[(150, 100, 750, 400)] * 2]):
            error = np.abs(plane_array(native, plane).astype(int) - plane_array(result, plane))
            error[y0:y1, x0:x1] = 0
            worst = max(worst, int(error.max()))
        print(f"| {name} | {worst} | {used[0]:.0%} | {used[1]:.0%} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("footage", type=Path)
    parser.add_argument("out", type=Path)
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    speed(arguments.footage, arguments.out)
    formats(arguments.out)
    hdr(arguments.out)


if __name__ == "__main__":
    main()
