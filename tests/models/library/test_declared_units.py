"""Units of the bundled modules, by libsbml's strict check of every rate, rule and assignment."""

from __future__ import annotations

from importlib.resources import files

import libsbml
import pytest

from hexamer.models import load_network, write_sbml
from hexamer.models.library import MODULES, bundled, drugs
from hexamer.models.library.builder import network
from hexamer.models.networks.antimony_read import antimony_to_sbml

pytestmark = pytest.mark.tier("check")

MODULE = files("hexamer.models.library") / "modules"


def dimensionless(node: libsbml.ASTNode) -> None:
    """Bare numbers are numbers: else libsbml checks nothing of a formula that holds one."""
    if node.isNumber() and not node.isSetUnits():
        node.setUnits("dimensionless")
    for i in range(node.getNumChildren()):
        dimensionless(node.getChild(i))


def complaints(sbml: str) -> list[str]:
    """What libsbml finds inconsistent, or cannot decide."""
    document = libsbml.readSBMLFromString(sbml)
    model = document.getModel()
    for element in (
        *(r.getKineticLaw() for r in model.getListOfReactions()),
        *model.getListOfRules(),
        *model.getListOfInitialAssignments(),
    ):
        node = element.getMath().deepCopy()
        dimensionless(node)
        element.setMath(node)
    for category in (
        libsbml.LIBSBML_CAT_MODELING_PRACTICE,
        libsbml.LIBSBML_CAT_GENERAL_CONSISTENCY,
        libsbml.LIBSBML_CAT_IDENTIFIER_CONSISTENCY,
        libsbml.LIBSBML_CAT_MATHML_CONSISTENCY,
        libsbml.LIBSBML_CAT_SBO_CONSISTENCY,
        libsbml.LIBSBML_CAT_OVERDETERMINED_MODEL,
    ):
        document.setConsistencyChecks(category, False)
    document.setConsistencyChecks(libsbml.LIBSBML_CAT_UNITS_CONSISTENCY, True)
    document.checkConsistency()
    return [" ".join(document.getError(i).getMessage().split()) for i in range(document.getNumErrors())]


@pytest.mark.parametrize("name", MODULES)
def test_modules(name: str) -> None:
    assert complaints(antimony_to_sbml((MODULE / f"{name}.ant").read_text())) == []


@pytest.mark.tier("test")
@pytest.mark.parametrize("name", [*bundled(), "cytokine_release+tocilizumab"])
def test_exported_networks(name: str) -> None:
    assert complaints(write_sbml(load_network(name))) == []


@pytest.mark.tier("slow")
@pytest.mark.parametrize("drug", drugs())
def test_drugs(drug: str) -> None:
    assert complaints(write_sbml(network("il6_full", drugs=drug))) == []


@pytest.mark.parametrize(
    ("module", "right", "wrong"),
    [
        ("classic", "cytosol*kon1*(IL6*IL6R - Kd1*IL6_IL6R)", "kon1*(IL6*IL6R - Kd1*IL6_IL6R)"),  # no volume
        ("classic", "cytosol*kon1*(IL6*IL6R - Kd1*IL6_IL6R)", "cytosol*kon1*(IL6*IL6R - IL6_IL6R)"),  # no Kd
        ("stat3", "(npSTAT3_2/K_SOCS3)^n_SOCS3", "npSTAT3_2^n_SOCS3"),
        ("stat3", "k_imp = 0.405 per_min", "k_imp = 0.405 nM"),
    ],
)
def test_a_wrong_unit_is_found(module: str, right: str, wrong: str) -> None:
    text = (MODULE / f"{module}.ant").read_text()
    assert right in text
    assert complaints(antimony_to_sbml(text.replace(right, wrong, 1)))
