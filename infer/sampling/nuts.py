"""`sample`: NumPyro's NUTS over whitened coordinates, chains in parallel, resumable."""

from __future__ import annotations

import hashlib
import logging
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import io_callback
from tqdm import tqdm

from ...models.compiled.jumps import check_smooth
from ...models.solvers.dispatch import falls_back
from ...models.solvers.machine import usable_cores
from ...models.solvers.placement import on
from ...models.solvers.status import Status
from ..optimisation.laplace import Curvature
from ..optimisation.whitening import spread, windows
from ..problem.failures import FailureCounter
from ..problem.identity import run_parts
from ..problem.problem import Problem
from .store import Store

if TYPE_CHECKING:
    from numpyro.infer.hmc import HMCState

log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Draws:
    """Posterior draws and how they came about.

    - `z`: chains × draws × parameters, unconstrained
    - `stats`: chains × draws each: `diverging` (true divergences), `failed` (a failed solve ended the trajectory),
      `acceptance_rate`, `n_steps` (leapfrogs), `lp` (log density over u), `energy`, `step_size`
    - `failed`: failed solves by kind, for `warmup` and `draws` apart
    - `seconds`: wall time of `warmup` and `draws`, all sittings of a resumed run together
    """

    problem: Problem
    z: np.ndarray
    stats: dict[str, np.ndarray]
    failed: dict[str, dict[str, int]]
    seconds: dict[str, float]
    warmup_steps: int  # leapfrogs of the warmup, all chains together
    seed: int
    max_tree_depth: int = 10
    complete: bool = True  # false where a run was stopped before it had all its draws


@falls_back
def sample(
    problem: Problem,
    start: Curvature,
    *,
    chains: int = 4,
    warmup: int = 1000,
    draws: int = 1000,
    seed: int = 0,
    out: str | Path | None = None,
    initial: np.ndarray | None = None,
    origins: Sequence[int] | None = None,
    target_acceptance: float = 0.8,
    max_tree_depth: int = 10,
    chunk: int = 50,
    progress: bool = True,
    stop_after: float | None = None,
) -> Draws | None:
    """Draws from the posterior by NUTS, over w with z = fold(start.centre + scale·w).

    The scale is first `start.scale`, which makes the posterior nearly a unit normal if it is nearly Gaussian. After
    each window of the warmup it is that of the window's draws, of all chains together; at the warmup's end all take
    the geometric mean of their step sizes. From then on the chains know nothing of each other.

    Chains start from draws of the first normal, or from `initial` (chains × parameters, z). `origins` says of each
    chain which mode it starts in: the distance between modes is left out of the whitening, and step sizes are shared
    by the chains of one mode. They run in parallel over
    JAX's devices (`XLA_FLAGS=--xla_force_host_platform_device_count=4` before JAX starts; the command line sets it),
    the CPU's unless one set of parameters has many trajectories (`models.solvers.placement`); chains on one device run
    one after the other, which is logged.

    With `out`, every `chunk` iterations of all chains go to disk with the sampler's state: the same call resumes a
    killed run, draw for draw as if it had not been killed. With `stop_after` seconds the run stops after the chunk in
    hand, and returns the draws so far (`complete` is then false), or None where it is still in warmup.

    A failed solve is a point of density zero: its proposal is rejected, its kind counted in `failed`.

    Raises `ValueError` for a model whose rates jump at a condition on the state: its gradient leaves something out.
    """
    check_smooth(problem.model.name, problem.model.jumps)
    for name, value in {"chains": chains, "warmup": warmup, "draws": draws, "chunk": chunk}.items():
        if value < 1:
            raise ValueError(f"{name} must be at least 1, not {value}")
    with problem.placed() as devices:  # each chain solves for itself
        run = _Sampler(problem, start, chains, warmup, seed, target_acceptance, max_tree_depth, chunk, origins, devices)
        points = run.initial_points(initial)
        advance = _Advance(run, points, warmup, draws, progress, stop_after)
        if out is None:
            kept = advance(None, [])
        else:
            own = {"seed": seed, "chains": chains, "warmup": warmup, "draws": draws, "chunk": chunk}
            own |= {"target_acceptance": target_acceptance, "max_tree_depth": max_tree_depth}
            if len(set(run.origins)) > 1:
                own |= {"origins": list(run.origins)}
            identity = run_parts(problem, **own, start=_digest(start.centre, start.scale, points))
            with Store.open(out, identity) as store:
                kept = advance(store, [store.load(i) for i in range(store.count)])
        done = _iterations(kept)
        if done <= warmup:
            return None
        return _collect(problem, kept, seed, max_tree_depth, complete=done >= warmup + draws)


