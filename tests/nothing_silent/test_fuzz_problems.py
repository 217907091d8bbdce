"""Mutated problem folders: each is refused in our words, or differs from the original in what was mutated alone."""

from __future__ import annotations

import math
import random
import re
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import pytest

from hexamer.data import Dataset, load

pytestmark = pytest.mark.tier("test")

CASES = Path(__file__).parents[1] / "cases"
Content = Mapping[tuple[str, ...], str]
"""What a data set says, by path: measurement, row, field; protocol, name; observable or parameter, name, field."""


def content_of(data: Dataset) -> dict[tuple[str, ...], str]:
    said: dict[tuple[str, ...], str] = {("model",): Path(data.model).name}
    for i, m in enumerate(data.measurements):
        said |= {("measurement", str(i), f.name): repr(getattr(m, f.name)) for f in fields(m) if f.name != "row"}
    for name, q in data.protocols.items():
        steps = [(s.time, sorted(s.assign.items()), sorted(s.add.items())) for s in q.steps]
        before = None if q.preequilibration is None else sorted(q.preequilibration.items())
        said["protocol", name] = repr((before, steps, q.start))
    for kind, members in (("observable", data.observables), ("parameter", data.parameters)):
        for name, member in members.items():
            said |= {
                (kind, name, f.name): repr(getattr(member, f.name))
                for f in fields(member)
                if f.name not in ("source", "row")
            }
    return said


def difference(a: Content, b: Content) -> list[tuple[str, ...]]:
    return sorted(path for path in a.keys() | b.keys() if a.get(path) != b.get(path))


@dataclass(frozen=True)
class Base:
    """A sound problem, and which paths may differ where a column of one of its tables does."""

    folder: Path
    entry: str  # what is loaded
    separator: str
    measurements: str
    touched: Mapping[str, tuple[str, ...]]  # fields of a measurement, by column; others touch nothing
    protocols: tuple[str, ...]  # columns that a protocol follows from
    scales: tuple[str, ...]  # columns that name parameters which rows bring along

    def load(self) -> Dataset:
        return load(self.folder / self.entry)

    @property
    def tables(self) -> list[Path]:
        return sorted(p for p in self.folder.iterdir() if p.suffix in (".csv", ".tsv"))

    @property
    def description(self) -> Path:
        return next(p for p in self.folder.iterdir() if p.suffix in (".toml", ".yaml"))


NATIVE = {
    "model.ant": "model net\n species R, S; R = 2; S = 1; IL = 0; k = 0.1; R -> S; k*R*(1 + IL);\nend\n",
    "problem.toml": """name = "native"
time_unit = "min"
preequilibrate = false
notes = ["made up"]

[schedules]
file = "conditions.csv"

[inputs.IL]
unit = "1"
kind = "set"

[observables.R]
assay = "direct"
signal = "R"
sd = "sd_R"
unit = "nM"

[observables.blot]
assay = "blot"
signal = "S"
sd_rel = "sd_blot"
""",
    "conditions.csv": "condition,IL\nrest,0\nlow,0:0.5;20:0\nhigh,2.5\n",
    "measurements.csv": """observable,time,value,unit,condition,experiment,replicate
R,0,2.1,nM,rest,,1
R,5,1.2,nM,rest,,1
R,5,0.7,nM,low,,1
R,5,0.75,nM,low,,2
R,30,<0.1,nM,high,,1
blot,5,120.5,au,low,gel_1,1
blot,5,250,au,high,gel_1,1
blot,9,31.2,au,low,gel_2,1
""",
    "priors.csv": """parameter,unit,distribution,location,scale,lower,upper
k,1/min,log10_normal,-1,1,,
sd_R,nM,log10_normal,-1,0.5,0.001,10
sd_blot,1,uniform,,,0.01,2
scale_blot[experiment],au,log10_normal,2,1,,
""",
}


@pytest.fixture
def native(tmp_path: Path) -> Base:
    folder = tmp_path / "native"
    folder.mkdir()
    for name, text in NATIVE.items():
        (folder / name).write_text(text)
    touched = {
        "observable": ("observable", "arguments", "value", "censored"),
        "time": ("time",),
        "value": ("value", "censored"),
        "unit": ("value", "arguments"),
        "condition": ("protocol",),
        "experiment": ("experiment", "arguments"),
        "replicate": (),
    }
    return Base(folder, "", ",", "measurements.csv", touched, ("condition", "IL"), ("observable", "experiment"))


