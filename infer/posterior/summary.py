"""`Summary`: a posterior as a table and four verdicts, for a terminal and for notebooks."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import xarray as xr

from ... import html
from ...models.listing import did_you_mean
from .intervals import COLUMNS, parameter_table
from .mode_words import of_populations
from .verdicts import Verdict, judge

WIDTH = 100
_VERDICTS = {"yes": "good", "barely": "acceptable", "no": "not converged"}
_SENTENCES = {"good": "Converged.", "acceptable": "Converged, barely.", "not converged": "NOT CONVERGED."}
_ITEM = {"initial_indent": "- ", "subsequent_indent": "  ", "break_long_words": False}
_NAME = 25  # columns for a parameter's name
_MANY = 40  # parameters; beyond, those of single runs are summed up in one line
_OF_LINEAR = ("mean", "sd", "mcse")  # columns that mean little for a parameter on a logarithmic scale


@dataclass(frozen=True, eq=False)
class Summary:
    """A table of parameters in their own units, and four verdicts; `str` is for a terminal.

    Attributes
    ----------
    table : pandas.DataFrame
        A row per parameter, with its median and 90% equal-tailed interval; `contraction` is posterior sd over prior sd
        on the search scale, which `scale` names.
    verdicts : tuple of Verdict
        *sampled*: are the draws enough, and of all modes? *fits*: is each measurement where the others predict it?
        *identified*: do the data determine the parameters? *solved*: is the solver exact enough?
    title : str
        Its first line.
    truth : pandas.DataFrame, optional
        Whether the true values, if they are known, lie in the 90% and 99.9% intervals.
    """

    table: pd.DataFrame
    verdicts: tuple[Verdict, ...]
    title: str
    truth: pd.DataFrame | None = None

    @property
    def verdict(self) -> str:
        """The verdict *sampled* in one word: `good`, `acceptable`, `not converged`, or `not judged`."""
        return _VERDICTS.get(self.verdicts[0].answer, self.verdicts[0].answer)

    @property
    def converged(self) -> bool:
        """True if the verdict is `good` or `acceptable`."""
        return self.verdict in ("good", "acceptable")

    @property
    def words(self) -> tuple[str, ...]:
        """The sentences of all verdicts."""
        return tuple(sentence for verdict in self.verdicts for sentence in verdict.sentences)

    def with_truth(self, tree: xr.DataTree, truth: Mapping[str, float]) -> Summary:
        """The same summary with a table of true values.

        Parameters
        ----------
        tree : xarray.DataTree
            The posterior that was summarised.
        truth : dict of float
            True values by name, in each parameter's unit.
        """
        return replace(self, truth=_truth_table(tree["posterior"].dataset, truth))

    def with_verdict(self, verdict: Verdict) -> Summary:
        """The same summary with another verdict in the place of that of the same name.

        Parameters
        ----------
        verdict : Verdict
            The verdict.
        """
        return replace(self, verdicts=tuple(verdict if v.name == verdict.name else v for v in self.verdicts))

    def with_words(self, words: Sequence[str]) -> Summary:
        """The same summary with more sentences, below its last verdict.

        Parameters
        ----------
        words : sequence of str
            The sentences.
        """
        return self.with_verdict(self.verdicts[-1].with_sentences(words))

    def __repr__(self) -> str:
        return f"Summary({self.title!r}, {self.verdict!r})"

    def __str__(self) -> str:
        return "\n".join(_lines(self))

    def _repr_html_(self) -> str:
        """For notebooks: the verdicts, what to do, and the table, parameters of single runs last."""
        columns = [*COLUMNS, "contraction", "unit"]
        names = sorted(self.table.index, key=lambda name: "[" in str(name))
        rows = self.table.to_dict("index")
        parameters = html.table(
            ["parameter", *columns], names, lambda name: (name, *(_shown(rows[name], c) for c in columns)), most=_MANY
        )
        against = {} if self.truth is None else self.truth.to_dict("index")
        truth = html.table(
            ["parameter", *next(iter(against.values()), {})], against.items(), lambda item: (item[0], *item[1].values())
        )
        words = [part for v in self.verdicts for part in (html.paragraph(_head(self, v)), html.bullets(v.sentences))]
        return html.form(self.title, *words, parameters, html.section("against the truth", truth))


def summarise(tree: xr.DataTree, *, truth: Mapping[str, float] | None = None) -> Summary:
    """Summary of a posterior made by `sample` or read from a file.

    Parameters
    ----------
    tree : xarray.DataTree
        The posterior.
    truth : dict of float, optional
        Values that the data were simulated with, by name, in each parameter's unit.

    Returns
    -------
    Summary
        Table, verdicts and what to do.

    Raises
    ------
    ValueError
        For values in `truth` of parameters that the posterior does not have.
    """
    posterior = tree["posterior"].dataset
    estimated = [str(n) for n in posterior.data_vars]
    if unknown := sorted(set(truth or {}) - set(estimated)):
        meant = did_you_mean(unknown, estimated)
        raise ValueError(f"truth names what the posterior does not have: {', '.join(unknown)}{meant}")
    table = parameter_table(tree)
    chains, draws = posterior.sizes["chain"], posterior.sizes["draw"]
    name = tree.attrs.get("problem") or "posterior"
    drawn = (
        f"{chains} populations × {draws} particles"
        if of_populations(tree.attrs)
        else f"{chains} chains × {draws} draws"
    )
    title = f"{name}: {len(table)} parameters, {drawn}"
    return Summary(table, judge(tree, table), title, _truth_table(posterior, truth) if truth else None)


def as_items(sentences: Sequence[str]) -> list[str]:
    """Lines of a terminal, in which each sentence is an item of a list."""
    return [line for sentence in sentences for line in textwrap.wrap(sentence, WIDTH, **_ITEM)]


def _head(summary: Summary, verdict: Verdict) -> str:
    """The line above a verdict's sentences; of *sampled*, also whether the chains converged."""
    converged = _SENTENCES.get(summary.verdict, "") if verdict is summary.verdicts[0] else ""
    return f"{verdict}{'. ' if converged else ''}{converged}"


