"""*solved*: whether the solver's error could have changed the posterior, and where solves failed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr
from scipy import stats

from ....models.solvers.status import Status
from ..datatree import on_search_scale
from ..left_out import GOOD_K
from .verdict import Verdict

# Attributes of a tree: sentences on noise below the solver's error, and what a strict solve of some draws showed.
NOISE, REWEIGHTED = "noise_below_solver_error", "reweighted_at_strict_tolerance"
SMALL = 0.1  # nats by which the log likelihood may move, as it moves no interval visibly
_LEAST_FAILED = 5  # draws whose trajectory a failed solve ended, to say where they lie
_ASIDE = 0.35  # of the ranks: the middle of such draws lies that far from the middle of all


def judge_solved(tree: xr.DataTree, inexact: Sequence[str] = ()) -> Verdict:
    """The verdict; `inexact` are the sentences of `checks.exactness.solver_words`."""
    failed = _failed_solves(tree)
    drowned = [_sentence(text) for text in json.loads(tree.attrs.get(NOISE, "[]"))]
    strict = json.loads(tree.attrs.get(REWEIGHTED, "null"))
    moved = _moved(strict) if strict else []
    below = [_sentence(note)] if (note := tree.attrs.get("below_zero")) else []
    if moved or drowned or inexact:
        answer = "not exactly enough"
    elif strict is None:
        answer = "not checked at a stricter tolerance"
    else:
        answer = "yes" if not _counts(tree, "draws") else "yes, but some solves failed"
    return Verdict("solved", answer, (*failed, *below, *drowned, *moved, *inexact))


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."


def _counts(tree: xr.DataTree, phase: str) -> dict[str, int]:
    attrs = tree["sample_stats"].attrs if "sample_stats" in tree.children else {}
    return json.loads(attrs.get(f"failures_{phase}", "{}"))


def _failed_solves(tree: xr.DataTree) -> list[str]:
    words = []
    for phase, when in (("draws", "while drawing"), ("warmup", "during warmup")):
        if counts := _counts(tree, phase):
            listed = ", ".join(f"{n} {kind}" for kind, n in counts.items())
            sentence = f"Failed solves {when}: {listed}."
            if phase == "draws":
                known = {s.label: s.sentence for s in Status}
                sentence += " Each was a rejected step; " + "; ".join(known[k] for k in counts if k in known) + "."
                sentence += _place_of_failures(tree)
            words.append(sentence)
    return words


def _place_of_failures(tree: xr.DataTree) -> str:
    """The parameter by which draws whose trajectory a failed solve ended differ most from the others."""
    known = tree["sample_stats"].dataset
    failed = np.asarray(known["failed"].values, dtype=bool).ravel() if "failed" in known else np.zeros(0, bool)
    if not _LEAST_FAILED <= failed.sum() < len(failed):
        return ""
    posterior = tree["posterior"].dataset
    ranks = {str(n): stats.rankdata(on_search_scale(a)) / len(failed) for n, a in posterior.data_vars.items()}
    middle = {n: float(np.median(r[failed])) - 0.5 for n, r in ranks.items()}
    name = max(middle, key=lambda n: abs(middle[n]))
    if abs(middle[name]) < _ASIDE:
        return ""
    above = middle[name] > 0
    limit = np.quantile(posterior[name].values.ravel()[failed], 0.25 if above else 0.75)
    return (
        f" Three quarters of the trajectories that failed lead to {name} {'above' if above else 'below'} {limit:.3g}."
    )


def _moved(strict: dict[str, Any]) -> list[str]:
    """A sentence if the draws would have other weights at the strict tolerance; nothing otherwise."""
    draws, rtol, failed = strict["draws"], f"{strict['rtol']:g}", strict["failed"]
    words = []
    if failed:
        words.append(
            f"At a relative tolerance of {rtol}, {failed} of {draws} draws cannot be solved: their densities are not "
            "to be trusted. Allow more steps, or look at these parameters."
        )
    if strict["nats"] > SMALL:
        k = strict["pareto_k"]
        reliable = k is not None and k <= GOOD_K
        known = "unknown" if k is None else f"{k:.2f}"
        words.append(
            f"At a relative tolerance of {rtol}, the log likelihood of {draws} draws moves by up to "
            f"{strict['nats']:.2g} nats against their median (Pareto's k of the weights: {known}). "
            + ("The posterior is nearly the same" if reliable else "The draws are not of the model's posterior")
            + ": sample again at a finer rtol."
        )
    return words


__all__ = ["NOISE", "REWEIGHTED", "judge_solved"]
