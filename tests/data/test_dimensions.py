"""Units of formulas from what a network declares."""

from __future__ import annotations

import pytest

from hexamer import Network
from hexamer.data import UnitError
from hexamer.data.dimensions import check_kind, check_same, check_unit, unit_of_formula

TEXT = """
model units()
  unit nM = 1e-9 mole/litre; unit pl = 1e-12 litre; unit zmol = 1e-21 mole; unit per_min = 1/(60 second)
  unit substance = 1e-21 mole; unit volume = 1e-12 litre; unit time_unit = 60 second
  compartment cell = 2 pl
  species A in cell; substanceOnly species N in cell
  k = 1 per_min; K = 1 nM; silent = 3; n = 2 dimensionless
  total := cell*A + N
  total has zmol
  unnamed := A/K
end
"""


@pytest.fixture(scope="module")
def network() -> Network:
    return Network.from_antimony(TEXT)


@pytest.mark.parametrize(
    ("formula", "unit"),
    [
        ("A", "nM"),
        ("N", "zmol"),
        ("cell*A", "zmol"),
        ("total", "zmol"),
        ("k*A", "nM/min"),
        ("A/K", "dimensionless"),
        ("unnamed", "dimensionless"),
        ("(A/K)^2", "dimensionless"),
        ("2*A + 0.1", "nM"),
        ("sqrt(A)*sqrt(K)", "nM"),
        ("cell", "pl"),
    ],
)
def test_the_unit_of_a_formula(network: Network, formula: str, unit: str) -> None:
    found = unit_of_formula(network, formula)
    assert found is not None
    assert found.to(unit).magnitude == pytest.approx(1.0)


@pytest.mark.parametrize("formula", ["silent", "A*silent", "exp(A)", "A^n", "elsewhere*A"])
def test_a_unit_that_nobody_knows(network: Network, formula: str) -> None:
    assert unit_of_formula(network, formula) is None
    check_unit(network, formula, "zmol")


def test_sums_of_different_things(network: Network) -> None:
    with pytest.raises(UnitError, match=r"A \+ N adds .*(zmol.*nmol|nmol.*zmol)"):
        unit_of_formula(network, "A + N")


def test_checks(network: Network) -> None:
    check_unit(network, "A", "nM")
    check_unit(network, "A", "percent of untreated")
    check_unit(network, "A", "au")
    check_unit(None, "A", "zmol")
    check_unit(network, "100*A/K", "percent")
    check_unit(network, "1000*A + 2000*K", "pM")
    with pytest.raises(UnitError, match="not in 'percent'; multiply it by 100"):
        check_unit(network, "A/K", "percent")
    with pytest.raises(UnitError, match=r"it is in nmol / l, not in 'zmol'"):
        check_unit(network, "A", "zmol")
    with pytest.raises(UnitError, match="not in 'pM'; multiply it by 1000"):
        check_unit(network, "A", "pM")
    with pytest.raises(UnitError, match="it is in no unit, not in 'nM'"):
        check_unit(network, "A/K", "nM")
    check_kind(network, "A", ("zmol", "pM"))
    with pytest.raises(UnitError, match="cannot become zmol or nM"):
        check_kind(network, "k", ("zmol", "nM"))
    check_same(network, {"a": "A", "b": "2*K", "c": "silent"})
    with pytest.raises(UnitError, match="a is in nmol / l; b is in zmol: they must be of one kind"):
        check_same(network, {"a": "A", "b": "N"})
