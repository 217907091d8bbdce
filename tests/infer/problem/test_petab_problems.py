"""Published PEtab problems from file to log likelihood, against published numbers.

Log likelihoods are those of the data alone, without priors, in nats, at the nominal parameters.
"""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import hexamer
from helpers import slowly
from hexamer.data.petab import read_petab
from support.petab_suite import check_case

pytestmark = pytest.mark.tier("test")

CASES = ("0001", "0003", "0005", "0007", "0009", "0011", "0013", "0015", "0017", "0019")

PUBLISHED = {  # log likelihood, its tolerance, number of rows
    # As the simulatedData tables of Benchmark-Models-PEtab give them with the nominal noise, up to the
    # tables' digits: -138.2220, 418.40574 and -346.08974. (Negative log likelihoods have the other sign.)
    "Boehm_JProteomeRes2014": (-138.221997, 1e-4, 48),
    "Bachmann_MSB2011": (418.405733, 1e-3, 541),
    "Raia_CancerResearch2011": (-346.08974, 1e-2, 205),
}


def problem_path(shared_data: Path, name: str) -> Path:
    return shared_data / "petab" / name / f"{name}.yaml"


def published_simulation(shared_data: Path, name: str) -> pd.DataFrame:
    return pd.read_csv(shared_data / "petab" / name / f"simulatedData_{name}.tsv", sep="\t")


@pytest.mark.optimised
@pytest.mark.parametrize("name", ["Boehm_JProteomeRes2014", "Raia_CancerResearch2011", *slowly("Bachmann_MSB2011")])
def test_log_likelihood_at_the_nominal_parameters(shared_data: Path, name: str) -> None:
    log_likelihood, tolerance, rows = PUBLISHED[name]
    result = hexamer.load_problem(problem_path(shared_data, name)).evaluate()
    assert not result.failed
    assert result.n == rows
    assert result.log_likelihood == pytest.approx(log_likelihood, abs=tolerance)
    assert result.nllh == -result.log_likelihood


@pytest.mark.tier("slow")
@pytest.mark.parametrize("name", ["Bachmann_MSB2011", "Boehm_JProteomeRes2014", "Raia_CancerResearch2011"])
def test_predictions_are_the_published_simulation(shared_data: Path, name: str) -> None:
    # The tables hold about 10 digits; libroadrunner at tight tolerances comes within 6e-6 of that of Raia.
    path = problem_path(shared_data, name)
    table = published_simulation(shared_data, name)
    assert list(table["time"]) == [m.time for m in read_petab(path).measurements]
    expected = table["simulation"].to_numpy()
    scale = np.abs(expected).max()
    predictions = hexamer.load_problem(path).evaluate().predictions
    np.testing.assert_allclose(predictions, expected, rtol=1e-4, atol=1e-7 * scale)


def test_raia_standard_deviations(shared_data: Path) -> None:
    """Noise sd_abs + sd_rel·v, v the published simulation: placeholders filled row by row."""
    name = "Raia_CancerResearch2011"
    path = problem_path(shared_data, name)
    dataset = read_petab(path)
    values = {n: p.value for n, p in dataset.parameters.items()}
    simulated = published_simulation(shared_data, name)["simulation"].to_numpy()
    noise = [m.arguments[-2:] for m in dataset.measurements]
    absolute, relative = (np.array([values[str(pair[i])] for pair in noise], dtype=float) for i in (0, 1))
    expected = absolute + relative * simulated
    standard_deviations = hexamer.load_problem(path).evaluate().standard_deviations
    np.testing.assert_allclose(standard_deviations, expected, rtol=1e-4)


def solution(folder: Path, case: str) -> dict[str, Any]:
    """The numbers of a case's solution file, which is YAML of one level."""
    lines = (folder / f"_{case}_solution.yaml").read_text().splitlines()
    pairs = (line.split(":") for line in lines if ":" in line)
    return {key: json.loads(value) for key, value in pairs if value.strip()}


@pytest.mark.parametrize("case", CASES)
def test_suite(shared_data: Path, case: str) -> None:
    folder = shared_data / "petab_test_suite" / case
    expected = solution(folder, case)
    path = folder / f"_{case}.yaml"
    result = hexamer.load_problem(path).evaluate()
    check_case(path, result, expected)


def test_values_replace_the_nominal_ones(shared_data: Path) -> None:
    """A ⇌ B from A = a0, B = b0 in closed form, at other values than those of the table."""
    folder = shared_data / "petab_test_suite" / "0001"
    a0, b0, k1, k2 = 3.0, 1.0, 0.2, 0.1
    problem = hexamer.load_problem(folder / "_0001.yaml")
    result = problem.evaluate({"a0": a0, "b0": b0, "k1": k1, "k2": k2})
    steady = (a0 + b0) * k2 / (k1 + k2)
    later = steady + (a0 - steady) * math.exp(-(k1 + k2) * 10.0)
    assert result.predictions == pytest.approx([a0, later], abs=1e-5)
    residuals = (np.array([0.7, 0.1]) - np.array([a0, later])) / 0.5
    assert result.chi2 == pytest.approx(float(residuals @ residuals), rel=1e-4)
    constant = -len(residuals) * math.log(0.5 * math.sqrt(2 * math.pi))
    assert result.log_likelihood == pytest.approx(constant - 0.5 * float(residuals @ residuals), rel=1e-4)


def test_an_override_beats_the_initial_assignment(shared_data: Path) -> None:
    """Case 0019: A has an initial assignment and is set by the condition to an estimated parameter."""
    problem = hexamer.load_problem(shared_data / "petab_test_suite" / "0019" / "_0019.yaml")
    assert problem.evaluate({"initial_A": 4.5}).predictions[0] == pytest.approx(4.5)


@pytest.mark.tier("slow")
def test_overrides_enter_initial_assignments(shared_data: Path) -> None:
    """Bachmann: conditions set multipliers that only the initial assignments of species use.

    In condition 8 CIS is overexpressed: CIS(0) = init_CIS_multiplier · CISEqc · CISEqcOE with the multiplier
    1, in condition 7 with 0; their observations at time 0 show it.
    """
    name = "Bachmann_MSB2011"
    path = problem_path(shared_data, name)
    dataset = read_petab(path)
    predictions = hexamer.load_problem(path).evaluate().predictions
    values = {n: p.value or 0.0 for n, p in dataset.parameters.items()}
    start = {
        m.protocol: (m, v)
        for m, v in zip(dataset.measurements, predictions, strict=True)
        if m.observable == "observable_CIS_au" and m.time == 0
    }
    for protocol, multiplier in (("model1_data7", 0.0), ("model1_data8", 1.0)):
        measurement, value = start[protocol]
        offset, scale = (values[str(a)] for a in measurement.arguments[:2])
        assert value == pytest.approx(offset + scale * multiplier * values["CISEqcOE"], rel=1e-6)
