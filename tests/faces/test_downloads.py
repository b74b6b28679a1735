"""Optional networks from a server of our own: breaking off, going on, other files, and the real YuNet."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from understudy.engine.errors import DataError, ModelsMissingError, Stopped, UnderstudyError
from understudy.engine.faces.detectors import DETECTORS
from understudy.engine.faces.detectors.search import Search
from understudy.engine.faces.networks import downloads
from understudy.engine.reporter import Silent

CONTENT = bytes(range(256)) * 2000
SHARED = Path(os.environ.get("UNDERSTUDY_FOOTAGE", Path(__file__).parents[3] / "shared" / "footage")).parent / "models"


class Serving:
    """What the server offers and how it behaves; `asked` are the Range headers it got."""

    def __init__(self) -> None:
        self.content, self.ranges, self.breaks_after, self.status = CONTENT, True, 0, 200
        self.asked: list[str | None] = []
        self.url = ""


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Serving]:
    """A server with one file, which is what the engine knows as YuNet, and an empty Understudy folder."""
    serving = Serving()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked = self.headers.get("Range")
            serving.asked.append(asked)
            if serving.status != 200:
                self.send_error(serving.status)
                return
            start = int(asked.removeprefix("bytes=").rstrip("-")) if asked and serving.ranges else 0
            self.send_response(206 if start else 200)
            self.send_header("Content-Length", str(len(serving.content) - start))
            self.end_headers()
            end = start + serving.breaks_after if serving.breaks_after else len(serving.content)
            self.wfile.write(serving.content[start:end])

        def log_message(self, *_: Any) -> None: ...

    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=httpd.serve_forever, daemon=True).start()
    serving.url = f"http://127.0.0.1:{httpd.server_port}/yunet.onnx"
    offer(monkeypatch, serving, CONTENT)
    monkeypatch.setenv("UNDERSTUDY_HOME", str(tmp_path / "home"))
    yield serving
    httpd.shutdown()
    httpd.server_close()


def offer(monkeypatch: pytest.MonkeyPatch, serving: Serving, content: bytes) -> None:
    """Serve a file that is the right one."""
    serving.content = content
    sha256 = hashlib.sha256(content).hexdigest()
    known = dataclasses.replace(downloads.DOWNLOADS["yunet"], url=serving.url, sha256=sha256, size=len(content))
    monkeypatch.setitem(downloads.DOWNLOADS, "yunet", known)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []


class Logging(Silent):
    def __init__(self) -> None:
        self.lines: list[str] = []
        self.told: list[float] = []

    def log(self, text: str, level: str = "info") -> None:
        self.lines.append(text)

    def progress(self, fraction: float, message: str) -> None:
        self.told.append(fraction)


def test_a_download_is_checked_and_named_last_and_its_licence_said_first(server: Serving) -> None:
    reporter = Logging()
    path = downloads.fetch("yunet", reporter)
    assert path.read_bytes() == CONTENT and names(path.parent) == ["yunet.onnx"]
    assert "Licence: MIT" in reporter.lines[0] and server.url in reporter.lines[0]
    assert reporter.told == sorted(reporter.told) and reporter.told[-1] == 1
    downloads.fetch("yunet", reporter)
    assert server.asked == [None]  # it is there: nobody is asked again


def test_a_broken_download_goes_on_where_it_stopped(server: Serving) -> None:
    server.breaks_after = 200_000
    path = downloads.fetch("yunet", Silent())
    assert server.asked == [None, "bytes=200000-", "bytes=400000-"] and path.read_bytes() == CONTENT


def test_what_another_run_left_is_gone_on_with(server: Serving) -> None:
    server.breaks_after = 1000
    with pytest.raises(UnderstudyError, match="goes on where it stopped") as raised:
        downloads.fetch("yunet", Silent())
    assert "\n" not in str(raised.value) and not downloads.installed("yunet")
    with pytest.raises(ModelsMissingError, match="models fetch --detector yunet"):
        downloads.require("yunet")
    server.breaks_after = 0
    assert downloads.fetch("yunet", Silent()).read_bytes() == CONTENT
    assert server.asked == [None, "bytes=1000-", "bytes=2000-", "bytes=3000-"]


def test_a_server_without_ranges_starts_over(server: Serving) -> None:
    server.breaks_after, server.ranges = 300_000, False
    with pytest.raises(UnderstudyError, match="could not be downloaded"):
        downloads.fetch("yunet", Silent())
    server.breaks_after = 0
    assert downloads.fetch("yunet", Silent()).read_bytes() == CONTENT


@pytest.mark.parametrize("content", [CONTENT[::-1], CONTENT + b"more", CONTENT[:-5] + b"other"])
def test_another_file_is_refused(server: Serving, content: bytes) -> None:
    server.content = content
    with pytest.raises(UnderstudyError, match="hash differs"):
        downloads.fetch("yunet", Silent())
    assert names(downloads.folder()) == []


def test_a_missing_file_and_a_stop(server: Serving) -> None:
    server.status = 404
    with pytest.raises(UnderstudyError, match="404"):
        downloads.fetch("yunet", Silent())
    assert len(server.asked) == 1  # asking again would not help

    class Impatient(Silent):
        def check(self) -> None:
            raise Stopped("Stopped.")

    server.status = 200
    with pytest.raises(Stopped):
        downloads.fetch("yunet", Impatient())
    assert not downloads.installed("yunet")


def test_the_command_fetches_it_and_says_its_licence(
    server: Serving, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture, run: Callable[..., Any]
) -> None:
    from understudy.engine.faces.networks import weights

    monkeypatch.setattr(weights, "PACKAGES", ())
    code, answer, _ = run("models", "fetch", "--detector", "yunet")
    assert code == 0 and answer["optional"] == {"yunet": True, "hair": False} and downloads.installed("yunet")


def test_yunet_finds_real_faces(
    server: Serving, monkeypatch: pytest.MonkeyPatch, astronaut: np.ndarray, hopper: np.ndarray
) -> None:
    file = SHARED / "face_detection_yunet_n_640_640.onnx"
    if not file.is_file():
        pytest.skip("the YuNet file is not there")
    offer(monkeypatch, server, file.read_bytes())
    downloads.fetch("yunet", Silent())
    both = np.concatenate([astronaut, hopper[:512]], 1)
    found, nothing = Search(["yunet"])([both, np.full_like(both, 90)])
    assert len(found.boxes) == 2 and len(nothing.boxes) == 0
    across = found.points[:, 1] - found.points[:, 0]  # between the eyes, left in the picture first
    assert (across[:, 0] > 30).all()
    assert ((found.points > found.boxes[:, None, :2]) & (found.points < found.boxes[:, None, 2:])).all()


def test_a_damaged_yunet_says_what_to_do(server: Serving) -> None:
    downloads.fetch("yunet", Silent())  # the pretended file is no network
    with pytest.raises(DataError, match=r"damaged\. Delete it and run"):
        DETECTORS["yunet"]("cpu")
