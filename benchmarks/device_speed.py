"""How fast a device trains, as the part of `device.py` that counts steps: peak, presets, ways of running, twins."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from device_correct import differences
from device_material import Faces
from device_parts import Bench
from model_twins import Twin, step_as_faceswap, step_as_ours
from torch import nn
from torch.utils.flop_counter import FlopCounterMode
from understudy.engine.model.networks.precision import COMPILE_OPTIONS, Run, autocast, batch_factor, compiled
from understudy.engine.model.training import training_step
from understudy.engine.reporter import Silent

BLOCK = 10
"""Steps between two readings of the clock: the trainer, too, makes the device wait that often."""
STRETCH = 4.0
"""Seconds for which a speed is measured."""
TWIN_BATCH = 16


def per_second(bench: Bench, work: Callable[[], object], stretch: float = STRETCH, warm: int = 4) -> float:
    """How often work is done in a second: the median of blocks, once it is warm."""
    block = 1 if bench.tiny else BLOCK
    for _ in range(1 if bench.tiny else warm):
        work()
    bench.wait()
    found: list[float] = []
    end = time.perf_counter() + (stretch / 4 if bench.tiny else stretch)
    while time.perf_counter() < end or not found:
        begun = time.perf_counter()
        for _ in range(block):
            work()
        bench.wait()
        found.append(block / (time.perf_counter() - begun))
    return sorted(found)[len(found) // 2]


def in_short(error: BaseException) -> str:
    """What went wrong, in a line."""
    return f"{type(error).__name__}: {(str(error).splitlines() or [''])[0][:300]}"


def peak(bench: Bench) -> dict[str, Any]:
    """Products of square matrices of random numbers and a convolution like ours, each in its own format."""
    side = 512 if bench.tiny else 8192
    found: dict[str, Any] = {}
    for name, dtype, exactness in (
        ("bfloat16", torch.bfloat16, "highest"),
        ("TF32", torch.float32, "high"),
        ("float32", torch.float32, "highest"),
    ):
        torch.set_float32_matmul_precision(exactness)
        a, b = (torch.randn(side, side, device=bench.device, dtype=dtype) for _ in range(2))
        found[f"{name} matrices, TFLOP/s"] = 2e-12 * side**3 * per_second(bench, lambda a=a, b=b: a @ b, 2.0)
    torch.set_float32_matmul_precision("highest")
    count, channels, edge = (2, 32, 32) if bench.tiny else (32, 192, 128)
    layer = nn.Conv2d(channels, channels, 3, padding=1).to(bench.device, memory_format=torch.channels_last)
    x = torch.randn(count, channels, edge, edge, device=bench.device).to(memory_format=torch.channels_last)

    def convolve() -> None:
        with torch.no_grad(), torch.autocast(bench.device.type, torch.bfloat16):
            layer(x)

    work = 2e-12 * count * edge**2 * 9 * channels**2
    found["bfloat16 convolution, TFLOP/s"] = work * per_second(bench, convolve, 1.0)
    return {"words": ", ".join(f"{name} {value:.3g}" for name, value in found.items()) + ".", **found}


def counted(bench: Bench, training: training_step.Training, faces: Faces) -> dict[str, Any]:
    """Steps a second of a training as it is, and what they are made of."""

    def whole() -> None:
        training_step.step(training, faces.materials, faces.shape, Silent())

    def feed() -> None:
        drawn = training_step.draw_all(faces.materials, training.generator, training.refiner, training.factor)
        training_step.make_inputs(training.refiner, faces.materials, drawn, faces.shape)

    whole()  # what is kept between steps is made
    with FlopCounterMode(display=False) as flops:
        whole()
    if bench.device.type == "cuda":
        bench.wait()
        torch.cuda.reset_peak_memory_stats()
    rate = per_second(bench, whole)
    found: dict[str, Any] = {"steps/s": rate, "ms a step": 1000 / rate}
    if bench.device.type == "cuda":
        found["memory at most, MiB"] = torch.cuda.max_memory_allocated() / 2**20
        found["memory reserved, MiB"] = torch.cuda.max_memory_reserved() / 2**20
    found["faces in a step"] = training.factor * training_step.batch_size(len(faces.sets)) * len(faces.sets)
    found["ms to draw and make a batch"] = 1000 / per_second(bench, feed, 1.0)
    found["part of a step that drawing and making takes"] = (
        found["ms to draw and make a batch"] / training_step.BATCH_REPEATS / found["ms a step"]
    )
    found["TFLOP/s"] = flops.get_total_flops() * rate / 1e12
    best = bench.results.parts.get("peak", {}).get("bfloat16 matrices, TFLOP/s")
    if best:
        found["part of the peak"] = found["TFLOP/s"] / best
    return found


def inputs_of(training: training_step.Training, faces: Faces) -> Any:
    """A batch as the network is called with."""
    drawn = training_step.draw_all(faces.materials, torch.Generator().manual_seed(0), training.refiner, training.factor)
    return training_step.make_inputs(training.refiner, faces.materials, drawn, faces.shape)[0]


def steps(bench: Bench, preset: str, network: str) -> dict[str, Any]:
    """The usual batch, and the one that a training takes on a card with this much memory."""
    faces = Faces(bench.model(preset, network), bench.device)
    training = faces.training()
    found: dict[str, Any] = {"usual batch": counted(bench, training, faces)}
    factor = batch_factor(bench.device, training.refiner, inputs_of(training, faces))
    training.refiner.zero_grad(set_to_none=True)
    found["times the usual batch that a training takes here"] = factor
    if factor > 1:
        training = faces.training()
        training.factor = factor
        found["batch taken here"] = counted(bench, training, faces)
    one = found["usual batch"]
    words = f"{one['steps/s']:.3g} steps/s of {one['faces in a step']} faces"
    if factor > 1:
        more = found["batch taken here"]
        words += f", {more['steps/s']:.3g} of {more['faces in a step']}"
    if "memory at most, MiB" in one:
        words += f"; {one['memory at most, MiB']:.0f} MiB at most"
    return {"words": f"{words}.", **found}


def gradients(training: training_step.Training, faces: Faces, run: Run, parts: int) -> dict[str, torch.Tensor]:
    """The gradients of one batch, the same every time, in so many parts; nothing is learned from it."""
    batch = training_step.draw_all(faces.materials, torch.Generator().manual_seed(2), training.refiner)
    training.network, training.parts, training.inputs = run, parts, []
    training.optimiser.zero_grad(set_to_none=True)
    training_step._gradients(training, faces.materials, batch, faces.shape)
    found = {n: p.grad.detach().cpu() for n, p in training.refiner.named_parameters() if p.grad is not None}
    training.parts, training.inputs = 1, []
    training.optimiser.zero_grad(set_to_none=True)
    return found


def way(bench: Bench, preset: str, network: str, name: str) -> dict[str, Any]:
    """A way that a training may choose, with whole steps, and its gradients beside the plain network's."""
    faces = Faces(bench.model(preset, network), bench.device)
    training = faces.training()
    plain = gradients(training, faces, training.refiner, 1)
    found: dict[str, Any] = {
        "plain gradients, the same batch again": differences(plain, gradients(training, faces, training.refiner, 1))
    }
    run = compiled(training.refiner, COMPILE_OPTIONS[name])
    begun = time.perf_counter()
    made = gradients(training, faces, run, 1)
    found["seconds to compile"] = time.perf_counter() - begun
    found["gradients against the plain network's"] = differences(plain, made)
    training.network = run
    if bench.device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    rate = per_second(bench, lambda: training_step.step(training, faces.materials, faces.shape, Silent()), warm=6)
    found |= {"steps/s": rate, "ms a step": 1000 / rate}
    if bench.device.type == "cuda":
        found["memory at most, MiB"] = torch.cuda.max_memory_allocated() / 2**20
    apart = found["gradients against the plain network's"]
    words = (
        f"{rate:.3g} steps/s; {found['seconds to compile']:.0f} s to compile; gradients differ from the plain "
        f"network's by {apart['relative']:.2g} of their length, the plain ones from "
        f"themselves by {found['plain gradients, the same batch again']['relative']:.2g}."
    )
    return {"words": words, **found}


