"""A value with one derivative, in reverse: it is itself in every nesting of what is allowed, and else says why not."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from helpers import ENGINES, SOLVERS
from hexamer import Diffrax
from hexamer.models import Model, Protocol, Settings, simulate
from hexamer.models.solvers.derivatives import FORWARD, SECOND, DerivativeError, differentiated, reverse_only

pytestmark = pytest.mark.tier("test")

POINTS = jnp.array([[0.3, -1.2], [0.7, 0.1], [1.1, 2.0]])
X, V = POINTS[0], jnp.ones(2)


def plain(x: jax.Array) -> jax.Array:
    return jnp.sum(jnp.sin(x) * x[0])


def guarded(x: jax.Array) -> jax.Array:
    """As a solve is: compiled, with an adjoint of its own."""
    return jax.jit(_adjoint)(reverse_only(x))


@jax.custom_vjp
def _adjoint(x):
    return plain(x)


_adjoint.defvjp(lambda x: (plain(x), x), lambda x, bar: (jax.grad(plain)(x) * differentiated(bar),))


Of = Callable[[Callable[[jax.Array], jax.Array]], Any]

ALLOWED: Mapping[str, Of] = {
    "value": lambda f: f(X),
    "jit": lambda f: jax.jit(f)(X),
    "vmap": lambda f: jax.vmap(f)(POINTS),
    "grad": lambda f: jax.grad(f)(X),
    "jit grad": lambda f: jax.jit(jax.grad(f))(X),
    "vmap grad": lambda f: jax.vmap(jax.grad(f))(POINTS),
    "vmap of the second axis": lambda f: jax.vmap(jax.grad(f), in_axes=1, out_axes=1)(POINTS.T),
    "grad vmap": lambda f: jax.grad(lambda x: jnp.sum(jax.vmap(f)(x)))(POINTS),
    "grad vmap vmap": lambda f: jax.grad(lambda x: jnp.sum(jax.vmap(jax.vmap(f))(x)))(POINTS[None]),
    "jacrev vmap": lambda f: jax.jacrev(jax.vmap(f))(POINTS),
    "vmap vjp": lambda f: jax.vmap(jax.vjp(f, X)[1])(jnp.arange(3.0)),
    "transpose of linearize": lambda f: jax.linear_transpose(jax.linearize(f, X)[1], X)(1.0),
    "scan grad": lambda f: jax.lax.map(jax.grad(f), POINTS),
    "grad scan": lambda f: jax.grad(lambda x: jnp.sum(jax.lax.map(f, x)))(POINTS),
    "vmap grad scan": lambda f: jax.vmap(jax.grad(lambda x: jnp.sum(jax.lax.map(f, x))))(POINTS[None]),
    "grad checkpoint": lambda f: jax.grad(jax.checkpoint(f))(X),
    "grad cond": lambda f: jax.grad(lambda x: jax.lax.cond(x[0] > 0, f, lambda x: 0.0 * x[0], x))(X),
    "vmap grad cond": lambda f: jax.vmap(jax.grad(lambda x: jax.lax.cond(x[1] > 0, f, lambda x: x[0], x)))(POINTS),
    "second derivative elsewhere": lambda f: jax.hessian(lambda u: jnp.sum(u**2) * f(X))(V),
    "not differentiated here": lambda f: jax.jacfwd(lambda x: f(jax.lax.stop_gradient(x)) * x)(X),
}

FORWARD_MODE: Mapping[str, Of] = {
    "jvp": lambda f: jax.jvp(f, (X,), (V,)),
    "jvp jit": lambda f: jax.jvp(jax.jit(f), (X,), (V,)),
    "jit jvp": lambda f: jax.jit(lambda x: jax.jvp(f, (x,), (V,)))(X),
    "jacfwd": lambda f: jax.jacfwd(f)(X),
    "jit jacfwd": lambda f: jax.jit(jax.jacfwd(f))(X),
    "vmap jacfwd": lambda f: jax.vmap(jax.jacfwd(f))(POINTS),
    "jacfwd vmap": lambda f: jax.jacfwd(jax.vmap(f))(POINTS),
    "linearize": lambda f: jax.linearize(f, X)[1](V),
    "jacfwd scan": lambda f: jax.jacfwd(lambda x: jax.lax.map(f, x))(POINTS),
    "jacfwd checkpoint": lambda f: jax.jacfwd(jax.checkpoint(f))(X),
}

SECOND_DERIVATIVES: Mapping[str, Of] = {
    "hessian": lambda f: jax.hessian(f)(X),
    "jit hessian": lambda f: jax.jit(jax.hessian(f))(X),
    "vmap hessian": lambda f: jax.vmap(jax.hessian(f))(POINTS),
    "jacrev grad": lambda f: jax.jacrev(jax.grad(f))(X),
    "grad of a sum of grad": lambda f: jax.grad(lambda x: jnp.sum(jax.jit(jax.grad(f))(x)))(X),
    "grad of scan of grad": lambda f: jax.grad(lambda x: jnp.sum(jax.lax.map(jax.grad(f), x)))(POINTS),
    "jacfwd jacfwd": lambda f: jax.jacfwd(jax.jacfwd(f))(X),
    "grad jvp": lambda f: jax.grad(lambda x: jax.jvp(f, (x,), (V,))[1])(X),
    "of the cotangent": lambda f: jax.grad(lambda a: jnp.sum(jax.grad(lambda x: a * f(x))(X)))(2.0),
}


@pytest.mark.tier("slow")
@pytest.mark.parametrize("name", ALLOWED)
def test_what_is_allowed(name: str) -> None:
    found, expected = ALLOWED[name](guarded), ALLOWED[name](plain)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-14), found, expected)


@pytest.mark.parametrize("name", FORWARD_MODE)
def test_forward_mode(name: str) -> None:
    with pytest.raises(DerivativeError) as error:
        FORWARD_MODE[name](guarded)
    assert str(error.value) == FORWARD


@pytest.mark.parametrize("name", SECOND_DERIVATIVES)
def test_second_derivatives(name: str) -> None:
    with pytest.raises(DerivativeError) as error:
        SECOND_DERIVATIVES[name](guarded)
    assert str(error.value) == SECOND


def test_it_costs_nothing() -> None:
    """Neither in a value nor in a gradient does XLA see it."""
    for transform in (lambda f: f, jax.grad):
        found, expected = (
            jax.jit(transform(f)).lower(X).as_text().splitlines() for f in (lambda x: plain(reverse_only(x)), plain)
        )
        assert len(found) == len(expected)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", ["jacfwd", "jit jvp", "hessian"])
def test_solves(growth: Model, engine: str, name: str) -> None:
    """Both engines are guarded, and both messages name settings that do it."""
    settings = Settings(SOLVERS[engine])

    def last(x: jax.Array) -> jax.Array:
        return simulate(growth, {"k": x[0], "s": x[1]}, Protocol(), [2.0], settings=settings).y[0, 0, 0]

    message = SECOND if name == "hessian" else FORWARD
    with pytest.raises(DerivativeError) as error:
        {**FORWARD_MODE, **SECOND_DERIVATIVES}[name](last)
    assert str(error.value) == message
    assert 'Diffrax(derivative="forward")' in message


@pytest.mark.tier("slow")
def test_the_settings_named_do_it(growth: Model) -> None:
    """y' = s − k y from 1 at t = 2, with its first and second derivatives in closed form, forward over forward."""
    settings = Settings(Diffrax(derivative="forward"), rtol=1e-9, atol=1e-11)

    def last(x: jax.Array) -> jax.Array:
        return simulate(growth, {"k": x[0], "s": x[1]}, Protocol(), [2.0], settings=settings).y[0, 0, 0]

    def exact(x: jax.Array) -> jax.Array:
        return x[1] / x[0] + (1 - x[1] / x[0]) * jnp.exp(-2.0 * x[0])

    x = jnp.array([0.4, 1.3])
    np.testing.assert_allclose(jax.jacfwd(last)(x), jax.grad(exact)(x), rtol=1e-7)
    np.testing.assert_allclose(jax.jacfwd(jax.jacfwd(last))(x), jax.hessian(exact)(x), rtol=1e-6)
