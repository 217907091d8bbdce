"""What a dose-response cannot read or draw is said once, and a single dose is drawn without a warning."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from hexamer import Model, Network
from hexamer.data.formula import FormulaError, parse_formula
from hexamer.infer import dose_response, plots
from hexamer.infer.doses.amounts import doses_of
from hexamer.infer.doses.response import DoseResponse
from hexamer.models import compile_network


@pytest.fixture(scope="module")
def model() -> Model:
    """L decays from its dose at the rate 0.5 and makes R: R(t) = dose (1 - exp(-t/2))."""
    text = "model m\n species L, R; L = 0; R = 0; L -> R; 0.5*L;\nend\n"
    return compile_network(Network.from_antimony(text))


def read(model: Model, doses, observe: str = "R", **options) -> DoseResponse:
    return dose_response(
        model, "L", doses, **{"at": 2, "observe": observe, "preequilibrate": False, "progress": False, **options}
    )


def test_a_response_may_use_the_time(model: Model) -> None:
    """As a signal in problem.toml may."""
    found = read(model, [1.0, 2.0], observe="R*time + time^2").response.values.ravel()
    expected = 2 * np.array([1.0, 2.0]) * (1 - np.exp(-1)) + 4
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_a_reading_before_the_start_is_refused_once(model: Model) -> None:
    with pytest.raises(
        ValueError, match=r"read at -1 min, before the experiment starts at 0: read it later"
    ) as refusal:
        read(model, [1.0, 2.0, 3.0], at=-1)
    assert str(refusal.value).count("-1") == 1


@pytest.mark.parametrize(
    ("formula", "message"),
    [
        ("x**2", r"at column 2, '\*\*' has no meaning; write \^ for a power, as in x\^2"),
        ("x;y", r"at column 2, ';' has no meaning in a formula$"),
        ("max(x;y)", r"';' has no meaning in a formula; write a comma between the arguments"),
    ],
)
def test_what_to_write_in_a_formula(formula: str, message: str) -> None:
    with pytest.raises(FormulaError, match=message):
        parse_formula(formula)


@pytest.mark.parametrize("doses", [[1.0], [0.0], [0.0, 1.0]])
def test_a_single_dose_is_drawn_without_a_warning(model: Model, doses: list[float]) -> None:
    found = read(model, doses)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        (axes,) = plots.dose_response(found).axes
    low, high = axes.get_xlim()
    assert low < min(doses) <= max(doses) < high or (low < high and len(doses) > 1)


def test_doses_stand_as_they_were_given(model: Model) -> None:
    given = doses_of(model, "L", "0, 0.1:100:16 ng/ml", molar_mass="21.3 kDa").given
    assert given[[0, 1, -1]].tolist() == [0.0, 0.1, 100.0]
    found = read(model, "0.3, 3, 7 ng/ml", molar_mass="6.1 kDa").table()
    assert found["dose"].tolist() == [0.3, 3.0, 7.0]
