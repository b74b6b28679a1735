"""Names that come from others: the terminal shows them, and obeys nothing that is in them."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from understudy.engine.printing import shown

ROOT = Path(__file__).parents[2]
UNDERSTUDY = [sys.executable, "-m", "understudy.engine"]
TITLE, WIPE, RED = "\x1b]0;owned\x07", "\x1b[2J", "[red]"
HOSTILE = f"take {RED} :cat: {TITLE}{WIPE}\u202e4pm.\r\nAll is well [/].mp4"
AS_SHOWN = r"take [red] :cat: \x1b]0;owned\x07\x1b[2J\u202e4pm.\r\nAll is well [/].mp4"


def is_harmless(said: str) -> bool:
    return not any(part in said for part in (TITLE, WIPE, "\x07", "\u202e", "\nAll is well", "🐱"))


@pytest.mark.parametrize(
    ("name", "seen"),
    [
        (HOSTILE, AS_SHOWN),
        ("Zoë ‹1›, 役者, 👩‍👩‍👧, می‌خواهم", "Zoë ‹1›, 役者, 👩‍👩‍👧, می‌خواهم"),
        (os.fsdecode(b"caf\xe9.mp4"), r"caf\xe9.mp4"),
        ("C:\\new\\take.mp4", "C:\\new\\take.mp4"),
        ("a\u2028b\u0085c\x9bd\ufeffe\u2066f", r"a\u2028b\x85c\x9bd\ufeffe\u2066f"),
    ],
)
def test_what_a_terminal_would_obey_is_shown(name: str, seen: str) -> None:
    assert shown(name) == seen


@given(st.text(st.characters(exclude_categories=[]), max_size=50))
def test_whatever_a_name_holds_is_one_line_that_can_be_encoded(name: str) -> None:
    line = shown(name)
    line.encode("utf-8")
    assert len(line.splitlines()) <= 1
    assert not any(unicodedata.category(c) in ("Cc", "Cs") or unicodedata.bidirectional(c) in BIDI for c in line)


BIDI = {"LRE", "RLE", "PDF", "LRO", "RLO", "LRI", "RLI", "FSI", "PDI"}


def hostile_scan(folder: Path) -> Path:
    """A scan as a stranger may hand it on."""
    folder.mkdir()
    person = {
        "id": 0, "name": HOSTILE, "frames": 9, "tracks": 1, "first_frame": 0, "best_frame": 0, "box": [0, 0, 9, 9],
        "thumbnail": f"person{RED}-0.jpg", "known": True,
    }  # fmt: skip
    summary = {
        "schema": 1, "clip": {"path": f"/nowhere/{HOSTILE}"}, "width": 160, "height": 96, "fps": [24, 1], "frames": 40,
        "variable_frame_rate": False, "people": [person],
    }  # fmt: skip
    (folder / "scan.json").write_text(json.dumps(summary), encoding="utf-8")
    return folder


def in_a_terminal(command: list[str]) -> str:
    """What a terminal of 300 columns is sent."""
    pty = pytest.importorskip("pty")
    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "300", "LINES": "50"}
    child = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment)
    os.close(theirs)
    said = b""
    try:
        while part := os.read(ours, 65536):
            said += part
    except OSError:  # the terminal's other end is closed
        pass
    child.wait(60)
    os.close(ours)
    return said.decode("utf-8", "replace")


def test_a_table_shows_the_names_of_a_strangers_scan(tmp_path: Path) -> None:
    scan = hostile_scan(tmp_path / f"scan {RED}")
    said = in_a_terminal([*UNDERSTUDY, "people", str(scan)])
    assert AS_SHOWN in said and f"scan {RED}/person{RED}-0.jpg" in said, said
    assert is_harmless(said)


def test_lines_in_a_pipe_keep_their_columns(tmp_path: Path) -> None:
    scan = hostile_scan(tmp_path / "scan")
    said = subprocess.run([*UNDERSTUDY, "people", str(scan)], capture_output=True, text=True, check=True).stdout
    (line,) = said.splitlines()
    assert line.split("\t")[-1] == AS_SHOWN


PROGRESS = f"""
from pathlib import Path
from understudy.engine.console import Watched
watched = Watched()
with watched.stage("Scanning " + {HOSTILE!r}):
    watched.progress(0.5, {HOSTILE!r})
    watched.log({HOSTILE!r}, "warning")
    watched.preview(Path({HOSTILE!r}), "")
    watched.verdict("training", {HOSTILE!r}, None)
"""


def test_a_progress_bar_shows_names_as_they_are() -> None:
    said = in_a_terminal([sys.executable, "-c", PROGRESS])
    assert said.count(AS_SHOWN) >= 5, said
    assert is_harmless(said)


def test_plain_progress_shows_names_as_they_are() -> None:
    said = subprocess.run([sys.executable, "-c", PROGRESS], capture_output=True, text=True, check=True).stderr
    assert said.count(AS_SHOWN) == 5 and is_harmless(said), said


@pytest.mark.parametrize("words", [["scan", HOSTILE, "-o", "x"], ["scan", "a", HOSTILE, "-o", "x"], [HOSTILE]])
def test_errors_show_names_as_they_are(words: list[str], tmp_path: Path) -> None:
    done = subprocess.run([*UNDERSTUDY, *words], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert r"\x1b]0;owned\x07\x1b[2J\u202e4pm." in done.stderr and is_harmless(done.stderr), done.stderr
    assert RED in done.stderr and "Traceback" not in done.stderr


def test_a_name_that_is_no_text_is_shown(tmp_path: Path) -> None:
    name = os.fsdecode(b"caf\xe9.mp4")
    done = subprocess.run([*UNDERSTUDY, "scan", name, "-o", "x"], capture_output=True, cwd=tmp_path, check=False)
    assert rb"caf\xe9.mp4" in done.stderr and b"Traceback" not in done.stderr, done.stderr


def test_a_terminal_without_utf_8_shows_what_it_can(tmp_path: Path) -> None:
    scan = hostile_scan(tmp_path / "scän")
    environment = {**os.environ, "PYTHONIOENCODING": "ascii", "LC_ALL": "C"}
    done = subprocess.run([*UNDERSTUDY, "people", str(scan)], capture_output=True, env=environment, check=True)
    assert rb"sc\xe4n" in done.stdout


PIPES = {
    "preview_worker.py",
    "device_probe.py",
    "footage_process.py",
    "signing.py",
}  # their output is JSON for the process that started them


@pytest.mark.parametrize("file", sorted((ROOT / "engine").rglob("*.py")), ids=lambda f: str(f.relative_to(ROOT)))
def test_nothing_is_printed_in_another_way(file: Path) -> None:
    if file.name in {"printing.py", "worker.py"}:  # a worker's output is its log
        return
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.Call):
            continue
        call = ast.unparse(node.func)
        if call == "print" and file.name in PIPES:
            first = ast.unparse(node.args[0])
            assert first.startswith("json.dumps(") or first == "'{}'", f"{file}:{node.lineno}"
            continue
        if call == "traceback.print_exc" and file.name in PIPES:  # into a log
            continue
        where = f"{file}:{node.lineno}: engine.printing is the way to print"
        assert call not in {"print", "sys.stdout.write", "sys.stderr.write", "traceback.print_exc", "input"}, where
        if call == "Console" or call.endswith(".Console"):
            assert file.name == "console.py", where
