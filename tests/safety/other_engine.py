"""A remote engine that is somebody else's: it answers as ours does, and lists and sends what a test wants."""

from __future__ import annotations

import hashlib
import json
import urllib.parse
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from understudy.engine.protocol import PROTOCOL

ROOT, EVIL = "/far/mirror", b"written by the other engine"


class Hostile(ThreadingHTTPServer):
    """Answers as an engine does; whatever it is asked for, it lists all places of `listed`."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answers)
        self.listed: list[str] = []
        self.contents: dict[str, bytes] = {}  # of what is not EVIL
        self.previews: list[str] = []
        self.sent: list[str] = []  # places of what it was sent
        self.asked: list[str] = []
        self.paths: list[str] = []  # that were asked for with GET
        self.refused = ""  # a place that is not told of
        self.instead: Callable[[Answers, str], bool] = lambda answers, path: False
        """Answers in its own way, and tells whether it did."""


class Answers(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Hostile

    def do_GET(self) -> None:
        self.server.paths.append(self.path)
        path, query = self.path.partition("?")[::2]
        if self.server.instead(self, path):
            return
        if path == "/v1/engine":
            self.say({"protocol": PROTOCOL, "version": "1", "pid": 1, "device": "cpu", "url": ""})
        elif path.startswith("/v1/jobs/"):
            events = [
                {"seq": n + 1, "time": 0.0, "kind": "preview", "data": {"path": place, "caption": ""}}
                for n, place in enumerate(self.server.previews)
            ]
            after = int(urllib.parse.parse_qs(query).get("after", ["0"])[0])
            self.say({"job": self._job(), "events": [e for e in events if e["seq"] > after]})
        elif path.endswith("/file"):
            self.server.asked += urllib.parse.parse_qs(query)["path"]
            self.send(self.server.contents.get(self.server.asked[-1], EVIL))
        elif self.server.refused and self.server.refused in urllib.parse.unquote(query):
            self.send(b'{"error": "no"}', 500)
        else:
            files = [(place, self.server.contents.get(place, EVIL)) for place in self.server.listed]
            listed = [{"path": p, "sha256": hashlib.sha256(d).hexdigest(), "bytes": len(d)} for p, d in files]
            self.say({"files": listed})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"] or 0)) or b"{}")
        if self.server.instead(self, self.path):
            return
        if self.path == "/v1/jobs":
            self.say(self._job())
        else:
            self.server.sent += [one["path"] for one in body.get("files", [])]
            self.say({"id": "f" * 32, "root": ROOT, "lacking": []})

    def _job(self) -> dict[str, Any]:
        result = {"scan": "/home/somebody/.ssh", "people": 1, "frames": 1}
        return {"id": "ab" * 16, "kind": "scan", "spec": {}, "state": "done", "result": result}

    def say(self, answer: Any) -> None:
        self.send(json.dumps(answer).encode())

    def send(self, data: bytes, status: int = 200) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: Any) -> None:
        """Silent."""
