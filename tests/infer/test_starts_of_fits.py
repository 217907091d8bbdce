"""A fit that starts from an earlier result, and a longer run of a finished one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hexamer import Problem, Protocol
from hexamer.data import Dataset, Measurement, Parameter, Prior, direct
from hexamer.infer import Calibration, StoreError, fit
from hexamer.models import compile_network, read_antimony

pytestmark = pytest.mark.tier("test")

OPTIONS: dict[str, Any] = {"chains": 2, "starts": 4, "seed": 2, "progress": False}
SCALE = Parameter("s", Prior("normal", "log", 0.0, 0.2), unit="1")


def decay(*, k: Prior | None = None, more: bool = False, unit: str = "1/min") -> Problem:
    """y(t) = 2·exp(−k·t), with `more` times a scale s that the prior knows."""
    rows = tuple(Measurement("y", "rest", t, v) for t, v in ((0.5, 1.2), (1.0, 0.8), (2.0, 0.2)))
    parameters = {"k": Parameter("k", Prior("normal", "log10", 0.0, 1.0) if k is None else k, unit=unit)}
    network = "model decay; k = 1; s = 1; species y = 2; J: y -> ; k*y; end"
    return Problem(
        compile_network(read_antimony(network)),
        Dataset(
            "decay",
            {"y": direct("y", "s*y" if more else "y", sd=0.1)},
            {"rest": Protocol("rest")},
            rows,
            {**parameters, "s": SCALE} if more else parameters,
        ),
    )


def fitted(problem: Problem, folder: Path, **options: Any) -> Calibration:
    result = fit(problem, folder, **{**OPTIONS, "warmup": 60, "draws": 40, **options})
    assert result is not None
    return result


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Calibration:
    return fitted(decay(), tmp_path_factory.mktemp("fit") / "first", draws=400)


@pytest.mark.tier("slow")
def test_a_longer_run_begins_with_the_shorter_one(tmp_path: Path) -> None:
    short = fitted(decay(), tmp_path / "run")
    longer = fitted(decay(), tmp_path / "run", draws=80)
    whole = fitted(decay(), tmp_path / "whole", draws=80)
    np.testing.assert_array_equal(longer.draws.z, whole.draws.z)
    np.testing.assert_array_equal(longer.draws.z[:, :40], short.draws.z)
    for name in whole.draws.stats:
        np.testing.assert_array_equal(longer.draws.stats[name], whole.draws.stats[name])
    assert longer.tree["posterior"].dataset["k"].shape == (2, 80)
    with pytest.raises(StoreError, match=r"holds 140 iterations per chain, with the warmup, and 100 were asked for"):
        fitted(decay(), tmp_path / "run")


@pytest.mark.tier("slow")
def test_a_fit_from_draws_searches_nothing(first: Calibration, tmp_path: Path) -> None:
    """Its chains begin at draws, its scale is theirs, and it finds the same posterior after a short warmup."""
    said: list[str] = []
    again = fitted(decay(), tmp_path / "again", start=first, draws=400, say=said.append)
    assert "starting from 800 draws of an earlier result" in said
    assert not (tmp_path / "again" / "map.json").exists()
    assert again.start is not None
    u = first.problem.space.unfold(first.draws.z).reshape(-1, 1)
    assert again.start.centre[0] == pytest.approx(u.mean(), rel=1e-6)
    assert again.start.scale[0, 0] == pytest.approx(u.std(), rel=0.02)
    for quantile in (0.1, 0.5, 0.9):
        old, new = (np.quantile(c.draws.z, quantile) for c in (first, again))
        assert new == pytest.approx(old, abs=0.25 * u.std())


@pytest.mark.tier("slow")
def test_the_same_start_resumes_and_another_is_refused(first: Calibration, tmp_path: Path) -> None:
    once, twice = (fitted(decay(), tmp_path / "run", start=first.folder) for _ in range(2))
    np.testing.assert_array_equal(once.draws.z, twice.draws.z)
    with pytest.raises(StoreError, match="earlier draws was"):
        fitted(decay(), tmp_path / "run")


@pytest.mark.tier("slow")
def test_new_parameters_start_from_the_best_fit(first: Calibration, tmp_path: Path) -> None:
    said: list[str] = []
    wider = fitted(decay(more=True), tmp_path / "wider", start=first.folder, say=said.append)
    assert "starting from 800 draws of an earlier result; s is not in it" in said
    assert any(sentence.startswith("looking for the best fit") for sentence in said)
    assert wider.tree["posterior"].dataset["s"].shape == (2, 40)
    assert wider.start is not None
    k, s = (wider.problem.space.names.index(n) for n in ("k", "s"))
    assert wider.start.scale[k, s] == wider.start.scale[s, k] == 0
    assert wider.start.centre[k] == pytest.approx(first.draws.z.mean(), rel=1e-6)


@pytest.mark.tier("slow")
def test_draws_outside_other_priors_are_left_out(first: Calibration, tmp_path: Path) -> None:
    said: list[str] = []
    middle = float(np.log10(np.median(first.tree["posterior"].dataset["k"])))
    narrow = decay(k=Prior("normal", "log10", 0.0, 1.0, lower=middle))
    fitted(narrow, tmp_path / "run", start=first, say=said.append)
    assert any("draws lie outside the priors and are left out" in sentence for sentence in said)


@pytest.mark.tier("slow")
@pytest.mark.parametrize(
    ("problem", "options", "said"),
    [
        (decay(unit="1/h"), {}, "k is in '1/min' there, in '1/h' here"),
        (decay(k=Prior("normal", "log10", 3.0, 0.1, lower=2.5)), {}, "0 of 800 draws .* lie within the priors"),
        (decay(), {"method": "smc", "warmup": None}, "SMC starts from the prior: leave out `start`"),
    ],
)
def test_starts_of_no_use(first: Calibration, tmp_path: Path, problem: Problem, options: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        fitted(problem, tmp_path / "run", start=first, **options)


def test_a_result_is_not_started_from_in_its_folder(first: Calibration) -> None:
    with pytest.raises(ValueError, match="choose another folder, or ask for more draws there"):
        fitted(decay(), first.folder, start=first.folder)


def test_a_result_without_the_parameters(first: Calibration, tmp_path: Path) -> None:
    other = decay(more=True)
    alone = Problem(other.model, other.dataset, {"k": Parameter("k", value=1.0), "s": SCALE})
    with pytest.raises(ValueError, match=r"has none of the parameters of 'decay' \(s\); it has k"):
        fitted(alone, tmp_path / "run", start=first)
