"""Project folders from strangers, spoiled at random, given to the command line.

python benchmarks/project_fuzz.py WORK [--minutes 60] [--rounds N] [--seed N]

A project (two scans, a model, a recast, consents and records) is made once from the tests' footage. Each round copies
it, spoils one to three of its files (JSON values and structure, safetensors headers, bytes, truncation, links in
place of files and folders, names) and runs one command on it in a process of its own: `scan`, `people`, `train`,
`convert`, `alignments export`, `identity list`, `report` and `forget`, `verify`. Counted as failures: a traceback or
exit code 70, a death by signal, more than LIMIT_S seconds of the processor, and anything opened, written, made, moved
or removed in a folder beside the project that nobody named (seen by inotify, so that reads count as well).
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import importlib
import json
import os
import random
import resource
import shutil
import signal
import struct
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
FOOTAGE = ROOT / ".build" / "footage"
LIMIT_S, PATIENCE_S = 120, 900
"""Seconds of the processor's time that a command may take (the slowest whole one takes about 10), and seconds by the
clock, on a machine however busy."""
WATCHED = 0x0000FFF & ~0x10  # inotify's IN_ALL_EVENTS but IN_CLOSE_NOWRITE, which IN_OPEN has told already
CODES = {0, 1, 2, 3, 4, 5, 6, 7, 8}
HOSTILE: list[Any] = [
    None, True, -1, 0, 10**30, 1e308, float("nan"), float("inf"), "", "\x00", "\x1b[2J", "a" * 5000, "\ud800",
    "../../outside/canary.txt", "{outside}/canary.txt", "{outside}", "/", ".", "..", [], {}, [[[[[[]]]]]],
    "[red]x[/red]", "file:///etc/passwd", "http:127.0.0.1:9", "x.mp4", "-h",
]  # fmt: skip


def main() -> None:
    """Fuzz until the time is over or so many rounds are made; exits with 1 when anything failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--rounds", type=int, default=10**9)
    parser.add_argument("--seed", type=int, default=random.randrange(10**9))
    given = parser.parse_args()
    work: Path = given.work.resolve()
    work.mkdir(parents=True, exist_ok=True)
    models = Path(os.environ.get("UNDERSTUDY_HOME", ROOT / ".understudy")).resolve() / "models"
    os.environ["UNDERSTUDY_HOME"] = str(work / "home")
    load_engine()
    rng = random.Random(given.seed)
    clean, outside = work / "clean", work / "outside"
    if not (clean / "done").is_file():
        make_project(work, clean, models)
    make_outside(outside)
    print(f"seed {given.seed}", flush=True)
    ended, failures, began = Counter[str](), 0, time.monotonic()
    count = 0
    while time.monotonic() - began < 60 * given.minutes and count < given.rounds:
        count += 1
        project = work / "trial" / "film.understudy"
        shutil.rmtree(work / "trial", ignore_errors=True)
        shutil.copytree(clean, project, symlinks=True)
        spoiled = [spoil(project, outside, rng) for _ in range(rng.randint(1, 3))]
        arguments = command(project, work, rng)
        with watching(outside) as events:
            code, text = run(arguments, work / "trial")
            seen = events()
        wrong = [f"exit {code}"] * (code not in CODES) + ["traceback"] * ("Traceback" in text)
        wrong += [f"outside: {e}" for e in sorted(set(seen))]
        ended[f"{' '.join(arguments[:2]) if arguments[0] in ('identity', 'alignments') else arguments[0]} {code}"] += 1
        if not count % 100:
            print(f"{count} rounds, {failures} failures, {(time.monotonic() - began) / 60:.1f} minutes", flush=True)
        if wrong:
            failures += 1
            print(
                f"FAILED round {count}: {', '.join(wrong)}\n  spoiled {spoiled}\n  {arguments}\n{text[-3000:]}",
                flush=True,
            )
            shutil.copytree(work / "trial", work / f"failure-{count}", symlinks=True, dirs_exist_ok=True)
            make_outside(outside)
    print(f"{count} rounds in {(time.monotonic() - began) / 60:.1f} minutes, {failures} failures")
    for name, times in sorted(ended.items()):
        print(f"  {name}: {times}")
    sys.exit(1 if failures else 0)


