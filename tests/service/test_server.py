"""The API of a living engine: what it answers, and whom it refuses."""

from __future__ import annotations

import json
import os
import socket
import stat
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from understudy.engine.media.examine import examine
from understudy.engine.media.footage import Footage

from .harness import Engine, wait_until


def raw(engine: Engine, request: bytes) -> bytes:
    """Send bytes as they are; returns the start of the answer."""
    with socket.create_connection(("127.0.0.1", engine.http.base_url.port), timeout=10) as wire:
        wire.sendall(request)
        return wire.recv(4096)


def test_a_job_runs_and_tells_its_story(shared_engine: Engine) -> None:
    shared_engine.submit("story", steps=4, seconds=0.3)
    job = shared_engine.wait_for("story", "done")
    output = str(shared_engine.home / "story.out")
    assert job["result"] == {"scan": output, "steps": 4}
    assert (job["progress"], job["error"], job["seconds_left"]) == (1.0, None, None)
    events = shared_engine.events("story")
    assert [event["seq"] for event in events] == list(range(1, job["last_event"] + 1))
    assert shared_engine.states("story") == ["queued", "running", "done"]
    assert shared_engine.texts("story") == [f"step {n}" for n in range(4)]
    assert [e["data"]["step"] for e in events if e["kind"] == "loss"] == [0, 1, 2, 3]
    assert shared_engine.events("story", after=job["last_event"] - 1) == events[-1:]


def test_engine_says_who_it_is(shared_engine: Engine) -> None:
    info = shared_engine.http.get("/v1/engine").json()
    assert info["pid"] == shared_engine.process.pid
    assert info["url"] == str(shared_engine.http.base_url)
    assert info["protocol"].startswith("1.")
    wait_until(lambda: shared_engine.http.get("/v1/engine").json()["device"], "the device's name")


def test_the_same_submission_is_the_same_job(shared_engine: Engine) -> None:
    spec = shared_engine.spec("twice", steps=2)
    body = {"id": "twice", "kind": "scan", "spec": spec}
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: shared_engine.http.post("/v1/jobs", json=body), range(8)))
    assert {answer.status_code for answer in answers} == {200}
    shared_engine.wait_for("twice", "done")
    again = shared_engine.http.post("/v1/jobs", json=body | {"spec": spec | {"unknown": 1}}).json()
    assert again["state"] == "done"
    assert shared_engine.texts("twice") == ["step 0", "step 1"]
    listed = [job["id"] for job in shared_engine.http.get("/v1/jobs").json()["jobs"]]
    assert listed.count("twice") == 1
    for changed in ({"spec": spec | {"output": "/elsewhere"}}, {"id": "TWICE"}):
        answer = shared_engine.http.post("/v1/jobs", json=body | changed)
        assert answer.status_code == 409 and "taken" in answer.json()["error"]


def test_a_failed_job_says_why(shared_engine: Engine) -> None:
    shared_engine.submit("faceless", end="no face")
    shared_engine.submit("buggy", end="bug")
    failed = shared_engine.wait_for("faceless", "failed")
    assert failed["error"] == "No face was found in the range. Choose another range."
    fault = shared_engine.wait_for("buggy", "failed")
    log = shared_engine.run_folder("buggy") / "worker.log"
    assert "KeyError" in fault["error"] and str(log) in fault["error"]
    assert "Traceback" in log.read_text() and "Traceback" not in fault["error"]
    assert shared_engine.events("buggy")[-1]["data"] == {"state": "failed", "error": fault["error"]}


def test_events_wait_for_something_newer_and_block_nobody(shared_engine: Engine) -> None:
    shared_engine.submit("watched", steps=3, hold=[1])
    with ThreadPoolExecutor(20) as pool:
        shared_engine.wait_for_step("watched", 0)
        # queued, running, a line, a loss and a progress; nothing more until it is let go
        last = wait_until(lambda: (n := shared_engine.job("watched")["last_event"]) == 5 and n, "the last event")
        watching = [pool.submit(shared_engine.events, "watched", last, 20.0) for _ in range(20)]
        began = time.monotonic()
        assert shared_engine.job("watched")["state"] == "running"
        assert time.monotonic() - began < 10.0 and not any(watch.done() for watch in watching)
        shared_engine.let_go("watched", 1)
        for watch in watching:
            assert watch.result()[0]["seq"] == last + 1
    last = shared_engine.wait_for("watched", "done")["last_event"]
    began = time.monotonic()
    assert shared_engine.events("watched", after=last, wait=20) == []
    assert time.monotonic() - began < 5.0  # nothing can come any more


