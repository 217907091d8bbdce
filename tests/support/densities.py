"""Densities with several modes."""

from __future__ import annotations

import jax
import jax.numpy as jnp


def gauss(z, centre, sd):
    return -0.5 * jnp.sum(((z - jnp.array(centre)) / jnp.array(sd)) ** 2) - jnp.sum(jnp.log(jnp.array(sd)))


def mixture(*parts):
    """−log of Σ weight · Normal(centre, sd), of (weight, centre, sd)."""
    return lambda z: -jax.scipy.special.logsumexp(jnp.stack([jnp.log(w) + gauss(z, c, s) for w, c, s in parts]))
