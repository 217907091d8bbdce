"""A card's arithmetic: what it can do in one precision, measured, and what the fused engine asks of it."""

import time
from collections.abc import Mapping
from typing import Any

import numpy as np

from hexamer.models.solvers.fused.codegen.model_source import Functions
from hexamer.models.solvers.fused.compilation import quiet, warp

STAGES, EARLY = 8, 5  # of them before `ADDED` of rodas5p.h
CHAINS, ROUNDS = 16, 4096  # multiply-adds of a thread that do not wait for each other, and rounds of them
BODY = """
typedef decltype(a) T;
T x[{chains}];
for (int i = 0; i < {chains}; i++) x[i] = a + T(i + thread);
for (int n = 0; n < {rounds}; n++)
  for (int i = 0; i < {chains}; i++) x[i] = fma(x[i], a, b);
T sum = T(0);
for (int i = 0; i < {chains}; i++) sum += x[i];
out.data[thread] = sum;
"""


def measured_peak(device: Any, precision: str, threads: int = 1 << 20, repeats: int = 5) -> float:
    """Operations a second, a multiply-add counted as two: the best of some launches of nothing else."""
    wp = warp()
    kind = {"float64": wp.float64, "float32": wp.float32}[precision]
    numbers = wp.array(dtype=kind)

    @wp.func_native(BODY.format(chains=CHAINS, rounds=ROUNDS))
    def multiply_add(a: kind, b: kind, thread: int, out: numbers): ...  # pyright: ignore[reportInvalidTypeForm]

    @wp.kernel(module="unique", enable_backward=False)
    def busy(a: kind, b: kind, out: numbers):  # pyright: ignore[reportInvalidTypeForm]
        multiply_add(a, b, wp.tid(), out)  # pyright: ignore[reportArgumentType]

    with quiet(wp):
        out = wp.empty(threads, dtype=kind, device=device)
        seconds = []
        for _ in range(repeats + 1):
            wp.synchronize_device(device)
            began = time.perf_counter()
            wp.launch(busy, dim=threads, inputs=[0.999, 0.001, out], device=device)
            wp.synchronize_device(device)
            seconds.append(time.perf_counter() - began)
        assert np.all(np.isfinite(out.numpy()))
    return 2.0 * CHAINS * ROUNDS * threads / min(seconds[1:])


def operations(functions: Functions) -> Mapping[str, int]:
    """Operations of one step forward and of one step back, counted in the generated code and in rodas5p.h's loops.

    A division, a power or an exponential counts as one, as an addition does; so the share of a peak is a lower bound.
    """
    cost, n = functions.operations, functions.sizes["SPECIES"]
    triangle = STAGES * (STAGES - 1) // 2  # pairs of stages
    early = EARLY * (EARLY - 1) // 2  # of those whose weights differ
    stages = cost["jacobian"] + cost["factorise"] + STAGES * (cost["rates"] + cost["solve"] + 2 * n) + 4 * triangle * n
    forward = stages + 9 * n  # and the new state, the error and its norm
    pulls = STAGES * (cost["solve_transposed"] + cost["pull_rates"] + cost["add_outer"] + 5 * n)
    back = stages + pulls + (2 * early + 2 * triangle) * n + 2 * triangle * n + cost["pull_jacobian"]
    return {"forward": forward, "back": back}
