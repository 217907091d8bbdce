"""What problems of one shape share: functions that are compiled once, whatever the measured values are."""

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
        """The object of this key, made if it is the first time; of a key without a hash it is made each time.

        A solver or an optimiser that holds arrays is such a key.
        """
        with self._lock:
            try:
                made = self._made.get(key)
            except TypeError:  # without a hash
                return make()
            if made is None:
                made = self._made[key] = make()
                while len(self._made) > MOST:
                    self._made.popitem(last=False)
            else:
                self._made.move_to_end(key)
            return made  # pyright: ignore[reportReturnType]


__all__ = ["Shared"]