def of_case(tmp_path: Path, case: str, repairs: Mapping[str, tuple[str, str]]) -> Base:
    folder = tmp_path / "petab"
    shutil.copytree(CASES / case, folder)
    shutil.rmtree(folder / "resized", ignore_errors=True)
    for name, (old, new) in repairs.items():
        text = (folder / name).read_text()
        assert old in text
        (folder / name).write_text(text.replace(old, new, 1))
    (folder / "conditions.tsv").write_text((folder / "conditions.tsv").read_text())
    touched = {
        "observableId": ("observable", "arguments"),
        "preequilibrationConditionId": ("protocol",),
        "simulationConditionId": ("protocol",),
        "time": ("time",),
        "measurement": ("value",),
        "observableParameters": ("arguments",),
        "noiseParameters": ("arguments",),
        "measurementType": ("censored", "value", "upper"),
        "censoringBounds": ("value", "upper"),
    }
    ids = ("preequilibrationConditionId", "simulationConditionId", "conditionId")
    return Base(folder, "problem.yaml", "\t", "measurements.tsv", touched, ids, ())


@pytest.fixture
def petab(tmp_path: Path) -> Base:
    repairs = {"measurements.tsv": ("\tinf\t", "\t12.5\t")}
    return of_case(tmp_path, "messages-that-do-not-place-the-fault/inf", repairs)


@pytest.fixture
def limits(tmp_path: Path) -> Base:
    return of_case(tmp_path, "limits-in-a-petab-table", {})


STRANGE = (
    "", " ", "nan", "NaN", "NA", "inf", "-inf", "1,5", "1.234,5", "1_000", "1e400", "1e-400", "-1", "0", "1e308",
    "−3", "１", "µ", "é", "\u200b1", "x", "True", "1;2", "1:2", "[1]", "'", "a b", "0x10", "1d5",
    "9" * 400, "<3", ">", "#", "=1+1", "../../etc", "%s", "{}", "R", "rest", "c0", "none", "left-censored",
)  # fmt: skip

Allowed = Callable[[tuple[str, ...]], bool]


@dataclass
class Mutant:
    file: str
    what: str
    allowed: Allowed
    same: bool = False  # it means the same as the original, or is refused
    value: tuple[int, str] | None = None  # a row, counted from 0, whose measured value is now this text


def anything(path: tuple[str, ...]) -> bool:
    return True


def _cells(path: Path, separator: str) -> list[list[str]]:
    return [line.split(separator) for line in path.read_text().split("\n") if line]


def _write(path: Path, cells: list[list[str]], separator: str) -> None:
    path.write_text("\n".join(separator.join(row) for row in cells) + "\n")


def mutate_table(base: Base, rng: random.Random) -> Mutant:
    path = rng.choice(base.tables)
    cells = _cells(path, base.separator)
    width, header = len(cells[0]), list(cells[0])
    row, column = rng.randrange(1, len(cells)), rng.randrange(width)
    other = rng.randrange(1, len(cells))
    old = [list(line) for line in cells]
    rows, columns = {row}, {header[column]}
    how = rng.choice(
        ["cell"] * 6
        + ["character"] * 3
        + [
            "swap cells",
            "swap columns",
            "delete row",
            "repeat row",
            "delete cell",
            "more cells",
            "rename",
            "delete column",
        ]
    )
    if how == "cell":
        cells[row][column] = rng.choice(STRANGE)
    elif how == "character":
        text = cells[row][column]
        at = rng.randrange(len(text) + 1)
        cells[row][column] = text[:at] + rng.choice(["", "0", ".", ",", "-", "e", "_", " ", "é", ";"]) + text[at + 1 :]
    elif how == "swap cells":
        cells[row][column], cells[other][column] = cells[other][column], cells[row][column]
        rows.add(other)
    elif how == "swap columns":
        second = rng.randrange(width)
        for line in cells:
            line[column], line[second] = line[second], line[column]
    elif how == "delete row":
        del cells[row]
    elif how == "repeat row":
        cells.insert(row, list(cells[row]))
    elif how == "delete cell":
        del cells[row][column]
        columns = set(header[column:])
    elif how == "more cells":
        cells[row].insert(column, rng.choice(STRANGE))
        columns = set(header[column:])
    elif how == "rename":
        cells[0][column] += rng.choice(["s", "x", "_", " 2"])
        rows = set(range(1, len(cells)))
    else:
        for line in cells:
            del line[column]
        rows = set(range(1, len(cells)))
    _write(path, cells, base.separator)
    what = (
        f"{how} at row {row}, column {header[column]!r} of {path.name}: {old[row]} → {cells[min(row, len(cells) - 1)]}"
    )
    mutant = Mutant(path.name, what, _allowed(base, path.name, rows, columns, old, cells), same=how == "swap columns")
    if how in ("delete row", "repeat row") and path.name == base.measurements:
        mutant.allowed = anything  # rows move; `check` counts them
    if how in ("cell", "character") and path.name == base.measurements and header[column] in ("value", "measurement"):
        mutant.value = (row - 1, cells[row][column])
    return mutant


