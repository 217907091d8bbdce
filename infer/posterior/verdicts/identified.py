"""*identified*: what the data say about each parameter, beyond its prior."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import xarray as xr

from ....data.scale import Scale
from ....models.listing import after_number, listed
from ...optimisation.ridges import Combination
from ..datatree import on_search_scale
from .ridges import between_bounds, describe_ridge
from .sensitivity import sensitivity_words
from .verdict import Verdict

PRIOR_DOMINATED = 0.9  # posterior sd / prior sd, on the search scale
STRONG = 0.95  # |r| of a pair of parameters, on the search scale
_CONFLICT = (0.005, 0.995)  # of the prior: outside lies the posterior's median
_EDGE = 0.2  # of the median distance from a bound
_LEANING = 0.07  # of the draws lie within that, unless their density falls towards the bound (flat or rising: ≥ 0.1)
_NARROW = 0.25  # of the distance between the bounds, and half of the prior's: where the middle draw lies at most
_PAIRS = 4  # that are named


def judge_identified(tree: xr.DataTree, table: pd.DataFrame, ridges: Sequence[Combination], *, agree: bool) -> Verdict:
    """The verdict; `agree` says that the chains do, so that correlations of the draws are the posterior's."""
    contraction = table["contraction"].to_numpy(dtype=float)
    names = [str(n) for n in table.index]
    dominated = [n for n, c in zip(names, contraction, strict=True) if c > PRIOR_DOMINATED]
    on_ridges = {n for c in ridges for n in c.exponents}
    leaning = {n: bound for n in names if (bound := _leaning(tree, n)) is not None}
    words = [describe_ridge(c, table) for c in ridges]
    if dominated:
        words.append(
            f"The data say little about {listed(dominated, 8)}: posterior as wide as the prior "
            f"(sd ratio > {PRIOR_DOMINATED}). Report them as prior knowledge, or measure more."
        )
    words += [_leaning_words(n, bound, table) for n, bound in leaning.items()]
    words += _conflicts(tree, table, set(leaning))
    if agree:
        words += [*_pairs(tree, on_ridges), *sensitivity_words(tree)]
    known = int(np.isfinite(contraction).sum())
    if not known:
        return Verdict("identified", "not judged: it takes draws from the prior", tuple(words))
    weak = len(on_ridges | set(dominated) | set(leaning))
    return Verdict("identified", f"{len(names) - weak} of {len(names)} parameters", tuple(words))


def _leaning(tree: xr.DataTree, name: str) -> float | None:
    """The bound, on the search scale, at which the posterior's density is highest; None if there is none."""
    array = tree["posterior"].dataset[name]
    prior = tree["prior"].dataset if "prior" in tree.children else {}
    after = between_bounds(array)
    before = between_bounds(array, prior[name]) if name in prior else None
    if after is None or before is None or not np.ptp(after):
        return None
    for bound, distance, earlier in (("lower_bound", after, before), ("upper_bound", 1 - after, 1 - before)):
        middle = float(np.median(distance))
        near = float(np.mean(distance < _EDGE * middle))
        if near > _LEANING and middle < _NARROW and middle < 0.5 * float(np.median(earlier)):
            return float(array.attrs[bound])
    return None


def _leaning_words(name: str, bound: float, table: pd.DataFrame) -> str:
    value = float(Scale(str(table.loc[name, "scale"])).natural(np.asarray(bound)))
    of = after_number(str(table.loc[name, "unit"]))
    lower = abs(value - float(table.loc[name, "5%"])) < abs(value - float(table.loc[name, "95%"]))
    return (
        f"{name} leans on its {'lower' if lower else 'upper'} bound {value:.4g}{of}: the data ask for values beyond. "
        "Widen the bound if such values are possible; if they are not, the model or a fixed value is at fault."
    )


def _conflicts(tree: xr.DataTree, table: pd.DataFrame, known: set[str]) -> list[str]:
    """Sentences on parameters that the data draw to where the prior has nearly no probability."""
    prior = tree["prior"].dataset if "prior" in tree.children else {}
    words = []
    for name in map(str, table.index):
        if name not in prior or name in known:
            continue
        low, high = np.quantile(prior[name].values, _CONFLICT)
        median = float(table.loc[name, "median"])
        if not low <= median <= high:
            of = after_number(str(table.loc[name, "unit"]))
            words.append(
                f"The data draw {name} to {median:.3g}{of}, outside the 99% range of its prior ({low:.3g} to {high:.3g}"
                f"{of}). Check the prior and its unit; if it is right, the model is at fault."
            )
    return words


def _pairs(tree: xr.DataTree, on_ridges: set[str]) -> list[str]:
    """A sentence on the pairs that are nearly one parameter; those on ridges have their own."""
    posterior = tree["posterior"].dataset
    draws = {str(n): on_search_scale(a).ravel() for n, a in posterior.data_vars.items()}
    names = [n for n, x in draws.items() if np.ptp(x) > 0 and np.all(np.isfinite(x))]
    if len(names) < 2:
        return []
    r = np.corrcoef([draws[n] for n in names])
    strong = [
        (abs(r[i, j]), f"{a} and {names[j]} (r = {r[i, j]:.2f})")
        for i, a in enumerate(names)
        for j in range(i + 1, len(names))
        if abs(r[i, j]) > STRONG and not {a, names[j]} <= on_ridges
    ]
    if not strong:
        return []
    pairs = [text for _, text in sorted(strong, key=lambda pair: -pair[0])]
    return [
        f"Nearly one parameter each, as |r| > {STRONG}: {listed(pairs, _PAIRS)}. The data determine a combination "
        "better than either: report them together, or fix one by prior knowledge."
    ]


__all__ = ["judge_identified"]
