"""What Understudy does on a graphics card: whether it is right there, how fast, and what it makes. For one machine,
without a network and without Blender.

usage: benchmarks/device.sh [--seconds 450] [--device auto] [--pair SHOT FACE] [--out FOLDER] [--tiny] …

Does one part after the other, the most telling first, and writes what each found into OUT/device.json at once, with a
few pictures beside it. Called again it goes on where it was stopped or ended: what is done is not done again, what
failed or had no time is. A part that takes longer than its limit is ended and the next one begun. The parts and what
they are for: --list. What this machine lacks for a part is said in its place.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from device_parts import PARTS, Bench, Part, facts, lack
from device_results import Results, plain
from understudy.engine.durable import lock

ROOT = Path(__file__).resolve().parents[1]
FOOTAGE = ROOT / ".build" / "footage"
GRACE = 3.0
"""Seconds that are kept back of the time in all, to end what runs and to write."""
LOG_LINES = 12
ILL = 3
"""The code of a process that has to be followed by another one, since its device does nothing more."""


def main() -> None:
    options = arguments()
    if options.list:
        for part in PARTS:
            print(f"{part.name:18}{part.most:5.0f} s at most  {' '.join((part.work.__doc__ or '').split())}")
        return
    if options.child:
        watch_parent()
        child(options)
        return
    for folder in (options.out, options.work):
        folder.mkdir(parents=True, exist_ok=True)
    with lock(options.work / ".lock") as held:
        if not held:
            raise SystemExit(f"Another run works in {options.work}. Wait for it, or name another --work.")
        drive(options)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=450.0, help="for all parts together")
    parser.add_argument(
        "--limit", nargs="+", default=[], metavar="PART=SECONDS", help="another limit of a part than --list shows"
    )
    parser.add_argument("--device", default="auto", help="auto is the one that the engine picks; else cuda, cpu, mps")
    parser.add_argument(
        "--pair",
        nargs=2,
        type=Path,
        default=[FOOTAGE / "carphone.mp4", FOOTAGE / "astronaut.png"],
        metavar=("SHOT", "FACE"),
        help="movies or pictures: whose face is replaced, and by whose",
    )
    parser.add_argument("--out", type=Path, default=ROOT / ".build" / "device" / "results")
    parser.add_argument(
        "--work", type=Path, default=ROOT / ".build" / "device" / "work", help="scans, facesets, movies"
    )
    parser.add_argument("--only", nargs="+", default=[], metavar="PART", help="these parts and what they need")
    parser.add_argument("--again", nargs="+", default=[], metavar="PART", help="parts to do again, or all")
    parser.add_argument("--tiny", action="store_true", help="small networks and few frames: to try this program itself")
    parser.add_argument("--list", action="store_true", help="say what the parts are, and end")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--end", type=float, default=0.0, help=argparse.SUPPRESS)
    parser.add_argument("--leave", nargs="*", default=[], help=argparse.SUPPRESS)
    options = parser.parse_args()
    names = [part.name for part in PARTS]
    unknown = {*options.only, *options.again, *(text.partition("=")[0] for text in options.limit)} - {*names, "all"}
    if unknown:
        parser.error(f"there is no part {', '.join(sorted(unknown))}; the parts are {', '.join(names)}")
    options.limits = {part.name: part.most for part in PARTS}
    for text in options.limit:
        name, _, seconds = text.partition("=")
        options.limits[name] = float(seconds)
    for name in ("out", "work"):
        setattr(options, name, getattr(options, name).resolve())
    options.pair = [path.resolve() for path in options.pair]
    return options


def about(options: argparse.Namespace) -> dict[str, Any]:
    """What all results of one file have in common."""
    return {"device": options.device, "tiny": options.tiny, "pair": [path.name for path in options.pair]}


def wanted(options: argparse.Namespace) -> list[Part]:
    """The parts that were asked for, with those that others need."""
    return [part for part in PARTS if not options.only or part.first or part.name in options.only]


def drive(options: argparse.Namespace) -> None:
    """Have a process do the parts; end it where it takes too long, and begin another one for those that are left."""
    end = time.time() + options.seconds
    results = Results(options.out, about(options))
    again = [part.name for part in PARTS] if "all" in options.again else options.again
    if again and shutil.rmtree(options.work / "training", ignore_errors=True) is None:
        results.parts = {name: part for name, part in results.parts.items() if name not in again}
        results.write()
    tried: list[str] = []
    while time.time() < end - GRACE and any(not results.done(p.name) and p.name not in tried for p in wanted(options)):
        state = run_child(options, end, tried)
        results = Results(options.out, about(options))
        now = results.running()
        if now is not None:
            results.end(now[0], "failed", f"{state}{last_words(options.work)}")
            tried.append(now[0])
        tried += [name for name, part in results.parts.items() if part["state"] != "done" and name not in tried]
        if now is None and state:
            raise SystemExit(f"{state}{last_words(options.work)}")
    told = [results.parts.get(part.name, {}).get("state") for part in wanted(options)]
    print(f"{told.count('done')} of {len(told)} parts done, {results.seconds:.0f} s in all; results in {results.path}")


def run_child(options: argparse.Namespace, end: float, tried: list[str]) -> str:
    """Run parts in a process of their own until it ends or has to be; why it did not end well, in a sentence."""
    command = [sys.executable, str(Path(__file__).resolve()), *sys.argv[1:], "--child", "--end", str(end)]
    log = options.work / "device.log"
    with log.open("w") as errors:
        process = subprocess.Popen([*command, "--leave", *tried], stderr=errors, start_new_session=True)
    try:
        while process.poll() is None:
            time.sleep(0.1)
            why = overdue(options, end)
            if why and process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                return why
    except BaseException:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        raise
    if process.returncode < 0:
        return f"The process was ended by signal {-process.returncode}."
    return f"The process ended with code {process.returncode}." if process.returncode not in (0, ILL) else ""


def overdue(options: argparse.Namespace, end: float) -> str:
    """Why what runs has to be ended now; "" when it may go on."""
    if time.time() > end - GRACE:
        return f"The {options.seconds:g} s in all were over."
    with contextlib.suppress(SystemExit):  # it is replaced in one step, and there is none before the first part
        now = Results(options.out, about(options)).running()
        if now is not None and time.time() - now[1] > options.limits[now[0]]:
            return f"It took longer than {options.limits[now[0]]:g} s."
    return ""


def last_words(work: Path) -> str:
    """The end of what the process complained of."""
    with contextlib.suppress(OSError):
        lines = [line for line in (work / "device.log").read_text(errors="replace").splitlines() if line.strip()]
        return " Its last words: " + " | ".join(lines[-LOG_LINES:]) if lines else ""
    return ""


def watch_parent() -> None:
    """End this process with the one that started it, however that ends."""
    parent = os.getppid()

    def look() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os.killpg(os.getpgid(0), signal.SIGKILL)

    threading.Thread(target=look, daemon=True).start()


def child(options: argparse.Namespace) -> None:
    """Do the parts that are left, one after the other."""
    results = Results(options.out, about(options))
    bench = Bench(
        name=options.device, tiny=options.tiny, work=options.work, out=options.out, pair=options.pair, results=results
    )
    found = plain(facts(bench))
    known = results.machine.get("card")
    if known not in (None, found["card"]) and any(part["state"] == "done" for part in results.parts.values()):
        raise SystemExit(f"{results.path} holds results of {known}, this is {found['card']}. Name another --out.")
    results.machine = found
    results.write()
    print(", ".join(f"{name} {value}" for name, value in found.items() if value not in ("", None)), flush=True)
    for part in wanted(options):
        if results.done(part.name) or part.name in options.leave:
            continue
        left = options.end - GRACE - time.time()
        why = lack(bench, part)
        least = min(part.least, 10.0) if options.tiny else part.least
        if not why and left < least:
            why = f"No time was left for it: it needs about {least:.0f} s."
        if why:
            results.end(part.name, "skipped", why)
            continue
        results.begin(part.name)
        bench.deadline = time.time() + min(left, options.limits[part.name])
        try:
            measured = part.work(bench)
        except Exception as error:
            import traceback

            traceback.print_exc()
            lines = traceback.format_exc().strip().splitlines()
            results.end(
                part.name,
                "failed",
                f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}",
                {"trace": lines[-LOG_LINES:]},
            )
        else:
            results.end(part.name, "done", measured.pop("words"), measured)
        if not bench.is_well():
            raise SystemExit(ILL)
        bench.tidy()


if __name__ == "__main__":
    main()
