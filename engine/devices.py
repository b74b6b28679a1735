"""Which device computes. A graphics card counts only when a small computation on it succeeds: one that this build of
torch has no kernels for, or whose driver is too old, is passed over, and it is said why."""

from __future__ import annotations

import warnings
from functools import lru_cache

from .reporter import Reporter

MEND = "Install the PyTorch build for this card and its driver (https://pytorch.org), or go on with the processor."


def pick_device(reporter: Reporter | None = None) -> str:
    """The fastest device that works, by torch's own name; the reporter is told of one that does not."""
    device, why = _picked()
    if why and reporter is not None:
        reporter.log(f"{why} {MEND}", "warning")
    return device


def passed_over() -> str:
    """One sentence on a graphics card that is there and cannot be used; "" where there is none such."""
    return _picked()[1]


@lru_cache(maxsize=1)
def _picked() -> tuple[str, str]:
    import torch

    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        there = torch.cuda.is_available()
    if there:
        why = _fails("cuda")
        if not why:
            return "cuda", ""
        return (
            "cpu",
            f"The graphics card {torch.cuda.get_device_name()} cannot be used ({why}): the processor computes.",
        )
    if torch.backends.mps.is_available():
        why = _fails("mps")
        if not why:
            return "mps", ""
        return "cpu", f"The graphics processor cannot be used ({why}): the processor computes."
    told = next((str(one.message) for one in warned if "driver" in str(one.message).lower()), "")
    return "cpu", f"The graphics card cannot be used ({_first_line(told)}): the processor computes." if told else ""


def _fails(device: str) -> str:
    """Why a convolution and its gradient cannot be computed on a device; "" when they can, or it is only full."""
    import torch

    try:
        picture = torch.ones(1, 8, 8, 8, device=device, requires_grad=True)
        made = torch.nn.functional.conv2d(picture, torch.ones(8, 8, 3, 3, device=device), padding=1)
        made.sum().backward()  # type: ignore[no-untyped-call]
        float(made.sum())  # waits until it is really computed
    except torch.OutOfMemoryError:
        return ""  # it works and is busy: the job says what to do
    except (RuntimeError, AssertionError) as error:
        return _first_line(str(error))
    return ""


def _first_line(text: str) -> str:
    return (text.strip().splitlines() or ["no reason given"])[0].rstrip(".")
