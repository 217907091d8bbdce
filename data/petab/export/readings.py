"""Observables and measurements in PEtab's form: formulas with numbered placeholders, and the values of these."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

import sympy

from ....models.networks.dialects import PETAB
from ....models.networks.formulas import TIME, substitute, to_infix
from ....models.networks.infix import parse_infix
from ....models.networks.operations import FormulaError
from ....models.protocols.protocol import Value
from ...dataset import Dataset, Measurement, Observable
from ..limits import KINDS
from .noise import by_reading
from .source import ExportSource
from .unsayable import Unsayable, UnsayableError

_PLAIN_NOISE = ("normal", "laplace")


@dataclass(frozen=True)
class WrittenObservable:
    """An observable with PEtab's ids.

    - `formula`, `noise_formula`: as text;
    - `places`: by `observable` and `noise`, the placeholders and the position of each among the observable's.
    """

    id: str
    observable: Observable
    formula: str
    noise_formula: str
    places: Mapping[str, Mapping[str, int]]

    def filled(self, source: ExportSource, m: Measurement, kind: str) -> str:
        """The cell of a measurement with the values of all placeholders of a kind."""
        return ";".join(argument(source, m.arguments[i]) for i in self.places[kind].values())


def argument(source: ExportSource, value: Value) -> str:
    """A number, or the id of a parameter, as a cell."""
    return number(value) if not isinstance(value, str) else text_of(source.meaning[value])


def number(value: float) -> str:
    """The shortest text that reads back to the same number; PEtab writes infinity as inf."""
    return repr(float(value)).removesuffix(".0")


def text_of(formula: sympy.Expr) -> str:
    """A formula as PEtab writes it. Raises `UnsayableError` if PEtab cannot."""
    text = number(float(formula)) if formula.is_number and formula.is_finite else to_infix(formula)
    try:
        parse_infix(text, dialect=PETAB)
    except FormulaError as error:
        unknown = [f for f in re.findall(r"([A-Za-z_]\w*)\(", text) if f not in PETAB.functions]
        why = f"the function {unknown[0]}: write it in the model, as a rule" if unknown else str(error)
        raise UnsayableError(f"PEtab cannot write the formula {text}, {why}") from None
    return text


def write_observables(source: ExportSource, problems: Unsayable, version: int) -> dict[str, WrittenObservable]:
    """Observables that are measured, by name; what PEtab cannot write is added to `problems`."""
    written: dict[str, WrittenObservable] = {}
    for name in dict.fromkeys(m.observable for m in source.dataset.measurements):
        try:
            written[name] = write_observable(source, source.dataset.observables[name], version)
        except UnsayableError as error:
            problems.of("observable", name, error)
    return written


def write_observable(source: ExportSource, observable: Observable, version: int) -> WrittenObservable:
    """An observable as a row of the observable table. PEtab v2 has no log10: noise of log10 v becomes noise of ln v.

    Raises `UnsayableError` if PEtab cannot write a formula.
    """
    name = source.ids.new(observable.name if observable.name not in source.network.names else f"obs_{observable.name}")
    places: dict[str, dict[str, int]] = {"observable": {}, "noise": {}}
    symbols: dict[sympy.Symbol, sympy.Basic] = {}
    of_reading, of_noise = observable.formula.free_symbols, observable.noise_formula.free_symbols
    for position, placeholder in enumerate(observable.placeholders):
        symbol = sympy.Symbol(placeholder)
        if symbol in of_reading | of_noise:
            kind = "observable" if symbol in of_reading else "noise"
            place = f"{kind}Parameter{len(places[kind]) + 1}_{name}"
            places[kind][place] = position
            symbols[symbol] = sympy.Symbol(place)
    noise = observable.noise_formula
    if version == 2:
        moving = {sympy.Symbol(n) for n in source.entities.states | source.network.rules.keys()}
        noise = by_reading(noise, observable.formula, sympy.Symbol(name), moving)
        if observable.scale == "log10":
            noise = noise * sympy.Float(math.log(10.0))
    reading, spread = (text_of(source.of_model(substitute(e, symbols))) for e in (observable.formula, noise))
    return WrittenObservable(name, observable, reading, spread, places)


def add_unsayable(source: ExportSource, problems: Unsayable) -> None:
    """Adds to `problems` the parts of observables and measurements that PEtab's likelihood does not have."""
    dataset = source.dataset
    for name in dict.fromkeys(m.observable for m in dataset.measurements):
        observable = dataset.observables[name]
        if observable.noise.text not in _PLAIN_NOISE:
            problems.add(
                f"observable {name} has {observable.noise.text} noise; PEtab has normal and laplace: give it one of "
                "these by its key `noise`, or Observable(noise=…)"
            )
        if "time" in source.network.names and _uses_time(observable):
            problems.add(
                f"observable {name} uses time, and the model calls something else 'time': rename that in the model"
            )
    for joint in dataset.joint_priors:
        problems.add(
            f"the priors of {', '.join(joint.parameters)} are correlated, and PEtab's are independent: remove their "
            "joint prior from a copy of the data set"
        )
    _add_limits(dataset, problems)


def _uses_time(observable: Observable) -> bool:
    """True if it uses the simulation's time. A quantity of the model that is called `time` is another symbol."""
    return TIME in observable.formula.free_symbols | observable.noise_formula.free_symbols


def _add_limits(dataset: Dataset, problems: Unsayable) -> None:
    limits = [m for m in dataset.measurements if m.censored]
    if limits:
        kinds = {kind: word for word, kind in KINDS.items()}
        first = f"{dataset.place(limits[0])}, {limits[0].observable}, is {kinds[limits[0].censored]} at "
        problems.add(
            f"{len(limits)} of {len(dataset)} measurements are limits, which PEtab's likelihood does not have ({first}"
            f"{limits[0].value:g}): remove these rows from a copy of the data, and export that"
        )


__all__ = ["WrittenObservable", "add_unsayable", "number", "text_of", "write_observable", "write_observables"]
