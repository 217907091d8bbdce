"""The bundled networks: IL-6 signalling composed of modules written in Antimony, and published models as they are."""

from .builder import COMPOSITIONS, MODULES, cells, drugs, il6, network
from .catalogue import CORES, bundled, find

__all__ = ["COMPOSITIONS", "CORES", "MODULES", "bundled", "cells", "drugs", "find", "il6", "network"]
