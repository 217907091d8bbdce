"""250 cases of the SBML semantic test suite: 30 that work through both engines, all through `hexamer.simulate`."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import diffrax
import numpy as np
import pytest
from benchmarks.sbml_suite import (
    Settings,
    cases_in,
    distance,
    formula,
    judge,
    judge_all,
    model_file,
    results_of,
    settings_file,
    table,
)

from helpers import slowly
from hexamer import Diffrax, Fused
from hexamer.models import Protocol, compile_network, load_network, parse_infix, simulate
from hexamer.models.networks.formulas import to_infix
from support.side_by_side import renamed, side_by_side

pytestmark = pytest.mark.tier("test")

# Chosen by their tags, so that each construct that is supported stands in one of them.
SPREAD = (
    *("00129", "00262", "00992", "00994", "01029", "01064", "01121", "01126", "01129", "01130"),
    *("01133", "01163", "01221", "01279", "01343", "01402", "01455", "01467", "01470", "01474"),
    *("01487", "01488", "01498", "01541", "01553", "01557", "01765", "01774", "01776", "01777"),
)
LEAST_RIGHT = 192
"""Of the 250: a change that loses one is wrong, one that gains some writes the new number here."""


@pytest.fixture(scope="module")
def suite(shared_data: Path) -> Path:
    folder = shared_data / "sbml_suite"
    if not folder.is_dir():
        pytest.skip(f"the SBML test suite is not in {folder}")
    return folder


@pytest.mark.parametrize("case", SPREAD)
def test_a_spread_of_cases_with_the_fused_engine(suite: Path, case: str) -> None:
    verdict = judge(suite / case, Fused())
    assert verdict.kind == "right", verdict.reason


@pytest.mark.parametrize("solver", [Diffrax(diffrax.Tsit5()), *slowly(Diffrax())])
def test_the_same_cases_with_diffrax_side_by_side(suite: Path, solver: Diffrax) -> None:
    """One network holds all, each in its own time: diffrax takes seconds to compile one."""
    settings = {c: Settings.read(settings_file(suite / c)) for c in SPREAD}
    right = {c: results_of(suite / c) for c in SPREAD}
    networks = {c: load_network(model_file(suite / c)) for c in SPREAD}
    blocks = {f"case{c}_": (networks[c], float(right[c][0][-1])) for c in SPREAD}
    model = compile_network(side_by_side(blocks))
    columns = {}
    for c in SPREAD:
        prefix, (network, duration) = f"case{c}_", blocks[f"case{c}_"]
        for name in settings[c].variables:
            own = parse_infix(formula(network, name, settings[c]), network.names)
            columns[c, name] = to_infix(renamed(own, network, prefix, duration))
    times = np.unique(np.concatenate([t / t[-1] for t, _ in right.values()]).round(12))
    courses = simulate(
        model, {}, Protocol(), times, observe=tuple(columns.values()), solver=solver, rtol=1e-8, atol=1e-12
    )
    assert int(courses.status[0]) == 0
    for (c, name), observed in columns.items():
        at = np.searchsorted(times, (right[c][0] / right[c][0][-1]).round(12))
        far = distance(settings[c], right[c][1][name], np.asarray(courses.observed[observed])[0, at])
        assert far.max() <= 1, f"{c}: {name} is {far.max():.3g} tolerances off"


@pytest.mark.tier("slow")
def test_all_cases(suite: Path) -> None:
    verdicts = judge_all(cases_in(suite), workers=2)
    counts = Counter(v.kind for v in verdicts)
    said = table(verdicts)
    assert len(verdicts) == 250
    assert counts["wrong"] == counts["traceback"] == counts["failed"] == 0, said
    assert counts["right"] >= LEAST_RIGHT, said
