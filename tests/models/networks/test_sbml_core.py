"""Corners of SBML's core against closed forms: stoichiometries, moving volumes, conversion factors, rateOf, parts."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import jax
import jax.numpy as jnp
import libsbml
import numpy as np
import pytest

from helpers import CASES, ENGINES, SOLVERS, slowly, tight
from hexamer import Diffrax, Fused
from hexamer.models import (
    Model,
    Protocol,
    UnsupportedModelError,
    compile_network,
    load_network,
    parse_infix,
    read_antimony,
    read_sbml,
    simulate,
    write_sbml,
)
from hexamer.models.networks.formulas import bind_time
from hexamer.models.networks.markdown import describe

pytestmark = pytest.mark.tier("test")

MENDED = (
    "conversion-factor",
    "rateOf",
    "stoichiometry-named",
    "name-of-a-stoichiometry-in-a-formula",
    "no-kinetic-law",
    "volume-grows",
    "volume-by-rule-of-moving-parameter",
    "xor-implies-rem-quotient-arc",
    "comp",
)


def expected(case: str) -> tuple[list[float], dict[str, list[float]]]:
    """Output times and right values by name."""
    right = json.loads((CASES / case / "expected.json").read_text())
    return right["times"], {n: values for n, values in right.items() if n not in ("what", "times")}


def check(model: Model, case: str, engine: str) -> None:
    times, right = expected(case)
    courses = simulate(model, {}, Protocol(), times, observe=tuple(right), settings=tight(SOLVERS[engine]))
    assert int(courses.status[0]) == 0
    for name, values in right.items():
        np.testing.assert_allclose(courses.observed[name][0], values, rtol=1e-8, atol=1e-8, err_msg=name)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("case", MENDED)
def test_mended_cases(case: str, engine: str) -> None:
    check(compile_network(load_network(CASES / case / "model.xml")), case, engine)


@pytest.mark.parametrize("case", [c for c in MENDED if c != "comp"])
def test_mended_cases_written_and_read_again(case: str) -> None:
    network = load_network(CASES / case / "model.xml")
    check(compile_network(read_sbml(write_sbml(network))), case, "fused")
    assert describe(network)


@pytest.mark.parametrize("case", ["stoichiometry-named", "volume-grows", "volume-by-rule-of-moving-parameter"])
def test_mended_cases_from_antimony(case: str) -> None:
    check(compile_network(read_antimony(CASES / case / "model.ant")), case, "fused")


def test_an_algebraic_rule_is_refused_with_the_way_out() -> None:
    with pytest.raises(UnsupportedModelError, match="rule 1 is algebraic: solve it for the name that it determines"):
        load_network(CASES / "algebraic-rule" / "model.xml")


def test_a_missing_kinetic_law_is_told(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        load_network(CASES / "no-kinetic-law" / "model.xml")
    assert "reaction K has no kinetic law: its rate is taken to be 0" in caplog.text


def test_parts_in_other_files(tmp_path: Path) -> None:
    """A part lies in a file beside the model; without that file the message names it."""
    core, comp = (f"http://www.sbml.org/sbml/level3/version1/{what}/version1" for what in ("core", "comp"))
    core = core.removesuffix("/version1")
    (tmp_path / "whole.xml").write_text(
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f'<sbml xmlns="{core}" xmlns:comp="{comp}" comp:required="true" level="3" version="1"><model id="whole">'
        '<comp:listOfSubmodels><comp:submodel comp:id="A" comp:modelRef="part"/></comp:listOfSubmodels></model>'
        "<comp:listOfExternalModelDefinitions>"
        '<comp:externalModelDefinition comp:id="part" comp:source="part.xml"/>'
        "</comp:listOfExternalModelDefinitions></sbml>"
    )
    with pytest.raises(UnsupportedModelError, match=r"has parts .*: put the file part.xml into the folder"):
        load_network(tmp_path / "whole.xml")
    text = "model part\n species S = 10; k = 0.5; J: S -> ; k*S;\nend\n"
    (tmp_path / "part.xml").write_text(write_sbml(read_antimony(text)))
    assert set(load_network(tmp_path / "whole.xml").species) == {"A__S"}


def test_faults_of_drawings_do_not_matter() -> None:
    """libsbml finds a fault in the layout, and none without it."""
    text = decay(lambda _: None)
    layout = "http://www.sbml.org/sbml/level3/version1/layout/version1"
    head, _, rest = text.partition("<model")
    head = head.replace("<sbml ", f'<sbml xmlns:layout="{layout}" layout:required="false" ')
    drawing = (
        f'<layout:listOfLayouts xmlns:layout="{layout}"><layout:layout layout:nonsense="1"/></layout:listOfLayouts>'
    )
    drawn = head + "<model" + rest.replace("</model>", f"{drawing}</model>")
    assert libsbml.readSBMLFromString(drawn).getNumErrors(libsbml.LIBSBML_SEV_ERROR)
    assert read_sbml(drawn) == read_sbml(text)


# ------------------------------------------------------------------------------------------- volumes that move

GROWING = """
model growing
  compartment V = 2; r = 0.1; {volume}
  species S in V = 5, $F in V = 3; substanceOnly species A in V = 3;
  k = 0.05; n = 2;
  J: S -> n A; k*S*V; K: A -> ; k*A; L: F -> S; 0.01*F*V;
  total := S*V + A/2; slope := F;
