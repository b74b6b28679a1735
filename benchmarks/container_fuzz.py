"""Movies and pictures, spoiled at random, scanned and recast by the command line.

python benchmarks/container_fuzz.py WORK [--first 0] [--mutations 2000] [--minutes 1000] [--seed N] [--whole 1]

Five files of one man are made from the tests' footage: v.mp4 (H.264 with B-frames, AAC), an MKV (H.264, Opus), an AVI
(MPEG-4 with B-frames, MP3), a MOV (ProRes, PCM, timecode) and a sequence of PNG pictures. Mutation k is of file k mod
5: one to eight bits flipped (in its first or last tenth, or anywhere), the file cut off, two boxes swapped, or a
stretch zeroed, doubled, left out or replaced by noise. Each is scanned, and recast with a draft where that found
somebody, by the commands, in processes forked from one that has loaded the engine. With `--whole N` that is done with
each N-th; the others go through what of it meets the file: `doctor --footage`, which decodes all of it, and the writer,
which passes every frame and the sound through into a movie.

Failures: a traceback or exit code 70, a death by signal, more than HANG_S seconds, and a scan or recast under its final
name that is not whole (the recast is decoded to its last frame and has as many as the scan counted) or not announced.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import shutil
import struct
import sys
import time
from collections import Counter
from fractions import Fraction
from pathlib import Path
from typing import Any

from project_fuzz import CODES, FOOTAGE, ROOT, load_engine, run

FRAMES = 4
HANG_S = 60
"""Seconds by the clock that a command may take; a whole file's take one or two."""
BOXES = {b"moov", b"trak", b"mdia", b"minf", b"stbl", b"edts", b"udta", b"dinf"}
"""ISO boxes that hold boxes (ISO/IEC 14496-12); lists of RIFF are found likewise."""
EBML_IDS = (
    *(b"\x1a\x45\xdf\xa3", b"\x11\x4d\x9b\x74", b"\x15\x49\xa9\x66", b"\x16\x54\xae\x6b"),
    *(b"\x1f\x43\xb6\x75", b"\x1c\x53\xbb\x6b", b"\xae", b"\xa3"),
)
"""Matroska's header, seek head, information, tracks, cluster, cues, track entry, block (RFC 9559)."""


