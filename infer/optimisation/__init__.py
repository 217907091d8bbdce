"""Best fits from many starts, and what distinct optima are."""
