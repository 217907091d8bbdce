"""PEtab v1 problems."""

from .v1 import read_petab

__all__ = ["read_petab"]
