"""What is said of where the starts of an optimiser ended, in words and as plain types."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from ...models.listing import with_and
from .optima import BARRIER, COMPARABLE, EQUAL, Endings, Optimum, comparable, differing
from .ridges import Combination, find_combinations

_SHOWN = 6  # optima, and parameters, at most


def describe_optima(ended: Endings) -> list[str]:
    """Sentences about several optima, and about parameters that fits of equal objective do not determine."""
    near = comparable(ended.optima)
    sentences = _several(ended, near) if len(near) > 1 else []
    for number, optimum in enumerate(near, start=1):
        if optimum.valley:
            sentences.append(_of_valley(ended, optimum, number if len(near) > 1 else None))
    worse = len(ended.optima) - len(near)
    if worse:
        o = ended.optima[len(near)]
        what = "a local optimum" if worse == 1 else f"{worse} local optima, the best of which is"
        starts = sum(len(w.members) for w in ended.optima[len(near) :])
        sentences.append(
            f"{starts} {'start ends' if starts == 1 else 'starts end'} in {what} worse by "
            f"{o.objective - ended.optima[0].objective:.1f} (rank {o.rank + 1}): "
            f"{', '.join(_differ(ended, ended.optima[0], o))} differ most."
        )
    return sentences


def _several(ended: Endings, near: list[Optimum]) -> list[str]:
    sentences = [
        f"{len(near)} distinct optima have objectives within {COMPARABLE:g} of the best: the data do not decide "
        f"between them. {_rises(near)} Report all of them, or exclude some by prior knowledge or by "
        "further measurements."
    ]
    first = near[0]
    names = _union([_differ(ended, first, o) for o in near[1 : _SHOWN + 1]])
    for number, optimum in enumerate(near[:_SHOWN], start=1):
        values = _values(ended, optimum.rank)
        listed = ", ".join(f"{n} = {values[n]:.4g}" for n in names)
        count = len(optimum.members)
        sentences.append(
            f"Optimum {number}: objective {optimum.objective:.4f}, {count} start{'' if count == 1 else 's'} "
            f"(best: rank {optimum.rank + 1}); {listed}."
        )
    if len(near) > _SHOWN:
        sentences.append(f"{len(near) - _SHOWN} more optima are in the record.")
    return sentences


def _rises(near: list[Optimum]) -> str:
    rises = [o.rise for o in near[1:]]
    least = min(rises)
    return (
        "On the way from one to another the simulation fails."
        if not np.isfinite(least)
        else f"On the way from one to another the objective rises by {least:.3g} at least."
    )


def _of_valley(ended: Endings, optimum: Optimum, number: int | None) -> str:
    """What fits of equal objective say of the parameters that they do not determine."""
    names, spread = ended.space.names, optimum.spread()
    values = np.array([list(_values(ended, r).values()) for r in optimum.members])
    ranges = ", ".join(f"{names[i]} {values[:, i].min():.3g} to {values[:, i].max():.3g}" for i in spread[:_SHOWN])
    more = f" and {len(spread) - _SHOWN} more" if len(spread) > _SHOWN else ""
    whose = "Starts" if number is None else f"Starts of optimum {number}"
    text = f"{whose} of equal objective lie along a valley in which it rises by less than {BARRIER:g}: {ranges}{more}. "
    first = [names[i] for i in spread[:_SHOWN]]
    alone = ", ".join(first) + more if more else with_and(first)
    text += f"{alone} alone {'is' if len(spread) == 1 else 'are'} not determined"
    combinations = find_combinations(names, values, spread)
    return text + (f"; {listed_combinations(combinations)}." if combinations else ".")


def listed_combinations(combinations: list[Combination]) -> str:
    """Such as `the product s·x0 is (9.9 to 10.1)`."""
    return "; ".join(f"the {c.kind} {c.text} is: {_range(c)}" for c in combinations)


def _range(c: Combination) -> str:
    low, high = f"{c.low:.3g}", f"{c.high:.3g}"
    return low if low == high else f"{low} to {high}"


def optima_record(ended: Endings) -> list[dict[str, Any]]:
    """The groups as plain types: rank counts from 1, as shown."""
    names = ended.space.names
    return [
        {
            "objective": o.objective,
            "starts": len(o.members),
            "ranks": [r + 1 for r in o.members],
            "rise": o.rise if np.isfinite(o.rise) else None,
            "low": o.low.tolist(),
            "high": o.high.tolist(),
            "values": _values(ended, o.rank),
            "differs_most_in": _differ(ended, ended.optima[0], o) if k else [],
            "not_determined": [names[i] for i in o.spread()],
        }
        for k, o in enumerate(ended.optima)
    ]


def restored_optimum(
    record: Mapping[str, Any],
    standard: Float[np.ndarray, "fits parameters"],
    objective: Float[np.ndarray, " fits"],
) -> Optimum:
    """One of the groups that `optima_record` wrote.

    `standard` are the fits in prior standard deviations, which say the ranges that files of older versions do not.
    """
    rise = float("nan") if record["rise"] is None else record["rise"]
    members = tuple(r - 1 for r in record["ranks"])
    equal = standard[[m for m in members if objective[m] <= record["objective"] + EQUAL]]
    low, high = (np.array(record.get(k, default)) for k, default in (("low", equal.min(0)), ("high", equal.max(0))))
    return Optimum(members, record["objective"], rise, low, high)


def _values(ended: Endings, rank: int) -> dict[str, float]:
    space = ended.space
    theta = np.asarray(space.constrain(jnp.asarray(ended.z[rank])))
    return dict(zip(space.names, map(float, theta), strict=True))


def _differ(ended: Endings, a: Optimum, b: Optimum) -> list[str]:
    space = ended.space
    one, other = space.standard(ended.z[a.rank]), space.standard(ended.z[b.rank])
    return differing(one, other, space.names)


def _union(lists: list[list[str]]) -> list[str]:
    return list(dict.fromkeys(n for part in lists for n in part))[:_SHOWN]
