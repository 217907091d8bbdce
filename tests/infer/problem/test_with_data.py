"""Other values in the same rows: a right density, nothing compiled anew, and what is refused."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import numpy as np
import optax
import pytest

from hexamer import Model, Problem
from hexamer.data import Dataset
from hexamer.data.dataset import Censored
from hexamer.infer import SMC, StoreError, curvature, find_map, find_mode, run_sampler, sample, to_datatree
from hexamer.infer.problem.identity import problem_digest
from hexamer.infer.problem.new_rows import NewRows
from support.closed_form import with_closed_form

pytestmark = pytest.mark.tier("test")

CENSORED: dict[int, Censored] = {
    1: "left",
    2: "left",
    8: "right",
    9: "left",
}  # by row; no scale of theirs is integrated out
OPTIMISER = optax.lbfgs()
_compiled: list[str] = []
jax.monitoring.register_event_duration_secs_listener(lambda event, duration_secs, **_: _compiled.append(event))


@contextmanager
def nothing_compiled() -> Iterator[None]:
    """Fails if XLA compiles something."""
    _compiled.clear()
    yield
    assert [e for e in _compiled if "backend_compile" in e] == []


def other_values(data: Dataset) -> np.ndarray:
    return np.array([m.value for m in data.measurements]) * np.linspace(1.1, 1.4, len(data))


def with_values(data: Dataset, values: np.ndarray) -> Dataset:
    return replace(
        data, measurements=tuple(replace(m, value=v) for m, v in zip(data.measurements, values, strict=True))
    )


def with_limits(data: Dataset, censored: Mapping[int, Censored], upper: dict[int, float] | None = None) -> Dataset:
    above = upper or {}
    rows = tuple(replace(m, censored=censored.get(m.row, ""), upper=above.get(m.row)) for m in data.measurements)
    return replace(data, measurements=rows)


@pytest.fixture(scope="module")
def problem(decay_model: Model, decay_data: Dataset) -> Problem:
    """With limits of all kinds, and two scales integrated out."""
    return with_closed_form(decay_model, with_limits(decay_data, {**CENSORED, 10: "interval"}, {10: 4.0}))


@pytest.mark.parametrize("form", ["array", "list", "measurements", "data set"])
def test_forms_of_the_rows(decay_model: Model, decay_data: Dataset, form: str) -> None:
    values = other_values(decay_data)
    data = with_values(decay_data, values)
    rows = {"array": values, "list": values.tolist(), "measurements": list(data.measurements), "data set": data}[form]
    found, expected = with_closed_form(decay_model, decay_data).with_data(rows), with_closed_form(decay_model, data)
    assert found.dataset.measurements == data.measurements
    for part, right in zip(found.measured, expected.measured, strict=True):
        np.testing.assert_array_equal(part, right)


@pytest.mark.tier("slow")
def test_the_density_is_that_of_a_problem_of_these_data(problem: Problem, decay_model: Model) -> None:
    """A new value beyond its row's limit leaves the limit; any other was measured."""
    limits = problem.dataset
    values = np.array([m.value for m in limits.measurements]) * 1.01
    values[[0, 1, 7, 8, 9]] += [0.3, -0.2, -0.2, -0.1, 0.5]  # above, below, below, below, between its limits
    found = problem.with_data(values)
    censored = {m.row: m.censored for m in found.dataset.measurements if m.censored}
    assert censored == {2: "left", 9: "left", 10: "interval"}
    assert found.dataset.measurements[8] == limits.measurements[8]
    expected = with_closed_form(decay_model, found.dataset)
    u = np.random.default_rng(0).normal(size=len(problem.space)) * 0.3
    for part, right in zip(found.potential(u), expected.potential(u), strict=True):
        np.testing.assert_allclose(part, right, rtol=1e-12, atol=1e-12)
    assert not np.allclose(found.potential(u)[1], problem.potential(u)[1])
    outside = problem.with_data(np.where(limits.measurements[9].row == np.arange(1, 11), 5.0, values))
    assert outside.dataset.measurements[9].censored == ""
    for part, right in zip(outside.measured, with_closed_form(decay_model, outside.dataset).measured, strict=True):
        np.testing.assert_array_equal(part, right)


def test_limits_hold_after_other_values(problem: Problem) -> None:
    """In a loop over replicates, a row that was once above its limit was never censored again."""
    values = np.array([m.value for m in problem.dataset.measurements])
    far = problem.with_data(values * 3.0)
    kinds = {m.row: m.censored for m in far.dataset.measurements if m.censored}
    assert kinds == {8: "right"}
    assert far.with_data(values).dataset == problem.dataset
    measured = problem.with_data([replace(m, censored="", upper=None) for m in problem.dataset.measurements])
    assert {m.censored for m in measured.with_data(values * 0.1).dataset.measurements} == {""}


