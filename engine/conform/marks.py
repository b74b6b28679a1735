"""Marks of recasts in an edit: read where somebody set them, written where something is recast.

A marker on a clip, or on the timeline, whose name begins with "Recast" asks for a recast of the frames that it spans,
or of all of the clip where it spans none; what follows the word says who: "Recast: Ann" (the face that is to appear) or
"Recast: Bob = Ann" (whom it replaces). What is written are such markers, too, with metadata under "understudy", and the
recast as another media reference of the clip, so that a conform finds both.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..provenance.recasts import Recast
from .edit import Shown, library, rate_of, shown_clips

if TYPE_CHECKING:
    import opentimelineio as otio

ASKS = re.compile(r"\s*recast\b\s*[:\-]?\s*(?P<who>.*)", re.IGNORECASE | re.DOTALL)
KEY = "understudy"
"""Under which metadata and media references of ours lie."""


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """A recast that an edit asks for: frames `start` to `end` (exclusive) of footage, from the edit's frame `at` on."""

    clip: str
    footage: str
    start: int
    end: int
    rate: float
    at: int
    target: str
    identity: str


def wanted_recasts(edit: otio.schema.Timeline, folder: Path) -> list[Wanted]:
    """What the markers of an edit ask for, in its order. A marker on the timeline, or on a track, asks for whatever
    clip is uppermost there."""
    found: list[Wanted] = []
    clips, rate = list(shown_clips(edit, folder)), rate_of(edit)
    for shown in clips:
        for marker in shown.clip.markers:
            if KEY not in marker.metadata and (who := _who(marker)) is not None:
                start, end = _within(shown, marker)
                found += _wanted(shown, start, end, who)
    for marker in [*edit.tracks.markers, *(m for track in edit.video_tracks() for m in track.markers)]:
        if (who := _who(marker)) is None:
            continue
        begin, count = (
            round(x.rescaled_to(rate).value) for x in (marker.marked_range.start_time, marker.marked_range.duration)
        )
        left = [(begin, begin + max(1, count))]
        for shown in clips:
            rest = []
            for first, last in left:
                a, b = max(first, shown.at), min(last, shown.at + shown.lasts)
                if shown.retimed or a >= b:
                    rest.append((first, last))
                    continue
                start, end = (shown.start + round((x - shown.at) / shown.slower) for x in (a, b))
                found += _wanted(shown, start, max(end, start + 1), who)
                rest += [(x, y) for x, y in ((first, a), (b, last)) if x < y]
            left = rest
    return sorted(found, key=lambda one: (one.at, one.start))


def mark_recasts(edit: otio.schema.Timeline, folder: Path, recasts: list[Recast], use: bool) -> tuple[int, list[str]]:
    """Mark in an edit what of it is recast; with `use`, have it show the recasts, cutting clips where they begin and
    end. `recasts` come oldest first: of takes of the same frames the newest counts.

    Returns how many clips show recast frames, and sentences about what could not be done.
    """
    count, told = 0, []
    edit.metadata[KEY] = {"marked": len(recasts)}  # by which --overwrite knows it from an edit of the user's own
    for shown in list(shown_clips(edit, folder)):
        _forget(shown.clip)
        mine = _newest([one for one in recasts if _shows(shown, one)], shown)
        if not mine:
            continue
        count += 1
        for start, end, recast in mine:
            shown.clip.markers.append(_marker(shown, start, end, recast))
        if not use:
            continue
        if shown.retimed:
            told.append(f"{shown.clip.name or shown.path.name} is retimed: it is marked and shows the footage.")
        else:
            _cut(shown, mine)
    return count, told


def _who(marker: otio.schema.Marker) -> tuple[str, str] | None:
    """(target, identity) that a marker names, each "" where it does not; None where it asks for no recast."""
    asked = ASKS.fullmatch(marker.name or "") or ASKS.fullmatch(marker.comment or "")
    if asked is None:
        return None
    before, equals, after = asked["who"].strip().partition("=")
    return (before.strip(), after.strip()) if equals else ("", before.strip())


def _within(shown: Shown, marker: otio.schema.Marker) -> tuple[int, int]:
    """The footage's frames that a clip's marker spans; all of the clip's where it spans one frame or none."""
    span = marker.marked_range
    count = round(span.duration.rescaled_to(shown.rate).value)
    if count <= 1:
        return shown.start, shown.end
    start = round((span.start_time.rescaled_to(shown.rate) - shown.first).value)
    return max(start, shown.start), min(start + count, shown.end)


