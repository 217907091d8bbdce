"""Builds and runs the kernels without JAX or Warp: cases with the CPU's numbers, and the program of gpu_driver.cu.

A card's machine needs nvcc for it, any other a C++ compiler: there the same kernels run one item after the other.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from hexamer import Fused, Model, Protocol, Settings
from hexamer.models.compiled.plan import Plan, compile_plan
from hexamer.models.solvers.fused import cpu as native
from hexamer.models.solvers.fused import engine
from hexamer.models.solvers.fused.compilation import functions_of
from hexamer.models.solvers.fused.source import engine_source

from .throughput import NM_PER_NG_ML, TIMES

DRIVER = Path(__file__).with_name("gpu_driver.cu")
DOSES = 8
Row = dict[str, Any]

SANITIZED = ("-O1", "-g", "-fsanitize=address,undefined,float-cast-overflow", "-fno-sanitize-recover=all")


class DriverFailed(RuntimeError):
    """The driver did not compile or did not end well; the message is what it said last."""


@dataclass(frozen=True)
class Off:
    """Largest difference of an output, by its species' largest in the course, and of a set's gradient, by its norm."""

    value: float
    gradient: float


@dataclass(frozen=True)
class DriverCase:
    """A model under protocols at some sets of parameters."""

    model: Model
    plan: Plan
    values: np.ndarray
    settings: Settings

    def write(self, path: Path, *, tight: bool = False) -> Off:
        """Writes the plan, and what the CPU's handlers make of it, as gpu_driver.cu reads it.

        Returns how far off other code may be that is right: what rounding does to the CPU's own numbers. The errors of
        a course's first steps are little but rounding. It moves the sizes of the steps, at times by 1e-5 of
        themselves, and with them the solver's own error.

        `tight` is for float32, where other rounding takes other steps: the values and gradients written are those at
        rtol 1e-10, and what is returned is how far off the CPU's own are.
        """
        with jax.default_device(jax.devices("cpu")[0]):  # on a card's machine too
            task, environment = self._task(self.settings, self.values)
            on_cpu = _solved(task, environment)
            if tight:
                exact = Settings(Fused(), rtol=1e-10, atol=1e-12, max_steps=100_000)
                known = on_cpu.where_alike(_solved(*self._task(exact, self.values)))
                off = known.off(on_cpu)
            else:
                known, off = on_cpu, self._rounding(on_cpu)
        integers, floats = task.plan
        head = [len(integers), len(floats), len(environment), task.slots, *task.shape, len(self.model.species)]
        with path.open("wb") as file:
            file.write(np.array(head, np.int64).tobytes())
            for array in (floats, environment, known.y, known.cotangent, known.slope):
                file.write(np.ascontiguousarray(array, float).tobytes())
            for array in (integers, known.status, known.steps):
                file.write(np.ascontiguousarray(array, np.int32).tobytes())
        return off

    def _rounding(self, on_cpu: _Solved) -> Off:
        """The largest change of the CPU's numbers in four tries that move every parameter by one ulp, up or down."""
        sign = np.random.default_rng(1).choice([-1.0, 1.0], (4, *self.values.shape))
        moved = self.values * (1 + sign * np.finfo(float).eps)
        tries = [on_cpu.off(on_cpu.where_alike(_solved(*self._task(self.settings, values)))) for values in moved]
        return Off(max(o.value for o in tries), max(o.gradient for o in tries))

    def _task(self, settings: Settings, values: np.ndarray) -> tuple[Any, np.ndarray]:
        follows = settings.atol is None
        task = engine._described(self.model, self.plan, settings, False, "platform", follows=follows)
        environment = jax.vmap(lambda v: engine._environment(self.model, self.plan, settings, v, None))
        return task, np.asarray(environment(jnp.asarray(values)))


@dataclass(frozen=True)
class _Solved:
    y: np.ndarray  # sets x protocols x times x species
    status: np.ndarray  # sets x protocols
    steps: np.ndarray
    cotangent: np.ndarray  # as y
    slope: np.ndarray  # sets x slots

    def where_alike(self, other: _Solved) -> _Solved:
        """`other` in the sets that end as they do here, this in those which do not."""
        alike = (other.status == self.status).all(1)
        y, cotangent, slope = self.y.copy(), self.cotangent.copy(), self.slope.copy()
        y[alike], cotangent[alike], slope[alike] = other.y[alike], other.cotangent[alike], other.slope[alike]
        return _Solved(y, self.status, self.steps, cotangent, slope)

    def off(self, other: _Solved) -> Off:
        """As value_off and gradient_off of gpu_driver.cu."""
        with np.errstate(invalid="ignore"):
            scale = np.fmax(np.nanmax(np.abs(self.y), 2, initial=0.0, keepdims=True), 1e-9)
            value = np.abs(other.y - self.y) / scale
            norm = np.linalg.norm(self.slope, axis=1)
            gradient = np.linalg.norm(other.slope - self.slope, axis=1) / np.where(norm > 0, norm, 1.0)
        both = np.isnan(self.y) & np.isnan(other.y)
        return Off(float(np.max(np.where(both, 0.0, value))), float(np.max(gradient)))


@lru_cache(maxsize=4)
def _handlers(task: Any) -> tuple[Any, Any]:
    """The CPU's, compiled once for a task."""
    return jax.jit(partial(native.forward, task, task.record)), jax.jit(partial(native.backward, task))


