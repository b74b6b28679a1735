"""The workers of the process beside Blender as the add-on's main thread has them in hand. No bpy, nothing waits.

What was asked for and is not answered yet is remembered here: when the process is gone (killed, or short of memory) it
is started again and asked again. When it cannot be, the answers are those of an engine that cannot be reached.
"""

from __future__ import annotations

import contextlib
import time
from collections import deque
from collections.abc import Hashable, Sequence
from typing import Any

from ...engine import protocol
from ..state import face_boxes
from .reports import EngineReport, Faces, FootageReport, JobReport, Picture, Progress
from .sidecar import SIDECAR, CannotStart, Sidecar

TICK_BUDGET_SECONDS = 0.002
"""For how long Blender's main thread takes in what was heard, in one turn of a timer."""


class PollerHandle:
    """What watches jobs: see `poller.Poller`, whose methods these are."""

    def __init__(self, sidecar: Sidecar = SIDECAR) -> None:
        self._sidecar, self._lost = sidecar, sidecar.lost
        self._watched: dict[str, list] = {}  # job id → what to ask for if the process has to be started again
        self._own: deque[JobReport | EngineReport] = deque()

    def submit(self, python: str, job_id: str, kind: str, spec: dict[str, Any], after: Sequence[str] = ()) -> None:
        """Send a job to the engine (started if need be), to run once all of `after` are done, and watch it."""
        self._ask("submit", python, job_id, kind, spec, list(after), watch=job_id)

    def watch(self, python: str, job_id: str, after: int) -> None:
        """Report on a job that was submitted earlier, from event `after` on."""
        self._ask("watch", python, job_id, after, watch=job_id)

    def change(self, job_id: str, verb: str, body: dict[str, Any] | None = None) -> None:
        """Ask for a job to be changed: cancel, pause, resume or priority; the answer comes as its state."""
        self._ask("change", job_id, verb, body)

    def forget(self) -> None:
        """Watch nothing any more: another file was opened."""
        self._watched.clear()
        if self._sidecar.process is not None:
            self._ask("forget")

    def start_engine(self, python: str) -> None:
        """Start the engine now, whatever went wrong with it before."""
        self._ask("start_engine", python)

    def look_at(self, python: str, clip: protocol.Clip) -> None:
        """Have the engine (started if need be) say what is to be known of a clip's footage."""
        self._ask("look_at", python, protocol.to_json(clip))

    def use_remote(self, python: str, url: str, token: str) -> None:
        """Have the engine at the other end of a tunnel do the work; with no `url`, this computer's own."""
        self._ask("use_remote", python, url, token)

    def stop_engine(self) -> None:
        """Shut the engine down; its jobs go on when it is started again."""
        self._watched.clear()
        self._ask("stop_engine")

    def hear(self) -> JobReport | EngineReport | FootageReport | None:
        """The next report, or None."""
        answer = self._sidecar.hear("poller")
        if answer is None:
            if self._lost != self._sidecar.lost:
                self._take_up()
            return self._own.popleft() if self._own else None
        name, facts = answer
        if name == "EngineReport":
            return protocol.from_json(EngineReport, facts)
        if name == "FootageReport":
            return protocol.from_json(FootageReport, facts)
        report = protocol.from_json(JobReport, facts)
        if report.state in protocol.FINAL_STATES:
            self._watched.pop(report.id, None)
        elif asked := self._watched.get(report.id):
            self._watched[report.id] = ["watch", asked[1], report.id, report.last_seq]
        return report

    def _ask(self, *request: Any, watch: str = "") -> None:
        self._sidecar.pump()
        if self._lost != self._sidecar.lost:
            self._take_up()  # first: a new process knows none of the jobs
        if watch:
            self._watched[watch] = list(request)
        try:
            self._sidecar.ask("poller", *request)
        except CannotStart as error:
            self._fail(str(error))

    def _take_up(self) -> None:
        """The process is gone: have a new one do what the old one was asked."""
        self._lost = self._sidecar.lost
        try:
            for asked in list(self._watched.values()):
                self._sidecar.ask("poller", *asked)
        except CannotStart as error:
            self._fail(str(error))

    def _fail(self, error: str) -> None:
        self._lost = self._sidecar.lost
        for job_id, request in self._watched.items():
            if request[0] == "submit":  # no engine has it
                self._own.append(JobReport(id=job_id, state="failed", error=error))
        self._watched.clear()
        self._own.append(EngineReport(state="failed", error=error))