end
"""
RULED = ("V' = r*V;", "V := 2*exp(r*time);")


@pytest.mark.parametrize("volume", RULED)
def test_a_held_species_keeps_its_amount(volume: str) -> None:
    """F is held, so that its amount is 3·2 at all times, though reactions use it."""
    model = compile_network(read_antimony(GROWING.format(volume=volume)))
    courses = simulate(model, {}, Protocol(), [0.0, 10.0], observe=("F*V", "V"), settings=tight(Fused()))
    np.testing.assert_allclose(courses.observed["F*V"][0], [6.0, 6.0], rtol=1e-8)
    np.testing.assert_allclose(courses.observed["V"][0], [2.0, 2 * math.e], rtol=1e-8)


@pytest.mark.parametrize("volume", RULED)
def test_no_sum_of_amounts_is_taken_for_conserved_in_a_volume_that_moves(volume: str) -> None:
    closed = (
        "model m\n compartment V = 2; r = 0.1; {} species S in V = 5, P in V = 0; k = 0.3; J: S -> P; k*S*V;\nend\n"
    )
    model = compile_network(read_antimony(closed.format(volume)))
    courses = simulate(model, {}, Protocol(), [0.0, 10.0], observe=("(S + P)*V",), settings=tight(Fused()))
    np.testing.assert_allclose(courses.observed["(S + P)*V"][0], 10.0, rtol=1e-8)


@pytest.mark.parametrize("solver", [Fused(), *slowly(Diffrax())])
@pytest.mark.parametrize("volume", RULED)
def test_gradient_by_the_growth_of_a_volume(volume: str, solver: Fused | Diffrax) -> None:
    """S(t) = 5 exp(-(k + r) t), with the derivative -t S by k and by r."""
    text = f"model m\n compartment V = 2; r = 0.1; {volume} species S in V = 5; k = 0.05; J: S -> ; k*S*V;\nend\n"
    model = compile_network(read_antimony(text))

    def last(k: jax.Array, r: jax.Array) -> jax.Array:
        courses = simulate(model, {"k": k, "r": r}, Protocol(), [8.0], settings=tight(solver))
        return courses.y[0, 0, model.index("S")]

    value, slopes = jax.value_and_grad(last, argnums=(0, 1))(jnp.asarray(0.05), jnp.asarray(0.1))
    np.testing.assert_allclose(value, 5 * math.exp(-1.2), rtol=1e-7)
    np.testing.assert_allclose(slopes, [-8.0 * 5 * math.exp(-1.2)] * 2, rtol=1e-6)


def test_a_protocol_cannot_move_a_volume_that_moves_itself() -> None:
    model = compile_network(read_antimony(GROWING.format(volume="V := 2*exp(r*time);")))
    with pytest.raises(ValueError, match="changes r, which the volume of compartment V follows; it changes in time"):
        simulate(model, {}, Protocol().set(at=5.0, r=0.2), [0.0, 10.0])


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ("piecewise(1, time < 5, 2)", "the volume of compartment V may jump"),
        ("1 + S", "the volume of compartment V follows from a concentration that it dilutes itself"),
    ],
)
def test_volumes_whose_growth_is_not_known_are_refused(rule: str, said: str) -> None:
    text = "model m\n compartment V; V := 2*exp(time); species S in V = 5; k = 0.05; J: S -> ; k*S*V;\nend\n"
    network = replace(read_antimony(text), rules={"V": bind_time(parse_infix(rule), ())})
    with pytest.raises(ValueError, match=said):
        compile_network(network)


# ------------------------------------------------------------------------------------------- formulas


def decay(change: Callable[[libsbml.Model], object], level: int = 3) -> str:
    """SBML text of A → ∅ with rate k·A in a compartment of 2, changed by `change`."""
    text = "model decay\n compartment c = 2; species A in c = 3; k = 0.5; y = 0; J0: A -> ; c*k*A;\nend\n"
    document = libsbml.readSBMLFromString(write_sbml(read_antimony(text)))
    document.setLevelAndVersion(level, 2 if level == 3 else 5, False)
    change(document.getModel())
    return libsbml.writeSBMLToString(document)


def rule(formula: str) -> Callable[[libsbml.Model], object]:
    """y := formula."""

    def change(model: libsbml.Model) -> None:
        model.removeInitialAssignment("y")
        model.getParameter("y").setConstant(False)
        made = model.createAssignmentRule()
        made.setVariable("y")
        made.setMath(libsbml.parseL3Formula(formula))

    return change


FORMULAS = {
    "rem(-7, 3)": -1.0,
    "quotient(-7, 3)": -2.0,
    "rem(k*(-14), 3)": -1.0,
    "quotient(k*(-14), 3)": -2.0,
    "factorial(5)": 120.0,
    "factorial(8*k)": 24.0,
    "implies(k > 1, k > 2)": 1.0,
    "xor(true, k > 1, true)": 0.0,
    "arcsin(k)": math.asin(0.5),
    "arccosh(4*k)": math.acosh(2.0),
    "arctanh(k)": math.atanh(0.5),
    "arcsech(k)": math.acosh(2.0),
    "arccot(k)": math.atan(2.0),
    "coth(k)": 1 / math.tanh(0.5),
    "max(k, 1, 2*k)": 1.0,
    "floor(-k) + ceil(k)": 0.0,
    "(k < 1) + 2": 3.0,
    "avogadro": 6.02214179e23,
    "rateOf(A)": -1.5,
    "rateOf(k)": 0.0,
    "2*rateOf(c)": 0.0,
}


@pytest.mark.parametrize("formula", FORMULAS)
def test_functions_of_mathml(formula: str) -> None:
    model = compile_network(read_sbml(decay(rule(formula))))
    courses = simulate(model, {}, Protocol(), [0.0], observe=("y",))
    np.testing.assert_allclose(courses.observed["y"][0, 0], FORMULAS[formula], rtol=1e-9)


def test_rates_that_follow_from_themselves_are_refused() -> None:
    def change(model: libsbml.Model) -> None:
        made = model.createRateRule()
        model.getParameter("y").setConstant(False)
        made.setVariable("y")
        made.setMath(libsbml.parseL3Formula("1 + rateOf(y)"))

    with pytest.raises(UnsupportedModelError, match=r"rateOf\(y\) follows from itself"):
        read_sbml(decay(change))


def test_rules_and_start_values_without_a_formula_give_nothing() -> None:
    def change(model: libsbml.Model) -> None:
        model.getParameter("y").setConstant(False)
        model.createAssignmentRule().setVariable("y")
        model.createInitialAssignment().setSymbol("k")

    model = compile_network(read_sbml(decay(change)))
    assert dict(zip(model.parameters, model.defaults, strict=True)) == {"c": 2.0, "k": 0.5, "y": 0.0}


def test_stoichiometry_by_a_formula_of_level_2() -> None:
    """A' = (k - 1)·k·A with a stoichiometry of k on the right."""

    def change(model: libsbml.Model) -> None:
        made = model.getReaction("J0").createProduct()
        made.setSpecies("A")
        made.createStoichiometryMath().setMath(libsbml.parseL3Formula("k"))

    model = compile_network(read_sbml(decay(change, level=2)))
    courses = simulate(model, {}, Protocol(), [2.0], settings=tight(Fused()))
    np.testing.assert_allclose(courses.y[0, 0, model.index("A")], 3 * math.exp(-0.5), rtol=1e-8)


