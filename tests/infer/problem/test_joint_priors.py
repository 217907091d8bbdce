"""A joint prior in the density, its draws, NumPyro, a posterior's tree, the identity of a run, and PEtab."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from hexamer import Model, Problem
from hexamer.data import Dataset, JointPrior, Parameter, Prior, priors_from_result
from hexamer.data.petab.export import PetabExportError
from hexamer.infer import export_petab
from hexamer.infer.comparison.refitting import drawn_jointly
from hexamer.infer.posterior.content import from_text, to_text
from hexamer.infer.posterior.datatree import to_datatree
from hexamer.infer.posterior.file import save_datatree
from hexamer.infer.problem.identity import differences, problem_digest, problem_parts
from hexamer.infer.problem.numpyro_bridge import numpyro_model
from hexamer.infer.problem.parameter_space import ParameterSpace
from hexamer.late_imports import part_of_numpyro
from support.closed_form import with_closed_form

log_density = part_of_numpyro("infer.util").log_density
pytestmark = pytest.mark.tier("test")

R = np.array([[1.0, 0.8, -0.3], [0.8, 1.0, 0.1], [-0.3, 0.1, 1.0]])
PRIORS = [
    Parameter("a", Prior("normal", "log10", -2.0, 0.5)),
    Parameter("other", Prior("uniform", "lin", lower=0.0, upper=2.0)),
    Parameter("b", Prior("normal", "lin", 3.0, 2.0)),
    Parameter("c", Prior("normal", "log", 0.1, 0.4)),
]
JOINT = JointPrior(["c", "a", "b"], R)
NORMAL: Any = stats.multivariate_normal
ORDER = [1, 2, 0]  # a, b, c in the order of the space


@pytest.fixture(scope="module")
def space() -> ParameterSpace:
    return ParameterSpace(PRIORS, [JOINT])


def test_density_is_that_of_scipy(space: ParameterSpace) -> None:
    z = np.array([0.3, -0.6, -1.1, 0.7])
    t, sd = np.array([-2 + 0.5 * 0.3, 3 - 2 * 1.1, 0.1 + 0.4 * 0.7]), np.array([0.5, 2.0, 0.4])
    covariance = R[np.ix_(ORDER, ORDER)] * np.outer(sd, sd)
    joint = NORMAL([-2.0, 3.0, 0.1], covariance).logpdf(t)
    found = np.asarray(jax.jit(lambda z: space.log_prior_of_search(space.search(z)))(jnp.asarray(z)))
    assert found[[0, 2, 3]].sum() == pytest.approx(joint, abs=1e-12)
    assert found[0] == pytest.approx(stats.norm.logpdf(t[0], -2.0, 0.5))  # the first one alone
    assert found[1] == pytest.approx(-np.log(2.0))
    alone = float(jax.jit(ParameterSpace(PRIORS[1:2]).log_prior)(jnp.asarray(z[1:2])))
    of_z = NORMAL(np.zeros(3), R[np.ix_(ORDER, ORDER)]).logpdf(z[[0, 2, 3]])
    assert float(jax.jit(space.log_prior)(jnp.asarray(z))) == pytest.approx(of_z + alone, abs=1e-12)


def test_a_part_of_it_is_its_marginal_distribution() -> None:
    part = ParameterSpace([PRIORS[0], PRIORS[2]], [JOINT])
    expected = NORMAL(np.zeros(2), [[1, 0.1], [0.1, 1]]).logpdf([0.4, -0.9])
    assert float(jax.jit(part.log_prior)(jnp.array([0.4, -0.9]))) == pytest.approx(expected, abs=1e-12)


@pytest.mark.tier("slow")
def test_draws_have_its_correlation(space: ParameterSpace) -> None:
    z = np.stack([np.asarray(space.sample(key)) for key in jax.random.split(jax.random.key(1), 250)])
    np.testing.assert_allclose(np.corrcoef(z[:, [0, 2, 3]].T), R[np.ix_(ORDER, ORDER)], atol=0.15)
    assert abs(np.corrcoef(z[:, 1], z[:, 0])[0, 1]) < 0.15
    assert stats.kstest(z[:, 2], stats.norm.cdf).pvalue > 1e-3


CORRELATED = JointPrior(["scale_2", "k"], [[1, 0.9], [0.9, 1]])


@pytest.fixture(scope="module")
def data(decay_data: Dataset) -> Dataset:
    return replace(decay_data, joint_priors=(CORRELATED,))


@pytest.fixture(scope="module")
def problem(decay_model: Model, data: Dataset) -> Problem:
    return with_closed_form(decay_model, data)


def test_its_scales_are_sampled(decay_model: Model, data: Dataset, problem: Problem) -> None:
    assert problem.nuisance.names == ("scale_1",)
    assert "scale_2" in problem.space.names
    with pytest.raises(ValueError, match=r"cannot integrate out scale_2: .* in no joint prior"):
        Problem(decay_model, data, marginalise=["scale_2"])


@pytest.mark.tier("slow")
def test_numpyro_has_the_same_prior(problem: Problem) -> None:
    z = jnp.asarray(problem.space.sample(jax.random.key(2)))
    theta = dict(zip(problem.space.names, problem.space.constrain(z), strict=True))
    both = jax.jit(lambda t, z: (log_density(partial(numpyro_model, problem), (), {}, t)[0], problem.log_likelihood(z)))
    with_prior, likelihood = both(theta, z)
    of_numpyro = with_prior - likelihood
    own = jax.jit(lambda z: problem.space.log_prior_of_search(problem.space.search(z)))(z)
    logarithms = [
        float(jnp.log(theta[n]) + np.log(s.log_base))
        for n, s in zip(problem.space.names, problem.space.scales, strict=True)
        if s != "lin"
    ]
    assert float(of_numpyro) == pytest.approx(float(own.sum()) - sum(logarithms), abs=1e-9)


@pytest.mark.tier("slow")
def test_tree(problem: Problem) -> None:
    z = np.stack([np.asarray(problem.space.sample(key)) for key in jax.random.split(jax.random.key(3), 4)])[None]
    tree = to_datatree(problem, z, {}, seed=1, failures={}, predictive=False)
    drawn = np.stack([np.log(np.ravel(tree["prior"].dataset[n].values)) for n in ("scale_2", "k")])
    assert np.corrcoef(drawn)[0, 1] == pytest.approx(0.9, abs=0.02)
    terms = tree["log_prior"].dataset
    total = sum(np.ravel(terms[n].values) for n in problem.space.names)
    expected = [float(problem.space.log_prior_mode(jnp.asarray(x))) for x in z[0]]
    np.testing.assert_allclose(total, expected, atol=1e-9)
    assert tree.attrs["joint_priors"] == '["scale_2, k: correlation [1, 0.9], [0.9, 1]"]'


@pytest.mark.tier("slow")
def test_the_posterior_becomes_the_prior_of_another_problem(
    problem: Problem, decay_model: Model, decay_data: Dataset, tmp_path: Path
) -> None:
    """Of a file that hexamer wrote: draws from the prior above give about that prior back."""
    z = np.stack([np.asarray(problem.space.sample(key)) for key in jax.random.split(jax.random.key(4), 60)])[None]
    tree = to_datatree(problem, z, {}, seed=1, failures={}, predictive=False)
    save_datatree(tree, tmp_path / "posterior.nc")
    names = ["k", "noise", "scale_2"]
    old = priors_from_result(tmp_path, names)
    t = np.log(np.stack([np.ravel(tree["posterior"].dataset[n].values) for n in names]))
    for name, x in zip(names, t, strict=True):
        prior = old.named[name].prior
        assert prior is not None
        assert (prior.scale, prior.location, prior.spread) == (
            "log",
            pytest.approx(x.mean()),
            pytest.approx(x.std(ddof=1)),
        )
    (joint,) = old.joint_priors
    np.testing.assert_allclose(joint.correlation, np.corrcoef(t), atol=1e-12)
    data = replace(decay_data, parameters={**decay_data.parameters, **old.named}, joint_priors=old.joint_priors)
    later = Problem(decay_model, data)
    assert later.space.joint_priors[0].parameters == ("k", "noise", "scale_2")
    assert problem_digest(later) != problem_digest(Problem(decay_model, replace(data, joint_priors=())))


def test_it_belongs_to_the_identity(decay: Callable[..., Problem], problem: Problem) -> None:
    parts, before = problem_parts(problem), problem_parts(decay(marginalise=["scale_1"]))
    assert "joint priors" not in before
    assert differences({"format": 4, **before}, {"format": 4, **parts}) == ["the joint priors changed"]
    assert from_text(to_text(problem.dataset)) == problem.dataset


def test_a_notebook_shows_it(decay: Callable[..., Problem], problem: Problem) -> None:
    assert "scale_2, k: correlation [1, 0.9], [0.9, 1]" in problem._repr_html_()
    assert "joint prior" not in decay()._repr_html_()


def test_another_data_set_with_another_joint_prior_is_refused(problem: Problem, data: Dataset) -> None:
    other = replace(data, joint_priors=(JointPrior(["scale_2", "k"], np.eye(2)),))
    with pytest.raises(ValueError, match="a joint prior is another"):
        problem.with_data(other)


def test_a_prior_that_is_replaced_by_another_family_is_refused(decay_model: Model, data: Dataset) -> None:
    wide = {"k": Parameter("k", Prior("uniform", "log", lower=-3.0, upper=1.0))}
    with pytest.raises(ValueError, match=r"k has the prior ln θ ~ uniform\(-3, 1\); expected a normal one"):
        Problem(decay_model, data, wide)


def test_petab_has_none(problem: Problem, tmp_path: Path) -> None:
    with pytest.raises(
        PetabExportError, match=r"the priors of scale_2, k are correlated, .*: remove their joint prior"
    ):
        export_petab(problem, tmp_path / "out")


def test_parameters_of_left_out_rows_follow_the_others(problem: Problem) -> None:
    """As leave-one-out draws them: given the correlated parameters that the other rows use."""
    i, j = (problem.space.names.index(n) for n in ("scale_2", "k"))
    u = np.zeros((1, 20_000, len(problem.space)))
    u[..., j] = 1.5
    drawn = drawn_jointly(problem, "scale_2", u, [j], np.random.default_rng(0))
    assert drawn.mean() == pytest.approx(0.9 * 1.5, abs=0.02)
    assert drawn.std() == pytest.approx(np.sqrt(1 - 0.81), rel=0.03)
    assert i != j
