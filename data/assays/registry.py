"""The assays that `problem.toml` may name, with the keys that each of them takes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from .. import assays
from ..dataset import Observable
from .log10_reading import log10_reading

Reads = Literal["value", "log10", "logit", "cycles"]  # how a table value becomes a measurement


@dataclass(frozen=True)
class Keys:
    """Keys of one assay beside `assay`, `noise` and `unit`."""

    make: Callable[..., Observable]
    signals: tuple[str, ...] = ("signal",)  # required formulas: the maker's first arguments after the name
    optional: tuple[str, ...] = ("sd",)  # formulas with a default
    unit: str | None = "au"  # of the values, by default; None: it must be stated
    scale: Literal["each", "one", ""] = ""  # by default each experiment's own, or 1 for all; empty: no such key
    background: str = ""  # a formula under this key, or under it with `_group` each experiment's own
    row_sd: bool = True  # without `sd`, each row brings one
    reads: Reads = "value"  # what of a row's value is the measurement
    takes_unit: bool = True  # whether the maker does
    absolute: bool = False  # without a scale that would absorb the unit
    takes_network: bool = False  # to check units, or to find complexes


ASSAYS: Mapping[str, Keys] = {
    "blot": Keys(
        assays.blot,
        optional=("saturation", "sd", "sd_rel", "noise_of"),
        scale="each",
        background="offset",
        row_sd=False,
        takes_network=True,
    ),
    "qpcr": Keys(assays.qpcr, scale="each", reads="log10", takes_network=True),
    "qpcr_ct": Keys(assays.qpcr, unit="Ct", scale="each", reads="cycles", takes_unit=False, takes_network=True),
    "blot_ratio": Keys(
        assays.blot_ratio,
        signals=("signal", "total"),
        optional=("background", "left_over", "sd"),
        unit="1",
        scale="each",
        takes_network=True,
    ),
    "coip": Keys(
        assays.coip,
        signals=(),
        optional=("saturation", "sd", "sd_rel"),
        scale="each",
        background="offset",
        row_sd=False,
        takes_network=True,
    ),
    "luciferase": Keys(
        assays.luciferase, optional=("renilla", "background", "sd"), unit="1", scale="each", takes_network=True
    ),
    "elisa": Keys(
        assays.elisa,
        optional=("background", "sd", "sd_between"),
        unit="nM",
        scale="one",
        takes_network=True,
        absolute=True,
    ),
    "flow_cytometry": Keys(assays.flow_cytometry, scale="each", background="background", takes_network=True),
    "luminex": Keys(assays.luminex, scale="each", background="background", takes_network=True),
    "phosphorylation_degree": Keys(
        assays.phosphorylation_degree,
        signals=("signal", "total"),
        unit="1",
        scale="one",
        reads="logit",
        takes_unit=False,
        takes_network=True,
    ),
    "copy_number": Keys(assays.copy_number, unit="zmol/cell", takes_network=True, absolute=True),
    "direct": Keys(assays.direct, unit=None, takes_network=True),
    "log10_reading": Keys(log10_reading, scale="each", background="offset", reads="log10", takes_network=True),
}
