"""*sampled*: whether the draws are enough, and of the whole posterior."""

from __future__ import annotations

from collections.abc import Sequence

import arviz_stats
import numpy as np
import pandas as pd
import xarray as xr

from ....models.listing import listed
from ..mode_words import Judgement, of_populations
from .verdict import Verdict

GOOD_RHAT, ACCEPTABLE_RHAT = 1.01, 1.05
GOOD_ESS, ACCEPTABLE_ESS = 400, 100  # of all chains together
LOW_BFMI = 0.3
LEAST_DRAWS = 4  # of a chain: the diagnostics take no fewer
NOT_JUDGED = "not judged"
_ANSWERS = ("yes", "barely", "no")  # by level
_WARM_UP = ": warm up longer, look at the traces."


def worst_rhat(table: pd.DataFrame) -> float:
    """The largest R-hat of all parameters; 1 if there is none."""
    rhat = table["r_hat"].to_numpy(dtype=float)
    return float(np.nanmax(rhat)) if np.isfinite(rhat).any() else 1.0


def judge_sampled(tree: xr.DataTree, table: pd.DataFrame, modes: Judgement, ridges: Judgement) -> Verdict:
    """The verdict, from R-hat, effective sample sizes, divergences, BFMI, modes, and divergences on ridges."""
    words: list[str] = []
    chains, draws = (tree["posterior"].sizes[n] for n in ("chain", "draw"))
    if draws < LEAST_DRAWS:
        word = f"{draws} draw{'s' * (draws != 1)} per chain are too few to judge anything: draw at least 100."
        return Verdict("sampled", NOT_JUDGED, (word, *_stopped(tree)))
    level = _judge_moves(chains, table, words)
    words += modes.words
    level = max(level, modes.level, _judge_rhat(tree, table, modes, words), _judge_ess(tree, table, modes, words))
    level = max(level, _judge_sampler(tree, words), ridges.level)
    words += [*ridges.words, *_stopped(tree)]
    answer = NOT_JUDGED if chains < 2 and level < 2 else _ANSWERS[level]
    return Verdict("sampled", answer, tuple(words))


def _judge_moves(chains: int, table: pd.DataFrame, words: list[str]) -> int:
    """Adds a sentence on one chain, or on draws that are all the same; the level that they allow."""
    bulk = table["ess_bulk"].to_numpy(dtype=float)
    still = [str(n) for n, b in zip(table.index, bulk, strict=True) if np.isnan(b)]
    if chains < 2:
        words.append("One chain cannot tell whether it found all modes: run at least four.")
        return 1
    if still:
        words.append(f"{listed(still)}: draws that never move. Sample again from other starts.")
        return 2
    return 0


def _judge_rhat(tree: xr.DataTree, table: pd.DataFrame, modes: Judgement, words: list[str]) -> int:
    names, rhat = [str(n) for n in table.index], table["r_hat"].to_numpy(dtype=float)
    worst = worst_rhat(table)
    if worst <= GOOD_RHAT:
        return 0
    close = worst <= ACCEPTABLE_RHAT
    bad = [names[i] for i in np.argsort(-np.nan_to_num(rhat), kind="stable") if rhat[i] > GOOD_RHAT]
    more = close or of_populations(tree.attrs)
    disagree = f"The chains disagree{'.' if modes.apart else _WARM_UP}"
    words.append(
        f"R-hat is up to {worst:.3f} (good: ≤ {GOOD_RHAT}, acceptable: ≤ {ACCEPTABLE_RHAT}); "
        f"worst: {listed(bad)}. {_more(tree) if more else disagree}"
    )
    return 1 if close else 2


def _judge_ess(tree: xr.DataTree, table: pd.DataFrame, modes: Judgement, words: list[str]) -> int:
    names = [str(n) for n in table.index]
    ess = np.fmin(*(table[c].to_numpy(dtype=float) for c in ("ess_bulk", "ess_tail")))
    least = np.nanmin(ess) if np.isfinite(ess).any() else np.inf
    if least >= GOOD_ESS:
        return 0
    scarce = [names[i] for i in np.argsort(ess, kind="stable") if ess[i] < GOOD_ESS]
    words.append(
        f"The effective sample size is only {least:.0f} (good: ≥ {GOOD_ESS}); least: {listed(scarce)}."
        + ("" if modes.apart else _times_more(tree, max(2.0, np.ceil(GOOD_ESS / max(least, 1.0)))))
    )
    return 1 if least >= ACCEPTABLE_ESS else 2


def _more(tree: xr.DataTree) -> str:
    return "Take more particles." if of_populations(tree.attrs) else "Draw more."


def _times_more(tree: xr.DataTree, times: float) -> str:
    if of_populations(tree.attrs):
        return f" Take about {times:.0f} times as many particles."
    return f" Draw about {times:.0f} times as much."


def _judge_sampler(tree: xr.DataTree, words: list[str]) -> int:
    """Adds what the sampler's statistics say; the level that they allow."""
    stats = tree["sample_stats"].dataset if "sample_stats" in tree.children else xr.Dataset()
    level = 0
    if "diverging" in stats:
        diverging, total = int(stats["diverging"].sum()), stats["diverging"].size
        if diverging:
            level = 1 if diverging <= 0.01 * total else 2
            words.append(
                f"{diverging} of {total} draws diverged ({100 * diverging / total:.2g}%): the sampler met "
                "curvature that its steps cannot follow. Raise the target acceptance, or give weak "
                "parameters firmer priors."
            )
    hits, limit = _depth_hits(tree, stats)
    if hits:
        total = next(iter(stats.data_vars.values())).size
        words.append(
            f"{hits} of {total} draws stopped at the tree depth {limit}: slow, not wrong. Raise "
            "max_tree_depth, or warm up longer."
        )
    if "energy" in stats and stats.sizes["draw"] > 3:
        bfmi = np.asarray(arviz_stats.bfmi(stats["energy"].values))
        low = int(np.sum(bfmi < LOW_BFMI))
        if low:
            words.append(
                f"The energy of {low} chain(s) mixes slowly (BFMI {np.nanmin(bfmi):.2f} < {LOW_BFMI}): heavy "
                "tails. Warm up longer, or reparametrise."
            )
            level = max(level, 1)
    return level


def _depth_hits(tree: xr.DataTree, stats: xr.Dataset) -> tuple[int, int]:
    limit = int(tree.attrs.get("max_tree_depth", 10))
    if "tree_depth" in stats:
        return int(np.sum(stats["tree_depth"].values >= limit)), limit
    if "n_steps" in stats:
        return int(np.sum(stats["n_steps"].values >= 2**limit - 1)), limit
    return 0, limit


def _stopped(tree: xr.DataTree) -> Sequence[str]:
    if tree.attrs.get("complete") in ("false", "False", 0):
        return ("The run was stopped before it had all its draws; the same call resumes it.",)
    return ()


__all__ = ["ACCEPTABLE_RHAT", "judge_sampled", "worst_rhat"]
