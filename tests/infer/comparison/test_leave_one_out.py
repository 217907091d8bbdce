"""`loo` against closed forms: a model that is linear in normal parameters, so that every prediction is a normal."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import arviz
import numpy as np
import pytest
import sympy
import xarray as xr
from scipy import stats

from hexamer import Calibration, Model, Problem, Protocol, loo
from hexamer.data import Dataset, Measurement, Observable, Parameter, Prior, direct
from hexamer.infer.comparison import refitting
from hexamer.infer.comparison.densities import PARAMETER
from hexamer.infer.comparison.leave_one_out import _Refits, _threshold
from hexamer.infer.comparison.partition import divide
from hexamer.infer.comparison.refitting import without
from hexamer.infer.posterior import to_datatree

pytestmark = pytest.mark.tier("test")

SD = 0.5
PRIORS = {
    "k": Prior("normal", "lin", 0.5, 0.3),
    "a0": Prior("normal", "log", 0.7, 0.5),
    "scale_1": Prior("normal", "log", 0.0, 0.8),
    "scale_2": Prior("normal", "log", 0.3, 0.6),
}
# Plate, time, protocol and ln of the reading of each row.
ROWS = [
    *(("1", 0.5, "rest", 0.9), ("1", 1.0, "rest", 0.5), ("1", 2.0, "again", 0.2), ("1", 3.0, "again", -0.6)),
    *(("2", 0.5, "rest", 0.6), ("2", 1.5, "again", 0.4), ("2", 2.5, "rest", -0.3)),
    *(("", 0.0, "rest", 0.8), ("", 1.0, "again", 0.1), ("", 4.0, "rest", -1.0)),
]
OUTLIER = ("", 1.0, "rest", 4.0)


class Linear:
    """ln y = ln s + ln a0 − k t + noise, with everything that is normal about it."""

    def __init__(self, model: Model, rows: list, *, integrate: bool):
        a, s = sympy.symbols("A s")
        sd = sympy.Float(SD)
        observables = {
            "gel": Observable("gel", s * a, sd, ("s",), scale="log"),
            "lone": Observable("lone", a, sd, scale="log"),
        }
        measurements = tuple(
            Measurement("gel", p, t, math.exp(y), (f"scale_{plate}",), row=i, experiment=f"plate {plate}")
            if plate
            else Measurement("lone", p, t, math.exp(y), row=i)
            for i, (plate, t, p, y) in enumerate(rows, start=1)
        )
        parameters = {n: Parameter(n, q, 0.5) for n, q in PRIORS.items()}
        protocols = {n: Protocol(n) for n in ("rest", "again")}
        data = Dataset("linear", observables, protocols, measurements, parameters)
        self.problem = Problem(model, data, marginalise=None if integrate else ())
        self.y = np.array([r[3] for r in rows])
        self.x = np.array([[-t, 1.0, plate == "1", plate == "2"] for plate, t, _, _ in rows])
        self.labels = {
            "row": np.arange(len(rows)),
            "run": np.array([f"plate {r[0]}" if r[0] else f"row {i}" for i, r in enumerate(rows)]),
            "protocol": np.array([r[2] for r in rows]),
        }

    def posterior(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Mean and covariance of (k, ln a0, ln scale_1, ln scale_2) given some rows."""
        prior = np.array([[q.location, q.spread] for q in PRIORS.values()], dtype=float)
        precision = np.diag(prior[:, 1] ** -2.0) + self.x[rows].T @ self.x[rows] / SD**2
        covariance = np.linalg.inv(precision)
        return covariance @ (prior[:, 0] / prior[:, 1] ** 2 + self.x[rows].T @ self.y[rows] / SD**2), covariance

    def exact(self, by: str) -> dict:
        """log p(part | rest) of every part, by its label."""
        found = {}
        for label in dict.fromkeys(self.labels[by].tolist()):
            out = self.labels[by] == label
            mean, covariance = self.posterior(~out)
            predicted = self.x[out] @ covariance @ self.x[out].T + SD**2 * np.eye(int(out.sum()))
            normal: Any = stats.multivariate_normal(self.x[out] @ mean, cast(Any, predicted))
            found[label] = normal.logpdf(self.y[out]) - self.y[out].sum()
        return found

    def calibration(self, draws: int = 500) -> Calibration:
        """Draws of the whole posterior, from its closed form."""
        mean, covariance = self.posterior(np.ones(len(self.y), bool))
        b = np.random.default_rng(1).multivariate_normal(mean, covariance, (4, draws))
        theta = np.concatenate([b[..., :1], np.exp(b[..., 1 : len(self.problem.space)])], axis=-1)
        z = self.problem.space.coordinates(theta.reshape(-1, theta.shape[-1])).reshape(theta.shape)
        result = Calibration(self.problem, Path())
        result.__dict__["tree"] = to_datatree(self.problem, z, {}, seed=0, failures={})
        return result


@pytest.fixture(scope="module")
def linear(decay_model: Model) -> Callable[..., Linear]:
    return lambda rows, integrate=True: Linear(decay_model, rows, integrate=integrate)


