"""The one file that a run of `device.py` writes, whole after every part."""

from __future__ import annotations

import json
import math
import time
from pathlib import Path
from typing import Any

from understudy.engine.durable import SHARED, write_json

PROGRAM, SCHEMA = "understudy device benchmark", 1
NAME = "device.json"


class Results:
    """What is known so far, in `folder`/device.json.

    parts: name → {"state": "done" | "failed" | "skipped" | "running", "seconds", "words", and what was measured}.
    """

    def __init__(self, folder: Path, about: dict[str, Any]) -> None:
        """Read what an earlier run left, if anything. Raises SystemExit where it was of something else."""
        self.path = folder / NAME
        self.about = about
        self.machine: dict[str, Any] = {}
        self.parts: dict[str, dict[str, Any]] = {}
        self.seconds = 0.0
        if not self.path.exists():
            return
        try:
            data = json.loads(self.path.read_text())
            if data["program"] != PROGRAM or data["schema"] != SCHEMA:
                raise ValueError("it is something else")
            self.machine, self.parts, self.seconds = data["machine"], data["parts"], data["seconds"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise SystemExit(f"{self.path} holds no results of this program ({error}). Name another --out.") from None
        differing = [name for name, value in about.items() if data["about"].get(name) != value]
        if differing and any(part["state"] == "done" for part in self.parts.values()):
            raise SystemExit(
                f"{self.path} holds results of another {' and '.join(differing)}. Name another --out, or remove it."
            )

    def done(self, name: str) -> bool:
        """Whether a part has its result."""
        return self.parts.get(name, {}).get("state") == "done"

    def running(self) -> tuple[str, float] | None:
        """The part under way, and since when (`time.time`)."""
        for name, part in self.parts.items():
            if part["state"] == "running":
                return name, part["since_ms"] / 1000
        return None

    def begin(self, name: str) -> None:
        """Say that a part is under way."""
        self.parts[name] = {"state": "running", "since_ms": int(1000 * time.time())}
        self.write()

    def end(self, name: str, state: str, words: str, measured: dict[str, Any] | None = None) -> None:
        """Keep what came of a part, at once."""
        begun = self.parts.get(name, {}).get("since_ms")
        took = 0.0 if begun is None else time.time() - begun / 1000
        self.seconds += took
        self.parts[name] = {"state": state, "seconds": round(took, 2), "words": words, **(measured or {})}
        self.write()
        print(f"{name}: {state}{f' in {took:.1f} s' if took else ''}. {words}", flush=True)

    def write(self) -> None:
        """Put all of it into the file in one step."""
        data = {
            "program": PROGRAM,
            "schema": SCHEMA,
            "about": self.about,
            "machine": self.machine,
            "seconds": round(self.seconds, 1),
            "parts": self.parts,
        }
        write_json(self.path, plain(data), SHARED)


def plain(value: Any) -> Any:
    """Numbers of any library as JSON's, to six digits; None for what is not finite."""
    if isinstance(value, dict):
        return {str(key): plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    if value is None or isinstance(value, str | bool | int):
        return value
    number = float(value)
    return float(f"{number:.6g}") if math.isfinite(number) else None
