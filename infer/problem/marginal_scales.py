"""Scales of gels and plates integrated out in closed form.

Where the logarithm of an observable is additive in κ·ln s, with noise that does not depend on s, and ln s
has a normal prior N(μ, τ²), the residuals r = y − m(s=1) − κμ of the rows that share s are jointly normal
with covariance diag(σ²) + τ²κκᵀ:

    log p = −½ (Σ r²/σ² − b²/a) − Σ log σ − n/2 log 2π − ½ log(τ² a),   a = Σ κ²/σ² + 1/τ²,   b = Σ κ r/σ²

and ln s given the data is N(μ + b/a, 1/a). Some of these rows, P, have given the others (primes: sums over the others)

    log p(P | others) = −½ (Σ_P r²/σ² − b²/a + b′²/a′) − Σ_P log σ − |P|/2 log 2π − ½ log(a/a′),

which for one row i is the normal density about y_i − g_i/q_ii with variance 1/q_ii, where Q is the inverse of the
covariance above and g = Q r: Bürkner, Gabry and Vehtari (2021), Comput. Stat. 36, 1243-1261, equations 12 and 13.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
import sympy
from jaxtyping import Array, Float, Int

from ...data.dataset import Dataset, Observable
from ...data.noise import Normal
from ...data.parameter import Parameter
from ...models.listing import did_you_mean
from ...models.networks.formulas import names_in


@dataclass(frozen=True, eq=False)
class Nuisance:
    """The scales that are integrated out, and the rows that each of them touches.

    `group` gives for each row the position of its scale in `names`, −1 for none; `slope` is κ.
    """

    names: tuple[str, ...]
    group: np.ndarray
    slope: np.ndarray
    location: np.ndarray  # μ, of ln s
    spread: np.ndarray  # τ

    def __len__(self) -> int:
        return len(self.names)

    def _sums(self, residual: Float[Array, " rows"], sd: Float[Array, " rows"]):
        rows = np.flatnonzero(self.group >= 0)
        group = self.group[rows]
        r = residual[rows] - self.slope[rows] * self.location[group]
        s, kappa = sd[rows], self.slope[rows]

        def total(x):
            return jax.ops.segment_sum(x, group, num_segments=len(self))

        a = total(kappa**2 / s**2) + 1 / self.spread**2
        b = total(kappa * r / s**2)
        return rows, group, r, s, total, a, b

    def log_density(self, residual: Float[Array, " rows"], sd: Float[Array, " rows"]) -> Float[Array, " scales"]:
        """Marginal log density of each group, for residuals at s = 1."""
        _, group, r, s, total, a, b = self._sums(residual, sd)
        count = np.bincount(group, minlength=len(self))
        return (
            -0.5 * (total((r / s) ** 2) - b**2 / a)
            - total(jnp.log(s))
            - 0.5 * count * math.log(2 * math.pi)
            - 0.5 * jnp.log(self.spread**2 * a)
        )

    def log_density_of_parts(
        self,
        residual: Float[np.ndarray, "*draws rows"],
        sd: Float[np.ndarray, "*draws rows"],
        part: Int[np.ndarray, " rows"],
        parts: int,
    ) -> Float[np.ndarray, "*draws parts"]:
        """Log density of each part's rows that share a scale, given that scale's rows in other parts.

        `part` is the position of each row's part, from 0; residuals are those at s = 1.
        """
        rows = np.flatnonzero(self.group >= 0)
        pairs, pair = np.unique(np.stack([self.group[rows], part[rows]]), axis=1, return_inverse=True)
        of_pair = np.eye(pairs.shape[1])[pair.ravel()]  # rows × pairs of a scale and a part
        scale = pairs[0]
        of_scale = np.eye(len(self))[scale]
        kappa, s = self.slope[rows], sd[..., rows]
        r = residual[..., rows] - kappa * self.location[self.group[rows]]
        a_part, b_part = (kappa**2 / s**2) @ of_pair, (kappa * r / s**2) @ of_pair
        a = (a_part @ of_scale + 1 / self.spread**2)[..., scale]
        b = (b_part @ of_scale)[..., scale]
        a_rest, b_rest = np.maximum(a - a_part, 1 / self.spread[scale] ** 2), b - b_part
        density = (
            -0.5 * ((r / s) ** 2 @ of_pair - b**2 / a + b_rest**2 / a_rest)
            - np.log(s) @ of_pair
            - 0.5 * of_pair.sum(axis=0) * math.log(2 * math.pi)
            - 0.5 * np.log(a / a_rest)
        )
        return density @ np.eye(parts)[pairs[1]]

    def residuals_of_rows(
        self, residual: Float[np.ndarray, "*draws rows"], sd: Float[np.ndarray, "*draws rows"]
    ) -> Float[np.ndarray, "*draws rows"]:
        """Residual of each row that has a scale, given that scale's other rows, in standard deviations; else NaN.

        Its distribution is normal about κ b′/a′ with variance σ² + κ²/a′ (primes: sums over the others).
        """
        standard = np.full(residual.shape, np.nan)
        rows = np.flatnonzero(self.group >= 0)
        group, kappa, s = self.group[rows], self.slope[rows], sd[..., rows]
        r = residual[..., rows] - kappa * self.location[group]
        of_scale = np.eye(len(self))[group]  # rows × scales
        a_row, b_row = kappa**2 / s**2, kappa * r / s**2
        floor = 1 / self.spread[group] ** 2
        a = np.maximum((a_row @ of_scale)[..., group] - a_row, 0.0) + floor
        b = (b_row @ of_scale)[..., group] - b_row
        standard[..., rows] = (r - kappa * b / a) / np.sqrt(s**2 + kappa**2 / a)
        return standard

    def conditional(self, residual: Float[Array, " rows"], sd: Float[Array, " rows"]):
        """Mean and standard deviation of each ln s, given the data and everything else."""
        *_, a, b = self._sums(residual, sd)
        return self.location + b / a, 1 / jnp.sqrt(a)


def _slope(observable: Observable, placeholder: str) -> float | None:
    """κ, where the observable on its scale is m + κ·ln s with noise free of s; else None."""
    s = sympy.Symbol(placeholder)
    if observable.noise != Normal() or s in observable.noise_formula.free_symbols:
        return None
    slope = sympy.simplify(s * sympy.diff(observable.scale.formula(observable.formula), s))
    return float(slope) if slope.is_number and slope != 0 else None


def _log_normal(parameter: Parameter) -> tuple[float, float] | None:
    return None if parameter.prior is None else parameter.prior.log_normal


def find_nuisance(
    dataset: Dataset,
    parameters: Collection[Parameter],
    wanted: Collection[str] | None,
    *,
    elsewhere: Collection[str] = (),
) -> Nuisance:
    """The scales that can be integrated out: all of them, or those `wanted`.

    `parameters` are the estimated ones; `elsewhere` names what the model or a joint prior uses. Of
    two scales that touch the same row, the first is integrated out. One that touches a censored row is not, and
    is sampled. Raises `ValueError` naming each wanted one that cannot.
    """
    known = {p.name: p for p in parameters}
    direct = frozenset(elsewhere).union(*(o.symbols for o in dataset.observables.values()))
    direct = direct.union(names_in(*dataset.derived.values()), *(p.references for p in dataset.protocols.values()))
    taken = np.full(len(dataset), -1)
    names: list[str] = []
    slope = np.zeros(len(dataset))
    for name, rows in _slopes(dataset, known).items():
        possible = name not in direct and _log_normal(known[name]) is not None and None not in rows.values()
        possible = possible and all(taken[i] < 0 for i in rows)
        if not possible or (wanted is not None and name not in wanted):
            continue
        for i, k in rows.items():
            taken[i], slope[i] = len(names), k
        names.append(name)
    if refused := sorted(set(wanted or ()) - set(names)):
        raise ValueError(
            f"cannot integrate out {', '.join(refused)}: each must be an estimated scale of observables that "
            "are normal on a logarithmic scale, be used for nothing else, share no row with another such "
            "scale, touch no censored row, and have a log-normal prior without bounds, in no joint prior. Scales that "
            f"`marginalise` does not name are sampled{did_you_mean(refused, known)}"
        )
    normal = [_log_normal(known[n]) or (0.0, 1.0) for n in names]
    return Nuisance(tuple(names), taken, slope, np.array([n[0] for n in normal]), np.array([n[1] for n in normal]))


def _slopes(dataset: Dataset, known: Collection[str]) -> dict[str, dict[int, float | None]]:
    """κ of each row that a parameter fills a placeholder of, by parameter; None where there is none."""
    slopes: dict[str, dict[int, float | None]] = {}
    cache: dict[tuple[str, str], float | None] = {}
    for i, m in enumerate(dataset.measurements):
        observable = dataset.observables[m.observable]
        for placeholder, argument in zip(observable.placeholders, m.arguments, strict=True):
            if isinstance(argument, str) and argument in known:
                if (key := (observable.name, placeholder)) not in cache:
                    cache[key] = _slope(observable, placeholder)
                rows = slopes.setdefault(argument, {})
                # Twice in one row, it is not additive; the integral over a row's probability has no closed form.
                rows[i] = None if i in rows or m.censored else cache[key]
    return slopes
