"""`Calibration`: a fit and its folder give the same posterior, problem, best fits and verdict."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import diffrax
import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr

import hexamer.infer
from helpers import slowly
from hexamer import Diffrax, Problem, Protocol
from hexamer.data import Dataset, Measurement, Parameter, Prior, direct
from hexamer.infer import (
    Calibration,
    Draws,
    Fits,
    LockedError,
    PosteriorFileError,
    fit,
    plots,
    read_posterior,
    report,
    report_fits,
)
from hexamer.infer.posterior import save_datatree
from hexamer.infer.storage.files import FileError
from hexamer.infer.storage.lock import locked
from hexamer.models import compile_function, compile_network, read_antimony
from support.posteriors import tree_of

pytestmark = pytest.mark.tier("test")

OPTIONS: dict[str, Any] = {"chains": 2, "warmup": 60, "draws": 40, "starts": 4, "seed": 2, "progress": False}
FEW: dict[str, Any] = {**OPTIONS, "warmup": 20, "draws": 10, "starts": 2}
TEXT = "model decay; k = 1; species y = 2; J: y -> ; k*y; end"


def decay(model=None) -> Problem:
    rows = tuple(Measurement("y", "rest", t, v, row=i) for i, (t, v) in enumerate(((0.5, 1.2), (1.0, 0.8), (2.0, 0.2))))
    dataset = Dataset(
        "decay",
        {"y": direct("y", "y", sd=0.1)},
        {"rest": Protocol("rest")},
        rows,
        {"k": Parameter("k", Prior("normal", "log10", 0.0, 1.0), unit="1/min")},
    )
    return Problem(compile_network(read_antimony(TEXT)) if model is None else model, dataset)


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Calibration:
    made = fit(decay(), tmp_path_factory.mktemp("fit") / "run", **OPTIONS)
    assert made is not None
    return made


def test_what_it_holds(found: Calibration) -> None:
    assert found.fits is not None
    assert found.fits.best["k"] == pytest.approx(1.0, rel=0.1)
    assert found.tree["posterior"].dataset["k"].shape == (2, 40)
    assert (found.folder / "posterior.nc").is_file()
    assert found.verdict == found.summary.verdict != "good"  # too few draws for that
    assert repr(found) == f"Calibration('decay', 2 chains × 40 draws, {found.verdict}, {str(found.folder)!r})"


def test_the_folder_gives_the_same(found: Calibration) -> None:
    assert found.fits is not None
    assert found.tree is not None  # which is written when it is first asked for
    again = read_posterior(found.folder)
    xr.testing.assert_identical(again.tree["posterior"].dataset, found.tree["posterior"].dataset)
    assert again.problem.space.names == found.problem.space.names
    assert again.problem.settings == found.problem.settings
    z = jnp.asarray(found.draws.z[0, 0])
    assert float(again.problem.log_density(z)) == float(found.problem.log_density(z))
    assert again.verdict == found.verdict
    assert again.fits is not None
    for name in ("z", "start", "objective", "iterations", "evaluations"):
        np.testing.assert_array_equal(getattr(again.fits, name), getattr(found.fits, name))
    assert again.fits.best == found.fits.best
    assert again.fits.words() == found.fits.words()
    assert [o.members for o in again.fits.optima] == [o.members for o in found.fits.optima]
    with pytest.raises(ValueError, match=r"its draws are in \.tree"):
        _ = again.draws


def test_another_call_finds_it(found: Calibration) -> None:
    again = fit(decay(), found.folder, **OPTIONS)
    assert again is not None
    np.testing.assert_array_equal(again.draws.z, found.draws.z)
    assert again.fits is not None


@pytest.mark.tier("slow")
def test_a_report_goes_to_its_folder_or_another(found: Calibration, tmp_path: Path) -> None:
    summary = report(found, truth={"k": 1.0, "unknown": 2.0})
    assert (found.folder / "summary.csv").is_file()
    assert summary.truth is not None
    assert list(summary.truth.index) == ["k"]
    report(found, tmp_path / "other")
    assert {"posterior.nc", "summary.txt", "figures"} <= {p.name for p in (tmp_path / "other").iterdir()}
    assert read_posterior(tmp_path / "other").fits is None


class Mine(diffrax.Tsit5):
    """A solver that diffrax does not have."""


@pytest.mark.tier("slow")
def test_a_fit_with_a_solver_of_ones_own_is_resumed(tmp_path: Path) -> None:
    """The stored name of its class was looked for in diffrax, so that the same call could not go on."""
    options = {**FEW, "solver": Diffrax(Mine())}
    first, again = (fit(decay(), tmp_path / "run", **options) for _ in range(2))
    assert first is not None
    assert again is not None
    np.testing.assert_array_equal(again.draws.z, first.draws.z)


@pytest.mark.tier("slow")
def test_every_figure_of_a_report_is_a_file(found: Calibration, tmp_path: Path) -> None:
    assert found.fits is not None
    report_fits(found.fits, found.problem, tmp_path)
    of_fits = {p.stem for p in (tmp_path / "figures").iterdir()}
    assert of_fits == set(plots.of_fits(found.fits, found.problem))
    report(found, tmp_path)
    both = {p.stem for p in (tmp_path / "figures").iterdir()}
    assert both - of_fits == set(plots.of_calibration(found.problem, found.tree))


APART = {
    "replaced": {"k": Parameter("k", Prior("normal", "log10", 0.1, 0.01))},
    "fixed": {"k": Parameter("k", Prior("normal", "log10", 0.0, 1.0)), "j": Parameter("j", value=3.0)},
    "added": {"j": Parameter("j", Prior("half_normal", spread=0.1))},
}


@pytest.mark.tier("slow")
@pytest.mark.parametrize("priors", APART)
def test_priors_that_were_given_apart(priors: str, tmp_path: Path) -> None:
    """The file holds them: they are not the data set's own."""
    model = compile_network(read_antimony(TEXT.replace("k = 1", "k = 1; j = 0").replace("k*y;", "(k + j)*y;")))
    plain = decay(model)
    problem = Problem(model, plain.dataset, APART[priors])
    u = np.zeros((1, 3, len(problem.space)))
    Calibration(problem, tmp_path, Draws(problem, u, {}, {}, {}, 0)).tree  # noqa: B018
    again = read_posterior(tmp_path).problem
    assert again.space.names == problem.space.names
    assert again.fixed == problem.fixed
    z = jnp.asarray(u[0, 0])
    assert float(again.log_density(z)) == float(problem.log_density(z))
    with pytest.raises(PosteriorFileError, match="is of a problem with other parameters, priors or fixed values"):
        read_posterior(tmp_path, plain)


