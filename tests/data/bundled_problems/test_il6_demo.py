"""The bundled simulated data set: reproduced from its seed, sound, and true to its truth."""

import math
import tomllib

import numpy as np
import pytest
import sympy

from hexamer.data import literature, load, read_values
from hexamer.data.bundled_problems.il6_demo import make
from hexamer.models import Settings, load_model, simulate

pytestmark = pytest.mark.tier("test")

ABSOLUTE = ("gp130_per_cell", "STAT3_per_cell", "SOCS3_per_cell", "IL6R_per_cell", "pSTAT3_fraction")


@pytest.fixture(scope="module")
def demo():
    return load("il6_demo")


@pytest.fixture(scope="module")
def truth():
    return read_values(make.HERE / "truth.csv")


def test_made_again_it_is_the_same(tmp_path):
    make.make_tables(tmp_path)
    for name in ("measurements.csv", "priors.csv", "truth.csv"):
        assert (tmp_path / name).read_bytes() == (make.HERE / name).read_bytes(), name


def test_loads_without_published_data(monkeypatch):
    monkeypatch.delenv("HEXAMER_DATA", raising=False)
    demo = load("il6_demo")
    assert (demo.name, demo.model) == ("il6_demo", "il6_stat3")
    assert 300 <= len(demo) <= 600
    assert len(demo.protocols) == 12
    assert {m.observable for m in demo.measurements} == set(demo.observables)


def test_doses_and_times(demo):
    for protocol in demo.protocols.values():
        assert protocol.preequilibration == {"IL6": 0.0, "sIL6R": 0.0}
    doses = {dict(s.add).get("IL6", 0.0) * 21 for p in demo.protocols.values() for s in p.steps}
    assert (min(doses), max(doses)) == (pytest.approx(0.01), pytest.approx(100))
    assert max(m.time for m in demo.measurements) == 180
    courses = {m.protocol for m in demo.measurements if m.time == 180}
    assert courses == {f"IL6 {d} ng/ml{s}" for d in (1, 10) for s in ("", ", sIL6R 100 ng/ml")}


def test_nothing_is_negative_that_must_not_be(demo):
    values = {o: [m.value for m in demo.measurements if m.observable == o] for o in demo.observables}
    assert all(math.isfinite(v) for rows in values.values() for v in rows)
    assert all(v > 0 for o in ABSOLUTE for v in values[o])


def test_priors_are_those_of_the_literature(demo):
    known = literature()
    for name in make.ESTIMATED:
        ours, theirs = demo.parameters[name], known[name]
        assert (ours.prior, ours.unit, ours.source) == (theirs.prior, theirs.unit, theirs.source)
    assert len(make.ESTIMATED) >= 12


def test_fixed_values_are_the_networks_and_the_literatures(demo):
    model, known = load_model(demo.model), literature()
    fixed = tomllib.loads((make.HERE / "problem.toml").read_text())["fixed"]
    absent = {n for n, v in zip(model.parameters, model.defaults, strict=True) if v == 0}  # owned elsewhere
    named = {*fixed, *make.ESTIMATED, *absent, "medium", "cytosol", "nucleus", "Kd2H"}
    assert named == set(model.parameters)
    for name, value in fixed.items():
        assert value == pytest.approx(known[name].value)
        assert value == pytest.approx(float(model.defaults[model.parameters.index(name)]))


def test_truth_is_complete_and_near_the_medians(demo, truth):
    assert set(truth) == {n for n, p in demo.parameters.items() if p.estimated}
    known = literature()
    z = []
    for name in make.ESTIMATED:
        prior = known[name].prior
        assert prior is not None
        z.append((math.log(truth[name]) - prior.location) / prior.spread)
    assert 0.2 < np.std(z) < 0.8
    assert np.max(np.abs(z)) < 2


def test_residuals_at_the_truth(demo, truth):
    """By the data set's own observables, which the script does not use: the mean square of each is near 1."""
    model, protocols = load_model(demo.model), list(demo.protocols)
    times = sorted({m.time for m in demo.measurements})
    kinetic = {n: p.value for n, p in demo.parameters.items() if not p.estimated}
    kinetic |= {n: truth[n] for n in make.ESTIMATED}
    settings = Settings(rtol=1e-8, atol=1e-10)
    out = simulate(model, kinetic, list(demo.protocols.values()), times, settings=settings)
    assert not np.asarray(out.status).any()
    at = dict(zip(model.parameters, model.defaults, strict=True)) | kinetic | truth
    squares: dict[str, list[float]] = {o: [] for o in demo.observables}
    compiled = {}
    rules = {sympy.Symbol(n): e for n, e in model.rules.items()}
    for name, o in demo.observables.items():
        both = [e.xreplace(rules) for e in (o.formula, o.noise_formula)]
        symbols = sorted({str(s) for e in both for s in e.free_symbols})
        compiled[name] = symbols, sympy.lambdify(symbols, both)
    for m in demo.measurements:
        y = np.asarray(out.y)[protocols.index(m.protocol), times.index(m.time)]
        state = dict(zip(model.species, y, strict=True))
        filled = [truth[a] if isinstance(a, str) else a for a in m.arguments]
        values = at | state | dict(zip(demo.observables[m.observable].placeholders, filled, strict=True))
        symbols, function = compiled[m.observable]
        mean, sd = function(*(values[s] for s in symbols))
        squares[m.observable].append(((m.value - mean) / sd) ** 2)
    for name, found in squares.items():
        spread = math.sqrt(2 / len(found))  # of a mean of n squares
        assert np.mean(found) == pytest.approx(1, abs=max(4 * spread, 0.05)), name
    assert np.mean([s for found in squares.values() for s in found]) == pytest.approx(1, abs=0.15)
