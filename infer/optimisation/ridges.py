"""Parameters that are not determined alone, though a product, ratio or sum of theirs is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

TIGHT = 0.1  # a combination's standard deviation over that of its first parameter, at most
_PARTNERS = 3  # that a parameter is combined with, at most
_ROUND = 0.1  # an exponent this close to a half or whole number is taken to be it
_SHARE = 0.05  # a partner's part in the first parameter's standard deviation, at least


@dataclass(frozen=True)
class Combination:
    """Π θ^exponent, or Σ exponent·θ of `additive`: what is determined where its parameters alone are not.

    `low` and `high` are its 5% and 95% quantiles.
    """

    exponents: dict[str, float]
    low: float
    high: float
    additive: bool = False

    @property
    def text(self) -> str:
        """Such as `s·x0`, `Vmax/Km`, `a + b`."""
        return _sum(self.exponents) if self.additive else _product(self.exponents)

    @property
    def kind(self) -> str:
        """`product`, `ratio`, `sum`, `difference`, or `combination`."""
        powers = list(self.exponents.values())
        if not all(abs(p) == 1 for p in powers):
            return "combination"
        same = len(set(powers)) == 1
        return ("sum" if same else "difference") if self.additive else ("product" if same else "ratio")


def find_combinations(
    names: Sequence[str], draws: Float[np.ndarray, "draws parameters"], candidates: Sequence[int], *, most: int = 3
) -> list[Combination]:
    """What is determined of the `candidates`, positions of parameters that are not determined alone.

    A parameter is regressed on the others, one more at a time, in logarithms where all its draws are positive. At most
    `most` combinations, the first candidates' first; no parameter is named as the first of two.
    """
    positive = [i for i in candidates if np.all(draws[:, i] > 0)]
    combinations: list[Combination] = []
    used: set[int] = set()
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = np.log(draws)
    for x, among, additive in ((logs, positive, False), (draws, list(candidates), True)):
        for i in among:
            if len(combinations) == most:
                return combinations
            others = [j for j in among if j != i]
            if i in used or not (fit := _regress(x, i, others)):
                continue
            used |= set(fit)
            value = sum(power * x[:, j] for j, power in fit.items())
            low, high = np.quantile(value if additive else np.exp(value), [0.05, 0.95])
            combinations.append(Combination({names[j]: p for j, p in fit.items()}, float(low), float(high), additive))
    return combinations


def _regress(x: np.ndarray, i: int, others: list[int]) -> dict[int, float]:
    """Coefficients, 1 of the i-th column, of a tight combination; empty if there is none."""
    centred = x - x.mean(0)
    spread = centred.std(0)
    chosen: list[int] = []
    for _ in range(min(_PARTNERS, len(others), len(x) - 3)):
        remaining = [j for j in others if j not in chosen and spread[j] > 0]
        if not remaining or spread[i] == 0:
            return {}
        fits = {j: _solve(centred, i, [*chosen, j]) for j in remaining}
        best = min(remaining, key=lambda j: fits[j][1])
        chosen.append(best)
        slopes, left = fits[best]
        if left < TIGHT * spread[i]:
            if min(abs(s) * spread[j] for s, j in zip(slopes, chosen, strict=True)) < _SHARE * spread[i]:
                return {}  # one of them has no part in it
            powers = {i: 1.0, **{j: -float(s) for j, s in zip(chosen, slopes, strict=True)}}
            return _rounded(centred, powers, TIGHT * spread[i])
    return {}


def _solve(x: np.ndarray, i: int, columns: list[int]) -> tuple[np.ndarray, float]:
    slopes, *_ = np.linalg.lstsq(x[:, columns], x[:, i], rcond=None)
    return slopes, float(np.std(x[:, i] - x[:, columns] @ slopes))


def _rounded(x: np.ndarray, powers: dict[int, float], tight: float) -> dict[int, float]:
    """With half and whole numbers for exponents, where the combination stays tight."""
    tidy = {j: round(2 * p) / 2 for j, p in powers.items()}
    near = all(abs(tidy[j] - p) < _ROUND and tidy[j] != 0 for j, p in powers.items())
    return tidy if near and np.std(sum(p * x[:, j] for j, p in tidy.items())) < tight else powers


def _product(exponents: dict[str, float]) -> str:
    up = [_power(n, p) for n, p in exponents.items() if p > 0]
    down = [_power(n, -p) for n, p in exponents.items() if p < 0]
    below = f"({'·'.join(down)})" if len(down) > 1 else "".join(down)
    return "·".join(up) + (f"/{below}" if below else "")


def _power(name: str, power: float) -> str:
    return name if power == 1 else f"{name}^{power:.2g}"


def _sum(factors: dict[str, float]) -> str:
    terms = []
    for name, factor in factors.items():
        sign = "-" if factor < 0 else "+"
        terms.append(f"{sign} {name}" if abs(factor) == 1 else f"{sign} {abs(factor):.2g}·{name}")
    return " ".join(terms).removeprefix("+ ")
