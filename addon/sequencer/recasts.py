"""The recasts on the timeline: which strip is which, what belongs together, and which one is meant.

A placed strip carries what made it (STRIP_RECORD) and an id of its own (RECAST_ID). Cutting, duplicating and
pasting copy both, so that `own_ids` gives the copies ids of their own: the strip that still has the name that its id
was given under keeps it.
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

from .. import compat
from ..constants import RECAST_ID, STRIP_ID, STRIP_RECORD
from ..state import kept_json
from . import copies, stack, strip_media
from .in_step import frames_off

if TYPE_CHECKING:
    import bpy


_NEEDED = {"strip_id", "strip_name", "channel", "start", "end", "source_start", "source_end"}
_NUMBERS = (
    "channel",
    "start",
    "end",
    "source_start",
    "source_end",
    "stored_frames",
    "existing_frames",
    "person",
    "inserted",
)
_TEXTS = (
    *("strip_id", "strip_name", "source", "scan", "person_name", "identity", "identity_name", "swaps", "model"),
    *("preset", "format", "consent", "job", "order", "frames_json", "covers", "look", "credentials"),
)
"""What a record has to hold, and of what kind it is where it does."""


def placed(scene: bpy.types.Scene) -> list[bpy.types.Strip]:
    """The strips that Understudy made, inside metas too."""
    return [strip for strip in compat.all_strips(scene) if strip.get(STRIP_RECORD)]


def drop_damaged(scene: bpy.types.Scene) -> None:
    """Take the record off strips whose own is none that we write: a .blend may come from anybody. They stay strips."""
    for strip in compat.all_strips(scene):
        if STRIP_RECORD in strip.keys() and not _is_whole(strip[STRIP_RECORD]):  # noqa: SIM118
            del strip[STRIP_RECORD]


def _is_whole(record: Any) -> bool:
    if not hasattr(record, "items"):
        return False
    kinds = {**dict.fromkeys(_TEXTS, str), **dict.fromkeys(_NUMBERS, int)}
    return set(record.keys()) >= _NEEDED and all(
        isinstance(value, kinds[name]) for name, value in record.items() if name in kinds
    )


def own_ids(scene: bpy.types.Scene) -> None:
    """Give recasts that have none, or a copied one, and copied sources an id of their own (not while drawing)."""
    copies.own_sources(scene)
    same: dict[str, list[bpy.types.Strip]] = {}
    for strip in placed(scene):
        same.setdefault(id_of(strip), []).append(strip)
    for known, strips in same.items():
        kept = next((s for s in strips if known and s[RECAST_ID] == f"{known} {s.name}"), strips[0] if known else None)
        for strip in strips:
            wanted = f"{known if strip == kept else uuid.uuid4().hex} {strip.name}"
            if strip.get(RECAST_ID) != wanted:
                strip[RECAST_ID] = wanted


def id_of(strip: bpy.types.Strip) -> str:
    """The recast's own id; "" before `own_ids`."""
    return str(strip.get(RECAST_ID, "")).partition(" ")[0]


def is_copy(strip: bpy.types.Strip) -> bool:
    """Whether a recast has an id that was given to one of another name: it was copied, or renamed."""
    return bool(strip.get(STRIP_RECORD)) and strip.get(RECAST_ID) != f"{id_of(strip)} {strip.name}"


def cast_of(record: Any) -> frozenset[tuple[str, str]]:
    """(target, identity) of everybody that a recast's record (or about) gives a face."""
    return frozenset((one["target"], one["identity"]) for one in kept_json.swaps(record.get("swaps", "")))


def same_cast(state: bpy.types.PropertyGroup, record: Any) -> bool:
    """Whether the scene's cast is that of a recast."""
    return {(swap.target, swap.identity) for swap in state.swaps} == set(cast_of(record))


def overlap(a: bpy.types.Strip, b: bpy.types.Strip) -> bool:
    """Whether two recasts of one source show any of its frames on the same frames of the timeline."""
    (left, right), (other_left, other_right) = compat.span(a), compat.span(b)
    return a[STRIP_RECORD].get("strip_id") == b[STRIP_RECORD].get("strip_id") and max(left, other_left) < min(
        right, other_right
    )


