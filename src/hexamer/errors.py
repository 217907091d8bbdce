"""The base of all errors that hexamer raises by classes of its own."""


class HexamerError(Exception):
    """The base of all errors that hexamer raises.

    Its subclasses are also what Python calls such an error: a `TableError` is a `ValueError`, `DataNotFound` a
    `FileNotFoundError`. Wrong arguments raise plain `ValueError`s and `TypeError`s, too.
    """


__all__ = ["HexamerError"]
