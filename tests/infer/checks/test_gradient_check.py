"""The user's check of a gradient: it passes where it should, and says so where it should not."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hexamer import Problem
from hexamer.infer.checks.gradient_check import check_gradient, compare

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
    assert f"The gradient fails: it differs from central differences by {np.linalg.norm(check.error):.1e}" in str(check)
    assert f"most in {wrong}." in str(check)
    marked = [line for line in str(check).splitlines() if line.endswith("<-")]
    assert [line.split()[0] for line in marked] == [wrong]


@pytest.mark.tier("test")
def test_where_the_simulation_fails_there_is_nothing_to_check(blow_up: Problem) -> None:
    with pytest.raises(ValueError, match=r"no density \(the step became too small: the solution may blow up"):
        check_gradient(blow_up, np.array([1.5]))
    with pytest.raises(ValueError, match="z must hold 1 parameters"):
        check_gradient(blow_up, np.zeros(2))


def test_a_difference_that_is_not_finite_is_no_agreement() -> None:
    check = compare(("a",), lambda z: jnp.log(z[0]), np.array([1.0]), np.array([0.0]))
    assert not check.passes
    assert "most in a." in str(check)
