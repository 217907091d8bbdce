"""What of a problem's parameters its model and data use, and whether another network fits the data."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence

from ...data.dataset import Dataset
from ...data.deviations import check_noise, place_of
from ...data.joint_prior import joint_prior_faults
from ...data.native.coverage import near
from ...data.native.prior_units import in_model_units
from ...data.parameter import FIXED, Parameter
from ...data.quantities.model_units import ModelUnits
from ...data.quantities.units import UnitError
from ...models.compiled.model import Model
from ...models.compiled.volumes import check_volumes, volumes_of
from ...models.load import load_network
from ...models.networks.formulas import names_in

log = logging.getLogger(__name__)


def used_names(model: Model, dataset: Dataset) -> set[str]:
    """Names of parameters that the model, a protocol, an observable or a row uses.

    In an observable the name of a species or a rule is what the model computes, whatever value else bears that name.
    """
    computed = {*model.species, *model.rules} - set(model.parameters)
    used = {*model.parameters, *(n for p in dataset.protocols.values() for n in p.references)}
    used |= names_in(*dataset.derived.values())
    for o in dataset.observables.values():
        used |= o.symbols - computed
    return used | {a for m in dataset.measurements for a in m.arguments if isinstance(a, str)}


def check_parts(
    model: Model, dataset: Dataset, parameters: Mapping[str, Parameter], sampled: Sequence[Parameter]
) -> None:
    """Raises `ValueError` if the parts of a problem do not fit together.

    `sampled` are those of `parameters` that are estimated and not integrated out.
    """
    _check_axes(dataset, sampled)
    _check_inputs(model, dataset)
    _check_used(model, dataset, parameters)
    _check_volumes(model, dataset, parameters)
    if faults := joint_prior_faults(dataset.joint_priors, parameters):
        raise ValueError("; ".join(faults))
    check_noise(dataset, parameters, elsewhere={*model.parameters, *model.species, *model.rules})


def check_sampled(name: str, sampled: Collection[str]) -> None:
    """Raises `ValueError` for a problem that has nothing to search or sample."""
    if not sampled:
        raise ValueError(
            f"{name!r} has no parameter to search or sample: give at least one a prior that is not integrated out; "
            "Problem.evaluate has the likelihood at fixed values"
        )


def _check_axes(dataset: Dataset, estimated: Sequence[Parameter]) -> None:
    """Raises `ValueError` for names that draws could not be stored under: those of a posterior's axes."""
    taken = sorted({p.name for p in estimated} & {"chain", "draw", "failed_simulation"})
    if taken:
        raise ValueError(
            f"the estimated parameter {taken[0]!r} has the name of an axis or a part of the posterior: rename it"
        )
    taken = sorted(dataset.observables.keys() & {"chain", "draw", "scale"})
    if taken:
        raise ValueError(f"the observable {taken[0]!r} has the name of an axis or a part of the posterior: rename it")


def _check_used(model: Model, dataset: Dataset, parameters: Mapping[str, Parameter]) -> None:
    """Raises `ValueError` for parameters with a prior, or values of `[fixed]`, that change nothing."""
    used = used_names(model, dataset)
    unused = [p for n, p in parameters.items() if p.estimated and n not in used]
    unused_fixed = [p for n, p in parameters.items() if p.source == FIXED and n not in used]
    if not unused and not unused_fixed:
        return
    free = sorted(used - parameters.keys())
    text = ""
    if unused:
        named = ", ".join(p.name for p in unused)
        text = f"no part of the model or the data uses {named}: remove their priors, or correct their names"
        text += "".join(_why_unused(p, model, free) for p in unused)
    if unused_fixed:
        named = ", ".join(p.name for p in unused_fixed)
        text += f"{'; ' if text else ''}[fixed] of problem.toml names what nothing uses: {named}"
        text += "".join(_why_unused(p, model, free) for p in unused_fixed)
    raise ValueError(text)


def _check_inputs(model: Model, dataset: Dataset) -> None:
    """Raises `ValueError` for an input whose target the model does not have, or that doses cannot be added to."""
    rates = () if model.network is None else model.network.rates
    known = {*model.species, *model.parameters, *rates}
    changed = set().union(*(p.targets for p in dataset.protocols.values()))
    for item in (i for i in dataset.inputs if i.target in changed):
        key = f"{dataset.described_in}, 'inputs.{item.name}{'.target' if item.target != item.name else ''}'"
        if item.target in model.rules and item.target not in known:
            expected = f"a species or a parameter; it is a rule of {model.name}, which follows from others"
        elif item.target not in known:
            meant = near(item.target, known, 0.6) or f"; its species are {', '.join(model.species)}"
            other = "" if item.target != item.name else ", or the key `target` to name it"
            expected = f"a species or a parameter of {model.name}{other}{meant}"
        elif item.kind == "add" and item.target in model.parameters:
            expected = "a species, to which doses are added; it is a parameter: kind = 'set' sets it"
        else:
            continue
        raise ValueError(f"{key} holds {item.target!r}; expected {expected}")


