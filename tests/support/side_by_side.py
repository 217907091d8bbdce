"""Several networks as one, side by side, so that diffrax, which compiles for seconds, compiles once for all of them."""

# sympy's annotations say Basic where an expression is meant.
# pyright: reportArgumentType=false, reportReturnType=false
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import sympy

from hexamer.models import Network
from hexamer.models.networks.formulas import TIME


def side_by_side(networks: Mapping[str, tuple[Network, float]]) -> Network:
    """One network with a block for each of several: its names begin with the block's, and its time is 1 at its end.

    Each network comes with the duration that it is solved for. No formula may use a reaction's rate.
    """
    whole = Network("side by side", {}, {}, {})
    for prefix, (network, duration) in networks.items():
        block = _block(network, prefix, sympy.Float(duration))
        whole = replace(
            whole,
            compartments={**whole.compartments, **block.compartments},
            species={**whole.species, **block.species},
            parameters={**whole.parameters, **block.parameters},
            reactions=(*whole.reactions, *block.reactions),
            rules={**whole.rules, **block.rules},
            rates={**whole.rates, **block.rates},
            initial={**whole.initial, **block.initial},
        )
    return whole


def renamed(expression: sympy.Expr, network: Network, prefix: str, duration: sympy.Expr | float) -> sympy.Expr:
    """`expression` over the names of the block `prefix`, whose time is a part of `duration`."""
    used = {str(s) for s in expression.free_symbols} & {r.name for r in network.reactions}
    assert not used, f"{network.name}: {used} are rates of reactions"
    names = {sympy.Symbol(n): sympy.Symbol(f"{prefix}{n}") for n in network.names}
    return expression.xreplace({**names, TIME: TIME * duration})


def _block(network: Network, prefix: str, duration: sympy.Expr) -> Network:
    def of(expression: sympy.Expr) -> sympy.Expr:
        return renamed(sympy.sympify(expression), network, prefix, duration)

    def named(things: Mapping) -> dict:
        return {f"{prefix}{n}": thing for n, thing in things.items()}

    species = {
        n: replace(
            s,
            name=f"{prefix}{n}",
            compartment=f"{prefix}{s.compartment}",
            initial=of(s.initial),
            conversion=s.conversion and f"{prefix}{s.conversion}",
        )
        for n, s in network.species.items()
    }
    reactions = tuple(
        replace(
            r,
            name=f"{prefix}{r.name}",
            rate=of(r.rate) * duration,
            stoichiometry=named({n: of(e) for n, e in r.stoichiometry.items()}),
            reactants=(),
            products=(),
            modifiers=(),
        )
        for r in network.reactions
    )
    return Network(
        name=prefix,
        compartments=named(network.compartments),
        species=named(species),
        parameters=named(network.parameters),
        reactions=reactions,
        rules=named({n: of(e) for n, e in network.rules.items()}),
        rates=named({n: of(e) * duration for n, e in network.rates.items()}),
        initial=named({n: of(e) for n, e in network.initial.items()}),
    )


__all__ = ["renamed", "side_by_side"]
