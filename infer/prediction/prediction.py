"""`predict`: what a fitted model says an assay would read, under the protocols of the data or under new ones."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import ArrayLike

from ... import html
from ...data.dataset import Dataset
from ...models.listing import counted, known_names
from ...models.protocols.protocol import Protocol
from ...models.protocols.text import parse_protocol
from ..problem.problem import Problem
from ..result import Calibration, read_posterior
from .curves import Curve, as_mapping, curves, posterior_values
from .runs import average_run

POINTS = 90  # times along a course, unless times are asked for
_SHOWN = 20  # rows in a notebook


@dataclass(frozen=True, eq=False)
class Prediction:
    """Courses of observables under protocols, each as the draws of a posterior predict it.

    Attributes
    ----------
    curves : dict of Curve
        By observable and protocol; a curve has `x`, the times, and per draw `mean` and `sd` of a measurement.
    time_unit : str
        Of all times.
    draws : int
        How many draws of the posterior were simulated.
    """

    curves: Mapping[tuple[str, str], Curve]
    time_unit: str
    draws: int

    def table(self, interval: float = 0.9) -> pd.DataFrame:
        """Medians and equal-tailed intervals, a row per observable, protocol and time.

        Parameters
        ----------
        interval : float
            The probability of the intervals, between 0 and 1, dimensionless.

        Returns
        -------
        pandas.DataFrame
            `median`, `lower` and `upper` are of the curve itself, `new_lower` and `new_upper` of a new measurement with
            its noise; all in the observable's `unit`. `failed` counts the draws whose simulation failed.
        """
        if not 0 < interval < 1:
            raise ValueError(f"interval is a probability between 0 and 1, such as 0.9, not {interval}")
        tails = [(1 - interval) / 2, (1 + interval) / 2]
        return pd.concat([_rows(protocol, c, tails) for (_, protocol), c in self.curves.items()], ignore_index=True)

    def __repr__(self) -> str:
        observables, protocols = ({pair[i] for pair in self.curves} for i in (0, 1))
        what = f"{counted(observables, 'observable')}, {counted(protocols, 'protocol')}"
        return f"Prediction({what}, {counted(range(self.draws), 'draw')})"

    def _repr_html_(self) -> str:
        table = self.table()
        columns = [str(c) for c in table.columns]
        rows = list(table.itertuples(index=False))
        title = f"{self!r}, time in {self.time_unit or 'the unit of the model'}"
        return html.form(title, html.table(columns, rows, tuple, _SHOWN))


def _rows(protocol: str, curve: Curve, tails: Sequence[float]) -> pd.DataFrame:
    median, lower, upper = curve.signal([0.5, *tails])
    new_lower, new_upper = curve.replicated(tails)
    return pd.DataFrame(
        {
            "observable": curve.observable.name,
            "protocol": protocol,
            "time": curve.x,
            "median": median,
            "lower": lower,
            "upper": upper,
            "new_lower": new_lower,
            "new_upper": new_upper,
            "unit": curve.observable.unit,
            "failed": np.isnan(curve.mean).sum(axis=0),
        }
    )


def predict(
    result: Calibration | str | Path,
    times: ArrayLike | None = None,
    *,
    observables: str | Sequence[str] | None = None,
    protocols: str | Protocol | Sequence[str | Protocol] | None = None,
    draws: int | None = 200,
) -> Prediction:
    """What the assays of a calibration would read, with the uncertainty of its posterior.

    Readings are those of an average run: scales and offsets of single gels and plates are averaged, per draw.

    Parameters
    ----------
    result : Calibration or path
        What `fit` returned, or its folder.
    times : array, shape (times,), optional
        In the unit of the data's times; by default 90 from the first to the last measured time of each observable, and
        the measured ones. Times before a protocol starts are left out.
    observables : str or list of str, optional
        Names; by default all that were measured.
    protocols : list of str or Protocol, optional
        Names of protocols of the data, protocols of your own, or their text, such as "equilibrate; add IL6 0.5", in the
        model's units; by default those under which an observable was measured.
    draws : int, optional
        About how many draws of the posterior, evenly spread over all chains; None: all.

    Returns
    -------
    Prediction
        With `.table()`, and the draws in `.curves`.

    Raises
    ------
    ValueError
        For unknown observables, protocols that cannot be read, or times that are not finite numbers.
    FileNotFoundError
        If the folder holds no posterior.
    """
    if draws is not None and draws < 1:
        raise ValueError(f"draws must be at least 1, not {draws}")
    calibration = result if isinstance(result, Calibration) else read_posterior(result)
    problem = calibration.problem
    dataset = problem.dataset
    names = _observables(dataset, observables)
    chosen = None if protocols is None else _protocols(dataset, protocols)
    measured = dict.fromkeys((m.observable, m.protocol) for m in dataset.measurements)
    if chosen is None:
        pairs = [pair for pair in measured if pair[0] in names]
    else:
        pairs = [(o, p) for o in names for p in chosen]
    grids = _grids(dataset, names, times)
    return predicted(problem, calibration.tree, {pair: grids[pair[0]] for pair in pairs}, protocols=chosen, draws=draws)


def predicted(
    problem: Problem,
    tree: xr.DataTree,
    grids: Mapping[tuple[str, str], ArrayLike],
    *,
    protocols: Mapping[str, Protocol] | None = None,
    draws: int | None,
) -> Prediction:
    """The courses of pairs of observable and protocol at the times in `grids`, on the average run."""
    values = posterior_values(problem, tree, draws=draws)
    by_draw = as_mapping(problem, values)
    names = list(dict.fromkeys(o for o, _ in grids))
    runs = {n: average_run(problem.dataset, n, by_draw, len(values)) for n in names}
    found = curves(problem, values, grids, pairs=list(grids), protocols=protocols, run=runs)
    return Prediction(found, problem.dataset.time_unit, len(values))


def _observables(dataset: Dataset, names: str | Sequence[str] | None) -> list[str]:
    measured = list(dict.fromkeys(m.observable for m in dataset.measurements))
    if names is None:
        return measured
    wanted = [names] if isinstance(names, str) else list(names)
    if unknown := [n for n in wanted if n not in measured]:
        raise ValueError(f"{', '.join(map(repr, unknown))} was not measured; {known_names(unknown, measured)}")
    return list(dict.fromkeys(wanted))


def _protocols(dataset: Dataset, wanted: str | Protocol | Iterable[str | Protocol]) -> dict[str, Protocol]:
    """Protocols by name; text that is not the name of one of the data's is read as a protocol."""
    chosen: dict[str, Protocol] = {}
    for one in [wanted] if isinstance(wanted, str | Protocol) else wanted:
        protocol = one if isinstance(one, Protocol) else dataset.protocols.get(one) or _read(dataset, one)
        if chosen.setdefault(protocol.name, protocol) != protocol:
            raise ValueError(f"two different protocols are named {protocol.name!r}: name them apart")
    return chosen


