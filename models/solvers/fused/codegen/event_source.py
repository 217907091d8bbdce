"""The C functions of a model's events: their triggers, what they set, and its pull-back."""

from __future__ import annotations

from collections.abc import Sequence

from ....compiled.events import START, TimedEvent, as_of_now
from ....compiled.model import Model
from ....networks.conditions import as_number
from .graph import Graph, pull_back
from .lower import Lowering, Unsupported
from .writer import Writer, indexed, lookup_function, summed


def write_event_functions(out: Writer, model: Model, first: int) -> None:
    """Writes the functions; a model without events has them too, empty. In `p` the switches stand from `first` on."""
    assert model.kinetics is not None
    events, switches = model.kinetics.events, model.kinetics.switches
    _check_moments(model.name, events)
    graph = Graph()
    count = len(model.species)
    y, p = graph.inputs("y", count), graph.inputs("p", first + len(switches))
    names = {n: v for n, v in zip([s.name for s in model.symbols], y, strict=True)}
    # Behind the state that values are of is the one that the events before left.
    used = {s for event in events for _, value in event.assigned for s in value.free_symbols}
    now = {i: as_of_now(s) for i, s in enumerate(model.symbols)}
    names |= {s.name: graph.input(f"y[{count + i}]") for i, s in now.items() if s in used}
    names |= dict(zip(model.arguments, p, strict=False)) | dict(zip(switches, p[first:], strict=True))
    lower = Lowering(graph, {**names, START.name: graph.input("start")})
    triggers, starts = ([lower(as_number(getattr(e, n))) for e in events] for n in ("trigger", "at_start"))
    out.function("triggers", "const real* p, real* x", indexed("x", triggers))
    out.function("at_start", "const real* p, const real start, real* x", indexed("x", starts))
    if model.kinetics.instants:
        out.parts.append("#define INSTANTS")
        instants = [lower(as_number(e)) for e in model.kinetics.instants]
        out.function("instants", "const real* p, real* x", indexed("x", instants))
    if model.kinetics.priorities:
        out.parts.append("#define RANKED")
        ranks = [lower(e) for e in model.kinetics.priorities]
        out.function("priorities", "const real* y, const real* p, real* x", indexed("x", ranks))
    u = graph.inputs("u", len(model.species))
    for e, event in enumerate(events):
        places = [i for i, _ in event.assigned]
        values = [lower(v) for _, v in event.assigned]
        out.function(
            f"set_by_{e}",
            "const real* y, const real* p, real* x",
            {f"x[{i}]": v for i, v in zip(places, values, strict=True)},
        )
        bars = pull_back(values, [u[i] for i in places])
        pulled = "const real* y, const real* p, const real* u, real* y_bar, real* p_bar"
        out.function(f"pull_set_by_{e}", pulled, summed(bars, y="y_bar", p="p_bar"), add=True)
        out.function(f"forget_set_by_{e}", "real* u", {f"u[{i}]": graph.lift(0.0) for i in places})
    for name, signature in (
        ("set_by", "const real* y, const real* p, real* x"),
        ("pull_set_by", "const real* y, const real* p, const real* u, real* y_bar, real* p_bar"),
        ("forget_set_by", "real* u"),
    ):
        out.parts.append(_dispatch(name, signature, len(events)))


def _check_moments(model: str, events: Sequence[TimedEvent]) -> None:
    """Raises `Unsupported` for events of which it is known only on the way when they act."""
    triggers = [e.name for e in events if any(str(s).startswith("condition ") for s in e.trigger.free_symbols)]
    delays = [e.name for e in events if e.delay != 0 and e.name not in triggers]
    for what, names in (("triggers", triggers), ("delays", delays)):
        if names:
            raise Unsupported(
                f"model {model!r} has events whose {what} depend on the state ({', '.join(names)}), which the fused "
                "engine does not look for"
            )


def _dispatch(name: str, signature: str, count: int) -> str:
    """A function of an event's number that calls that event's."""
    arguments = ", ".join(a.split()[-1] for a in signature.split(","))
    cases = "\n".join(f"case {e}: {name}_{e}({arguments}); break;" for e in range(count))
    return f"STATIC void {name}(int e, {signature})\n{{\nswitch (e) {{\n{cases}\n}}\n}}"


def event_tables(events: Sequence[TimedEvent]) -> list[str]:
    """What is known of each event ahead, as functions of its number."""
    return [
        lookup_function("int", "initially_true", [int(e.initially_true) for e in events]),
        lookup_function("int", "before_all", [int(e.before_all) for e in events]),
    ]
