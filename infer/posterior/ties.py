"""Log weights that are equal at many draws, as under a uniform prior: Pareto smoothing needs a tail that differs."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

_APART = 1e-9  # nats, by which equal values differ afterwards


def without_ties(terms: Float[np.ndarray, "*parts draws"]) -> Float[np.ndarray, "*parts draws"]:
    """The terms, where those of a part differ by up to 1e-9 nats if a tail of it has equal values, which ArviZ refuses.

    All other parts stay as they are.
    """
    draws = terms.shape[-1]
    tail = max(2, int(min(0.2 * draws, 3 * np.sqrt(draws)) / 2))  # ArviZ's is longer, unless draws are antithetic
    ordered = np.sort(terms, axis=-1)
    tied = (ordered[..., 0] == ordered[..., tail - 1]) | (ordered[..., -1] == ordered[..., -tail])
    small = np.linspace(-_APART / 2, _APART / 2, draws)
    return np.where(tied[..., None], terms + small, terms)


__all__ = ["without_ties"]
