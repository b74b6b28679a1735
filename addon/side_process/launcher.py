"""Find the engine's Python and start the engine so that it outlives Blender. Only the process beside Blender starts it:
it is waited for."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from pathlib import Path

from ...engine import child_process, protocol
from ...engine.protocol import http_client
from ..engine_link.environment import find_python

START_SECONDS = 60.0
LOOK_AGAIN_SECONDS = 0.1
IDLE_MINUTES = "60"
"""With no job and nobody asking for so long, an engine that Blender started ends itself."""
NOT_INSTALLED = (
    "The engine is not set up. Press Set Up Engine, "
    "or name its Python in Understudy's preferences (Edit > Preferences > Add-ons)."
)


class CannotStart(Exception):
    """The engine is missing or does not come up; the message is one sentence for the panel."""


def running() -> tuple[http_client.Address, protocol.EngineInfo] | None:
    """The engine that runs already, or None.

    Raises Refused when it runs and will not have us, EngineSlow when it is too busy to answer.
    """
    address = http_client.read_address()
    if address is None:
        return None
    try:
        return address, http_client.engine_info(address)
    except http_client.EngineSlow:
        raise
    except http_client.EngineGone:
        return None


def start(preference: str) -> tuple[http_client.Address, protocol.EngineInfo]:
    """Start the engine and wait until it answers.

    Raises CannotStart with what to do; the engine's own words are in `engine.log` in the home folder.
    """
    python = find_python(preference)
    if python is None:
        raise CannotStart(NOT_INSTALLED)
    log = protocol.home() / "engine.log"
    try:
        process = _spawn(python, log)
    except OSError as error:
        raise CannotStart(f"The engine's Python {python} cannot be run ({error.strerror}).") from None
    deadline = time.monotonic() + START_SECONDS
    while True:
        time.sleep(LOOK_AGAIN_SECONDS)
        # another Blender may have been first: any engine that answers will do
        with contextlib.suppress(http_client.EngineSlow):
            if found := running():
                return found
        if process.poll() is not None:
            raise CannotStart(f"The engine stopped as it started: {_last_line(log)} (all of it in {log}).")
        if time.monotonic() > deadline:
            process.terminate()
            raise CannotStart(f"The engine did not answer within {START_SECONDS:.0f} seconds. Look into {log}.")


def _spawn(python: Path, log: Path) -> subprocess.Popen:
    protocol.make_home()
    detached: dict = {"start_new_session": True}
    if sys.platform == "win32":
        detached = {"creationflags": subprocess.DETACHED_PROCESS | subprocess.CREATE_NEW_PROCESS_GROUP}
    with log.open("ab") as output:
        return child_process.start(
            child_process.module("understudy.engine", "serve", "--idle-minutes", IDLE_MINUTES, python=python),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=log.parent,
            **detached,
        )


def _last_line(log: Path) -> str:
    lines = [line for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    return lines[-1].strip().rstrip(".") if lines else "it said nothing"
