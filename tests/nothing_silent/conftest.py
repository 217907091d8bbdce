"""What runs the command line."""

from support.command_line import run

__all__ = ["run"]  # a fixture
