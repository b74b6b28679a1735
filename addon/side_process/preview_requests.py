"""Asks the engine for preview frames, one at a time, always the newest one wanted. No bpy; never inside Blender.

A preview may take a second, and its first one waits for a model to load; the poller's thread has jobs to watch.
The rules are the poller's: requests in, answers out through a queue, nothing else shared, nothing waits for it.
"""

from __future__ import annotations

import threading
from collections.abc import Hashable
from pathlib import Path
from queue import SimpleQueue

from ...engine import protocol
from ...engine.protocol import http_client
from ..engine_link.reports import Faces, Picture
from ..state import face_boxes
from . import launcher


class Previewer:
    """Owns the thread, which puts its answers into `answers`. All public methods return at once."""

    def __init__(self, answers: SimpleQueue) -> None:
        self.answers = answers
        self._changed = threading.Condition()
        self._wanted: tuple[Hashable, protocol.PreviewSpec] | None = None
        self._folders: list[tuple[Hashable, str]] = []
        self._engine: http_client.Address | None = None
        threading.Thread(target=self._run, name="understudy previewer", daemon=True).start()

    def want(self, key: Hashable, spec: protocol.PreviewSpec) -> None:
        """Ask for a frame; one that was wanted before and is not under way yet is dropped."""
        with self._changed:
            self._wanted = (key, spec)
            self._changed.notify()

    def want_faces(self, key: Hashable, folder: str) -> None:
        """Read who is where in a scan folder."""
        with self._changed:
            self._folders.append((key, folder))
            self._changed.notify()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._wanted or self._folders)
                folders, self._folders = self._folders, []
                wanted, self._wanted = self._wanted, None
            for key, folder in folders:
                self.answers.put(Faces(key=key, faces=face_boxes.read(folder)))
            if wanted:
                self.answers.put(self._ask(*wanted))

    def _ask(self, key: Hashable, spec: protocol.PreviewSpec) -> Picture:
        for attempt in (1, 2):
            try:
                if self._engine is None:
                    found = launcher.running()
                    if found is None:
                        return Picture(key=key, engine_gone=True)
                    self._engine = found[0]
                result = http_client.preview(self._engine, spec)
                if not Path(result.path).is_file():
                    return Picture(key=key, error="The engine's preview picture is not where it said.")
                return Picture(key=key, path=result.path, steps=result.steps, seconds=result.seconds)
            except http_client.EngineSlow as error:
                return Picture(key=key, error=str(error))
            except http_client.EngineGone:
                self._engine = None  # restarted elsewhere: once more at its new address
            except http_client.Refused as error:
                if error.status == 409:  # another Blender asked for a newer one
                    return Picture(key=key, dropped=True)
                self._engine = None
                if error.status != 401 or attempt == 2:
                    return Picture(key=key, error=str(error))
            except Exception as error:  # the thread must live on, and the user must hear of it
                return Picture(key=key, error=f"The preview failed: {error!r}.")
        return Picture(key=key, engine_gone=True)
