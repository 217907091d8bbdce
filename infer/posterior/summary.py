"""What a posterior says, in a table and in plain words: converged or not, and what to do."""

from __future__ import annotations

import json
import textwrap
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import arviz_stats
import numpy as np
import pandas as pd
import xarray as xr

from ... import html
from ...models.listing import did_you_mean
from ...models.solvers.status import Status
from .datatree import on_search_scale
from .mode_words import judge_modes, judge_ridges, of_populations

GOOD_RHAT, ACCEPTABLE_RHAT = 1.01, 1.05
GOOD_ESS, ACCEPTABLE_ESS = 400, 100  # of all chains together
PRIOR_DOMINATED = 0.9  # posterior sd / prior sd, on the search scale
LOW_BFMI = 0.3
NOISE = "noise_below_solver_error"  # the attribute of a tree with sentences about it
WIDTH = 100
COLUMNS = ("mean", "sd", "median", "5%", "95%", "r_hat", "ess_bulk", "ess_tail", "mcse")
_VERDICTS = {"good": "Converged.", "acceptable": "Converged, barely.", "not converged": "NOT CONVERGED."}
_ITEM = {"initial_indent": "- ", "subsequent_indent": "  ", "break_long_words": False}
_WARM_UP = ": warm up longer, look at the traces."
_NAME = 25  # columns for a parameter's name
_MANY = 40  # parameters; beyond, those of single runs are summed up in one line


@dataclass(frozen=True, eq=False)
class Summary:
    """A table of parameters in their own units, a verdict, and what to do; `str` is for a terminal.

    Attributes
    ----------
    table : pandas.DataFrame
        A row per parameter, with its 90% equal-tailed interval; `contraction` is posterior sd over prior sd on the
        search scale.
    verdict : str
        `good`, `acceptable` or `not converged`.
    words : tuple of str
        What to do, in sentences.
    title : str
        Its first line.
    truth : pandas.DataFrame, optional
        Whether the true values, if they are known, lie in the 90% and 99.9% intervals.
    """

    table: pd.DataFrame
    verdict: str
    words: tuple[str, ...]
    title: str
    truth: pd.DataFrame | None = None

    @property
    def converged(self) -> bool:
        """True unless the verdict is `not converged`."""
        return self.verdict != "not converged"

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

    def with_words(self, words: Sequence[str]) -> Summary:
        """The same summary with more sentences.

        Parameters
        ----------
        words : sequence of str
            The sentences.
        """
        return replace(self, words=(*self.words, *words))

    def __repr__(self) -> str:
        return f"Summary({self.title!r}, {self.verdict!r})"

    def __str__(self) -> str:
        return "\n".join(_lines(self))

    def _repr_html_(self) -> str:
        """For notebooks: the verdict, what to do, and the table, parameters of single runs last."""
        columns = [*COLUMNS, "contraction", "unit"]
        names = sorted(self.table.index, key=lambda name: "[" in str(name))
        rows = self.table.to_dict("index")
        parameters = html.table(
            ["parameter", *columns], names, lambda name: (name, *(rows[name][c] for c in columns)), most=_MANY
        )
        against = {} if self.truth is None else self.truth.to_dict("index")
        truth = html.table(
            ["parameter", *next(iter(against.values()), {})], against.items(), lambda item: (item[0], *item[1].values())
        )
        words = html.paragraph(_VERDICTS[self.verdict]), html.bullets(self.words)
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
        Table, verdict and what to do.

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
    table = _table(posterior, tree["prior"].dataset if "prior" in tree.children else None)
    chains, draws = posterior.sizes["chain"], posterior.sizes["draw"]
    name = tree.attrs.get("problem") or "posterior"
    drawn = (
        f"{chains} populations × {draws} particles"
        if of_populations(tree.attrs)
        else f"{chains} chains × {draws} draws"
    )
    title = f"{name}: {len(table)} parameters, {drawn}"
    verdict, words = _judge(tree, table)
    return Summary(table, verdict, tuple(words), title, _truth_table(posterior, truth) if truth else None)


def _table(posterior: xr.Dataset, prior: xr.Dataset | None) -> pd.DataFrame:
    names = [str(n) for n in posterior.data_vars]
    draws = {n: np.asarray(posterior[n].values, dtype=float) for n in names}
    quantile = {n: np.quantile(v, [0.05, 0.5, 0.95]) for n, v in draws.items()}
    contraction = [np.nan if prior is None or n not in prior else _contraction(posterior[n], prior[n]) for n in names]
    return pd.DataFrame(
        {
            "mean": [v.mean() for v in draws.values()],
            "sd": [v.std(ddof=1) for v in draws.values()],
            "median": [q[1] for q in quantile.values()],
            "5%": [q[0] for q in quantile.values()],
            "95%": [q[2] for q in quantile.values()],
            "r_hat": [_diagnostic(arviz_stats.rhat, v) if len(v) > 1 else np.nan for v in draws.values()],
            "ess_bulk": [_diagnostic(arviz_stats.ess, v, method="bulk") for v in draws.values()],
            "ess_tail": [_diagnostic(arviz_stats.ess, v, method="tail", prob=(0.05, 0.95)) for v in draws.values()],
            "mcse": [_diagnostic(arviz_stats.mcse, v, method="mean") for v in draws.values()],
            "contraction": contraction,
            "unit": [posterior[n].attrs.get("unit", "") for n in names],
        },
        index=pd.Index(names, name="parameter"),
    )


