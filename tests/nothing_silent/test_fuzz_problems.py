"""Mutated problem folders: each is refused in our words, or differs from the original in what was mutated alone."""

from __future__ import annotations

import math
import random
import re
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from hexamer.data import Dataset
from support.mutants import NATIVE, Base, Mutant, mutate_bytes, mutate_description, mutate_table, of_case

pytestmark = pytest.mark.tier("test")
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


@pytest.fixture
def petab(tmp_path: Path) -> Base:
    repairs = {"measurements.tsv": ("\tinf\t", "\t12.5\t")}
    return of_case(tmp_path, "messages-that-do-not-place-the-fault/inf", repairs)


@pytest.fixture
def limits(tmp_path: Path) -> Base:
    return of_case(tmp_path, "limits-in-a-petab-table", {})


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
