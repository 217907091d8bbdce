"""The problem that the commands are tested with, and what runs them."""

from support.command_line import run
from support.conversion import conversion, conversion_folder, conversion_tree, conversion_z

__all__ = ["conversion", "conversion_folder", "conversion_tree", "conversion_z", "run"]  # fixtures
