"""What the figures show: panels, labels, points, bands."""

import numpy as np
import pytest
import xarray as xr
from matplotlib import pyplot
from scipy import special

from hexamer.data import Dataset, Measurement, direct
from hexamer.infer import plots
from hexamer.infer.plots.observable_panels import Panel, arrange
from hexamer.models import Protocol
from support.figures import points, rendered, x_of, y_of

pytestmark = pytest.mark.tier("test")


def dataset(cells: dict[tuple[str, str], list[float]]) -> Dataset:
    names = list(dict.fromkeys(o for o, _ in cells))
    rows = [Measurement(o, p, t, 1.0) for (o, p), times in cells.items() for t in times]
    protocols = {p: Protocol(p) for p in dict.fromkeys(p for _, p in cells)}
    return Dataset("d", {n: direct(n, "A", sd=1) for n in names}, protocols, tuple(rows))


def test_panels():
    """Courses up to three to a panel; single readings beside a course, or in a panel of their own."""
    course = [0.0, 1.0, 2.0]
    data = dataset(
        {
            ("x", "a"): course,
            ("x", "b"): [0.0],
            ("y", "a"): course,
            **{("y", p): [2.0] for p in "bcd"},
            ("z", "a"): [5.0],
            **{("w", p): course for p in "abcde"},
        }
    )
    x, y, doses, z, w1, w2 = arrange(data)
    assert x == Panel("x", ("a",), (("b", 0.0),))
    assert (y.courses, y.cells) == (("a",), ())
    assert doses == Panel("y", (), (("a", 2.0), ("b", 2.0), ("c", 2.0), ("d", 2.0)))
    assert z == Panel("z", (), (("a", 5.0),))
    assert [*w1.courses, *w2.courses] == list("abcde")
    assert [p.observable for p in arrange(data, ["z"])] == ["z"]
    with pytest.raises(ValueError, match="unknown observables v; known: x, y, z, w"):
        arrange(data, ["v"])


@pytest.fixture(scope="module")
def fit_page(conversion, conversion_tree):
    (page,) = plots.fit(conversion, conversion_tree, draws=50)
    return page


def test_fit(conversion, fit_page, tmp_path):
    assert [ax.get_title(loc="left") for ax in fit_page.axes] == ["blot_B", "blot_B", "mRNA", "fraction"]
    course, doses, mrna, fraction = fit_page.axes
    assert (course.get_xlabel(), course.get_ylabel()) == ("time [min]", "au, average run")
    assert fraction.get_ylabel() == "value"
    assert (fraction.get_yscale(), mrna.get_yscale()) == ("log", "linear")
    assert len(points(course)) == sum(
        m.observable == "blot_B" and m.protocol in ("L 1 nM", "L 3 nM") for m in conversion.dataset.measurements
    )
    assert len(points(mrna)) == 6
    assert len(points(fraction)) == 3
    assert len(course.collections) == 4  # two bands for each of two doses
    assert [t.get_text().split("\n")[0] for t in doses.get_xticklabels()] == [
        "untreated",
        "L 0.3 nM",
        "L 1 nM",
        "L 3 nM",
        "L 10 nM",
    ]
    legend = [t.get_text() for t in fit_page.legends[0].get_texts()]
    assert legend[-2:] == ["90% of new measurements", "50% of new measurements"]
    assert {"L 1 nM", "L 3 nM"} <= set(legend)
    rendered(fit_page, tmp_path)


def test_fit_shows_the_data_on_the_average_gel(conversion, fit_page, conversion_course):
    """Gels at scales 2 and 0.5 meet at their geometric mean, 1: the readings are those of B itself."""
    for time, value in points(fit_page.axes[0]):
        nearest = min(abs(value - conversion_course(d, time)) / (0.3 + conversion_course(d, time)) for d in (1, 3))
        assert nearest < 0.35


def test_dose(conversion, conversion_tree, tmp_path):
    figure = plots.dose(conversion, conversion_tree, "blot_B", "L", 20.0, "L 1 nM", dose_unit="nM", draws=40)
    (ax,) = figure.axes
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("L [nM]", "au, average run")
    assert ax.get_title(loc="left") == "blot_B at 20 min"
    measured = [d for d, _ in points(ax)]
    assert sorted(set(measured)) == [0.0, 0.3, 1.0, 3.0, 10.0]
    assert len(measured) == 8
    assert len(ax.collections) == 2
    low, high = (np.asarray(c.get_paths()[0].vertices)[:, 1].min() for c in ax.collections)
    assert low < high  # 90% lies around 50%
    assert [t.get_text() for t in ax.get_xticklabels()] == ["0", "0.1", "1", "10", "100"]
    rendered(figure, tmp_path)
    with pytest.raises(KeyError, match=r"unknown protocol 'L 2 nM': known: .*L 1 nM"):
        plots.dose(conversion, conversion_tree, "blot_B", "L", 20.0, "L 2 nM")


