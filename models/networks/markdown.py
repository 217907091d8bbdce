"""A network in words: its reactions drawn as a graph, its equations, its numbers, as Markdown."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import cycle

from .derivatives import Derivatives
from .formulas import to_infix
from .network import Network, Reaction

_COLOURS = {"medium": "#cfe8ff", "cytosol": "#ffe9c7", "nucleus": "#dcd3f2"}
_MORE_COLOURS = ("#d6f0d0", "#f6d5d5", "#e8e8e8")


def describe(network: Network, *, inputs: Collection[str] = (), notes: Mapping[str, str] | None = None) -> str:
    """Markdown with a reaction graph (Mermaid), tables of reactions, equations and parameters, all from the network.

    `inputs`: parameters to be drawn where they drive a reaction. `notes` are remarks on parameters, by name, for the
    last column of their table.
    """
    sections = [
        ("Reaction graph", graph(network, inputs=inputs)),
        ("Reactions", _reactions(network)),
        ("Equations", _equations(network)),
        ("Parameters", _parameters(network, notes or {})),
    ]
    return "\n".join(f"**{title}**\n\n{text}" for title, text in sections if text)


def graph(network: Network, *, inputs: Collection[str] = ()) -> str:
    """A Mermaid flowchart of species, coloured by compartment, and the reactions between them.

    Dashed is what drives a rate without being used: species, rules, and those parameters that are `inputs`. ⌀ stands
    for what lies outside of the network.
    """
    shown = {*network.species, *network.rules, *inputs}
    driving = {n for r in network.reactions for n in _drivers(r, shown)}
    used = {s for r in network.reactions for s in r.stoichiometry} | driving
    lines = ["```mermaid", "flowchart TD"]
    more = iter(cycle(_MORE_COLOURS))
    for compartment in network.compartments:
        inside = [s.name for s in network.species.values() if s.compartment == compartment and s.name in used]
        if inside:
            colour = _COLOURS.get(compartment) or next(more)
            lines.append(f"  classDef {compartment}_ fill:{colour},stroke:#555,color:#111")
            lines += [f"  {name}:::{compartment}_" for name in inside]
    for name in (*network.rules, *(n for n in inputs if n not in network.species)):
        if name in driving:
            lines.append(f"  {name}{{{{{name}}}}}")
            sources = sorted(str(s) for s in network.rules[name].free_symbols) if name in network.rules else []
            lines += [f"  {s} -.-> {name}" for s in sources if s in used or s in inputs]
    for reaction in network.reactions:
        lines += [f"  {line}" for line in _arrows(reaction, _drivers(reaction, shown))]
    return "\n".join([*lines, "```", ""])


def _arrows(reaction: Reaction, drivers: Sequence[str]) -> Iterator[str]:
    name = reaction.name
    before, after = (_sides(reaction, sign) for sign in (-1, 1))
    arrow = "<-->" if reaction.reversible else "-->"
    if len(before) == len(after) == 1 and not drivers:
        yield f"{before[0]} {arrow}|{name}| {after[0]}"
        return
    yield f"{name}(({name}))" if before and after else f"{name}([⌀ {name}])"
    into = "-->" if not after else "<-->" if arrow == "<-->" else "---"
    yield from (f"{s} {into} {name}" for s in before)
    yield from (f"{name} {arrow} {s}" for s in after)
    yield from (f"{driver} -.-> {name}" for driver in drivers)


def _sides(reaction: Reaction, sign: int) -> list[str]:
    """Species that a reaction uses (`sign` -1) or makes; of a formula the written form says which."""
    written = {s for s, _ in (reaction.reactants if sign < 0 else reaction.products)}
    return [s for s, n in reaction.stoichiometry.items() if (n * sign > 0 if n.is_number else s in written)]


def _drivers(reaction: Reaction, shown: Collection[str]) -> list[str]:
    """Names in a rate that the reaction neither uses nor makes."""
    names = sorted(str(s) for s in reaction.rate.free_symbols)
    return [n for n in names if n in shown and n not in reaction.stoichiometry]


def _reactions(network: Network) -> str:
    rows = [(r.name, r.equation, _code(to_infix(r.rate))) for r in network.reactions]
    return _table(("", "reaction", "rate (amount per time)"), rows) if rows else ""


def _equations(network: Network) -> str:
    """Rules, then what each species' amount changes by, in the rates of the reactions."""
    lines = [f"{name} = {to_infix(rule)}" for name, rule in network.rules.items()]
    lines += [f"d({name})/dt = {to_infix(rate)}" for name, rate in network.rates.items()]
    changes: dict[str, list[str]] = {}
    for reaction in network.reactions:
        for name, number in reaction.stoichiometry.items():
            factor = network.species[name].conversion
            size = f"{abs(number)} " if number.is_number else f"({number}) "
            size = "" if abs(number) == 1 else size
            sign = "-" if number.is_negative else "+"
            changes.setdefault(name, []).append(f"{sign} {factor and f'{factor} '}{size}{reaction.name}")
    moving = Derivatives(network).moving if changes else ()
    for name, species in network.species.items():
        if name in changes and not species.fixed and name not in network.rules:
            right = " ".join(changes[name]).removeprefix("+ ")
            volume = "" if species.amount else f"{species.compartment} "
            left = f"d({volume}{name})/dt" if volume and species.compartment in moving else f"{volume}d({name})/dt"
            lines.append(f"{left} = {right}")
    return "```\n" + "\n".join(lines) + "\n```\n" if lines else ""


def _parameters(network: Network, notes: Mapping[str, str]) -> str:
    quantities = {**network.compartments, **network.parameters}
    rows = []
    for name, quantity in quantities.items():
        if name in network.rules:
            continue
        value = to_infix(network.initial[name]) if name in network.initial else f"{quantity.value:g}"
        rows.append((_code(name), value, quantity.unit.replace("dimensionless", "1"), notes.get(name, "")))
    for name, species in network.species.items():
        if species.initial != 0:
            start = _code(to_infix(species.initial))
            rows.append((f"{_code(name)} at the start", start, species.unit, notes.get(name, "")))
    return _table(("", "value", "unit", "note"), rows) if rows else ""


def _code(text: str) -> str:
    return f"`{text}`"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    escaped = [[cell.replace("|", "\\|") for cell in row] for row in rows]
    lines = [head, ["---"] * len(head), *escaped]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"
