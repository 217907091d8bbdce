"""What the fused engine costs as networks grow: operations, seconds to compile, time of a step, and its error.

    python -m benchmarks.scaling --json benchmarks/results/scaling.json

Networks are those of `benchmarks.networks`. Each is measured in a process of its own whose kernel cache is empty, then
in a second one that finds it filled. Errors are largest ones, relative, over draws: of all outputs against Kvaerno5,
and of the gradient against diffrax's Rodas5P, both at rtol 1e-9.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import diffrax

from hexamer import Diffrax, Fused

from .measures import Row, answer_of, module, peak_memory_mb

if TYPE_CHECKING:
    import jax

    from hexamer import Model

SIZES = (20, 40, 70, 100)
SETS = 64  # of parameters, one trajectory each, on one thread
CHECKED = 4  # of them, against diffrax
TIMES = (1.0, 5.0, 20.0, 60.0)
DOSE = 5.0


def work(species: int, repeats: int, *, check: bool) -> Row:
    """One network, measured with the kernel cache as it is."""
    import jax
    import jax.numpy as jnp

    from hexamer import Protocol, Settings, simulate
    from hexamer.models import Status, compile_network, read_antimony

    from .gradient_worker import compiled, timed
    from .networks import signalling

    model = compile_network(read_antimony(signalling(species)))
    row = building(model)
    protocol = Protocol.equilibrated().add("L_0", DOSE)
    names = [n for n, v in zip(model.parameters, model.defaults, strict=True) if v > 0]
    centre = jnp.log(jnp.array([v for v in model.defaults if v > 0]))
    z = centre + 0.2 * jax.random.normal(jax.random.key(0), (SETS, len(names)))

    def outputs(settings: Settings):
        def read(z):
            out = simulate(model, dict(zip(names, jnp.exp(z), strict=True)), protocol, TIMES, settings=settings)
            return jnp.mean(jnp.log1p(out.y) ** 2), out

        return jax.vmap(lambda z: read(z)[1]), jax.vmap(jax.grad(lambda z: read(z)[0]))

    forward, gradient = outputs(Settings(Fused(threads=1)))
    (forward, forward_s), (gradient, gradient_s) = compiled(forward, z), compiled(gradient, z)
    out = forward(z)
    steps = int(out.steps.sum())
    load = os.getloadavg()[0]
    forward_ms, forward_min, _, _ = timed(forward, z, repeats)
    gradient_ms, gradient_min, _, _ = timed(gradient, z, repeats)
    row |= {
        "xla_forward_s": forward_s,
        "xla_gradient_s": gradient_s,
        "trajectories": SETS,
        "failed": int((out.status != Status.OK).sum()),
        "steps_mean": steps / SETS,
        "forward_us_a_step": 1e3 * forward_ms / steps,
        "forward_us_a_step_min": 1e3 * forward_min / steps,
        "gradient_us_a_step": 1e3 * gradient_ms / steps,
        "gradient_us_a_step_min": 1e3 * gradient_min / steps,
        "load_average": load,
    }
    if check:
        row |= errors(outputs, z, out.y, gradient)
    return row | {"peak_memory_mb": peak_memory_mb()}


def building(model: Model) -> Row:
    """The size of a network and of its code, and the seconds that writing and compiling it take."""
    from hexamer.models.solvers.fused.codegen.model_source import write_functions
    from hexamer.models.solvers.fused.compilation import build, warp
    from hexamer.models.solvers.fused.cpu import NARROW, WIDE

    assert model.network is not None
    functions = write_functions(model)
    warp()
    return {
        "species": len(model.species),
        "reactions": len(model.network.reactions),
        "parameters": len(model.parameters),
        "jacobian_entries": functions.sizes["ENTRIES_USED"],
        "factors": functions.sizes["FACTORS"],
        "operations": dict(functions.operations),
        "operations_in_all": sum(functions.operations.values()),
        **seconds("write", write_functions, model),
        **seconds("build_narrow", build, model, NARROW),
        **seconds("build_wide", build, model, WIDE),
    }


def seconds(name: str, function: Callable, *arguments: Any) -> Row:
    """Wall and processor time: on a busy machine only the second says what a thing costs."""
    began, cpu = time.perf_counter(), time.process_time()
    function(*arguments)
    return {f"{name}_s": time.perf_counter() - began, f"{name}_cpu_s": time.process_time() - cpu}


def errors(outputs: Callable, z: jax.Array, values: jax.Array, gradient: Callable) -> Row:
    """Largest relative errors of the fused engine's values and gradients, against diffrax at tight tolerances.

    `outputs` makes the functions of values and of gradients under given settings.
    """
    import jax
    import jax.numpy as jnp

    from hexamer import Settings

    tight = {"rtol": 1e-9, "atol": 1e-11, "max_steps": 100_000}
    sample = z[:CHECKED]
    y = jax.jit(outputs(Settings(Diffrax(diffrax.Kvaerno5()), **tight))[0])(sample).y
    g = jax.jit(outputs(Settings(Diffrax(), **tight))[1])(sample)
    largest = jnp.max(jnp.abs(y), axis=(1, 2), keepdims=True)
    value_error = float(jnp.max(jnp.abs(values[:CHECKED] - y) / (largest + 1e-9)))
    off = jnp.linalg.norm(gradient(z)[:CHECKED] - g, axis=1) / jnp.linalg.norm(g, axis=1)
    return {"value_error": value_error, "gradient_error": float(jnp.max(off))}


def measured(species: int, repeats: int, *, check: bool) -> Row:
    """The row of a cold process, with the seconds to build of a warm one."""
    with tempfile.TemporaryDirectory() as cache:
        common = [species, "--cache", cache, "--repeats", repeats]
        cold = answer_of(module("scaling", "--worker", *common))
        warm = answer_of(module("scaling", "--worker", *common, *(["--check"] if check else [])))
    seconds = {f"warm_{n}": v for n, v in warm.items() if n.startswith("build_")}
    return warm | {n: v for n, v in cold.items() if n.startswith("build_")} | seconds


def table(rows: list[Row]) -> str:
    columns = {
        "species": ("species", "d"),
        "reactions": ("reactions", "d"),
        "operations_in_all": ("operations", "d"),
        "build_narrow_s": ("cold, s", ".1f"),
        "build_narrow_cpu_s": ("cpu, s", ".1f"),
        "build_wide_cpu_s": ("wide, cpu s", ".1f"),
        "warm_build_narrow_s": ("warm, s", ".2f"),
        "forward_us_a_step_min": ("step, µs", ".2f"),
        "gradient_us_a_step_min": ("gradient", ".2f"),
        "value_error": ("value off", ".1e"),
        "gradient_error": ("gradient off", ".1e"),
    }
    lines = ["  ".join(f"{title:>12}" for title, _ in columns.values())]
    for row in rows:
        lines.append("  ".join(f"{row[k]:>12{f}}" if k in row else f"{'–':>12}" for k, (_, f) in columns.items()))
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("sizes", type=int, nargs="*", default=SIZES, help="species (default 20 40 70 100)")
    parser.add_argument("--repeats", type=int, default=30, help="of each timing (default 30)")
    parser.add_argument("--check", action=argparse.BooleanOptionalAction, help="errors against diffrax (default)")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--cache", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        os.environ["WARP_CACHE_PATH"] = str(arguments.cache)
        print(json.dumps(work(arguments.sizes[0], arguments.repeats, check=bool(arguments.check)), allow_nan=False))
        return
    rows = []
    for species in arguments.sizes:
        rows.append(measured(species, arguments.repeats, check=arguments.check is not False))
        print(json.dumps(rows[-1]), flush=True)
        if arguments.json:
            arguments.json.write_text(json.dumps(rows, indent=1, allow_nan=False) + "\n")
    print(table(rows))


if __name__ == "__main__":
    main()
