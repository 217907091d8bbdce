"""SBML: what is refused, what is read, and that what is written means the same elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import jax.numpy as jnp
import libsbml
import numpy as np
import pytest

from hexamer.models import (
    FormulaError,
    Model,
    Network,
    Quantity,
    UnsupportedModelError,
    compile_network,
    load_model,
    load_network,
    parse_infix,
    read_antimony,
    read_sbml,
    write_sbml,
)

pytestmark = pytest.mark.tier("check")


def decay(change: Callable[[libsbml.SBMLDocument, libsbml.Model], object] | None = None) -> str:
    """SBML text of A → ∅ with rate k·A in a compartment of 2, changed by `change`."""
    document = libsbml.readSBMLFromString(
        write_sbml(
            read_antimony("model decay\n compartment c = 2; species A in c = 3; k = 0.5; J0: A -> ; c*k*A;\nend\n")
        )
    )
    if change is not None:
        change(document, document.getModel())
    return libsbml.writeSBMLToString(document)


def math(text: str) -> libsbml.ASTNode:
    return libsbml.parseL3Formula(text)


def algebraic(_, model: libsbml.Model) -> None:
    model.createAlgebraicRule().setMath(math("k - 0.5"))


def event(_, model: libsbml.Model) -> None:
    made = model.createEvent()
    made.setId("dose")
    made.setUseValuesFromTriggerTime(True)
    trigger = made.createTrigger()
    trigger.setMath(math("time > 3"))
    trigger.setInitialValue(True)
    trigger.setPersistent(True)
    assignment = made.createEventAssignment()
    assignment.setVariable(model.getCompartment(0).getId())
    assignment.setMath(math("0"))


def rate_of(text: str) -> Callable:
    def change(_, model: libsbml.Model) -> None:
        model.getReaction("J0").getKineticLaw().setMath(math(text))

    return change


def fast(_, model: libsbml.Model) -> None:
    model.getReaction("J0").setFast(True)


def fbc(document: libsbml.SBMLDocument, _) -> None:
    document.enablePackage("http://www.sbml.org/sbml/level3/version1/fbc/version1", "fbc", True)
    document.setPackageRequired("fbc", False)


REFUSED = {
    "rule 1 is algebraic: solve it for": algebraic,
    "event dose sets the volume of compartment .* to 0; expected": event,
    "reaction J0: the function 'delay' is not supported; write the delay as a chain": rate_of("k*delay(A, 2)"),
    "reaction J0 is fast: write it": fast,
    "requires the SBML package 'fbc': export the model without it": fbc,
}


@pytest.mark.parametrize("said", REFUSED)
def test_refuses_by_name(said: str) -> None:
    with pytest.raises(UnsupportedModelError, match=said):
        read_sbml(decay(REFUSED[said]))


def test_names_all_refusals_at_once() -> None:
    def change(document, model: libsbml.Model) -> None:
        for one in (algebraic, event, fast):
            one(document, model)

    with pytest.raises(UnsupportedModelError) as raised:
        read_sbml(decay(change))
    for said in ("algebraic", "event dose sets the volume", "J0 is fast"):
        assert said in str(raised.value)


def test_text_that_is_no_sbml(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedModelError, match="the SBML text cannot be read as SBML:\n  line"):
        read_sbml("<sbml><model></sbml>")
    file = tmp_path / "torn.xml"
    file.write_text(decay()[:300])
    with pytest.raises(UnsupportedModelError, match=r"torn\.xml cannot be read as SBML"):
        read_sbml(file)


def test_files_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no SBML file .*absent\.xml"):
        read_sbml(tmp_path / "absent.xml")
    with pytest.raises(FileNotFoundError, match=r"no network file .*absent\.xml"):
        load_network(tmp_path / "absent.xml")
    with pytest.raises(ValueError, match=r"unknown network 'il6_stat33'.*il6_stat3.*hepg2_core"):
        load_network("il6_stat33")


# ------------------------------------------------------------------------------------------- reading

RICH = """
function shadow(k, A)
  k*A + 1
end
model rich
  compartment c = 2;
  species A in c = 3, B in c, $F in c;
  substanceOnly species N in c;
  k = 0.5;
  early := 3*k;
  twice = 2*later;
  later = k + A;
  B = twice;
  F = 2*k;
  N = 5;
  J0: A -> 2 B; c*shadow(B, A)*k + F;
  J1: N -> ; k*N;
  w = 4;
  w' = -k*w + 0*early;
