"""SBML to `Network`. What is not understood is refused by name, never ignored."""

# sympy's annotations say Basic where an expression is meant.
# pyright: reportArgumentType=false, reportReturnType=false, reportAssignmentType=false
# pyright: reportIncompatibleMethodOverride=false
from __future__ import annotations

import math
from functools import cache
from pathlib import Path

import libsbml
import sympy

from .conditions import as_number
from .formulas import TIME, FormulaError, from_ast, names_in, to_infix
from .network import Network, Quantity, Reaction, Species, Unit, UnsupportedModelError
from .sbml_events import read_events
from .sbml_text import check_sbml_text
from .volumes import unsound_volumes

_HARMLESS = {"layout", "render", "annotation", "l3v2extendedmath"}  # drawings, and functions known anyhow


@cache  # a file holds the same few numbers many times, and finding one takes milliseconds
def _rational(number: float | sympy.Expr) -> sympy.Expr:
    """The simple fraction that a stoichiometry means: 1/3 for 0.333333333333333."""
    return sympy.nsimplify(number, rational=True)


def _document(source: str | Path, where: str) -> tuple[libsbml.SBMLDocument, str]:
    text = str(source)
    if text.lstrip().startswith("<"):
        content, path, where = text.encode(), None, where or "the SBML text"
    else:
        path = Path(source)
        if not path.is_file():
            raise FileNotFoundError(f"there is no SBML file {path}")
        content, where = path.read_bytes(), where or str(path)
    if problems := check_sbml_text(content):
        raise UnsupportedModelError(f"{where} holds what is not supported:\n  " + "\n  ".join(problems))
    document = libsbml.readSBMLFromString(text) if path is None else libsbml.readSBMLFromFile(str(path))
    worst = [document.getError(i) for i in range(document.getNumErrors())]
    worst = [e for e in worst if e.getSeverity() >= libsbml.LIBSBML_SEV_ERROR]
    if worst or document.getModel() is None:
        lines = [f"line {e.getLine()}: {e.getShortMessage()}" for e in worst[:10]] or ["it holds no model"]
        raise UnsupportedModelError(f"{where} cannot be read as SBML:\n  " + "\n  ".join(lines))
    return document, where


