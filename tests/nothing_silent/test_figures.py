"""Every number that a figure or a summary shows is what its label says: limits, predictions, residuals, noise."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import sympy
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgba
from scipy import stats

from hexamer import Auto, Fused, Problem, Protocol
from hexamer.cli import main
from hexamer.data import Dataset, Measurement, Observable, Parameter, Prior, direct, elisa
from hexamer.data.noise import Laplace, Normal, StudentT
from hexamer.infer import plots
from hexamer.infer.checks.solver_noise import drowned_noise
from hexamer.infer.plots.checks import BAND, _replicate_interval, median_readings, standardised
from hexamer.infer.plots.observable_panels import axis_label
from hexamer.infer.posterior import to_datatree
from hexamer.infer.posterior.row_layout import of_rows
from hexamer.infer.posterior.summary import summarise
from hexamer.infer.posterior.verdicts.solved import NOISE
from hexamer.models import compile_network, read_antimony

pytestmark = pytest.mark.tier("test")

TIMES = (0.5, 1.0, 2.0, 4.0)
A0, SD = 10.0, 0.5


def decay(sd: float = SD) -> Problem:
    """A = 10 e^(−k t), read directly, with Laplace noise on a logarithm, and below and above limits."""
    text = "model decay\n species A = 10; k = 0.5;\n J: A -> ; k*A;\nend\n"
    model = compile_network(read_antimony(text))
    a, b = direct("a", "A", sd=sd, unit="nM"), direct("b", "A", sd=0.1, unit="nM")
    observables = {
        "a": a,
        "robust": Observable("robust", b.formula, b.noise_formula, scale="log10", noise="laplace", unit="nM"),
    }
    rows = [Measurement("a", "rest", t, A0 * np.exp(-0.5 * t) + 0.3 * SD * (-1) ** i) for i, t in enumerate(TIMES)]
    rows += [Measurement("a", "rest", 8.0, 4.0, censored="left"), Measurement("a", "rest", 0.1, 6.0, censored="right")]
    rows += [Measurement("robust", "rest", t, 1.3 * A0 * np.exp(-0.5 * t)) for t in TIMES]
    numbered = tuple(
        Measurement(m.observable, m.protocol, m.time, m.value, row=i, censored=m.censored)
        for i, m in enumerate(rows, start=1)
    )
    prior = {"k": Parameter("k", Prior("normal", "log", np.log(0.5), 0.1), value=0.5, unit="1/min")}
    return Problem(model, Dataset("decay", observables, {"rest": Protocol("rest")}, numbered, prior))


@pytest.fixture(scope="module")
def problem() -> Problem:
    return decay()


@pytest.fixture(scope="module")
def tree(problem: Problem):
    """101 draws of k, skewed so that medians are not means."""
    z = np.linspace(-1, 2, 101).reshape(1, 101, 1)
    return to_datatree(problem, z, {"diverging": np.zeros((1, 101), bool)}, seed=3, failures={})


def marks(ax: Axes, *markers: str) -> np.ndarray:
    """Points of a figure with these markers, points × (x, y)."""
    lines = [line for line in ax.lines if line.get_marker() in markers]
    return np.array([p for line in lines for p in np.column_stack([line.get_xdata(), line.get_ydata()])]).reshape(-1, 2)


def is_open(ax: Axes, marker: str) -> bool:
    (line,) = (x for x in ax.lines if x.get_marker() == marker)
    return to_rgba(line.get_markerfacecolor())[3] == 0


def test_best_fit_scores_no_limit(problem: Problem) -> None:
    """The limits are 6 and 7 sd from what is predicted, in the right direction: no residual, drawn as limits."""
    result = problem.evaluate()
    (figure,) = plots.evaluation(problem, result)
    left, right, log_left, log_right = figure.axes
    expected = np.array([0.3, -0.3, 0.3, -0.3])
    np.testing.assert_allclose(marks(right, "o"), np.column_stack([TIMES, expected]), atol=1e-4)
    assert len(marks(right, "v", "^")) == 0
    assert right.get_title(loc="left") == "a: 4 of 4 within ±1.645, 2 limits not scored"
    assert right.get_ylabel() == "residual [sd]"
    assert len(marks(left, "o")) == 4
    assert marks(left, "v")[:, 1].tolist() == [4.0]
    assert marks(left, "^")[:, 1].tolist() == [6.0]
    assert is_open(left, "v")
    assert is_open(left, "^")
    assert left.get_xlim() == left.get_ylim()
    assert [t.get_text() for t in figure.legends[0].get_texts()] == ["at most (a limit)", "at least (a limit)"]
    # Laplace noise: log10(1.3) is 1.139 scales, of which a normal's quantile is not 1.139.
    score = stats.norm.ppf(stats.laplace.cdf(np.log10(1.3) / 0.1))
    np.testing.assert_allclose(marks(log_right, "o")[:, 1], score, rtol=1e-4)
    assert log_right.get_ylabel() == "residual [normal quantile]"
    assert log_left.get_xlabel() == "log10 predicted [nM]"
    assert np.ptp(marks(log_left, "o"), axis=0).max() < 2  # decades
    assert "in-sample" in figure.get_supxlabel()
    assert result.chi2 == pytest.approx(4 * 0.09 + 4 * (np.log10(1.3) / 0.1) ** 2, rel=1e-4)
    assert (result.n, result.censored) == (10, 2)


@pytest.mark.parametrize("r", [-30.0, -3.0, -0.1, 0.0, 0.1, 3.0, 30.0])
def test_normal_scores(r: float) -> None:
    expected = -stats.norm.isf(stats.laplace.cdf(r)) if r < 0 else stats.norm.isf(stats.laplace.sf(r))
    assert Laplace().normal_score(np.array(r)) == pytest.approx(expected, rel=1e-9, abs=1e-12)
    assert Normal().normal_score(np.array(r)) == r
    expected = -stats.norm.isf(stats.t.cdf(r, 4)) if r < 0 else stats.norm.isf(stats.t.sf(r, 4))
    assert StudentT(4).normal_score(np.array(r)) == pytest.approx(expected, rel=1e-9, abs=1e-12)


def test_predicted_is_the_median_without_noise(problem: Problem, tree) -> None:
    """A closed form of each draw, not the middle of replicates; both axes alike."""
    k = tree["posterior"]["k"].values.ravel()
    times = np.array([m.time for m in problem.dataset.measurements])
    expected = np.median(A0 * np.exp(-k[:, None] * times), axis=0)
    np.testing.assert_allclose(median_readings(tree), expected, rtol=1e-5)
    (figure,) = plots.observed_predicted(problem, tree)
    ax = figure.axes[0]
    shown = marks(ax, "o")
    np.testing.assert_allclose(np.sort(shown[:, 0]), np.sort(expected[:4]), rtol=1e-5)
    assert ax.get_xlim() == ax.get_ylim()
    assert is_open(ax, "v")
    assert marks(ax, "v")[0, 1] == 4.0
    assert marks(ax, "v")[0, 0] == pytest.approx(max(expected[4], ax.get_xlim()[0]))
    inside = [
        low <= m.value <= high
        for m, low, high in zip(
            problem.dataset.measurements[:4],
            *np.quantile(of_rows(tree, "posterior_predictive", "a").values[0, :, :4], [0.05, 0.95], axis=0),
            strict=True,
        )
    ]
    assert ax.get_title(loc="right") == f"{sum(inside)} of 4 within 90%,\n2 limits not scored"
    assert figure.legends[0].get_texts()[0].get_text() == "90% of new measurements, noise included"


def test_residuals_are_of_what_was_measured(problem: Problem, tree) -> None:
    """Limits are open, and not counted; draws that failed move nothing; what they are is said."""
    (figure,) = plots.residuals(problem, tree)
    ax = figure.axes[0]
    assert len(marks(ax, "o")) == 4
    assert len(marks(ax, "v", "^")) == 2
    assert is_open(ax, "v")
    assert ax.get_title(loc="right").endswith("of 4 within 90%, 2 limits not scored")
    assert ax.get_ylabel() == "residual [normal quantile]"
    assert "in-sample" in figure.get_supxlabel()
    spoiled = tree.copy(deep=True)
    spoiled["posterior_predictive"]["measurement"].values[:, ::2] = np.nan
    kept = tree.copy(deep=True)
    kept["posterior_predictive"] = kept["posterior_predictive"].isel(draw=slice(1, None, 2))
    np.testing.assert_allclose(standardised(problem, spoiled, "a"), standardised(problem, kept, "a"))


@pytest.mark.parametrize("draws", [5, 12, 40, 80, 101])
def test_two_figures_count_alike(draws: int, problem: Problem, tree) -> None:
    """One counted by normal quantiles among the replicates, the other by their interpolated quantiles."""
    rng = np.random.default_rng(draws)
    one = tree.isel(draw=slice(0, draws)).copy(deep=True)
    replicated = one["posterior_predictive"]["measurement"].values
    replicated[:] = one["observed_data"]["measurement"].values * np.exp(rng.normal(1.6, 1.0, replicated.shape))
    replicated[:, ::7] = np.nan
    first, second = plots.residuals(problem, one)[0], plots.observed_predicted(problem, one)[0]
    for ax, other in zip(first.axes, second.axes, strict=True):
        assert ax.get_title(loc="right") == other.get_title(loc="right").replace("\n", " ")
    if draws > 20:
        for name in ("a", "robust"):
            values = of_rows(one, "posterior_predictive", name).values.reshape(draws, -1)
            low, high = _replicate_interval(values)
            measured = of_rows(one, "observed_data", name).values
            between = (measured > low) & (measured < high)
            np.testing.assert_array_equal(between, np.abs(standardised(problem, one, name)) <= BAND)


@pytest.mark.tier("slow")
def test_zero_on_a_logarithmic_axis() -> None:
    """What an ELISA reads before the stimulus is its background of 1e-9, and filled eight decades of the axis."""
    text = "model rise\n species A = 0; k = 0.5;\n J: -> A; k;\nend\n"
    model = compile_network(read_antimony(text))
    rows = tuple(Measurement("a", "rest", t, 0.5 * max(t, 0.2), row=i) for i, t in enumerate([0.0, *TIMES], start=1))
    prior = {"k": Parameter("k", Prior("normal", "log", np.log(0.5), 0.1), value=0.5, unit="1/min")}
    observables = {"a": elisa("a", "A", sd=0.1)}
    rise = Problem(model, Dataset("rise", observables, {"rest": Protocol("rest")}, rows, prior))
    found = to_datatree(rise, np.zeros((1, 20, 1)), {"diverging": np.zeros((1, 20), bool)}, seed=3, failures={})
    for (page,) in (plots.fit(rise, found, draws=20), plots.observed_predicted(rise, found)):
        ax = page.axes[0]
        assert ax.get_yscale() == "log"
        assert 1e-4 < ax.get_ylim()[0] < 0.1
        assert ax.get_ylim()[1] > 2.0
        assert [t.get_text() for t in ax.texts] == ["lower values lie below the axis"]
    assert len(marks(plots.observed_predicted(rise, found)[0].axes[0], "o")) == 5


def test_limits_beside_the_courses(problem: Problem, tree) -> None:
    """Open triangles, which the legend explains; the line is said to be without noise."""
    (page,) = plots.fit(problem, tree, draws=20)
    ax = page.axes[0]
    assert sorted(marks(ax, "o")[:, 0]) == list(TIMES)
    assert marks(ax, "v").tolist() == [[8.0, 4.0]]
    assert marks(ax, "^").tolist() == [[0.1, 6.0]]
    assert is_open(ax, "v")
    words = [t.get_text() for t in page.legends[0].get_texts()]
    assert "median without noise" in words
    assert {"at most (a limit)", "at least (a limit)"} <= set(words)


def test_rows_that_cannot_move_to_the_average_gel_are_said_to_be_on_their_own() -> None:
    """Saturation in the gel's scale: the bands are of the average gel, the dots are not."""
    s, a = sympy.symbols("s A")
    straight = Observable("x", s * a, sympy.Float(1), ("s",), unit="au")
    bent = Observable("x", s * a / (1 + s * a), sympy.Float(1), ("s",), unit="au")
    assert axis_label(straight) == "au, average run"
    assert axis_label(bent) == "au; dots: own runs, bands: average run"