def test_prior_and_posterior(conversion_tree, tmp_path):
    (figure,) = plots.prior_posterior(conversion_tree, truth={"k1": 0.05})
    assert [ax.get_title(loc="left") for ax in figure.axes] == [str(n) for n in conversion_tree["posterior"].data_vars]
    ax = figure.axes[0]
    assert ax.get_xlabel() == "log10 [1/(nM min)]"
    prior, after, truth = ax.lines
    assert [line.get_label() for line in ax.lines] == ["prior", "posterior", "truth"]
    assert x_of(truth)[0] == pytest.approx(np.log10(0.05))
    assert x_of(after)[np.argmax(y_of(after))] == pytest.approx(np.log10(0.05), abs=0.05)
    half = [np.ptp(x_of(line)[y_of(line) > 0.5]) for line in (prior, after)]
    assert half[1] < 0.2 * half[0]
    assert [t.get_text() for t in figure.legends[0].get_texts()] == ["prior", "posterior", "truth"]
    with pytest.raises(ValueError, match="does not have nothing"):
        plots.prior_posterior(conversion_tree, ["nothing"])
    rendered(figure, tmp_path)


@pytest.mark.tier("slow")
def test_no_more_than_twelve_panels_a_page(conversion_tree):
    names = list(conversion_tree["posterior"].data_vars)
    pages = plots.prior_posterior(conversion_tree, names * 4)
    assert [len(p.axes) for p in pages] == [12, 12]


@pytest.mark.tier("slow")
def test_chains(conversion_tree, tmp_path):
    figure = plots.chains(conversion_tree, ["k1", "total"])
    trace, ranks, *_ = figure.axes
    assert len(figure.axes) == 4
    assert trace.get_title(loc="left") == "log10 k1"
    assert ranks.get_title(loc="left").startswith("R-hat")
    chains = trace.lines
    assert len(chains) == 4
    np.testing.assert_allclose(y_of(chains[2]), np.log10(conversion_tree["posterior"]["k1"].values[2]))
    assert [x for rug in trace.collections for x, _ in offsets(rug)] == [10]  # diverged
    assert len(ranks.lines) == 4
    assert max(np.abs(y_of(line)).max() for line in ranks.lines) < 0.3
    assert [t.get_text() for t in figure.legends[0].get_texts()] == [f"chain {i}" for i in range(4)]
    assert len(plots.chains(conversion_tree).axes) == 12  # the six that mixed worst
    rendered(figure, tmp_path)


def slow_chains(correlation: float, seed: int, chains: int = 4) -> np.ndarray:
    """Chains × 300 draws of a standard normal, each draw correlated with the one before it."""
    noise = np.random.default_rng(seed).normal(size=(300, chains))
    draws = list(noise[:1])
    for step in noise[1:]:
        draws.append(correlation * draws[-1] + np.sqrt(1 - correlation**2) * step)
    return np.array(draws).T


def tree_of(**draws: np.ndarray) -> xr.DataTree:
    return xr.DataTree.from_dict({"posterior": xr.Dataset({n: (("chain", "draw"), d) for n, d in draws.items()})})


def ranked(**draws: np.ndarray) -> dict[str, tuple[float, int]]:
    """For each parameter, the p of `chains` that its chains sample one distribution, and how many dots deny it."""
    axes = plots.chains(tree_of(**draws), list(draws)).axes[1::2]
    p = [float(ax.texts[0].get_text().removeprefix("p=").split("(")[0]) for ax in axes]
    return {n: (p, sum(len(offsets(c)) for c in ax.collections)) for n, p, ax in zip(draws, p, axes, strict=True)}


def offsets(dots) -> np.ndarray:
    return np.asarray(dots.get_offsets(), dtype=float)


def test_ranks_show_a_chain_that_differs():
    """At three standard deviations' distance, and only then, though slow chains make few independent draws."""
    apart = np.array([[0.0], [0.0], [3.0], [0.0]])
    fast, slow = slow_chains(0.0, seed=1), slow_chains(0.8, seed=1)
    found = ranked(fast=fast, slow=slow, fast_apart=fast + apart, slow_apart=slow + apart)
    for name, (p, dots) in found.items():
        assert (p < 0.01) == (dots > 0) == name.endswith("apart"), name


def test_ranks_of_slow_chains_that_agree():
    """Of 20 sets, 1 is expected below 0.05; were draws taken for independent, it would be all."""
    found = ranked(**{f"k{i}": slow_chains(0.9, seed=i) for i in range(20)})
    assert sum(p < 0.05 for p, _ in found.values()) <= 4


