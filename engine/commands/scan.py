"""`understudy scan`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import tyro

from ..protocol import Clip, ScanSpec
from .arguments import End, Json, Output, watching


@dataclass(kw_only=True)
class Scan:
    """Find the people in footage."""

    footage: tyro.conf.Positional[Path]
    """A movie, a picture, or a folder of pictures."""
    output: Output
    """The scan folder to write; an earlier scan there is replaced."""
    start: int = 0
    """First frame to look at."""
    end: End = None
    detector: tuple[str, ...] = ()
    """Which face detectors look, several if need be: mtcnn, blazeface, yunet. The default is the first two."""
    json: Json = False

    manual: ClassVar[str] = """\
  Looks at every frame, finds and measures each face, follows it, and sorts the faces into people.
  What it saw is kept beside the scan folder (scans/.observed): no frame is looked at twice.

Example
  understudy scan shot.mp4 -o work/shot --start 120 --end 360
  understudy scan crowd.mp4 -o work/crowd --detector mtcnn blazeface yunet

Writes into the scan folder
  scan.json              who was found
  person-0.jpg, …        what each person looks like; the number is what other commands ask for
  alignments.safetensors where every face is in every frame
  boxes.json             the same in short: frame, person, track, box, carried
"""

    def run(self) -> dict[str, Any]:
        """Scan, and show who was found."""
        from .. import job_bodies
        from ..console import say_who_look_alike, show_people
        from ..media.reader import probe, require_range
        from ..swap import read_summary

        require_range(probe(self.footage), self.start, self.end)
        clip = Clip(path=str(self.footage.resolve()), start=self.start, end=self.end)
        name = self.footage.name
        with (
            watching(f"Run the same command again: the scan of {name} goes on where it stopped.") as reporter,
            reporter.stage(f"Scanning {name}"),
        ):
            result = job_bodies.run(
                "scan", ScanSpec(clip=clip, output=str(self.output.resolve()), detectors=list(self.detector)), reporter
            )
        people = read_summary(self.output).people
        show_people(self.output, people)
        say_who_look_alike(people)
        listed = [{"person": p.id, "frames": p.frames, "thumbnail": str(self.output / p.thumbnail)} for p in people]
        return {**result, "found": listed}
