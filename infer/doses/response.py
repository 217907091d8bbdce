"""`dose_response`: what cells answer to doses of a ligand, in every draw and condition, under every dose of drugs."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import cast

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike

from ...data.quantities.model_units import ModelUnits
from ...models.compiled.model import Model
from ...models.protocols.protocol import Protocol
from ...models.simulation import require_x64
from ...models.solvers.settings import Settings
from ..problem.problem import Problem
from .amounts import Doses, DosesLike, Masses, time_unit
from .batch import Responses, evaluate
from .conditions import Changes, Condition, Design, as_conditions, design
from .course_summary import CourseSummary
from .ensemble import DRAWS, Ensemble, Source, ensemble_of
from .reading import Reading, check_start, reading_of, time_of
from .result import DoseResponse
from .targets import check_masses, check_names

log = logging.getLogger(__name__)
MEMORY = 2**28  # bytes that the trajectories of one chunk may take


def dose_response(
    source: Ensemble | Source,
    ligand: str,
    doses: DosesLike,
    *,
    at: float | str | None = None,
    summary: CourseSummary | None = None,
    times: ArrayLike | None = None,
    observe: str | None = None,
    unit: str | None = None,
    molar_mass: str | float | Masses | None = None,
    conditions: Mapping[str, Changes | Condition | Protocol] | None = None,
    drugs: Mapping[str, DosesLike] | None = None,
    pretreat: float | str = 0.0,
    preequilibrate: bool | None = None,
    parameters: Mapping[str, ArrayLike] | None = None,
    model: Model | Problem | str | None = None,
    draws: int | None = DRAWS,
    settings: Settings | None = None,
    memory: int = MEMORY,
    progress: bool = True,
) -> DoseResponse:
    """The response to doses of a ligand, for all draws × conditions × doses in one batch.

    Draws are simulated in chunks, on all devices of JAX's default backend; no number depends on either. Failed
    trajectories are NaN, and counted in `DoseResponse.failed`.

    Parameters
    ----------
    source : Ensemble, DataTree, path or Model
        An `Ensemble`: draws of a posterior, parameter sets of a model, or a population of cells (`Ensemble.vary`), all
        of which are used. Or what an ensemble is made of: a posterior (an ArviZ tree, or the file or folder that holds
        it) with `draws` and `model`, see `Ensemble.from_posterior`; or a `Model` with `parameters`, see
        `Ensemble.from_model`. A posterior brings its problem: the model, how cells start, units and molar masses of its
        inputs, the solver's settings.
    ligand : str
        A species, added at time 0, or an input (a parameter), set from then on.
    doses : sequence of float or str, or str
        Increasing numbers in `unit`, else in the model's unit (nM); or texts (`["0.1 ng/ml", "1 ng/ml"]`), or a range
        `"0.01:100:64 ng/ml"`.
    at : float or str, optional
        The time of the reading: a number in the model's unit (min if it states none), or text such as `"20 min"`.
    summary : str, optional
        In place of `at`, what to read of the course over `times`: its `peak`, `area` or `time_of_peak`.
    times : array, optional
        In the model's unit; by default 0 to 180 min. Without `at` and `summary`, the result has the courses.
    observe : str, optional
        A rule or species of the model, or a formula over its names; by default what the network states as its readout
        (`Network.facts`), `pSTAT3_total` in the bundled models of IL-6.
    unit : str, optional
        Of doses that are numbers.
    molar_mass : str, float or dict, optional
        For doses that are mass concentrations, in kDa or as text with a unit: of the ligand, or by name. By default
        what the fitted problem states, or what the network knows (`Network.facts`).
    conditions : dict, optional
        By a name of your own, what differs: values of parameters and doses of further species, in the model's units or
        as text with a unit (`{"no IL6R": {"IL6R_0": 0}, "with sIL6R": {"sIL6R": "100 ng/ml"}}`), a `Protocol` that is
        carried out besides, or a `Condition` of both. What varies in a population and has a value in a condition has it
        in all members there.
    drugs : dict, optional
        Doses by name in the same forms and units as `doses`; several doses of a drug make a dimension.
    pretreat : float or str
        How long before the ligand the drugs are given: a number in the model's unit (min if it states none), or text
        such as `"10 min"`.
    preequilibrate : bool, optional
        Whether cells come to steady state first; by default as in the problem that was fitted, and yes for a model. A
        condition with its own protocol says so itself.
    parameters : dict, optional
        Values of a model's parameters by name, in the model's units.
    model : Model, Problem or str, optional
        In place of the posterior's own.
    draws : int, optional
        How many of a posterior; None: all.
    settings : Settings, optional
        Of the solver.
    memory : int
        Most bytes that the trajectories of one chunk take.
    progress : bool
        Whether to show a progress bar.

    Returns
    -------
    DoseResponse
        Responses with their doses, conditions and statuses.

    Raises
    ------
    ValueError, UnitError
        Naming what the model does not have, and doses that are not possible.
    NoSteadyStateError
        If the first trajectories show that cells never come to steady state.
    AllFailedError
        If none of the first trajectories succeeds.
    """
    require_x64()
    began = time.perf_counter()
    ensemble = ensemble_of(source, parameters, model=model, draws=draws)
    masses: Masses = molar_mass if isinstance(molar_mass, Mapping) else {}
    ligand_mass = masses.get(ligand) if isinstance(molar_mass, Mapping) else molar_mass
    plan = _design(
        ensemble, ligand, doses, conditions, drugs or {}, unit, ligand_mass, masses, pretreat, preequilibrate
    )
    reading = reading_of(ensemble.model, observe, at, summary, times)
    check_start(reading, plan.protocols)
    responses = evaluate(
        ensemble.model,
        {**ensemble.values, **plan.values},
        plan.protocols,
        reading.times,
        reading.observe,
        draws=ensemble.size,
        summary=reading.summary,
        settings=ensemble.settings if settings is None else settings,
        memory=memory,
        progress=progress,
    )
    # One dose that is given as such, and not as a list, makes no dimension.
    single = [
        d.name for d in plan.drugs if np.ndim(cast("ArrayLike", (drugs or {})[d.name])) == 0 and len(d.values) == 1
    ]
    data = _dataset(ensemble, plan, responses, reading).isel(dict.fromkeys(single, 0))
    return DoseResponse(data, reading.observe, reading.text, plan.ligand, plan.drugs, time.perf_counter() - began)


def _design(
    ensemble: Ensemble,
    ligand: str,
    doses: DosesLike,
    conditions: Mapping[str, Changes | Condition | Protocol] | None,
    drugs: Mapping[str, DosesLike],
    unit: str | None,
    molar_mass: str | float | None,
    masses: Masses,
    pretreat: float | str,
    preequilibrate: bool | None,
) -> Design:
    """The experiment that these arguments of `dose_response` describe; `molar_mass` is the ligand's."""
    model = ensemble.model
    check_names(model, ligand, drugs, masses)
    check_masses({ligand: molar_mass, **masses})
    cells = ensemble.cells(preequilibrate)
    agonist = cells.doses(model, ligand, doses, unit=unit, molar_mass=molar_mass)
    drug_doses = [cells.doses(model, n, d, molar_mass=masses.get(n)) for n, d in drugs.items()]
    if isinstance(pretreat, str):
        pretreat = time_of(pretreat, time_unit(model), "pretreat")
    if pretreat < 0 or not np.isfinite(pretreat):
        raise ValueError(f"pretreat is how long before the ligand drugs are given; it cannot be {pretreat}")
    _say_what_is_assumed(model)
    cases = as_conditions(conditions)
    always = frozenset.intersection(*(c.names for c in cases.values()))
    for sentence in cells.notes_on_varied(model, {ligand, *drugs, *always, *ensemble.added}):
        log.warning("note: %s", sentence)
    cases = {n: replace(c, changes={**ensemble.added, **c.changes}) for n, c in cases.items()}
    set_anyway = {**(cells.preequilibration or {}), **cells.common}.keys() & ensemble.varied.keys() - always
    if set_anyway:
        raise ValueError(
            f"{', '.join(sorted(set_anyway))} varies, and the problem that was fitted sets it, for all members alike: "
            "vary what it is set to, or state in a condition how cells start"
        )
    made = design(
        model, agonist, drug_doses, cases, draws=ensemble.size, pretreat=pretreat, molar_mass=masses, cells=cells
    )
    return replace(made, values={**cells.values_of_formulas(ensemble.values, ensemble.size), **made.values})


