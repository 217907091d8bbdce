"""Published data that the user keeps: found through HEXAMER_DATA, never bundled."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from ..errors import HexamerError

VARIABLE = "HEXAMER_DATA"


class DataNotFound(HexamerError, FileNotFoundError):
    """Published data are not where HEXAMER_DATA says; the message tells what they are and how to put them."""


@dataclass(frozen=True)
class Published:
    """Published tables that the user has to provide.

    Parameters
    ----------
    folder : str
        The folder in HEXAMER_DATA that holds them.
    reference : str
        Who published them.
    files : tuple of str
        Files that the folder has to hold.
    """

    folder: str
    reference: str
    files: tuple[str, ...] = ("measurements.csv", "priors.csv")

    def locate(self) -> Path:
        """The folder with all files. Raises `DataNotFound`."""
        root = os.environ.get(VARIABLE, "")
        if not root:
            raise DataNotFound(self._message(f"{VARIABLE} is not set"))
        folder = Path(root).expanduser() / self.folder
        missing = [f for f in self.files if not (folder / f).is_file()]
        if missing:
            raise DataNotFound(self._message(f"{VARIABLE} is {root!r}, where {self.folder}/{missing[0]} is missing"))
        return folder

    def _message(self, reason: str) -> str:
        layout = "\n".join(f"    ${VARIABLE}/{self.folder}/{f}" for f in self.files)
        return (
            f"the data of {self.folder!r} are published, and hexamer does not contain them: {reason}.\n"
            f"  Published: {self.reference}\n"
            f"  Set {VARIABLE} to a folder of yours that is laid out as\n{layout}"
        )
