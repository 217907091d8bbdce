"""The base of the classes of errors that hexamer defines."""


class HexamerError(Exception):
    """The base of all classes of errors that hexamer defines.

    Its subclasses also inherit from Python's class for such an error: a `TableError` is a `ValueError`, `DataNotFound`
    a `FileNotFoundError`. Not every error that hexamer raises is one of them: for a wrong argument, it also raises a
    plain `ValueError`, `TypeError` or `KeyError`.
    """


__all__ = ["HexamerError"]
