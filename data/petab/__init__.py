"""PEtab problems, of version 1 and 2."""

from .read import read_petab

__all__ = ["read_petab"]
