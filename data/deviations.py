"""Checks that standard deviations are positive, for all values that priors allow."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping

import sympy

from .dataset import Dataset, Measurement, Observable
from .parameter import FIXED, Parameter


def find_deviations(dataset: Dataset, elsewhere: Collection[str] = ()) -> dict[str, str]:
    """Parameters whose sign is that of a standard deviation, or is squared in one, with an observable of each.

    `elsewhere`: names that the model uses, too, whose sign may mean something.
    """
    observable_by_parameter: dict[str, str] = {}
    signs = {name: _signs(observable) for name, observable in dataset.observables.items()}
    for m in dataset.measurements:
        observable = dataset.observables[m.observable]
        filled = dict(zip(observable.placeholders, m.arguments, strict=True))
        for sign in signs[m.observable]:
            name = filled.get(sign, sign)
            if isinstance(name, str) and name not in elsewhere:
                observable_by_parameter.setdefault(name, m.observable)
    return observable_by_parameter


def _signs(observable: Observable) -> list[str]:
    """Symbols of the noise alone, by whose sign the standard deviation changes its own, or not at all."""
    noise = observable.noise_formula
    alone = noise.free_symbols - observable.formula.free_symbols
    flipped = {s: noise.xreplace({s: -s}) for s in alone if isinstance(s, sympy.Symbol)}
    return sorted(str(s) for s, other in flipped.items() if noise == s or other == noise or other == -noise)


def check_noise(dataset: Dataset, parameters: Mapping[str, Parameter], elsewhere: Collection[str] = ()) -> None:
    """Raises `ValueError` for standard deviations that are 0 or less, and priors under which one may be."""
    problems = [*_unsound_priors(dataset, parameters, elsewhere), *_constants(dataset, parameters, elsewhere)]
    if problems:
        shown = problems[:_SHOWN] + ([f"… and {len(problems) - _SHOWN} more"] if len(problems) > _SHOWN else [])
        raise ValueError(f"standard deviations of {dataset.name} must be above 0:\n  " + "\n  ".join(shown))


_SHOWN = 10


def _unsound_priors(dataset: Dataset, parameters: Mapping[str, Parameter], elsewhere: Collection[str]) -> Iterator[str]:
    for name, observable in find_deviations(dataset, elsewhere).items():
        parameter = parameters.get(name)
        if parameter is None:
            continue
        what = f"{name}{place_of(parameter)} is a standard deviation of {observable}"
        if parameter.prior is None and parameter.value is not None and parameter.value < 0:
            yield f"{what} and is fixed at {parameter.value:g}; expected a number above 0"
        elif parameter.may_be_negative:
            yield (
                f"{what}, and its prior holds negative values: give it a log-normal or half-normal one, or a lower "
                "bound of 0 or more"
            )


def place_of(parameter: Parameter) -> str:
    """The row or section of a parameter, as words that follow its name."""
    if parameter.source == FIXED:
        return " of [fixed] in problem.toml"
    return "" if parameter.row is None else f" (priors.csv, row {parameter.row})"


def _constants(dataset: Dataset, parameters: Mapping[str, Parameter], elsewhere: Collection[str]) -> Iterator[str]:
    """Rows whose standard deviation no estimated parameter changes."""
    values_of_fixed = {n: p.value for n, p in parameters.items() if not p.estimated and p.value is not None}
    fixed = {n: v for n, v in values_of_fixed.items() if n not in elsewhere}  # a protocol may set those of the model
    seen: set[tuple[str, tuple[float, ...]]] = set()
    for m in dataset.measurements:
        observable = dataset.observables[m.observable]
        values = _values(observable, m, fixed)
        if values is None or (key := (m.observable, tuple(values.values()))) in seen:
            continue
        seen.add(key)
        sd = _evaluated(observable.noise_formula, values)
        if not sd > 0:
            formula = "" if observable.noise_formula.is_number else f" by the formula {observable.noise_formula}"
            used = "".join(f", {n} = {v:g}" for n, v in values.items())
            row = f"{m.observable} in {_place(dataset, m.row)}"
            yield f"the standard deviation of {row} is {sd:g}{formula}{used}"


def _place(dataset: Dataset, row: int) -> str:
    """The table that a row is in, and its number there."""
    tables_before = [(file, row - before) for file, before in dataset.tables if before < row]
    return f"{tables_before[-1][0]}, row {tables_before[-1][1]}," if tables_before else f"row {row} of the measurements"


def _values(observable: Observable, m: Measurement, fixed: Mapping[str, float]) -> dict[str, float] | None:
    """Numbers for all that the noise uses; None if something of it is not a number yet."""
    filled = dict(zip(observable.placeholders, m.arguments, strict=True))
    values: dict[str, float] = {}
    for symbol in sorted(map(str, observable.noise_formula.free_symbols)):
        value = filled.get(symbol, symbol)
        value = fixed.get(value) if isinstance(value, str) else value
        if value is None:
            return None
        values[symbol] = float(value)
    return values


def _evaluated(formula: sympy.Expr, values: Mapping[str, float]) -> float:
    if formula.is_Symbol:
        return values[str(formula)]
    try:
        return float(formula.xreplace({sympy.Symbol(n): sympy.Float(v) for n, v in values.items()}))  # pyright: ignore[reportArgumentType]
    except TypeError:  # no real number
        return math.nan


__all__ = ["check_noise", "find_deviations", "place_of"]