def test_noise_below_the_solver_s_error_is_told() -> None:
    """1e-7 beside readings of 8 at a relative tolerance of 1e-6: in row 1 the solver's error is at least 8e-6."""
    fine = decay()
    assert drowned_noise(fine, fine.vector()) == []
    drowned = decay(sd=1e-7)
    (sentence,) = drowned_noise(drowned, drowned.vector())
    assert sentence.startswith("the noise of a lies below the solver's error in 6 of 6 rows: in row ")
    assert "its sd is 1e-07 nM, the error about " in sentence
    assert "at a relative tolerance of 1e-06" in sentence
    error = float(sentence.split("the error about ")[1].split(" nM")[0])
    assert 1e-6 < error < 1e-3
    assert "--" not in sentence
    single = drowned.with_settings(rtol=1e-4, atol=None, solver=Auto(Fused(precision="float32")))
    assert len(drowned_noise(single, single.vector())) == 1
    tight = drowned.with_settings(rtol=1e-12, atol=1e-14, max_steps=20_000)
    assert drowned_noise(tight, drowned.vector()) == []


def test_a_summary_tells_it(tree) -> None:
    told = tree.copy()
    told.attrs[NOISE] = json.dumps(["the noise of a lies below the solver's error"])
    assert "The noise of a lies below the solver's error." in summarise(told).words
    assert not any("solver's error" in w for w in summarise(tree).words)


