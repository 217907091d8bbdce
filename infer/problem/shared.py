"""A store of compiled functions that problems share if they differ only in measured values."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable

MOST = 64
"""Objects that are kept; each may hold some megabytes of compiled code."""


class Shared:
    """Objects by key, each made once; those not asked for the longest go first. Threads may ask at once."""

    def __init__(self) -> None:
        self._made: OrderedDict[Hashable, object] = OrderedDict()
        self._lock = threading.RLock()

    def get[T](self, key: Hashable, make: Callable[[], T]) -> T:
        """The object of this key, made if it is the first time.

        Parts of a key without a hash are the same if they are one object: a solver or an optimiser may hold arrays.
        """
        with self._lock:
            key = _hashable(key)
            made = self._made.get(key)
            if made is None:
                made = self._made[key] = make()
                while len(self._made) > MOST:
                    self._made.popitem(last=False)
            else:
                self._made.move_to_end(key)
            return made  # pyright: ignore[reportReturnType]


class _One:
    """An object without a hash, equal to itself alone."""

    def __init__(self, one: object):
        self.one = one  # kept, so that no other gets its number

    def __hash__(self) -> int:
        return id(self.one)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _One) and self.one is other.one


def _hashable(key: object) -> Hashable:
    if type(key) is tuple:
        return tuple(map(_hashable, key))
    try:
        hash(key)
    except TypeError:
        return _One(key)
    return key  # pyright: ignore[reportReturnType]


__all__ = ["Shared"]
