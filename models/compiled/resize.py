"""Compartments that a protocol resizes: amounts are kept, so concentrations change by the ratio of the volumes.

Where a step (or the end of a pre-equilibration) changes a compartment's volume from V to V', what lies in it stays:
c' = c V/V' (SBML level 3, 4.12.6, for events). A species that the same step sets has the value that it is set to, in
the new volume. PEtab v2's conditions keep concentrations instead; see `Protocol.resizing_keeps`.

Each ratio is one more number of the environment, behind the plan's constants. It is computed before the solve, so that
engines only multiply, and derivatives by an estimated volume are JAX's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import jax
import jax.numpy as jnp
import numpy as np
import sympy
from jaxtyping import Array, Float

from ..networks.formulas import names_in
from .model import Model
from .volumes import moved_by


@dataclass(frozen=True, eq=False)
class Resizes:
    """R changes of volumes as parameters before and after, and the species whose ratios are wanted.

    `before` and `after` are R × parameters, indices into the environment; ratio k is that of species `species[k]` in
    change `change[k]`.
    """

    before: np.ndarray
    after: np.ndarray
    change: np.ndarray
    species: np.ndarray

    def __len__(self) -> int:
        return len(self.change)


@dataclass
class ResizeTable:
    """Collects the changes of volumes of a plan; each gets its place behind the environment's other numbers."""

    model: Model
    _changes: dict[tuple[tuple[int, ...], tuple[int, ...]], int] = field(default_factory=dict)
    _ratios: dict[tuple[int, int], int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        kinetics = self.model.kinetics
        volumes: Sequence[sympy.Expr] = () if kinetics is None else kinetics.volumes
        species = {} if self.model.network is None else self.model.network.species
        moved = moved_by(self.model)  # `volumes` are those at the start
        moving = {n for n, s in species.items() if s.compartment in moved}
        of_species = zip(self.model.species, volumes, strict=False)
        self._names = [frozenset() if n in moving else names_in(sympy.sympify(v)) for n, v in of_species]

    def ratios(self, before: Sequence[int], after: Sequence[int]) -> dict[int, int]:
        """Numbers of the ratios by species, where parameters at `before` in the environment are then at `after`."""
        moved = {n for n, a, b in zip(self.model.parameters, before, after, strict=True) if a != b}
        ratios_by_species: dict[int, int] = {}
        for species, names in enumerate(self._names):
            if names & moved:
                key = tuple(before), tuple(after)
                change = self._changes.setdefault(key, len(self._changes))
                ratios_by_species[species] = self._ratios.setdefault((change, species), len(self._ratios))
        return ratios_by_species

    def resizes(self) -> Resizes:
        count = len(self.model.parameters)
        both = np.array([[*b, *a] for b, a in self._changes], dtype=int).reshape(len(self._changes), 2 * count)
        pairs = np.array(list(self._ratios), dtype=int).reshape(len(self._ratios), 2)
        return Resizes(both[:, :count], both[:, count:], pairs[:, 0], pairs[:, 1])


def with_ratios(model: Model, resizes: Resizes, environment: Float[Array, " slots"]) -> Float[Array, " more"]:
    """The environment with V/V' of every ratio behind it."""
    if not len(resizes):
        return environment
    volumes = jax.vmap(model.volumes)
    ratios = volumes(environment[resizes.before]) / volumes(environment[resizes.after])
    return jnp.concatenate([environment, ratios[resizes.change, resizes.species]])


def resized_but_fixed(model: Model, before: Sequence[int], after: Sequence[int]) -> dict[str, str]:
    """Species that nothing changes (boundary or constant) in a compartment that is resized, with the compartment."""
    network = model.network
    if network is None:
        return {}
    moved = {n for n, a, b in zip(model.parameters, before, after, strict=True) if a != b}
    compartments: dict[str, str] = {}
    for name, species in network.species.items():
        if name not in model.parameters or species.amount:
            continue
        compartment = species.compartment
        volume = model.rules.get(compartment, network.initial.get(compartment, sympy.Symbol(compartment)))
        if names_in(sympy.sympify(volume)) & moved:
            compartments[name] = compartment
    return compartments