def test_a_long_story_is_told_in_parts(shared_engine: Engine) -> None:
    shared_engine.submit("long", steps=1500, seconds=0, checkpoint=10**9)
    last = shared_engine.wait_for("long", "done")["last_event"]
    told: list[int] = []
    while not told or told[-1] < last:
        part = shared_engine.events("long", after=told[-1] if told else 0)
        assert 0 < len(part) <= 1000
        told += [event["seq"] for event in part]
    assert told == list(range(1, last + 1)) and last > 1500


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Authorization": "Bearer wrong"}, 401),
        ({"Authorization": ""}, 401),
        ({"Authorization": "Basic {token}"}, 401),
        ({"Authorization": "Bearer {token}x"}, 401),
        ({"Origin": "http://127.0.0.1"}, 403),
        ({"Origin": "null"}, 403),
        ({"Host": "evil.example"}, 403),
        ({"Host": "127.0.0.1.evil.example"}, 403),
        ({"Host": "127.0.0.1:80@evil.example"}, 403),
        ({"Host": "localhost:1234"}, 200),
    ],
)
@pytest.mark.parametrize("path", ["/v1/jobs", "/openapi.json"])
def test_strangers_are_refused(shared_engine: Engine, headers: dict[str, str], status: int, path: str) -> None:
    token = shared_engine.address()["token"]
    given = {name: value.format(token=token) for name, value in headers.items()}
    answer = shared_engine.http.get(path, headers=given)
    assert answer.status_code == status
    assert status == 200 or answer.json()["error"].endswith(".")


@pytest.mark.parametrize(
    "path", ["/", "/page/preview/a", "/v1/key", "/docs", "/redoc", "/v1/engine", "/v1/shutdown", "/nowhere"]
)
def test_nothing_is_told_without_the_token(shared_engine: Engine, path: str) -> None:
    for method in ("GET", "POST", "OPTIONS"):
        assert httpx.request(method, f"{shared_engine.http.base_url}{path}").status_code == 401


def test_a_request_without_a_host_is_refused(shared_engine: Engine) -> None:
    token = shared_engine.address()["token"].encode()
    answer = raw(shared_engine, b"GET /v1/jobs HTTP/1.0\r\nAuthorization: Bearer " + token + b"\r\n\r\n")
    assert b" 403 " in answer.splitlines()[0]


def scan(**changes: Any) -> dict[str, Any]:
    return {"id": "bad", "kind": "scan", "spec": {"clip": {"path": "/a.mp4"}, "output": "/scan"}} | changes


@pytest.mark.parametrize(
    ("body", "names"),
    [
        (b"", "JSON"),
        (b"{", "JSON"),
        (b"[]", "object"),
        (b"[" * 100_000, "JSON"),
        (b'{"id": "bad", "kind": "scan", "spec": {"minutes": NaN}}', "JSON"),
        (b'{"id": "bad", "kind": "scan", "spec": {"minutes": 1e999}}', "JSON"),
        (b'{"id": "bad", "kind": "scan", "spec": {"clip": {"path": "/\\ud800"}, "output": "/b"}}', "JSON"),
        (b"\xff\xfe\x00", "JSON"),
        (scan(id="../../etc"), "id"),
        (scan(id=""), "id"),
        (scan(id="a" * 65), "id"),
        (scan(id=7), "id"),
        (scan(id="new\n"), "id"),
        (scan(kind="delete"), "kind"),
        (scan(kind=["scan"]), "kind"),
        (scan(spec={}), "clip"),
        (scan(spec={"clip": {"path": "/a.mp4", "start": "0"}, "output": "/scan"}), "start"),
        (scan(spec={"clip": {"path": "a.mp4"}, "output": "/scan"}), "path"),
        (scan(spec={"clip": {"path": "/a\0.mp4"}, "output": "/scan"}), "path"),
        (scan(kind="train", spec={"identities": [{"name": "a", "material": [{}]}], "output": "/m"}), "material"),
        (scan(kind="train", spec={"identities": [], "output": "/m", "minutes": 10**400}), ""),
    ],
)
def test_a_bad_submission_is_told_what_is_wrong(shared_engine: Engine, body: Any, names: str) -> None:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    answer = shared_engine.http.post("/v1/jobs", content=content)
    assert answer.status_code == 400
    assert names in answer.json()["error"]
    assert shared_engine.http.get("/v1/jobs/bad").status_code == 404


