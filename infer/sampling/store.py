"""Draws on disk as they come, so that a killed run resumes draw for draw."""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from ..problem.identity import SAMPLER, differences, run_id
from ..storage.files import FileError, broken, reason, remove_stale_parts, replacing, seal, sealed, write
from ..storage.lock import locked

RUN = "run.json"
_CHUNK = re.compile(r"chunk-(\d{5,})\.npz")


class StoreError(FileError):
    """A folder of draws that cannot be written, is damaged, or belongs to another run."""


class Store:
    """A folder that holds what a run is (`run.json`) and its chunks (`chunk-00000.npz`, …).

    A chunk holds the draws and statistics of all chains since the last one, and the sampler's whole state after it;
    also the hash of its run, its number, and a checksum. Each file appears complete or not at all.
    """

    def __init__(self, folder: Path, identity: Mapping[str, object], count: int):
        self.folder, self.count = folder, count
        self._id = run_id(identity)

    @staticmethod
    @contextmanager
    def open(folder: str | Path, identity: Mapping[str, object]) -> Iterator[Store]:
        """Begins or resumes a run; `count` chunks are there already. Other processes are kept out until it is closed.

        Raises `StoreError` if the folder cannot be written, lacks a chunk, or holds another run, naming what differs;
        `LockedError` if another process is at work there.
        """
        folder = Path(folder)
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(f"cannot write to {folder}: {reason(error)}") from None
        with locked(folder):
            remove_stale_parts(folder)
            numbers = chunk_numbers(folder)
            if (folder / RUN).exists():
                check_run(folder, identity)
            else:
                content = {"id": run_id(identity), "identity": identity}
                write(folder / RUN, json.dumps(content, indent=1, sort_keys=True))
            if gap := set(range(len(numbers))) - set(numbers):
                missing, later = (_name(n) for n in (min(gap), min(n for n in numbers if n > min(gap))))
                raise StoreError(
                    f"{missing} is missing from {folder}, though {later} is there: put it back, or remove {later} and "
                    "the chunks after it to resume before the gap"
                )
            yield Store(folder, identity, len(numbers))

    def append(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Writes the next chunk."""
        path = self.folder / _name(self.count)
        if path.exists():  # a file system without locks
            raise StoreError(f"another process writes to {self.folder}: stop one of the two")
        save_arrays(path, {**arrays, "run": np.array(self._id), "number": np.array(self.count)})
        self.count += 1

    def load(self, number: int) -> dict[str, np.ndarray]:
        """One chunk's arrays; `StoreError` if the file is damaged, or another run's."""
        path = self.folder / _name(number)
        way_out = "remove it and the chunks after it to resume before it"
        arrays = load_arrays(path, way_out)
        run, stored_number = str(arrays.pop("run", None)), arrays.pop("number", None)
        if run != self._id:
            raise StoreError(f"{path} belongs to another run: put this run's back, or {way_out}")
        if stored_number != number:
            raise StoreError(
                f"{path} is chunk {stored_number} of this run, not {number}: put the right one back, or {way_out}"
            )
        return arrays


def chunk_numbers(folder: Path) -> list[int]:
    """The numbers of the chunks in a folder, in order."""
    matches = (_CHUNK.fullmatch(p.name) for p in folder.glob("chunk-*.npz"))
    return sorted(int(m[1]) for m in matches if m)


def sampler_name(folder: Path) -> str:
    """The name of the sampler whose run a folder holds; empty if it cannot be read."""
    try:
        return str(_json(folder / RUN)["identity"][SAMPLER]["name"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def check_run(folder: Path, identity: Mapping[str, object]) -> None:
    """Raises `StoreError` unless the `run.json` of a folder is of the same run."""
    path = folder / RUN
    try:
        stored = _json(path)
        old = stored.get("identity", stored)  # the earlier format was the bare identity
        if "id" in stored and stored["id"] != run_id(old):
            raise ValueError("its hash does not match its content")
    except (OSError, ValueError, AttributeError) as error:  # ValueError: also what JSON and Unicode raise
        raise StoreError(
            f"{path} is damaged ({reason(error)}): remove this one file; the draws beside it stay, and the same "
            "command resumes from them"
        ) from None
    refuse_another(folder, old, identity)


def _json(path: Path) -> dict[str, Any]:
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise ValueError(f"line {error.lineno} is not JSON") from None
    except UnicodeDecodeError:
        raise ValueError("it is not text") from None
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if not isinstance(stored, dict):
        raise ValueError("it does not hold what a run is")
    return stored


def refuse_another(folder: Path, old: Mapping[str, object], new: Mapping[str, object]) -> None:
    """Raises `StoreError`, naming what differs, if two identities are not those of one run."""
    # As a file gives it back: tuples are lists.
    if differ := differences(old, json.loads(json.dumps(new))):
        raise StoreError(f"{folder} holds another run ({'; '.join(differ)}): choose another folder, or remove it")


def save_arrays(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Writes named arrays as a sealed archive of NumPy's."""
    with replacing(path) as part:
        with part.open("wb") as file:
            np.savez(file, **arrays)  # pyright: ignore[reportArgumentType]
        seal(part)


def load_arrays(path: Path, way_out: str, *, unsealed: bool = False) -> dict[str, np.ndarray]:
    """The arrays of a sealed archive; `StoreError` with the way out if the file is damaged.

    `unsealed`: it may be of the earlier format, which had no checksum; its identity then says so.
    """
    try:
        wrong = None if unsealed and not sealed(path) else broken(path)
        if wrong is None:
            with np.load(io.BytesIO(path.read_bytes())) as file:
                return {k: file[k] for k in file.files}
    except (OSError, ValueError, EOFError, KeyError, BadZipFile) as error:
        wrong = reason(error)
    raise StoreError(f"{path} is damaged ({wrong}): {way_out}") from None


def digest(*arrays: np.ndarray) -> str:
    """A hash of numbers."""
    content = hashlib.sha256()
    for array in arrays:
        content.update(np.ascontiguousarray(array, dtype=float).tobytes())
    return content.hexdigest()[:16]


def _name(number: int) -> str:
    return f"chunk-{number:05d}.npz"


def writable(folder: Path) -> None:
    """Makes the folder; `StoreError` if it cannot be written."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"cannot write to {folder}: {reason(error)}") from None
    if not os.access(folder, os.W_OK):
        raise StoreError(f"cannot write to {folder}: permission denied")
