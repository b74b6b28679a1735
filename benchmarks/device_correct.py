"""Whether a device computes what the processor does: the part of `device.py` that compares."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from device_material import Faces, first_frames
from device_parts import Bench
from understudy.engine.convert.conversion import convert
from understudy.engine.faces.alignments import load_alignments
from understudy.engine.faces.scan import scan
from understudy.engine.media.reader import read_frames
from understudy.engine.model.networks import precision
from understudy.engine.model.training import training_step
from understudy.engine.protocol import ConvertSpec, Swap
from understudy.engine.reporter import Silent

CPU = torch.device("cpu")
FRAMES = 8
TILE = 320
MAGNIFIED = 16


@contextmanager
def exact_numbers() -> Iterator[None]:
    """float32 in full everywhere: neither bfloat16 nor TF32."""
    chosen, convolutions = precision.autocast_dtype, torch.backends.cudnn.allow_tf32
    matrices = torch.get_float32_matmul_precision()
    precision.autocast_dtype = lambda device_type: None  # type: ignore[assignment]
    torch.backends.cudnn.allow_tf32 = False
    torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        precision.autocast_dtype = chosen
        torch.backends.cudnn.allow_tf32 = convolutions
        torch.set_float32_matmul_precision(matrices)


def differences(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> dict[str, float]:
    """The largest difference of tensors of the same names, and the length of all differences as a part of the first."""
    pairs = [(a[name].double(), b[name].double()) for name in a]
    apart = sum(float((x - y).square().sum()) for x, y in pairs)
    whole = sum(float(x.square().sum()) for x, _ in pairs)
    return {
        "largest": max(float((x - y).abs().max()) for x, y in pairs),
        "relative": (apart / max(whole, 1e-30)) ** 0.5,
    }


def one_step(folder: Path, device: torch.device) -> dict[str, dict[str, torch.Tensor]]:
    """The first training step of a model: its pictures, losses, gradients, and the weights after it."""
    faces = Faces(folder, device)
    training = faces.training()
    losses = training_step.step(training, faces.materials, faces.shape, Silent())
    (inputs, _), pictures = training.inputs[0]
    shown = [x for x in inputs if x is not None]
    named = dict(training.refiner.named_parameters())
    return {
        "drafts and their maps": {str(n): x.cpu() for n, x in enumerate(shown)},
        "truth, mask and weight": {str(n): x.cpu() for n, x in enumerate(pictures)},
        "losses": {"all": losses.cpu()},
        "gradients": {name: p.grad.cpu() for name, p in named.items() if p.grad is not None},
        "weights": {name: p.detach().cpu() for name, p in named.items()},
    }


def steps(bench: Bench) -> dict[str, Any]:
    """One training step of each kind of network, in full float32 and as it is run."""
    found: dict[str, Any] = {}
    for network in ("refine", "shared"):
        folder = bench.model("quick" if network == "refine" else "standard", network)
        with exact_numbers():
            ours = one_step(folder, CPU)
            theirs = one_step(folder, bench.device)
        usual = one_step(folder, bench.device)
        for way, made in (("float32", theirs), ("as it runs", usual)):
            found[f"{network}, {way}"] = {name: differences(ours[name], made[name]) for name in ours}
    exact = found["refine, float32"]
    words = (
        f"In float32 drafts differ by {exact['drafts and their maps']['largest']:.2g} at most, gradients by "
        f"{exact['gradients']['relative']:.2g} of their length; as it runs by "
        f"{found['refine, as it runs']['gradients']['relative']:.2g}."
    )
    return {"words": words, **found}


def scans(bench: Bench) -> dict[str, Any]:
    """The shot scanned on the device, against the scan by the processor."""
    folder = bench.work / "scans" / "shot-on-device"
    clip = first_frames(bench, bench.pair[0])
    shutil.rmtree(bench.work / "kept" / "device", ignore_errors=True)
    scan(clip, folder, Silent(), str(bench.device), bench.work / "kept" / "device")
    a, b = load_alignments(bench.scan("shot")), load_alignments(folder)
    found: dict[str, Any] = {"faces": [len(a), len(b)], "people": [int(x.person.max()) + 1 for x in (a, b)]}
    if len(a) != len(b) or (a.frame != b.frame).any():
        return {"words": f"NOT the same faces: {found}.", "same faces": False, **found}
    eyes = np.linalg.norm(a.landmarks[:, 33, :2] - a.landmarks[:, 263, :2], axis=-1)
    away = np.linalg.norm((a.landmarks - b.landmarks)[..., :2], axis=-1)
    apart = np.linalg.norm(a.embedding - b.embedding, axis=-1)
    found |= {
        "same faces": True,
        "same people": bool((a.person == b.person).all()),
        "boxes, largest, pixels": np.abs(a.box - b.box).max(),
        "landmarks, largest, pixels": away.max(),
        "landmarks, mean, % of the eyes' distance": 100 * (away.mean(1) / eyes).mean(),
        "embeddings, largest distance": np.nanmax(apart) if np.isfinite(apart).any() else 0.0,
    }
    words = (
        f"{len(a)} faces, the same {'people' if found['same people'] else 'faces, BUT OTHER PEOPLE'}; landmarks differ "
        f"by {found['landmarks, largest, pixels']:.3g} pixels at most, embeddings by "
        f"{found['embeddings, largest distance']:.2g}."
    )
    return {"words": words, **found}


def recast(bench: Bench, name: str, device: torch.device, refined: bool) -> list[np.ndarray]:
    """The shot's first frames converted without loss on a device: (H, W, 3) uint8 RGB each."""
    folder = bench.work / "right" / name.replace(" ", "-")
    shutil.rmtree(folder, ignore_errors=True)  # or segments would be taken over from an earlier run
    folder.mkdir(parents=True)
    spec = ConvertSpec(
        scan=str(bench.scan("shot")),
        model=str(bench.model("quick")),
        swaps=[Swap(person=0, identity="face")],
        output=str(folder / "recast.mkv"),
        use_refiner=refined,
        start=0,
        end=FRAMES,
        format="ffv1",
    )
    convert(spec, device, Silent())
    return [frame.rgb.copy() for frame in read_frames(Path(spec.output))]


