"""What the system refuses, as a sentence that says what to do. Standard library only."""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path

from .errors import UnderstudyError
from .reading import NO_FILE

NO_MEMORY = "{} has no memory left for this job. Close other programs that use it, or choose a smaller preset."
LACKING = (
    "could not create a primitive",  # oneDNN, of its kernels and their buffers
    "could not create a memory",
    "can't allocate memory",  # torch, on the processor
    "can't start new thread",  # Python: a thread needs room for its stack
    "Resource temporarily unavailable: 'avcodec_open2",  # FFmpeg, of its threads
    "Resource temporarily unavailable: 'avcodec_send_packet",
    "MemoryError",  # a child process's
    "Insufficient memory",  # OpenCV
    "failed to map segment from shared object",  # the loader, of a library
    "Cannot allocate memory",
    "std::bad_alloc",
)
"""Parts of the messages by which libraries tell of a lack of memory, in exceptions of other names."""


FEW_FILES = (
    "Understudy may not open as many files at once as it needs (ulimit -n of the terminal or service that starts it). "
    "Allow 1024 or more, and run the same command again."
)
FULL_SYSTEM = "Too many files are open on this computer. Close other programs, and run the same command again."
FEW_FILES_TEXT = "Too many open files"
"""What strerror(3) says of EMFILE, in messages of libraries and child processes."""


def lacks_memory(error: BaseException) -> bool:
    """Whether an exception tells of a lack of this computer's memory."""
    if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno == errno.ENOMEM):
        return True
    if isinstance(error, UnderstudyError):
        return False  # a sentence of ours, which may hold any file's name
    return isinstance(error, Exception) and tells_of_memory(str(error))


def tells_of_memory(text: str) -> bool:
    """Whether what a library or a child process says tells of a lack of this computer's memory."""
    return any(part in text for part in LACKING)


def of_child(said: str) -> str:
    """The sentence for a lack that a child process tells of, empty where it tells of none."""
    if tells_of_memory(said):
        return NO_MEMORY.format("This computer")
    return FEW_FILES if FEW_FILES_TEXT in said else ""


def lacks_graphics_memory(error: BaseException) -> bool:
    """Whether an exception tells of a lack of the graphics card's memory."""
    torch = sys.modules.get("torch")  # whoever has not loaded it has met no error of its own
    return torch is not None and isinstance(error, getattr(torch, "OutOfMemoryError", ()))


def of_lack(error: BaseException) -> str:
    """The sentence for an error of memory or of too few open files, or for one that was met because of it, whatever
    that blames; empty for another one."""
    if lacks_graphics_memory(error):
        return NO_MEMORY.format("The graphics card")
    met: BaseException | None = error
    while met is not None:
        if lacks_memory(met):
            return NO_MEMORY.format("This computer")
        if sentence := _of_files(met):
            return sentence
        met = met.__cause__ or met.__context__
    return ""


def _of_files(error: BaseException) -> str:
    """The sentence for an error that tells that no more files can be opened."""
    if isinstance(error, OSError) and error.errno == errno.ENFILE:
        return FULL_SYSTEM
    if isinstance(error, OSError) and error.errno == errno.EMFILE:
        return FEW_FILES
    ours = isinstance(error, UnderstudyError) or not isinstance(error, Exception)
    return "" if ours or FEW_FILES_TEXT not in str(error) else FEW_FILES


def of_file(error: OSError) -> str:
    """The sentence for a file or folder that cannot be read or written."""
    name = error.filename2 or error.filename
    what = os.fsdecode(name) if isinstance(name, str | bytes | os.PathLike) else "A file"
    reason = error.strerror or str(error) or type(error).__name__
    match error.errno:
        case errno.ENOSPC | errno.EDQUOT:
            return "The disk is full. Make room, or choose another place, and run the same command again."
        case errno.EACCES | errno.EPERM | errno.EROFS:
            return f"{what} may not be written or read. Change its permissions, or choose another folder."
        case errno.ENOTDIR:
            return f"{what} lies below something that is no folder. Choose another place."
        case errno.EEXIST:
            return f"{what} is there already, and is not what is needed there. Remove it, or choose another place."
        case errno.EINVAL if reason == NO_FILE:
            return f"{what} is {NO_FILE}. Choose a file."
        case errno.EISDIR:
            return f"{what} is a folder, where a file is needed. Name a file."
        case errno.ELOOP:
            if _is_link(Path(what)):  # where none is followed
                return f"{what} is a link, where a file of Understudy's own is needed. Remove the link."
            return f"{what} leads in a circle of links. Remove one of them, or choose another place."
        case errno.ENAMETOOLONG:
            return f"The name {what[:100]}… is longer than file systems take. Choose a shorter one."
        case errno.ENOENT:
            return f"{what} is not there. Check the path, or whether the disk is connected."
        case errno.EMFILE | errno.ENFILE:
            return _of_files(error)
    return f"{what} cannot be read or written ({reason}). Check the disk, or choose another place."


def _is_link(path: Path) -> bool:
    """Whether a path is a link, and none that leads in a circle."""
    try:
        path.stat()
    except OSError as error:
        return error.errno == errno.ENOENT and path.is_symlink()
    return path.is_symlink()
