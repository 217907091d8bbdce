"""A run is resumed only if nothing that decides its draws has changed; what decides none may change freely."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import diffrax
import numpy as np
import pytest
import sympy

from helpers import CASES
from hexamer import Auto, Diffrax, Fused, Problem, Protocol, Settings, load_problem
from hexamer.data import Measurement, Observable, Parameter, Prior
from hexamer.infer import Draws, StoreError
from hexamer.infer.problem.identity import problem_digest, run_parts
from support.small_run import data, problem, run

pytestmark = pytest.mark.tier("test")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Draws]:
    """A run, finished."""
    folder = tmp_path_factory.mktemp("run")
    return folder, run(problem(), folder)


def measured(**changes) -> tuple[Measurement, ...]:
    """The measurements, the first one changed."""
    first, *others = data().measurements
    return dataclasses.replace(first, **changes), *others


def observed(**changes) -> dict[str, Observable]:
    found = dict(data().observables)
    return {**found, "B": dataclasses.replace(found["B"], **changes)}


def known(name: str, **changes) -> dict[str, Parameter]:
    found = dict(data().parameters)
    return {**found, name: dataclasses.replace(found[name], **changes)}


def backwards[T](mapping: Mapping[str, T]) -> dict[str, T]:
    return dict(list(mapping.items())[::-1])


A = sympy.Symbol("A")
TELLING: dict[str, tuple[Callable[[], Problem], str]] = {
    "rate rule": (lambda: problem(("x' = -v*x", "x' = -3*v*x")), "rates"),
    "start of a rate rule": (lambda: problem((" x = 1;", " x = 10;")), "start values"),
    "start of a species": (lambda: problem(("B = 0.25", "B = 0.5")), "start values"),
    "initial assignment": (lambda: problem(("a0 = 2*v", "a0 = 3*v")), "start values"),
    "volume": (lambda: problem(("cell = 2", "cell = 4")), "values of the parameters changed: cell was 2.0, now 4.0"),
    "function's body": (lambda: problem(("k*x/(1 + x)", "k*x/(2 + x)")), "rates"),
    "rule": (lambda: problem(("A + B + x", "A + B + 2*x")), "rules"),
    "rate law": (lambda: problem(("input*A", "2*input*A")), "rates"),
    "stoichiometry": (lambda: problem(("A -> B", "A -> 2 B")), "rates"),
    "parameter of the model": (lambda: problem(("v = 1; k", "v = 1; w = 2; k"), ("-v*x", "-v*w*x")), "the model"),
    "unit": (lambda: problem(("1e-9 mole", "1e-12 mole")), "units"),
    "measured value": (lambda: problem(measurements=measured(value=3.1)), "the measurements"),
    "time": (lambda: problem(measurements=measured(time=1.5)), "the measurements"),
    "censored": (lambda: problem(measurements=measured(censored="left")), "the measurements"),
    "row less": (lambda: problem(measurements=data().measurements[:-1]), "the measurements"),
    "rows in another order": (lambda: problem(measurements=data().measurements[::-1]), "the measurements"),
    "dose": (
        lambda: problem(protocols={**data().protocols, "driven": Protocol("driven").set(input=0.4, at=0.5)}),
        "the protocols",
    ),
    "pre-equilibration": (
        lambda: problem(protocols={**data().protocols, "idle": Protocol.equilibrated("idle", v=0.0)}),
        "the protocols",
    ),
    "formula": (lambda: problem(observables=observed(formula=A)), "the observables"),
    "noise": (lambda: problem(observables=observed(noise="laplace")), "the observables"),
    "scale": (lambda: problem(observables=observed(scale="log10")), "the observables"),
    "unit of an observable": (lambda: problem(observables=observed(unit="nM")), "the observables"),
    "prior": (lambda: problem(parameters=known("k", prior=Prior("normal", "log", -0.6, 0.5))), "priors.*: k"),
    "bound": (
        lambda: problem(parameters=known("k", prior=Prior("normal", "log", -0.7, 0.5, upper=3.0))),
        "priors.*: k",
    ),
    "search scale": (lambda: problem(parameters=known("k", scale="lin")), "priors.*: k"),
    "fixed value": (lambda: problem(parameters=known("v", value=1.1)), "priors or values changed: v"),
    "last digit of a fixed value": (
        lambda: problem(parameters=known("v", value=np.nextafter(1.0, 2.0))),
        "priors or values changed: v",
    ),
    "another parameter fixed": (
        lambda: problem(parameters=known("noise", prior=None, value=0.2)),
        "the sampled parameters changed .without noise",
    ),
    "order of priors": (
        lambda: problem(parameters=backwards(data().parameters)),
        "the sampled parameters changed .another order",
    ),
    "rtol": (lambda: problem(settings={"rtol": 1e-7}), "rtol was 1e-06, now 1e-07"),
    "atol": (
        lambda: problem(settings={"atol": 1e-9}),
        r"atol was not stated \(each species has its own, from rtol\), now 1e-09",
    ),
    "solver": (
        lambda: problem(settings={"solver": Diffrax(diffrax.Tsit5())}),
        r"\(engine was 'fused', now 'diffrax'; [^;]*; solver was 'Rodas5P', now 'Tsit5'[^;]*\):",
    ),
    "max_steps": (lambda: problem(settings={"max_steps": 100}), "max_steps was 4096, now 100"),
    "longest_step": (lambda: problem(settings={"longest_step": 0.1}), "longest_step was 0.0625, now 0.1"),
    "precision": (
        lambda: problem(settings={"solver": Fused("float32"), "rtol": 1e-4, "atol": 1e-6}),
        "precision was 'float64', now 'float32'",
    ),
}


@pytest.mark.tier("slow")
@pytest.mark.parametrize("case", TELLING)
def test_what_changes_draws_is_refused_by_name(case: str, whole) -> None:
    make, said = TELLING[case]
    with pytest.raises(StoreError, match=f"holds another run .*{said}.*choose another folder, or remove it"):
        run(make(), whole[0])


@pytest.mark.tier("slow")
@pytest.mark.parametrize(
    ("sampler", "said"),
    [
        ({"seed": 4}, "seed was 3, now 4"),
        ({"warmup": 5}, "warmup was 4, now 5"),
        ({"draws": 5}, "holds 10 iterations per chain, with the warmup, and 9 were asked for"),
        ({"chains": 2}, "chains was 1, now 2"),
        ({"target_acceptance": 0.9}, "target_acceptance was 0.8, now 0.9"),
        ({"max_tree_depth": 8}, "max_tree_depth was 10, now 8"),
        ({"initial": np.zeros((1, 2))}, "the points that the chains start from changed"),
    ],
)
def test_another_sampler_is_refused(sampler, said, whole) -> None:
    with pytest.raises(StoreError, match=said):
        run(problem(), whole[0], **sampler)


@pytest.mark.tier("slow")
@pytest.mark.parametrize("package", ["hexamer", "jax", "jaxlib", "numpyro", "warp-lang"])
def test_another_version_is_refused_and_says_which_made_the_run(package: str, whole, monkeypatch) -> None:
    """Bit for bit only the same code goes on."""
    installed = importlib.metadata.version

    def version(name: str) -> str:
        return "99.1" if name == package else installed(name)

    monkeypatch.setattr("hexamer.infer.problem.identity.version", version)
    code = r", code \w+" if package == "hexamer" else ""
    said = rf"it was made with {package} {installed(package)}{code} \(now 99\.1{code}\).*install those"
    with pytest.raises(StoreError, match=said):
        run(problem(), whole[0])


@pytest.mark.tier("slow")
def test_other_code_of_the_same_version_is_refused(whole, monkeypatch) -> None:
    """A checkout that was edited, whose version is what it was."""
    monkeypatch.setattr("hexamer.infer.problem.identity._code", lambda: "0123abcd")
    with pytest.raises(StoreError, match=r"made with hexamer \S+, code \w+ \(now \S+, code 0123abcd\)"):
        run(problem(), whole[0])


UNREAD = Observable("unread", A, sympy.Float(1.0))
NEUTRAL: dict[str, Callable[[], Problem]] = {
    "engine that is chosen anyhow": lambda: problem(settings={"solver": Auto()}),
    "threads": lambda: problem(settings={"solver": Fused(threads=1)}),
    "memory": lambda: problem(settings={"solver": Fused(memory=2**20)}),
    "record": lambda: problem(settings={"solver": Fused(record=16)}),
    "comment": lambda: problem(("// a comment", "// another one")),
    "spaces": lambda: problem(("k*x/(1 + x)", "(k * x) / (1+x)")),
    "name of the model": lambda: problem(("model small", "model other")),
    "name of a reaction": lambda: problem(("J: A", "flow: A")),
    "name of a function": lambda: problem(("drain", "leave")),
    "name of the folder": lambda: problem(name="elsewhere", model="other/model.ant"),
    "notes": lambda: problem(notes=("an assumption",), source="a lab"),
    "source of a prior": lambda: problem(parameters=known("k", source="guessed")),
    "lines of the table": lambda: problem(
        measurements=tuple(dataclasses.replace(m, row=9) for m in data().measurements)
    ),
    "order of observables": lambda: problem(observables=backwards(data().observables)),
    "order of protocols": lambda: problem(protocols=backwards(data().protocols)),
    "observable without rows": lambda: problem(observables={**data().observables, "unread": UNREAD}),
    "protocol without rows": lambda: problem(protocols={**data().protocols, "none": Protocol("none").set(v=3.0)}),
    "order of what is fixed": lambda: problem(parameters={n: data().parameters[n] for n in ("v", "k", "noise")}),
}


@pytest.mark.tier("slow")
@pytest.mark.parametrize("case", NEUTRAL)
def test_what_changes_no_draw_is_the_same_run(case: str) -> None:
    assert run_parts(NEUTRAL[case]()) == run_parts(problem())


def check_resumed(made: Problem, whole: tuple[Path, Draws], folder: Path) -> None:
    """A run killed after its second chunk of three goes on with `made`, bit for bit."""
    shutil.copytree(whole[0], folder)
    last = sorted(folder.glob("chunk-*.npz"))[-1]
    last.unlink()
    found = run(made, folder)
    assert last.exists()
    np.testing.assert_array_equal(found.z, whole[1].z)
    for name, values in whole[1].stats.items():
        np.testing.assert_array_equal(found.stats[name], values)


@pytest.mark.tier("slow")
def test_changes_of_no_draw_together_resume_bit_for_bit(whole, tmp_path: Path) -> None:
    made = problem(
        ("// a comment", "// another one"),
        ("model small", "model other"),
        ("J: A", "flow: A"),
        ("drain", "leave"),
        settings={"solver": Fused(threads=1, memory=2**20, record=16)},
        name="elsewhere",
        notes=("an assumption",),
        observables={"unread": UNREAD, **backwards(data().observables)},
        protocols=backwards(data().protocols),
        parameters={n: data().parameters[n] for n in ("v", "k", "noise")},
    )
    check_resumed(made, whole, tmp_path / "killed")


# The others resume together, in the test above; each alone would compile the sampler again.
ALONE = ("engine that is chosen anyhow", "spaces", "source of a prior", "lines of the table", "protocol without rows")


@pytest.mark.tier("slow")
@pytest.mark.parametrize("case", ALONE)
def test_what_changes_no_draw_resumes_bit_for_bit(case: str, whole, tmp_path: Path) -> None:
    check_resumed(NEUTRAL[case](), whole, tmp_path / "killed")


def test_a_new_field_belongs_to_the_identity() -> None:
    """Unless it is left out by name."""

    @dataclasses.dataclass(frozen=True)
    class More(Settings):
        switch: float = 0.0

    made = problem()
    parts = [run_parts(made.with_settings())]
    for switch in (0.0, 1.0):
        made.__dict__["settings"] = More(Fused(), switch=switch)
        parts.append(run_parts(made))
    assert parts[1]["settings"]["switch"] == 0.0
    assert parts[0] != parts[1] != parts[2]


@pytest.mark.parametrize("edited", ["rate_rule_edited", "start_edited"])
def test_case_edited_model_resumed(edited: str, tmp_path: Path) -> None:
    """x' = −k x from 2, read at 0.5 to 4, edited to −3 k x or to start at 20."""
    case = CASES / "edited-model-resumed"
    quick = Settings(Diffrax(diffrax.Tsit5()))
    before, after = (load_problem(case / f / "problem.yaml", settings=quick) for f in ("before", edited))
    assert problem_digest(before) == problem_digest(load_problem(case / "before" / "problem.yaml"))
    part = "rates" if edited == "rate_rule_edited" else "start values"
    (tmp_path / "run.json").write_text("{}")
    from hexamer.infer.sampling.store import refuse_another

    with pytest.raises(StoreError, match=rf"holds another run \(the model changed: its {part}\)"):
        refuse_another(tmp_path, run_parts(before), run_parts(after))


