"""How durable is the mark, and how often is it found where there is none?

usage: python benchmarks/provenance_mark.py FOOTAGE OUT [--frames 48] [--clips NAME…] [--unmarked 10000]
       [--minutes 10]

FOOTAGE holds the clips named in CLIPS. The largest face of each is marked as a conversion marks a recast (their own
face is cut, marked and put back), then attacked; faces are measured anew on what is left, with the engine's own scan,
and read. Prints for each clip the mark's PSNR and SSIM over the face, how far it changes from frame to frame (of its
own strength, in the face's coordinates), and for each attack whether the clip was found and in what share of single
frames. Then the false alarms among unmarked frames: frames of the same clips, each mirrored, resized, brightened,
blurred and compressed at random. What is done is kept in OUT, so that a run cut off after --minutes goes on.
Writes OUT/<clip>.png: plain, marked, twenty times the difference.
"""

from __future__ import annotations

import argparse
import io
import itertools
import tempfile
import time
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from understudy.engine.faces.alignments import Alignments, load_alignments
from understudy.engine.faces.geometry.align import (
    crop,
    crop_matrix,
    hull_mask,
    mesh_radius,
    mirror,
    to_opencv,
    transform,
)
from understudy.engine.faces.scan import scan
from understudy.engine.media.reader import read_frames
from understudy.engine.protocol import Clip
from understudy.engine.provenance import mark
from understudy.engine.reporter import Silent

CLIPS = {name: 0 for name in ("actor-a-480x480.mp4", "actor-b-480x480.mp4", "actress-c-1280x720.mp4")}
CLIPS |= {"actress-d-1280x720.mp4": 0, "two-men-bw-640x360.mp4": 100, "street-crowd-1920x1080.mp4": 0}
CLIPS |= {"car-tiny-176x144.mp4": 0, "stage-cuts-profile-640x360.mp4": 0}
"""Each with the frame to begin at."""
NUMBER = 0xBEEF
Pictures = list[np.ndarray]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("footage", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--frames", type=int, default=48)
    parser.add_argument("--clips", nargs="*", default=list(CLIPS))
    parser.add_argument("--unmarked", type=int, default=10000)
    parser.add_argument("--minutes", type=float, default=10)
    options = parser.parse_args()
    until = time.monotonic() + 60 * options.minutes
    scans = []
    for name in options.clips:
        path = options.footage / name
        folder = options.out / "scans" / path.stem
        if not (folder / "scan.json").is_file():
            scan(Clip(path=str(path), start=CLIPS[name], end=CLIPS[name] + options.frames), folder, Silent())
        scans.append((path, load_alignments(folder)))
        told = options.out / f"{path.stem}.txt"
        if not told.is_file() and time.monotonic() < until:
            lines, sheet = durability(*scans[-1])
            cv2.imwrite(str(options.out / f"{path.stem}.png"), cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR))
            told.write_text("\n".join(lines) + "\n", encoding="utf-8")
        print(told.read_text(encoding="utf-8") if told.is_file() else f"{path.stem}: still to do", flush=True)
    if options.unmarked:
        false_alarms(scans, options.unmarked, options.out / "unmarked.txt", until)


def durability(path: Path, alignments: Alignments) -> tuple[list[str], np.ndarray]:
    people = [alignments.of_person(int(person)) for person in np.unique(alignments.person) if person >= 0]
    largest = max(people, key=lambda found: np.median(np.ptp(alignments.landmarks[found][..., 0], axis=1)))
    start = int(alignments.frame.min())
    rows = {int(alignments.frame[r]) - start: alignments.landmarks[r] for r in largest}
    frames = [frame.rgb for frame in read_frames(path, start, int(alignments.frame.max()) + 1)]
    plain, marked, quality, waves = [], [], [], []
    for index, picture in enumerate(frames):
        if index not in rows:
            plain.append(picture)
            marked.append(picture)
            continue
        both = [recast(picture, rows[index], number) for number in (None, NUMBER)]
        plain.append(both[0][0])
        marked.append(both[1][0])
        quality.append(compare(both[0][0], both[1][0], both[0][1]))
        matrix = crop_matrix(rows[index], mark.SIDE)
        waves.append(crop(both[1][0], matrix, 128).astype(float) - crop(both[0][0], matrix, 128))
    wide = np.median([np.ptp(points[:, 0]) for points in rows.values()])
    psnr, ssim = np.mean(quality, 0)
    change = np.mean([np.abs(b - a).mean() for a, b in itertools.pairwise(waves)]) / np.abs(waves).mean()
    lines = [f"{path.stem}: face {wide:.0f} px wide, {len(quality)} frames; PSNR {psnr:.1f} dB (lowest "
             f"{min(q[0] for q in quality):.1f}), SSIM {ssim:.4f}; changes by {change:.0%} a frame"]  # fmt: skip
    for name, pictures in attacks(marked, list(rows.values())):
        whole, single = read(pictures)
        share = np.mean([found.present and found.number == NUMBER for found in single]) if single else 0.0
        good = whole is not None and whole.present and whole.number == NUMBER
        score = whole.score if whole else 0.0
        lines.append(f"  {name:22} clip {'found' if good else 'LOST '} {score:5.1f}   single frames {share:4.0%}")
    first = min(rows)
    matrix = crop_matrix(rows[first], 384)
    a, b = crop(plain[first], matrix, 384), crop(marked[first], matrix, 384)
    return lines, np.hstack([a, b, np.clip(128 + 20 * (b.astype(int) - a), 0, 255).astype(np.uint8)])


