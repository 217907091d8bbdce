"""Rodas5P: order, dense output, and the adjoint of a step."""

from __future__ import annotations

from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from helpers import slowly
from hexamer.models.solvers.reference.rodas5p import DenseOutput, H, M, _stages, _stages_with_adjoint
from hexamer.models.solvers.rodas5p_coefficients import A

pytestmark = pytest.mark.tier("test")

P = jnp.array([0.7, 2.0, 0.3])
Y0 = jnp.array([1.0, 0.4])


def f(y, p):
    """A nonlinear cycle with saturation."""
    a, b = y
    flux = p[0] * a / (1 + a) - p[1] * b**2
    return jnp.array([-flux + p[2] * b, flux - p[2] * a * b])


jacobian = jax.jacfwd(f)


def integrate(steps: int, length: float = 2.0) -> DenseOutput:
    """The last of `steps` equal steps over `length`."""
    h = length / steps

    def one(y, _):
        k = _stages(f, jacobian, y, P, h)
        y1 = y + jnp.asarray(M) @ k
        return y1, (y, y1, jnp.asarray(H) @ k)

    _, (before, after, d) = jax.lax.scan(one, Y0, length=steps)
    zero, one_step = jnp.zeros(()), jnp.asarray(h)
    return DenseOutput(t0=zero, t1=one_step, y0=before[-1], y1=after[-1], d=d[-1])


@cache
def exact() -> jax.Array:
    return integrate(2000).y1


@pytest.mark.parametrize("steps", [8, *slowly(16)])
def test_order_5(steps: int) -> None:
    errors = [float(jnp.linalg.norm(integrate(n).y1 - exact())) for n in (steps, 2 * steps)]
    assert 4.7 < np.log2(errors[0] / errors[1]) < 5.5
    assert errors[1] < 1e-5


def test_dense_output_of_order_4() -> None:
    """From the same start, the largest error inside a step of size h falls as h^5."""

    def error(h: float) -> float:
        k = _step(Y0, h)
        dense = DenseOutput(
            t0=jnp.zeros(()), t1=jnp.asarray(h), y0=Y0, y1=Y0 + jnp.asarray(M) @ k, d=jnp.asarray(H) @ k
        )
        fine, errors = Y0, []
        for i in range(1, 33):
            fine = fine + jnp.asarray(M) @ _step(fine, h / 32)
            errors.append(jnp.linalg.norm(dense.evaluate(jnp.asarray(i * h / 32)) - fine))
        return float(max(errors))

    assert np.log2(error(0.2) / error(0.1)) > 4.6


_step = jax.jit(lambda y, h: _stages(f, jacobian, y, P, h))


def test_dense_output_joins_its_ends() -> None:
    dense = integrate(4)
    np.testing.assert_allclose(dense.evaluate(dense.t0), dense.y0, rtol=1e-15)
    np.testing.assert_allclose(dense.evaluate(dense.t1), dense.y1, rtol=1e-15)
    np.testing.assert_allclose(dense.evaluate(dense.t0, dense.t1), dense.y1 - dense.y0, rtol=1e-14)


def test_late_stages_add_one_k_each() -> None:
    """rodas5p.h relies on this: from stage ADDED on, each state is the previous state plus its k."""
    added = 5
    for weights in (*A[added + 1 :], M):
        np.testing.assert_array_equal(weights[:added], A[added][:added])
    later = np.array([*A[added:], M])[:, added:]
    np.testing.assert_array_equal(later, np.tri(4, 3, -1))


@pytest.mark.tier("slow")
@pytest.mark.parametrize("h", [1e-3, 0.3, 50.0])
def test_adjoint_of_a_step(h: float) -> None:
    """The discrete adjoint by hand (Daescu, Sandu, Carmichael 2003) is the derivative of the stages."""
    weights = jax.random.normal(jax.random.key(1), (8, 2))

    def scalar(stages, y, p):
        return jnp.sum(weights * stages(f, jacobian, y, p, jnp.asarray(h)))

    expected, found = (
        jax.jit(jax.grad(partial(scalar, stages), argnums=(0, 1)))(Y0, P) for stages in (_stages, _stages_with_adjoint)
    )
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12 * float(jnp.abs(b).max()))


def test_damps_what_is_infinitely_stiff() -> None:
    """L-stability: a step over y' = −10^9 y from 1 ends near 0."""
    k = _stages(lambda y, p: -1e9 * y, lambda y, p: jnp.array([[-1e9]]), jnp.ones(1), None, jnp.asarray(1.0))
    assert abs(float((1 + jnp.asarray(M) @ k)[0])) < 1e-7
