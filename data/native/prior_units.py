"""Priors and values in the units of the model, whatever unit a table states them in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from ..parameter import Parameter
from ..quantities.model_units import SAME, ModelUnits, bench_unit
from ..quantities.units import UnitError, conversion_factor, quantity_of, split_quantity
from .signal_units import Wanted, conversion


def in_model_units(
    parameter: Parameter, units: ModelUnits, expected: Mapping[str, str], wanted: Wanted | None = None
) -> Parameter:
    """A parameter with its prior and value in the unit that it has in the model or in an assay.

    `expected` names the units of parameters of assays, such as the noise of a concentration, and `wanted` is what
    the unit of this one follows from, if it is a scale or is in the unit of a signal. A constant that the model
    declares no unit for is in the model's own: what is stated in 1/min becomes 1/h in a model whose time is in h.
    An empty unit says nothing, and nothing is converted. Raises `UnitError` for a unit that is not known, or is of
    another dimension.
    """
    stated = parameter.unit.strip()
    if not stated:
        return parameter
    split = split_quantity(stated)  # such as 1000 nM
    times, plain = split if split is not None and split[0] > 0 and split[1] else (1.0, stated)
    factor, word = _conversion(parameter.name, plain, units, expected, wanted)
    factor *= times
    if abs(factor - 1) < SAME:
        return parameter
    prior = None if parameter.prior is None else parameter.prior.scaled(factor)
    value = None if parameter.value is None else parameter.value * factor
    return replace(parameter, prior=prior, value=value, unit=word)


def _conversion(
    name: str, stated: str, units: ModelUnits, expected: Mapping[str, str], wanted: Wanted | None
) -> tuple[float, str]:
    declared = units.declared(name)
    if declared is None:
        if wanted is not None and name not in units.network.names:
            return conversion(stated, wanted, units)
        return _into(stated, expected[name]) if name in expected else _undeclared(name, stated, units)
    quantity = quantity_of(stated)
    if not quantity.is_compatible_with(declared):
        if "[arbitrary]" in quantity.dimensionality:
            return units.coherent(stated)
        raise UnitError(f"a unit that can become {str(bench_unit(declared))!r}, which the model has {name} in")
    factor = float((quantity / declared).to_base_units().magnitude)
    if abs(factor - 1) < SAME:
        return 1.0, stated
    same, word = units.coherent(stated)
    known = bench_unit(declared)
    return factor, word if same != 1 and abs(same / factor - 1) < SAME else str(known)


def _undeclared(name: str, stated: str, units: ModelUnits) -> tuple[float, str]:
    """Into the model's own, where it says nothing of the name: times, amounts and volumes are known all the same.

    What only an observable uses, such as a protein in ug/ul or a scale in %/nM, has no unit in the model, and keeps its
    own, which is that of the readings.
    """
    if name not in units.network.names:
        return units.coherent(stated)
    known = "[arbitrary]" in quantity_of(stated).dimensionality or units.follows(stated, numbers=True)
    if not known:
        raise UnitError(
            f"a unit made of times and concentrations, as the model is in {units.time} and {units.concentration} and "
            f"declares no unit for {name}: declare it in the model, or leave this one out if the number is the model's"
        )
    return units.coherent(stated, numbers=True)


def _into(stated: str, wanted: str) -> tuple[float, str]:
    """The factor from `stated` to an assay's unit `wanted`, and the unit after it; either may leave out "/cell"."""
    one, other = (unit.removesuffix("/cell") for unit in (stated, wanted))
    if one == other:
        return 1.0, stated
    try:
        factor = conversion_factor(one, other)
    except UnitError:
        raise UnitError(f"a unit that can become {wanted!r}, in which the assay has it") from None
    return (1.0, stated) if abs(factor - 1) < SAME else (factor, wanted)


__all__ = ["in_model_units"]
