"""Where the published data are, and a reason to skip where they are not."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

_BESIDE = Path(__file__).resolve().parents[2] / "shared" / "data"

if "HEXAMER_DATA" not in os.environ and _BESIDE.is_dir():
    os.environ["HEXAMER_DATA"] = str(_BESIDE)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of published data that HEXAMER_DATA names; an empty variable means that there is none."""
    root = os.environ.get("HEXAMER_DATA", "")
    if not root:
        pytest.skip("published data are absent: set HEXAMER_DATA to the folder that holds hepg2/, petab/ and so on")
    if not Path(root).is_dir():
        pytest.skip(f"published data are absent: HEXAMER_DATA is {root!r}, which is no folder")
    return Path(root)
