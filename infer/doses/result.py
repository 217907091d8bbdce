"""`DoseResponse`: responses of every member, condition and dose, and what follows from them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import xarray as xr

from ... import html
from ...models.listing import known_names
from ..problem.failures import count_kinds
from .amounts import Doses
from .hill import HillFits, fit_hill
from .population import moments, share_above
from .quantiles import quantiles_over_draws
from .tables import as_table

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False)
class DoseResponse:
    """Responses of draws (× members of a population) × conditions × doses of each drug × doses of the ligand.

    Attributes
    ----------
    data : xarray.Dataset
        `response` (the observable's unit; NaN if the simulation failed) and `status` (see `hexamer.Status`) along
        `draw`, `member` if the ensemble is a population, `condition`, a dimension named after each drug that was given
        at several doses, `dose`, and `time` for time courses. Doses are in the unit they were given in (their attribute
        `unit`); the coordinates `model_dose` and `model_…` of each drug have them in the model's units. Of a population
        it also holds what varies (`drawn_…`, draw × member).
    observable : str
        The formula that was read.
    reading : str
        What was read of it, such as `X at 20 min`.
    ligand : Doses
        Doses of the ligand.
    drugs : tuple of Doses
        Doses of each drug.
    seconds : float
        Wall time of the simulations, in seconds.
    """

    data: xr.Dataset
    observable: str
    reading: str
    ligand: Doses
    drugs: tuple[Doses, ...]
    seconds: float

    def __repr__(self) -> str:
        sizes = " × ".join(f"{n} {dim}" for dim, n in self.response.sizes.items())
        failed = ", ".join(f"{n} {kind}" for kind, n in self.failed.items()) or "none"
        return f"{self.reading} over doses of {self.ligand.name}: {sizes}; failed: {failed}; {self.seconds:.1f} s"

    def _repr_html_(self) -> str:
        """For notebooks: the first rows of `table`; of a population, of each draw's first members."""
        dims = [str(d) for d in self.response.dims if d != "draw"]
        wanted, first = html.ROWS, {}
        for dim in reversed(dims):  # the last one changes fastest from row to row
            first[dim] = slice(0, wanted)
            wanted = -(-wanted // self.data.sizes[dim])
        rows = replace(self, data=self.data.isel(first)).table().to_dict("split", index=False)
        shown = rows["data"][: html.ROWS]
        more = math.prod(self.data.sizes[d] for d in dims) - len(shown)
        beside = html.paragraph(f"… and {more:,} more rows" if more > 0 else "")
        return html.form(repr(self), html.table(list(map(str, rows["columns"])), shown, list), beside)

    @property
    def response(self) -> xr.DataArray:
        """The responses, in the observable's unit."""
        return self.data["response"]

    @property
    def failed(self) -> dict[str, int]:
        """How many trajectories failed, by kind."""
        return count_kinds(self.data["status"].values)

    def doses(self, along: str = "dose") -> Doses:
        """The doses along a dimension.

        Parameters
        ----------
        along : str
            `"dose"`, or a drug that was given at several doses; `ValueError` for another.
        """
        by_dimension = {"dose": self.ligand, **{d.name: d for d in self.drugs if d.name in self.data.dims}}
        if along not in by_dimension:
            raise ValueError(f"no doses along {along!r}; {known_names(along, by_dimension)}")
        return by_dimension[along]

    def hill(self, along: str = "dose") -> HillFits:
        """Hill curves of every draw along doses of the ligand or of a drug: EC50 or IC50, plateau and slope.

        See `hexamer.infer.doses.hill`.

        Parameters
        ----------
        along : str
            `"dose"`, or a drug that was given at several doses.
        """
        return fit_hill(self.response, self.doses(along), along)

    def quantiles(self, probabilities: Sequence[float] = (0.05, 0.5, 0.95)) -> xr.DataArray:
        """Quantiles of the response over draws, without those that failed.

        Parameters
        ----------
        probabilities : sequence of float
            Between 0 and 1, dimensionless.
        """
        return quantiles_over_draws(self.response, probabilities)

    def table(self, interval: float = 0.9) -> pd.DataFrame:
        """Quantiles by condition and doses as a pandas table, with the number of draws that failed.

        Doses are as they were given, in the unit of the column beside them (`dose_unit`).

        Parameters
        ----------
        interval : float
            Probability of the equal-tailed interval, dimensionless.
        """
        low, high = (1 - interval) / 2, (1 + interval) / 2
        quantiles = self.quantiles((low, 0.5, high))
        columns = {n: quantiles.isel(quantile=i, drop=True) for i, n in enumerate(("lower", "median", "upper"))}
        columns["failed"] = (self.data["status"] != 0).sum("draw")
        return as_table(xr.Dataset(columns), self.data)

    def moments(self) -> xr.Dataset:
        """Mean and coefficient of variation over members of a population, for every draw; failed ones are left out.

        Raises `ValueError` if the ensemble was not a population.
        """
        return moments(self._of_members())

    def positive(self, gate: float = 0.95) -> xr.DataArray:
        """Share of a population's members above a gate, for every draw.

        Parameters
        ----------
        gate : float
            The gate is this quantile (dimensionless) of the unstimulated members.

        Raises
        ------
        ValueError
            If the ensemble was not a population, or dose 0 of the ligand is missing.
        """
        return share_above(self._of_members(), gate)

    def _of_members(self) -> xr.DataArray:
        if "member" not in self.response.dims:
            raise ValueError("these are not the responses of a population: make one by Ensemble.vary")
        return self.response


__all__ = ["DoseResponse"]
