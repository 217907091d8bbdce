"""Student's t of ν degrees of freedom, for JAX: its log density, and the log of its distribution function."""

from __future__ import annotations

import math
from functools import partial

import jax
import jax.numpy as jnp
from jax.scipy.special import betainc, betaln, gammaln
from jaxtyping import Array, Float


def log_density(dof: float, r: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """log p(r)."""
    constant = gammaln((dof + 1) / 2) - gammaln(dof / 2) - 0.5 * math.log(dof * math.pi)
    return constant - 0.5 * (dof + 1) * jnp.log1p(r**2 / dof)


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def log_distribution(dof: float, r: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """log F(r), exact in the lower tail."""
    a, x = dof / 2, dof / (dof + r**2)
    share = 0.5 * betainc(a, 0.5, x)  # F(−|r|)
    # If that underflows, the first term of its series: x^a (1−x)^(−½) / (2 a B(a, ½)), with a relative error of x/2a.
    far = a * jnp.log(x) - 0.5 * jnp.log1p(-jnp.minimum(x, 0.999)) - jnp.log(2 * a) - betaln(a, 0.5)
    tail = jnp.where(share > 1e-290, jnp.log(jnp.maximum(share, 1e-300)), far)
    return jnp.where(r < 0, tail, jnp.log1p(-jnp.exp(tail)))


@log_distribution.defjvp
def _(dof: float, primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    """By the density: the slope of `betainc` is infinite times 0 at r = 0."""
    ((r,), (dr,)) = primals, tangents
    log_f = log_distribution(dof, r)
    return log_f, jnp.exp(log_density(dof, r) - log_f) * dr


__all__ = ["log_density", "log_distribution"]
