"""Priors made of the posterior in a folder of results: normal on each parameter's search scale, with correlations.

The file is read here and not in `infer`, since data are read without inference. Only `posterior.nc` is needed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from ..errors import HexamerError
from ..models.listing import known_names
from .joint_prior import JointPrior
from .parameter import Parameter
from .prior import FAMILIES, Prior
from .scale import Scale

POSTERIOR = "posterior.nc"
_SKEWED, _PEAKED = 1.0, 3.0  # skewness and excess kurtosis above which a note says that draws are not normal
_PRIOR_TEXT = re.compile(r"θ ~ ([a-z-]+)\((.*?)\)(?: in \[(.*?), .*\])?")


class EarlierResultError(HexamerError, ValueError):
    """A folder of results, or a parameter in it, of which no prior can be made."""


@dataclass(frozen=True, eq=False)
class EarlierResult:
    """The posterior in `place`: by parameter its draws, in `units`, and the scale on which a prior is made of them."""

    place: str
    draws: Mapping[str, Float[np.ndarray, " draws"]]
    units: Mapping[str, str]
    scales: Mapping[str, Scale]

    def parameter(self, name: str) -> Parameter:
        """The parameter with a normal prior that has the mean and standard deviation of its draws.

        Raises `EarlierResultError` if the result has no such parameter, or only one value of it.
        """
        if name not in self.draws:
            raise EarlierResultError(f"{self.place} has no parameter {name!r}; {known_names(name, self.draws)}")
        scale, t = self.scales[name], self._on_scale(name)
        spread = float(np.std(t, ddof=1)) if len(t) > 1 else 0.0
        if not (np.isfinite(spread) and spread > 0):
            raise EarlierResultError(f"the draws of {name!r} in {self.place} do not differ: fix it instead")
        prior = Prior("normal", scale, float(np.mean(t)), spread)
        return Parameter(name, prior, unit=self.units[name], source=f"posterior of {self.place}")

    def joint(self, names: Sequence[str]) -> JointPrior | None:
        """The correlations of the draws; None for a single parameter.

        Raises `EarlierResultError` if there are too few draws, or one parameter is a function of others.
        """
        if len(names) < 2:
            return None
        try:
            return JointPrior(names, np.corrcoef([self._on_scale(n) for n in names]))
        except ValueError as error:
            raise EarlierResultError(
                f"the draws in {self.place} determine no joint distribution of {', '.join(names)}: {error}. Take fewer "
                "of these parameters, or a result with more draws"
            ) from None

    def notes(self, names: Sequence[str]) -> list[str]:
        """A note for each parameter whose draws are far from normal."""
        notes: list[str] = []
        for name in names:
            t = self._on_scale(name)
            s = (t - t.mean()) / t.std()
            skewness, peak = float(np.mean(s**3)), float(np.mean(s**4)) - 3
            if abs(skewness) > _SKEWED or peak > _PEAKED:
                notes.append(
                    f"the prior of {name} is normal in {self.scales[name].prefix}{name}, and its draws in {self.place} "
                    f"are not (skewness {skewness:.1f}, excess kurtosis {peak:.1f}): it has their mean and spread only"
                )
        return notes

    def _on_scale(self, name: str) -> Float[np.ndarray, " draws"]:
        return self.scales[name].of_values(self.draws[name])


def safe(name: str) -> str:
    """A name that NetCDF takes."""
    return name.replace("/", "∕")


def read_earlier(place: str, beside: Path) -> EarlierResult:
    """The posterior in a folder of results, or in its file; a relative path starts in the folder `beside`.

    Raises `EarlierResultError` if there is none, or if it cannot be read.
    """
    import xarray as xr  # it brings pandas

    path = beside / Path(place).expanduser()
    file = path / POSTERIOR if path.is_dir() else path
    if not file.is_file():
        raise EarlierResultError(
            f"there is no {POSTERIOR} in {str(path)!r}: correct the path, which starts in the folder of this table, or "
            "fit the earlier problem first"
        )
    try:
        with xr.open_dataset(file, group="posterior", engine="h5netcdf") as opened:
            posterior = opened.load()
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise EarlierResultError(f"{str(file)!r} is not a posterior that can be read ({error})") from None
    draws, units, scales = {}, {}, {}
    for variable, array in posterior.data_vars.items():
        name = str(variable).replace("∕", "/")
        draws[name] = np.ravel(array.values).astype(float)
        units[name] = str(array.attrs.get("unit", ""))
        scales[name] = _scale_of(array.attrs, draws[name])
    return EarlierResult(place, draws, units, scales)


def _scale_of(attrs: Mapping[str, object], draws: Float[np.ndarray, " draws"]) -> Scale:
    """The scale of the search; the logarithm for a parameter that was searched linearly and cannot be negative."""
    scale = Scale(str(attrs.get("search_scale", "lin")))
    match = _PRIOR_TEXT.match(str(attrs.get("prior", "")))
    if scale != "lin" or match is None or not np.all(draws > 0):
        return scale
    family = FAMILIES.get(match.group(1).replace("-", "_"))
    lower = match.group(3) or (match.group(2).split(",")[0] if family is FAMILIES["uniform"] else "-inf")
    positive = family is not None and (family.support[0] >= 0 or float(lower) >= 0)
    return Scale.LOG if positive else scale


__all__ = ["POSTERIOR", "EarlierResult", "EarlierResultError", "read_earlier", "safe"]
