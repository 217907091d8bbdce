"""pSTAT1 and pSTAT3 of RPE1 and Th1 cells under Hyper-IL-6, as published (Wilmes 2021, eLife 10:e66014, means).

The data are flow cytometry, background subtracted and scaled to IL-27: each observable of each cell has a scale of its
own, which has a closed form, and the model is read above rest. IL-27 has a receptor that no module has: its rows stay
out.
"""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import least_squares

from hexamer.models import Model, Protocol, il6, simulate

pytestmark = pytest.mark.tier("test")

CELLS, OBSERVABLES = ("RPE1", "TH1"), ("pSTAT1", "pSTAT3")
TIMES = np.array([0.0, 5, 15, 30, 60, 90, 120, 180])
TREATED = Protocol.equilibrated("Hyper-IL-6").add("HyperIL6", 10.0)  # nM
PER_CELL = "gp130_0"  # the one number that differs between the two cells
PRIOR = 0.05  # weight of each log factor beside residuals of order 0.05: it holds what the data leave open


@dataclass(frozen=True)
class Fit:
    """`factor`: fitted over nominal value; `predicted`: cells × observables × times, each course at its best scale."""

    factor: dict[str, float]
    predicted: np.ndarray


@pytest.fixture(scope="module")
def measured(shared_data: Path) -> np.ndarray:
    """cells × observables × times."""
    file = shared_data / "rpe1_th1" / "measurements.csv"
    if not file.is_file():
        pytest.skip(f"published data are absent: {file}")
    with file.open(newline="") as lines:
        rows = [r for r in csv.DictReader(lines) if r["ligand"] == "Hyper-IL-6"]
    assert len(rows) == len(CELLS) * len(OBSERVABLES) * len(TIMES)
    assert {float(r["dose_nM"]) for r in rows} == {10.0}
    value = {(r["cell"], r["observable"], float(r["time_min"])): float(r["value"]) for r in rows}
    return np.array([[[value[c, o, t] for t in TIMES] for o in OBSERVABLES] for c in CELLS])


@pytest.fixture(scope="module")
def model() -> Model:
    return il6(["classic", "hyper", "stat3", "stat1"], cell="IL6R_negative")


def fitted(model: Model, measured: np.ndarray, shared: tuple[str, ...]) -> Fit:
    """Least squares in the log factors of `shared` and, for each cell, of gp130; from the nominal values."""
    default = dict(zip(model.parameters, np.asarray(model.defaults), strict=True))
    n = len(shared) + len(CELLS)

    @jax.jit
    def predict(z):
        """`z`: sets × n; sets × cells × observables × times."""
        values = {k: default[k] * jnp.exp(z[:, i, None]) * jnp.ones((1, len(CELLS))) for i, k in enumerate(shared)}
        values[PER_CELL] = default[PER_CELL] * jnp.exp(z[:, len(shared) :])
        out = simulate(model, values, TREATED, TIMES, observe=[f"{o}_total" for o in OBSERVABLES])
        y = jnp.stack([out.observed[f"{o}_total"][..., 0, :] for o in OBSERVABLES], -2)
        y = y - y[..., :1]
        # The scale s of a course minimises |s y - d|²: s = y·d / y·y.
        return y * (y * measured[None]).sum(-1, keepdims=True) / (y * y).sum(-1, keepdims=True)

    residual, jacobian = _least_squares_functions(predict, measured, n)
    found = least_squares(residual, np.zeros(n), jac=jacobian, max_nfev=60)  # pyright: ignore[reportArgumentType]
    assert found.success, found.message
    names = [*shared, *(f"{PER_CELL} {c}" for c in CELLS)]
    return Fit(dict(zip(names, np.exp(found.x), strict=True)), np.asarray(predict(jnp.asarray(found.x)[None]))[0])


