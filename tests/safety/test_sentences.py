"""What a user, a system or a stranger's folder can put in the way ends in one sentence and the right exit code."""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from understudy.engine import job_bodies, plain_words
from understudy.engine.alone import alone
from understudy.engine.cli import execute
from understudy.engine.commands.arguments import whole_number
from understudy.engine.durable import hash_file
from understudy.engine.errors import DataError, MediaError, UnderstudyError
from understudy.engine.faces.interchange.other_programs import ForeignFace, points_by_frame
from understudy.engine.faces.interchange.pickle_data import read_plain
from understudy.engine.faces.networks import weights
from understudy.engine.footage_stamp import facts
from understudy.engine.media.pictures import read_picture
from understudy.engine.media.reader import probe
from understudy.engine.protocol import (
    Clip,
    ConvertSpec,
    ForgetSpec,
    JobKind,
    JobSpec,
    PeopleSpec,
    ReportSpec,
    ScanSpec,
    TrainSpec,
    parse_json,
)
from understudy.engine.reporter import Silent

UNDERSTUDY = [sys.executable, "-m", "understudy.engine"]
CONSENTS = ["--consent", "face=Ann Lee:own face", "--consent", "target=Bob Orr:own face"]
LONG = "n" * 300
NO_TEXT = os.fsdecode(b"caf\xe9.mp4")
Run = Callable[..., tuple[int, str]]
needs_links = pytest.mark.skipif(sys.platform == "win32", reason="links and pipes in folders are other things there")


@pytest.fixture
def say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], make_clip: Any) -> Run:
    """Run a command line in a folder with footage and what is in the way; gives exit code and the only sentence."""
    monkeypatch.chdir(tmp_path)
    make_clip(tmp_path / "good.mp4", 3)
    (tmp_path / "file").touch()
    if sys.platform != "win32":
        Path("loop").symlink_to("loop")
        Path("nowhere.mp4").symlink_to("absent.mp4")
        Path("a.mp4").symlink_to("b.mp4")
        Path("b.mp4").symlink_to("a.mp4")
        for pipe in ("fifo.mp4", "fifo.png", "fifo"):
            os.mkfifo(pipe)
        Path("zero.png").symlink_to("/dev/zero")

    def run(*words: str) -> tuple[int, str]:
        before = sorted(p for p in tmp_path.rglob("*"))
        codes: list[int] = []
        thread = threading.Thread(target=lambda: codes.append(execute(words)), daemon=True)
        thread.start()
        thread.join(30)
        assert codes, f"it hangs: {words}"
        said = capsys.readouterr().err
        assert "Traceback" not in said and "Internal error" not in said, said
        assert sorted(p for p in tmp_path.rglob("*")) == before, "something was begun"
        return codes[0], said.splitlines()[-1]

    return run


def swap(shot: str, face: str, output: str) -> list[str]:
    return ["swap", shot, "--face", face, "-o", output, *CONSENTS]


