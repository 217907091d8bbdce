"""`hexamer list`."""

from __future__ import annotations

from typing import Annotated

import typer

from .arguments import choice_of
from .catalogue import Kind, inventory


def command(
    kind: Annotated[
        Kind | None, typer.Argument(help="What to list; by default all.", show_default=False, **choice_of(Kind, "KIND"))
    ] = None,
) -> None:
    """List the models, problems, modules, drugs, cells and assays that come with hexamer, one per line."""
    for one in Kind if kind is None else (kind,):
        lines = inventory(one)
        width = max(map(len, lines))
        if kind is None:
            typer.echo(f"{one}:")
        for name, line in lines.items():
            typer.echo(f"  {name:<{width}}  {line}" if kind is None else f"{name:<{width}}  {line}")
        if kind is None and one is not list(Kind)[-1]:
            typer.echo("")


__all__ = ["command"]
