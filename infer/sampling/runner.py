"""`run_sampler`: any sampler, block by block, with its draws on disk so that a killed run resumes."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from ...models.listing import counted
from ...models.solvers.dispatch import falls_back
from ..problem.identity import SAMPLER, run_parts
from .draws import Draws, collect
from .sampler import Block, Info, Sampler
from .store import Store, StoreError

log = logging.getLogger(__name__)

_STAT, _STATE = "stat_", "state_"


@falls_back
def run_sampler(
    sampler: Sampler[Any],
    *,
    out: str | Path | None = None,
    progress: bool = True,
    stop_after: float | None = None,
) -> Draws | None:
    """Runs a sampler: devices, progress, files, resumption and time limit.

    Parameters
    ----------
    sampler : Sampler
        What draws.
    out : path, optional
        A folder for every block, with the sampler's state. The same call resumes an interrupted run, draw for draw as
        if it had not been interrupted.
    progress : bool
        Whether to show a progress bar.
    stop_after : float, optional
        Time in seconds after which the run stops, at the end of its current block.

    Returns
    -------
    Draws or None
        The draws so far if the run was stopped (`complete` is then false); None if it was stopped before the first.

    Raises
    ------
    StoreError
        If `out` cannot be written, is damaged, or holds another run, naming what differs.
    LockedError
        If another process is at work there.
    ValueError
        For an identity that JSON does not hold, and for a block whose arrays are not of the problem's parameters.
    """
    problem, seed = sampler.problem, int(sampler.seed)
    identity = run_parts(problem, seed=seed, **{SAMPLER: _plain(sampler)})
    with problem.placed() as devices, nullcontext() if out is None else Store.open(out, identity) as store:
        blocks, saved = ([], {}) if store is None else _stored(store)
        if blocks:
            state = sampler.restore(devices, saved, blocks)
            _check_length(sampler.info(state), out)
            log.info("resuming after %s", _reached(sampler.info(state)))
        else:
            state = sampler.init(devices)
        info = _advance(sampler, state, blocks, store, progress, stop_after)
        return collect(problem, blocks, seed, info.facts, complete=info.finished)


def _plain(sampler: Sampler[Any]) -> dict[str, Any]:
    """The sampler's identity. Raises `ValueError` naming what JSON does not give back as it was."""
    identity = dict(sampler.identity)
    for name, value in identity.items():
        try:
            same = json.loads(json.dumps(value)) == value
        except (TypeError, ValueError):
            same = False
        if not same:
            raise ValueError(
                f"the identity of {type(sampler).__name__} holds {name} = {value!r}: give text, numbers, lists, or "
                "mappings with text as keys"
            )
    return identity


def _check_length(info: Info, out: str | Path | None) -> None:
    """Raises `StoreError` if the run on disk is longer than the one asked for."""
    if info.total is not None and info.done > info.total:
        raise StoreError(
            f"{out} holds {info.done} {info.counted}s per chain, with the warmup, and {info.total} were asked for: ask "
            "for as many draws or more, or choose another folder"
        )


def _stored(store: Store) -> tuple[list[Block], dict[str, np.ndarray]]:
    """The blocks on disk, and the state after the last of them."""
    blocks: list[Block] = []
    arrays: dict[str, np.ndarray] = {}
    for i in range(store.count):
        arrays = store.load(i)
        blocks.append(_block(arrays))
    return blocks, {k.removeprefix(_STATE): v for k, v in arrays.items() if k.startswith(_STATE)}


def _advance(
    sampler: Sampler[Any],
    state: Any,
    blocks: list[Block],
    store: Store | None,
    progress: bool,
    stop_after: float | None,
) -> Info:
    """Adds blocks until the run is finished, or its time is over."""
    began, info = time.monotonic(), sampler.info(state)
    with tqdm(total=info.total, initial=info.done, desc=info.phase, disable=not progress) as bar:
        while not info.finished:
            bar.set_description(info.phase)
            started = time.monotonic()
            state, block = sampler.step(state)
            block = replace(block, seconds=time.monotonic() - started)
            _check(block, sampler, blocks)
            blocks.append(block)
            if store is not None:
                store.append({**_arrays(block), **{f"{_STATE}{k}": v for k, v in sampler.save(state).items()}})
            before, info = info.done, sampler.info(state)
            bar.update(info.done - before)
            bar.set_postfix(_shown(block))
            if stop_after is not None and time.monotonic() - began > stop_after and not info.finished:
                log.warning("stopped after %s", _reached(info))
                break
    return info


def _check(block: Block, sampler: Sampler[Any], before: Sequence[Block]) -> None:
    """Raises `ValueError` for a block that could not be collected at the end of the run."""
    name, count = type(sampler).__name__, len(sampler.problem.space)
    if block.u.ndim != 3 or block.u.shape[2] != count:
        raise ValueError(f"{name} gave u of shape {block.u.shape}: expected chains × draws × {count} parameters")
    if not np.all(np.isfinite(block.u)):
        raise ValueError(f"{name} gave draws that are not finite")
    if wrong := [k for k, v in block.stats.items() if np.shape(v)[:2] != block.u.shape[:2]]:
        raise ValueError(f"{name} gave {', '.join(wrong)} of another shape than chains × draws {block.u.shape[:2]}")
    drawn = next((b for b in before if not b.warmup and b.u.shape[1]), None)
    if drawn is not None and not block.warmup and block.u.shape[1]:
        if set(block.stats) != set(drawn.stats):
            raise ValueError(f"{name} gave other stats than before: {', '.join(block.stats)}")
        if len(block.u) != len(drawn.u):
            raise ValueError(f"{name} gave {len(block.u)} chains, before {len(drawn.u)}")


def _reached(info: Info) -> str:
    if info.total is not None:
        return f"{info.done} of {info.total} {info.counted}s per chain"
    return f"{counted(range(info.done), info.counted)} ({info.phase})"


def _shown(block: Block) -> dict[str, Any]:
    """Counts of a block for the progress bar."""
    shown: dict[str, Any] = {}
    if "n_steps" in block.stats and np.size(block.stats["n_steps"]):
        shown["leapfrogs"] = f"{np.mean(block.stats['n_steps']):.0f}"
    if "diverging" in block.stats:
        shown["divergent"] = int(np.sum(block.stats["diverging"]))
    if block.failed is not None:
        shown["failed"] = int(np.sum(block.failed))
    return shown


def _arrays(block: Block) -> dict[str, np.ndarray]:
    arrays = {"warmup": np.array(block.warmup), "u": block.u, "seconds": np.array(block.seconds)}
    failed = {} if block.failed is None else {"failed": block.failed}
    return arrays | failed | {f"{_STAT}{k}": v for k, v in block.stats.items()}


def _block(arrays: dict[str, np.ndarray]) -> Block:
    stats = {k.removeprefix(_STAT): v for k, v in arrays.items() if k.startswith(_STAT)}
    return Block(bool(arrays["warmup"]), arrays["u"], stats, arrays.get("failed"), float(arrays["seconds"]))


__all__ = ["run_sampler"]
