"""Memory that is free again goes back to the system."""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Callable


def give_back() -> None:
    """Give the system the pages that nothing uses any more, where the C library keeps them for later (glibc).

    Threads that pass large arrays to one another leave holes in every one of its arenas: hundreds of megabytes after
    a minute of film, and ever more of them.
    """
    trim = _trim()
    if trim is not None:
        trim(0)


@functools.cache
def _trim() -> Callable[[int], int] | None:
    try:
        call: Callable[[int], int] = ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError, TypeError):  # another C library; Windows
        return None
    return call
