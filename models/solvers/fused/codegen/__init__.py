"""From the formulas of a network to C."""
