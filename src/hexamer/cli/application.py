"""The program `hexamer`: its commands, and how it ends."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
from typing import Annotated

import typer

from .. import interrupt
from ..errors import HexamerError
from . import dose_response, evaluate, export, fit, sbc, simulate
from . import list as list_
from . import map as map_
from .messages import of_output

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    help="Calibrates mechanistic models of receptor signalling with full Bayesian uncertainty.\n\n"
    "PROBLEM is a bundled name (il6_demo, hepg2, hepg2_assembly, hepatocytes), a folder with problem.toml, "
    "measurements.csv and priors.csv, or a PEtab YAML file. MODEL is a bundled network (il6_stat3, il6_full, "
    "hepg2_core, …), parts of one joined by + (il6_stat3+tocilizumab+T_cell), or an Antimony (.ant) or SBML (.xml) "
    "file.",
)


def _print_version(wanted: bool) -> None:
    if wanted:
        from .. import __version__

        typer.echo(f"hexamer {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and end.")
    ] = False,
) -> None: ...


for _name, _module in {
    "fit": fit,
    "map": map_,
    "sbc": sbc,
    "evaluate": evaluate,
    "simulate": simulate,
    "dose-response": dose_response,
    "export": export,
    "list": list_,
}.items():
    app.command(_name)(_module.command)


def main() -> None:
    """Runs the command line: exit status 0, or 2 with one message and no traceback.

    3 where `fit` or `sbc` stopped early; 130 where it was interrupted, at once.
    """
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    placement = logging.getLogger("hexamer.models.solvers.placement")
    placement.setLevel(logging.INFO)  # where it solves, on a machine with a GPU
    with interrupt.ends_at_once():
        _run()


def _run() -> None:
    try:
        app()
    except SystemExit as ended:
        if ended.code == interrupt.EXIT:  # Ctrl-C before or beside `ends_at_once`
            interrupt.end()
        raise
    except OSError as error:
        with contextlib.suppress(OSError):
            typer.echo(f"error: {of_output(error) if error.filename is None else error}", err=True)
        sys.exit(2)
    except (HexamerError, ValueError, FloatingPointError, RuntimeError) as error:
        typer.echo(f"error: {error}", err=True)
        sys.exit(2)
    except Exception as error:
        if os.environ.get("HEXAMER_DEBUG"):
            raise
        typer.echo(f"error: {type(error).__name__}: {error} (HEXAMER_DEBUG=1 shows where)", err=True)
        sys.exit(2)


__all__ = ["app", "main"]
