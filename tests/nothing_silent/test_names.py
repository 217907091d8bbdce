"""Any name that SBML, Antimony or Python allows works in a model and in formulas over it, or is refused by name."""

from __future__ import annotations

import csv
import json
import math
import random
from pathlib import Path

import jax.numpy as jnp
import libsbml
import numpy as np
import pytest
import sympy

from helpers import BOTH_ENGINES, ENGINES, SOLVERS
from hexamer import Fused, load_problem
from hexamer.data import parse_formula
from hexamer.models import (
    Network,
    Protocol,
    Quantity,
    compile_function,
    compile_network,
    load_model,
    read_sbml,
    simulate,
    write_sbml,
)
from hexamer.models.networks.formulas import TIME
from hexamer.models.protocols.text import parse_protocol
from hexamer.models.solvers.settings import Settings

pytestmark = pytest.mark.tier("test")

CASES = Path(__file__).parents[1] / "cases"

_WORDS = (
    # C, C++ and CUDA
    "auto break case char const continue default do double else enum extern float for goto if inline int long "
    "register restrict return short signed sizeof static struct switch typedef union unsigned void volatile while "
    "class template this new delete operator namespace try catch bool half warp threadIdx blockIdx blockDim warpSize "
    "__global__ __device__ __shared__ __restrict__ NAN INFINITY M_PI EOF NULL assert main printf real mask lane "
    # Python, JAX and sympy
    "def lambda None True False and or not is in import from global pass yield self at np jnp jax E I S N O Q C ZZ "
    "beta zeta gamma Gamma oo zoo Symbol Add Mul Pow Piecewise re im sign "
    # of what is generated
    "LANES SPECIES PARAMETERS STATIC INLINE Power Slope Size Floor guarded_power x_0 x0 _cse0 _mean _sd t0 q y p f "
    "h w k u v x e dt plan dense steps status protocol value rows "
    # SBML, Antimony and formulas
    "time t pi exponentiale avogadro true false inf nan infinity notanumber Time TIME Pi PI exp log ln sin cos min max "
    "abs sqrt floor ceil piecewise pow power root plus times delay model species compartment reaction parameter event "
    "end function after has var module unit substance volume area length second mole litre item dimensionless "
    # Greek, as ASCII
    "alpha delta epsilon eta theta iota kappa mu nu xi omicron rho sigma tau upsilon phi chi psi omega"
)
WORDS = _WORDS.split()
SPECIES, RATES, SIZES, RULES = 10, 7, 10, 2  # and one that grows by a rate rule: 30 in all
MODELS, TURNS = 10, 3


def names_of(number: int, turn: int = 0) -> list[str]:
    """Thirty of the words: all of them in ten models, and `time` and `pi` in each; a turn gives each another part."""
    words: list[str] = sorted(set(WORDS) - {"time", "pi"})
    random.Random(1).shuffle(words)
    chosen = [words[(28 * number + i) % len(words)] for i in range(28)]
    chosen.insert((3, 14, 24, 27)[number % 4], "time")
    chosen.insert((20, 5, 1, 26)[number % 4], "pi")
    return chosen[10 * turn :] + chosen[: 10 * turn]


def test_each_word_has_each_part() -> None:
    """As species, parameter and compartment, and as argument of a function."""
    parts: dict[str, set[str]] = {n: set() for n in WORDS}
    for number in range(MODELS):
        for turn in range(TURNS):
            names = names_of(number, turn)
            assert len(set(names)) == 30
            for i, name in enumerate(names):
                parts[name].add("species" if i < SPECIES else "compartment" if 17 <= i < 27 else "parameter")
            for i in range(SPECIES):
                for name in arguments_of(names, i):
                    parts[name].add("argument")
    assert {n: p for n, p in parts.items() if len(p) < 4} == {}


