"""SBML to `Network`. What is not understood is refused by name, never ignored."""

# sympy's annotations say Basic where an expression is meant.
# pyright: reportArgumentType=false, reportReturnType=false, reportAssignmentType=false
# pyright: reportIncompatibleMethodOverride=false, reportAttributeAccessIssue=false
from __future__ import annotations

import logging
import math
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from xml.sax.saxutils import unescape

import libsbml
import sympy

from ..listing import listed
from .conditions import as_number
from .derivatives import without_rates_of
from .formulas import FormulaError, from_ast
from .network import Constraint, Network, Quantity, Reaction, Species, Unit, UnsupportedModelError
from .sbml_document import HARMLESS, read_document
from .sbml_events import read_events
from .sbml_stoichiometry import Stoichiometries
from .volumes import unsound_volumes

log = logging.getLogger(__name__)

_RANDOM = "sbml.org/annotations/distribution"  # COPASI marks so what it draws at random

_WAYS_OUT = {
    "algebraic": "solve it for the name that it determines, and write that as an assignment rule",
    "fast": "write it with a high rate, or put its equilibrium into assignment rules",
    "package": "export the model without it if reactions and rules alone describe it",
}


def _refusals(document: libsbml.SBMLDocument, model: libsbml.Model) -> list[str]:
    algebraic = [i for i, r in enumerate(model.getListOfRules()) if r.isAlgebraic()]
    unsupported = [f"rule {i + 1} is algebraic: {_WAYS_OUT['algebraic']}" for i in algebraic]
    fast = [r.getId() for r in model.getListOfReactions() if r.isSetFast() and r.getFast()]
    unsupported += [f"reaction {name} is fast: {_WAYS_OUT['fast']}" for name in fast]
    packages = [document.getPlugin(i).getPackageName() for i in range(document.getNumPlugins())]
    others = [p for p in packages if p not in HARMLESS]
    return unsupported + [f"it requires the SBML package {p!r}: {_WAYS_OUT['package']}" for p in others]


def read_sbml(source: str | Path, where: str = "") -> Network:
    """A `Network` from an SBML file or SBML text (levels 2 and 3).

    Parameters
    ----------
    source : str or path
        The file or the text.
    where : str
        What messages call it.

    Returns
    -------
    Network
        The network, without the library's facts.

    Raises
    ------
    UnsupportedModelError
        Naming every construct that is not supported: algebraic rules, delays, fast reactions, and packages but
        `comp`, whose parts are put together.
    FileNotFoundError
        For a missing file.
    """
    document, where = read_document(source, where)
    model = document.getModel()
    reader = _Reader(model)
    problems = _refusals(document, model)
    network = None
    try:
        network = without_rates_of(reader.network())
    except FormulaError as error:
        reader.problems.append(str(error))
    problems += reader.problems
    if problems or network is None:
        raise UnsupportedModelError(f"{where} holds what is not supported:\n  " + "\n  ".join(problems))
    for note in reader.notes:
        log.warning("%s: %s", where, note)
    return network


