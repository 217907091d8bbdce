"""Standard deviations are above 0, or refused: -0.1 was 0.1 in a folder, and no likelihood at all in PEtab."""

from __future__ import annotations

import math
import shutil
from pathlib import Path

import jax.numpy as jnp
import pytest

from helpers import ENGINES, SOLVERS
from hexamer import load_problem
from hexamer.data import TableError, load

pytestmark = pytest.mark.tier("test")

CASES = Path(__file__).parents[1] / "cases"
MODEL = "model decay; species A = 2; k = 0.5; J: A -> ; k*A; end"
ROWS = "observable,time,value,unit\nA,0.5,1.56,nM\nA,1,1.21,nM\nA,2,<0.74,nM\n"
PRIORS = "parameter,unit,distribution,location,scale,lower,upper,value\nk,1/min,log10_normal,0,1,,,0.5\n"
DIRECT = '[observables.A]\nassay = "direct"\nsignal = "A"\nunit = "nM"\n'
BLOT = '[observables.A]\nassay = "blot"\nsignal = "A"\nunit = "nM"\nscale = 1\n'
ELISA = '[observables.A]\nassay = "elisa"\nsignal = "A"\n'


def folder(path: Path, keys: str, priors: str = "", fixed: str = "") -> Path:
    """A problem whose noise is that of `keys`."""
    (path / "model.ant").write_text(MODEL)
    (path / "problem.toml").write_text(f"{keys}\n{f'[fixed]{chr(10)}{fixed}' if fixed else ''}\n")
    (path / "measurements.csv").write_text(ROWS)
    (path / "priors.csv").write_text(f"{PRIORS}{priors}\n")
    return path


CONSTANTS = {
    "direct": (DIRECT + "sd = -0.1", "'observables.A.sd' holds -0.1; expected a standard deviation above 0"),
    "a formula": (DIRECT + 'sd = "0.1 - 0.2"', "'observables.A.sd' holds '0.1 - 0.2'; expected a standard deviation"),
    "none": (DIRECT + "sd = 0", "the standard deviation is 0; without noise it has no likelihood"),
    "blot": (BLOT + "sd = -0.1\nsd_rel = 0.1", "'observables.A.sd' holds -0.1"),
    "relative": (BLOT + "sd = 0.1\nsd_rel = -0.1", "'observables.A.sd_rel' holds -0.1"),
    "elisa": (ELISA + "sd = 0.1\nsd_between = -0.1", "'observables.A.sd_between' holds -0.1"),
}


@pytest.mark.parametrize("case", CONSTANTS)
def test_constants(case: str, tmp_path: Path) -> None:
    keys, message = CONSTANTS[case]
    with pytest.raises(TableError) as error:
        load(folder(tmp_path, keys))
    assert f"problem.toml, {message}" in str(error.value) or message in str(error.value)
    assert str(error.value).count("\n") == 1


TWO = BLOT + 'sd = "s"\nsd_rel = "r"'
R = "r,1,lognormal,-2,0.3,,,0.1"
SUPPORTS = {
    "normal": (DIRECT + 'sd = "s"', "s,nM,normal,0,10,,,0.1"),
    "uniform": (DIRECT + 'sd = "s"', "s,nM,uniform,,,-1,1,0.1"),
    "laplace": (TWO, f"s,nM,laplace,1,1,,,0.1\n{R}"),
    "squared": (TWO, f"s,nM,uniform,,,-1,1,0.1\n{R}"),
    "between": (ELISA + 'sd = 0.1\nsd_between = "s"', "s,1,normal,0,1,,,0.1"),
}


@pytest.mark.parametrize("case", SUPPORTS)
def test_priors_that_hold_negative_values(case: str, tmp_path: Path) -> None:
    keys, prior = SUPPORTS[case]
    message = r"s \(priors\.csv, row 2\) is a standard deviation of A, and its prior holds negative values"
    with pytest.raises(ValueError, match=message):
        load_problem(folder(tmp_path, keys, prior))


@pytest.mark.parametrize(
    "prior",
    ["s,nM,normal,0,10,0,,0.1", "s,nM,half_normal,,1,,,0.1", "s,nM,uniform,,,0,1,0.1", "s,nM,lognormal,0,1,,,0.1"],
)
def test_priors_of_positive_values(prior: str, tmp_path: Path) -> None:
    problem = load_problem(folder(tmp_path, DIRECT + 'sd = "s"', prior))
    assert math.isfinite(problem.evaluate().nllh)
    with pytest.raises(ValueError, match=r"s is -0.1, and it is a standard deviation of A: give a number above 0"):
        problem.evaluate({"k": 0.5, "s": -0.1})


