"""Draws as an ArviZ DataTree, in a file and in words."""

from .datatree import to_datatree
from .file import PosteriorFileError, read, save
from .summary import Summary, summarise

__all__ = ["PosteriorFileError", "Summary", "read", "save", "summarise", "to_datatree"]
