"""Events that PEtab v2 lets act during a pre-equilibration, and hexamer does not: those whose triggers watch the state.

PEtab v2 checks triggers while a model comes to its steady state. hexamer solves for the steady state itself, in which
events wait. Time does not pass in it, so that a condition in time alone triggers nothing.

Source: https://petab.readthedocs.io/en/latest/v2/documentation_data_format.html#experiment-table.
"""

# sympy's annotations say Basic where an expression is meant.
# pyright: reportArgumentType=false
from __future__ import annotations

from ...models.listing import listed
from ...models.networks.conditions import as_boolean
from ...models.networks.formulas import names_in
from ...models.networks.network import UnsupportedModelError
from .entities import Entities

_BEFORE = 1e-9  # relative: how long before the start of an experiment a condition in time is read


def watching_events(entities: Entities, start: float) -> list[str]:
    """The names of events that could act before an experiment's `start`, in the model's unit of time."""
    try:
        events = entities.network.events
    except UnsupportedModelError:  # said when the model is loaded
        return []
    before = start - _BEFORE * max(1.0, abs(start))
    triggers = {e.name: as_boolean(entities.written(e.trigger, lambda _: None, before)) for e in events}
    return [n for n, t in triggers.items() if names_in(t) & (entities.states | entities.reactions)]


def refusal(names: list[str]) -> str:
    """Why such a pre-equilibration is refused, and what to do."""
    return (
        f"PEtab lets events act during a pre-equilibration, and hexamer solves for a steady state without them "
        f"({listed(names)}): start the experiment at a time long before, such as -1e6, in place of -inf"
    )


__all__ = ["refusal", "watching_events"]