def load_engine() -> None:
    """Have in this process what commands load: those forked from it are ready at once."""
    import torch

    torch.set_num_threads(1)  # a fork has none of its parent's threads
    modules = (
        *("console", "job_bodies", "faces.scan", "faces.people.edits", "faces.interchange.alignments_json"),
        *("model.model_folder", "model.training.trainer", "convert.conversion"),
        *("provenance.consented_people", "provenance.forget", "provenance.recasts", "provenance.report"),
        "provenance.verify",
    )
    for module in modules:
        importlib.import_module(f"understudy.engine.{module}")


def make_project(work: Path, clean: Path, models: Path) -> None:
    """Two scans, a draft model, its recast, consents: made by the commands, with the networks in `models`."""
    shutil.rmtree(clean, ignore_errors=True)
    clean.mkdir(parents=True)
    home = work / "home"
    home.mkdir(exist_ok=True)
    if not (home / "models").exists():
        shutil.copytree(models, home / "models")
    footage = work / "footage"
    footage.mkdir(exist_ok=True)
    for name in ("carphone.mp4", "astronaut.png"):
        shutil.copy(FOOTAGE / name, footage / name)
    steps = [
        ["scan", str(footage / "carphone.mp4"), "-o", str(clean / "scans" / "shot"), "--end", "6"],
        ["scan", str(footage / "astronaut.png"), "-o", str(clean / "scans" / "face")],
        ["identity", "consent", "Ann", "--person", "Ann", "--basis", "test footage", "--project", str(clean)],
        ["identity", "consent", "Bob", "--person", "Bob", "--basis", "test footage", "--project", str(clean)],
        train_arguments(clean),
        convert_arguments(clean),
    ]
    for arguments in steps:
        code, text = run(arguments, clean)
        if code:
            sys.exit(f"{arguments} ended with {code}: {text}")
    (clean / "done").touch()


def train_arguments(project: Path) -> list[str]:
    """A draft of both people."""
    people = ["--identity", f"Ann={project}/scans/face", "--identity", f"Bob={project}/scans/shot"]
    return ["train", *people, "-o", f"{project}/models/ann", "--preset", "draft", "--project", str(project)]


def convert_arguments(project: Path) -> list[str]:
    """The recast of the shot."""
    made = f"{project}/recasts/shot.mp4"
    model = ["--model", f"{project}/models/ann", "--swap", "0:Bob=Ann", "--project", str(project)]
    return ["convert", f"{project}/scans/shot", *model, "-o", made]


def command(project: Path, work: Path, rng: random.Random) -> list[str]:
    """One command line on a project."""
    footage = work / "footage"
    choices: list[list[str]] = [
        ["scan", str(footage / "carphone.mp4"), "-o", f"{project}/scans/shot", "--end", "6"],
        ["people", f"{project}/scans/shot"],
        train_arguments(project),
        convert_arguments(project),
        convert_arguments(project),
        ["alignments", "export", f"{project}/scans/shot", "-o", f"{project}/shot.json"],
        ["identity", "list", "--project", str(project)],
        ["identity", "report", "--project", str(project), "-o", f"{project}/report.html"],
        ["identity", "forget", "Ann", "--project", str(project), "--yes"],
        ["identity", "forget", "Bob", "--project", str(project), "--yes"],
        ["verify", f"{project}/recasts/shot.mp4"],
    ]
    return rng.choice(choices)


