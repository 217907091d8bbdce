"""Problems written as PEtab and read back: the same likelihood, priors and gradient; petab's linter finds nothing."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import sympy

import hexamer
from hexamer import Problem, Protocol
from hexamer.data import Dataset, Measurement, Observable, Parameter, Prior
from hexamer.data.petab.export import Exported, PetabExportError
from hexamer.infer import export_petab
from hexamer.infer.problem.numpyro_bridge import PriorDistribution
from hexamer.models import Step, compile_function, load_model, read_antimony

pytestmark = pytest.mark.tier("test")

V2_CASES = ("0001", "0004", "0007", "0010", "0013", "0022", "0025", "0028", "0031")
V1_CASES = ("0001", "0003", "0005", "0007", "0009", "0011", "0013", "0015", "0017", "0019")
CASES = [
    *(("petab_test_suite_v2", case, 2) for case in V2_CASES),
    *(("petab_test_suite_v2", case, 1) for case in V2_CASES[:5]),
    *(("petab_test_suite", case, version) for case in V1_CASES for version in (1, 2)),
]


def findings(path: Path, version: int) -> list[str]:
    """What petab's own linter says of a problem."""
    if version == 1:
        from petab.v1 import Problem as V1Problem
        from petab.v1.lint import lint_problem

        return ["petab.v1.lint"] if lint_problem(V1Problem.from_yaml(path)) else []
    from petab.v2 import Problem as V2Problem
    from petab.v2.lint import lint_problem

    return [str(issue) for issue in lint_problem(V2Problem.from_yaml(path))]


def round_trip(
    problem: Problem, folder: Path, version: int = 2, rtol: float = 1e-9
) -> tuple[Problem, Problem, Exported]:
    exported = export_petab(problem, folder, version=version)
    assert findings(exported.path, version) == []
    back = hexamer.load_problem(exported.path)
    assert {*back.space.names} == {exported.ids[n] for n in problem.space.names}
    assert {*back.nuisance.names} == {exported.ids[n] for n in problem.nuisance.names}
    return problem.with_settings(rtol=rtol), back.with_settings(rtol=rtol), exported


def point(problem: Problem, seed: int) -> dict[str, float]:
    """A draw of the priors."""
    z = problem.space.sample(jax.random.key(seed))
    return dict(zip(problem.space.names, np.asarray(problem.space.constrain(z)).tolist(), strict=True))


def log_density(problem: Problem, values: dict[str, float]) -> tuple[float, float]:
    """Log likelihood, scales integrated out, and the priors' log density of what is estimated, per unit of it."""
    z = jnp.asarray(problem.space.unconstrain(values))
    priors = (PriorDistribution(p).log_prob(jnp.asarray(values[p.name])) for p in problem.space.parameters)
    return float(problem.log_likelihood(z)), float(sum(priors))


def assert_same(one: Problem, other: Problem, exported: Exported, seeds: tuple[int, ...] = (0, 1)) -> None:
    for seed in seeds:
        values = point(one, seed)
        likelihood, prior = log_density(one, values)
        again, prior_again = log_density(other, {exported.ids[n]: v for n, v in values.items()})
        assert math.isfinite(likelihood)
        assert again == pytest.approx(likelihood, rel=1e-10, abs=1e-8)
        assert prior_again == pytest.approx(prior, abs=1e-9)


@pytest.mark.parametrize(("suite", "case", "version"), CASES)
def test_suite(shared_data: Path, tmp_path: Path, suite: str, case: str, version: int) -> None:
    problem = hexamer.load_problem(shared_data / suite / case / f"_{case}.yaml")
    exported = export_petab(problem, tmp_path / "out", version=version)
    assert findings(exported.path, version) == []
    one, other = problem.evaluate(), hexamer.load_problem(exported.path).evaluate()
    assert not one.failed
    assert other.log_likelihood == pytest.approx(one.log_likelihood, abs=1e-8)
    np.testing.assert_allclose(other.predictions, one.predictions, rtol=0, atol=1e-9)


@pytest.mark.tier("slow")
def test_il6_demo(tmp_path: Path) -> None:
    """Doses are added to steady states; three qPCR scales are integrated out, also by what reads the export."""
    problem, back, exported = round_trip(hexamer.load_problem("il6_demo"), tmp_path / "out")
    assert len(problem.nuisance) == 3
    assert_same(problem, back, exported, seeds=(0, 1))
    assert exported.ids["scale_pSTAT3[course-high-1]"] == "scale_pSTAT3_course_high_1"
    assert exported.notes[0].startswith("3 scales that hexamer integrates out are estimated parameters in PEtab")
    assert exported.notes[1].startswith("28 of 28 estimated parameters have no nominal value")


