"""What the engine says of marked footage before it is recast: asked for when a range is marked, known for this session.

Opening a file starts no engine: footage that was marked in an earlier session is asked for once one runs.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import bpy

from ...engine import protocol
from ..engine_link import engine_setup
from ..engine_link.handles import PollerHandle
from ..engine_link.reports import FootageReport
from ..state import project, steps
from ..state.user_preferences import engine_python

if TYPE_CHECKING:
    from ..state.properties import UnderstudyShot

AGAIN_SECONDS = 100.0
"""After so long an answer that did not come is asked for again: more than a call waits for it."""
KEPT = 64

_known: dict[protocol.Clip, list[protocol.Finding]] = {}
_asked: dict[protocol.Clip, float] = {}
_marked: set[protocol.Clip] = set()
"""What was marked in this session."""


def mark(shot: UnderstudyShot) -> None:
    """A range was marked: its file may be another than it was."""
    clip = project.shot_clip(shot)
    for known in (_known, _asked):
        known.pop(clip, None)
    _marked.add(clip)


def follow(poller: Callable[[], PollerHandle], running: bool) -> None:
    """Ask for what is marked and not known; the engine is started for what was marked in this session, or `running`."""
    for scene in bpy.data.scenes:
        if scene.library or steps.locked(scene.understudy) or not scene.understudy.shot.strip_id:
            continue
        clip, now = project.shot_clip(scene.understudy.shot), time.monotonic()
        if clip in _known or now - _asked.get(clip, -AGAIN_SECONDS) < AGAIN_SECONDS:
            continue
        if running or (clip in _marked and not engine_setup.needed()):
            _asked[clip] = now
            poller().look_at(engine_python(), clip)


def learn(report: FootageReport) -> None:
    """Take in what the engine said; what it did not answer is asked again later."""
    if report.findings:
        _known[report.clip] = report.findings
        for old in list(_known)[:-KEPT]:
            del _known[old]


def of(shot: UnderstudyShot) -> list[protocol.Finding]:
    """What is known of the marked footage, by kind; empty while nothing is. Only reads: panels call it."""
    return _known.get(project.shot_clip(shot), []) if shot.strip_id else []


def forget() -> None:
    """The add-on ends."""
    for known in (_known, _asked, _marked):
        known.clear()