def run(arguments: list[str], folder: Path, do: Callable[[], None] | None = None) -> tuple[int, str]:
    """A command's exit code (negative: the signal that ended it) and what it printed; or what `do` ended with, which
    takes the command's place.

    The process is forked from this one, which has imported the engine already: ten times as many rounds.
    """
    from understudy.engine import cli

    read, write = os.pipe()
    sys.stdout.flush()
    child = os.fork()
    if not child:
        os.setsid()
        os.close(read)
        os.dup2(write, 1)
        os.dup2(write, 2)
        null = os.open(os.devnull, os.O_RDONLY)
        os.dup2(null, 0)
        sys.stdout, sys.stderr = (open(n, "w", buffering=1, closefd=False) for n in (1, 2))  # noqa: SIM115
        folder.mkdir(parents=True, exist_ok=True)
        os.chdir(folder)
        sys.argv = ["understudy", *arguments]
        resource.setrlimit(resource.RLIMIT_CPU, (LIMIT_S, LIMIT_S + 5))
        code = 70
        try:
            (do or cli.main)()
        except SystemExit as leaving:
            code = int(leaving.code or 0)
        except BaseException:
            traceback.print_exc()
        with contextlib.suppress(BaseException):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)
    os.close(write)
    deadline = time.monotonic() + PATIENCE_S
    chunks = list(_read(read, deadline))
    if time.monotonic() > deadline:
        os.killpg(child, signal.SIGKILL)
    status = os.waitpid(child, 0)[1]
    os.close(read)
    code = os.waitstatus_to_exitcode(status)
    return code, b"".join(chunks).decode(errors="replace")


def _read(descriptor: int, deadline: float) -> Iterator[bytes]:
    import select

    while (left := deadline - time.monotonic()) > 0:
        if not select.select([descriptor], [], [], left)[0]:
            return
        chunk = os.read(descriptor, 1 << 16)
        if not chunk:
            return
        yield chunk


def make_outside(outside: Path) -> None:
    """What nobody named: a text, a movie, a folder with consents of another project."""
    shutil.rmtree(outside, ignore_errors=True)
    (outside / "other.understudy" / "consent").mkdir(parents=True)
    (outside / "canary.txt").write_text("nobody named this")
    (outside / ".hidden").write_text("nor this")
    (outside / "other.understudy" / "consent" / "ann.json").write_text("{}")
    shutil.copy(FOOTAGE / "carphone.mp4", outside / "holiday.mp4")


@contextlib.contextmanager
def watching(folder: Path) -> Iterator[Callable[[], list[str]]]:
    """Everything that happens in a folder and those in it, by inotify: a function that lists it."""
    libc = ctypes.CDLL(None, use_errno=True)
    descriptor = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
    if descriptor < 0:
        raise OSError(ctypes.get_errno(), "inotify is not to be had")
    names = {}
    for place in [folder, *(p for p in folder.rglob("*") if p.is_dir())]:
        names[libc.inotify_add_watch(descriptor, os.fsencode(place), WATCHED)] = place

    def events() -> list[str]:
        found = []
        with contextlib.suppress(BlockingIOError):
            while data := os.read(descriptor, 1 << 16):
                at = 0
                while at < len(data):
                    watch, mask, _, length = struct.unpack_from("iIII", data, at)
                    name = data[at + 16 : at + 16 + length].rstrip(b"\0").decode(errors="replace")
                    at += 16 + length
                    found.append(f"{mask & 0xFFF:#x} {names[watch].name}/{name}")
        return found

    try:
        yield events
    finally:
        os.close(descriptor)


def spoil(project: Path, outside: Path, rng: random.Random) -> str:
    """Change one file of a project in one way; says what."""
    files = sorted(p for p in project.rglob("*") if p.is_file() and not p.is_symlink())
    path = rng.choice([p for p in files if p.suffix == ".json"] if rng.random() < 0.5 else files)
    ways: list[Callable[[Path, Path, random.Random], str]]
    ways = [_flip, _cut, _link, _link_folder, _swap_for_folder, _rename]
    if path.suffix == ".json" and rng.random() < 0.75:
        ways = [_spoil_json]
    elif path.suffix in (".safetensors", ".faceset") and rng.random() < 0.6:
        ways = [_spoil_header]
    try:
        how = rng.choice(ways)(path, outside, rng)
    except (ValueError, struct.error):  # it is spoiled already
        how = _cut(path, outside, rng)
    return f"{path.relative_to(project)}: {how}"


