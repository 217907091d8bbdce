"""Whether the numbers can be trusted: solver, tolerance, gradient."""
