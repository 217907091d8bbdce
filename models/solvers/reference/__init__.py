"""Solvers of diffrax, and Rodas5P written for it."""
