"""An edit as OpenTimelineIO has it: its clips of footage, and which frames of which file each shows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from ..errors import DataError, UnderstudyError
from ..reading import read_text

if TYPE_CHECKING:
    import opentimelineio as otio

LARGEST = 256 * 2**20
"""Bytes of an edit: a feature film's has some tens of millions."""


@dataclass(frozen=True, eq=False)
class Shown:
    """A clip of an edit and what it shows: frames `start` to `end` (exclusive) of the footage at `path`.

    It lies in the edit from frame `at` on and lasts for `lasts` frames there, `slower` many for one of the footage;
    `first` is the media's own time of the footage's frame 0.
    """

    clip: otio.schema.Clip
    path: Path
    start: int
    end: int
    at: int
    lasts: int
    first: otio.opentime.RationalTime
    slower: float
    retimed: bool

    @property
    def rate(self) -> float:
        """Frames a second of the footage."""
        return float(self.first.rate)


def library() -> Any:
    """OpenTimelineIO's. Raises UnderstudyError with what to do where it is not installed."""
    try:
        import opentimelineio
    except ImportError:
        raise UnderstudyError(
            "Edits are read with OpenTimelineIO, which is not installed. Install it into the engine's environment: "
            'pip install "understudy[otio]".'
        ) from None
    return opentimelineio


def read_edit(path: Path) -> otio.schema.Timeline:
    """The timeline of an .otio file. Raises DataError when it is none; no plug-in of the library's runs."""
    otio = library()
    try:
        edit = otio.core.deserialize_json_from_string(read_text(path, largest=LARGEST))
    except FileNotFoundError:
        raise DataError(f"{path} is not there. Export the edit again, or point to where it is.") from None
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, otio.exceptions.OTIOError) as error:
        raise DataError(f"{path} is no OpenTimelineIO file ({error}). Export the edit as .otio.") from None
    if not isinstance(edit, otio.schema.Timeline):
        raise DataError(f"{path} holds no timeline but a {type(edit).__name__}. Export the edit itself as .otio.")
    return edit


def shown_clips(edit: otio.schema.Timeline, folder: Path) -> Iterator[Shown]:
    """Every enabled clip of the picture that names its footage, the uppermost tracks first; relative names lie in
    `folder`. Clips whose time runs backwards or along a curve are left out."""
    otio, rate = library(), rate_of(edit)
    for track in reversed(edit.video_tracks()):
        if not track.enabled:
            continue
        for clip in track.find_clips():
            reference = clip.media_reference
            path, speed = _path_of(reference, folder), _speed(clip)
            if path is None or speed is None or not clip.enabled:
                continue
            try:
                wanted, place = clip.trimmed_range(), clip.transformed_time_range(clip.trimmed_range(), edit.tracks)
            except (otio.exceptions.OTIOError, RuntimeError, ValueError):
                continue  # it says nowhere how long it is
            available = reference.available_range
            media = available.start_time.rate if available else wanted.start_time.rate
            first = available.start_time if available else otio.opentime.RationalTime(0, media)
            if min(media, rate, wanted.duration.rate) <= 0:
                continue
            start = round((wanted.start_time - first).rescaled_to(media).value)
            count = max(1, round(wanted.duration.rescaled_to(media).value * speed))
            at, lasts = (round(x.rescaled_to(rate).value) for x in (place.start_time, place.duration))
            yield Shown(clip, path, start, start + count, at, lasts, first, rate / media, speed != 1)


def rate_of(edit: otio.schema.Timeline) -> float:
    """Frames a second that an edit counts in."""
    start = edit.global_start_time
    return float((start or edit.duration()).rate)


def _speed(clip: otio.schema.Clip) -> float | None:
    """How many times faster a clip plays than its media, 0 for a frozen frame; None where no one number says so."""
    otio = library()
    speed = 1.0
    for effect in clip.effects:
        if isinstance(effect, otio.schema.LinearTimeWarp):  # a freeze frame is one of these
            speed *= effect.time_scalar
        elif isinstance(effect, otio.schema.TimeEffect):
            return None
    return speed if speed >= 0 else None


def _path_of(reference: Any, folder: Path) -> Path | None:
    """The file, or the folder of pictures, that a media reference names; None where it names none here."""
    otio = library()
    if isinstance(reference, otio.schema.ExternalReference):
        url = reference.target_url
    elif isinstance(reference, otio.schema.ImageSequenceReference):
        url = reference.target_url_base
    else:
        return None
    parts = urlsplit(url or "")
    if not url or (parts.scheme not in ("", "file") and len(parts.scheme) > 1) or parts.netloc not in ("", "localhost"):
        return None  # on the network; one letter is a drive of Windows
    path = unquote(parts.path) if parts.scheme == "file" else url
    return folder / path if "\0" not in path else None
