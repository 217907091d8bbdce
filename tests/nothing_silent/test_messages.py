"""Errors that say file, row or line, what stands there, what was expected and the way out; never a library's words."""

from __future__ import annotations

import math
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from helpers import ENGINES, SOLVERS
from hexamer import Model, Protocol, Settings, load_problem, simulate
from hexamer.cli import main
from hexamer.data import TableError, load, read_values
from hexamer.models import Network, UnsupportedModelError, compile_network, load_model, load_network, read_antimony
from hexamer.models.compiled.starts import unsound_starts_under

pytestmark = pytest.mark.tier("check")

CASES = Path(__file__).parents[1] / "cases"
MESSAGES = CASES / "messages-that-do-not-place-the-fault"


def antimony(text: str) -> Network:
    return read_antimony(f"model net\n{text}\nend\n")


# What was refused without a word on where, and is read by now: the value of a species at time 10.
READ_BY_NOW = {
    "one_parameter_twice.ant": ("A", 10 / (1 + 2 * 0.01 * 10 * 10)),  # 2 A + 2 B -> C
    "through_rate_rule.xml": ("S", 5 * math.exp(-1.5)),  # in a volume that grows by exp(0.1 t)
    "through_time_rule.xml": ("S", 5 * math.exp(-0.5) / 2),  # by 1 + 0.1 t
}


@pytest.mark.parametrize("file", READ_BY_NOW)
def test_models_that_were_refused(file: str) -> None:
    name, right = READ_BY_NOW[file]
    courses = simulate(compile_network(load_network(MESSAGES / file)), {}, Protocol(), [10.0], observe=(name,))
    np.testing.assert_allclose(courses.observed[name][0, 0], right, rtol=1e-4)


@pytest.mark.parametrize(
    ("text", "name", "right"),
    [
        ("A = 1; B = 0; k = 1; m = 2; A -> n B; k*A; n := m", "B", 2 - 2 * math.exp(-2)),
        ("A = 1; B = 0; k = 1; m = 2; A -> n B; k*A; n = m", "B", 2 - 2 * math.exp(-2)),
        ("A = 1; B = 0; k = 1; A -> n B; k*A; n = 1; n' = 1", "B", 2 - 4 * math.exp(-2)),
        ("compartment V, W = 1; species S in W, T in V; S = 1; T = 1; J: S -> ; S; V := 2*J", "T", math.exp(2)),
        ("compartment V; species S in V; S = 1; S -> ; S; V = 1; V' = 1", "S*V", 1 / 3),
    ],
)
def test_what_may_change(text: str, name: str, right: float) -> None:
    """At time 2. The last: (S V)' = -S = -(S V)/V with V = 1 + t, so that S V = 1/(1 + t)."""
    courses = simulate(compile_network(antimony(text)), {}, Protocol(), [2.0], observe=(name,))
    np.testing.assert_allclose(courses.observed[name][0, 0], right, rtol=1e-4)


@pytest.mark.parametrize("number", ["nan", "inf"])
def test_a_stoichiometry_that_is_no_number(number: str) -> None:
    with pytest.raises(UnsupportedModelError, match=r"(?s)the Antimony text holds.*stoichiometry of B has no value"):
        antimony(f"A = 1; B = 0; k = 1; A -> n B; k*A; n = {number}")


IN_A_MODEL = [
    ("2 S", r"line 3: a number is followed by 'S', .*; write \* for a product; the line is 'J: S -> ; 2 S;'"),
    ("k S", r"line 3: cannot read the formula 'k S': at column 3, an operator is missing before 'S'"),
    ("k**S", r"line 3: cannot read the formula 'k\*\*S': at column 2, '\*\*' has no meaning; write \^"),
    ("f(S)", r"line 3: 'f' is used as a function, and none is defined of this name; the line is 'J: S -> ; f\(S\);'"),
    ("(k*S", r"line 3: ';' stands where '\)' or ',' was expected; the line is"),
    ("k*S; k := k + 1", r"line 3: k depends on itself: k \+ 1, which gives it, uses k"),
    ("k*S; k := j; j := k", r"line 3: j depends on itself: k, which gives it, uses j"),
    ("k*S; S = inf", r"the value of S is inf; expected a finite number"),
    ("k*S; k = -inf", r"the value of k is -inf; expected a finite number"),
    ("k*S; compartment c = 0; S in c", r"volume of compartment c is 0; expected a number above 0, as the species S"),
]