def recast(picture: np.ndarray, landmarks: np.ndarray, number: int | None) -> tuple[np.ndarray, np.ndarray]:
    """The picture with its face cut, marked or not, and put back, as it is pasted; and the mask in the picture."""
    size = 256 if mesh_radius(landmarks) > 43 else 128
    matrix = crop_matrix(landmarks, size)
    face, there = crop(picture, matrix, size).astype(np.float32), transform(landmarks, matrix)
    reach = max(1, round(0.03 * size))
    mask = cv2.GaussianBlur(cv2.erode(hull_mask(there, size), np.ones((2 * reach + 1,) * 2)), (0, 0), reach / 2)
    mask = mask.astype(np.float32) / 255
    if number is not None:
        face = mark.embed(face, mask, there, float(mesh_radius(landmarks)), number)
    flags, shape = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, picture.shape[1::-1]
    alpha = cv2.warpAffine(mask, to_opencv(matrix), shape, flags=flags)
    fresh = cv2.warpAffine(face, to_opencv(matrix), shape, flags=flags)
    return np.round(picture + alpha[..., None] * (fresh - picture)).clip(0, 255).astype(np.uint8), alpha


def compare(plain: np.ndarray, marked: np.ndarray, alpha: np.ndarray) -> tuple[float, float]:
    """PSNR over RGB and SSIM of the brightness (11 × 11 Gaussian window), where the face is."""
    inside = alpha > 0.5
    error = ((plain.astype(float) - marked)[inside] ** 2).mean()
    a, b = (cv2.cvtColor(p, cv2.COLOR_RGB2GRAY).astype(np.float64) for p in (plain, marked))

    def mean(x: np.ndarray) -> np.ndarray:
        return cv2.GaussianBlur(x, (11, 11), 1.5)

    ma, mb = mean(a), mean(b)
    va, vb, both = mean(a * a) - ma**2, mean(b * b) - mb**2, mean(a * b) - ma * mb
    ssim = ((2 * ma * mb + 6.5) * (2 * both + 58.5)) / ((ma**2 + mb**2 + 6.5) * (va + vb + 58.5))
    return 10 * np.log10(255**2 / max(error, 1e-9)), float(ssim[inside].mean())


def attacks(pictures: Pictures, faces: list[np.ndarray]):
    half = [cv2.resize(p, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA) for p in pictures]
    points = np.concatenate([face[:, :2] for face in faces])
    low, high = points.min(0), points.max(0)
    margin = 0.25 * (high - low)
    (x0, y0), (x1, y1) = np.maximum(low - margin, 0).astype(int), (high + margin).astype(int)
    around = [np.ascontiguousarray(p[y0:y1, x0:x1]) for p in pictures]
    yield "nothing", pictures
    yield "H.264 CRF 18", h264(pictures, 18)
    yield "H.264 CRF 23", h264(pictures, 23)
    yield "H.264 CRF 28", h264(pictures, 28)
    yield "half the size", half
    yield "cropped to the face", around
    yield "cropped, CRF 28", h264(around, 28)
    yield "half, CRF 23", h264(half, 23)
    yield "half, CRF 28", h264(half, 28)


