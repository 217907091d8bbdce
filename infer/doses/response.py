"""`dose_response`: what cells answer to doses of a ligand, in every draw and condition, under every dose of drugs."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike

from ... import html
from ...data.files.csv_table import parse_number
from ...data.quantities.model_units import ModelUnit, ModelUnits
from ...data.quantities.units import UnitError, conversion_factor, molar_mass_kda
from ...models.compiled.model import Model
from ...models.library.builder import drugs as library_drugs
from ...models.listing import did_you_mean, known_names
from ...models.protocols.protocol import Protocol
from ...models.simulation import require_x64
from ...models.solvers.settings import Settings
from ..problem.failures import count_kinds
from ..problem.problem import Problem
from .amounts import Doses, Given, Masses, time_unit
from .batch import evaluate
from .cells import MolarMassError
from .conditions import Changes, Condition, Design, as_condition, design
from .course_summary import COURSE, SUMMARIES, Summary
from .ensemble import Draws, Source, draws_of
from .quantiles import quantiles_over_draws
from .tables import as_table

if TYPE_CHECKING:
    from .hill import HillFits

log = logging.getLogger(__name__)
MEMORY = 2**28  # bytes that the trajectories of one chunk may take


@dataclass(frozen=True, eq=False)
class DoseResponse:
    """Responses of draws × conditions × doses of each drug × doses of the ligand (× times where courses are kept).

    `data` holds `response` (the observable's unit; NaN where the simulation failed) and `status` (see
    `hexamer.Status`) along `draw`, `condition`, a dimension named after each drug that was given at several doses,
    `dose`, and `time`. Doses are in the model's unit, the coordinate `given_…` has them as they were given.
    """

    data: xr.Dataset
    observable: str
    reading: str  # such as `pSTAT3_total at 20 min`
    ligand: Doses
    drugs: tuple[Doses, ...]
    seconds: float

    def __repr__(self) -> str:
        sizes = " × ".join(f"{n} {dim}" for dim, n in self.response.sizes.items())
        failed = ", ".join(f"{n} {kind}" for kind, n in self.failed.items()) or "none"
        return f"{self.reading} over doses of {self.ligand.name}: {sizes}; failed: {failed}; {self.seconds:.1f} s"

    def _repr_html_(self) -> str:
        """For notebooks: the first rows of `table`."""
        rows = self.table().to_dict("split", index=False)
        return html.form(repr(self), html.table(list(map(str, rows["columns"])), rows["data"], list))

    @property
    def response(self) -> xr.DataArray:
        return self.data["response"]

    @property
    def failed(self) -> dict[str, int]:
        """How many trajectories failed, by kind."""
        return count_kinds(self.data["status"].values)

    def doses(self, along: str = "dose") -> Doses:
        """The doses along a dimension. Raises `ValueError` naming the dimensions that are of doses."""
        found = {"dose": self.ligand, **{d.name: d for d in self.drugs if d.name in self.data.dims}}
        if along not in found:
            raise ValueError(f"no doses along {along!r}; known: {', '.join(found)}")
        return found[along]

    def hill(self, along: str = "dose") -> HillFits:
        """Hill curves of every draw along doses of the ligand or of a drug: EC50 or IC50, plateau and slope.

        See `hexamer.infer.doses.hill`.
        """
        from .hill import fit_hill

        return fit_hill(self, along)

    def quantiles(self, probabilities: Sequence[float] = (0.05, 0.5, 0.95)) -> xr.DataArray:
        """Quantiles of the response over draws, those that failed left out."""
        return quantiles_over_draws(self.response, probabilities)

    def table(self, interval: float = 0.9):
        """Quantiles by condition and doses as a pandas table, with the number of draws that failed.

        Doses are as they were given, in the unit of the column beside (`dose_unit`).
        """
        low, high = (1 - interval) / 2, (1 + interval) / 2
        found = self.quantiles((low, 0.5, high))
        columns = {n: found.isel(quantile=i, drop=True) for i, n in enumerate(("lower", "median", "upper"))}
        columns["failed"] = (self.data["status"] != 0).sum("draw")
        return as_table(xr.Dataset(columns), self.data)


def dose_response(
    source: Source,
    ligand: str,
    doses: Given,
    *,
    at: float | str | None = None,
    summary: Summary | None = None,
    times: ArrayLike | None = None,
    observe: str = "pSTAT3_total",
    unit: str | None = None,
    molar_mass: str | float | Masses | None = None,
    conditions: Mapping[str, Changes | Condition | Protocol] | None = None,
    drugs: Mapping[str, Given] | None = None,
    pretreat: float = 0.0,
    preequilibrate: bool | None = None,
    parameters: Mapping[str, ArrayLike] | None = None,
    model: Model | Problem | str | None = None,
    draws: int | None = 1000,
    settings: Settings | None = None,
    memory: int = MEMORY,
    progress: bool = True,
) -> DoseResponse:
    """The response to `doses` of `ligand`, for all draws × conditions × doses in one batch.

    What responds:
    - `source`: a posterior (an ArviZ tree, or the file or folder that holds it), of which about `draws` draws are
      used, evenly spread (None: all); or a `Model` with `parameters` by name, numbers or arrays of draws, all of which
      are used. A posterior brings its problem: the model, how cells start, units and molar masses of its inputs, the
      solver's settings. `model` is another model, such as the fitted one with a drug, under the same protocol; or the
      `Problem` that was fitted, for files of older versions and models written in Python.
    - `preequilibrate`: whether cells come to rest first; by default as in the problem that was fitted, and yes for a
      model. A condition with a protocol of its own says so itself.

    What is given:
    - `ligand`: a species, added at time 0, or an input (a parameter), set from then on;
    - `doses`: increasing numbers in `unit`, else in the model's unit (nM); or texts (`["0.1 ng/ml", "1 ng/ml"]`), or a
      range `"0.01:100:64 ng/ml"`. Mass concentrations need `molar_mass` (a value for the ligand, or values by name),
      or one that the fitted problem states, or a name that `data/literature.csv` knows;
    - `drugs`: doses by name in the same forms; several doses of a drug make a dimension. They are given with the
      ligand, or `pretreat` minutes before it;
    - `conditions`: by a name of your own, what differs: values of parameters and doses of further species
      (`{"no IL6R": {"IL6R_0": 0}, "with sIL6R": {"sIL6R": "100 ng/ml"}}`), a `Protocol` that is carried out besides,
      or a `Condition` of both.

    What is read: `observe`, a rule or species of the model or a formula over its names,
    - `at` a time: a number in the model's unit (min where it states none), or text such as "20 min", or
    - as a `summary` over `times`: its `peak`, `area` or `time_of_peak`; by default 0 to 180 min, or
    - as courses at `times`, where neither is given.

    How: chunks of draws whose trajectories take at most `memory` bytes, on all devices of JAX's default backend; no
    number depends on either. Failed trajectories are NaN, and counted in `DoseResponse.failed`.

    Raises `ValueError` (`UnitError` for units) naming what the model does not have, and doses that cannot be;
    `NeverAtRestError` and `AllFailedError` where the first trajectories show that cells never come to rest, or that
    none succeeds.
    """
    found = draws_of(source, parameters, model=model, draws=draws)
    return respond(
        found,
        ligand,
        doses,
        at=at,
        summary=summary,
        times=times,
        observe=observe,
        unit=unit,
        molar_mass=molar_mass,
        conditions=conditions,
        drugs=drugs,
        pretreat=pretreat,
        preequilibrate=preequilibrate,
        settings=settings,
        memory=memory,
        progress=progress,
    )


def respond(
    found: Draws,
    ligand: str,
    doses: Given,
    *,
    at: float | str | None = None,
    summary: Summary | None = None,
    times: ArrayLike | None = None,
    observe: str = "pSTAT3_total",
    unit: str | None = None,
    molar_mass: str | float | Masses | None = None,
    conditions: Mapping[str, Changes | Condition | Protocol] | None = None,
    drugs: Mapping[str, Given] | None = None,
    pretreat: float = 0.0,
    preequilibrate: bool | None = None,
    settings: Settings | None = None,
    memory: int = MEMORY,
    progress: bool = True,
) -> DoseResponse:
    """`dose_response` of draws that are at hand."""
    require_x64()
    began = time.perf_counter()
    masses: Masses = molar_mass if isinstance(molar_mass, Mapping) else {}
    own = masses.get(ligand) if isinstance(molar_mass, Mapping) else molar_mass
    _check_names(found.model, ligand, drugs or {}, masses)
    _check_masses({ligand: own, **masses})
    cells = found.cells(preequilibrate)
    agonist = cells.doses(found.model, ligand, doses, unit=unit, molar_mass=own)
    given = tuple(cells.doses(found.model, n, d, molar_mass=masses.get(n)) for n, d in (drugs or {}).items())
    if pretreat < 0 or not np.isfinite(pretreat):
        raise ValueError(f"pretreat is how long before the ligand drugs are given; it cannot be {pretreat}")
    _say_what_is_assumed(found.model)
    clock = time_unit(found.model)
    at = _time(at, clock) if isinstance(at, str) else at
    grid = _times(at, summary, times, clock)
    cases = {n: as_condition(n, c) for n, c in ({"": {}} if conditions is None else conditions).items()}
    if not cases:
        raise ValueError("conditions is empty: leave it out, or name at least one")
    always = frozenset.intersection(*(c.names for c in cases.values()))
    for sentence in cells.left_open(found.model, {ligand, *(drugs or {}), *always}):
        log.warning("note: %s", sentence)
    plan = design(
        found.model, agonist, given, cases, draws=found.size, pretreat=pretreat, molar_mass=masses, cells=cells
    )
    _check_times(grid, plan.protocols, clock)
    found_values = evaluate(
        found.model,
        {**found.values, **plan.values},
        plan.protocols,
        grid,
        observe,
        draws=found.size,
        summary=summary,
        settings=found.settings if settings is None else settings,
        memory=memory,
        progress=progress,
    )
    squeezed = at is not None or summary is not None
    # One dose that is given as such, and not as a list, makes no dimension.
    single = {d.name for d in given if np.ndim(cast("ArrayLike", (drugs or {})[d.name])) == 0 and len(d.values) == 1}
    data = _dataset(plan, found_values, grid, squeezed, single, str(clock))
    unit_of = f" at {at:g} {clock}" if at is not None else f", {summary.replace('_', ' ')}" if summary else ""
    return DoseResponse(data, observe, f"{observe}{unit_of}", agonist, given, time.perf_counter() - began)


def _say_what_is_assumed(model: Model) -> None:
    """Doses become numbers of the model, so that units which it does not declare matter."""
    for note in [] if model.network is None else ModelUnits(model.network).notes():
        log.warning("note: %s", note)


def _time(text: str, clock: ModelUnit) -> float:
    """A time such as `20 min` as a number in the model's unit."""
    number, _, unit = text.strip().partition(" ")
    value = parse_number(number)
    if value is None or not unit.strip():
        raise ValueError(f"at= takes a number, or text such as '20 min', not {text!r}")
    return value * conversion_factor(unit.strip(), clock.name) / clock.number


