"""How robust what IL-6 does is to the constants: the share of prior draws under which each behaviour shows.

    python -m benchmarks.behaviours --draws 200 --json benchmarks/results/behaviours.json

Every constant is drawn lognormal around its nominal value, all at once, with the given log-sd; volumes stay, and what
is 0 nominally. The behaviours are those that test_il6_behaviours.py, test_drugs.py and test_pathways.py of
tests/models/library hold at the nominal values, with their sources.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import jax.numpy as jnp
import numpy as np

from hexamer.models import Model, Protocol, Settings, Status, il6, simulate

MASS = {
    "IL6": 21.0, "sIL6R": 52.5, "HyperIL6": 60.0, "sgp130": 100.0, "sgp130Fc": 195.0,
    "tocilizumab": 147.5, "siltuximab": 147.5, "ruxolitinib": 0.3064,
}  # fmt: skip
DRUGS = ("siltuximab", "tocilizumab", "sgp130Fc", "ruxolitinib")
TIMES = np.append(np.arange(0.0, 121.0, 2.0), 1e4)  # the last one for equilibria
AT_20 = 10
DOSES = (0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 20.0, 50.0, 100.0, 300.0, 1000.0)  # ng/ml
SIL6R = (0.0, 50.0, 100.0, 1000.0)
SGP130 = (0.0, 30.0, 100.0, 300.0, 1000.0, 3000.0)
RUXOLITINIB = (0.03, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 500.0, 3000.0)  # nM
GENES = ("mMYC", "mIL6ST", "mBCL3", "mJUNB", "mPIM1", "mFGB", "mHAMP", "mSAA1")
OBSERVED = ("pSTAT3_total", "STAT3_all", "gp130_all", "tri", "pERK_total", "pAkt_total")
BINDING = (
    *("k_jak", "k_dea", "k_int", "k_rec", "k_lys", "k_shed"),
    *("k_deg_IL6R", "k_deg_gp130", "k_deg_SOCS3", "k_clear_sIL6R"),
)

Mixture = tuple[tuple[str, float], ...]


def mixture(**ng_per_ml: float) -> Mixture:
    return tuple(sorted((n, v) for n, v in ng_per_ml.items() if v > 0))


SERUM = mixture(IL6=0.01, sIL6R=178, sgp130=25)  # of the healthy, with 10 pg/ml IL-6


def protocol(doses: Mixture) -> Protocol:
    made = Protocol.equilibrated(" + ".join(f"{n} {v:g}" for n, v in doses) or "nothing")
    for name, amount in doses:
        made = made.add(name, amount / MASS[name])
    return made


@dataclass(frozen=True)
class Cell:
    """A kind of cell, and what is done to it: changes of parameters, as factors of the draws, and doses in ng/ml."""

    factors: Mapping[str, float]
    doses: tuple[Mixture, ...]


CELLS = {
    "nominal": Cell(
        {},
        (
            mixture(),
            *(mixture(IL6=d) for d in DOSES),
            *(mixture(IL6=10, sIL6R=100, sgp130Fc=f) for f in (0, 10_000)),
            mixture(IL6=10, sgp130Fc=10_000),
            *(mixture(**{"IL6": 10.0, drug: 50_000.0}) for drug in ("tocilizumab", "siltuximab")),
            *(mixture(HyperIL6=d) for d in (10, 100)),
            *(mixture(**{"HyperIL6": 10.0, drug: 50_000.0}) for drug in ("tocilizumab", "siltuximab")),
            SERUM,
            *(mixture(IL6=10, ruxolitinib=d * MASS["ruxolitinib"]) for d in RUXOLITINIB),
        ),
    ),
    "without IL6R": Cell(
        {"IL6R_0": 0.0},
        (
            mixture(),
            *(mixture(IL6=d) for d in DOSES),
            *(mixture(IL6=d, sIL6R=1000) for d in (10, 100, 1000)),
            *(mixture(HyperIL6=d) for d in (10, 100, 1000)),
            *(mixture(IL6=10, sIL6R=100, **more) for more in ({}, {"sgp130Fc": 10_000.0}, {"tocilizumab": 50_000.0},
                                                            {"siltuximab": 50_000.0})),
            *(mixture(IL6=10, sIL6R=100, sgp130=g) for g in SGP130),
            *(mixture(IL6=d, sIL6R=100, sgp130=g) for g in (0, 1000) for d in DOSES),
        ),
    ),
    "few IL6R": Cell({"IL6R_0": 0.02}, (mixture(), *(mixture(IL6=d, sIL6R=s) for s in (0, 1000) for d in DOSES))),
    "without SOCS3": Cell({"k_tl": 0.0}, (mixture(), *(mixture(IL6=d) for d in (10, 20, 50)))),
    "without gp130 turnover": Cell({"k_deg_gp130": 0.0, "k_lys": 0.0}, (mixture(IL6=10), mixture(IL6=100))),
    "binding alone": Cell(dict.fromkeys(BINDING, 0.0), tuple(mixture(IL6=d) for d in (0.3, 10, 1000))),
}  # fmt: skip


@dataclass(eq=False)
class Laboratory:
    """All cells under all their protocols, for every draw; a kind of cell is simulated when it is first asked for."""

    model: Model
    values: Mapping[str, np.ndarray]
    settings: Settings = field(default_factory=lambda: Settings(max_steps=20_000))
    failed: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._done: dict[str, tuple[np.ndarray, dict[str, np.ndarray]]] = {}

    def _run(self, kind: str) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        if kind not in self._done:
            cell = CELLS[kind]
            values = {n: jnp.asarray(v * cell.factors.get(n, 1.0)) for n, v in self.values.items()}
            protocols = [protocol(d) for d in dict.fromkeys(cell.doses)]
            out = simulate(self.model, values, protocols, TIMES, observe=OBSERVED, settings=self.settings)
            for status in np.asarray(out.status)[np.asarray(out.status) != Status.OK]:
                label = Status(int(status)).label
                self.failed[label] = self.failed.get(label, 0) + 1
            self._done[kind] = np.asarray(out.y), {n: np.asarray(v) for n, v in out.observed.items()}
        return self._done[kind]

    def __call__(self, what: str, kind: str = "nominal", doses: Mixture = ()) -> np.ndarray:
        """Courses of a species or observable, draws × times; NaN if the solve failed."""
        y, observed = self._run(kind)
        column = list(dict.fromkeys(CELLS[kind].doses)).index(doses)
        return observed[what][:, column] if what in observed else y[:, column, :, self.model.index(what)]

    def course(self, what: str, kind: str = "nominal", doses: Mixture = ()) -> np.ndarray:
        """The first two hours."""
        return self(what, kind, doses)[:, :-1]

    def response(self, kind: str = "nominal", **ng_per_ml: float) -> np.ndarray:
        """pSTAT3 at 20 min above that of untreated cells, a draw each."""
        base = self("pSTAT3_total", kind if kind in ("without IL6R", "few IL6R") else "nominal", mixture())
        return (self("pSTAT3_total", kind, mixture(**ng_per_ml)) - base)[:, AT_20]

    @cached_property
    def largest(self) -> np.ndarray:
        return np.max([self.response(IL6=d) for d in DOSES], axis=0)


def peak(course: np.ndarray) -> np.ndarray:
    return TIMES[np.argmax(course, axis=1)]


def half_dose(responses: np.ndarray) -> np.ndarray:
    """EC50 of each row of `responses`, draws × DOSES, by interpolation on the logarithm of the dose."""
    logs = np.log(DOSES)
    log_doses = [np.interp(0.5 * r[-1], np.maximum.accumulate(r), logs) if np.isfinite(r).all() else np.nan
             for r in responses]  # fmt: skip
    return np.exp(log_doses)


def overshoot(lab: Laboratory, d: float) -> np.ndarray:
    course = lab.course("pSTAT3_total", doses=mixture(IL6=d))
    at = peak(course)
    return (at >= 15) & (at <= 45) & (course[:, -1] < 0.6 * course.max(1))


def binding(lab: Laboratory) -> np.ndarray:
    holds = np.ones(len(lab.largest), bool)
    for d in (0.3, 10, 1000):
        names = ("IL6", "IL6R", "IL6_IL6R", "gp130", "triC", "hexC", "tri")
        at = {n: lab(n, "binding alone", mixture(IL6=d))[:, -1] for n in names}
        kd1 = at["IL6"] * at["IL6R"] / at["IL6_IL6R"] / lab.values["Kd1"]
        kd2 = at["IL6_IL6R"] * at["gp130"] / at["triC"] / lab.values["Kd2"]
        holds &= (np.abs(kd1 - 1) < 0.01) & (np.abs(kd2 - 1) < 0.01)
    return holds


def surface_affinity(lab: Laboratory) -> np.ndarray:
    """IL-6 that half fills the surface, between 5 and 100 pM, at low dose."""
    names = ("IL6", "IL6R", "IL6_IL6R", "triC", "hexC")
    at = {n: lab(n, "binding alone", mixture(IL6=0.3))[:, -1] for n in names}
    apparent = at["IL6"] * at["IL6R"] / (at["IL6_IL6R"] + at["triC"] + at["hexC"])
    return (apparent > 0.005) & (apparent < 0.1)


def trans_alone(lab: Laboratory) -> np.ndarray:
    silent = np.all([np.abs(lab.response("without IL6R", IL6=d)) < 0.01 * lab.largest for d in DOSES], axis=0)
    trans = np.max([lab.response("without IL6R", IL6=d, sIL6R=1000) for d in (10, 100, 1000)], axis=0)
    hyper = np.max([lab.response("without IL6R", HyperIL6=d) for d in (10, 100, 1000)], axis=0)
    return silent & (trans >= 0.8 * lab.largest) & (hyper >= 0.8 * lab.largest)


def fc_spares_classic(lab: Laboratory) -> np.ndarray:
    blocked = lab.response("without IL6R", IL6=10, sIL6R=100, sgp130Fc=10_000)
    trans = blocked < 0.05 * lab.response("without IL6R", IL6=10, sIL6R=100)
    return trans & (lab.response(IL6=10, sgp130Fc=10_000) > 0.9 * lab.response(IL6=10))


def fc_traps_with_excess(lab: Laboratory) -> np.ndarray:
    return lab.response(IL6=10, sIL6R=100, sgp130Fc=10_000) < 0.7 * lab.response(IL6=10, sIL6R=100)


def antibody(lab: Laboratory, drug: str) -> np.ndarray:
    classic = lab.response("nominal", **{"IL6": 10.0, drug: 50_000.0}) < 0.1 * lab.response(IL6=10)
    trans = lab.response("without IL6R", **{"IL6": 10.0, "sIL6R": 100.0, drug: 50_000.0})
    return classic & (trans < 0.1 * lab.response("without IL6R", IL6=10, sIL6R=100))


def sigmoid(lab: Laboratory) -> np.ndarray:
    responses = np.stack([lab.response(IL6=d) for d in DOSES], axis=1)
    half = half_dose(responses)
    return np.all(np.diff(responses, axis=1) > 0, axis=1) & (half > 0.5) & (half < 20)


def knockout(lab: Laboratory, d: float) -> np.ndarray:
    wild = lab.course("pSTAT3_total", doses=mixture(IL6=d))
    without = lab.course("pSTAT3_total", "without SOCS3", mixture(IL6=d))
    return (without[:, -1] > 2 * wild[:, -1]) & (without[:, -1] >= 0.6 * without.max(1))


def order_of_peaks(lab: Laboratory, d: float) -> np.ndarray:
    message, stat3 = (peak(lab.course(n, doses=mixture(IL6=d))) for n in ("mSOCS3", "pSTAT3_total"))
    return (message >= 30) & (message <= 90) & (message > stat3)


def erk(lab: Laboratory, d: float) -> np.ndarray:
    at = peak(lab.course("pERK_total", doses=mixture(IL6=d)))
    return (at >= 5) & (at <= 20)


def akt(lab: Laboratory, d: float) -> np.ndarray:
    course = lab.course("pAkt_total", doses=mixture(IL6=d))
    rise = course - course[:, :1]
    return (rise.max(1) > course[:, 0]) & (rise[:, -1] < 0.5 * rise.max(1))


def genes(lab: Laboratory) -> np.ndarray:
    folds = np.stack([(c := lab(n, doses=mixture(IL6=50))).max(1) / c[:, 0] for n in GENES], axis=1)
    return (folds.min(1) > 2) & (folds.max(1) > 50)


def totals(lab: Laboratory) -> np.ndarray:
    holds = np.ones(len(lab.largest), bool)
    for d in (10, 100):
        for what, kind in (("STAT3_all", "nominal"), ("gp130_all", "without gp130 turnover")):
            course = lab(what, kind, mixture(IL6=d))
            holds &= np.all(np.abs(course / course[:, :1] - 1) < 1e-8, axis=1)
    return holds


def ruxolitinib(lab: Laboratory) -> np.ndarray:
    free = lab.response(IL6=10)
    left = np.stack([lab.response(IL6=10, ruxolitinib=d * MASS["ruxolitinib"]) for d in RUXOLITINIB], axis=1)
    at = {d: left[:, i] for i, d in enumerate(RUXOLITINIB)}
    return np.all(np.diff(left, axis=1) < 0, axis=1) & (at[3.0] > 0.5 * free) & (at[500.0] < 0.5 * free)


def sgp130_blocks(lab: Laboratory) -> np.ndarray:
    left = np.stack([lab.response("without IL6R", IL6=10, sIL6R=100, sgp130=g) for g in SGP130], axis=1)
    halves = [half_dose(np.stack([lab.response("without IL6R", IL6=d, sIL6R=100, sgp130=g) for d in DOSES], axis=1))
              for g in (0, 1000)]  # fmt: skip
    return np.all(np.diff(left, axis=1) < 0, axis=1) & (halves[1] > halves[0])


def free_in_serum(lab: Laboratory) -> np.ndarray:
    free, bound, buffered = (lab(n, doses=SERUM)[:, -2] for n in ("IL6", "IL6_sIL6R", "IL6_sIL6R_sgp130"))
    return free > bound + buffered


def sil6r_sensitises(lab: Laboratory) -> np.ndarray:
    halves = [half_dose(np.stack([lab.response("few IL6R", IL6=d, sIL6R=s) for d in DOSES], axis=1)) for s in (0, 1000)]
    return halves[1] < halves[0]


BEHAVIOURS: dict[str, Callable[[Laboratory], np.ndarray]] = {
    "1 pSTAT3 peaks at 15-45 min and falls below 60% (10 ng/ml)": lambda lab: overshoot(lab, 10),
    "1 the same at 50 ng/ml": lambda lab: overshoot(lab, 50),
    "2 binding reproduces its constants": binding,
    "2 apparent surface affinity 5-100 pM": surface_affinity,
    "3 cells without IL6R answer to trans-signalling alone": trans_alone,
    "4 sgp130Fc blocks trans-, spares classic signalling": fc_spares_classic,
    "4b with sIL-6R in excess it inhibits classic signalling": fc_traps_with_excess,
    "5 tocilizumab blocks both arms": lambda lab: antibody(lab, "tocilizumab"),
    "5 siltuximab blocks both arms": lambda lab: antibody(lab, "siltuximab"),
    "5 tocilizumab spares Hyper-IL-6": lambda lab: (
        lab.response(HyperIL6=10, tocilizumab=50_000) > 0.9 * lab.response(HyperIL6=10)
    ),
    "5 siltuximab spares Hyper-IL-6, by assumption": lambda lab: (
        lab.response(HyperIL6=10, siltuximab=50_000) > 0.9 * lab.response(HyperIL6=10)
    ),
    "6 dose response rises, EC50 0.5-20 ng/ml": sigmoid,
    "7 without SOCS3 pSTAT3 stays up (10 ng/ml)": lambda lab: knockout(lab, 10),
    "7 the same at 50 ng/ml": lambda lab: knockout(lab, 50),
    "8 SOCS3 mRNA peaks at 30-90 min, after pSTAT3 (10 ng/ml)": lambda lab: order_of_peaks(lab, 10),
    "8 the same at 50 ng/ml": lambda lab: order_of_peaks(lab, 50),
    "8 pERK peaks at 5-20 min (10 ng/ml)": lambda lab: erk(lab, 10),
    "8 the same of pERK at 50 ng/ml": lambda lab: erk(lab, 50),
    "8 pAkt is transient": lambda lab: akt(lab, 10),
    "9 genes change from more than 2 to more than 50 fold": genes,
    "10 totals are constant within 1e-8": totals,
    "11 ruxolitinib: monotone, IC50 3-500 nM": ruxolitinib,
    "12 sgp130 lowers the trans response and raises the EC50": sgp130_blocks,
    "12 most IL-6 in serum is free": free_in_serum,
    "12 sIL-6R lowers the EC50 of cells with few IL6R": sil6r_sensitises,
}


def draw(model: Model, count: int, log_sd: float, seed: int) -> dict[str, np.ndarray]:
    """Lognormal draws of all constants that are above 0, volumes apart; the first is the nominal one."""
    rng = np.random.default_rng(seed)
    assert model.network is not None
    values = {}
    for name, nominal in zip(model.parameters, model.defaults, strict=True):
        if nominal > 0 and name not in model.network.compartments:
            spread = np.exp(log_sd * rng.standard_normal(count))
            values[name] = nominal * np.concatenate([[1.0], spread])
    return values


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--draws", type=int, default=200)
    parser.add_argument("--log-sd", type=float, default=0.3)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    model = il6("il6_full", drugs=DRUGS)
    lab = Laboratory(model, draw(model, arguments.draws, arguments.log_sd, arguments.seed))
    began, rows = time.perf_counter(), {}
    print(f"{model.name}: {len(model.species)} species, {len(lab.values)} constants drawn, log-sd {arguments.log_sd}")
    print(f"{'behaviour':<62} nominal   of {arguments.draws} draws")
    for name, check in BEHAVIOURS.items():
        with np.errstate(invalid="ignore"):
            holds = check(lab)
        rows[name] = {"nominal": bool(holds[0]), "draws": int(holds[1:].sum())}
        print(f"{name:<62} {'yes' if holds[0] else 'NO':>7} {rows[name]['draws']:>9}")
    seconds = time.perf_counter() - began
    trajectories = sum(len(dict.fromkeys(c.doses)) for c in CELLS.values()) * (arguments.draws + 1)
    print(f"{trajectories} trajectories, failed: {lab.failed or 'none'}; {seconds:.0f} s with compiling")
    if arguments.json:
        content = {"draws": arguments.draws, "log_sd": arguments.log_sd, "seed": arguments.seed, "model": model.name,
                   "trajectories": trajectories, "failed": lab.failed, "behaviours": rows}  # fmt: skip
        arguments.json.write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
