"""PEtab v2 from file to log likelihood: cases of the test suite, and small problems against closed forms."""

from __future__ import annotations

import math
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import yaml
from scipy import stats

import hexamer
from helpers import slowly
from hexamer.data.petab import read_petab
from hexamer.infer.problem.numpyro_bridge import PriorDistribution
from support.petab_problem import YAML, relaxed, write_problem
from support.petab_suite import check_case

pytestmark = pytest.mark.tier("test")

CASES = ("0001", "0004", "0007", "0010", "0013", "0022", "0025", "0028", "0031")
BY_DIFFRAX = ("0016",)  # an event on the state
K1, K2 = 0.8, 0.6


@pytest.mark.parametrize("case", [*CASES, *slowly(*BY_DIFFRAX)])
def test_suite(shared_data: Path, case: str) -> None:
    folder = shared_data / "petab_test_suite_v2" / case
    expected = yaml.safe_load((folder / f"_{case}_solution.yaml").read_text())
    path = folder / f"_{case}.yaml"
    problem = hexamer.load_problem(path)
    result = problem.evaluate()
    check_case(path, result, expected)
    for name, value in expected.get("log_prior", {}).items():
        parameter = problem.parameters[name]
        found = float(PriorDistribution(parameter).log_prob(jnp.asarray(parameter.value)))
        assert found == pytest.approx(value, abs=expected["tol_log_prior"], rel=1e-14), name


def readings(path: Path, values: dict[str, float] | None = None) -> np.ndarray:
    result = hexamer.load_problem(path).evaluate(values)
    assert not result.failed
    return result.predictions


def at(*rows: str) -> str:
    """Measurements of obs_a, `experiment time`."""
    lines = [f"obs_a {row} 0.5" for row in rows]
    return "\n".join(["observableId experimentId time measurement", *lines])


def course(*rows: str) -> str:
    return "\n".join(["experimentId time conditionId", *rows])


def changes(*rows: str) -> str:
    return "\n".join(["conditionId targetId targetValue", *rows])


PARAMETERS = """
parameterId lowerBound upperBound nominalValue estimate
k1          0          10         0.8          true
k2          0          10         0.6          true
"""
REST = K2 / (K1 + K2)  # of A, of a total of 1

