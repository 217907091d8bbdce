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

from .inverse import inverse
from .model import SparseJacobian

GAMMA = 0.21193756319429014


def _lower(rows: list[list[float]]) -> np.ndarray:
    """A strictly lower triangular table of coefficients, square."""
    return np.array([[*row, *[0.0] * (len(rows) - len(row))] for row in rows])


# a_ij: stage i evaluates f at y0 + Σ a_ij k_j. The last stages differ in one term more.
_LAST = [-7.502846399306121, 2.561846144803919, -11.627539656261098, -0.18268767659942256, 0.030198172008377946]
A = _lower(
    [
        [],
        [3.0],
        [2.849394379747939, 0.45842242204463923],
        [-6.954028509809101, 2.489845061869568, -10.358996098473584],
        [2.8029986275628964, 0.5072464736228206, -0.3988312541770524, -0.04721187230404641],
        _LAST,
        [*_LAST, 1.0],
        [*_LAST, 1.0, 1.0],
    ]
)
C = _lower(  # c_ij
    [
        [],
        [-14.155112264123755],
        [-17.97296035885952, -2.859693295451294],
        [147.12150275711716, -1.41221402718213, 71.68940251302358],
        [165.43517024871676, -0.4592823456491126, 42.90938336958603, -5.961986721573306],
        [24.854864614690072, -3.0009227002832186, 47.4931110020768, 5.5814197821558125, -0.6610691825249471],
        [
            30.91273214028599,
            -3.1208243349937974,
            77.79954646070892,
            34.28646028294783,
            -19.097331116725623,
            -28.087943162872662,
        ],
        [
            37.80277123390563,
            -3.2571969029072276,
            112.26918849496327,
            66.9347231244047,
            -40.06618937091002,
            -54.66780262877968,
            -9.48861652309627,
        ],
    ]
)
M = np.array([*_LAST, 1.0, 1.0, 1.0])  # m_i: y1 = y0 + Σ m_i k_i
H = np.array(  # dense output of order 4
    [
        [
            25.948786856663858,
            -2.5579724845846235,
            10.433815404888879,
            -2.3679251022685204,
            0.524948541321073,
            1.1241088310450404,
            0.4272876194431874,
            -0.17202221070155493,
        ],
        [
            -9.91568850695171,
            -0.9689944594115154,
            3.0438037242978453,
            -24.495224566215796,
            20.176138334709044,
            15.98066361424651,
            -6.789040303419874,
            -6.710236069923372,
        ],
        [
            11.419903575922262,
            2.8879645146136994,
            72.92137995996029,
            80.12511834622643,
            -52.072871366152654,
            -59.78993625266729,
            -0.15582684282751913,
            4.883087185713722,
        ],
    ]
)


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
        y, rest = y0, jnp.zeros_like(y0)
        for j in range(i):
            y = y + A[i, j] * k[j]
            rest = rest + (C[i, j] / h) * k[j]
        k.append(w_inverse @ (f(y, p) + rest))
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
    y = y0 + jnp.asarray(A) @ k
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