def _least_squares_functions(predict: Callable, measured: np.ndarray, n: int, h: float = 1e-4):
    """Residuals and their central differences, which one batch of 2n + 1 simulations gives."""
    offsets = np.concatenate([np.zeros((1, n)), h * np.eye(n), -h * np.eye(n)])
    known: dict[bytes, tuple[np.ndarray, np.ndarray]] = {}

    def both(z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        if z.tobytes() not in known:
            sets = z + offsets
            r = (np.asarray(predict(jnp.asarray(sets))) - measured).reshape(len(sets), -1)
            r = np.concatenate([r, PRIOR * sets], axis=1)
            known[z.tobytes()] = r[0], (r[1 : n + 1] - r[n + 1 :]).T / (2 * h)
        return known[z.tobytes()]

    return lambda z: both(z)[0], lambda z: both(z)[1]


def misfit(fit: Fit, measured: np.ndarray) -> np.ndarray:
    """Root mean square over the range of each course, cells × observables."""
    return np.sqrt(((fit.predicted - measured) ** 2).mean(-1)) / np.ptp(measured, axis=-1)


@pytest.fixture(scope="module")
def fit(model: Model, measured: np.ndarray) -> Fit:
    return fitted(model, measured, ("k_stat1", "k_cdea_STAT1", "Ki_SOCS3", "k_delay"))


def test_six_parameters_describe_both_cells(fit: Fit, measured: np.ndarray) -> None:
    """Kinase and phosphatase of STAT1, strength and lag of SOCS3, gp130 of each cell: RMS 4.2% of the range.

    Measured when this was written: RPE1 2.7% (pSTAT1) and 5.9% (pSTAT3), Th1 4.1% and 3.4%.
    """
    rms = misfit(fit, measured)
    assert np.sqrt((rms**2).mean()) == pytest.approx(0.042, abs=0.003)
    assert np.all(rms < 0.065)


def test_fitted_values_say_what_differs_from_hepg2(fit: Fit) -> None:
    """SOCS3 comes an hour after STAT3 in place of 21 min and acts harder; Th1 cells show less gp130 than RPE1 cells.

    Nominal k_stat1 and k_cdea_STAT1 stem from this fit, rounded, so they stay within a factor of three.
    """
    assert 5 / (0.237 * fit.factor["k_delay"]) == pytest.approx(60, rel=0.1)  # min
    assert fit.factor["Ki_SOCS3"] < 0.5
    assert 1 / 3 < fit.factor["k_stat1"] < 3
    assert 1 / 3 < fit.factor["k_cdea_STAT1"] < 3
    assert fit.factor["gp130_0 TH1"] < 0.6 * fit.factor["gp130_0 RPE1"] < 0.6


def test_shape_of_the_courses_follows(fit: Fit, measured: np.ndarray) -> None:
    """pSTAT1 falls before pSTAT3 in both cells, as measured: at 60 min relative to the highest value."""
    for y in (fit.predicted, measured):
        left = y[..., TIMES == 60][..., 0] / y.max(-1)
        assert np.all(left[:, 0] < left[:, 1] - 0.1)


def test_what_it_does_not_describe(fit: Fit, measured: np.ndarray) -> None:
    """After the pulse the model keeps too much pSTAT: receptors go on signalling at the level that SOCS3 leaves.

    pSTAT1 ends at 2% of its highest value by 180 min, the model's at 6%; pSTAT3 of RPE1 cells is at 10% by 120 min, the
    model's at 18%. Wilmes 2021 let STATs compete for docking sites, which this model leaves out.
    """
    end = [y[:, 0, -1] / y[:, 0].max(-1) for y in (measured, fit.predicted)]
    assert np.all(end[1] > 2 * end[0])
    late = [y[0, 1, TIMES == 120] / y[0, 1].max() for y in (measured, fit.predicted)]
    assert np.all(late[1] > 1.5 * late[0])


def test_the_lag_of_hepg2_is_too_short(model: Model, fit: Fit, measured: np.ndarray) -> None:
    """With the lag of SOCS3 held at 21 min the misfit is 13%, thrice as large: pSTAT falls too early."""
    held = fitted(model, measured, ("k_stat1", "k_cdea_STAT1", "Ki_SOCS3"))
    assert np.sqrt((misfit(held, measured) ** 2).mean()) > 2 * np.sqrt((misfit(fit, measured) ** 2).mean())