def _iterations(kept: list[dict[str, np.ndarray]]) -> int:
    return sum(len(c["diverging"][0]) for c in kept)


@dataclass(frozen=True)
class _Advance:
    """Iterations of a sampler from where its chunks end to the end of the run, or of the time it has."""

    run: _Sampler
    points: np.ndarray
    warmup: int
    draws: int
    progress: bool
    stop_after: float | None

    def __call__(self, store: Store | None, kept: list[dict[str, np.ndarray]]) -> list[dict[str, np.ndarray]]:
        """All chunks of the run: those `kept`, and new ones, which go to `store`."""
        run, warmup, total = self.run, self.warmup, self.warmup + self.draws
        done = _iterations(kept)
        stops = sorted({*windows(warmup), warmup, total})
        state = run.begin(self.points)
        if kept:
            state = run.restore(state, kept[-1])
            log.info("resuming after %d of %d iterations a chain", done, total)
        began = time.monotonic()
        with tqdm(total=total, initial=done, desc="warmup", disable=not self.progress) as bar:
            while done < total:
                bar.set_description("warmup" if done < warmup else "draws")
                # A chunk ends where the sampler changes, so it never holds both warmup and draws.
                length = min(run.chunk, next(stop for stop in stops if stop > done) - done)
                before = time.monotonic()
                state, arrays = run.advance(state, length)
                arrays["seconds"] = np.array(time.monotonic() - before)
                arrays["is_warmup"] = np.array(done < warmup)
                kept.append(arrays)
                done += length
                if window := windows(warmup).get(done):
                    state = run.whiten(state, np.concatenate([c["u"] for c in kept], axis=1)[:, window])
                if done == warmup:
                    state = run.share_step_size(state)
                if store is not None:
                    store.append({**arrays, **run.save(state)})
                bar.update(length)
                bar.set_postfix(
                    leapfrogs=f"{arrays['n_steps'].mean():.0f}",
                    divergent=int(arrays["diverging"].sum()),
                    failed=int(arrays["failed"].sum()),
                )
                if self.stop_after is not None and time.monotonic() - began > self.stop_after and done < total:
                    log.warning("stopped after %d of %d iterations a chain", done, total)
                    break
        return kept


class _State(NamedTuple):
    """NumPyro's states, one a chain, over w with u = centre + scale·w."""

    chains: list[HMCState]
    scale: np.ndarray


