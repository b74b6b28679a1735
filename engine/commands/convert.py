"""`understudy convert`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar

import tyro

from ..protocol import ConvertSpec
from .arguments import Json, Output, ask_consent, read_swap, watching


@dataclass(kw_only=True)
class Convert:
    """Recast a scanned shot with a trained model."""

    scan: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="SCAN_DIR")]
    """The scan of the shot; its range of frames is what is recast."""
    model: Annotated[Path, tyro.conf.arg(metavar="MODEL_DIR")]
    """The model folder."""
    swap: Annotated[tyro.conf.UseAppendAction[list[str]], tyro.conf.arg(metavar="PERSON=NAME")]
    """A person of the scan, and the identity of the model that appears instead. Once for each person recast."""
    output: Output
    """The movie to write: .mp4, .mov or .mkv."""
    draft: bool = False
    """Recast without the trained network, with what the scans show."""
    json: Json = False

    manual: ClassVar[str] = """\
  Writes the shot again with other faces: same size, same frame rate, same sound, and every
  pixel outside the faces as it was. The movie says in its metadata that it shows synthetic faces.

Example
  understudy convert work/shot --model work/model --swap 0=Ann --swap 2=Bob -o recast.mp4

Writes
  recast.mp4             once it is complete; until then recast.part.mp4
"""

    def run(self) -> dict[str, Any]:
        """Recast the shot."""
        from .. import jobs
        from ..media.writer import check_output
        from ..model.folder import read_card
        from ..swap import read_summary, require_person

        swaps = [read_swap(text) for text in self.swap]
        check_output(self.output, Path(read_summary(self.scan).clip.path))
        for swap in swaps:
            require_person(self.scan, swap.person)
        read_card(self.model)
        ask_consent()
        spec = ConvertSpec(
            scan=str(self.scan.resolve()),
            model=str(self.model.resolve()),
            swaps=swaps,
            output=str(self.output.resolve()),
            use_refiner=not self.draft,
        )
        with (
            watching("Run the same command again: the conversion starts over.") as reporter,
            reporter.stage("Recasting"),
        ):
            return jobs.run("convert", spec, reporter)