FOLDER = {
    "model.ant": "model decay\n species A = 10; k = 0.5;\n J: A -> ; k*A;\nend\n",
    "problem.toml": 'name = "decay"\n[observables.a]\nassay = "direct"\nsignal = "A"\nunit = "nM"\nsd = 1e-10\n',
    "measurements.csv": "observable,time,value,unit\na,1,6.06,nM\na,2,<4,nM\n",
    "priors.csv": "parameter,unit,distribution,location,scale,value\nk,1/min,lognormal,-0.69,0.1,0.5\n",
    "at.csv": "parameter,value\nk,0.5\n",
}


@pytest.mark.tier("slow")
def test_evaluate_and_map_tell_it(tmp_path: Path, monkeypatch, capfd) -> None:
    """On the command line, with the count of limits beside that of rows."""
    for name, text in FOLDER.items():
        (tmp_path / name).write_text(text)

    def run(*arguments: str) -> tuple[str, str]:
        monkeypatch.setattr(sys, "argv", ["hexamer", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        assert not ended.value.code
        captured = capfd.readouterr()
        return captured.out, captured.err

    out, err = run("evaluate", str(tmp_path), "--at", str(tmp_path / "at.csv"))
    found = json.loads(out)
    assert (found["n"], found["censored"]) == (2, 1)
    assert "warning: the noise of a lies below the solver's error" in err
    assert "its sd is 1e-10 nM" in err
    out, err = run("map", str(tmp_path), "--starts", "1", "--iterations", "3", "--quiet")
    assert "over 1 measurements, 1 limits beside" in out
    assert "warning: the noise of a lies below the solver's error" in err


@pytest.mark.parametrize("name", ["fit", "residuals", "observed_predicted"])
def test_legend_and_note_lie_within_a_figure_of_one_panel(name: str, problem: Problem, tree) -> None:
    alone = tree.isel(row=np.flatnonzero(tree["observed_data"]["observable"] == "a"))
    options = {"observables": ["a"]} if name == "fit" else {}
    (figure,) = getattr(plots, name)(problem, alone, **options)
    assert len(figure.axes) == 1
    FigureCanvasAgg(figure).draw()
    outside = [*figure.legends, *figure.texts]
    assert len(outside) == (1 if name == "fit" else 2)
    for artist in outside:
        box = artist.get_window_extent()
        assert 0 <= box.x0 < box.x1 <= figure.bbox.width
        assert 0 <= box.y0 < box.y1 <= figure.bbox.height


def test_rows_of_one_run_are_not_of_an_average() -> None:
    straight = Observable("y", sympy.Symbol("s") * sympy.Symbol("a"), sympy.Integer(1), ("s",))
    rows = [Measurement("y", "rest", t, 1.0, (name,)) for t, name in ((0.0, "s1"), (1.0, "s1"), (2.0, "s2"))]
    assert axis_label(straight, rows[:2]) == "value"
    assert axis_label(straight, rows) == "value, average run"
