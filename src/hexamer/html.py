"""HTML forms of objects, as notebooks show them: a line, and below it tables that unfold.

Plain markup without scripts, and no colours of its own, so that it can be read in light and dark themes. All text is
escaped. A form stays short, however large the object: `table` shows its first rows, and says how many more there are.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from html import escape
from itertools import islice
from numbers import Integral, Real

ROWS = 15  # of a table, if nothing else is said
_WIDTH = 72  # characters of a cell, at most

_STYLE = """<style>
.hexamer-form table { border-collapse: collapse; font-size: 0.9em; margin: 0.2em 0 0.6em 1em; }
.hexamer-form th, .hexamer-form td { text-align: left; vertical-align: top; padding: 0.1em 1.2em 0.1em 0; }
.hexamer-form thead th { border-bottom: 1px solid; }
.hexamer-form .number { text-align: right; font-variant-numeric: tabular-nums; }
.hexamer-form summary { cursor: pointer; }
.hexamer-form ul { margin: 0.2em 0 0.6em 0; }
</style>"""


def form(title: str, *parts: str) -> str:
    """An object's form: its line in bold, then the parts that are not empty."""
    head = f"<p><b>{escape(title)}</b></p>"
    return "\n".join(['<div class="hexamer-form">', _STYLE, head, *filter(None, parts), "</div>"])


def section(heading: str, content: str, *, unfolded: bool = False) -> str:
    """Content that a click on its heading folds and unfolds; nothing without content."""
    if not content:
        return ""
    return f"<details{' open' if unfolded else ''}><summary>{escape(heading)}</summary>\n{content}\n</details>"


def table[Thing](
    columns: Sequence[str], things: Collection[Thing], row: Callable[[Thing], Sequence[object]], most: int = ROWS
) -> str:
    """The rows of the first `most` things, and how many more there are.

    Numbers are aligned at the right. A column in which nothing stands is left out.
    """
    rows = [row(thing) for thing in islice(things, most)]
    used = [i for i in range(len(columns)) if any(values[i] not in (None, "") for values in rows)]
    if not used:
        return ""
    kinds = {i: ' class="number"' for i in used if all(isinstance(values[i], Real | None) for values in rows)}
    head = "".join(f"<th{kinds.get(i, '')}>{escape(columns[i])}</th>" for i in used)
    lines = ["<table>", f"<thead><tr>{head}</tr></thead>", "<tbody>"]
    for values in rows:
        cells = (f"<td{kinds.get(i, '')}>{_cell(values[i])}</td>" for i in used)
        lines.append(f"<tr>{''.join(cells)}</tr>")
    if len(things) > len(rows):
        lines.append(f'<tr><td colspan="{len(used)}">… and {len(things) - len(rows):,} more</td></tr>')
    return "\n".join([*lines, "</tbody>", "</table>"])


def bullets(sentences: Sequence[str]) -> str:
    """A list of sentences."""
    shown = [f"<li>{escape(sentence)}</li>" for sentence in sentences[:ROWS]]
    if len(sentences) > ROWS:
        shown.append(f"<li>… and {len(sentences) - ROWS:,} more</li>")
    return "\n".join(["<ul>", *shown, "</ul>"]) if shown else ""


def paragraph(text: str) -> str:
    return f"<p>{escape(text)}</p>" if text else ""


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, Integral):
        return f"{int(value):,}" if not isinstance(value, bool) else str(value)
    if isinstance(value, Real):
        return f"{float(value):.4g}".replace("inf", "∞").replace("nan", "–")
    text = str(value)
    return escape(text if len(text) <= _WIDTH else f"{text[: _WIDTH - 1]}…")


__all__ = ["ROWS", "bullets", "form", "paragraph", "section", "table"]
