"""The command line: its manual, its exit codes, and one clear sentence for everything that goes wrong."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file
from understudy.engine import console
from understudy.engine.cli import execute
from understudy.engine.commands import COMMANDS
from understudy.engine.errors import Stopped
from understudy.engine.faces.networks import occlusion, weights
from understudy.engine.protocol import Clip, PersonSummary, ScanSummary, to_json

UNDERSTUDY = [sys.executable, "-m", "understudy.engine"]
needs_networks = pytest.mark.skipif(bool(weights.missing()), reason="the face networks are not installed here")
needs_signals = pytest.mark.skipif(sys.platform == "win32", reason="Windows sends no SIGINT to one process")


@pytest.fixture
def no_networks(monkeypatch, tmp_path):
    monkeypatch.setenv("UNDERSTUDY_HOME", str(tmp_path / "home"))


def scan_folder(folder: Path, clip: Path, people: int = 2) -> Path:
    """A scan's summary, as a client reads it."""
    folder.mkdir()
    found = [
        PersonSummary(
            id=n, name=f"Person {n + 1}", frames=9, tracks=1, first_frame=0, best_frame=0, box=[0, 0, 9, 9],
            thumbnail=f"person-{n}.jpg",
        )
        for n in range(people)
    ]  # fmt: skip
    summary = ScanSummary(
        schema=1, clip=Clip(path=str(clip)), width=160, height=96, fps=[24, 1], frames=40, variable_frame_rate=False,
        people=found,
    )  # fmt: skip
    (folder / "scan.json").write_text(json.dumps(to_json(summary)), encoding="utf-8")
    return folder


def test_the_manual_names_every_command_and_exit_code(capsys):
    assert execute(["--help"]) == 0
    said = capsys.readouterr().out
    for name, command in COMMANDS.items():
        assert f"  {name} " in said
        assert command.__doc__ in said
    for code in (0, 2, 3, 4, 5, 6, 7, 8, 130):
        assert f"\n  {code} " in said


@pytest.mark.skipif(sys.platform != "linux", reason="LD_LIBRARY_PATH is of Linux")
def test_a_library_that_is_nothing_is_said_in_a_sentence(tmp_path):
    (tmp_path / "libz.so.1").touch()
    shell = os.environ | {"LD_LIBRARY_PATH": str(tmp_path)}
    command = [sys.executable, "-P", "-m", "understudy.engine", "--version"]
    done = subprocess.run(command, env=shell, capture_output=True, text=True)
    if done.returncode == 0:
        pytest.skip("this Python carries a libz of its own")
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert "libz.so.1" in done.stderr and "Unset LD_LIBRARY_PATH" in done.stderr


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_a_manual_of_its_own(name, capsys):
    with pytest.raises(SystemExit) as leaving:
        execute([name, "--help"])
    assert leaving.value.code == 0
    said = capsys.readouterr().out
    assert f"usage: understudy {name}" in said
    assert "Example" in said
    assert f"  understudy {name}" in said.split("Example", 1)[1]
    assert "Exit codes" in said


@pytest.mark.parametrize("arguments", [["--help"], ["swap", "--help"], ["train", "--help"], ["nonsense"]])
def test_help_is_quick_because_nothing_heavy_is_loaded(arguments):
    look = (
        "import sys; from understudy.engine.cli import execute\n"
        f"try: execute({arguments!r})\n"
        "except SystemExit: pass\n"
        "print('LOADED', sorted({'torch', 'cv2', 'numpy', 'av', 'scipy', 'fastapi'} & set(sys.modules)))"
    )
    said = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, check=True, timeout=60)
    assert said.stdout.splitlines()[-1] == "LOADED []"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["dance"], "There is no command dance; there are swap, scan"),
        (["scan"], "understudy scan --help explains it"),
        (["scan", "a.mp4", "-o", "x", "--start", "soon"], "understudy scan --help explains it"),
        (["swap", "a.mp4", "-o", "x.mp4"], "understudy swap --help explains it"),
        (["swap", "a.mp4", "--face", "b.mp4", "-o", "x.mp4", "--set", "hat=on"], "--set hat=on is not NAME=VALUE"),
        (["train", "-o", "model"], "Name at least one person"),
        (["train", "--identity", "Ann", "-o", "model"], "--identity Ann is not NAME=SCAN_DIR"),
        (["convert", "scan", "--model", "m", "--swap", "Ann=0", "-o", "a.mp4"], "--swap Ann=0 is not PERSON=NAME"),
    ],
)
def test_a_command_line_that_is_not_understood(run, arguments, says):
    code, answer, _ = run(*arguments)
    assert code == 2
    assert says in answer["error"]


