"""Files that earlier versions left, kept in `kept/`: written by the code of their time, read by today's."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path

import pytest
from understudy.engine.errors import DataError
from understudy.engine.service.store import SCHEMA, Store

KEPT = Path(__file__).parent / "kept"


def test_the_jobs_of_protocol_1_0_are_taken_over(tmp_path: Path) -> None:
    home = tmp_path / "home"
    shutil.copytree(KEPT / "home-1.0", home)
    for _ in range(2):  # migrated, and as migrated
        store = Store(home)
        finished, waiting = store.job("finished"), store.job("waiting")
        assert finished and waiting
        assert (finished.state, finished.result["people"], finished.priority, finished.after) == ("done", 2, 0, [])
        assert (waiting.state, waiting.kind, waiting.spec["output"]) == ("queued", "convert", "/project/out.mp4")
        assert [event.data["state"] for event in store.events("finished", 0)] == ["queued", "running", "done"]
        assert [job.id for job in store.unfinished()] == ["waiting"]
        store.close()
        with sqlite3.connect(home / "jobs.sqlite") as database:
            assert database.execute("PRAGMA user_version").fetchone() == (SCHEMA,)


def test_a_newer_list_of_jobs_is_left_alone(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "jobs.sqlite") as database:
        database.execute(f"PRAGMA user_version = {SCHEMA + 1}")
    with pytest.raises(DataError, match="newer Understudy"):
        Store(tmp_path)


def test_a_row_that_cannot_be_read_harms_no_other(tmp_path: Path) -> None:
    home = tmp_path / "home"
    shutil.copytree(KEPT / "home-1.0", home)
    with sqlite3.connect(home / "jobs.sqlite") as database:
        database.execute("UPDATE jobs SET job = '{\"id\": 7}' WHERE id = 'finished'")
    store = Store(home)
    assert [job.id for job in store.jobs()] == ["waiting"]
    assert store.prune(0) == [] and (home / "jobs" / "finished").is_dir()
    store.close()
