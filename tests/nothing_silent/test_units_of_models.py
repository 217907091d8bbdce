"""A model in any units gives the likelihood it gives in minutes and nM; contradictions are refused."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from helpers import ENGINES, SOLVERS
from hexamer import load_problem
from hexamer.data import Parameter, Prior, load
from hexamer.data.quantities.model_units import ModelUnits
from hexamer.infer.doses.amounts import doses_of
from hexamer.models import load_model, load_network, write_sbml
from support.data_folder import complaints
from support.egfr import EXACT, FOLDER, HOURS, IN_HOURS, PICOMOLES, TRUTH, changed

pytestmark = pytest.mark.tier("test")


@pytest.fixture(scope="module")
def nllh(tmp_path_factory: pytest.TempPathFactory) -> float:
    """Of the case as it is, at its true values."""
    problem = load_problem(changed(tmp_path_factory.mktemp("min"))).with_settings(**EXACT)
    return problem.evaluate(TRUTH).nllh


def by_hour(values: dict[str, float]) -> dict[str, float]:
    rates = ("kon", "kint", "kp", "kdp", "kf", "kfd", "ksec", "kbas")
    return {n: v * 60 if n in rates else v for n, v in values.items()}


def in_picomolar(values: dict[str, float]) -> dict[str, float]:
    powers = {"kon": -1, "Kd": 1, "kp": -1, "KF": 1, "kbas": 1, "sd_blot": 1}
    powers |= {n: -1 for n in values if n.startswith("scale_pERK")}
    return {n: v * 1000.0 ** powers.get(n, 0) for n, v in values.items()}


IN_PICOMOLAR = [
    ("model egfr\n", f"model egfr\n{PICOMOLES}\n"),
    ("R0 = 20;", "R0 = 20000;"),
    ("ERK0 = 500;", "ERK0 = 500000;"),
    ("kon_D = 0.1; Kd_D = 1", "kon_D = 1e-4; Kd_D = 1000"),
]


@pytest.mark.parametrize("engine", ENGINES)
def test_a_model_in_hours(engine: str, nllh: float, tmp_path: Path) -> None:
    folder = changed(tmp_path, model=IN_HOURS, problem=('name = "egfr"', 'name = "egfr"\ntime_unit = "min"'))
    problem = load_problem(folder).with_settings(solver=SOLVERS[engine], **EXACT)
    assert problem.dataset.time_unit == "h"
    assert max(m.time for m in problem.dataset.measurements) == pytest.approx(6)
    assert problem.evaluate(by_hour(TRUTH)).nllh == pytest.approx(nllh, rel=1e-9)
    kint = problem.parameters["kint"]
    assert (kint.unit, kint.prior and kint.prior.location) == ("1/h", pytest.approx(-3 + math.log(60)))
    assert problem.parameters["kon"].unit == "1/(nM h)"


def test_a_model_in_seconds(nllh: float, tmp_path: Path) -> None:
    seconds = [
        ("model egfr\n", "model egfr\nunit time_unit = second;\n"),
        ("kdeg = 0.01; R0 = 20; klys = 0.03", f"kdeg = {0.01 / 60!r}; R0 = 20; klys = {0.03 / 60!r}"),
    ]
    folder = changed(tmp_path, model=seconds, problem=('name = "egfr"', 'name = "egfr"\ntime_unit = "min"'))
    values = {n: v * (by_hour(TRUTH)[n] / v) ** -1 if v else v for n, v in TRUTH.items()}
    problem = load_problem(folder).with_settings(**EXACT)
    assert problem.evaluate(values).nllh == pytest.approx(nllh, rel=1e-9)
    assert problem.parameters["kint"].unit == "1/s"


def test_a_model_in_picomoles(nllh: float, tmp_path: Path) -> None:
    problem = load_problem(changed(tmp_path, model=IN_PICOMOLAR)).with_settings(rtol=1e-10, atol=1e-10)
    assert problem.evaluate(in_picomolar(TRUTH)).nllh == pytest.approx(nllh, rel=1e-9)
    assert problem.parameters["Kd"].unit == "pM"
    assert problem.parameters["scale_pERK[gel1]"].unit == "au/pM"
    prior = problem.parameters["sd_blot"].prior
    assert prior is not None
    assert prior.spread == pytest.approx(1e4)


def test_the_same_units_in_sbml(nllh: float, tmp_path: Path) -> None:
    folder = changed(
        tmp_path, model=IN_HOURS, problem=('model = "model.ant"', 'model = "model.xml"\ntime_unit = "min"')
    )
    (folder / "model.xml").write_text(write_sbml(load_network(folder / "model.ant")))
    problem = load_problem(folder).with_settings(**EXACT)
    assert problem.evaluate(by_hour(TRUTH)).nllh == pytest.approx(nllh, rel=1e-9)


CONTRADICTIONS = {
    "a unit of the table": (
        IN_HOURS,
        "",
        "'time_unit': the key is missing; the model's times are in h: state the unit",
    ),
    "model_time_unit": (
        IN_HOURS,
        'time_unit = "min"\nmodel_time_unit = "min"',
        "'model_time_unit' holds 'min'; expected 'h', as the model declares",
    ),
    "extent": (
        [("model egfr\n", "model egfr\nunit substance = 1e-9 mole; unit extent = 1e-12 mole;\n")],
        "",
        "the model 'egfr' counts the species EGF in nmol, but its reactions turn over pmol",
    ),
    "time": (
        [("model egfr\n", "model egfr\nunit time_unit = 1e-9 mole;\n")],
        "",
        "declares its unit of time as nmol, which is not one of time",
    ),
}

UNITS_OF_SPECIES = {
    "a concentration": ("unit uM = 1e-6 mole/litre; EGF has uM", "uM", 1 / 6e3),
    "an amount": ("unit u = 1e-6 mole; EGF has u", "uM", 1 / 6e3),
    "an amount beside a volume": ("unit u = 1e-6 mole; unit ml = 1e-3 litre; medium has ml; EGF has u", "mM", 1 / 6e6),
    "a concentration beside a volume": ("unit uM = 1e-6 mole/litre; medium has litre; EGF has uM", "uM", 1 / 6e3),
    "a name that is known": ("EGF has pM", "pM", 1e3 / 6),
    "of another species": ("unit uM = 1e-6 mole/litre; D has uM", "uM", 1 / 6e3),
}


@pytest.mark.parametrize("case", UNITS_OF_SPECIES)
def test_the_unit_that_a_model_says_of_a_species(case: str, tmp_path: Path) -> None:
    """Antimony writes `X has u` by a name that it defines nowhere, which was dropped, and the model taken in nM."""
    text, unit, factor = UNITS_OF_SPECIES[case]
    folder = changed(tmp_path, model=("kon = 0.1;", f"{text}; kon = 0.1;"))
    given = load(folder).inputs[0]
    assert (given.model_unit, given.factor) == (unit, pytest.approx(factor, rel=1e-9))
    path = folder / "model.xml"
    path.write_text(write_sbml(load_network(folder / "model.ant")))
    units = ModelUnits(load_network(path))
    assert (str(units.of("EGF")), str(units.concentration)) == (unit, unit)


UNDEFINED_UNITS = {
    "EGF has nope": "has the species EGF in the unit 'nope', which it does not define: define it, such as `unit nope =",
    "medium has nope": "has the compartment medium in the unit 'nope', which it does not define",
    "unit substance = uM": "has its substance in the unit 'substance', which it does not define",
    "unit extent = uM": "has its extent in the unit 'extent', which it does not define",
    "unit time_unit = h": "which it does not define: define it, such as `unit time_unit = 60 second` in Antimony",
    "unit volume = ml": "which it does not define: define it, such as `unit volume = 1 litre` in Antimony",
    "kint has nope": "priors.csv, row 3, 'unit' holds '1/min'; expected the unit of kint; the model 'egfr' has kint in",
    "unit uM = 1e-6 mole/litre; EGF has uM; unit nM = 1e-9 mole/litre; C has nM": "counts the species EGF in umol and "
    "C in nmol, and the reaction bind turns over both: declare one unit",
}


@pytest.mark.parametrize("text", UNDEFINED_UNITS)
def test_a_unit_that_the_model_does_not_define(text: str, tmp_path: Path) -> None:
    folder = changed(tmp_path, model=("kon = 0.1;", f"{text}; kon = 0.1;"))
    assert UNDEFINED_UNITS[text] in complaints(folder)


def test_an_undefined_unit_in_sbml(tmp_path: Path) -> None:
    folder = changed(tmp_path, problem=('model = "model.ant"', 'model = "model.xml"'))
    text = write_sbml(load_network(folder / "model.ant")).replace('id="EGF"', 'id="EGF" substanceUnits="nope"')
    (folder / "model.xml").write_text(text)
    assert "has the species EGF in the unit 'nope', which it does not define" in complaints(folder)


@pytest.mark.parametrize("case", CONTRADICTIONS)
def test_contradictions_of_model_and_tables(case: str, tmp_path: Path) -> None:
    model, keys, message = CONTRADICTIONS[case]
    folder = changed(tmp_path, model=model, problem=('name = "egfr"', f'name = "egfr"\n{keys}'))
    assert message in complaints(folder)


def test_a_model_whose_unit_of_time_the_problem_states(nllh: float, tmp_path: Path) -> None:
    stated = 'name = "egfr"\ntime_unit = "min"\nmodel_time_unit = "h"'
    folder = changed(tmp_path, model=IN_HOURS[1:], problem=('name = "egfr"', stated))
    problem = load_problem(folder).with_settings(**EXACT)
    assert problem.evaluate(by_hour(TRUTH)).nllh == pytest.approx(nllh, rel=1e-9)
    assert not [n for n in problem.dataset.notes if "time in" in n]


def test_another_network_in_other_units(tmp_path: Path) -> None:
    folder = changed(tmp_path)
    other = tmp_path / "hours.ant"
    other.write_text((folder / "model.ant").read_text().replace("model egfr\n", f"model egfr\n{HOURS}\n"))
    with pytest.raises(ValueError, match="egfr has its times in h, and the network egfr of the data has them in min"):
        load_problem(folder, model=other)


def test_labels(tmp_path: Path) -> None:
    from hexamer.infer import plots

    folder = changed(tmp_path, model=IN_HOURS, problem=('name = "egfr"', 'name = "egfr"\ntime_unit = "min"'))
    problem = load_problem(folder)
    figures = plots.evaluation(problem, problem.evaluate(by_hour(TRUTH)))
    assert "time [h]" in {ax.get_xlabel() for figure in figures for ax in figure.axes}


def test_doses_over_a_model_in_its_own_units(tmp_path: Path) -> None:
    plain, hours, picomolar = (
        load_model(changed(tmp_path / name, model=edits) / "model.ant")
        for name, edits in (("min", []), ("h", IN_HOURS), ("pM", IN_PICOMOLAR))
    )
    for model, factor, unit in ((plain, 1, "nM"), (hours, 1, "nM"), (picomolar, 1000, "pM")):
        found = doses_of(model, "EGF", "6 ng/ml", molar_mass="6 kDa")
        assert (found.values[0], found.model_unit) == (pytest.approx(factor), unit)
    for unit in ("mg/kg", "IU/ml", "%", "mol", "furlong"):
        with pytest.raises(ValueError, match=r"doses of EGF: unit .*give them as concentrations"):
            doses_of(plain, "EGF", f"6 {unit}", molar_mass="6 kDa")


def test_priors_from_python(tmp_path: Path) -> None:
    given = {"kdeg": Parameter("kdeg", Prior("normal", "log", -4.6, 1.0), unit="1/min")}
    keys = ('name = "egfr"', 'name = "egfr"\ntime_unit = "min"')
    problem = load_problem(changed(tmp_path, model=IN_HOURS, problem=keys), priors=given)
    prior = problem.parameters["kdeg"].prior
    assert prior is not None
    assert (prior.location, problem.parameters["kdeg"].unit) == (pytest.approx(-4.6 + math.log(60)), "1/h")
    with pytest.raises(ValueError, match="the prior of kdeg is in '1/mim'; expected unit '1/mim' is not known"):
        load_problem(tmp_path, priors={"kdeg": Parameter("kdeg", Prior("normal", "log"), unit="1/mim")})


def test_a_petab_problem_is_in_its_models_units() -> None:
    """PEtab states no units, so nothing is converted or assumed, and figures say none."""
    path = next((FOLDER.parent / "resized-compartment").glob("**/*.yaml"))
    data = load(path)
    assert data.time_unit == ""
    assert not [n for n in data.notes if "declares no unit" in n]
