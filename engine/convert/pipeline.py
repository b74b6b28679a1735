"""Stages that run beside one another: each a generator in a thread of its own, a few items ahead of the next."""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Generator, Iterable
from typing import TypeVar

T = TypeVar("T")
_POLL_SECONDS = 0.2
"""Seconds after which a thread that waits looks whether it is still wanted."""


class _End:
    def __init__(self, error: BaseException | None) -> None:
        self.error = error


@contextlib.contextmanager
def prefetch(items: Iterable[T], depth: int = 1) -> Generator[Iterable[T], None, None]:
    """`items`, made in a thread while the caller works on those before, at most `depth` waiting.

    An error in the thread is raised where the items are taken. On leaving, the thread is told to stop and
    waited for: it ends after the item that it is making.
    """
    waiting: queue.Queue[T | _End] = queue.Queue(depth)
    stop = threading.Event()

    def put(item: T | _End) -> bool:
        while not stop.is_set():
            with contextlib.suppress(queue.Full):
                waiting.put(item, timeout=_POLL_SECONDS)
                return True
        return False

    def make() -> None:
        error: BaseException | None = None
        iterator = iter(items)
        try:
            for item in iterator:
                if not put(item):
                    break
        except BaseException as raised:
            error = raised
        finally:
            if isinstance(iterator, Generator):
                iterator.close()
        put(_End(error))

    def take() -> Generator[T, None, None]:
        while True:
            try:
                item = waiting.get(timeout=_POLL_SECONDS)
            except queue.Empty:
                if stop.is_set():
                    return
                continue
            if isinstance(item, _End):
                if item.error is not None:
                    raise item.error
                return
            yield item

    thread = threading.Thread(target=make, name="understudy-stage", daemon=True)
    thread.start()
    try:
        yield take()
    finally:
        stop.set()
        thread.join()
