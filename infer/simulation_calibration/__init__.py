"""Simulation-based calibration: whether posteriors of simulated measurements cover the parameters behind them."""