def _diagnostic(function, values: np.ndarray, **options) -> float:
    """NaN where all draws are the same, or too few: the diagnostics divide by their variance."""
    if values.shape[1] < 4 or np.ptp(values) == 0 or not np.all(np.isfinite(values)):
        return float("nan")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # chains that stand still
        return float(function(values, **options))


_HEAVY = 2.0  # times the half-width of its 68 % interval: a standard deviation that a few draws make


def _contraction(posterior: xr.DataArray, prior: xr.DataArray) -> float:
    """Posterior over prior standard deviation; half-widths of 68 % intervals if the prior has heavy tails."""
    after, before = (x[np.isfinite(x)] for x in (np.ravel(on_search_scale(a)) for a in (posterior, prior)))
    widths = [np.std(x) for x in (after, before)]
    half = [np.ptp(np.quantile(x, [0.16, 0.84])) / 2 for x in (after, before)]
    if widths[1] > _HEAVY * half[1]:
        widths = half
    return float(widths[0] / widths[1]) if widths[1] > 0 else float("nan")


def _truth_table(posterior: xr.Dataset, truth: Mapping[str, float]) -> pd.DataFrame:
    rows = []
    for name, value in truth.items():
        low, low90, high90, high = np.quantile(posterior[name].values, [0.0005, 0.05, 0.95, 0.9995])
        inside = low90 <= value <= high90, low <= value <= high
        rows.append((name, value, low90, high90, inside[0], low, high, inside[1]))
    columns = ["parameter", "truth", "5%", "95%", "inside_90", "0.05%", "99.95%", "inside_99.9"]
    return pd.DataFrame(rows, columns=pd.Index(columns)).set_index("parameter")


def _judge(tree: xr.DataTree, table: pd.DataFrame) -> tuple[str, list[str]]:
    words: list[str] = []
    names = [str(n) for n in table.index]
    rhat, bulk, tail, contraction = (
        table[c].to_numpy(dtype=float) for c in ("r_hat", "ess_bulk", "ess_tail", "contraction")
    )
    level = 0
    if tree["posterior"].sizes["chain"] < 2:
        level = 1
        words.append("One chain cannot tell whether it found all modes: run at least four.")
    elif np.isnan(bulk).any():
        level = 2
        still = _names([n for n, b in zip(names, bulk, strict=True) if np.isnan(b)])
        words.append(f"{still}: draws that never move. Sample again from other starts.")
    worst = np.nanmax(rhat) if np.isfinite(rhat).any() else 1.0
    modes = judge_modes(tree, float(worst), ACCEPTABLE_RHAT)
    words += modes.words
    level = max(level, modes.level)
    if worst > GOOD_RHAT:
        close = worst <= ACCEPTABLE_RHAT
        level = max(level, 1 if close else 2)
        bad = [names[i] for i in np.argsort(-np.nan_to_num(rhat), kind="stable") if rhat[i] > GOOD_RHAT]
        words.append(
            f"R-hat is up to {worst:.3f} (good: ≤ {GOOD_RHAT}, acceptable: ≤ {ACCEPTABLE_RHAT}); "
            f"worst: {_names(bad)}. "
            + (
                _more(tree)
                if close or of_populations(tree.attrs)
                else f"The chains disagree{'.' if modes.apart else _WARM_UP}"
            )
        )
    ess = np.fmin(bulk, tail)
    least = np.nanmin(ess) if np.isfinite(ess).any() else np.inf
    if least < GOOD_ESS:
        level = max(level, 1 if least >= ACCEPTABLE_ESS else 2)
        scarce = [names[i] for i in np.argsort(ess, kind="stable") if ess[i] < GOOD_ESS]
        words.append(
            f"The effective sample size is only {least:.0f} (good: ≥ {GOOD_ESS}); least: {_names(scarce)}."
            + ("" if modes.apart else _times_more(tree, max(2.0, np.ceil(GOOD_ESS / max(least, 1.0)))))
        )
    level = max(level, _judge_sampler(tree, words))
    ridges = judge_ridges(tree, table, trusted=not modes.apart)
    words += ridges.words
    level = max(level, ridges.level)
    words += _failed_solves(tree)
    if tree.attrs.get("complete") in ("false", "False", 0):
        words.append("The run was stopped before it had all its draws; the same call resumes it.")
    if note := tree.attrs.get("below_zero"):
        words.append(f"{note[0].upper()}{note[1:]}.")
    words += [f"{text[:1].upper()}{text[1:]}." for text in json.loads(tree.attrs.get(NOISE, "[]"))]
    dominated = [n for n, c in zip(names, contraction, strict=True) if c > PRIOR_DOMINATED]
    if dominated:
        words.append(
            f"The data say little about {_names(dominated, 8)}: posterior as wide as the prior "
            f"(sd ratio > {PRIOR_DOMINATED}). Report them as prior knowledge, or measure more."
        )
    return ("good", "acceptable", "not converged")[level], words


