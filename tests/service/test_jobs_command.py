"""`understudy jobs` on a living engine."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from .harness import Engine, wait_until


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    engine = Engine(tmp_path_factory.mktemp("home"), "scripted:run")
    yield engine.start()
    engine.clean_up()


def jobs(engine: Engine, *arguments: str, code: int = 0, **environment: str) -> tuple[dict[str, Any], str]:
    """What `understudy jobs … --json` says last, and all it printed before."""
    command = [sys.executable, "-m", "understudy.engine", "jobs", *arguments, "--json"]
    found = subprocess.run(
        command, env=engine.environment() | environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert found.returncode == code, found.stdout + found.stderr
    *told, last = found.stdout.splitlines()
    return json.loads(last), "\n".join(told)


def test_the_queue_is_seen_to_from_the_command_line(engine: Engine, tmp_path: Path) -> None:
    engine.submit("aa-running", steps=3, checkpoint=1, hold=[1])
    wait_until(lambda: engine.job("aa-running")["progress"] > 0, "the first step's progress")
    spec = tmp_path / "spec.json"
    spec.write_text(json.dumps(engine.spec("added", steps=1)))
    added = jobs(engine, "add", "scan", str(spec), "--after", "aa", "--priority", "3")[0]["jobs"][0]
    assert (added["after"], added["priority"], added["state"]) == (["aa-running"], 3, "queued")
    listed, told = jobs(engine, "list")
    assert [job["id"] for job in listed["jobs"]] == [added["id"], "aa-running"]
    assert "running  33%" in told and "priority 3" in told
    jobs(engine, "priority", added["id"][:6], "--priority", "-4")
    assert engine.job(added["id"])["priority"] == -4
    jobs(engine, "pause", "aa-running")
    engine.wait_for("aa-running", "paused")
    jobs(engine, "cancel", added["id"])
    engine.let_go("aa-running", 1)
    jobs(engine, "resume", "aa-running")
    jobs(engine, "retry", added["id"])
    waited, _ = jobs(engine, "wait", "aa-running", added["id"])
    assert {job["state"] for job in waited["jobs"]} == {"done"}
    shown, told = jobs(engine, "show", "aa-running")
    assert shown["jobs"][0]["result"]["steps"] == 3 and '"steps": 3' in told
    assert jobs(engine, "disk")[0]["items"][0]["kind"] == "jobs"
    assert sorted(jobs(engine, "prune", "--keep", "0")[0]["removed"]) == sorted(["aa-running", added["id"]])
    assert jobs(engine, "list")[0] == {"jobs": []}


def test_waiting_for_a_job_that_fails_fails(engine: Engine) -> None:
    engine.submit("bad", steps=1, end="no face")
    result, told = jobs(engine, "wait", "bad", code=1)
    assert result["jobs"][0]["state"] == "failed" and "No face was found" in told


@pytest.mark.parametrize(
    ("arguments", "code", "names"),
    [
        (["cancel"], 2, "Name a job"),
        (["cancel", "nobody"], 1, "no job nobody"),
        (["add", "scan"], 2, "kind and a file"),
        (["add", "scan", "/nowhere.json"], 1, "not a spec"),
        (["pause", "dup"], 1, "2 jobs begin with dup"),
    ],
)
def test_what_cannot_be_done_is_said(engine: Engine, arguments: list[str], code: int, names: str) -> None:
    for name in ("dup1", "dup2"):
        engine.submit(name, steps=1)
    assert names in jobs(engine, *arguments, code=code)[0]["error"]


def test_where_the_engine_is_can_be_told(engine: Engine, tmp_path: Path) -> None:
    address = engine.address()
    elsewhere = {"UNDERSTUDY_HOME": str(tmp_path)}
    assert "No engine runs" in jobs(engine, "list", code=1, **elsewhere)[0]["error"]
    named = {"UNDERSTUDY_ENGINE": f"{address['url']}#{address['token']}"}
    assert "jobs" in jobs(engine, "list", **elsewhere, **named)[0]
    for wrong in ("http://example.org:80#x", "https://127.0.0.1:1#x", "http://127.0.0.1:1", "http://127.0.0.1:99999#x"):
        assert "must be" in jobs(engine, "list", code=1, UNDERSTUDY_ENGINE=wrong)[0]["error"]
    assert "No engine answers" in jobs(engine, "list", code=1, UNDERSTUDY_ENGINE="http://127.0.0.1:1#x")[0]["error"]
    assert "token" in jobs(engine, "list", code=1, UNDERSTUDY_ENGINE=address["url"] + "#wrong")[0]["error"]


def test_another_major_version_is_told_in_one_sentence(engine: Engine, tmp_path: Path) -> None:
    code = (
        "from understudy.engine import client, protocol\n"
        "from understudy.engine.errors import UnderstudyError\n"
        "protocol.PROTOCOL = '2.0'\n"
        "try: client.find()\n"
        "except UnderstudyError as error: print(error)\n"
        "protocol.PROTOCOL = '1.99'\n"
        "print(client.find().url)"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], env=engine.environment(), capture_output=True, text=True, timeout=60, check=True
    )
    sentence, url = found.stdout.splitlines()
    assert "speaks protocol 1." in sentence and "2.0" in sentence
    assert url == engine.address()["url"]
