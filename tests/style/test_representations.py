"""What a person sees of an object at a prompt: one line."""

from __future__ import annotations

import numpy as np
import pytest

from hexamer import Protocol, load_model, load_network, load_problem, simulate
from hexamer.data import Parameter, Prior, PriorTable, fit_standard_curve
from hexamer.models import compile_network, read_antimony

pytestmark = pytest.mark.tier("check")


def test_each_shows_itself_in_one_line() -> None:
    network, model = load_network("hepg2_core"), load_model("hepg2_core")
    assert repr(network) == (
        f"Network('hepg2_core', 12 species, {len(network.reactions)} reactions, {len(network.parameters)} parameters)"
    )
    assert repr(model) == f"Model('hepg2_core', {len(model.species)} species, {len(model.parameters)} parameters)"
    problem = load_problem("il6_demo")
    assert repr(problem.dataset) == (
        f"Dataset('il6_demo', {len(problem.dataset)} measurements, {len(problem.dataset.observables)} observables, "
        f"{len(problem.dataset.protocols)} protocols)"
    )
    assert repr(problem).startswith("Problem('il6_demo', Model('il6_stat3', ")
    assert repr(problem).endswith(f"{len(problem.dataset)} measurements, 25 estimated parameters)")


def test_results_of_functions_show_themselves_in_one_line() -> None:
    model = compile_network(read_antimony("model decay; species A = 2; k = 0.5; twice := 2*A; J: A -> ; k*A; end"))
    courses = simulate(model, {}, Protocol(), [0.0, 1.0], observe=["twice"])
    assert repr(courses) == "Trajectories(y: 1 × 2 × 1, observed: twice)"
    parameter = Parameter("k", Prior("normal", "log10"))
    assert repr(PriorTable({"k": parameter}, (("scale_*", parameter),))) == "PriorTable(1 parameter, 1 pattern)"
    standards = np.array([1.0, 3.0, 10.0, 30.0, 100.0, 300.0])
    curve = fit_standard_curve(standards, 2.0 * standards / (50.0 + standards))
    assert repr(curve).startswith("StandardCurve(")
    assert repr(curve.read_back([0.5])).startswith("ReadBack([16.")
    assert "\n" not in repr(curve) + repr(curve.read_back([0.5]))