def test_chains_without_ranks(tmp_path):
    """One chain alone, or draws that never move."""
    for draws in (slow_chains(0.5, seed=1, chains=1), np.ones((4, 50))):
        figure = plots.chains(tree_of(k=draws))
        assert len(figure.axes[0].lines) == len(draws)
        assert not figure.axes[1].lines
        rendered(figure, tmp_path)


def test_no_window_is_opened(conversion_tree):
    """ArviZ draws on our axes: the figures that it makes itself are pyplot's, which keeps them."""
    plots.chains(conversion_tree, ["k1"])
    assert pyplot.get_fignums() == []


def test_density_of_draws():
    """A kernel density where a parameter's prior is not known: none below zero, and a line if draws do not move."""
    normal = special.ndtri((np.arange(2000) + 0.5) / 2000).reshape(4, 500)
    after = tree_of(half=np.abs(normal), still=np.full((4, 500), 0.5), normal=normal)
    before = tree_of(half=np.abs(normal), still=normal, normal=normal)
    tree = after.assign(prior=xr.DataTree(before["posterior"].dataset))
    (figure,) = plots.prior_posterior(tree)
    half, still, whole = (ax.lines for ax in figure.axes)
    for line in (*half, *whole):
        np.testing.assert_allclose(y_of(line), np.exp(-0.5 * x_of(line) ** 2), atol=0.05)
    assert min(x_of(line).min() for line in half) >= 0
    assert set(x_of(still[1])) == {0.5}


def test_residuals(conversion, conversion_tree, tmp_path):
    (figure,) = plots.residuals(conversion, conversion_tree)
    assert [ax.get_title(loc="left") for ax in figure.axes] == ["blot_B", "mRNA", "fraction"]
    assert [len(points(ax)) for ax in figure.axes] == [20, 6, 3]
    assert max(abs(r) for ax in figure.axes for _, r in points(ax)) < 3.5
    inside = sum(abs(r) <= 1.645 for _, r in points(figure.axes[0]))
    assert figure.axes[0].get_title(loc="right") == f"{inside} of 20 within 90%"
    rendered(figure, tmp_path)


def test_observed_against_predicted(conversion, conversion_tree, tmp_path):
    (figure,) = plots.observed_predicted(conversion, conversion_tree)
    assert [len(points(ax)) for ax in figure.axes] == [20, 6, 3]
    predicted, observed = np.array(points(figure.axes[0])).T
    assert np.corrcoef(predicted, observed)[0, 1] > 0.97
    assert figure.axes[0].get_xlabel() == "predicted [au]"
    measured = sorted(m.value for m in conversion.dataset.measurements if m.observable == "blot_B")
    np.testing.assert_allclose(sorted(observed), measured)
    rendered(figure, tmp_path)


def test_waterfall(tmp_path):
    figure = plots.waterfall([5.0, np.inf, 1.0, 1.05, np.nan], [True, False, True, False, False])
    (ax,) = figure.axes
    np.testing.assert_allclose(sorted(points(ax)), [(1, 0.0), (2, 0.05), (3, 4.0)])
    assert ax.get_title(loc="left") == "2 of 5 starts end within 0.1 of the best, 1"
    assert [t.get_text() for t in ax.texts] == ["2 failed"]
    assert ax.get_ylabel() == "objective − best [nats]"
    rendered(figure, tmp_path)


def test_waterfall_of_nothing(tmp_path):
    figure = plots.waterfall([np.inf, np.nan])
    assert [t.get_text() for t in figure.axes[0].texts] == ["2 failed"]
    rendered(figure, tmp_path)


def test_starts(tmp_path):
    x = np.array([[0.0, 1.0, 2.0], [0.1, 1.1, 2.1], [5.0, 5.0, 5.0], [9.0, 9.0, 9.0]])
    figure = plots.starts(["a", "b", "c"], x, [1.0, 1.01, 7.0, np.inf])
    (ax,) = figure.axes
    drawn = {tuple(x_of(line)) for line in ax.lines if len(x_of(line)) == 3}
    assert drawn == {tuple(row) for row in x[:3]}
    assert [t.get_text() for t in ax.get_yticklabels()] == ["a", "b", "c"]
    assert ax.get_ylim()[0] > ax.get_ylim()[1]  # first on top
    rendered(figure, tmp_path)


def test_traces(tmp_path):
    figure = plots.traces([[10.0, 2.0, 1.0], [9.0, np.inf, 4.0], [], [np.nan]])
    (ax,) = figure.axes
    np.testing.assert_allclose(y_of(ax.lines[0]), [9.0, 1.0, 0.0])
    assert ax.get_xlabel() == "iteration"
    rendered(figure, tmp_path)
