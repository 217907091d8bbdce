"""Builds networks of IL-6 signalling: modules, the drugs given with them, and the abundances of a cell type."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import TYPE_CHECKING

from ..listing import did_you_mean
from ..networks.antimony_read import read_antimony
from ..networks.network import Network
from .compose import interface_of, merge, owned_by
from .constants import Constants, cell_constants, drug_constants
from .facts import with_facts

if TYPE_CHECKING:
    from ..compiled.model import Model

Module = str | Path
"""The name of a bundled module, group or composition, or an Antimony file (`.ant`) of one's own."""

MODULES = (
    "classic",
    "trans",
    "hyper",
    "cluster",
    "stat3",
    "stat1",
    "erk",
    "akt",
    "reporter",
    "genes",
    "serum",
)
GROUPS: Mapping[str, tuple[str, ...]] = {"receptor": ("classic", "trans", "hyper", "cluster")}
COMPOSITIONS: Mapping[str, tuple[str, ...]] = {
    "il6_classic": ("classic", "stat3"),
    "il6_stat3": ("classic", "trans", "hyper", "stat3"),
    "il6_full": ("receptor", "stat3", "stat1", "erk", "akt", "reporter", "genes"),
    "cytokine_release": ("classic", "trans", "hyper", "stat3", "serum"),
}
# Inhibitors of one target compete for one site: what they add up to is one number, which the target's module borrows.
_SHARED = {"JAK_inhibitor": "JAK_inhibition", "STAT3_inhibitor": "STAT3_inhibition"}
_DRUG = re.compile(r"(?<![A-Za-z0-9])DRUG(?![A-Za-z0-9])")


@dataclass(frozen=True)
class _Part:
    """A text of the composition, and the role it plays there: what glue files and errors call it."""

    role: str
    text: str


def il6(
    modules: Module | Sequence[Module] = "il6_stat3",
    *,
    cell: str | None = None,
    drugs: str | Sequence[str] = (),
    replace: Mapping[str, Path | str] | None = None,
) -> Model:
    """A compiled model of IL-6 signalling.

    What a module borrows and no other owns stays a constant parameter, 0 in all bundled ones.

    Parameters
    ----------
    modules : str, path, or sequence of them
        Names of bundled modules, groups (`receptor`) or compositions (`il6_full`), and paths of your own Antimony
        files.
    cell : str, optional
        A cell type, whose abundances become the parameters' values; None: as the modules state them (HepG2-like). All
        cells have HepG2's volumes; only receptors and STAT3 differ.
    drugs : str or sequence of str
        Each adds its species, under its own name, and its reactions.
    replace : dict, optional
        By the name of a bundled module, the Antimony file that takes its place.

    Returns
    -------
    Model
        The compiled model.

    Raises
    ------
    ValueError
        For unknown modules, cells and drugs (the known ones are listed), for a drug without its target in the model,
        and for modules that contradict each other.
    FileNotFoundError
        For a missing file.

    Examples
    --------
    >>> model = il6(["classic", "stat3"], cell="IL6R_negative")
    >>> float(model.defaults[model.parameters.index("IL6R_0")])
    0.0
    """
    wanted, replacements = _as_tuple(modules), dict(replace or {})
    files_read = tuple(
        Path(m).read_text(encoding="utf-8") for m in (*wanted, *replacements.values()) if Path(m).is_file()
    )
    return _compiled(
        wanted, cell, _as_tuple(drugs), tuple(sorted((k, str(v)) for k, v in replacements.items())), files_read
    )


@cache
def _compiled(modules, cell, drugs, replacements, files_read) -> Model:
    """`files_read`: the text of the user's files, so that a changed one is compiled anew."""
    from ..compiled.from_network import compile_network  # needs JAX, which takes half a second to import

    return compile_network(network(modules, cell=cell, drugs=drugs, replace=dict(replacements)))


def network(
    modules: Module | Sequence[Module] = "il6_stat3",
    *,
    cell: str | None = None,
    drugs: str | Sequence[str] = (),
    replace: Mapping[str, Path | str] | None = None,
    name: str | None = None,
) -> Network:
    """The network of the given modules, joined by name.

    - `modules`: names of bundled modules (`MODULES`), groups (`receptor`) or compositions (`il6_full`), and paths of
      Antimony files of one's own, in any mixture;
    - `cell`: a cell type of `cells.csv`, whose abundances become the parameters' values; None: as the modules state
      them (HepG2-like). All cells have HepG2's volumes, to which numbers of molecules per cell refer: the affinity
      that a surface shows depends on that volume. Only receptors and STAT3 differ between cell types;
    - `drugs`: names of `drugs.csv`; each adds its species, under its own name, and its reactions;
    - `replace`: by the name of a bundled module, the Antimony file that takes its place;
    - `name` of the network; None: made from the parts.

    What a module borrows and no other owns stays a constant parameter, 0 in all bundled ones.

    Raises `ValueError` for unknown modules, cells and drugs (the known ones are listed), for a drug without its target
    in the model, and for modules that contradict each other; `FileNotFoundError` for a missing file.
    """
    asked, drug_names = _as_tuple(modules), _as_tuple(drugs)
    parts = _modules(asked, replace or {})
    constants: list[Constants] = []
    for drug in dict.fromkeys(drug_names):
        constants.append(drug_constants(drug))
        parts += _drug(drug, parts)
    parts += _sums(drug_names)
    text = merge([part.text for part in parts])
    label = name or "_".join([asked[0] if asked[0] in COMPOSITIONS and len(asked) == 1 else "il6", *drug_names])
    made = read_antimony(re.sub(r"^model \w+", f"model {label}", text, count=1, flags=re.MULTILINE))
    if cell is not None:
        constants.append(cell_constants(cell))
    for table in constants:
        made = table.into(made)
    return with_facts(made)