class _Sampler:
    def __init__(self, problem, start, chains, warmup, seed, target, depth, chunk, origins, devices):
        self.problem, self.start, self.chains, self.seed, self.chunk = problem, start, chains, seed, chunk
        self.failures = FailureCounter()
        self.origins = (0,) * chains if origins is None else tuple(map(int, origins))
        if len(self.origins) != chains:
            raise ValueError(f"origins must name a mode for each of {chains} chains, not {len(self.origins)}")
        self.count = len(problem.space)
        centre = jnp.asarray(start.centre)

        def potential_of(chain, scale) -> Callable:
            def potential(w):
                value, status = problem.objective_unfolded(centre + scale @ w)
                self.failures.record(status, chain)
                return value

            return potential

        self.options: dict[str, Any] = {
            "num_warmup": warmup,
            "step_size": 0.5,
            "adapt_mass_matrix": False,  # but see `whiten`
            "target_accept_prob": target,
            "max_tree_depth": depth,
            "trajectory_length": None,
        }
        from numpyro.infer.hmc import hmc  # half a second to import

        self.init, self.kernel = hmc(potential_fn_gen=potential_of, algo="NUTS")
        cores = usable_cores()
        used = min(chains, len(devices), cores if devices[0].platform == "cpu" else chains)
        if used < min(chains, cores) and devices[0].platform == "cpu":
            log.warning(
                "%d chains on %d device(s) run %d at a time: set XLA_FLAGS=--xla_force_host_platform_device_count=%d "
                "before JAX starts",
                chains, len(devices), used, min(chains, cores),
            )  # fmt: skip
        self.devices = [devices[i % used] for i in range(chains)]
        self.pool = ThreadPoolExecutor(used)
        self.step = jax.jit(self._iterate)

    def initial_points(self, initial: np.ndarray | None) -> np.ndarray:
        """Start points over w (chains × parameters)."""
        if initial is None:
            rng = np.random.default_rng([self.seed, 1])
            return rng.normal(size=(self.chains, self.count))
        initial = np.asarray(initial, dtype=float)
        if initial.shape != (self.chains, self.count):
            raise ValueError(
                f"initial must be {self.chains} chains × {self.count} parameters, not of shape {initial.shape}"
            )
        return np.linalg.solve(self.start.scale, (self.problem.space.unfold(initial) - self.start.centre).T).T

    def begin(self, points: np.ndarray) -> _State:
        """The chains' states at their start. A start that fails is drawn in towards the centre."""
        from numpyro.infer.util import ParamInfo

        scale = self.start.scale
        states = []
        keys = jax.random.split(jax.random.PRNGKey(self.seed), self.chains)
        for chain, key in enumerate(keys):
            w = points[chain]
            for _ in range(20):
                value, gradient = self.problem.potential(jnp.asarray(self.start.centre + scale @ w))
                if np.isfinite(value):
                    break
                w = w / 2
            else:
                raise FloatingPointError(f"chain {chain} finds no start with a finite density near the best fit")
            info = ParamInfo(jnp.asarray(w), value, jnp.asarray(scale.T @ np.asarray(gradient)))
            state = self.init(info, rng_key=key, model_args=(chain, scale), **self.options)
            states.append(jax.device_put(state, self.devices[chain]))
        self.failures.take()
        return _State(states, scale)

    def whiten(self, state: _State, u: np.ndarray) -> _State:
        """The same points over w whitened by draws (chains × draws × parameters) of all chains together."""
        w = np.linalg.solve(state.scale, (u - self.start.centre).reshape(-1, self.count).T).T
        if len(set(self.origins)) > 1:
            w = _about_means(w.reshape(self.chains, -1, self.count), self.origins).reshape(-1, self.count)
        factor = spread(w)
        chains = [
            jax.device_put(
                s._replace(z=np.linalg.solve(factor, np.asarray(s.z)), z_grad=factor.T @ np.asarray(s.z_grad)), device
            )
            for s, device in zip(state.chains, self.devices, strict=True)
        ]
        return _State(chains, state.scale @ factor)

    def share_step_size(self, state: _State) -> _State:
        """One step size for all chains of one origin: the geometric mean of what each has come to."""
        logs = [np.log(s.adapt_state.step_size) for s in state.chains]
        means = [np.exp(np.mean([x for x, o in zip(logs, self.origins, strict=True) if o == k])) for k in self.origins]
        chains = [
            s._replace(adapt_state=s.adapt_state._replace(step_size=jax.device_put(mean, device)))
            for s, mean, device in zip(state.chains, means, self.devices, strict=True)
        ]
        return state._replace(chains=chains)

    def save(self, state: _State) -> dict[str, np.ndarray]:
        """The state as arrays: `scale`, and `state_<leaf>` stacked over chains."""
        leaves = [[np.asarray(x) for x in jax.tree.leaves(s)] for s in state.chains]
        return {"scale": state.scale} | {f"state_{i}": np.stack(x) for i, x in enumerate(zip(*leaves, strict=True))}

    def restore(self, like: _State, arrays: dict[str, np.ndarray]) -> _State:
        """The state that `save` wrote, shaped `like` a fresh one."""
        states = []
        for chain, fresh in enumerate(like.chains):
            leaves, tree = jax.tree.flatten(fresh)
            stored = [jnp.asarray(arrays[f"state_{i}"][chain], x.dtype) for i, x in enumerate(leaves)]
            states.append(jax.device_put(jax.tree.unflatten(tree, stored), self.devices[chain]))
        return _State(states, arrays["scale"])

    def advance(self, state: _State, length: int) -> tuple[_State, dict[str, np.ndarray]]:
        """`length` iterations of every chain, a chunk at most; the chains of one device take turns."""

        def work(device) -> list[tuple[int, tuple[HMCState, dict]]]:
            mine = [c for c in range(self.chains) if self.devices[c] == device]
            with on(device):
                return [(c, jax.block_until_ready(self.step(state.chains[c], c, state.scale, length))) for c in mine]

        results = dict(pair for pairs in self.pool.map(work, set(self.devices)) for pair in pairs)
        collected = [results[c][1] for c in range(self.chains)]
        arrays = {k: np.stack([np.asarray(x[k])[:length] for x in collected]) for k in collected[0]}
        arrays["u"] = self.start.centre + arrays.pop("w") @ state.scale.T
        return state._replace(chains=[results[c][0] for c in range(self.chains)]), arrays

    def _iterate(self, state: HMCState, chain, scale, length) -> tuple[HMCState, dict]:
        """`length` iterations of one chain, compiled once for all lengths up to a chunk."""
        failures = self.failures
        take = jax.ShapeDtypeStruct((len(Status),), jnp.int64)

        def iterate(state):
            state = self.kernel(state, (chain, scale), {})
            # Read after the iteration's own solves have counted: the new energy is an argument.
            kinds = io_callback(lambda c, _: failures.take_chain(int(c)), take, chain, state.potential_energy)
            failed = jnp.sum(kinds) > 0
            return state, {
                "w": state.z,
                "lp": -state.potential_energy,
                "energy": state.energy,
                "n_steps": state.num_steps,
                "acceptance_rate": state.accept_prob,
                "diverging": state.diverging & ~failed,
                "failed": failed,
                "step_size": state.adapt_state.step_size,
                "kinds": kinds,
            }

        def put(i, carried):
            state, told = iterate(carried[0])
            return state, jax.tree.map(lambda all_, one: all_.at[i].set(one), carried[1], told)

        _, told = jax.eval_shape(iterate, state)
        empty = jax.tree.map(lambda x: jnp.zeros((self.chunk, *x.shape), x.dtype), told)
        return jax.lax.fori_loop(0, length, put, (state, empty))


