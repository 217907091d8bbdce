"""Units, dimensions and formulas of quantities."""
