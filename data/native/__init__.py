"""The native form of a data set: `problem.toml` and its tables."""