def _wanted(shown: Shown, start: int, end: int, who: tuple[str, str]) -> list[Wanted]:
    if start >= end:
        return []
    at = shown.at if shown.retimed else shown.at + round((start - shown.start) * shown.slower)
    return [
        Wanted(
            clip=shown.clip.name or shown.path.name,
            footage=str(shown.path),
            start=start,
            end=end,
            rate=shown.rate,
            at=at,
            target=who[0],
            identity=who[1],
        )
    ]


def _shows(shown: Shown, recast: Recast) -> bool:
    """Whether a clip shows frames of a recast's footage; where an edit came from another machine, its name tells."""
    source = Path(recast.source)
    same = shown.path == source or (shown.path.name == source.name and not shown.path.exists())
    return same and max(shown.start, recast.start) < min(shown.end, recast.end)


def _newest(recasts: list[Recast], shown: Shown) -> list[tuple[int, int, Recast]]:
    """What of a clip is recast by which, in its order: each frame by the last of them."""
    found: list[tuple[int, int, Recast]] = []
    left = [(shown.start, shown.end)]
    for recast in reversed(recasts):
        rest = []
        for first, last in left:
            a, b = max(first, recast.start), min(last, recast.end)
            if a < b:
                found.append((a, b, recast))
                rest += [(x, y) for x, y in ((first, a), (b, last)) if x < y]
            else:
                rest.append((first, last))
        left = rest
    return sorted(found, key=lambda one: one[0])


def _forget(clip: otio.schema.Clip) -> None:
    """Take out what an earlier run marked."""
    for number in reversed(range(len(clip.markers))):
        if KEY in clip.markers[number].metadata:
            del clip.markers[number]


def _marker(shown: Shown, start: int, end: int, recast: Recast) -> otio.schema.Marker:
    otio = library()
    cast = ", ".join(f"{one.target} = {one.identity}" if one.target else one.identity for one in recast.cast)
    return otio.schema.Marker(
        name=f"Recast: {cast}",
        marked_range=_span(shown, start, end),
        color=otio.schema.MarkerColor.PURPLE,
        metadata={KEY: _facts(recast)},
    )


def _facts(recast: Recast) -> dict[str, Any]:
    """What other programs may know of a recast: no names of people who consented, those stay in the project."""
    return {
        "recast": recast.id,
        "file": recast.output,
        "sha256": recast.output_sha256,
        "source": recast.source,
        "sourceSha256": recast.source_sha256,
        "frames": [recast.start, recast.end],
        "cast": [{"target": one.target, "identity": one.identity} for one in recast.cast],
        "credentials": recast.credentials,
        "digitalSourceType": "compositeWithTrainedAlgorithmicMedia",
    }


def _span(shown: Shown, start: int, end: int) -> otio.opentime.TimeRange:
    """Frames of the footage in the media's own time."""
    otio = library()
    first = otio.opentime.RationalTime(start, shown.rate) + shown.first
    return otio.opentime.TimeRange(first, otio.opentime.RationalTime(end - start, shown.rate))


def _cut(shown: Shown, recast: list[tuple[int, int, Recast]]) -> None:
    """Put the recast, and the footage around it, where a clip was; each piece keeps the markers of its frames."""
    parent = shown.clip.parent()
    where = parent.index(shown.clip)
    edges = sorted({shown.start, shown.end, *(x for a, b, _ in recast for x in (a, b))})
    pieces = []
    for start, end in pairwise(edges):
        piece = shown.clip.deepcopy()
        piece.source_range = _span(shown, start, end)
        for number in reversed(range(len(piece.markers))):
            if not piece.source_range.intersects(_visible(piece.markers[number])):
                del piece.markers[number]
        made = next((one for a, b, one in recast if a <= start and end <= b), None)
        if made is not None:
            _show(piece, shown, made)
        pieces.append(piece)
    parent[where : where + 1] = pieces


def _visible(marker: otio.schema.Marker) -> otio.opentime.TimeRange:
    """What a marker spans; a frame where it spans none."""
    otio, span = library(), marker.marked_range
    frame = otio.opentime.RationalTime(1, span.start_time.rate)
    return otio.opentime.TimeRange(span.start_time, max(span.duration, frame))


def _show(clip: otio.schema.Clip, shown: Shown, recast: Recast) -> None:
    """Have a clip show a recast; its footage stays with it as another reference."""
    otio = library()
    references = clip.media_references()
    references[KEY] = otio.schema.ExternalReference(
        target_url=Path(recast.output).as_uri(),
        available_range=_span(shown, recast.start, recast.end),
        metadata={KEY: _facts(recast)},
    )
    clip.set_media_references(references, KEY)
