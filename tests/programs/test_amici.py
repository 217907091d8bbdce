"""AMICI, another code with another solver, finds our value and gradient. `make test-all` makes its environment."""

from __future__ import annotations

from pathlib import Path

import pytest
from benchmarks.amici_runs import find_python
from benchmarks.gradient import Comparison
from benchmarks.measures import ROOT, answer_of, gradient_error, module

pytestmark = pytest.mark.tier("programs")


@pytest.mark.usefixtures("shared_data")
def test_amici_finds_our_value_and_gradient(tmp_path: Path) -> None:
    assert find_python() is not None, "AMICI has no environment: call `make peers`"
    comparison = Comparison("hepg2", tmp_path, ROOT / "results" / "amici", with_amici=True)
    check = comparison.meta["reference_check"]
    assert check["method"] == "amici-forward"
    assert check["value_difference"] < 1e-10
    assert check["gradient_difference"] < 1e-6
    ours = answer_of(module("gradient_worker", comparison.file, "--method", "fused", "--reference", 1e-10))
    reference = comparison.case["reference"]
    p = [comparison.case["values"][n] for n in comparison.case["parameters"]]
    assert ours["value"] == pytest.approx(reference["value"], rel=1e-9)
    assert gradient_error(ours["gradient"], reference["gradient"], p) < 1e-6
