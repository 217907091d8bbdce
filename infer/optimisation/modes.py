"""The modes that a sampler starts from, and which of them its draws lie in."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int

from .laplace import Curvature, curvature, find_mode, prior_curvature
from .optima import COMPARABLE, Optimum, differing, find_optima
from .whitening import spread

if TYPE_CHECKING:
    from ..problem.problem import Problem
    from .fits import Fits

log = logging.getLogger(__name__)

_LOOKED_AT = 10.0  # nats by which a best fit may be worse than the best one, to be a mode worth starting from
_MOST = 8  # modes
_VALLEY = 16  # points kept of a valley


class Modes(NamedTuple):
    """Modes of the density over the sampler's coordinates u, the highest first.

    - `centre`, `scale`: of each, as in `Curvature`; `objective`: −log posterior of the best fit next to it
    - `share`: of the probability, were each as Gaussian as at its top: a rough guide
    - `starts`: how many fits ended there
    - `valley`: points far apart along a valley of equal objective, where the only mode lies in one
    """

    centre: Float[np.ndarray, "modes parameters"]
    scale: Float[np.ndarray, "modes parameters parameters"]
    objective: Float[np.ndarray, " modes"]
    share: Float[np.ndarray, " modes"]
    starts: Int[np.ndarray, " modes"]
    valley: Float[np.ndarray, "points parameters"]

    def __len__(self) -> int:
        return len(self.centre)

    def origins(self, chains: int) -> tuple[int, ...]:
        """The mode that each chain begins at: they take turns."""
        return tuple(c % len(self.centre) for c in range(chains))


def find_modes(problem: Problem, fits: Fits, say: Callable[[str], None] = log.warning) -> tuple[Curvature, Modes]:
    """The highest mode with its curvature, and all modes that may hold a share of the posterior.

    If simulations fail next to the highest, its scale is that of draws from the prior, and `say` is called with a
    sentence on that.
    """
    near = [o for o in fits.optima if o.objective <= fits.objective[0] + _LOOKED_AT][:_MOST]
    try:
        modes = [_mode(problem, fits, near[0])]
    except FloatingPointError as error:
        say(f"the best fit: {error}; the sampler starts with the scale of draws from the prior")
        modes = [_mode(problem, fits, near[0], prior_curvature)]
    for optimum in near[1:]:
        try:
            modes.append(_mode(problem, fits, optimum))
        except FloatingPointError:
            continue  # simulations fail next to it: no chain could begin there
    modes = _distinct(problem, modes)
    mass = np.array([m.mass for m in modes])
    height = np.array([m.value for m in modes])
    comparable = np.flatnonzero((height <= height.min() + COMPARABLE) | (mass >= mass.max() - COMPARABLE))
    chosen = sorted((modes[i] for i in comparable), key=lambda m: m.value)
    best = chosen[0]
    share = np.exp([m.mass - mass.max() for m in chosen])
    valley = _valley(problem, fits, best.optimum) if len(chosen) == 1 and best.optimum.valley else np.zeros((0,))
    return best.curvature, Modes(
        np.array([m.curvature.centre for m in chosen]),
        np.array([m.curvature.scale for m in chosen]),
        np.array([m.optimum.objective for m in chosen]),
        share / share.sum(),
        np.array([m.starts for m in chosen]),
        valley.reshape(-1, len(best.curvature.centre)),
    )


class _Mode(NamedTuple):
    optimum: Optimum
    starts: int
    curvature: Curvature
    value: float  # −log density

    @property
    def mass(self) -> float:
        """log of the integral over the Gaussian that fits at the top."""
        return float(np.linalg.slogdet(self.curvature.scale)[1]) - self.value


def _mode(
    problem: Problem, fits: Fits, optimum: Optimum, around: Callable[[Problem, np.ndarray], Curvature] = curvature
) -> _Mode:
    u = find_mode(problem, fits.z[optimum.rank])
    value = float(problem.potential(jnp.asarray(u))[0])
    return _Mode(optimum, len(optimum.members), around(problem, u), value)


def _distinct(problem: Problem, modes: list[_Mode]) -> list[_Mode]:
    """Modes that are apart over u too; optima at a bound may share one."""
    if len(modes) == 1:
        return modes

    def evaluate(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        values, gradients = zip(*(problem.potential(jnp.asarray(p)) for p in points), strict=True)
        return np.array(values, dtype=float), np.array(gradients)

    modes = sorted(modes, key=lambda m: m.value)
    points = np.array([m.curvature.centre for m in modes])
    groups = find_optima(evaluate, points, np.array([m.value for m in modes]), problem.space.standard(points))
    return [modes[g.rank]._replace(starts=sum(modes[i].starts for i in g.members)) for g in groups]


def _valley(problem: Problem, fits: Fits, optimum: Optimum) -> Float[np.ndarray, "points parameters"]:
    """Fits of one valley over u, each as far as can be from those before it."""
    z = fits.z[[r for r in optimum.members if fits.objective[r] <= optimum.objective + 0.1]]
    place = problem.space.standard(z)
    order = [0]
    distance = np.linalg.norm(place - place[0], axis=1)
    while len(order) < min(_VALLEY, len(z)) and distance.max() > 0:
        order.append(int(np.argmax(distance)))
        distance = np.minimum(distance, np.linalg.norm(place - place[order[-1]], axis=1))
    return problem.space.unfold(z[order])


def chain_starts(
    problem: Problem, modes: Modes, chains: int, seed: int
) -> Float[np.ndarray, "chains parameters"] | None:
    """z that each chain begins at; None where one mode without a valley leaves it to the sampler.

    A start that fails is drawn in towards its own mode.
    """
    if len(modes) == 1 and len(modes.valley) < 2:
        return None
    away = np.random.default_rng([seed, 1]).normal(size=(chains, modes.centre.shape[1]))
    points = []
    for chain, origin in enumerate(modes.origins(chains)):
        if chain < len(modes.valley):
            points.append(modes.valley[chain])
            continue
        step = modes.scale[origin] @ away[chain]
        while not np.isfinite(problem.potential(jnp.asarray(modes.centre[origin] + step))[0]) and step.any():
            step = np.where(np.abs(step) > 1e-6, step / 2, 0.0)
        points.append(modes.centre[origin] + step)
    return np.asarray(problem.space.fold(jnp.asarray(np.array(points))))


def nearest(modes: Modes, u: Float[np.ndarray, "chains draws parameters"]) -> Int[np.ndarray, "chains draws"]:
    """The mode that each draw is nearest to, in the covariance that draws have within their chains."""
    chains, draws, count = u.shape
    flat = np.linalg.solve(modes.scale[0], u.reshape(-1, count).T).T
    centres = np.linalg.solve(modes.scale[0], modes.centre.T).T
    apart = flat.reshape(chains, draws, count)
    within = spread((apart - apart.mean(1, keepdims=True)).reshape(-1, count))
    flat, centres = (np.linalg.solve(within, x.T).T for x in (flat, centres))
    distance = np.array([np.sum((flat - c) ** 2, axis=1) for c in centres])
    return np.argmin(distance, axis=0).reshape(chains, draws)


def record(problem: Problem, modes: Modes, chains: int | None) -> dict[str, Any]:
    """The modes as plain types, for a posterior's file; their numbers count from 1.

    `chains`: the number of those that began at the modes in turn; None for a sampler that begins elsewhere.
    """
    space = problem.space
    z = np.asarray(space.fold(jnp.asarray(modes.centre)))
    theta, place = np.asarray(space.constrain(jnp.asarray(z))), space.standard(z)
    differ: list[str] = []
    for other in range(1, len(modes)):
        differ += [n for n in differing(place[0], place[other], space.names) if n not in differ]
    return {
        "optima": [
            {
                "objective": float(modes.objective[k]),
                "share": float(modes.share[k]),
                "starts": int(modes.starts[k]),
                "values": dict(zip(space.names, map(float, theta[k]), strict=True)),
            }
            for k in range(len(modes))
        ],
        "optima_differ_in": differ,
        **({} if chains is None else {"chain_started_at_optimum": [o + 1 for o in modes.origins(chains)]}),
    }


def stored_modes(modes: Modes) -> dict[str, np.ndarray]:
    """The modes as arrays for a file, which `restored_modes` reads."""
    return {f"modes_{k}": np.asarray(v) for k, v in modes._asdict().items()}


def restored_modes(arrays: Any, names: Sequence[str], start: Curvature) -> Modes:
    """Modes read from the arrays of a file; files of older versions hold none, and give one mode, from `start`."""
    if "modes_centre" in names:
        return Modes(**{k: arrays[f"modes_{k}"] for k in Modes._fields})
    return one_mode(start)


def one_mode(start: Curvature) -> Modes:
    """The centre of `start` as the only mode, of unknown height."""
    one = np.ones(1)
    return Modes(start.centre[None], start.scale[None], one * np.nan, one, one.astype(int), start.centre[None][:0])