@needs_links
@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["scan", "good.mp4", "-o", "file/x"], 1, "below something that is no folder"),
        (swap("good.mp4", "good.mp4", "file/x.mp4"), 3, "below something that is no folder"),
        (["identity", "consent", "Ann", "--person", "A", "--basis", "own face", "--project", "file/x"], 1, "no folder"),
        (["identity", "report", "-o", "file/x.html"], 1, "no folder"),
        (["scan", "good.mp4", "-o", "loop"], 1, "a circle of links"),
        (["scan", "a.mp4", "-o", "x"], 3, "a circle of links"),
        (swap("good.mp4", "good.mp4", "loop/x.mp4"), 3, "a circle of links"),
        (swap("good.mp4", "a.mp4", "x.mp4"), 3, "a circle of links"),
        (["people", "loop"], 1, "a circle of links"),
        (["verify", "loop"], 3, "a circle of links"),
        (["verify", "good.mp4", "--frames", "-1"], 2, "--frames is -1; give a whole number, 0 or more"),
        (["train", "--identity", "Ann=loop/scan", "-o", "m"], 1, "a circle of links"),
        (["identity", "list", "--project", "loop"], 1, "a circle of links"),
        (swap("good.mp4", "good.mp4", "nowhere.mp4"), 3, "nowhere.mp4 is a link that leads to nothing. Remove it"),
        (["scan", "good.mp4", "-o", LONG], 1, "too long"),
        (["scan", f"{LONG}.mp4", "-o", "x"], 3, "longer than file systems take"),
        (swap("good.mp4", "good.mp4", f"{'n' * 240}.mp4"), 3, "too long"),  # what is beside it would not go
        (["verify", LONG], 3, "longer than file systems take"),
        (["people", LONG], 1, "longer than file systems take"),
        (["scan", NO_TEXT, "-o", "x"], 3, r"caf\xe9.mp4 is not in UTF-8. Rename it"),
        (["scan", "good.mp4", "-o", NO_TEXT], 3, "not in UTF-8"),
        (swap(NO_TEXT, "good.mp4", "x.mp4"), 3, "not in UTF-8"),
        (["verify", NO_TEXT], 3, "not in UTF-8"),
        (["identity", "forget", NO_TEXT, "--yes"], 2, r"caf\xe9.mp4 is no text in UTF-8"),
        (["train", "--identity", f"{NO_TEXT}=scan", "-o", "m"], 2, "is no text in UTF-8"),
        (["voice", "train", NO_TEXT, "good.mp4", "-o", "v"], 2, "is no text in UTF-8"),
        (["voice", "separate", "good.mp4", "-o", "v.wav", "--rest", "v.wav"], 2, "cannot both be v.wav"),
        (["scan", "fifo.mp4", "-o", "x"], 3, "a pipe or a device"),
        (["scan", "fifo.png", "-o", "x"], 3, "a pipe or a device"),
        (["scan", "zero.png", "-o", "x"], 3, "a pipe or a device"),
        (swap("good.mp4", "fifo.png", "x.mp4"), 3, "a pipe or a device"),
        (["alignments", "import", "fifo", "-o", "x"], 1, "a pipe or a device"),
        (["verify", "fifo.png"], 3, "a pipe or a device"),
        ([*swap("good.mp4", "good.mp4", "x.mp4"), "--minutes", "nan"], 2, "--minutes nan"),
        ([*swap("good.mp4", "good.mp4", "x.mp4"), "--minutes", "-3"], 2, "--minutes is -3; give"),
        ([*swap("good.mp4", "good.mp4", "x.mp4"), "--minutes", "inf"], 2, "--minutes inf"),
        (["serve", "--idle-minutes", "nan"], 2, "--idle-minutes nan"),
        (["scan", "good.mp4", "-o", ""], 2, "What is given with -o is empty"),
        (["scan", "good.mp4", "--output="], 2, "What is given with --output is empty"),
        (["scan", "", "-o", "x"], 2, "What is given with scan is empty"),
        ([*swap("good.mp4", "good.mp4", "x.mp4"), "--work", ""], 2, "What is given with --work is empty"),
        (swap("good.mp4", "", "x.mp4"), 2, "What is given with --face is empty"),
        (["identity", "forget", "Ann", "--project", "", "--yes"], 2, "What is given with --project is empty"),
        (["identity", "report", "-o", " "], 2, "What is given with -o is empty"),
        (["train", "--identity", "Ann=", "-o", "m"], 2, "is not NAME=SCAN_DIR"),
        (["scan", "good.mp4", "-o", "x", "--end", "9" * 5000], 2, "not understood"),
        (["people", "scan", "--rename", f"{'9' * 5000}=Ann"], 2, "is not PERSON=NAME"),
        (["convert", "scan", "--model", "m", "--swap", f"{'9' * 5000}=Ann", "-o", "x.mp4"], 2, "is not PERSON=NAME"),
        (["convert", "scan", "--model", "m", "--swap", "²=Ann", "-o", "x.mp4"], 2, "is not PERSON=NAME"),
    ],
    ids=lambda value: " ".join(value)[:60].encode("ascii", "replace").decode() if isinstance(value, list) else None,
)
def test_what_cannot_be_is_said_before_anything_is_begun(say: Run, words: list[str], code: int, says: str) -> None:
    assert (code, True) == ((told := say(*words))[0], says in told[1]), told


