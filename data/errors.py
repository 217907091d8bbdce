"""What is wrong where an assay cannot read what it is given."""


class AssayError(ValueError):
    """An assay is fed something that it cannot see."""