def h264(pictures: Pictures, crf: int) -> Pictures:
    file = io.BytesIO()
    height, width = (side // 2 * 2 for side in pictures[0].shape[:2])
    with av.open(file, "w", format="mp4") as movie:
        stream = movie.add_stream("libx264", rate=Fraction(25), options={"crf": str(crf), "preset": "medium"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for picture in pictures:
            view = np.ascontiguousarray(picture[:height, :width])
            movie.mux(stream.encode(av.VideoFrame.from_ndarray(view, "rgb24")))
        movie.mux(stream.encode(None))
    file.seek(0)
    with av.open(file) as movie:
        return [frame.to_ndarray(format="rgb24") for frame in movie.decode(video=0)]


def read(pictures: Pictures) -> tuple[mark.Found | None, list[mark.Found]]:
    """The best track's verdict, and that of every sixth frame by itself; faces are measured anew."""
    with tempfile.TemporaryDirectory() as aside:
        path = Path(aside) / "attacked.mkv"
        with av.open(str(path), "w") as movie:
            stream = movie.add_stream("ffv1", rate=Fraction(25))
            stream.height, stream.width = pictures[0].shape[:2]
            stream.pix_fmt = "bgr0"
            for picture in pictures:
                movie.mux(stream.encode(av.VideoFrame.from_ndarray(picture, "rgb24").reformat(format="bgr0")))
            movie.mux(stream.encode(None))
        try:
            scan(Clip(path=str(path)), Path(aside) / "scan", Silent())
        except Exception as error:
            print(f"  ({error})")
            return None, []
        found = load_alignments(Path(aside) / "scan")
    readers: dict[int, mark.Reader] = {}
    singles: dict[int, list[mark.Found]] = {}
    for index, picture in enumerate(pictures):
        for row in np.flatnonzero(found.frame == index):
            track = int(found.track[row])
            readers.setdefault(track, mark.Reader()).add(picture, found.landmarks[row])
            if index % 6 == 0:
                one = mark.Reader()
                one.add(picture, found.landmarks[row])
                singles.setdefault(track, []).append(one.found())
    verdicts = {track: reader.found() for track, reader in readers.items()}
    together = mark.Reader()
    for reader in readers.values():
        together.join(reader)
    best = max(verdicts, key=lambda track: verdicts[track].score)
    return max(verdicts[best], together.found(), key=lambda one: one.score), singles.get(best, [])


def false_alarms(scans: list[tuple[Path, Alignments]], count: int, told: Path, until: float) -> None:
    """Unmarked frames of every clip, changed at random until there are `count`: how far from chance they seem."""
    pool = []
    for path, alignments in scans:
        for frame in read_frames(path, int(alignments.frame.min()), int(alignments.frame.max()) + 1):
            for row in np.flatnonzero(alignments.frame == frame.index):
                pool.append((frame.rgb, alignments.landmarks[row]))
    scores = [float(line) for line in told.read_text().split()] if told.is_file() else []
    with told.open("a") as file:
        while len(scores) < count and time.monotonic() < until:
            picture, landmarks = pool[len(scores) % len(pool)]
            reader = mark.Reader()
            reader.add(*changed(picture, landmarks, np.random.default_rng(len(scores))))
            scores.append(reader.found().score)
            file.write(f"{scores[-1]:.4f}\n")
    high = sum(score >= mark.PRESENT for score in scores)
    quantiles = " ".join(f"{q:g}: {np.quantile(scores, q):.2f}" for q in (0.5, 0.99, 0.999, 0.9999))
    print(f"unmarked: {high} of {len(scores)} frames (of {len(pool)} faces, changed anew) at {mark.PRESENT:g} or more; "
          f"highest {max(scores):.2f}; {quantiles}")  # fmt: skip


def changed(picture: np.ndarray, landmarks: np.ndarray, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """A face's surroundings, mirrored, resized, brightened, blurred and compressed; and its landmarks, a little off."""
    low = np.maximum(landmarks[:, :2].min(0) - 30, 0).astype(int)
    high = (landmarks[:, :2].max(0) + 30).astype(int)
    part = np.ascontiguousarray(picture[low[1] : high[1], low[0] : high[0]])
    points = landmarks - np.array([*low, 0], np.float32)
    if random.random() < 0.5:
        part, points = np.ascontiguousarray(part[:, ::-1]), mirror(points, part.shape[1])
    scale = random.uniform(0.5, 1.6)
    part, points = cv2.resize(part, None, fx=scale, fy=scale), points * np.float32(scale)
    part = np.clip(part * random.uniform(0.7, 1.3, 3) + random.normal(0, random.uniform(0, 4), part.shape), 0, 255)
    part = cv2.GaussianBlur(part.astype(np.uint8), (0, 0), random.uniform(0.1, 1.2))
    quality = [cv2.IMWRITE_JPEG_QUALITY, int(random.integers(30, 100))]
    part = cv2.imdecode(cv2.imencode(".jpg", part, quality)[1], cv2.IMREAD_COLOR)
    return part, points + random.normal(0, 0.005 * float(np.ptp(points[:, 0])), 3).astype(np.float32)


if __name__ == "__main__":
    main()