@pytest.mark.tier("slow")
def test_gradient_of_il6_demo(tmp_path: Path) -> None:
    """By the values of the parameters, at the truth, every scale a parameter."""
    truth = {n: float(v) for n, v in (line.split(",") for line in _lines("truth.csv")[1:])}
    problem = hexamer.load_problem("il6_demo", marginalise=()).with_settings(rtol=1e-9)
    exported = export_petab(problem, tmp_path / "out", values=truth)
    back = hexamer.load_problem(exported.path, marginalise=()).with_settings(rtol=1e-9)
    assert back.evaluate().log_likelihood == pytest.approx(problem.evaluate(truth).log_likelihood, abs=1e-8)
    ours, theirs = gradient(problem, truth), gradient(back, {exported.ids[n]: v for n, v in truth.items()})
    size = max(abs(truth[n] * g) for n, g in ours.items())
    worst = max(abs(truth[n] * (theirs[exported.ids[n]] - g)) for n, g in ours.items())
    assert worst < 1e-8 * size


def _lines(name: str) -> list[str]:
    import hexamer.data.bundled_problems.il6_demo as demo

    return (Path(str(demo.__file__)).parent / name).read_text().split()


def gradient(problem: Problem, values: dict[str, float]) -> dict[str, float]:
    z = jnp.asarray(problem.space.unconstrain(values))
    slope = jax.grad(problem.log_likelihood)(z) / jnp.diagonal(jax.jacobian(problem.space.constrain)(z))
    return dict(zip(problem.space.names, np.asarray(slope).tolist(), strict=True))


@pytest.mark.tier("slow")
@pytest.mark.parametrize("version", [1, 2])
def test_hepg2(shared_data: Path, tmp_path: Path, version: int, published_fit: dict[str, float]) -> None:
    problem, back, exported = round_trip(hexamer.load_problem("hepg2"), tmp_path / "out", version)
    at = {exported.ids[n]: v for n, v in published_fit.items()}
    likelihood = problem.evaluate(published_fit).log_likelihood
    assert back.evaluate(at).log_likelihood == pytest.approx(likelihood, abs=1e-8)
    assert_same(problem, back, exported, seeds=(0,))


@pytest.mark.tier("slow")
@pytest.mark.parametrize("name", ["hepg2_assembly", "hepatocytes"])
def test_published_data(shared_data: Path, tmp_path: Path, name: str) -> None:
    problem, back, exported = round_trip(hexamer.load_problem(name), tmp_path / "out")
    assert_same(problem, back, exported, seeds=(0,))


BENCHMARKS = ("Boehm_JProteomeRes2014", "Bachmann_MSB2011", "Raia_CancerResearch2011", "Brannmark_JBC2010")


@pytest.mark.tier("slow")
@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("name", BENCHMARKS)
def test_benchmark_problems(shared_data: Path, tmp_path: Path, name: str, version: int) -> None:
    """At nominal values; pre-equilibrations, overrides of each row, priors on all scales."""
    (path,) = (shared_data / "petab" / name).glob("*.yaml")
    problem, back, _ = round_trip(hexamer.load_problem(path), tmp_path / "out", version)
    assert back.evaluate().log_likelihood == pytest.approx(problem.evaluate().log_likelihood, rel=1e-10, abs=1e-8)


NETWORK = """
model toy
  compartment cell = 2; compartment medium = 1;
  species A in cell, B in cell, L in medium, $F in cell;
  A = a0; B = 2*A; L = 0; F = 0.3;
  a0 = 1; k1 = 0.8; k2 = 0.6; k3 = 2*k1; kL = 0.1;
  total := A + B;
  to_B: A -> B; cell*k1*A;
  to_A: B -> A; cell*k2*B;
  decay: L -> ; medium*(k3 + kL*F)*L;
end
"""

PROTOCOLS = (
    Protocol("as it is"),
    Protocol(
        "pulse, of 'L' [1/2]",
        steps=(Step(-5.0, {"k2": 0.3}), Step(0.0, {}, {"L": "dose"}), Step(3.0, {"L": 0.1})),
        start=-5.0,
    ),
    Protocol(
        "steady state",
        preequilibration={"k2": 0.2, "k1": "k later", "F": 0.9},
        steps=(Step(0.0, {"F": 0.1}, {"L": 2.0}), Step(2.0, {"A": 3.0, "k1": 1.5})),
    ),
    Protocol("A at the start", steps=(Step(0.0, {"A": 5.0, "k1": 0.7}, {"L": 1.0}),)),
    Protocol("A in steady state", preequilibration={"A": 5.0}),
)
S = sympy.Symbol
OBSERVABLES = (
    Observable("A", S("scale") * S("A"), S("scale") * (S("sd") + 0.1 * S("A")), ("scale", "sd")),
    Observable("total", S("total") + S("offset") * S("time"), S("sd all"), (), "log10", "laplace"),
    Observable("L", S("L") + S("shift") + 1.0, S("spread"), ("spread",), "log"),
    Observable("rate", S("to_B") + S("k3"), sympy.Float(0.5)),
)
PARAMETERS = (
    Parameter("k1", Prior("normal", "log10", location=-0.1, spread=0.1), value=0.8),  # protocols set it
    Parameter("k2", value=0.65),  # so too
    Parameter("a0", Prior("gamma", spread=0.5, shape=3.0)),
    Parameter("cell", Prior("normal", "log", location=0.7, spread=0.1)),  # a volume
    Parameter("dose", Prior("half_normal", spread=2.0)),
    Parameter("k later", Prior("uniform", "log", lower=-1.0, upper=1.0)),
    Parameter("scale[gel 1]", Prior("normal", "log", location=0.0, spread=0.2)),
    Parameter("decay", Prior("normal", location=1.0, spread=0.1, lower=0.5), scale="log"),  # a reaction's name
    Parameter("sd all", Prior("exponential", spread=0.3)),
    Parameter("shift", value=0.25),
    Parameter("offset", Prior("cauchy", location=0.0, spread=0.01, lower=-0.1, upper=0.1)),
)


