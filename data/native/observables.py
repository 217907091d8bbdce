"""An `[observables.<name>]` table of `problem.toml`: the assay, and how its rows are to be read."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import sympy

from ...models.networks.network import Network
from ..assays import OFFSET, SCALE
from ..assays.registry import ASSAYS, Keys
from ..dataset import Observable
from ..files.toml_section import Section
from ..formula import Formula, FormulaError, parse_formula
from ..noise import KNOWN, Noise, noise_of
from ..quantities.composition import Parts, seen
from ..quantities.units import UnitError, conversion_factor, is_concentration
from ..scale import Scale
from .measured import take_molar_mass
from .row_values import RowValues, take_efficiency
from .standards import take_standards

Load = Callable[[], Network | None]
"""Gives the network that the data are made for; None where it cannot be read."""

Role = Literal["scale", "noise", "signal", "reading"]
"""A `scale` multiplies the signal. Others are added: `noise` and `signal` before it is scaled, `reading` after that."""

# Keys that may name a parameter of the data, which needs a prior; the second ones may name what the model has, too.
_NOISE = ("scale", "offset", "sd", "sd_rel")
_DEVIATIONS = ("sd", "sd_rel", "sd_between")
_QUIRKS = ("background", "sd_between", "saturation", "left_over")


@dataclass(frozen=True)
class Reading:
    """An observable, and what its rows bring."""

    observable: Observable
    values: RowValues
    scale_group: str | None = None  # each experiment of the group has the parameter scale_<group>[<experiment>]
    offset_group: str | None = None  # likewise <offset_key>_<group>[<experiment>]
    offset_key: str = "offset"
    sd_column: str | None = None  # where each row has its own standard deviation
    fold: bool = False  # values are relative to untreated cells of the same experiment
    parameters: tuple[str, ...] = ()  # of scale and noise, which need a prior
    parameter_units: Mapping[str, str] = field(default_factory=dict)  # of those that are not in the model's units
    signal: Formula | None = None  # what the scale multiplies
    noise_of: Formula | None = None  # what the noise is in the unit of, if not the signal
    roles: Mapping[str, Role] = field(default_factory=dict)  # of parameters whose units follow from the signal's

    @property
    def sd_in_unit(self) -> bool:
        """Whether a row's standard deviation is in the row's unit, not in that of a logarithm."""
        return self.values.reads == "value" and self.observable.scale == "lin"

    @property
    def families(self) -> tuple[str, ...]:
        """The scale and the offset that some experiment would have."""
        scale = () if self.scale_group is None else (self.scale_of("any"),)
        return scale if self.offset_group is None else (*scale, self.offset_of("any"))

    def scale_of(self, experiment: str) -> str:
        return f"scale_{self.scale_group}[{experiment}]"

    def offset_of(self, experiment: str) -> str:
        return f"{self.offset_key}_{self.offset_group}[{experiment}]"


def _noise(section: Section) -> Noise:
    text = section.text("noise", "normal")
    try:
        return noise_of(text)
    except ValueError as error:
        why = "" if str(error).startswith("unknown") else f" ({error})"
        section.complain("noise", f"one of {KNOWN}{why}", text)
        return noise_of("normal")


def make_reading(section: Section, name: str, load: Load = lambda: None, *, unit_column: bool = True) -> Reading | None:
    """The reading of observable `name`; None where it is too wrong for more than its problems.

    `load` gives the network, whose species and units say what the assay can see. `unit_column`: each row has its unit,
    so that an absolute observable may be in the assay's.
    """
    assay = section.take("assay")
    if assay not in ASSAYS:
        known = ", ".join(ASSAYS)
        section.complain("assay", f"one of {known}" if assay else f"the key is missing; expected one of {known}", assay)
        return None
    keys = ASSAYS[assay]
    unit = _unit(section, assay, keys, unit_column)
    options: dict[str, Any] = {"noise": _noise(section)}
    if keys.takes_unit:
        options["unit"] = unit
    group, offset_group = None, None
    network = load() if keys.takes_network else None
    names = frozenset() if network is None else network.names
    if keys.scale:
        group, options["scale"] = _each("scale", section, names, name if keys.scale == "each" else None, 1)
    if keys.background:
        offset_group, options[keys.background] = _each(keys.background, section, names, None, 0)
    options |= {k: v for k in keys.optional if (v := section.formula(k, names)) is not None}
    _check_deviations(section, options)
    signals = _signals(section, assay, keys, network, options)
    values = _values(section, assay, keys, unit)
    if assay == "elisa" and values.molar_mass is not None:
        options["molar_mass"] = values.molar_mass
    sd_column = _sd_column(section, keys, values, options)
    fold = _flag(section, "fold") if keys.scale == "each" and not keys.background else False
    parameters = _parameters(options, network)
    if assay == "direct":
        options["scale"] = section.choice("transformation", tuple(Scale))
    parameter_units = _parameter_units(assay, options, unit)
    roles = _roles(assay, options)
    section.done()
    if signals is None:
        return None
    if keys.takes_network:
        options["network"] = network
    try:
        observable = keys.make(name, *signals, **options)
    except ValueError as error:
        section.complain("", str(error))
        return None
    return Reading(
        observable,
        _in_range(values, observable, assay),
        scale_group=group,
        offset_group=offset_group,
        offset_key=keys.background or "offset",
        sd_column=sd_column,
        fold=fold,
        parameters=parameters,
        parameter_units=parameter_units,
        signal=_coip_signal(observable) if assay == "coip" else signals[0],
        noise_of=options.get("noise_of"),
        roles=roles,
    )


def _coip_signal(observable: Observable) -> sympy.Expr:
    """The formula of the reading without its scale and offset."""
    return observable.formula.xreplace({sympy.Symbol(SCALE): sympy.S.One, sympy.Symbol(OFFSET): sympy.S.Zero})  # pyright: ignore[reportReturnType]


def _check_deviations(section: Section, options: dict[str, Any]) -> None:
    """Numbers among the keys of noise; without one that is refused, the rest is checked as usual."""
    for key in _DEVIATIONS:
        try:
            formula = parse_formula(options.get(key, 1))
        except FormulaError:
            continue  # which was told
        if formula.is_number and not float(formula) >= 0:  # pyright: ignore[reportArgumentType]
            section.complain(key, "a standard deviation above 0, or 0 for none", section.take(key))
            options[key] = 1


def _parameter_units(assay: str, options: Mapping[str, Any], unit: str) -> dict[str, str]:
    """Units of the parameters of noise and background that an assay has in its own unit, or without one."""
    own = {"sd_rel": "1", "sd_between": "1", "left_over": "1"}
    if assay not in ("blot", "coip"):
        linear = assay == "copy_number" or (assay == "direct" and options["scale"] == "lin")
        own["sd"] = unit if linear else "1"
    if assay == "elisa":
        own["background"] = unit
    return {v: own[k] for k, v in options.items() if k in own and isinstance(v, str) and v.isidentifier()}


def _roles(assay: str, options: Mapping[str, Any]) -> dict[str, Role]:
    """Roles of the parameters that the keys of an assay name."""
    of_noise: Role = "reading" if SCALE in _names_in(options.get("noise_of")) else "noise"
    roles: dict[str, Role] = {"scale": "scale"}
    if assay in ("blot", "coip"):
        roles |= {"sd": of_noise, "offset": "reading"}
    if assay == "log10_reading":
        roles |= {"offset": "reading"}
    if assay in ("flow_cytometry", "luminex", "luciferase", "blot_ratio"):
        roles |= {"background": "signal"}
    named = {k: v for k in roles if isinstance(v := options.get(k), str) and v.isidentifier()}
    return {} if assay == "direct" else {v: roles[k] for k, v in named.items()}


def _names_in(formula: Formula | None) -> set[str]:
    try:
        return set() if formula is None else {str(s) for s in parse_formula(formula).free_symbols}
    except FormulaError:
        return set()  # which was told


def _signals(
    section: Section, assay: str, keys: Keys, network: Network | None, options: dict[str, Any]
) -> list[Any] | None:
    """What the assay is fed, None where it is unknown. A missing formula reads 1, so that the rest is checked, too."""
    if assay == "coip":
        bait, prey = section.required("bait"), section.required("prey")
        options |= {"composition": _composition(section), "where": section.texts("where") or None}
        if network is None:
            section.complain("assay", "a network that can be read, to find the complexes in", assay)
        return [bait, prey] if bait and prey and network is not None else None
    if assay == "elisa" and section.take("analyte") is not None:
        return _analyte(section, network)
    names = frozenset() if network is None else network.names
    before = section.faults
    signals = [section.formula(key, names) for key in keys.signals]
    if section.faults > before:
        return None
    for key, signal in zip(keys.signals, signals, strict=True):
        if signal is None:
            section.complain(key, "the key is missing; expected a formula")
    if len(signals) == 1:
        return [1 if signals[0] is None else signals[0]]
    return None if None in signals else signals


def _analyte(section: Section, network: Network | None) -> list[Any] | None:
    """The concentration of all that holds the analyte, in one compartment."""
    analyte, where = section.required("analyte"), section.required("where")
    composition, hidden_by = _composition(section), section.texts("hidden_by")
    if section.take("signal") is not None:
        section.complain("signal", "either signal or analyte, not both", section.take("signal"))
    if network is None:
        section.complain("analyte", "a network that can be read, to find its complexes in", analyte)
    if network is None or not analyte or not where:
        return None
    try:
        return [seen(network, analyte, where=where, composition=composition, hidden_by=hidden_by)]
    except ValueError as error:
        section.complain("analyte", str(error), analyte)
        return None


def _composition(section: Section) -> Mapping[str, Parts]:
    """Parts by species, as a list or as copies by part."""
    found: dict[str, Parts] = {}
    for species, parts in section.table("composition").items():
        listed = isinstance(parts, list) and all(isinstance(p, str) for p in parts)
        counted = isinstance(parts, dict) and all(type(n) is int and n > 0 for n in parts.values())
        if parts and (listed or counted):
            found[species] = parts
        else:
            section.complain(f"composition.{species}", "a list of parts, or how many there are of each", parts)
    return found


def _values(section: Section, assay: str, keys: Keys, unit: str) -> RowValues:
    molar_mass, standards, reference, efficiencies, log10_values = None, None, None, (2.0, 2.0), False
    if assay == "elisa":
        molar_mass, standards = take_molar_mass(section), take_standards(section)
    if standards is not None and standards.unit:
        try:
            conversion_factor(standards.unit, unit, molar_mass)
        except UnitError as error:
            section.complain("standards_unit", f"a unit that can become {unit!r}: {error}", standards.unit)
    if assay == "qpcr_ct":
        efficiencies = take_efficiency(section, "efficiency"), take_efficiency(section, "reference_efficiency")
        reference = section.text("reference_column", "") or None
    if assay == "log10_reading":
        log10_values = section.choice("values", ("linear", "log10")) == "log10"
    return RowValues(
        unit,
        keys.reads,
        molar_mass,
        log10_values,
        efficiencies=efficiencies,
        reference_column=reference,
        standards=standards,
    )


def _in_range(values: RowValues, observable: Observable, assay: str) -> RowValues:
    """With the sign that the values may have."""
    positive = (values.reads == "log10" and not values.log10_values) or observable.scale != "lin"
    amount = assay == "copy_number" or is_concentration(values.unit)
    return replace(values, signed=values.log10_values or not (positive or amount), zero=not positive)


def _sd_column(section: Section, keys: Keys, values: RowValues, options: Mapping[str, Any]) -> str | None:
    if values.standards is not None:
        _check_between(section, options)
        return None
    return section.text("sd_column", "sd") if keys.row_sd and "sd" not in options else None


def _check_between(section: Section, options: Mapping[str, Any]) -> None:
    """Beside standards, the noise among cultures is `sd_between`: the curve gives the error of reading alone."""
    meaning = (
        "`sd_between`, the noise of ln v from culture to culture, such as sd_between = 'sd_elisa' with a prior for "
        "sd_elisa; the curve of the `standards` gives the error of reading alone, which is smaller"
    )
    if "sd" in options:
        section.complain("sd", f"no such key beside `standards`; the key is {meaning}", options["sd"])
    elif "sd_between" not in options:
        only = "0 if nothing but reading makes wells differ, which would make the fit too certain otherwise"
        section.complain("sd_between", f"the key is missing; expected {meaning}; or {only}")


def _parameters(options: Mapping[str, Any], network: Network | None) -> tuple[str, ...]:
    """Those that need a prior."""
    model = set() if network is None else {*network.species, *network.parameters, *network.compartments}
    texts = {k: str(v) for k, v in options.items() if isinstance(v, str | sympy.Symbol)}
    named = {k: v for k, v in texts.items() if v.isidentifier()}
    return tuple(v for k, v in named.items() if k in _NOISE or (k in _QUIRKS and v not in model))


def _unit(section: Section, assay: str, keys: Keys, unit_column: bool) -> str:
    if keys.unit is None:
        return section.required("unit")
    if keys.takes_unit and keys.absolute and not unit_column:
        return section.needed("unit", f"the unit of its values, such as {keys.unit!r}, as no row states it")
    unit = section.text("unit", keys.unit) if keys.takes_unit else keys.unit
    if assay == "elisa" and not is_concentration(unit):
        section.complain("unit", "a concentration, such as 'nM' or 'pg/ml'", unit)
    if assay == "copy_number":
        try:
            conversion_factor(unit, "zmol/cell")
        except UnitError as error:
            section.complain("unit", f"an amount a cell: {error}", unit)
    return unit


def _flag(section: Section, key: str) -> bool:
    value = section.take(key, False)
    if not isinstance(value, bool):
        section.complain(key, "true or false", value)
    return value is True


def _each(
    what: str, section: Section, names: Collection[str], default_group: str | None, default: float
) -> tuple[str | None, Formula | None]:
    """The group whose experiments have a scale or background each, or the one of all rows."""
    group, one = section.take(f"{what}_group"), section.formula(what, names)
    if group is not None and one is not None:
        section.complain(f"{what}_group", f"either {what}_group or {what}, not both", group)
    if one is not None:
        return None, one
    if group is None:
        return default_group, None if default_group else default
    if not isinstance(group, str) or not group:
        section.complain(f"{what}_group", "text in quotes", group)
        return default_group, None
    return group, None
