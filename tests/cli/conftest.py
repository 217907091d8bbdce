"""The problem that the commands are tested with."""

from support.conversion import conversion, conversion_folder, conversion_tree, conversion_z

__all__ = ["conversion", "conversion_folder", "conversion_tree", "conversion_z"]  # fixtures
