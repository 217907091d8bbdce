"""Fits of a decay to data that it explains, and to data that it does not."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr
from numpyro import infer

from hexamer.data import Prior
from hexamer.infer.posterior.summary import Summary, summarise
from support.decay_posterior import TIMES, decay_problem, posterior, readings

pytestmark = [
    pytest.mark.tier("slow"),
    pytest.mark.filterwarnings("ignore:.*device:UserWarning"),
]


def answers(summary: Summary) -> dict[str, str]:
    return {v.name: v.answer for v in summary.verdicts}


def test_a_decay_that_is_one() -> None:
    """24 readings and five gels with scales of their own."""
    tree = posterior(decay_problem(gels=5), readings(3, gels=5), draws=500)
    assert tree["left_out"].attrs["effective_parameters"] == pytest.approx(4 + 5, abs=1.5)
    summary = summarise(tree)
    found = answers(summary)
    assert found["fits"] == "yes"
    assert found["identified"] == "9 of 9 parameters"
    assert found["sampled"] in ("yes", "barely")
    assert str(summary).splitlines()[1].startswith(f"sampled: {found['sampled']} · fits: yes · identified: 9 of 9")


def test_well_specified_fits_raise_few_alarms() -> None:
    """Of 20 at most one; of the four kinds of test, each errs in 1%."""
    problem = decay_problem(gels=3)
    trees = [posterior(problem, readings(seed, gels=3), warmup=100, draws=100) for seed in range(20)]
    assert [summarise(tree).verdicts[1].answer for tree in trees].count("yes") >= 19


def test_a_sinusoid_is_no_decay() -> None:
    summary = summarise(posterior(decay_problem(), readings(1, lambda t: 1 + np.sin(2 * t))))
    assert answers(summary)["fits"] == "not A"
    (sentence,) = (s for s in summary.verdicts[1].sentences if s.startswith("The model does not fit A"))
    assert "rows on one side of the model follow each other along time" in sentence


@pytest.mark.parametrize(("sd", "off"), [("sd_A", 1.5), ("0.1", 0.6)])
def test_gross_outliers_are_named(sd: str, off: float) -> None:
    """Normal noise, of an estimated or a stated standard deviation; the table's first row is line 2."""
    values = readings(2)
    values[[5, 17]] += [off, -off]
    summary = summarise(posterior(decay_problem(sd=sd), values))
    assert answers(summary)["fits"] == "yes, but 2 outliers"
    assert f"line 7 (A under rest at time {TIMES[5]:g}: measured " in summary.verdicts[1].sentences[0]
    assert "; line 19 (A under rest" in summary.verdicts[1].sentences[0]


def test_student_t_noise_takes_them() -> None:
    values = readings(2)
    values[[5, 17]] += [0.5, -0.5]
    summary = summarise(posterior(decay_problem(noise="student_t(2)"), values))
    assert answers(summary)["fits"] == "yes"


def test_a_truth_beyond_a_bound() -> None:
    problem = decay_problem(k=Prior("uniform", "log", lower=np.log(0.01), upper=np.log(0.3)))
    summary = summarise(posterior(problem, readings(4)))
    assert answers(summary)["identified"] == "2 of 3 parameters"
    assert "k leans on its upper bound 0.3 1/min: the data ask for values beyond" in " ".join(summary.words)


def test_a_funnel() -> None:
    """Neal's: v ~ N(0, 3²), nine x_i ~ N(0, eᵛ), by NUTS without another parametrisation."""

    def potential(z):
        return 0.5 * (z[0] / 3) ** 2 + 4.5 * z[0] + 0.5 * jnp.sum(z[1:] ** 2) * jnp.exp(-z[0])

    options = {"num_warmup": 300, "num_samples": 500, "num_chains": 4, "chain_method": "vectorized"}
    mcmc = infer.MCMC(infer.NUTS(potential_fn=potential), **options, progress_bar=False)
    mcmc.run(jax.random.PRNGKey(0), init_params=jnp.zeros((4, 10)), extra_fields=("diverging", "energy"))
    draws, known = mcmc.get_samples(group_by_chain=True), mcmc.get_extra_fields(group_by_chain=True)
    of_draws = ("chain", "draw")
    of_parameters = xr.Dataset({n: (of_draws, np.asarray(draws[..., i])) for i, n in enumerate(["v", "x_1", "x_2"])})
    stats = xr.Dataset({n: (of_draws, np.asarray(a)) for n, a in known.items()})
    summary = summarise(xr.DataTree.from_dict({"posterior": of_parameters, "sample_stats": stats}))
    assert answers(summary)["sampled"] == "no"
    assert "draws diverged" in " ".join(summary.words)


def test_constant_data() -> None:
    summary = summarise(posterior(decay_problem(), np.full(24, 1.5)))
    assert "All 24 rows of A have the value 1.5" in " ".join(summary.words)


def test_a_prior_far_from_the_data() -> None:
    problem = decay_problem(k=Prior("normal", "log", 2.5, 0.3), sd="0.1")
    summary = summarise(posterior(problem, readings(5)))
    assert "The data draw k to" in " ".join(summary.words)
