"""The computer at hand."""

from __future__ import annotations

import os


def usable_cores() -> int:
    """Cores that this process may use: where a cluster's scheduler binds it to some, not all that the machine has."""
    if hasattr(os, "sched_getaffinity"):
        return max(1, len(os.sched_getaffinity(0)))
    return os.cpu_count() or 1
