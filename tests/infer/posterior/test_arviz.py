"""Functions of ArviZ run on a posterior's tree as they are, by name."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import arviz
import arviz_plots
import arviz_stats
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr
from matplotlib import pyplot as plt
from scipy import stats

from helpers import slowly
from hexamer import Model, Problem
from hexamer.data import Dataset
from hexamer.infer.posterior import PosteriorFileError, read_datatree, save_datatree, to_datatree
from hexamer.infer.posterior.row_layout import of_rows

pytestmark = [
    pytest.mark.tier("test"),
    # 200 draws of no sampler: some importance weights are heavy-tailed.
    pytest.mark.filterwarnings("ignore:Estimated shape parameter"),
]

PLOTS = ("rank", "trace", "pair", "energy", "forest", "prior_posterior", "psense_dist", "ppc_dist", "ppc_pit")
PLOTS += ("ppc_interval", "ppc_censored", "loo_pit", "loo_interval", "ess")


@pytest.fixture(scope="module")
def problem(decay_model: Model, decay_data: Dataset) -> Problem:
    """One scale is integrated out, one touches a limit and is sampled."""
    rows = tuple(replace(m, censored="left" if m.row == 3 else "") for m in decay_data.measurements)
    return Problem(decay_model, replace(decay_data, measurements=rows))


@pytest.fixture(scope="module")
def tree(problem: Problem, tmp_path_factory) -> xr.DataTree:
    """Draws near the nominal values, as a file returns them."""
    centre = problem.space.unconstrain({p.name: p.value for p in problem.space.parameters if p.value is not None})
    rng = np.random.default_rng(1)
    z = centre + 0.1 * rng.normal(size=(4, 50, len(centre)))
    of_sampler = {"diverging": rng.random((4, 50)) < 0.02, "energy": rng.normal(size=(4, 50))}
    made = to_datatree(problem, z, of_sampler, seed=2, failures={})
    return read_datatree(save_datatree(made, tmp_path_factory.mktemp("tree") / "posterior.nc"))


@pytest.mark.tier("slow")
def test_leave_one_out_and_comparison(tree: xr.DataTree) -> None:
    elpd: Any = arviz.loo(tree, pointwise=True)
    assert elpd.n_data_points == 10
    assert list(elpd.elpd_i["observable"].values[:3]) == ["A_abs", "A_abs", "mRNA"]
    assert list(elpd.elpd_i["line"].values) == list(range(1, 11))
    table = arviz.compare({"one": tree, "other": tree})
    assert list(table["elpd_diff"]) == [0.0, 0.0]


def test_sensitivity_to_prior_and_likelihood(tree: xr.DataTree) -> None:
    table = arviz_stats.psense_summary(tree)
    assert set(table.index) == {"k", "a0", "noise", "scale_1", "scale_2"}
    assert np.isfinite(table[["prior", "likelihood"]].to_numpy(dtype=float)).all()
    exact = tree.copy()
    exact["log_likelihood"] = tree["log_likelihood_by_scale"]  # sums to the log likelihood
    assert np.isfinite(arviz_stats.psense_summary(exact)["likelihood"]).all()


@pytest.mark.parametrize("name", ["loo_pit", *slowly(*(p for p in PLOTS if p != "loo_pit"))])
def test_a_plot(tree: xr.DataTree, name: str) -> None:
    drawn = getattr(arviz_plots, f"plot_{name}")(tree)
    figure = drawn.viz["figure"].item()
    assert any(ax.lines or ax.collections for ax in figure.axes)
    plt.close(figure)


@pytest.mark.parametrize("group", ["posterior_predictive", "prior_predictive"])
@pytest.mark.tier("slow")
def test_predictive_checks(tree: xr.DataTree, group: str) -> None:
    """Of all rows and, as the top of `row_layout` says, of one observable."""
    one = tree.isel(row=np.flatnonzero(tree["observed_data"]["observable"] == "mRNA"))
    for shown in (tree, one):
        for name in ("ppc_dist", "ppc_interval"):
            plt.close(getattr(arviz_plots, f"plot_{name}")(shown, group=group).viz["figure"].item())
    plt.close(arviz_plots.plot_ppc_pit(one).viz["figure"].item())
    plt.close(arviz_plots.plot_loo_interval(tree).viz["figure"].item())


def test_what_the_groups_hold(tree: xr.DataTree, problem: Problem) -> None:
    posterior, log_prior = tree["posterior"].dataset, tree["log_prior"].dataset
    space = problem.space
    z = np.stack([tree["unconstrained_posterior"].dataset[n].values for n in space.names], axis=-1)
    both = jax.jit(lambda z: (space.constrain(z), space.log_prior_of_search(space.search(z))))
    theta, density = (np.asarray(x) for x in both(jnp.asarray(z[1, 7])))
    np.testing.assert_allclose([posterior[n].values[1, 7] for n in space.names], theta, rtol=1e-12)
    np.testing.assert_allclose([log_prior[n].values[1, 7] for n in space.names], density, rtol=1e-10)
    integrated = posterior["scale_2"].values[1, 7]
    expected = stats.norm.logpdf(np.log(integrated), -0.2, 0.9)
    assert log_prior["scale_2"].values[1, 7] == pytest.approx(expected, abs=1e-12)
    standard = (np.log(integrated) + 0.2) / 0.9
    assert tree["unconstrained_posterior"].dataset["scale_2"].values[1, 7] == pytest.approx(standard, rel=1e-12)
    assert list(of_rows(tree, "constant_data").values) == [1, 1, 0, *[1] * 7]


def test_predictions_without_noise(tree: xr.DataTree) -> None:
    """With the scale of the draw, also where it is integrated out."""
    values = {n: tree["posterior"].dataset[n].values for n in ("k", "a0", "scale_2")}
    read = of_rows(tree, "noise_free_prediction", "mRNA")
    expected = np.log10(values["scale_2"] * values["a0"]) - values["k"] * 1.0 / np.log(10)
    row = read.isel(row=2)
    assert (float(row["time"]), str(row["scale"].item())) == (1.0, "scale_2")
    np.testing.assert_allclose(row.values, expected, rtol=1e-5)
    replicated = of_rows(tree, "posterior_predictive", "mRNA").isel(row=2)
    spread = (replicated - row) / tree["posterior"].dataset["noise"]
    assert float(spread.std()) == pytest.approx(1.0, abs=0.15)


def test_prior_predictions_are_of_the_prior_s_draws(tree: xr.DataTree) -> None:
    prior = tree["prior"].dataset.isel(draw=slice(0, 200))
    drawn = of_rows(tree, "prior_predictive", "robust")  # Laplace noise of scale 0.2 in log10
    assert drawn.sizes == {"chain": 1, "draw": 200, "row": 2}
    at = np.log10(prior["a0"]) - prior["k"] * 1.0 / np.log(10)
    residual = (np.log10(drawn.isel(row=0)) - at) / 0.2
    assert float(abs(residual).mean()) == pytest.approx(1.0, abs=0.25)


def test_a_file_of_an_older_release(tree: xr.DataTree, tmp_path, caplog) -> None:
    """It opens with a warning; what needs rows asks for a new one."""
    groups = {"/": tree.to_dataset(), **{n: tree[n].dataset for n in ("posterior", "sample_stats")}}
    older = xr.DataTree.from_dict({**groups, "observed_data": xr.Dataset({"mRNA": ("row[mRNA]", [0.4, 0.1])})})
    opened = read_datatree(save_datatree(older, tmp_path / "old.nc"))
    assert "the layout of an older release" in caplog.text
    with pytest.raises(PosteriorFileError, match="The same `fit` into its folder makes the file anew"):
        of_rows(opened, "observed_data")
    with pytest.raises(PosteriorFileError, match="made without predictions"):
        of_rows(opened, "no_such_group")


def test_a_part_of_the_rows(tree: xr.DataTree) -> None:
    part = tree.isel(row=np.flatnonzero(tree["observed_data"]["scale"] == "scale_2"))
    assert list(of_rows(part, "log_likelihood")["line"].values) == [6, 7]
    assert part["posterior"].dataset.equals(tree["posterior"].dataset)
