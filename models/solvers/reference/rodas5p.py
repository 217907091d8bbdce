"""Rodas5P, a stiffly accurate Rosenbrock method of order 5, as a diffrax solver.

Source: G. Steinebach, BIT Numer. Math. 63:27 (2023), in the transformed form that needs no product with the Jacobian.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import ClassVar

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ...compiled.model import SparseJacobian
from ..rodas5p_coefficients import GAMMA, A, C, H, M
from .gauss_jordan import inverse


class DenseOutput(diffrax.AbstractLocalInterpolation):
    """y(t0 + θh) = (1−θ) y0 + θ (y1 + (1−θ) (d1 + θ (d2 + θ d3))), of order 4."""

    t0: Float[Array, ""]  # pyright: ignore[reportIncompatibleVariableOverride]
    t1: Float[Array, ""]  # pyright: ignore[reportIncompatibleVariableOverride]
    y0: Float[Array, " species"]
    y1: Float[Array, " species"]
    d: Float[Array, "3 species"]

    def evaluate(self, t0, t1=None, left=True):
        if t1 is not None:
            return self.evaluate(t1) - self.evaluate(t0)
        span = self.t1 - self.t0
        θ = jnp.where(span == 0, 0.0, (t0 - self.t0) / jnp.where(span == 0, 1.0, span))
        inner = self.d[0] + θ * (self.d[1] + θ * self.d[2])
        return (1 - θ) * self.y0 + θ * (self.y1 + (1 - θ) * inner)


class Rodas5P(diffrax.AbstractAdaptiveSolver):
    r"""Rosenbrock method for an autonomous system y' = f(y, p), with its Jacobian given.

    With $W = I/(\gamma h) - J(y_0)$:
    $W k_i = f(y_0 + \sum_j a_{ij} k_j) + \sum_j (c_{ij}/h) k_j$ and $y_1 = y_0 + \sum_i m_i k_i$.
    The embedded error estimate is $k_8$. L-stable; one factorisation and eight evaluations of f a step, no iteration.

    `reverse` says which derivative is wanted: with it, a step has its exact discrete adjoint as reverse rule (step
    sizes held fixed) and no forward one.
    """

    f: Callable  # (y, p) -> y'
    jacobian: Callable  # (y, p) -> ∂f/∂y
    reverse: bool = True

    term_structure: ClassVar = diffrax.AbstractTerm
    interpolation_cls: ClassVar = DenseOutput

    def order(self, terms):
        return 5

    def init(self, terms, t0, t1, y0, args):
        return None

    def func(self, terms, t0, y0, args):
        return self.f(y0, args)

    def step(self, terms, t0, t1, y0, args, solver_state, made_jump):
        h = t1 - t0
        h = jnp.where(h > 0, h, 1.0)  # a lane that has finished waits for the others with h = 0
        k = (_stages_with_adjoint if self.reverse else _stages)(self.f, self.jacobian, y0, args, h)
        y1 = y0 + jnp.asarray(M) @ k
        error = k[7]
        # A step into the undefined is a rejection, not an error.
        bad = ~(jnp.all(jnp.isfinite(y1)) & jnp.all(jnp.isfinite(error)))
        error = jnp.where(bad, jnp.inf, error)
        y1 = jnp.where(bad, y0, y1)
        dense = {"y0": y0, "y1": y1, "d": jnp.asarray(H) @ k}
        return y1, error, dense, None, diffrax.RESULTS.successful


def _inverse(jacobian: Callable, y0, p, h) -> Float[Array, "species species"]:
    """W⁻¹. The inverse once, then products: at these sizes cheaper than eight pairs of triangular solves."""
    return inverse(jnp.eye(y0.size, dtype=y0.dtype) / (GAMMA * h) - jacobian(y0, p))


def _stages(f: Callable, jacobian: Callable, y0, p, h) -> Float[Array, "8 species"]:
    """The increments k of one step of size `h`."""
    return _increments(f, _inverse(jacobian, y0, p, h), y0, p, h)


def _increments(f: Callable, w_inverse: Float[Array, "species species"], y0, p, h) -> Float[Array, "8 species"]:
    k: list[Float[Array, " species"]] = []
    for i in range(8):
        y, previous = y0, jnp.zeros_like(y0)
        for j in range(i):
            y = y + A[i, j] * k[j]
            previous = previous + (C[i, j] / h) * k[j]
        k.append(w_inverse @ (f(y, p) + previous))
    return jnp.stack(k)


@partial(jax.custom_vjp, nondiff_argnums=(0, 1))
def _stages_with_adjoint(f: Callable, jacobian: Callable, y0, p, h) -> Float[Array, "8 species"]:
    return _stages(f, jacobian, y0, p, h)


def _stages_forward(f, jacobian, y0, p, h):
    w_inverse = _inverse(jacobian, y0, p, h)
    k = _increments(f, w_inverse, y0, p, h)
    return k, (y0, p, h, k, w_inverse)


def _stages_backward(f, jacobian, residuals, cotangent):
    """The stages backwards (Daescu, Sandu, Carmichael 2003), for cotangents κ_i of the k_i:

    Wᵀ u_i = κ_i + Σ_{j>i} (a_ji v_j + (c_ji/h) u_j),   v_i = (∂f/∂y)(Y_i)ᵀ u_i
    y0: Σ v_i + ∇_y Σ u_iᵀ J(y0) k_i                   p: Σ (∂f/∂p)(Y_i)ᵀ u_i + ∇_p Σ u_iᵀ J(y0) k_i
    """
    y0, p, h, k, w_inverse = residuals
    transposed = w_inverse.T
    # All stage Jacobians and the pull-back to p in one batch each; only products are left in the loop.
    y = y0[None, :] + jnp.asarray(A) @ k
    stage_jacobian = jax.vmap(lambda y: jacobian(y, p))(y)
    u: list = [None] * 8
    v: list = [None] * 8
    for i in reversed(range(8)):
        right = cotangent[i]
        for j in range(i + 1, 8):
            right = right + A[j, i] * v[j] + (C[j, i] / h) * u[j]
        u[i] = transposed @ right
        v[i] = stage_jacobian[i].T @ u[i]
    _, pull = jax.vjp(lambda p: jax.vmap(lambda y: f(y, p))(y), p)
    (bar_p,) = pull(jnp.stack(u))
    entries, rows, columns = _entries(jacobian, y0.size)
    _, pull_jacobian = jax.vjp(entries, y0, p)
    bar_y, from_jacobian = pull_jacobian(sum(u[i][rows] * k[i][columns] for i in range(8)))
    bar_y = bar_y + sum(v)
    bar_p = jax.tree.map(jnp.add, bar_p, from_jacobian)
    # A rejected step into the undefined has no cotangent, and 0·∞ must not make one.
    unused = jnp.all(cotangent == 0)
    bar_y, bar_p = jax.tree.map(lambda x: jnp.where(unused, 0.0, x), (bar_y, bar_p))
    return bar_y, bar_p, jnp.zeros_like(h)


def _entries(jacobian: Callable, size: int) -> tuple[Callable, np.ndarray, np.ndarray]:
    """The entries of a Jacobian that are not always zero, as a function, and where they stand."""
    if isinstance(jacobian, SparseJacobian):
        return jacobian.entries, jacobian.rows, jacobian.columns
    rows, columns = np.divmod(np.arange(size * size), size)
    return lambda y, p: jnp.ravel(jacobian(y, p)), rows, columns


_stages_with_adjoint.defvjp(_stages_forward, _stages_backward)
