r"""Populations of virtual cells or patients: what varies from one to the other, and what they answer.

Members differ in parameters (numbers of receptors) or in what is added (sIL-6R of a patient's serum), lognormally:

    ln x = ln m − s²/2 + s z,   s² = ln(1 + cv²),   z ~ normal(0, R)

so that m is the mean over members, which is what a blot of many cells measures, cv their coefficient of variation, and
R the correlations on the logarithmic scale. All draws have the same members (the same z), so that draws differ in
nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
import xarray as xr
from jaxtyping import Float

from ...models.compiled.model import Model
from ...models.protocols.protocol import Protocol
from .amounts import Given, Masses
from .conditions import Changes, Condition, as_condition
from .ensemble import Draws, Source, draws_of
from .response import DoseResponse, respond


@dataclass(frozen=True)
class Spread:
    """How a quantity varies over members: its coefficient of variation, and its mean, a number or text with a unit.

    Without a mean that is the value of the parameter itself, in each draw.
    """

    cv: float
    mean: float | str | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.cv < np.inf:
            raise ValueError(f"cv must be 0 or more and finite, not {self.cv}")


Correlation = float | Mapping[tuple[str, str], float]

SERUM: Mapping[str, Spread] = {
    "sIL6R": Spread(46 / 161, "161 ng/ml"),  # 161 ± 46 in healthy children (JCI 117206)
    # The mean of the module serum (JCI 117206, Doré 1997 and reviews). Other assays find 100 to 400 ng/ml (reviews):
    # that factor of 4, taken as 95% of patients, is the spread, which is assumed.
    "sgp130": Spread(0.37, "25 ng/ml"),
}
"""Soluble receptors in the serum of patients: added to cells, or what serum holds (`sIL6R_0`) in a model of it."""


@dataclass(frozen=True, eq=False)
class Population:
    """What members of a population answer.

    `data` holds `response` and `status` as `DoseResponse` does, with a dimension `member` after `draw`, and for each
    quantity that varies what was drawn (`drawn_…`, draw × member).
    """

    data: xr.Dataset
    reading: str

    def __repr__(self) -> str:
        return f"Population({self.reading!r}, {' × '.join(f'{n} {dim}' for dim, n in self.response.sizes.items())})"

    @property
    def response(self) -> xr.DataArray:
        return self.data["response"]

    def moments(self) -> xr.Dataset:
        """Mean and coefficient of variation over members, for every draw; members whose simulation failed left out."""
        mean, sd = self.response.mean("member"), self.response.std("member", ddof=1)
        return xr.Dataset({"mean": mean, "cv": sd / np.abs(mean)})

    def positive(self, gate: float = 0.95) -> xr.DataArray:
        """Share of members above the gate, the quantile of unstimulated members, as flow cytometry counts cells.

        Raises `ValueError` where dose 0 of the ligand is missing.
        """
        if not np.any(self.data["dose"].values == 0):
            raise ValueError("the gate is set on unstimulated members: give dose 0 of the ligand as well")
        if not 0 < gate < 1:
            raise ValueError(f"the gate is a quantile, between 0 and 1, not {gate}")
        threshold = (
            self.response.sel(dose=0.0, drop=True).quantile(gate, dim="member", skipna=True).drop_vars("quantile")
        )
        above = (self.response > threshold).where(self.response.notnull())
        return above.mean("member")


def virtual_population(
    source: Source,
    ligand: str,
    doses: Given,
    varies: Mapping[str, Spread],
    *,
    size: int = 1000,
    seed: int = 0,
    correlation: Correlation = 0.0,
    conditions: Mapping[str, Changes | Condition | Protocol] | None = None,
    draws: int | None = 20,
    **options,
) -> Population:
    """The response of `size` members to `doses` of `ligand`, for `draws` draws of a posterior, in one batch.

    `varies` says by name what differs between members: parameters of the model, and species that are added with the
    ligand (`SERUM`). A species S that the model holds at a level `S_0` by itself, as `cytokine_release` does soluble
    receptors, is not added on top of it: `S_0` varies in its place. `correlation`, on the logarithmic scale, is one
    number for all pairs, or numbers by pair. Other arguments are those of `hexamer.infer.dose_response`. A condition
    that gives a varying quantity a value has it in all members alike.

    Raises `ValueError` for names that the model does not have, a species without a mean, one that varies twice, and
    correlations that no distribution has.
    """
    if size < 2:
        raise ValueError(f"a population has at least 2 members, not {size}")
    if not varies:
        raise ValueError("say what varies from member to member: varies={'IL6R_0': Spread(cv=0.5)}")
    base = draws_of(source, options.pop("parameters", None), model=options.pop("model", None), draws=draws)
    factors = lognormal_factors({n: s.cv for n, s in varies.items()}, size, seed, correlation)
    masses = options.get("molar_mass")
    centre = {n: _mean(base, n, s, masses) for n, s in varies.items()}
    drawn = {_level(base.model, n): (centre[n][:, None] * factors[n]).ravel() for n in varies}
    if len(drawn) < len(varies):
        raise ValueError(f"a species and the level that the model holds it at are one: {', '.join(varies)} vary twice")
    parameters = {n: np.repeat(v, size) for n, v in base.values.items()}
    parameters |= {n: v for n, v in drawn.items() if n in base.model.parameters}
    added = {n: v for n, v in drawn.items() if n not in base.model.parameters}
    given = {"": {}} if conditions is None else conditions
    cases = {n: _with(as_condition(n, c), added) for n, c in given.items()}
    flat = base._replace(values=parameters, size=base.size * size)
    result = respond(flat, ligand, doses, conditions=cases, **options)
    return Population(_folded(result, drawn, base.size, size), result.reading)


def lognormal_factors(
    cv: Mapping[str, float], size: int, seed: int, correlation: Correlation = 0.0
) -> dict[str, Float[np.ndarray, " members"]]:
    """What each member's quantities are multiplied with: mean 1, and the given coefficients of variation."""
    root = np.linalg.cholesky(_matrix(tuple(cv), correlation))
    z = np.random.default_rng(seed).normal(size=(size, len(cv))) @ root.T
    s = np.sqrt(np.log1p(np.array(list(cv.values())) ** 2))
    return dict(zip(cv, np.exp(s * z - 0.5 * s**2).T, strict=True))


