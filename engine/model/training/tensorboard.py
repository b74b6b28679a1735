"""Curves for TensorBoard, where it is installed (`pip install understudy[tensorboard]`)."""

from __future__ import annotations

import importlib.util
from pathlib import Path


class Curves:
    """Writes numbers by step into the model folder's `tensorboard/`; does nothing without TensorBoard."""

    def __init__(self, folder: Path) -> None:
        self._writer = None
        if importlib.util.find_spec("tensorboard"):
            from torch.utils.tensorboard import SummaryWriter

            self._writer = SummaryWriter(str(folder / "tensorboard"))

    def add(self, step: int, values: dict[str, float]) -> None:
        """Numbers of one step."""
        if self._writer is not None:
            for name, value in values.items():
                self._writer.add_scalar(name, value, step)

    def close(self) -> None:
        """Write what is still in memory."""
        if self._writer:
            self._writer.close()
