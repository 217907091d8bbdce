r"""Which arm drives the response, such as classic or trans-signalling, by Shapley values of knocking arms out.

With v(S) the response of cells in which only the arms S are open, less that of cells with none, the share of arm i is

    φ_i / v(all),    φ_i = Σ_S |S|! (n − |S| − 1)!/n! · (v(S ∪ {i}) − v(S))    over sets S of the other arms

the mean of what an arm adds, over all orders in which arms can be opened. For two arms it is the mean of the response
of the arm alone and of what is lost without it. Unlike either, shares sum to 1 if arms stand in for each other (both
saturate what follows) or need each other.

Source: Shapley (1953), Contributions to the Theory of Games II, 307.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import combinations
from math import factorial

import numpy as np
import xarray as xr

from ...models.compiled.model import Model
from ...models.listing import did_you_mean
from ...models.networks.network import Facts
from ...models.protocols.protocol import Protocol
from .amounts import DosesLike
from .conditions import Changes, Condition, as_conditions
from .ensemble import Ensemble, Source, ensemble_of
from .response import dose_response

_LEAST = 0.01  # of the response with no arm open: a smaller increment has no shares


def arm_share(
    source: Ensemble | Source,
    ligand: str,
    doses: DosesLike,
    *,
    closed: Mapping[str, Changes] | None = None,
    conditions: Mapping[str, Changes | Condition | Protocol] | None = None,
    **options,
) -> xr.Dataset:
    """How much of the response to a ligand each arm carries, for every draw, condition and dose.

    All sets of arms are simulated.

    Parameters
    ----------
    source : Ensemble, DataTree, path or Model
        As for `dose_response`.
    ligand : str
        As for `dose_response`.
    doses : sequence of float or str, or str
        In the units that `dose_response` takes.
    closed : dict, optional
        For each arm, the parameters that close it, with values in the model's units. Without it the arms are those that
        the network knows (`Network.facts`): in the bundled models of IL-6, `classic` (membrane receptor) and `trans`
        (soluble receptor).
    conditions : dict, optional
        As for `dose_response`; numbers are in the model's units.
    **options
        Others of `dose_response`.

    Returns
    -------
    xarray.Dataset
        Along arm × draw × condition × doses, `share` (dimensionless; sums to 1 over arms; NaN if the increment over
        cells with no arm open is below 1% of their response, which leaves nothing to share), `alone` (the increment
        with this arm only), `lost` (what closing this arm takes away), and, without the dimension `arm`, `increment`:
        all but the share in the observable's unit.

    Raises
    ------
    ValueError
        For a model without the parameters that close an arm or whose arms are not known, and, unless `closed` is given,
        if something else may signal: in IL-6, a neighbour that presents it (`contact` above 0 in the model, a draw or a
        condition), or Hyper-IL-6.
    """
    of_source = {n: options.pop(n) for n in ("parameters", "model", "draws") if n in options}
    ensemble = ensemble_of(source, **of_source)
    arms = _arms(ensemble.model, closed)
    cases = as_conditions(conditions)
    if closed is None:
        _check_no_other_arm(ensemble, {ligand, *(options.get("drugs") or ())}, cases)
    names = tuple(arms)
    every = [s for k in range(len(names) + 1) for s in combinations(names, k)]
    wanted = {
        f"{label}|{'+'.join(opened)}": _with_closed(case, [arms[a] for a in names if a not in opened])
        for label, case in cases.items()
        for opened in every
    }
    result = dose_response(ensemble, ligand, doses, conditions=wanted, **options)
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


def _facts(model: Model) -> Facts:
    return Facts() if model.network is None else model.network.facts


def _ordered(names: tuple[str, ...], some: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(n for n in names if n in some)


def _arms(model: Model, closed: Mapping[str, Changes] | None) -> Mapping[str, Changes]:
    arms = _facts(model).arms if closed is None else closed
    if closed is None and not arms:
        raise ValueError(
            f"{model.name} does not say what its arms are: say by closed= which parameters close each, such as "
            "{'a': {'k_a': 0}, 'b': {'k_b': 0}}; its parameters: " + ", ".join(model.parameters)
        )
    if len(arms) < 2:
        raise ValueError("shares need at least two arms: closed={'a': {…}, 'b': {…}}")
    missing = sorted({n for changes in arms.values() for n in changes} - set(model.parameters))
    if missing:
        raise ValueError(
            f"{model.name} has no {', '.join(missing)}, which would close an arm: say by closed= what does; its "
            f"parameters: {', '.join(model.parameters)}{did_you_mean(missing, model.parameters)}"
        )
    return arms


def _check_no_other_arm(ensemble: Ensemble, dosed: set[str], cases: Mapping[str, Condition]) -> None:
    """Raises `ValueError` if cells may signal by something that closing the known arms leaves open."""
    for name, why in _facts(ensemble.model).besides.items():
        where = [label for label, case in cases.items() if not all(map(_is_zero, _values(ensemble, name, case)))]
        if name in dosed or where:
            of = f" in condition {', '.join(map(repr, where))}" if any(where) and name not in dosed else ""
            raise ValueError(f"{name} may be above 0{of}: {why}")


def _values(ensemble: Ensemble, name: str, case: Condition) -> Iterator[object]:
    """All values of a parameter, or amounts of a species, in the draws under a condition."""
    if name in case.changes:
        yield case.changes[name]
    elif name in ensemble.model.parameters:
        model = ensemble.model
        yield ensemble.values.get(name, model.defaults[model.parameters.index(name)])
    elif name in ensemble.added:
        yield ensemble.added[name]
    if case.protocol is None:
        return
    steps = case.protocol.steps
    for changes in (case.protocol.preequilibration or {}, *(s.assign for s in steps), *(s.add for s in steps)):
        if name in changes:
            yield changes[name]


def _is_zero(value: object) -> bool:
    """Whether a value, or all of them, are 0; False for a text: a dose, or the name of a value."""
    try:
        return not np.any(np.asarray(value, dtype=float))
    except (TypeError, ValueError):
        return False


def _with_closed(condition: Condition, closing: list[Changes]) -> Condition:
    merged = dict(condition.changes)
    for more in closing:
        merged |= more
    return replace(condition, changes=merged)


__all__ = ["arm_share"]
