"""`Network` to SBML level 3 version 1, so that COPASI, AMICI and Tellurium run our models unchanged."""

from __future__ import annotations

import math
from xml.sax.saxutils import escape

import libsbml
import sympy

from .conditions import as_boolean
from .formulas import TIME, to_infix
from .network import Network
from .sbml_events import write_events

_BASE = {
    "substance": "setSubstanceUnits",
    "extent": "setExtentUnits",
    "volume": "setVolumeUnits",
    "time": "setTimeUnits",
}


# How constants are written in the text that libsbml reads: names of a model may be called as they are there.
_WRITTEN = {TIME: libsbml.AST_NAME_TIME, sympy.pi: libsbml.AST_CONSTANT_PI, sympy.E: libsbml.AST_CONSTANT_E}


class _Writer:
    """Formulas as libsbml's syntax trees; names of the network stand before libsbml's own, such as `pi` or `Time`."""

    def __init__(self, network: Network) -> None:
        names = network.names
        self.constants: dict[str, int] = {}
        self.symbols: dict[sympy.Basic, sympy.Symbol] = {}
        for k, (constant, kind) in enumerate(_WRITTEN.items()):
            word = f"constant_{k}"
            while word in names:
                word += "_"
            self.constants[word], self.symbols[constant] = kind, sympy.Symbol(word)
        self.document = libsbml.SBMLDocument(3, 1)
        model = self.document.createModel()
        for name in names | self.constants.keys():
            model.createParameter().setId(name)
        self.settings = libsbml.L3ParserSettings()
        self.settings.setModel(model)

    def __call__(self, expression: sympy.Expr) -> libsbml.ASTNode:
        text = to_infix(expression.xreplace(self.symbols))
        node = libsbml.parseL3FormulaWithSettings(text, self.settings)
        if node is None:
            raise ValueError(f"the formula {text!r} cannot be written as SBML: {libsbml.getLastParseL3Error()}")
        stack = [node]
        while stack:
            part = stack.pop()
            stack += [part.getChild(i) for i in range(part.getNumChildren())]
            if part.getType() == libsbml.AST_NAME and part.getName() in self.constants:
                part.setType(self.constants[part.getName()])
        return node


def write_sbml(network: Network) -> str:
    """SBML text of a network; `read_sbml` reads it back, and other simulators run it.

    Parameters
    ----------
    network : Network
        The network.

    Returns
    -------
    str
        SBML level 3 version 1.
    """
    ast = _Writer(network)
    document = libsbml.SBMLDocument(3, 1)
    model = document.createModel()
    model.setId(network.name)
    _write_units(model, network)
    changing = set(network.rules) | set(network.rates)
    assigned = {name for event in network.events for name in event.assignments}
    for name, volume in network.compartments.items():
        compartment = model.createCompartment()
        compartment.setId(name)
        compartment.setSize(volume.value)
        compartment.setSpatialDimensions(3)
        compartment.setConstant(name not in changing and name not in assigned)
        if volume.unit:
            compartment.setUnits(volume.unit)
    for name, quantity in network.parameters.items():
        parameter = model.createParameter()
        parameter.setId(name)
        parameter.setConstant(name not in changing and name not in assigned)
        if math.isfinite(quantity.value):
            parameter.setValue(quantity.value)
        if quantity.unit:
            parameter.setUnits(quantity.unit)
    _write_species(model, network, changing, assigned, ast)
    for name, expression in network.initial.items():
        assignment = model.createInitialAssignment()
        assignment.setSymbol(name)
        assignment.setMath(ast(expression))
    for rules, create in ((network.rules, model.createAssignmentRule), (network.rates, model.createRateRule)):
        for name, expression in rules.items():
            rule = create()
            rule.setVariable(name)
            rule.setMath(ast(expression))
    _write_constraints(model, network, ast)
    _write_reactions(model, network, ast)
    write_events(model, network, ast)
    return libsbml.writeSBMLToString(document)


def _write_units(model: libsbml.Model, network: Network) -> None:
    for what, unit in network.base_units.items():
        getattr(model, _BASE[what])(unit)
    for name, factors in network.units.items():
        definition = model.createUnitDefinition()
        definition.setId(name)
        for factor in factors:
            unit = definition.createUnit()
            unit.setKind(libsbml.UnitKind_forName(factor.kind))
            unit.setExponent(factor.exponent)
            unit.setScale(factor.scale)
            unit.setMultiplier(factor.multiplier)


def _write_species(
    model: libsbml.Model, network: Network, changing: set[str], assigned: set[str], ast: _Writer
) -> None:
    moving = {s for r in network.reactions for s in r.stoichiometry} | changing | assigned
    for name, species in network.species.items():
        element = model.createSpecies()
        element.setId(name)
        element.setCompartment(species.compartment)
        element.setHasOnlySubstanceUnits(species.amount)
        element.setBoundaryCondition(species.fixed or name in changing)
        element.setConstant(species.fixed and name not in moving)
        if species.conversion:
            element.setConversionFactor(species.conversion)
        if species.unit:
            element.setSubstanceUnits(species.unit)
        elif "substance" in network.base_units:
            element.setSubstanceUnits(network.base_units["substance"])
        if species.initial.is_number:
            value = float(species.initial)
            if math.isfinite(value):
                (element.setInitialAmount if species.amount else element.setInitialConcentration)(value)
        else:
            assignment = model.createInitialAssignment()
            assignment.setSymbol(name)
            assignment.setMath(ast(species.initial))


def _write_reactions(model: libsbml.Model, network: Network, ast: _Writer) -> None:
    for reaction in network.reactions:
        element = model.createReaction()
        element.setId(reaction.name)
        element.setReversible(False)
        element.setFast(False)
        reactants, products = reaction.reactants, reaction.products
        if not reactants and not products:
            reactants = tuple((s, -n) for s, n in reaction.stoichiometry.items() if n < 0)
            products = tuple((s, n) for s, n in reaction.stoichiometry.items() if n > 0)
        for side, create in ((reactants, element.createReactant), (products, element.createProduct)):
            for species, number in side:
                reference = create()
                reference.setSpecies(species)
                reference.setConstant(bool(number.is_number))
                if number.is_number:
                    reference.setStoichiometry(float(number))
                else:
                    _write_rule_of(reference, f"count_of_{species}_in_{reaction.name}", number, model, ast)
        used = {s for s, _ in (*reactants, *products)}
        named = {str(s) for s in reaction.rate.free_symbols} & set(network.species)
        for species in sorted((named | set(reaction.modifiers)) - used):
            element.createModifier().setSpecies(species)
        element.createKineticLaw().setMath(ast(reaction.rate))


def _write_rule_of(
    reference: libsbml.SpeciesReference, name: str, number: sympy.Expr, model: libsbml.Model, ast: _Writer
) -> None:
    """A stoichiometry that is a formula: an assignment rule of the reference's name."""
    while model.getElementBySId(name) is not None:
        name += "_"
    reference.setId(name)
    rule = model.createAssignmentRule()
    rule.setVariable(name)
    rule.setMath(ast(number))


def _write_constraints(model: libsbml.Model, network: Network, ast: _Writer) -> None:
    for constraint in network.constraints:
        element = model.createConstraint()
        element.setMath(ast(as_boolean(constraint.condition)))  # pyright: ignore[reportArgumentType]
        if constraint.message:
            text = escape(constraint.message)
            element.setMessage(f'<message><p xmlns="http://www.w3.org/1999/xhtml">{text}</p></message>')
