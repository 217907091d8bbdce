"""Other solvers of the same courses on a GPU, for `benchmarks.gpu`: diffrax under vmap, and modax-solvers.

Each is a function of (start states, parameters), both trajectories × names, to states at the output times.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import sympy
from jaxtyping import Array, Float

from hexamer import Model

RTOL, ATOL = 1e-6, 1e-8
Course = Callable[[Float[Array, "n species"], Float[Array, "n parameters"]], Float[Array, "n times species"]]


def diffrax_course(model: Model, times: Sequence[float]) -> Course:
    """Kvaerno5, as diffrax's users would call it."""
    import diffrax

    term = diffrax.ODETerm(lambda t, y, p: model.rhs(y, p))
    saved = diffrax.SaveAt(ts=jnp.asarray(times))

    def one(y0: Array, p: Array) -> Array:
        solution = diffrax.diffeqsolve(
            term,
            diffrax.Kvaerno5(),
            t0=times[0],
            t1=times[-1],
            dt0=None,
            y0=y0,
            args=p,
            saveat=saved,
            stepsize_controller=diffrax.PIDController(rtol=RTOL, atol=ATOL),
        )
        assert solution.ys is not None
        return solution.ys

    return jax.vmap(one)


def modax_course(model: Model, times: Sequence[float]) -> Course:
    """modax-solvers' Rodas5P with the Jacobian's pattern. Raises `ImportError` if it is not installed."""
    from modax.rodas5P import solve  # pyright: ignore[reportMissingImports]

    rhs = scalar_rhs(model)
    jacobian: Any = model.jacobian
    pattern = np.zeros((len(model.species),) * 2, bool)
    pattern[jacobian.rows, jacobian.columns] = True
    at = jnp.asarray(times)
    return lambda y0, p: solve(rhs, y0, at, p, rtol=RTOL, atol=ATOL, sparsity=pattern)


def scalar_rhs(model: Model) -> Callable[[Any, float, Any], tuple]:
    """The model's equations as a function `(y, t, p)` of tuples of numbers, with the functions of `math`."""
    assert model.kinetics is not None
    f: list[sympy.Expr] = [sympy.Integer(0)] * len(model.species)
    for i, r, coefficient in model.kinetics.terms:
        f[i] = f[i] + coefficient * model.kinetics.rates[r]
    names = {
        **{sympy.Symbol(n): sympy.Symbol(f"y[{i}]") for i, n in enumerate(model.species)},
        **{sympy.Symbol(n): sympy.Symbol(f"p[{i}]") for i, n in enumerate(model.parameters)},
    }
    shared, outputs = sympy.cse([sympy.sympify(e).xreplace(names) for e in f], symbols=sympy.numbered_symbols("v"))
    lines = [f"    {name} = {sympy.pycode(value)}" for name, value in shared]
    lines.append(f"    return ({', '.join(str(sympy.pycode(e)) for e in outputs)},)")
    scope: dict[str, Any] = {"math": math}
    exec("\n".join(["def rhs(y, t, p):", *lines]), scope)
    return scope["rhs"]