def _say_what_is_assumed(model: Model) -> None:
    """Doses become numbers of the model, so that units which it does not declare matter."""
    for note in [] if model.network is None else ModelUnits(model.network).notes():
        log.warning("note: %s", note)


def _dataset(ensemble: Ensemble, plan: Design, responses: Responses, reading: Reading) -> xr.Dataset:
    """Responses along draws, members of a population, conditions, doses of drugs and of the ligand, and times."""
    of_members = ensemble.dims
    dims = [*of_members, "condition", *(d.name for d in plan.drugs), "dose"]
    shape = (*of_members.values(), *plan.shape)
    coords: dict = {n: np.arange(size) for n, size in of_members.items()} | {"condition": list(plan.conditions)}
    for dim, d in [*((d.name, d) for d in plan.drugs), ("dose", plan.ligand)]:
        coords |= _coordinates(dim, d)
    values = responses.values.reshape(*shape, -1)
    variables = {"status": (dims, responses.status.reshape(shape))}
    if reading.is_course:
        coords["time"] = xr.Variable("time", reading.times, {"unit": str(reading.clock)})
        variables["response"] = ([*dims, "time"], values)
    else:
        variables["response"] = (dims, values[..., 0])
    variables |= {f"drawn_{n}": (["draw", "member"], x) for n, x in ensemble.varied.items()}
    return xr.Dataset(variables, coords)


def _coordinates(dim: str, doses: Doses) -> dict[str, xr.Variable]:
    """Doses as they were given, and in the model's unit."""
    return {
        dim: xr.Variable(dim, doses.stated, {"unit": doses.unit, "substance": doses.name}),
        f"model_{dim}": xr.Variable(dim, doses.values, {"unit": doses.model_unit, "substance": doses.name}),
    }


__all__ = ["dose_response"]
