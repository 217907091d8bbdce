"""Ctrl-C ends the command line at once, whatever JAX, a compiler or a thread is at."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_UNFINISHED = "its result is not complete"
EXIT = 130  # as shells say it of what SIGINT ended
_left: Callable[[], str] = lambda: _UNFINISHED  # noqa: E731


def leaves(words: Callable[[], str]) -> None:
    """Has `words` say, if the command is interrupted from now on, what it has left on disk."""
    global _left
    _left = words


@contextmanager
def ends_at_once() -> Iterator[None]:
    """Within, SIGINT ends the process with status 130: half-written files are removed, and what is left is said.

    Python's own way, an exception in the main thread, comes late or never: it waits until compiled code returns, and
    JAX swallows it in callbacks of its own. Here the signal wakes a thread, which ends the process. No file is torn,
    as each is written beside its place and then renamed.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may handle signals
        return
    read, write = os.pipe()
    os.set_blocking(write, False)
    handler = signal.signal(signal.SIGINT, lambda *_: None)
    wakeup = signal.set_wakeup_fd(write, warn_on_full_buffer=False)
    watcher = threading.Thread(target=_watch, args=(read,), daemon=True)
    watcher.start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(wakeup)
        signal.signal(signal.SIGINT, handler)
        leaves(lambda: _UNFINISHED)
        os.close(write)
        watcher.join()
        os.close(read)


def end() -> None:
    """Ends the process as interrupted."""
    from .infer.files import remove_parts

    remove_parts()
    try:
        words = _left()
    except Exception as error:  # any: the process ends whatever its files are like
        words = f"what is on disk cannot be said: {error}"
    # Not through Python's streams: the main thread may hold their locks.
    os.write(2, f"\ninterrupted; {words}\n".encode())
    os._exit(EXIT)


def _watch(read: int) -> None:
    while received := os.read(read, 1):
        if received[0] == signal.SIGINT:
            end()
