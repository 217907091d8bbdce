"""The bundled networks: IL-6 signalling composed of modules written in Antimony, and published models as they are."""

from .builder import COMPOSITIONS, MODULES, il6, network
from .catalogue import CORES, bundled, find
from .constants import cells, drugs
from .serum import SERUM

__all__ = ["COMPOSITIONS", "CORES", "MODULES", "SERUM", "bundled", "cells", "drugs", "find", "il6", "network"]
