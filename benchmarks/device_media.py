"""How fast a device scans and converts, and what a card's own decoder and encoder do: a part of `device.py`."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from convert_speed import measured, scaled
from device_parts import Bench
from scan_speed import observed
from understudy.engine.faces.alignments import load_alignments
from understudy.engine.media.footage import as_footage
from understudy.engine.media.planes import plane_array
from understudy.engine.media.reader import probe, read_frames

SECONDS_OF_FILM = {1080: 4, 2160: 2}
ENCODERS = ("libx264", "h264_nvenc", "hevc_nvenc", "av1_nvenc")


def clip_of(bench: Bench, height: int) -> Path:
    """The scan of the shot scaled to a height; its movie, coded once, lies beside it."""
    height = 144 * height // 1080 // 2 * 2 if bench.tiny else height
    folder = bench.work / "speed"
    folder.mkdir(exist_ok=True)
    known = load_alignments(bench.scan("shot"))
    count = min(8 if bench.tiny else 25 * SECONDS_OF_FILM[height], probe(Path(known.clip.path)).frames)
    made = folder / f"scan-{height}"
    return made if (made / "alignments.safetensors").is_file() else scaled(known, height, count, count, folder)


def converted(bench: Bench, height: int) -> dict[str, Any]:
    """A conversion by the preset standard."""
    scan = clip_of(bench, height)
    model = bench.model("standard")
    measured(scan, model, "face", bench.work / "speed", bench.device)  # what is loaded and compiled once
    took, *_ = measured(scan, model, "face", bench.work / "speed", bench.device)
    count = took.frames
    found = {
        "frames": count,
        "width": took.width,
        "height": took.height,
        "faces": took.faces,
        "frames/s": count / took.whole[0],
        "decode + encode alone, frames/s": count / took.plain[0],
        "times decode + encode": took.whole[0] / took.plain[0],
        "seconds to get ready": took.ready[0],
        "processor's ms a frame": 1000 * took.whole[1] / count,
        "decode + encode alone, processor's ms a frame": 1000 * took.plain[1] / count,
    }
    words = (
        f"{found['frames/s']:.3g} frames/s at {took.width}×{took.height}, {found['times decode + encode']:.2f} × "
        f"decode + encode ({found['decode + encode alone, frames/s']:.3g} frames/s)."
    )
    return {"words": words, **found}


def scanned(bench: Bench) -> dict[str, Any]:
    """A scan at 1080 lines."""
    path = Path(load_alignments(clip_of(bench, 1080)).clip.path)
    count, footage = probe(path).frames, as_footage(path)
    observed(footage, min(count, 4), str(bench.device))
    begun = time.perf_counter()
    faces = observed(footage, count, str(bench.device))
    bench.wait()
    seconds = time.perf_counter() - begun
    alone = took(lambda: [None for _ in read_frames(path, 0, count)])
    found = {
        "frames": count,
        "faces": faces,
        "faces/s": faces / seconds,
        "frames/s": count / seconds,
        "decoding alone, frames/s": count / alone,
    }
    return {"words": f"{found['faces/s']:.3g} faces/s, {found['frames/s']:.3g} frames/s.", **found}


def took(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def codecs(bench: Bench) -> dict[str, Any]:
    """The card's decoder and encoders beside the processor's, on the same movies."""
    from av.codec.hwaccel import hwdevices_available

    found: dict[str, Any] = {"ffmpeg's devices": hwdevices_available()}
    for height in (1080, 2160):
        path = Path(load_alignments(clip_of(bench, height)).clip.path)
        count = probe(path).frames
        found[f"{height}, decoded by the processor, frames/s"] = count / took(lambda p=path: list_frames(p, False))
        try:
            list_frames(path, True)
            found[f"{height}, decoded by the card, frames/s"] = count / took(lambda p=path: list_frames(p, True))
            found[f"{height}, same frames"] = same_frames(path)
        except Exception as error:  # whatever the driver says
            found[f"{height}, decoded by the card"] = f"{type(error).__name__}: {str(error)[:200]}"
        for name in ENCODERS:
            try:
                encode(path, bench.work / "speed" / f"{name}.mp4", name)
                seconds = took(lambda p=path, n=name: encode(p, bench.work / "speed" / f"{n}.mp4", n))
                found[f"{height}, decoded and coded by {name}, frames/s"] = count / seconds
            except Exception as error:
                found[f"{height}, coded by {name}"] = f"{type(error).__name__}: {str(error)[:200]}"
    told = {k: v for k, v in found.items() if isinstance(v, float | bool)}
    return {"words": ", ".join(f"{k} {v:.4g}" for k, v in told.items()) + ".", **found}


def decoded(path: Path, card: bool) -> Iterator[av.VideoFrame]:
    """Frames of a movie; those that the card decodes are copied to the processor's memory."""
    from av.codec.hwaccel import HWAccel

    more: dict[str, Any] = {"hwaccel": HWAccel("cuda", allow_software_fallback=False)} if card else {}
    with av.open(str(path), **more) as container:
        if not card:
            container.streams.video[0].thread_type = "AUTO"
        yield from container.decode(video=0)


def list_frames(path: Path, card: bool) -> None:
    for _ in decoded(path, card):
        pass


def same_frames(path: Path) -> bool:
    """Whether every sample is the same, whoever decoded it."""
    for ours, theirs in zip(decoded(path, False), decoded(path, True), strict=True):
        other = theirs.reformat(format=ours.format.name)
        if any((plane_array(ours, n) != plane_array(other, n)).any() for n in range(len(ours.planes))):
            return False
    return True


def encode(path: Path, output: Path, name: str) -> None:
    """Decode by the processor and code again at a fixed quality."""
    options = {"crf": "18", "preset": "fast"} if name == "libx264" else {"rc": "constqp", "qp": "20", "preset": "p4"}
    with av.open(str(output), "w") as container:
        stream = container.add_stream(name, rate=Fraction(25), options=options)
        info = probe(path)
        stream.width, stream.height, stream.pix_fmt = info.width, info.height, "yuv420p"
        for frame in decoded(path, False):
            frame.pict_type = 0
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
