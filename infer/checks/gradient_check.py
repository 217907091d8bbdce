"""A check of a problem's gradient: automatic differentiation against differences, and the solver's part in it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ...models.solvers.accuracy import stricter
from ...models.solvers.dispatch import falls_back
from ...models.solvers.status import Status
from ..problem.failures import count_kinds
from .difference_quotients import nearest_differences

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ..problem.problem import Problem

STEPS = (1e-2, 3e-3, 1e-3, 3e-4, 1e-4, 3e-5, 1e-5)
"""Step sizes in z, where a prior without bounds has standard deviation 1."""
FINER_RTOL = 1e-9
"""Relative tolerance of the second run, which tells the solver's error from a wrong gradient."""
FINER_STEPS = (3e-6, 1e-6, 1e-7, 1e-8, 1e-9)
"""Steps that the second run has besides: densities of oscillators bend within larger ones, and those at a cliff."""


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
        The difference (dimensionless) at the step in `step`; NaN if the density is finite on neither side.
    step : array, parameters
        The largest step in z (dimensionless) at which the two agree, or the one at which they agree best.
    error : array, parameters
        Distance of the two, relative to the norm of the gradient or to 1, whichever is larger; dimensionless.
    tolerance : float
        The largest norm of `error` that is agreement; dimensionless.
    side : tuple of str
        What each difference is from: "both" sides, or the one where the density is finite, "above" or "below" z;
        "none" if there is neither.
    finer : GradientCheck or None
        The same at a relative tolerance of 1e-9, if the two did not agree or z lies at a kink; else None.
    not_finer : str
        Why there is no density at that tolerance; empty if there is one, or none was asked for.
    kink : array, parameters × 2, or None
        The slopes (dimensionless) just below and just above z if they differ, so that there is no gradient; else NaN.
    """

    names: tuple[str, ...]
    gradient: np.ndarray
    difference: np.ndarray
    step: np.ndarray
    error: np.ndarray
    tolerance: float
    side: tuple[str, ...] = ()
    finer: GradientCheck | None = None
    not_finer: str = ""
    kink: np.ndarray | None = None

    @property
    def agrees(self) -> bool:
        """True if both gradients agree at the problem's own tolerance."""
        return bool(np.linalg.norm(self.error) <= self.tolerance)

    @property
    def passes(self) -> bool:
        """True if the gradient is right: both agree, here or at the finer tolerance, and z does not lie at a kink."""
        return (self.agrees or (self.finer is not None and self.finer.agrees)) and not self.kinks

    @property
    def kinks(self) -> tuple[str, ...]:
        """The parameters in which the density has a kink at z."""
        slopes = (self.finer or self).kink
        if slopes is None:
            return ()
        return tuple(n for n, kinked in zip(self.names, np.isfinite(slopes).all(axis=1), strict=True) if kinked)

    @property
    def solver_error(self) -> float:
        """How far the gradient moves at the finer tolerance, relative to its norm (dimensionless); NaN without it."""
        if self.finer is None:
            return float("nan")
        return float(np.linalg.norm(self.gradient - self.finer.gradient)) / _scale(self.finer.gradient)

    def __repr__(self) -> str:
        verdict = "passes" if self.passes else "fails"
        error = float(np.linalg.norm((self.finer or self).error))
        by_solver = f", of which the solver {self.solver_error:.1e}" if self.finer is not None and self.passes else ""
        return (
            f"GradientCheck({len(self.names)} parameters, {verdict}: error {error:.1e}, "
            f"tolerance {self.tolerance:.0e}{by_solver})"
        )

    def __str__(self) -> str:
        shown = self if self.finer is None else self.finer
        return "\n".join([*shown._table(), *self._verdict()])

    def _table(self) -> list[str]:
        width = max(len("parameter"), *map(len, self.names)) if self.names else len("parameter")
        lines = [f"{'parameter':<{width}}  {'gradient':>13}  {'difference':>13}  {'step':>7}  {'error':>8}"]
        rows = zip(self.names, self.gradient, self.difference, self.step, self.error, strict=True)
        for (name, g, d, h, e), side in zip(rows, self.side or ("both",) * len(self.names), strict=True):
            mark = "  <-" if not e <= self.tolerance else ""
            from_one = f"  from {side} z" if side in ("above", "below") else ""
            lines.append(f"{name:<{width}}  {g:13.6g}  {d:13.6g}  {h:7.0e}  {e:8.1e}{from_one}{mark}")
        return lines

    def _verdict(self) -> list[str]:
        total = float(np.linalg.norm(self.error))
        if self.kinks and (self.agrees or (self.finer is not None and self.finer.agrees)):
            return [
                *(self.finer or self)._kinks(),
                "There is no gradient at a kink, and central differences are the mean of both slopes. Choose another "
                "z, or look for abs, min, max, piecewise or a Laplace distribution.",
            ]
        if self.agrees:
            verdict = f"The gradient passes: it agrees with central differences within {total:.1e} of its norm"
            return [f"{verdict} (tolerance {self.tolerance:.0e})."]
        if self.finer is not None and self.finer.agrees:
            within = float(np.linalg.norm(self.finer.error))
            by_solver = self.solver_error > self.tolerance
            return [
                f"The gradient passes: at rtol {FINER_RTOL:g}, shown here, it agrees with differences within "
                f"{within:.1e} of its norm (tolerance {self.tolerance:.0e}).",
                f"At the problem's own rtol they differ by {total:.1e}, and the gradient is off by "
                f"{self.solver_error:.1e}"
                + (
                    ": that is the solver's error. Where it matters, solve at a finer rtol."
                    if by_solver
                    else ": it is right there, too, and the differences are off, by large steps or the solver's error."
                ),
                *self.finer._cliffs(),
            ]
        untold = [f"Whether that is the solver's error is not known: {self.not_finer}."] if self.not_finer else []
        at = f" at rtol {FINER_RTOL:g}" if self.finer is not None else ""
        return [*(self.finer or self)._failure(at), *untold]

    def _cliffs(self) -> list[str]:
        steep = [n for n, h in zip(self.names, self.step, strict=True) if h < min(STEPS) / 5]
        if not steep:
            return []
        return [
            f"The density bends within {min(self.step):.0e} of z, in {', '.join(steep)}: z lies at a cliff or kink."
        ]

    def _kinks(self) -> list[str]:
        if self.kink is None:
            return []
        return [
            f"The density has a kink here in {name}: its slope is {below:.4g} below z and {above:.4g} above."
            for name, (below, above) in zip(self.names, self.kink + 0.0, strict=True)  # not -0
            if name in self.kinks
        ]

    def _failure(self, at: str) -> list[str]:
        if nowhere := [n for n, side in zip(self.names, self.side, strict=False) if side == "none"]:
            return [
                f"The gradient cannot be checked in {', '.join(nowhere)}: the density is finite on neither side of z, "
                "at any step. Choose another z."
            ]
        worst = self.names[int(np.argmax(np.nan_to_num(self.error, nan=np.inf)))]
        return [
            f"The gradient fails: it differs from central differences by {float(np.linalg.norm(self.error)):.1e} of "
            f"its norm{at} (tolerance {self.tolerance:.0e}), most in {worst}.",
            *self._edges(),
            *self._kinks(),
            "Look for a kink or jump in a formula (abs, min, max, piecewise) here, or report a bug.",
        ]

    def _edges(self) -> list[str]:
        """Where the difference is from one side alone, since the density ends near z."""
        off = zip(self.names, self.side, self.error, strict=False)
        ends = [f"{n} ({side} z)" for n, side, e in off if side in ("above", "below") and not e <= self.tolerance]
        if not ends:
            return []
        return [f"The density is finite on one side alone in {', '.join(ends)}: z lies at a cliff. Choose another z."]


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
    ones; one at which they agree is enough. If the density is finite on one side of z alone, the difference is from
    that side. If the two do not agree, they are compared once more at a relative tolerance of 1e-9: there, the solver's
    error is gone, and a wrong gradient is not. The same run decides whether z lies at a kink, where the slopes on its
    two sides differ: the check then does not pass.

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
        If the log density at `z` is not finite, `z` has the wrong shape, or a step is not above 0 and finite.
    """
    z = nominal_point(problem) if z is None else np.asarray(z, dtype=float)
    if z.shape != (len(problem.space),):
        raise ValueError(f"z must hold {len(problem.space)} parameters, not be of shape {z.shape}")
    if len(steps) == 0 or not all(0 < h < np.inf for h in steps):
        raise ValueError(f"steps are {tuple(steps)}; expected at least one, each above 0 and finite")
    check = _at_own_tolerance(problem, z, steps, tolerance, batch)
    if (check.agrees and not check.kinks) or problem.settings.rtol <= FINER_RTOL:
        return check
    finer = problem.with_settings(replace(stricter(problem.settings), rtol=FINER_RTOL))
    try:
        there = _at_own_tolerance(finer, z, (*steps, *FINER_STEPS), tolerance, batch)
        if check.agrees and not there.kinks:  # it was the solver's error that looked like one
            return replace(check, kink=None)
        return replace(check, finer=there)
    except ValueError as error:
        return replace(check, not_finer=f"at rtol {FINER_RTOL:g} {error}")


def _at_own_tolerance(
    problem: Problem, z: np.ndarray, steps: Sequence[float], tolerance: float, batch: int
) -> GradientCheck:
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
    enough = 0.1 * tolerance * _scale(gradient) / max(1.0, np.sqrt(len(z)))  # all together a tenth of the tolerance
    notable = 2 * tolerance * _scale(gradient)  # a gradient that is the mean of both slopes is off by half of it
    differences = nearest_differences(density, z, gradient, steps, batch, enough, notable)
    distance = np.where(np.isfinite(differences.value), np.abs(differences.value - gradient), np.inf)
    return GradientCheck(
        names,
        gradient,
        differences.value,
        differences.step,
        distance / _scale(gradient),
        tolerance,
        side=differences.side,
        kink=differences.kink,
    )


def _scale(gradient: np.ndarray) -> float:
    return max(1.0, float(np.linalg.norm(gradient)))