def test_bad_queries_and_unknown_jobs(shared_engine: Engine) -> None:
    shared_engine.submit("known")
    shared_engine.wait_for("known", "done")
    get = shared_engine.http.get
    assert get("/v1/jobs/known/events?after=x").status_code == 400
    for query in ("after=-5", "after=" + "9" * 30, "wait=nan", "wait=-1", "wait=1e400"):
        assert get(f"/v1/jobs/known/events?{query}").status_code == 200, query
    for path in ("/v1/jobs/none", "/v1/jobs/none/events", "/v1/jobs/..%2f..%2fengine.json/events", "/v2/jobs"):
        assert get(path).status_code == 404, path
    assert shared_engine.http.post("/v1/jobs/none/cancel").status_code == 404
    assert shared_engine.http.put("/v1/jobs").status_code == 405


def test_a_large_body_is_refused_with_and_without_its_length(shared_engine: Engine) -> None:
    large = b"x" * 1_000_001
    assert shared_engine.http.post("/v1/jobs", content=large).status_code == 413
    assert shared_engine.http.post("/v1/jobs", content=iter([large[:500_000], large[500_000:]])).status_code == 413
    padded = json.dumps(scan(id="padded", padding="x" * 900_000)).encode()
    assert shared_engine.http.post("/v1/jobs", content=padded).status_code == 200


def test_a_second_engine_says_that_one_runs(shared_engine: Engine) -> None:
    code = (
        "from understudy.engine.errors import UnderstudyError\n"
        "from understudy.engine.service.serve import serve\n"
        "try: serve()\n"
        "except UnderstudyError as error: print(error)"
    )
    command = [shared_engine.command()[0], "-c", code]
    second = subprocess.run(command, env=shared_engine.environment(), capture_output=True, text=True, timeout=30)
    assert "running already" in second.stdout and second.stderr == ""
    assert shared_engine.address() and shared_engine.http.get("/v1/engine").status_code == 200


def test_a_taken_port_is_said_so(shared_engine: Engine, tmp_path: Path) -> None:
    code = (
        "from understudy.engine.errors import UnderstudyError\n"
        "from understudy.engine.service.serve import serve\n"
        f"try: serve({shared_engine.http.base_url.port})\n"
        "except UnderstudyError as error: print(error)"
    )
    command = [shared_engine.command()[0], "-c", code]
    environment = shared_engine.environment() | {"UNDERSTUDY_HOME": str(tmp_path)}
    second = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=30)
    assert "cannot listen" in second.stdout and second.stderr == ""
    assert not (tmp_path / "engine.json").exists()


def test_address_file_is_private_and_the_log_keeps_the_secret(engine: Engine) -> None:
    file = engine.home / "engine.json"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    token = engine.address()["token"]
    assert len(bytes.fromhex(token)) == 32
    engine.submit("logged", end="bug")
    engine.wait_for("logged", "failed")
    engine.http.get("/v1/jobs", headers={"Origin": "http://evil.example"})
    engine.shut_down()
    assert not file.exists()
    told = [path for path in engine.home.rglob("*") if path.is_file() and token.encode() in path.read_bytes()]
    assert told == []
    assert "logged" in (engine.home / "engine.log").read_text()


def test_the_engine_listens_on_loopback_only(shared_engine: Engine) -> None:
    port = shared_engine.http.base_url.port
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    addresses = [row[1] for row in rows if row[3] == "0A" and row[1].endswith(f":{port:04X}")]
    assert addresses == [f"0100007F:{port:04X}"]


