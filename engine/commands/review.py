"""`understudy review`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar

import tyro

from ..printing import say
from ..protocol import to_json
from .arguments import Json, watching


@dataclass(kw_only=True)
class Review:
    """List the frames of a recast, or of a scan, that are likely to be sent back, worst first, and why."""

    path: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RESULT|SCAN_DIR")]
    """A recast movie or folder of pictures with its .understudy.json beside it; or a scan folder."""
    scan: Annotated[Path | None, tyro.conf.arg(metavar="DIR", help_behavior_hint="")] = None
    """The scan that the recast was made from, where it lies elsewhere by now."""
    sheet: Annotated[Path | None, tyro.conf.arg(metavar="FILE.jpg", help_behavior_hint="")] = None
    """Write a contact sheet of the worst frame of each stretch, footage and recast, beside the list."""
    json: Json = False

    manual: ClassVar[str] = """\
  Measures every face of the footage and of the recast again: where no face was found, where its
  points are a guess, profiles, what stands in front, what the source never shows; expression,
  gaze and likeness of the result that are out of line with the frames around it; flicker.
  Frames are those of the footage. Exit code 0 whatever is found.

Examples
  understudy review recast.mp4
  understudy review recast.mp4 --sheet doubtful.jpg
  understudy review film.understudy/scans/shot --json
"""

    def run(self) -> dict[str, Any]:
        """Look, and say what was found."""
        from dataclasses import replace

        from ..convert.convert_settings import load_doubt, load_settings
        from ..devices import pick_device
        from ..provenance.outputs import require_writable
        from ..review.doubtful import WORDS, doubtful_frames

        path = self.path.resolve()
        is_scan = (path / "alignments.safetensors").is_file()
        spec = None if is_scan else replace(load_settings(path), output=str(path))
        scan = path if spec is None else Path(self.scan.resolve() if self.scan else spec.scan)
        if self.sheet:
            require_writable(self.sheet.resolve(), [path], overwrite=False)
        with watching("Nothing was changed.") as reporter, reporter.stage(f"Looking at {path.name}"):
            doubt = {} if spec is None else load_doubt(path)
            found = doubtful_frames(scan, reporter, spec, doubt, pick_device())
            if self.sheet:
                from ..review.sheet import write_sheet

                write_sheet(self.sheet.resolve(), found, scan, spec)
        if not found:
            say("No frame is doubtful.")
        for one in found:
            span = f"frame {one.start}" if one.end == one.start + 1 else f"frames {one.start} to {one.end - 1}"
            worst = f", worst {one.frame}" if one.end > one.start + 1 else ""
            also = [words for cause, words in WORDS.items() if cause in one.causes and cause != one.cause]
            say(f"{span}{worst}: {WORDS[one.cause]}{'; also ' if also else ''}{'; '.join(also)} (person {one.person})")
        return {"doubtful": [to_json(one) for one in found]}
