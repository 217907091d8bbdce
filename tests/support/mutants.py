"""Mutants of problem folders, each with what may change in what is read."""

from __future__ import annotations

import random
import re
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from helpers import CASES
from hexamer.data import Dataset, load


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


_OF_TABLES = [
    *["cell"] * 6,
    *["character"] * 3,
    *("swap cells", "swap columns", "delete row", "repeat row", "delete cell", "more cells", "rename", "delete column"),
]


@dataclass
class _Edit:
    """One change of a table's cells, in place; `rows` and `columns` are those that it touches."""

    cells: list[list[str]]
    row: int
    column: int
    other: int  # another row
    rows: set[int]
    columns: set[str]

    def __call__(self, how: str, rng: random.Random) -> None:
        getattr(self, how.replace(" ", "_"))(rng)

    def cell(self, rng: random.Random) -> None:
        self.cells[self.row][self.column] = rng.choice(STRANGE)

    def character(self, rng: random.Random) -> None:
        text = self.cells[self.row][self.column]
        at = rng.randrange(len(text) + 1)
        put = rng.choice(["", "0", ".", ",", "-", "e", "_", " ", "é", ";"])
        self.cells[self.row][self.column] = text[:at] + put + text[at + 1 :]

    def swap_cells(self, rng: random.Random) -> None:
        one, two = self.cells[self.row], self.cells[self.other]
        one[self.column], two[self.column] = two[self.column], one[self.column]
        self.rows.add(self.other)

    def swap_columns(self, rng: random.Random) -> None:
        second = rng.randrange(len(self.cells[0]))
        for line in self.cells:
            line[self.column], line[second] = line[second], line[self.column]

    def delete_row(self, rng: random.Random) -> None:
        del self.cells[self.row]

    def repeat_row(self, rng: random.Random) -> None:
        self.cells.insert(self.row, list(self.cells[self.row]))

    def delete_cell(self, rng: random.Random) -> None:
        self._touch_columns_after()
        del self.cells[self.row][self.column]

    def more_cells(self, rng: random.Random) -> None:
        self._touch_columns_after()
        self.cells[self.row].insert(self.column, rng.choice(STRANGE))

    def rename(self, rng: random.Random) -> None:
        self.cells[0][self.column] += rng.choice(["s", "x", "_", " 2"])
        self.rows = set(range(1, len(self.cells)))

    def delete_column(self, rng: random.Random) -> None:
        for line in self.cells:
            del line[self.column]
        self.rows = set(range(1, len(self.cells)))

    def _touch_columns_after(self) -> None:
        self.columns = set(self.cells[0][self.column :])


def mutate_table(base: Base, rng: random.Random) -> Mutant:
    path = rng.choice(base.tables)
    cells = _cells(path, base.separator)
    header, old = list(cells[0]), [list(line) for line in cells]
    row, column = rng.randrange(1, len(cells)), rng.randrange(len(header))
    edit = _Edit(cells, row, column, rng.randrange(1, len(cells)), {row}, {header[column]})
    how = rng.choice(_OF_TABLES)
    edit(how, rng)
    _write(path, cells, base.separator)
    what = (
        f"{how} at row {row}, column {header[column]!r} of {path.name}: {old[row]} → {cells[min(row, len(cells) - 1)]}"
    )
    allowed = _allowed(base, path.name, edit.rows, edit.columns, old, cells)
    mutant = Mutant(path.name, what, allowed, same=how == "swap columns")
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
