"""Which device jobs compute on. Asked in a process of its own, because only torch knows."""

from __future__ import annotations

import subprocess
import sys
import threading


def find() -> str:
    """The name of the device: a graphics card's, `mps` or `cpu`. Loads torch."""
    import torch

    if torch.cuda.is_available():
        return torch.cuda.get_device_name(0)
    return "mps" if torch.backends.mps.is_available() else "cpu"


class Device:
    """The device's name for a process that must not load torch."""

    def __init__(self) -> None:
        self.name = ""
        self._asked = threading.Lock()

    def ask(self) -> str:
        """The name, empty while it is not known yet; the first call starts finding out (a few seconds)."""
        if self._asked.acquire(blocking=False):
            threading.Thread(target=self._find, name="device", daemon=True).start()
        return self.name

    def _find(self) -> None:
        asked = subprocess.run([sys.executable, "-P", "-m", __name__], capture_output=True, text=True)
        self.name = asked.stdout.strip() if asked.returncode == 0 else "unknown: torch cannot be loaded"


if __name__ == "__main__":
    print(find())
