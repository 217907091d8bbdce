"""Lists the models, problems, modules, drugs, cells and assays that come with hexamer, with a line on each."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from enum import StrEnum
from importlib.resources import files
from importlib.resources.abc import Traversable


class Kind(StrEnum):
    """A kind of things that a name stands for."""

    models = "models"
    problems = "problems"
    modules = "modules"
    drugs = "drugs"
    cells = "cells"
    assays = "assays"


def inventory(kind: Kind) -> dict[str, str]:
    """Names of that kind, and a line on each.

    >>> inventory(Kind.modules)["trans"]
    'signalling through the soluble IL-6 receptor, and the soluble gp130 that buffers it'
    """
    return dict(_READERS[kind]())


def _models() -> Mapping[str, str]:
    from ..models.library import COMPOSITIONS, CORES

    cores = {name: _first_line(_library() / "cores" / f"{name}.ant") for name in CORES}
    return {name: f"modules {', '.join(modules)}" for name, modules in COMPOSITIONS.items()} | cores


def _problems() -> Mapping[str, str]:
    from ..data import bundled

    folder = files("hexamer.data") / "bundled_problems"
    return {name: _first_line(folder / name / "problem.toml") for name in bundled()}


def _modules() -> Mapping[str, str]:
    from ..models.library import MODULES

    return {name: _first_line(_library() / "modules" / f"{name}.ant") for name in MODULES}


def _drugs() -> Mapping[str, str]:
    from ..models.library.constants import drug_constants, drugs

    kinds = {name: drug_constants(name).kind for name in drugs()}
    lines = {kind: _first_line(_library() / "drugs" / f"{kind}.ant") for kind in set(kinds.values())}
    return {name: re.sub(r" \([^)]*\)", "", lines[kind]) for name, kind in kinds.items()}  # without names of drugs


def _cells() -> Mapping[str, str]:
    from ..models.library.constants import cell_constants, cells

    def line(cell: str) -> str:
        return ", ".join(f"{n} = {c.value:g} {c.unit}" for n, c in cell_constants(cell).values.items())

    return {cell: line(cell) for cell in cells()}


def _assays() -> Mapping[str, str]:
    from ..data.assays import ASSAYS

    first = {name: assay.about or (assay.make.__doc__ or "").partition("\n")[0] for name, assay in ASSAYS.items()}
    return {name: re.split(r": | with \w+ v |\.$", line)[0].replace("`", "") for name, line in first.items()}


_READERS: Mapping[Kind, Callable[[], Mapping[str, str]]] = {
    Kind.models: _models,
    Kind.problems: _problems,
    Kind.modules: _modules,
    Kind.drugs: _drugs,
    Kind.cells: _cells,
    Kind.assays: _assays,
}


def _library() -> Traversable:
    return files("hexamer.models") / "library"


def _first_line(file: Traversable) -> str:
    """The first sentence of the comment that a file begins with, without the file's own name before it."""
    comment: list[str] = []
    for line in file.read_text(encoding="utf-8").splitlines():
        text = line.lstrip("/# ").strip()
        if not line.startswith(("//", "#")) or not text:  # a paragraph
            break
        comment.append(text)
    return _first_sentence(re.sub(r"^[\w+]+(, here DRUG)?: ", "", " ".join(comment)))


def _first_sentence(text: str) -> str:
    """Up to the first full stop outside of brackets, as in `(Sobotta et al. 2017)`."""
    depth = 0
    for i, character in enumerate(text):
        depth += (character == "(") - (character == ")")
        if character == "." and not depth and text[i + 1 : i + 2] in ("", " "):
            return text[:i]
    return text
