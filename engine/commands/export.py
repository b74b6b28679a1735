"""`understudy export`."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any, ClassVar

import tyro

from ..printing import say
from .arguments import Json, NotUnderstood, Output, Overwrite


@dataclass(kw_only=True)
class Export:
    """Write a trained face as a model for other programs (DFM)."""

    model: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="MODEL_DIR")]
    """A model that was trained with --network shared."""
    output: Output
    """The file, .dfm."""
    identity: Annotated[str, tyro.conf.arg(metavar="NAME")]
    """Whose face it makes, as the model calls them."""
    dfm: bool = False
    """An ONNX model for DeepFaceLive and FaceFusion's deep swapper: the one kind that there is."""
    overwrite: Overwrite = False
    json: Json = False

    manual: ClassVar[str] = """\
  The file works on anybody's face, without a scan, a draft or a mesh, as DeepFaceLab's exports do.
  Models that refine drafts cannot be exported: half of what they show is the draft.
  A face that leaves the project is out of its records' sight: what is made with the file carries
  no mark and no credentials of Understudy's. Needs onnx: pip install "understudy[export]".

Example
  understudy train --network shared --identity Ann=work/ann --identity Bob=work/bob -o work/model
  understudy export work/model --dfm --identity Ann -o ann.dfm
"""

    def run(self) -> dict[str, Any]:
        """Write the file."""
        from ..model.dfm import export_dfm
        from ..protocol import project_of
        from ..provenance.consent import require_consent
        from ..provenance.outputs import footage, require_writable

        if not self.dfm:
            raise NotUnderstood("Say --dfm: there is no other kind of export.")
        if self.output.suffix.lower() != ".dfm":
            raise NotUnderstood(f"{self.output.name} is no name of a DFM file. Give one that ends in .dfm.")
        model, output = self.model.resolve(), self.output.resolve()
        project = project_of(model)
        require_consent(project, [self.identity])
        inside = [path for path in model.rglob("*") if path.is_file()]
        allow = partial(require_writable, inputs=[*inside, *footage(project)], overwrite=self.overwrite)
        allow(output)
        side = export_dfm(model, self.identity, output, allow)
        say(f"{output}: {self.identity}, crops of {side} pixels. What it makes is synthetic: say so where it is shown.")
        return {"file": str(output), "identity": self.identity, "size": side}