@pytest.fixture(scope="module")
def whole(linear: Callable[..., Linear]) -> tuple[Linear, Calibration]:
    made = linear([*ROWS, OUTLIER])
    assert made.problem.nuisance.names == ("scale_1", "scale_2")
    return made, made.calibration()


@pytest.mark.filterwarnings("ignore:Estimated shape parameter")
def test_rows_and_an_outlier(whole: tuple[Linear, Calibration], caplog) -> None:
    """Importance weights fail for one row, and it is said; moment matching does not."""
    made, result = whole
    exact = np.array(list(made.exact("row").values()))
    plain: Any = loo(result, moment_match=False, refits=0)
    assert plain.pareto_k.values[-1] > plain.good_k
    assert "predictions of 1 part are not reliable, as Pareto's k is above 0.70: row 10" in caplog.text
    same: Any = arviz.loo(result.tree, pointwise=True)
    np.testing.assert_array_equal(plain.elpd_i, same.elpd_i)
    moved: Any = loo(result, refits=0)
    assert np.all(moved.pareto_k.values <= moved.good_k)
    np.testing.assert_allclose(moved.elpd_i.values, exact, atol=0.06)
    assert list(moved.elpd_i["run"].values[-5:]) == ["plate 2", "", "", "", ""]
    table = arviz.compare({"plain": plain, "moved": moved})
    assert set(table.index) == {"plain", "moved"}


@pytest.mark.tier("slow")
@pytest.mark.parametrize("by", ["run", "protocol"])
def test_runs_and_protocols(linear: Callable[..., Linear], by: str) -> None:
    """Plates whose scale is integrated out, left out wholly and in part."""
    made = linear(ROWS)
    elpd: Any = loo(made.calibration(), by, refits=0)
    exact = made.exact(by)
    assert list(elpd.elpd_i[by].values) == list(exact)
    np.testing.assert_allclose(elpd.elpd_i.values, list(exact.values()), atol=0.06)
    assert elpd.elpd == pytest.approx(sum(exact.values()), abs=0.1)
    assert np.all(elpd.pareto_k.values <= elpd.good_k)


@pytest.mark.tier("slow")
def test_refits_are_exact(linear: Callable[..., Linear]) -> None:
    """Scales that are sampled: without a plate nothing is known of its scale but the prior."""
    made = linear(ROWS, integrate=False)
    result, exact = made.calibration(), np.array(list(made.exact("run").values()))
    plain: Any = loo(result, "run", moment_match=False, refits=0)
    bad = np.flatnonzero(plain.pareto_k.values > plain.good_k)
    assert len(bad)
    elpd: Any = loo(result, "run", moment_match=False, progress=False)
    np.testing.assert_array_equal(elpd.pareto_k.values[bad], 0.0)
    np.testing.assert_allclose(elpd.elpd_i.values[bad], exact[bad], atol=0.1)
    assert np.max(np.abs(plain.elpd_i.values - exact)[bad]) > 0.1
    assert elpd.elpd == pytest.approx(elpd.elpd_i.values.sum())


@pytest.mark.parametrize(("refits", "expected"), [(0, 1.4), (1, 1.1), (2, 0.8), (3, 0.7), (9, 0.7)])
def test_the_worst_are_refitted_first(refits: int, expected: float) -> None:
    elpd: Any = SimpleNamespace(pareto_k=xr.DataArray([0.1, 1.1, 1.4, 0.8, 0.2]), good_k=0.7)
    assert _threshold(elpd, refits) == expected


def test_a_problem_without_a_part(whole: tuple[Linear, Calibration], linear: Callable[..., Linear]) -> None:
    """Integrated scales stay so; those that no row uses are gone."""
    problem = whole[0].problem
    fewer = without(problem, whole[0].labels["run"] == "plate 1")
    assert (len(fewer.dataset), fewer.nuisance.names, fewer.space.names) == (7, ("scale_2",), ("k", "a0"))
    sampled = linear(ROWS, integrate=False)
    fewer = without(sampled.problem, sampled.labels["run"] == "plate 1")
    assert (fewer.nuisance.names, fewer.space.names) == ((), ("k", "a0", "scale_2"))


def test_what_cannot_be_left_out(whole: tuple[Linear, Calibration], linear: Callable[..., Linear]) -> None:
    with pytest.raises(ValueError, match="by must be one of row, run, protocol, not 'gel'"):
        loo(whole[1], "gel")
    one = Calibration(linear([r for r in ROWS if r[2] == "rest"]).problem, Path())
    one.__dict__["tree"] = whole[1].tree
    with pytest.raises(ValueError, match="all rows are of one protocol, 'rest': without it nothing is left to fit"):
        loo(one, "protocol")


