"""`sample`: NumPyro's NUTS over whitened coordinates, chains in parallel, resumable."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from ...late_imports import part_of_numpyro
from ...models.compiled.jumps import check_smooth
from ...models.solvers.machine import usable_cores
from ...models.solvers.placement import on
from ..optimisation.laplace import Curvature
from ..optimisation.whitening import first_window, spread, windows
from ..problem.problem import Problem
from ..problem.usage import check_sampled
from .draws import Draws
from .nuts_kernel import ChainPlace, NUTSKernel
from .runner import run_sampler
from .sampler import Block, Info
from .store import digest

if TYPE_CHECKING:
    from numpyro.infer.hmc import HMCState

log = logging.getLogger(__name__)

_STATS = ("lp", "energy", "n_steps", "acceptance_rate", "diverging", "failed", "step_size")


def sample(
    problem: Problem,
    start: Curvature,
    *,
    out: str | Path | None = None,
    progress: bool = True,
    stop_after: float | None = None,
    **options: Any,
) -> Draws | None:
    """Draws from the posterior by NUTS.

    Chains run in parallel over JAX's devices (`XLA_FLAGS=--xla_force_host_platform_device_count=4` before JAX starts;
    the command line sets it), the CPU's unless one set of parameters has many trajectories
    (`models.solvers.placement`). Chains on one device run one after the other, which is logged.

    Parameters
    ----------
    problem : Problem
        Whose posterior to sample.
    start : Curvature
        The normal distribution that the chains start from, and by which the coordinates are first whitened.
    out : path, optional
        A folder for every `chunk` iterations of all chains, with the sampler's state. The same call resumes an
        interrupted run, draw for draw as if it had not been interrupted.
    progress : bool
        Whether to show a progress bar.
    stop_after : float, optional
        Time in seconds after which the run stops, at the end of its current chunk.
    **options
        Those of `NUTS`: `chains`, `warmup`, `draws`, `seed`, and others.

    Returns
    -------
    Draws or None
        The draws so far if the run was stopped (`complete` is then false), or None if it is still in the warmup.

    Raises
    ------
    ValueError, FloatingPointError, StoreError, LockedError
        As `NUTS` and `run_sampler` do.
    """
    return run_sampler(NUTS(problem, start, **options), out=out, progress=progress, stop_after=stop_after)


class NUTSState(NamedTuple):
    """NumPyro's states, one per chain, over w with u = centre + scale·w, and what the warmup has seen."""

    chains: tuple[HMCState, ...]
    devices: tuple[Any, ...]  # of each chain
    numbers: Sequence[int]  # of each chain, by which its failed solves are counted
    scale: Float[np.ndarray, "parameters parameters"]
    done: int  # iterations per chain
    warmup_leapfrogs: int  # of all chains
    seen: tuple[np.ndarray, ...]  # u of the warmup's blocks, chains × draws × parameters each