def takes(scene: bpy.types.Scene, of: bpy.types.Strip) -> list[bpy.types.Strip]:
    """The tries at the same cast over frames of `of`, itself among them, by channel; of a cut one the first piece."""
    cast, found = cast_of(of[STRIP_RECORD]), {str(of[STRIP_RECORD].get("job")): of}
    for strip in placed(scene):
        if cast_of(strip[STRIP_RECORD]) == cast and overlap(strip, of):
            found.setdefault(str(strip[STRIP_RECORD].get("job")), strip)
    return sorted(found.values(), key=lambda strip: strip.channel)


def show_take(scene: bpy.types.Scene, strip: bpy.types.Strip) -> None:
    """Of all takes only this one is seen, with all pieces that it was cut into where the others were."""
    among = takes(scene, strip)
    for take in among:
        if take[STRIP_RECORD].get("job") == strip[STRIP_RECORD].get("job"):
            take.mute = False
            continue
        for piece in pieces(scene, take):
            piece.mute = True
        for other in placed(scene):
            same = other[STRIP_RECORD].get("job") == strip[STRIP_RECORD].get("job")
            if same and any(overlap(other, piece) for piece in pieces(scene, take)):
                other.mute = False
    stack.use(scene, strip)


def pieces(scene: bpy.types.Scene, strip: bpy.types.Strip) -> list[bpy.types.Strip]:
    """The strips that `strip` was cut into, itself first: of one recast over one placement of its source. A duplicate
    shows frames that another shows: it is a recast of its own, with what was cut off it."""
    of = strip[STRIP_RECORD]
    same = [
        one
        for one in placed(scene)
        if one[STRIP_RECORD].get("job") == of.get("job") and one[STRIP_RECORD].get("strip_id") == of.get("strip_id")
    ]
    first = min(same, key=lambda one: (not in_step(scene, one), one.name))
    mine = next(group for group in copies.grouped(same, first) if strip in group)
    return [strip, *(one for one in mine if one != strip)]


def in_step(scene: bpy.types.Scene, strip: bpy.types.Strip) -> bool:
    """Whether a recast lies over a source, and shows on each frame what that shows there. Only reads."""
    source = source_of(scene, strip)
    return source != strip and frames_off(scene, strip, source) == 0


def meant(scene: bpy.types.Scene) -> bpy.types.Strip | None:
    """The recast that Update, takes and Remove act on: the strip that is acted on (`compat.acted_on`); where that is a
    source or a meta strip, the uppermost one that is seen of or in it at the playhead, None where there is none. A
    source that was moved away from its recast may lie elsewhere."""
    strip = compat.active_picture(scene)
    if strip is None or strip.get(STRIP_RECORD):
        return strip
    now, (left, right) = scene.frame_current, compat.span(strip)
    over = [
        one
        for one in placed(scene)
        if (_inside(one, strip) if strip.type == "META" else _is_of(one, strip))
        and compat.span(one)[0] <= now < compat.span(one)[1]
        and (left <= now < right or source_of(scene, one) == strip)
    ]
    return max(over, key=lambda one: (not one.mute, one.channel), default=None)


def _is_of(strip: bpy.types.Strip, source: bpy.types.Strip) -> bool:
    return bool(source.get(STRIP_ID)) and strip[STRIP_RECORD].get("strip_id") == source[STRIP_ID]


def _inside(strip: bpy.types.Strip, meta: bpy.types.Strip) -> bool:
    holder = strip.parent_meta()
    while holder is not None and holder != meta:
        holder = holder.parent_meta()
    return holder is not None


def source_of(scene: bpy.types.Scene, strip: bpy.types.Strip) -> bpy.types.Strip:
    """The strip that a recast was made of, where it is there: of one that was cut the piece that the recast lies over,
    one that is connected to it before others. Any other strip is its own."""
    if not strip.get(STRIP_RECORD):
        return strip
    of = strip[STRIP_RECORD]
    (left, right), connected = compat.span(strip), list(getattr(strip, "connections", ()))
    over = [
        (one in connected, min(right, compat.span(one)[1]) - max(left, compat.span(one)[0]), one)
        for one in compat.all_strips(scene)
        if _is_of(strip, one) and one.parent_meta() == strip.parent_meta()
    ]
    if shown := [one for one in over if one[1] > 0]:
        return max(shown, key=lambda one: one[:2])[2]
    source = strip_media.find(scene, of["strip_id"], of["strip_name"], of["source_start"], of.get("stored_frames", 0))
    return source if source is not None else strip
