"""What a swap needs on this machine: is it there, and how to mend it."""

from __future__ import annotations

import base64
import contextlib
import importlib
import json
import os
import platform
import shutil
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, files, version
from pathlib import Path

from . import protocol
from .durable import hash_file
from .errors import ModelsMissingError, UnderstudyError
from .printing import say
from .protocol import parse_json
from .reading import read_text

LIBRARIES = {
    "numpy": "numpy",
    "opencv-python-headless": "cv2",
    "av": "av",
    "scipy": "scipy",
    "safetensors": "safetensors",
    "tflite": "tflite",
    "fastapi": "fastapi",
    "uvicorn": "uvicorn",
}
ROOM = 2e9  # bytes that scans, a model and a movie of a short shot may take


@dataclass(frozen=True, kw_only=True)
class Check:
    """One thing looked at. `ok` False with `needed` means that no swap can run; `mend` says what to do."""

    name: str
    found: str
    ok: bool = True
    needed: bool = True
    mend: str = ""


def release() -> str:
    """The version of Understudy that is installed."""
    try:
        return version("understudy")
    except PackageNotFoundError:
        return "(not installed as a package)"


def examine() -> list[Check]:
    """Look at everything; nothing is changed, and nothing raises."""
    checks = [
        Check(name="understudy", found=f"{release()}, protocol {protocol.PROTOCOL}"),
        _python(),
        *(_library(package, module) for package, module in LIBRARIES.items()),
        _guarded("torch", _torch),
        _guarded("ffmpeg libraries", _ffmpeg),
        _guarded("face networks", _networks),
        _guarded("networks of its own", _own_networks),
        _guarded("other networks", _other_networks),
        _home(),
        _disk(),
        _engine(),
    ]
    return checks


def verdict(checks: list[Check]) -> tuple[int, str]:
    """Exit code (0: a swap can run) and one sentence."""
    missing = [check for check in checks if check.needed and not check.ok]
    if not missing:
        return 0, "A swap can run."
    code = ModelsMissingError.exit_code if [check.name for check in missing] == ["face networks"] else 1
    return code, f"A swap cannot run yet. {' '.join(check.mend for check in missing)}"


def show(checks: list[Check]) -> None:
    """Print every check, and under those that are not well how to mend them."""
    for check in checks:
        mark = "ok" if check.ok else "NO" if check.needed else "--"
        say(f"{mark:3}{check.name:24}{check.found}")
        if check.mend and not check.ok:
            say(f"{'':27}→ {check.mend}")


def _guarded(name: str, look: Callable[[], Check]) -> Check:
    """A library that is there may still fail to load (a wrong build, a lacking driver): that is a finding."""
    try:
        return look()
    except Exception as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        return Check(name=name, found=f"cannot be used: {reason}", ok=False, mend=_reinstall(name.split()[0]))


def _reinstall(what: str) -> str:
    return f"Install {what} in the engine's environment again ({sys.prefix})."


def _python() -> Check:
    return Check(
        name="Python",
        found=f"{platform.python_version()} on {platform.system()} {platform.machine()} ({sys.executable})",
        ok=sys.version_info >= (3, 11),
        mend="Make the engine's environment with Python 3.11 or newer.",
    )


def _library(package: str, module: str) -> Check:
    def look() -> Check:
        importlib.import_module(module)
        return Check(name=package, found=version(package))

    return _guarded(package, look)


def _torch() -> Check:
    import torch

    from .devices import MEND, passed_over, pick_device

    device = pick_device()
    if device == "cuda":
        memory = torch.cuda.get_device_properties(0).total_memory / 2**30
        detail = f"{torch.cuda.get_device_name(0)}, {memory:.0f} GiB"
    else:
        detail = f"{device}, {torch.get_num_threads()} threads"
    why = passed_over()
    found = f"{version('torch')} on {detail}" + (f". {why}" if why else "")
    return Check(name="torch", found=found, ok=not why, needed=False, mend=MEND)


def _ffmpeg() -> Check:
    import av
    from av.codec import Codec

    for encoder in ("libx264", "ffv1", "aac"):
        Codec(encoder, "w")  # raises when this build of FFmpeg lacks it
    names = ("libavcodec", "libavformat", "libswscale")
    numbers = [f"{name} {'.'.join(map(str, av.library_versions[name]))}" for name in names]
    return Check(name="ffmpeg libraries", found=f"{', '.join(numbers)}; libx264, ffv1, aac encode")


def _networks() -> Check:
    from .faces.networks import weights

    absent, broken = weights.missing(), weights.broken()
    if not absent and not broken:
        return Check(name="face networks", found=f"installed in {weights.folder()}, whole")
    size = weights.download_size(damaged=broken) / 1e6
    return Check(
        name="face networks",
        found="; ".join(_listed("missing", absent) + _listed(f"damaged in {weights.folder()}", broken)),
        ok=False,
        mend=f"Run: understudy models fetch ({size:.0f} MB). It fetches {_what(absent, broken)}.",
    )


