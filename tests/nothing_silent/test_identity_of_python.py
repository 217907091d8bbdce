"""A run of a model in Python is resumed only if its functions are the same, in any process."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import sympy

from helpers import CASES
from hexamer import Diffrax, Model, Problem, Protocol, Settings
from hexamer.data import Dataset, Measurement, Observable, Parameter, Prior
from hexamer.infer import StoreError
from hexamer.infer.problem.identity import problem_digest
from hexamer.models import compile_function
from hexamer.models.compiled.identity import model_digest
from support.small_run import problem, run

pytestmark = pytest.mark.tier("test")


def python_model(
    factor: float = 1.0, start: float = 2.0, table: tuple[float, ...] = (1.0, 2.0), slope: float = 1.0, name: str = "f"
) -> Model:
    """x' = −factor k x·(a table's interpolant), with a derivative rule of its own, a loop and a jitted part."""
    nodes = jnp.array(table)

    @jax.custom_jvp
    def soft(x):
        return jnp.tanh(x)

    @soft.defjvp
    def _(primals, tangents):
        return soft(primals[0]), slope * (1 - jnp.tanh(primals[0]) ** 2) * tangents[0]

    def inner(x):
        return jnp.interp(x, jnp.arange(2.0), nodes)

    inner.__name__ = name
    inside = jax.jit(inner)

    def rhs(t, y, p):
        y = jax.lax.fori_loop(0, 2, lambda i, x: x * 0.5, y)
        return -factor * p["k"] * soft(y) * jax.lax.cond(p["k"] > 0, inside, jnp.zeros_like, y)

    return compile_function(
        rhs, species=["x"], parameters={"k": 0.5}, initial=lambda p: jnp.stack([start * p["k"]]), name="python"
    )


@pytest.mark.tier("slow")
@pytest.mark.parametrize(
    "change", [{"factor": 3.0}, {"start": 20.0}, {"table": (1.0, 2.0000000000000004)}, {"slope": 2.0}]
)
def test_python_functions_are_told_apart(change: dict) -> None:
    """A number in a closure, a start, the last digit of an array, and a derivative's rule alone."""
    assert model_digest(python_model(**change)) != model_digest(python_model())


@pytest.mark.tier("slow")
def test_the_same_python_function_is_the_same_in_another_process() -> None:
    """Whatever its objects' addresses, its names and the seed of Python's hashes."""
    assert model_digest(python_model(name="g")) == model_digest(python_model())
    script = (
        "import sys, importlib.util as u; sys.path.insert(0, sys.argv[2]); "
        "s = u.spec_from_file_location('again', sys.argv[1]); m = u.module_from_spec(s); "
        "s.loader.exec_module(m); print(m.model_digest(m.python_model()), m.problem_digest(m.problem()))"
    )
    again = subprocess.run(
        [sys.executable, "-c", script, __file__, str(CASES.parent)],  # where `support` lies
        env={**os.environ, "PYTHONHASHSEED": "7"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert again.stdout.split() == [model_digest(python_model()), problem_digest(problem())]


def test_python_that_jax_cannot_look_into_is_refused() -> None:
    def rhs(t, y, p):
        return jax.pure_callback(lambda x: -np.asarray(x), jax.ShapeDtypeStruct((1,), float), y)

    model = compile_function(rhs, species=["x"], parameters={"k": 0.5}, initial=[1.0])
    with pytest.raises(ValueError, match=r"Python that JAX cannot look into.*write it in JAX"):
        model_digest(model)


@pytest.mark.tier("slow")
def test_case_of_a_python_function_whose_body_is_edited(tmp_path: Path) -> None:
    """x' = −c k x from x0 (`python_function.py` of the case): another c or x0 is another run."""

    def decay(c: float, x0: float) -> Problem:
        def f(t, y, p):
            return jnp.stack([-c * p["k"] * y[0]])

        model = compile_function(f, species=["x"], parameters={"k": 0.5}, initial=[x0], name="decay")
        rows = tuple(Measurement("o", "p", t, 2 * np.exp(-0.5 * t), row=i + 1) for i, t in enumerate((0.5, 1, 2, 3)))
        content = Dataset(
            name="d",
            observables={"o": Observable("o", sympy.Symbol("x"), sympy.Float(0.1))},
            protocols={"p": Protocol("p")},
            measurements=rows,
            parameters={"k": Parameter("k", prior=Prior("normal", "log", location=0.0, spread=1.0))},
        )
        return Problem(model, content, settings=Settings(Diffrax(diffrax.Tsit5())))

    run(decay(1.0, 2.0), tmp_path)
    run(decay(1.0, 2.0), tmp_path)  # the same function written anew
    for changed in (decay(3.0, 2.0), decay(1.0, 20.0)):
        with pytest.raises(StoreError, match=r"holds another run .the model changed: its functions"):
            run(changed, tmp_path)
