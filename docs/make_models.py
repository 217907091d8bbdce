"""Writes docs/models.md from the bundled networks themselves: `make docs`."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

from hexamer.models import read_sbml
from hexamer.models.library import builder, constants
from hexamer.models.library.compose import interface_of
from hexamer.models.library.constants import Constants
from hexamer.models.networks.antimony_read import antimony_to_sbml
from hexamer.models.networks.markdown import describe

FILE = Path(__file__).with_name("models.md")
BEHAVIOURS = Path(__file__).parents[1] / "benchmarks" / "results" / "behaviours.json"
_PLACE = "example_drug"
_INTRODUCTION = """# The bundled networks

Made by `make docs` from the files in `models/library`: graphs, equations and numbers are those that hexamer solves.

Units are nM, min and pl, so that amounts are nM·pl = zmol (602 molecules) and rates zmol/min. In the graphs the medium
is blue, the cytosol (with the membrane) yellow, and the nucleus violet. ⌀ is a source or a sink. A circle is a reaction
of several partners. A dashed arrow starts at what changes a rate and is not consumed. A hexagon is a rule, or
a name that the module uses from another module. In the tables, `⇌` is a reaction whose one rate may be negative.

Marks of constants: [measured], [fitted] to data, [tuned] until the model behaves as cells do, [assumed].
"""

_OF_CELLS = """Numbers of receptors and of STAT3. All cell types have the volumes of HepG2 here; the affinity
that a cell's surface shows depends on that volume (see classic). All other constants are those of HepG2, so a cell type
is a question to the model, not a fit. In mouse hepatocytes, 53 to 56% of STAT3 is phosphorylated after 18 min of
40 ng/ml (Sobotta 2017); here it is 23%. `hepatocyte_core` is the model that was fitted to mouse hepatocytes.
"""


def document() -> str:
    """The text of docs/models.md."""
    parts = [
        _INTRODUCTION,
        _compositions(),
        _behaviours(),
        _constants("Cell types", constants.cells(), constants.cell_constants, _OF_CELLS),
    ]
    parts += [_constants("Drugs", constants.drugs(), constants.drug_constants)]
    for title, folder in (("Modules", "modules"), ("Mechanisms of drugs", "drugs"), ("Published models", "cores")):
        parts.append(f"# {title}\n")
        parts += [_chapter(name, text) for name, text in _texts(folder)]
    return "\n".join(parts)


def _texts(folder: str) -> Iterator[tuple[str, str]]:
    found = {f.name.removesuffix(".ant"): f for f in (files("hexamer.models.library") / folder).iterdir()
             if f.name.endswith(".ant")}  # fmt: skip
    rank = {name: i for i, name in enumerate(builder.MODULES)}
    for name in sorted(found, key=lambda n: (rank.get(n, len(rank)), n)):
        yield name, found[name].read_text(encoding="utf-8")


def _compositions() -> str:
    rows = ["# Compositions\n", "| name | modules | species | constants | reactions |", "|---|---|---|---|---|"]
    for name, modules in builder.COMPOSITIONS.items():
        network = builder.network(name)
        constants = network.parameters.keys() - network.rules.keys()
        sizes = [len(network.species), len(constants), len(network.reactions)]
        rows.append(f"| `{name}` | {', '.join(modules)} | " + " | ".join(map(str, sizes)) + " |")
    return "\n".join(rows) + "\n"


def _constants(title: str, names: tuple[str, ...], find, words: str = "") -> str:
    rows = [
        f"# {title}\n",
        *([words] if words else []),
        "| name | parameter | value | unit | grade | source | note |",
        "|---|---|---|---|---|---|---|",
    ]
    for name in names:
        known: Constants = find(name)
        label = f"`{name}`" + (f" ({known.kind})" if known.kind else "")
        for parameter, c in known.values.items():
            rows.append(f"| {label} | `{parameter}` | {c.value:g} | {c.unit} | {c.grade} | {c.source} | {c.note} |")
            label = ""
    grades = "Grades: A measured, B fitted, C assumed or from secondary literature.\n"
    return "\n".join([*rows, "", grades])


def _behaviours() -> str:
    """What `python -m benchmarks.behaviours` found last."""
    found = json.loads(BEHAVIOURS.read_text(encoding="utf-8"))
    rows = [
        "# How robust the behaviours are\n",
        f"Of {found['draws']} draws of all constants at once (log-sd {found['log_sd']} about the nominal values), how "
        "many show what IL-6\ndoes to cells (`python -m benchmarks.behaviours`). Numbers are those of the tests.\n",
        "| behaviour | nominal | draws |",
        "|---|---|---|",
    ]
    rows += [f"| {n} | {'yes' if b['nominal'] else 'no'} | {b['draws']} |" for n, b in found["behaviours"].items()]
    return "\n".join([*rows, ""])


def _chapter(name: str, text: str) -> str:
    text = re.sub(r"(?<![A-Za-z0-9])DRUG(?![A-Za-z0-9])", _PLACE, text)
    network = read_sbml(antimony_to_sbml(text))
    start = re.search(r"^model\b", text, re.MULTILINE)
    assert start, name
    header = text[: start.start()]
    prose = "\n".join(line.removeprefix("//").removeprefix(" ") for line in header.splitlines())
    borrowed = interface_of(text)
    lends = f"Borrows from other modules: {', '.join(f'`{b}`' for b in borrowed)}.\n\n" if borrowed else ""
    body = describe(network, inputs=borrowed, notes=_remarks(text))
    return f"## {name}\n\n```text\n{prose.strip()}\n```\n\n{lends}{body}"


def _remarks(text: str) -> dict[str, str]:
    """What the comment behind `name = value unit;` says."""
    found = re.finditer(r"^\s*(\w+)\s*=[^;\n]*;\s*//\s*(.+?)\s*$", text, re.MULTILINE)
    return {m[1]: m[2] for m in found}


if __name__ == "__main__":
    FILE.write_text(document(), encoding="utf-8")