def _collect(problem: Problem, kept: list[dict[str, np.ndarray]], seed: int, depth: int, *, complete: bool) -> Draws:
    phases = {"warmup": [c for c in kept if c["is_warmup"]], "draws": [c for c in kept if not c["is_warmup"]]}
    failed: dict[str, dict[str, int]] = {}
    for phase, chunks in phases.items():
        counts: Counter[str] = Counter()
        for chunk in chunks:
            totals = chunk["kinds"].sum((0, 1))
            counts.update({kind.label: int(totals[kind]) for kind in Status if totals[kind]})
        failed[phase] = dict(counts)
    joined = {
        k: np.concatenate([c[k] for c in phases["draws"]], axis=1)
        for k in ("u", "lp", "energy", "n_steps", "acceptance_rate", "diverging", "failed", "step_size")
    }
    z = np.asarray(problem.space.fold(jnp.asarray(joined.pop("u"))))
    return Draws(
        problem=problem,
        z=z,
        stats=joined,
        failed=failed,
        seconds={p: float(sum(c["seconds"] for c in chunks)) for p, chunks in phases.items()},
        warmup_steps=int(sum(c["n_steps"].sum() for c in phases["warmup"])),
        seed=seed,
        max_tree_depth=depth,
        complete=complete,
    )


def _about_means(w: np.ndarray, origins: Sequence[int]) -> np.ndarray:
    """Draws (chains × draws × parameters) about the mean of the chains that began at the same mode."""
    origin = np.array(origins)
    centred = np.array(w)
    for k in set(origins):
        centred[origin == k] -= w[origin == k].mean((0, 1))
    return centred


def _digest(*arrays: np.ndarray) -> str:
    content = hashlib.sha256()
    for array in arrays:
        content.update(np.ascontiguousarray(array, dtype=float).tobytes())
    return content.hexdigest()[:16]
