"""Which sampler a fit takes, and what it says of options that this sampler does not have."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from helpers import CASES
from hexamer import Problem, Protocol, load_problem
from hexamer.data import Dataset, Measurement, Parameter, Prior, direct
from hexamer.infer import Draws, StoreError, fit
from hexamer.infer.calibration import describe_progress
from hexamer.infer.sampler_choice import diverged_on_ridge
from hexamer.models import compile_network, read_antimony

pytestmark = pytest.mark.tier("check")


def product() -> Problem:
    """Only the product s·x of two parameters is measured."""
    network = "model decay; k = 1; s = 1; x = 1; species y; y = x; J: y -> ; k*y; end"
    flat = Prior("uniform", "log10", lower=-2.0, upper=2.0)
    return Problem(
        compile_network(read_antimony(network)),
        Dataset(
            "product",
            {"y": direct("y", "s*y", sd=0.1)},
            {"rest": Protocol("rest")},
            (Measurement("y", "rest", 0.0, 1.0),),
            {n: Parameter(n, flat) for n in ("s", "x")},
        ),
    )


def draws_of(diverging: int, *, ridge: bool) -> Draws:
    """2 × 1000 draws: log10 x uniform over −1 to 1, and s·x = 1 within 2%; or s and x within 2% of 1."""
    rng, problem = np.random.default_rng(0), product()
    log = rng.uniform(-1, 1, (2, 1000)) if ridge else 0.01 * rng.normal(size=(2, 1000))
    place = dict(zip(problem.space.names, range(2), strict=True))
    theta = np.empty((2, 1000, 2))
    theta[..., place["x"]], theta[..., place["s"]] = 10**log, 10 ** (-log + 0.01 * rng.normal(size=log.shape))
    z = problem.space.coordinates(theta.reshape(-1, 2)).reshape(theta.shape)
    flags = (np.arange(2000) < diverging).reshape(2, 1000)
    return Draws(problem, z, {"diverging": flags}, {}, {}, 0)


def test_draws_that_diverged_on_a_ridge() -> None:
    said = diverged_on_ridge(draws_of(20, ridge=True))
    assert said.startswith("20 of 2000 draws of NUTS diverged on a ridge: the product ")
    assert said.endswith("alone are not")
    assert diverged_on_ridge(draws_of(1, ridge=True)) == ""  # 1 in 2000
    assert diverged_on_ridge(draws_of(20, ridge=False)) == ""


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"warmup": 100}, "SMC has no warmup: leave it out, or sample by NUTS"),
        ({"target_acceptance": 0.9}, "SMC has no target acceptance: leave it out"),
        ({"warmup": 100, "target_acceptance": 0.9}, "SMC has no warmup and target acceptance"),
    ],
)
def test_options_that_smc_does_not_have(options: dict[str, Any], said: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=said):
        fit(product(), tmp_path / "none", method="smc", **options)
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize(("name", "what"), [("SMC", "populations are"), ("NUTS", "draws are")])
def test_words_of_an_interrupted_run(name: str, what: str, tmp_path: Path) -> None:
    chains = tmp_path / "chains"
    chains.mkdir()
    (chains / "run.json").write_text(json.dumps({"identity": {"sampler": {"name": name}}}))
    (chains / "chunk-00000.npz").touch()
    assert describe_progress(tmp_path) == f"{what} in {chains}, and the same command resumes the run"


@pytest.mark.tier("slow")
def test_auto_goes_on_to_smc_on_a_ridge(tmp_path: Path) -> None:
    """log10 x0 is uniform over −1 to 2: its 90% interval is −0.85 to 1.85. NUTS alone finds −0.67 to 1.32."""
    problem = load_problem(CASES / "ridge-between-bounds" / "problem.yaml")
    said: list[str] = []
    options: dict[str, Any] = {"method": "auto", "warmup": 500, "progress": False, "say": said.append}
    found = fit(problem, tmp_path, **options)
    assert found is not None
    (why,) = [sentence for sentence in said if "diverged on a ridge" in sentence]
    assert "Sampling by SMC, from the prior; the draws of NUTS stay in" in why
    assert "warmup is of NUTS, and not used" in said
    assert found.draws.facts["sampler"] == "SMC"
    low, high = np.quantile(np.log10(found.tree["posterior"].dataset["x0"]), [0.05, 0.95])
    assert low == pytest.approx(-0.85, abs=0.05 * 2.7)
    assert high == pytest.approx(1.85, abs=0.05 * 2.7)
    again = fit(problem, tmp_path, **options)
    assert again is not None
    np.testing.assert_array_equal(again.draws.z, found.draws.z)


@pytest.mark.tier("slow")
def test_more_particles_are_another_run(tmp_path: Path) -> None:
    options: dict[str, Any] = {"method": "smc", "chains": 2, "starts": 2, "progress": False}
    problem = product()
    assert fit(problem, tmp_path, draws=20, **options) is not None
    with pytest.raises(StoreError, match="particles was 20, now 30; populations of another size are another run"):
        fit(problem, tmp_path, draws=30, **options)