def test_a_stoichiometry_that_moves() -> None:
    """X' = n·k with n' = 1 and n(0) = 2: X = 2 k t + k t²/2."""
    text = "model m\n species X = 0; n = 2; n' = 1; k = 0.5; J: -> n X; k;\nend\n"
    model = compile_network(read_antimony(text))
    courses = simulate(model, {}, Protocol(), [3.0], settings=tight(Fused()))
    np.testing.assert_allclose(courses.y[0, 0, model.index("X")], 3.0 + 2.25, rtol=1e-8)


def test_what_initial_assignments_and_reactions_give_can_be_observed() -> None:
    text = "model m\n compartment c; c = 2*h; h = 1.5; species A in c = 3; k = 0.5; J0: A -> ; c*k*A;\nend\n"
    model = compile_network(read_antimony(text))
    courses = simulate(model, {}, Protocol(), [0.0], observe=("A*c", "J0"))
    np.testing.assert_allclose([courses.observed["A*c"][0, 0], courses.observed["J0"][0, 0]], [9.0, 4.5])


# ------------------------------------------------------------------------------------------- constraints


def test_constraints_are_checked_along_the_course(caplog: pytest.LogCaptureFixture) -> None:
    """A = 3 exp(-k t) falls below 1 at t = ln 3 / k: at 2.2 for k = 0.5, after the end for k = 0.1."""

    def change(model: libsbml.Model) -> None:
        for formula, message in (("A > 1", "too little &lt;A&gt;"), ("A >= 0", "")):
            made = model.createConstraint()
            made.setMath(libsbml.parseL3Formula(formula))
            if message:
                made.setMessage(f'<message><p xmlns="http://www.w3.org/1999/xhtml">{message}</p></message>')

    network = read_sbml(decay(change))
    assert read_sbml(write_sbml(network)).constraints == network.constraints
    model = compile_network(network)
    times = [0.0, 1.0, 2.0, 3.0, 4.0]
    with caplog.at_level(logging.WARNING):
        courses = simulate(model, {"k": np.array([0.5, 0.1])}, Protocol(), times)
    np.testing.assert_array_equal(courses.constraints["constraint 1"], [[3.0], [np.nan]])
    np.testing.assert_array_equal(courses.constraints["constraint 2"], [[np.nan], [np.nan]])
    assert "decay: constraint 1, (A > 1), does not hold at t = 3: too little <A>" in caplog.text
    assert "constraint 2" not in caplog.text
    traced = jax.jit(lambda k: simulate(model, {"k": k}, Protocol(), times).constraints["constraint 1"])
    np.testing.assert_array_equal(traced(0.5), [3.0])


