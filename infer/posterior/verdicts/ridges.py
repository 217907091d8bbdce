"""Ridges: parameters of which only a combination is determined, and what divergences there or at bounds mean."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import xarray as xr

from ....models.listing import with_and
from ...optimisation.optima_words import listed_combinations
from ...optimisation.ridges import Combination, find_combinations
from ..datatree import on_search_scale
from ..mode_words import BAD, GOOD, Judgement

_UNDETERMINED = 0.2  # posterior sd / prior sd of a parameter that may not be determined alone
_OPEN_WIDTH = 0.5  # 90% interval over the distance between the bounds: of a parameter that is open between them
_DRAWS = 4000  # looked at for combinations


def find_ridges(tree: xr.DataTree, table: pd.DataFrame) -> list[Combination]:
    """Combinations that the posterior determines while it does not determine their parameters.

    Only for chains that agree: otherwise correlations of their draws are not the posterior's.
    """
    names = [str(n) for n in table.index]
    contraction = table["contraction"].to_numpy(dtype=float)
    order = np.argsort(-np.nan_to_num(contraction), kind="stable")
    return _combinations(tree["posterior"].dataset, names, [int(i) for i in order if contraction[i] > _UNDETERMINED])


def judge_divergences(tree: xr.DataTree, table: pd.DataFrame, ridges: Sequence[Combination]) -> Judgement:
    """A sentence if draws diverged while parameters have no narrow posterior between the bounds of their priors.

    Parameters on ridges are named first.
    """
    posterior = tree["posterior"].dataset
    stats = tree["sample_stats"].dataset if "sample_stats" in tree.children else xr.Dataset()
    diverging = np.asarray(stats["diverging"].values, dtype=bool) if "diverging" in stats else np.zeros((0, 0), bool)
    if not diverging.any():
        return Judgement(GOOD, [])
    on_ridge = {n for c in ridges for n in c.exponents}
    names = [str(n) for n in table.index]
    unbounded = {n: f for n in names if (f := between_bounds(posterior[n])) is not None and _is_open(f)}
    concerned = [n for n in unbounded if n in on_ridge] or ([*unbounded] if _at_bounds(unbounded, diverging) else [])
    if not concerned:
        return Judgement(GOOD, [])
    sentence = (
        f"{int(diverging.sum())} draws diverged while {with_and(concerned[:4])} "
        f"{'is' if len(concerned) == 1 else 'are'} open between the bounds of the prior: draws near the bounds may be "
        "missing, and the intervals above be too narrow. Sample with a target acceptance of 0.99; or fix one of the "
        "parameters, or narrow its bounds by prior knowledge."
    )
    return Judgement(BAD, [sentence])


def _combinations(posterior: xr.Dataset, names: Sequence[str], candidates: list[int]) -> list[Combination]:
    draws = np.array([np.asarray(posterior[n].values, dtype=float).ravel() for n in names]).T
    draws = draws[:: max(1, len(draws) // _DRAWS)]
    if len(draws) < 20 or not np.all(np.isfinite(draws)):
        return []
    return find_combinations(names, draws, candidates)


def describe_ridge(c: Combination, table: pd.DataFrame) -> str:
    alone = with_and(list(c.exponents))
    ranges = ", ".join(f"{n} {table.loc[n, '5%']:.3g} to {table.loc[n, '95%']:.3g}" for n in c.exponents)
    return f"{alone} alone are not determined ({ranges}); {listed_combinations([c])} (90% intervals)."


def between_bounds(array: xr.DataArray, draws: xr.DataArray | None = None) -> np.ndarray | None:
    """Draws as parts of the way from a parameter's lower to its upper bound; None if it does not have both.

    The bounds are those of `array`, whose own draws are taken by default.
    """
    if "lower_bound" not in array.attrs or "upper_bound" not in array.attrs:
        return None
    lower, upper = float(array.attrs["lower_bound"]), float(array.attrs["upper_bound"])
    return (on_search_scale(array if draws is None else draws) - lower) / (upper - lower)


def _is_open(fraction: np.ndarray) -> bool:
    low, high = np.quantile(fraction, [0.05, 0.95])
    return bool(high - low > _OPEN_WIDTH)


def _at_bounds(fractions: dict[str, np.ndarray], diverging: np.ndarray) -> bool:
    """True if the draws that diverged lie nearer to bounds than the other draws."""
    if not fractions:
        return False
    edge = np.max([np.abs(2 * f - 1) for f in fractions.values()], axis=0)
    return bool(np.median(edge[diverging]) > np.quantile(edge, 0.75))


__all__ = ["between_bounds", "describe_ridge", "find_ridges", "judge_divergences"]
