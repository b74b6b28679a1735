"""Optional networks, each fetched from where its makers publish it: checked, resumable, its licence said first."""

from __future__ import annotations

import hashlib
import http
import http.client
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from ...durable import hash_file, put
from ...errors import DataError, ModelsMissingError, UnderstudyError
from ...protocol import make_home
from ...reading import read_bytes
from ...reporter import Reporter
from .weights import folder

CHUNK = 1 << 16
TIMEOUT = 30.0
TRIES = 3


@dataclass(frozen=True, kw_only=True)
class Download:
    """One file as its makers publish it; `size` in bytes; `kind`: which option of `models fetch` gets it."""

    file: str
    title: str
    url: str
    sha256: str
    size: int
    licence: str
    kind: str = "detector"


_ZOO = "https://media.githubusercontent.com/media/opencv/opencv_zoo/47534e27c9851bb1128ccc0102f1145e27f23f98/models"
DOWNLOADS = {
    "yunet": Download(
        file="yunet.onnx",
        title="YuNet, a face detector (OpenCV zoo, face_detection_yunet_2023mar)",
        url=f"{_ZOO}/face_detection_yunet/face_detection_yunet_2023mar.onnx",
        sha256="8f2383e4dd3cfbb4553ea8718107fc0403210dc964f9f4280604804ed2552fa4",
        size=232589,
        licence="MIT, Copyright (c) 2020 Shiqi Yu: it may be used for anything, its notice is to be kept",
    ),
    "hair": Download(
        file="hair.tflite",
        title="MediaPipe's hair segmentation (0.8.2)",
        url="https://raw.githubusercontent.com/google-ai-edge/mediapipe/v0.8.2/mediapipe/models/hair_segmentation.tflite",
        sha256="d2c940c4fd80edeaf38f5d7387d1b4235ee320ed120080df67c663e749e77633",
        size=780588,
        licence="Apache-2.0, Copyright 2019 The MediaPipe Authors: for any use, its notice is to be kept",
        kind="parser",
    ),
}


def installed(name: str) -> bool:
    """Whether an optional network has been fetched."""
    return (folder() / DOWNLOADS[name].file).is_file()


def broken() -> list[str]:
    """Names of the optional networks that were fetched and are not as their makers publish them."""
    return [name for name in DOWNLOADS if installed(name) and not _is_sound(name)]


def _is_sound(name: str) -> bool:
    try:
        return hash_file(folder() / DOWNLOADS[name].file) == DOWNLOADS[name].sha256
    except OSError:
        return False


def require(name: str) -> Path:
    """The file of an optional network. Raises ModelsMissingError when it was not fetched, DataError when it is not as
    its makers publish it."""
    kind = DOWNLOADS[name].kind
    if not installed(name):
        raise ModelsMissingError(f"The {kind} {name} is not installed. Run `understudy models fetch --{kind} {name}`.")
    path = folder() / DOWNLOADS[name].file
    if not _is_sound(name):
        raise DataError(f"The {kind} {path} is damaged. Delete it and run `understudy models fetch --{kind} {name}`.")
    return path


def fetch(name: str, reporter: Reporter) -> Path:
    """Download an optional network unless it is there and sound; what an earlier try left is gone on with.

    Its licence is logged before anything is fetched. Raises UnderstudyError when the server cannot be
    reached or offers another file than the one known here; then nothing lies under the final name.
    """
    wanted, path = DOWNLOADS[name], folder() / DOWNLOADS[name].file
    if path.is_file() and _is_sound(name):
        return path
    reporter.log(f"{wanted.title}. Licence: {wanted.licence}. From {wanted.url}")
    make_home()
    folder().mkdir(exist_ok=True)
    partial = path.with_name(f".{path.name}.part")
    for attempt in range(1, TRIES + 1):
        try:
            _receive(wanted, partial, reporter)
            break
        except (OSError, http.client.HTTPException) as error:
            refused = isinstance(error, urllib.error.HTTPError) and error.code < 500
            if refused or attempt == TRIES:
                raise UnderstudyError(
                    f"{name} could not be downloaded ({error}). Check the internet connection and run "
                    f"`understudy models fetch --{wanted.kind} {name}` again: it goes on where it stopped."
                ) from None
    if hashlib.sha256(read_bytes(partial)).hexdigest() != wanted.sha256:
        partial.unlink()
        raise UnderstudyError(
            f"The file that {wanted.url} offers is not the one Understudy knows (its hash differs), so it was not used."
        )
    put(partial, path)
    reporter.progress(1.0, f"{name} is installed")
    return path


def _receive(wanted: Download, partial: Path, reporter: Reporter) -> None:
    """Bring `partial` to its full size, from where it stands if the server can."""
    have = partial.stat().st_size if partial.is_file() else 0
    if have > wanted.size:
        partial.unlink()
        have = 0
    if have == wanted.size:
        return
    request = urllib.request.Request(wanted.url, headers={"Range": f"bytes={have}-"} if have else {})
    with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:
        resumed = have and answer.status == http.HTTPStatus.PARTIAL_CONTENT
        have = have if resumed else 0
        with partial.open("ab" if resumed else "wb") as file:
            while have <= wanted.size and (chunk := answer.read(CHUNK)):
                reporter.check()
                file.write(chunk)
                have += len(chunk)
                reporter.progress(min(have / wanted.size, 1.0), f"Fetching {wanted.title}")
    if have < wanted.size:
        raise ConnectionError(f"the connection broke after {have} of {wanted.size} bytes")
