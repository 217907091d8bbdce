"""The reader of PEtab v1: what arrives in the data set, and what is refused by name."""

import logging
import math
from collections.abc import Callable
from pathlib import Path

import antimony
import pytest
import sympy

from hexamer.data.parameter import Prior
from hexamer.data.petab import read_petab
from hexamer.models.protocols.protocol import Protocol, Step
from support.petab_problem import YAML_V1 as YAML

pytestmark = pytest.mark.tier("check")

MODEL = """
model tiny
  compartment cell = 2;
  species A in cell, B in cell;
  A = a0; B = 0;
  a0 = 1; k1 = 0.5; k2 = 0.2;
  forward: A -> B; cell * k1 * A;
  backward: B -> A; cell * k2 * B;
end
"""


CONDITIONS = """
conditionId conditionName A  cell k1
before      rest          2  3    NaN
after       stimulus      x0 NaN  0.8
"""

OBSERVABLES = """
observableId observableFormula             observableTransformation noiseFormula                noiseDistribution
obs_a        observableParameter1_obs_a*A^2+time lin                noiseParameter1_obs_a+0.1*obs_a laplace
obs_b        B                             log10                    0.5                         normal
"""

MEASUREMENTS = """
observableId preequilibrationConditionId simulationConditionId time measurement observableParameters noiseParameters datasetId replicateId
obs_a        before                      after                 0    1.5         s                    0.25            gel_1     a
obs_a        NaN                         after                 2.5  1.5         2                    sd              gel_2     NaN
obs_b        NaN                         before                5    0.5         NaN                  NaN             NaN       NaN
"""  # noqa: E501

