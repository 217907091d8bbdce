"""The decay of `tests/infer/conftest.py` without a solver."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp

from hexamer import Model, Problem
from hexamer.data import Dataset
from hexamer.infer.problem.readout import Readout


def with_closed_form(decay_model: Model, data: Dataset, **options: Any) -> Problem:
    """A = a0 exp(−k t) is put in for the solver, which is tested elsewhere and takes long to compile."""
    made = Problem(decay_model, data, **options)
    rows = data.measurements

    def read(values) -> Readout:
        at = dict(zip(made.names, values, strict=True))
        a = [at["a0"] * jnp.exp(-at["k"] * m.time) * (at[str(m.arguments[0])] if m.arguments else 1.0) for m in rows]
        formula = {"A_abs": lambda a: a, "gel": jnp.log, "lone": lambda a: jnp.log(3 * a)}
        mean = [formula.get(m.observable, jnp.log10)(x) for m, x in zip(rows, a, strict=True)]
        sd = [jnp.asarray(0.2) if m.observable == "robust" else at["noise"] for m in rows]
        return Readout(jnp.stack(mean), jnp.stack(sd), jnp.zeros(1, int), jnp.ones(1, int))

    made.__dict__["read"] = read
    return made
