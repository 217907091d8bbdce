"""Which file imports which: one way, from the command line down to the models, without circles."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

import pytest

from hexamer.models import load_network
from hexamer.models.library import COMPOSITIONS, cells, drugs
from package_modules import FOLDERS, ROOT, modules

pytestmark = pytest.mark.tier("check")

# All of `infer` that is not drawn or reported.
_RESULTS = sorted({name.split(".")[1] for name in modules() if name.startswith("infer.")} - {"plots", "reports"})

# Imports that are forbidden: (importing modules, imported modules, why). A name stands for all modules below it.
NEVER = [
    ("models", "data", "models are built without data"),
    ("models", "infer", "models are built without inference"),
    ("data", "infer", "data are read without inference"),
    *(
        (part, "cli", "nothing imports the command line")
        for part in ("", "errors", "html", "interrupt", "late_imports", "moved", *FOLDERS)
    ),
    *(
        (part, folder, "it is imported by all")
        for part in ("errors", "html", "interrupt", "late_imports")
        for folder in FOLDERS
    ),
    ("data", "models.solvers.fused", "only hexamer.models knows the engines"),
    ("infer", "models.solvers.fused", "only hexamer.models knows the engines"),
    ("data", "models.solvers.reference", "only hexamer.models knows the engines"),
    ("infer", "models.solvers.reference", "only hexamer.models knows the engines"),
    ("data", "models.library", "data are read for any network, not for IL-6 alone"),
    ("infer", "models.library", "inference is for any network, not for IL-6 alone"),
    ("models.networks", "models.library", "any network is read, not those of IL-6 alone"),
    *(
        (f"infer.{room}", f"infer.{drawn}", "results do not know who draws or reports them")
        for room in _RESULTS
        for drawn in ("plots", "reports")
    ),
]


def imported(name: str, text: str, *, is_package: bool) -> Iterator[tuple[str, int]]:
    """Modules of the package that a module imports, anywhere in it, and in which line."""
    here = ["hexamer", *filter(None, name.split("."))]
    package = here if is_package else here[:-1]
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            base = ".".join([*base, *filter(None, [node.module])])
            names = [f"{base}.{alias.name}" for alias in node.names]
        else:
            continue
        for full in names:
            if full.split(".")[0] != "hexamer":
                continue
            inner = full.removeprefix("hexamer").lstrip(".")
            while inner not in modules():  # a name in a module
                inner = inner.rpartition(".")[0]
            yield inner, node.lineno


@cache
def arrows() -> Mapping[str, tuple[tuple[str, int], ...]]:
    return {
        name: tuple(imported(name, path.read_text(), is_package=path.name == "__init__.py"))
        for name, path in modules().items()
    }


def within(name: str, start: str) -> bool:
    return name == start or name.startswith(f"{start}.")


def against(importing: str, banned: str) -> list[tuple[str, str, int]]:
    """Files, what they import, and in which line, where that is not allowed."""
    return [
        (str(modules()[name].relative_to(ROOT)), target, line)
        for name, targets in arrows().items()
        for target, line in targets
        if within(name, importing) and within(target, banned)
    ]


@pytest.mark.parametrize(("importing", "banned", "why"), NEVER)
def test_never(importing: str, banned: str, why: str) -> None:
    found = [f"{f}:{line} imports {t}" for f, t, line in against(importing, banned)]
    assert not found, f"{why}:\n" + "\n".join(found)


def circles(graph: Mapping[str, set[str]]) -> list[list[str]]:
    """Modules that import each other, straight or over others: what is left when leaves are taken away."""
    left = {name: set(targets) & set(graph) - {name} for name, targets in graph.items()}
    while leaves := [name for name, targets in left.items() if not targets]:
        for name in leaves:
            del left[name]
        left = {name: targets - set(leaves) for name, targets in left.items()}
    reached = {name: _reached(left, name) for name in left}
    groups = {frozenset({n for n in reached[name] if name in reached[n]}) for name in left}
    return sorted(sorted(group) for group in groups if group)


def _reached(graph: Mapping[str, set[str]], start: str) -> set[str]:
    seen, todo = set(), [start]
    while todo:
        for target in graph[todo.pop()] - seen:
            seen.add(target)
            todo.append(target)
    return seen


def test_no_import_circle() -> None:
    """Imports in functions and for type checkers count: a circle of ideas is one all the same."""
    assert circles({name: {target for target, _ in targets} for name, targets in arrows().items()}) == []


def room(name: str) -> str:
    """The folder below `models`, `data` or `infer` that a module is in; one in none of them is a room by itself."""
    return ".".join(name.split(".")[:2])


def test_no_circle_of_rooms() -> None:
    graph: dict[str, set[str]] = {}
    for name, targets in arrows().items():
        if "." in name:
            graph.setdefault(room(name), set()).update(room(t) for t, _ in targets if "." in t)
    assert circles(graph) == []


def full_names_of_numpyro(text: str) -> Iterator[int]:
    """Lines that import a module within NumPyro by its full name while the code runs, not for type checkers alone."""
    tree = ast.parse(text)
    for_types = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if id(node) in for_types or not isinstance(node, ast.Import | ast.ImportFrom):
            continue
        named = [node.module or ""] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names]
        if any(name.startswith("numpyro.") for name in named):
            yield node.lineno


def test_numpyro_is_loaded_whole() -> None:
    """`part_of_numpyro` says why; of tests and benchmarks too, as a process may run any of them first."""
    text = "import numpyro\nfrom numpyro import infer\nimport numpyro.infer\nif x:\n    from numpyro.infer import hmc\n"
    assert list(full_names_of_numpyro(text)) == [3, 5]
    files = [*modules().values(), *(ROOT / "tests").rglob("*.py"), *(ROOT / "benchmarks").rglob("*.py")]
    found = [f"{path.relative_to(ROOT)}:{n}" for path in files for n in full_names_of_numpyro(path.read_text())]
    assert not found, "write `from numpyro import …` or part_of_numpyro(…): " + ", ".join(found)


def test_the_check_sees_what_there_is() -> None:
    """Relative imports of all levels, imports in functions, and circles."""
    text = (
        "from . import simulation\nfrom ..data import literature_table\n"
        "def f():\n    from .solvers.fused.gpu import where\n"
    )
    assert list(imported("models.somewhere", text, is_package=False)) == [
        ("models.simulation", 1),
        ("data.literature_table", 2),
        ("models.solvers.fused.gpu", 4),
    ]
    assert {"", "cli", "cli.fit", "late_imports", "models.load"} <= modules().keys()
    assert {"posterior", "storage", "result", "calibration"} <= set(_RESULTS)
    assert list(imported("models", "from .simulation import simulate", is_package=True)) == [("models.simulation", 1)]
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"b", "d"}, "d": set()}) == [["b", "c"]]


def texts(file: Path) -> Iterator[tuple[str, int]]:
    """String constants of a module but its docstrings, and in which line."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    alone = {id(n.value) for n in ast.walk(tree) if isinstance(n, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in alone:
            yield node.value, node.lineno


def test_generic_code_names_nothing_of_the_library() -> None:
    """No text of `data` or `infer` names a species, a rule, a drug or a cell of IL-6: the library says them."""
    networks = [load_network(name) for name in COMPOSITIONS]
    names = {n for network in networks for n in (*network.species, *network.rules) if not n.islower()}
    names |= {"gp130", "sgp130", *drugs(), *cells()}
    assert {"IL6", "sIL6R", "pSTAT3_total", "tocilizumab", "HepG2"} <= names
    files = [
        f for folder in ("data", "infer") for f in (ROOT / folder).rglob("*.py") if "bundled_problems" not in f.parts
    ]
    assert len(files) > 80
    found = [
        f"{file.relative_to(ROOT)}:{line} names {', '.join(sorted(named))}"
        for file in files
        for text, line in texts(file)
        if (named := names & set(re.findall(r"\w+", text)))
    ]
    assert found == []
