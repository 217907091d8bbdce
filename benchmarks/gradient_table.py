"""The rows of `benchmarks.gradient` as text."""

from __future__ import annotations

from collections.abc import Sequence

from .measures import Row

_COLUMNS = {
    "rtol": (".0e", "rtol"),
    "threads": ("d", "threads"),
    "cores_busy": (".1f", "busy"),
    "forward_ms": (".1f", "forward ms (min)"),
    "gradient_ms": (".1f", "gradient ms (min)"),
    "max_rel_error": (".1e", "error"),
    "steps": ("d", "steps"),
    "failed": ("d", "failed"),
    "compile_s": (".1f", "compile s"),
    "peak_memory_mb": (".0f", "MB"),
    "load_average": (".1f", "load"),
}


def _cell(row: Row, key: str) -> str:
    form, least = _COLUMNS[key][0], row.get(f"{key}_min")
    if row.get(key) is None:
        return "-"
    return format(row[key], form) + (f" ({format(least, form)})" if least is not None else "")


def table(rows: Sequence[Row]) -> str:
    """One line a row; times are medians, with the least of them beside. Rows that failed say why."""
    lines = [["method", "setting", *(title for _, title in _COLUMNS.values())]]
    lines += [[r["method"], r.get("setting", "-"), *(_cell(r, k) for k in _COLUMNS)] for r in rows]
    width = [max(map(len, column)) for column in zip(*lines, strict=True)]
    text = ["  ".join(c.ljust(w) for c, w in zip(x, width, strict=True)).rstrip() for x in lines]
    notes = [f"{r['method']}, {r.get('setting', 'all')}: {r['error']}" for r in rows if "error" in r]
    return "\n".join([*text, *notes])
