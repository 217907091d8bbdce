"""Events of SBML files, both ways. What is not understood is refused by name, never ignored."""

# sympy's annotations say Basic where an expression is meant.
# pyright: reportArgumentType=false, reportReturnType=false
from __future__ import annotations

from collections.abc import Callable, Iterator

import libsbml
import sympy

from .conditions import as_boolean, as_number
from .network import Event, Network


def read_events(
    model: libsbml.Model, formula: Callable[[object, str], sympy.Expr], problems: list[str]
) -> tuple[Event, ...]:
    """The events of a model; `formula` reads one of an element, `problems` gets what is not supported.

    An event without a trigger or without assignments, which SBML allows, does nothing and is left out.
    """
    events = (_event(e, e.getId() or f"event {i + 1}", model, formula, problems) for i, e in _numbered(model))
    return tuple(e for e in events if e is not None)


def _numbered(model: libsbml.Model) -> Iterator[tuple[int, libsbml.Event]]:
    yield from enumerate(model.getListOfEvents())


def _event(
    e: libsbml.Event, name: str, model: libsbml.Model, formula: Callable[[object, str], sympy.Expr], problems: list[str]
) -> Event | None:
    what = name if name.startswith("event ") else f"event {name}"
    trigger = e.getTrigger()
    assignments = {
        a.getVariable(): formula(a, f"{what}, assignment of {a.getVariable()}")
        for a in e.getListOfEventAssignments()
        if a.isSetMath()
    }
    if trigger is None or not trigger.isSetMath() or not assignments:
        return None
    delay = e.getDelay() if e.isSetDelay() and e.getDelay().isSetMath() else None
    if delay is not None and e.isSetTimeUnits():
        problems.append(f"{what} has its delay in {e.getTimeUnits()}; expected the model's own unit of time")
    priority = e.getPriority() if e.isSetPriority() and e.getPriority().isSetMath() else None
    attributes = model.getLevel() > 2  # of the trigger; before level 3 both were true
    return Event(
        name,
        as_boolean(formula(trigger, f"{what}, trigger")),
        assignments,
        None if delay is None else formula(delay, f"{what}, delay"),
        None if priority is None else formula(priority, f"{what}, priority"),
        persistent=not attributes or bool(trigger.getPersistent()),
        initially_true=not attributes or bool(trigger.getInitialValue()),
        values_at_trigger=bool(e.getUseValuesFromTriggerTime()),
    )


def write_events(model: libsbml.Model, network: Network, ast: Callable[[sympy.Expr], libsbml.ASTNode]) -> None:
    """Adds the network's events to a model; `ast` writes a formula."""
    for event in network.events:
        element = model.createEvent()
        if event.name.isidentifier():
            element.setId(event.name)
        element.setUseValuesFromTriggerTime(event.values_at_trigger)
        trigger = element.createTrigger()
        trigger.setInitialValue(event.initially_true)
        trigger.setPersistent(event.persistent)
        trigger.setMath(ast(event.trigger))
        if event.delay is not None:
            element.createDelay().setMath(ast(event.delay))
        if event.priority is not None:
            element.createPriority().setMath(ast(event.priority))
        for name, expression in event.assignments.items():
            assignment = element.createEventAssignment()
            assignment.setVariable(name)
            assignment.setMath(ast(as_number(expression)))


__all__ = ["read_events", "write_events"]