@pytest.mark.parametrize("home", ["file", "file/below", "loop"])
@pytest.mark.parametrize("words", [["scan", "good.mp4", "-o", "x"], ["serve"], ["models", "fetch"], ["jobs", "list"]])
@needs_links
def test_a_home_that_is_no_folder(say: Run, monkeypatch: pytest.MonkeyPatch, home: str, words: list[str]) -> None:
    monkeypatch.setenv("UNDERSTUDY_HOME", str(Path.cwd() / home))
    code, sentence = say(*words)
    assert code == 1 and "Set UNDERSTUDY_HOME to a folder." in sentence


def test_doctor_tells_of_a_home_that_is_no_folder(
    say: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("UNDERSTUDY_HOME", str(Path.cwd() / "file"))
    assert execute(["doctor"]) == 1
    assert "Set UNDERSTUDY_HOME to a folder." in capsys.readouterr().out


@needs_links
def test_nothing_reads_from_a_pipe_or_a_device(tmp_path: Path) -> None:
    """Whatever names it: a scan of somebody else's may."""
    pipe = tmp_path / "a.png"
    os.mkfifo(pipe)
    (tmp_path / "b.png").symlink_to("/dev/zero")
    for path in (pipe, tmp_path / "b.png"):
        for read in (probe, read_picture):
            with pytest.raises(MediaError):
                read(path)
        for look in (facts, hash_file):
            with pytest.raises(OSError, match="a pipe or a device"):
                look(path)


@needs_links
def test_pictures_whose_names_are_no_text(tmp_path: Path) -> None:
    from understudy.engine.faces.tracking.observations import facts_of
    from understudy.engine.media.footage import Footage

    encoded = cv2.imencode(".png", np.zeros((64, 64, 3), np.uint8))[1].tobytes()
    for name in (b"caf\xe9.png", b"good.png"):
        Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name)).write_bytes(encoded)
    assert probe(tmp_path).frames == 2
    assert facts_of(Footage(path=tmp_path), ["mtcnn"])["files"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
@pytest.mark.parametrize("words", [[], ["--version"], ["swap", "--help"], ["doctor"], ["doctor", "--json"]])
def test_an_output_that_takes_nothing(words: list[str], tmp_path: Path) -> None:
    environment = {**os.environ, "UNDERSTUDY_HOME": str(tmp_path)}
    with Path("/dev/full").open("w") as full:
        done = subprocess.run([*UNDERSTUDY, *words], stdout=full, stderr=subprocess.PIPE, text=True, env=environment)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr and "Exception" not in done.stderr
    assert "What the command says cannot be written" in done.stderr.splitlines()[-1]


def test_numbers_in_words() -> None:
    assert [whole_number(text) for text in ("7", " 7 ", "²", "-1", "", "9" * 10, "x")] == [7, 7, *[None] * 5]


def test_a_number_of_5000_digits_in_json() -> None:
    with pytest.raises(ValueError, match=r"^a number in it has thousands of digits$"):
        parse_json(f'{{"format": {"9" * 5000}}}')


def nested(depth: int) -> bytes:
    """numpy's pickle of a type that is made of a tuple in a tuple in a tuple…"""
    return b"\x80\x04cnumpy\ndtype\n" + b")" + b"\x85" * depth + b"\x85R."


@pytest.mark.parametrize("depth", [1, 100, 5_000, 200_000])
def test_a_type_within_a_type_is_refused(depth: int) -> None:
    with pytest.raises(DataError, match="It was not read"):
        read_plain(nested(depth))


def test_a_dictionary_whose_key_is_nested_without_end_is_refused() -> None:
    with pytest.raises(DataError, match="It was not read"):
        read_plain(b"\x80\x04}" + b")" + b"\x85" * 200_000 + b"Ns.")


def test_a_frame_number_of_5000_digits(make_clip: Any, tmp_path: Path) -> None:
    info = probe(make_clip(tmp_path / "good.mp4", 3))
    points = np.stack([np.arange(68.0), np.arange(68.0)], axis=1)
    with pytest.raises(DataError, match="has no frame 9") as refusal:
        points_by_frame([ForeignFace("9" * 5000 + ".png", points)], info)
    assert len(str(refusal.value)) < 400
    assert list(points_by_frame([ForeignFace("00003.png", points)], info)) == [2]


@pytest.mark.parametrize(
    ("kind", "spec", "lacks"),
    [
        ("scan", ScanSpec(clip=Clip(path="good.mp4"), output=""), "output"),
        ("scan", ScanSpec(clip=Clip(path=""), output="x"), "path"),
        ("forget", ForgetSpec(project="", identity="Ann"), "project"),
        ("report", ReportSpec(project="", output="x.html"), "project"),
        ("people", PeopleSpec(scan="", edits=[]), "scan"),
        ("train", TrainSpec(identities=[], output=""), "output"),
        ("convert", ConvertSpec(scan="x", model="", swaps=[], output="x.mp4"), "model"),
    ],
)
def test_a_job_names_what_it_is_about(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: JobKind, spec: JobSpec, lacks: str
) -> None:
    """An empty path is the folder that one stands in."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UnderstudyError, match=f"does not name its {lacks}"):
        job_bodies.run(kind, spec, Silent())
    assert not list(tmp_path.iterdir())


def test_two_runs_do_not_write_to_one_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNDERSTUDY_HOME", str(tmp_path / "home"))
    code = (
        "import sys; from pathlib import Path; from understudy.engine.alone import alone\n"
        "with alone(Path(sys.argv[1])): print('in', flush=True); sys.stdin.read()"
    )
    output = tmp_path / "out.understudy"
    command = [sys.executable, "-c", code, str(tmp_path / "x" / ".." / output.name)]
    other = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert other.stdout and other.stdin
    assert other.stdout.readline() == "in\n"
    with pytest.raises(UnderstudyError, match=r"Another run is writing .*Wait until it has ended"), alone(output):
        pass
    with alone(tmp_path / "another"):
        pass
    other.stdin.close()
    other.wait(60)
    with alone(output):
        pass
    assert not list((tmp_path / "home" / "outputs").iterdir())


@pytest.mark.skipif(bool(weights.missing()), reason="the face networks are not installed here")
def test_the_second_swap_into_one_folder_says_that_there_is_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], make_clip: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    make_clip(tmp_path / "good.mp4", 3)
    with alone(tmp_path / "x.understudy"):
        assert execute(swap("good.mp4", "good.mp4", "x.mp4")) == 1
    assert "Another run is writing" in capsys.readouterr().err


def test_words_for_what_the_system_refuses() -> None:
    for number in (1, 2, 5, 13, 17, 20, 21, 24, 28, 30, 36, 40):
        sentence = plain_words.of_file(OSError(number, os.strerror(number), "/some/file"))
        assert sentence.endswith(".") and ("/some/file" in sentence or number in (24, 28)), sentence
        assert ("Make room" in sentence) == (number == 28)
    assert plain_words.of_lack(RuntimeError("could not create a primitive")).startswith("This computer has no memory")
    assert plain_words.of_lack(OSError(12, "Cannot allocate memory"))
    assert plain_words.of_lack(MemoryError())
    threads = av.error.BlockingIOError(11, "Resource temporarily unavailable", 'avcodec_open2("h264", {})')
    assert plain_words.of_lack(threads)
    try:
        try:
            raise threads
        except av.FFmpegError:
            raise MediaError("Frame 0 is damaged.") from None
    except MediaError as blamed:
        assert plain_words.of_lack(blamed)
    assert not plain_words.of_lack(MediaError("Frame 0 is damaged."))
    assert not plain_words.of_lack(MediaError("std::bad_alloc.mp4 is not there."))
    assert not plain_words.of_lack(RuntimeError("shapes do not fit"))


@pytest.mark.skipif(not shutil.which("prlimit"), reason="there is no prlimit here")
@pytest.mark.skipif(bool(weights.missing()), reason="the face networks are not installed here")
@pytest.mark.parametrize("limit", [600_000_000, 700_000_000, 1_000_000_000, 1_200_000_000, 1_500_000_000])
@pytest.mark.parametrize(
    "words", [["scan", "good.mp4", "-o", "x"], ["verify", "good.mp4", "--frames", "4"], ["doctor"]]
)
def test_a_lack_of_memory_is_called_so(make_clip: Any, tmp_path: Path, limit: int, words: list[str]) -> None:
    """Under a limit at which torch cannot even be loaded, one under which SciPy's OpenBLAS would ask for ever, and one
    under which FFmpeg gets no thread to decode with."""
    make_clip(tmp_path / "good.mp4", 12)
    command = ["prlimit", f"--as={limit}", *UNDERSTUDY, *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, cwd=tmp_path)
    if limit == 1_500_000_000 and done.returncode == 0 and words[0] != "scan":
        return  # it is enough for little footage that shows nobody
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr and "has no memory left" in done.stderr.splitlines()[-1], done.stderr


@pytest.mark.skipif(not shutil.which("prlimit"), reason="there is no prlimit here")
def test_a_child_without_memory_is_no_fault_of_the_file(make_clip: Any, tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "good.mp4", 3)
    code = (
        "import resource, sys; from pathlib import Path\n"
        "from understudy.engine.errors import UnderstudyError\n"
        "from understudy.engine.provenance.credentials import read_credentials\n"
        "resource.setrlimit(resource.RLIMIT_AS, (40_000_000, 40_000_000))\n"
        "try: read_credentials(Path(sys.argv[1]))\n"
        "except UnderstudyError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code, clip], capture_output=True, text=True, timeout=60, check=False)
    assert "has no memory left" in done.stdout, done.stderr


def test_no_decoder_blames_a_file_for_a_lack_of_memory() -> None:
    """Wherever FFmpeg's errors are caught, those of memory go on."""
    caught = 0
    for path in (Path(plain_words.__file__).parent / "media").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            handlers = [ast.unparse(one.type) for one in node.handlers if one.type] if isinstance(node, ast.Try) else []
            if any("FFmpegError" in one for one in handlers):
                caught += 1
                assert handlers[0] == "LACKS_MEMORY", f"{path.name}, line {node.lineno}"
    assert caught > 5


@needs_links
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has file names that are no UTF-8")
def test_a_folder_that_has_no_text_for_a_name(say: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    folder = tmp_path / os.fsdecode(b"dir\xe9")
    folder.mkdir()
    monkeypatch.setenv("UNDERSTUDY_HOME", str(folder))
    code, sentence = say("scan", "good.mp4", "-o", "x")
    assert code == 1 and "not in UTF-8. Set UNDERSTUDY_HOME to another folder." in sentence
    monkeypatch.delenv("UNDERSTUDY_HOME")
    monkeypatch.chdir(folder)
    code, sentence = say("scan", "../good.mp4", "-o", "x")
    assert code == 3 and r"dir\xe9/../good.mp4 is not in UTF-8. Rename it, or its folder" in sentence
