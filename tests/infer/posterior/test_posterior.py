"""Draws as a tree: what is in it, that its numbers are right, and that files tell what is wrong with them."""

import json
import math
from pathlib import Path

import arviz
import jax
import numpy as np
import pytest
import xarray as xr
from scipy import stats

from helpers import slowly
from hexamer.data import Parameter, Prior
from hexamer.data.parameter import draw_prior
from hexamer.infer.posterior import PosteriorFileError, read_datatree, save_datatree
from hexamer.infer.posterior import datatree as posterior
from hexamer.infer.posterior.draw_evaluation import Evaluated, evaluate_draws
from hexamer.infer.posterior.row_layout import of_rows
from hexamer.models.compiled.identity import model_digest

pytestmark = pytest.mark.tier("test")

ESTIMATED = {"k1", "total", "sd_rel", "scale_blot_B[gel-1]", "scale_blot_B[gel-2]", "scale_mRNA[plate-1]"}
ROWS = {"blot_B": 20, "mRNA": 6, "fraction": 3}


def test_groups_and_names(conversion, conversion_tree):
    assert conversion.nuisance.names == ("scale_mRNA[plate-1]",)
    assert set(conversion_tree.children) == {
        "posterior",
        "unconstrained_posterior",
        "sample_stats",
        "log_likelihood",
        "log_likelihood_by_scale",
        "log_prior",
        "posterior_predictive",
        "noise_free_prediction",
        "observed_data",
        "constant_data",
        "left_out",
        "prior",
        "prior_predictive",
        "fitted",
    }
    assert set(conversion_tree["posterior"].data_vars) == ESTIMATED  # k2 and the fixed scale stay out
    assert set(conversion_tree["prior"].data_vars) == ESTIMATED
    assert conversion_tree["posterior"].sizes == {"chain": 4, "draw": 60}
    assert set(conversion_tree["sample_stats"].data_vars) >= {"diverging", "n_steps", "energy"}
    for group in ("unconstrained_posterior", "log_prior"):
        assert set(conversion_tree[group].data_vars) == ESTIMATED
    for group in (
        *("log_likelihood", "observed_data", "posterior_predictive", "prior_predictive"),
        *("noise_free_prediction", "constant_data"),
    ):
        assert list(conversion_tree[group].data_vars) == ["measurement"]
        rows = conversion_tree[group]["measurement"]
        assert {n: int(np.sum(rows["observable"] == n)) for n in ROWS} == ROWS
        assert rows.dims[-1] == "row"
    attrs = conversion_tree["posterior"]["k1"].attrs
    assert (attrs["unit"], attrs["search_scale"]) == ("1/(nM min)", "log10")
    assert attrs["prior"] == "log10 θ ~ normal(-1.3, 0.5)"


def test_provenance(conversion, conversion_tree):
    attrs = conversion_tree.attrs
    assert attrs["hexamer_version"]
    assert attrs["jax_version"] == jax.__version__
    assert attrs["arviz_version"] == arviz.__version__
    assert (attrs["seed"], attrs["problem"]) == (5, "conversion")
    assert attrs["model_digest"] == model_digest(conversion.model)
    assert json.loads(attrs["fixed"]) == {"k2": 0.02, "scale_mRNA[plate-0]": 1.0}
    assert json.loads(attrs["integrated_out"]) == ["scale_mRNA[plate-1]"]
    assert json.loads(attrs["solver_settings"])["max_steps"] == 5000
    assert set(json.loads(attrs["priors"])) == ESTIMATED
    assert json.loads(conversion_tree["sample_stats"].attrs["failures_warmup"]) == {"too_many_steps": 3}


def test_parameters_are_in_their_own_units(conversion, conversion_z, conversion_tree):
    theta = jax.vmap(conversion.space.constrain)(conversion_z.reshape(-1, conversion_z.shape[-1]))
    for i, name in enumerate(conversion.space.names):
        stored = conversion_tree["posterior"][name].values.ravel()
        np.testing.assert_allclose(stored, np.asarray(theta)[:, i], rtol=1e-12)


def test_log_likelihood_sums_to_that_of_the_problem(conversion, conversion_z, conversion_tree):
    terms = conversion_tree["log_likelihood_by_scale"].dataset
    total = terms["shared_scale"].sum("scale") + terms["other_rows"]
    expected = jax.jit(jax.vmap(conversion.log_likelihood))(conversion_z[1])
    np.testing.assert_allclose(total[1], np.asarray(expected), rtol=1e-10)
    assert list(terms["scale"].values) == ["scale_mRNA[plate-1]"]
    rows = conversion_tree["log_likelihood"]["measurement"]
    alone = rows.isel(row=np.flatnonzero(rows["scale"] == ""))
    np.testing.assert_allclose(alone.sum("row"), terms["other_rows"], rtol=1e-6)
    assert alone.sizes["row"] == sum(ROWS.values()) - 3  # one plate's scale is integrated out, the other's fixed