def _times(at: float | None, summary: str | None, times: ArrayLike | None, clock: ModelUnit) -> np.ndarray:
    if at is not None and (summary is not None or times is not None):
        raise ValueError("at= is a single time: leave out summary= and times=, or at=")
    if summary is not None and summary not in SUMMARIES:
        raise ValueError(f"unknown summary {summary!r}; {known_names(str(summary), SUMMARIES)}")
    if at is None and summary is None and times is None:
        raise ValueError(
            f"say what is read: at= a time in {clock}, summary= 'peak', 'area' or 'time_of_peak', or times="
        )
    course = COURSE * (conversion_factor("min", clock.name) / clock.number)
    grid = np.atleast_1d(np.asarray(at if at is not None else course if times is None else times, dtype=float))
    if grid.ndim != 1 or not grid.size or not np.all(np.isfinite(grid)) or np.any(np.diff(grid) <= 0):
        raise ValueError("times must be finite and increase, each given once")
    if summary is not None and len(grid) < 2:
        raise ValueError(f"the {summary} of a course needs at least 2 times")
    return grid


def _check_times(times: np.ndarray, protocols: Sequence[Protocol], clock: ModelUnit) -> None:
    first = max(p.start for p in protocols)
    if times[0] < first:
        raise ValueError(
            f"the response is read at {times[0]:g} {clock}, before the experiment starts at {first:g}: read it later, "
            "or let it start earlier (pretreat, or a protocol with an earlier start)"
        )


