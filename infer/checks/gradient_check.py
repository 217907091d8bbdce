"""A check of a problem's gradient: automatic differentiation against central differences."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ...models.solvers.dispatch import falls_back
from ...models.solvers.status import Status
from ..problem.failures import count_kinds

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ..problem.problem import Problem

STEPS = (1e-2, 3e-3, 1e-3, 3e-4, 1e-4, 3e-5, 1e-5)
"""Step sizes in z, where a prior without bounds has standard deviation 1."""


@dataclass(frozen=True, eq=False)
class GradientCheck:
    """Both gradients of a log density at one z, by parameter. All numbers are dimensionless.

    Attributes
    ----------
    names : tuple of str
        The parameters.
    gradient : array, parameters
        The gradient over z (dimensionless), as the sampler uses it.
    difference : array, parameters
        The central difference (dimensionless) at the step in `step`.
    step : array, parameters
        The step in z (dimensionless) at which the two agree best.
    error : array, parameters
        Distance of the two, relative to the norm of the gradient or to 1, whichever is larger; dimensionless.
    tolerance : float
        The check passes if the norm of `error` is at most this; dimensionless.
    """

    names: tuple[str, ...]
    gradient: np.ndarray
    difference: np.ndarray
    step: np.ndarray
    error: np.ndarray
    tolerance: float

    @property
    def passes(self) -> bool:
        """True if the norm of `error` is at most `tolerance`."""
        return bool(np.linalg.norm(self.error) <= self.tolerance)

    def __repr__(self) -> str:
        verdict = "passes" if self.passes else "fails"
        error = float(np.linalg.norm(self.error))
        return (
            f"GradientCheck({len(self.names)} parameters, {verdict}: error {error:.1e}, tolerance {self.tolerance:.0e})"
        )

    def __str__(self) -> str:
        width = max(len("parameter"), *map(len, self.names)) if self.names else len("parameter")
        lines = [f"{'parameter':<{width}}  {'gradient':>13}  {'difference':>13}  {'step':>7}  {'error':>8}"]
        for name, g, d, h, e in zip(self.names, self.gradient, self.difference, self.step, self.error, strict=True):
            mark = "  <-" if not e <= self.tolerance else ""
            lines.append(f"{name:<{width}}  {g:13.6g}  {d:13.6g}  {h:7.0e}  {e:8.1e}{mark}")
        total = float(np.linalg.norm(self.error))
        if self.passes:
            verdict = f"The gradient passes: it agrees with central differences within {total:.1e} of its norm"
            return "\n".join([*lines, f"{verdict} (tolerance {self.tolerance:.0e})."])
        worst = self.names[int(np.argmax(np.nan_to_num(self.error, nan=np.inf)))]
        return "\n".join(
            [
                *lines,
                f"The gradient fails: it differs from central differences by {total:.1e} of its norm "
                f"(tolerance {self.tolerance:.0e}), most in {worst}.",
                "Tighten rtol and atol, and see whether the error follows them: then it is the solver's.",
                "If not, look for a kink in a formula (abs, min, max, piecewise) here, or report a bug.",
            ]
        )


@falls_back
def check_gradient(
    problem: Problem,
    z: Float[np.ndarray, " parameters"] | None = None,
    *,
    steps: Sequence[float] = STEPS,
    tolerance: float = 1e-4,
    batch: int = 16,
) -> GradientCheck:
    """Compares the gradient of `problem.log_density` with central differences.

    Each parameter is compared at all `steps`, since rounding and the solver's error ruin small ones and curvature large
    ones, and the best is taken.

    Parameters
    ----------
    problem : Problem
        Whose log density is meant.
    z : array, parameters, optional
        The point (dimensionless); by default that of the nominal values, or a draw from the prior (seeded) if there are
        none.
    steps : sequence of float
        Of the central differences, in z (dimensionless).
    tolerance : float
        Largest relative error, dimensionless.
    batch : int
        Points that are simulated at once.

    Returns
    -------
    GradientCheck
        Both gradients, and whether they agree.

    Raises
    ------
    ValueError
        If the log density at `z` is not finite, or `z` has the wrong shape.
    """
    z = nominal_point(problem) if z is None else np.asarray(z, dtype=float)
    if z.shape != (len(problem.space),):
        raise ValueError(f"z must hold {len(problem.space)} parameters, not be of shape {z.shape}")
    with problem.placed(batch):
        value, gradient = jax.jit(jax.value_and_grad(problem.log_density))(jnp.asarray(z))
        if np.isfinite(value):
            return compare(problem.space.names, problem.log_density, np.asarray(gradient), z, steps, tolerance, batch)
        # From a pass with the gradient, which also fails if the density has no derivative.
        with_status = jax.value_and_grad(lambda z: problem.objective(z, "density"), has_aux=True)
        (_, status), _ = jax.jit(with_status)(jnp.asarray(z))
    kinds = count_kinds(np.asarray(status))
    why = problem.why_failed(kinds, problem.values(jnp.asarray(z))) or Status.sentences(kinds)
    reasons = "; ".join(why) or "the density of the prior or of a row is infinite"
    raise ValueError(f"the gradient cannot be checked where there is no density ({reasons}): choose another z")


def nominal_point(problem: Problem) -> np.ndarray:
    """z of the nominal values, or a draw from the prior where one is missing or out of bounds."""
    values = {p.name: p.value for p in problem.space.parameters}
    try:
        return problem.space.unconstrain({n: v for n, v in values.items() if v is not None})
    except ValueError:
        return np.asarray(problem.space.sample(jax.random.key(0)))


def compare(
    names: tuple[str, ...],
    density: Callable[[Float[Array, " parameters"]], Float[Array, ""]],
    gradient: np.ndarray,
    z: np.ndarray,
    steps: Sequence[float] = STEPS,
    tolerance: float = 1e-4,
    batch: int = 16,
) -> GradientCheck:
    """`gradient` against central differences of `density` at `z`."""
    count = len(z)
    sizes = np.repeat(np.asarray(steps, dtype=float), count)
    shift = np.tile(np.eye(count), (len(steps), 1)) * sizes[:, None]
    points = jnp.asarray(np.concatenate([z + shift, z - shift]))
    up, down = np.split(np.asarray(jax.jit(lambda p: jax.lax.map(density, p, batch_size=batch))(points)), 2)
    with np.errstate(invalid="ignore"):
        central = ((up - down) / (2 * sizes)).reshape(len(steps), count)
    distance = np.where(np.isfinite(central), np.abs(central - gradient), np.inf)
    best = np.argmin(distance, axis=0) if count else np.zeros(0, dtype=int)
    column = np.arange(count)
    scale = max(1.0, float(np.linalg.norm(gradient)))
    return GradientCheck(
        names,
        gradient,
        central[best, column],
        np.asarray(steps, dtype=float)[best],
        distance[best, column] / scale,
        tolerance,
    )
