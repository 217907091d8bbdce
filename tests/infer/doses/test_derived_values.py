"""Dose responses of problems whose protocols set values by formulas of parameters, as PEtab v2 allows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from hexamer import load_problem
from hexamer.infer import Ensemble, Spread, dose_response
from support.petab_problem import write_problem
from support.posteriors import tree_of

pytestmark = pytest.mark.tier("check")

TABLES = {
    "parameters": "parameterId lowerBound upperBound nominalValue estimate\nk1 0.01 10 0.8 true",
    "measurements": "observableId experimentId time measurement\nobs_a e1 0 0.7\nobs_a e1 4 0.1",
    "conditions": "conditionId targetId targetValue\nc1 k2 2*k1\nc2 k2 3*k1",
}
EXPERIMENTS = {  # the same formula at each start; another one before it
    "at the start": "experimentId time conditionId\ne1 0 c1",
    "in the pre-equilibration": "experimentId time conditionId\ne1 -inf c1\ne1 0 c2",
}
DOSES = np.array([0.5, 1.0, 2.0])  # of A, which is 1 in all


def posterior(folder: Path, experiments: str) -> xr.DataTree:
    return tree_of(load_problem(write_problem(folder, {**TABLES, "experiments": EXPERIMENTS[experiments]})))


def right(experiments: str, k1: np.ndarray) -> np.ndarray:
    """B at 3, by draw and dose."""
    if experiments == "at the start":
        return (1 + DOSES) / 3 * (1 - np.exp(-9 * k1))
    steady = (1 + DOSES) / 4
    return steady + (1 / 3 - steady) * np.exp(-12 * k1)


@pytest.mark.parametrize(
    "experiments", [pytest.param("at the start", marks=pytest.mark.tier("slow")), [*EXPERIMENTS][1]]
)
@pytest.mark.tier("test")
def test_formulas_have_the_values_of_each_draw(experiments: str, tmp_path: Path) -> None:
    tree = posterior(tmp_path, experiments)
    k1 = tree["posterior"].dataset["k1"].values.reshape(-1, 1)
    response = dose_response(tree, "A", DOSES, at=3.0, observe="B", progress=False).data["response"]
    np.testing.assert_allclose(response.values.reshape(len(k1), -1), right(experiments, k1), rtol=1e-5)


def test_a_condition_that_changes_what_a_formula_uses_is_refused(tmp_path: Path) -> None:
    """The formula's value would stay as it was without the condition."""
    tree = posterior(tmp_path, "at the start")
    message = r"condition 'fast' changes k1, and the problem that was fitted sets k2 to 2\*k1: give k2 a value"
    with pytest.raises(ValueError, match=message):
        dose_response(tree, "A", DOSES, at=3.0, observe="B", conditions={"fast": {"k1": 2.0}}, progress=False)


def test_what_varies_is_not_overwritten_by_the_fitted_problem(tmp_path: Path) -> None:
    ensemble = Ensemble.from_posterior(posterior(tmp_path, "at the start")).vary({"k2": Spread(cv=0.3)}, size=2)
    with pytest.raises(ValueError, match="k2 varies, and the problem that was fitted sets it, for all members alike"):
        dose_response(ensemble, "A", DOSES, at=3.0, observe="B", progress=False)


def test_a_steady_state_after_periods_is_not_how_cells_start(tmp_path: Path) -> None:
    """A row at time inf has a protocol that begins with the end of the periods before."""
    tables = {
        "experiments": "experimentId time conditionId\ne1 0 c1\ne1 5 c2",
        "measurements": "observableId experimentId time measurement\nobs_a e1 inf 0.7",
    }
    problem = load_problem(write_problem(tmp_path, {**TABLES, **tables}))
    assert problem.dataset.continued
    cells = Ensemble.from_posterior(tree_of(problem)).cells()
    assert cells.preequilibration is None
    assert not cells.why_unknown
    assert cells.common == {"k2": "2*k1"}
