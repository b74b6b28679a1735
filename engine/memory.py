"""Whether there is room for the libraries, and what becomes of memory that is free again: kept for the next tensors, or
given back to the system."""

from __future__ import annotations

import ctypes
import functools
import mmap
import sys
from collections.abc import Callable

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3
"""Numbers of mallopt's parameters (malloc.h)."""
KEPT = 1 << 30
"""Bytes below which a freed block stays with the process."""

NEEDED = 1400 << 20
"""Bytes of address space that the libraries take that are not loaded before, and the smallest scan needs a little more:
1.8 GB in all. With less some of them end the process as they are loaded, and nobody can say why."""


LITTLE = 160 << 20
"""The same of NumPy alone."""


def require_room(needed: int = NEEDED) -> None:
    """Raise OSError (ENOMEM) when this process may not map as much as the libraries take, under `ulimit -v` say.

    OpenBLAS, which NumPy and SciPy bring, asks for its buffers again and again until it gets them: as it is loaded it
    would spin in the kernel for ever, and hear no signal.
    """
    if sys.platform != "win32" and "torch" not in sys.modules:
        # nothing may be done with these pages, so that no system counts them as promised
        mmap.mmap(-1, needed, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, prot=0).close()


def keep_memory() -> bool:
    """Let glibc reuse freed blocks of megabytes; whether it could be told (only Linux with glibc can).

    By default every such block is mapped anew and given back at once, and the system fills each of its pages with
    zeros first: on a processor, a batch of 16 pictures took two to three times as long as one by one for that alone.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):  # another C library
        return False
    return all(mallopt(ctypes.c_int(name), ctypes.c_int(KEPT)) == 1 for name in (MMAP_THRESHOLD, TRIM_THRESHOLD))


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
