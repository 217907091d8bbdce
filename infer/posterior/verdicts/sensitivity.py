"""How much the posterior changes if the prior, or the likelihood, counts a little more: power-scaling.

Reference: Kallioinen, Paananen, Bürkner and Vehtari (2024), Stat. Comput. 34, 57.
"""

from __future__ import annotations

import warnings

import numpy as np
import xarray as xr

from ....models.listing import listed
from ..ties import without_ties

SENSITIVE = 0.05  # from which on ArviZ calls a posterior sensitive
_BY_SCALE = "log_likelihood_by_scale"
_LEAST = 400  # draws: of fewer the sensitivity itself is noise
_NAMED = 6


def sensitivity_words(tree: xr.DataTree) -> list[str]:
    """Sentences on parameters whose posterior depends on the prior, with and without the data's support."""
    if "log_prior" not in tree.children or _BY_SCALE not in tree.children:
        return []
    posterior = tree["posterior"].dataset
    if posterior.sizes["chain"] * posterior.sizes["draw"] < _LEAST:
        return []
    prior, likelihood = _sensitivities(tree)
    sensitive = sorted((n for n in prior if prior[n] >= SENSITIVE), key=lambda n: -prior[n])
    both = [n for n in sensitive if likelihood[n] >= SENSITIVE]
    weak = [n for n in sensitive if likelihood[n] < SENSITIVE]
    words = []
    if both:
        words.append(
            f"The priors share in deciding {listed(both, _NAMED)}: these posteriors change if the prior or the data "
            "count more. State where the priors come from, or try wider ones."
        )
    if weak:
        words.append(
            f"The prior decides {listed(weak, _NAMED)}: these posteriors change if it counts more, and hardly if the "
            "data do. Report them as prior knowledge, or measure more."
        )
    return words


def _sensitivities(tree: xr.DataTree) -> tuple[dict[str, float], dict[str, float]]:
    """Sensitivity to the prior and to the likelihood by parameter, with joint densities, which make it exact."""
    import arviz_stats

    moving = [n for n, a in tree["posterior"].dataset.data_vars.items() if np.ptp(a.values) > 0]
    joint = tree[_BY_SCALE].dataset
    joint = joint.drop_vars([n for n, a in joint.data_vars.items() if a.size == 0])
    groups = {"posterior": tree["posterior"].dataset[moving]}
    groups |= {"log_prior": _summed(tree["log_prior"].dataset), "log_likelihood": _summed(joint)}
    data = xr.DataTree.from_dict(groups)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # on k of weights that are all nearly 1
        found = [arviz_stats.psense(data, group=group) for group in ("prior", "likelihood")]
    prior, likelihood = ({str(n): float(v) for n, v in x.data_vars.items()} for x in found)
    return prior, likelihood


def _summed(terms: xr.Dataset) -> xr.Dataset:
    """The sum of all terms, chains × draws, without ties: of uniform priors all sums are equal."""
    sizes = terms.sizes["chain"], terms.sizes["draw"]
    total = sum(a.transpose("chain", "draw", ...).values.reshape(*sizes, -1).sum(-1) for a in terms.data_vars.values())
    return xr.Dataset({"total": (("chain", "draw"), without_ties(np.ravel(total)).reshape(sizes))})


__all__ = ["sensitivity_words"]
