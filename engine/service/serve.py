"""The process that serves: one engine a home folder, its address and token in a file that only its user reads."""

from __future__ import annotations

import importlib.metadata
import logging
import os
import re
import secrets
import signal
import socket
import sys
import time
from pathlib import Path
from typing import Any

import uvicorn

from .. import protocol
from ..durable import lock, write_json
from ..errors import UnderstudyError
from ..printing import say
from ..protocol import EngineInfo
from .connections import BACKLOG, Connections, Listening, most_connections, raise_descriptor_limit
from .device_probe import Device
from .launch import RUNNER
from .log_file import log_to
from .preview_process import PreviewRenderer
from .preview_worker import RECASTER
from .server import create_app
from .store import Store
from .supervisor import Supervisor

logger = logging.getLogger(__name__)


def serve(
    port: int | None = None,
    runner: str = RUNNER,
    recaster: str = RECASTER,
    idle: float | None = None,
    token_file: Path | None = None,
) -> None:
    """Run the engine on 127.0.0.1 (a free port unless one is named) until it is told to stop.

    Running jobs pause when it stops and go on at its next start. `runner` is what workers call (see
    `worker`), `recaster` what renders previews (see `previewer`). With `idle` it ends itself after as many
    seconds without a request and without a job to do. `token_file` keeps the token from one start to the next, for
    clients on other machines; it is made where it is not there. Raises UnderstudyError when an engine runs already, or
    the port is taken.
    """
    home = protocol.make_home()
    with lock(home / "engine.lock") as held:
        if not held:
            raise UnderstudyError(f"An engine is running already for {home}. Use that one, or stop it first.")
        log_to(home / "engine.log")
        with _listen(port) as listening:
            _serve(home, listening, runner, recaster, idle, _token(token_file) if token_file else secrets.token_hex(32))


def _token(file: Path) -> str:
    """The token that a file of its user's keeps."""
    try:
        try:
            with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as made:
                made.write(secrets.token_hex(32) + "\n")
        except FileExistsError:
            if sys.platform != "win32" and file.stat().st_mode & 0o077:
                raise UnderstudyError(f"Others may read the token in {file}. Say: chmod 600 {file}") from None
        token = file.read_text(encoding="ascii").strip()
    except (OSError, ValueError) as error:
        raise UnderstudyError(f"The token file {file} cannot be used ({error}). Name another.") from None
    if not re.fullmatch(r"[!-~]{32,1000}", token):
        raise UnderstudyError(f"{file} holds no token of 32 letters and digits or more. Remove it: a new one is made.")
    return token


def _serve(home: Path, listening: socket.socket, runner: str, recaster: str, idle: float | None, token: str) -> None:
    info = EngineInfo(
        protocol=protocol.PROTOCOL,
        version=importlib.metadata.version("understudy"),
        pid=os.getpid(),
        device="",
        url=f"http://127.0.0.1:{listening.getsockname()[1]}",
        host=socket.gethostname(),
    )
    store = Store(home)
    device = Device(home / "device.json")
    warm = PreviewRenderer(home, recaster)
    last = [time.monotonic()]  # when somebody last asked for something

    def chores() -> None:
        warm.rest()
        if idle is not None and not supervisor.working() and time.monotonic() - last[0] > idle:
            logger.info("nobody has asked for anything for %.0f s", idle)
            stop()

    supervisor = Supervisor(store, runner, device.count, chores)
    connections = Connections(most_connections(raise_descriptor_limit()))
    http: Any = connections.protocol  # uvicorn asks for a class and calls it
    server = uvicorn.Server(
        uvicorn.Config("", http=http, backlog=BACKLOG, log_config=None, access_log=False, lifespan="off", ws="none")
    )

    def stop() -> None:
        supervisor.stopping.set()  # lets the long polls go
        warm.close()
        server.should_exit = True

    server.config.app = create_app(
        supervisor, warm, device, token, info, stop, lambda: last.__setitem__(0, time.monotonic())
    )
    signal.signal(signal.SIGTERM, lambda *_: stop())  # uvicorn raises it again after it stopped: the rest must run
    supervisor.start()
    write_json(protocol.address_file(), {**protocol.to_json(info), "token": token}, mode=0o600)
    logger.info("engine %s listens on %s", info.version, info.url)
    say(f"The engine listens on {info.url}; Ctrl-C stops it, and its jobs go on at its next start.")
    try:
        server.run(sockets=[listening])
    except KeyboardInterrupt:
        pass  # uvicorn has stopped in good order, and raises it again
    finally:
        protocol.address_file().unlink(missing_ok=True)
        supervisor.stop()
        store.close()
        logger.info("engine stopped")


def _listen(port: int | None) -> socket.socket:
    listening = Listening()
    try:
        if sys.platform != "win32":  # there it would let two programs share the port
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(("127.0.0.1", port or 0))
        listening.listen()
    except (OSError, OverflowError) as error:
        listening.close()
        raise UnderstudyError(
            f"The engine cannot listen on port {port} of 127.0.0.1 ({error}). Name another, or none."
        ) from None
    return listening
