"""`run_sampler`: any sampler, block by block, with its draws on disk so that a killed run resumes."""

from __future__ import annotations

import logging
import time
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from ...models.solvers.dispatch import falls_back
from ..problem.identity import run_parts
from ..problem.problem import Problem
from .draws import Draws, collect
from .sampler import Block, Info, Sampler
from .store import Store

log = logging.getLogger(__name__)

_STAT, _STATE = "stat_", "state_"


@falls_back
def run_sampler(
    problem: Problem,
    sampler: Sampler[Any],
    *,
    seed: int,
    out: str | Path | None = None,
    progress: bool = True,
    stop_after: float | None = None,
) -> Draws | None:
    """The draws of `sampler`, which was made for `problem`; None if it was stopped before the first.

    With `out`, every block goes to disk with the sampler's state: the same call resumes a killed run, draw for draw as
    if it had not been killed. With `stop_after` seconds the run stops after the block in hand, and returns the draws
    so far (`complete` is then false). `seed` is what the sampler was seeded with, for the record.

    Raises `StoreError` if `out` cannot be written, is damaged, or holds another run, naming what differs;
    `LockedError` if another process is at work there.
    """
    identity = run_parts(problem, seed=seed, **sampler.identity)
    with problem.placed() as devices, nullcontext() if out is None else Store.open(out, identity) as store:
        stored = [] if store is None else [store.load(i) for i in range(store.count)]
        blocks = [_block(arrays) for arrays in stored]
        if stored:
            saved = {k.removeprefix(_STATE): v for k, v in stored[-1].items() if k.startswith(_STATE)}
            state = sampler.restore(devices, saved, blocks)
            log.info("resuming after %s", _reached(sampler.info(state)))
        else:
            state = sampler.init(devices)
        info = _advance(sampler, state, blocks, store, progress, stop_after)
        return collect(problem, blocks, seed, info.facts, complete=info.finished)


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
            before = time.monotonic()
            state, block = sampler.step(state)
            block = replace(block, seconds=time.monotonic() - before)
            blocks.append(block)
            if store is not None:
                store.append({**_arrays(block), **{f"{_STATE}{k}": v for k, v in sampler.save(state).items()}})
            bar.update(sampler.info(state).done - info.done)
            bar.set_postfix(_shown(block))
            info = sampler.info(state)
            if stop_after is not None and time.monotonic() - began > stop_after and not info.finished:
                log.warning("stopped after %s", _reached(info))
                break
    return info


def _reached(info: Info) -> str:
    return f"{info.done} iterations" if info.total is None else f"{info.done} of {info.total} iterations a chain"


def _shown(block: Block) -> dict[str, Any]:
    """What the progress bar says of a block."""
    shown: dict[str, Any] = {}
    if "n_steps" in block.stats:
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