end
"""


@pytest.fixture(scope="module")
def rich() -> Model:
    return compile_network(read_antimony(RICH))


def test_function_arguments_shadow_globals(rich: Model) -> None:
    """shadow(B, A) is B·A + 1, though k and A are names of the model too."""
    y = dict(zip(rich.species, [1.5, 2.5, 10.0, 4.0], strict=True))
    assert rich.species == ("A", "B", "N", "w")
    rate = (2 * (y["B"] * y["A"] + 1) * 0.5 + 2 * 0.5) / 2  # amount rate over the volume
    found = rich.rhs(jnp.array(list(y.values())), jnp.asarray(rich.defaults))
    np.testing.assert_allclose(found, [-rate, 2 * rate, -0.5 * 10.0, -0.5 * 4.0])


def test_initial_assignments_in_any_order(rich: Model) -> None:
    """later = k + A(0) = 3.5, twice = 7, B(0) = 7; all follow the parameter k."""
    p = jnp.asarray(rich.defaults)
    np.testing.assert_allclose(rich.initial(p), [3.0, 7.0, 5.0, 4.0])
    changed = p.at[rich.parameters.index("k")].set(1.5)
    np.testing.assert_allclose(rich.initial(changed), [3.0, 9.0, 5.0, 4.0])
    assert not {"later", "twice", "F", "early"} & set(rich.parameters)


def test_initial_assignment_takes_the_start_of_a_species() -> None:
    """Regression: k = A(0) stayed A(t) in the rates."""
    text = "model m\n compartment c = 1; species A in c = 3; k = 2*A; J0: A -> ; c*k*A;\nend\n"
    model = compile_network(read_antimony(text))
    found = model.rhs(jnp.array([1.0]), jnp.asarray(model.defaults))
    np.testing.assert_allclose(found, [-6.0])


def test_independent_names_become_parameters() -> None:
    model = compile_network(read_antimony(RICH), independent=["later", "F"])
    values = dict(zip(model.parameters, model.defaults, strict=True))
    assert "later" in values
    assert "F" in values
    p = jnp.asarray([{"later": 10.0, "F": 0.0}.get(n, v) for n, v in values.items()])
    assert model.initial(p)[model.index("B")] == 20


def test_local_parameters() -> None:
    """A local k shadows the global one; each becomes a parameter of its own."""

    def change(_, model: libsbml.Model) -> None:
        local = model.getReaction("J0").getKineticLaw().createLocalParameter()
        local.setId("k")
        local.setValue(7.0)

    model = compile_network(read_sbml(decay(change)))
    values = dict(zip(model.parameters, model.defaults, strict=True))
    assert values == {"c": 2.0, "k": 0.5, "J0_k": 7.0}
    np.testing.assert_allclose(model.rhs(jnp.array([3.0]), jnp.asarray(model.defaults)), [-21.0])


def test_circular_rules_are_refused() -> None:
    rules = {"a": parse_infix("2*b"), "b": parse_infix("a + 1")}
    network = Network("m", {}, {}, {"x": Quantity(1.0)}, rules=rules, rates={"x": parse_infix("a*x")})
    with pytest.raises(FormulaError, match="rules run in a circle: a → b → a"):
        compile_network(network)


@pytest.mark.tier("slow")
@pytest.mark.parametrize(
    ("path", "species", "parameters", "moieties"),
    [
        ("petab/Bachmann_MSB2011/model_Bachmann_MSB2011.xml", 25, 39, 3),
        ("petab/Boehm_JProteomeRes2014/model_Boehm_JProteomeRes2014.xml", 9, 10, 2),  # one state is time
        ("petab/Raia_CancerResearch2011/model_Raia_CancerResearch2011.xml", 14, 21, 4),
        ("petab_test_suite/0001/_model.xml", 2, 5, 1),
        ("sbml/BIOMD0000000151.xml", 66, 109, 14),
    ],
)
def test_reads_published_models(shared_data: Path, path: str, species: int, parameters: int, moieties: int) -> None:
    model = load_model(shared_data / path)
    assert (len(model.species), len(model.parameters), len(model.moieties)) == (species, parameters, moieties)
    p = jnp.asarray(model.defaults)
    assert np.all(np.isfinite(model.rhs(model.initial(p), p)))


def test_reads_the_events_of_a_published_model(shared_data: Path) -> None:
    """Doses of an antibody, all of them to one species."""
    events = read_sbml(shared_data / "sbml/BIOMD0000000537.xml").events
    assert [e.name for e in events] == ["Week0", "Week4_0", "Week8", "event_1", "event_2", "event_3"]
    assert len({tuple(e.assignments) for e in events}) == 1
    assert {e.delay for e in events} == {0}


# ------------------------------------------------------------------------------------------- writing


def there_and_back(network: Network) -> tuple[Model, Model]:
    return compile_network(network), compile_network(read_sbml(write_sbml(network)))


@pytest.mark.tier("slow")
@pytest.mark.parametrize("name", ["il6_stat3", "hepg2_core", "rich"])
def test_written_network_is_the_same(name: str) -> None:
    network = read_antimony(RICH) if name == "rich" else load_network(name)
    before, after = there_and_back(network)
    assert after.species == before.species
    assert set(after.parameters) == set(before.parameters)
    rng = np.random.default_rng(7)
    order = [after.parameters.index(n) for n in before.parameters]
    for _ in range(3):
        p = before.defaults * rng.lognormal(0, 0.3, before.defaults.size)
        y = jnp.asarray(rng.lognormal(0, 2, len(before.species)))
        q = np.empty_like(p)
        q[order] = p
        np.testing.assert_allclose(after.rhs(y, jnp.asarray(q)), before.rhs(y, jnp.asarray(p)), rtol=1e-12)
        np.testing.assert_allclose(after.initial(jnp.asarray(q)), before.initial(jnp.asarray(p)), rtol=1e-14)


@pytest.mark.parametrize("name", ["il6_stat3", "hepg2_core", "rich"])
def test_written_network_is_valid(name: str) -> None:
    network = read_antimony(RICH) if name == "rich" else load_network(name)
    document = libsbml.readSBMLFromString(write_sbml(network))
    document.setConsistencyChecks(libsbml.LIBSBML_CAT_UNITS_CONSISTENCY, name != "rich")
    document.checkConsistency()
    found = [document.getError(i) for i in range(document.getNumErrors())]
    # libsbml takes no unit for granted, not even that of a literal number.
    said = [e.getMessage() for e in found if e.getErrorId() != libsbml.UndeclaredUnits]
    assert not said, "\n".join(said)
