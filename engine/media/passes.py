"""Passes of a recast for a compositor: one OpenEXR file of several layers for each frame.

R, G, B, A is the recast face, scene-linear and premultiplied: laid over the footage in linear light
(R + footage · (1 − A)) it gives the recast. What else there is of a face: `LAYERS`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import av
import numpy as np

from ..protocol import parse_json
from ..reading import open_regular
from .colour_spaces import FULL, matrix_of, transfer_of
from .exr_writer import exr_bytes, text_of
from .float_view import Patch, apply_patches
from .linear import linear_light
from .planes import planar
from .reader import Frame, MediaInfo, as_coded, rotation_of, turn
from .recipes import SRGB
from .signal import from_signal, signal_of
from .timecode import offset_timecode
from .tone_mapping import HDR_OR_LINEAR

MASKS = ("matte.A", "eyes.A", "lips.A", "skin.A", "occluder.A")
LAYERS = (*MASKS, "st.R", "st.G", "st.B", "uv.R", "uv.G", "uv.B")
"""Of a face, as shown: mattes 0..1, and maps of where in its aligned face (st) and in the unrolled mesh (uv) a pixel
lies, 0..1 from the left (R) and from the bottom (G); B is 1 where they tell, else all are 0."""
MAPS = ("st.", "uv.")
"""Layers of 32 bits: half floats would tell no less than a quarter of a pixel apart."""
FACTS = "understudyFaces"
"""The attribute of a file that has the frame's faces as JSON."""
LARGEST_HEADER = 1 << 20
HALF_MAX = 65504.0


def layer_names(people: Sequence[int]) -> list[str]:
    """The channels beside R, G, B, A of a recast of these persons: with several, each has layers of its own."""
    if len(people) < 2:
        return list(LAYERS)
    return [f"person{person}_{name}" for person in sorted(people) for name in LAYERS]


def passes_picture(
    frame: Frame, patches: Sequence[Patch], people: Sequence[int], info: MediaInfo, texts: Mapping[str, str]
) -> bytes:
    """The file of a frame with its patches, upright; patches carry the `layers` of their faces, and their `facts`."""
    height, width = frame.shape
    face, matte = _face(frame.native, [as_coded(patch, frame.native) for patch in patches])
    channels = {name: np.zeros((height, width), np.float32) for name in layer_names(people)}
    for patch in patches:
        x0, y0, x1, y1 = patch.box
        first = f"person{patch.facts['person']}_" if len(people) > 1 else ""
        here = np.s_[y0:y1, x0:x1]
        for name, values in patch.layers.items():
            channel = channels[first + name]
            if name.startswith(MAPS):
                np.copyto(channel[here], values, where=patch.layers[f"{name[:2]}.B"] > 0)
            else:
                np.maximum(channel[here], values, out=channel[here])
    rotation = rotation_of(frame.native)
    channels |= {name: turn(face, rotation)[..., n] for n, name in enumerate("RGB")}
    channels["A"] = turn(matte, rotation)
    code = offset_timecode(info.timecode, frame.index, info.fps) if info.timecode else ""
    facts = {
        "source": info.path.name,
        "size": [width, height],
        "fps": [info.fps.numerator, info.fps.denominator],
        "frame": frame.index,
        "timecode": code,
        "faces": [patch.facts for patch in patches],
    }
    typed = {
        name: values
        if name.split("_")[-1].startswith(MAPS)
        else np.clip(values, -HALF_MAX, HALF_MAX).astype(np.float16)
        for name, values in channels.items()
    }
    return exr_bytes(typed, {**texts, FACTS: json.dumps(facts)})


def _face(native: av.VideoFrame, patches: Sequence[Patch]) -> tuple[np.ndarray, np.ndarray]:
    """The recast face (H, W, 3) float32, linear and premultiplied, and its matte (H, W), as coded.

    It is what is missing from the footage behind the matte to the recast, so that one over the other is the recast.
    """
    source = planar(native)
    whole = (0, 0, source.width, source.height)
    # in floating point: what the footage's own depth and chroma would take of the face is not taken
    plain = from_signal(signal_of(source, whole), None, "gbrpf32le", matrix_of(native), FULL)
    told = transfer_of(native)
    plain.color_trc = told if told in HDR_OR_LINEAR else SRGB
    plain.color_primaries = native.color_primaries
    matte = np.zeros((source.height, source.width), np.float32)
    for patch in patches:
        x0, y0, x1, y1 = patch.box
        np.copyto(matte[y0:y1, x0:x1], np.clip(patch.matte, 0, 1), where=patch.matte > 0)
    old, new = (
        linear_light(signal_of(planar(picture), whole), transfer_of(picture), int(picture.color_primaries))
        for picture in (plain, apply_patches(plain, patches))
    )
    matte = matte.astype(np.float16).astype(np.float32)  # as it is written
    face = np.where(matte[..., None] > 0, new - (1 - matte[..., None]) * old, 0)
    return face.astype(np.float32), matte


def faces_of(folder: Path) -> dict[str, Any]:
    """What the files of a folder of passes tell of their faces. Raises ValueError where one tells nothing."""
    told: dict[str, Any] = {"format": "understudy passes", "version": 1}
    frames = []
    for path in sorted(folder.glob("*.exr")):
        with open_regular(path) as file:
            facts = parse_json(text_of(file.read(LARGEST_HEADER), FACTS))
        if not isinstance(facts, dict) or not isinstance(facts.get("frame"), int):
            raise ValueError(f"{path.name} tells nothing of its faces")
        told |= {name: facts.pop(name, None) for name in ("source", "size", "fps")}
        frames.append({"file": path.name, **facts})
    return told | {"frames": sorted(frames, key=lambda one: one["frame"])}
