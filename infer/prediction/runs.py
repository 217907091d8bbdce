"""Measurements of different runs (gels or plates) on one axis.

An observable's formula f depends on placeholders that each run fills differently (a scale, an offset). If f is affine
in the signal g = f(scales 1, offsets 0),

    f = α + β g,   α and β functions of the placeholders alone,

a measurement v moves from its run to a reference run as v' = α_ref + β_ref (v − α) / β. The reference is the average
run: geometric means of the scales, means of the offsets, of the same draw. So a factor that all runs share, such as a
scale that the data do not determine, cancels between data and prediction.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import sympy
from jaxtyping import Float

from ...data.dataset import Dataset, Measurement, Observable
from ...models.listing import known_names
from ...models.protocols.protocol import Protocol

PlaceholderRole = Literal["scale", "offset", "noise"]
Values = Mapping[str, Float[np.ndarray, " draws"]]


@dataclass(frozen=True)
class Alignment:
    """How an observable's placeholders enter, and the α and β of its formula; None if it is not affine."""

    roles: tuple[PlaceholderRole, ...]
    affine: Callable[..., tuple[np.ndarray, np.ndarray]] | None

    @property
    def unit_run(self) -> tuple[float, ...]:
        """Scales 1, offsets 0; NaN for noise, which has no neutral value."""
        return tuple({"scale": 1.0, "offset": 0.0, "noise": np.nan}[r] for r in self.roles)


def alignment(observable: Observable) -> Alignment:
    """Which of the placeholders are scales, which offsets, and whether rows can be moved between runs."""
    positive = {n: sympy.Symbol(n, positive=True) for n in map(str, observable.formula.free_symbols)}
    f = observable.formula.xreplace({sympy.Symbol(n): s for n, s in positive.items()})
    symbols = {positive[p] for p in observable.placeholders if p in positive}
    roles: list[PlaceholderRole] = []
    for p in observable.placeholders:
        slope = sympy.diff(f, positive[p]) if p in positive else None
        if slope is None:
            roles.append("noise")
        else:
            offset = slope.free_symbols <= symbols - {positive[p]}
            roles.append("offset" if offset else "scale")
    if not symbols:
        return Alignment(tuple(roles), _identity)
    neutral = {
        positive[p]: int(r == "scale") for p, r in zip(observable.placeholders, roles, strict=True) if p in positive
    }
    g = f.xreplace({s: sympy.Integer(v) for s, v in neutral.items()})
    inner = sorted(g.free_symbols - symbols, key=str)
    if not inner:
        return Alignment(tuple(roles), None)
    x = inner[0]
    beta = sympy.simplify(sympy.diff(f, x) / sympy.diff(g, x))
    alpha = sympy.simplify(sympy.expand_log(f - beta * g, force=True))
    if not (beta.free_symbols | alpha.free_symbols) <= symbols:
        return Alignment(tuple(roles), None)
    arguments = [positive.get(p, sympy.Symbol(p)) for p in observable.placeholders]
    compiled = sympy.lambdify(arguments, [alpha, beta], "numpy")

    def affine(*values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        a, b = compiled(*values)
        return np.asarray(a, dtype=float), np.asarray(b, dtype=float)

    return Alignment(tuple(roles), affine)


def _identity(*_: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return np.array(0.0), np.array(1.0)


def placeholder_values(m: Measurement, values: Values, draws: int) -> list[Float[np.ndarray, " draws"]]:
    """Values of a row's placeholders, in every draw."""
    return [np.broadcast_to(values[a] if isinstance(a, str) else float(a), (draws,)) for a in m.arguments]


def protocol_of(dataset: Dataset, template: str | Protocol) -> Protocol:
    """The protocol, or the one of that name. Raises `KeyError` with the names known."""
    if not isinstance(template, str):
        return template
    if template not in dataset.protocols:
        raise KeyError(f"unknown protocol {template!r}: {known_names(template, dataset.protocols)}")
    return dataset.protocols[template]


def average_run(dataset: Dataset, observable: str, values: Values, draws: int) -> list[Float[np.ndarray, " draws"]]:
    """Values of the placeholders in the average run, in every draw; each distinct set of arguments counts once."""
    if observable not in dataset.observables:
        raise KeyError(f"unknown observable {observable!r}: {known_names(observable, dataset.observables)}")
    rows = {m.arguments: m for m in dataset.measurements if m.observable == observable}
    roles = alignment(dataset.observables[observable]).roles
    columns = zip(*(placeholder_values(m, values, draws) for m in rows.values()), strict=True)
    average = []
    for role, column in zip(roles, columns, strict=True):
        stacked = np.stack(column)
        if role == "scale" and np.all(stacked > 0):
            average.append(np.exp(np.mean(np.log(stacked), axis=0)))
        else:
            average.append(np.mean(stacked, axis=0) if role == "offset" else np.median(stacked, axis=0))
    return average


def aligned(
    dataset: Dataset, measurements: Sequence[Measurement], values: Values, draws: int
) -> Float[np.ndarray, " rows"]:
    """Measurements of one observable as the average run would show them: medians over the draws."""
    observable = dataset.observables[measurements[0].observable]
    affine = alignment(observable).affine
    raw = np.array([m.value for m in measurements])
    if affine is None or affine is _identity:
        return raw
    alpha_ref, beta_ref = affine(*average_run(dataset, observable.name, values, draws))
    moved: dict[tuple, tuple[np.ndarray, np.ndarray]] = {}
    result = np.empty(len(raw))
    for i, m in enumerate(measurements):
        if m.arguments not in moved:
            moved[m.arguments] = affine(*placeholder_values(m, values, draws))
        alpha, beta = moved[m.arguments]
        result[i] = np.median(alpha_ref + beta_ref * (raw[i] - alpha) / beta)
    return result