def _check_names(model: Model, ligand: str, drugs: Mapping[str, Given], masses: Masses) -> None:
    if ligand not in model.species and ligand not in model.parameters:
        raise ValueError(
            f"unknown ligand {ligand!r}: {model.name} has no such species; its species: "
            f"{', '.join(model.species)}{did_you_mean(ligand, [*model.species, *model.parameters])}"
        )
    for drug in drugs:
        if drug == ligand:
            raise ValueError(f"{drug!r} is the ligand: it cannot be a drug as well")
        if drug not in model.species and drug not in model.parameters:
            known = f"; load a model with it, such as 'il6_stat3+{drug}'" if drug in library_drugs() else ""
            raise ValueError(
                f"unknown drug {drug!r}: {model.name} has no such species{known}; its species: "
                f"{', '.join(model.species)}{did_you_mean(drug, [*model.species, *model.parameters])}"
            )
        if not has_target(model, drug):
            raise ValueError(f"drug {drug!r} acts on nothing in {model.name}: its target is not part of the model")
    if idle := sorted(set(masses) - {*model.species, *model.parameters}):
        raise ValueError(f"molar_mass names {', '.join(idle)}, which {model.name} does not have")


def _check_masses(masses: Mapping[str, str | float | None]) -> None:
    """Also of those that no unit needs, so that none is passed over."""
    for name, mass in masses.items():
        try:
            if mass is not None:
                molar_mass_kda(mass)
        except UnitError as error:
            raise MolarMassError(f"{name}: {error}") from None