@pytest.mark.parametrize(("rate", "message"), IN_A_MODEL)
def test_lines_and_names_of_a_model(rate: str, message: str) -> None:
    with pytest.raises(UnsupportedModelError, match=message) as refusal:
        antimony(f"S = 10; k = 0.3\nJ: S -> ; {rate};")
    assert "syntax error" not in str(refusal.value)
    assert "s5" not in str(refusal.value)


def test_nothing_of_an_imported_file_is_quoted(tmp_path: Path) -> None:
    (tmp_path / "other").write_text("secret words\n")
    (tmp_path / "model.ant").write_text('import "other"\nmodel m\nend\n')
    with pytest.raises(UnsupportedModelError, match=r"line 1 of the file '.*other', which it imports") as refusal:
        load_network(tmp_path / "model.ant")
    assert "secret" not in str(refusal.value)


@pytest.mark.parametrize(
    ("start", "said"),
    [("", "S is not a number"), ("S = nan;", "S is not a number"), ("z = 0; S = 1/z;", "S is inf")],
)
def test_a_start_that_is_no_number_is_named(start: str, said: str) -> None:
    model = compile_network(antimony(f"{start} k = 0.3; S -> ; k*S"))
    assert unsound_starts_under(model, {}, Protocol()) == [
        f"at the start {said}: give a number in the model, or set it at the start of the protocol"
    ]
    assert not unsound_starts_under(model, {}, Protocol().set(S=1.0))


@pytest.mark.tier("test")
def test_the_command_line_names_it(tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch) -> None:
    (tmp_path / "model.ant").write_text("model m\n S = nan; k = 0.3; S -> ; k*S;\nend\n")
    words = ["simulate", str(tmp_path / "model.ant"), "--out", str(tmp_path / "out.csv"), "--times", "0,1"]
    monkeypatch.setattr(sys, "argv", ["hexamer", *words])
    with pytest.raises(SystemExit, match="2"):
        main()
    assert "failed: at the start S is not a number" in capfd.readouterr().err


def courses(model: Model, names: list[str], times: list[float], engine: str) -> dict[str, list[float]]:
    rules = [n for n in names if n not in model.species]
    t = simulate(model, {}, Protocol(), times, observe=rules, settings=Settings(SOLVERS[engine]))
    assert int(t.status[0]) == 0
    values = {n: t.y[0, :, model.index(n)] for n in names if n in model.species}
    values |= {n: t.observed[n][0] for n in rules}
    return {n: np.asarray(v).tolist() for n, v in values.items()}


@pytest.mark.parametrize("engine", ENGINES)
def test_a_model_in_which_nothing_changes(engine: str) -> None:
    model = load_model(CASES / "no-states" / "model.xml")
    assert courses(model, ["q", "p"], [0.0, 1.0], engine) == {"q": [6.0, 6.0], "p": [2.0, 2.0]}


def test_models_without_parameters_or_reactions() -> None:
    engine: str = "fused"
    held = compile_network(antimony("species $A; A = 3; q := 2*A + time"))  # neither parameters nor reactions
    assert courses(held, ["q"], [0.0, 1.5], engine) == {"q": pytest.approx([6.0, 7.5])}
    constant = compile_network(antimony("species A; A = 3;"))
    assert courses(constant, ["A"], [0.0, 1.5], engine) == {"A": [3.0, 3.0]}


@pytest.mark.parametrize("engine", ENGINES)
def test_stoichiometries_with_a_name(engine: str) -> None:
    """Given by an initial assignment, or used in a rate: B grows by n each time that A is lost at rate k A n."""
    model = load_model(CASES / "stoichiometry-not-set" / "model.xml")
    t = simulate(model, {}, Protocol(), [1.0, 5.0], settings=Settings(SOLVERS[engine]))
    np.testing.assert_allclose(t.y[0, :, model.index("X")], [2.0, 10.0], rtol=1e-9)
    model = load_model(MESSAGES / "named_in_rate.ant")
    t = simulate(model, {}, Protocol(), [1.0, 10.0], settings=Settings(SOLVERS[engine]))
    expected = 2 * (1 - np.exp(-0.4 * np.array([1.0, 10.0])))
    np.testing.assert_allclose(t.y[0, :, model.index("B")], expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("case", "message"),
    [
        ("d_estimate_empty", r"parameters.tsv, row 1, 'estimate' holds nothing; expected 1 .* 0"),
        ("decimal_comma", r"measurements.tsv, row 2, 'measurement' holds '1,15'; .*; write decimals with a point"),
        ("inf", r"measurements.tsv, row 4, 'measurement' holds 'inf'; expected a finite number"),
    ],
)
def test_tables_of_the_cases(case: str, message: str) -> None:
    with pytest.raises(ValueError, match=rf"(?s){case}/problem.yaml cannot be read.*{message}"):
        load(MESSAGES / case / "problem.yaml")


