"""What another engine's scan or model must say to be kept: that it is of the footage and people that it was asked for.

A scan names its footage, which later jobs read, and send to whatever engine is used then.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from ..errors import DataError, MediaError, UnderstudyError
from ..own_files import is_place
from ..protocol import Clip, ScanSpec, TrainSpec, from_json, parse_json
from ..reading import read_text, require_regular


class NotAsAsked(UnderstudyError):
    """What the other engine sent is not what it was asked for."""


def require_scan_of(spec: ScanSpec, name: str, whole: Path) -> None:
    """Raise NotAsAsked where a file of a scan, as it has come, does not name the clip that was to be scanned: its path,
    range, stream, way of counting and picture size; or where its alignments are none. Files that name no clip pass.
    `name` is relative to the scan."""
    if name not in ("scan.json", "alignments.safetensors", "source.json"):
        return
    try:
        told = _header(whole) if whole.suffix == ".safetensors" else parse_json(read_text(whole))
        if name == "source.json":
            fits = Path(told["path"]) == Path(spec.clip.path)
        else:
            fits = _is_clip_of(from_json(Clip, told["clip"]), spec.clip) and _is_size_of(told, spec.clip)
            fits = fits and (whole.suffix != ".safetensors" or _are_alignments(whole))
    except (OSError, ValueError, KeyError, TypeError):
        fits = False
    if not fits:
        raise NotAsAsked(
            f"What the remote engine sent as {name} is no scan of {Path(spec.clip.path).name}, and nothing of it was "
            "kept. Look at the engine on the other machine, then scan again."
        )


def require_model_of(spec: TrainSpec, name: str, whole: Path) -> None:
    """Raise NotAsAsked where a model's card, as it has come, does not name all who were to be trained and nobody else,
    or a faceset or a network names somebody else. Other files pass. `name` is relative to the model."""
    asked = {identity.name for identity in spec.identities}
    try:
        if name == "model.json":
            told = parse_json(read_text(whole))["identities"]
            fits = isinstance(told, list) and sorted(told) == sorted(asked)
        elif is_place(name, "model") and whole.suffix == ".faceset":
            fits = _header(whole)["name"] in asked
        else:
            fits = whole.suffix != ".safetensors" or {*_header(whole).get("identities", [])} <= asked
    except (OSError, ValueError, KeyError, TypeError):
        fits = False
    if not fits:
        raise NotAsAsked(
            f"What the remote engine sent as {name} is no model of {', '.join(sorted(asked))}, and was not kept. Look "
            "at the engine on the other machine, then train again."
        )


def _is_clip_of(told: Clip, asked: Clip) -> bool:
    """Whether a scan's clip is the one asked for; a range may end earlier, where the footage does."""
    same = replace(told, end=asked.end, path=str(Path(told.path))) == replace(asked, path=str(Path(asked.path)))
    if asked.end is None or told.end is None:
        return same and told.end == asked.end
    return same and asked.start < told.end <= asked.end


def _is_size_of(told: dict[str, Any], clip: Clip) -> bool:
    """Whether the pictures of a scan, where it says how large they are, are as large as the footage's."""
    from ..media.footage import footage_of
    from ..media.reader import probe

    if "width" not in told and "height" not in told:
        return True  # no reader takes it
    try:
        info = probe(footage_of(clip))
    except MediaError:
        return False
    return (told.get("width"), told.get("height")) == (info.width, info.height)


def _are_alignments(path: Path) -> bool:
    from ..faces.alignments import read_alignments  # numpy, which the supervisor does without

    try:
        read_alignments(path)
    except DataError:
        return False
    return True


def _header(path: Path) -> dict[str, Any]:
    """The facts in a file of tensors. Raises OSError, ValueError, KeyError, TypeError."""
    from safetensors import SafetensorError, safe_open

    require_regular(path)
    try:
        with safe_open(path, framework="np") as file:
            return dict(parse_json(file.metadata()["understudy"]))
    except SafetensorError as error:
        raise ValueError(str(error)) from None
