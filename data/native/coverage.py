"""Rows of priors and of `[fixed]` that cover nothing: what is said of them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from difflib import get_close_matches

from ...models.networks.network import Network
from ..files.issues import Issues
from .prior_table import EACH_EXPERIMENT, PriorTable, covers

_EACH = (
    "what differs from experiment to experiment is a scale or an offset (`scale_group`, `offset_group`), or an input"
)


def near(name: str, known: Iterable[str], alike: float = 0.75) -> str:
    """`; did you mean 'kint'?`, or nothing if no name is as close as `alike`, 1 being the same."""
    stem, bracket, ending = name.partition("[")
    names = dict.fromkeys(known)
    if bracket and stem in names:
        return f"; write {stem + EACH_EXPERIMENT!r} in place of {stem!r}, for each experiment"
    if other_case := [n for n in names if n.casefold() == name.casefold()]:
        return f"; did you mean {other_case[0]!r}?" if name not in names else ""
    close = get_close_matches(name, names, 1, alike) or get_close_matches(stem, names, 1, alike)
    if not close and bracket:
        stems = dict.fromkeys(n.partition("[")[0] for n in names)
        close = [f"{s}[{ending}" for s in get_close_matches(stem, stems, 1, alike)]
    return f"; did you mean {close[0]!r}?" if close and close[0] != name else ""


def check_patterns(
    priors: PriorTable,
    needed: Sequence[str],
    fixed: Collection[str],
    unmeasured: Sequence[str],
    network: Network | None,
    file: str,
    to: Issues,
) -> None:
    """Each row with a wildcard must give a prior to a parameter of the data; one that does not is a problem.

    `unmeasured`: parameters of observables that have no measurements, which may stay covered.
    """
    own_keys = {*priors.named, *fixed}
    for pattern, parameter in priors.patterns:
        matched = [n for n in needed if covers(pattern, n)]
        if any(n not in own_keys and priors.matching(n) == pattern for n in matched):
            continue
        if not matched and any(covers(pattern, n) for n in unmeasured):
            continue
        expected = _unused(pattern, matched, own_keys, priors) if matched else _unmatched(pattern, needed, network)
        to.add(file, expected, row=parameter.row, column="parameter", holds=repr(pattern))


def _unused(pattern: str, matched: Sequence[str], own_keys: Collection[str], priors: PriorTable) -> str:
    left = [n for n in matched if n not in own_keys]
    if not left:
        return f"no such row, as what it covers has rows or values of its own ({_some(matched)}): remove it"
    earlier = priors.matching(left[0])
    return f"this row above {earlier!r}, which covers all of it, as the first row that covers a name counts"


def _unmatched(pattern: str, needed: Sequence[str], network: Network | None) -> str:
    stem = pattern.removesuffix(EACH_EXPERIMENT)
    constants = [] if network is None else [n for n in network.parameters if covers(stem, n)]
    if stem in constants:
        return (
            f"{stem!r}: it is a constant of the model, one for all experiments; {_EACH} with a column in the "
            "measurements; or remove the row"
        )
    if network is not None and stem in {*network.species, *network.compartments, *network.rules}:
        return f"a parameter; {stem} is a species, a compartment or a rule of the model; {_EACH}; or remove the row"
    if constants:
        return (
            f"a row for each constant of the model ({_some(constants)}), as wildcards stand for scales, offsets and "
            "noise of the data"
        )
    known = _some(list(dict.fromkeys(_family(n) for n in needed))) or "none"
    meant = near(pattern, [*map(_family, needed), *([] if network is None else network.parameters)])
    return f"a scale, an offset or a noise of this data set; it has {known}{meant}; correct the row or remove it"


def _family(name: str) -> str:
    return name.partition("[")[0] + EACH_EXPERIMENT if name.endswith("]") else name


def _some(names: Sequence[str], most: int = 6) -> str:
    return ", ".join(names[:most]) + (", …" if len(names) > most else "")


__all__ = ["check_patterns", "near"]