@pytest.fixture
def native(tmp_path: Path) -> Path:
    """A problem folder of two observables, with a schedule and priors."""
    folder = tmp_path / "native"
    folder.mkdir()
    (folder / "model.ant").write_text("model m\n species R; R = 2; IL = 0; k = 0.1; R -> ; k*R*(1 + IL);\nend\n")
    (folder / "problem.toml").write_text(
        'name = "native"\nliterature = false\n[inputs.IL]\nunit = "1"\nkind = "set"\n'
        '[observables.R]\nassay = "direct"\nsignal = "R"\nsd = "sd_R"\nunit = "nM"\n'
    )
    (folder / "measurements.csv").write_text(
        "observable,time,value,unit,IL,experiment,replicate\nR,0,2.1,nM,0,,1\nR,5,1.2,nM,0,,1\nR,5,0.7,nM,1.5,,1\n"
    )
    (folder / "priors.csv").write_text(
        "parameter,unit,distribution,location,scale\nk,1/min,log10_normal,-1,1\nsd_R,nM,log10_normal,-1,0.5\n"
    )
    return folder


def test_the_native_problem_is_sound(native: Path) -> None:
    assert len(load(native)) == 3


@pytest.mark.parametrize(
    ("file", "old", "new", "message"),
    [
        ("measurements.csv", "1.2", '"1,2"', r"measurements.csv, row 2, 'value' holds '1,2'; .*decimals with a point"),
        ("measurements.csv", "1.2", "1,2", r"measurements.csv, row 2 holds 8 cells; .*decimals with a point"),
        (
            "measurements.csv",
            "1.2",
            "inf",
            r"row 2, 'value' holds 'inf'; expected a finite number; .*as a limit, such as >500",
        ),
        ("measurements.csv", "1.2", "nan", r"row 2, 'value' holds 'nan'; expected a finite number; delete the row"),
        ("measurements.csv", "1.2", '"<1,2"', r"row 2, 'value' holds '<1,2'; .*decimals with a point"),
        ("measurements.csv", "R,5,1.2", "R,inf,1.2", r"row 2, 'time' holds 'inf'"),
        ("measurements.csv", "nM,1.5", 'nM,"1,5"', r"row 3, 'IL' holds '1,5'; .*decimals with a point"),
        ("measurements.csv", "1.2", "1.2e999", r"row 2, 'value' holds '1.2e999'"),
        ("measurements.csv", "1.2", "１.2", r"row 2, 'value' holds .*characters beyond ASCII"),
        ("measurements.csv", "R,5,0.7", '"R,5,0.7', r"measurements.csv: .*line 4.*quotation mark that is not closed"),
        ("measurements.csv", "observable,time", "observable,time,time", r"column 'time' appears twice"),
        ("priors.csv", "-1,1\n", '"-1,5",1\n', r"priors.csv, row 1, 'location' holds '-1,5'; .*decimals with a point"),
        ("problem.toml", "literature = false", "literature = maybe", r"problem.toml: cannot be read as TOML.*line 2"),
        ("problem.toml", "literature = false", "literature = " + "[" * 5000, r"nested too deeply"),
        ("problem.toml", "literature = false", "literature = " + "9" * 5000, r"problem.toml: cannot be read as TOML"),
        (
            "problem.toml",
            'name = "native"',
            'name = "a"\nname = "b"',
            r"problem.toml: cannot be read as TOML: line 2, column 11: a key or a table stands twice; the line is",
        ),
        ("problem.toml", 'name = "native"', 'name = "a', r"line 1, .*: the text in quotes does not end on its line"),
        ("problem.toml", 'name = "native"', "name = 1,5", r"line 1, .*: something stands behind the value.*; the line"),
        ("problem.toml", 'name = "native"', "name = 2024-01-01", r"'name' holds 2024-01-01; expected text in quotes"),
        ("problem.toml", '"1"\nkind', "true\nkind", r"'inputs.IL.unit' holds true; expected text in quotes"),
        ("problem.toml", 'signal = "R"', 'signal = ["R"]', r"has 1 problem:.*'observables.R.signal' holds \['R'\]"),
        (
            "priors.csv",
            "-1,1\n",
            "-1,-1\n",
            r"row 1, 'scale' holds '-1'; expected a number above 0, the width of 'log10",
        ),
    ],
)
def test_cells_and_keys(native: Path, file: str, old: str, new: str, message: str) -> None:
    text = (native / file).read_text()
    assert old in text
    (native / file).write_text(text.replace(old, new, 1))
    with pytest.raises(TableError, match=rf"(?s){message}"):
        load(native)