def _folder() -> Traversable:
    return files(__package__)


def _as_tuple(value) -> tuple:
    return (value,) if isinstance(value, (str, Path)) else tuple(value)


def _expand(module: Module) -> Iterator[Module]:
    members = COMPOSITIONS.get(str(module)) or GROUPS.get(str(module))
    if members is None:
        yield module
    for member in members or ():
        yield from _expand(member)


def _modules(asked: Sequence[Module], replacements: Mapping[str, Path | str]) -> list[_Part]:
    """Modules in the order given, then the glue between them."""
    wanted = list(dict.fromkeys(m for module in asked for m in _expand(module)))
    unknown = [str(m) for m in wanted if str(m) not in MODULES and not str(m).endswith(".ant")]
    if unknown or not wanted:
        known = [*COMPOSITIONS, *GROUPS, *MODULES]
        raise ValueError(
            f"unknown module {', '.join(map(repr, unknown)) or '(none given)'}; known: {', '.join(known)}; "
            f"or the path of an Antimony file, ending in .ant{did_you_mean(unknown, known)}"
        )
    if unknown := [n for n in replacements if n not in wanted]:
        named = [str(m) for m in wanted]
        raise ValueError(
            f"replace: {', '.join(unknown)} is not among the modules {', '.join(named)}{did_you_mean(unknown, named)}"
        )
    parts = []
    for module in wanted:
        source = replacements.get(str(module), module)
        if source in MODULES:
            parts.append(_Part(str(module), (_folder() / "modules" / f"{module}.ant").read_text(encoding="utf-8")))
        else:
            role = str(module) if module in MODULES else Path(module).stem
            parts.append(_Part(role, _read(Path(source))))
    return parts + list(_glue("modules", {p.role for p in parts}))


def _read(path: Path) -> str:
    if not path.is_file():
        raise FileNotFoundError(f"there is no Antimony file {path}")
    return path.read_text(encoding="utf-8")


def _glue(folder: str, roles: Collection[str], *, first: str = "") -> Iterator[_Part]:
    """Files `a+b.ant`, where a and b are both there; of drugs those that begin with `first`, what the drug is."""
    for file in sorted((_folder() / folder).iterdir(), key=lambda f: f.name):
        names = file.name.removesuffix(".ant").split("+")
        if len(names) > 1 and set(names) <= set(roles) and first in ("", names[0]):
            yield _Part("+".join(names), file.read_text(encoding="utf-8"))


def _drug(drug: str, modules: Sequence[_Part]) -> list[_Part]:
    """The mechanism of a drug, written for it, and what it does to the modules that are there."""
    mechanism = drug_constants(drug).kind
    part = _Part(drug, _DRUG.sub(drug, (_folder() / "drugs" / f"{mechanism}.ant").read_text(encoding="utf-8")))
    glue = _glue("drugs", {mechanism, *(p.role for p in modules)}, first=mechanism)
    _check_target(drug, part, modules)
    return [part, *(_Part(f"{drug}: {p.role}", _DRUG.sub(drug, p.text)) for p in glue)]


def _check_target(drug: str, drug_part: _Part, modules: Sequence[_Part]) -> None:
    """Raises `ValueError` if no module contains what the drug acts on."""
    owned = {symbol for part in modules for symbol in owned_by(part.text)}
    missing = [symbol for symbol in interface_of(drug_part.text) if symbol not in owned]
    shared = _SHARED.get(drug_constants(drug).kind)
    if shared and not any(shared in interface_of(part.text) for part in modules):
        missing.append(f"a module that borrows {shared}")
    if missing:
        raise ValueError(f"drugs: {drug} has no target here: it needs {', '.join(missing)}; the modules are "
                         f"{', '.join(p.role for p in modules)}")  # fmt: skip


def _sums(drugs: Sequence[str]) -> list[_Part]:
    """For each target that inhibitors share, the sum of what they do."""
    made = []
    for mechanism, shared in _SHARED.items():
        terms = [f"inhibition_{d}" for d in dict.fromkeys(drugs) if drug_constants(d).kind == mechanism]
        if terms:
            borrowed = "\n".join(f"  {t} = 0 dimensionless;" for t in terms)
            body = f"{borrowed}\n  {shared} := {' + '.join(terms)};\n  {shared} has dimensionless;\n"
            made.append(_Part(shared, f"model {shared}_of_drugs({', '.join(terms)})\n{body}end\n"))
    return made