def test_no_command_shows_the_manual_and_fails(capsys):
    assert execute([]) == 2
    assert "usage: understudy" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("command", "bad"),
    [(command, bad) for command in ("scan", "shot", "face") for bad in ("missing", "corrupt", "empty folder")]
    + [(command, bad) for command in ("scan", "shot") for bad in ("after the end", "backwards")],
)
def test_bad_footage_is_said_in_a_sentence_and_leaves_nothing(run, tmp_path, make_clip, command, bad):
    good, place, span = make_clip(tmp_path / "good.mp4", 12), tmp_path / "bad.mp4", []
    if bad == "corrupt":
        place.write_bytes(good.read_bytes()[:300] + bytes(5000))
    elif bad == "empty folder":
        place.mkdir()
    elif bad in ("after the end", "backwards"):
        place = good
        span = ["--start", "5", "--end", "13"] if bad == "after the end" else ["--start", "9", "--end", "3"]
    words = {
        "scan": ["scan", place, "-o", "out", *span],
        "shot": ["swap", place, "--face", good, "-o", "out.mp4", *span],
        "face": ["swap", good, "--face", place, "-o", "out.mp4", *span],
    }[command]
    code, answer, said = run(*words)
    assert code == 3
    assert "Traceback" not in said
    assert "permission" not in said
    expected = {
        "missing": "is not there", "corrupt": "cannot be read", "empty folder": "holds no pictures",
        "after the end": "has 12 frames", "backwards": "has 12 frames",
    }  # fmt: skip
    assert expected[bad] in answer["error"]
    assert place.name in answer["error"]
    assert list(Path.cwd().iterdir()) == []


@pytest.mark.parametrize(("output", "says"), [("out.avi", "end it in .mp4"), ("footage", "the footage itself")])
def test_an_output_that_cannot_be_is_refused_before_any_work(run, tmp_path, make_clip, output, says):
    shot = make_clip(tmp_path / "shot.mp4", 12)
    before = shot.read_bytes()
    target = shot if output == "footage" else Path(output)
    scan = scan_folder(tmp_path / "scan", shot)
    for words in (
        ["swap", shot, "--face", shot, "-o", target],
        ["convert", scan, "--model", "m", "--swap", "0=A", "-o", target],
    ):
        code, answer, _ = run(*words)
        assert code == 3
        assert says in answer["error"]
    assert shot.read_bytes() == before
    assert list(Path.cwd().iterdir()) == []


def test_a_person_who_never_appears(run, tmp_path, make_clip):
    scan = scan_folder(tmp_path / "scan", make_clip(tmp_path / "shot.mp4", 12))
    for words in (
        ["train", "--identity", f"Ann={scan}:3", "-o", "model"],
        ["convert", scan, "--model", "model", "--swap", "3=Ann", "-o", "out.mp4"],
    ):
        code, answer, _ = run(*words)
        assert code == 4
        assert "Person 3 does not appear" in answer["error"]
        assert "found 0, 1." in answer["error"]
    assert list(Path.cwd().iterdir()) == []


@pytest.mark.parametrize("content", [None, "no json", '{"schema": 1}'])
def test_a_scan_that_is_none(run, tmp_path, content):
    scan = tmp_path / "scan"
    scan.mkdir()
    if content is not None:
        (scan / "scan.json").write_text(content)
    for words in (
        ["train", "--identity", f"Ann={scan}", "-o", "model"],
        ["convert", scan, "--model", "model", "--swap", "0=Ann", "-o", "out.mp4"],
    ):
        code, answer, _ = run(*words)
        assert code == 6
        assert "scan the footage" in answer["error"].lower()


def test_a_model_that_is_none(run, tmp_path, make_clip):
    import numpy as np
    from understudy.engine.faces.alignments import SHAPES, Alignments

    shot = make_clip(tmp_path / "shot.mp4", 12)
    scan = scan_folder(tmp_path / "scan", shot)
    rows = {name: np.zeros((1, *shape), dtype) for name, (dtype, shape) in SHAPES.items()}
    Alignments(clip=Clip(path=str(shot)), width=160, height=96, fps=24, **rows).save(scan)
    code, answer, said = run("convert", scan, "--model", "nowhere", "--swap", "0=Ann", "-o", "out.mp4")
    assert code == 6
    assert "holds no model" in answer["error"]
    assert "permission" not in said
    assert list(Path.cwd().iterdir()) == []


