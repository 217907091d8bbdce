"""*fits*: whether each measurement lies where the model, fitted to all others, predicts it.

Outliers are told from misfit by their number. Coverage of 50% and 90% intervals, the side on which rows lie, and runs
of one side along time are tested by observable, and by observable and protocol or run. Each kind of test errs in 1% of
well-specified fits at most, whatever the number of groups. Rows of which only a limit is known can be outliers; the
other tests leave them out.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import xarray as xr

from ....models.listing import counted, listed
from ..file import MEASUREMENT
from ..left_out import EFFECTIVE, GOOD_K, LEFT_OUT, PARETO_K
from .groups import KINDS, LOCATED, MeasurementGroup, groups_of
from .misfit_words import describe_misfit, describe_outliers, describe_wide
from .verdict import Verdict

ERROR = 0.01  # probability of a false alarm, of each kind of test and of outliers
_FEW = 0.1  # of an observable's rows may be outliers; more are misfit
_REPORTED = 20  # rows of an observable whose coverage is always said if it lies outside `_EXPECTED`
_EXPECTED = (0.85, 0.95)


def judge_fits(tree: xr.DataTree) -> Verdict:
    """The verdict, from the quantiles of rows that are left out."""
    if LEFT_OUT not in tree.children:
        return Verdict("fits", "not judged: it takes a posterior with predictions, of 100 draws or more")
    rows = _table(tree)
    share = max(1.0 - float(tree[LEFT_OUT].attrs[EFFECTIVE]) / max(int(np.sum(~rows["censored"])), 1), 0.0)
    outliers = _outliers(rows, share)
    tested = rows.loc[~rows["censored"] & ~outliers]
    groups = groups_of(tested, share)
    bad = _most_telling([g for g in groups if g.misfit(ERROR)])
    known = {g.observable for g in bad} | set(rows.loc[outliers, "observable"])  # whose noise is not judged as well
    wide = _most_telling([g for g in groups if g.observable not in known and g.too_wide(ERROR)])
    words = [
        *describe_outliers(rows.loc[outliers]),
        *(describe_misfit(g, ERROR) for g in bad),
        *map(describe_wide, wide),
    ]
    words += [*_constant(rows), *_unexpected(groups, {g.observable for g in bad + wide}), *_unreliable(rows)]
    if not groups and not outliers.any():
        return Verdict("fits", f"not judged: {counted(tested, 'measured row')} for what was fitted", tuple(words))
    return Verdict("fits", _answer(bad, int(outliers.sum()), wide), tuple(words))


def _table(tree: xr.DataTree) -> pd.DataFrame:
    """Rows with their coordinates, quantile, Pareto's k, and the middle 90% of their replicates.

    `far` are those that lie farther out than any of so many rows would.
    """
    known = tree[LEFT_OUT].dataset
    quantile = known[MEASUREMENT]
    columns = {n: quantile[n].values for n in ("observable", "protocol", "run", "time", "line", "unit")}
    columns |= {"quantile": quantile.values, "k": known[PARETO_K].values}
    columns["censored"] = quantile["censored"].values.astype(str) != ""
    columns["value"] = tree["observed_data"].dataset[MEASUREMENT].values
    replicates = tree["posterior_predictive"].dataset[MEASUREMENT]
    low, high = np.nanquantile(replicates.values.reshape(-1, len(quantile)), [0.05, 0.95], axis=0)
    rows = pd.DataFrame(columns | {"low": low, "high": high})
    rows = rows[np.isfinite(rows["quantile"])]
    q = rows["quantile"]
    tail = np.where(rows["censored"], q, 2 * np.minimum(q, 1 - q))
    return rows.assign(far=tail < ERROR / max(len(rows), 1))


def _outliers(rows: pd.DataFrame, share: float) -> np.ndarray:
    """Which of the rows in the column `far` are outliers: all, unless an observable has many and is tested."""
    far, censored = (rows[n].to_numpy(dtype=bool) for n in ("far", "censored"))
    _, of_row = np.unique(rows["observable"].to_numpy(dtype=str), return_inverse=True)
    size, count = (np.bincount(of_row, weights)[of_row] for weights in (None, far))
    few = (count <= np.maximum(1, _FEW * size)) | (size * share < LOCATED)
    return far & (few | censored)


def _most_telling(groups: Sequence[MeasurementGroup]) -> list[MeasurementGroup]:
    """The groups to report of each observable: its protocols, if one or two misfit; else its runs; else all rows."""
    chosen = []
    for name in dict.fromkeys(g.observable for g in groups):
        mine = {kind: [g for g in groups if (g.observable, g.kind) == (name, kind)] for kind in KINDS}
        parts = next((mine[kind] for kind in ("protocol", "run") if 1 <= len(mine[kind]) <= 2), [])
        chosen += parts or mine[""] or mine["protocol"] or mine["run"]
    return chosen


def _answer(bad: Sequence[MeasurementGroup], outliers: int, wide: Sequence[MeasurementGroup]) -> str:
    if bad:
        return f"not {listed([g.name for g in bad], 2)}"
    but = [f"{outliers} outlier{'s' * (outliers != 1)}"] if outliers else []
    but += [f"the noise of {listed([g.name for g in wide], 2)} is smaller than stated"] if wide else []
    return f"yes, but {' and '.join(but)}" if but else "yes"


def _constant(rows: pd.DataFrame) -> list[str]:
    """Sentences on observables that always read the same."""
    words = []
    for name, mine in rows.loc[~rows["censored"]].groupby("observable"):
        values = mine["value"].to_numpy(dtype=float)
        if len(mine) > 2 and np.ptp(values) == 0:
            words.append(
                f"All {len(mine)} rows of {name} have the value {values[0]:g}: constant data cannot show "
                "whether its course fits. Check the table."
            )
    return words


def _unexpected(groups: Sequence[MeasurementGroup], known: set[str]) -> list[str]:
    """Sentences on the coverage of observables that do not fail, but lie outside what one expects of many rows."""
    words = []
    for g in groups:
        if g.kind or g.observable in known or len(g.rows) < _REPORTED:
            continue
        if not _EXPECTED[0] <= g.inside(0.9) / len(g.rows) <= _EXPECTED[1]:
            words.append(f"Coverage of {g.name}: {g.coverage_words()}. Chance may explain that.")
    return words


def _unreliable(rows: pd.DataFrame) -> list[str]:
    many = int(np.sum(~(rows["k"] <= GOOD_K)))
    if many <= max(1, _FEW * len(rows)):
        return []
    return [
        f"The predictions of {many} of {len(rows)} rows from the others are rough (Pareto's k > {GOOD_K}): each of "
        "these rows moves the posterior far. hexamer.loo refits without them."
    ]


__all__ = ["judge_fits"]
