"""Files that appear whole or not at all, and that know whether they are still what was written."""

from __future__ import annotations

import hashlib
import os
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ...errors import HexamerError
from .destination import file_behind, is_stream, write_stream

_SEAL = b"\nsha256:"
_LENGTH = len(_SEAL) + 64 + 1
_parts: set[Path] = set()  # being written now, by any thread


class FileError(HexamerError, ValueError):
    """A file cannot be written or read; the message names the file and what to do."""


@contextmanager
def replacing(path: str | Path, what: str = "") -> Iterator[Path]:
    """A name to write to. Once written, that file takes the place of `path`; if anything fails, it goes.

    So a reader sees the old file or the new one, never a part. A link stays, and the file behind it is replaced; a
    device or a pipe is written to. Raises `FileError` if the file (`what` it is, for the message) cannot be written.
    """
    path = Path(path)
    stream = is_stream(path)
    target = file_behind(path)
    beside = Path(tempfile.gettempdir()) / path.name if stream else target
    part = beside.with_name(f".{beside.name}.{os.getpid()}-{threading.get_ident()}.part")
    _parts.add(part)
    try:
        part.parent.mkdir(parents=True, exist_ok=True)
        yield part
        if stream:
            write_stream(path, part.read_bytes())
        else:
            _sync(part)
            os.replace(part, target)
    except OSError as error:
        elsewhere = "choose a folder that you may write to, with room on its disk, or make room on this one"
        way_out = "name a file instead" if stream else elsewhere
        raise FileError(f"cannot write {what}{str(path)!r}: {reason(error)}; {way_out}") from error
    finally:
        with suppress(OSError):
            part.unlink()
        _parts.discard(part)


def write(path: str | Path, content: str | bytes) -> None:
    """Writes a whole file, as `replacing` does."""
    with replacing(path) as part:
        part.write_bytes(content.encode() if isinstance(content, str) else content)


def remove_parts() -> None:
    """Removes what is half written, for a process that is about to end."""
    for part in list(_parts):
        with suppress(OSError):
            part.unlink()


def remove_stale_parts(folder: Path) -> None:
    """Removes what killed runs left half written in `folder`; only for who has locked it."""
    for part in folder.glob("*.part"):
        if part not in _parts:
            with suppress(OSError):
                part.unlink()


def seal(part: Path) -> None:
    """Appends a checksum to a file. Readers of NetCDF, HDF5 and NumPy's archives do not mind what follows the end."""
    with part.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    with part.open("ab") as file:
        file.write(_SEAL + digest.encode() + b"\n")


def broken(path: Path) -> str | None:
    """What is wrong with a sealed file: it is `cut short` or `altered`; None if it is as it was written."""
    size = path.stat().st_size
    with path.open("rb") as file:
        content = hashlib.sha256()
        left = max(size - _LENGTH, 0)
        while left:
            block = file.read(min(left, 2**20))
            if not block:
                return "it is cut short"
            content.update(block)
            left -= len(block)
        end = file.read()
    if size < _LENGTH or not end.startswith(_SEAL) or not end.endswith(b"\n"):
        return "it is cut short, or its end is altered"
    if end[len(_SEAL) : -1] != content.hexdigest().encode():
        return "its checksum does not match its content"
    return None


def sealed(path: Path) -> bool:
    """Whether a file ends with a checksum, right or wrong."""
    with path.open("rb") as file:
        file.seek(max(path.stat().st_size - _LENGTH, 0))
        return file.read().startswith(_SEAL)


def reason(error: Exception) -> str:
    """Why a file could not be read or written, in one line."""
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return " ".join(text.split())


def _sync(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())
