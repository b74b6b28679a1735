"""`understudy otio`: edits of other programs."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any, ClassVar

import tyro

from ..printing import say
from ..protocol import to_json
from .arguments import Json, Output, Overwrite


@dataclass(kw_only=True)
class Wanted:
    """List the recasts that an edit asks for by its markers."""

    edit: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="EDIT.otio")]
    """The edit, exported as OpenTimelineIO."""
    json: Json = False

    def run(self) -> dict[str, Any]:
        """Read the edit."""
        from ..conform.edit import read_edit
        from ..conform.marks import wanted_recasts

        path = self.edit.resolve()
        found = wanted_recasts(read_edit(path), path.parent)
        if not found:
            say('No marker of the edit asks for a recast. Name one "Recast: NAME", on a clip or on the timeline.')
        for one in found:
            who = f"{one.target} = {one.identity}" if one.target else one.identity or "somebody"
            say(f"{one.footage}: frames {one.start} to {one.end - 1}, in the edit from {one.at} on: {who}")
        return {"wanted": [to_json(one) for one in found]}


@dataclass(kw_only=True)
class Mark:
    """Write an edit with a marker wherever it shows footage that the project has recast."""

    edit: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="EDIT.otio")]
    """The edit, exported as OpenTimelineIO. It stays as it is."""
    output: Output
    """The marked edit."""
    project: Annotated[Path, tyro.conf.arg(metavar="DIR")]
    """The project whose recasts are looked for: the folder that holds `provenance`."""
    use: bool = False
    """Have the edit show the recasts, too: clips are cut where they begin and end."""
    overwrite: Overwrite = False
    json: Json = False

    def run(self) -> dict[str, Any]:
        """Write the edit."""
        from ..conform.edit import read_edit
        from ..conform.marks import mark_recasts
        from ..durable import SHARED, write_bytes
        from ..provenance.outputs import footage, require_writable
        from ..provenance.recasts import all_recasts

        path, project, output = self.edit.resolve(), self.project.resolve(), self.output.resolve()
        allow = partial(require_writable, inputs=[path, *footage(project)], overwrite=self.overwrite, kind="edit")
        allow(output)
        edit = read_edit(path)
        recasts = all_recasts(project)
        there = [one for one in recasts if Path(one.output).exists()]
        count, told = mark_recasts(edit, path.parent, there, self.use)
        for sentence in told:
            say(sentence)
        write_bytes(output, edit.to_json_string(indent=2).encode(), SHARED, allow)
        gone = len(recasts) - len(there)
        also = f" {gone} recasts are no longer where they were made." if gone else ""
        say(f"{count} clips of {path.name} show recast frames: {output}.{also}")
        return {"file": str(output), "clips": count}


@dataclass(kw_only=True)
class OtioCommand:
    """Read and write marks of recasts in an edit (OpenTimelineIO)."""

    command: tyro.conf.OmitSubcommandPrefixes[
        Annotated[Wanted, tyro.conf.subcommand("wanted", prefix_name=False)]
        | Annotated[Mark, tyro.conf.subcommand("mark", prefix_name=False)]
    ]

    manual: ClassVar[str] = """\
  A marker named "Recast: Ann", or "Recast: Bob = Ann", asks for Ann's face on the frames that it
  spans, of the clip that it is on or of what the timeline shows there. docs/user/interchange.md
  says what is written. Needs OpenTimelineIO: pip install "understudy[otio]".

Example
  understudy otio wanted cut.otio --json
  understudy otio mark cut.otio --project film.understudy -o recast.otio --use
"""

    def run(self) -> dict[str, Any]:
        """Read or write."""
        return self.command.run()
