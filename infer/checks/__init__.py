"""Checks of the numbers: choice of the solver, accuracy of the solutions, gradient."""