def test_nobody_is_trained_without_consent(run, tmp_path, make_clip):
    scan = scan_folder(tmp_path / "scan", make_clip(tmp_path / "shot.mp4", 12))
    code, answer, said = run("train", "--identity", f"Ann={scan}", "-o", "model")
    assert code == 7
    assert "Nobody's permission is on record for Ann." in answer["error"]
    assert f"understudy identity consent Ann --project {Path.cwd()} " in answer["error"]
    assert "permission of everyone shown" not in said  # nobody sits at this terminal
    assert list(Path.cwd().iterdir()) == []


def test_without_the_networks(run, no_networks, tmp_path, make_clip):
    code, answer, said = run("scan", make_clip(tmp_path / "shot.mp4", 12), "-o", "scan")
    assert code == 5
    assert "understudy models fetch" in answer["error"]
    assert "Traceback" not in said
    assert list(Path.cwd().iterdir()) == []


def test_models_list_says_what_is_missing(run, no_networks):
    code, answer, _ = run("models", "list")
    assert code == 0
    assert answer["missing"] == answer["models"] == ["blazeface", "mesh", "attention", "mtcnn", "embedding"]


@needs_networks
def test_footage_without_a_face(run, tmp_path, make_clip):
    code, answer, _ = run("scan", make_clip(tmp_path / "shot.mp4", 4), "-o", "scan")
    assert code == 4
    assert "No face was found" in answer["error"]
    assert not Path("scan").exists()
    # what the networks saw of the frames is kept: they are not looked at twice
    assert [path.name for path in Path.cwd().rglob("*") if path.is_dir()][:2] == ["scans", ".observed"]


def test_the_doctor_says_what_is_missing_and_how_to_mend_it(run, no_networks):
    code, answer, _ = run("doctor")
    assert code == 5
    assert "understudy models fetch" in answer["error"]
    checks = answer["checks"]
    assert not checks["face networks"]["ok"]
    assert all(checks[name]["ok"] for name in ("Python", "numpy", "av", "torch", "ffmpeg libraries", "home folder"))
    assert all(checks[name]["found"][0].isdigit() for name in ("tflite", "fastapi", "uvicorn"))
    assert "libavcodec" in checks["ffmpeg libraries"]["found"]
    assert checks["torch"]["found"].split(" on ")[1]


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="permissions work otherwise on Windows")
def test_the_doctor_sees_a_home_that_may_not_be_written(run, tmp_path, monkeypatch):
    monkeypatch.setenv("UNDERSTUDY_HOME", "/proc/understudy")  # not even root may make it
    if not Path("/proc").is_dir():
        pytest.skip("no /proc here")
    code, answer, _ = run("doctor")
    assert code == 1
    assert not answer["checks"]["home folder"]["ok"]
    assert "UNDERSTUDY_HOME" in answer["checks"]["home folder"]["mend"]


@needs_networks
def test_the_doctor_finds_all_well(run):
    code, answer, _ = run("doctor")
    assert code == 0
    assert answer["checks"]["face networks"]["ok"]


@pytest.fixture
def own_networks(tmp_path, monkeypatch) -> Path:
    """A copy of the face networks in a home of its own, to be damaged."""
    home = tmp_path / "own"
    (home / "models").mkdir(parents=True)
    for name in (name for package in weights.PACKAGES for name in package.networks):
        shutil.copyfile(weights.folder() / f"{name}.safetensors", home / "models" / f"{name}.safetensors")
    monkeypatch.setenv("UNDERSTUDY_HOME", str(home))
    return home / "models"


