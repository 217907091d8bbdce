"""Reaction networks before any numerics: their formulas, and how they are read and written."""
