"""`understudy serve`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar

import tyro

from .arguments import Json


@dataclass(kw_only=True)
class Serve:
    """Run the engine for Blender and other clients."""

    port: Annotated[int | None, tyro.conf.arg(metavar="INT", help_behavior_hint="")] = None
    """Port on 127.0.0.1; without it, a free one."""
    idle_minutes: Annotated[float | None, tyro.conf.arg(metavar="MINUTES", help_behavior_hint="")] = None
    """End after as many minutes in which nobody asked for anything and no job was to be done."""
    token_file: Annotated[Path | None, tyro.conf.arg(metavar="FILE", help_behavior_hint="")] = None
    """Keep the token in this file, from one start to the next; it is made if need be."""
    json: Json = False

    manual: ClassVar[str] = """\
  Answers on this machine only. The address and the token are in engine.json of Understudy's home
  folder. Jobs that run when it stops go on at its next start. Blender starts it by itself.

  To let it work for Blender on another machine, give it a port and a token file, and on the other
  machine open a tunnel to it, copy the token file, and say which engine to use:
    here    understudy serve --port 7860 --token-file understudy.token
    there   ssh -N -L 7860:127.0.0.1:7860 THIS_MACHINE
            scp THIS_MACHINE:understudy.token . && understudy remote use --token-file understudy.token

Example
  understudy serve
"""

    def run(self) -> dict[str, Any]:
        """Serve until told to stop."""
        from ..service.serve import serve

        idle = None if self.idle_minutes is None else 60 * self.idle_minutes
        serve(self.port, idle=idle, token_file=self.token_file)
        return {}
