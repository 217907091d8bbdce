"""The sampler of a fit: NUTS or SMC with the options that were given, and why `auto` takes which."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import jax.numpy as jnp
import numpy as np

from ..models.listing import did_you_mean, with_and
from .optimisation.laplace import Curvature
from .optimisation.modes import Modes, chain_starts
from .optimisation.ridges import Combination, find_combinations
from .problem.problem import Problem
from .sampling.draws import Draws
from .sampling.nuts import NUTS
from .sampling.smc import SMC
from .warm_start import WARMUP, EarlierDraws

Method = Literal["nuts", "smc", "auto"]

_DIVERGED = 1e-3  # share of draws from which divergences on a ridge are no accident
_OPEN = 0.3  # prior standard deviations: a parameter whose draws spread more is not determined alone
_LOOKED_AT = 2000  # draws, for ridges


@dataclass(frozen=True)
class Options:
    """Options of a fit's sampler as they were given; None stands for the default, which depends on the sampler."""

    method: Method
    chains: int | None
    warmup: int | None
    draws: int | None
    seed: int
    target_acceptance: float | None

    def check(self, problem: Problem, started: bool) -> None:
        """Raises `ValueError` for what is wrong before the search begins. `started`: an earlier result is given."""
        if self.method not in (known := get_args(Method)):
            text = f"unknown method {self.method!r}: choose {', '.join(known)}"
            raise ValueError(text + did_you_mean([self.method], known))
        if self.method != "smc":
            return
        if started:
            raise ValueError("SMC starts from the prior: leave out `start`, or sample by NUTS")
        if unused := self._only_of_nuts():
            raise ValueError(f"SMC has no {with_and(unused)}: leave it out, or sample by NUTS")
        self.smc(problem)

    def smc(self, problem: Problem) -> SMC:
        """SMC, by default with its own counts. Raises `ValueError` for counts that are too small."""
        counts = {"populations": self.chains, "particles": self.draws}
        return SMC(problem, seed=self.seed, **{name: n for name, n in counts.items() if n is not None})

    def nuts(self, problem: Problem, start: Curvature, modes: Modes, earlier: EarlierDraws | None) -> NUTS:
        """NUTS from the modes, or from the draws of an earlier result."""
        chains = 4 if self.chains is None else self.chains
        if earlier is None:
            initial, warmup = chain_starts(problem, modes, chains, self.seed), 1000
        else:
            initial = earlier.points(problem, start, chains, self.seed)
            warmup = WARMUP if len(earlier.places) == len(problem.space) else 1000
        return NUTS(
            problem,
            start,
            chains=chains,
            warmup=warmup if self.warmup is None else self.warmup,
            draws=1000 if self.draws is None else self.draws,
            seed=self.seed,
            initial=initial,
            origins=modes.origins(chains),
            target_acceptance=0.8 if self.target_acceptance is None else self.target_acceptance,
        )

    def choose(self, modes: Modes, earlier: EarlierDraws | None) -> tuple[bool, list[str]]:
        """True to sample by SMC, else by NUTS; and sentences that say why if the method is `auto`."""
        if self.method != "auto":
            return self.method == "smc", []
        if earlier is not None:
            return False, ["sampling by NUTS: it starts from an earlier result"]
        if len(modes) == 1:
            return False, ["sampling by NUTS: one optimum holds the posterior"]
        words = f"sampling by SMC: {len(modes)} optima may hold a share of the posterior, and NUTS cannot weigh them"
        return True, [words, *self.words_of_unused()]

    def words_of_unused(self) -> list[str]:
        """A sentence on options that were given, and that SMC does not have."""
        unused = self._only_of_nuts()
        return [f"{with_and(unused)} {'is' if len(unused) == 1 else 'are'} of NUTS, and not used"] if unused else []

    def _only_of_nuts(self) -> list[str]:
        given = {"warmup": self.warmup, "target acceptance": self.target_acceptance}
        return [n for n, v in given.items() if v is not None]


def diverged_on_ridge(draws: Draws) -> str:
    """A sentence if draws of NUTS diverged on a ridge, which SMC samples from the prior; empty if not.

    A ridge is a combination of parameters, such as a product, that is determined while they alone are not.
    """
    diverging = np.asarray(draws.stats.get("diverging", False))
    if diverging.sum() < max(1, _DIVERGED * diverging.size) or not (ridges := _ridges(draws)):
        return ""
    alone = with_and(dict.fromkeys(n for c in ridges for n in c.exponents))
    what = with_and(f"the {c.kind} {c.text}" for c in ridges)
    return (
        f"{int(diverging.sum())} of {diverging.size} draws of NUTS diverged on a ridge: {what} "
        f"{'is' if len(ridges) == 1 else 'are'} determined, {alone} alone are not"
    )


def _ridges(draws: Draws) -> list[Combination]:
    space = draws.problem.space
    z = draws.z.reshape(-1, draws.z.shape[-1])
    z = z[:: max(1, len(z) // _LOOKED_AT)]
    width = space.standard(z).std(0)
    candidates = [int(i) for i in np.argsort(-width, kind="stable") if width[i] > _OPEN]
    return find_combinations(space.names, np.asarray(space.constrain(jnp.asarray(z))), candidates)


__all__ = ["Method", "Options", "diverged_on_ridge"]
