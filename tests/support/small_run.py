"""A small problem, and a run of it that a test can interrupt."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import sympy

from hexamer import Fused, Problem, Protocol, Settings
from hexamer.data import Dataset, Measurement, Observable, Parameter, Prior
from hexamer.infer import Curvature, Draws, sample
from hexamer.models import compile_network, read_antimony

MODEL = """
function drain(x, k)
  k*x/(1 + x);
end
model small()
  // a comment
  compartment cell = 2;
  species A in cell, B in cell;
  v = 1; k = 0.5; a0 = 2*v;
  A = a0; B = 0.25; x = 1; input = 0;
  x' = -v*x;
  total := A + B + x;
  J: A -> B; cell*drain(A, k) + input*A;
  unit nM = 1e-9 mole/litre;
  k has nM;
end
"""
SAMPLER = {"chains": 1, "warmup": 4, "draws": 6, "seed": 3, "chunk": 5}


def data(**changes) -> Dataset:
    """Readings of `total` and `B`, under two protocols, with a fixed and two sampled parameters."""
    total, b, noise = sympy.symbols("total B noise")
    rows = [
        ("total", "idle", 1.0, 3.0),
        ("B", "idle", 2.0, 0.6),
        ("total", "driven", 1.0, 2.8),
        ("B", "driven", 3.0, 1),
    ]
    content = {
        "name": "small",
        "observables": {"total": Observable("total", total, noise), "B": Observable("B", b, noise)},
        "protocols": {"idle": Protocol("idle"), "driven": Protocol("driven").set(input=0.3, at=0.5)},
        "measurements": tuple(Measurement(o, p, t, v, row=i) for i, (o, p, t, v) in enumerate(rows, start=1)),
        "parameters": {
            "k": Parameter("k", Prior("normal", "log", -0.7, 0.5), 0.5),
            "noise": Parameter("noise", Prior("half_normal", spread=0.3)),
            "v": Parameter("v", value=1.0),
        },
    }
    return Dataset(**{**content, **changes})


def problem(*edits: tuple[str, str], settings: dict | None = None, **changes) -> Problem:
    text = MODEL
    for old, new in edits:
        assert old in text
        text = text.replace(old, new)
    options = {"solver": Fused(), **(settings or {})}
    return Problem(compile_network(read_antimony(text)), data(**changes), settings=Settings(**options))


def start_of(made: Problem) -> Curvature:
    count = len(made.space)
    return Curvature(np.zeros(count), np.eye(count), 0.1 * np.eye(count), np.ones(count))


def run(made: Problem, out: Path, **sampler) -> Draws:
    found = sample(made, start_of(made), out=out, progress=False, **{**SAMPLER, **sampler})
    assert found is not None
    return found