# tables, A at the times of the measurements
COURSES = {
    "numbers and formulas of parameters": (
        {
            "conditions": changes("low A 0.5", "low B x0", "high A x0^2+k1", "high B 0"),
            "experiments": course("e1 0 low", "e2 0 high"),
            "parameters": f"{PARAMETERS}\nx0 0 10 3 true",
            "measurements": at("e1 0", "e1 2", "e2 0", "e2 2"),
        },
        [0.5, relaxed(0.5, 3, K1, K2, 2), 9.8, relaxed(9.8, 0, K1, K2, 2)],
    ),
    "the rows of an experiment in any order, two conditions at once": (
        {
            "conditions": changes("one A A+5", "two B B+3", "none A A"),
            "experiments": course("e1 2 one", "e1 0 NaN", "e1 2 two", "e1 3 none"),
            "measurements": at("e1 1", "e1 2", "e1 4"),
        },
        [
            relaxed(1, 0, K1, K2, 1),
            relaxed(1, 0, K1, K2, 2) + 5,
            relaxed(relaxed(1, 0, K1, K2, 2) + 5, 4 - relaxed(1, 0, K1, K2, 2), K1, K2, 2),
        ],
    ),
    "what is taken away": (
        {
            "conditions": changes("less A A-0.25", "more A A+k2*time"),
            "experiments": course("e1 0 NaN", "e1 2 less", "e1 3 more"),
            "measurements": at("e1 2", "e1 3"),
        },
        [
            relaxed(1, 0, K1, K2, 2) - 0.25,
            relaxed(relaxed(1, 0, K1, K2, 2) - 0.25, 1 - relaxed(1, 0, K1, K2, 2), K1, K2, 1) + 3 * K2,
        ],
    ),
    "a parameter holds until it is set again": (
        {
            "parameters": "parameterId lowerBound upperBound nominalValue estimate\nk1 0 10 0.8 true",
            "conditions": changes("fast k2 3*k1", "spike A 2", "faster k2 k2+1"),
            "experiments": course("e1 0 fast", "e1 1 spike", "e1 2 faster"),
            "measurements": at("e1 1", "e1 2", "e1 3"),
        },
        [
            2.0,
            relaxed(2, 1 - relaxed(1, 0, K1, 3 * K1, 1), K1, 3 * K1, 1),
            relaxed(
                relaxed(2, 1 - relaxed(1, 0, K1, 3 * K1, 1), K1, 3 * K1, 1),
                3 - relaxed(1, 0, K1, 3 * K1, 1) - relaxed(2, 1 - relaxed(1, 0, K1, 3 * K1, 1), K1, 3 * K1, 1),
                K1,
                3 * K1 + 1,
                1,
            ),
        ],
    ),
    "a parameter holds behind a pre-equilibration": (
        {
            "parameters": "parameterId lowerBound upperBound nominalValue estimate\nk1 0 10 0.8 true",
            "conditions": changes("before k2 2.4", "spike A 2"),
            "experiments": course("e1 -inf before", "e1 0 spike"),
            "measurements": at("e1 0", "e1 1"),
        },
        [2.0, relaxed(2, 0.25, K1, 2.4, 1)],
    ),
    "a pre-equilibration alone": (
        {
            "parameters": "parameterId lowerBound upperBound nominalValue estimate\nk1 0 10 0.8 true",
            "conditions": changes("before k2 2.4"),
            "experiments": course("e1 -inf before"),
            "measurements": at("e1 0", "e1 5", "e1 inf"),
        },
        [0.75, 0.75, 0.75],
    ),
    "the steady state at time inf": (
        {
            "conditions": changes("more a0 3"),
            "experiments": course("e1 0 more"),
            "measurements": at("NaN inf", "NaN 1", "e1 inf"),
        },
        [REST, relaxed(1, 0, K1, K2, 1), 3 * REST],
    ),
    "steady states after several periods": (
        {
            "conditions": changes("before a0 2", "before k2 3", "spike A A+5", "slow k2 0.4", "last B 1"),
            "experiments": course("e1 -inf before", "e1 0 spike", "e2 0 NaN", "e2 1 slow", "e2 2 last", "e1 2 slow"),
            "measurements": at("e1 inf", "e1 0", "e2 inf"),
            "parameters": "parameterId lowerBound upperBound nominalValue estimate\nk1 0 10 0.8 true",
        },
        [
            7 * 0.4 / (K1 + 0.4),
            2 * 3 / (K1 + 3) + 5,
            (relaxed(relaxed(1, 0, K1, 0.25, 1), 1 - relaxed(1, 0, K1, 0.25, 1), K1, 0.4, 1) + 1) * 0.4 / (K1 + 0.4),
        ],
    ),
    "an experiment that starts at another time": (
        {
            "conditions": changes("spike A A+1"),
            "experiments": course("e1 -5 NaN", "e1 -3 spike"),
            "measurements": at("e1 -5", "e1 -4", "e1 1"),
        },
        [1, relaxed(1, 0, K1, K2, 1), relaxed(relaxed(1, 0, K1, K2, 2) + 1, 1 - relaxed(1, 0, K1, K2, 2), K1, K2, 4)],
    ),
    "a compartment that is resized keeps concentrations": (
        {
            "conditions": changes("large cell 2*cell", "huge cell cell+k1"),
            "experiments": course("e1 0 NaN", "e1 1 large", "e1 2 huge"),
            "measurements": at("e1 1", "e1 2"),
        },
        [relaxed(1, 0, K1, K2, 1), relaxed(1, 0, K1, K2, 2)],
    ),
}


@pytest.mark.parametrize("name", COURSES)
def test_experiments(tmp_path: Path, name: str) -> None:
    tables, expected = COURSES[name]
    np.testing.assert_allclose(readings(write_problem(tmp_path, tables)), expected, rtol=3e-5, atol=1e-6)


@pytest.mark.tier("slow")
@pytest.mark.parametrize("name", ["a parameter holds until it is set again", "steady states after several periods"])
def test_gradients(tmp_path: Path, name: str) -> None:
    """By a parameter of formulas that set, and through two steady states, against differences."""
    tables, _ = COURSES[name]
    problem = hexamer.load_problem(write_problem(tmp_path, tables)).with_settings(rtol=1e-10)
    z = jnp.asarray(problem.space.unconstrain({"k1": 0.8}))
    slope = jax.grad(problem.log_likelihood)(z)
    step = 1e-5
    expected = (problem.log_likelihood(z + step) - problem.log_likelihood(z - step)) / (2 * step)
    assert float(slope[0]) == pytest.approx(float(expected), rel=1e-6)


STARTS = """
model starts
  compartment cell = 1;
  species A in cell, B in cell, C in cell;
  A = twice; B = 2*A; C = 0;
  k = 3; twice := 2*k; p = 2*k; q = 1;
  decay: A -> C; q*p*A - q*p*A;
end
"""