def conversions(bench: Bench) -> dict[str, Any]:
    """Drafts and refined faces of a few frames, in full float32 and as they are made."""
    found: dict[str, Any] = {}
    rows = []
    for kind, refined in (("draft", False), ("refined", True)):
        with exact_numbers():
            ours = recast(bench, f"{kind} cpu", CPU, refined)
            theirs = recast(bench, f"{kind} device float32", bench.device, refined)
        usual = recast(bench, f"{kind} device", bench.device, refined)
        for way, made in (("float32", theirs), ("as it runs", usual)):
            away = np.stack([np.abs(x.astype(int) - y) for x, y in zip(ours, made, strict=True)])
            found[f"{kind}, {way}"] = {
                "largest, of 255": away.max(),
                "mean, of 255": away.mean(),
                "part of the samples that differ by more than 2": (away > 2).mean(),
            }
        away = np.stack([np.abs(x.astype(int) - y) for x, y in zip(ours, usual, strict=True)])
        worst = int(away.sum((1, 2, 3)).argmax())
        many = np.clip(MAGNIFIED * away[worst], 0, 255).astype(np.uint8)
        rows.append([next_frame(bench, worst), ours[worst], usual[worst], many])
    sheet(bench.out / "right-conversion.png", rows)
    words = "; ".join(
        f"{name}: {one['largest, of 255']} of 255 at most, {one['mean, of 255']:.3f} on average"
        for name, one in found.items()
    )
    return {"words": f"{words}.", "picture": "right-conversion.png", **found}


def next_frame(bench: Bench, number: int) -> np.ndarray:
    """A frame of the shot, (H, W, 3) uint8 RGB."""
    return next(iter(read_frames(bench.pair[0], number, number + 1))).rgb


def sheet(path: Path, rows: list[list[np.ndarray]]) -> None:
    """Pictures (H, W, 3) uint8 RGB in rows as a PNG, each as high as a tile."""
    lines = []
    for row in rows:
        tiles = [
            cv2.resize(x, (round(x.shape[1] * TILE / x.shape[0]), TILE), interpolation=cv2.INTER_AREA) for x in row
        ]
        lines.append(np.concatenate(tiles, 1))
    wide = max(line.shape[1] for line in lines)
    lines = [np.pad(line, ((0, 0), (0, wide - line.shape[1]), (0, 0))) for line in lines]
    cv2.imwrite(str(path), cv2.cvtColor(np.concatenate(lines), cv2.COLOR_RGB2BGR))
