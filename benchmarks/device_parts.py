"""The parts of `device.py` in their order, and what they share."""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
import subprocess
import sys
import sysconfig
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from device_results import Results

if TYPE_CHECKING:
    import torch

NEEDED = ("numpy", "scipy", "cv2", "safetensors", "torch")
"""Without these nothing runs; `av` is asked for by the parts that read or write footage."""
TINY_SIZES = {"quick": (64, 8), "standard": (64, 12), "fine": (96, 8)}


@dataclass
class Bench:
    """What every part is given. `deadline` is when the part has to have ended (`time.time`)."""

    name: str
    tiny: bool
    work: Path
    out: Path
    pair: list[Path]
    results: Results
    deadline: float = 0.0
    kept: dict[Any, Any] = field(default_factory=dict)
    device: torch.device = field(init=False)

    def left(self) -> float:
        """Seconds until the part has to have ended."""
        return self.deadline - time.time()

    def model(self, preset: str, network: str = "refine") -> Path:
        """The model folder of a preset and network."""
        return self.work / "models" / f"{preset}-{network}"

    def scan(self, who: str) -> Path:
        """The scan of the "shot" or the "face", made on the processor."""
        return self.work / "scans" / who

    def wait(self) -> None:
        """Wait until the device has done all that was asked of it."""
        import torch

        if self.device.type == "cuda":
            torch.cuda.synchronize()
        elif self.device.type == "mps":
            torch.mps.synchronize()

    def is_well(self) -> bool:
        """Whether the device still computes: after some errors it does nothing more for this process."""
        import torch

        try:
            return float((torch.ones(8, device=self.device) + 1).sum()) == 16
        except RuntimeError:
            return False

    def tidy(self) -> None:
        """Give back the device's memory between two parts."""
        import gc

        import torch

        self.kept.clear()
        gc.collect()
        torch._dynamo.reset()
        if self.device.type == "cuda":
            torch.cuda.empty_cache()


@dataclass(frozen=True)
class Part:
    """`least` seconds have to be left for it to be begun; after `most` it is ended. Others need the `first` ones."""

    name: str
    least: float
    most: float
    needs: tuple[str, ...]
    work: Callable[[Bench], dict[str, Any]]
    first: bool = False


def lack(bench: Bench, part: Part) -> str:
    """Why a part cannot be done here, in a sentence; "" when it can."""
    from understudy.engine.faces.networks import weights

    for need in part.needs:
        if need == "av" and not importlib.util.find_spec("av"):
            return "PyAV (av) is not installed: no footage can be read or written."
        if need == "networks" and (absent := weights.missing()):
            return f"Face networks are missing in {weights.folder()}: {', '.join(absent)}."
        if need == "footage" and (absent := [str(p) for p in bench.pair if not p.exists()]):
            return f"Footage is missing: {', '.join(absent)}."
        if need == "cuda" and bench.device.type != "cuda" and not bench.tiny:
            return "It is for CUDA devices."
        if need == "nvidia" and bench.device.type != "cuda":
            return "There is no NVIDIA card to decode and encode on."
        if need == "material" and not (bench.model("standard") / "model.json").is_file():
            return "The part material did not make its facesets."
    return ""


