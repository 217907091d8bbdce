"""A data set with its network as a PEtab problem, of version 2 or 1: the inverse of `read_petab`."""

from .write import Exported, PetabExportError, write_petab

__all__ = ["Exported", "PetabExportError", "write_petab"]