def test_the_supervisor_stays_small(shared_engine: Engine, capsys: pytest.CaptureFixture[str]) -> None:
    pid = shared_engine.process.pid
    mapped = Path(f"/proc/{pid}/maps").read_text()
    for library in ("torch", "numpy", "cv2", "/av/", "scipy"):
        assert library not in mapped
    assert "sqlite3" in mapped  # the names would be seen
    resident = int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096 / 1e6
    with capsys.disabled():
        print(f"\nsupervisor: {resident:.0f} MB resident")
    assert resident < 80


def test_starting_time(stopped_engine: Engine, capsys: pytest.CaptureFixture[str]) -> None:
    began = time.monotonic()
    stopped_engine.start()
    assert stopped_engine.http.get("/v1/jobs").status_code == 200
    with capsys.disabled():
        print(f"\nengine answers {time.monotonic() - began:.2f} s after its start")


def test_an_idle_engine_ends_itself_but_not_while_there_is_work(stopped_engine: Engine) -> None:
    stopped_engine.limits = {"supervisor.IDLE_SECONDS": 0.2}
    stopped_engine.idle = 2.0
    engine = stopped_engine.start()
    engine.submit("busy", steps=2, hold=[1])
    engine.wait_for_step("busy", 0)
    time.sleep(3)
    assert engine.process.poll() is None
    engine.let_go("busy", 1)
    assert engine.process.wait(60) == 0
    assert not (engine.home / "engine.json").exists()
    engine.start()
    assert engine.job("busy")["state"] == "done"


def test_logs_rotate(tmp_path: Path) -> None:
    from understudy.engine.service import launch, log_file

    code = (
        "import logging\n"
        "from pathlib import Path\n"
        "from understudy.engine.service import log_file\n"
        "log_file.BYTES = 2000\n"
        f"log_file.log_to(Path({str(tmp_path / 'engine.log')!r}))\n"
        "for n in range(500): logging.info('line %d', n)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
    logs = sorted(tmp_path.glob("engine.log*"))
    assert len(logs) == 1 + log_file.KEPT and all(log.stat().st_size <= 2000 for log in logs)
    assert "line 499" in (tmp_path / "engine.log").read_text()
    folder = tmp_path / "job"
    folder.mkdir()
    (folder / "worker.log").write_bytes(b"x" * (launch.MAX_LOG_BYTES + 1))
    attempt = launch.spawn(folder, "scripted:run", 0, 1)
    attempt.child.wait(60)
    assert (folder / "worker.log.1").stat().st_size > launch.MAX_LOG_BYTES > (folder / "worker.log").stat().st_size


def test_the_idle_supervisor_hardly_works(shared_engine: Engine, capsys: pytest.CaptureFixture[str]) -> None:
    ticks = os.sysconf("SC_CLK_TCK")

    def used() -> float:
        fields = Path(f"/proc/{shared_engine.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / ticks

    def jobs() -> dict[str, Any]:
        return shared_engine.http.get("/v1/jobs").json()

    wait_until(lambda: all(job["state"] != "running" for job in jobs()["jobs"]), "rest")
    time.sleep(0.5)
    before = used()
    time.sleep(4)
    spent = (used() - before) / 4
    with capsys.disabled():
        print(f"\nidle supervisor: {spent:.2%} of a core")
    assert spent < 0.02  # the clock's own grain is 0.25 % here


def test_footage_is_looked_at_in_a_process_of_its_own(shared_engine: Engine, tmp_path: Path, make_clip: Any) -> None:
    path = make_clip(tmp_path / "shot.mp4", 12)
    asked = {"path": str(path), "start": 0, "end": 12, "played": True}
    told = shared_engine.http.post("/v1/footage", json=asked, timeout=60).json()["findings"]
    assert told == [vars(one) for one in examine(Footage(path=path, played=True), 0, 12)]
    (tmp_path / "text.mp4").write_text("no movie")
    told = shared_engine.http.post("/v1/footage", json={"path": str(tmp_path / "text.mp4")}, timeout=60).json()
    assert told["findings"][0]["kind"] == "cannot" and "cannot be read as footage" in told["findings"][0]["text"]
    assert shared_engine.http.post("/v1/footage", json={"path": "../shot.mp4"}).status_code == 400