def _hostile(outside: Path, rng: random.Random) -> Any:
    value = rng.choice(HOSTILE)
    return value.replace("{outside}", str(outside)) if isinstance(value, str) else value


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every (container, key) in a JSON value."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield value, key
        yield from _places(inner)


def _change(document: Any, outside: Path, rng: random.Random) -> str:
    # where footage lies is for a project to say: it is opened, as any movie of a stranger's is
    places = [(c, k) for c, k in _places(document) if k != "path"]
    if not places:
        return "nothing to change"
    container, key = rng.choice(places)
    if isinstance(container, dict) and rng.random() < 0.25:
        if rng.random() < 0.5:
            del container[key]
            return f"without {key}"
        container["\x1b[31m" + str(rng.random())] = _hostile(outside, rng)
        return f"a key beside {key}"
    container[key] = value = _hostile(outside, rng)
    return f"{key} = {value!r:.60}"


def _spoil_json(path: Path, outside: Path, rng: random.Random) -> str:
    document = json.loads(path.read_text(encoding="utf-8"))
    how = _change(document, outside, rng)
    path.write_bytes(json.dumps(document).encode("utf-8", "surrogatepass"))
    return how


def _spoil_header(path: Path, outside: Path, rng: random.Random) -> str:
    data = path.read_bytes()
    length = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8 : 8 + length])
    told = header.get("__metadata__", {})
    if told and rng.random() < 0.6:  # the JSON inside the header
        key = rng.choice(sorted(told))
        try:
            inner = json.loads(told[key])
            how = f"{key}: {_change(inner, outside, rng)}"
            told[key] = json.dumps(inner)
        except ValueError:
            how, told[key] = f"{key} is no JSON", "{"
    else:
        how = _change(header, outside, rng)
    changed = json.dumps(header).encode("utf-8", "surrogatepass")
    path.write_bytes(struct.pack("<Q", len(changed)) + changed + data[8 + length :])
    return f"header, {how}"


def _flip(path: Path, outside: Path, rng: random.Random) -> str:
    data = bytearray(path.read_bytes())
    for _ in range(min(len(data), rng.randint(1, 40))):
        data[rng.randrange(len(data))] = rng.randrange(256)
    path.write_bytes(data)
    return "bytes flipped"


def _cut(path: Path, outside: Path, rng: random.Random) -> str:
    data = path.read_bytes()
    path.write_bytes(data[: rng.choice([0, 1, 7, len(data) // 2, max(0, len(data) - 1)])])
    return "cut"


def _link(path: Path, outside: Path, rng: random.Random) -> str:
    aim = rng.choice(["canary.txt", "holiday.mp4", "missing", ".hidden", "other.understudy/consent/ann.json"])
    for name in {path.name, path.name + ".part"}:
        place = path.with_name(name)
        place.unlink(missing_ok=True)
        place.symlink_to(outside / aim)
    return f"a link to {aim}"


def _link_folder(path: Path, outside: Path, rng: random.Random) -> str:
    folder = path.parent
    if folder.name.endswith(".understudy"):
        return "left"
    kept = folder.with_name(folder.name + "-moved")
    if kept.exists():
        return "left"
    folder.rename(kept)
    folder.symlink_to(outside if rng.random() < 0.5 else outside / "other.understudy")
    return "its folder a link out of the project"


def _swap_for_folder(path: Path, outside: Path, rng: random.Random) -> str:
    path.unlink()
    path.mkdir()
    return "a folder in its place"


def _rename(path: Path, outside: Path, rng: random.Random) -> str:
    name = rng.choice(["\x1b[2J", "-rf", "a" * 240, "\udcff", "x [red]", "..."])
    path.rename(path.with_name(name + path.suffix))
    return f"renamed to {name!r:.30}"


if __name__ == "__main__":
    main()