@pytest.mark.tier("slow")
def test_a_stopped_run_says_so_and_leaves_its_posterior(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options: dict[str, Any] = OPTIONS | {"warmup": 10, "draws": 120}
    problem = decay()
    stopped = fit(problem, tmp_path, **options, stop_after=0.0)
    while stopped is None:  # in the warmup
        stopped = fit(problem, tmp_path, **options, stop_after=0.0)
    assert not stopped.draws.complete
    assert any("was stopped before it had all its draws" in w for w in stopped.summary.words)
    before = stopped.draws.z.shape[1]
    assert read_posterior(tmp_path / "posterior.nc").tree["posterior"].sizes["draw"] == before < 120
    whole = fit(problem, tmp_path, **options)
    assert whole is not None
    assert not any("was stopped" in w for w in whole.summary.words)
    assert read_posterior(tmp_path).tree["posterior"].sizes["draw"] == 120


def test_fits_of_a_file_of_an_older_version(found: Calibration, tmp_path: Path) -> None:
    kept = json.loads((found.folder / "map.json").read_text())
    del kept["notes"]
    for optimum in kept["optima"]:
        del optimum["low"], optimum["high"]
    (tmp_path / "map.json").write_text(json.dumps(kept))
    assert found.fits is not None
    older = Fits.load(tmp_path / "map.json", found.problem)
    assert older.notes == ()
    np.testing.assert_allclose(older.optima[0].high, found.fits.optima[0].high, rtol=1e-12)
    np.testing.assert_allclose(older.optima[0].low, found.fits.optima[0].low, rtol=1e-12)


@pytest.mark.tier("slow")
def test_names_with_a_slash(tmp_path: Path) -> None:
    model = compile_network(read_antimony(TEXT))
    dataset = Dataset(
        "gels",
        {"y": direct("y", "y", sd=0.1)},
        {"rest": Protocol("rest")},
        (Measurement("y", "rest", 1.0, 0.8),),
        {"k": Parameter("k", Prior("normal", "log10", 0.0, 1.0))},
    )
    problem = Problem(model, dataset)
    made = Calibration(problem, tmp_path, Draws(problem, np.zeros((1, 3, 1)), {}, {}, {}, 0))
    assert made.sampled_of({"k": 1.0, "s[gel/0]": 1.0}) == {"k": 1.0}
    made.__dict__["tree"] = xr.DataTree.from_dict({"posterior": xr.Dataset({"s[gel∕0]": ("draw", [1.0])})})
    assert made.sampled_of({"k": 1.0, "s[gel/0]": 1.0}) == {"s[gel∕0]": 1.0}


def test_its_form_for_notebooks(found: Calibration) -> None:
    assert "Calibration(&#x27;decay&#x27;" in found._repr_html_()
    assert "r_hat" in found._repr_html_()


def test_files_that_are_of_no_use(found: Calibration, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="there is no posterior"):
        read_posterior(tmp_path)
    assert found.tree is not None
    (tmp_path / "posterior.nc").write_bytes((found.folder / "posterior.nc").read_bytes())
    (tmp_path / "map.json").write_text('{"names": ["k"]}')
    with pytest.raises(FileError, match=r"map\.json cannot be read .*: remove it, or search again"):
        _ = read_posterior(tmp_path).fits
    (tmp_path / "map.json").write_text('{"names": ["other"]}')
    with pytest.raises(FileError, match="is of a problem with other parameters than 'decay'"):
        _ = read_posterior(tmp_path).fits


@pytest.mark.parametrize("fitted", [False, *slowly(True)])
def test_a_model_in_python_has_to_be_given(fitted: bool, tmp_path: Path) -> None:
    """Its posterior comes from a fit or, in a second, from draws alone."""
    model = compile_function(
        lambda t, y, p: -p["k"] * y, species=["y"], parameters={"k": 1.0}, initial=[2.0], name="decay"
    )
    problem = decay(model)
    if fitted:
        made = fit(problem, tmp_path, **FEW)
        assert made is not None
        assert made.tree is not None
    else:
        save_datatree(tree_of(problem), tmp_path / "posterior.nc")
    with pytest.raises(PosteriorFileError, match="is of a model written in Python: pass problem="):
        read_posterior(tmp_path)
    assert read_posterior(tmp_path, problem).problem is problem


def test_the_old_name_warns() -> None:
    with pytest.warns(DeprecationWarning, match=r"hexamer\.infer\.Fit is now hexamer\.infer\.Calibration"):
        assert hexamer.infer.Fit is Calibration
    with pytest.raises(AttributeError, match="no attribute 'Fix'"):
        _ = hexamer.infer.Fix


def test_the_old_word_for_the_choice_of_a_solver_warns(tmp_path):
    (tmp_path / "taken").mkdir()
    with (
        locked(tmp_path / "taken"),
        pytest.warns(DeprecationWarning, match=r"solver=\"auto\"\) is now solver=None"),
        pytest.raises(LockedError),
    ):
        fit(decay(), tmp_path / "taken", solver="auto", progress=False)  # pyright: ignore[reportArgumentType]