def halves(bench: Bench) -> dict[str, Any]:
    """What a training does once memory ran out: a batch in two parts, in every way to run the network."""
    faces = Faces(bench.model("quick"), bench.device)
    training = faces.training()
    plain = gradients(training, faces, training.refiner, 1)
    found: dict[str, Any] = {"plain": differences(plain, gradients(training, faces, training.refiner, 2))}
    for name, options in COMPILE_OPTIONS.items():
        try:
            run = compiled(training.refiner, options)
            found[name] = differences(plain, gradients(training, faces, run, 2))
        except Exception as error:  # a compiler may fail in any way, and the other way may not
            found[name] = {"failed": in_short(error)}
    told = "; ".join(f"{name} {one.get('failed') or format(one['relative'], '.2g')}" for name, one in found.items())
    return {"words": f"Gradients differ from those of the batch at once, in parts of their length: {told}.", **found}


def twins(bench: Bench) -> dict[str, Any]:
    """Whole steps with real faces, 16 of each side: as their own programs run them, and as we run ours."""
    found: dict[str, Any] = {}
    sets = Faces(bench.model("quick"), torch.device("cpu")).sets
    batch = 2 if bench.tiny else TWIN_BATCH
    for name in ("original",) if bench.tiny else ("original", "saehd-df-ud-256"):
        torch.manual_seed(0)
        twin = Twin(name).to(bench.device)
        pictures = [torch.from_numpy(s.pixels).permute(0, 3, 1, 2).float() / 255 for s in sets]
        faces = [F.interpolate(x, size=(twin.size,) * 2, mode="area").to(bench.device) for x in pictures]
        found[f"{name} as its own program, steps/s"] = per_second(bench, step_as_faceswap(twin, faces, batch), 3.0)
        found[f"{name} as we do, steps/s"] = per_second(bench, step_as_ours(twin, faces, batch), 3.0)
    with autocast(bench.device):
        found["autocast"] = str(torch.get_autocast_dtype(bench.device.type))
    return {"words": ", ".join(f"{k} {v:.4g}" for k, v in found.items() if not isinstance(v, str)) + ".", **found}
