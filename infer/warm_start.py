"""Starting a sampler from the draws of an earlier result: parameters are matched by name."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from ..models.listing import listed
from .optimisation.laplace import Curvature
from .optimisation.whitening import spread
from .problem.parameter_space import ParameterSpace
from .problem.problem import Problem
from .sampling.store import digest

if TYPE_CHECKING:
    import xarray as xr

    from .result import Calibration

WARMUP = 300
"""Default number of warmup iterations from draws of all parameters: step size and scale need little adaptation."""
_TRIES = 20  # draws that a chain looks at for a start with a finite density
_LEAST = 20  # draws within the priors, to say anything of a covariance


class EarlierDraws(NamedTuple):
    """Draws of an earlier result that are possible in another problem.

    - `u`: the sampler's coordinates (dimensionless), of the parameters at `places` of the problem's space
    - `places`: positions of the parameters that the result has
    - `left_out`: number of draws outside the priors of the problem
    """

    u: Float[np.ndarray, "draws matched"]
    places: tuple[int, ...]
    left_out: int

    @property
    def digest(self) -> str:
        """A hash of the draws: a run that began with others is another run."""
        return digest(self.u, np.array(self.places))

    def centre(self, usual: Curvature | None) -> Curvature:
        """The normal distribution of the draws; for parameters that the result lacks, their part of the `usual` one.

        The two parts are independent. `usual` may be None if the result has all parameters.
        """
        count = len(self.places) if usual is None else len(usual.centre)
        places = np.array(self.places)
        mean = np.zeros(count) if usual is None else np.array(usual.centre)
        covariance = np.zeros((count, count)) if usual is None else usual.scale @ usual.scale.T
        factor = spread(self.u)
        covariance[places], covariance[:, places] = 0.0, 0.0
        covariance[np.ix_(places, places)] = factor @ factor.T
        mean[places] = self.u.mean(0)
        hessian = np.linalg.inv(covariance)
        hessian = (hessian + hessian.T) / 2
        return Curvature(mean, hessian, np.linalg.cholesky(covariance), np.linalg.eigvalsh(hessian))

    def points(self, problem: Problem, start: Curvature, chains: int, seed: int) -> Float[np.ndarray, "chains z"]:
        """z that each chain begins at: a draw of the result, with new parameters from the normal `start`.

        Draws whose simulation fails are drawn again, 20 times at most; the sampler then moves the point to the centre.
        """
        rng = np.random.default_rng([seed, 3])

        def drawn() -> np.ndarray:
            u = start.centre + start.scale @ rng.normal(size=len(start.centre))
            u[np.array(self.places)] = self.u[rng.integers(len(self.u))]
            return u

        points = []
        for _ in range(chains):
            u, tries = drawn(), 1
            while tries < _TRIES and not np.isfinite(problem.potential(jnp.asarray(u))[0]):
                u, tries = drawn(), tries + 1
            points.append(u)
        return np.asarray(problem.space.fold(jnp.asarray(np.array(points))))

    def sentence(self, problem: Problem) -> str:
        """A sentence that says from which draws the sampler starts."""
        names = problem.space.names
        new = [n for i, n in enumerate(names) if i not in self.places]
        words = f"starting from {len(self.u)} draws of an earlier result"
        words += f"; {listed(new)} {'is' if len(new) == 1 else 'are'} not in it" if new else ""
        return words + (f"; {self.left_out} draws lie outside the priors and are left out" if self.left_out else "")


def earlier_draws(problem: Problem, result: Calibration | str | Path, out: Path) -> EarlierDraws:
    """The draws of a result for the parameters that `problem` also samples; `out` is the folder of the new fit.

    Raises `ValueError` if the result lies in `out`, if they have no parameter in common, if a unit differs, or if fewer
    than 20 draws lie within the priors; `FileNotFoundError` or `PosteriorFileError` if a folder has no posterior that
    can be read.
    """
    posterior, name, folder = _posterior(result)
    if folder.resolve() == out.resolve():
        raise ValueError(f"{out} holds the result to start from: choose another folder, or ask for more draws there")
    from .posterior.datatree import safe

    space = problem.space
    places = tuple(i for i, n in enumerate(space.names) if safe(n) in posterior)
    if not places:
        raise ValueError(
            f"{name} has none of the parameters of {problem.name!r} ({listed(space.names)}); it has "
            f"{listed(map(str, posterior.data_vars))}"
        )
    matched = [space.names[i] for i in places]
    units = {n: (posterior[safe(n)].attrs.get("unit", ""), problem.parameters[n].unit) for n in matched}
    if other := [f"{n} is in {old!r} there, in {new!r} here" for n, (old, new) in units.items() if old != new]:
        raise ValueError(f"{name} has other units: {'; '.join(other)}")
    values = np.array([np.asarray(posterior[safe(n)].values, dtype=float).ravel() for n in matched]).T
    alone = ParameterSpace([space.parameters[i] for i in places])
    u = alone.unfold(alone.coordinates(values))
    u = u[np.all(np.isfinite(u), axis=1)]
    if len(u) < _LEAST:
        raise ValueError(
            f"{len(u)} of {len(values)} draws of {name} lie within the priors of {problem.name!r}; at least {_LEAST} "
            "are needed: leave out `start`, or look at the bounds"
        )
    return EarlierDraws(u, places, len(values) - len(u))


def _posterior(result: Calibration | str | Path) -> tuple[xr.Dataset, str, Path]:
    """The posterior's draws, how messages name the result, and its folder."""
    from .posterior.file import file_of, read_datatree
    from .result import Calibration

    if isinstance(result, Calibration):
        return result.tree["posterior"].dataset, f"the result in {result.folder}", result.folder
    path = file_of(result)
    return read_datatree(path)["posterior"].dataset, str(path), path.parent


__all__ = ["WARMUP", "EarlierDraws", "earlier_draws"]