def build(names: list[str]) -> str:
    """SBML: S' = −k S, each in a compartment of its own, by functions whose arguments are called as other things.

    Beside them two rules, S₀ + t and k₀·π, and a parameter that grows by a rate rule, r' = k₁ + t.
    """
    species, rates, sizes = names[:SPECIES], names[SPECIES : SPECIES + RATES], names[17:27]
    rules, grows = names[27:29], names[29]
    document = libsbml.SBMLDocument(3, 1)
    model = document.createModel()
    model.setId("awkward")
    for i, name in enumerate(sizes):
        c = model.createCompartment()
        c.setId(name), c.setSize(0.5 + i), c.setSpatialDimensions(3), c.setConstant(True)
    for i, name in enumerate(species):
        s = model.createSpecies()
        s.setId(name), s.setCompartment(sizes[i % SIZES]), s.setInitialConcentration(1.0 + i)
        s.setHasOnlySubstanceUnits(False), s.setBoundaryCondition(False), s.setConstant(False)
    for i, name in enumerate(rates):
        p = model.createParameter()
        p.setId(name), p.setValue(0.1 + 0.05 * i), p.setConstant(True)
    for name in (*rules, grows):
        p = model.createParameter()
        p.setId(name), p.setConstant(False)
    model.getParameter(grows).setValue(1.0)
    for i, name in enumerate(species):
        f = model.createFunctionDefinition()
        f.setId(f"law_{i}")
        a, b, c = arguments_of(names, i)
        f.setMath(
            _math(
                f"<lambda>{''.join(f'<bvar><ci>{n}</ci></bvar>' for n in (a, b, c))}{_apply('times', a, b, c)}</lambda>"
            )
        )
        r = model.createReaction()
        r.setId(f"reaction_{i}"), r.setReversible(False), r.setFast(False)
        reactant = r.createReactant()
        reactant.setSpecies(name), reactant.setStoichiometry(1), reactant.setConstant(True)
        call = f"<apply><ci>law_{i}</ci><ci>{sizes[i % SIZES]}</ci><ci>{rates[i % RATES]}</ci><ci>{name}</ci></apply>"
        r.createKineticLaw().setMath(_math(call))
    clock = '<csymbol encoding="text" definitionURL="http://www.sbml.org/sbml/symbols/time">clock</csymbol>'
    for name, formula in zip(
        rules,
        (f"<apply><plus/><ci>{species[0]}</ci>{clock}</apply>", f"<apply><times/><ci>{rates[0]}</ci><pi/></apply>"),
        strict=True,
    ):
        rule = model.createAssignmentRule()
        rule.setVariable(name), rule.setMath(_math(formula))
    rate = model.createRateRule()
    rate.setVariable(grows), rate.setMath(_math(f"<apply><plus/><ci>{rates[1]}</ci>{clock}</apply>"))
    return libsbml.writeSBMLToString(document)


def arguments_of(names: list[str], function: int) -> tuple[str, str, str]:
    return tuple(names[(function + offset) % 30] for offset in (7, 13, 23))  # pyright: ignore[reportReturnType]


def _apply(operation: str, *names: str) -> str:
    return f"<apply><{operation}/>{''.join(f'<ci>{n}</ci>' for n in names)}</apply>"


def _math(content: str) -> libsbml.ASTNode:
    text = f'<?xml version="1.0" encoding="UTF-8"?><math xmlns="http://www.w3.org/1998/Math/MathML">{content}</math>'
    node = libsbml.readMathMLFromString(text)
    assert node is not None, content
    return node


def solution(names: list[str], t: float) -> dict[str, float]:
    """What everything in `build(names)` is at time `t`, by its closed form."""
    rates = {n: 0.1 + 0.05 * i for i, n in enumerate(names[SPECIES : SPECIES + RATES])}
    k = [*rates.values()]
    found = {n: (1.0 + i) * math.exp(-k[i % RATES] * t) for i, n in enumerate(names[:SPECIES])}
    found |= rates | {n: 0.5 + i for i, n in enumerate(names[17:27])}
    found |= {names[27]: found[names[0]] + t, names[28]: rates[names[SPECIES]] * math.pi}
    return found | {names[29]: 1.0 + rates[names[SPECIES + 1]] * t + t * t / 2}


def check(number: int, engine: str, turn: int = 0) -> None:
    names = names_of(number, turn)
    model = compile_network(read_sbml(build(names)))
    composite = f"{names[0]}*{names[13]} + exp(-{names[3]}) + {names[25]}^2 + {names[27]}"
    settings = Settings(SOLVERS[engine], rtol=1e-9, atol=1e-12)
    times = [0.5, 2.0]
    result = simulate(model, {}, Protocol("p"), times, observe=[*names, composite], settings=settings)
    assert np.all(np.asarray(result.status) == 0)
    for i, t in enumerate(times):
        expected = solution(names, t)
        for name in names:
            assert float(result.observed[name][0, i]) == pytest.approx(expected[name], rel=1e-7), (
                name,
                names.index(name),
            )
        a, b, c, d, e = (expected[names[k]] for k in (0, 13, 3, 25, 27))
        assert float(result.observed[composite][0, i]) == pytest.approx(a * b + math.exp(-c) + d**2 + e, rel=1e-7)