def _more(tree: xr.DataTree) -> str:
    return "Take more particles." if of_populations(tree.attrs) else "Draw more."


def _times_more(tree: xr.DataTree, times: float) -> str:
    if of_populations(tree.attrs):
        return f" Take about {times:.0f} times as many particles."
    return f" Draw about {times:.0f} times as much."


def _judge_sampler(tree: xr.DataTree, words: list[str]) -> int:
    """Adds what the sampler's statistics say; the level that they allow."""
    stats = tree["sample_stats"].dataset if "sample_stats" in tree.children else xr.Dataset()
    level = 0
    if "diverging" in stats:
        diverging, total = int(stats["diverging"].sum()), stats["diverging"].size
        if diverging:
            level = 1 if diverging <= 0.01 * total else 2
            words.append(
                f"{diverging} of {total} draws diverged ({100 * diverging / total:.2g}%): the sampler met "
                "curvature that its steps cannot follow. Raise the target acceptance, or give weak "
                "parameters firmer priors."
            )
    hits, limit = _depth_hits(tree, stats)
    if hits:
        total = next(iter(stats.data_vars.values())).size
        words.append(
            f"{hits} of {total} draws stopped at the tree depth {limit}: slow, not wrong. Raise "
            "max_tree_depth, or warm up longer."
        )
    if "energy" in stats and stats.sizes["draw"] > 3:
        bfmi = np.asarray(arviz_stats.bfmi(stats["energy"].values))
        low = int(np.sum(bfmi < LOW_BFMI))
        if low:
            words.append(
                f"The energy of {low} chain(s) mixes slowly (BFMI {np.nanmin(bfmi):.2f} < {LOW_BFMI}): heavy "
                "tails. Warm up longer, or reparametrise."
            )
            level = max(level, 1)
    return level


def _depth_hits(tree: xr.DataTree, stats: xr.Dataset) -> tuple[int, int]:
    limit = int(tree.attrs.get("max_tree_depth", 10))
    if "tree_depth" in stats:
        return int(np.sum(stats["tree_depth"].values >= limit)), limit
    if "n_steps" in stats:
        return int(np.sum(stats["n_steps"].values >= 2**limit - 1)), limit
    return 0, limit


def _failed_solves(tree: xr.DataTree) -> list[str]:
    if "sample_stats" not in tree.children:
        return []
    words = []
    for phase, when in (("draws", "while drawing"), ("warmup", "during warmup")):
        counts = json.loads(tree["sample_stats"].attrs.get(f"failures_{phase}", "{}"))
        if counts:
            listed = ", ".join(f"{n} {kind}" for kind, n in counts.items())
            sentence = f"Failed solves {when}: {listed}."
            if phase == "draws":
                known = {s.label: s.sentence for s in Status}
                sentence += " Each was a rejected step; " + "; ".join(known[k] for k in counts if k in known) + "."
            words.append(sentence)
    return words


def _names(names: Sequence[str], most: int = 4) -> str:
    listed = ", ".join(map(str, names[:most]))
    return listed if len(names) <= most else f"{listed} and {len(names) - most} more"


def _short(name: str, width: int = _NAME - 1) -> str:
    if len(name) <= width:
        return name
    head = (width - 1) // 2
    return f"{name[:head]}…{name[-(width - 1 - head) :]}"


def _number(value: float, width: int = 9) -> str:
    if not np.isfinite(value):
        return "–".rjust(width)
    return f"{value:.3g}".rjust(width)


def _lines(summary: Summary) -> list[str]:
    table = summary.table
    of_runs = np.array(["[" in str(n) for n in table.index])
    collapsed = len(table) > _MANY and bool(of_runs.any()) and not bool(of_runs.all())
    shown = table.loc[~of_runs] if collapsed else table
    lines = [summary.title, "", _header()]
    for name, row in shown.to_dict("index").items():
        numbers = "".join(_number(float(row[c])) for c in COLUMNS[:5])
        rhat = f"{row['r_hat']:.3f}" if np.isfinite(row["r_hat"]) else "–"
        ess = "".join((f"{row[c]:.0f}" if np.isfinite(row[c]) else "–").rjust(7) for c in ("ess_bulk", "ess_tail"))
        lines.append(f"{_short(str(name)):<{_NAME}}{numbers}{rhat.rjust(7)}{ess}{_number(float(row['mcse']))}")
    if collapsed:
        hidden = table.loc[of_runs]
        least = np.fmin(hidden["ess_bulk"], hidden["ess_tail"]).min()
        worst = f"R-hat ≤ {hidden['r_hat'].max():.3f}, ESS ≥ {least:.0f}"
        lines.append(f"… and {len(hidden)} of single gels or plates ({worst}), see summary.csv, or .table")
    if summary.truth is not None:
        lines += ["", *_truth_lines(summary.truth)]
    lines += ["", _VERDICTS[summary.verdict]]
    lines += [line for sentence in summary.words for line in textwrap.wrap(sentence, WIDTH, **_ITEM)]
    return lines


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