class NUTS:
    """NUTS over w with z = fold(start.centre + scale·w), a `Sampler`.

    The scale is first `start.scale`, which makes the posterior nearly a unit normal if it is nearly Gaussian. After
    each window of the warmup it is that of the window's draws, of all chains together; at the warmup's end all take
    the geometric mean of their step sizes. From then on the chains are independent.

    A failed solve is a point of density zero: its proposal is rejected. Its kind is counted from the warmup's first
    window on; before, steps of any size are tried, and failures are normal.

    Parameters
    ----------
    problem : Problem
        Whose posterior to sample.
    start : Curvature
        The normal distribution that the chains start from.
    chains, warmup, draws : int
        Number of chains, and the iterations of each in the warmup and after it.
    seed : int
        Of all random numbers.
    initial : array, chains × parameters, optional
        Starting points z (dimensionless); by default draws of the normal `start`.
    origins : sequence of int, optional
        The mode in which each chain starts. The distance between modes is left out of the whitening, and the chains of
        one mode share a step size.
    target_acceptance : float
        Mean acceptance probability that the step size is adapted to, dimensionless.
    max_tree_depth : int
        A trajectory has at most 2^depth leapfrogs.
    chunk : int
        Most iterations in a block.

    Other Parameters
    ----------------
    devices : sequence of JAX's devices
        The chains are spread over them.
    state : NUTSState
        The states of all chains.
    saved : dict of arrays
        What `save` returned, in the sampler's own units.
    blocks : sequence of Block
        All blocks of the run before that.

    Raises
    ------
    ValueError
        For a model whose rates jump at a condition on the state, as its gradient leaves something out; for a problem
        without parameters to sample, a count below 1, and `initial` or `origins` that do not fit the chains.
    """

    def __init__(
        self,
        problem: Problem,
        start: Curvature,
        *,
        chains: int = 4,
        warmup: int = 1000,
        draws: int = 1000,
        seed: int = 0,
        initial: np.ndarray | None = None,
        origins: Sequence[int] | None = None,
        target_acceptance: float = 0.8,
        max_tree_depth: int = 10,
        chunk: int = 50,
    ):
        check_smooth(problem.model.name, problem.model.jumps)
        check_sampled(problem.name, problem.space.names)
        for name, value in {"chains": chains, "warmup": warmup, "draws": draws, "chunk": chunk}.items():
            if value < 1:
                raise ValueError(f"{name} must be at least 1, not {value}")
        self.problem, self.start, self.chains, self.seed, self.chunk = problem, start, chains, seed, chunk
        self.warmup, self.draws, self.max_tree_depth = warmup, draws, max_tree_depth
        self.target_acceptance = target_acceptance
        self.origins = (0,) * chains if origins is None else tuple(map(int, origins))
        if len(self.origins) != chains:
            raise ValueError(f"origins must name a mode for each of {chains} chains, not {len(self.origins)}")
        self.count = len(problem.space)
        with problem.placed():
            self.points = self._points(initial)
        options = tuple(self._options().items())
        self.kernel = problem.once((NUTSKernel, options, chunk), lambda shape: NUTSKernel(shape, options, chunk))

    def __repr__(self) -> str:
        chains = f"{self.chains} chains of {self.warmup} + {self.draws} iterations"
        return f"NUTS({self.problem.name!r}, {chains}, seed {self.seed})"

    @property
    def identity(self) -> dict[str, Any]:
        """The options that change the draws, and a hash of where the chains start.

        The number of draws is not among them: a longer run begins with the draws of a shorter one.
        """
        options: dict[str, Any] = {"name": "NUTS", "chains": self.chains, "warmup": self.warmup}
        options |= {"chunk": self.chunk, "target_acceptance": self.target_acceptance}
        options |= {"max_tree_depth": self.max_tree_depth}
        options |= {"origins": list(self.origins)} if len(set(self.origins)) > 1 else {}
        return {**options, "start": digest(self.start.centre, self.start.scale, self.points)}

    def init(self, devices: Sequence[Any]) -> NUTSState:
        """The chains at their starting points; one that fails is moved towards the centre.

        Raises `FloatingPointError` if it still fails after 20 moves.
        """
        new_info = part_of_numpyro("infer.util").ParamInfo
        scale = self.start.scale
        states, places, numbers = [], self._places(devices), self.kernel.numbers(self.chains)
        keys = jax.random.split(jax.random.PRNGKey(self.seed), self.chains)
        for chain, key in enumerate(keys):
            w = self.points[chain]
            for _ in range(20):
                value, gradient = self.problem.potential(jnp.asarray(self.start.centre + scale @ w))
                if np.isfinite(value):
                    break
                w = w / 2
            else:
                raise FloatingPointError(f"chain {chain} finds no start with a finite density near the best fit")
            info = new_info(jnp.asarray(w), value, jnp.asarray(scale.T @ np.asarray(gradient)))
            states.append(jax.device_put(self.kernel.init(info, key, self._at(numbers[chain], scale)), places[chain]))
        return NUTSState(tuple(states), places, numbers, scale, 0, 0, ())

    def step(self, state: NUTSState) -> tuple[NUTSState, Block]:
        """Iterations of every chain, a chunk at most, so that no block holds both warmup and draws."""
        stops = sorted({*windows(self.warmup), self.warmup, self.warmup + self.draws})
        length = min(self.chunk, next(stop for stop in stops if stop > state.done) - state.done)
        warmup, done = state.done < self.warmup, state.done + length
        chains, info = self._advance(state, length)
        u = self.start.centre + info.pop("w") @ state.scale.T
        unreported = max(first_window(self.warmup) - state.done, 0)  # there the step size is still far off
        failed = info.pop("kinds")[:, unreported:].sum((0, 1))
        leapfrogs = int(info["n_steps"].sum()) if warmup else 0
        state = state._replace(
            chains=chains,
            done=done,
            warmup_leapfrogs=state.warmup_leapfrogs + leapfrogs,
            seen=(*state.seen, u) if warmup else (),
        )
        if window := windows(self.warmup).get(done):
            state = self._whitened(state, np.concatenate(state.seen, axis=1)[:, window])
        if done == self.warmup:
            state = self._with_shared_step_sizes(state)
        return state, Block(warmup, u, {name: info[name] for name in _STATS}, failed)

    def info(self, state: NUTSState) -> Info:
        """How many iterations are done, and of which phase."""
        total = self.warmup + self.draws
        facts = {"max_tree_depth": self.max_tree_depth, "warmup_leapfrogs": state.warmup_leapfrogs}
        phase = "warmup" if state.done < self.warmup else "draws"
        return Info(state.done, total, state.done >= total, phase, facts)

    def save(self, state: NUTSState) -> dict[str, np.ndarray]:
        """The scale, the counts, and the leaves of NumPyro's states, each stacked over chains."""
        leaves = [[np.asarray(x) for x in jax.tree.leaves(s)] for s in state.chains]
        counted = {"done": np.array(state.done), "warmup_leapfrogs": np.array(state.warmup_leapfrogs)}
        stacked = {f"leaf_{i}": np.stack(x) for i, x in enumerate(zip(*leaves, strict=True))}
        return {"scale": state.scale, **counted, **stacked}

    def restore(self, devices: Sequence[Any], saved: Mapping[str, np.ndarray], blocks: Sequence[Block]) -> NUTSState:
        """The state that `save` wrote; the warmup's draws are in the blocks."""
        fresh = self.init(devices)
        states = []
        for chain, like in enumerate(fresh.chains):
            leaves, tree = jax.tree.flatten(like)
            stored = [jnp.asarray(saved[f"leaf_{i}"][chain], x.dtype) for i, x in enumerate(leaves)]
            states.append(jax.device_put(jax.tree.unflatten(tree, stored), fresh.devices[chain]))
        done, leapfrogs = int(saved["done"]), int(saved["warmup_leapfrogs"])
        seen = tuple(b.u for b in blocks if b.warmup) if done < self.warmup else ()
        return NUTSState(tuple(states), fresh.devices, fresh.numbers, saved["scale"], done, leapfrogs, seen)

    def _points(self, initial: np.ndarray | None) -> Float[np.ndarray, "chains parameters"]:
        """Where chains start, over w."""
        if initial is None:
            rng = np.random.default_rng([self.seed, 1])
            return rng.normal(size=(self.chains, self.count))
        initial = np.asarray(initial, dtype=float)
        if initial.shape != (self.chains, self.count):
            raise ValueError(
                f"initial must be {self.chains} chains × {self.count} parameters, not of shape {initial.shape}"
            )
        return np.linalg.solve(self.start.scale, (self.problem.space.unfold(initial) - self.start.centre).T).T

    def _at(self, number: int, scale: np.ndarray) -> ChainPlace:
        """Where the chain of that number moves."""
        return ChainPlace(self.problem.measured, self.start.centre, scale, number)

    def _options(self) -> dict[str, Any]:
        return {
            "num_warmup": self.warmup,
            "step_size": 0.5,
            "adapt_mass_matrix": False,  # but see `_whitened`
            "target_accept_prob": self.target_acceptance,
            "max_tree_depth": self.max_tree_depth,
            "trajectory_length": None,
        }

    def _places(self, devices: Sequence[Any]) -> tuple[Any, ...]:
        """The device of each chain."""
        cores, on_cpu = usable_cores(), devices[0].platform == "cpu"
        used = min(self.chains, len(devices), cores if on_cpu else self.chains)
        if used < min(self.chains, cores) and on_cpu:
            log.warning(
                "%d chains on %d device(s) run %d at a time: set XLA_FLAGS=--xla_force_host_platform_device_count=%d "
                "before JAX starts",
                self.chains, len(devices), used, min(self.chains, cores),
            )  # fmt: skip
        return tuple(devices[i % used] for i in range(self.chains))

    def _whitened(self, state: NUTSState, u: Float[np.ndarray, "chains draws parameters"]) -> NUTSState:
        """The same points over w whitened by draws of all chains together."""
        w = np.linalg.solve(state.scale, (u - self.start.centre).reshape(-1, self.count).T).T
        if len(set(self.origins)) > 1:
            w = _about_means(w.reshape(self.chains, -1, self.count), self.origins).reshape(-1, self.count)
        factor = spread(w)
        chains = tuple(
            jax.device_put(
                s._replace(z=np.linalg.solve(factor, np.asarray(s.z)), z_grad=factor.T @ np.asarray(s.z_grad)), device
            )
            for s, device in zip(state.chains, state.devices, strict=True)
        )
        return state._replace(chains=chains, scale=state.scale @ factor)

    def _with_shared_step_sizes(self, state: NUTSState) -> NUTSState:
        """One step size for all chains of one origin: the geometric mean of what each has come to."""
        logs = [np.log(s.adapt_state.step_size) for s in state.chains]
        means = [np.exp(np.mean([x for x, o in zip(logs, self.origins, strict=True) if o == k])) for k in self.origins]
        chains = tuple(
            s._replace(adapt_state=s.adapt_state._replace(step_size=jax.device_put(mean, device)))
            for s, mean, device in zip(state.chains, means, state.devices, strict=True)
        )
        return state._replace(chains=chains)

    def _advance(self, state: NUTSState, length: int) -> tuple[tuple[HMCState, ...], dict[str, np.ndarray]]:
        """`length` iterations of every chain, a chunk at most; the chains of one device take turns."""

        def one(chain: int) -> tuple[HMCState, dict]:
            place = self._at(state.numbers[chain], state.scale)
            return self.kernel.iterate(state.chains[chain], place, length)

        def work(device) -> list[tuple[int, tuple[HMCState, dict]]]:
            mine = [c for c in range(self.chains) if state.devices[c] == device]
            with on(device):
                return [(c, jax.block_until_ready(one(c))) for c in mine]

        devices = set(state.devices)
        with ThreadPoolExecutor(len(devices)) as pool:
            results = dict(pair for pairs in pool.map(work, devices) for pair in pairs)
        info = [results[c][1] for c in range(self.chains)]
        arrays = {k: np.stack([np.asarray(x[k])[:length] for x in info]) for k in info[0]}
        return tuple(results[c][0] for c in range(self.chains)), arrays


def _about_means(w: Float[np.ndarray, "chains draws parameters"], origins: Sequence[int]) -> np.ndarray:
    """Draws about the mean of the chains that began at the same mode."""
    origin = np.array(origins)
    centred = np.array(w)
    for k in set(origins):
        centred[origin == k] -= w[origin == k].mean((0, 1))
    return centred


__all__ = ["NUTS", "sample"]