def _allowed(
    base: Base, file: str, rows: set[int], columns: set[str], old: list[list[str]], new: list[list[str]]
) -> Allowed:
    """What may differ after `rows` (1: the first below the header) changed in `columns` of `file`."""
    first = {line[0] for table in (old, new) for i, line in enumerate(table) if i in rows and line}

    def allowed(path: tuple[str, ...]) -> bool:
        kind = path[0]
        if file == base.measurements:
            fields_of = {f for c in columns for f in base.touched.get(c, ())}
            if kind == "measurement":
                return int(path[1]) + 1 in rows and path[2] in fields_of
            names_scale = kind == "parameter" and bool(columns & set(base.scales)) and path[1].endswith("]")
            return names_scale or (kind == "protocol" and bool(columns & set(base.protocols)))
        if file.startswith("conditions"):
            return kind == "protocol" or (kind == "measurement" and path[2] == "protocol")
        if file.startswith("observables"):
            return kind == "observable" and path[1] in first
        of_pattern = kind == "parameter" and any(
            "[" in name and path[1].split("[")[0] == name.split("[")[0] for name in first
        )
        return of_pattern or (kind == "parameter" and path[1] in first)

    return allowed


def mutate_description(base: Base, rng: random.Random) -> Mutant:
    path = base.description
    lines = path.read_text().split("\n")
    at = rng.choice([i for i, line in enumerate(lines) if line.strip()])
    old = lines[at]
    how = rng.choice(["delete", "repeat", "swap", "value", "character", "cut"])
    if how == "delete":
        del lines[at]
    elif how == "repeat":
        lines.insert(at, lines[at])
    elif how == "swap":
        other = rng.randrange(len(lines))
        lines[at], lines[other] = lines[other], lines[at]
    elif how == "value":
        key, mark, _ = lines[at].partition(":" if path.suffix == ".yaml" else "=")
        value = rng.choice([*STRANGE, "true", "3", "{}", "[]", '"x"', "1979-05-27", "null"])
        lines[at] = f"{key}{mark} {value}" if mark else value
    elif how == "character":
        spot = rng.randrange(len(old) + 1)
        lines[at] = old[:spot] + rng.choice(["", "x", '"', "[", "=", ":", "é", "\t", " "]) + old[spot + 1 :]
    else:
        lines[at:] = [old[: len(old) // 2]]
    path.write_text("\n".join(lines))
    return Mutant(path.name, f"{how} at line {at + 1} of {path.name}: {old!r}", _of_section(lines, at, base))


def _of_section(lines: list[str], at: int, base: Base) -> Allowed:
    """A line of a TOML table changes what that table is about; a line of a YAML file, which only names files, all."""
    heads = [m[1] for line in NATIVE["problem.toml"].split("\n") if (m := re.match(r"\[observables\.(\w+)\]", line))]
    section = next((line for line in reversed(lines[: at + 1]) if line.startswith("[")), "")
    if base.description.suffix == ".yaml" or not section.startswith("[observables."):
        return anything

    def allowed(path: tuple[str, ...]) -> bool:
        name = section.removeprefix("[observables.").rstrip("]")
        mine = [name, *(h for h in heads if name not in heads)]
        return path[0] in ("parameter", "measurement") or (path[0] == "observable" and path[1] in mine)

    return allowed


def mutate_bytes(base: Base, rng: random.Random) -> Mutant:
    path = rng.choice([*base.tables, base.description])
    content = path.read_bytes()
    at = rng.randrange(len(content))
    how = rng.choice(["cut", "flip", "utf-16", "mark", "windows", "no newline", "zero", "latin-1"])
    changed = {
        "cut": content[:at],
        "flip": content[:at] + bytes([content[at] ^ (1 << rng.randrange(8))]) + content[at + 1 :],
        "utf-16": content.decode().encode("utf-16"),
        "mark": b"\xef\xbb\xbf" + content,
        "windows": content.replace(b"\n", b"\r\n"),
        "no newline": content.rstrip(b"\n"),
        "zero": content[:at] + b"\0" + content[at:],
        "latin-1": content[:at] + "é".encode("latin-1") + content[at:],
    }[how]
    path.write_bytes(changed)
    same = how in ("utf-16", "mark", "windows", "no newline", "zero", "latin-1")
    return Mutant(path.name, f"{how} at byte {at} of {path.name}", anything, same=same)


def check(base: Base, before: Content, mutant: Mutant) -> bool:
    """Whether the mutant was refused; fails where it was neither refused nor read as what it says."""
    try:
        data = base.load()
    except (ValueError, FileNotFoundError) as error:
        text = str(error)
        assert re.search(r"\w\.(csv|tsv|toml|yaml|ant|xml)\b|there is no such file", text), (
            f"{mutant.what}\nnames no file: {text}"
        )
        foreign = r"Traceback|numpy|pandas|tokeniz|dtype|not iterable|object has no|NoneType|codec|<class|convert float"
        assert not re.search(foreign, text), f"{mutant.what}\nshows a library's words: {text}"
        return True
    except Exception as error:  # a traceback for the user
        pytest.fail(f"{mutant.what}\nends in {type(error).__name__}: {error}")
    after = content_of(data)
    changed = difference(before, after)
    if mutant.same:
        assert not changed, f"{mutant.what}\nmeans the same, but changes {changed}"
    wrong = [path for path in changed if not mutant.allowed(path)]
    assert not wrong, f"{mutant.what}\nalso changes {[(p, before.get(p), after.get(p)) for p in wrong[:5]]}"
    if mutant.value is not None:
        row, text = mutant.value
        m = data.measurements[row]
        limit = text.strip().strip('"').lstrip("<>").strip()
        if not (base.separator == "\t" and m.censored):  # a limit of PEtab stands elsewhere
            assert math.isclose(m.value, float(limit), rel_tol=1e-12, abs_tol=0.0), (
                f"{mutant.what}\nis read as {m.value}"
            )
    return False


def run(base: Base, seed: int, count: int) -> None:
    before = content_of(base.load())
    originals: dict[Path, bytes] = {p: p.read_bytes() for p in base.folder.iterdir()}
    refused = 0
    for i in range(count):
        rng = random.Random(f"{seed}-{i}")
        mutate: Any = rng.choice([mutate_table, mutate_table, mutate_table, mutate_description, mutate_bytes])
        mutant = mutate(base, rng)
        refused += check(base, before, mutant)
        for path, content in originals.items():
            path.write_bytes(content)
    assert count / 5 < refused < count, "the mutations are too tame, or nothing is read any more"


def test_a_few_native_mutants(native: Base) -> None:
    run(native, seed=0, count=30)


def test_a_few_petab_mutants(petab: Base) -> None:
    run(petab, seed=0, count=20)


def test_a_few_mutants_with_limits(limits: Base) -> None:
    run(limits, seed=0, count=10)


@pytest.mark.tier("slow")
def test_many_native_mutants(native: Base) -> None:
    run(native, seed=1, count=500)


@pytest.mark.tier("slow")
def test_many_petab_mutants(petab: Base) -> None:
    run(petab, seed=1, count=350)


@pytest.mark.tier("slow")
def test_many_mutants_with_limits(limits: Base) -> None:
    run(limits, seed=1, count=150)


def test_the_fuzz_sees_what_is_dropped(native: Base) -> None:
    """A reader that left out a row, or read another value, would not pass `check`."""
    before = dict(content_of(native.load()))
    mutant = Mutant("measurements.csv", "planted", lambda path: path[:2] == ("measurement", "0"))
    before["measurement", "1", "value"] = "7.0"
    with pytest.raises(AssertionError, match="also changes"):
        check(native, before, mutant)