@pytest.mark.parametrize(
    ("conditions", "experiments", "expected"),
    [
        ((), (), [6, 12, 6]),
        (("c k 1",), ("e1 0 c",), [2, 4, 2]),
        (("c A 10",), ("e1 0 c",), [10, 20, 6]),
        (("c p 10",), ("e1 0 c", "e2 0 NaN"), [6, 12, 10, 6, 12, 6]),
        (("c k 1",), ("e1 0 NaN", "e1 1 c"), [6, 12, 6]),
        (("c k 1",), ("e1 -inf NaN", "e1 0 c"), [6, 12, 6]),
    ],
    ids=["none", "constant", "state", "one experiment of two", "later", "after pre-equilibration"],
)
def test_initial_assignments_are_evaluated_once(tmp_path: Path, conditions, experiments, expected) -> None:
    """After the first period's changes, and never again. A = 2 k, B = 2 A, p = 2 k, and nothing changes."""
    names = list(dict.fromkeys(row.split()[0] for row in experiments)) or ["NaN"]
    path = write_problem(
        tmp_path,
        {
            "conditions": changes(*conditions),
            "experiments": course(*experiments),
            "parameters": "parameterId lowerBound upperBound nominalValue estimate\nq 0 10 1 true",
            "observables": "observableId observableFormula noiseFormula\no_A A 1\no_B B 1\no_p p 1",
            "measurements": "observableId experimentId time measurement\n"
            + "\n".join(f"o_{o} {name} 2 1" for name in names for o in "ABp"),
        },
        model=STARTS.replace("twice := 2*k", "twice = 2*k"),
    )
    np.testing.assert_allclose(readings(path), expected, rtol=1e-6)


NOISES = {
    "normal": lambda m, y, s: stats.norm.logpdf(m, y, s),
    "laplace": lambda m, y, s: stats.laplace.logpdf(m, y, s),
    "log-normal": lambda m, y, s: stats.lognorm.logpdf(m, s, scale=y),
    "log-laplace": lambda m, y, s: stats.laplace.logpdf(math.log(m), math.log(y), s) - math.log(m),
}


@pytest.mark.parametrize("noise", NOISES)
def test_noise(tmp_path: Path, noise: str) -> None:
    """A at 2 with offset and scale of each row, and a noise that names the reading."""
    tables = {
        "parameters": f"{PARAMETERS}\noffset -1 1 0.1 true\nsd_1 0 1 0.2 false",
        "observables": "observableId observableFormula noiseFormula noiseDistribution observablePlaceholders "
        f"noisePlaceholders\nobs_a factor*A+shift sd+0.1*obs_a {noise} factor;shift sd",
        "measurements": "observableId experimentId time measurement observableParameters noiseParameters\n"
        "obs_a NaN 2 0.7 2;offset 0.3\nobs_a NaN 2 0.6 1.5;0 sd_1\nobs_a NaN 2 0.6 1.5;0 sd_1",
    }
    result = hexamer.load_problem(write_problem(tmp_path, tables)).evaluate()
    a = relaxed(1, 0, K1, K2, 2)
    y = np.array([2 * a + 0.1, 1.5 * a, 1.5 * a])
    expected = [NOISES[noise](m, v, s + 0.1 * v) for m, v, s in zip((0.7, 0.6, 0.6), y, (0.3, 0.2, 0.2), strict=True)]
    np.testing.assert_allclose(result.predictions, y, rtol=1e-5)
    assert result.log_likelihood == pytest.approx(sum(expected), rel=1e-5)


PRIORS = {  # numbers, lower and upper bound, the density of its family
    "cauchy": ("0.5;2", -1, 3, stats.cauchy(0.5, 2)),
    "chisquare": ("4", 1, 9, stats.chi2(4)),
    "exponential": ("2", 0.5, 3, stats.expon(scale=2)),
    "gamma": ("3;0.5", 0.1, 2, stats.gamma(3, scale=0.5)),
    "laplace": ("0.5;2", -1, 3, stats.laplace(0.5, 2)),
    "log-laplace": ("0.5;0.4", 1, 4, stats.loglaplace(1 / 0.4, scale=math.exp(0.5))),
    "log-normal": ("0.5;0.4", 1, 4, stats.lognorm(0.4, scale=math.exp(0.5))),
    "log-uniform": ("0.1;10", 0.5, 20, stats.loguniform(0.1, 10)),
    "normal": ("0.5;2", -1, 3, stats.norm(0.5, 2)),
    "rayleigh": ("1.5", 0.5, 3, stats.rayleigh(scale=1.5)),
    "uniform": ("-1;5", 0, 9, stats.uniform(-1, 6)),
}


