"""The settings of a conversion: checked before anything is done, and kept beside the result."""

from __future__ import annotations

import contextlib
import math
from pathlib import Path
from typing import Any

from ..arrays import write_json
from ..errors import DataError
from ..media.segment_reuse import Earlier
from ..protocol import PROTOCOL, ConvertSettings, ConvertSpec, from_json, parse_json, to_json

SIDES = ("top", "right", "bottom", "left")
ENDING = ".understudy.json"
ERODE_LIMIT, FEATHER_LIMIT = 0.4, 0.5


def check_settings(settings: ConvertSettings) -> None:
    """Raise DataError with a sentence that names the first setting that cannot be used."""
    if len(settings.erode) != 4:
        raise DataError(f"Erode has {len(settings.erode)} numbers; give four, for {', '.join(SIDES)}.")
    for side, value in zip(SIDES, settings.erode, strict=True):
        if not (math.isfinite(value) and 0 <= value <= ERODE_LIMIT):
            raise DataError(f"Erode at the {side} is {value:g}; give a part of the face's width, 0 to {ERODE_LIMIT:g}.")
    if not (math.isfinite(settings.feather) and 0 <= settings.feather <= FEATHER_LIMIT):
        raise DataError(
            f"Feather is {settings.feather:g}; give a part of the face's width from 0 to {FEATHER_LIMIT:g}."
        )
    if not (math.isfinite(settings.smooth) and 0 <= settings.smooth <= 1):
        raise DataError(f"Smooth is {settings.smooth:g}; give a number from 0 (as measured) to 1 (steadiest).")
    if not (math.isfinite(settings.shape) and 0 <= settings.shape <= 1):
        raise DataError(f"Shape is {settings.shape:g}; give a number from 0 (the target's) to 1 (the source's).")
    if not settings.mark and not settings.mark_reason.strip():
        raise DataError("The mark may be left out only for a reason. Say why in its reason, or leave it on.")


def settings_file(output: Path) -> Path:
    """Where what made a result is kept: `recast.mov.understudy.json` beside `recast.mov`."""
    return output.with_name(f"{output.name}{ENDING}")


def save_settings(
    spec: ConvertSpec, written: dict[str, Any] | None = None, doubt: dict[int, float] | None = None
) -> None:
    """Keep the whole spec of a finished conversion beside its result, so that it can be made again.

    `written` is what `MovieWriter.record` tells of it, for the takes after it; `doubt` tells of each frame of the
    source with a recast face how far the wanted one lies from all that its source shows, 0..1.
    """
    made = {"protocol": PROTOCOL, "convert": to_json(spec)} | ({"written": written} if written else {})
    if doubt:
        made["doubt"] = {str(frame): round(value, 2) for frame, value in sorted(doubt.items())}
    write_json(settings_file(Path(spec.output)), made)


def earlier_results(output: Path) -> list[Earlier]:
    """The movies in the output's folder that segments may be taken from, the newest first."""
    found = []
    for path in sorted(output.parent.glob(f"*{ENDING}"), key=lambda p: -p.stat().st_mtime):
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            told = parse_json(path.read_text(encoding="utf-8"))["written"]
            found.append(Earlier.of(path.with_name(path.name.removesuffix(ENDING)), told))
    return found


def load_settings(output: Path) -> ConvertSpec:
    """The spec that made a result. Raises DataError when it is not there or damaged."""
    path = settings_file(output)
    if not path.is_file():
        raise DataError(f"{path} is not there: nothing tells how {output.name} was made. Name the settings yourself.")
    try:
        return from_json(ConvertSpec, parse_json(path.read_text(encoding="utf-8"))["convert"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path} is damaged ({error}). Name the settings yourself.") from None
