"""`understudy remote`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import tyro

from ..errors import UnderstudyError
from ..printing import say
from ..protocol import project_of, to_json
from ..reading import read_text
from .arguments import Json, NotUnderstood

Action = Literal["show", "use", "off", "clear"]


@dataclass(kw_only=True)
class RemoteCommand:
    """Let the engine of another machine do the work."""

    action: Annotated[tyro.conf.Positional[Action], tyro.conf.arg(metavar="ACTION")]
    """show, use, off or clear."""
    project: Annotated[tyro.conf.Positional[Path | None], tyro.conf.arg(metavar="PROJECT", help_behavior_hint="")] = (
        None
    )
    """clear: the project folder whose copy on the other machine is to go."""
    url: str = "http://127.0.0.1:7860"
    """use: the end of the tunnel on this computer."""
    token_file: Annotated[Path | None, tyro.conf.arg(metavar="FILE", help_behavior_hint="")] = None
    """use: a copy of the token file that the other engine was started with."""
    json: Json = False

    manual: ClassVar[str] = """\
  From then on scan, train, convert, swap and Blender have their work done there: footage is sent once, by
  its contents, and goes on where it stopped; what a job makes comes back into the folders it would have
  been made in. A lost connection is waited for. Who is who, consent and the rest stay here.
  clear removes what of a project was sent there; forgetting somebody does that, too.

  On the machine with the GPU:
    understudy serve --port 7860 --token-file understudy.token
  Here, for as long as it is to work (nothing goes over the network but through this tunnel):
    ssh -N -L 7860:127.0.0.1:7860 MACHINE

Examples
  understudy remote use --token-file understudy.token
  understudy remote show
  understudy remote off
"""

    def run(self) -> dict[str, Any]:
        """Do it, and say which engine works."""
        from ..remote import link
        from ..remote.file_sync import clear_mirror
        from ..remote.remote_status import remote_info

        try:
            if self.action == "use":
                _use(link.checked_address(self.url, _token(self.token_file)))
            elif self.action == "off":
                _use(None)
            elif self.action == "clear":
                if self.project is None:
                    raise NotUnderstood("Name the project folder: understudy remote clear PROJECT.")
                clear_mirror(self.project.resolve() if self.project.is_dir() else project_of(self.project.resolve()))
        except link.Unreachable as error:
            raise UnderstudyError(str(error)) from None
        remote = link.chosen_remote()
        if remote is None:
            say("Engine: this computer")
            return {"remote": None}
        found = remote_info(remote)
        if found.state != "ready":
            raise UnderstudyError(found.error)
        say(f"Engine: remote on {found.host}, {found.device or 'device not known yet'} ({found.url})")
        return {"remote": to_json(found)}


def _use(remote: Any) -> None:
    """By way of the engine that runs here, which knows whether jobs are under way; without one, at once."""
    from .. import client, protocol
    from ..remote.link import choose_remote

    if protocol.address_file().is_file():
        try:
            engine = client.find()
        except UnderstudyError:
            pass  # it left its file when it died
        else:
            body = {"url": remote.url, "token": remote.token} if remote else {"url": ""}
            engine.call("POST", "/v1/remote", body)
            return
    choose_remote(remote)


def _token(file: Path | None) -> str:
    if file is None:
        raise NotUnderstood("Name a copy of the other engine's token file: --token-file FILE.")
    try:
        return read_text(file, "ascii").strip()
    except (OSError, ValueError) as error:
        raise UnderstudyError(
            f"The token file {file} cannot be read ({error}). Copy it from the other machine."
        ) from None