def _what(absent: list[str], broken: list[str]) -> str:
    if not broken:
        return "what is missing"
    return f"{', '.join(broken)} again{' and what is missing' if absent else ''}"


def _listed(what: str, names: list[str]) -> list[str]:
    return [f"{what}: {', '.join(names)}"] if names else []


def _own_networks() -> Check:
    """The networks that come with Understudy: that they can be read whole, and are those that were installed."""
    import numpy as np
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    from .faces.networks import occlusion, parser
    from .voice import network

    broken = []
    for path in (occlusion.WEIGHTS, parser.WEIGHTS, network.BASE):
        try:
            finite = all(np.isfinite(array.astype(np.float32)).all() for array in load_file(path).values())
            if not finite or hash_file(path) != _installed_hashes().get(path.resolve(), hash_file(path)):
                broken.append(path.name)
        except (OSError, SafetensorError):
            broken.append(path.name)
    return Check(
        name="networks of its own",
        found="; ".join(_listed("damaged", broken)) or "whole",
        ok=not broken,
        mend=_reinstall("Understudy"),
    )


def _installed_hashes() -> dict[Path, str]:
    """SHA-256 of what pip installed for Understudy, by file; none in a checkout that is used in its place."""
    found = {}
    with contextlib.suppress(PackageNotFoundError):
        for file in files("understudy") or []:
            if file.hash and file.hash.mode == "sha256":
                digest = base64.urlsafe_b64decode(file.hash.value + "=" * (-len(file.hash.value) % 4))
                found[Path(str(file.locate())).resolve()] = digest.hex()
    return found


def _other_networks() -> Check:
    """Those of the voice and the optional ones, which a swap of faces does without."""
    from .faces.networks import downloads
    from .voice import networks

    absent, broken, optional = networks.missing(), networks.broken(), downloads.broken()
    options = ["--voice"] * bool(broken) + [f"--{downloads.DOWNLOADS[name].kind} {name}" for name in optional]
    voice = "no voice networks (understudy models fetch --voice)" if absent else "voice networks installed"
    return Check(
        name="other networks",
        found="; ".join([voice, *_listed("damaged", [*broken, *optional])]),
        ok=not broken and not optional,
        needed=False,
        mend=f"Run: understudy models fetch {' '.join(options)}. It fetches {_what([], [*broken, *optional])}.",
    )


def _home() -> Check:
    from .commands.path_arguments import examine_home

    home = protocol.home()
    place = _existing(home)
    try:
        examine_home()
    except UnderstudyError as error:
        return Check(name="home folder", found=f"{home} cannot be one", ok=False, mend=str(error))
    try:
        with tempfile.TemporaryFile(dir=place):
            pass
    except OSError:
        return Check(
            name="home folder",
            found=f"{home} may not be written",
            ok=False,
            mend=f"Make {place} writable, or set UNDERSTUDY_HOME to another folder.",
        )
    told = "" if home.exists() else " (made when it is needed)"
    if protocol.is_open_home():
        told = " (others on this computer may look into it; the next command closes it to them)"
    return Check(name="home folder", found=f"{home}{told}")


def _disk() -> Check:
    place = _existing(protocol.home())
    free = shutil.disk_usage(place).free
    return Check(
        name="free disk",
        found=f"{free / 1e9:.1f} GB where {place} is",
        ok=free > ROOM,
        needed=False,
        mend=f"Make room: a swap may need {ROOM / 1e9:.0f} GB.",
    )


def _engine() -> Check:
    """Ask the engine that the address file names; none running is well, Blender starts it."""
    path = protocol.address_file()
    if not path.is_file():
        return Check(name="running engine", found="none (Blender starts one; or: understudy serve)", needed=False)
    try:
        address = parse_json(read_text(path))
        call = urllib.request.Request(
            f"{address['url']}/v1/engine", headers={"Authorization": f"Bearer {address['token']}"}
        )
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with direct.open(call, timeout=3) as answer:
            info = protocol.from_json(protocol.EngineInfo, json.load(answer))
    except (OSError, urllib.error.URLError, ValueError, KeyError) as error:
        return Check(
            name="running engine",
            found=f"{path} names one that does not answer ({error})",
            ok=False,
            needed=False,
            mend="Start it again: understudy serve.",
        )
    return Check(name="running engine", found=f"{info.version} at {info.url}, process {info.pid}", needed=False)


def _existing(path: Path) -> Path:
    """The nearest folder on the way to `path` that is there."""
    return next((p for p in (path, *path.parents) if p.is_dir()), Path(os.sep))