def _matrix(names: tuple[str, ...], correlation: Correlation) -> Float[np.ndarray, "names names"]:
    given = correlation if isinstance(correlation, Mapping) else dict.fromkeys(combinations(names, 2), correlation)
    if unknown := sorted({n for pair in given for n in pair} - set(names)):
        raise ValueError(f"correlation names {', '.join(unknown)}, which does not vary; what does: {', '.join(names)}")
    r = np.eye(len(names))
    for (a, b), value in given.items():
        r[names.index(a), names.index(b)] = r[names.index(b), names.index(a)] = value
    if not np.all(np.isfinite(r)) or np.any(np.diag(r) != 1) or np.linalg.eigvalsh(r)[0] < 1e-10:
        raise ValueError(f"no distribution has these correlations: {dict(given)}")
    return r


def _mean(base: Draws, name: str, spread: Spread, masses: str | float | Masses | None):
    """The mean over members, for each draw, in the model's unit."""
    model = base.model
    if name not in model.parameters and name not in model.species:
        raise ValueError(
            f"{name!r} varies, and {model.name} does not have it; its parameters: {', '.join(model.parameters)}; "
            f"its species: {', '.join(model.species)}"
        )
    if spread.mean is not None:
        mass = masses.get(name) if isinstance(masses, Mapping) else None
        return np.repeat(base.cells().doses(model, name, spread.mean, molar_mass=mass).values, base.size)
    name = _level(model, name)
    if name in model.species:
        raise ValueError(f"{name} is added to the cells: say how much, Spread(cv={spread.cv:g}, mean='100 ng/ml')")
    if name in base.values:
        return base.values[name]
    return np.full(base.size, model.defaults[model.parameters.index(name)])


def _level(model: Model, name: str) -> str:
    """What varies where `name` does: the level `S_0` that the model holds a species S at, else itself."""
    level = f"{name}_0"
    return level if name in model.species and level in model.parameters else name


def _with(condition: Condition, added: Changes) -> Condition:
    return replace(condition, changes={**added, **condition.changes})


def _folded(result: DoseResponse, drawn: Mapping[str, np.ndarray], draws: int, size: int) -> xr.Dataset:
    """The flat axis of draws × members as two."""
    data = {}
    for name, x in result.data.data_vars.items():
        x = x.transpose("draw", ...)
        data[name] = (("draw", "member", *x.dims[1:]), x.values.reshape(draws, size, *x.shape[1:]))
    data |= {f"drawn_{n}": (("draw", "member"), v.reshape(draws, size)) for n, v in drawn.items()}
    coords = {n: c for n, c in result.data.coords.items() if n != "draw"}
    return xr.Dataset(data, {**coords, "draw": np.arange(draws), "member": np.arange(size)})
