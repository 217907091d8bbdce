"""Machines that pretend to have a GPU."""

from support.pretended_gpus import machine

__all__ = ["machine"]  # a fixture
