"""Several optima, valleys, and chains that saw a part: told, and never called converged."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import diffrax
import jax.numpy as jnp
import numpy as np
import pytest
import sympy
import xarray as xr
from scipy.special import expit

from helpers import CASES
from hexamer import Diffrax, Problem, Protocol, Settings
from hexamer.data import Dataset, Measurement, Observable, Parameter, Prior
from hexamer.infer import find_map, fit
from hexamer.infer.optimisation.modes import chain_starts, find_modes, nearest
from hexamer.infer.posterior.mode_words import chains_apart
from hexamer.infer.posterior.summary import Summary, summarise
from hexamer.models import compile_function
from hexamer.models.solvers.status import Status
from support.densities import mixture

pytestmark = pytest.mark.tier("test")


# A problem with the two modes of tests/cases/unequal-modes.


class Density(Problem):
    """A problem whose likelihood is a density of x and y in closed form, so that nothing is simulated."""

    weight = 0.85

    def with_settings(self, settings: Settings | None = None, /, **changes) -> Problem:
        """Itself: there is no solver."""
        return self

    def _objective(self, z, *, kind):
        theta = self.space.constrain(z)
        parts = (self.weight, [-4.0, 0.0], [0.5, 1.0]), (1 - self.weight, [5.0, 2.0], [0.25, 0.5])
        value = -mixture(*parts)(theta)
        if kind != "likelihood":
            value = value + (self.space.log_prior(z) if kind == "density" else self.space.log_prior_mode(z))
        return value, jnp.int64(Status.OK)


def unequal(weight: float = 0.85) -> Problem:
    x, y = sympy.symbols("x y")
    model = compile_function(
        lambda t, s, p: 0.0 * s, species=["s"], parameters={"x": 0.0, "y": 0.0}, initial=[1.0], name="still"
    )
    prior = Prior("uniform", "lin", lower=-10, upper=10)
    dataset = Dataset(
        "unequal",
        {"r": Observable("r", x + y, sympy.Float(1.0))},
        {"rest": Protocol("rest")},
        (Measurement("r", "rest", 1.0, 0.0),),
        {n: Parameter(n, prior) for n in ("x", "y")},
    )
    problem = Density(model, dataset, settings=Settings(Diffrax(diffrax.Tsit5())))
    problem.__dict__["weight"] = weight
    return problem


@pytest.mark.tier("slow")
def test_map_tells_unequal_modes(tmp_path: Path) -> None:
    problem = unequal()
    fits = find_map(problem, starts=12, seed=1, progress=False)
    first, second = fits.optima
    # ln(0.85 / (0.5 · 1)) − ln(0.15 / (0.25 · 0.5))
    assert second.objective - first.objective == pytest.approx(np.log(1.7 / 1.2), abs=1e-3)
    assert fits.values(first.rank)["x"] == pytest.approx(-4, abs=1e-2)
    assert fits.values(second.rank)["x"] == pytest.approx(5, abs=1e-2)
    said = " ".join(fits.words())
    assert "2 distinct optima" in said
    assert f"{len(second.members)} starts" in said
    fits.save(tmp_path / "map.json")
    kept = json.loads((tmp_path / "map.json").read_text())["optima"]
    assert [len(o["ranks"]) for o in kept] == [len(first.members), len(second.members)]
    assert kept[1]["differs_most_in"][0] == "x"
    _, modes = find_modes(problem, fits)
    np.testing.assert_allclose(modes.share, [0.85, 0.15], atol=0.03)
    starts = chain_starts(problem, modes, 4, 0)
    assert starts is not None
    x = np.asarray(problem.space.constrain(jnp.asarray(starts)))[:, 0]
    assert list(np.sign(x)) == [-1, 1, -1, 1]
    assert len(set(x)) == 4  # dispersed
    assert modes.origins(3) == (0, 1, 0)


@pytest.mark.tier("slow")
def test_a_worse_optimum_is_no_mode() -> None:
    """e⁻¹⁰ of the density: the map mentions it, the sampler and the summary do not."""
    problem = unequal(weight=1 - 1e-5)
    fits = find_map(problem, starts=12, seed=1, progress=False)
    assert len(fits.optima) == 2
    assert fits.optima[1].objective - fits.optima[0].objective > 9
    said = " ".join(fits.words())
    assert "distinct" not in said
    assert re.search(r"starts? ends? in a local optimum worse by 10\.\d", said)
    _, modes = find_modes(problem, fits)
    assert len(modes) == 1
    assert chain_starts(problem, modes, 4, 0) is None  # as for any posterior of one mode


@pytest.mark.tier("slow")
def test_nuts_says_that_it_cannot_weigh(tmp_path: Path) -> None:
    found = fit(
        unequal(), tmp_path, chains=2, warmup=60, draws=60, starts=12, solver=Diffrax(diffrax.Tsit5()), progress=False
    )
    assert found is not None
    tree = found.datatree(predictive=False)
    x = np.asarray(tree["posterior"].dataset["x"].values)
    assert np.all(x[0] < 0)
    assert np.all(x[1] > 0)
    np.testing.assert_array_equal(tree["sample_stats"].dataset["optimum"].values, np.where(x < 0, 1, 2))
    summary = summarise(tree)
    assert summary.verdict == "not converged"
    assert "Chain 1 stays in optimum 1; chain 2 stays in optimum 2." in said_of(summary)
    assert "NUTS alone cannot weigh" in said_of(summary)
    again = fit(
        unequal(), tmp_path, chains=2, warmup=60, draws=60, starts=12, solver=Diffrax(diffrax.Tsit5()), progress=False
    )
    assert again is not None
    np.testing.assert_array_equal(again.draws.z, found.draws.z)


# Words, of draws made up so that the truth is known.


def said_of(summary: Summary) -> str:
    return " ".join(summary.words)


def tree_of(draws, *, stats=None, attrs=None, prior=None, bounds=None, scale="lin") -> xr.DataTree:
    def dataset(arrays):
        return xr.Dataset({n: (("chain", "draw"), np.asarray(v)) for n, v in arrays.items()})

    groups = {"posterior": dataset(draws), "sample_stats": dataset(stats or {})}
    if prior is not None:
        groups["prior"] = dataset(prior)
    for group in groups.values():
        for name in set(group.data_vars) & set(draws):
            group[name].attrs["search_scale"] = scale
    for name, (lower, upper) in (bounds or {}).items():
        groups["posterior"][name].attrs |= {"lower_bound": lower, "upper_bound": upper}
    return xr.DataTree.from_dict({"/": xr.Dataset(attrs=attrs or {}), **groups})


def optima_attrs(began: list[int], shares: list[float]) -> dict[str, str]:
    optima = [{"objective": 3.0 + k, "share": s, "starts": 5, "values": {"a": 10.0 * k}} for k, s in enumerate(shares)]
    return {
        "optima": json.dumps(optima),
        "optima_differ_in": json.dumps(["a"]),
        "chain_started_at_optimum": json.dumps(began),
    }


def in_modes(places: np.ndarray, **options) -> Summary:
    """Summary of draws in modes at a = 0, 10, …; `places` (chains × draws) counts from 0."""
    rng = np.random.default_rng(3)
    draws = {"a": 10.0 * places + rng.normal(size=places.shape), "b": rng.normal(size=places.shape)}
    return summarise(tree_of(draws, stats={"optimum": places + 1}, attrs=optima_attrs(**options)))


def test_each_chain_in_one_mode() -> None:
    places = np.repeat([[0], [1], [0], [1]], 500, axis=1)
    summary = in_modes(places, began=[1, 2, 1, 2], shares=[0.5, 0.5])
    assert summary.verdict == "not converged"
    said = said_of(summary)
    assert "Chains 1 and 3 stay in optimum 1; chains 2 and 4 stay in optimum 2." in said
    assert "a = 10; chains 2 and 4 began here" in said
    assert "warm up longer" not in said
    assert "times as much" not in said


def test_chains_that_mix_between_modes_are_converged() -> None:
    places = np.random.default_rng(1).integers(0, 2, (4, 500))
    summary = in_modes(places, began=[1, 2, 1, 2], shares=[0.5, 0.5])
    assert summary.verdict == "good"
    assert "Every chain visits each of them; of the draws they hold" in said_of(summary)


@pytest.mark.parametrize(
    ("began", "shares", "verdict"),
    [
        ([1, 1, 1, 1], [0.9, 0.1], "not converged"),
        ([1, 2, 1, 2], [0.9, 0.1], "not converged"),
        ([1, 2, 1, 2], [0.99, 0.01], "good"),
        ([1, 1, 1, 1], [0.99, 0.01], "not converged"),
    ],
)
def test_an_optimum_without_draws(began: list[int], shares: list[float], verdict: str) -> None:
    summary = in_modes(np.zeros((4, 500), int), began=began, shares=shares)
    assert summary.verdict == verdict
    assert "2 optima of the posterior were found" in said_of(summary)


def test_modes_not_chosen_are_named() -> None:
    places = np.repeat([[0], [1]], 500, axis=1)
    said = said_of(in_modes(places, began=[1, 2], shares=[0.4, 0.3, 0.3]))
    assert "No draw lies in optimum 3." in said
    assert "a = 20; no chain began here" in said


def test_a_chain_stuck_in_a_worse_optimum_is_named() -> None:
    rng = np.random.default_rng(2)
    draws = {n: rng.normal(size=(4, 500)) for n in ("a", "b")}
    lp = -0.5 * (draws["a"] ** 2 + draws["b"] ** 2)
    draws["b"][2] += 50
    lp[2] -= 12
    summary = summarise(tree_of(draws, stats={"lp": lp}))
    assert summary.verdict == "not converged"
    said = said_of(summary)
    assert "apart in b for instance" in said
    assert re.search(r"chains 1, 2 and 4 about [-\d.]+; chain 3 about 50[.\d]* \(log density lower by 1[12]\.\d", said)
    level = said_of(summarise(tree_of(draws, stats={"lp": lp + np.array([0, 0, 12, 0])[:, None]})))
    assert "worse optimum" not in level
    groups, parameter = chains_apart(tree_of(draws)["posterior"].dataset)
    assert (groups, parameter) == ([[0, 1, 3], [2]], "b")


def ridge_tree(diverging: int, *, bounded: bool = True, where: str = "ends") -> xr.DataTree:
    """log10 x0 uniform over −1 to 2, s·x0 = 10 within 2%, as in tests/cases/ridge-between-bounds."""
    rng = np.random.default_rng(4)
    log = rng.uniform(-1, 2, (4, 1000))
    draws = {"x0": 10**log, "s": 10 ** (1 - log + 0.01 * rng.normal(size=log.shape)), "k": 0.3 + 0 * log}
    draws["k"] = 0.3 * np.exp(0.01 * rng.normal(size=log.shape))
    order = np.argsort(np.abs(log - 0.5), axis=None)
    chosen = order[-diverging:] if where == "ends" else order[:diverging]
    flags = np.isin(np.arange(log.size), chosen[:diverging] if diverging else []).reshape(log.shape)
    prior = {"x0": 10 ** rng.uniform(-1, 2, (1, 2000)), "s": 10 ** rng.uniform(-3, 3, (1, 2000))}
    prior["k"] = 10 ** rng.uniform(-2, 1, (1, 2000))
    limits = {"x0": (-1.0, 2.0), "s": (-3.0, 3.0), "k": (-2.0, 1.0)} if bounded else None
    return tree_of(draws, stats={"diverging": flags}, prior=prior, bounds=limits, scale="log10")


@pytest.mark.parametrize("where", ["ends", "middle"])
def test_a_ridge_between_bounds_with_divergences(where: str) -> None:
    summary = summarise(ridge_tree(20, where=where))
    assert summary.verdict == "not converged"
    said = said_of(summary)
    assert "x0 and s alone are not determined" in said
    assert "the product x0·s is: 9." in said
    assert "draws near the bounds may be missing" in said
    assert "target acceptance of 0.99" in said


def test_a_ridge_without_divergences_or_bounds() -> None:
    sound = summarise(ridge_tree(0))
    assert sound.verdict == "good"
    assert "the product x0·s is" in said_of(sound)
    assert "may be missing" not in said_of(sound)
    assert summarise(ridge_tree(20, bounded=False)).verdict == "acceptable"


@pytest.mark.parametrize(("near", "verdict"), [(True, "not converged"), (False, "acceptable")])
def test_divergences_at_the_bounds_of_one_parameter(near: bool, verdict: str) -> None:
    """No ridge: one parameter that the data leave open between its bounds."""
    a = expit(2 * np.random.default_rng(5).normal(size=(4, 1000)))
    order = np.argsort(np.abs(a - 0.5), axis=None)
    flags = np.isin(np.arange(a.size), order[-10:] if near else order[:10]).reshape(a.shape)
    summary = summarise(tree_of({"a": a}, stats={"diverging": flags}, bounds={"a": (0.0, 1.0)}))
    assert summary.verdict == verdict


def test_draws_are_given_to_the_nearest_mode() -> None:
    """Across a ridge much wider than the modes are apart."""
    from hexamer.infer.optimisation.modes import Modes

    rng = np.random.default_rng(6)
    centres = np.array([[0.0, 0.0], [1.0, 0.0]])
    one = np.ones(2)
    modes = Modes(centres, np.stack([np.eye(2)] * 2), one, one / 2, one.astype(int), np.zeros((0, 2)))
    place = np.repeat([[0], [1]], 300, axis=1)
    along = 10 * rng.normal(size=place.shape)
    u = np.stack([centres[place, 0] + 0.05 * rng.normal(size=place.shape) + along, along], axis=-1)
    np.testing.assert_array_equal(nearest(modes, u), place)


# The cases, as a user runs them.


def hexamer(*arguments: object) -> str:
    done = subprocess.run(
        [sys.executable, "-c", "from hexamer.cli import main; main()", *map(str, arguments)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return " ".join(done.stdout.split())


@pytest.mark.tier("slow")
def test_two_modes(tmp_path: Path) -> None:
    case = CASES / "two-modes"
    expected = json.loads((case / "expected.json").read_text())["modes"]
    said = hexamer("map", case / "problem.yaml", "--starts", 16, "--out", tmp_path / "map", "--quiet")
    assert "2 distinct optima" in said
    assert "k1 = 1.068, k2 = 0.1866" in said
    assert "k1 = 0.1866, k2 = 1.068" in said
    assert (tmp_path / "map" / "optima.csv").read_text().startswith("parameter,optimum 1,optimum 2\nk1,1.067")
    optima = json.loads((tmp_path / "map" / "map.json").read_text())["optima"]
    for name in ("k1", "k2", "scale_b"):
        found = sorted(o["values"][name] for o in optima)
        np.testing.assert_allclose(found, sorted(m[name] for m in expected), rtol=1e-3)
    lengths = ("--warmup", 300, "--draws", 300)
    said = hexamer("fit", case / "problem.yaml", *lengths, "--out", tmp_path / "fit", "--quiet")
    assert "NOT CONVERGED." in said
    assert "2 optima of the posterior were found" in said
    assert "Chains 1 and 3 stay in optimum 1; chains 2 and 4 stay in optimum 2." in said


@pytest.mark.tier("slow")
def test_ridge_between_bounds(tmp_path: Path) -> None:
    case = CASES / "ridge-between-bounds"
    said = hexamer("map", case / "problem.yaml", "--starts", 16, "--out", tmp_path / "map", "--quiet")
    assert "x0 and s alone are not determined; the product x0·s is: 10." in said
    assert "distinct" not in said
    lengths = ("--warmup", 500, "--draws", 1000)
    said = hexamer("fit", case / "problem.yaml", *lengths, "--out", tmp_path / "fit", "--quiet")
    assert "NOT CONVERGED." in said
    assert re.search(r"(x0 and s|s and x0) alone are not determined", said)
    assert re.search(r"the product (x0·s|s·x0) is: 9\.\d+ to 10\.\d", said)
    assert "target acceptance of 0.99" in said
