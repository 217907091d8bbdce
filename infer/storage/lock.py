"""One process at a time in a folder."""

from __future__ import annotations

import errno
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from .files import FileError, reason

try:
    import fcntl
except ImportError:  # Windows: a second process is then only found by the file that it writes first
    fcntl = None

_LOCK = ".lock"


class LockedError(FileError):
    """Another process is at work in the folder."""


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keeps other processes out of `folder`, until it ends or is killed. Raises `LockedError` if one is there."""
    path = folder / _LOCK
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise FileError(f"cannot write to {folder}: {reason(error)}") from None
    try:
        _take(descriptor, folder)
        with suppress(OSError):  # a full disk: the name of the holder is a courtesy
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"process {os.getpid()} on {platform.node()}".encode(), 0)
        yield
        with suppress(OSError):
            os.ftruncate(descriptor, 0)
    finally:
        os.close(descriptor)  # which also gives the lock back


def _take(descriptor: int, folder: Path) -> None:
    if fcntl is None:
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno not in (errno.EWOULDBLOCK, errno.EACCES):
            return  # this file system knows no locks
        holder = os.pread(descriptor, 200, 0).decode(errors="replace").strip()
        raise LockedError(
            f"another process writes to {folder}{f' ({holder})' if holder else ''}: wait until it has ended, stop it, "
            "or choose another folder"
        ) from None
