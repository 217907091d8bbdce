"""Soluble receptors in the serum of patients, and how much they vary from one to the other."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from importlib.resources import files

from ..variation import Spread


def _read() -> dict[str, Spread]:
    text = (files(__package__) / "serum.csv").read_text(encoding="utf-8")
    rows = csv.DictReader(text.splitlines(), strict=True)
    return {r["species"]: Spread(float(r["sd"]) / float(r["mean"]), f"{r['mean']} {r['unit']}") for r in rows}


SERUM: Mapping[str, Spread] = _read()
"""By species: added to cells, or what serum holds (`sIL6R_0`) in a model of it. Sources are in `serum.csv`."""
