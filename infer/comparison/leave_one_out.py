"""`loo`: how well a posterior predicts measurements that it has not seen."""

from __future__ import annotations

import logging
import warnings
from typing import TYPE_CHECKING, Any

import arviz_stats
import numpy as np
import xarray as xr
from arviz_stats import ELPDData, SamplingWrapper

from ...models.listing import counted, listed
from ..posterior.datatree import safe
from ..posterior.file import MEASUREMENT
from ..posterior.predictive import SAMPLE
from ..posterior.row_layout import of_rows
from ..posterior.ties import without_ties
from .densities import PARAMETER, Densities
from .partition import Partition, divide
from .refitting import draws_without

if TYPE_CHECKING:
    from ..problem.problem import Problem
    from ..result import Calibration

log = logging.getLogger(__name__)

_NAMED = 8  # parts that a message lists
_LEAST = 30  # draws: a fifth of them are the tail that Pareto's k is of, which takes six


def loo(
    result: Calibration,
    by: str = "row",
    *,
    moment_match: bool = True,
    refits: int = 20,
    seed: int = 0,
    progress: bool = True,
) -> ELPDData:
    """Leave-one-out cross-validation: the expected log density of measurements that were not fitted.

    Pareto-smoothed importance sampling weighs the posterior's draws as if one part of the data had been left out:
    elpd = Σ log p(part | all other rows). Where the weights are heavy-tailed, the draws are moved by moment matching;
    where that does not help, the posterior without the part is sampled anew.

    Parameters
    ----------
    result : Calibration
        What `fit` or `read_posterior` returned.
    by : str
        What is left out at a time: `"row"`, one measurement; `"run"`, all rows of a gel, plate or other experiment (a
        row that names none is left out alone); `"protocol"`, all rows of a protocol.
    moment_match : bool
        Whether to match moments where Pareto's k is too large (0.7, less for few draws).
    refits : int
        The most parts that are fitted without, those with the largest k first. Each takes 500 + 500 iterations of NUTS
        in each of as many chains as the posterior has, 4 at most.
    seed : int
        Of the refits.
    progress : bool
        Whether to show the refits' progress bars.

    Returns
    -------
    arviz_stats.ELPDData
        `elpd` and its standard error `se` in nats; by part along the dimension `by` also `elpd_i` and `pareto_k`, which
        is 0 after a refit. `arviz.compare` takes it.

    Raises
    ------
    TypeError
        For a tree alone.
    ValueError
        For an unknown `by`, if all rows are one part, and for fewer than 30 draws.
    PosteriorFileError
        For a posterior without likelihood terms, or with those of an older release.

    Notes
    -----
    Rows that share a scale that is integrated out are not independent given the parameters. The density of a part is
    then that of its rows given the scale's other rows, so that the sum is over predictions from all other data.

    References
    ----------
    Vehtari, Gelman and Gabry (2017), Stat. Comput. 27, 1413-1432; Bürkner, Gabry and Vehtari (2021), Comput. Stat. 36,
    1243-1261; Paananen, Piironen, Bürkner and Vehtari (2021), Stat. Comput. 31, 16.
    """
    if not hasattr(result, "tree"):
        raise TypeError(
            f"loo takes what fit or read_posterior returned, not {type(result).__name__}: it needs the problem as well"
        )
    problem, tree = result.problem, result.tree
    partition = divide(problem, by)
    of_row = of_rows(tree, "log_likelihood")
    u = _coordinates(problem, tree)
    if (drawn := u.sizes["chain"] * u.sizes["draw"]) < _LEAST:
        raise ValueError(f"leave-one-out takes at least {_LEAST} draws, and the posterior has {drawn}: draw more")
    densities = Densities(problem, partition)
    terms = _told_apart(of_row if by == "row" else densities.log_likelihood(u))
    data = xr.DataTree.from_dict(
        {"posterior": tree["posterior"].dataset, "log_likelihood": xr.Dataset({MEASUREMENT: terms})}
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # on k, which the last lines say
        elpd: Any = arviz_stats.loo(data, pointwise=True)
        if moment_match and np.any(elpd.pareto_k.values > elpd.good_k):
            elpd = arviz_stats.loo_moment_match(
                data, elpd, densities.log_posterior, densities.log_likelihood_of_part, u, pointwise=True
            )
    threshold = _threshold(elpd, refits)
    if np.any(elpd.pareto_k.values > threshold):
        wrapper = _Refits(problem, data, u, partition, densities, seed, progress)
        elpd = arviz_stats.reloo(wrapper, elpd, k_threshold=threshold, pointwise=True)
    if len(left := np.flatnonzero(~(elpd.pareto_k.values <= elpd.good_k))):  # NaN is not reliable either
        log.warning(
            "the predictions of %s are not reliable, as Pareto's k is above %.2f: %s; more refits make them exact",
            counted(left, "part"),
            elpd.good_k,
            listed([partition.name(int(i)) for i in left], _NAMED),
        )
    return elpd


def _coordinates(problem: Problem, tree: xr.DataTree) -> xr.DataArray:
    """The posterior's draws of u, the sampler's coordinates."""
    posterior = tree["unconstrained_posterior"].dataset
    z = np.stack([posterior[safe(n)].transpose(*SAMPLE).values for n in problem.space.names], axis=-1)
    coords = {**{n: posterior[n].values for n in SAMPLE}, PARAMETER: list(problem.space.names)}
    return xr.DataArray(problem.space.unfold(z), dims=(*SAMPLE, PARAMETER), coords=coords)


def _told_apart(terms: xr.DataArray) -> xr.DataArray:
    """The terms, of which equal ones differ by up to 1e-9 nats.

    A part is the same at all draws if no estimated parameter changes it, as a reading at time 0 relative to itself.
    """
    last = terms.transpose(..., *SAMPLE)
    flat = last.values.reshape(*last.shape[:-2], -1)
    return last.copy(data=without_ties(flat).reshape(last.shape)).transpose(*terms.dims)


def _threshold(elpd: ELPDData, refits: int) -> float:
    """Pareto's k above which at most `refits` parts lie, none of which is reliable as it is."""
    k = np.sort(np.nan_to_num(elpd.pareto_k.values, nan=-np.inf))[::-1]
    return float(elpd.good_k) if len(k) <= refits else max(float(elpd.good_k), float(k[refits]))


class _Refits(SamplingWrapper):
    """The functions that `arviz_stats.reloo` calls for each part with a large k; it identifies a part by its number."""

    def __init__(
        self,
        problem: Problem,
        data: xr.DataTree,
        u: xr.DataArray,
        partition: Partition,
        densities: Densities,
        seed: int,
        progress: bool,
    ):
        super().__init__(problem, idata_orig=data)
        self.u, self.partition, self.densities, self.seed, self.progress = u, partition, densities, seed, progress

    def sel_observations(self, idx: int) -> tuple[int, int]:
        return int(idx), int(idx)

    def sample(self, modified_observed_data: int) -> np.ndarray:
        i = modified_observed_data
        name = self.partition.name(i)
        log.info("fitting without %s", name)
        left_out = self.partition.part == i
        seed = self.seed + 1 + i
        return draws_without(self.model, self.u.values, left_out, name=name, seed=seed, progress=self.progress)

    def get_inference_data(self, fitted_model: np.ndarray) -> xr.DataArray:
        return xr.DataArray(fitted_model, dims=(*SAMPLE, PARAMETER))

    def log_likelihood__i(self, excluded_obs: int, idata__i: xr.DataArray) -> xr.DataArray:
        density = self.densities.log_posterior(idata__i)
        # Without the part its simulation may fail: the part then has density 0 there, not 1.
        return self.densities.log_likelihood_of_part(idata__i, excluded_obs).where(np.isfinite(density), -np.inf)


__all__ = ["loo"]