@pytest.fixture(scope="module")
def at_the_truth(conversion, conversion_truth):
    """A posterior of one point."""
    z = np.tile(conversion.space.unconstrain(conversion_truth), (2, 512, 1))
    return posterior.to_datatree(conversion, z, {}, seed=1, failures={})


def test_integrated_scales_come_from_their_conditional(conversion, conversion_truth, at_the_truth):
    """A normal mean with known noise, by hand: r = log10 v − log10 m, σ = 0.1, prior N(0, 1) in log10."""
    predicted = conversion.evaluate({**conversion_truth, "scale_mRNA[plate-1]": 1.0}).predictions
    rows = [i for i, m in enumerate(conversion.dataset.measurements) if m.arguments == ("scale_mRNA[plate-1]",)]
    r = np.array([conversion.dataset.measurements[i].value for i in rows]) - predicted[rows]
    precision = len(r) / 0.1**2 + 1.0
    mean, sd = r.sum() / 0.1**2 / precision, precision**-0.5
    drawn = np.log10(at_the_truth["posterior"]["scale_mRNA[plate-1]"].values.ravel())
    assert drawn.mean() == pytest.approx(mean, abs=4 * sd / math.sqrt(len(drawn)))
    assert drawn.std() == pytest.approx(sd, rel=0.1)
    # New measurements on the plate carry both, its scale and the noise.
    replicated = of_rows(at_the_truth, "posterior_predictive", "mRNA").values[..., -3:]
    np.testing.assert_allclose(replicated.std((0, 1)), math.hypot(sd, 0.1), rtol=0.1)


def test_replicates_are_on_the_measured_scale(conversion, conversion_truth, at_the_truth):
    prediction = conversion.evaluate(conversion_truth)
    replicated = at_the_truth["posterior_predictive"]["measurement"].stack(sample=("chain", "draw"))
    fraction = replicated.values[replicated["observable"] == "fraction"]
    rows = [i for i, m in enumerate(conversion.dataset.measurements) if m.observable == "fraction"]
    assert fraction.min() > 0
    np.testing.assert_allclose(np.median(fraction, 1), prediction.predictions[rows], rtol=0.02)
    np.testing.assert_allclose(np.log10(fraction).std(1), 0.05, rtol=0.1)
    blot = replicated.values[replicated["observable"] == "blot_B"]
    rows = [i for i, m in enumerate(conversion.dataset.measurements) if m.observable == "blot_B"]
    np.testing.assert_allclose(blot.std(1), prediction.standard_deviations[rows], rtol=0.12)


def test_the_seed_decides(conversion, conversion_z, monkeypatch):
    n, rows = 240 + posterior.PRIOR_PREDICTIVE, len(conversion.dataset)
    ones = [np.ones((n, k)) for k in (rows, rows, rows, 1, 1, 1)]
    evaluated = Evaluated._make([*ones, np.zeros((n, 1), dtype=int), np.zeros((n, len(conversion.model.species)))])
    monkeypatch.setattr(posterior, "evaluate_draws", lambda *_: evaluated)
    one, two, other = (posterior.to_datatree(conversion, conversion_z, {}, seed=s, failures={}) for s in (5, 5, 6))
    for group in ("posterior", "posterior_predictive", "prior", "prior_predictive"):
        xr.testing.assert_identical(one[group].dataset, two[group].dataset)
        assert not one[group].dataset.equals(other[group].dataset)


def test_without_predictions(conversion, conversion_z, monkeypatch):
    evaluated = Evaluated._make([*[np.ones((240, 1))] * 7, np.zeros((240, len(conversion.model.species)))])
    monkeypatch.setattr(posterior, "evaluate_draws", lambda *_: evaluated)
    tree = posterior.to_datatree(conversion, conversion_z, {}, seed=0, failures={}, predictive=False)
    kept = {"posterior", "unconstrained_posterior", "log_prior", "sample_stats", "observed_data", "constant_data"}
    assert set(tree.children) == {*kept, "prior", "fitted"}
    assert set(tree["posterior"].data_vars) == ESTIMATED


def test_shapes_are_checked(conversion, conversion_z):
    with pytest.raises(ValueError, match=r"4 chains|4 parameters|parameters, not of shape"):
        posterior.to_datatree(conversion, conversion_z[0], {}, seed=0, failures={})
    with pytest.raises(ValueError, match=r"stats\['lp'\] must be 4 chains × 60 draws, not \(4,\)"):
        posterior.to_datatree(conversion, conversion_z, {"lp": np.zeros(4)}, seed=0, failures={})


PRIORS = {
    "normal": (Prior("normal", "lin", 1.0, 2.0), stats.norm(1, 2)),
    "log10 normal": (Prior("normal", "log10", -1.0, 0.5), stats.lognorm(0.5 * math.log(10), scale=0.1)),
    "truncated": (Prior("normal", "lin", 0.0, 1.0, 5.0, 7.0), stats.truncnorm(5, 7)),
    "laplace": (Prior("laplace", "lin", 1.0, 0.5), stats.laplace(1, 0.5)),
    "uniform": (Prior("uniform", "lin", lower=2.0, upper=5.0), stats.uniform(2, 3)),
    "half normal": (Prior("half_normal", spread=0.3), stats.halfnorm(scale=0.3)),
}


