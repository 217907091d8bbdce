"""What a dose-response cannot read or draw is said once, and a single dose is drawn without a warning."""

from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np
import pytest

from hexamer import Model
from hexamer.data.formula import FormulaError, parse_formula
from hexamer.data.schedules import Input
from hexamer.infer import dose_response, plots
from hexamer.infer.doses.amounts import doses_of
from hexamer.infer.doses.cells import Cells
from hexamer.infer.doses.conditions import as_condition, design
from hexamer.infer.doses.result import DoseResponse
from hexamer.models import compile_network, read_antimony

pytestmark = pytest.mark.tier("check")


@pytest.fixture(scope="module")
def model() -> Model:
    """L decays from its dose at the rate 0.5 and makes R: R(t) = dose (1 - exp(-t/2))."""
    text = "model m\n species L, R; L = 0; R = 0; L -> R; 0.5*L;\nend\n"
    return compile_network(read_antimony(text))


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
    given = doses_of(model, "L", "0, 0.1:100:16 ng/ml", molar_mass="21.3 kDa").stated
    assert given[[0, 1, -1]].tolist() == [0.0, 0.1, 100.0]
    found = read(model, "0.3, 3, 7 ng/ml", molar_mass="6.1 kDa").table()
    assert found["dose"].tolist() == [0.3, 3.0, 7.0]


KNOWN = Input("L", "L", "add", "ng/ml", 1 / 6, "L", "nM", "6 kDa")


@pytest.mark.parametrize("given", ["1", "0, 1:10:3", ["1", "2"]])
def test_doses_without_a_unit(model: Model, given, caplog) -> None:
    """They were taken in nM without a word, where the problem that was fitted has them in ng/ml."""
    message = "doses of L have no unit: the problem that was fitted has them in ng/ml, and the model has L in nM: write"
    with pytest.raises(ValueError, match=message):
        doses_of(model, "L", given, known=KNOWN)
    assert not caplog.records
    doses_of(model, "L", given)
    assert "note: doses of L have no unit, and are taken in nM" in caplog.text


def test_doses_that_need_no_unit(model: Model, caplog) -> None:
    for given in ("0", [1.0, 2.0], "1 nM", 3.0):
        doses_of(model, "L", given, known=KNOWN)
    doses_of(model, "L", "1", known=replace(KNOWN, unit="nM", factor=1.0))
    assert "taken in nM" in caplog.text
    assert len(caplog.records) == 1


def test_a_number_in_a_condition(model: Model, caplog) -> None:
    cells = Cells(None, inputs={"R": replace(KNOWN, name="R", target="R")})
    ligand = doses_of(model, "L", "1 nM")
    given = {"x": as_condition("x", {"R": 1.0})}
    design(model, ligand, (), given, draws=1, pretreat=0, molar_mass={}, cells=cells)
    assert "note: condition 'x' adds R without a unit, taken in nM, not in ng/ml" in caplog.text


def test_a_parameter_with_a_unit_in_a_condition() -> None:
    model = compile_network(read_antimony("model m\n species L = 0; k = 2; L -> ; k*L;\nend\n"))
    message = "condition 'x': k must be a number, not '2 1/h': write it in the unit that the model has it in, without"
    with pytest.raises(ValueError, match=message):
        dose_response(
            model, "L", [1.0], at=1, observe="L", conditions={"x": {"k": "2 1/h"}}, preequilibrate=False, progress=False
        )
