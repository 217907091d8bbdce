"""`predict`: what a fitted model says an assay would read, under the protocols of the data or under new ones."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import ArrayLike

from ... import html
from ...data.dataset import Dataset
from ...models.listing import counted, did_you_mean, known_names, listed
from ...models.protocols.protocol import Protocol
from ...models.protocols.text import parse_protocol
from ..problem.problem import Problem
from ..result import Calibration, read_posterior
from .assay_curves import Curve, as_mapping, curves, posterior_values
from .runs import average_run

POINTS = 90  # times along a course, unless times are asked for
_SHOWN = 20  # rows in a notebook
_NAMED = 4  # protocols in a message

log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Prediction:
    """Courses of observables under protocols, each as the draws of a posterior predict it.

    Attributes
    ----------
    curves : dict of Curve
        By observable and protocol. A curve has `x`, the times, and `mean` and `sd` of a measurement, draws × times, on
        the observable's scale (`curve.observable.scale`).
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
        if not isinstance(interval, int | float) or not 0 < interval < 1:
            raise ValueError(f"interval is a probability between 0 and 1, such as 0.9, not {interval!r}")
        tails = [(1 - interval) / 2, (1 + interval) / 2]
        rows = [_rows(protocol, c, self.time_unit, tails) for (_, protocol), c in self.curves.items()]
        return pd.concat(rows, ignore_index=True)

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


def _rows(protocol: str, curve: Curve, time_unit: str, tails: Sequence[float]) -> pd.DataFrame:
    median, lower, upper = curve.signal([0.5, *tails])
    new_lower, new_upper = curve.replicated(tails)
    return pd.DataFrame(
        {
            "observable": curve.observable.name,
            "protocol": protocol,
            "time": curve.x,
            "time_unit": time_unit,
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
        In the unit of the data's times, in any order; the result has each once, in order. By default 90 from the first
        to the last measured time of each observable, and the measured ones. Times before a protocol starts are left
        out.
    observables : str or list of str, optional
        Names; by default all that were measured.
    protocols : list of str or Protocol, optional
        Names of protocols of the data, protocols of your own, or their text, such as "equilibrate; add IL6 0.5", in the
        model's units; by default those under which an observable was measured. If cells of the data are in steady state
        before anything is done, and those of a new protocol are not, a warning is logged.
    draws : int, optional
        About how many draws of the posterior, evenly spread over all chains; None: all.

    Returns
    -------
    Prediction
        With `.table()`, and the draws in `.curves`.

    Raises
    ------
    ValueError
        For unknown observables, protocols that cannot be read or that have a name of the data's, and times that are not
        finite numbers or that all lie before a protocol.
    TypeError
        For arguments of another kind.
    FileNotFoundError
        If the folder holds no posterior.
    """
    _check_kinds(result, observables, protocols, draws)
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
    for name, protocol in (chosen or {}).items():
        _check_start(dataset, protocol, max(max(grids[o]) for o, p in pairs if p == name))
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
    by_pair = curves(problem, values, grids, pairs=list(grids), protocols=protocols, run=runs)
    return Prediction(by_pair, problem.dataset.time_unit, len(values))


def _check_kinds(result: object, observables: object, protocols: object, draws: object) -> None:
    if not isinstance(result, Calibration | str | Path):
        raise TypeError(f"result is what fit returned, or its folder, not {result!r}")
    whole = isinstance(draws, int | np.integer)
    if not (draws is None or (whole and draws >= 1)):
        kind = ValueError if whole else TypeError
        raise kind(f"draws must be a whole number of at least 1, or None for all, not {draws!r}")
    for name, value, one in (("observables", observables, str), ("protocols", protocols, str | Protocol)):
        if value is None or isinstance(value, one):
            continue
        items = list(value) if isinstance(value, Iterable) else [None]
        if not all(isinstance(v, one) for v in items):
            raise TypeError(f"{name} is a name or a list of them, not {value!r}")
        if not items:
            raise ValueError(f"{name} is an empty list; leave it out for all that were measured")


def _check_start(dataset: Dataset, protocol: Protocol, last: float) -> None:
    """Refuses a protocol after all times; warns about cells that start in another way than those of the data."""
    if protocol.start > last:
        raise ValueError(f"protocol {protocol.name!r} starts at {protocol.start:g}, after the last of times, {last:g}")
    steady = all(q.preequilibration is not None for q in dataset.protocols.values())
    if steady and protocol.preequilibration is None:
        log.warning(
            "protocol %r starts from the model's initial values, and cells of the data from a steady state: "
            "write 'equilibrate; %s' (in Python, Protocol.equilibrated) for that",
            protocol.name,
            protocol.name,
        )


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
        if dataset.protocols.get(protocol.name, protocol) != protocol:
            raise ValueError(f"a protocol of the data is named {protocol.name!r}, and differs: name yours apart")
    return chosen


def _read(dataset: Dataset, text: str) -> Protocol:
    text = " ".join(text.split())
    try:
        if not text:
            raise ValueError("a protocol's text cannot be empty")
        return parse_protocol(text)
    except ValueError as error:
        names = listed([repr(n) for n in dataset.protocols], _NAMED)
        meant = did_you_mean(text, dataset.protocols)
        raise ValueError(f"{text!r} is not a protocol of the data (they are {names}{meant}), and {error}") from None


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
