"""The settings of a conversion: kept beside the result."""

from __future__ import annotations

import contextlib
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..durable import SHARED, write_json
from ..errors import DataError
from ..media.partial_output import SETTINGS_SUFFIX, settings_file
from ..media.segment_reuse import EarlierMovie
from ..protocol import PROTOCOL, ConvertSpec, from_json, parse_json, to_json
from ..provenance.erase import read_json
from ..provenance.outputs import require_writable
from ..provenance.overwriting import is_settings
from ..reading import read_text


def save_settings(
    spec: ConvertSpec, written: dict[str, Any] | None = None, doubt: dict[int, float] | None = None
) -> None:
    """Keep the whole spec of a finished conversion beside its result, so that it can be made again.

    `written` is what `MovieWriter.record` tells of it, for the takes after it; `doubt` tells of each frame of the
    source with a recast face how far the wanted one lies from all that its source shows, 0..1.
    """
    made = {"protocol": PROTOCOL, "convert": to_json(replace(spec, overwrite=False))} | (
        {"written": written} if written else {}
    )
    if doubt:
        made["doubt"] = {str(frame): round(value, 2) for frame, value in sorted(doubt.items())}

    def allow(path: Path) -> None:
        require_writable(path, [], spec.overwrite, is_settings, "settings")

    write_json(settings_file(Path(spec.output)), made, SHARED, allow=allow)


def earlier_results(output: Path) -> list[EarlierMovie]:
    """The movies in the output's folder that segments may be taken from, the newest first."""
    found = []
    for path in sorted(output.parent.glob(f"*{SETTINGS_SUFFIX}"), key=lambda p: -p.lstat().st_mtime):
        movie = path.with_name(path.name.removesuffix(SETTINGS_SUFFIX))
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            if not movie.is_symlink():  # those may lead anywhere
                found.append(EarlierMovie.of(movie, read_json(path)["written"]))
    return found


def load_doubt(output: Path) -> dict[int, float]:
    """How doubtful each frame of a result was when it was made, frame of the source → 0..1. Raises DataError when what
    was kept is damaged."""
    path = settings_file(output)
    try:
        return doubt_of(parse_json(read_text(path)))
    except (OSError, ValueError) as error:
        raise DataError(f"{path} is damaged ({error}). Recast the range again.") from None


def doubt_of(kept: Any) -> dict[int, float]:
    """The doubt in what was kept with a result. Raises ValueError when it is none."""
    try:
        doubt = {int(frame): float(value) for frame, value in kept.get("doubt", {}).items()}
    except (TypeError, AttributeError, OverflowError) as error:
        raise ValueError(str(error)) from None
    if not all(math.isfinite(value) and 0 <= value <= 1 for value in doubt.values()):
        raise ValueError("A frame's doubt is not within 0 to 1.")
    return doubt


def load_settings(output: Path) -> ConvertSpec:
    """The spec that made a result. Raises DataError when it is not there or damaged."""
    path = settings_file(output)
    if not path.is_file():
        raise DataError(f"{path} is not there: nothing tells how {output.name} was made. Name the settings yourself.")
    try:
        return from_json(ConvertSpec, parse_json(read_text(path))["convert"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path} is damaged ({error}). Name the settings yourself.") from None