def main() -> None:
    """Fuzz mutations `first` to `first` + `mutations`, or until the time is over; exits with 1 when anything failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--mutations", type=int, default=2000)
    parser.add_argument("--minutes", type=float, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--whole", type=int, default=1)
    given = parser.parse_args()
    work: Path = given.work.resolve()
    work.mkdir(parents=True, exist_ok=True)
    models = Path(os.environ.get("UNDERSTUDY_HOME", ROOT / ".understudy")).resolve() / "models"
    os.environ["UNDERSTUDY_HOME"] = str(work / "home")
    load_engine()
    if not (work / "clean" / "done").is_file():
        make_files(work, models)
    files = sorted(path for path in (work / "files").iterdir())
    ended, failures, began = Counter[str](), 0, time.monotonic()
    number = given.first
    while number < given.first + given.mutations and time.monotonic() - began < 60 * given.minutes:
        rng = random.Random(f"{given.seed}/{number}")
        shutil.rmtree(work / "trial", ignore_errors=True)
        shutil.copytree(work / "clean", work / "trial")
        path, how = spoiled(files[number % len(files)], work / "trial" / "in", rng)
        with (work / "log").open("w") as log:
            outcome, wrong = (passed if number % given.whole else tried)(path, work / "trial", log)
        ended[f"{files[number % len(files)].name}: {outcome}"] += 1
        if wrong:
            failures += 1
            said = (work / "log").read_text(errors="replace")[-2500:]
            print(f"FAILED {number}: {', '.join(wrong)}\n  {path.name}: {how}\n{said}", flush=True)
            shutil.copytree(work / "trial", work / f"failure-{number}", symlinks=True, dirs_exist_ok=True)
        number += 1
        if not number % 50:
            print(
                f"{number - given.first} mutations, {failures} failures, {time.monotonic() - began:.0f} s", flush=True
            )
    print(f"{number - given.first} mutations in {time.monotonic() - began:.0f} s, {failures} failures")
    for name, times in sorted(ended.items()):
        print(f"  {name}: {times}")
    sys.exit(1 if failures else 0)


def tried(path: Path, trial: Path, log: Any) -> tuple[str, list[str]]:
    """Scan and recast a file; how that ended, and what of it must not be."""
    wrong: list[str] = []
    scan, recast = trial / "scans" / "shot", trial / "recast.mp4"

    def command(*arguments: str) -> int:
        began = time.monotonic()
        code, text = run(list(arguments), trial)
        log.write(f"{' '.join(arguments)}\n{text}\n-> {code}\n")
        log.flush()
        wrong.extend([f"{arguments[0]}: exit {code}"] * (code not in CODES))
        wrong.extend([f"{arguments[0]}: traceback"] * ("Traceback" in text))
        wrong.extend([f"{arguments[0]}: {time.monotonic() - began:.0f} s"] * (time.monotonic() - began > HANG_S))
        return code

    code = command("scan", str(path), "-o", str(scan), "--json")
    if code:
        wrong.extend(["a scan that failed has its name"] * scan.exists())
        return f"scan {code}", wrong
    frames = json.loads((scan / "scan.json").read_text(encoding="utf-8"))["frames"]
    swap = ["--model", str(trial / "models" / "ann"), "--swap", "0:Bob=Ann", "--project", str(trial), "--json"]
    code = command("convert", str(scan), *swap, "-o", str(recast))
    if code:
        wrong.extend(["a recast that failed has its name"] * recast.exists())
    elif (whole := decodes(recast)) != frames:
        wrong.append(f"the recast has {whole} frames of {frames}")
    return f"convert {code}", wrong


def passed(path: Path, trial: Path, log: Any) -> tuple[str, list[str]]:
    """Look at a file and pass it through into a movie; how that ended, and what of it must not be."""
    wrong: list[str] = []
    output, began = trial / "passed.mp4", time.monotonic()
    for what, arguments, do in (
        ("doctor", ["doctor", "--footage", str(path), "--json"], None),
        ("passed", [], lambda: pass_through(path, output)),
    ):
        code, text = run(arguments, trial, do)
        log.write(f"{what}\n{text}\n-> {code}\n")
        log.flush()
        wrong.extend([f"{what}: exit {code}"] * (code not in CODES) + [f"{what}: traceback"] * ("Traceback" in text))
        if code and what == "doctor":
            break
    wrong.extend([f"{time.monotonic() - began:.0f} s"] * (time.monotonic() - began > HANG_S))
    if code:
        wrong.extend(["a movie that failed has its name"] * output.exists())
    elif (whole := decodes(output)) != int(text.split()[-1]):
        wrong.append(f"the movie has {whole} frames of {text.split()[-1]}")
    return f"{what} {code}", wrong


def pass_through(path: Path, output: Path) -> None:
    """Write every frame and the sound of a file, and say how many frames the movie is to have."""
    from understudy.engine.errors import UnderstudyError
    from understudy.engine.media.reader import probe, read_frames
    from understudy.engine.media.writer import MovieWriter

    try:
        info = probe(path)
        with MovieWriter(output, info, 0, info.frames) as writer:
            for frame in read_frames(path):
                writer.write(frame)
    except UnderstudyError as error:
        print(error)
        sys.exit(error.exit_code)
    print(info.frames)
    sys.exit(0)


def decodes(path: Path) -> int:
    """How many frames of a movie decode; -1 where one does not, or where it is no movie."""
    import av

    try:
        with av.open(str(path)) as container:
            container.streams.video[0].codec_context.options = {"err_detect": "explode"}
            return sum(1 for _ in container.decode(video=0))
    except (av.FFmpegError, IndexError):
        return -1


def make_files(work: Path, models: Path) -> None:
    """The files that are spoiled, and a project with a draft of somebody else: made by the commands."""
    clean, files, home = work / "clean", work / "files", work / "home"
    for folder in (clean, files):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
    home.mkdir(exist_ok=True)
    if not (home / "models").exists():
        shutil.copytree(models, home / "models")
    write_movie(files / "v.mp4", "libx264", "aac", {"g": "12", "bf": "2"})
    write_movie(files / "v.mkv", "libx264", "libopus", {"g": "3", "bf": "1"})
    write_movie(files / "v.avi", "mpeg4", "libmp3lame", {"bf": "2"})
    write_movie(files / "v.mov", "prores_ks", "pcm_s16le", {}, timecode="01:00:00:00")
    write_pictures(files / "v.pictures")
    steps = [
        ["scan", str(FOOTAGE / "astronaut.png"), "-o", str(clean / "scans" / "face")],
        *(
            ["identity", "consent", name, "--person", name, "--basis", "test footage", "--project", str(clean)]
            for name in ("Ann", "Bob")
        ),
        [
            *("train", "--identity", f"Ann={clean}/scans/face", "-o", f"{clean}/models/ann"),
            *("--preset", "draft", "--project", str(clean)),
        ],
    ]
    for arguments in steps:
        code, text = run(arguments, clean)
        if code:
            sys.exit(f"{arguments} ended with {code}: {text}")
    (clean / "done").touch()


def pictures() -> list[Any]:
    """The first frames of the man in the car."""
    from understudy.engine.media.reader import read_frames

    return [frame.rgb for frame in read_frames(FOOTAGE / "carphone.mp4", 0, FRAMES)]


def write_movie(path: Path, codec: str, sound: str, options: dict[str, str], timecode: str = "") -> None:
    """A movie with a sound track."""
    import av
    import numpy as np

    with av.open(str(path), "w") as container:
        picture: Any = container.add_stream(codec, rate=Fraction(25), options=options)
        picture.width, picture.height = 176, 144
        picture.pix_fmt = "yuv422p10le" if codec == "prores_ks" else "yuv420p"
        if timecode:
            picture.metadata["timecode"] = timecode
        track: Any = container.add_stream(sound, rate=48000)
        track.layout = "stereo"
        for number, rgb in enumerate(pictures()):
            frame = av.VideoFrame.from_ndarray(rgb, format="rgb24").reformat(format=picture.pix_fmt)
            frame.pts, frame.time_base = number, Fraction(1, 25)
            container.mux(picture.encode(frame))
        container.mux(picture.encode(None))
        form = track.codec_context.format.name
        samples = np.sin(np.arange(1920 * FRAMES) / 20)[None].repeat(2, 0).astype(np.float32)
        planar = av.AudioFrame.from_ndarray(samples, format="fltp", layout="stereo")
        planar.sample_rate = 48000
        for piece in av.AudioResampler(form, "stereo", 48000, track.codec_context.frame_size or 1024).resample(planar):
            container.mux(track.encode(piece))
        container.mux(track.encode(None))


def write_pictures(folder: Path) -> None:
    """A sequence that begins at 1001."""
    import cv2

    folder.mkdir()
    for number, rgb in enumerate(pictures(), 1001):
        cv2.imwrite(str(folder / f"v.{number}.png"), cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR))


def spoiled(path: Path, folder: Path, rng: random.Random) -> tuple[Path, str]:
    """A copy of a file, or of a folder with one of its pictures, changed in one way; what was done."""
    folder.mkdir(parents=True)
    copy = folder / path.name
    if path.is_dir():
        shutil.copytree(path, copy)
        target = rng.choice(sorted(copy.iterdir()))
    else:
        shutil.copy(path, copy)
        target = copy
    how = rng.choice([flip_head, flip, flip, cut, swap, swap, stretch])
    data = bytearray(target.read_bytes())
    said = how(data, rng)
    target.write_bytes(data)
    return copy, f"{target.name}: {said}"


def flip_head(data: bytearray, rng: random.Random) -> str:
    """Bits where containers tell of themselves: the first or last tenth."""
    tenth = max(len(data) // 10, 64)
    start = rng.choice([0, max(len(data) - tenth, 0)])
    return _flip(data, rng, start, min(start + tenth, len(data)))


def flip(data: bytearray, rng: random.Random) -> str:
    """Bits anywhere."""
    return _flip(data, rng, 0, len(data))


def _flip(data: bytearray, rng: random.Random, start: int, end: int) -> str:
    bits = [rng.randrange(8 * start, 8 * end) for _ in range(rng.randint(1, 8))]
    for bit in bits:
        data[bit // 8] ^= 1 << bit % 8
    return f"bits {bits}"


def cut(data: bytearray, rng: random.Random) -> str:
    """Nothing after a place."""
    length = rng.randrange(len(data))
    del data[length:]
    return f"cut off at {length}"


def stretch(data: bytearray, rng: random.Random) -> str:
    """A stretch zeroed, doubled, left out or replaced by noise."""
    start = rng.randrange(len(data))
    size = min(rng.choice([4, 64, 1500]), len(data) - start)
    new, what = rng.choice(
        [
            (bytes(size), "zeros"),
            (rng.randbytes(size), "noise"),
            (data[start : start + size] * 2, "twice"),
            (b"", "gone"),
        ]
    )
    data[start : start + size] = new
    return f"{size} bytes at {start}: {what}"


def swap(data: bytearray, rng: random.Random) -> str:
    """Two boxes, chunks or elements change places."""
    found = parts(bytes(data))
    if len(found) < 2:
        return flip(data, rng)
    (a, b), (c, d) = sorted(rng.sample(found, 2))
    if c < b:  # one lies in the other: its place is taken by what it holds
        data[a:b] = data[c:d]
        return f"{a}..{b} is {c}..{d}"
    data[a:d] = data[c:d] + data[b:c] + data[a:b]
    return f"{a}..{b} and {c}..{d} change places"


def parts(data: bytes) -> list[tuple[int, int]]:
    """Where the parts of a file lie, whatever its container: from the place of their length to their end."""
    if data[:4] == b"\x89PNG":
        return list(_walk(data, 8, len(data), ">I", after=8, inside=set()))
    if data[:4] == b"RIFF":
        return list(_walk(data, 12, len(data), "<I", after=0, inside={b"LIST"}, name_first=True))
    if data[:4] == EBML_IDS[0]:
        return _elements(data)
    return list(_walk(data, 0, len(data), ">I", after=0, inside=BOXES))


def _walk(
    data: bytes, start: int, end: int, form: str, *, after: int, inside: set[bytes], name_first: bool = False
) -> list[tuple[int, int]]:
    """Boxes: a length and a name of four bytes each; `after` bytes that the length does not count follow."""
    found = []
    while start + 8 <= end:
        name, length = data[start + 4 : start + 8], struct.unpack_from(form, data, start)[0] + after
        length += 4 if after else 0
        if name_first:
            name = data[start : start + 4]
            length = struct.unpack_from(form, data, start + 4)[0]
            length += 8 + length % 2
        if length < 8 or start + length > end:
            break
        found.append((start, start + length))
        if name in inside:
            skip = 12 if name_first else 8
            found += _walk(data, start + skip, start + length, form, after=after, inside=inside, name_first=name_first)
        start += length
    return found


def _elements(data: bytes) -> list[tuple[int, int]]:
    """Matroska elements of the kinds that hold something, found by their names, with lengths that fit."""
    found = []
    for name in EBML_IDS:
        for match in re.finditer(re.escape(name), data):
            at = match.end()
            if at >= len(data) or not data[at]:
                continue
            size = 9 - data[at].bit_length()
            length = int.from_bytes(data[at : at + size], "big") & ((1 << 7 * size) - 1)
            if at + size + length <= len(data):
                found.append((match.start(), at + size + length))
    return found


if __name__ == "__main__":
    main()
