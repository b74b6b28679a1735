"""Scans, and what they find: clips, people, faces."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from .paths import absolute_path

YAW_EDGES = (-60.0, -35.0, -12.0, 12.0, 35.0, 60.0)
"""Degrees between the columns of a coverage: seven columns."""
PITCH_EDGES = (-30.0, -10.0, 10.0, 30.0)
"""Degrees between its rows: five rows."""


@dataclass(frozen=True, kw_only=True)
class Clip:
    """A range of source frames of one media file: a movie, one picture, or a folder of pictures.

    `end` None means to the last frame.

    stream   which of a movie's pictures: 0 is the first stream that is no cover, n the n-th of all, counted from 0
    played   frames are counted as Blender plays them, at the movie's constant rate from its start time on, so that a
             variable rate repeats and skips some. Then `end` may lie past the last frame: the clip is cut there.
             Otherwise each frame that is stored is counted once. Pictures are not turned as their EXIF says, either
    """

    path: str = absolute_path()
    start: int = 0
    end: int | None = None
    stream: int = 0
    played: bool = False


@dataclass(frozen=True, kw_only=True)
class ScanSpec:
    """Find, follow and group every face of a clip; writes a scan folder (see `engine.faces.scan`).

    `detectors` are names of `engine.faces.detectors`; empty means the embedded default. Frames of the
    same file that another scan of the project has looked at are not looked at again.
    """

    clip: Clip
    output: str = absolute_path()
    project: str = absolute_path("")
    detectors: list[str] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class PeopleEdit:
    """One correction of who is who in a scan.

    rename   `persons` (one) are called `name`, here and wherever the project meets them again
    merge    all of `persons` are one, who keeps the first one's number and name
    split    the `tracks` of `persons` (one) are somebody else: a new person
    reject   `persons` are nobody (a poster, a false face); `restore` takes that back
    """

    action: Literal["rename", "merge", "split", "reject", "restore"]
    persons: list[int]
    name: str = ""
    tracks: list[int] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class PeopleSpec:
    """Correct who is who in a scan; remembered when its clip is scanned again."""

    scan: str = absolute_path()
    edits: list[PeopleEdit]
    project: str = absolute_path("")


@dataclass(frozen=True, kw_only=True)
class PersonSummary:
    """One person of a scan, as `scan.json` lists them (most frames first, the rejected last).

    `thumbnail` is a file name inside the scan folder; `box` is x0, y0, x1, y1 in source pixels
    on `best_frame`, the frame the thumbnail was cut from. `known`: the name is the project's, found by
    their face or given by the user. `looks_like` is the id of somebody else who looks the same, -1 without one: in a
    mirror, as a twin or on a picture both show at once. `coverage` counts measured faces by pitch (rows, looking up
    first, edges PITCH_EDGES) and yaw (columns, the picture's left first, edges YAW_EDGES).
    """

    id: int
    name: str
    frames: int
    tracks: int
    first_frame: int
    best_frame: int
    box: list[float]
    thumbnail: str
    known: bool = False
    rejected: bool = False
    looks_like: int = -1
    sharpness: float = 0.0
    track_ids: list[int] = field(default_factory=list)
    coverage: list[list[int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Raise ValueError where the picture is no file of the scan's: scans may come from anybody."""
        if Path(self.thumbnail).name != self.thumbnail or "\\" in self.thumbnail:
            raise ValueError(f"The picture of person {self.id} is no file name.")


@dataclass(frozen=True, kw_only=True)
class FaceBox:
    """A face on a frame, for clients that draw: `boxes.json` of a scan folder is a list of
    [frame, person, track, x0, y0, x1, y1, carried 0 or 1], by frame; person -1 is nobody."""

    frame: int
    person: int
    track: int
    box: list[float]
    carried: bool


LARGEST_FACT = 1 << 31
"""Beyond every size, rate and number of frames of footage."""


@dataclass(frozen=True, kw_only=True)
class ScanSummary:
    """`scan.json`: what a scan found, for clients that read no arrays.

    `unnamed` says which faces are nobody's and which photographs show none, in sentences; "" where there are none.
    """

    schema: int
    clip: Clip
    width: int
    height: int
    fps: list[int]  # numerator, denominator
    frames: int  # scanned
    variable_frame_rate: bool
    people: list[PersonSummary]
    unnamed: str = ""

    def __post_init__(self) -> None:
        """Raises ValueError for numbers that no footage has: a scan may come from anybody."""
        rate = self.fps if len(self.fps) == 2 else [0]
        if not all(0 < number < LARGEST_FACT for number in (*rate, self.width, self.height)):
            raise ValueError("its size or frame rate is none of footage")
        if not 0 <= self.frames < LARGEST_FACT:
            raise ValueError("its number of frames is none of footage")
