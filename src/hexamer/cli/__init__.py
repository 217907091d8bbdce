"""The command line: `hexamer fit`, `map`, `sbc`, `evaluate`, `simulate`, `dose-response`, `export`, `list`."""

from .application import app, main

__all__ = ["app", "main"]
