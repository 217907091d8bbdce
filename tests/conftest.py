"""Finds the published data, and gives each test its tier.

Every test names its tier: `pytestmark = pytest.mark.tier("check")` for a file, `@pytest.mark.tier("slow")` for a test;
a case may have its own: `pytest.param(..., marks=pytest.mark.tier("slow"))`. The most specific one holds, and the test
gets the marker of that name, so that `-m check` selects it. CONTRIBUTING.md says which tier a new test belongs to.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import jax
import pytest

import typecheck

_without_typecheck = typecheck.install()
# A vector that meets a matrix by accident is an error; where it is meant, the code says so.
jax.config.update("jax_numpy_rank_promotion", "raise")

TIERS = ("check", "test", "slow", "programs")

_ENGINE = Path(__file__).parent / "models" / "fused"
_BESIDE = Path(__file__).resolve().parents[2] / "shared" / "data"

os.environ["HEXAMER_CACHE"] = "off"  # of tests and what they start: nothing is written into the user's folder

if "HEXAMER_DATA" not in os.environ and _BESIDE.is_dir():
    os.environ["HEXAMER_DATA"] = str(_BESIDE)


def pytest_configure(config: pytest.Config) -> None:
    """Takes the checks of annotations and ranks away from the tier `slow`.

    Many of its tests write formulas over arrays by numpy's rules; with annotations two thirds of it have run.
    """
    if "slow" in config.option.markexpr:
        _without_typecheck()
        jax.config.update("jax_numpy_rank_promotion", "allow")


def _may_hold(tier: str, text: str) -> bool:
    """False if the text of a test file shows that no test in it has this tier. `slowly`, `ENGINES`: slow cases."""
    by_helpers = tier == "slow" and ("slowly(" in text or "ENGINES" in text)
    return f'tier("{tier}")' in text or by_helpers or "tier(" not in text


def _tier(item: pytest.Item) -> str | None:
    """The slowest tier of the case's parameters, else that of the test or its file; None if there is none."""
    case = getattr(item, "callspec", None)
    of_parameters = [m.args[0] for m in case.marks if m.name == "tier"] if case is not None else []
    named = of_parameters or [m.args[0] for m in item.iter_markers("tier")][:1]
    if unknown := set(named) - set(TIERS):
        raise pytest.UsageError(f"{item.nodeid}: the tier {unknown.pop()!r} is not one of {', '.join(TIERS)}")
    return max(named, key=TIERS.index, default=None)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Files without a test of the tiers that `-m` names are not imported."""
    asked = set(config.option.markexpr.split(" or "))
    if collection_path.suffix != ".py" or not asked <= set(TIERS):
        return None
    text = collection_path.read_text(encoding="utf-8")
    return True if not any(_may_hold(tier, text) for tier in asked) else None


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Lets clang optimise the fused engine where that is what is tested, and in the tier `slow`.

    The other tests of `check` and `test` compile some 400 networks, most of them toys that are solved a few times:
    clang took half of their time.
    """
    from hexamer.models.solvers.fused import compilation

    slow = "slow" in item.config.option.markexpr
    fully = slow or _ENGINE in item.path.parents or item.get_closest_marker("optimised") is not None
    compilation.OPTIONS.pop("optimization_level", None)
    if not fully:
        compilation.OPTIONS["optimization_level"] = 0


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    tiers = [_tier(item) for item in items]
    if without := [i.nodeid for i, t in zip(items, tiers, strict=True) if t is None]:
        raise pytest.UsageError(
            f"{len(without)} tests name no tier, the first of them {without[0]}: write "
            f'pytestmark = pytest.mark.tier("check") in the file (or one of {", ".join(TIERS)})'
        )
    for item, tier in zip(items, tiers, strict=True):
        item.add_marker(str(tier))


@pytest.fixture(scope="module", autouse=True)
def _compiled_code_is_let_go(request: pytest.FixtureRequest) -> Iterator[None]:
    """After each file of slow tests JAX forgets what it has compiled; a worker would grow to 6 GB."""
    yield
    if "slow" in request.config.option.markexpr:
        jax.clear_caches()


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of published data that HEXAMER_DATA names; an empty variable means that there is none."""
    root = os.environ.get("HEXAMER_DATA", "")
    if not root:
        pytest.skip("published data are absent: set HEXAMER_DATA to the folder that holds hepg2/, petab/ and so on")
    if not Path(root).is_dir():
        pytest.skip(f"published data are absent: HEXAMER_DATA is {root!r}, which is not a folder")
    return Path(root)