def _check_volumes(model: Model, dataset: Dataset, parameters: Mapping[str, Parameter]) -> None:
    """Raises `ValueError` for volumes that are fixed or set at 0 or less, or whose prior holds such values."""
    names = volumes_of(model)
    problems = []
    for name in sorted(names & parameters.keys()):
        parameter = parameters[name]
        what = f"{name}{place_of(parameter)} is the volume of a compartment of {model.name}"
        if parameter.may_be_negative:
            problems.append(
                f"{what}, and its prior holds negative values: give it a log-normal one, or a lower bound above 0"
            )
        elif not parameter.estimated and parameter.value is not None and parameter.value <= 0:
            problems.append(f"{what} and is fixed at {parameter.value:g}; expected a number above 0")
    if problems:
        raise ValueError("; ".join(problems))
    fixed = {n: p.value for n, p in parameters.items() if not p.estimated and p.value is not None}
    try:
        check_volumes(model, fixed, [*dataset.protocols.values()])
    except ValueError as error:
        table = "" if dataset.time_unit else "the table of conditions: "  # of a PEtab problem
        raise ValueError(f"{table}{error}") from None


def _why_unused(parameter: Parameter, model: Model, free: Collection[str]) -> str:
    """Where a name that nothing uses stands, what the model has by it, and which is meant."""
    name = parameter.name
    fixed = parameter.source == FIXED  # the heading says where
    place, what = ("", "a value") if fixed else (place_of(parameter), "a prior")
    said = ""
    if name in model.species:
        said += f" is a species of {model.name}: {what} belongs to a parameter that its start value uses"
    elif name in model.rules:
        said += f" is a rule of {model.name}, which follows from other parameters"
    elif model.network is not None and name in {*model.network.parameters, *model.network.compartments}:
        said += f" follows from other parameters of {model.name}"
    said += near(name, free)
    return f"\n  {name}{place}{said}" if place or said else ""


def converted(priors: Mapping[str, Parameter], dataset: Dataset, model: Model) -> dict[str, Parameter]:
    """Parameters given beside a data set, those of the network's constants in its units.

    Raises `ValueError` for a unit that is not known or cannot become the network's.
    """
    if model.network is None or not dataset.time_unit:
        return dict(priors)
    units, parameters = ModelUnits(model.network), {}
    for name, parameter in priors.items():
        old = dataset.parameters.get(name)
        same = old is not None and old.unit == parameter.unit
        if same or name not in model.network.parameters:
            parameters[name] = parameter
            continue
        try:
            parameters[name] = in_model_units(parameter, units, {})
        except UnitError as error:
            raise ValueError(f"the prior of {name} is in {parameter.unit!r}; expected {error}") from None
    return parameters


def without_unused(model: Model, dataset: Dataset) -> dict[str, Parameter]:
    """Parameters without those of `[fixed]` that were meant for the problem's own network."""
    used = used_names(model, dataset)
    unused = [n for n, p in dataset.parameters.items() if p.source == FIXED and n not in used]
    if unused:
        log.warning("[fixed] of problem.toml names what nothing in %s uses: %s", model.name, ", ".join(unused))
    return {n: p for n, p in dataset.parameters.items() if n not in unused}


def check_same_units(dataset: Dataset, model: Model) -> None:
    """Doses and times of a data set are in the units of its own network; another must have the same."""
    if not dataset.time_unit or not dataset.model or model.network is None:
        return
    try:
        network_of_data = load_network(dataset.model)
    except (ValueError, OSError):
        return  # its own network is not needed, and may be lost
    ours, theirs = ModelUnits(network_of_data), ModelUnits(model.network)
    for what, one, other in (
        ("times", dataset.time_unit, str(theirs.time)),
        ("concentrations", str(ours.concentration), str(theirs.concentration)),
    ):
        if one != other:
            raise ValueError(
                f"{model.name} has its {what} in {other}, and the network {network_of_data.name} of the data has them "
                f"in {one}: name the network as `model` in problem.toml, so that they are converted"
            )


__all__ = ["check_parts", "check_same_units", "converted", "used_names", "without_unused"]
