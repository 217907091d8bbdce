"""No name means two things: modules, their public functions and classes, and what packages export.

Constants and what begins with `_` are used within one module or beside its name, and are not compared.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache

import pytest

from package_modules import modules

pytestmark = pytest.mark.tier("check")

# Public names that several modules define, which modules these are, and why that is one meaning.
SAME_MEANING: dict[str, tuple[set[str], str]] = {
    "arm_share": ({"infer.doses.arms", "infer.plots.arms"}, "plots.arm_share draws what arm_share returns"),
    "backward": ({"models.solvers.fused.cpu", "models.solvers.fused.gpu"}, "the same call, by CPU and by GPU"),
    "bundled": ({"data.catalogue", "models.library.catalogue"}, "names of what comes with hexamer"),
    "command": (
        {f"cli.{name}" for name in ("dose_response", "evaluate", "export", "fit", "list", "map", "sbc", "simulate")},
        "the function behind a command, in the file of its name",
    ),
    "dose_response": ({"infer.doses.response", "infer.plots.dose_curves"}, "plots.dose_response draws its result"),
    "fit": (
        {"infer.calibration", "infer.plots.observable_panels"},
        "plots.fit draws the posterior that fit found, beside the data",
    ),
    "forward": ({"models.solvers.fused.cpu", "models.solvers.fused.gpu"}, "the same call, by CPU and by GPU"),
    "memory": (
        {f"models.solvers.fused.{name}" for name in ("cpu", "cuda", "gpu")},
        "bytes that the recorded steps may take, by CPU and by GPU",
    ),
    "prior_of": ({"data.petab.v1_priors", "data.petab.v2_priors"}, "the prior of a row, in two versions of PEtab"),
    "solve": (
        {"models.solvers.dispatch", "models.solvers.fused.engine", "models.solvers.reference.engine"},
        "the same function of a plan, by two engines, and by the one that is chosen",
    ),
    "why_unread": ({"data.files.toml_words", "models.networks.antimony_words"}, "a parser's message in plain words"),
}


@cache
def _tree(module: str) -> ast.Module:
    return ast.parse(modules()[module].read_text(encoding="utf-8"))


def _defined(module: str) -> Iterator[tuple[str, bool]]:
    """Public names of a module's top level, and whether each is a class, a function or an alias of a type."""
    for node in _tree(module).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names, is_definition = [node.name], True
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names, is_definition = [n.id for t in targets for n in ast.walk(t) if isinstance(n, ast.Name)], False
        else:
            continue
        for name in names:
            if not name.startswith("_"):
                yield name, is_definition or re.fullmatch(r"[A-Z]+[a-z]\w*", name) is not None


def _exported(package: str) -> set[str]:
    """What a package's `__init__` imports from its modules, defines, or lists in `__all__`, modules apart."""
    names = {name for name, _ in _defined(package)}
    submodules = set()
    for node in _tree(package).body:
        for within in ast.walk(node):
            if isinstance(within, ast.ImportFrom):
                imported = {alias.asname or alias.name for alias in within.names}
                if within.level == 1 and not within.module:
                    submodules |= imported
                else:
                    names |= imported
        if isinstance(node, ast.Assign | ast.AugAssign) and "__all__" in ast.unparse(node).partition("=")[0]:
            names |= {c.value for c in ast.walk(node) if isinstance(c, ast.Constant) and isinstance(c.value, str)}
    return names - submodules


def _packages() -> list[str]:
    return [name for name, path in modules().items() if path.name == "__init__.py"]


def _submodules(package: str) -> set[str]:
    start = f"{package}." if package else ""
    inner = {name.removeprefix(start) for name in modules() if name.startswith(start)}
    return {name for name in inner if name and "." not in name}


def test_no_module_is_named_like_what_it_defines() -> None:
    """Else `hexamer.x.name` is a module or a function, whichever was imported last."""
    assert [m for m in modules() if m.rpartition(".")[2] in dict(_defined(m))] == []


@pytest.mark.parametrize("package", _packages())
def test_a_package_exports_nothing_under_the_name_of_its_module(package: str) -> None:
    assert _exported(package) & _submodules(package) == set()


def test_each_public_name_is_defined_once() -> None:
    where: dict[str, set[str]] = {}
    for module in modules():
        for name, is_definition in _defined(module):
            if is_definition:
                where.setdefault(name, set()).add(module)
    several = {name: found for name, found in where.items() if len(found) > 1}
    assert several == {name: found for name, (found, _) in SAME_MEANING.items()}, (
        "give one of them another name; if they mean the same, import it, or add it to SAME_MEANING with the reason"
    )


def test_the_check_sees_what_there_is() -> None:
    assert {("Problem", True), ("Objective", True)} <= set(_defined("infer.problem.problem"))
    assert ("FACTS", False) in set(_defined("moved"))
    assert {"literature", "fit_standard_curve"} <= _exported("data")
    assert {"interrupt", "data"} & _exported("") == set()
    assert {"simulate", "report"} <= _exported("")
    assert {"combination", "read_posterior"} <= _exported("infer")
    assert {"plots", "doses", "calibration"} <= _submodules("infer")
    assert {"infer", "cli", "moved"} <= _submodules("")