@pytest.mark.tier("slow")
@pytest.mark.parametrize("name", PRIORS)
def test_truncated_priors(tmp_path: Path, name: str) -> None:
    numbers, low, high, family = PRIORS[name]
    columns = "parameterId lowerBound upperBound nominalValue estimate priorDistribution priorParameters"
    rows = f"k1 {low} {high} 1.1 true {name} {numbers}\nk2 1e-3 1e3 0.6 true NaN NaN"
    problem = hexamer.load_problem(write_problem(tmp_path, {"parameters": f"{columns}\n{rows}"}))
    found = float(PriorDistribution(problem.parameters["k1"]).log_prob(jnp.asarray(1.1)))
    mass = family.cdf(high) - family.cdf(low)
    assert found == pytest.approx(float(family.logpdf(1.1) - math.log(mass)), rel=1e-9)
    assert problem.parameters["k2"].search_scale == "log10"
    assert math.isfinite(float(problem.log_density(jnp.zeros(2))))


LOCAL = """
model local
  compartment cell = 1;
  species A in cell, B in cell;
  A = 1; B = 0; k2 = 0.6;
  R: A -> B; k1*A;
  S: B -> A; k2*B;
end
"""


def with_local_parameter(path: Path) -> Path:
    """k1 of reaction R becomes a parameter of the reaction."""
    import libsbml

    document = libsbml.readSBMLFromFile(str(path.parent / "model.xml"))
    model = document.getModel()
    model.removeParameter("k1")
    local = model.getReaction("R").getKineticLaw().createLocalParameter()
    local.setId("k1")
    local.setValue(5.0)
    libsbml.writeSBMLToFile(document, str(path.parent / "model.xml"))
    return path


def test_a_local_parameter_of_the_mapping_table(tmp_path: Path) -> None:
    path = write_problem(
        tmp_path,
        {
            "mapping": "petabEntityId modelEntityId\nrate R.k1\nremark NaN",
            "parameters": PARAMETERS.replace("k1  ", "rate"),
            "measurements": at("NaN 2"),
        },
        model=LOCAL,
    )
    np.testing.assert_allclose(readings(with_local_parameter(path)), [relaxed(1, 0, K1, K2, 2)], rtol=1e-5)
    assert "rate is called R_k1" in read_petab(path).notes[-1]


def test_tables_in_several_files(tmp_path: Path) -> None:
    text = YAML
    for name, column in (("conditions", "condition"), ("experiments", "experiment"), ("measurements", "measurement")):
        text = text.replace(f"{column}_files: [{name}.tsv]", f"{column}_files: [{name}.tsv, {name}_2.tsv]")
    path = write_problem(
        tmp_path,
        {
            "conditions": changes("c A 2"),
            "conditions_2": changes("d A 3"),
            "experiments": course("e 0 c"),
            "experiments_2": course("f 0 d"),
            "measurements": at("e 0"),
            "measurements_2": at("f 0", "NaN 0"),
        },
        yaml=text,
    )
    np.testing.assert_allclose(readings(path), [2, 3, 1])
    dataset = read_petab(path)
    assert [dataset.place(m) for m in dataset.measurements] == [
        "measurements.tsv, row 1",
        "measurements_2.tsv, row 1",
        "measurements_2.tsv, row 2",
    ]


def test_a_parameter_that_only_an_observable_uses_is_set_by_conditions(tmp_path: Path) -> None:
    path = write_problem(
        tmp_path,
        {
            "conditions": changes("c shift 2", "d shift k1"),
            "experiments": course("e 0 c", "e 2 d"),
            "observables": "observableId observableFormula noiseFormula\nobs_a A+shift 0.5",
            "measurements": at("e 0", "e 2"),
        },
    )
    np.testing.assert_allclose(readings(path), [3, relaxed(1, 0, K1, K2, 2) + K1], rtol=1e-5)


def test_limits_are_read(tmp_path: Path) -> None:
    path = write_problem(
        tmp_path,
        {
            "measurements": "observableId experimentId time measurement measurementType censoringBounds\n"
            "obs_a NaN 0 0 left-censored 0.5"
        },
    )
    result = hexamer.load_problem(path).evaluate()
    assert result.log_likelihood == pytest.approx(float(stats.norm.logcdf(0.5, 1, 0.5)), rel=1e-6)