def toy() -> Problem:
    """All that a protocol, an observable and a prior may do, under names that PEtab does not allow."""
    arguments = {"A": [("scale[gel 1]", 0.2), (1.5, "decay")], "total": [()], "L": [(0.4,), ("sd all",)], "rate": [()]}
    rows = [
        Measurement(o, p.name, t, 0.5 + 0.1 * i, a, experiment="gel 1")
        for p in PROTOCOLS
        for o, ways in arguments.items()
        for i, a in enumerate(ways)
        for t in (0.0, 2.0, 4.0)
    ]
    data = Dataset(
        "toy",
        {o.name: o for o in OBSERVABLES},
        {p.name: p for p in PROTOCOLS},
        tuple(replace(m, row=i + 1) for i, m in enumerate(rows)),
        {p.name: p for p in PARAMETERS},
        time_unit="",
    )
    return Problem(load_model(read_antimony(NETWORK)), data)


@pytest.mark.tier("slow")
def test_every_feature(tmp_path: Path) -> None:
    problem, back, exported = round_trip(toy(), tmp_path / "out")
    assert_same(problem, back, exported)
    assert exported.ids["k1"] == "value_of_k1"
    assert exported.ids["cell"] == "value_of_cell"
    assert "k2" not in exported.ids
    assert "gel 1" in (tmp_path / "out" / "measurements.tsv").read_text()


@pytest.mark.tier("slow")
def test_what_was_read_can_be_written(tmp_path: Path) -> None:
    problem, back, exported = round_trip(toy(), tmp_path / "out")
    again = export_petab(back, tmp_path / "again")
    third = hexamer.load_problem(again.path).with_settings(rtol=1e-9)
    ids = {n: again.ids[i] for n, i in exported.ids.items()}
    assert_same(problem, third, replace(exported, ids=ids), seeds=(0, 3))


def test_a_function_is_no_network(tmp_path: Path) -> None:
    problem = toy()
    function = compile_function(lambda t, y, p: -p["k"] * y, species=["A"], parameters={"k": 1.0}, initial=[1.0])
    data = replace(
        problem.dataset,
        observables={"A": Observable("A", S("A"), sympy.Float(0.1))},
        protocols={"p": Protocol("p")},
        measurements=(Measurement("A", "p", 1.0, 0.5),),
        parameters={"k": Parameter("k", Prior("half_normal"))},
    )
    with pytest.raises(PetabExportError, match="is a Python function, and PEtab needs a network"):
        export_petab(Problem(function, data), tmp_path / "out")


def test_nominal_values_of_unknown_names(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="toy has no parameter k9: leave out what it does not use"):
        export_petab(toy(), tmp_path / "out", values={"k9": 1.0})


@pytest.mark.tier("check")
@pytest.mark.parametrize("measured", ["A k1", "A"])
@pytest.mark.parametrize("version", [1, 2])
def test_parameters_of_unmeasured_observables_stay_behind(tmp_path: Path, version: int, measured: str) -> None:
    """They were written, and what they stand in was not: hexamer, as PEtab, refused the tables."""
    problem = toy()
    row = Measurement("A", "p", 1.0, 0.5, ("k1" if "k1" in measured else 1.0, 0.2))
    flat = Prior("uniform", lower=0.0, upper=9.0)
    data = replace(
        problem.dataset,
        observables={"A": OBSERVABLES[0], "total": OBSERVABLES[1]},
        protocols={"p": Protocol("p"), "unused": Protocol("unused", steps=(Step(0.0, {}, {"L": "dose"}),))},
        measurements=(row,),
        parameters={p.name: p for p in PARAMETERS if p.name in ("dose", "sd all", "offset")}
        | ({"k1": Parameter("k1", flat, scale="log10")} if "k1" in measured else {}),
    )
    exported = export_petab(Problem(problem.model, data), tmp_path / "out", version=version)
    assert findings(exported.path, version) == []
    assert exported.notes[0] == (
        "3 estimated parameters that no measurement uses are left out; their posterior is their prior (dose, sd all, "
        "offset)"
    )
    back = hexamer.load_problem(exported.path)
    assert [p.prior for p in back.space.parameters] == ([flat] if "k1" in measured else [])


@pytest.mark.tier("check")
def test_nominal_values_outside_of_bounds_are_told(tmp_path: Path) -> None:
    exported = export_petab(toy(), tmp_path / "out", values={"dose": -1.0, "a0": 1.0, "decay": 0.4})
    said = "nominal values lie outside of the parameters' bounds, where the prior is 0: dose, decay"
    assert [n for n in exported.notes if "outside" in n] == [said]
