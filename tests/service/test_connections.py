"""Connections of anybody on this computer, without the token, in their thousands: jobs go on, the user is answered."""

from __future__ import annotations

import contextlib
import os
import socket
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from .harness import Engine, wait_until

if sys.platform == "win32":
    pytest.skip("limits of open files are the system's elsewhere", allow_module_level=True)

import resource

FILES = 512  # that the engine may open here, so that a few hundred connections could take them all
SOON = 1.5  # seconds after which a connection that asks for nothing is closed in these tests


class Narrow(Engine):
    """An engine that the system lets open few files."""

    def command(self) -> list[str]:
        return ["sh", "-c", f'ulimit -n {FILES} && exec "$@"', "sh", *super().command()]


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    home = tmp_path / "home"
    home.mkdir()
    limits = {"connections.HEADER_SECONDS": SOON, "connections.BODY_SECONDS": 2 * SOON, "supervisor.IDLE_SECONDS": 0.5}
    engine = Narrow(home, "scripted:run", limits)
    yield engine.start()
    engine.clean_up()


@pytest.fixture(autouse=True)
def many_files() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < 4000:
        pytest.skip("this machine does not let a test open 2,000 connections")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 4000), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@contextlib.contextmanager
def connections(engine: Engine, count: int, first: bytes = b"") -> Iterator[list[socket.socket]]:
    port = engine.http.base_url.port
    assert port
    opened = []
    try:
        for _ in range(count):
            opened.append(socket.create_connection(("127.0.0.1", port), timeout=30))
            with contextlib.suppress(ConnectionError):
                opened[-1].sendall(first)
        yield opened
    finally:
        for one in opened:
            one.close()


def closed(one: socket.socket) -> bool:
    one.setblocking(False)
    try:
        while data := one.recv(4096):
            assert data.startswith(b"HTTP/1.1 4"), data
        return True
    except BlockingIOError:
        return False
    except ConnectionError:
        return True


def logs(engine: Engine) -> str:
    return "".join(file.read_text() for file in engine.home.glob("engine.log*"))


def open_files(engine: Engine) -> int:
    assert engine.process
    return len(os.listdir(f"/proc/{engine.process.pid}/fd"))  # noqa: PTH208


HALF = b"POST /v1/jobs HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthor"


@pytest.mark.parametrize("first", [b"", HALF], ids=["idle", "half-open"])
def test_jobs_run_and_the_user_is_answered_while_others_connect(engine: Engine, first: bytes) -> None:
    engine.submit("at-work", steps=2, hold=[1])
    engine.wait_for_step("at-work", 0)
    engine.submit("in-the-queue", steps=2)  # heavy: it waits until the device is free
    written = len(logs(engine))
    with connections(engine, 1300, first):
        engine.let_go("at-work", 1)
        began = time.monotonic()
        assert engine.wait_for("in-the-queue", "done", "failed")["state"] == "done", engine.job("in-the-queue")["error"]
        assert engine.job("at-work")["state"] == "done"
        assert engine.submit("afterwards", steps=1)["state"] in ("queued", "running")
        assert engine.wait_for("afterwards", "done", "failed")["state"] == "done"
        assert time.monotonic() - began < 30
        if sys.platform == "linux":
            assert open_files(engine) < FILES - 64
    assert len(logs(engine)) - written < 5000, "refusals fill the log"


def test_a_long_poll_of_the_user_outlives_a_flood(engine: Engine) -> None:
    engine.submit("watched", steps=2, hold=[1])
    engine.wait_for_step("watched", 0)
    time.sleep(1.0)  # what step 0 tells besides
    after = len(engine.events("watched"))
    heard: list[int] = []
    poll = threading.Thread(target=lambda: heard.append(len(engine.events("watched", after, wait=20.0))))
    poll.start()
    with connections(engine, 700):
        time.sleep(2 * SOON)
        assert not heard, "the poll ended"
        engine.let_go("watched", 1)
        poll.join(15)
    assert heard and heard[0] > 0


@pytest.mark.parametrize("start", ["nothing", "header", "body", "body of the user"])
def test_who_sends_a_byte_now_and_then_is_closed(engine: Engine, start: str) -> None:
    user = engine.http.headers["Authorization"] if start == "body of the user" else "Bearer no"
    head = f"POST /v1/jobs HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: {user}\r\n"
    starts = {"nothing": "", "header": head + "X: "}
    first = starts.get(start, head + "Content-Length: 90000\r\n\r\n{").encode()
    with connections(engine, 100, first) as opened:
        deadline = time.monotonic() + 6 * SOON
        while left := [one for one in opened if not closed(one)]:
            assert time.monotonic() < deadline, f"{len(left)} are open"
            for one in left:
                with contextlib.suppress(ConnectionError):
                    one.send(b"" if start == "nothing" else b" ")
            time.sleep(0.2)
    assert engine.http.get("/v1/engine").status_code == 200


def test_who_takes_no_answer_is_closed(engine: Engine) -> None:
    request = b"GET /v1/openapi.json HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n" * 200
    with connections(engine, 1) as (one,):
        one.settimeout(0.2)
        deadline = time.monotonic() + 20 * SOON
        with contextlib.suppress(ConnectionError):
            while time.monotonic() < deadline:
                with contextlib.suppress(TimeoutError):
                    one.send(request)
            raise AssertionError("it is open still")


def test_what_is_no_http_does_not_fill_the_log(engine: Engine) -> None:
    written = len(logs(engine))
    with connections(engine, 600, b"\x16\x03\x01 what is this\r\n\r\n"):
        wait_until(lambda: engine.http.get("/v1/engine").status_code == 200, "an answer")
    assert len(logs(engine)) - written < 5000


def test_the_engine_takes_what_the_system_allows(tmp_path: Path) -> None:
    engine = Engine(tmp_path, "scripted:run")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
    try:
        engine.start()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    try:
        assert engine.process
        assert resource.prlimit(engine.process.pid, resource.RLIMIT_NOFILE)[0] == 4096
    finally:
        engine.clean_up()
