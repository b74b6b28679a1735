"""`understudy convert`."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, ClassVar

import tyro

from ..protocol import ConvertSpec, project_of
from .arguments import Consents, Json, Output, Project, obtain_consent, read_swap, watching


@dataclass(kw_only=True)
class Convert:
    """Recast a scanned shot with a trained model."""

    scan: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="SCAN_DIR")]
    """The scan of the shot; its range of frames is what is recast."""
    model: Annotated[Path, tyro.conf.arg(metavar="MODEL_DIR")]
    """The model folder."""
    swap: Annotated[tyro.conf.UseAppendAction[list[str]], tyro.conf.arg(metavar="PERSON[:TARGET]=NAME")]
    """A person of the scan, and the identity of the model that appears instead. TARGET names who
    the person is, unless the scan knows. Once for each person recast."""
    output: Output
    """The movie to write: .mp4, .mov or .mkv."""
    draft: bool = False
    """Recast without the trained network, with what the scans show."""
    consent: Consents = field(default_factory=list)
    project: Project = None
    json: Json = False

    manual: ClassVar[str] = """\
  Writes the shot again with other faces: same size, same frame rate, same sound, and every
  pixel outside the faces as it was. The movie says in its metadata that it shows synthetic faces.

Example
  understudy convert work/shot --model work/model --swap 0:Cleo=Ann --swap 2:Dan=Bob -o recast.mp4

Writes
  recast.mp4             once it is complete; until then the folder recast.mp4.part
"""

    def run(self) -> dict[str, Any]:
        """Recast the shot."""
        from .. import jobs
        from ..media.formats import check_output
        from ..media.reader import probe
        from ..model.folder import read_card
        from ..provenance.consent import replaced
        from ..swap import read_summary, require_person

        swaps = [read_swap(text) for text in self.swap]
        check_output(self.output, probe(Path(read_summary(self.scan).clip.path)))
        for swap in swaps:
            require_person(self.scan, swap.person)
        read_card(self.model)
        model = self.model.resolve()
        project = self.project.resolve() if self.project else project_of(model)
        swaps = [replace(s, target=s.target or replaced(str(self.scan), s.person)) for s in swaps]
        roles = {s.identity: f"whose face appears from {model.name}" for s in swaps}
        roles |= {s.target: f"person {s.person} of {self.scan.name}, who is recast" for s in swaps}
        obtain_consent(project, roles, self.consent)
        spec = ConvertSpec(
            scan=str(self.scan.resolve()),
            model=str(model),
            swaps=swaps,
            output=str(self.output.resolve()),
            use_refiner=not self.draft,
            project=str(project),
        )
        with (
            watching("Run the same command again: the conversion starts over.") as reporter,
            reporter.stage("Recasting"),
        ):
            return jobs.run("convert", spec, reporter)
