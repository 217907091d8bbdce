"""The files that a check of calibration writes: ranks, p values, a figure, and a summary."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from .. import plots
from ..simulation_calibration.calibration_check import CalibrationCheck
from ..storage.files import write
from .calibration import save_figures


def report_ranks(check: CalibrationCheck, folder: str | Path) -> None:
    """Writes `ranks.csv`, `uniformity.csv`, `summary.txt` and `ranks.png` of simulation-based calibration.

    Parameters
    ----------
    check : CalibrationCheck
        What `sbc` returned.
    folder : path
        Where to write.
    """
    folder = Path(folder)
    ranks = pd.DataFrame(check.ranks, columns=pd.Index(list(check.quantities)))
    write(folder / "ranks.csv", ranks.assign(**{"ranked draws": check.ranked}).to_csv(index=False))
    write(folder / "uniformity.csv", check.table.to_csv())
    write(folder / "summary.txt", f"{check}\n")
    save_figures({"ranks": plots.ranks(check)}, folder)


__all__ = ["report_ranks"]
