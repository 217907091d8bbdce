"""Words on uneven ranks: the posterior is too narrow, too wide, or shifted."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from jaxtyping import Int

from ...models.listing import listed
from .replicate import LIKELIHOOD

_NAMED = 6  # quantities that a sentence lists
_CLEAR = 2.0  # standard errors beyond which a mean or a variance tells the shape

NARROW, WIDE, HIGH, LOW, OTHER = "too narrow", "too wide", "too high", "too low", "uneven"

_SHIFTED = (
    "Look for a Jacobian that is lost with a change of variables, for a prior that is not the one drawn from, for "
    "limits that are taken as values and, if it is noise, for a likelihood with more or less scatter than the data."
)
ADVICE = {
    NARROW: "The posterior of {} is too narrow: the truth lies outside its draws too often. Look for noise that is "
    "stated too small, for rows that share an error but are taken as independent, and for chains that have not mixed.",
    WIDE: "The posterior of {} is too wide: the truth lies in the middle of its draws too often. Look for noise that "
    "is stated too large, and for rows that the likelihood leaves out.",
    HIGH: "The posterior of {} is too high: its draws lie above the truth too often. " + _SHIFTED,
    LOW: "The posterior of {} is too low: its draws lie below the truth too often. " + _SHIFTED,
    OTHER: "The ranks of {} are uneven, but their mean and variance do not say how: look at the figure of ranks.",
}
OF_LIKELIHOOD = (
    "The log likelihood of the truth {} those of the draws. Then the likelihood that is sampled is not the one that "
    "measurements are simulated by, or the draws do not follow it; ranks of single parameters need not show this."
)
_BESIDE = {HIGH: "is too often lower than", LOW: "is too often higher than", NARROW: "lies too often outside"}
_BESIDE |= {WIDE: "lies too often in the middle of"}


def shape_of(ranks: Int[np.ndarray, " replicates"], most: int) -> str:
    """The shape of the posterior by ranks of 0 to `most`: by their mean, and their variance about the middle.

    Uniform values have mean 1/2 with variance 1/(12 N), and mean square 1/12 about the middle with variance 1/(180 N).
    """
    n, x = len(ranks), (ranks + 0.5) / (most + 1) - 0.5
    shift = x.mean() * math.sqrt(12 * n)
    spread = (np.mean(x**2) - 1 / 12) * math.sqrt(180 * n)
    if max(abs(shift), abs(spread)) < _CLEAR:
        return OTHER
    if abs(shift) > abs(spread):
        return LOW if shift > 0 else HIGH
    return NARROW if spread > 0 else WIDE


def advise(shapes: Mapping[str, str]) -> list[str]:
    """A sentence for each shape among quantities whose ranks are not uniform."""
    of_parameters = {n: s for n, s in shapes.items() if n != LIKELIHOOD}
    words = []
    for shape, sentence in ADVICE.items():
        if names := [n for n, s in of_parameters.items() if s == shape]:
            words.append(sentence.format(listed(names, _NAMED)))
    if LIKELIHOOD in shapes:
        said = _BESIDE.get(shapes[LIKELIHOOD], "has no uniform ranks among")
        words.append(OF_LIKELIHOOD.format(said))
    return words


__all__ = ["advise", "shape_of"]
