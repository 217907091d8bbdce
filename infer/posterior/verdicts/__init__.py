"""Four verdicts on a posterior: *sampled*, *fits*, *identified* and *solved*, each with reasons and advice."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..mode_words import judge_modes
from .fits import judge_fits
from .identified import judge_identified
from .ridges import find_ridges, judge_divergences
from .sampled import ACCEPTABLE_RHAT, judge_sampled, worst_rhat
from .solved import judge_solved
from .verdict import Verdict

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr


def judge(tree: xr.DataTree, table: pd.DataFrame) -> tuple[Verdict, Verdict, Verdict, Verdict]:
    """The four verdicts on a posterior, of which `table` is `parameter_table`."""
    modes = judge_modes(tree, worst_rhat(table), ACCEPTABLE_RHAT)
    ridges = [] if modes.apart else find_ridges(tree, table)
    sampled = judge_sampled(tree, table, modes, judge_divergences(tree, table, ridges))
    return sampled, judge_fits(tree), judge_identified(tree, table, ridges, agree=not modes.apart), judge_solved(tree)


__all__ = ["Verdict", "judge"]
