"""Small problems with closed forms, and the real one, compiled once."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
import sympy

from hexamer import Model, Problem, Protocol, Settings, load_problem
from hexamer.data import Dataset, Measurement, Observable, Parameter, Prior, direct, qpcr, read_values
from hexamer.models import compile_network, read_antimony
from support.conversion import (
    conversion,
    conversion_course,
    conversion_folder,
    conversion_tree,
    conversion_truth,
    conversion_z,
)

__all__ = [
    "conversion",
    "conversion_course",
    "conversion_folder",
    "conversion_tree",
    "conversion_truth",
    "conversion_z",
]  # fixtures


@cache
def _decay_model() -> Model:
    """A' = −k A from A(0) = a0."""
    text = "model decay; k = 0.5; a0 = 2; species A = a0; J: A -> ; k*A; end"
    return compile_network(read_antimony(text))


def _decay_data() -> Dataset:
    """Readings of A: absolute, in log10 with a plate's scale, on log scales with and without one, robust."""
    a, sd, s = sympy.symbols("A noise scale")
    observables = {
        "A_abs": direct("A_abs", "A", sd="noise"),
        "mRNA": qpcr("mRNA", "A", sd="noise"),
        "gel": Observable("gel", s * a, sd, ("scale",), scale="log"),
        "robust": Observable("robust", a, sympy.Float(0.2), scale="log10", noise="laplace"),
        "lone": Observable("lone", 3 * a, sd, scale="log"),
    }
    rows = [
        ("A_abs", 0.5, 1.5, ()),
        ("A_abs", 2.0, 0.8, ()),
        ("mRNA", 0.5, 0.4, ("scale_1",)),
        ("mRNA", 2.0, 0.1, ("scale_1",)),
        ("gel", 1.0, 2.2, ("scale_1",)),
        ("mRNA", 1.0, -0.3, ("scale_2",)),
        ("mRNA", 3.0, -0.6, ("scale_2",)),
        ("robust", 1.0, 1.3, ()),
        ("robust", 2.0, 0.5, ()),
        ("lone", 1.0, 3.0, ()),
    ]
    measurements = tuple(Measurement(o, "rest", t, v, a, row=i) for i, (o, t, v, a) in enumerate(rows, start=1))
    parameters = [
        Parameter("k", Prior("normal", "log", -0.7, 0.5), 0.5),
        Parameter("a0", Prior("uniform", "lin", lower=0.1, upper=9.0), 2.0),
        Parameter("noise", Prior("half_normal", spread=0.5), 0.3),
        Parameter("scale_1", Prior("normal", "log10", 0.1, 0.5), 1.4),
        Parameter("scale_2", Prior("normal", "log", -0.2, 0.9), 0.6),
    ]
    return Dataset("decay", observables, {"rest": Protocol("rest")}, measurements, {p.name: p for p in parameters})


@pytest.fixture(scope="session")
def decay_data() -> Dataset:
    return _decay_data()


@pytest.fixture(scope="session")
def decay_model() -> Model:
    return _decay_model()


@pytest.fixture(scope="session")
def decay() -> Callable[..., Problem]:
    """Makes the problem of `decay_data` with options."""
    return lambda **options: Problem(_decay_model(), _decay_data(), **options)


@pytest.fixture
def blow_up() -> Problem:
    """y' = k y² from 1, read at time 1: y = 1/(1 − k), which does not exist from k = 1 on."""
    model = compile_network(read_antimony("model blow_up; k = 0.5; species y = 1; J: -> y; k*y^2; end"))
    data = Dataset(
        "blow-up",
        {"y": direct("y", "y", sd=0.1)},
        {"rest": Protocol("rest")},
        (Measurement("y", "rest", 1.0, 2.0),),
        {"k": Parameter("k", Prior("normal", "lin", 0.5, 1.0), 0.4)},
    )
    return Problem(model, data, settings=Settings(max_steps=1024))


@pytest.fixture(scope="session")
def hepg2(shared_data: Path) -> Problem:
    return load_problem("hepg2")


@pytest.fixture(scope="session")
def published_fit(shared_data: Path, hepg2: Problem) -> dict[str, float]:
    values = read_values(shared_data / "hepg2" / "published_fit.csv")
    unknown = hepg2.unknown(values)
    assert set(unknown) == {"sd_tSTAT3", "sd_rel_tSTAT3"}  # they belong to no row
    return {n: v for n, v in values.items() if n not in unknown}


@pytest.fixture(scope="module")
def half() -> Problem:
    """y' = k y² fails before t = 1 where k ≥ 1; readings 1/(1 − k t) at k = 0.5 have their optimum there."""
    model = compile_network(read_antimony("model blow_up; k = 1; species y = 1; J: -> y; k*y^2; end"))
    rows = tuple(Measurement("y", "rest", t, 1 / (1 - 0.5 * t)) for t in (0.25, 0.5, 1.0))
    dataset = Dataset(
        "half",
        {"y": direct("y", "y", sd=0.1)},
        {"rest": Protocol("rest")},
        rows,
        {"k": Parameter("k", Prior("normal", "log10", 0.0, 1.0))},
    )
    return Problem(model, dataset, settings=Settings(max_steps=300))