@pytest.mark.tier("slow")
def test_case_edited_model_resumed_by_command(tmp_path: Path) -> None:
    """The same command again, behind whose back the model was edited; put back, it goes on to the same draws."""
    case, folder = CASES / "edited-model-resumed", tmp_path / "p"
    shutil.copytree(case / "before", folder)
    command = [sys.executable, "-m", "hexamer.cli", "fit", str(folder / "problem.yaml"), "--out", str(tmp_path / "r")]
    command += ["--chains", "2", "--warmup", "60", "--draws", "60", "--starts", "2", "--seed", "1", "--quiet"]

    def again() -> subprocess.CompletedProcess[str]:
        return subprocess.run(command, capture_output=True, text=True, check=False)

    first = again()
    assert first.returncode == 0, first.stderr
    kept = (tmp_path / "r" / "posterior.nc").read_bytes()
    for edited, part in [("rate_rule_edited", "rates"), ("start_edited", "start values")]:
        shutil.copy(case / edited / "model.xml", folder / "model.xml")
        refused = again()
        assert refused.returncode not in (0, 130)
        assert f"holds another run (the model changed: its {part})" in refused.stderr
    assert (tmp_path / "r" / "posterior.nc").read_bytes() == kept
    shutil.copy(case / "before" / "model.xml", folder / "model.xml")
    assert again().returncode == 0


@pytest.mark.tier("slow")
def test_a_run_of_the_earlier_format_is_said_to_be_one(whole, tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text('{"problem": "small", "digest": "0123456789abcdef", "seed": 3}')
    with pytest.raises(StoreError, match=r"format 1, of another version of hexamer; this one's is 4.*choose another"):
        run(problem(), tmp_path)
