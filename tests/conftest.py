"""Footage that tests make for themselves: every frame carries its own number."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

BITS, BLOCK = 8, 16  # eight squares along the top edge, the lowest bit first; white is one


def counter_picture(number: int, width: int, height: int) -> Any:
    """(H, W, 3) uint8 RGB: a moving colour gradient, `number` in squares and in digits."""
    import cv2
    import numpy as np

    y, x = np.mgrid[0:height, 0:width]
    picture = np.stack([(x * 2 + number * 5) % 256, (y * 2) % 256, (x + y + number * 3) % 256], axis=-1)
    picture = cv2.GaussianBlur(picture.astype(np.uint8), (0, 0), 3)
    for bit in range(BITS):
        picture[0:BLOCK, bit * BLOCK : (bit + 1) * BLOCK] = 255 if number >> bit & 1 else 0
    cv2.putText(picture, str(number), (8, height - 12), cv2.FONT_HERSHEY_SIMPLEX, 1.0, (255, 255, 255), 2)
    return picture


def counted(rgb: Any) -> int:
    """The number that `counter_picture` put into a picture."""
    centres = [rgb[BLOCK // 2, bit * BLOCK + BLOCK // 2].mean() for bit in range(BITS)]
    return sum(1 << bit for bit, value in enumerate(centres) if value > 127)


def write_clip(
    path: Path,
    frames: int = 40,
    *,
    width: int = 160,
    height: int = 96,
    rate: Fraction | int = 24,
    codec: str = "libx264",
    pixel_format: str = "yuv420p",
    options: dict[str, str] | None = None,
    times: list[int] | None = None,
    sound: Any = None,
    sound_rate: int = 48000,
    sound_codec: str = "aac",
    rotation: int = 0,
    tags: dict[str, int] | None = None,
    format_options: dict[str, str] | None = None,
) -> Path:
    """Write a movie whose n-th frame carries n.

    times: presentation times in frames (default 0, 1, 2, …); sound: (channels, samples) float32;
    tags: attributes of the codec context (colorspace, color_range, …).
    """
    import av

    rate = Fraction(rate)
    with av.open(str(path), "w", container_options=format_options or {}) as container:
        stream = container.add_stream(codec, rate=rate, options=options or {})
        stream.width, stream.height, stream.pix_fmt = width, height, pixel_format
        stream.codec_context.time_base = 1 / rate
        for name, value in (tags or {}).items():
            setattr(stream.codec_context, name, value)
        if rotation:
            stream.set_display_rotation(rotation)
        if sound is not None:
            track = container.add_stream(sound_codec, rate=sound_rate)
            track.layout = {1: "mono", 2: "stereo"}[sound.shape[0]]
            for start in range(0, sound.shape[1], 1024):
                piece = av.AudioFrame.from_ndarray(sound[:, start : start + 1024].copy(), "fltp", track.layout.name)
                piece.sample_rate, piece.pts = sound_rate, start
                container.mux(track.encode(piece))
            container.mux(track.encode(None))
        for number in range(frames):
            frame = av.VideoFrame.from_ndarray(counter_picture(number, width, height), "rgb24")
            frame = frame.reformat(format=pixel_format)
            frame.pts, frame.time_base = (times[number] if times else number), 1 / rate
            for name in ("colorspace", "color_range", "color_primaries", "color_trc"):
                if name in (tags or {}):
                    setattr(frame, name, (tags or {})[name])  # some encoders ask the frame
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


@pytest.fixture(scope="session")
def make_clip() -> Callable[..., Path]:
    """`write_clip`: a movie whose n-th frame carries n."""
    return write_clip


@pytest.fixture(scope="session")
def read_counter() -> Callable[[Any], int]:
    """`counted`: the number of a frame of such a movie, from its (H, W, 3) RGB pixels."""
    return counted


@pytest.fixture(scope="session")
def make_counter_picture() -> Callable[[int, int, int], Any]:
    """`counter_picture`: one frame of such a movie."""
    return counter_picture


def consent(project: Path, *identities: str) -> None:
    """Put a consent record of each identity into a project folder."""
    from understudy.engine.protocol import ConsentRecord
    from understudy.engine.provenance.consent import record_consent, today

    for name in identities:
        record_consent(
            Path(project),
            ConsentRecord(
                identity=name, person=f"{name} of the tests", basis="test footage", scope="tests", date=today()
            ),
        )


@pytest.fixture(scope="session")
def record_consent() -> Callable[..., None]:
    """`consent(project, "Ann", "Bob")`: they may be trained and recast there."""
    return consent


@contextmanager
def full_after(size: int) -> Iterator[None]:
    """No file of this process grows beyond so many bytes: what a full disk says, without filling one.

    It holds for the block alone: pytest's own report, which may go into a longer file, is written outside of it.
    """
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.fixture(scope="session")
def disk_full_after() -> Callable[[int], AbstractContextManager[None]]:
    """`full_after(bytes)`: a block in which the disk is full."""
    return full_after


@pytest.fixture
def run(capsys: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., tuple[int, dict[str, Any], str]]:
    """Run a command line in an empty folder; gives the exit code, the JSON object, and what was said on stderr."""
    from understudy.engine.cli import execute

    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)

    def run(*arguments: str | Path) -> tuple[int, dict[str, Any], str]:
        code = execute([*map(str, arguments), "--json"])
        said = capsys.readouterr()
        answer = json.loads(said.out.splitlines()[-1])
        if code:
            assert answer["exit_code"] == code
            assert answer["error"] in said.err or arguments[0] == "doctor"
        return code, answer, said.err

    return run


# Real faces, scanned once for all tests that need them: a man in a car (48 frames of 176 × 144), and a portrait.


@pytest.fixture(scope="session")
def people_footage() -> dict[str, Path]:
    """The files of tools/footage.py; skips where they were not fetched."""
    folder = Path(__file__).parents[1] / ".build" / "footage"
    paths = {
        "carphone": folder / "carphone.mp4",
        "astronaut": folder / "astronaut.png",
        "hopper": folder / "grace_hopper.jpg",
    }
    absent = [p.name for p in paths.values() if not p.is_file()]
    if absent:
        pytest.skip(f"{', '.join(absent)} not fetched (`make footage`)")
    return paths


def scanned(folder: Path, clip: Any) -> Path:
    """A real scan of a clip; skips where the face networks were not fetched."""
    from understudy.engine.faces.networks import weights
    from understudy.engine.faces.scan import scan
    from understudy.engine.reporter import Silent

    if weights.missing():
        pytest.skip("the face networks are not fetched (`make models`)")
    scan(clip, folder, Silent())
    return folder


@pytest.fixture(scope="session")
def carphone_folder(tmp_path_factory: pytest.TempPathFactory, people_footage: dict[str, Path]) -> Path:
    """The scan folder of the man in the car, frames 0 to 48."""
    from understudy.engine.protocol import Clip

    clip = Clip(path=str(people_footage["carphone"]), start=0, end=48)
    return scanned(tmp_path_factory.mktemp("scans") / "carphone", clip)


@pytest.fixture(scope="session")
def astronaut_folder(tmp_path_factory: pytest.TempPathFactory, people_footage: dict[str, Path]) -> Path:
    """The scan folder of the portrait."""
    from understudy.engine.protocol import Clip

    return scanned(tmp_path_factory.mktemp("scans") / "astronaut", Clip(path=str(people_footage["astronaut"])))


@pytest.fixture(scope="session")
def carphone_scan(carphone_folder: Path) -> Any:
    """The alignments of the man in the car."""
    from understudy.engine.faces.alignments import load_alignments

    return load_alignments(carphone_folder)


@pytest.fixture(scope="session")
def astronaut_scan(astronaut_folder: Path) -> Any:
    """The alignments of the portrait."""
    from understudy.engine.faces.alignments import load_alignments

    return load_alignments(astronaut_folder)


def gathered(name: str, folder: Path, size: int = 128) -> Any:
    """The faceset of a scan's person 0 at `size` pixels."""
    from understudy.engine.faces.facesets.faceset import gather
    from understudy.engine.protocol import Identity, Material
    from understudy.engine.reporter import Silent

    return gather(Identity(name=name, material=[Material(scan=str(folder), person=0)]), size, Silent())


