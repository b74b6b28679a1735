"""Files that may come from anybody are read in one way: pipes, devices and files of the kernel's own are refused."""

from __future__ import annotations

import ast
import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from understudy.engine import arrays, child_process, durable, own_files, plain_words, reading
from understudy.engine.errors import MediaError, UnderstudyError
from understudy.engine.faces.alignments import load_alignments
from understudy.engine.faces.people.summary import read_summary
from understudy.engine.media.open import open_movie
from understudy.engine.media.pictures import read_picture
from understudy.engine.model.model_folder import load_tensors, read_card
from understudy.engine.provenance.erase import read_json

ENGINE = Path(reading.__file__).parent
OWN = {
    "reading.py",
    "faces/geometry/topology.py",  # what comes with the package
    "model/draft/rest.py",
    "faces/networks/weights.py",  # what pip has written just now
    "protocol/http_client.py",  # which the add-on has, too; it reads the home folder, as those below do
    *(f"service/{name}.py" for name in ("device_probe", "events", "launch", "rundir", "serve", "worker")),
}
"""Modules of the engine that open files of Understudy's own by themselves."""
ADDONS_OWN = {
    *("engine_link/environment.py", "side_process/launcher.py", "side_process/installer.py"),  # of the home folder
}
"""Likewise of the add-on; what a project holds it reads by `state/project_files.py`."""
KERNELS = Path("/proc/version")
needs_kind = pytest.mark.skipif(sys.platform == "win32", reason="links and pipes in folders are other things there")


@pytest.mark.parametrize(("root", "own_ones"), [(ENGINE, OWN), (ENGINE.parent / "addon", ADDONS_OWN)])
def test_files_are_read_in_one_way(root: Path, own_ones: set[str]) -> None:
    assert all((root / name).is_file() for name in own_ones)
    for file in sorted(root.rglob("*.py")):
        name = file.relative_to(root).as_posix()
        text = file.read_text(encoding="utf-8")
        tree = ast.parse(text) if name not in own_ones else ast.Module([], [])
        calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
        for call in calls:
            made = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
            mode = call.args[0].value if call.args and isinstance(call.args[0], ast.Constant) else ""
            reads = made == "open" and (isinstance(call.func, ast.Name) or (not call.args or mode in ("r", "rb")))
            by_itself = made in ("read_text", "read_bytes") and isinstance(call.func, ast.Attribute)
            by_itself = by_itself and getattr(call.func.value, "id", "") != "reading"
            assert not reads and not by_itself, f"{name}:{call.lineno}: reading.py is the way"
        assert "import SafetensorError, safe_open" not in text or text.count("require_regular(") >= text.count(
            " safe_open("
        ), f"{name}: safetensors opens a pipe and waits"


READERS: dict[str, Callable[[Path], Any]] = {
    "model.json": lambda path: read_card(path.parent),
    "weights.safetensors": load_tensors,
    "x.safetensors": lambda path: arrays.read_arrays(path, "kind", 1),
    "scan.json": lambda path: read_summary(path.parent),
    "alignments.safetensors": lambda path: load_alignments(path.parent),
    "x.mp4": open_movie,
    "plain": reading.read_bytes,
    "hash": durable.hash_file,
}


@needs_kind
@pytest.mark.parametrize("kind", ["pipe", "device", "kernel's"])
@pytest.mark.parametrize("name", READERS)
def test_what_is_no_file_is_refused_at_once(tmp_path: Path, name: str, kind: str) -> None:
    path = tmp_path / name
    if kind == "kernel's" and not KERNELS.is_file():
        pytest.skip("there is no /proc here")
    os.mkfifo(path) if kind == "pipe" else path.symlink_to("/dev/zero" if kind == "device" else KERNELS)
    with pytest.raises((UnderstudyError, OSError)):
        READERS[name](path)
    assert read_json(path) == {} and own_files.contents(path, "scan").ours == []


def test_a_file_longer_than_its_reader_takes_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_bytes(b"[1]")
    assert reading.read_text(path, largest=3) == "[1]"
    with pytest.raises(OSError, match=reading.TOO_LONG):
        reading.read_bytes(path, largest=2)


@pytest.mark.skipif(not KERNELS.is_file(), reason="there is no /proc here")
def test_the_kernels_own_files_are_told_from_files(tmp_path: Path) -> None:
    for path in (KERNELS, Path("/proc/self/mem"), Path("/proc/kcore"), Path("/sys/kernel/uevent_seqnum")):
        if path.is_file():
            assert not reading.is_readable_kind(path.stat()), path
    (tmp_path / "empty").touch()
    assert reading.read_bytes(tmp_path / "empty") == b""
    with pytest.raises(IsADirectoryError):
        reading.open_regular(tmp_path)
    if Path("/dev/shm").is_dir():
        shared = Path("/dev/shm") / f"understudy-test-{os.getpid()}"
        try:
            shared.write_bytes(b"film")
            assert reading.read_bytes(shared) == b"film"
        finally:
            shared.unlink()
    (tmp_path / "link.mp4").symlink_to(KERNELS)
    with pytest.raises(MediaError, match="a pipe or a device"):
        open_movie(tmp_path / "link.mp4")


COMMANDS = [
    ["verify", "{}"],
    ["scan", "{}", "-o", "x"],
    ["swap", "{}", "--face", "{}", "-o", "x.mp4"],
    ["voice", "separate", "{}", "-o", "x.wav"],
    ["voice", "train", "Ann", "{}", "-o", "x", "--consent", "Ann=Ann:own face"],
    ["convert", "{}", "--model", "{}", "--swap", "0=Ann", "-o", "x.mp4"],
    ["alignments", "import", "{}", "-o", "x"],
    ["alignments", "export", "{}", "-o", "x.json"],
    ["people", "{}"],
    ["identity", "consent", "Ann", "--person", "A", "--basis", "own face", "--file", "{}"],
    ["identity", "list", "--project", "{}"],
    ["train", "--identity", "Ann={}", "-o", "x"],
]


@pytest.mark.skipif(not KERNELS.is_file(), reason="there is no /proc here")
@pytest.mark.parametrize("words", COMMANDS, ids=lambda words: " ".join(words[:2]))
def test_no_command_takes_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    from understudy.engine.cli import execute

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("UNDERSTUDY_HOME", str(tmp_path / "home"))
    Path("link").symlink_to(KERNELS)
    for place in (str(KERNELS), "link"):
        assert execute([word.format(place) for word in words]) in (1, 3)
        assert "is no file (a pipe or a device). Choose a file." in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["link"]


@pytest.fixture
def few_files() -> Iterator[None]:
    """No more file can be opened by this process."""
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    held = [os.open(os.devnull, os.O_RDONLY)]
    resource.setrlimit(resource.RLIMIT_NOFILE, (held[0] + 40, hard))
    try:
        with contextlib.suppress(OSError):
            while True:
                held.append(os.open(os.devnull, os.O_RDONLY))
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for one in held:
            os.close(one)


def test_too_few_files_are_called_so(make_clip: Any, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    movie = make_clip(tmp_path / "one.mp4", 3)
    open_movie(movie).close()  # what is loaded on the way is loaded
    request.getfixturevalue("few_files")
    for read in (lambda: open_movie(movie), lambda: read_picture(movie), lambda: child_process.run(["true"])):
        with pytest.raises(Exception) as met:
            read()
        assert plain_words.of_lack(met.value) == plain_words.FEW_FILES, met.value
    assert plain_words.of_child("OSError: [Errno 24] Too many open files: 'x'") == plain_words.FEW_FILES
    assert not plain_words.of_lack(MediaError("Too many open files.mp4 is not there."))