class PreviewerHandle:
    """What fetches preview frames: see `previewer.Previewer`, whose methods these are."""

    def __init__(self, sidecar: Sidecar = SIDECAR) -> None:
        self._sidecar, self._lost = sidecar, sidecar.lost
        self._count = 0
        self._keys: dict[int, Hashable] = {}  # number of a request → its key
        self._newest: list | None = None
        self._folders: dict[int, str] = {}
        self._faces: dict[int, dict[int, list[protocol.FaceBox]]] = {}  # as far as they have come
        self._own: deque[Picture | Faces] = deque()

    def want(self, key: Hashable, spec: protocol.PreviewSpec) -> None:
        """Ask for a frame; one that was wanted before and is not under way yet is dropped."""
        self._keep_up()
        self._count += 1
        self._keys[self._count] = key
        self._newest = ["want", self._count, protocol.to_json(spec)]
        self._ask(*self._newest)

    def want_faces(self, folder: str) -> None:
        """Read who is where in a scan folder; the answer's key is the folder."""
        self._keep_up()
        self._count += 1
        self._folders[self._count], self._faces[self._count] = folder, {}
        self._ask("want_faces", self._count, folder)

    def forget(self) -> None:
        """Await nothing any more: answers that are still to come are passed over."""
        self._newest = None
        for awaited in (self._keys, self._folders, self._faces, self._own):
            awaited.clear()

    def hear(self, until: float) -> Picture | Faces | None:
        """The next answer, or None; of one that is long no more is read after `time.perf_counter()` is `until`."""
        while (answer := self._sidecar.hear("previewer")) is not None:
            name, facts = answer
            number = facts["key"]
            if name == "Picture" and number in self._keys:
                key = self._keys[number]
                self._keys = {n: k for n, k in self._keys.items() if n > number}
                if not self._keys:
                    self._newest = None
                return protocol.from_json(Picture, {**facts, "key": key})
            if name == "FaceRows" and number in self._folders:
                face_boxes.add(self._faces[number], facts["rows"])
                if not facts["more"]:
                    return Faces(key=self._folders.pop(number), faces=self._faces.pop(number))
            if time.perf_counter() > until:
                return None
        self._keep_up()
        return self._own.popleft() if self._own else None

    def _ask(self, *request: Any) -> None:
        try:
            self._sidecar.ask("previewer", *request)
        except CannotStart:
            self._fail()

    def _keep_up(self) -> None:
        """If the process is gone, have a new one look for what was wanted last, and read faces from their beginning."""
        self._sidecar.pump()
        if self._lost == self._sidecar.lost:
            return
        self._lost = self._sidecar.lost
        folders, self._folders = self._folders, {}
        self._faces.clear()
        for folder in folders.values():
            self.want_faces(folder)
        if self._newest is not None:
            self._ask(*self._newest)

    def _fail(self) -> None:
        own: list[Picture | Faces] = [Faces(key=one, faces=face_boxes.read(one)) for one in self._folders.values()]
        if self._newest is not None:
            own.append(Picture(key=self._keys[self._newest[1]], engine_gone=True))
        self.forget()
        self._own.extend(own)


class InstallerHandle:
    """What sets the engine up: see `installer.Installer`, whose methods these are."""

    def __init__(self, sidecar: Sidecar = SIDECAR) -> None:
        self._sidecar, self._lost = sidecar, sidecar.lost
        self.progress = Progress()

    @property
    def busy(self) -> bool:
        """Whether it works."""
        return self.progress.state == "running"

    def start(self, wheels: str = "") -> None:
        """Set the engine up; `wheels` is a folder to take every package from, and nothing from the network."""
        self._begin("start", wheels)

    def remove(self) -> None:
        """Remove all that was set up; projects of .blends that were never saved stay."""
        self._begin("remove")

    def cancel(self) -> None:
        """Stop as soon as the program that runs can be stopped."""
        if self.busy and self._sidecar.process is not None:
            with contextlib.suppress(CannotStart):  # then it has ended
                self._sidecar.ask("installer", "cancel")

    def hear(self) -> None:
        """Bring `progress` up to date."""
        while (answer := self._sidecar.hear("installer")) is not None:
            self.progress = protocol.from_json(Progress, answer[1])
        if self.busy and self._lost != self._sidecar.lost:
            self.progress = Progress(
                state="failed", error="The set-up was interrupted: start it again, it goes on from where it was."
            )

    def _begin(self, method: str, *arguments: str) -> None:
        if self.busy:
            return
        self.hear()
        self.progress = Progress(state="running", message="Looking at this computer")
        try:
            self._sidecar.ask("installer", method, *arguments)
        except CannotStart as error:
            self.progress = Progress(state="failed", error=str(error))
        self._lost = self._sidecar.lost
