"""An `[observables.<name>]` table of `problem.toml`: the assay, and how its rows are to be read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from . import assays
from .dataset import Observable
from .parameter import SCALES
from .section import Section
from .units import UnitError, conversion_factor, is_concentration

ASSAYS = ("blot", "qpcr", "copy_number", "direct")
_DEFAULT_UNITS = {"blot": "au", "qpcr": "au", "copy_number": "zmol/cell"}


@dataclass(frozen=True)
class Reading:
    """An observable, and what its rows bring: `unit` is that of its values before any logarithm."""

    observable: Observable
    unit: str
    scale_group: str | None = None  # each experiment of the group has the parameter scale_<group>[<experiment>]
    sd_column: str | None = None  # where each row has its own standard deviation
    logged: bool = False  # the measurement is log10 of the row's value
    signed: bool = True  # may be zero or negative
    zero: bool = True  # may be zero
    parameters: tuple[str, ...] = ()  # of scale and noise, which need a prior

    @property
    def sd_in_unit(self) -> bool:
        """Whether a row's standard deviation is in the row's unit, not in that of a logarithm."""
        return not self.logged and self.observable.scale == "lin"

    def scale_of(self, experiment: str) -> str:
        return f"scale_{self.scale_group}[{experiment}]"


def make_reading(section: Section, name: str) -> Reading | None:
    """The reading of observable `name`; None where it is too wrong for more than its problems."""
    assay = section.take("assay")
    if assay not in ASSAYS:
        section.complain("assay", f"one of {', '.join(ASSAYS)}" if assay else f"the key is missing; {ASSAYS}", assay)
        return None
    options: dict[str, Any] = {"noise": section.choice("noise", ("normal", "laplace"))}
    signal = section.text_or_number("signal")
    if signal is None:
        section.complain("signal", "the key is missing; expected a formula")
    unit = _unit(section, assay)
    options["unit"] = unit
    parameters: list[str] = []
    scaled = assay in ("blot", "qpcr")
    group, sd_column = None, None
    if scaled:
        group, options["scale"] = _scale(section, name)
    for key in ("sd", "sd_rel") if assay == "blot" else ("sd",):
        value = section.text_or_number(key)
        if value is not None:
            options[key] = value
    if assay == "blot":
        options["noise_of"] = section.text_or_number("noise_of")
    elif "sd" not in options:
        sd_column = section.text("sd_column", "sd")
    if assay == "direct":
        options["scale"] = section.choice("transformation", SCALES)
    section.done()
    for key in ("scale", "sd", "sd_rel") if scaled else ("sd", "sd_rel"):
        if isinstance(options.get(key), str) and options[key].isidentifier():
            parameters.append(options[key])
    try:
        observable = getattr(assays, assay)(name, 1 if signal is None else signal, **options)
    except ValueError as error:
        section.complain("", str(error))
        return None
    positive = assay == "qpcr" or observable.scale != "lin"
    signed = not (positive or assay == "copy_number" or is_concentration(unit))
    return Reading(observable, unit, group, sd_column, assay == "qpcr", signed, not positive, tuple(parameters))


def _unit(section: Section, assay: str) -> str:
    if assay == "direct":
        return section.required("unit")
    unit = section.text("unit", _DEFAULT_UNITS[assay])
    if assay == "copy_number":
        try:
            conversion_factor(unit, "zmol/cell")
        except UnitError as error:
            section.complain("unit", f"an amount a cell: {error}", unit)
    return unit


def _scale(section: Section, name: str) -> tuple[str | None, str | float | None]:
    """The group whose experiments have a scale each, or the one scale of all rows."""
    group, scale = section.take("scale_group"), section.text_or_number("scale")
    if group is not None and scale is not None:
        section.complain("scale_group", "either scale_group or scale, not both", group)
    if scale is not None:
        return None, scale
    if group is None:
        return name, None
    if not isinstance(group, str) or not group:
        section.complain("scale_group", "text in quotes", group)
        return name, None
    return group, None
