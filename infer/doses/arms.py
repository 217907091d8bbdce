r"""Which arm drives the response: classic against trans-signalling, by Shapley values of knocking arms out.

With v(S) the response of cells in which only the arms S are open, less that of cells with none, the share of arm i is

    φ_i / v(all),    φ_i = Σ_S |S|! (n − |S| − 1)!/n! · (v(S ∪ {i}) − v(S))    over sets S of the other arms

the mean of what an arm adds, over all orders in which arms can be opened. For two arms it is the mean of the response
of the arm alone and of what is lost without it. Unlike either, shares sum to 1 where arms stand in for each other (both
saturate STAT3) or need each other.

Source: Shapley (1953), Contributions to the Theory of Games II, 307.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations
from math import factorial

import numpy as np
import xarray as xr

from ...models.model import Model
from .amounts import Given
from .conditions import Changes, Condition
from .response import respond
from .source import Source, draws_of

# An arm is closed where its complex of IL-6 and receptor no longer binds gp130. kon2 is also that of soluble gp130,
# which then holds no complex: what is closed is all that the soluble complex does.
CLOSED: Mapping[str, Changes] = {"classic": {"kon2m": 0.0}, "trans": {"kon2": 0.0}}
_LEAST = 0.01  # of the response with no arm open: a smaller increment has no shares


def arm_share(
    source: Source,
    ligand: str,
    doses: Given,
    *,
    closed: Mapping[str, Changes] | None = None,
    conditions: Mapping[str, Changes] | None = None,
    **options,
) -> xr.Dataset:
    """How much of the response to `ligand` each arm carries, for every draw, condition and dose.

    `closed` says for each arm which parameters close it, by default those of `classic` (membrane receptor) and `trans`
    (soluble receptor); `options` and `conditions` are those of `dose_response`. All sets of arms are simulated.

    Returns, along arm × draw × condition × doses, `share` (sums to 1 over arms; NaN where the increment over cells with
    no arm open is below 1% of their response, which leaves nothing to share), `alone` (the increment with this arm
    only), `lost` (what closing this arm takes away), and, without the dimension `arm`, `increment`: all but the share
    in the observable's unit.

    Raises `ValueError` for a model without the parameters that close an arm.
    """
    of_source = {n: options.pop(n) for n in ("parameters", "model", "draws") if n in options}
    found = draws_of(source, **of_source)
    arms = _arms(found.model, closed)
    cases = conditions or {"": {}}
    names = tuple(arms)
    every = [s for k in range(len(names) + 1) for s in combinations(names, k)]
    wanted = {
        f"{label}|{'+'.join(opened)}": _with_closed(label, changes, [arms[a] for a in names if a not in opened])
        for label, changes in cases.items()
        for opened in every
    }
    result = respond(found, ligand, doses, conditions=wanted, **options)
    response = result.response

    def value(opened: tuple[str, ...]) -> xr.DataArray:
        labels = [f"{label}|{'+'.join(opened)}" for label in cases]
        return response.sel(condition=labels).assign_coords(condition=list(cases))

    v = {s: value(s) for s in every}
    none, all_open = v[()], v[every[-1]]
    increment = all_open - none
    shares, alone, lost = [], [], []
    for arm in names:
        others = [s for s in every if arm not in s]
        phi = sum(_weight(len(s), len(names)) * (v[_ordered(names, (*s, arm))] - v[s]) for s in others)
        shares.append(phi / increment.where(increment > _LEAST * np.abs(none)))
        alone.append(v[(arm,)] - none)
        lost.append(all_open - v[tuple(a for a in names if a != arm)])
    dim = xr.Variable("arm", list(names))
    data = xr.Dataset({n: xr.concat(x, dim) for n, x in (("share", shares), ("alone", alone), ("lost", lost))})
    data["increment"] = increment
    data["failed"] = sum((result.data["status"].sel(condition=[c]) != 0).sum() for c in result.data["condition"].values)
    return data.assign_attrs(reading=result.reading, ligand=ligand)


def _weight(size: int, arms: int) -> float:
    return factorial(size) * factorial(arms - size - 1) / factorial(arms)


def _ordered(names: tuple[str, ...], some: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(n for n in names if n in some)


def _arms(model: Model, closed: Mapping[str, Changes] | None) -> Mapping[str, Changes]:
    arms = CLOSED if closed is None else closed
    if closed is None and "contact" in model.parameters and model.defaults[model.parameters.index("contact")] != 0:
        raise ValueError(
            "cells of this model also present IL-6 to each other, through kon2m as well: say by closed= what closes "
            "each arm, such as {'classic': {'IL6R_0': 0}, 'trans': {'kon2': 0}, 'cluster': {'contact': 0}}"
        )
    if len(arms) < 2:
        raise ValueError("shares need at least two arms: closed={'classic': {…}, 'trans': {…}}")
    missing = sorted({n for changes in arms.values() for n in changes} - set(model.parameters))
    if missing:
        raise ValueError(
            f"{model.name} has no {', '.join(missing)}, which would close an arm: say by closed= what does; its "
            f"parameters: {', '.join(model.parameters)}"
        )
    return arms


def _with_closed(label: str, changes: Changes | Condition, closing: list[Changes]) -> Condition:
    given = changes if isinstance(changes, Condition) else Condition(changes)
    merged = dict(given.changes)
    for more in closing:
        merged |= more
    return Condition(merged, given.protocol)


__all__ = ["CLOSED", "arm_share"]
