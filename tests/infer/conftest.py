"""Small problems with closed forms, and the real one, compiled once."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import sympy
import xarray as xr

from hexamer import Model, Problem, Protocol, Settings, load_problem
from hexamer.data import Dataset, Measurement, Observable, Parameter, Prior, direct, qpcr, read_values
from hexamer.infer.posterior import to_datatree
from hexamer.models import compile_network, read_antimony


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


CONVERSION_MODEL = """
model conversion()
  species A, B
  k1 = 0.05; k2 = 0.02; L = 0; total = 10
  A = total; B = 0
  forward: A -> B; k1*L*A
  backward: B -> A; k2*B
end
"""
CONVERSION = """
name = "conversion"
model = "model.ant"
[inputs.L]
kind = "set"
unit = "nM"
[observables.blot_B]
assay = "blot"
signal = "B"
sd = 0.1
sd_rel = "sd_rel"
[observables.mRNA]
assay = "qpcr"
signal = "B + 0.1*A"
sd = 0.1
[observables.fraction]
assay = "direct"
signal = "(B + 0.1)/(A + B)"
unit = "1"
transformation = "log10"
sd = 0.05
[fixed]
k2 = 0.02
"scale_mRNA[plate-0]" = 1.0
"""
CONVERSION_PRIORS = """parameter,unit,distribution,location,scale,value
k1,1/(nM min),log10_normal,-1.3,0.5,
total,nM,lognormal,2.3,0.2,
sd_rel,1,half_normal,0,0.3,
scale_*[experiment],au,log10_normal,0,1,
"""
CONVERSION_TRUTH = {
    "k1": 0.05,
    "total": 10.0,
    "sd_rel": 0.1,
    "scale_blot_B[gel-1]": 2.0,
    "scale_blot_B[gel-2]": 0.5,
    "scale_mRNA[plate-1]": 3.0,
}


def conversion_of(dose: float, time: float, *, k1: float = 0.05, k2: float = 0.02, total: float = 10.0) -> float:
    """B in A ⇌ B, from A alone."""
    rate = k1 * dose + k2
    return total * k1 * dose / rate * (1 - math.exp(-rate * time))


def _conversion_rows() -> str:
    rng = np.random.default_rng(7)
    rows = ["observable,time,value,unit,L,experiment,replicate"]

    def add(observable, dose, time, value, unit, experiment):
        rows.append(f"{observable},{time},{value:.6g},{unit},{dose},{experiment},{len(rows)}")

    for gel, scale, doses in (("gel-1", 2.0, (1, 3)), ("gel-2", 0.5, (1,))):
        for dose in doses:
            for time in (5, 10, 20, 40, 80):
                b = conversion_of(dose, time)
                add("blot_B", dose, time, scale * (b + rng.normal() * math.hypot(0.1, 0.1 * b)), "au", gel)
    for dose in (0, 0.3, 1, 3, 10):
        b = conversion_of(dose, 20)
        add("blot_B", dose, 20, abs(0.5 * (b + rng.normal() * math.hypot(0.1, 0.1 * b))), "au", "gel-2")
    for plate, scale in (("plate-0", 1.0), ("plate-1", 3.0)):
        for time in (5, 20, 80):
            b = conversion_of(1, time)
            add("mRNA", 1, time, scale * (b + 0.1 * (10 - b)) * 10 ** (0.1 * rng.normal()), "au", plate)
    for dose in (0, 1, 3):
        add("fraction", dose, 30, (conversion_of(dose, 30) + 0.1) / 10 * 10 ** (0.05 * rng.normal()), "1", "flow")
    return "\n".join(rows) + "\n"


@pytest.fixture(scope="session")
def conversion_folder(tmp_path_factory) -> Path:
    """A data set in the native form: A ⇌ B, two gels, one plate whose scale is integrated out, one fixed."""
    folder = tmp_path_factory.mktemp("conversion")
    (folder / "model.ant").write_text(CONVERSION_MODEL)
    (folder / "problem.toml").write_text(CONVERSION)
    (folder / "priors.csv").write_text(CONVERSION_PRIORS)
    (folder / "measurements.csv").write_text(_conversion_rows())
    return folder


@pytest.fixture(scope="session")
def conversion(conversion_folder: Path) -> Problem:
    return load_problem(conversion_folder, settings=Settings(max_steps=5000))


@pytest.fixture(scope="session")
def conversion_truth() -> dict[str, float]:
    return dict(CONVERSION_TRUTH)


@pytest.fixture(scope="session")
def conversion_course() -> Callable[..., float]:
    return conversion_of


@pytest.fixture(scope="session")
def conversion_z(conversion: Problem) -> np.ndarray:
    """4 chains × 60 draws around the truth, narrow in all but `total`, which stays at its prior."""
    centre = conversion.space.unconstrain(CONVERSION_TRUTH)
    spread = np.array([1.0 if n == "total" else 0.05 for n in conversion.space.names])
    return centre + spread * np.random.default_rng(3).normal(size=(4, 60, len(centre)))


@pytest.fixture(scope="session")
def conversion_tree(conversion: Problem, conversion_z: np.ndarray) -> xr.DataTree:
    rng = np.random.default_rng(4)
    stats = {
        "diverging": np.zeros((4, 60), dtype=bool),
        "acceptance_rate": rng.uniform(0.7, 0.9, (4, 60)),
        "n_steps": np.full((4, 60), 7),
        "energy": rng.normal(size=(4, 60)),
        "lp": rng.normal(size=(4, 60)),
    }
    stats["diverging"][2, 10] = True
    failures = {"warmup": {"too_many_steps": 3}, "draws": {}}
    return to_datatree(conversion, conversion_z, stats, seed=5, failures=failures)


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
