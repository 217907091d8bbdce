"""Words on several modes of a posterior: whether the chains saw all of them, and what to do."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from ...models.listing import with_and

GOOD_WEIGHT = 0.02  # standard error of an optimum's share of the posterior
_EVIDENCE_APART = 5.0  # nats between populations; of 16 with a standard deviation of 1, they span 3.5
HEAVY = 0.05  # of the probability: an optimum that may hold more must have draws
_STAYING_SHARE = 0.99  # of a chain's draws
_VISITED_SHARE = 0.001  # of a chain's draws, in an optimum that it visited
GOOD, ACCEPTABLE, BAD = 0, 1, 2  # levels of a judgement


class Judgement(NamedTuple):
    """Sentences on the draws, and how bad it is: `level` 0 to 2, as of a summary's verdict.

    `apart`: chains lie in different places, so more draws do not help.
    """

    level: int
    words: list[str]
    apart: bool = False


def of_populations(facts: Mapping[Any, Any]) -> bool:
    """Whether SMC made the draws, by a sampler's facts or the attributes of a tree."""
    return facts.get("sampler") == "SMC"


def judge_modes(tree: xr.DataTree, worst_rhat: float, acceptable: float) -> Judgement:
    """Whether the chains saw all optima that were found, and where chains lie in different places, which."""
    optima = json.loads(tree.attrs.get("optima", "[]"))
    stats = tree["sample_stats"].dataset if "sample_stats" in tree.children else xr.Dataset()
    if of_populations(tree.attrs):
        return _judge_weights(tree, optima, stats)
    if len(optima) > 1 and "optimum" in stats:
        judgement = _judge_optima(tree, optima, np.asarray(stats["optimum"].values, dtype=int), worst_rhat, acceptable)
        if judgement.apart or worst_rhat <= acceptable:
            return judgement
        other = _judge_chains(tree, stats)
        return Judgement(max(judgement.level, other.level), judgement.words + other.words, other.apart)
    return _judge_chains(tree, stats) if worst_rhat > acceptable else Judgement(GOOD, [])


def _judge_weights(tree: xr.DataTree, optima: list[dict], stats: xr.Dataset) -> Judgement:
    """Words on the evidence and on each optimum's share of the posterior, from the populations of SMC."""
    level, words = GOOD, []
    evidence, error = (tree.attrs.get(name) for name in ("log_evidence", "log_evidence_error"))
    if evidence is not None and error is not None:
        words.append(f"The log evidence is {evidence:.2f} ± {error:.2g} nats (standard error between populations).")
        apart = float(np.ptp(json.loads(tree.attrs.get("log_evidence_of_populations", "[0]"))))
        if apart > _EVIDENCE_APART:  # the standard error is that of a mean which one population dominates
            level = ACCEPTABLE
            words[-1] += (
                f" But the populations differ by up to {apart:.1f} nats, so its error may be much larger: take more "
                "particles."
            )
    if impossible := int(tree.attrs.get("prior_draws_impossible", 0)):
        words.append(
            f"At {impossible} of {tree.attrs['prior_draws']} draws from the prior the simulation failed or the "
            "likelihood is 0; they count so in the evidence."
        )
    if len(optima) > 1 and "optimum" in stats:
        place = np.asarray(stats["optimum"].values, dtype=int)
        part = np.array([[np.mean(population == k + 1) for k in range(len(optima))] for population in place])
        errors = part.std(0, ddof=1) / np.sqrt(len(part))
        shares = ", ".join(
            f"{100 * share:.0f} ± {100 * e:.{1 if e < 0.01 else 0}f}% near optimum {k}"
            for k, (share, e) in enumerate(zip(part.mean(0), errors, strict=True), start=1)
        )
        coarse = errors.max() > GOOD_WEIGHT
        level = ACCEPTABLE if coarse else level
        more = " That is coarse: take more particles." if coarse else ""
        words.append(
            f"{_head(tree, optima)} {_listed(tree, optima, None)} Of the posterior there are {shares} (standard errors "
            f"between populations).{more}"
        )
    return Judgement(level, words)


def _head(tree: xr.DataTree, optima: list[dict]) -> str:
    differ = ", ".join(json.loads(tree.attrs.get("optima_differ_in", "[]"))[:4])
    return f"{len(optima)} optima of the posterior were found; they differ most in {differ}."


def _judge_optima(
    tree: xr.DataTree, optima: list[dict], place: np.ndarray, worst_rhat: float, acceptable: float
) -> Judgement:
    count = len(optima)
    began = json.loads(tree.attrs.get("chain_started_at_optimum", "[]"))
    part = np.array([[np.mean(chain == k + 1) for k in range(count)] for chain in place])  # chains × optima
    shares_of_draws = part.mean(0)
    listed = _listed(tree, optima, began)
    head = f"{_head(tree, optima)} {listed}"
    if np.all(part >= _VISITED_SHARE) and worst_rhat <= acceptable:
        shares = ", ".join(f"{100 * h:.0f}%" for h in shares_of_draws)
        return Judgement(GOOD, [f"{head} Every chain visits each of them; of the draws they hold {shares}."])
    occupied = np.flatnonzero(part.max(0) >= _VISITED_SHARE)
    missed = [k for k in range(count) if k not in occupied]
    if len(occupied) > 1:
        return Judgement(BAD, [f"{head} {_where(part)} {_explain_weights(missed)}"], apart=True)
    heavy = [k for k in missed if k + 1 not in began or optima[k]["share"] >= HEAVY]
    if heavy:
        return Judgement(
            BAD, [f"{head} All draws lie in optimum {occupied[0] + 1}. {_explain_weights(missed)}"], apart=False
        )
    left = with_and([str(k + 1) for k in missed])
    return Judgement(
        GOOD,
        [
            f"{head} The chains that began at optimum {left} left it in the warmup and no draw lies there; by its "
            f"height and width it holds less than {100 * HEAVY:.0f}% of the posterior."
        ],
    )


