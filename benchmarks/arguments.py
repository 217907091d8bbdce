"""Arguments that the benchmarks share, checked before anything is computed."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import jax

from hexamer.models import load_model
from hexamer.models.solvers.placement import prefer, require_asked, require_cpu


def positive_count(text: str) -> int:
    """A whole number of at least 1."""
    try:
        count = int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number") from None
    if count < 1:
        raise argparse.ArgumentTypeError(f"{text} is less than 1")
    return count


def positive_number(text: str) -> float:
    """A positive number."""
    try:
        number = float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number") from None
    if not number > 0:
        raise argparse.ArgumentTypeError(f"{text} is not positive")
    return number


def network_name(name: str) -> str:
    """The name of a bundled network or composition, which loads."""
    try:
        load_model(name)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return name


def made_folder(text: str) -> Path:
    """A folder, which is made."""
    folder = Path(text)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise argparse.ArgumentTypeError(f"cannot make the folder {text}: {error.strerror}") from None
    return folder


def report_file(text: str) -> Path:
    """A file that can be written; its folder is made."""
    file = Path(text)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise argparse.ArgumentTypeError(f"cannot make the folder of {text}: {error.strerror}") from None
    if file.is_dir() or not os.access(file if file.exists() else file.parent, os.W_OK):
        raise argparse.ArgumentTypeError(f"cannot write {text}{': it is a folder' if file.is_dir() else ''}")
    return file


def choose_devices(parser: argparse.ArgumentParser, *, dry_run: bool) -> None:
    """A dry run keeps to the CPU, also if there is a GPU. Ends the script if a device is missing that it needs."""
    if dry_run:
        jax.config.update("jax_platforms", "cpu")
        prefer("cpu")
    try:
        require_asked()
        require_cpu("this script compares with it")
    except ValueError as error:
        parser.error(str(error))