def test_limits_that_the_problem_does_not_have(decay_model: Model, decay_data: Dataset) -> None:
    """They need another function, so all is compiled anew; where a scale is integrated out there is none."""
    free = Problem(decay_model, decay_data)
    limited = free.with_data(with_limits(decay_data, CENSORED))
    assert np.sum(limited.assays.limits != 0) == 4
    with pytest.raises(ValueError, match=r"cannot integrate out scale_1: .* touch no censored row"):
        free.with_data(with_limits(decay_data, {3: "left"}))


def fitted(problem: Problem) -> np.ndarray:
    """Draws of a fit, after all that is compiled on the way to a posterior."""
    fits = find_map(problem, starts=3, seed=1, progress=False)
    find_map(problem, starts=2, seed=1, optimiser=OPTIMISER, max_iterations=20, progress=False)
    start = curvature(problem, find_mode(problem, fits.z[0]))
    draws = sample(problem, start, chains=2, warmup=20, draws=20, seed=1, chunk=20, progress=False)
    assert draws is not None
    to_datatree(problem, draws.z, draws.stats, seed=1, failures=draws.failed)
    problem.evaluate(fits.best)
    return draws.z


@pytest.mark.tier("slow")
def test_nothing_is_compiled_for_a_fit_of_other_values(decay: Callable[..., Problem], decay_data: Dataset) -> None:
    problem, values = decay(), other_values(decay_data)
    fitted(problem)
    with nothing_compiled():
        found = fitted(problem.with_data(values))
    np.testing.assert_array_equal(found, fitted(decay().with_data(values)))


@pytest.mark.tier("slow")
def test_nothing_is_compiled_for_other_values(problem: Problem, tmp_path: Path) -> None:
    """The gradient, and the iterations of NUTS. A run on disk is one of its own values alone."""
    start = curvature(problem, np.zeros(3))
    options: dict[str, Any] = {"chains": 1, "warmup": 6, "draws": 4, "seed": 1, "progress": False}
    sample(problem, start, out=tmp_path, **options)
    with nothing_compiled():
        other = problem.with_settings(rtol=1e-6).with_data(other_values(problem.dataset))
        draws = sample(other, start, **options)
    assert draws is not None
    assert np.std(draws.z) > 0
    with pytest.raises(StoreError, match="the measurements changed"):
        sample(other, start, out=tmp_path, **options)


@pytest.mark.tier("slow")
def test_nothing_is_compiled_for_smc_of_other_values(problem: Problem) -> None:
    options: dict[str, Any] = {"populations": 2, "particles": 20, "moves": 1, "seed": 1}
    first = run_sampler(SMC(problem, **options), progress=False)
    with nothing_compiled():
        other = run_sampler(SMC(problem.with_data(other_values(problem.dataset)), **options), progress=False)
    assert first is not None
    assert other is not None
    assert first.facts["log_evidence"] != other.facts["log_evidence"]


def test_the_digest_is_that_of_the_values(decay_model: Model, decay_data: Dataset) -> None:
    problem = Problem(decay_model, decay_data, source="somewhere")
    other = problem.with_data(other_values(decay_data))
    assert problem_digest(other) != problem_digest(problem)
    assert problem_digest(other.with_data(decay_data)) == problem_digest(problem)
    assert (problem.source, other.source) == ("somewhere", "")


BAD: dict[str, tuple[Callable[[Dataset], NewRows], str]] = {
    "shape": (lambda d: np.ones(4), r"array of 10 values, .* not of shape \(4,\): with_data takes the same rows"),
    "table": (lambda d: np.ones((2, 10)), r"not of shape \(2, 10\)"),
    "text": (lambda d: np.array(["one"] * 10), "rows must be numbers, one for each of 10 measurements"),
    "NaN": (lambda d: other_values(d) * np.where(np.arange(10) == 3, np.nan, 1), "row 4: mRNA is measured as nan"),
    "logarithm": (lambda d: np.where(np.arange(10) == 4, -1.0, other_values(d)), "positive: row 5: gel is -1. Leave"),
    "fewer": (lambda d: list(d.measurements[:3]), "3 measurements, and the problem has 10"),
    "time": (
        lambda d: [replace(d.measurements[0], time=3.0), *d.measurements[1:]],
        r"row 1 has time 3.0, the problem's 0.5: with_data takes the same rows",
    ),
    "observable": (
        lambda d: replace(d, observables={**d.observables, "gel": replace(d.observables["gel"], scale="log10")}),
        "observable 'gel' is another in 'decay'",
    ),
    "prior": (
        lambda d: replace(d, parameters={**d.parameters, "k": replace(d.parameters["k"], prior=None, value=0.1)}),
        "prior or value of 'k' is another in 'decay'",
    ),
    "mixed": (lambda d: [*d.measurements[:9], 1.0], "a list is of numbers or of Measurement, not of both: row 10: 1.0"),
}


@pytest.mark.parametrize("kind", BAD)
def test_what_is_refused(decay_model: Model, decay_data: Dataset, kind: str) -> None:
    rows, message = BAD[kind]
    with pytest.raises(ValueError, match=message):
        Problem(decay_model, decay_data).with_data(rows(decay_data))
