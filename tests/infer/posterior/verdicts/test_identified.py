"""What the data say about each parameter, of draws made up so that the answer is known."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from hexamer.infer import Verdict
from hexamer.infer.posterior.summary import summarise

pytestmark = pytest.mark.tier("check")

RNG = np.random.default_rng(0)


def identified(draws: dict[str, np.ndarray], prior: dict[str, np.ndarray], bounds=None, **attrs: str) -> Verdict:
    def dataset(arrays: dict[str, np.ndarray]) -> xr.Dataset:
        return xr.Dataset({n: (("chain", "draw"), v, dict(attrs)) for n, v in arrays.items()})

    groups = {"posterior": dataset(draws), "prior": dataset(prior), "sample_stats": xr.Dataset()}
    for name, (lower, upper) in (bounds or {}).items():
        groups["posterior"][name].attrs |= {"lower_bound": lower, "upper_bound": upper}
    return summarise(xr.DataTree.from_dict(groups)).verdicts[2]


def uniform(lower: float, upper: float, draws: int = 2000) -> np.ndarray:
    return RNG.uniform(lower, upper, (1, draws))


@pytest.mark.parametrize(("sign", "side"), [(1, "lower bound 0.01"), (-1, "upper bound 100")])
def test_a_truth_beyond_a_bound(sign: int, side: str) -> None:
    away = RNG.exponential(0.1, (4, 500))
    draws = 10.0 ** (-2 * sign + sign * away)
    prior = {"k": 10.0 ** uniform(-2, 2)}
    verdict = identified({"k": draws}, prior, {"k": (-2.0, 2.0)}, search_scale="log10", unit="1/min")
    assert verdict.answer == "0 of 1 parameters"
    assert f"k leans on its {side} 1/min: the data ask for values beyond" in verdict.sentences[0]


@pytest.mark.parametrize(
    "draws",
    [
        uniform(0, 1).reshape(4, 500),  # as the prior
        0.02 + 0.003 * RNG.normal(size=(4, 500)),  # near the bound, not at it
        RNG.beta(2.0, 20.0, size=(4, 500)),  # whose density falls towards the bound
        np.full((4, 500), 0.5),
    ],
)
def test_what_does_not_lean(draws: np.ndarray) -> None:
    verdict = identified({"k": draws}, {"k": uniform(0, 1)}, {"k": (0.0, 1.0)})
    assert not any("leans" in s for s in verdict.sentences)


def test_a_prior_that_the_data_contradict() -> None:
    normal = RNG.normal(size=(4, 500))
    prior = {"k": RNG.normal(size=(1, 2000)), "j": RNG.normal(size=(1, 2000))}
    verdict = identified({"k": 5 + 0.1 * normal, "j": 1 + 0.1 * normal[::-1]}, prior, unit="nM")
    assert verdict.answer == "2 of 2 parameters"
    (sentence,) = verdict.sentences
    assert sentence.startswith("The data draw k to 5 nM, outside the 99% range of its prior (-2.")
    assert "Check the prior and its unit" in sentence


def test_pairs_that_are_nearly_one_parameter() -> None:
    """On the search scale, and both much narrower than the prior, so that they are no ridge."""
    x, y = 0.02 * RNG.normal(size=(2, 4, 500))
    draws = {"a": np.exp(x), "b": np.exp(-x + 0.15 * y), "c": np.exp(y)}
    prior = {n: np.exp(RNG.normal(size=(1, 2000))) for n in draws}
    verdict = identified(draws, prior, search_scale="log")
    assert verdict.answer == "3 of 3 parameters"
    assert "Nearly one parameter each, as |r| > 0.95: a and b (r = -0.99)" in verdict.sentences[0]
    assert "c" not in verdict.sentences[0].split(":")[1].split("(")[0].split()


def test_a_posterior_like_its_prior_is_not_identified() -> None:
    draws = {"a": RNG.normal(size=(4, 500)), "b": 0.1 * RNG.normal(size=(4, 500))}
    verdict = identified(draws, {n: RNG.normal(size=(1, 2000)) for n in draws})
    assert verdict.answer == "1 of 2 parameters"
    assert verdict.sentences[0].startswith("The data say little about a: ")


def test_without_a_prior() -> None:
    tree = xr.DataTree.from_dict({"posterior": xr.Dataset({"a": (("chain", "draw"), RNG.normal(size=(4, 500)))})})
    assert summarise(tree).verdicts[2].answer.startswith("not judged")
