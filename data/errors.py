"""What is wrong where an assay cannot read what it is given."""

from ..errors import HexamerError


class AssayError(HexamerError, ValueError):
    """An assay is fed something that it cannot see."""