def has_target(model: Model, name: str) -> bool:
    """Whether the rate of any other species depends on `name`; True where the model states no network."""
    import sympy

    if model.network is None:
        return True
    symbol = sympy.Symbol(name)
    through = {symbol}
    while True:  # rules that depend on it, and rules that depend on those
        more = {sympy.Symbol(n) for n, e in model.network.rules.items() if e.free_symbols & through} - through
        if not more:
            break
        through |= more
    touched = (set(r.stoichiometry) for r in model.network.reactions if r.rate.free_symbols & through)
    rates = (n for n, e in model.network.rates.items() if e.free_symbols & through)
    return bool(set().union(*touched, rates) - {name})


def _dataset(plan: Design, found, grid: np.ndarray, squeezed: bool, single: set[str], clock: str) -> xr.Dataset:
    draws = len(found.values)
    shape = (draws, *plan.shape)
    dims = ["draw", "condition", *(d.name for d in plan.drugs), "dose"]
    coords: dict = {"draw": np.arange(draws), "condition": list(plan.conditions)}
    for dim, d in [*((d.name, d) for d in plan.drugs), ("dose", plan.ligand)]:
        coords[dim] = xr.Variable(dim, d.values, {"unit": d.model_unit, "substance": d.name})
        coords[f"given_{dim}"] = xr.Variable(dim, d.given, {"unit": d.unit, "substance": d.name})
    values = found.values.reshape(*shape, -1)
    variables = {"status": (dims, found.status.reshape(shape))}
    if squeezed:
        variables["response"] = (dims, values[..., 0])
    else:
        coords["time"] = xr.Variable("time", grid, {"unit": clock})
        variables["response"] = ([*dims, "time"], values)
    data = xr.Dataset(variables, coords)
    return data.isel(dict.fromkeys(single, 0))