def _refusals(document: libsbml.SBMLDocument, model: libsbml.Model) -> list[str]:
    unsupported = [f"rule {i + 1} is algebraic" for i, r in enumerate(model.getListOfRules()) if r.isAlgebraic()]
    unsupported += [f"constraint {i + 1}" for i in range(model.getNumConstraints())]
    unsupported += [
        f"reaction {r.getId()} is fast" for r in model.getListOfReactions() if r.isSetFast() and r.getFast()
    ]
    unsupported += [
        f"species {s.getId()} has a conversion factor" for s in model.getListOfSpecies() if s.isSetConversionFactor()
    ]
    if model.isSetConversionFactor():
        unsupported.append("the model has a conversion factor")
    for i in range(document.getNumPlugins()):
        package = document.getPlugin(i).getPackageName()
        if package not in _HARMLESS:
            unsupported.append(f"it requires the SBML package {package!r}")
    return unsupported


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
        Naming every construct that is not supported: algebraic rules, constraints, delays, fast reactions,
        conversion factors, volumes that change, stoichiometry that changes.
    FileNotFoundError
        For a missing file.
    """
    document, where = _document(source, where)
    model = document.getModel()
    reader = _Reader(model)
    problems = _refusals(document, model)
    network = None
    try:
        network = reader.network()
    except FormulaError as error:
        reader.problems.append(str(error))
    problems += reader.problems
    if problems or network is None:
        raise UnsupportedModelError(f"{where} holds what is not supported:\n  " + "\n  ".join(problems))
    return network


class _Reader:
    def __init__(self, model: libsbml.Model):
        self.model = model
        self.functions = {f.getId(): f for f in model.getListOfFunctionDefinitions()}
        self.problems: list[str] = []
        self.numbers: dict[str, sympy.Expr] = {}  # of stoichiometries that have a name

    def math(self, element, what: str, *, local: frozenset[str] = frozenset()) -> sympy.Expr:
        """A formula; a stoichiometry's name in it stands for its number, unless it is `local` to a reaction."""
        if not element.isSetMath():
            raise FormulaError(f"{what} has no formula")
        try:
            self.check_units(element.getMath())
            expression = as_number(from_ast(element.getMath(), self.functions))
        except FormulaError as error:
            raise FormulaError(f"{what}: {error}") from None
        return expression.xreplace({sympy.Symbol(n): v for n, v in self.numbers.items() if n not in local})

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
        model = self.model
        named = self.name_stoichiometries()
        initial = {
            a.getSymbol(): self.math(a, f"initial assignment of {a.getSymbol()}")
            for a in model.getListOfInitialAssignments()
            if a.getSymbol() not in named
        }
        rules = {
            r.getVariable(): self.math(r, f"rule of {r.getVariable()}")
            for r in model.getListOfRules()
            if r.isAssignment()
        }
        rates = {
            r.getVariable(): self.math(r, f"rate rule of {r.getVariable()}")
            for r in model.getListOfRules()
            if r.isRate()
        }
        compartments = {
            c.getId(): Quantity(c.getSize() if c.isSetSize() else 1.0, c.getUnits())
            for c in model.getListOfCompartments()
        }
        parameters = {
            p.getId(): Quantity(p.getValue() if p.isSetValue() else math.nan, p.getUnits())
            for p in model.getListOfParameters()
        }
        reactions = tuple(self.reaction(r, parameters) for r in model.getListOfReactions())
        species = {s.getId(): self.species(s, compartments, initial) for s in model.getListOfSpecies()}
        self.check_values(compartments, {*initial, *rules, *rates})
        for c in compartments:
            reason = self.moving(rules[c], rules, rates) if c in rules else ""
            if c in rates or reason:
                because = "it has a rate rule" if c in rates else f"its rule uses {reason}, which is not constant"
                self.problems.append(f"the volume of compartment {c} changes: {because}")
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
        )
        self.problems += unsound_volumes(network)
        return network

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
        return Species(name, s.getCompartment(), value, amount, fixed, s.getUnits())

    def reaction(self, r: libsbml.Reaction, parameters: dict[str, Quantity]) -> Reaction:
        name, law = r.getId(), r.getKineticLaw()
        if law is None:
            raise FormulaError(f"reaction {name} has no kinetic law")
        local = {}
        # Level 3 lists its local parameters under both names.
        local_parameters = law.getListOfLocalParameters() if self.model.getLevel() >= 3 else law.getListOfParameters()
        rate = self.math(law, f"reaction {name}", local=frozenset(p.getId() for p in local_parameters))
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
                number = self.stoichiometry(name, reference)
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

    def moving(self, rule: sympy.Expr, rules: dict[str, sympy.Expr], rates: dict[str, sympy.Expr]) -> str:
        """A name that changes with time and that `rule` uses, itself or through other rules; empty if there is none."""
        changing = {s.getId() for s in self.model.getListOfSpecies()} | rates.keys() | {str(TIME)}
        changing |= {r.getId() for r in self.model.getListOfReactions()}
        changing |= {a.getVariable() for e in self.model.getListOfEvents() for a in e.getListOfEventAssignments()}
        seen: set[str] = set()
        waiting = sorted(names_in(rule))
        while waiting:
            name = waiting.pop(0)
            if name in changing:
                return "time" if name == TIME.name else name
            if name in rules and name not in seen:
                seen.add(name)
                waiting += sorted(names_in(rules[name]))
        return ""

    def name_stoichiometries(self) -> frozenset[str]:
        """Fills `numbers` and returns all names of stoichiometries, of those too that are not numbers."""
        named = []
        for reaction in self.model.getListOfReactions():
            for references in (reaction.getListOfReactants(), reaction.getListOfProducts()):
                named += [(reaction.getId(), r) for r in references if r.getId()]
        for reaction, reference in named:
            self.numbers[reference.getId()] = self.stoichiometry(reaction, reference)
        self.problems = list(dict.fromkeys(self.problems))
        return frozenset(r.getId() for _, r in named)

    def stoichiometry(self, reaction: str, reference: libsbml.SpeciesReference) -> sympy.Expr:
        """A number; a problem is added where it is none or may change."""
        ident, what = reference.getId(), f"reaction {reaction}: the stoichiometry of {reference.getSpecies()}"
        if ident and ident in self.numbers:
            return self.numbers[ident]
        assignment = self.model.getInitialAssignment(ident) if ident else None
        number_or_formula: sympy.Expr = sympy.nan
        if ident and self.model.getRule(ident):
            self.problems.append(f"{what} is {ident}, which a rule gives; expected a number")
            return sympy.Integer(1)
        if assignment is not None:
            number_or_formula = self.math(assignment, f"initial assignment of {ident}")
        elif reference.isSetStoichiometryMath():
            number_or_formula = self.math(reference.getStoichiometryMath(), what)
        elif reference.isSetStoichiometry() or self.model.getLevel() < 3:
            number = reference.getStoichiometry()
            number_or_formula = _rational(number) if math.isfinite(number) else sympy.nan
        if number_or_formula.free_symbols:
            self.problems.append(f"{what} is the formula {to_infix(number_or_formula)}; expected a number")
        elif number_or_formula.is_finite is not True or number_or_formula.is_real is not True:
            self.problems.append(f"{what} has no value; expected a number")
        else:
            return _rational(number_or_formula)
        return sympy.Integer(1)

    def units(self) -> dict[str, tuple[Unit, ...]]:
        return {
            d.getId(): tuple(
                Unit(
                    libsbml.UnitKind_toString(u.getKind()),
                    u.getExponentAsDouble(),
                    u.getScale(),
                    u.getMultiplier(),
                )
                for u in d.getListOfUnits()
            )
            for d in self.model.getListOfUnitDefinitions()
        }

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
