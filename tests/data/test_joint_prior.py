"""Joint priors: their matrices, their conditional distributions, and what is said of bad ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hexamer.data import Dataset, JointPrior, Parameter, Prior, load
from hexamer.data.joint_prior import draw_joint, joint_prior_faults
from support.data_folder import complaints, written

pytestmark = pytest.mark.tier("check")

R = np.array([[1.0, 0.8, -0.3], [0.8, 1.0, 0.1], [-0.3, 0.1, 1.0]])
JOINT = JointPrior(["a", "b", "c"], R)


def test_factor_and_parts() -> None:
    np.testing.assert_allclose(JOINT.factor() @ JOINT.factor().T, R, atol=1e-15)
    part = JOINT.among(["c", "x", "a"])
    assert part == JointPrior(["c", "a"], [[1, -0.3], [-0.3, 1]])
    assert JOINT.among(["a", "x"]) is None


def test_conditional_distribution() -> None:
    """By the inverse of the correlation matrix: precision 1/R⁻¹ᵢᵢ, mean −R⁻¹ᵢⱼ sⱼ / R⁻¹ᵢᵢ."""
    weights, sd = JOINT.given("b", ["c", "a"])
    precision = np.linalg.inv(R)
    assert sd == pytest.approx(precision[1, 1] ** -0.5)
    np.testing.assert_allclose(weights, -precision[1, [2, 0]] / precision[1, 1])


def test_draws() -> None:
    parameters = {
        "a": Parameter("a", Prior("normal", "log10", -2.0, 0.5)),
        "b": Parameter("b", Prior("normal", "lin", 3.0, 2.0)),
        "c": Parameter("c", Prior("normal", "log", 0.1, 0.4)),
    }
    drawn = draw_joint([JOINT], parameters, 20_000, np.random.default_rng(0))
    t = np.stack([np.log10(drawn["a"]), drawn["b"], np.log(drawn["c"])])
    np.testing.assert_allclose(t.mean(axis=1), [-2.0, 3.0, 0.1], atol=0.04)
    np.testing.assert_allclose(t.std(axis=1), [0.5, 2.0, 0.4], rtol=0.03)
    np.testing.assert_allclose(np.corrcoef(t), R, atol=0.03)


@pytest.mark.parametrize(
    ("names", "matrix", "said"),
    [
        (["a"], [[1]], "of two parameters or more, each named once, not of .'a'."),
        (["a", "a"], np.eye(2), "each named once"),
        (["a", "b"], [[1, 0.5]], "must be 2 rows of 2 numbers"),
        (["a", "b"], [[1, "x"], [0, 1]], "must be 2 rows of 2 numbers"),
        (["a", "b"], [], "must be 2 rows of 2 numbers"),
        (["a", "b"], [[4, 0.5], [0.5, 1]], "must have 1 on its diagonal: spreads belong to the priors"),
        (["a", "b"], [[1, 0.5], [0.4, 1]], "must be symmetric"),
        (["a", "b"], [[1, 1], [1, 1]], "must be positive definite"),
    ],
)
def test_bad_matrices(names: list[str], matrix: object, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        JointPrior(names, matrix)  # pyright: ignore[reportArgumentType]


def test_parameters_that_cannot_be_in_one() -> None:
    parameters = {
        "a": Parameter("a", value=1.0),
        "b": Parameter("b", Prior("normal", "lin", 1.0, 1.0), scale="log10"),
        "c": Parameter("c", Prior("normal", "log10"), scale="lin"),
    }
    assert joint_prior_faults([JOINT, JointPrior(["c", "d"], np.eye(2))], parameters) == [
        "a is fixed: give it a normal prior, or leave it out of the joint prior",
        "b has the prior θ ~ normal(1, 1) in [0, inf]; expected a normal one (also of a logarithm) without bounds",
        "c is searched on another scale than that of its prior: leave its search scale out",
        "c is in two joint priors: join them into one",
        "d has no prior; known: a, b, c: give it a normal prior, or leave it out of the joint prior",
    ]


PROBLEM = """
model = "model.ant"
units = "observables"
[inputs.D]
unit = "nM"
target = "A"
[observables.A_read]
assay = "direct"
signal = "A"
sd = "sd_A"
unit = "nM"
[joint_priors.decay]
parameters = ["k", "a0"]
correlation = [[1, -0.7], [-0.7, 1]]
"""
PRIORS = """parameter,unit,distribution,location,scale
k,1/h,log10_normal,1,0.3
a0,nM,normal,2,0.5
sd_A,nM,half_normal,,1
"""


def folder(place: Path, problem: str = PROBLEM, priors: str = PRIORS) -> Path:
    (place / "model.ant").write_text("model decay; k = 0.5; a0 = 2; species A = a0; J: A -> ; k*A; end")
    return written(place, problem=problem, measurements="observable,D,time,value\nA_read,0,1,1.2\n", priors=priors)


def read(place: Path) -> Dataset:
    return load(folder(place))


def test_the_table_of_a_folder(tmp_path: Path) -> None:
    data = read(tmp_path)
    assert data.joint_priors == (JointPrior(["k", "a0"], [[1, -0.7], [-0.7, 1]]),)
    assert data.jointly == {"k", "a0"}
    prior = data.parameters["k"].prior
    assert prior is not None
    assert prior.location == pytest.approx(1 - np.log10(60))  # 1/h to 1/min; the correlation stays


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('"a0"]', '"a1"]', "'joint_priors.decay.parameters' holds 'a1'; expected a parameter with a row of its own"),
        ('"a0"]', '"sd_B"]', "; did you mean 'sd_A'?"),
        ('"a0"]', '"sd_A"]', "'joint_priors.decay.parameters': parameters with normal priors; sd_A has the prior θ ~ "),
        ("[-0.7, 1]", "[0.7, 1]", "'joint_priors.decay.correlation': a joint prior; the correlation of k, a0 must be "),
        ('["k", "a0"]', '["k"]', "'joint_priors.decay.parameters': a joint prior; a joint prior is of two parameters"),
        ("correlation", "covariance", "'joint_priors.decay.covariance': unknown key; known here are correlation, "),
        (
            "correlation = [[1, -0.7], [-0.7, 1]]",
            "",
            "'joint_priors.decay.correlation': a joint prior; the correlation of k",
        ),
    ],
)
def test_bad_tables(tmp_path: Path, old: str, new: str, said: str) -> None:
    text = complaints(folder(tmp_path, PROBLEM.replace(old, new)))
    assert "problem.toml, " in text
    assert said in text
