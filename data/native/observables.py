"""An `[observables.<name>]` table of `problem.toml`: the assay, and how its rows are to be read."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ...models.listing import one_of
from ...models.networks.network import Network
from ..assays import ASSAYS, SCALE
from ..assays.assay import Assay, Key, Role
from ..assays.row_values import RowValues
from ..dataset import Observable
from ..files.toml_section import Section
from ..formula import Formula, FormulaError, parse_formula
from ..noise import KNOWN, Noise, meant_noise, noise_of
from ..scale import Scale

Load = Callable[[], Network | None]
"""Gives the network that the data are made for; None if it cannot be read."""


@dataclass(frozen=True)
class ObservableEntry:
    """An observable as `problem.toml` describes it, and how the rows of its measurements are read."""

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
        return self.values.conversion.sd_in_unit and not self.values.log_scale

    @property
    def families(self) -> tuple[str, ...]:
        """The scale and the offset that some experiment would have."""
        scale = () if self.scale_group is None else (self.scale_of("any"),)
        return scale if self.offset_group is None else (*scale, self.offset_of("any"))

    def scale_of(self, experiment: str) -> str:
        return f"scale_{self.scale_group}[{experiment}]"

    def offset_of(self, experiment: str) -> str:
        return f"{self.offset_key}_{self.offset_group}[{experiment}]"


def make_entry(
    section: Section, name: str, load: Load = lambda: None, *, unit_column: bool = True
) -> ObservableEntry | None:
    """The entry of observable `name`; None if its errors leave too little to continue.

    `load` gives the network, whose species and units say what the assay can see. `unit_column`: each row has its unit,
    so that an absolute observable may be in the assay's.
    """
    stated = section.take("assay")
    if stated not in ASSAYS:
        missing = f"the key is missing; expected one of {', '.join(ASSAYS)}"
        section.complain("assay", one_of(stated, ASSAYS) if stated else missing, stated)
        return None
    assay = ASSAYS[stated]
    unit = _unit(section, assay, unit_column)
    noise = _noise(section)
    network = load()
    formulas, groups = _formulas(section, assay, name, network)
    signals = assay.take_signals(section, network)
    values = assay.take_values(section, unit)
    sd_column = section.text("sd_column", "sd") if assay.needs_row_sd(section, values, formulas) else None
    fold = section.flag("fold") if assay.can_fold else False
    options = assay.take_options(section, values)
    section.done()
    if signals is None:
        return None
    options |= {"unit": unit} if assay.takes_unit else {}
    try:
        observable = assay.make(name, *signals, noise=noise, network=network, **formulas, **options)
    except ValueError as error:
        section.complain("", str(error))
        return None
    log_scale = observable.scale is not Scale.LIN
    offset_key = ObservableEntry.offset_key if assay.background is None else assay.background.name
    return ObservableEntry(
        observable,
        replace(values, log_scale=log_scale),
        scale_group=groups.get("scale"),
        offset_group=groups.get(offset_key),
        offset_key=offset_key,
        sd_column=sd_column,
        fold=fold,
        parameters=_parameters(assay, formulas, network),
        parameter_units=_parameter_units(assay, formulas, unit="1" if log_scale else unit, of_values=unit),
        signal=assay.signal(observable, signals),
        noise_of=formulas.get("noise_of"),
        roles=_roles(assay, formulas),
    )


def _unit(section: Section, assay: Assay, unit_column: bool) -> str:
    """The unit of the values."""
    if assay.unit is None:
        return section.required("unit")
    if assay.takes_unit and assay.absolute and not unit_column:
        return section.needed("unit", f"the unit of its values, such as {assay.unit!r}, as no row states it")
    unit = section.text("unit", assay.unit) if assay.takes_unit else assay.unit
    assay.check_unit(section, unit)
    return unit


def _noise(section: Section) -> Noise:
    text = section.text("noise", "normal")
    try:
        return noise_of(text)
    except ValueError as error:
        why = meant_noise(text) if str(error).startswith("unknown") else f" ({str(error).partition(': ')[2]})"
        section.complain("noise", f"one of {KNOWN}{why}", text)
        return noise_of("normal")


def _formulas(
    section: Section, assay: Assay, name: str, network: Network | None
) -> tuple[dict[str, Formula | None], dict[str, str]]:
    """The assay's formulas by key, None for what each row fills, and the groups of those by key."""
    names = frozenset() if network is None else network.names
    formulas: dict[str, Formula | None] = {}
    groups: dict[str, str | None] = {}
    if assay.scale:
        default = name if assay.scale == "each" else None
        groups["scale"], formulas["scale"] = _each("scale", section, names, default, 1)
    if assay.background is not None:
        key = assay.background.name
        groups[key], formulas[key] = _each(key, section, names, None, 0)
    formulas |= {k.name: v for k in assay.keys if (v := section.formula(k.name, names)) is not None}
    _check_deviations(section, assay, formulas)
    return formulas, {k: g for k, g in groups.items() if g is not None}


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


def _check_deviations(section: Section, assay: Assay, formulas: dict[str, Any]) -> None:
    """Numbers among the keys of noise; without one that is refused, the rest is checked as usual."""
    for key in (k.name for k in assay.keys if k.deviation):
        try:
            formula = parse_formula(formulas.get(key, 1))
        except FormulaError:
            continue  # which was told
        if formula.is_number and not float(formula) >= 0:  # pyright: ignore[reportArgumentType]
            section.complain(key, "a standard deviation above 0, or 0 for none", section.take(key))
            formulas[key] = 1


def _named(assay: Assay, formulas: Mapping[str, Any]) -> list[tuple[Key, str]]:
    """Keys under which a name stands alone, each with that name."""
    entries = ((key, formulas.get(key.name)) for key in assay.all_keys)
    texts = [(key, str(v)) for key, v in entries if v is not None]
    return [(key, text) for key, text in texts if text.isidentifier()]


def _parameters(assay: Assay, formulas: Mapping[str, Any], network: Network | None) -> tuple[str, ...]:
    """Those that need a prior."""
    model = set() if network is None else {*network.species, *network.parameters, *network.compartments}

    def needs_prior(key: Key, name: str) -> bool:
        return key.prior == "always" or (key.prior == "unless in the model" and name not in model)

    return tuple(name for key, name in _named(assay, formulas) if needs_prior(key, name))


def _parameter_units(assay: Assay, formulas: Mapping[str, Any], *, unit: str, of_values: str) -> dict[str, str]:
    """Units of the parameters of noise and background that are those of the values, or none."""
    units = {"1": "1", "spread": unit, "values": of_values}
    return {name: units[key.unit] for key, name in _named(assay, formulas) if key.unit is not None}


def _roles(assay: Assay, formulas: Mapping[str, Any]) -> dict[str, Role]:
    """Roles of the parameters that the keys of an assay name."""
    of_noise: Role = "reading" if SCALE in _names_in(formulas.get("noise_of")) else "noise"
    roles: dict[str, Role] = {name: key.role for key, name in _named(assay, formulas) if key.role is not None}
    return {name: of_noise if role == "noise" else role for name, role in roles.items()}


def _names_in(formula: Formula | None) -> set[str]:
    try:
        return set() if formula is None else {str(s) for s in parse_formula(formula).free_symbols}
    except FormulaError:
        return set()  # which was told
