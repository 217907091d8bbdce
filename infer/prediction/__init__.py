"""Curves that a posterior predicts."""