@pytest.fixture(scope="session")
def carphone_faces(carphone_folder: Path) -> Any:
    """The faceset of the man in the car."""
    return gathered("man", carphone_folder)


@pytest.fixture(scope="session")
def astronaut_faces(astronaut_folder: Path) -> Any:
    """The faceset of the portrait: one picture."""
    return gathered("woman", astronaut_folder)


@pytest.fixture(scope="session")
def large_astronaut_faces(astronaut_folder: Path) -> Any:
    """The same at 256 pixels, as drafts have it."""
    return gathered("woman", astronaut_folder, 256)


def with_spectacles(picture: Any, landmarks: Any, width: float = 0.012, tone: int = 60) -> tuple[Any, Any, Any]:
    """A picture (H, W, 3) uint8 with round wire spectacles drawn on a face; where wires are, and where lenses are.

    landmarks (468, 3) in its pixels; width of the wire in distances of the eyes' outer corners; its grey tone. Wires
    and lenses are (H, W) bool. The rims run through brows and cheeks, the arms to the temples.
    """
    import cv2
    import numpy as np

    fine = 4
    right, left = landmarks[[33, 133], :2].mean(0), landmarks[[362, 263], :2].mean(0)
    across = (left - right) / np.linalg.norm(left - right)
    apart = float(np.linalg.norm(landmarks[263, :2] - landmarks[33, :2]))
    drop = 0.03 * apart * np.array([-across[1], across[0]])
    radius = 0.27 * apart
    wires, lenses = (np.zeros((picture.shape[0] * fine, picture.shape[1] * fine), np.uint8) for _ in range(2))
    thick = max(1, round(width * apart * fine))
    for middle in (right, left):
        angle = np.linspace(0, 2 * np.pi, 90, endpoint=False)
        ring = middle + drop + radius * np.stack([1.05 * np.cos(angle), 0.9 * np.sin(angle)], 1)
        ring = np.round(ring * fine).astype(np.int32)
        cv2.polylines(wires, [ring], True, 255, thick)
        cv2.fillPoly(lenses, [ring], 255)
    ends = ((right, 1.05, left, -1.05), (right, -1.05, landmarks[127, :2], 0), (left, 1.05, landmarks[356, :2], 0))
    for a, along, b, back in ends:
        line = np.round(np.stack([a + along * radius * across, b + back * radius * across]) * fine).astype(np.int32)
        cv2.polylines(wires, [line], False, 255, thick)
    size = picture.shape[1::-1]
    share = cv2.resize(wires, size, interpolation=cv2.INTER_AREA)[..., None] / 255
    lens = cv2.resize(lenses, size, interpolation=cv2.INTER_AREA) > 250
    drawn = np.round(picture * (1 - share) + tone * share).astype(np.uint8)
    return drawn, share[..., 0] > 0.5, lens & (cv2.dilate(share[..., 0], np.ones((7, 7))) == 0)


@pytest.fixture(scope="session")
def wearing() -> Callable[..., tuple[Any, Any, Any]]:
    """`with_spectacles`, for tests elsewhere."""
    return with_spectacles