class _Reader:
    def __init__(self, model: libsbml.Model):
        self.model = model
        self.functions = {f.getId(): f for f in model.getListOfFunctionDefinitions()}
        self.problems: list[str] = []
        self.notes: list[str] = []
        self.minutes: list[str] = []  # units with a minute as COPASI writes it
        self.stoichiometries = Stoichiometries(model, self.math)

    def math(self, element: libsbml.SBase, what: str) -> sympy.Expr:
        """The formula of an element, as a number."""
        if not element.isSetMath():
            raise FormulaError(f"{what} has no formula")
        try:
            self.check_units(element.getMath())
            return as_number(from_ast(element.getMath(), self.functions))
        except FormulaError as error:
            raise FormulaError(f"{what}: {error}") from None

    def check_units(self, formula: libsbml.ASTNode) -> None:
        """Refuses `2 S` of an Antimony text, which is 2 in the unit S and no product, unless S is only a unit."""
        stack = [formula]
        while stack:
            node = stack.pop()
            stack += [node.getChild(i) for i in range(node.getNumChildren())]
            if not (node.isNumber() and node.isSetUnits()):
                continue
            unit, shown = node.getUnits(), libsbml.formulaToL3String(node)
            if self.model.getElementBySId(unit) is not None:
                raise FormulaError(f"{shown!r} has the unit {unit!r}, which is also a name; write a product with *")
            defined = self.model.getUnitDefinition(unit)
            if defined is not None and not defined.getNumUnits():
                raise FormulaError(f"{shown!r} has the unit {unit!r}, which is not defined; write a product with *")

    def network(self) -> Network:
        model, stoichiometries = self.model, self.stoichiometries
        compartments = {
            c.getId(): Quantity(c.getSize() if c.isSetSize() else 1.0, c.getUnits())
            for c in model.getListOfCompartments()
        }
        parameters = {
            p.getId(): Quantity(p.getValue() if p.isSetValue() else math.nan, p.getUnits())
            for p in model.getListOfParameters()
        }
        reactions = tuple(self.reaction(r, parameters) for r in model.getListOfReactions())
        self.problems += dict.fromkeys(stoichiometries.problems)
        if without := stoichiometries.without_number:
            which = without[0] + (f", and {len(without) - 1} more" if len(without) > 1 else "")
            self.notes.append(f"{which}, has no number: it is taken to be 1")
        parameters |= stoichiometries.parameters
        initial = stoichiometries.initial | {
            a.getSymbol(): self.math(a, f"initial assignment of {a.getSymbol()}")
            for a in model.getListOfInitialAssignments()
            if a.isSetMath() and a.getSymbol() not in stoichiometries.initial
        }
        rules = stoichiometries.rules | self.rules("rule", libsbml.Rule.isAssignment)
        rates = self.rules("rate rule", libsbml.Rule.isRate)
        species = {s.getId(): self.species(s, compartments, initial) for s in model.getListOfSpecies()}
        self.check_values(compartments, {*initial, *rules, *rates})
        network = Network(
            name=model.getId() or model.getName() or "model",
            compartments=compartments,
            species=species,
            parameters=parameters,
            reactions=reactions,
            rules=rules,
            rates=rates,
            initial={n: e for n, e in initial.items() if n not in species},
            units=self.units(),
            base_units=self.base_units(),
            events=read_events(model, self.math, self.problems),
            constraints=self.constraints(),
        )
        self.problems += unsound_volumes(network)
        if drawn := listed(n for n, f in self.functions.items() if _RANDOM in f.getAnnotationString()):
            self.notes.append(f"the functions {drawn} mean random numbers; their formulas are read, as a rule the mean")
        if wrong := listed(dict.fromkeys(self.minutes)):
            self.notes.append(f"COPASI wrote 60 milliseconds in the units {wrong}, and means a minute: 1 min is read")
        return network

    def rules(self, what: str, kind: Callable[[libsbml.Rule], bool]) -> dict[str, sympy.Expr]:
        """Rules of a kind by what they give; one without a formula gives nothing (SBML level 3 version 2)."""
        chosen = [r for r in self.model.getListOfRules() if kind(r) and r.isSetMath()]
        return {r.getVariable(): self.math(r, f"{what} of {r.getVariable()}") for r in chosen}

    def constraints(self) -> tuple[Constraint, ...]:
        """Constraints, each called by its id, else by its number in the file."""
        read = []
        for i, c in enumerate(self.model.getListOfConstraints()):
            if c.isSetMath():
                name = c.getIdAttribute() or f"constraint {i + 1}"
                said = libsbml.XMLNode.convertXMLNodeToString(c.getMessage()) if c.isSetMessage() else ""
                message = unescape(" ".join(re.sub(r"<[^>]*>", " ", said).split()))
                read.append(Constraint(name, self.math(c, name), message))
        return tuple(read)

    def check_values(self, compartments: dict[str, Quantity], elsewhere: set[str]) -> None:
        """Refuses infinite numbers and volumes that concentrations cannot be in, unless they come from `elsewhere`."""
        written = {p.getId(): p.getValue() for p in self.model.getListOfParameters() if p.isSetValue()}
        for s in self.model.getListOfSpecies():
            known = s.isSetInitialAmount() or s.isSetInitialConcentration()
            value = s.getInitialAmount() if s.isSetInitialAmount() else s.getInitialConcentration()
            written |= {s.getId(): value} if known else {}
            volume = compartments.get(s.getCompartment(), Quantity(1.0)).value
            if s.getCompartment() not in elsewhere and not s.getHasOnlySubstanceUnits() and not volume > 0:
                self.problems.append(
                    f"the volume of compartment {s.getCompartment()} is {volume:g}; expected a number above 0, as the "
                    f"species {s.getId()} is a concentration in it"
                )
        for name, value in written.items():
            if math.isinf(value) and name not in elsewhere:
                self.problems.append(f"the value of {name} is {value:g}; expected a finite number")
        self.problems = list(dict.fromkeys(self.problems))

    def species(self, s: libsbml.Species, compartments, initial) -> Species:
        name, amount = s.getId(), bool(s.getHasOnlySubstanceUnits())
        volume = sympy.Symbol(s.getCompartment())
        if name in initial:
            value = initial[name]
        elif s.isSetInitialAmount():
            value = sympy.Float(s.getInitialAmount())
            value = value if amount or value == 0 else value / volume
        elif s.isSetInitialConcentration():
            value = sympy.Float(s.getInitialConcentration())
            value = value * volume if amount and value != 0 else value
        else:
            value = sympy.Float(math.nan)
        fixed = bool(s.getBoundaryCondition() or s.getConstant())
        factor = s.getConversionFactor() or self.model.getConversionFactor()
        return Species(name, s.getCompartment(), value, amount, fixed, s.getUnits(), factor)

    def reaction(self, r: libsbml.Reaction, parameters: dict[str, Quantity]) -> Reaction:
        name, law = r.getId(), r.getKineticLaw()
        local = {}
        if law is None or not law.isSetMath():
            self.notes.append(f"reaction {name} has no kinetic law: its rate is taken to be 0")
            rate, local_parameters = sympy.Integer(0), []
        else:
            rate = self.math(law, f"reaction {name}")
            # Level 3 lists its local parameters under both names.
            old = self.model.getLevel() < 3
            local_parameters = law.getListOfParameters() if old else law.getListOfLocalParameters()
        for p in local_parameters:
            unique = f"{name}_{p.getId()}"
            while unique in parameters or self.model.getElementBySId(unique) is not None:
                unique += "_"
            parameters[unique] = Quantity(p.getValue() if p.isSetValue() else math.nan, p.getUnits())
            local[sympy.Symbol(p.getId())] = sympy.Symbol(unique)
        net: dict[str, sympy.Expr] = {}
        sides = []
        for references, sign in ((r.getListOfReactants(), -1), (r.getListOfProducts(), 1)):
            side = []
            for reference in references:
                number = self.stoichiometries.of(name, reference)
                side.append((reference.getSpecies(), number))
                net[reference.getSpecies()] = net.get(reference.getSpecies(), sympy.Integer(0)) + sign * number
            sides.append(tuple(side))
        return Reaction(
            name,
            sympy.sympify(rate.xreplace(local)),
            {s: n for s, n in net.items() if n != 0},
            sides[0],
            sides[1],
            tuple(m.getSpecies() for m in r.getListOfModifiers()),
        )

    def units(self) -> dict[str, tuple[Unit, ...]]:
        return {
            d.getId(): tuple(self.unit(u, d.getId()) for u in d.getListOfUnits())
            for d in self.model.getListOfUnitDefinitions()
        }

    def unit(self, u: libsbml.Unit, definition: str) -> Unit:
        """A factor of a unit. COPASI (4.48 does so) writes a minute as 60 milliseconds, which it never means."""
        unit = Unit(libsbml.UnitKind_toString(u.getKind()), u.getExponentAsDouble(), u.getScale(), u.getMultiplier())
        wrong = unit.kind == "second" and unit.scale == -3 and unit.multiplier == 60
        if not (wrong and "copasi.org" in self.model.getAnnotationString()):
            return unit
        self.minutes.append(definition)
        return replace(unit, scale=0)

    def base_units(self) -> dict[str, str]:
        model = self.model
        if model.getLevel() < 3:
            return {k: k for k in ("substance", "volume", "time") if model.getUnitDefinition(k)}
        units = {
            "substance": model.getSubstanceUnits(),
            "extent": model.getExtentUnits(),
            "volume": model.getVolumeUnits(),
            "time": model.getTimeUnits(),
        }
        return {k: v for k, v in units.items() if v}
