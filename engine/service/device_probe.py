"""Which device jobs compute on. Asked in a process of its own, because only torch knows."""

from __future__ import annotations

import contextlib
import json
import threading
from pathlib import Path
from typing import Any

from .. import child_process
from ..durable import write_json


def probe_devices() -> dict[str, Any]:
    """The name of the device that jobs choose (a graphics card's, `mps` or `cpu`), and how many there are."""
    import torch

    from ..devices import passed_over, pick_device

    device = pick_device()
    if device != "cuda":
        return {"device": f"{device}: {passed_over()}" if passed_over() else device, "count": 1}
    return {"device": torch.cuda.get_device_name(), "count": torch.cuda.device_count()}


class Device:
    """The device's name for a process that must not load torch; `memory` is a file that keeps it between runs."""

    def __init__(self, memory: Path) -> None:
        self._memory = memory
        self._asked = threading.Lock()
        self._name, self._count = "", 1
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            self._take(memory.read_text(encoding="ascii"))

    def count(self) -> int:
        """How many jobs may have a device to themselves; 1 until more are found."""
        return self._count

    def _take(self, text: str) -> None:
        found = json.loads(text)
        self._name, self._count = str(found["device"]), min(max(int(found.get("count", 1)), 1), 64)

    def ask(self) -> str:
        """The name, as the last run knew it or empty until it is found out; the first call starts that (seconds)."""
        if self._asked.acquire(blocking=False):
            threading.Thread(target=self._find, name="device", daemon=True).start()
        return self._name

    def _find(self) -> None:
        asked = child_process.run(child_process.module(__name__), capture_output=True, text=True)
        if asked.returncode:
            self._name = "no device: torch cannot be loaded"
            return
        self._take(asked.stdout)
        write_json(self._memory, {"device": self._name, "count": self._count})


if __name__ == "__main__":
    print(json.dumps(probe_devices()))
