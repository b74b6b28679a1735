"""Which number format the networks run in, decided by what the device is good at."""

from __future__ import annotations

import functools
import importlib.util
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from ...reporter import Reporter


@functools.cache
def autocast_dtype(device_type: str) -> torch.dtype | None:
    """bfloat16 where it is faster than float32, else None (float32).

    A CPU without bfloat16 instructions emulates them tenfold slower, and none says so reliably: a small
    convolution is timed once, forward and backward.
    """
    if device_type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else None
    if device_type != "cpu":
        return None
    with torch.inference_mode(False), torch.enable_grad():  # the first caller may be a conversion
        return torch.bfloat16 if _seconds(True) < 0.9 * _seconds(False) else None


def _seconds(bfloat16: bool) -> float:
    """The best time of a small convolution, forward and backward, on the CPU."""
    layer = torch.nn.Conv2d(48, 48, 3, padding=1)
    x = torch.rand(4, 48, 64, 64).to(memory_format=torch.channels_last)
    best = float("inf")
    for _ in range(3):
        begun = time.perf_counter()
        with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
            y = layer(x)
        torch.autograd.backward(y.float().mean())
        best = min(best, time.perf_counter() - begun)
    return best


def autocast(device: torch.device) -> torch.autocast:
    """The context in which networks run on a device."""
    dtype = autocast_dtype(device.type)
    return torch.autocast(device.type, dtype or torch.bfloat16, enabled=dtype is not None)


COMPILE_OPTIONS: dict[str, dict[str, Any]] = {"compiled": {}, "compiled, with CUDA graphs": {"mode": "reduce-overhead"}}
"""What torch.compile is asked for; the plain network is always there to fall back on."""
MIN_SPEED_GAIN = 0.95
"""Part of the plain network's time that another way may take to be chosen."""

Inputs = tuple[list[torch.Tensor | None], list[torch.Tensor]]
"""A batch as a network is called with: the faces of each identity, and which of all of them each decoder gets."""
Run = Callable[..., Any]


def fastest_run(network: nn.Module, inputs: Inputs, report: Reporter) -> Run:
    """The way to run a network forwards and backwards that is the fastest on its device, by trying; why is logged.

    `inputs` is a batch like those to come. On a CPU compiling takes longer than a short training gains by it, and
    elsewhere than on CUDA it is not offered.
    """
    device = next(x.device for x in inputs[0] if x is not None)
    if device.type != "cuda":
        return network
    if not importlib.util.find_spec("triton"):
        report.log("Training without torch.compile: Triton is not installed.")
        return network
    return choose_fastest(
        network, {name: compiled(network, options) for name, options in COMPILE_OPTIONS.items()}, inputs, report
    )


def choose_fastest(plain: nn.Module, ways: dict[str, Run], inputs: Inputs, report: Reporter) -> Run:
    """The plain network, or of the other ways the fastest, where one is worth it; those that fail are passed over."""
    chosen: Run = plain
    name = "as it is"
    try:
        before = best = _step_seconds(plain, inputs)
        for other, way in ways.items():
            try:
                seconds = _step_seconds(way, inputs)
            except torch.OutOfMemoryError:
                raise
            except Exception as error:  # a compiler may fail in any way
                first = (str(error).splitlines() or [""])[0][:160]
                report.log(f"Training cannot run {other}: {type(error).__name__}: {first}", "warning")
                continue
            if seconds < MIN_SPEED_GAIN * best:
                chosen, name, best = way, other, seconds
        report.log(f"The network runs {name}: {1000 * best:.1f} ms a step, {1000 * before:.1f} ms as it is.")
    except torch.OutOfMemoryError:
        report.log("The network runs as it is: there was no memory to try other ways.", "warning")
        return plain
    finally:
        plain.zero_grad(set_to_none=True)
    return chosen


def compiled(network: nn.Module, options: dict[str, Any]) -> Run:
    """A network as torch.compile makes it with one of COMPILE_OPTIONS; it compiles with its first batch."""
    run = torch.compile(network, **options)

    def way(*inputs: Any) -> Any:
        torch.compiler.cudagraph_mark_step_begin()  # type: ignore[no-untyped-call]
        return run(*inputs)

    return way


def _step_seconds(run: Run, inputs: Inputs, tries: int = 5) -> float:
    """The best time of several runs forwards and backwards, after two that compile and record."""
    device = next(x.device for x in inputs[0] if x is not None)
    best = float("inf")
    for number in range(2 + tries):
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        begun = time.perf_counter()
        with autocast(device):
            results = run(*inputs)
        torch.autograd.backward(sum(made.face.mean() + made.mask.mean() for made in filter(None, results)))
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        if number >= 2:
            best = min(best, time.perf_counter() - begun)
    return best


MAX_BATCH_FACTOR = 4
"""Times the usual batch: more faces in a step cost a large graphics card nothing, up to here."""


def batch_factor(device: torch.device, run: Run, inputs: Inputs) -> int:
    """How many usual batches fit into half of a CUDA device's free memory at once: 1, 2 or 4; 1 on other devices."""
    if device.type != "cuda":
        return 1
    free = torch.cuda.mem_get_info(device)[0]
    before = torch.cuda.memory_allocated(device)
    torch.cuda.reset_peak_memory_stats(device)
    try:
        _step_seconds(run, inputs, 1)
    except torch.OutOfMemoryError:
        return 1
    return fitting_factor(torch.cuda.max_memory_allocated(device) - before, free)


def fitting_factor(used: int, free: int) -> int:
    """How many usual batches (a power of two up to LARGEST) fit where one takes `used` bytes: into half of the free."""
    factor = 1
    while factor < MAX_BATCH_FACTOR and 2 * factor * used <= free / 2:
        factor *= 2
    return factor
