"""Signalling networks of any size, drawn from a seed: what grows with size can be measured on them.

A module is a receptor that assembles (ligand, two chains, a dimer that phosphorylates itself), kinases below it in
tiers with Michaelis-Menten terms, each switched on by one or two of those above, a transcription factor that dimerises
and enters the nucleus, and genes with Hill functions, the first of whose proteins inhibits the receptor. Every module
beyond the first takes an activator from the one before.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

MODULE = 35  # species, about; larger networks have several modules


@dataclass
class _Draft:
    """Antimony in the making."""

    rng: np.random.Generator
    species: dict[str, float] = field(default_factory=dict)
    parameters: dict[str, float] = field(default_factory=dict)
    reactions: list[str] = field(default_factory=list)

    def add(self, name: str, start: float = 0.0) -> str:
        self.species[name] = start
        return name

    def constant(self, kind: str, median: float, sd: float = 0.4) -> str:
        """A new lognormal parameter."""
        name = f"{kind}{len(self.parameters)}"
        self.parameters[name] = float(f"{median * np.exp(sd * self.rng.normal()):.4g}")
        return name

    def react(self, arrow: str, rate: str) -> None:
        self.reactions.append(f"{arrow}; {rate}")

    def bind(self, a: str, b: str, product: str) -> str:
        on, off = self.constant("kon", 0.01), self.constant("koff", 0.05)
        self.react(f"{a} + {b} -> {product}", f"{on}*{a}*{b} - {off}*{product}")
        return self.add(product)

    def phosphorylate(self, x: str, activators: list[str]) -> str:
        """X to pX by each activator and back by a phosphatase that is saturable too."""
        active = self.add(f"p{x}")
        for a in activators:
            k, half = self.constant("kcat", 0.3), self.constant("Km", 60.0)
            self.react(f"{x} -> {active}", f"{k}*{a}*{x}/({half} + {x})")
        most, half = self.constant("Vmax", 4.0), self.constant("Km", 40.0)
        self.react(f"{active} -> {x}", f"{most}*{active}/({half} + {active})")
        return active


def _module(draft: _Draft, number: int, size: int, others: list[str]) -> str:
    """Adds `size` species (12 at least); the name of the receptor that is active."""
    m, end = f"_{number}", len(draft.species) + size
    ligand, chain, partner = draft.add(f"L{m}"), draft.add(f"R{m}", 20.0), draft.add(f"G{m}", 40.0)
    # Turnover and clearance: without them the Jacobian in steady state is singular, and the state has no derivative.
    for receptor, amount in ((chain, 20.0), (partner, 40.0)):
        loss = draft.constant("kdeg", 0.01)
        draft.react(f"-> {receptor}", f"{amount:g}*{loss}")
        draft.react(f"{receptor} ->", f"{loss}*{receptor}")
    draft.react(f"{ligand} ->", f"{draft.constant('kcl', 0.005)}*{ligand}")
    first = draft.bind(ligand, chain, f"LR{m}")
    second = draft.bind(first, partner, f"LRG{m}")
    dimer = draft.bind(second, second, f"D{m}")
    active, inhibitor = draft.add(f"pD{m}"), f"I{m}"
    on, half, off = draft.constant("k", 0.5), draft.constant("Ki", 30.0), draft.constant("k", 0.1)
    draft.react(f"{dimer} -> {active}", f"{on}*{dimer}/(1 + {inhibitor}/{half})")
    draft.react(f"{active} -> {dimer}", f"{off}*{active}")
    draft.react(f"{active} ->", f"{draft.constant('kint', 0.02)}*{active}")
    activators, tier = [active, *others[:1]], 0
    genes = max(1, size // 16)
    while len(draft.species) + 2 + 2 * (genes + 1) <= end:
        chosen = list(draft.rng.choice(activators[-3:], size=min(len(activators), 2), replace=False))
        activators.append(draft.phosphorylate(draft.add(f"K{tier}{m}", 100.0), chosen))
        tier += 1
    pair, nuclear = draft.bind(activators[-1], activators[-1], f"TF{m}"), draft.add(f"nTF{m}")
    into, out = draft.constant("kin", 0.2), draft.constant("kout", 0.1)
    draft.react(f"{pair} -> {nuclear}", f"{into}*{pair} - {out}*{nuclear}")
    for gene in range(genes):
        rna = draft.add(f"m{gene}{m}")
        protein = draft.add(inhibitor if gene == 0 else f"P{gene}{m}")
        most, half = draft.constant("vtx", 1.0), draft.constant("Ktx", 10.0)
        draft.react(f"-> {rna}", f"{most}*{nuclear}^2/({half}^2 + {nuclear}^2)")
        draft.react(f"{rna} ->", f"{draft.constant('dm', 0.05)}*{rna}")
        draft.react(f"-> {protein}", f"{draft.constant('ktl', 0.3)}*{rna}")
        draft.react(f"{protein} ->", f"{draft.constant('dp', 0.02)}*{protein}")
    if len(draft.species) < end:  # one is left
        draft.bind(activators[-2], inhibitor, f"S{m}")
    return active


def signalling(species: int, *, seed: int = 0) -> str:
    """Antimony of a network with exactly so many species, 20 at least. Ligands `L_0`, `L_1`, … start at 0 nM."""
    if species < 20:
        raise ValueError(f"a receptor with its cascade needs 20 species, not {species}")
    draft = _Draft(np.random.default_rng(seed))
    modules = max(1, round(species / MODULE))
    active: list[str] = []
    for i in range(modules):
        size = (species - len(draft.species)) // (modules - i)
        active.append(_module(draft, i, size, active[-1:]))
    assert len(draft.species) == species, (species, len(draft.species))
    lines = [f"species {n} = {v:g};" for n, v in draft.species.items()]
    lines += [f"{n} = {v!r};" for n, v in draft.parameters.items()]
    lines += [f"J{i}: {r};" for i, r in enumerate(draft.reactions)]
    return "\n  ".join([f"model signalling_{species}", *lines]) + "\nend\n"
