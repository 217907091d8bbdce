"""The table of a posterior's parameters: intervals, the sampler's diagnostics, and how far data contract a prior."""

from __future__ import annotations

import warnings

import arviz_stats
import numpy as np
import pandas as pd
import xarray as xr

from .datatree import on_search_scale

COLUMNS = ("median", "5%", "95%", "mean", "sd", "r_hat", "ess_bulk", "ess_tail", "mcse")
_HEAVY = 2.0  # times the half-width of its 68 % interval: a standard deviation that a few draws make


def parameter_table(tree: xr.DataTree) -> pd.DataFrame:
    """A row per parameter, in its own unit, with the columns `COLUMNS`, `contraction`, `scale` and `unit`.

    `scale` is the one that it is searched on, `contraction` posterior over prior standard deviation there.
    """
    posterior = tree["posterior"].dataset
    prior = tree["prior"].dataset if "prior" in tree.children else xr.Dataset()
    names = [str(n) for n in posterior.data_vars]
    draws = {n: np.asarray(posterior[n].values, dtype=float) for n in names}
    quantile = {n: np.quantile(v, [0.05, 0.5, 0.95]) for n, v in draws.items()}
    return pd.DataFrame(
        {
            "median": [q[1] for q in quantile.values()],
            "5%": [q[0] for q in quantile.values()],
            "95%": [q[2] for q in quantile.values()],
            "mean": [v.mean() for v in draws.values()],
            "sd": [v.std(ddof=1) for v in draws.values()],
            "r_hat": [_diagnostic(arviz_stats.rhat, v) if len(v) > 1 else np.nan for v in draws.values()],
            "ess_bulk": [_diagnostic(arviz_stats.ess, v, method="bulk") for v in draws.values()],
            "ess_tail": [_diagnostic(arviz_stats.ess, v, method="tail", prob=(0.05, 0.95)) for v in draws.values()],
            "mcse": [_diagnostic(arviz_stats.mcse, v, method="mean") for v in draws.values()],
            "contraction": [_contraction(posterior[n], prior[n]) if n in prior else np.nan for n in names],
            "scale": [posterior[n].attrs.get("search_scale", "lin") for n in names],
            "unit": [posterior[n].attrs.get("unit", "") for n in names],
        },
        index=pd.Index(names, name="parameter"),
    )


def _diagnostic(function, values: np.ndarray, **options) -> float:
    """NaN where all draws are the same, or too few: the diagnostics divide by their variance."""
    if values.shape[1] < 4 or np.ptp(values) == 0 or not np.all(np.isfinite(values)):
        return float("nan")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # chains that stand still
        return float(function(values, **options))


def _contraction(posterior: xr.DataArray, prior: xr.DataArray) -> float:
    """Posterior over prior standard deviation; half-widths of 68 % intervals if the prior has heavy tails."""
    after, before = (x[np.isfinite(x)] for x in (np.ravel(on_search_scale(a)) for a in (posterior, prior)))
    widths = [np.std(x) for x in (after, before)]
    half = [np.ptp(np.quantile(x, [0.16, 0.84])) / 2 for x in (after, before)]
    if widths[1] > _HEAVY * half[1]:
        widths = half
    return float(widths[0] / widths[1]) if widths[1] > 0 else float("nan")


__all__ = ["COLUMNS", "parameter_table"]
