"""A value that may be differentiated once, in reverse: any other derivative is an error that says what to do.

JAX's own answers, to forward mode through a `jax.custom_vjp` and to a derivative of a foreign call, name neither the
solve nor a way out.
"""

from __future__ import annotations

from typing import NoReturn

import jax
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

from ...errors import HexamerError

FORWARD = (
    "forward mode (jax.jvp, jax.jacfwd, jax.linearize) through a solve made for reverse mode: "
    'simulate with Diffrax(derivative="forward") as solver, or use jax.grad, jax.vjp or jax.jacrev'
)
SECOND = (
    "a second derivative (jax.hessian, jax.grad of jax.grad) of a solve that has one, in reverse mode: take "
    'jax.jacfwd(jax.jacfwd(f)) with Diffrax(derivative="forward") as solver, or differences of jax.grad(f)'
)


class DerivativeError(HexamerError, TypeError):
    """A derivative that a solve does not have; the message says which settings do."""


def reverse_only(x: jax.Array) -> jax.Array:
    """x itself, free of cost. Forward mode and second derivatives raise `DerivativeError`."""
    return _value.bind(x, derivatives=1)


def differentiated(x: jax.Array) -> jax.Array:
    """x itself, as part of what is a derivative already: one more raises `DerivativeError`."""
    return _value.bind(x, derivatives=0)


def _jvp_of_value(primals: tuple, tangents: tuple, *, derivatives: int):
    if not derivatives:
        raise DerivativeError(SECOND)
    return differentiated(*primals), _tangent.bind(*tangents)


def _refuse(*_, **__) -> NoReturn:
    raise DerivativeError(FORWARD)


_value = Primitive("reverse_only")
_value.def_impl(lambda x, **_: x)
_value.def_abstract_eval(lambda x, **_: x)
ad.primitive_jvps[_value] = _jvp_of_value
batching.defvectorized(_value)
mlir.register_lowering(_value, lambda _, x, **__: [x])

# The tangent: reverse mode transposes it, and all that computes or batches it is forward mode.
_tangent = Primitive("reverse_only_tangent")
_tangent.def_impl(_refuse)
_tangent.def_abstract_eval(lambda t: t)
ad.deflinear2(_tangent, lambda cotangent, _: [cotangent])
batching.primitive_batchers[_tangent] = _refuse
mlir.register_lowering(_tangent, _refuse)
