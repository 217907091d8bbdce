"""PEtab v1 from small tables to log likelihood, against closed forms: A ⇌ B with rates k1 and k2."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

import hexamer
from hexamer.data.petab import read_petab
from hexamer.infer.problem.numpyro_bridge import PriorDistribution
from support.petab_problem import YAML_V1 as YAML
from support.petab_problem import relaxed, write_problem

pytestmark = pytest.mark.tier("test")

PARAMETERS = """
parameterId parameterScale lowerBound upperBound nominalValue estimate
k1          log10          1e-3       10         0.8          1
k2          log10          1e-3       10         0.6          1
"""
TABLES = {
    "parameters": PARAMETERS,
    "observables": "observableId observableFormula noiseFormula\nobs_a A 0.5",
    "conditions": "conditionId\nc",
}
K1, K2 = 0.8, 0.6


def written(folder: Path, tables: Mapping[str, str], yaml: str = YAML) -> Path:
    return write_problem(folder, {**TABLES, **tables}, yaml=yaml)


def readings(path: Path) -> np.ndarray:
    result = hexamer.load_problem(path).evaluate()
    assert not result.failed
    return result.predictions


def measured(*rows: str) -> str:
    lines = [f"obs_a {row} 0.5" for row in rows]
    return "\n".join(["observableId simulationConditionId time measurement", *lines])


def test_the_steady_state_at_time_inf(tmp_path: Path) -> None:
    """From A = 1, and from A = 3 with another volume; beside rows of the same conditions in time."""
    path = written(
        tmp_path,
        {
            "conditions": "conditionId A cell\nc NaN NaN\nd 3 4",
            "measurements": measured("c inf", "d inf", "c 1", "d 0"),
        },
    )
    steady = K2 / (K1 + K2)
    np.testing.assert_allclose(readings(path), [steady, 3 * steady, relaxed(1, 0, K1, K2, 1), 3], rtol=3e-5)
    protocols = [m.protocol for m in read_petab(path).measurements]
    assert protocols == ["c → steady state", "d → steady state", "c", "d"]


def test_the_steady_state_after_another(tmp_path: Path) -> None:
    """A is added to what is left of B in the first steady state."""
    path = written(
        tmp_path,
        {
            "conditions": "conditionId A a0\nbefore NaN 4\nafter 5 NaN",
            "measurements": "observableId preequilibrationConditionId simulationConditionId time measurement\n"
            "obs_a before after inf 0.5\nobs_a before after 1 0.5\nobs_a NaN after inf 0.5",
        },
    )
    b = 4 * K1 / (K1 + K2)
    expected = [(5 + b) * K2 / (K1 + K2), relaxed(5, b, K1, K2, 1), 5 * K2 / (K1 + K2)]
    np.testing.assert_allclose(readings(path), expected, rtol=3e-5)


def test_time_in_a_formula_has_no_steady_state(tmp_path: Path) -> None:
    tables = {
        "observables": "observableId observableFormula noiseFormula\nobs_a A+time 0.5",
        "measurements": measured("c 1", "c inf"),
    }
    with pytest.raises(ValueError, match="row 2: obs_a uses time, and is measured at time inf"):
        read_petab(written(tmp_path, tables))


def test_fixed_parameters_override_in_conditions(tmp_path: Path) -> None:
    """`estimate` = 0: values of the parameter table, for a start value, a volume and a rate."""
    path = written(
        tmp_path,
        {
            "parameters": f"{PARAMETERS}\nhigh lin NaN NaN 3 0\nlarge lin NaN NaN 4 0\nfree lin 0 9 2 1",
            "conditions": "conditionId a0 cell B\nc high large free\nd free NaN 0\ne 1 1 high",
            "measurements": measured("c 2", "d 2", "e 2"),
        },
    )
    expected = [relaxed(a, b, K1, K2, 2) for a, b in ((3, 2), (2, 0), (1, 3))]
    np.testing.assert_allclose(readings(path), expected, rtol=1e-5)


def test_tables_in_several_files(tmp_path: Path) -> None:
    yaml = YAML.replace("parameter_file: parameters.tsv", "parameter_file: [parameters.tsv, parameters_2.tsv]")
    for kind in ("conditions", "observables", "measurements"):
        yaml = yaml.replace(f"[{kind}.tsv]", f"[{kind}.tsv, {kind}_2.tsv]")
    header, k1, k2 = PARAMETERS.strip().splitlines()
    path = written(
        tmp_path,
        {
            "parameters": f"{header}\n{k1}",
            "parameters_2": f"{header}\n{k2}",
            "conditions": "conditionId A\nc 2",
            "conditions_2": "conditionId B\nd 3",  # another column: A is the model's
            "observables_2": "observableId observableFormula noiseFormula\nobs_b B 0.5",
            "measurements": measured("c 1"),
            "measurements_2": measured("d 1").replace("obs_a", "obs_b"),
        },
        yaml,
    )
    expected = [relaxed(2, 0, K1, K2, 1), 4 - relaxed(1, 3, K1, K2, 1)]
    np.testing.assert_allclose(readings(path), expected, rtol=1e-5)


PRIORS = {  # scale, numbers, the distribution of θ without bounds
    "uniform": ("log10", "0.5;5", stats.uniform(0.5, 4.5)),
    "normal": ("log10", "1;0.5", stats.norm(1, 0.5)),
    "laplace": ("lin", "1;0.5", stats.laplace(1, 0.5)),
    "logNormal": ("lin", "0.1;0.5", stats.lognorm(0.5, scale=math.exp(0.1))),
    "logLaplace": ("log10", "0.1;0.5", stats.loglaplace(2, scale=math.exp(0.1))),
    "parameterScaleUniform": ("log10", "-1;1", stats.loguniform(0.1, 10)),
    "parameterScaleNormal": ("log10", "0.1;0.5", stats.lognorm(0.5 * math.log(10), scale=10**0.1)),
    "parameterScaleLaplace": ("log", "0.1;0.5", stats.loglaplace(2, scale=math.exp(0.1))),
}


@pytest.mark.parametrize("name", PRIORS)
def test_truncated_priors(tmp_path: Path, name: str) -> None:
    scale, numbers, family = PRIORS[name]
    header, _, k2 = PARAMETERS.strip().splitlines()
    columns = f"{header} objectivePriorType objectivePriorParameters"
    rows = f"k1 {scale} 0.2 6 0.8 1 {name} {numbers}\n{k2} NaN NaN"
    problem = hexamer.load_problem(
        written(tmp_path, {"parameters": f"{columns}\n{rows}", "measurements": measured("c 1")})
    )
    found = float(PriorDistribution(problem.parameters["k1"]).log_prob(jnp.asarray(0.8)))
    mass = family.cdf(6) - family.cdf(0.2)
    assert found == pytest.approx(float(family.logpdf(0.8) - math.log(mass)), rel=1e-9)  # pyright: ignore[reportAttributeAccessIssue]
    assert problem.parameters["k1"].search_scale == scale


def test_an_initial_assignment_that_one_condition_overrides(tmp_path: Path) -> None:
    """A = a0, and a0 = 2 k2 in the model, which the other condition leaves."""
    model = """
    model assigned
      compartment cell = 1;
      species A in cell, B in cell;
      k1 = 0.5; k2 = 0.25; a0 = 2*k2; A = a0; B = 0;
      forward: A -> B; k1*A;
      backward: B -> A; k2*B;
    end
    """
    tables = {**TABLES, "conditions": "conditionId a0\nc NaN\nd 5", "measurements": measured("c 0", "d 0")}
    np.testing.assert_allclose(readings(write_problem(tmp_path, tables, model=model, yaml=YAML)), [2 * K2, 5])


def test_an_observable_of_what_an_initial_assignment_gives(tmp_path: Path) -> None:
    model = """
    model assigned
      compartment cell = 1;
      species A in cell, B in cell;
      k1 = 0.5; k2 = 0.25; scale = 2*k2; A = 1; B = 0;
      forward: A -> B; k1*A;
      backward: B -> A; k2*B;
    end
    """
    observables = "observableId observableFormula noiseFormula\nobs_a scale*A 0.5"
    tables = {**TABLES, "observables": observables, "measurements": measured("c 1")}
    path = write_problem(tmp_path, tables, model=model, yaml=YAML)
    np.testing.assert_allclose(readings(path), [2 * K2 * relaxed(1, 0, K1, K2, 1)], rtol=1e-5)