def _solved(task: Any, environment: np.ndarray) -> _Solved:
    """The outputs that the CPU's handlers compute, a cotangent of them, and the gradient for that cotangent."""
    forward, backward = _handlers(task)
    solved = forward(environment)
    y = jnp.where(jnp.isfinite(solved.y), solved.y, 0.0)
    cotangent = jax.grad(lambda y: jnp.mean(jnp.log1p(y.clip(-0.5)) ** 2))(y) * len(environment)
    residuals = (solved.status, solved.accepted, solved.record, solved.steady, solved.steady_status)
    slope = backward(environment, *residuals, cotangent)
    return _Solved(*(np.array(x) for x in (solved.y, solved.status, solved.steps, cotangent, slope)))


def doses_of(model: Model) -> np.ndarray:
    """0.01 to 100 ng/ml of IL-6 in the model's units: nM where it is a species, ng/ml where it is an input."""
    return np.geomspace(0.01, 100, DOSES) * (NM_PER_NG_ML if "IL6" in model.species else 1.0)


def dose_case(model: Model, settings: Settings, *, equilibrated: bool, sets: int, seed: int = 0) -> DriverCase:
    """Doses of IL-6 to cells whose parameters are lognormal around nominal values (log-sd 0.3)."""
    start = Protocol.equilibrated if equilibrated else Protocol
    is_species = "IL6" in model.species
    protocols = [
        start(f"{d:g}").add("IL6", float(d)) if is_species else start(f"{d:g}").set(IL6=float(d))
        for d in doses_of(model)
    ]
    plan = compile_plan(model, protocols, [list(TIMES)] * DOSES, model.parameters)
    spread = np.random.default_rng(seed).normal(size=(sets, len(model.parameters)))
    return DriverCase(model, plan, model.defaults * np.exp(0.3 * spread), settings)


def mixed_case(model: Model, settings: Settings, protocols: Sequence[Protocol], *, sets: int = 12) -> DriverCase:
    """Protocols of all kinds; and among the sets such that fail: no numbers, infinite, negative, 0, huge."""
    plan = compile_plan(model, protocols, [[0.0, 5.0, 20.0, 90.0]] * len(protocols), model.parameters)
    spread = np.random.default_rng(5).normal(size=(sets, len(model.parameters)))
    values = np.array(model.defaults * np.exp(0.3 * spread))
    last = values.shape[1] - 1
    values[3, 5 % (last + 1)], values[4, 7 % (last + 1)] = np.nan, np.inf
    values[5], values[6], values[7] = -values[5], 1e300, 0.0
    return DriverCase(model, plan, values, settings)


def source_of(model: Model, *, lanes: int = 1, single: bool = False, keep_stages: bool = False) -> str:
    """The engine of a model as one C++ struct: the GPU's kernels where `lanes` is 1, else the CPU's."""
    header = "gpu_kernels.h" if lanes == 1 else "engine.h"
    return engine_source(functions_of(model), lanes, header, single=single, keep_stages=keep_stages)


def compiler() -> str | None:
    """The C++ compiler of this machine: what CXX names, else c++ or g++."""
    return os.environ.get("CXX") or shutil.which("c++") or shutil.which("g++")


def nvcc() -> str | None:
    """CUDA's compiler, on the path or where its installer puts it."""
    return shutil.which("nvcc") or shutil.which("nvcc", path="/usr/local/cuda/bin")


def build(folder: Path, name: str, source: str, *, cuda: bool, flags: Sequence[str] = ()) -> Path:
    """The driver of one source, compiled into `folder`. Raises `DriverFailed`."""
    header, program = folder / f"{name}.h", folder / name
    header.write_text(source)
    program_path = nvcc() if cuda else compiler()
    if program_path is None:
        raise DriverFailed(
            "no nvcc here: it comes with CUDA's toolkit" if cuda else "no C++ compiler here: install g++"
        )
    options = (
        ("-O3", "-std=c++17", "-diag-suppress", "177")
        if cuda
        else ("-x", "c++", "-std=c++17", "-Wno-psabi", "-march=native")
    )
    defined = f'-DSOURCE="{header}"'
    command = [
        program_path,
        *options,
        *(() if cuda else ("-ffp-contract=fast", "-flax-vector-conversions")),
        *flags,
        defined,
    ]
    _checked([*command, str(DRIVER), "-o", str(program)])
    return program


def run(
    program: Path, case: Path, *, sets: int, capacity: int, repeats: int = 1, warps: int = 4, limit: float = 600
) -> Row:
    """The driver's report on a case; with `capacity` 0 it does not go back. Raises `DriverFailed`."""
    arguments = [str(program), str(case), str(sets), str(capacity), str(repeats), str(warps)]
    return json.loads(_checked(arguments, limit).strip().splitlines()[-1])


def _checked(command: Sequence[str], limit: float = 900) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=limit)
    except OSError as error:
        raise DriverFailed(f"{command[0]} does not run: {error.strerror}") from None
    except subprocess.TimeoutExpired:
        raise DriverFailed(f"{Path(command[0]).name} took more than {limit:g} s") from None
    if done.returncode:
        said = (done.stderr or done.stdout).strip()
        raise DriverFailed(f"{Path(command[0]).name} failed ({done.returncode}): {said[-3000:]}")
    return done.stdout
