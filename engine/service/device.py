"""Which device jobs compute on. Asked in a process of its own, because only torch knows."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from pathlib import Path

from .durable import write_json


def find() -> str:
    """The name of the device that jobs choose: a graphics card's, `mps` or `cpu`. Loads torch."""
    import torch

    from ..jobs import pick_device

    device = pick_device()
    return torch.cuda.get_device_name() if device == "cuda" else device


class Device:
    """The device's name for a process that must not load torch; `memory` is a file that keeps it between runs."""

    def __init__(self, memory: Path) -> None:
        self._memory = memory
        self._asked = threading.Lock()
        try:
            self._name = str(json.loads(memory.read_text(encoding="ascii"))["device"])
        except (OSError, ValueError, KeyError, TypeError):
            self._name = ""

    def ask(self) -> str:
        """The name, as the last run knew it or empty until it is found out; the first call starts that (seconds)."""
        if self._asked.acquire(blocking=False):
            threading.Thread(target=self._find, name="device", daemon=True).start()
        return self._name

    def _find(self) -> None:
        asked = subprocess.run([sys.executable, "-P", "-m", __name__], capture_output=True, text=True)
        if asked.returncode:
            self._name = "no device: torch cannot be loaded"
            return
        self._name = asked.stdout.strip()
        write_json(self._memory, {"device": self._name})


if __name__ == "__main__":
    print(find())
