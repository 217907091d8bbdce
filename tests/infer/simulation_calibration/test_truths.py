"""Truths and their measurements: the prior, the noise, drawn scales, and draws that fail."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace

import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import kstest

from hexamer import Model, Problem
from hexamer.data import JointPrior
from hexamer.infer.simulation_calibration.truths import REDRAWS, UNRECORDED, Truth, draw_truth
from support.closed_form import with_closed_form
from support.decay_check import TIMES, data, problem

pytestmark = pytest.mark.tier("test")


def drawn(made: Problem, count: int) -> list[Truth]:
    rng = np.random.default_rng(1)
    found = [draw_truth(made, rng)[0] for _ in range(count)]
    return [t for t in found if t is not None]


def test_measurements_of_the_prior(decay_model: Model) -> None:
    """Standardised by what was drawn, each reading is a unit normal; parameters have their priors."""
    made = problem(decay_model)
    truths = drawn(made, 300)
    theta = np.asarray(made.space.constrain(jnp.asarray([t.z for t in truths])))
    k, a0, noise = theta.T
    assert kstest((np.log(k) + 0.7) / 0.5, "norm").pvalue > 0.01
    assert kstest((a0 - 0.5) / 3.5, "uniform").pvalue > 0.01
    assert kstest(noise / 0.5, "halfnorm").pvalue > 0.01
    log_scale = np.array([t.log_scales[0] for t in truths])
    assert kstest((log_scale / math.log(10) - 0.1) / 0.5, "norm").pvalue > 0.01
    rows, at = np.array([t.rows for t in truths]), np.array(TIMES)
    course = a0[:, None] * np.exp(-k[:, None] * at[None])
    absolute = (rows[:, :5] - course) / noise[:, None]
    gel = (np.log(rows[:, 6:]) - np.log(course) - log_scale[:, None]) / noise[:, None]
    for residual in (*absolute.T, *gel.T):
        assert kstest(residual, "norm").pvalue > 0.001


def test_truths_of_a_joint_prior_are_correlated(decay_model: Model) -> None:
    """They were drawn one by one, so that ranks of a right posterior were not uniform."""
    joint = JointPrior(["k", "scale_1"], [[1, 0.9], [0.9, 1]])
    made = with_closed_form(decay_model, replace(data(), joint_priors=(joint,)))
    z = np.array([t.z for t in drawn(made, 200)])
    k, scale = (z[:, made.space.names.index(n)] for n in joint.parameters)
    assert np.corrcoef(k, scale)[0, 1] == pytest.approx(0.9, abs=0.05)


def test_readings_below_the_limit_are_limits(decay_model: Model) -> None:
    made = problem(decay_model)
    kinds = Counter()
    for truth in drawn(made, 60):
        row = made.with_data(truth.rows).dataset.measurements[5]
        assert (row.censored == "left") is bool(truth.rows[5] <= 0.4)
        assert row.value == (0.4 if row.censored else truth.rows[5])
        kinds[row.censored] += 1
    assert min(kinds["left"], kinds[""]) > 5


def test_a_draw_whose_simulation_fails_is_drawn_anew(half: Problem) -> None:
    """y' = k y² fails where k is 1 or more, as half of the prior's draws are."""
    rng, failed = np.random.default_rng(2), Counter()
    for _ in range(20):
        truth, failures = draw_truth(half, rng)
        assert truth is not None
        assert half.space.constrain(jnp.asarray(truth.z))[0] < 1
        failed += failures
    assert 8 <= failed.total() <= 45
    assert "ok" not in failed


def test_all_draws_fail(decay_model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    made = problem(decay_model)
    monkeypatch.setattr(type(made.assays), "natural", lambda self, x: np.full(len(x), np.inf))
    truth, failed = draw_truth(made, np.random.default_rng(1))
    assert truth is None
    assert failed == {UNRECORDED: 1 + REDRAWS}
