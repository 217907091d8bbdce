"""Draws as an ArviZ DataTree, in a file and in words."""

from ...moved import rename_names
from .datatree import to_datatree
from .file import PosteriorFileError, read_datatree, save_datatree
from .summary import Summary, summarise

__all__ = ["PosteriorFileError", "Summary", "read_datatree", "save_datatree", "summarise", "to_datatree"]

__getattr__ = rename_names(__name__, {"read": "infer.read_datatree", "save": "infer.save_datatree"})
