"""`CalibrationCheck`: the ranks of all replicates, whether they are uniform, and what to do if they are not."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from ... import html
from ...models.listing import counted
from ..posterior.draw_evaluation import thinned
from ..posterior.summary import as_items
from ..posterior.verdicts.sampled import ACCEPTABLE_RHAT
from ..sampling.store import StoreError, load_arrays, save_arrays
from .rank_shapes import advise, shape_of
from .replicate import STAGES, Replicate
from .uniformity import holm, uniform_p_values

LEAST_RANKED = 20  # draws
_SLOW = 0.05  # share of the replicates that may have fewer independent draws than are ranked
_VERDICTS = {"calibrated": "Calibrated.", "not calibrated": "NOT CALIBRATED."}


@dataclass(frozen=True, eq=False)
class CalibrationCheck:
    """The result of simulation-based calibration: ranks of true values among posterior draws. `str` is for a terminal.

    Attributes
    ----------
    name : str
        The problem's.
    quantities : tuple of str
        What is ranked: sampled parameters, integrated scales, and the log likelihood.
    ranks : array of int, replicates × quantities
        How many of the ranked draws lie below the truth, from 0 to `ranked`; dimensionless.
    ranked : int
        Number of draws of each replicate that are ranked: the 5% quantile over replicates of the smallest bulk ESS of a
        replicate's quantities, at least 20 and at most 200. The draws are evenly spread over the chains.
    ess, rhat : array, replicates
        Smallest bulk ESS and largest R-hat of each replicate's quantities (dimensionless); R-hat of one chain is NaN.
    seconds : array, replicates × stages
        Wall time in seconds of the truth, the search for the best fit, the sampling and the ranks. The first replicate
        of a run includes compilation.
    diverging : int
        Number of draws that diverged, of all replicates.
    failed : dict
        Replicates without ranks, by reason.
    redrawn : dict
        Draws of the prior that failed and were drawn anew, by reason.
    level : float
        Probability of the verdict `not calibrated` if all is right; dimensionless.
    complete : bool
        False if the run was stopped before it had all its replicates.
    """

    name: str
    quantities: tuple[str, ...]
    ranks: Int[np.ndarray, "replicates quantities"]
    ranked: int
    ess: Float[np.ndarray, " replicates"]
    rhat: Float[np.ndarray, " replicates"]
    seconds: Float[np.ndarray, "replicates stages"]
    diverging: int
    failed: Mapping[str, int]
    redrawn: Mapping[str, int]
    level: float = 0.01
    complete: bool = True

    @cached_property
    def table(self) -> pd.DataFrame:
        """A row per quantity: `p`, `corrected` (by Holm's method), `mean_rank` (of 0 to 1), `shape` if not uniform."""
        p = uniform_p_values(self.ranks, self.ranked)
        corrected = holm(p)
        columns = {"p": p, "corrected": corrected, "mean_rank": ((self.ranks + 0.5) / (self.ranked + 1)).mean(axis=0)}
        shapes = [
            shape_of(r, self.ranked) if c <= self.level else "" for r, c in zip(self.ranks.T, corrected, strict=True)
        ]
        index = pd.Index(list(self.quantities), name="quantity")
        return pd.DataFrame({**columns, "shape": shapes}, index=index)

    @property
    def verdict(self) -> str:
        """`calibrated`, or `not calibrated` if a corrected p value is at most `level`."""
        return "not calibrated" if np.any(self.table["corrected"] <= self.level) else "calibrated"

    @property
    def calibrated(self) -> bool:
        """True unless the verdict is `not calibrated`."""
        return self.verdict == "calibrated"

    @property
    def cost(self) -> float:
        """Wall time of a replicate over that of its sampling (dimensionless), the median."""
        return float(np.median(self.seconds.sum(axis=1) / self.seconds[:, STAGES.index("sampling")]))

    @cached_property
    def words(self) -> tuple[str, ...]:
        """Sentences that say what the ranks mean, and what to do."""
        off = self.table["shape"][self.table["corrected"] <= self.level]
        words = advise(dict(zip(map(str, off.index), off, strict=True)))
        if not words:
            words = [
                f"No ranks depart from uniform ones at the level {self.level:g}, corrected for "
                f"{counted(self.quantities, 'test')}. Smaller errors take more replicates to show."
            ]
        return (*words, *self._of_chains(), *self._of_failures())

    def _of_chains(self) -> list[str]:
        words, total = [], len(self.ess)
        if short := int(np.sum(self.ess < self.ranked)):
            fewer = f"{short} of {total} replicates have fewer independent draws than the {self.ranked} ranked"
            uneven = " This alone makes ranks uneven: take more draws." if short > _SLOW * total else ""
            words.append(f"{fewer} (least {self.ess.min():.0f}).{uneven}")
        if apart := int(np.sum(self.rhat > ACCEPTABLE_RHAT)):
            words.append(f"The chains of {apart} of {total} replicates disagree (R-hat above {ACCEPTABLE_RHAT}).")
        if self.diverging:
            words.append(f"{self.diverging} draws diverged, of all replicates: raise the target acceptance.")
        return words

    def _of_failures(self) -> list[str]:
        words = []
        if self.failed:
            listed = ", ".join(f"{n} ({reason})" for reason, n in self.failed.items())
            words.append(f"Replicates without ranks: {listed}. The check says nothing of such data.")
        if self.redrawn:
            listed = ", ".join(f"{n} {reason}" for reason, n in self.redrawn.items())
            words.append(f"Draws of the prior that were drawn anew, as their simulation failed: {listed}.")
        if not self.complete:
            words.append("The run was stopped before it had all its replicates; the same call resumes it.")
        return words

    @property
    def title(self) -> str:
        """One line: the problem, and what was ranked."""
        replicates = counted(self.ranks, "replicate")
        return f"{self.name}: {len(self.quantities)} quantities, {replicates}, ranks among {self.ranked} draws"

    def __repr__(self) -> str:
        return f"CalibrationCheck({self.title!r}, {self.verdict!r})"

    def __str__(self) -> str:
        width = max(len(n) for n in (*self.quantities, "quantity"))
        lines = [self.title, f"{'quantity'.ljust(width)}         p  corrected  mean rank  posterior"]
        for name, row in self.table.to_dict("index").items():
            numbers = f"{row['p']:10.3g} {row['corrected']:10.3g} {row['mean_rank']:10.3f}"
            lines.append(f"{str(name).ljust(width)}{numbers}  {row['shape']}".rstrip())
        lines += ["", _VERDICTS[self.verdict], *as_items(self.words)]
        usual = np.median(self.seconds.sum(axis=1))
        lines += ["", f"a replicate takes {usual:.2g} s, {self.cost:.2f} times its sampling"]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        """For notebooks: the verdict, what to do, and the table."""
        rows = self.table.to_dict("index")
        columns = ("p", "corrected", "mean_rank", "shape")
        table = html.table(
            ["quantity", "p", "corrected", "mean rank", "posterior"],
            self.quantities,
            lambda name: (name, *(rows[name][c] for c in columns)),
            most=40,
        )
        return html.form(self.title, html.paragraph(_VERDICTS[self.verdict]), html.bullets(self.words), table)

    def save(self, path: str | Path) -> None:
        """Writes the result to a file.

        Parameters
        ----------
        path : path
            The file, an archive of NumPy's (`.npz`) with a checksum.
        """
        plain = {n: getattr(self, n) for n in _PLAIN}
        facts = json.dumps({**plain, "failed": dict(self.failed), "redrawn": dict(self.redrawn)})
        save_arrays(Path(path), {**{n: getattr(self, n) for n in _ARRAYS}, "facts": np.array(facts)})

    @classmethod
    def read(cls, path: str | Path) -> CalibrationCheck:
        """Reads what `save` wrote.

        Parameters
        ----------
        path : path
            The file.

        Raises
        ------
        StoreError
            If the file is damaged.
        """
        way_out = "run sbc again: replicates in its folder are kept"
        arrays = load_arrays(Path(path), way_out)
        try:
            facts = json.loads(str(arrays["facts"]))
            facts["quantities"] = tuple(facts["quantities"])
            return cls(**{n: arrays[n] for n in _ARRAYS}, **facts)
        except (KeyError, TypeError, ValueError) as error:
            raise StoreError(f"{path} does not hold a check of calibration ({error}): {way_out}") from None


_ARRAYS = ("ranks", "ess", "rhat", "seconds")
_PLAIN = ("name", "quantities", "ranked", "diverging", "level", "complete")


def check_of(
    name: str, quantities: Sequence[str], replicates: Sequence[Replicate], *, level: float, complete: bool
) -> CalibrationCheck:
    """The check of some replicates, of which at least one has ranks."""
    with_ranks = [r for r in replicates if not r.reason]
    ess = np.array([r.ess for r in with_ranks])
    compared = min(len(r.below) for r in with_ranks)
    ranked = int(np.clip(np.quantile(ess, _SLOW, method="lower"), min(LEAST_RANKED, compared), compared))
    some = thinned(compared, ranked)
    return CalibrationCheck(
        name=name,
        quantities=tuple(quantities),
        ranks=np.array([r.below[some].sum(axis=0) for r in with_ranks]),
        ranked=ranked,
        ess=ess,
        rhat=np.array([r.rhat for r in with_ranks]),
        seconds=np.array([r.seconds for r in with_ranks]),
        diverging=sum(r.diverging for r in with_ranks),
        failed=dict(Counter(r.reason for r in replicates if r.reason)),
        redrawn=dict(sum((Counter(r.redrawn) for r in replicates), Counter())),
        level=level,
        complete=complete,
    )


__all__ = ["LEAST_RANKED", "CalibrationCheck", "check_of"]
