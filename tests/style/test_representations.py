"""What a person sees of an object at a prompt: one line."""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import sympy
import xarray as xr

from hexamer import (
    NUTS,
    Auto,
    Calibration,
    CalibrationCheck,
    Diffrax,
    Ensemble,
    Fits,
    Fused,
    HexamerError,
    Model,
    Prediction,
    Protocol,
    Settings,
    Status,
    Summary,
    data,
    infer,
    load_model,
    load_network,
    load_problem,
    models,
    simulate,
)
from hexamer.infer.doses import DoseResponse, Doses
from hexamer.infer.prediction.assay_curves import Curve
from hexamer.models import compile_network, read_antimony
from support import small_run

pytestmark = pytest.mark.tier("check")

FACES = ("hexamer", "hexamer.models", "hexamer.data", "hexamer.infer")
LONGEST = 200  # characters


@cache
def _problem() -> infer.Problem:
    return small_run.problem()


@cache
def _model() -> Model:
    return compile_network(read_antimony("model decay; species A = 2; k = 0.5; twice := 2*A; J: A -> ; k*A; end"))


def _draws() -> infer.Draws:
    return infer.Draws(_problem(), np.zeros((4, 100, 2)), {}, {}, {}, seed=1)


def _fits() -> Fits:
    z, count = np.zeros((3, 2)), np.array([7, 8, 9])
    ends = ("gradient", "gradient", "iterations")
    traces = tuple(np.zeros(n) for n in count)
    return Fits(_problem(), "posterior", z, z, np.array([1.0, 2.0, 3.0]), ends, count, count, {}, 0, traces, 1.0)


@cache
def _trajectories() -> models.Trajectories:
    return simulate(_model(), {}, Protocol(), [0.0, 1.0], observe=["twice"])


def _dose_response() -> DoseResponse:
    sizes = {"draw": 2, "condition": 1, "dose": 3}
    response = xr.DataArray(np.ones(tuple(sizes.values())), dims=tuple(sizes))
    status = xr.zeros_like(response, dtype=int)
    doses = Doses("A", np.arange(3.0), "nM", "nM", 1.0)
    return DoseResponse(xr.Dataset({"response": response, "status": status}), "A", "A at 1 min", doses, (), 0.5)


def _prediction() -> Prediction:
    course = np.ones((10, 50))
    curve = Curve(_problem().dataset.observables["B"], "idle", np.arange(50.0), course, course)
    return Prediction({("B", "idle"): curve}, "min", 10)


def _standard_curve() -> data.StandardCurve:
    standards = np.array([1.0, 3.0, 10.0, 30.0, 100.0, 300.0])
    return data.fit_standard_curve(standards, 2.0 * standards / (50.0 + standards))


def _issue() -> data.Issue:
    return data.Issue("measurements.csv", "a number", row=3, column="value", holds="'3,5'")


def _error(kind: type[HexamerError]) -> HexamerError:
    return kind("what is wrong with `dose`:\n- it is below 0\n- it has no unit")


def _curvature() -> infer.Curvature:
    return small_run.start_of(_problem())


def _verdict() -> infer.Verdict:
    return infer.Verdict("sampled", "yes", ("All is well.",))


@cache
def _nuts() -> NUTS:
    return NUTS(_problem(), _curvature())


def _calibration_check() -> CalibrationCheck:
    numbers, names = np.ones(20), ("k", "log likelihood")
    return CalibrationCheck("small", names, np.zeros((20, 2), int), 30, numbers, numbers, np.ones((20, 4)), 0, {}, {})