@pytest.mark.parametrize("name", PRIORS)
def test_prior_draws(name):
    prior, expected = PRIORS[name]
    draws = draw_prior(Parameter("x", prior), 4000, np.random.default_rng(0))
    assert stats.kstest(draws, expected.cdf).pvalue > 0.001


def test_prior_in_words():
    assert Prior("uniform", "log", lower=0, upper=1).text == "ln θ ~ uniform(0, 1)"
    assert Prior("half_normal", spread=0.3).text == "θ ~ half-normal(0.3)"
    assert Prior("normal", "lin", 1, 2, lower=0).text == "θ ~ normal(1, 2) in [0, inf]"


def test_a_file_holds_everything(conversion_tree, tmp_path):
    path = save_datatree(conversion_tree, tmp_path / "new" / "posterior.nc")
    again = read_datatree(path)
    assert [p.name for p in path.parent.iterdir()] == ["posterior.nc"]  # nothing temporary stays
    assert set(again.children) == set(conversion_tree.children)
    for group in conversion_tree.children:
        xr.testing.assert_equal(again[group].dataset, conversion_tree[group].dataset)
    assert dict(again.attrs) == dict(conversion_tree.attrs)
    assert "scale_blot_B[gel-1]" in again["posterior"]
    assert again["observed_data"]["measurement"].dims == ("row",)
    assert again["sample_stats"]["diverging"].dtype == bool


def test_a_slash_in_a_name(conversion_tree, tmp_path):
    name = posterior.safe("scale_blot_B[gel 1/2]")
    data = conversion_tree["posterior"].dataset.rename({"k1": name})
    tree = xr.DataTree.from_dict({"/": conversion_tree.to_dataset(), "posterior": data, "sample_stats": xr.Dataset()})
    assert name in read_datatree(save_datatree(tree, tmp_path / "p.nc"))["posterior"]


def test_a_failed_write_leaves_the_old_file(conversion_tree, tmp_path, monkeypatch):
    path = save_datatree(conversion_tree, tmp_path / "p.nc")
    before = path.read_bytes()

    def full(part: Path) -> None:
        with part.open("ab") as file:
            file.write(b"half of it")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("hexamer.infer.posterior.file.seal", full)
    with pytest.raises(PosteriorFileError, match=r"p\.nc': No space left on device; choose a folder"):
        save_datatree(conversion_tree, path)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["p.nc"]


def test_a_folder_that_cannot_be_made(conversion_tree, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(PosteriorFileError, match=r"cannot write the posterior '.*file/p\.nc'"):
        save_datatree(conversion_tree, tmp_path / "file" / "p.nc")


@pytest.mark.parametrize("kept", [0.5, *slowly(0.9, 0.01)])
def test_a_truncated_file(conversion_tree, tmp_path, kept):
    path = save_datatree(conversion_tree, tmp_path / "p.nc")
    whole = path.read_bytes()
    path.write_bytes(whole[: int(kept * len(whole))])
    with pytest.raises(PosteriorFileError, match=r"p\.nc': it is cut short.*copy it again, or sample again"):
        read_datatree(path)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "it is empty"),
        (b"k1,k2\n1,2\n", "it is not a NetCDF file"),
        (b"\x89HDF\r\n\x1a\n" + bytes(200), "it is damaged"),
    ],
)
def test_a_file_that_is_none(tmp_path, content, said):
    path = tmp_path / "p.nc"
    path.write_bytes(content)
    with pytest.raises(PosteriorFileError, match=rf"cannot read the posterior '.*p\.nc': {said}"):
        read_datatree(path)


def test_files_of_others(tmp_path):
    path = tmp_path / "other.nc"
    xr.Dataset({"x": ("t", [1.0, 2.0])}).to_netcdf(path, engine="h5netcdf")
    with pytest.raises(PosteriorFileError, match="no posterior of hexamer's: it lacks the groups posterior"):
        read_datatree(path)
    with pytest.raises(PosteriorFileError, match="is a folder"):
        read_datatree(tmp_path)
    with pytest.raises(FileNotFoundError, match="there is no posterior"):
        read_datatree(tmp_path / "none.nc")


def test_a_problem_whose_scales_are_all_sampled(decay) -> None:
    """Nothing is integrated out: the empty arrays of each draw are as many as the draws."""
    problem = decay(marginalise=())
    found = evaluate_draws(problem, np.zeros((3, len(problem.space))))
    assert found.mean.shape == (3, len(problem.dataset))
    assert found.location.shape == found.spread.shape == (3, 0)
    assert np.all(np.isfinite(found.mean))
