"""The declaration of an assay: its maker, its keys in `problem.toml`, and their meaning."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from ...models.networks.network import Network
from ..dataset import Observable
from ..files.toml_section import Section
from ..formula import Formula
from .conversion import UNCHANGED, Conversion
from .row_values import RowValues

Role = Literal["scale", "noise", "signal", "reading"]
"""A `scale` multiplies the signal. Others are added: `noise` and `signal` before it is scaled, `reading` after that."""

KeyUnit = Literal["1", "values", "spread"]
"""None; that of the values; or that of the values on the observable's scale, which is none on a logarithmic one."""


@dataclass(frozen=True)
class Key:
    """A key of an observable that takes a formula.

    The name of a parameter that stands there alone has its unit from `role`, as the signal's unit says, or from
    `unit`; without both nothing is known of its unit.
    """

    name: str
    role: Role | None = None
    unit: KeyUnit | None = None
    prior: Literal["always", "unless in the model", "never"] = "always"  # whether a name there needs one
    deviation: bool = False  # a standard deviation: a number there is at least 0


SCALE_KEY = Key("scale", "scale")
OFFSET_KEY = Key("offset", "reading")
BACKGROUND_KEY = Key("background", "signal", prior="unless in the model")
SD_ON_SCALE = Key("sd", unit="spread", deviation=True)
SD_OF_LOG = Key("sd", unit="1", deviation=True)
SD_OF_SIGNAL = Key("sd", "noise", deviation=True)
SD_REL = Key("sd_rel", unit="1", deviation=True)
SD_BETWEEN = Key("sd_between", unit="1", prior="unless in the model", deviation=True)


@dataclass(frozen=True)
class Assay:
    """An assay as `problem.toml` names it; beside the keys here it takes `assay`, `noise` and `unit`.

    An assay that takes more than formulas, or whose unit is not any, is of a class of its own that overrides methods.
    They read their keys from `section`, report errors there, and continue, so that all are reported at once.
    """

    name: str
    make: Callable[..., Observable]  # takes the name, the signals, and by keyword the network and all the rest
    about: str = ""  # a line; by default the maker's first one
    signals: tuple[str, ...] = ("signal",)  # required formulas: the maker's first arguments after the name
    keys: tuple[Key, ...] = (SD_OF_LOG,)  # optional formulas
    unit: str | None = "au"  # of the values, by default; None: it must be stated
    scale: Literal["each", "one", ""] = ""  # by default each experiment's own, or 1 for all; empty: no such key
    background: Key | None = None  # a formula under this key, or under it with `_group` each experiment's own
    row_sd: bool = True  # without `sd`, each row brings one
    conversion: Conversion = UNCHANGED  # how a row's value becomes a measurement
    takes_unit: bool = True  # whether the maker does, and so the key `unit`
    absolute: bool = False  # without a scale that would absorb the unit

    @property
    def all_keys(self) -> tuple[Key, ...]:
        """Every key that takes a formula beside the signals."""
        scale = (SCALE_KEY,) if self.scale else ()
        return (*scale, *(() if self.background is None else (self.background,)), *self.keys)

    @property
    def can_fold(self) -> bool:
        """True if values may be relative to untreated cells of the same experiment."""
        return self.scale == "each" and self.background is None

    def check_unit(self, section: Section, unit: str) -> None:
        """Complains of a unit that the values cannot have."""

    def take_signals(self, section: Section, network: Network | None) -> Sequence[Formula] | None:
        """The signals, None if one is unknown. A missing formula reads 1, so that all other keys are checked, too."""
        names = frozenset() if network is None else network.names
        before = section.faults
        signals = [section.formula(key, names) for key in self.signals]
        if section.faults > before:
            return None
        for key, signal in zip(self.signals, signals, strict=True):
            if signal is None:
                section.complain(key, "the key is missing; expected a formula")
        known = [1 if s is None and len(signals) == 1 else s for s in signals]
        return None if None in known else known  # pyright: ignore[reportReturnType]

    def take_values(self, section: Section, unit: str) -> RowValues:
        """The unit, the range and the conversion of the rows' values."""
        del section
        return RowValues(unit, self.conversion)

    def take_options(self, section: Section, values: RowValues) -> dict[str, Any]:
        """Arguments of the maker that are not formulas."""
        del section, values
        return {}

    def needs_row_sd(self, section: Section, values: RowValues, stated: Collection[str]) -> bool:
        """True if each row brings its standard deviation; `stated` are the keys of formulas that the section has."""
        del section, values
        return self.row_sd and "sd" not in stated

    def signal(self, observable: Observable, signals: Sequence[Formula]) -> Formula:
        """The formula that the scale multiplies."""
        del observable
        return signals[0]


__all__ = [
    "BACKGROUND_KEY",
    "OFFSET_KEY",
    "SD_BETWEEN",
    "SD_OF_LOG",
    "SD_OF_SIGNAL",
    "SD_ON_SCALE",
    "SD_REL",
    "Assay",
    "Key",
    "Role",
]
