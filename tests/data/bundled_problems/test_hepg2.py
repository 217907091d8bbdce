"""The published HepG2 data, read by their bundled description, against the published model's values."""

import csv
import math
from typing import Any

import pytest
import sympy

from hexamer.data import load, read_values

pytestmark = pytest.mark.tier("test")

SCALES = {"pSTAT3_cell": "pSTAT3", "pSTAT3_cytoplasm": "pSTAT3", "pSTAT3_nucleus": "pSTAT3",
          "total_STAT3_cytoplasm": "total_STAT3", "total_STAT3_nucleus": "total_STAT3",
          "SOCS3_mRNA": "SOCS3_mRNA", "SOCS3_protein": "SOCS3_protein"}  # fmt: skip


@pytest.fixture(scope="module")
def hepg2(shared_data):
    if not (shared_data / "hepg2").is_dir():
        pytest.skip(f"the published HepG2 data are absent: no folder hepg2/ in {shared_data}")
    return load("hepg2")


@pytest.fixture(scope="module")
def table(hepg2, shared_data):
    with (shared_data / "hepg2" / "measurements.csv").open() as lines:
        return list(csv.DictReader(lines))


@pytest.fixture(scope="module")
def fit(hepg2, shared_data):
    return read_values(shared_data / "hepg2" / "published_fit.csv")


def test_counts(hepg2):
    assert (hepg2.name, hepg2.model, len(hepg2), len(hepg2.observables)) == ("hepg2", "hepg2_core", 812, 13)
    doses = {f"IL6 {d} ng/ml" for d in ("1", "2.5", "5", "10", "20", "40")}
    assert set(hepg2.protocols) == {"untreated", "CHX 1"} | doses


def test_protocols(hepg2):
    for protocol in hepg2.protocols.values():
        assert protocol.preequilibration == {"IL6": 0.0, "CHX": 0.0}
        (step,) = protocol.steps
        assert (step.time, set(step.assign), dict(step.add)) == (0.0, {"IL6", "CHX"}, {})
    assert hepg2.protocols["IL6 2.5 ng/ml"].steps[0].assign == {"IL6": 2.5, "CHX": 0.0}
    assert hepg2.protocols["CHX 1"].steps[0].assign == {"IL6": 0.0, "CHX": 1.0}


def test_rows_are_those_of_the_table(hepg2, table):
    for m, row in zip(hepg2.measurements, table, strict=True):
        step = hepg2.protocols[m.protocol].steps[0]
        assert (m.observable, m.experiment) == (row["observable"], row["experiment"])
        assert (m.time, step.assign["IL6"], step.assign["CHX"]) == (
            float(row["time_min"]), float(row["IL6_ng_per_ml"]), float(row["cycloheximide"]))  # fmt: skip
        value = float(row["value"])
        assert m.value == (math.log10(value) if row["scale"] == "log10" else value)
        if m.observable in SCALES:
            assert m.arguments == (f"scale_{SCALES[m.observable]}[{row['experiment']}]",)
        elif m.observable == "IL6_binding_sites":
            assert m.arguments == (float(row["published_sd"]),)
        else:
            assert m.arguments == ()


def test_parameters_are_those_of_the_published_fit(hepg2, fit):
    unused = {"sd_tSTAT3", "sd_rel_tSTAT3"}
    assert set(hepg2.parameters) == set(fit) - unused
    fixed = {p.name: p.value for p in hepg2.parameters.values() if not p.estimated}
    assert fixed == {"scale_SOCS3_mRNA[socs3_qpcr_timecourse-13]": 1.0}
    used = {a for m in hepg2.measurements for a in m.arguments if isinstance(a, str)}
    assert used == {name for name in fit if name.endswith("]")}
    assert not any("tSTAT3" in s and s in unused for o in hepg2.observables.values() for s in o.symbols)


def test_formulas_use_the_published_models_symbols(hepg2):
    names = set().union(*(o.symbols for o in hepg2.observables.values())) - set(hepg2.parameters)
    assert names == {"R", "pR", "cS", "nS", "cpS", "npS", "m", "X", "cytosol", "nucleus"}


UNKNOWNS = {"pSTAT3_cytoplasm": "cpS", "pSTAT3_nucleus": "npS", "pSTAT3_cell": "cpS",
            "total_STAT3_cytoplasm": "cS", "total_STAT3_nucleus": "nS", "STAT3_per_cell": "cS",
            "SOCS3_mRNA": "m", "SOCS3_protein": "X", "SOCS3_per_cell": "X",
            "gp130_per_cell": "R", "IL6_binding_sites": "R"}  # fmt: skip


def test_noise_formulas_give_the_published_standard_deviations(hepg2, table, fit):
    """One state is solved from the model's published value; the noise, which holds it too, is the check."""
    volumes = {"cytosol": 0.6375, "nucleus": 0.2125}
    others = dict.fromkeys(("R", "pR", "cS", "nS", "cpS", "npS", "m", "X"), 0.0)
    solved: dict[str, tuple[Any, ...]] = {}
    total = 0.0
    for m, row in zip(hepg2.measurements, table, strict=True):
        o = hepg2.observables[m.observable]
        names = sorted({str(s) for s in o.formula.free_symbols | o.noise_formula.free_symbols})
        if m.observable not in solved:
            unknown = UNKNOWNS.get(m.observable)
            y = sympy.Symbol("y")
            inverse = None
            if unknown:
                (root,) = sympy.solve(sympy.Eq(o.formula, y), sympy.Symbol(unknown))
                inverse = sympy.lambdify([y, *names], root)
            solved[m.observable] = (
                unknown, inverse, sympy.lambdify(names, o.formula), sympy.lambdify(names, o.noise_formula)
            )  # fmt: skip
        unknown, inverse, formula, noise = solved[m.observable]
        values = {**fit, **volumes, **others}
        filled = (fit[a] if isinstance(a, str) else a for a in m.arguments)
        values |= dict(zip(o.placeholders, filled, strict=True))
        published = float(row["published_model_value"])
        published = math.log10(published) if row["scale"] == "log10" else published
        if unknown:
            values[unknown] = inverse(published, *(values[n] for n in names))
        v, s = formula(*(values[n] for n in names)), noise(*(values[n] for n in names))
        assert v == pytest.approx(published, rel=1e-8, abs=1e-12)
        assert s == pytest.approx(float(row["published_sd"]), rel=1e-6)
        total += 0.5 * ((m.value - v) / s) ** 2 + math.log(s) + 0.5 * math.log(2 * math.pi)
    assert total == pytest.approx(908.2765, abs=1e-4)
