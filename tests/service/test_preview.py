"""Previews: kept warm, the latest wins, and no crash of theirs harms anybody."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from .harness import Engine, wait_until


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    limits = {
        "preview_process.IDLE_SECONDS": 4.0,
        "preview_process.RENDER_SECONDS": 4.0,
        "preview_process.KEPT_FILES": 5,
        "supervisor.IDLE_SECONDS": 0.3,
    }
    engine = Engine(tmp_path_factory.mktemp("home"), "scripted:run", limits)
    yield engine.start()
    engine.clean_up()


def ask(engine: Engine, **script: Any) -> httpx.Response:
    path = engine.home / f"still-{abs(hash(json.dumps(script)))}.json"
    path.write_text(json.dumps(script))
    return engine.http.post("/v1/preview", json={"scan": str(path), "swaps": [], "frame": 3})


def previewer(engine: Engine) -> int | None:
    """The pid of the living previewer."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            command = (folder / "cmdline").read_bytes()
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
        if b"service.preview_worker" in command and parent == engine.process.pid:
            return int(folder.name)
    return None


def test_previews_come_from_one_warm_process_that_rests_when_idle(engine: Engine) -> None:
    assert previewer(engine) is None  # nobody has asked
    first, second = ask(engine).json(), ask(engine).json()
    pid = previewer(engine)
    assert second["steps"] == first["steps"] + 1 and first["path"] != second["path"]
    assert Path(first["path"]).read_bytes() == b"x" * 10
    assert os.getpriority(os.PRIO_PROCESS, pid) == os.getpriority(os.PRIO_PROCESS, 0) + 10
    wait_until(lambda: previewer(engine) is None, "the idle previewer to end")
    assert ask(engine).json()["steps"] == 1


def test_only_the_latest_of_those_that_wait_is_rendered(engine: Engine) -> None:
    rendered = ask(engine).json()["steps"]
    with ThreadPoolExecutor(12) as pool:
        running = pool.submit(ask, engine, seconds=1.0)
        time.sleep(0.3)
        waiting = []
        for n in range(10):
            waiting.append(pool.submit(ask, engine, number=n))
            time.sleep(0.03)
        answers = [future.result() for future in waiting]
        assert running.result().status_code == 200
    assert [answer.status_code for answer in answers] == [409] * 9 + [200]
    assert "newer" in answers[0].json()["error"]
    assert answers[-1].json()["steps"] == rendered + 2


def test_what_is_wrong_with_a_preview_is_told(engine: Engine) -> None:
    answer = ask(engine, end="no face")
    assert (answer.status_code, answer.json()["error"]) == (
        422,
        "No face was found on this frame. Choose another frame.",
    )
    answer = ask(engine, end="bug")
    assert answer.status_code == 422 and "Internal error" in answer.json()["error"]
    assert "KeyError" in (engine.home / "preview.log").read_text()
    bad = engine.http.post("/v1/preview", json={"scan": "relative", "swaps": [], "frame": 3})
    assert bad.status_code == 400 and "scan" in bad.json()["error"]
    assert engine.http.post("/v1/preview", json={"frame": 3}).status_code == 400


def test_a_crash_is_told_and_the_next_preview_works(engine: Engine) -> None:
    answer = ask(engine, die=True)
    assert answer.status_code == 422 and "ended" in answer.json()["error"]
    assert ask(engine).status_code == 200
    os.kill(previewer(engine), signal.SIGKILL)  # while nobody looks
    assert ask(engine).json()["steps"] == 1


def test_a_preview_that_takes_too_long_is_ended(engine: Engine) -> None:
    began = time.monotonic()
    answer = ask(engine, seconds=60)
    assert answer.status_code == 422 and time.monotonic() - began < 50
    assert ask(engine).status_code == 200


def test_the_folder_of_pictures_stays_small(engine: Engine) -> None:
    paths = [Path(ask(engine, size=n).json()["path"]) for n in range(12)]
    assert len(list(paths[0].parent.iterdir())) <= 5
    assert paths[-1].exists() and not paths[0].exists()


def test_shutting_down_amid_a_preview_waits_for_nobody(stopped_engine: Engine) -> None:
    engine = stopped_engine.start()
    ask(engine)
    pid = previewer(engine)
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(ask, engine, seconds=60)
        time.sleep(0.5)
        began = time.monotonic()
        engine.shut_down()
        assert time.monotonic() - began < 15
        assert running.result().status_code in (409, 422)
    wait_until(lambda: not Path(f"/proc/{pid}").exists(), "the previewer's end")


def test_the_previewer_ends_with_a_killed_engine(stopped_engine: Engine) -> None:
    engine = stopped_engine.start()
    ask(engine)
    pid = previewer(engine)
    engine.kill()
    wait_until(lambda: not Path(f"/proc/{pid}").exists(), "the previewer's end")
