"""`understudy verify`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar

import tyro

from ..printing import complain, say
from .arguments import Json, NotUnderstood, watching


@dataclass(kw_only=True)
class Verify:
    """Say whether a file holds recast faces, and whether it was changed since."""

    file: tyro.conf.Positional[Path]
    """A movie or picture, from wherever it comes."""
    frames: Annotated[int, tyro.conf.arg(metavar="INT")] = 120
    """So many frames, spread over the file, are searched for the mark in faces; 0 reads only what it says of itself."""
    json: Json = False

    manual: ClassVar[str] = """\
  Reads the content credentials (C2PA) in the file or beside it, its metadata, and the mark that
  Understudy puts into the faces, which outlives compression, scaling and cropping.
  Exit code 0 when the file fits its credentials, or has none; 8 when it does not fit them.

Example
  understudy verify recast.mp4
"""

    def run(self) -> dict[str, Any]:
        """Look, and say what was found."""
        if self.frames < 0:
            raise NotUnderstood(f"--frames is {self.frames}; give a whole number, 0 or more.")
        from ..devices import pick_device
        from ..provenance.verify import verify

        with watching("Nothing was changed.") as reporter, reporter.stage(f"Looking at {self.file.name}"):
            verdict = verify(self.file.resolve(), reporter, pick_device() if self.frames else "cpu", self.frames)
        sentences = verdict.sentences()
        changed = verdict.credentials is not None and verdict.credentials.tampered
        if changed:
            complain(sentences[0])
        for sentence in sentences[changed:]:
            say(sentence)
        return {**verdict.to_json(), **({"error": sentences[0], "exit_code": 8} if changed else {})}
