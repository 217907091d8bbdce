"""Errors of the library and of the system, in the words of the command line."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator, Mapping


@contextlib.contextmanager
def pointing_to(options: Mapping[type[Exception], str]) -> Iterator[None]:
    """Adds the option that is the way out to errors of the library."""
    try:
        yield
    except tuple(options) as error:
        option = next(text for kind, text in options.items() if isinstance(error, kind))
        raise ValueError(f"{error} (option {option})") from None


def of_output(error: OSError) -> str:
    """An error that names no file, as those of writing to the standard output do."""
    if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO):
        return str(error)
    try:
        path = os.readlink("/proc/self/fd/1")
    except OSError:  # not on this system
        path = "the standard output"
    return f"cannot write to {path}: {(error.strerror or str(error)).lower()}; make room there, or write elsewhere"


__all__ = ["of_output", "pointing_to"]
