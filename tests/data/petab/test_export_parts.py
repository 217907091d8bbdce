"""Parts of the PEtab export: ids, priors and noise formulas."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest
import sympy
import yaml

from hexamer.data import Dataset, Measurement, Observable, Parameter, Prior
from hexamer.data.parameter import effective_prior
from hexamer.data.petab.export import PetabExportError, write_petab
from hexamer.data.petab.export.ids import Ids, is_id
from hexamer.data.petab.export.noise import by_reading
from hexamer.data.petab.export.priors import v1_row, v2_row
from hexamer.data.petab.v1_priors import prior_of as v1_prior
from hexamer.data.petab.v2_priors import FAMILIES
from hexamer.data.scale import Scale
from hexamer.infer.problem.numpyro_bridge import PriorDistribution
from hexamer.models import Protocol, Step, read_antimony
from hexamer.models.networks.formulas import TIME
from hexamer.models.networks.network import Quantity

pytestmark = pytest.mark.tier("check")

NETWORK = read_antimony(
    "model m; compartment c = 2; species A in c, B in c; A = 1; B = 0; k = 0.5; R: A -> B; c*k*A; end"
)
A, K = sympy.symbols("A k")


def test_ids_are_petabs_and_each_stands_once() -> None:
    ids = Ids({"IL6", "IL6_10_ng_ml"})
    assert [ids.new(n) for n in ("IL6 10 ng/ml", "IL6 10 ng.ml", "10", "", "[gel]", "time", "µ")] == [
        *("IL6_10_ng_ml_2", "IL6_10_ng_ml_3", "_10", "unnamed", "gel", "_time", "unnamed_2"),
    ]
    assert is_id("k_1")
    assert not any(map(is_id, ("inf", "1k", "k-1", "", "time", "noiseParameter1_y")))


PRIORS = [
    Prior("normal", location=1.5, spread=0.3),
    Prior("normal", location=1.5, spread=0.3, lower=0.5, upper=2.0),
    Prior("normal", "log", location=-1.0, spread=0.5),
    Prior("normal", "log10", location=-1.0, spread=0.5, lower=-3.0),
    Prior("laplace", location=0.2, spread=0.4),
    Prior("laplace", "log10", location=0.2, spread=0.4, upper=1.0),
    Prior("cauchy", location=0.2, spread=0.4),
    Prior("half_normal", spread=0.7),
    Prior("half_cauchy", spread=0.7, upper=9.0),
    Prior("exponential", spread=2.0),
    Prior("gamma", spread=2.0, shape=3.0, lower=1.0),
    Prior("rayleigh", spread=0.4),
    Prior("uniform", lower=-1.0, upper=3.0),
    Prior("uniform", "log", lower=-1.0, upper=3.0),
    Prior("uniform", "log10", lower=-1.0, upper=1.0),
]


def density(prior: Prior, theta: float) -> float:
    """log density of θ, normalised within the bounds."""
    return float(PriorDistribution(Parameter("p", prior=prior)).log_prob(theta))


@pytest.mark.parametrize("prior", PRIORS, ids=lambda p: p.short_text)
def test_v2_has_the_same_density(prior: Prior) -> None:
    row = v2_row(Parameter("p", prior=prior))
    assert row is not None
    family = FAMILIES[row.distribution]
    low, high = (family.scale.of(b) if b > 0 or family.scale == "lin" else -math.inf for b in (row.lower, row.upper))
    read = Prior(
        family.family or row.distribution, family.scale, **{"lower": low, "upper": high, **family.make(*row.numbers)}
    )
    for theta in (0.9, 1.6):
        assert density(read, theta) == pytest.approx(density(prior, theta), abs=1e-12)


@pytest.mark.parametrize("search", ["lin", "log", "log10"])
@pytest.mark.parametrize("prior", PRIORS, ids=lambda p: p.short_text)
def test_v1_has_the_same_density_or_none(prior: Prior, search: str) -> None:
    parameter = Parameter("p", prior=prior, scale=search)
    row = v1_row(parameter)
    unknown = prior.family in ("cauchy", "half_cauchy", "exponential", "gamma", "rayleigh")
    if row is None:
        assert unknown or (prior.family == "uniform" and prior.scale != "lin" and search == "lin")
        return
    cells = {"lowerBound": repr(row.lower), "upperBound": repr(row.upper)}
    if row.distribution:
        cells["objectivePriorType"] = row.distribution
        cells["objectivePriorParameters"] = ";".join(map(repr, row.numbers))
    read = v1_prior(cells, Scale(search))
    for theta in (0.9, 1.6):
        assert density(read, theta) == pytest.approx(density(effective_prior(parameter), theta), abs=1e-12)


@pytest.mark.parametrize(
    "prior",
    [
        Prior("student_t", shape=4.0),
        Prior("inverse_gamma", spread=1.0, shape=3.0),
        Prior("cauchy", "log"),
    ],
    ids=lambda p: p.short_text,
)
def test_priors_that_petab_lacks(prior: Prior) -> None:
    assert v2_row(Parameter("p", prior=prior)) is None
    assert v1_row(Parameter("p", prior=prior)) is None


def test_noise_by_the_reading() -> None:
    x, w, s, r, b, y = sympy.symbols("x w s r b y")
    blot = s * sympy.sqrt((r * x) ** 2 + b**2)
    assert by_reading(blot, s * x, y, {x, w}).equals(s * sympy.sqrt((r * y / s) ** 2 + b**2))
    both = s * sympy.sqrt(r**2 * (x + 2 * w) ** 2 + b**2)
    assert by_reading(both, s * (x + 2 * w) + b, y, {x, w}).free_symbols == {s, r, b, y}
    assert by_reading(b * x, s * x**2, y, {x}) == b * x  # not linear
    assert by_reading(b * w, s * x, y, {x, w}) == b * w  # the reading does not tell w
    assert by_reading(s * b, s * x, y, {x}) == s * b


def dataset(
    *measurements: Measurement,
    observable: Observable = Observable("o", A, sympy.Float(0.1)),  # noqa: B008
    protocol: Protocol = Protocol("p"),  # noqa: B008
    **parameters: Parameter,
) -> Dataset:
    rows = measurements or (Measurement("o", "p", 1.0, 0.5, row=1),)
    return Dataset("tiny", {"o": observable}, {"p": protocol}, rows, parameters, tables=(("m.csv", 0),))


def refusal(data: Dataset, folder: Path, version: int = 2) -> str:
    with pytest.raises(PetabExportError) as error:
        write_petab(data, NETWORK, folder / "out", constants=("k", "c"), version=version)
    assert not (folder / "out").exists()
    return str(error.value)


def test_contaminated_noise_is_refused(tmp_path: Path) -> None:
    observable = Observable("o", A, sympy.Float(0.1), noise="contaminated(0.05, 10)")
    assert refusal(dataset(observable=observable), tmp_path).splitlines()[1:] == [
        "  observable o has contaminated(0.05, 10) noise; PEtab has normal and laplace: give it one of these by its "
        "key `noise`, or Observable(noise=…)"
    ]


def test_what_petab_cannot_say_is_said_at_once(tmp_path: Path) -> None:
    data = dataset(
        Measurement("o", "p", 1.0, 0.5, row=1),
        Measurement("o", "p", 2.0, 0.5, row=2, censored="left"),
        observable=Observable("o", A, sympy.Float(0.1), noise="student_t(4)"),
        protocol=Protocol("p", steps=(Step(1.0, {"c": 3.0}),)),
        k=Parameter("k", Prior("inverse_gamma", spread=1.0, shape=3.0)),
    )
    assert refusal(data, tmp_path).splitlines() == [
        "tiny cannot be written as PEtab v2:",
        "  observable o has student_t(4) noise; PEtab has normal and laplace: give it one of these by its key `noise`, "
        "or Observable(noise=…)",
        "  1 of 2 measurements are limits, which PEtab's likelihood does not have (m.csv, row 2, o, is left-censored "
        "at 0.5): remove these rows from a copy of the data, and export that",
        "  protocol 'p': at time 1, it resizes c and keeps the amounts in it; PEtab v2 keeps the concentrations: "
        "write the species of that compartment as amounts in the model",
        "  parameter k has the prior θ ~ inverse-gamma(1, 3), and PEtab v2 has normal, laplace and uniform (also of "
        "its logarithm), cauchy, exponential, gamma and rayleigh: take one",
    ]


@pytest.mark.parametrize(
    ("protocol", "expected"),
    [
        (Protocol("p", steps=(Step(1.0, {"k": 3.0}),)), "it changes something at 0, 1; PEtab v1 has changes at time 0"),
        (Protocol("p", start=-5.0), "it changes something at -5; PEtab v1 has changes at time 0 only"),
        (
            Protocol.equilibrated("p").add("A", 1.0),
            "it adds to A, or sets it by a formula of A; conditions of PEtab v1",
        ),
        (Protocol.equilibrated("p").set(c=3.0), "it resizes c after the pre-equilibration, which PEtab v1 leaves open"),
    ],
)
def test_protocols_that_v1_cannot_say(tmp_path: Path, protocol: Protocol, expected: str) -> None:
    data = dataset(protocol=protocol if "c" not in protocol.targets else _keeping_concentrations(protocol))
    assert f"protocol 'p': {expected}" in refusal(data, tmp_path, version=1)


def _keeping_concentrations(protocol: Protocol) -> Protocol:
    return Protocol(protocol.name, protocol.preequilibration, protocol.steps, resizing_keeps="concentrations")


def test_formulas_that_petab_cannot_say(tmp_path: Path) -> None:
    said = refusal(dataset(observable=Observable("o", sympy.floor(A), sympy.Float(0.1))), tmp_path)
    assert said.splitlines()[1] == (
        "  observable 'o': PEtab cannot write the formula floor(A), the function floor: write it in the model, "
        "as a rule"
    )


def test_time_that_is_something_else(tmp_path: Path) -> None:
    network = replace(NETWORK, parameters={**NETWORK.parameters, "time": Quantity(3.0)})
    data = dataset(observable=Observable("o", A * TIME, sympy.Float(0.1)))
    with pytest.raises(PetabExportError, match="o uses time, and the model calls something else 'time': rename that"):
        write_petab(data, network, tmp_path / "out", constants=("time", "c"))


def test_a_folder_with_files_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(FileExistsError, match="is not empty: name another one, or allow that files in it are replaced"):
        write_petab(dataset(), NETWORK, tmp_path, constants=("k", "c"))
    for folder in (tmp_path / "notes.txt", tmp_path / "notes.txt" / "in" / "it"):
        with pytest.raises(NotADirectoryError, match=r"cannot be a folder, as .*notes.txt is a file: name another one"):
            write_petab(dataset(), NETWORK, folder, constants=("k", "c"))
    assert [p.name for p in tmp_path.iterdir()] == ["notes.txt"]
    written = write_petab(dataset(), NETWORK, tmp_path, constants=("k", "c"), overwrite=True)
    assert yaml.safe_load(written.path.read_text())["format_version"] == "2.0.0"
    assert (tmp_path / "notes.txt").read_text() == "mine"
    with pytest.raises(ValueError, match="there is no PEtab version 3; known: 1, 2"):
        write_petab(dataset(), NETWORK, tmp_path, constants=(), version=3, overwrite=True)


def test_a_parameter_called_as_a_placeholder_is(tmp_path: Path) -> None:
    """PEtab v1 would take it for one that rows fill."""
    k = Parameter("noiseParameter1_o", Prior("normal", "log"))
    scaled = Observable("o", A * sympy.Symbol(k.name), sympy.Float(0.1))
    data = dataset(observable=scaled, **{k.name: k})  # pyright: ignore[reportArgumentType]
    written = write_petab(data, NETWORK, tmp_path / "out", constants=("k", "c"), version=1)
    assert written.ids == {k.name: "_noiseParameter1_o"}
    assert "A*_noiseParameter1_o" in (tmp_path / "out" / "observables.tsv").read_text()