@pytest.mark.tier("slow")
@pytest.mark.parametrize("number", [0, 1])
def test_two_models_of_thirty_names(number: int) -> None:
    check(number, BOTH_ENGINES[number])


@pytest.mark.tier("slow")
@pytest.mark.parametrize("turn", range(TURNS))
@pytest.mark.parametrize("number", range(MODELS))
def test_ten_models_of_thirty_names(number: int, turn: int) -> None:
    """Each in each of its parts on the fused engine; on diffrax, which compiles for long, each in one of them."""
    check(number, "fused", turn)
    if turn == number % TURNS:
        check(number, "diffrax", turn)


@pytest.mark.parametrize("number", range(4))
def test_what_is_written_reads_back(number: int) -> None:
    network = read_sbml(build(names_of(number)))
    again = read_sbml(write_sbml(network))
    assert [r.rate for r in again.reactions] == [r.rate for r in network.reactions]
    assert (again.rules, again.rates, again.species) == (network.rules, network.rates, network.species)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("folder", ["parameter-called-time", "parameter-called-time-sbml"])
def test_parameter_called_time(folder: str, engine: str) -> None:
    expected = json.loads((CASES / folder / "expected.json").read_text())
    expected = expected.get("called_time", expected)
    model = load_model(next(f for f in (CASES / folder).glob("*.xml") if f.name != "names.xml"))
    settings = Settings(SOLVERS[engine], rtol=1e-9)
    result = simulate(model, {}, Protocol("p"), expected["times"], observe=["X", "time"], settings=settings)
    assert result.observed["X"][0].tolist() == pytest.approx(expected["X"], rel=1e-8)
    assert set(result.observed["time"][0].tolist()) == {7.0}
    assert model.species == ("X", "<time>")
    assert model.parameters == ("time",)


def test_names_of_the_case() -> None:
    expected = json.loads((CASES / "parameter-called-time" / "expected.json").read_text())["at_time_2"]
    model = load_model(CASES / "parameter-called-time" / "names.xml")
    result = simulate(model, {}, Protocol("p"), [2.0], observe=list(expected), settings=Settings(Fused(), rtol=1e-9))
    for name, value in expected.items():
        assert float(result.observed[name][0, 0]) == pytest.approx(value, rel=1e-7), name


def test_time_is_the_clock_where_no_name_takes_it() -> None:
    model = compile_network(Network("m", {}, {}, {"x": Quantity(0.0)}, rates={"x": parse_formula("2*time")}))
    assert model.species == ("x", "time")
    assert model.symbols == (sympy.Symbol("x"), TIME)
    result = simulate(model, {}, Protocol("p"), [3.0], observe=["time + x"])
    assert float(result.observed["time + x"][0, 0]) == pytest.approx(3 + 9, rel=1e-5)


def test_greek_names_of_a_python_network() -> None:
    greek = list("αβγδεζηθικλμνξοπρστυφχψω")
    parameters = {n: Quantity(1.0 + i) for i, n in enumerate(greek)}
    rates = {greek[0]: -sympy.Symbol("β") * sympy.Symbol("α") / 10}
    model = compile_network(Network("greek", {}, {}, parameters, rates=rates))
    result = simulate(model, {}, Protocol("p"), [1.0], observe=[*greek, "α*λ"], settings=Settings(rtol=1e-9))
    assert float(result.observed["α*λ"][0, 0]) == pytest.approx(math.exp(-0.2) * 11, rel=1e-7)
    assert [float(result.observed[n][0, 0]) for n in greek[1:]] == [2.0 + i for i in range(23)]


@pytest.mark.tier("slow")
def test_states_of_a_python_function_may_be_called_time() -> None:
    model = compile_function(
        lambda t, y, p: jnp.array([p["lambda"] * t]),
        species=("time",),
        parameters={"lambda": 2.0},
        initial=(1.0,),
        depends_on_time=True,
    )
    assert model.species == ("time", "<time>")
    result = simulate(model, {}, Protocol("p"), [3.0], observe=["time"])
    assert float(result.observed["time"][0, 0]) == pytest.approx(10.0, rel=1e-5)
    with pytest.raises(ValueError, match="two things called k"):
        compile_function(lambda t, y, p: y, species=("k",), parameters={"k": 1.0}, initial=(1.0,))


