"""Virtual cells and patients: moments of what is drawn and of what linear and saturable cells answer."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from hexamer import Model, Protocol, infer
from hexamer.infer import Ensemble, Spread, arm_share, dose_response, plots
from hexamer.infer.doses.amounts import doses_of
from hexamer.infer.reports.dose_response import report_doses
from hexamer.models import compile_network, il6, read_antimony
from hexamer.models.library import SERUM
from hexamer.models.variation import lognormal_factors

pytestmark = pytest.mark.tier("test")

LINEAR = """
model linear()
  species L = 0, S = 0, X = 0;
  size = 2; other = 3;
  drive := size*L + S;
  J: -> X; drive - X;
end
"""
VARIES = {"size": Spread(0.5), "other": Spread(0.2)}


@pytest.fixture(scope="module")
def linear() -> Model:
    """After an hour X = size·L + S."""
    return compile_network(read_antimony(LINEAR))


def test_moments_of_what_is_drawn() -> None:
    found = lognormal_factors({"a": 0.5, "b": 0.2, "c": 0.0}, 200_000, 0, {("a", "b"): 0.6})
    assert found["a"].mean() == pytest.approx(1, abs=5e-3)
    assert found["a"].std() == pytest.approx(0.5, rel=0.02)
    assert found["b"].std() == pytest.approx(0.2, rel=0.02)
    assert np.all(found["c"] == 1)
    assert np.corrcoef(np.log(found["a"]), np.log(found["b"]))[0, 1] == pytest.approx(0.6, abs=0.01)


def test_linear_cells_vary_as_their_parameter_does(linear: Model) -> None:
    """Two draws with the same members: mean and cv of the response are those of the parameter, at every dose."""
    base = Ensemble.from_model(linear, {"size": [2.0, 6.0]})
    varied = base.vary(VARIES, size=2000, seed=1, correlation=0.3)
    assert repr(varied) == "Ensemble('linear', 2 parameter sets × 2,000 members that differ in size, other)"
    assert (varied.draws, varied.members, varied.size) == (2, 2000, 4000)
    found = dose_response(varied, "L", [0.0, 1.0, 4.0], at=60, observe="X", progress=False)
    assert found.response.dims == ("draw", "member", "condition", "dose")
    size = found.data["drawn_size"]
    np.testing.assert_allclose(size.sel(draw=1), 3 * size.sel(draw=0))
    np.testing.assert_allclose(found.response.isel(condition=0, dose=2), 4 * size, rtol=1e-4)
    moments = found.moments().isel(condition=0, dose=1)
    np.testing.assert_allclose(moments["mean"], [2, 6], rtol=0.05)
    np.testing.assert_allclose(moments["cv"], 0.5, rtol=0.1)
    assert size.mean() == pytest.approx(4, rel=0.05)


def test_serum_is_added(linear: Model) -> None:
    """What a species adds varies by itself; a condition that states the amount holds it for all members alike."""
    found = dose_response(
        Ensemble.from_model(linear).vary({"S": Spread(0.3, 10.0)}, size=500),
        "L",
        [0.0, 5.0],
        conditions={"": {}, "fixed": {"S": 7.0}},
        at=60,
        observe="X",
        progress=False,
    )
    drawn = found.data["drawn_S"].values
    np.testing.assert_allclose(found.response.sel(condition="", dose=5.0), drawn + 10, rtol=1e-4)
    np.testing.assert_allclose(found.response.sel(condition="fixed", dose=0.0), 7, rtol=1e-4)
    assert drawn.mean() == pytest.approx(10, rel=0.05)
    positive = found.positive(0.9)
    assert positive.sel(condition="", dose=0.0).item() == pytest.approx(0.1, abs=0.01)
    expected = np.mean(drawn + 10 > np.quantile(drawn, 0.9))
    assert positive.sel(condition="", dose=5.0).item() == pytest.approx(expected, abs=0.01)


def test_patients() -> None:
    """Serum buffers IL-6: cells without IL6R answer through the patient's sIL-6R, and less the more sgp130 there is.

    With as much sgp130 as the assays that find most of it.
    """
    serum = {**SERUM, "sgp130": Spread(0.37, "200 ng/ml")}
    patients = Ensemble.from_model(il6("il6_stat3")).vary(serum, size=60)
    found = dose_response(patients, "IL6", ["2 ng/ml"], conditions={"": {"IL6R_0": 0.0}}, at=20, progress=False)
    x = np.log(found.response.values.ravel())
    receptor, trap = (np.log(found.data[f"drawn_{n}"].values.ravel()) for n in ("sIL6R", "sgp130"))
    slopes = np.linalg.lstsq(np.stack([receptor, trap, np.ones_like(x)], 1), x, rcond=None)[0]
    assert slopes[0] > 0.1
    assert slopes[1] < -0.1
    assert np.exp(receptor).mean() == pytest.approx(161 / 52.5, rel=0.1)


def test_serum_that_the_model_holds_is_not_added_to() -> None:
    """In a model of serum the levels vary that it is held at: an assay of it finds them, and little that cells shed."""
    model = il6("cytokine_release")
    patients = Ensemble.from_model(model).vary(SERUM, size=3)
    assert patients.added == {}
    found = dose_response(patients, "IL6", [0.0], at=1.0, observe="sIL6R_serum", progress=False)
    ratio = found.response.squeeze().values / found.data["drawn_sIL6R_0"].squeeze().values
    assert np.all((ratio > 0.99) & (ratio < 1.1))
    nominal = dict(zip(model.parameters, model.defaults, strict=True))
    means = {n: doses_of(model, n, str(s.mean)).values[0] for n, s in SERUM.items()}
    assert means["sgp130"] == pytest.approx(nominal["sgp130_0"])
    assert means["sIL6R"] == pytest.approx(nominal["sIL6R_0"], rel=0.15)
    with pytest.raises(ValueError, match="sIL6R, sIL6R_0 vary twice"):
        Ensemble.from_model(model).vary({"sIL6R": Spread(0.1), "sIL6R_0": Spread(0.1)})


def test_conditions_that_are_protocols(linear: Model) -> None:
    wash = Protocol.equilibrated().wash_out("L", at=0.5)
    cells = Ensemble.from_model(linear).vary(VARIES, size=3)
    conditions: dict[str, Any] = {"": {}, "washed": wash}
    found = dose_response(cells, "L", [1.0], conditions=conditions, at=1.0, observe="X", progress=False)
    assert np.all(found.response.sel(condition="washed") < 0.9 * found.response.sel(condition=""))


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "one member": (dict(size=1), "at least 2 members"),
    "nothing varies": (dict(varies={}), "what varies"),
    "unknown": (dict(varies={"volume": Spread(0.5)}), "'volume' varies, and linear does not have it"),
    "species without a mean": (dict(varies={"S": Spread(0.5)}), r"how much, Spread\(cv=0.5, mean="),
    "correlation of another": (dict(correlation={("size", "S"): 0.5}), "correlation names S"),
    "impossible correlation": (dict(correlation=1.5), "no distribution"),
    "unit without a molar mass": (dict(varies={"S": Spread(0.5, "1 ng/ml")}), "doses of S: .* molar mass"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input(case: str, linear: Model) -> None:
    changes, words = BAD[case]
    arguments: dict[str, Any] = dict(varies=VARIES, size=3) | changes
    with pytest.raises(ValueError, match=words):
        Ensemble.from_model(linear).vary(**arguments)
    with pytest.raises(ValueError, match="cv must be 0 or more"):
        Spread(-0.1)


def test_what_a_population_alone_answers(linear: Model) -> None:
    options: dict[str, Any] = dict(at=1.0, observe="X", progress=False)
    cells = Ensemble.from_model(linear).vary(VARIES, size=3)
    with pytest.raises(ValueError, match="size, other vary already"):
        cells.vary(VARIES)
    with pytest.raises(ValueError, match="here the source is one"):
        dose_response(cells, "L", [1.0], parameters={"size": 1.0}, **options)
    found = dose_response(cells, "L", [1.0], **options)
    with pytest.raises(ValueError, match="dose 0"):
        found.positive()
    with pytest.raises(ValueError, match=r"use plots\.population"):
        plots.dose_response(found)
    one = dose_response(linear, "L", [1.0], **options)
    for ask in (one.moments, one.positive):
        with pytest.raises(ValueError, match=r"not the responses of a population: make one by Ensemble\.vary"):
            ask()
    with pytest.raises(ValueError, match=r"not the responses of a population: use plots\.dose_response"):
        plots.population(one)


def test_the_old_name_answers_the_same(linear: Model) -> None:
    """For one release: the signature of `virtual_population`, which the alias turns into an ensemble."""
    options: dict[str, Any] = dict(at=1.0, observe="X", progress=False)
    with pytest.warns(DeprecationWarning, match=r"^hexamer\.infer\.virtual_population is now"):
        old = infer.virtual_population(
            linear, "L", [1.0], VARIES, size=3, seed=4, parameters={"size": [2.0, 3.0]}, **options
        )
    cells = Ensemble.from_model(linear, {"size": [2.0, 3.0]}).vary(VARIES, size=3, seed=4)
    np.testing.assert_array_equal(old.response, dose_response(cells, "L", [1.0], **options).response)
    with pytest.warns(DeprecationWarning, match=r"^hexamer\.infer\.Population is now hexamer\.infer\.doses\.result"):
        assert isinstance(old, infer.Population)
    with pytest.raises(AttributeError, match="has no attribute 'Populations'"):
        _ = infer.Populations


def test_arms_of_a_population(linear: Model) -> None:
    """Shares follow from members as from draws: S, which is added, and size, which multiplies the ligand."""
    cells = Ensemble.from_model(linear).vary({"size": Spread(0.5)}, size=4)
    closed = {"a": {"size": 0.0}, "b": {"other": 0.0}}
    found = arm_share(cells, "L", [1.0], closed=closed, at=60, observe="X", progress=False)
    assert found["share"].sizes["member"] == 4
    np.testing.assert_allclose(found["share"].sel(arm="a").squeeze(), 1, rtol=1e-6)


def test_figure(linear: Model, tmp_path) -> None:
    cells = Ensemble.from_model(linear).vary(VARIES, size=200)
    conditions: dict[str, Any] = {"a": {}, "b": {"S": 3.0}}
    found = dose_response(cells, "L", [0.0, 1.0, 4.0], conditions=conditions, at=60, observe="X", progress=False)
    figure = plots.population(found)
    assert [ax.get_title(loc="left") for ax in figure.axes] == ["a", "b", "positive members"]
    assert figure.axes[0].get_ylabel() == "X at 60 min"
    figure.savefig(tmp_path / "figure.png", dpi=50)
    assert report_doses(found, tmp_path) == []
    assert (tmp_path / "population.png").is_file()
    table = pd.read_csv(tmp_path / "population.csv")
    assert list(table.columns) == ["condition", "dose", "dose_unit", "mean", "cv"]
    np.testing.assert_allclose(table["mean"], found.moments()["mean"].values.ravel())
    with pytest.raises(ValueError, match="unknown conditions c; known: a, b"):
        plots.population(found, conditions=["c"])
