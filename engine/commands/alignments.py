"""`understudy alignments`: what was found, for other programs."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import tyro

from .arguments import Json, Output, Overwrite, watching


@dataclass(kw_only=True)
class Export:
    """Write a scan's faces as JSON."""

    scan: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="SCAN_DIR")]
    """The scan folder."""
    output: Output
    """The JSON file."""
    format: Literal["understudy", "faceswap"] = "understudy"
    """understudy holds everything; faceswap holds boxes and 68 points."""
    person: Annotated[int | None, tyro.conf.arg(metavar="PERSON", help_behavior_hint="")] = None
    """For faceswap: only this person; without it, everybody."""
    overwrite: Overwrite = False
    json: Json = False

    def run(self) -> dict[str, Any]:
        """Write the file."""
        from ..faces.interchange.alignments_json import export_faceswap, export_json
        from ..protocol import project_of
        from ..provenance.outputs import footage, require_writable

        scanned = [path for path in self.scan.rglob("*") if path.is_file()]
        inputs = [*scanned, *footage(project_of(self.scan.resolve()))]
        allow = partial(require_writable, inputs=inputs, overwrite=self.overwrite, kind="faces")
        allow(self.output)
        with watching("Run the same command again.") as reporter, reporter.stage("Exporting"):
            if self.format == "faceswap":
                count = export_faceswap(self.scan, self.output, reporter, self.person, allow)
            else:
                count = export_json(self.scan, self.output, reporter, allow)
        return {"file": str(self.output.resolve()), "faces": count}


@dataclass(kw_only=True)
class Import:
    """Make a scan of a JSON file, or of another program's faces."""

    source: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="FILE")]
    """What `understudy alignments export` or faceswap wrote as JSON, or a DeepFaceLab aligned folder."""
    output: Output
    """The scan folder to write; an earlier scan there is replaced."""
    footage: Annotated[Path | None, tyro.conf.arg(metavar="FOOTAGE", help_behavior_hint="")] = None
    """Where the footage is; without it, where Understudy's own file says."""
    json: Json = False

    def run(self) -> dict[str, Any]:
        """Write the scan."""
        from ..console import show_people
        from ..faces.interchange.alignments_json import import_faces

        with watching("Run the same command again.") as reporter, reporter.stage("Importing"):
            summary = import_faces(self.source, self.output.resolve(), reporter, self.footage)
        show_people(self.output, summary.people)
        return {"scan": str(self.output.resolve()), "people": len(summary.people), "frames": summary.frames}


@dataclass(kw_only=True)
class AlignmentsCommand:
    """Export and import alignments as JSON."""

    command: tyro.conf.OmitSubcommandPrefixes[
        Annotated[Export, tyro.conf.subcommand("export", prefix_name=False)]
        | Annotated[Import, tyro.conf.subcommand("import", prefix_name=False)]
    ]

    manual: ClassVar[str] = """\
  docs/user/interchange.md describes the format, and what other programs' formats cannot hold.

Example
  understudy alignments export work/shot -o shot.json
  understudy alignments import shot.json -o work/again
  understudy alignments import aligned/ -o work/shot --footage shot.mp4
"""

    def run(self) -> dict[str, Any]:
        """Export or import."""
        return self.command.run()
