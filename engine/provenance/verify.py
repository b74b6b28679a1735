"""What a file says of itself: its content credentials, its XMP, and the mark in its faces."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import MediaError, ModelsMissingError, NoFaceError
from ..faces.alignments import load_alignments
from ..faces.scan import scan
from ..media.reader import probe, read_frames
from ..media.waveform import probe_sound
from ..protocol import Clip
from ..reporter import Reporter
from .credentials import Credentials, read_credentials
from .mark import PRESENT, Found, Reader
from .voice_mark import FoundVoice, find_in_file
from .xmp import DIGITAL_SOURCE_TYPE, read_source_type

FRAMES, RUN = 120, 24
"""So many frames are looked at for the mark, in runs of so many that are spread over the file."""


@dataclass(frozen=True)
class Verdict:
    """What was found. marks: the best reading of every mark; faces: how many were looked at (None: not looked for, and
    `hindrance` says why if nobody wanted that); voice: what the search for the mark in voices saw (None: there is no
    sound); soundtrack: there is no picture."""

    credentials: Credentials | None
    source_type: str | None
    marks: list[Found]
    faces: int | None
    hindrance: str = ""
    voice: FoundVoice | None = None
    soundtrack: bool = False

    def to_json(self) -> dict[str, Any]:
        """Plain JSON, as the command line prints it."""
        found = self.credentials
        return {
            "credentials": found.id if found else "",
            "state": found.state if found else "none",
            "tampered": bool(found and found.tampered),
            "signer": found.signer if found else "",
            "problems": found.problems if found else [],
            "facts": found.facts if found else {},
            "ingredients": found.ingredients if found else [],
            "digital_source_type": self.source_type or "",
            "marks": [{"number": mark.number, "score": round(mark.score, 2)} for mark in self.marks],
            "faces": self.faces,
            "voice": _voice_json(self.voice),
        }

    def sentences(self) -> list[str]:
        """The same for somebody who reads it."""
        told = [*_of_credentials(self.credentials), _of_xmp(self.source_type)]
        return [*told, *([] if self.soundtrack else [_of_mark(self)]), *_of_voice(self.voice)]


def verify(path: Path, reporter: Reporter, device: str = "cpu", frames: int = FRAMES) -> Verdict:
    """Look at a file; `frames` 0 leaves its pixels alone, as does an engine without the face networks.

    Raises MediaError when the file is not there, or no footage.
    """
    if not path.is_file():
        raise MediaError(f"{path} is not there, or a folder. Name one movie or picture.")
    credentials, source_type = read_credentials(path), read_source_type(path)
    if not frames:
        return Verdict(credentials, source_type, [], None)
    voice = _voice_mark(path)
    if voice is not None and not probe_sound(path).movie:
        return Verdict(credentials, source_type, [], None, voice=voice, soundtrack=True)
    try:
        return Verdict(credentials, source_type, *read_marks(path, frames, reporter, device), voice=voice)
    except ModelsMissingError as error:
        return Verdict(credentials, source_type, [], None, str(error), voice)


def read_marks(path: Path, frames: int, reporter: Reporter, device: str = "cpu") -> tuple[list[Found], int]:
    """The marks in the faces of a file, the surest first, and how many faces (tracks) were looked at.

    Every track is read by itself, and all of them together: a recast carries one mark in every face and shot.
    """
    readers: list[Reader] = []
    for start, end in _runs(probe(path).frames, frames):
        readers += _tracks(path, start, end, reporter, device)
    if len(readers) > 1:
        together = Reader()
        for reader in readers:
            together.join(reader)
        looked = [*readers, together]
    else:
        looked = readers
    found = sorted((reader.found() for reader in looked), key=lambda mark: -mark.score)
    return list({mark.number: mark for mark in reversed(found) if mark.present}.values())[::-1], len(readers)


def _voice_mark(path: Path) -> FoundVoice | None:
    """What is seen of the mark in the first track of sound; None without one."""
    try:
        return find_in_file(path)
    except MediaError:
        return None


def _voice_json(voice: FoundVoice | None) -> dict[str, Any] | None:
    if voice is None:
        return None
    return {"marked": voice.present, "score": round(voice.score, 2), "seconds": round(voice.seconds, 1)}


def _of_voice(voice: FoundVoice | None) -> list[str]:
    if voice is None:
        return []
    looked = f"{voice.seconds:.0f} s of sound, {voice.score:.1f} standard deviations"
    if voice.present:
        return [f"Its sound carries Understudy's mark: a voice in it was recast ({looked})."]
    return [f"No mark of a recast voice was found in its sound ({looked}; it takes some 30 s of voice to find one)."]


def _runs(length: int, frames: int) -> list[tuple[int, int]]:
    """Ranges of frames to look at: all of a short file, else runs from its beginning to its end."""
    if length <= frames:
        return [(0, length)]
    count = max(1, frames // RUN)
    size = min(RUN, frames)
    starts = np.linspace(0, length - size, count).astype(int) if count > 1 else [0]
    return [(int(start), int(start) + size) for start in starts]


def _tracks(path: Path, start: int, end: int, reporter: Reporter, device: str) -> list[Reader]:
    """A reader for every track of a range, none where there is no face."""
    with tempfile.TemporaryDirectory(prefix="understudy-verify-") as aside:
        folder = Path(aside) / "scan"
        try:
            scan(Clip(path=str(path), start=start, end=end), folder, reporter, device)
        except NoFaceError:
            return []
        alignments = load_alignments(folder)
    readers: dict[int, Reader] = {}
    for frame in read_frames(path, start, end):
        for row in np.flatnonzero(alignments.frame == frame.index):
            readers.setdefault(int(alignments.track[row]), Reader()).add(frame.rgb, alignments.landmarks[row])
    return list(readers.values())


def _of_credentials(found: Credentials | None) -> list[str]:
    if found is None:
        return ["Content credentials: none."]
    where = "beside it" if found.sidecar else "in it"
    if found.tampered:
        return [
            f"Content credentials ({where}) do NOT fit: the file was changed after it was signed, or they belong to "
            f"another ({', '.join(found.problems)})."
        ]
    vouched = "whom a trusted authority vouches for" if found.state == "Trusted" else "for whom nobody vouches"
    made = [action["description"] for action in found.actions if "description" in action]
    sources = ", ".join(f"{i['title']}{' (with credentials of its own)' * bool(i['credentials'])}"
                        for i in found.ingredients)  # fmt: skip
    return [
        f"Content credentials ({where}) fit: {found.id}, signed by {found.signer}, {vouched}.",
        *(f"  {text}" for text in made),
        *([f"  Made of: {sources}."] if sources else []),
    ]


def _of_xmp(source_type: str | None) -> str:
    if source_type == DIGITAL_SOURCE_TYPE:
        return "Metadata: says that parts of it were made by a trained network (IPTC digital source type)."
    return f"Metadata: IPTC digital source type {source_type}." if source_type else "Metadata: no digital source type."


def _of_mark(verdict: Verdict) -> str:
    if verdict.faces is None:
        return f"Mark in the faces: not looked for. {verdict.hindrance}".rstrip()
    if verdict.marks:
        read = ", ".join(
            f"recast {mark.number:04x} ({mark.score:.1f} deviations from chance)" for mark in verdict.marks
        )
        return f"Mark in the faces: {read}."
    return f"Mark in the faces: none in {verdict.faces} faces (less than {PRESENT:g} deviations from chance)."