WITHOUT_NUMBERS = """<?xml version="1.0" encoding="UTF-8"?>
<sbml xmlns="http://www.sbml.org/sbml/level3/version2/core" level="3" version="2">
  <model id="as_pysb_writes">
    <listOfCompartments><compartment id="c" spatialDimensions="3" size="1" constant="true"/></listOfCompartments>
    <listOfSpecies>
      <species id="__s0" compartment="c" initialAmount="8" hasOnlySubstanceUnits="true"
               boundaryCondition="false" constant="false"/>
      <species id="__s1" compartment="c" initialAmount="0" hasOnlySubstanceUnits="true"
               boundaryCondition="false" constant="false"/>
    </listOfSpecies>
    <listOfParameters><parameter id="k" value="0.5" constant="true"/></listOfParameters>
    <listOfReactions>
      <reaction id="r0" reversible="false">
        <listOfReactants><speciesReference species="__s0" constant="true"/></listOfReactants>
        <listOfProducts><speciesReference species="__s1" constant="true"/></listOfProducts>
        <kineticLaw><math xmlns="http://www.w3.org/1998/Math/MathML">
          <apply><times/><ci>k</ci><ci>__s0</ci></apply></math></kineticLaw>
      </reaction>
    </listOfReactions>
  </model>
</sbml>"""


def test_a_stoichiometry_without_a_number_is_one(caplog: pytest.LogCaptureFixture) -> None:
    """PySB writes none."""
    with caplog.at_level("WARNING"):
        network = read_sbml(WITHOUT_NUMBERS)
    assert "reaction r0: the stoichiometry of __s0, and 1 more, has no number: it is taken to be 1" in caplog.text
    found = simulate(compile_network(network), {}, Protocol(), [2.0], observe=("__s0", "__s1"))
    assert found.observed["__s0"][0, 0] == pytest.approx(8 * math.exp(-1), rel=1e-5)
    assert found.observed["__s1"][0, 0] == pytest.approx(8 - 8 * math.exp(-1), rel=1e-5)


def test_a_named_stoichiometry_without_a_number_is_refused() -> None:
    named = WITHOUT_NUMBERS.replace('<speciesReference species="__s1"', '<speciesReference id="n" species="__s1"')
    with pytest.raises(UnsupportedModelError, match="reaction r0: the stoichiometry of __s1 has no value"):
        read_sbml(named)
