"""The table of `docs/sbml.md` has the figures that `benchmarks.sbml_peers` measured, and the words of our errors."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from benchmarks.sbml_peers import measured_rows

pytestmark = pytest.mark.tier("check")

ROOT = Path(__file__).parents[3]
DOCUMENT = (ROOT / "docs/sbml.md").read_text()
REPORT = json.loads((ROOT / "benchmarks/results/sbml_peers.json").read_text())


def test_measured_columns() -> None:
    missing = [row for row in measured_rows(REPORT) if f"\n{row} " not in DOCUMENT]
    assert not missing, "these rows are not in docs/sbml.md:\n" + "\n".join(missing)


def test_versions() -> None:
    versions = REPORT["versions"]
    assert f"libroadrunner {versions['roadrunner']}" in DOCUMENT
    assert f"COPASI {versions['COPASI']}" in DOCUMENT


def test_the_text_has_the_counts_of_all_cases() -> None:
    kinds = [kind for kind, _ in REPORT["reasons"]["hexamer"].values()]
    right, others = kinds.count("right"), len(kinds) - kinds.count("right")
    assert "wrong" not in kinds
    text = " ".join(DOCUMENT.split())
    assert f"{len(kinds)} cases of the SBML semantic test suite" in text
    assert f"{right} are right within the suite's tolerances, and {others} are refused by name" in text
