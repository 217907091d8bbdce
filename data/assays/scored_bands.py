"""Scores of few levels, such as 0, +, ++, +++ of a band or a stain."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from ...models.networks.network import Network
from ..dataset import Observable
from ..files.toml_section import Section
from ..formula import Formula
from ..noise import Noise
from ..scale import Scale
from .assay import SD_ON_SCALE, Assay
from .conversion import NumberOrLimit
from .parts import SCALE, SD, formula_or_placeholder, noise_needed, plain, sees_molecules
from .row_values import RowValues

_TRANSFORMATIONS = (Scale.LOG, Scale.LOG10, Scale.LIN)  # the first by default


def score(
    name: str,
    signal: Formula,
    *,
    scale: Formula | None = 1,
    sd: Formula | None = None,
    transformation: Scale | str = "log",
    noise: Noise | str = "normal",
    network: Network | None = None,
) -> Observable:
    r"""A score of few levels: level k is seen if $c_k < s\,u\,e^{\varepsilon} \le c_{k+1}$, with thresholds c.

    A row's likelihood is the probability of its level, $F((\ln c_{k+1} - m)/\sigma) - F((\ln c_k - m)/\sigma)$ with
    m = ln s u and the distribution function F of the noise: an ordered probit if that is normal.

    Parameters
    ----------
    name : str
        Of the observable.
    signal : formula
        u, in the network's units.
    scale : formula, optional
        s, in the thresholds' arbitrary unit per unit of u. One parameter here moves all thresholds by one factor. None:
        each row names its gel's parameter.
    sd : formula, optional
        Standard deviation σ of ε, dimensionless on a logarithmic scale, else in the thresholds' unit; None: each row
        gives it.
    transformation : Scale or str
        Where ε is added: to the logarithm of the reading, or on the linear scale (`"lin"`).
    noise : Noise or str
        Distribution of ε.
    network : Network, optional
        Declares units, which are then checked.

    Returns
    -------
    Observable
        On the given scale. A `Measurement` of the lowest level is censored on the left at the first threshold, of the
        highest on the right at the last one; of another it is an interval.

    Raises
    ------
    AssayError
        If `network` declares units by which u is neither an amount nor a concentration.
    """
    sees_molecules(name, "a score", signal, network)
    s, placeholders = formula_or_placeholder(scale, SCALE, name)
    spread, row_sd = formula_or_placeholder(sd, SD, name)
    noise_needed(name, spread)
    return Observable(name, s * plain(signal, name), spread, placeholders + row_sd, transformation, noise, "au")


def limits_of_levels(levels: Sequence[str], thresholds: Sequence[float]) -> Mapping[str, NumberOrLimit]:
    """The limit or interval of the reading that each level stands for; levels begin with the lowest."""
    inner = zip(levels[1:-1], thresholds, thresholds[1:], strict=False)
    between = {level: NumberOrLimit(low, "interval", high) for level, low, high in inner}
    lowest, highest = NumberOrLimit(thresholds[0], "left"), NumberOrLimit(thresholds[-1], "right")
    return {levels[0]: lowest, **between, levels[-1]: highest}


class _Score(Assay):
    """Takes the levels and the thresholds between them; values are levels."""

    def take_values(self, section: Section, unit: str) -> RowValues:
        levels, thresholds = section.texts("levels"), section.take("thresholds", [])
        if len(levels) < 2 or len(set(levels)) < len(levels):
            expected = 'two levels or more, each once, the lowest first, such as ["0", "+", "++"]'
            section.complain("levels", expected, list(levels))
            levels = ("0", "+")
        if not _in_order(thresholds) or len(thresholds) != len(levels) - 1:
            expected = f"{len(levels) - 1} increasing numbers, one between each two of the {len(levels)} levels"
            section.complain("thresholds", f"{expected}; a parameter under `scale` moves them all", thresholds)
            thresholds = [float(i) for i in range(1, len(levels))]
        return RowValues(unit, levels=limits_of_levels(levels, [float(c) for c in thresholds]))

    def take_options(self, section: Section, values: RowValues) -> dict[str, Any]:
        transformation = section.choice("transformation", _TRANSFORMATIONS)
        lowest = min(cell.value for cell in (values.levels or {}).values())
        if transformation != "lin" and lowest <= 0:
            expected = "thresholds above 0, since the score is read on a log scale; or transformation = 'lin'"
            section.complain("thresholds", expected, lowest)
        return {"transformation": transformation}


def _in_order(thresholds: object) -> bool:
    if not isinstance(thresholds, list) or not all(isinstance(c, (int, float)) for c in thresholds):
        return False
    return all(low < high for low, high in pairwise(thresholds))


SCORE = _Score("score", score, keys=(SD_ON_SCALE,), scale="one", takes_unit=False)
