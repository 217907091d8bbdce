"""Measurements with all that is needed to predict them: observables, protocols, and what each row fills in."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

import sympy

from ..models.listing import counted, known_names
from ..models.protocols.protocol import Protocol, Value
from .joint_prior import JointPrior
from .noise import Noise, noise_of
from .parameter import Parameter
from .scale import Scale
from .schedules import Input

Censored = Literal["", "left", "right", "interval"]


@dataclass(frozen=True, init=False)
class Observable:
    """The formula of an assay's reading, over species, rules, parameters and placeholders, with its noise.

    A measurement v is distributed as scale(v) ~ noise(scale(formula), noise_formula); on a logarithmic scale the
    density is that of v, with the Jacobian of the transformation, as in PEtab.

    Parameters
    ----------
    name : str
        Of the observable.
    formula : expression
        The reading, in `unit`.
    noise_formula : expression
        Standard deviation, or scale parameter, of scale(v).
    placeholders : tuple of str
        Symbols in both formulas whose values each row gives in the same order, as numbers or names of parameters.
    scale : Scale or str
        `"lin"`, `"log"` or `"log10"`.
    noise : Noise or str
        Such as `"normal"`, `"laplace"`, `"student_t(4)"`, `"contaminated(0.05, 10)"`.
    unit : str
        Of the measurements.
    """

    name: str
    formula: sympy.Expr
    noise_formula: sympy.Expr
    placeholders: tuple[str, ...]
    scale: Scale
    noise: Noise
    unit: str

    def __init__(
        self,
        name: str,
        formula: sympy.Expr,
        noise_formula: sympy.Expr,
        placeholders: tuple[str, ...] = (),
        scale: Scale | str = "lin",
        noise: Noise | str = "normal",
        unit: str = "",
    ) -> None:
        read = noise_of(noise) if isinstance(noise, str) else noise
        values = {"name": name, "formula": formula, "noise_formula": noise_formula, "placeholders": placeholders}
        for key, content in {**values, "scale": Scale(scale), "noise": read, "unit": unit}.items():
            object.__setattr__(self, key, content)

    @property
    def symbols(self) -> frozenset[str]:
        """Free names other than placeholders; of species, rules, parameters, or `time`."""
        free = {str(s) for s in self.formula.free_symbols | self.noise_formula.free_symbols}
        return frozenset(free - set(self.placeholders))


@dataclass(frozen=True, slots=True)
class Measurement:
    """One row of a table: a value with its observable, protocol and time.

    A row that is `censored` states limits, and its likelihood is the probability that the quantity lies within them.

    Parameters
    ----------
    observable, protocol : str
        Names in the data set.
    time : float
        In the model's unit.
    value : float
        In the observable's unit, never transformed.
    arguments : tuple of float or str
        For the observable's placeholders: numbers in the units of its formula, or names of parameters.
    experiment : str
        Gel, plate or lysate.
    row : int
        Line in the table it came from; 1 is the first after the header.
    censored : str
        `"left"`: the quantity is at most `value`, as below a limit of detection; `"right"`: at least, as above the top
        standard; `"interval"`: between `value` and `upper`; empty: not censored.
    upper : float, optional
        Upper limit of an interval, in the observable's unit.
    """

    observable: str
    protocol: str
    time: float
    value: float
    arguments: tuple[Value, ...] = ()
    experiment: str = ""
    row: int = 0
    censored: Censored = ""
    upper: float | None = None


@dataclass(frozen=True)
class Dataset:
    """Measurements, the observables and protocols they refer to, and the parameters that come with them.

    Raises `ValueError` with all rows that name an unknown observable or protocol, or hold impossible numbers.

    Parameters
    ----------
    name : str
        Of the data set.
    observables, protocols : dict
        By name.
    measurements : tuple of Measurement
        One or more.
    parameters : dict of Parameter
        Those that come with a prior or a value: scales of gels, noise, and, if the source states them (PEtab, a folder
        with priors), the model's own.
    model : str
        The network that they were made for: the name of a bundled one, or the path of an Antimony or SBML file.
    source : str
        Where the data come from.
    time_unit : str
        Of the model, and of all times; empty: not stated.
    notes : tuple of str
        Assumptions that the reader made, for the user to see.
    described_in : str
        The file of the observables, for messages.
    tables : tuple
        Files of the measurements, each with the number of rows before it.
    inputs : tuple of Input
        What the cells were given, with its units; none if the source has no such list.
    derived : dict
        Formulas of parameters, in the units of what they set, by the name that protocols use them under.
    continued : dict
        By protocol, the protocol and the time (in the model's unit) whose state its pre-equilibration begins with; the
        others begin with the model's initial values.
    joint_priors : tuple of JointPrior
        Correlations of the parameters' priors.
    """

    name: str
    observables: Mapping[str, Observable]
    protocols: Mapping[str, Protocol]
    measurements: tuple[Measurement, ...]
    parameters: Mapping[str, Parameter] = field(default_factory=dict)
    model: str = ""
    source: str = ""
    time_unit: str = "min"
    notes: tuple[str, ...] = ()
    described_in: str = ""
    tables: tuple[tuple[str, int], ...] = ()
    inputs: tuple[Input, ...] = ()
    derived: Mapping[str, sympy.Expr] = field(default_factory=dict)
    continued: Mapping[str, tuple[Protocol, float]] = field(default_factory=dict)
    joint_priors: tuple[JointPrior, ...] = ()

    def __post_init__(self) -> None:
        problems: list[str] = []
        if not self.measurements:
            problems.append("it has no measurements")
        for m in self.measurements:
            if m.observable not in self.observables:
                problems.append(
                    f"row {m.row}: unknown observable {m.observable!r}; {known_names(m.observable, self.observables)}"
                )
                continue
            if m.protocol not in self.protocols:
                problems.append(
                    f"row {m.row}: unknown protocol {m.protocol!r}; {known_names(m.protocol, self.protocols)}"
                )
            problems += _unsound_numbers(m)
            expected, stated = len(self.observables[m.observable].placeholders), len(m.arguments)
            if expected != stated:
                problems.append(f"row {m.row}: {m.observable} takes {expected} placeholder values, not {stated}")
        if problems:
            raise ValueError(f"data set {self.name!r} is not sound:\n  " + "\n  ".join(problems))

    def __repr__(self) -> str:
        parts = [counted(self.measurements, "measurement"), counted(self.observables, "observable")]
        return f"Dataset({self.name!r}, {', '.join(parts)}, {counted(self.protocols, 'protocol')})"

    def __len__(self) -> int:
        return len(self.measurements)

    @property
    def jointly(self) -> frozenset[str]:
        """Names of the parameters in joint priors."""
        return frozenset(n for joint in self.joint_priors for n in joint.parameters)

    def place(self, m: Measurement) -> str:
        """The file and row of a measurement, such as `measurements.csv, row 3`; empty if they are unknown.

        Parameters
        ----------
        m : Measurement
            One of the data set.
        """
        before = [(file, rows) for file, rows in self.tables if rows < m.row]
        if not before:
            return f"row {m.row}" if m.row else ""
        file, rows = before[-1]
        return f"{file}, row {m.row - rows}"


def _unsound_numbers(m: Measurement) -> list[str]:
    """What a reader lets pass and no likelihood can use."""
    problems: list[str] = []
    if not math.isfinite(m.value):
        problems.append(f"row {m.row}: {m.observable} is measured as {m.value}; expected a finite number")
    if not math.isfinite(m.time):
        problems.append(f"row {m.row}: the time of {m.observable} is {m.time}; expected a finite number")
    if m.censored not in get_args(Censored):
        known = "'left', 'right', 'interval', '' for none of them"
        problems.append(f"row {m.row}: censored is {m.censored!r}; known: {known}")
    elif (m.censored == "interval") != (m.upper is not None):
        problems.append(f"row {m.row}: censored is {m.censored!r} and upper is {m.upper}; an interval has both limits")
    elif m.upper is not None and not m.value < m.upper < math.inf:
        problems.append(f"row {m.row}: an interval from {m.value:g} to {m.upper:g}; expected finite limits in order")
    return problems
