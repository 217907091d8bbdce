"""The command line: `hexamer fit`, `map`, `evaluate`, `simulate`, `dose-response`, `list`."""

from .application import app, main

__all__ = ["app", "main"]
