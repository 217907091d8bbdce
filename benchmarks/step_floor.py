"""What a step of the fused engine costs beside the arithmetic in it: nanoseconds for as many trajectories as lanes.

    python -m benchmarks.step_floor --json FILE [--models MODEL …]

The floor is the same straight-line C compiled alone, in a loop with nothing else in it: Jacobian, factors and eight
stages forward, their adjoint backward. The engine's own times are of whole batches on one thread, over the steps that
its lanes took: with step control, outputs, the record, and what lanes lose that wait for others.
"""

import argparse
import json
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from hexamer import Fused, Model, Protocol, Settings
from hexamer.models import load_model
from hexamer.models.compiled.plan import compile_plan
from hexamer.models.solvers.dispatch import solve
from hexamer.models.solvers.fused.codegen.model_source import write_functions
from hexamer.models.solvers.fused.compilation import OPTIONS, quiet, warp
from hexamer.models.solvers.fused.cpu import NARROW, WIDE
from hexamer.models.solvers.fused.source import engine_source

from .measures import machine

STEPS = 20_000
TURNS = 60
IN_A_ROW = 10
DIRECTIONS = ("forward", "back")
FLOOR = """
@ENGINE@
struct Floor : Engine {
static void run(const double* x, double* out, int64 back)
{
  real y[SPECIES], q[COEFFICIENTS], p[PARAMETERS], w[FACTORS], k[STAGES * SPECIES], s[SPECIES];
  real lambda[SPECIES], q_bar[COEFFICIENTS];
  for (int n = 0; n < SPECIES; n++) y[n] = real_of(x[n]), lambda[n] = real_of(1.0);
  for (int i = 0; i < PARAMETERS; i++) p[i] = real_of(x[SPECIES + i]);
  for (int i = 0; i < COEFFICIENTS; i++) q_bar[i] = real_of(0.0);
  coefficients(p, q);
  const real h = real_of(1e-3);
  stages(y, q, h, w, k, s);
  for (int64 i = 0; i < @STEPS@; i++) {
    if (back) {
      step_adjoint(y, q, h, k, (const real*)0, lambda, q_bar);
    } else {
      stages(y, q, h, w, k, s);
      for (int n = 0; n < SPECIES; n++) y[n] = s[n] + k[(STAGES - 1) * SPECIES + n];
    }
  }
  out[0] = AT(y[0], 0) + AT(lambda[0], 0);
}
};
"""


def least(calls: Sequence[Callable[[], Any]]) -> list[float]:
    """Least seconds of each call. Work of others on the machine only ever adds, and in turns it meets all alike.

    A turn makes a call several times in a row, so that caches are warm and threads awake.
    """
    turns = [[min(_seconds(call) for _ in range(IN_A_ROW)) for call in calls] for _ in range(TURNS)]
    return [min(column) for column in zip(*turns, strict=True)]


def _seconds(call: Callable[[], Any]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def floor(model: Model, lanes: int, *, back: bool) -> Callable[[], object]:
    """A call that takes `STEPS` steps of the bare arithmetic, for `lanes` trajectories."""
    wp = warp()
    engine = engine_source(write_functions(model), lanes, keep_stages=lanes == NARROW)
    source = FLOOR.replace("@ENGINE@", engine).replace("@STEPS@", str(STEPS))
    numbers = wp.array(dtype=wp.float64)

    @wp.func_native(f"{source}\nFloor::run(x.data, y.data, {int(back)});")
    def call(x: numbers, y: numbers): ...  # pyright: ignore[reportInvalidTypeForm]

    @wp.kernel(module="unique", enable_backward=False, module_options=OPTIONS)
    def launch(x: numbers, y: numbers):  # pyright: ignore[reportInvalidTypeForm]
        call(x, y)

    start = np.asarray(model.initial(jnp.asarray(model.defaults)))
    with quiet(wp):
        inputs = wp.array(np.concatenate([start, model.defaults]), dtype=wp.float64, device="cpu")
        out = wp.zeros(1, dtype=wp.float64, device="cpu")
        wp.launch(launch, dim=1, inputs=[inputs, out], device="cpu")
    return lambda: wp.launch(launch, dim=1, inputs=[inputs, out], device="cpu")


def engine(model: Model, lanes: int) -> tuple[Callable[[], object], Callable[[], object], float]:
    """A call for values and one for gradients, in lanes always full of like trajectories; the steps of a lane."""
    times = np.linspace(0.0, 180.0, 12).tolist()
    plan = compile_plan(model, [Protocol()], [times], model.parameters)
    sets = lanes if lanes == NARROW else 8 * lanes
    values = jnp.asarray(model.defaults * np.exp(1e-3 * np.random.default_rng(0).normal(size=(sets, 1))))
    run = jax.vmap(partial(solve, model, plan, Settings(Fused(threads=1)), small_batch=lanes == NARROW))
    forward = jax.jit(run)
    steps = float(jnp.sum(forward(values).steps)) / lanes
    gradient = jax.jit(jax.grad(lambda v: jnp.sum(run(v).y)))
    return (
        lambda: jax.block_until_ready(forward(values)),
        lambda: jax.block_until_ready(gradient(values)),
        steps,
    )


def measure(model: Model, lanes: int) -> tuple[list[float], list[float]]:
    """Seconds a step, forward and back: of the engine, and of the bare arithmetic."""
    value, gradient, steps = engine(model, lanes)
    one, both, *alone = least([value, gradient, floor(model, lanes, back=False), floor(model, lanes, back=True)])
    return [one / steps, (both - one) / steps], [seconds / STEPS for seconds in alone]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--models", nargs="+", default=["hepg2_core", "il6_stat3"])
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    rows = []
    print(
        "model         lanes  forward: engine   floor  ratio    back: engine   floor  ratio   (ns a step of all lanes)"
    )
    for name in arguments.models:
        model = load_model(name)
        for lanes in (NARROW, WIDE):
            whole, alone = measure(model, lanes)
            row = {"model": name, "lanes": lanes, "species": len(model.species)}
            for i, direction in enumerate(DIRECTIONS):
                row |= {f"{direction}_ns": 1e9 * whole[i], f"{direction}_floor_ns": 1e9 * alone[i]}
                row[f"{direction}_ratio"] = whole[i] / alone[i]
            rows.append(row)
            cells = (f"{row[f'{d}_ns']:15.0f} {row[f'{d}_floor_ns']:7.0f} {row[f'{d}_ratio']:6.2f}" for d in DIRECTIONS)
            print(f"{name:13} {lanes:5} ", *cells, flush=True)
    if arguments.json:
        arguments.json.write_text(json.dumps({"machine": machine(), "rows": rows}, indent=1, allow_nan=False) + "\n")


if __name__ == "__main__":
    main()
