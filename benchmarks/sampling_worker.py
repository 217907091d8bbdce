"""One sampler of `benchmarks.sampling` in a process of its own: hexamer's NUTS or SMC, or NumPyro's NUTS on diffrax.

python -m benchmarks.sampling_worker CASE.json

CASE.json: {"problem", "method", "seconds", "seed", "rtol", "draws": path of the .npy file to write}, and what
`benchmarks.sampling` adds. One JSON object goes to standard output.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

# Two devices, for two chains at a time: before JAX is imported.
os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count=2"

import jax
import numpy as np

from hexamer import Diffrax, Problem, load_problem
from hexamer.infer import fit
from hexamer.infer.calibration import START

BLOCK = 25  # draws of NumPyro between two looks at the clock
WARMUP = 300  # iterations of NumPyro's NUTS
CHAINS = 2  # of NumPyro


def of_hexamer(case: dict[str, Any]) -> dict[str, Any]:
    """`fit` as a user calls it, stopped after `seconds` of sampling."""
    problem = load_problem(case["problem"]).with_settings(rtol=case["rtol"], atol=case["rtol"] / 100)
    method = case["method"].removeprefix("hexamer-")
    with tempfile.TemporaryDirectory() as folder:
        began = time.time()
        result = fit(
            problem, folder, method=method, seed=case["seed"], progress=False, stop_after=case["seconds"],
            **case.get("options", {}),
        )  # fmt: skip
        prepared = os.stat(Path(folder, START)).st_mtime - began
    if result is None:
        raise TimeoutError(f"no draw within {case['seconds']:g} s: it was in its warmup")
    draws = result.draws
    np.save(case["draws"], draws.z)
    steps = draws.stats.get("n_steps")
    return {
        "prepared_s": prepared,
        "warmup_s": draws.seconds["warmup"],
        "draws_s": draws.seconds["draws"],
        "warmup_gradients": draws.facts.get("warmup_leapfrogs", draws.facts.get("leapfrogs")),
        "draws_gradients": 0 if steps is None else int(np.sum(steps)),
        "divergent": int(np.sum(draws.stats.get("diverging", 0))),
        "complete": draws.complete,
    }


def of_numpyro(case: dict[str, Any]) -> dict[str, Any]:
    """NumPyro's NUTS with a dense mass matrix, of the model that hexamer gives it, solved by diffrax's Kvaerno5."""
    from diffrax import Kvaerno5
    from numpyro import infer

    from hexamer.infer.problem.numpyro_bridge import numpyro_model

    settings = {"solver": Diffrax(Kvaerno5()), "rtol": case["rtol"], "atol": case["rtol"] / 100, "max_steps": 2000}
    problem: Problem = load_problem(case["problem"]).with_settings(**settings)
    began = time.perf_counter()
    kernel = infer.NUTS(
        partial(numpyro_model, problem), dense_mass=True, init_strategy=infer.init_to_value(values=case["values"])
    )
    options = {"num_chains": CHAINS, "chain_method": "parallel", "progress_bar": False}
    mcmc = infer.MCMC(kernel, num_warmup=WARMUP, num_samples=BLOCK, **options)
    fields = ("num_steps", "diverging")
    mcmc.warmup(jax.random.PRNGKey(case["seed"]), extra_fields=fields, collect_warmup=True)
    warmup_steps = int(np.sum(mcmc.get_extra_fields()["num_steps"]))
    warmed = time.perf_counter()
    parts: list[np.ndarray] = []
    steps = diverging = 0
    key, first = jax.random.PRNGKey(case["seed"] + 1), 0.0
    while time.perf_counter() - began < case["seconds"] or not parts:
        started = time.perf_counter()
        mcmc.run(key, extra_fields=fields)
        last: Any = mcmc.last_state
        mcmc.post_warmup_state, key = last, last.rng_key
        samples = mcmc.get_samples(group_by_chain=True)
        parts.append(np.stack([np.asarray(samples[n]) for n in problem.space.names], axis=-1))
        extra = mcmc.get_extra_fields()
        steps += int(np.sum(extra["num_steps"]))
        diverging += int(np.sum(extra["diverging"]))
        np.save(case["draws"], np.concatenate(parts, axis=1))
        first = first or time.perf_counter() - started  # compiles
    return {
        "prepared_s": 0.0,
        "warmup_s": warmed - began,
        "draws_s": time.perf_counter() - warmed,
        "first_block_s": first,
        "warmup_gradients": warmup_steps,
        "draws_gradients": steps,
        "divergent": diverging,
        "complete": True,
    }


def main() -> None:
    case = json.loads(Path(sys.argv[1]).read_text())
    try:
        answer = of_numpyro(case) if case["method"] == "numpyro" else of_hexamer(case)
    except Exception as error:  # the parent says what happened
        answer = {"error": f"{type(error).__name__}: {error}"}
    usage = resource.getrusage(resource.RUSAGE_SELF)
    print(json.dumps(answer | {"cpu_s": usage.ru_utime + usage.ru_stime}), flush=True)


if __name__ == "__main__":
    main()
