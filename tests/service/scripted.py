"""A runner that does what a script says, in place of hours of real work: workers are told to call `scripted:run`.

The script is a JSON file that stands where a scan's footage would. It takes `steps` steps of
`seconds` each, keeps a checkpoint every `checkpoint` steps, and may `hold` before steps until the
test lets it go on (a file `go-<step>` in its output), `die_at` a step, `end` badly, or be `deaf`
from the first step on: it looks at no flag (and at no signal, if `deaf` is "stone").
"""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path
from typing import Any

from understudy.engine.errors import NoFaceError
from understudy.engine.protocol import ConvertSpec, PeopleSpec, PreviewResult, PreviewSpec, ScanSpec
from understudy.engine.reporter import Reporter


def run(kind: str, spec: ScanSpec | PeopleSpec, reporter: Reporter) -> dict[str, Any]:
    file = Path(spec.scan if isinstance(spec, PeopleSpec) else spec.clip.path)
    script = json.loads(file.read_text())
    steps, seconds, every = script.get("steps", 3), script.get("seconds", 0.01), script.get("checkpoint", 5)
    output = file.with_suffix(".out")
    output.mkdir(parents=True, exist_ok=True)
    checkpoint = output / "checkpoint"
    done = int(checkpoint.read_text()) if checkpoint.exists() else 0
    if script.get("deaf") == "stone":
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
    if "deaf" in script:
        reporter.log("step 0")
        time.sleep(1000)
    for step in range(done, steps):
        reporter.check()
        while step in script.get("hold", []) and not (output / f"go-{step}").exists():
            time.sleep(0.02)
            reporter.check()
        if step == script.get("die_at"):
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(seconds)
        reporter.log(f"step {step}")
        reporter.loss(step, {"l1": 1 / (step + 1)})
        reporter.progress((step + 1) / steps, f"step {step} of {steps}")
        if script.get("preview") and step == steps // 2:
            reporter.preview(_picture(output / "preview.jpg"), "a gradient")
        if (step + 1) % every == 0:
            partial = output / "checkpoint.part"
            partial.write_text(str(step + 1))
            partial.replace(checkpoint)
    if script.get("end") == "no face":
        raise NoFaceError("No face was found in the range. Choose another range.")
    if script.get("end") == "bug":
        raise KeyError("a bug")
    return {"scan": output, "steps": steps}


def _picture(path: Path) -> Path:
    import cv2
    import numpy as np

    cv2.imwrite(str(path), np.tile(np.arange(256, dtype=np.uint8), (160, 1)))
    return path


def bulky(kind: str, spec: ScanSpec, reporter: Reporter) -> dict[str, Any]:
    """A scan that makes what it reads, backwards. Where that begins with `hold`, it waits until it is stopped."""
    source, output = Path(spec.clip.path), Path(spec.output)
    data = source.read_bytes()
    for step in range(100_000 if data.startswith(b"hold") else 1):
        reporter.check()
        reporter.log(f"step {step}")
        time.sleep(0.05)
    output.mkdir(parents=True, exist_ok=True)
    (output / "person-1.jpg").write_bytes(data[::-1])  # at a place of a scan's: nothing else is fetched
    (output / "scan.json").write_text(json.dumps({"clip": {"path": str(source)}}))
    return {"scan": output, "people": 0}


def convert(kind: str, spec: ConvertSpec, reporter: Reporter) -> dict[str, Any]:
    """Begin a real movie of the footage named as the scan, then die; hang if the model is called hangs."""
    from understudy.engine.media.reader import probe, read_frames
    from understudy.engine.media.writer import MovieWriter

    source = probe(Path(spec.scan))
    with MovieWriter(Path(spec.output), source, 0, source.frames) as writer:
        writer.write(next(read_frames(source.path)))
        reporter.log("begun")
        while Path(spec.model).name == "hangs":
            time.sleep(0.02)
        os.kill(os.getpid(), signal.SIGKILL)
    return {}


class Still:
    """Renders what the script says that stands where a scan would: takes `seconds`, `die`s, or `end`s badly."""

    def __init__(self, device: object) -> None:
        self.rendered = 0

    def render(self, spec: PreviewSpec, output: Path) -> PreviewResult:
        script = json.loads(Path(spec.scan).read_text())
        time.sleep(script.get("seconds", 0.0))
        print("noise on standard output")
        if script.get("die"):
            os.kill(os.getpid(), signal.SIGKILL)
        if script.get("end") == "no face":
            raise NoFaceError("No face was found on this frame. Choose another frame.")
        if script.get("end") == "bug":
            raise KeyError("a bug")
        self.rendered += 1
        output.write_bytes(b"x" * script.get("size", 10))
        return PreviewResult(path=str(output), steps=self.rendered, seconds=script.get("seconds", 0.0))