def test_bounds_of_a_prior_that_cannot_be(native: Path) -> None:
    table = native / "priors.csv"
    text = table.read_text().replace("location,scale", "location,scale,lower,upper").replace("-1,1\n", "-1,1,1,0.1\n")
    table.write_text(text.replace("0.5\n", "0.5,,\n"))
    with pytest.raises(TableError, match=r"row 1, 'lower' holds '1'; expected a number below the upper bound, 0.1"):
        load(native)


def test_a_name_that_no_model_has(native: Path) -> None:
    """With the file and the key, and the name that is meant."""
    text = (native / "problem.toml").read_text()
    (native / "problem.toml").write_text(text.replace('signal = "R"', 'signal = "2*sd_r"'))
    message = r"problem.toml, 'observables.R': observable 'R' uses sd_r: no species.*; did you mean 'sd_R'"
    with pytest.raises(ValueError, match=message):
        load_problem(native)


@pytest.mark.tier("slow")
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device of Linux")
def test_a_full_disk_behind_the_output_is_named(native: Path) -> None:
    """Its own process, whose output is a device that is always full."""
    (native / "at.csv").write_text("parameter,value\nk,0.1\nsd_R,0.1\n")
    words = [sys.executable, "-m", "hexamer.cli", "evaluate", str(native), "--at", str(native / "at.csv")]
    with Path("/dev/full").open("w") as full:
        found = subprocess.run(words, stdout=full, stderr=subprocess.PIPE, text=True, timeout=300, check=False)
    assert found.returncode == 2
    assert "cannot write to /dev/full: no space left on device; make room there" in found.stderr


def rewritten(content: bytes, how: str) -> bytes:
    text = content.decode()
    return {
        "utf-16": text.encode("utf-16"),
        "latin-1": text.replace("R", "Ré", 1).encode("latin-1"),
        "zero": text.replace("R", "R\0", 1).encode(),
        "empty": b"",
        "semicolons": text.replace(",", ";").encode(),
        "tabs": text.replace(",", "\t").encode(),
    }[how]


@pytest.mark.parametrize("file", ["measurements.csv", "priors.csv", "problem.toml"])
@pytest.mark.parametrize("how", ["utf-16", "latin-1", "zero", "empty", "semicolons", "tabs"])
def test_files_as_other_programs_save_them(native: Path, file: str, how: str) -> None:
    if file == "problem.toml" and how in ("semicolons", "tabs"):
        return
    (native / file).write_bytes(rewritten((native / file).read_bytes(), how))
    with pytest.raises(TableError, match=file.replace(".", r"\.")):
        load(native)


@pytest.mark.parametrize("file", ["measurements.csv", "priors.csv", "problem.toml"])
@pytest.mark.parametrize("how", ["byte order", "windows", "no last newline", "blank lines"])
def test_files_that_mean_the_same(native: Path, file: str, how: str) -> None:
    before = load(native)
    content = (native / file).read_bytes()
    same = {
        "byte order": b"\xef\xbb\xbf" + content,
        "windows": content.replace(b"\n", b"\r\n"),
        "no last newline": content.rstrip(b"\n"),
        "blank lines": content.replace(b"\n", b"\n\n"),
    }[how]
    (native / file).write_bytes(same)
    rows = [replace(m, row=0) for m in load(native).measurements]  # numbered by line, blank ones too
    assert rows == [replace(m, row=0) for m in before.measurements]
    assert load(native).parameters == before.parameters


