"""Posteriors of A' = −k A with data of one's own: a decay, read directly and on gels."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
import sympy

from hexamer import Model, Problem, Protocol
from hexamer.data import Dataset, Measurement, Observable, Parameter, Prior
from hexamer.infer import find_map, sample, to_datatree
from hexamer.infer.optimisation.modes import find_modes
from hexamer.models import compile_network, read_antimony

TIMES = np.linspace(0.2, 6.0, 24)
GEL_TIMES = (0.5, 1.0, 2.0, 4.0)
SD = 0.1  # of the readings, and of the logarithms on gels


@cache
def _model() -> Model:
    return compile_network(read_antimony("model decay; k = 0.5; a0 = 2; species A = a0; J: A -> ; k*A; end"))


def decay_problem(*, gels: int = 0, k: Prior | None = None, noise: str = "normal", sd: str = "sd_A") -> Problem:
    """24 readings of A, and four on each of so many gels, whose scales are integrated out; all of value 1."""
    rows = [("A", float(t), ()) for t in TIMES]
    rows += [("gel", t, (f"scale_{g}",)) for g in range(gels) for t in GEL_TIMES]
    read = Observable("A", sympy.Symbol("A"), sympy.Symbol(sd) if sd == "sd_A" else sympy.Float(sd), noise=noise)
    on_gel = Observable(
        "gel", sympy.Symbol("scale") * sympy.Symbol("A"), sympy.Symbol("sd_gel"), ("scale",), scale="log"
    )
    parameters = {
        "k": Parameter("k", k or Prior("normal", "log", -0.7, 0.5), unit="1/min"),
        "a0": Parameter("a0", Prior("normal", "log", 0.7, 0.5)),
    }
    noises = (["sd_A"] if sd == "sd_A" else []) + (["sd_gel"] if gels else [])
    parameters |= {n: Parameter(n, Prior("normal", "log", float(np.log(SD)), 0.7)) for n in noises}
    parameters |= {f"scale_{g}": Parameter(f"scale_{g}", Prior("normal", "log", 0.0, 1.0)) for g in range(gels)}
    measurements = tuple(
        Measurement(o, "rest", t, 1.0, a, row=line, experiment=a[0].replace("scale", "gel") if a else "")
        for line, (o, t, a) in enumerate(rows, start=2)
    )
    observables = {"A": read} | ({"gel": on_gel} if gels else {})
    return Problem(_model(), Dataset("decay", observables, {"rest": Protocol("rest")}, measurements, parameters))


def readings(seed: int, course: Callable[[np.ndarray], np.ndarray] = lambda t: 2 * np.exp(-0.5 * t), gels: int = 0):
    """Readings of a course, and of gels with scales of their own."""
    rng = np.random.default_rng(seed)
    of_a = course(TIMES) + SD * rng.normal(size=len(TIMES))
    on_gels = [
        np.exp(rng.normal() + np.log(course(np.array(GEL_TIMES))) + SD * rng.normal(size=len(GEL_TIMES)))
        for _ in range(gels)
    ]
    return np.concatenate([of_a, *on_gels])


def posterior(problem: Problem, values: np.ndarray, *, warmup: int = 150, draws: int = 250, seed: int = 1):
    """Draws of the posterior of `values`, as a tree."""
    fitted = problem.with_data(values)
    start, _ = find_modes(fitted, find_map(fitted, starts=1, seed=seed, progress=False))
    found = sample(fitted, start, chains=4, warmup=warmup, draws=draws, seed=seed, progress=False)
    assert found is not None
    return to_datatree(fitted, found.z, found.stats, seed=seed, failures=found.failed)
