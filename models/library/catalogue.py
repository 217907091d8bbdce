"""Names of bundled networks, and compositions of them."""

from __future__ import annotations

from importlib.resources import files

from ..listing import did_you_mean
from ..networks.antimony_read import read_antimony
from ..networks.network import Network
from .builder import COMPOSITIONS, GROUPS, MODULES, network
from .constants import cells, drugs
from .facts import with_facts

CORES = ("hepg2_core", "hepatocyte_core")


def bundled() -> tuple[str, ...]:
    """Names of the bundled networks.

    Returns
    -------
    tuple of str
        What `load_network` knows by name.
    """
    return (*COMPOSITIONS, *CORES)


def find(name: str) -> Network | None:
    """The bundled network of that name; None if there is none.

    A name may also compose parts, joined by `+` in any order: modules, groups or compositions, drugs, and a cell type,
    as in `il6_stat3+tocilizumab+T_cell`.

    Raises `ValueError` for a composition with an unknown part, and for what `builder.network` raises.
    """
    if name in CORES:
        text = files(__package__).joinpath("cores", f"{name}.ant").read_text(encoding="utf-8")
        return with_facts(read_antimony(text))
    parts = [part.strip() for part in name.split("+")]
    known = {*COMPOSITIONS, *GROUPS, *MODULES}
    if len(parts) == 1 and name not in known:
        return None
    every = [*COMPOSITIONS, *GROUPS, *MODULES, *drugs(), *cells()]
    strangers = [p for p in parts if p not in known and p not in drugs() and p not in cells()]
    if strangers:
        raise ValueError(
            f"unknown part {', '.join(map(repr, strangers))} of {name!r}; known modules: "
            f"{', '.join([*COMPOSITIONS, *GROUPS, *MODULES])}; drugs: {', '.join(drugs())}; "
            f"cells: {', '.join(cells())}{did_you_mean(strangers, every)}"
        )
    cell = [p for p in parts if p in cells()]
    if len(cell) > 1:
        raise ValueError(f"{name!r} names several cell types: {', '.join(cell)}")
    modules = [p for p in parts if p in known] or ["il6_stat3"]
    return network(modules, drugs=[p for p in parts if p in drugs()], cell=next(iter(cell), None))
