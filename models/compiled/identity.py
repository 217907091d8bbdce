"""What a model is, part by part: a hash of each, by which a run knows whether its model has changed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any

from .canonical import content_hash
from .function_text import text_of_function
from .model import Model

# Fields of a model that no part holds as they are, and why. All others are parts, new ones too.
_LEFT_OUT: Mapping[str, str] = {
    "name": "a label",
    "rhs": "compiled from the kinetics; of a Python model its text is the part `functions`",
    "jacobian": "as rhs",
    "initial": "as rhs",
    "volumes": "as rhs",
    "weights": "as rhs",
    "defined": "compiled from the margins, which are a part",
    "switch_times": "compiled from the kinetics",
    "events": "as switch_times",
    "network": "what is compiled of it is in the kinetics; its units are the part `units`",
    "kinetics": "each of its fields is a part",
    "computed": "of names of reactions, and of formulas that are in the kinetics",
}
# How a message calls a field that is a part; other fields by their own name.
_WORDS = {
    "defaults": "values of the parameters",
    "parameters": "names of the parameters",
    "moieties": "conserved moieties",
    "dependent": "conserved moieties",
    "time_index": "species",
    "terms": "rates",
    "initial": "start values",
    "weights": "conserved moieties",
    "rhs_depends_on_time": "rates",
}


def model_parts(model: Model) -> dict[str, str]:
    """A hash of each part of a model, by the part's name.

    Raises `NoIdentityError` for a Python model that calls Python from inside JAX.
    """
    content: dict[str, dict[str, Any]] = {}

    def add(name: str, value: object) -> None:
        content.setdefault(_WORDS.get(name, name).replace("_", " "), {})[name] = value

    for field in fields(model):
        if field.name not in _LEFT_OUT:
            add(field.name, getattr(model, field.name))
    if model.kinetics is not None:
        for field in fields(model.kinetics):
            # Runs are older than these.
            if field.name not in ("events", "priorities", "instants") or getattr(model.kinetics, field.name):
                add(field.name, getattr(model.kinetics, field.name))
    else:
        add("functions", _functions(model))
    if model.network is not None:
        add("units", _units(model))
    return {part: content_hash(values) for part, values in sorted(content.items())}


def model_digest(model: Model) -> str:
    """A hash of the model's content, the same on every machine. Raises as `model_parts`."""
    return content_hash(model_parts(model))


def _units(model: Model) -> dict[str, object]:
    network = model.network
    assert network is not None
    named = {**network.compartments, **network.parameters, **network.species}
    return {
        "definitions": network.units,
        "base": network.base_units,
        "names": {n: q.unit for n, q in named.items()},
        "amounts": {n: s.amount for n, s in network.species.items()},
    }


def _functions(model: Model) -> dict[str, str]:
    y, p = (len(model.species),), (len(model.parameters),)
    functions: dict[str, tuple[Callable, tuple[tuple[int, ...], ...]]] = {
        "rhs": (model.rhs, (y, p)),
        "jacobian": (model.jacobian, (y, p)),
        "initial": (model.initial, (p,)),
        "volumes": (model.volumes, (p,)),
        "weights": (model.weights, (p,)),
    }
    return {name: text_of_function(f, *shapes, second=name == "rhs") for name, (f, shapes) in functions.items()}
