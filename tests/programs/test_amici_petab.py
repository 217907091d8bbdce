"""AMICI reads what `hexamer export` writes, and finds our log likelihood and gradient. `make peers` installs AMICI."""

from __future__ import annotations

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from benchmarks.amici_runs import find_python
from benchmarks.measures import ROOT, answer_of, gradient_error

import hexamer
from hexamer.data import bundled_problems, read_values
from hexamer.infer import export_petab

pytestmark = pytest.mark.tier("programs")

BUNDLED = Path(str(bundled_problems.__file__)).parent


def compare(name: str, values_file: Path, folder: Path) -> None:
    """Value and gradient of the likelihood at given values, every scale a parameter, by hexamer and by AMICI."""
    python = find_python()
    assert python is not None, "AMICI has no environment: call `make peers`"
    problem = hexamer.load_problem(name, marginalise=()).with_settings(rtol=1e-10)
    stated = read_values(values_file)
    values = {n: v for n, v in stated.items() if n not in problem.unknown(stated)}
    exported = export_petab(problem, folder / name, values=values)
    worker = ROOT / "benchmarks" / "peers" / "amici_petab_worker.py"
    theirs = answer_of([python, str(worker), str(exported.path), "--cache", str(folder / "cache")])

    z = jnp.asarray(problem.space.unconstrain(values))
    value, slope = jax.value_and_grad(problem.log_likelihood)(z)
    assert theirs["log_likelihood"] == pytest.approx(float(value), rel=1e-6)
    ours = np.asarray(slope / jnp.diagonal(jax.jacobian(problem.space.constrain)(z))).tolist()
    gradient = [theirs["gradient"][exported.ids[n]] for n in problem.space.names]
    assert gradient_error(gradient, ours, [values[n] for n in problem.space.names]) < 1e-5


def test_il6_demo(tmp_path: Path) -> None:
    compare("il6_demo", BUNDLED / "il6_demo" / "truth.csv", tmp_path)


def test_hepg2(tmp_path: Path, shared_data: Path) -> None:
    compare("hepg2", shared_data / "hepg2" / "published_fit.csv", tmp_path)