def test_fixed_values(tmp_path: Path) -> None:
    with pytest.raises(
        ValueError, match=r"s of \[fixed\] in problem.toml is a standard deviation of A and is fixed at -1"
    ):
        load_problem(folder(tmp_path, TWO, R, fixed="s = -1"))
    with pytest.raises(
        ValueError, match=r"the standard deviation of A in measurements\.csv, row 1, is 0 by the formula s"
    ):
        load_problem(folder(tmp_path, DIRECT + 'sd = "s"', fixed="s = 0"))
    assert math.isfinite(load_problem(folder(tmp_path, TWO, R, fixed="s = 0")).evaluate().nllh)


@pytest.mark.tier("slow")
@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    "keys",
    [
        DIRECT + 'sd = "-s"',
        BLOT + 'sd = "-s"\nsd_rel = 0.2',
        BLOT + 'sd = 0.1\nsd_rel = "0.1 - s"',
        ELISA + 'sd = "-s"\nsd_between = 0.1',
    ],
)
def test_formulas_that_become_negative(keys: str, engine, tmp_path: Path) -> None:
    """No row, a limit neither, has the absolute value for its noise."""
    problem = load_problem(folder(tmp_path, keys, "s,nM,lognormal,-1,0.5,,,0.3")).with_settings(solver=SOLVERS[engine])
    values = problem.vector({"k": 0.5, "s": 0.3})
    rows = problem.row_densities(problem.read(jnp.asarray(values)))
    assert not any(math.isfinite(x) for x in rows)
    assert problem.evaluate({"k": 0.5, "s": 0.3}).failed == {"not_finite": 1}


def test_formulas_that_stay_positive(tmp_path: Path) -> None:
    """The guard changes no number."""
    plain = load_problem(folder(tmp_path, TWO, f"s,nM,lognormal,-1,0.5,,,0.3\n{R}")).evaluate()
    guarded = folder(
        tmp_path, TWO.replace('"s"', '"s + 0"').replace('"r"', '"2*r/2"'), f"s,nM,lognormal,-1,0.5,,,0.3\n{R}"
    )
    assert load_problem(guarded).evaluate().nllh == plain.nllh
    doubled = folder(tmp_path, TWO.replace('"s"', '"2*s"'), f"s,nM,lognormal,-1,0.5,,,0.15\n{R}")
    assert load_problem(doubled).evaluate().nllh == pytest.approx(plain.nllh, rel=1e-12)


def petab(path: Path, noise: str, given: str = "", scale: str = "lin", bounds: str = "-1\t1") -> Path:
    """x = theta = 1, with a noise formula, what the row fills in, and a parameter sigma."""
    shutil.copytree(CASES / "limits-in-a-petab-table", path, dirs_exist_ok=True)
    (path / "observables.tsv").write_text(f"observableId\tobservableFormula\tnoiseFormula\nobs_x\tx\t{noise}\n")
    header, row = "observableId\tsimulationConditionId\ttime\tmeasurement", "obs_x\tc\t1\t0.7"
    column = ("\tnoiseParameters", f"\t{given}") if given else ("", "")
    (path / "measurements.tsv").write_text(f"{header}{column[0]}\n{row}{column[1]}\n")
    if "sigma" in noise + given:
        table = path / "parameters.tsv"
        lines = table.read_text().rstrip("\n").splitlines()
        named = ("parameterId", "parameterScale", "estimate", "nominalValue", "lowerBound", "upperBound")
        cells: dict[str, str] = dict(zip(named, ("sigma", scale, "1", "0.5", *bounds.split("\t")), strict=True))
        lines.append("\t".join(cells.get(c, "") for c in lines[0].split("\t")))
        table.write_text("\n".join(lines) + "\n")
    return path / "problem.yaml"


PETAB = {
    "a constant": (("-0.02",), "standard deviation of obs_x in measurements.tsv, row 1, is -0.02"),
    "zero": (("0",), "standard deviation of obs_x in measurements.tsv, row 1, is 0"),
    "in the row": (
        ("noiseParameter1_obs_x", "-1"),
        r"is -1 by the formula noiseParameter1_obs_x, noiseParameter1_obs_x = -1",
    ),
    "a prior": (("sigma",), "sigma is a standard deviation of obs_x, and its prior holds negative values"),
    "a prior of the row": (("noiseParameter1_obs_x", "sigma"), "sigma is a standard deviation of obs_x"),
}


@pytest.mark.parametrize("case", PETAB)
def test_petab(case: str, tmp_path: Path) -> None:
    arguments, message = PETAB[case]
    with pytest.raises(ValueError, match=message):
        load_problem(petab(tmp_path, *arguments))


def test_petab_with_positive_bounds(tmp_path: Path) -> None:
    for scale, bounds in (("log10", "0.01\t1"), ("lin", "0\t1")):
        assert math.isfinite(load_problem(petab(tmp_path, "sigma", scale=scale, bounds=bounds)).evaluate().nllh)