def test_a_run_may_be_called_like_a_row(decay_model: Model) -> None:
    rows = tuple(
        Measurement("A", "rest", t, 1.0, experiment=run) for t, run in ((0.5, "row 1"), (1.0, ""), (2.0, "row 1"))
    )
    parameters = {"k": Parameter("k", Prior("normal", "lin", 0.5, 0.1))}
    data = Dataset("named", {"A": direct("A", "A", sd=0.5)}, {"rest": Protocol("rest")}, rows, parameters)
    parts = divide(Problem(decay_model, data), "run")
    assert parts.part.tolist() == [0, 1, 0]
    assert [parts.name(i) for i in range(2)] == ["run row 1", "run row 1"]


def test_one_row(decay_model: Model) -> None:
    """The refit met a data set without measurements."""
    data = Dataset(
        "one",
        {"A": direct("A", "A", sd=0.5)},
        {"rest": Protocol("rest")},
        (Measurement("A", "rest", 1.0, 1.4),),
        {"k": Parameter("k", Prior("normal", "lin", 0.5, 0.1))},
    )
    with pytest.raises(ValueError, match="the problem has one row: without it nothing is left to fit"):
        divide(Problem(decay_model, data), "row")


def test_a_row_that_no_parameter_changes(decay_model: Model) -> None:
    """ArviZ ended with "All tail values are the same"."""
    a, a0 = sympy.symbols("A a0")
    observables = {
        "A": direct("A", "A", sd=0.5),
        "relative": Observable("relative", a / a0, sympy.Float(0.1)),
    }
    rows = (Measurement("A", "rest", 1.0, 1.4), Measurement("relative", "rest", 0.0, 1.02))
    priors = {"k": Parameter("k", Prior("normal", "lin", 0.5, 0.1))}
    result = Calibration(
        Problem(decay_model, Dataset("two", observables, {"rest": Protocol("rest")}, rows, priors)), Path()
    )
    z = np.random.default_rng(0).normal(size=(2, 60, 1))
    result.__dict__["tree"] = to_datatree(result.problem, z, {}, seed=0, failures={})
    elpd: Any = loo(result, refits=0)
    assert elpd.elpd_i.values[1] == pytest.approx(stats.norm.logpdf(1.02, 1.0, 0.1), abs=1e-6)
    assert elpd.pareto_k.values[1] < 0


def test_few_draws(whole: tuple[Linear, Calibration]) -> None:
    """ArviZ asked for an index that its tail did not have."""
    few = Calibration(whole[0].problem, Path())
    few.__dict__["tree"] = whole[1].tree.isel(chain=[0], draw=slice(0, 29))
    with pytest.raises(ValueError, match="leave-one-out takes at least 30 draws, and the posterior has 29: draw more"):
        loo(few)


def test_a_part_whose_simulation_fails_has_density_0() -> None:
    """Draws of the posterior without the part may lie where the part cannot be simulated; they counted as density 1."""
    u = xr.DataArray(np.zeros((1, 2, 1)), dims=("chain", "draw", PARAMETER))
    of_draws = {name: xr.DataArray([[-3.0, x]], dims=("chain", "draw")) for name, x in [("lp", -np.inf), ("part", 0.0)]}
    stub = SimpleNamespace(log_posterior=lambda _: of_draws["lp"], log_likelihood_of_part=lambda *_: of_draws["part"])
    refits: Any = object.__new__(_Refits)
    refits.densities = stub
    np.testing.assert_array_equal(refits.log_likelihood__i(0, u), [[-3.0, -np.inf]])


def test_a_refit_has_few_chains_and_names_its_part(whole: tuple[Linear, Calibration], monkeypatch, caplog) -> None:
    """Of 16 populations of SMC there were 16 chains."""
    problem = whole[0].problem

    def sample(fewer: Problem, start: Any, *, chains: int, initial: np.ndarray, **_: Any) -> Any:
        return SimpleNamespace(z=initial[:, None] + np.arange(chains)[:, None, None] + np.linspace(0, 0.1, 9)[:, None])

    monkeypatch.setattr(refitting, "sample", sample)
    u = np.random.default_rng(0).normal(size=(16, 20, 2))
    left_out = whole[0].labels["run"] == "plate 1"
    drawn = refitting.draws_without(problem, u, left_out, name="run plate 1", seed=1, progress=False)
    assert drawn.shape == (4, 9, 2)
    assert "the fit without run plate 1 has not converged, so its prediction is not reliable: R-hat is" in caplog.text


def test_a_fixed_scale_goes_with_its_rows(conversion: Problem) -> None:
    """A value of [fixed] that nothing uses is an error in a problem that a user writes."""
    left_out = np.array([m.experiment == "plate-0" for m in conversion.dataset.measurements])
    assert left_out.sum() == 3
    fewer = without(conversion, left_out)
    assert "scale_mRNA[plate-0]" not in fewer.parameters
    assert (fewer.nuisance.names, fewer.fixed) == (("scale_mRNA[plate-1]",), {"k2": 0.02})


@pytest.mark.tier("check")
def test_a_tree_alone_is_refused() -> None:
    with pytest.raises(TypeError, match="loo takes what fit or read_posterior returned, not DataTree"):
        loo(xr.DataTree())  # pyright: ignore[reportArgumentType]