def test_names_that_two_things_have_or_that_no_formula_holds_are_refused() -> None:
    with pytest.raises(ValueError, match="two things called a"):
        compile_network(Network("m", {"a": Quantity(1.0)}, {}, {"a": Quantity(1.0)}))
    with pytest.raises(ValueError, match=r"no formula can hold: 'q\[0\]'"):
        compile_network(Network("m", {}, {}, {"q[0]": Quantity(1.0)}))


def test_local_parameter_takes_no_name_of_another() -> None:
    """J's local k must not become J_k where a species is called so."""
    text = (CASES / "boolean-as-number" / "model.xml").read_text()
    text = text.replace('species id="S"', 'species id="J_k"').replace('species="S"', 'species="J_k"')
    text = text.replace(
        "<true/></math>",
        '<ci>k</ci></math><listOfLocalParameters><localParameter id="k" value="2"/></listOfLocalParameters>',
    )
    model = compile_network(read_sbml(text))
    assert model.parameters == ("c", "J_k_")
    assert float(simulate(model, {}, Protocol("p"), [3.0]).y[0, 0, 0]) == pytest.approx(7.0, rel=1e-5)


def test_protocols_set_what_is_called_as_their_words() -> None:
    assert parse_protocol("set at 2 at 3; set self 4").steps[1].assign == {"at": 2.0}
    assert parse_protocol("set self 4").steps[0].assign == {"self": 4.0}


# ---------------------------------------------------------------- problems

PROBLEM = """name = "awkward"
time_unit = "s"
model_time_unit = "s"
replicates = "unchecked"
[observables.lambda]
assay = "direct"
signal = "{0}*{13}"
unit = "1"
sd = 0.5
[observables.time]
assay = "direct"
signal = "{3} + pi"
unit = "1"
sd = "2*{14}"
[observables.I]
assay = "direct"
signal = "time + {27}"
unit = "1"
sd = "_sd"
[observables._mean]
assay = "direct"
signal = "_mean + _sd"
unit = "1"
sd = 1
"""


def test_problem_with_awkward_names(tmp_path: Path) -> None:
    names = names_of(0)
    for place, name in ((14, "_mean"), (15, "_sd")):
        if name in names:
            names[names.index(name)] = names[place]
        names[place] = name
    (tmp_path / "model.xml").write_text(build(names))
    (tmp_path / "problem.toml").write_text(PROBLEM.format(*names))
    rows = [["observable", "time", "value", "unit", "experiment"]]
    rows += [[o, t, 1, "1", "e"] for o in ("lambda", "time", "I", "_mean") for t in (0.5, 2)]
    with (tmp_path / "measurements.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    (tmp_path / "priors.csv").write_text(
        "parameter,unit,distribution,location,scale,value\n"
        f"{names[13]},1/s,lognormal,0,1,0.25\n_sd,1,lognormal,0,1,0.35\n"
    )
    problem = load_problem(tmp_path)
    values = jnp.array([0.25 if n == names[13] else 0.35 for n in problem.names])
    read = problem.assays.read(Settings(rtol=1e-9, atol=1e-12), values)
    expected, noise = [], []
    for observable in ("lambda", "time", "I", "_mean"):
        for t in (0.5, 2.0):
            s = solution(names, t)
            expected.append(
                {
                    "lambda": s[names[0]] * s[names[13]],
                    "time": s[names[3]] + s["pi"],
                    "I": s["time"] + s[names[27]],
                    "_mean": s["_mean"] + s["_sd"],
                }[observable]
            )
            noise.append({"lambda": 0.5, "time": 2 * s[names[14]], "I": s["_sd"], "_mean": 1}[observable])
    assert read.mean.tolist() == pytest.approx(expected, rel=1e-7)
    assert read.sd.tolist() == pytest.approx(noise, rel=1e-7)


@pytest.mark.parametrize("name", ["draw", "chain"])
def test_names_of_a_posteriors_axes_are_refused_before_anything_runs(tmp_path: Path, name: str) -> None:
    (tmp_path / "model.ant").write_text(f"model m\n x = 1; {name} = 0.5; x' = -{name}*x;\nend\n")
    (tmp_path / "problem.toml").write_text(
        'replicates = "unchecked"\n[observables.x]\nassay = "direct"\nsignal = "x"\nunit = "1"\nsd = 0.1\n'
    )
    (tmp_path / "measurements.csv").write_text("observable,time,value,unit,experiment\nx,1,0.5,1,e\n")
    (tmp_path / "priors.csv").write_text(f"parameter,unit,distribution,location,scale\n{name},1,lognormal,0,1\n")
    with pytest.raises(ValueError, match=f"estimated parameter '{name}' has the name of an axis"):
        load_problem(tmp_path)
