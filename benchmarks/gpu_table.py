"""The rows of `benchmarks.gpu`, as a person reads them."""

from __future__ import annotations

from typing import Any

Row = dict[str, Any]

HEAD = (
    f"{'method':24} {'precision':9} {'rtol':>6} {'start':6} {'what':8} {'number':>8} {'seconds':>10} {'a second':>10} "
    f"{'value':>8} {'gradient':>8} {'of peak':>8}   (value, gradient: largest relative errors)"
)


def line(row: Row, *, dry: bool) -> str:
    """A row of a table under HEAD. In a dry run the CPU runs the GPU's kernels."""
    method = row.get("method", "check against the CPU")
    method = ("fused, GPU's code on CPU" if dry else "fused on the GPU") if method == "fused" else method
    rtol = f"{row['rtol']:.0e}" if "rtol" in row else ""
    begin = f"{method:24} {row['precision']:9} {rtol:>6} {row['start']:6} {row.get('what', ''):8} "
    begin += f"{row.get('trajectories', ''):8} "
    if "not_installed" in row:
        return f"{begin} not installed: {row['not_installed']}"
    if "error" in row:
        return f"{begin} FAILED  {row['error']}"
    value = row.get("value_error", row.get("off_fused"))
    numbers = [f"{row['seconds']:10.4f}" if "seconds" in row else " " * 10]
    numbers += [f"{row['per_second']:10.0f}" if "per_second" in row else " " * 10]
    numbers += [" " * 8 if x is None else f"{x:8.1e}" for x in (value, row.get("gradient_error"))]
    numbers += [f"{row['share_of_peak']:8.1%}" if "share_of_peak" in row else " " * 8]
    good = "" if "good" not in row else "  right" if row["good"] else "  WRONG"
    return (begin + " ".join(numbers)).rstrip() + good