def _shown(row: Mapping[str, object], column: str) -> object:
    """A cell; none for means and the like of a parameter on a logarithmic scale."""
    hidden = column in _OF_LINEAR and row["scale"] != "lin"
    return None if hidden else row[column]


def _truth_table(posterior: xr.Dataset, truth: Mapping[str, float]) -> pd.DataFrame:
    rows = []
    for name, value in truth.items():
        low, low90, high90, high = np.quantile(posterior[name].values, [0.0005, 0.05, 0.95, 0.9995])
        inside = low90 <= value <= high90, low <= value <= high
        rows.append((name, value, low90, high90, inside[0], low, high, inside[1]))
    columns = ["parameter", "truth", "5%", "95%", "inside_90", "0.05%", "99.95%", "inside_99.9"]
    return pd.DataFrame(rows, columns=pd.Index(columns)).set_index("parameter")


def _short(name: str, width: int = _NAME - 1) -> str:
    if len(name) <= width:
        return name
    head = (width - 1) // 2
    return f"{name[:head]}…{name[-(width - 1 - head) :]}"


def _number(value: object, width: int = 9) -> str:
    known = isinstance(value, float) and np.isfinite(value)
    return (f"{value:.3g}" if known else "–").rjust(width)


def _lines(summary: Summary) -> list[str]:
    table = summary.table
    of_runs = np.array(["[" in str(n) for n in table.index])
    collapsed = len(table) > _MANY and bool(of_runs.any()) and not bool(of_runs.all())
    shown = table.loc[~of_runs] if collapsed else table
    lines = [summary.title, *_headlines(summary.verdicts), "", _header()]
    for name, row in shown.to_dict("index").items():
        numbers = "".join(_number(_shown(row, c)) for c in COLUMNS[:5])
        rhat = f"{row['r_hat']:.3f}" if np.isfinite(row["r_hat"]) else "–"
        ess = "".join((f"{row[c]:.0f}" if np.isfinite(row[c]) else "–").rjust(7) for c in ("ess_bulk", "ess_tail"))
        lines.append(f"{_short(str(name)):<{_NAME}}{numbers}{rhat.rjust(7)}{ess}{_number(_shown(row, 'mcse'))}")
    if collapsed:
        hidden = table.loc[of_runs]
        least = np.fmin(hidden["ess_bulk"], hidden["ess_tail"]).min()
        worst = f"R-hat ≤ {hidden['r_hat'].max():.3f}, ESS ≥ {least:.0f}"
        lines.append(f"… and {len(hidden)} of single gels or plates ({worst}), see summary.csv, or .table")
    if summary.truth is not None:
        lines += ["", *_truth_lines(summary.truth)]
    for verdict in summary.verdicts:
        lines += ["", *textwrap.wrap(_head(summary, verdict), WIDTH, break_long_words=False)]
        lines += as_items(verdict.sentences)
    return lines


def _headlines(verdicts: Sequence[Verdict]) -> list[str]:
    """All answers, in one line if it is wide enough."""
    whole = [str(v).replace(" ", "\xa0") for v in verdicts]  # lines break between verdicts
    lines = textwrap.wrap(" · ".join(whole), WIDTH, break_long_words=False)
    return [line.replace("\xa0", " ") for line in lines]


def _header() -> str:
    columns = "".join(c.rjust(9) for c in COLUMNS[:5])
    return f"{'parameter':<{_NAME}}{columns}{'R-hat':>7}{'bulk':>7}{'tail':>7}{'MCSE':>9}"


def _truth_lines(truth: pd.DataFrame) -> list[str]:
    head = f"{'truth':>9}{'5%':>9}{'95%':>9}{'in 90%':>8}{'0.05%':>9}{'99.95%':>9}{'in 99.9%':>10}"
    lines = [f"{'parameter':<{_NAME}}{head}"]
    for name, row in truth.to_dict("index").items():
        inside = ["yes" if row[c] else "NO" for c in ("inside_90", "inside_99.9")]
        lines.append(
            f"{_short(str(name)):<{_NAME}}{_number(row['truth'])}{_number(row['5%'])}{_number(row['95%'])}{inside[0]:>8}"
            f"{_number(row['0.05%'])}{_number(row['99.95%'])}{inside[1]:>10}"
        )
    n, inside = len(truth), {c: int(truth[c].to_numpy().sum()) for c in ("inside_90", "inside_99.9")}
    lines.append(f"inside: {inside['inside_90']} of {n} (90%), {inside['inside_99.9']} of {n} (99.9%)")
    return lines