def _listed(tree: xr.DataTree, optima: list[dict], began: Sequence[int] | None) -> str:
    """Each optimum, and the chains that began there; None: of a sampler that begins at none."""
    names = json.loads(tree.attrs.get("optima_differ_in", "[]"))[:4]
    sentences = []
    for k, optimum in enumerate(optima, start=1):
        chains = [str(c + 1) for c, o in enumerate(began or ()) if o == k]
        values = ", ".join(f"{n} = {optimum['values'][n]:.3g}" for n in names)
        begun = f"chain{'s' * (len(chains) > 1)} {with_and(chains)} began here" if chains else "no chain began here"
        height = optimum["objective"]
        shown = f"−log posterior {height:.2f}, " if height is not None and np.isfinite(height) else ""
        begun = "" if began is None else f"; {begun}"
        sentences.append(f"Optimum {k}: {shown}{optimum['starts']} starts, {values}{begun}.")
    return " ".join(sentences)


def _where(part: np.ndarray) -> str:
    """Which chain lies where."""
    places = []
    stays = [int(np.argmax(p)) if p.max() >= _STAYING_SHARE else -1 for p in part]
    for k in sorted({s for s in stays if s >= 0}):
        chains = [str(c + 1) for c, s in enumerate(stays) if s == k]
        verb = "stays" if len(chains) == 1 else "stay"
        places.append(f"chain{'s' * (len(chains) > 1)} {with_and(chains)} {verb} in optimum {k + 1}")
    for c, s in enumerate(stays):
        if s < 0:
            shares = ", ".join(f"{100 * p:.0f}% in {k + 1}" for k, p in enumerate(part[c]) if p >= _VISITED_SHARE)
            places.append(f"chain {c + 1} changes between them ({shares})")
    text = "; ".join(places) + "."
    return text[0].upper() + text[1:]


def _explain_weights(missed: Sequence[int]) -> str:
    unseen = f"No draw lies in optimum {with_and([str(k + 1) for k in missed])}. " if missed else ""
    return (
        f"{unseen}NUTS alone cannot weigh optima that its chains do not cross between: how many draws lie in each "
        "follows from where the chains began, and so do the means and intervals above. Report the "
        "optima one by one, exclude all but one by prior knowledge or further measurements, or sample with the method "
        "smc, which weighs them."
    )


def _judge_chains(tree: xr.DataTree, stats: xr.Dataset) -> Judgement:
    """Names the chains whose draws do not overlap with those of the others."""
    groups, parameter = chains_apart(tree["posterior"].dataset)
    if len(groups) < 2:
        return Judgement(GOOD, [])
    height = np.asarray(stats["lp"].values, dtype=float).mean(1) if "lp" in stats else None
    scatter = float(np.asarray(stats["lp"].values).std(1).mean()) if "lp" in stats else 0.0
    draws = tree["posterior"].dataset[parameter].values
    places = []
    for group in groups:
        where = f"{np.median(draws[group]):.3g}"
        text = f"chain{'s' * (len(group) > 1)} {with_and([str(c + 1) for c in group])} about {where}"
        if height is not None:
            below = height.max() - height[group].mean()
            if below > max(3.0, 2 * scatter):
                text += f" (log density lower by {below:.1f}: a worse optimum, in which the sampler is stuck)"
        places.append(text)
    return Judgement(
        BAD,
        [
            f"The chains lie in {len(groups)} separate places, apart in {parameter} for instance: {'; '.join(places)}. "
            "More draws do not mend that. Look for best fits from more starts, and sample again from other starts; "
            "where places of similar density remain, the posterior has several modes, which NUTS alone cannot weigh."
        ],
        apart=True,
    )


def chains_apart(posterior: xr.Dataset) -> tuple[list[list[int]], str]:
    """Chains in groups, the largest first, and a parameter that parts them.

    Two chains are together if their 90% intervals overlap in every parameter.
    """
    names = [str(n) for n in posterior.data_vars]
    quantiles = np.array([np.quantile(posterior[n].values, [0.05, 0.95], axis=1) for n in names])  # names × 2 × chains
    low, high = quantiles[:, 0], quantiles[:, 1]
    gap = np.maximum(low[:, :, None] - high[:, None, :], low[:, None, :] - high[:, :, None])
    width = np.maximum((high - low).mean(1), np.finfo(float).tiny)[:, None, None]
    apart = np.any(gap > 0, axis=0)
    chains = low.shape[1]
    groups: list[list[int]] = []
    for c in range(chains):
        near = [g for g in groups if any(not apart[c, o] for o in g)]
        groups = [g for g in groups if g not in near] + [sorted([c, *(o for g in near for o in g)])]
    groups.sort(key=lambda g: (-len(g), g))
    return groups, names[int(np.argmax((gap / width).max((1, 2))))]
