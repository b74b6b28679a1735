"""A graphics card that cannot compute is passed over, with a sentence, before a job dies of it."""

from __future__ import annotations

import warnings

import pytest
from understudy.engine import devices
from understudy.engine.doctor import examine
from understudy.engine.service.device_probe import probe_devices

torch = pytest.importorskip("torch")


class Heard:
    """What a reporter is told."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def log(self, text: str, level: str = "info") -> None:
        self.said.append(f"{level}: {text}")


@pytest.fixture
def card(monkeypatch):
    """torch says that there is a card; the trial on it is the real one."""
    if torch.cuda.is_available():
        pytest.skip("the card of this machine works")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "NVIDIA GeForce GTX 1080")
    devices._picked.cache_clear()
    yield
    devices._picked.cache_clear()


def test_a_card_that_computes_nothing_is_passed_over(card):
    heard = Heard()
    assert devices.pick_device(heard) == "cpu"
    assert len(heard.said) == 1 and heard.said[0].startswith(
        "warning: The graphics card NVIDIA GeForce GTX 1080 cannot"
    )
    assert "https://pytorch.org" in heard.said[0]
    assert probe_devices()["device"].startswith("cpu: The graphics card NVIDIA GeForce GTX 1080 cannot be used (")


def test_the_doctor_says_so(card):
    check = next(check for check in examine() if check.name == "torch")
    assert (
        not check.ok and not check.needed and "GTX 1080 cannot be used" in check.found and "pytorch.org" in check.mend
    )


@pytest.mark.parametrize(
    ("error", "works"),
    [(RuntimeError("CUDA error: no kernel image is available for execution on the device\nmore"), False),
     (torch.OutOfMemoryError("CUDA out of memory."), True)],
)  # fmt: skip
def test_a_card_that_is_only_full_counts(card, monkeypatch, error, works):
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(torch, "ones", fail)
    assert devices.pick_device() == ("cuda" if works else "cpu")
    assert devices.passed_over().count("no kernel image is available for execution on the device)") == (not works)


def test_a_driver_that_is_too_old_is_named(card, monkeypatch):
    def too_old() -> bool:
        warnings.warn("The NVIDIA driver on your system is too old (found version 11040).", stacklevel=1)
        return False

    monkeypatch.setattr(torch.cuda, "is_available", too_old)
    assert devices.pick_device() == "cpu"
    assert "driver on your system is too old (found version 11040))" in devices.passed_over()
