"""Kinds of output paths: a file, a link to one, a device, a pipe or an open descriptor."""

from __future__ import annotations

import os
import re
from pathlib import Path

_MOST_LINKS = 40  # as Linux follows


def file_behind(path: Path) -> Path:
    """The file that is to be replaced where `path` is written: a link's target, else `path` itself."""
    return Path(os.path.realpath(path)) if path.is_symlink() else path


def is_stream(path: Path) -> bool:
    """True if `path` is a device, a pipe or a descriptor, which cannot be replaced by a file."""
    return _descriptor(path) is not None or (path.exists() and not path.is_file() and not path.is_dir())


def write_stream(path: Path, content: bytes) -> None:
    """Writes to a device, a pipe or a descriptor as it is. Raises `OSError`."""
    descriptor = _descriptor(path)
    # A descriptor that is opened anew would begin at the start of its file.
    opened = os.open(path, os.O_WRONLY) if descriptor is None else os.dup(descriptor)
    with open(opened, "wb") as file:
        file.write(content)


def _descriptor(path: Path) -> int | None:
    """The number of this process's descriptor that `path` names, as /dev/stdout does."""
    for _ in range(_MOST_LINKS):
        path = Path(os.path.realpath(path.parent)) / path.name
        if match := re.fullmatch(rf"/proc/{os.getpid()}/fd/(\d+)", str(path)):
            return int(match[1])
        if not path.is_symlink():
            return None
        path = path.parent / os.readlink(path)
    return None


__all__ = ["file_behind", "is_stream", "write_stream"]
