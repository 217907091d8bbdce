"""What a case of PEtab's test suites states, of v1 and v2 alike."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from hexamer.data.petab import read_petab
from hexamer.infer.problem.evaluation import Evaluation


def check_case(path: Path, result: Evaluation, expected: Mapping[str, Any]) -> None:
    """The likelihood, chi-squared and simulations of the case whose YAML file is `path`, within its tolerances."""
    assert not result.failed
    assert result.log_likelihood == pytest.approx(expected["llh"], abs=expected["tol_llh"])
    assert result.chi2 == pytest.approx(expected["chi2"], abs=expected["tol_chi2"])
    table = pd.read_csv(path.parent / "_simulations.tsv", sep="\t")
    rows = [(m.observable, m.time) for m in read_petab(path).measurements]
    assert rows == list(zip(table["observableId"], table["time"], strict=True))
    simulated = table["simulation"].to_numpy()
    np.testing.assert_allclose(result.predictions, simulated, rtol=0, atol=expected["tol_simulations"])
