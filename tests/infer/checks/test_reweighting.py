"""What strict solves of some draws show of a posterior."""

from __future__ import annotations

import json

import jax
import numpy as np
import pytest
import xarray as xr

from hexamer import Diffrax
from hexamer.infer.checks.reweighting import reweighted
from hexamer.infer.posterior.verdicts.solved import NOISE, REWEIGHTED, judge_solved
from support.decay_posterior import decay_problem, readings

pytestmark = pytest.mark.tier("test")


@pytest.mark.parametrize(("rtol", "sd", "least", "most"), [(1e-6, "0.001", 0.0, 0.01), (1e-2, "0.00001", 1.0, np.inf)])
def test_how_far_the_likelihood_moves(rtol: float, sd: str, least: float, most: float) -> None:
    """At rtol 1e-2 the solution of a decay is off by about 1e-5, as much as the second noise."""
    problem = decay_problem(sd=sd).with_data(readings(1)).with_settings(rtol=rtol)
    z = 0.1 * np.random.default_rng(0).normal(size=(40, len(problem.space)))
    known = np.asarray(jax.jit(jax.vmap(problem.log_likelihood))(z))
    found = reweighted(problem, z, known)
    assert found is not None
    assert (found["draws"], found["failed"], found["rtol"]) == (40, 0, 1e-9)
    assert least <= found["nats"] < most
    assert reweighted(problem.with_settings(rtol=1e-9), z, known) is None
    assert reweighted(problem.with_settings(solver=Diffrax()), z, known) is None


def solved(strict: dict | None, **attrs: str):
    tree = xr.DataTree.from_dict({"posterior": xr.Dataset(), "sample_stats": xr.Dataset()})
    tree.attrs |= {REWEIGHTED: json.dumps(strict), **attrs}
    return judge_solved(tree)


@pytest.mark.tier("check")
def test_what_it_says() -> None:
    fine = {"draws": 96, "rtol": 1e-9, "failed": 0, "nats": 0.002, "pareto_k": 2.0}
    assert (solved(fine).answer, solved(fine).sentences) == ("yes", ())
    assert solved(None).answer == "not checked at a stricter tolerance"
    off = solved(fine | {"nats": 12.0, "pareto_k": 0.95})
    assert off.answer == "not exactly enough"
    assert off.sentences[0] == (
        "At a relative tolerance of 1e-09, the log likelihood of 96 draws moves by up to 12 nats against their median "
        "(Pareto's k of the weights: 0.95). The draws are not of the model's posterior: sample again at a finer rtol."
    )
    assert (
        "The posterior is nearly the same: sample again" in solved(fine | {"nats": 0.2, "pareto_k": 0.3}).sentences[0]
    )
    assert "3 of 96 draws cannot be solved" in solved(fine | {"failed": 3}).sentences[0]
    noisy = solved(fine, **{NOISE: json.dumps(["the noise of A lies below the solver's error"])})
    assert noisy.answer == "not exactly enough"
    assert judge_solved(xr.DataTree(), ["The solver is not exact enough."]).answer == "not exactly enough"


@pytest.mark.tier("check")
@pytest.mark.parametrize(("sign", "side"), [(1, "above"), (-1, "below")])
def test_where_failed_solves_lie(sign: int, side: str) -> None:
    rng = np.random.default_rng(0)
    k, j = rng.normal(size=(2, 4, 200))
    draws = xr.Dataset({"j": (("chain", "draw"), j), "k": (("chain", "draw"), k)})
    failed = sign * k > 1.5
    stats = xr.Dataset({"failed": (("chain", "draw"), failed)}, attrs={"failures_draws": '{"too_many_steps": 50}'})
    tree = xr.DataTree.from_dict({"posterior": draws, "sample_stats": stats})
    limit = np.quantile(k[failed], 0.25 if sign > 0 else 0.75)
    said = judge_solved(tree).sentences[0]
    assert said.startswith("Failed solves while drawing: 50 too_many_steps. Each was a rejected step; ")
    assert said.endswith(f"Three quarters of the trajectories that failed lead to k {side} {limit:.3g}.")
    anywhere = stats.assign(failed=(("chain", "draw"), rng.random(k.shape) < 0.1))
    assert "Three quarters" not in judge_solved(tree.assign(sample_stats=xr.DataTree(anywhere))).sentences[0]
