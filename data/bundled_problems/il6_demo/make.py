"""Makes the tables of this data set, byte for byte: `python -m hexamer.data.bundled_problems.il6_demo.make [folder]`.

A truth is drawn around the literature's medians, half a prior standard deviation wide; the network is
simulated there, and each row of the design gets the noise that `problem.toml` says it has. What is not
estimated is as in its `[fixed]`.
"""

from __future__ import annotations

import csv
import math
import sys
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ....models import Protocol, Settings, Step, load_model, simulate
from ...literature_table import literature
from ...quantities.units import conversion_factor

HERE = Path(__file__).parent
SEED = 20261121
WIDTH = 0.5  # of the truth around the prior's median, in prior standard deviations

COLUMNS = ("observable", "IL6", "sIL6R", "time", "value", "unit", "sd", "experiment", "replicate")

DOSES = (0.01, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0)  # IL-6, ng/ml
SOLUBLE = 100.0  # sIL-6R, ng/ml
TRANS = (1.0, 10.0, 100.0)  # IL-6 given with it
COURSE = (0.0, 5.0, 10.0, 15.0, 20.0, 30.0, 45.0, 60.0, 90.0, 120.0, 180.0)  # min

ESTIMATED = (
    "Kd1", "Kd2", "IL6R_0", "gp130_0", "k_jak", "k_dea", "k_int",
    "STAT3_0", "k_basal", "k_imp", "k_ndea",
    "Ki_SOCS3", "v_SOCS3", "v_SOCS3_basal", "K_SOCS3", "k_mdeg",
)  # fmt: skip
NOISE = {"sd_blot": 5.0, "sd_rel_blot": 0.12, "sd_qpcr": 0.12}  # nM, relative, log10
NOISE_PRIORS = {
    "sd_blot": ("nM", 10.0, "background of a blot, as a concentration"),
    "sd_rel_blot": ("1", 0.2, "relative noise of a blot"),
    "sd_qpcr": ("1", 0.2, "noise of a qPCR in log10"),
}
SCALE_PRIORS = {
    "scale_pSTAT3[experiment]": ("au/nM", -1.0, 1.0, "scale of each gel"),
    "scale_SOCS3_mRNA[experiment]": ("au/nM", 2.0, 1.0, "scale of each plate"),
}
RELATIVE_SD = {
    "gp130_per_cell": 0.12, "STAT3_per_cell": 0.1, "SOCS3_per_cell": 0.2, "IL6R_per_cell": 0.25,
    "pSTAT3_fraction": 0.05,
}  # fmt: skip


class PlannedRow(NamedTuple):
    observable: str
    IL6: float  # ng/ml
    sIL6R: float  # ng/ml
    time: float  # min
    experiment: str
    replicate: int


def planned_rows() -> Iterator[PlannedRow]:
    """What was done: every row but its value."""
    courses = ((10.0, 0.0), (10.0, SOLUBLE)), ((1.0, 0.0), (1.0, SOLUBLE))
    doses = [(0.0, 0.0), *((d, 0.0) for d in DOSES), *((d, SOLUBLE) for d in TRANS)]
    for name, cells in zip(("high", "low"), courses, strict=True):
        for run in (1, 2):
            yield from _blot(f"course-{name}-{run}", cells, COURSE)
    for run in (1, 2):
        yield from _blot(f"dose-{run}", doses, (20.0,))
    for name, cells in zip(("high", "low"), courses, strict=True):
        for t in (0.0, 15.0, 30.0, 45.0, 60.0, 90.0, 120.0, 180.0):
            for dose in cells:
                yield from (PlannedRow("SOCS3_mRNA", *dose, t, f"plate-{name}", i) for i in (1, 2, 3))
    for dose in doses:
        yield from (PlannedRow("SOCS3_mRNA", *dose, 60.0, "plate-dose", i) for i in (1, 2, 3))
    yield from _lysate("gp130_per_cell", (0.0,), 6)
    yield from _lysate("STAT3_per_cell", (0.0,), 6)
    yield from _lysate("IL6R_per_cell", (0.0,), 4)
    yield from _lysate("SOCS3_per_cell", (0.0, 60.0, 90.0, 120.0), 3)
    yield from _lysate("pSTAT3_fraction", (0.0, 20.0), 4)


def _blot(run: str, cells: Iterable[tuple[float, float]], times: Iterable[float]) -> Iterator[PlannedRow]:
    at = [(dose, t) for dose in cells for t in times]
    for fraction in ("pSTAT3_cytoplasm", "pSTAT3_nucleus"):
        yield from (PlannedRow(fraction, *dose, t, run, 1) for dose, t in at)


def _lysate(observable: str, times: Iterable[float], replicates: int) -> Iterator[PlannedRow]:
    """Untreated at 0, then under 10 ng/ml IL-6."""
    for t in times:
        dose = (10.0 if t else 0.0, 0.0)
        yield from (PlannedRow(observable, *dose, t, "lysate", i + 1) for i in range(replicates))


def true_values(key: np.random.SeedSequence, runs: Iterable[str]) -> dict[str, float]:
    """Kinetics and scales at random, noise as set; rounded as written, so that the file is the truth."""
    rng = np.random.default_rng(key)
    known = literature()
    truth = {}
    for name in ESTIMATED:
        prior = known[name].prior
        assert prior is not None
        truth[name] = math.exp(prior.location + WIDTH * prior.spread * rng.standard_normal())
    truth |= NOISE
    for run in runs:
        _, location, spread, _ = SCALE_PRIORS[run.split("[")[0] + "[experiment]"]
        truth[run] = 10 ** (location + WIDTH * spread * rng.standard_normal())
    return {name: float(f"{value:.5g}") for name, value in truth.items()}


