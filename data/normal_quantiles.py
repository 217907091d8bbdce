"""Quantiles and tails of the normal distribution: `scipy.stats.norm` bit for bit, without its import of a second."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class NormalQuantiles:
    """Like a frozen `scipy.stats.norm`: x as arrays or numbers, probabilities (dimensionless) likewise."""

    location: float
    spread: float

    def median(self) -> float:
        return self.location

    def cdf(self, x: Any) -> Any:
        from scipy.special import ndtr

        return ndtr(self._standard(x))

    def sf(self, x: Any) -> Any:
        from scipy.special import ndtr

        return ndtr(-self._standard(x))

    def logcdf(self, x: Any) -> Any:
        from scipy.special import log_ndtr

        return log_ndtr(self._standard(x))

    def logsf(self, x: Any) -> Any:
        from scipy.special import log_ndtr

        return log_ndtr(-self._standard(x))

    def ppf(self, share: Any) -> Any:
        from scipy.special import ndtri

        return ndtri(share) * self.spread + self.location

    def isf(self, share: Any) -> Any:
        from scipy.special import ndtri

        return -ndtri(share) * self.spread + self.location

    def _standard(self, x: Any) -> Any:
        return (x - self.location) / self.spread


__all__ = ["NormalQuantiles"]
