"""A ⇌ B with its data, its truth and draws around it: what tests of fits, results and the command line share."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from hexamer import Problem, Settings, load_problem
from hexamer.infer.posterior import to_datatree

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
