"""Compiled code on disk: JAX's persistent compilation cache in the user's cache folder, for a soon start next time.

The fused engine's C has a cache of its own, Warp's, in the same folder of the user.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import platform
import sys
import time
from functools import cache
from pathlib import Path

import jax

VARIABLE = "HEXAMER_CACHE"
OFF = ("off", "0", "no", "false")
_LEAST = 0.05  # seconds that a compilation takes, to be kept; JAX keeps what takes a second
_DEFAULT_LEAST = 1.0  # of JAX
_UNUSED = 60 * 86400.0  # seconds after which a file goes
_OF_JAX = ("-cache", "-atime")  # ends of the names of its files: a folder that the user named may hold others


@cache
def keep_compiled_code() -> None:
    """Lets JAX keep what it compiles in the user's cache folder, unless told otherwise; once per process.

    A folder that the user has given JAX (`jax_compilation_cache_dir`, JAX_COMPILATION_CACHE_DIR) stays. HEXAMER_CACHE
    names another folder, or is `off`. If the folder cannot be written, nothing is kept.
    """
    settings = jax.config
    if settings.jax_compilation_cache_dir is not None or not settings.jax_enable_compilation_cache:  # pyright: ignore[reportAttributeAccessIssue]
        return
    folder = cache_folder()
    if folder is None or not _writable(folder):
        return
    _remove_unused(folder)
    jax.config.update("jax_compilation_cache_dir", str(folder))
    if settings.jax_persistent_cache_min_compile_time_secs == _DEFAULT_LEAST:  # pyright: ignore[reportAttributeAccessIssue]
        jax.config.update("jax_persistent_cache_min_compile_time_secs", _LEAST)
    from jax.experimental.compilation_cache import compilation_cache

    compilation_cache.reset_cache()  # JAX may have compiled before, and found no folder


def cache_folder() -> Path | None:
    """The folder of this machine's code; None if HEXAMER_CACHE is off, or there is no home."""
    asked = os.environ.get(VARIABLE, "").strip()
    if asked.lower() in OFF:
        return None
    with contextlib.suppress(RuntimeError):  # of a user without a home
        return (Path(asked).expanduser() if asked else _of_user()) / "jax" / _machine()
    return None


def _of_user() -> Path:
    """Where this system keeps caches of programs."""
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "hexamer" / "Cache"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "hexamer"
    named = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(named) if os.path.isabs(named) else Path.home() / ".cache") / "hexamer"


def _machine() -> str:
    """A name for this kind of processor: a home that machines share must not hand code of one to another."""
    described = [platform.machine(), platform.processor()]
    with contextlib.suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
        described += sorted({x for x in lines if x.startswith(("flags", "Features", "model name", "CPU part"))})
    return hashlib.sha256("\n".join(described).encode()).hexdigest()[:12]


def _writable(folder: Path) -> bool:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return False
    return os.access(folder, os.W_OK | os.X_OK)


def _remove_unused(folder: Path) -> None:
    """Removes JAX's files that nobody has read for a long time, in the folders of other machines, too."""
    oldest = time.time() - _UNUSED
    with contextlib.suppress(OSError):
        for file in folder.parent.glob("*/*"):
            if not file.name.endswith(_OF_JAX):
                continue
            with contextlib.suppress(OSError):
                state = file.stat()
                if max(state.st_atime, state.st_mtime) < oldest:
                    file.unlink()


__all__ = ["cache_folder", "keep_compiled_code"]