PARAMETERS = """
parameterId parameterScale lowerBound upperBound nominalValue estimate objectivePriorType     objectivePriorParameters
k2          log10          0.001      1000       0.2          1        NaN                    NaN
s           log10          0.001      1000       NaN          1        normal                 2;0.5
sd          lin            -1         10         0.3          1        logNormal              0;1
x0          log            1          100        2.0          1        parameterScaleLaplace  1;2
a0          lin            0          5          0.7          0        NaN                    NaN
"""

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes the problem above, with texts replaced by keyword: old text, new text of one of its tables."""
    antimony.clearPreviousLoads()
    assert antimony.loadAntimonyString(MODEL) >= 0, antimony.getLastError()

    def make(**changes: tuple[str, str]) -> Path:
        texts = {
            "yaml": YAML,
            "conditions": CONDITIONS,
            "observables": OBSERVABLES,
            "measurements": MEASUREMENTS,
            "parameters": PARAMETERS,
        }
        for name, (old, new) in changes.items():
            assert old in texts[name]
            texts[name] = texts[name].replace(old, new)
        (tmp_path / "model.xml").write_text(str(antimony.getSBMLString("tiny")))
        (tmp_path / "_tiny.yaml").write_text(texts.pop("yaml"))
        for name, text in texts.items():
            lines = ["\t".join(line.split()) for line in text.strip().splitlines()]
            (tmp_path / f"{name}.tsv").write_text("\n".join(lines) + "\n")
        return tmp_path / "_tiny.yaml"

    return make


def test_identity(write: Write) -> None:
    path = write()
    dataset = read_petab(str(path))
    assert dataset.name == "tiny"
    assert Path(dataset.model) == (path.parent / "model.xml").resolve()
    assert "_tiny.yaml" in dataset.source


def test_observables(write: Write) -> None:
    observables = read_petab(write()).observables
    scale, a, time, sd = (
        sympy.Symbol(name) for name in ("observableParameter1_obs_a", "A", "time", "noiseParameter1_obs_a")
    )
    formula = scale * a**2 + time
    assert observables["obs_a"].formula == formula
    noise = observables["obs_a"].noise_formula  # the observable it names is written out
    assert sympy.simplify(noise - sd - formula / 10) == 0
    assert observables["obs_a"].placeholders == ("observableParameter1_obs_a", "noiseParameter1_obs_a")
    assert (observables["obs_a"].scale, observables["obs_a"].noise) == ("lin", "laplace")
    assert (observables["obs_b"].scale, observables["obs_b"].noise) == ("log10", "normal")
    assert float(observables["obs_b"].noise_formula) == 0.5


def test_symbols_carry_no_assumptions(write: Write) -> None:
    for observable in read_petab(write()).observables.values():
        for symbol in observable.formula.free_symbols | observable.noise_formula.free_symbols:
            assert symbol == sympy.Symbol(str(symbol))


def test_whole_exponents_are_exact(write: Write) -> None:
    formula = read_petab(write()).observables["obs_a"].formula
    assert [power.exp for power in formula.atoms(sympy.Pow)] == [sympy.Integer(2)]


def test_protocols(write: Write) -> None:
    protocols = read_petab(write()).protocols
    after = (Step(0.0, assign={"A": "x0", "k1": 0.8}),)
    assert protocols == {
        "before → after": Protocol("before → after", preequilibration={"A": 2.0, "cell": 3.0}, steps=after),
        "after": Protocol("after", steps=after),
        "before": Protocol("before", steps=(Step(0.0, assign={"A": 2.0, "cell": 3.0}),)),
    }


def test_measurements(write: Write) -> None:
    first, second, third = read_petab(write()).measurements
    assert (first.protocol, first.time, first.value, first.row) == ("before → after", 0.0, 1.5, 1)
    assert (first.arguments, first.experiment) == (("s", 0.25), "gel_1/a")
    assert (second.protocol, second.arguments, second.experiment) == ("after", (2.0, "sd"), "gel_2")
    assert (third.observable, third.protocol, third.arguments, third.experiment) == (
        "obs_b",
        "before",
        (),
        "",
    )


def test_parameters(write: Write) -> None:
    parameters = read_petab(write()).parameters
    assert parameters["k2"].prior == Prior("uniform", "log10", lower=-3.0, upper=3.0)
    assert parameters["s"].prior == Prior("normal", "lin", location=2.0, spread=0.5, lower=0.001, upper=1000.0)
    assert parameters["s"].scale == "log10"
    assert parameters["s"].value is None
    sd = Prior("normal", "log", location=0.0, spread=1.0, lower=-math.inf, upper=math.log(10))
    assert parameters["sd"].prior == sd
    assert parameters["sd"].scale == "lin"
    x0 = Prior("laplace", "log", location=1.0, spread=2.0, lower=0.0, upper=math.log(100))
    assert parameters["x0"].prior == x0
    assert not parameters["a0"].estimated
    assert parameters["a0"].value == 0.7


def test_an_assumed_prior_is_noted(write: Write) -> None:
    note, resized = read_petab(write()).notes
    assert "cell is resized after pre-equilibration: amounts are kept" in resized
    assert "uniform on log10 scale" in note
    assert note.endswith(": k2")


@pytest.mark.parametrize(
    ("given", "prior"),
    [
        ("uniform 0.01;5", Prior("uniform", "lin", lower=0.01, upper=5.0)),
        ("laplace 1;2", Prior("laplace", "lin", location=1.0, spread=2.0, lower=0.001, upper=1000.0)),
        ("parameterScaleUniform -9;1", Prior("uniform", "log10", lower=-3.0, upper=1.0)),
        ("parameterScaleNormal 0;1", Prior("normal", "log10", location=0, spread=1, lower=-3, upper=3)),
        (
            "logLaplace 0;1",
            Prior("laplace", "log", spread=1.0, lower=math.log(0.001), upper=math.log(1000.0)),
        ),
    ],
)
def test_priors(write: Write, given: str, prior: Prior) -> None:
    read = read_petab(write(parameters=("normal                 2;0.5", given))).parameters["s"].prior
    assert read == prior


@pytest.mark.parametrize(
    ("table", "old", "new", "message"),
    [
        (
            "yaml",
            "format_version: 1",
            "format_version: 3.0.0",
            "format_version is 3.0.0: PEtab v1 and v2 are supported",
        ),
        (
            "yaml",
            "  condition_files",
            "  mapping_files: [m.tsv]\n  condition_files",
            "mapping tables .* m.tsv",
        ),
        ("yaml", "[model.xml]", "[model.xml, other.xml]", "2 models, model.xml, other.xml"),
        ("yaml", "- sbml_files", "- {}\n- sbml_files", "2 problems"),
        ("yaml", "sbml_files: [model.xml]", "model_files: {m: {language: pysb}}", "'pysb': only SBML"),
        ("yaml", "problems:", "extensions: {sub: {}}\nproblems:", "extensions are not supported: sub"),
        ("yaml", "  observable_files: [observables.tsv]\n", "", "problems/0: missing key observable_files"),
        ("measurements", "5    0.5", "-inf 0.5", r"row 3, 'time' holds '-inf'; expected a number from 0 up, or inf"),
        ("measurements", "5    0.5", "-1   0.5", r"row 3, 'time' holds '-1'; expected a number from 0 up"),
        ("measurements", "5    0.5", "5    0", r"row 3, 'measurement' holds '0'.*obs_b is on a logarithmic scale"),
        ("measurements", "after                 2.5", "later                 2.5", "later"),
        ("conditions", "NaN  0.8", "NaN  inf", r"conditions.tsv, row 2, 'k1' holds 'inf'; expected a finite number"),
        ("observables", "log10                    0.5", "lin noiseParameter1_obs_a", "placeholder of obs_a"),
        (
            "parameters",
            "2;0.5",
            "2;0",
            "row 2, 'objectivePriorParameters' holds '2;0'; expected a second number above 0",
        ),
        ("parameters", "k2 ", "k3 ", "k3"),
    ],
)
def test_refusals(write: Write, table: str, old: str, new: str, message: str) -> None:
    path = write(**{table: (old, new)})
    with pytest.raises(ValueError, match=message):
        read_petab(path)


def test_all_problems_at_once(write: Write) -> None:
    path = write(measurements=("5    0.5", "-1   0.5"), parameters=("k2 ", "k3 "))
    with pytest.raises(ValueError, match=r"(?s)row 3, 'time'.*parameters.tsv, row \d, 'parameterId' holds 'k3'"):
        read_petab(path)


def test_missing_files_are_listed(write: Write) -> None:
    path = write()
    (path.parent / "conditions.tsv").unlink()
    (path.parent / "model.xml").unlink()
    with pytest.raises(FileNotFoundError, match=r"model\.xml, conditions\.tsv"):
        read_petab(path)
    with pytest.raises(FileNotFoundError, match="no PEtab problem"):
        read_petab(path.parent / "absent.yaml")


def test_the_library_is_left_as_it_was(write: Write) -> None:
    logger = logging.getLogger("petab.v1")
    before = (list(logger.handlers), logger.propagate)
    with pytest.raises(ValueError, match="later"):
        read_petab(write(measurements=("after                 2.5", "later                 2.5")))
    assert (logger.handlers, logger.propagate) == before


PUBLISHED = {  # rows, protocols, parameters, of these estimated
    "petab/Bachmann_MSB2011/Bachmann_MSB2011": (541, 36, 115, 113),
    "petab/Boehm_JProteomeRes2014/Boehm_JProteomeRes2014": (48, 1, 11, 9),
    "petab/Raia_CancerResearch2011/Raia_CancerResearch2011": (205, 4, 39, 39),
    "petab_test_suite/0001/_0001": (2, 1, 4, 4),
    "petab_test_suite/0003/_0003": (2, 1, 4, 4),
    "petab_test_suite/0005/_0005": (4, 2, 6, 6),
    "petab_test_suite/0007/_0007": (2, 1, 4, 4),
    "petab_test_suite/0009/_0009": (2, 1, 3, 3),
    "petab_test_suite/0011/_0011": (2, 1, 2, 2),
    "petab_test_suite/0013/_0013": (2, 1, 3, 3),
    "petab_test_suite/0015/_0015": (2, 1, 5, 5),
    "petab_test_suite/0017/_0017": (2, 1, 1, 1),
    "petab_test_suite/0019/_0019": (2, 1, 4, 3),
}


@pytest.mark.tier("test")
@pytest.mark.parametrize("name", PUBLISHED)
def test_published_problems(shared_data: Path, name: str) -> None:
    dataset = read_petab(shared_data / f"{name}.yaml")
    estimated = [p for p in dataset.parameters.values() if p.estimated]
    sizes = (len(dataset), len(dataset.protocols), len(dataset.parameters), len(estimated))
    assert sizes == PUBLISHED[name]
    assert [m.row for m in dataset.measurements] == list(range(1, len(dataset) + 1))
    assert Path(dataset.model).is_file()


def test_partial_preequilibration(shared_data: Path) -> None:
    dataset = read_petab(shared_data / "petab_test_suite/0017/_0017.yaml")
    (protocol,) = dataset.protocols.values()
    assert protocol.name == "preeq_c0 → c0"
    assert protocol.preequilibration == {"k1": 0.3, "B": 2.0, "A": 0.0}
    assert protocol.steps == (Step(0.0, assign={"k1": 0.8, "A": 1.0}),)  # B is kept


def test_a_prior_on_the_parameter_scale(shared_data: Path) -> None:
    dataset = read_petab(shared_data / "petab/Bachmann_MSB2011/Bachmann_MSB2011.yaml")
    prior = dataset.parameters["init_EpoRJAK2"].prior
    assert prior is not None
    assert (prior.family, prior.scale) == ("normal", "log10")
    assert (prior.location, prior.spread) == (0.599470870492697, 0.193459292722329)


def test_what_is_left_unread_is_noted(shared_data: Path) -> None:
    """Its measurements repeat the observables' scale and noise: read now, and compared."""
    notes = read_petab(shared_data / "petab/Raia_CancerResearch2011/Raia_CancerResearch2011.yaml").notes
    assert not any("observableTransformation" in note for note in notes)
    assert any("visualization" in note for note in notes)
