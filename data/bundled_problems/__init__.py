"""Data sets that come with hexamer."""