# An instance of each class that a face exports.
MAKERS: dict[type, Callable[[], object]] = {
    Auto: Auto,
    Calibration: lambda: Calibration(_problem(), Path("results/small"), _draws()),
    CalibrationCheck: _calibration_check,
    Diffrax: Diffrax,
    DoseResponse: _dose_response,
    Ensemble: lambda: Ensemble.from_model(_model(), {"k": np.linspace(0.1, 1.0, 100)}),
    Fits: _fits,
    Fused: Fused,
    Model: _model,
    NUTS: _nuts,
    Prediction: _prediction,
    Protocol: lambda: Protocol("pulse").set(L=1.0).set(L=0.0, at=15.0),
    Settings: Settings,
    Status: lambda: Status(0),
    Summary: lambda: Summary(pd.DataFrame(), (_verdict(),), "small, 4 chains × 100 draws"),
    infer.SMC: lambda: infer.SMC(_problem()),
    infer.Verdict: _verdict,
    data.Dataset: small_run.data,
    data.Issue: _issue,
    data.JointPrior: lambda: data.JointPrior(["kon", "koff"], [[1, 0.9], [0.9, 1]]),
    data.Measurement: lambda: small_run.data().measurements[0],
    data.Noise: lambda: data.noise_of("student_t(4)"),
    data.Observable: lambda: small_run.data().observables["B"],
    data.Parameter: lambda: small_run.data().parameters["k"],
    data.Prior: lambda: data.Prior("normal", "log", -0.7, 0.5),
    data.PriorTable: lambda: data.PriorTable(small_run.data().parameters),
    data.Published: lambda: data.Published("hepg2", "an article"),
    data.ReadBack: lambda: _standard_curve().read_back(np.linspace(0.1, 1.5, 96)),
    data.Scale: lambda: data.Scale.LOG10,
    data.StandardCurve: _standard_curve,
    data.TableError: lambda: data.TableError("small", [_issue()] * 3),
    infer.ArrayState: infer.ArrayState,
    infer.Block: lambda: infer.Block(False, np.zeros((4, 100, 2))),
    infer.Condition: lambda: infer.Condition({"k": 0.1}),
    infer.Curvature: _curvature,
    infer.Draws: _draws,
    infer.Evaluation: lambda: infer.Evaluation(-12.5, 3.25, 9, {}, np.ones(9), np.ones(9)),
    infer.GradientCheck: lambda: infer.GradientCheck(("k",), *np.ones((4, 1)), tolerance=1e-4),
    infer.Info: lambda: infer.Info(10, 100, False, "warmup"),
    infer.Problem: _problem,
    infer.Sampler: _nuts,  # a protocol
    infer.Spread: lambda: infer.Spread(cv=0.5),
    models.Constraint: lambda: models.Constraint("positive", sympy.Symbol("A") > 0, "A is an amount"),
    models.Network: lambda: load_network("hepg2_core"),
    models.Quantity: lambda: models.Quantity(0.5, "1/min"),
    models.Reaction: lambda: load_network("hepg2_core").reactions[0],
    models.Species: lambda: models.Species("A", "cell", sympy.Integer(2)),
    models.Step: lambda: models.Step(15.0, {"L": 1.0}),
    models.Trajectories: _trajectories,
}


def _classes() -> dict[type, str]:
    """Classes that the faces export, errors too, with the name under which each is found."""
    exported = ((face, name) for face in FACES for name in importlib.import_module(face).__all__)
    found = {getattr(importlib.import_module(face), name): f"{face}.{name}" for face, name in exported}
    return {kind: name for kind, name in found.items() if inspect.isclass(kind)}


def _maker(kind: type) -> Callable[[], object] | None:
    """That of the table; an error needs none, unless it is made of more than a sentence."""
    return MAKERS.get(kind) or (partial(_error, kind) if issubclass(kind, HexamerError) else None)


def test_each_exported_class_has_a_maker() -> None:
    assert [name for kind, name in _classes().items() if _maker(kind) is None] == []
    assert [kind for kind in MAKERS if kind not in _classes()] == []


@pytest.mark.parametrize("kind", [pytest.param(kind, id=name) for kind, name in _classes().items() if _maker(kind)])
def test_an_instance_shows_itself_in_one_short_line(kind: type) -> None:
    make = _maker(kind)
    assert make is not None
    made = make()
    assert type(made).__name__ == kind.__name__ or kind in (data.Noise, infer.Sampler)  # which have subclasses alone
    text = repr(made)
    assert "\n" not in text
    assert len(text) <= LONGEST or isinstance(made, HexamerError)
    assert re.search(r" at 0x|\barray\(|\bArray\(", text) is None


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
    assert repr(_trajectories()) == "Trajectories(y: 1 × 2 × 1, observed: twice)"
    parameter = data.Parameter("k", data.Prior("normal", "log10"))
    assert repr(data.PriorTable({"k": parameter}, (("scale_*", parameter),))) == "PriorTable(1 parameter, 1 pattern)"
    curve = _standard_curve()
    assert repr(curve).startswith("StandardCurve(")
    assert repr(curve.read_back([0.5])).startswith("ReadBack([16.")
    assert "\n" not in repr(curve) + repr(curve.read_back([0.5]))
