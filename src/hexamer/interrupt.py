"""Ctrl-C ends the command line at once, whatever JAX, a compiler or a thread is at."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

_UNFINISHED = "its result is not complete"
EXIT = 130  # as shells say it of what SIGINT ended
_ENDED = "the command had already ended"
_watching: list[threading.Thread] = []
_left: Callable[[], str] = lambda: _UNFINISHED  # noqa: E731


def leaves(words: Callable[[], str]) -> None:
    """Has `words` say, if the command is interrupted from now on, what it has left on disk."""
    global _left
    _left = words


def watch_command() -> None:
    """Ends the process at SIGINT from now on, to the end of the process, if it runs the `hexamer` command.

    Called before anything else is imported, which takes seconds. A program that imports hexamer keeps its own handlers.
    """
    if is_command() and _may_watch():
        _begin()


def is_command() -> bool:
    """True in a process that runs the `hexamer` command, by its script or by `python -m hexamer`."""
    started = [Path(part).stem for part in sys.orig_argv[1:2]]
    return started == ["hexamer"] or sys.orig_argv[1:3] in (["-m", "hexamer"], ["-m", "hexamer.cli"])


def _may_watch() -> bool:
    """Whether this thread may handle signals, and SIGINT is not ignored, as it is under nohup."""
    main = threading.current_thread() is threading.main_thread()
    return main and not _watching and signal.getsignal(signal.SIGINT) is not signal.SIG_IGN


@contextmanager
def ends_at_once() -> Iterator[None]:
    """Within, SIGINT ends the process with status 130: half-written files are removed, and what is left is said.

    Python's own way, an exception in the main thread, comes late or never: it waits until compiled code returns, and
    JAX swallows it in callbacks of its own. Here the signal wakes a thread, which ends the process. No file is torn,
    as each is written beside its place and then renamed. Where SIGINT is ignored, it stays so.
    """
    end_watching = _begin() if _may_watch() else _nothing
    try:
        yield
    finally:
        end_watching()
        leaves(lambda: _UNFINISHED if end_watching is not _nothing else _ENDED)


def _nothing() -> None:
    pass


def _begin() -> Callable[[], None]:
    """Starts to watch; what is returned ends it."""
    read, write = os.pipe()
    os.set_blocking(write, False)
    handler = signal.signal(signal.SIGINT, lambda *_: None)
    wakeup = signal.set_wakeup_fd(write, warn_on_full_buffer=False)
    watcher = threading.Thread(target=_watch, args=(read,), daemon=True)
    watcher.start()
    _watching.append(watcher)

    def finish() -> None:
        signal.set_wakeup_fd(wakeup)
        signal.signal(signal.SIGINT, handler)
        os.close(write)
        watcher.join()
        os.close(read)
        _watching.remove(watcher)

    return finish


def end() -> None:
    """Ends the process as interrupted."""
    # Not by an import, which would wait for the main thread's.
    remove_parts = getattr(sys.modules.get("hexamer.infer.storage.files"), "remove_parts", None)
    if remove_parts is not None:
        remove_parts()
    try:
        words = _left()
    except Exception as error:  # any: the process ends whatever its files are like
        words = f"what is on disk cannot be said: {error}"
    # Not through Python's streams: the main thread may hold their locks. It runs on, and has the last word no more.
    console = os.dup(2)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    os.write(console, f"\ninterrupted; {words}\n".encode())
    os._exit(EXIT)


def _watch(read: int) -> None:
    while received := os.read(read, 1):
        if received[0] == signal.SIGINT:
            end()