def _read(dataset: Dataset, text: str) -> Protocol:
    try:
        return parse_protocol(text)
    except ValueError as error:
        known = known_names([text], dataset.protocols)
        raise ValueError(f"{text!r} is not a protocol of the data ({known}), and {error}") from None


def _grids(dataset: Dataset, names: Sequence[str], times: ArrayLike | None) -> dict[str, np.ndarray]:
    if times is not None:
        return dict.fromkeys(names, _finite(times))
    measured = {n: sorted({m.time for m in dataset.measurements if m.observable == n}) for n in names}
    return {n: np.unique([*_dense([x for x in t if np.isfinite(x)]), *t]) for n, t in measured.items()}


def _finite(times: ArrayLike) -> np.ndarray:
    try:
        asked = np.atleast_1d(np.asarray(times, dtype=float))
    except (TypeError, ValueError):
        asked = np.empty(0)
    if asked.ndim != 1 or not asked.size or not np.isfinite(asked).all():
        raise ValueError(f"times must be one or more finite numbers, such as [0, 15, 30], not {times!r}")
    return asked


def _dense(measured: Sequence[float]) -> np.ndarray:
    return np.linspace(measured[0], measured[-1], POINTS) if measured else np.empty(0)


__all__ = ["Prediction", "predict"]