def facts(bench: Bench) -> dict[str, Any]:
    """What this machine has; chooses device and sizes of networks. Raises SystemExit where it lacks too much."""
    absent = [name for name in NEEDED if not importlib.util.find_spec(name)]
    if absent:
        raise SystemExit(f"{sys.executable} lacks {', '.join(absent)}: nothing can be measured with it.")
    from understudy.engine.devices import passed_over
    from understudy.engine.job_bodies import pick_device  # before torch: it says where compiled code is kept
    from understudy.engine.memory import keep_memory
    from understudy.engine.model.networks import refiner_network

    torch = importlib.import_module("torch")
    keep_memory()  # as every job does
    torch.set_flush_denormal(True)
    bench.device = torch.device(pick_device() if bench.name == "auto" else bench.name)
    if bench.tiny:
        refiner_network.SIZES.update(TINY_SIZES)  # type: ignore[typeddict-item]
    found: dict[str, Any] = {
        "card": platform.processor() or platform.machine(),
        "device": str(bench.device),
        "passed over": passed_over(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version(),
        "threads": torch.get_num_threads(),
        "cores": os.cpu_count(),
        "compiler": shutil.which("cc") or shutil.which("gcc") or "",
        "python headers": Path(sysconfig.get_path("include"), "Python.h").is_file(),
    }
    for name in ("numpy", "scipy", "cv2", "triton", "av"):
        there = importlib.util.find_spec(name)
        found[name] = getattr(importlib.import_module(name), "__version__", "?") if there else "not installed"
    if bench.device.type == "cuda":
        properties = torch.cuda.get_device_properties(bench.device)
        found |= {"card": properties.name, "card's GiB": properties.total_memory / 2**30}
        found |= {"compute capability": f"{properties.major}.{properties.minor}", "driver": _driver()}
        found["multiprocessors"] = properties.multi_processor_count
    found["commit"] = _said("git", "rev-parse", "--short", "HEAD")
    return found


def _driver() -> str:
    return _said("nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader")


def _said(*command: str) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, cwd=Path(__file__).parent)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def _late(module: str, function: str, *arguments: Any) -> Callable[[Bench], dict[str, Any]]:
    """A part's work, whose module is loaded when it begins: one that this machine cannot load spoils no other."""

    def work(bench: Bench) -> dict[str, Any]:
        found: dict[str, Any] = getattr(importlib.import_module(module), function)(bench, *arguments)
        return found

    return work


def _part(
    name: str,
    least: float,
    most: float,
    needs: str,
    doc: str,
    work: Callable[[Bench], dict[str, Any]],
    first: bool = False,
) -> Part:
    work.__doc__ = doc
    return Part(name, least, most, tuple(needs.split()), work, first)


_speed, _right = partial(_late, "device_speed"), partial(_late, "device_correct")
_media = partial(_late, "device_media")


def _ways(preset: str, network: str) -> list[Part]:
    doc = "The same steps as torch.compile makes them: speed, memory, and whether gradients are the plain network's."
    return [
        _part(f"{short} {preset} {network}", 30, 100, "cuda material", doc, _speed("way", preset, network, name))
        for short, name in (("compiled", "compiled"), ("graphs", "compiled, with CUDA graphs"))
    ]


PARTS = [
    _part("material", 5, 120, "av networks footage", "Scans of the pair by the processor, facesets of every preset.",
          _late("device_material", "material"), True),
    _part("peak", 3, 30, "", "What the device does at most: matrix products, a convolution, TFLOP/s.", _speed("peak")),
    _part("right step", 5, 60, "material", "One training step there and on the processor: largest differences.",
          _right("steps")),
    _part("right scan", 5, 60, "material av", "A scan there and on the processor: differences.", _right("scans")),
    _part("right conversion", 5, 90, "material av", "Drafts and recast frames there and on the processor: largest "
          "differences, and a picture.", _right("conversions")),
    *(_part(f"steps {preset} {network}", 5, 45, "material", "Training steps a second, as they are; memory.",
            _speed("steps", preset, network))
      for preset, network in (("standard", "refine"), ("quick", "refine"), ("fine", "refine"), ("standard", "shared"))),
    _part("convert 1080", 10, 75, "material av", "Frames a second of a conversion, beside decode and encode alone.",
          _media("converted", 1080)),
    _part("scan speed", 8, 60, "material av", "Faces a second of a scan at 1080 lines, beside decoding alone.",
          _media("scanned")),
    *_ways("standard", "refine"),
    _part("card's codecs", 5, 45, "nvidia material av", "Decoding and encoding on the card (NVDEC, NVENC), whether its "
          "frames are the same.", _media("codecs")),
    _part("twins", 5, 45, "material", "Steps a second of faceswap's original and DeepFaceLab's SAEHD, rebuilt.",
          _speed("twins")),
    _part("training", 100, 200, "material", "Minutes of training the preset standard, with a sheet of frames.",
          _late("device_training", "trained")),
    _part("convert 2160", 10, 60, "material av", "The same conversion at 2160 lines.", _media("converted", 2160)),
    *_ways("quick", "refine"), *_ways("fine", "refine"), *_ways("standard", "shared"),
    _part("halves", 30, 120, "cuda material", "The gradients of a batch in two parts, in every way to run the network.",
          _speed("halves")),
]  # fmt: skip
