"""Which molecules the species of a network hold: what a bait pulls down, and what an antibody sees.

The parts of a species are the first of these:

1. what the user states;
2. what the network knows of it (`Network.facts`), such as of a trimer called `triC`, if the parts are in the network;
3. what it is bound from, `A + B -> C`, if all reactions that bind it agree: binding loses nothing;
4. what its name states, if every piece of it between underscores is a species (`IL6_IL6R`);
5. itself alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence

import sympy

from ...models.listing import did_you_mean
from ...models.networks.network import Network
from ..errors import AssayError

Parts = Mapping[str, int] | Sequence[str]
"""Copies by part, such as `{"A": 2}`, or parts one by one, such as `["A", "B"]`."""


def parts_by_species(network: Network, stated: Mapping[str, Parts] | None = None) -> dict[str, Counter[str]]:
    """Copies of each part by species.

    Parameters
    ----------
    network : Network
        Whose species are meant.
    stated : dict, optional
        By species, its parts: copies by part, or parts one by one. Others follow from the network.

    Returns
    -------
    dict of Counter
        By species.

    Raises
    ------
    AssayError
        For names in `stated` that are not species.
    """
    unknown = sorted(set(stated or {}) - set(network.species))
    if unknown:
        raise AssayError(
            f"composition: {', '.join(unknown)} is not a species of {network.name}; it has {', '.join(network.species)}"
            f"{did_you_mean(unknown, network.species)}"
        )
    elementary = {*network.species, *(part for parts in (stated or {}).values() for part in parts)}
    known: dict[str, Parts] = {n: p for n, p in network.facts.parts.items() if set(p) <= elementary}
    known |= stated or {}
    return {name: _parts(name, network, known, elementary, ()) for name in network.species}


def _all_parts(network: Network, stated: Mapping[str, Parts] | None) -> set[str]:
    return {part for parts in parts_by_species(network, stated).values() for part in parts}


def _parts(
    name: str, network: Network, known: Mapping[str, Parts], elementary: set[str], seen: tuple[str, ...]
) -> Counter[str]:
    if name in known:
        return Counter(known[name])
    if name in seen or name not in network.species:
        return Counter([name])

    def together(pieces: Sequence[str]) -> Counter[str]:
        return sum((_parts(p, network, known, elementary, (*seen, name)) for p in pieces), Counter())

    compositions = [together(taken) for taken in _bound_from(name, network)]
    if compositions and all(f == compositions[0] for f in compositions):
        return compositions[0]
    pieces = name.split("_")
    return together(pieces) if len(pieces) > 1 and elementary >= set(pieces) else Counter([name])


def _bound_from(name: str, network: Network) -> list[list[str]]:
    """What each reaction that makes nothing but one molecule of this species binds."""
    taken = [_species(r.reactants, network) for r in network.reactions if _species(r.products, network) == [name]]
    return [t for t in taken if len(t) > 1]


def complexes(
    network: Network,
    parts: Collection[str],
    stated: Mapping[str, Parts] | None = None,
    *,
    where: Collection[str] | None = None,
    name: str = "composition",
) -> dict[str, Counter[str]]:
    """Species that hold all of some parts, with all that they hold.

    Parameters
    ----------
    network : Network
        Whose species are meant.
    parts : collection of str
        What they have to hold.
    stated : dict, optional
        As for `parts_by_species`.
    where : collection of str, optional
        Compartments; None: all.
    name : str
        What messages start with.

    Returns
    -------
    dict of Counter
        Copies of each part by species.

    Raises
    ------
    AssayError
        For parts that no species holds, if no species holds them all, for unknown compartments, and for a species of
        unknown parts that a reaction makes of such as hold them.
    """
    if stray := sorted(set(where or ()) - set(network.compartments)):
        known = ", ".join(network.compartments) + did_you_mean(stray, network.compartments)
        raise AssayError(f"{name}: {', '.join(stray)} is not a compartment of {network.name}; it has {known}")
    of = parts_by_species(network, stated)
    named = {part for copies in of.values() for part in copies}
    if missing := sorted(set(parts) - named):
        raise AssayError(
            f"{name}: no species of {network.name} holds {', '.join(missing)}; known parts: {', '.join(sorted(named))}"
        )
    _check_products(network, set(parts), of, set(stated or ()), name)
    holding = {
        s: copies
        for s, copies in of.items()
        if set(parts) <= set(copies) and (where is None or network.species[s].compartment in where)
    }
    if not holding:
        place = "" if where is None else f" in {', '.join(where)}"
        raise AssayError(f"{name}: no species of {network.name}{place} holds {' and '.join(parts)} together")
    return holding


def _check_products(
    network: Network, parts: set[str], of: Mapping[str, Counter[str]], stated: set[str], name: str
) -> None:
    """Raises `AssayError` if a reaction joins all `parts` into a species whose composition nothing states."""
    in_others = {part for s, copies in of.items() if copies != Counter([s]) for part in copies}
    for reaction in network.reactions:
        taken = sum((of[s] for s in _species(reaction.reactants, network)), Counter())
        for s in _species(reaction.products, network):
            if of[s] == Counter([s]) and s not in in_others | parts | stated and parts <= set(taken):
                made = " + ".join(f"{k} {p}" if k > 1 else p for p, k in sorted(taken.items()))
                raise AssayError(
                    f"{name}: reaction {reaction.name} makes {s} of {made}, and its name does not say what it holds; "
                    f"give composition={{{s!r}: [...]}}"
                )


def _species(side: Sequence[tuple[str, sympy.Expr]], network: Network) -> list[str]:
    """One side of a reaction, each species as often as it takes part."""

    def times(count: sympy.Expr) -> int:
        return max(1, round(float(count))) if count.is_number else 1

    return [s for s, count in side if s in network.species for _ in range(times(sympy.sympify(count)))]


def amount_of(network: Network, part: str, holding: Mapping[str, Counter[str]]) -> sympy.Expr:
    """Molecules of `part` in the species `holding`, as an amount: copies × concentration × volume."""
    terms = [copies[part] * _amount(network, s) for s, copies in holding.items()]
    return sum(terms, sympy.Integer(0))


def _amount(network: Network, species: str) -> sympy.Expr:
    s = network.species[species]
    return sympy.Symbol(species) * (1 if s.amount else sympy.Symbol(s.compartment))


def total_concentration(
    network: Network,
    part: str,
    *,
    where: str,
    composition: Mapping[str, Parts] | None = None,
    hidden_by: Collection[str] = (),
) -> sympy.Expr:
    """Concentration of a part in a compartment, free and in complexes: what an ELISA of it sees.

    Parameters
    ----------
    network : Network
        Whose species are meant.
    part : str
        The analyte.
    where : str
        The compartment.
    composition : dict, optional
        Parts by species, as `stated` of `hexamer.data.parts_by_species`.
    hidden_by : collection of str
        Complexes that hold one of these, such as a drug that covers the epitope, are not seen.

    Returns
    -------
    sympy.Expr
        A formula over the network's names, in its units.

    Raises
    ------
    AssayError
        As `complexes` does, and for a name in `hidden_by` that no species holds.
    """
    known = _all_parts(network, composition)
    if unknown := sorted(set(hidden_by) - known):
        raise AssayError(
            f"ELISA of {part}: no species of {network.name} holds {', '.join(unknown)}, which is to hide it; "
            f"known parts: {', '.join(sorted(known))}{did_you_mean(unknown, known)}"
        )
    holding = complexes(network, (part,), composition, where=(where,), name=f"ELISA of {part}")
    visible = {s: copies for s, copies in holding.items() if not set(hidden_by) & set(copies)}
    if not visible:
        raise AssayError(f"ELISA of {part}: every species that holds it in {where} holds {' or '.join(hidden_by)}, too")
    if all(not network.species[s].amount for s in visible):
        return sum((copies[part] * sympy.Symbol(s) for s, copies in visible.items()), sympy.Integer(0))
    return amount_of(network, part, visible) / sympy.Symbol(where)


__all__ = ["Parts", "amount_of", "complexes", "parts_by_species", "total_concentration"]