@needs_networks
@pytest.mark.parametrize("harm", ["cut off", "one bit"])
def test_the_doctor_names_a_damaged_network_and_how_to_fetch_it_again(run, own_networks, harm):
    path = own_networks / "embedding.safetensors"
    data = bytearray(path.read_bytes())
    if harm == "one bit":
        data[len(data) // 2] ^= 4
    path.write_bytes(data[: len(data) // 2] if harm == "cut off" else data)
    code, answer, _ = run("doctor")
    assert code == 5
    assert "A swap cannot run" in answer["error"] and "understudy models fetch (100 MB)" in answer["error"]
    assert "It fetches embedding again." in answer["error"]
    assert answer["checks"]["face networks"]["found"] == f"damaged in {own_networks}: embedding"
    _, answer, _ = run("models", "list")
    assert answer["damaged"] == ["embedding"] and answer["missing"] == []


@needs_networks
def test_the_doctor_looks_at_the_networks_that_need_not_be_there(run, own_networks):
    (own_networks / "yunet.onnx").write_bytes(b"cut off")
    (own_networks / "pitch.safetensors").write_bytes(b"cut off")
    code, answer, _ = run("doctor")
    assert code == 0
    other = answer["checks"]["other networks"]
    assert not other["ok"] and "damaged: pitch, yunet" in other["found"]
    assert other["mend"].startswith("Run: understudy models fetch --voice --detector yunet. It fetches pitch, yunet")


@needs_networks
@pytest.mark.parametrize("harm", ["cut off", "not finite"])
def test_the_doctor_opens_the_networks_that_understudy_brings(run, tmp_path, monkeypatch, harm):
    own = tmp_path / "occlusion.safetensors"
    if harm == "cut off":
        own.write_bytes(occlusion.WEIGHTS.read_bytes()[:-9])
    else:
        save_file({"out.weight": np.full(3, np.nan, np.float32)}, own)
    monkeypatch.setattr(occlusion, "WEIGHTS", own)
    code, answer, _ = run("doctor")
    assert code == 1 and "Install Understudy in the engine's environment again" in answer["error"]
    assert answer["checks"]["networks of its own"]["found"] == "damaged: occlusion.safetensors"


@needs_signals
def test_serve_runs_an_engine_that_the_doctor_finds(run, no_networks, tmp_path):
    home = tmp_path / "home"
    words = [*UNDERSTUDY, "serve", "--json"]
    engine = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        deadline = time.monotonic() + 30
        while not (home / "engine.json").is_file():
            assert engine.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.1)
        _, answer, _ = run("doctor")
        assert f"process {engine.pid}" in answer["checks"]["running engine"]["found"]
        engine.send_signal(signal.SIGINT)
        out, _ = engine.communicate(timeout=30)
        assert engine.returncode == 0
        assert "The engine listens on http://127.0.0.1" in out
        assert json.loads(out.splitlines()[-1]) == {}
    finally:
        engine.kill()
        engine.communicate()
    (home / "engine.json").write_text('{"url": "http://127.0.0.1:9", "token": "x"}')
    _, answer, _ = run("doctor")
    assert "does not answer" in answer["checks"]["running engine"]["found"]


@needs_networks
@needs_signals
def test_ctrl_c_stops_at_a_safe_point_and_says_how_to_go_on(tmp_path, make_clip):
    shot = make_clip(tmp_path / "shot.mp4", 80, width=640, height=480, options={"preset": "ultrafast"})
    words = [*UNDERSTUDY, "scan", str(shot), "-o", str(tmp_path / "scan"), "--json"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as scan:
        assert "Scanning" in scan.stderr.readline()
        time.sleep(1)
        assert scan.poll() is None
        scan.send_signal(signal.SIGINT)
        out, err = scan.communicate(timeout=30)
    assert scan.returncode == 130
    assert json.loads(out.splitlines()[-1])["exit_code"] == 130
    assert "Run the same command again" in err
    assert "Traceback" not in err
    assert sorted(p.name for p in tmp_path.iterdir()) == ["shot.mp4"]


@needs_signals
def test_a_second_ctrl_c_stops_at_once():
    before = signal.getsignal(signal.SIGINT)  # ignored, where the tests run in the background
    reporter = console.Watched()
    with pytest.raises(KeyboardInterrupt), reporter.stoppable():
        reporter.check()
        os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(Stopped):
            reporter.check()
        os.kill(os.getpid(), signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before


def test_progress_is_a_plain_line_now_and_then_with_the_time_left(monkeypatch, capfd):
    now = [100.0]
    monkeypatch.setattr(console.time, "monotonic", lambda: now[0])
    reporter = console.Watched()
    with reporter.stage("Training"):
        reporter.progress(0.5, "going on")  # half of it was done by an earlier run
        for second in range(1, 21):
            now[0] = 100.0 + second
            reporter.loss(second, {"face": 0.25})
            reporter.progress(0.5 + second / 400, "learning")
    said = capfd.readouterr().err.splitlines()
    assert said[0] == "Training …"
    assert said[-1] == "Training: done in 20 s"
    lines = [line for line in said if "learning" in line]
    assert len(lines) == 4
    assert lines[-1] == " 55%  learning (step 20: face 0.2500), about 3 min left"


def test_a_closed_pipe_is_no_fault():
    shell = f"{sys.executable} -m understudy.engine swap --help | head -1"
    said = subprocess.run(["bash", "-c", shell], capture_output=True, text=True, timeout=60, check=False)
    assert said.stdout.startswith("usage: understudy swap")
    assert said.stderr == ""


def test_a_closed_output_is_no_fault(tmp_path):
    shell = f"{sys.executable} -P -m understudy.engine people {tmp_path} >&-; echo code $? >&2"
    said = subprocess.run(["bash", "-c", shell], capture_output=True, text=True, timeout=60, check=False)
    assert said.stderr.splitlines()[-1] == "code 6" and "holds no finished scan" in said.stderr
