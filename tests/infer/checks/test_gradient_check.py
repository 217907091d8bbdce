"""The user's check of a gradient: it passes where it should, and says so where it should not."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hexamer import Problem
from hexamer.infer import load_problem
from hexamer.infer.checks.gradient_check import GradientCheck, check_gradient, compare, nominal_point

pytestmark = pytest.mark.tier("test")


@pytest.mark.tier("slow")
def test_hepg2_passes_and_vmap_agrees(hepg2: Problem, published_fit: dict[str, float]) -> None:
    rng = np.random.default_rng(0)
    z = hepg2.space.unconstrain(published_fit) + 0.05 * rng.normal(size=len(hepg2.space))
    check = check_gradient(hepg2, z, steps=(3e-3, 3e-4))
    assert check.passes, str(check)
    assert check.names == hepg2.space.names
    assert "The gradient passes" in str(check)
    points = jnp.asarray(np.stack([z, z + 0.1 * rng.normal(size=len(z))]))
    values, gradients = jax.jit(jax.vmap(jax.value_and_grad(hepg2.log_density)))(points)
    assert np.all(np.isfinite(values))
    assert np.linalg.norm(gradients[0] - check.gradient) < 1e-5 * np.linalg.norm(check.gradient)
    # The second point along one direction, so that the batch is not checked at one point alone.
    direction = rng.normal(size=len(z)) / np.sqrt(len(z))
    line = compare(
        ("along",),
        lambda t: hepg2.log_density(points[1] + t[0] * direction),
        np.array([gradients[1] @ direction]),
        np.zeros(1),
        (1e-3, 1e-4),
    )
    assert line.passes, str(line)


@pytest.mark.tier("slow")
def test_nominal_values_are_the_default(decay: Callable[..., Problem]) -> None:
    check = check_gradient(decay())
    assert check.passes, str(check)
    assert str(check).count("\n") == len(check.names) + 1


@pytest.mark.tier("slow")
@pytest.mark.parametrize("wrong", ["k", "noise"])
def test_a_wrong_gradient_fails(decay: Callable[..., Problem], monkeypatch: pytest.MonkeyPatch, wrong: str) -> None:
    problem = decay()
    right, position = problem.log_density, problem.space.names.index(wrong)

    @jax.custom_vjp
    def density(z):
        return right(z)

    def forward(z):
        value, gradient = jax.value_and_grad(right)(z)
        return value, gradient.at[position].multiply(1.02)

    density.defvjp(forward, lambda gradient, bar: (bar * gradient,))
    monkeypatch.setattr(Problem, "log_density", lambda _, z: density(z))
    check = check_gradient(problem)
    assert not check.passes
    assert check.finer is not None
    total = np.linalg.norm(check.finer.error)
    assert total == pytest.approx(np.linalg.norm(check.error), rel=0.05)
    assert f"The gradient fails: it differs from central differences by {total:.1e} of its norm at rtol 1e-09" in str(
        check
    )
    assert f"most in {wrong}." in str(check)
    marked = [line for line in str(check).splitlines() if line.endswith("<-")]
    assert [line.split()[0] for line in marked] == [wrong]


@pytest.mark.tier("slow")
def test_where_the_simulation_fails_there_is_nothing_to_check(blow_up: Problem) -> None:
    with pytest.raises(ValueError, match=r"no density \(the step became too small: the solution may blow up"):
        check_gradient(blow_up, np.array([1.5]))
    with pytest.raises(ValueError, match="z must hold 1 parameters"):
        check_gradient(blow_up, np.zeros(2))


@pytest.mark.tier("check")
def test_a_density_that_is_finite_nowhere_near_cannot_be_checked() -> None:
    check = compare(("a", "b"), lambda z: z[1] + jnp.log(z[0]), np.array([1.0, 1.0]), np.array([0.0, 1.0]))
    assert not check.passes
    assert check.side == ("none", "none")
    check = compare(("a", "b"), lambda z: z[1] + jnp.where(z[0] == 0, 0, jnp.nan), np.array([1.0, 1.0]), np.zeros(2))
    assert check.side == ("none", "both")
    assert "cannot be checked in a: the density is finite on neither side of z" in str(check)


@pytest.mark.tier("check")
@pytest.mark.parametrize("side", ["above", "below"])
def test_at_a_cliff_the_side_counts_on_which_the_density_is_finite(side: str) -> None:
    """The density of a uniform prior at its bound, or a simulation that fails beyond a value."""
    sign = 1.0 if side == "above" else -1.0

    def density(z):
        return jnp.where(sign * z[0] >= 0, jnp.exp(0.7 * z[0]) + jnp.sin(z[1]), -jnp.inf)

    check = compare(("a", "b"), density, np.array([0.7, 1.0]), np.zeros(2))
    assert check.passes, str(check)
    assert check.side == (side, "both")
    assert f"from {side} z" in str(check)
    wrong = compare(("a", "b"), density, np.array([0.71, 1.0]), np.zeros(2))
    assert not wrong.passes
    assert f"finite on one side alone in a ({side} z): z lies at a cliff. Choose another z." in str(wrong)


@pytest.mark.tier("check")
@pytest.mark.parametrize(
    ("kinked", "gradient", "slopes"),
    [
        (jnp.abs, 0.0, "-1 below z and 1 above"),
        (lambda x: jnp.maximum(0.0, x), 0.5, "0 below z and 1 above"),
        (lambda x: jnp.where(x > 0, 3 * x, x) + 5 * x**2, 1.0, "1 below z and 3 above"),  # the gradient of one side
        (lambda x: -0.02 * jnp.abs(jnp.expm1(x)), 0.0, "0.02 below z and -0.02 above"),
    ],
)
def test_a_kink_at_z_is_no_place_for_a_gradient(kinked: Callable, gradient: float, slopes: str) -> None:
    """Central differences agree with the mean of both slopes, though there is no gradient."""
    check = compare(("a", "b"), lambda z: kinked(z[0]) + jnp.sin(z[1]), np.array([gradient, 1.0]), np.zeros(2))
    assert check.kinks == ("a",)
    assert not check.passes
    assert f"The density has a kink here in a: its slope is {slopes}." in str(check)
    assert "Choose another z" in str(check) or "Look for a kink" in str(check)
    assert "fails" in repr(check)


@pytest.mark.tier("check")
@pytest.mark.parametrize("steps", [(1e-2, 1e-3), (1e-3,), (1e-2, 3e-3, 1e-3, 3e-4, 1e-4)])
def test_kinks_are_found_by_few_steps_and_smooth_bends_are_none(steps: tuple[float, ...]) -> None:
    zero = np.zeros(1)
    assert compare(("a",), lambda z: jnp.abs(z[0]), zero, zero, steps).kinks == ("a",)
    for smooth in (lambda x: x**3 + 0.05 * x**2, lambda x: jnp.cos(x / 10) + 1e-9 * jnp.sin(1e4 * x + 1)):
        assert compare(("a",), lambda z, f=smooth: f(z[0]), zero, zero, steps).kinks == ()


@pytest.mark.tier("check")
def test_a_kink_beside_z_is_not_at_z() -> None:
    for offset in (1e-2, 1e-3, 1e-4):
        for error in (0.0, 3e-5):  # of the gradient: less than the tolerance, more than what ends the search for a step
            gradient = np.array([-0.5 + error])
            check = compare(("a",), lambda z, o=offset: 0.5 * jnp.abs(z[0] - o), gradient, np.zeros(1))
            assert check.passes, str(check)


@pytest.mark.tier("slow")
@pytest.mark.parametrize(("distance", "passes"), [(0.0, False), (0.3, True)])
def test_a_kink_of_a_problem(
    decay: Callable[..., Problem], monkeypatch: pytest.MonkeyPatch, distance: float, passes: bool
) -> None:
    """As a Laplace prior has at its location; the finer run confirms it."""
    problem, right = decay(), Problem.log_density
    kink, place = nominal_point(problem), problem.space.names.index("k")
    monkeypatch.setattr(Problem, "log_density", lambda self, at: right(self, at) - 10 * jnp.abs(at - kink)[place])
    check = check_gradient(problem, kink + distance * np.eye(len(kink))[place])
    assert check.passes == passes, str(check)
    assert (check.finer is None) == passes
    assert ("has a kink here in k" in str(check)) != passes


@pytest.mark.tier("check")
def test_the_solver_is_not_blamed_for_what_large_steps_do() -> None:
    """Beside a kink the gradient is the same at both tolerances; only the smallest steps are small enough."""

    def check(error: float, finer: GradientCheck | None = None) -> GradientCheck:
        one = np.ones(1)
        return GradientCheck(("a",), one, one + error, 1e-7 * one, error * one, 1e-4, ("both",), finer)

    said = str(check(1e-2, check(1e-6)))
    assert "the gradient is off by 0.0e+00: it is right there, too, and the differences are off" in said
    assert "that is the solver's error" not in said
    assert "The density bends within 1e-07 of z, in a: z lies at a cliff or kink." in said


@pytest.mark.tier("check")
@pytest.mark.parametrize("steps", [(), (1e-3, 0.0), (-1e-3,), (math.nan,)])
def test_steps_that_are_none(decay: Callable[..., Problem], steps: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="expected at least one, each above 0 and finite"):
        check_gradient(decay(), steps=steps)


def _inexact(decay: Callable[..., Problem], monkeypatch: pytest.MonkeyPatch, by: float) -> Problem:
    """A problem whose density, and so its gradient, is wavy at loose tolerances, as a solver's steps make it."""
    right = Problem.log_density

    def wavy(self, z):
        return right(self, z) + by * self.settings.rtol * jnp.sin(z[0] / 1e-5)

    monkeypatch.setattr(Problem, "log_density", wavy)
    return decay()


@pytest.mark.tier("slow")
def test_the_solvers_error_is_told_from_a_wrong_gradient(
    decay: Callable[..., Problem], monkeypatch: pytest.MonkeyPatch
) -> None:
    check = check_gradient(_inexact(decay, monkeypatch, 3.0))
    assert not check.agrees
    assert check.passes, str(check)
    assert check.finer is not None
    assert check.solver_error > check.tolerance
    assert "that is the solver's error" in str(check)
    assert f"of which the solver {check.solver_error:.1e}" in repr(check)


@pytest.mark.tier("slow")
@pytest.mark.parametrize(
    "name", ["Boehm_JProteomeRes2014", "Brannmark_JBC2010", "Elowitz_Nature2000", "Crauste_CellSystems2017"]
)
def test_published_problems_pass(name: str, shared_data: Path) -> None:
    check = check_gradient(load_problem(shared_data / "petab" / name / f"{name}.yaml"))
    assert check.passes, str(check)
