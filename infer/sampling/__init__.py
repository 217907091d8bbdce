"""NUTS and the draws on disk."""
