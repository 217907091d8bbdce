r"""Whether ranks are uniform: the simultaneous test of Säilynoja, Bürkner and Vehtari, and Holm's correction.

Of N ranks, each of 0 to L with the same probability, $R_i$ are below i, and $R_i \sim B(N, i/(L+1))$. The statistic is
the least two-sided tail over all i,

$$\gamma = 2 \min_{1 \le i \le L} \min\{P(B_i \le R_i),\ P(B_i \ge R_i)\}.$$

Its distribution under uniform ranks is simulated. It gives a p value, and the envelope that the curve of $R_i$ leaves
with a certain probability. `arviz_stats.uniformity_test` is for continuous values, and gives approximate p values;
`arviz_stats.ecdf_utils.ecdf_pit` has the envelope of continuous values, and no p value.

Sources: Säilynoja, Bürkner and Vehtari (2022), Stat. Comput. 32, 32; Holm (1979), Scand. J. Stat. 6, 65-70.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from jaxtyping import Float, Int
from scipy.stats import binom

_SIMULATED = 50_000  # sets of uniform ranks: the least p value is 2e-5
_AT_ONCE = 5_000


def uniform_p_values(ranks: Int[np.ndarray, "replicates quantities"], most: int) -> Float[np.ndarray, " quantities"]:
    """The probability of ranks at least as uneven if each of 0 to `most` is equally probable, per quantity."""
    tails, null = _tails(len(ranks), most), _null(len(ranks), most)
    counts = np.array([np.bincount(column, minlength=most + 1) for column in ranks.T])
    found = _least_tails(tails, counts)
    return (1 + np.searchsorted(null, found * (1 + 1e-12), side="right")) / (1 + len(null))


def envelope(replicates: int, most: int, level: float) -> tuple[Float[np.ndarray, " most"], Float[np.ndarray, " most"]]:
    """The least and the greatest share of ranks below 1 to `most` that lie in the envelope.

    The curve of uniform ranks leaves it somewhere with the probability `level`.
    """
    tails, null = _tails(replicates, most), _null(replicates, most)
    inside = tails > null[max(int(level * (1 + len(null))) - 1, 0)]
    return inside.argmax(axis=1) / replicates, 1 - inside[:, ::-1].argmax(axis=1) / replicates


def holm(p: Float[np.ndarray, " quantities"]) -> Float[np.ndarray, " quantities"]:
    """p values of several tests, corrected so that any of them is below a level by chance with at most its probability.

    >>> holm(np.array([0.01, 0.04, 0.03])).round(2).tolist()
    [0.03, 0.06, 0.06]
    """
    order = np.argsort(p)
    raised = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    corrected = np.empty_like(p)
    corrected[order] = np.minimum(raised, 1.0)
    return corrected


def _least_tails(
    tails: Float[np.ndarray, "most counts"], histograms: Int[np.ndarray, "sets values"]
) -> Float[np.ndarray, " sets"]:
    """The statistic of sets of ranks, from how many ranks have each value."""
    below = np.cumsum(histograms, axis=1)[:, :-1]
    return tails[np.arange(len(tails)), below].min(axis=1)


@lru_cache(maxsize=8)
def _tails(replicates: int, most: int) -> Float[np.ndarray, "most counts"]:
    """The two-sided tail of each count of ranks below 1 to `most`."""
    counts = np.arange(replicates + 1)[None]
    share = (np.arange(1, most + 1) / (most + 1))[:, None]
    return 2 * np.minimum(binom.cdf(counts, replicates, share), binom.sf(counts - 1, replicates, share))


@lru_cache(maxsize=8)
def _null(replicates: int, most: int) -> Float[np.ndarray, " simulated"]:
    """The statistic of simulated sets of uniform ranks, in ascending order."""
    rng, tails = np.random.default_rng(0), _tails(replicates, most)
    uniform = np.full(most + 1, 1 / (most + 1))
    parts = [_least_tails(tails, rng.multinomial(replicates, uniform, _AT_ONCE)) for _ in range(_SIMULATED // _AT_ONCE)]
    return np.sort(np.concatenate(parts))


__all__ = ["envelope", "holm", "uniform_p_values"]
