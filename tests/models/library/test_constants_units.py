"""Units in the tables of drugs and cells against those that the networks declare."""

from __future__ import annotations

from functools import cache

import pytest

from hexamer.data.quantities.dimensions import unit_of_formula
from hexamer.data.quantities.units import registry
from hexamer.models import Network
from hexamer.models.library import cells, drugs, network
from hexamer.models.library.constants import Constant, cell_constants, drug_constants

pytestmark = pytest.mark.tier("test")

# What no network has: by the mass, ng/ml become nM before anything is simulated.
ELSEWHERE = {"molar_mass": "kDa"}


@cache
def largest(drug: str | None) -> Network:
    return network(["il6_full", "serum"], drugs=() if drug is None else drug)


def compared(made: Network, name: str, constant: Constant) -> bool:
    """Whether the network has the parameter; its unit, in numbers too, is then that of the table."""
    if name not in made.parameters:
        return False
    unit = unit_of_formula(made, name)
    assert unit is not None, f"{name} has no unit in {made.name}"
    stated = registry().Quantity(1.0, constant.unit) if constant.unit != "1" else registry().Quantity(1.0)
    assert unit.dimensionality == stated.dimensionality, f"{name} is in {unit:~}, not in {constant.unit}"
    assert unit.to(stated.units).magnitude == pytest.approx(1.0), f"{name} is in {unit:~}, not in {constant.unit}"
    return True


@pytest.mark.tier("slow")
@pytest.mark.parametrize("drug", drugs())
def test_units_of_drugs(drug: str) -> None:
    for name, constant in drug_constants(drug).values.items():
        if name in ELSEWHERE:
            assert constant.unit == ELSEWHERE[name]
        else:
            assert compared(largest(drug), name, constant), name


@pytest.mark.parametrize("cell", cells())
def test_units_of_cells(cell: str) -> None:
    for name, constant in cell_constants(cell).values.items():
        assert compared(largest(None), name, constant), name


def test_another_unit_is_found() -> None:
    for unit in ("pM", "1/min", "h"):
        with pytest.raises(AssertionError, match=f"IL6R_0 is in .*, not in {unit}"):
            compared(largest(None), "IL6R_0", Constant(35.0, unit, "C", ""))
