"""Units of formulas from what a network declares."""

from __future__ import annotations

import pytest

from hexamer import Network
from hexamer.data import UnitError
from hexamer.data.quantities.dimensions import check_kind, check_same, factor_to_unit, unit_of_formula
from hexamer.models import read_antimony

pytestmark = pytest.mark.tier("check")

TEXT = """
model units()
  unit nM = 1e-9 mole/litre; unit uM = 1e-6 mole/litre; unit pl = 1e-12 litre; unit zmol = 1e-21 mole
  unit per_min = 1/(60 second)
  unit substance = 1e-21 mole; unit volume = 1e-12 litre; unit time_unit = 60 second
  compartment cell = 2 pl
  species A in cell; substanceOnly species N in cell
  k = 1 per_min; K = 1 nM; big = 1 uM; silent = 3; n = 2 dimensionless
  total := cell*A + N
  total has zmol
  unnamed := A/K
end
"""


@pytest.fixture(scope="module")
def network() -> Network:
    return read_antimony(TEXT)


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
    assert factor_to_unit(network, formula, "zmol") == 1


def test_sums_of_different_things(network: Network) -> None:
    with pytest.raises(UnitError, match=r"A \+ N adds .*(zmol.*nmol|nmol.*zmol)"):
        unit_of_formula(network, "A + N")


def test_factors(network: Network) -> None:
    assert factor_to_unit(network, "A", "nM") == 1
    assert factor_to_unit(network, "A", "au") == 1
    assert factor_to_unit(None, "A", "zmol") == 1
    assert factor_to_unit(network, "A/K", "percent") == pytest.approx(100)
    assert factor_to_unit(network, "100*A/K", "percent") == 1
    assert factor_to_unit(network, "A", "pM") == pytest.approx(1000)
    assert factor_to_unit(network, "1000*A + 2000*K", "pM") == 1
    assert factor_to_unit(network, "A", "ng/ml", "21 kDa") == pytest.approx(21)
    with pytest.raises(UnitError, match=r"the number in front of it, 2, is not the 1000 that would convert it"):
        factor_to_unit(network, "2*A", "pM")
    with pytest.raises(UnitError, match=r"it is in nmol / l, and 'percent of untreated' is not a known unit"):
        factor_to_unit(network, "A", "percent of untreated")
    with pytest.raises(UnitError, match=r"it is in nmol / l, and needs a molar mass"):
        factor_to_unit(network, "A", "ng/ml")
    with pytest.raises(UnitError, match=r"it is in nmol / l, not in 'zmol'"):
        factor_to_unit(network, "A", "zmol")
    with pytest.raises(UnitError, match="it is in no unit, not in 'nM'"):
        factor_to_unit(network, "A/K", "nM")


def test_sizes_of_what_is_added_or_compared(network: Network) -> None:
    with pytest.raises(UnitError, match=r"adds .*; multiply one of them"):
        unit_of_formula(network, "A + big")
    assert unit_of_formula(network, "A + 1000*big") is not None
    with pytest.raises(UnitError, match="they must be in one unit; multiply one of them"):
        check_same(network, {"a": "A", "b": "big"})


def test_kinds(network: Network) -> None:
    check_kind(network, "A", ("zmol", "pM"))
    with pytest.raises(UnitError, match="cannot become zmol or nM"):
        check_kind(network, "k", ("zmol", "nM"))
    check_same(network, {"a": "A", "b": "2*K", "c": "silent"})
    with pytest.raises(UnitError, match="a is in nmol / l; b is in zmol: they must be of one kind"):
        check_same(network, {"a": "A", "b": "N"})


def test_species_without_a_unit_are_taken_in_nm() -> None:
    plain = read_antimony("model m; compartment cell = 1; species A in cell; end")
    assert unit_of_formula(plain, "A") is None
    assert factor_to_unit(plain, "A", "pM") == pytest.approx(1000)
    assert factor_to_unit(plain, "A", "percent") == 1  # a model of relative quantities
    assert factor_to_unit(plain, "cell*A", "zmol") == 1  # nobody knows the unit of its volume
    with pytest.raises(UnitError, match="it is in nM, not in 'min'"):
        factor_to_unit(plain, "A", "min")