@pytest.mark.parametrize("file", ["measurements.csv", "priors.csv", "problem.toml"])
def test_a_folder_in_place_of_a_file(native: Path, file: str) -> None:
    (native / file).unlink()
    (native / file).mkdir()
    with pytest.raises((TableError, FileNotFoundError), match=file.replace(".", r"\.")):
        load(native)


def test_a_file_in_place_of_values(tmp_path: Path) -> None:
    with pytest.raises(TableError, match=r"values.csv: there is no such file"):
        read_values(tmp_path / "values.csv")
    (tmp_path / "values.csv").write_bytes("parameter,value\nk,1\n".encode("utf-16"))
    with pytest.raises(TableError, match=r"values.csv: text in UTF-8, but the file is UTF-16"):
        read_values(tmp_path / "values.csv")


@pytest.fixture
def petab(tmp_path: Path) -> Path:
    shutil.copytree(MESSAGES / "d_estimate_empty", tmp_path / "petab")
    table = tmp_path / "petab" / "parameters.tsv"
    table.write_text(table.read_text().replace("2\t\n", "2\t1\n"))
    return tmp_path / "petab"


@pytest.mark.parametrize(
    "file", ["problem.yaml", "measurements.tsv", "conditions.tsv", "parameters.tsv", "observables.tsv"]
)
@pytest.mark.parametrize("how", ["utf-16", "zero", "empty", "folder"])
def test_petab_files_as_other_programs_save_them(petab: Path, file: str, how: str) -> None:
    path = petab / file
    content = path.read_bytes()
    path.unlink()
    if how == "folder":
        path.mkdir()
    else:
        text = content.decode()
        changed = {"utf-16": text.encode("utf-16"), "zero": b"a\0" + content, "empty": b""}[how]
        path.write_bytes(changed)
    with pytest.raises((ValueError, FileNotFoundError), match=file.replace(".", r"\.")):
        load(petab / "problem.yaml")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "format_version: 1",
            "format_version: 1\nformat_version: 1",
            r"line 2: .*the key 'format_version' stands twice",
        ),
        ("[model.xml]", "[model.xml", r"problem.yaml cannot be read.*line \d+: it cannot be read as YAML"),
        ("[model.xml]", "model.xml", r"problems/0/sbml_files"),
        ("parameters.tsv", "[1, 2]", r"parameter_file"),
        ("conditions.tsv", "none.tsv", r"names missing files: none.tsv"),
    ],
)
def test_petab_yaml(petab: Path, old: str, new: str, message: str) -> None:
    path = petab / "problem.yaml"
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new, 1))
    with pytest.raises((ValueError, FileNotFoundError), match=rf"(?s){message}"):
        load(path)


@pytest.mark.parametrize(
    ("table", "old", "new", "message"),
    [
        (
            "conditions",
            "conditionId",
            "conditionId\tconditionId",
            r"conditions.tsv: column 'conditionId' appears twice",
        ),
        ("parameters", "0.01\t100\t2", "0,01\t100\t2", r"row 1, 'lowerBound' holds '0,01'; .*decimals with a point"),
        ("parameters", "0.01\t100\t2", "\t100\t2", r"row 1, 'lowerBound' holds nothing"),
        ("parameters", "100\t2\t1", "100\t2\tyes", r"row 1, 'estimate' holds 'yes'"),
        ("parameters", "a0", "k", r"row 2, 'parameterId' holds 'k'; expected each id once"),
        ("parameters", "parameterScale", "parameterscale", r"'parameterScale'.*the column is missing"),
        ("observables", "\tlin\t", "\tlog2\t", r"row 1, 'observableTransformation' holds 'log2'"),
        ("measurements", "2.1", "2.1\t\t\t", r"measurements.tsv, row 1 holds \d+ cells"),
        ("measurements", "obs_a\t\tc\t0", "obs_a\t\tc d\t0", r"row 1, 'simulationConditionId' holds 'c d'"),
    ],
)
def test_petab_cells(petab: Path, table: str, old: str, new: str, message: str) -> None:
    path = petab / f"{table}.tsv"
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new, 1))
    with pytest.raises(ValueError, match=rf"(?s){message}"):
        load(petab / "problem.yaml")