def signals(truth: Mapping[str, float], description: Mapping, rows: list[PlannedRow]) -> np.ndarray:
    """The noise-free signal of each row, in the network's units."""
    inputs = description["inputs"]
    factor = {n: conversion_factor(i["unit"], "nM", i["molar_mass"]) for n, i in inputs.items()}
    doses = list(dict.fromkeys((r.IL6, r.sIL6R) for r in rows))
    times = sorted({r.time for r in rows})
    inputs_off = dict.fromkeys(inputs, 0.0)
    protocols = []
    for dose in doses:
        add = {n: d * factor[n] for n, d in zip(inputs, dose, strict=True) if d > 0}
        steps = (Step(0.0, {}, add),) if add else ()
        protocols.append(Protocol(f"IL6 {dose[0]}, sIL6R {dose[1]}", inputs_off, steps))
    model = load_model(description["model"])
    observed = {name: o["signal"] for name, o in description["observables"].items()}
    parameters = description["fixed"] | {n: truth[n] for n in ESTIMATED}
    result = simulate(
        model, parameters, protocols, times,
        observe=tuple(observed.values()), settings=Settings(rtol=1e-10, atol=1e-12, max_steps=100_000),
    )  # fmt: skip
    if np.any(np.asarray(result.status) != 0):
        raise RuntimeError(f"the simulation at the truth failed: {np.asarray(result.status)}")
    values = {n: np.asarray(result.observed[f]) for n, f in observed.items()}
    return np.array([values[r.observable][doses.index((r.IL6, r.sIL6R)), times.index(r.time)] for r in rows])


def noisy(
    truth: Mapping[str, float], description: Mapping, rows: list[PlannedRow], signal: np.ndarray, noise: np.ndarray
) -> Iterator[dict[str, object]]:
    """The table's rows; values and standard deviations of copy numbers in molecules."""
    molecules = conversion_factor("zmol/cell", "molecules/cell")
    for row, u, e in zip(rows, signal, noise, strict=True):
        observable, sd, unit = description["observables"][row.observable], "", "au"
        scale = truth.get(scale_of(description, row) or "", 1.0)
        if observable["assay"] == "blot":
            value = scale * (u + math.hypot(truth["sd_blot"], truth["sd_rel_blot"] * u) * e)
        elif observable["assay"] == "qpcr":
            value = scale * u * 10 ** (truth["sd_qpcr"] * e)
        else:
            unit = "molecules/cell" if observable["assay"] == "copy_number" else observable["unit"]
            u = u * molecules if observable["assay"] == "copy_number" else u
            spread = float(f"{RELATIVE_SD[row.observable] * u:.3g}")
            value, sd = u + spread * e, f"{spread:.3g}"
        inputs = {"IL6": f"{row.IL6:g}", "sIL6R": f"{row.sIL6R:g}", "time": f"{row.time:g}"}
        yield row._asdict() | inputs | {"value": f"{value:.5g}", "unit": unit, "sd": sd}


def scale_of(description: Mapping, row: PlannedRow) -> str | None:
    observable = description["observables"][row.observable]
    if observable["assay"] not in ("blot", "qpcr"):
        return None
    return f"scale_{observable.get('scale_group', row.observable)}[{row.experiment}]"


def priors() -> Iterator[dict[str, object]]:
    """Kinetics from the literature; noise and scales wide."""
    known = literature()
    for name in ESTIMATED:
        p = known[name]
        assert p.prior is not None
        numbers = {"location": repr(p.prior.location), "scale": repr(p.prior.spread)}
        yield {"parameter": name, "unit": p.unit, "distribution": "lognormal", **numbers, "note": p.source}
    for name, (unit, scale, note) in NOISE_PRIORS.items():
        yield {"parameter": name, "unit": unit, "distribution": "half_normal", "scale": scale, "note": note}
    for name, (unit, location, spread, note) in SCALE_PRIORS.items():
        numbers = {"location": location, "scale": spread}
        yield {"parameter": name, "unit": unit, "distribution": "log10_normal", **numbers, "note": note}


def write_table(path: Path, columns: Iterable[str], rows: Iterable[Mapping[str, object]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, list(columns), restval="", lineterminator="\n")
        table.writeheader()
        table.writerows(rows)


def make_tables(folder: Path = HERE) -> None:
    """Writes `measurements.csv`, `priors.csv` and `truth.csv` into `folder`."""
    description = tomllib.loads((HERE / "problem.toml").read_text(encoding="utf-8"))
    key_truth, key_noise = np.random.SeedSequence(SEED).spawn(2)
    rows = list(planned_rows())
    scales = dict.fromkeys(s for r in rows if (s := scale_of(description, r)))
    truth = true_values(key_truth, scales)
    signal = signals(truth, description, rows)
    noise = np.random.default_rng(key_noise).standard_normal(len(rows))
    values = ({"parameter": n, "value": f"{v:g}"} for n, v in truth.items())
    write_table(folder / "truth.csv", ("parameter", "value"), values)
    write_table(folder / "measurements.csv", COLUMNS, noisy(truth, description, rows, signal, noise))
    write_table(folder / "priors.csv", ("parameter", "unit", "distribution", "location", "scale", "note"), priors())


if __name__ == "__main__":
    make_tables(Path(sys.argv[1]) if len(sys.argv) > 1 else HERE)
