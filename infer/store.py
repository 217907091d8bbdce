"""Draws on disk as they come, so that a killed run resumes draw for draw."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from zipfile import BadZipFile

import numpy as np


class StoreError(ValueError):
    """A folder of draws that cannot be written, or that belongs to another run."""


class Store:
    """A folder that holds what a run is (`run.json`) and its chunks (`chunk-00000.npz`, …).

    A chunk holds the draws and statistics of all chains since the last one, and the sampler's whole state after it.
    Each file appears complete or not at all.
    """

    def __init__(self, folder: str | Path):
        self.folder = Path(folder)
        self._count = 0  # chunks that this run knows of

    def open(self, run: Mapping[str, object]) -> int:
        """Begins or resumes the run described by `run`; the number of chunks already there.

        Raises `StoreError` where the folder cannot be written, or holds another run, naming what differs.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._replace("run.json.check", b"")
            (self.folder / "run.json.check").unlink()
        except OSError as error:
            raise StoreError(f"cannot write to {self.folder}: {error.strerror or error}") from None
        path = self.folder / "run.json"
        text = json.dumps(run, indent=1, sort_keys=True)
        if path.exists():
            try:
                old = json.loads(path.read_text())
            except (json.JSONDecodeError, UnicodeDecodeError):
                raise StoreError(f"{path} is not readable: remove the folder to begin anew") from None
            if not isinstance(old, dict):
                raise StoreError(f"{path} is not readable: remove the folder to begin anew")
            new = json.loads(text)
            differ = sorted(k for k in {*old, *new} if old.get(k) != new.get(k))
            if differ:
                said = "; ".join(f"{k} was {_short(old.get(k))}, now {_short(new.get(k))}" for k in differ)
                raise StoreError(
                    f"{self.folder} holds draws of another run ({said}): choose another folder, or remove it"
                )
        else:
            self._replace("run.json", text.encode())
        self._count = len(self.chunks())
        return self._count

    def chunks(self) -> list[Path]:
        """The chunks without a gap, in order."""
        found = []
        while (path := self._path(len(found))).exists():
            found.append(path)
        return found

    def append(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Writes the next chunk."""
        path = self._path(self._count)
        with tempfile.NamedTemporaryFile(dir=self.folder, suffix=".part", delete=False) as file:
            np.savez(file, **arrays)  # pyright: ignore[reportArgumentType]
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(file.name, path)  # unlike a rename, fails where the chunk is there already
        except FileExistsError:
            raise StoreError(f"another process writes to {self.folder}: stop one of the two") from None
        finally:
            os.unlink(file.name)
        self._count += 1

    def load(self, index: int) -> dict[str, np.ndarray]:
        """One chunk's arrays; `StoreError` where the file is damaged."""
        path = self._path(index)
        try:
            with np.load(path) as file:
                return {k: file[k] for k in file.files}
        except (OSError, ValueError, EOFError, BadZipFile) as error:
            raise StoreError(
                f"{path} is damaged ({error}): remove it and the chunks after it to resume before it"
            ) from None

    def _path(self, index: int) -> Path:
        return self.folder / f"chunk-{index:05d}.npz"

    def _replace(self, name: str, content: bytes) -> None:
        part = self.folder / f"{name}.part"
        part.write_bytes(content)
        os.replace(part, self.folder / name)


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "…"
