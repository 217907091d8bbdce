"""Priors from the posterior of an earlier result: numbers, correlations, units, and what is said of bad rows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from hexamer.data import Prior, load, read_priors
from hexamer.models.compiled.canonical import content_hash
from support.data_folder import complaints, written

pytestmark = pytest.mark.tier("check")

ATTRS = {
    "k": {"unit": "1/h", "search_scale": "log10", "prior": "log10 θ ~ uniform(-3, 3)"},
    "a0": {"unit": "nM", "search_scale": "lin", "prior": "θ ~ uniform(0.1, 9)"},
    "shift": {"unit": "nM", "search_scale": "lin", "prior": "θ ~ normal(0, 10)"},
    "stuck": {"unit": "nM", "search_scale": "lin", "prior": "θ ~ normal(0, 10)"},
    "same": {"unit": "nM", "search_scale": "lin", "prior": "θ ~ normal(0, 10)"},
    "skewed": {"unit": "nM", "search_scale": "lin", "prior": "θ ~ normal(0, 10)"},
}


def result(folder: Path, seed: int = 0) -> dict[str, np.ndarray]:
    """A folder `old` with a posterior of 2 chains of 200 draws; returns what is normal of each parameter."""
    x = np.random.default_rng(seed).multivariate_normal(np.zeros(3), [[1, 0.8, 0], [0.8, 1, 0], [0, 0, 1]], (2, 200))
    t = {"k": 1 + 0.2 * x[..., 0], "a0": 0.5 + 0.1 * x[..., 1], "shift": 40 + x[..., 2]}
    values = {"k": 10 ** t["k"], "a0": np.exp(t["a0"]), "shift": t["shift"], "stuck": 0 * x[..., 0] + 3.0}
    values |= {"same": 2 * t["shift"], "skewed": np.exp(2 * x[..., 2])}
    group = xr.Dataset({n: (("chain", "draw"), v, ATTRS[n]) for n, v in values.items()})
    (folder / "old").mkdir(exist_ok=True)
    xr.DataTree.from_dict({"/posterior": group}).to_netcdf(folder / "old" / "posterior.nc", engine="h5netcdf")
    return {n: v.ravel() for n, v in t.items()}


PROBLEM = """
model = "model.ant"
units = "observables"
[inputs.D]
unit = "nM"
target = "A"
[observables.A_read]
assay = "direct"
signal = "A + shift"
sd = "sd_A"
unit = "nM"
"""
PRIORS = """parameter,unit,distribution,location,scale,lower,note
k,,from old,,,,
a0,uM,from old,,,,
shift,nM,normal,0,1,,
sd_A,nM,half_normal,,1,,
"""


def folder(place: Path, priors: str = PRIORS) -> Path:
    model = "model decay; k = 0.5; a0 = 2; shift = 0; species A = a0; J: A -> ; k*A; unit nM = 1e-9 mole/litre; "
    (place / "model.ant").write_text(model + "a0 has nM; unit per_min = 1/(60 second); k has per_min; end")
    return written(place, problem=PROBLEM, measurements="observable,D,time,value\nA_read,0,1,1.2\n", priors=priors)


def test_several_parameters_keep_their_correlation(tmp_path: Path) -> None:
    t = result(tmp_path)
    data = load(folder(tmp_path))
    k, a0 = (data.parameters[n].prior for n in ("k", "a0"))
    shift = np.log10(60)  # 1/h to 1/min
    assert k is not None
    assert a0 is not None
    assert (k.family, k.scale, a0.family, a0.scale) == ("normal", "log10", "normal", "log")
    assert (k.location, k.spread) == pytest.approx((t["k"].mean() - shift, t["k"].std(ddof=1)))
    # Searched linearly, but never negative: a normal of its logarithm. uM and back to the model's nM.
    assert (a0.location, a0.spread) == pytest.approx((t["a0"].mean(), t["a0"].std(ddof=1)))
    (joint,) = data.joint_priors
    assert joint.parameters == ("k", "a0")
    assert joint.correlation[0][1] == pytest.approx(np.corrcoef(t["k"], t["a0"])[0, 1])
    assert data.parameters["k"].source == "posterior of old"
    assert not any("are not" in note for note in data.notes)


def test_its_numbers_are_part_of_the_problem(tmp_path: Path) -> None:
    """The folder is read once; another posterior there is another problem."""
    result(tmp_path)
    first = load(folder(tmp_path))
    assert content_hash(load(tmp_path)) == content_hash(first)
    result(tmp_path, seed=1)
    other = load(tmp_path)
    assert other.parameters["k"].prior != first.parameters["k"].prior
    assert other.joint_priors != first.joint_priors


def test_a_single_parameter(tmp_path: Path) -> None:
    t = result(tmp_path)
    (tmp_path / "priors.csv").write_text(
        "parameter,unit,distribution,location,scale,value\nshift,,from old/posterior.nc,,,2\n"
    )
    table = read_priors(tmp_path / "priors.csv")
    parameter = table.named["shift"]
    assert parameter.prior == Prior("normal", "lin", t["shift"].mean(), t["shift"].std(ddof=1))
    assert (parameter.value, parameter.unit, table.joint_priors, table.notes) == (2.0, "nM", (), ())


def test_draws_that_are_not_normal_have_a_note(tmp_path: Path) -> None:
    result(tmp_path)
    (tmp_path / "priors.csv").write_text("parameter,unit,distribution,location,scale\nskewed,,from old,,\n")
    (note,) = read_priors(tmp_path / "priors.csv").notes
    assert note.startswith("the prior of skewed is normal in skewed, and its draws in old are not (skewness ")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("k,,from old", "k,,from odl", "row 1, 'distribution' holds 'from odl'; expected a folder of results, as in "),
        (
            "k,,from old",
            "k,,from odl",
            "correct the path, which starts in the folder of this table, or fit the earlier",
        ),
        ("k,,from old", "k,,from model.ant", "model.ant' is not a posterior that can be read"),
        (
            "k,,from old",
            "kk,,from old",
            "row 1, 'distribution' holds 'from old'; expected a result with this parameter; ",
        ),
        (
            "shift,nM,normal,0,1",
            "shifd,,from old,,",
            "old has no parameter 'shifd'; known: k, a0, shift, stuck, same, skewed; did you mean",
        ),
        ("shift,nM,normal,0,1", "stuck,,from old,,", "the draws of 'stuck' in old do not differ: fix it instead"),
        (
            "k,,",
            "k,nM,",
            "row 1, 'unit' holds 'nM'; expected '1/h', in which the earlier result has it, a unit that it ",
        ),
        (
            "from old,,,,\na0",
            "from old,1,,,\na0",
            "row 1, 'location' holds '1'; expected an empty cell, since the prior",
        ),
        (
            "from old,,,,\na0",
            "from old,,,2,\na0",
            "row 1, 'lower' holds '2'; expected an empty cell, since the prior is",
        ),
        (
            "k,,from",
            "k*,,from",
            "row 1, 'parameter' holds 'k*'; expected one parameter for each row that names an earl",
        ),
    ],
)
def test_bad_rows(tmp_path: Path, old: str, new: str, said: str) -> None:
    result(tmp_path)
    text = complaints(folder(tmp_path, PRIORS.replace(old, new)))
    assert "priors.csv, row " in text
    assert said in text


def test_parameters_that_are_functions_of_others(tmp_path: Path) -> None:
    result(tmp_path)
    priors = PRIORS.replace("shift,nM,normal,0,1", "shift,,from old,,,,\nsame,,from old,,")
    text = complaints(folder(tmp_path, priors))
    assert "priors.csv, row 1, 'distribution' holds 'from old'; expected a result with a joint distribution; " in text
    assert "must be positive definite" in text
