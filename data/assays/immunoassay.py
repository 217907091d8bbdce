"""Concentrations read off a standard curve."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any

import sympy

from ...models.networks.network import Network
from ..dataset import Observable
from ..files.toml_section import Section
from ..formula import Formula
from ..noise import Noise
from ..quantities.composition import total_concentration
from ..quantities.toml_keys import take_composition, take_molar_mass
from ..quantities.units import UnitError, conversion_factor, is_concentration
from .assay import SD_BETWEEN, SD_OF_LOG, Assay, Key
from .parts import SCALE, SD, formula_or_placeholder, in_unit, joined, noise_needed, plain
from .row_values import RowValues
from .standards import take_standards

BACKGROUND = 1e-9


def elisa(
    name: str,
    signal: Formula,
    *,
    scale: Formula | None = 1,
    background: Formula = BACKGROUND,
    sd: Formula | None = None,
    sd_between: Formula = 0,
    unit: str = "nM",
    molar_mass: str | float | None = None,
    noise: Noise | str = "normal",
    network: Network | None = None,
) -> Observable:
    """A concentration by ELISA or by beads with standards (Luminex): ln v is normal about ln(s (c + b)).

    Parameters
    ----------
    name : str
        Of the observable.
    signal : formula
        c: what the antibodies see, converted from the network's unit into `unit`, nM into ng/ml through `molar_mass`.
        `hexamer.data.total_concentration` sums up all species that hold the analyte, as complexes with drugs or soluble
        receptors often count, too.
    scale : formula, optional
        s, dimensionless: an error that all wells of a plate share, as by its standards, with a prior about 1. None:
        each row names its plate's parameter, and it is integrated out if no row of the plate is censored. 1: none.
    background : formula
        b, in `unit`: what a blank reads. It keeps ln v finite if the model has none of the analyte, as before
        stimulation; by default far below all that an ELISA sees, in nM as in ng/ml.
    sd : formula, optional
        Standard deviation of ln v, dimensionless: the error of reading, as `StandardCurve.read_back` gives it; None:
        each row gives it.
    sd_between : formula
        Noise of ln v from culture to culture (dimensionless), which adds to that: σ² = sd² + sd_between².
    unit : str
        Of the values.
    molar_mass : str or float, optional
        Of the analyte, in kDa or text with its unit.
    noise : Noise or str
        Its distribution, in place of the normal one.
    network : Network, optional
        Declares units, which are then checked and converted.

    Returns
    -------
    Observable
        On the natural logarithm's scale.

    Raises
    ------
    AssayError
        If `network` declares units by which the signal cannot be in `unit`.

    Notes
    -----
    Values below the limit of detection or above the top standard are rows with `censored` "left" or "right", whose
    value is the limit.
    """
    signal = in_unit(name, f"a concentration in {unit!r}", signal, unit, network, molar_mass)
    s, placeholders = formula_or_placeholder(scale, SCALE, name)
    reading, row_sd = formula_or_placeholder(sd, SD, name)
    between = plain(sd_between, name)
    spread = reading if between == 0 else sympy.sqrt(reading**2 + between**2)
    noise_needed(name, spread)
    spread = joined(spread, reading, between)
    formula = s * (plain(signal, name) + plain(background, name))
    return Observable(name, formula, spread, placeholders + row_sd, "log", noise, unit)


class _Elisa(Assay):
    """May take the analyte in place of a signal, and may read responses off a standard curve."""

    def check_unit(self, section: Section, unit: str) -> None:
        if not is_concentration(unit):
            section.complain("unit", "a concentration, such as 'nM' or 'pg/ml'", unit)

    def take_signals(self, section: Section, network: Network | None) -> Sequence[Formula] | None:
        """Either the signal, or the concentration of all that holds the analyte in one compartment."""
        if section.take("analyte") is None:
            return super().take_signals(section, network)
        analyte, where = section.required("analyte"), section.required("where")
        composition, hidden_by = take_composition(section), section.texts("hidden_by")
        if section.take("signal") is not None:
            section.complain("signal", "either signal or analyte, not both", section.take("signal"))
        if network is None:
            section.complain("analyte", "a network that can be read, to find its complexes in", analyte)
        if network is None or not analyte or not where:
            return None
        try:
            return [total_concentration(network, analyte, where=where, composition=composition, hidden_by=hidden_by)]
        except ValueError as error:
            section.complain("analyte", str(error), analyte)
            return None

    def take_values(self, section: Section, unit: str) -> RowValues:
        molar_mass, standards = take_molar_mass(section), take_standards(section)
        if standards is not None and standards.unit:
            try:
                conversion_factor(standards.unit, unit, molar_mass)
            except UnitError as error:
                section.complain("standards_unit", f"a unit that can become {unit!r}: {error}", standards.unit)
        values = super().take_values(section, unit)
        return replace(values, molar_mass=molar_mass, standards=standards)

    def take_options(self, section: Section, values: RowValues) -> dict[str, Any]:
        del section
        return {} if values.molar_mass is None else {"molar_mass": values.molar_mass}

    def needs_row_sd(self, section: Section, values: RowValues, stated: Collection[str]) -> bool:
        """Beside standards, the noise among cultures is `sd_between`: the curve gives the error of reading alone."""
        if values.standards is None:
            return super().needs_row_sd(section, values, stated)
        meaning = (
            "`sd_between`, the noise of ln v from culture to culture, such as sd_between = 'sd_elisa' with a prior for "
            "sd_elisa; the curve of the `standards` gives the error of reading alone, which is smaller"
        )
        if "sd" in stated:
            section.complain("sd", f"no such key beside `standards`; the key is {meaning}", section.take("sd"))
        elif "sd_between" not in stated:
            only = "0 if nothing but reading makes wells differ, which would make the fit too certain otherwise"
            section.complain("sd_between", f"the key is missing; expected {meaning}; or {only}")
        return False


ELISA = _Elisa(
    "elisa",
    elisa,
    keys=(Key("background", unit="values", prior="unless in the model"), SD_OF_LOG, SD_BETWEEN),
    unit="nM",
    scale="one",
    absolute=True,
)
