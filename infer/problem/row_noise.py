"""The noise of every row of a data set."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int
from scipy import special

from ...data.dataset import Dataset
from ...data.noise import Noise


@dataclass(frozen=True, eq=False)
class RowNoise:
    """`kinds[of_row[i]]` is the noise of row i."""

    kinds: tuple[Noise, ...]
    of_row: Int[np.ndarray, " rows"]

    @staticmethod
    def of(dataset: Dataset) -> RowNoise:
        every = [dataset.observables[m.observable].noise for m in dataset.measurements]
        kinds = tuple(dict.fromkeys(every))
        return RowNoise(kinds, np.array([kinds.index(n) for n in every], dtype=int))

    def __getitem__(self, rows: Int[np.ndarray, " some"] | Sequence[int]) -> RowNoise:
        return RowNoise(self.kinds, self.of_row[rows])

    def log_density(self, r: Float[Array, "*batch rows"]) -> Float[Array, "*batch rows"]:
        """log p of each residual."""
        return self._each(lambda noise: noise.log_density(r))

    def log_distribution(self, r: Float[Array, "*batch rows"]) -> Float[Array, "*batch rows"]:
        """log F of each residual."""
        return self._each(lambda noise: noise.log_distribution(r))

    def log_between(
        self, low: Float[Array, "*batch rows"], high: Float[Array, "*batch rows"]
    ) -> Float[Array, "*batch rows"]:
        """log [F(high) − F(low)], low < high, taken in the tail where F does not round to one."""
        flipped = low + high > 0
        low, high = jnp.where(flipped, -high, low), jnp.where(flipped, -low, high)
        below, above = self.log_distribution(low), self.log_distribution(high)
        return above + jnp.log(-jnp.expm1(below - above))

    def distribution(self, r: Float[np.ndarray, "*batch rows"]) -> Float[np.ndarray, "*batch rows"]:
        """F of each residual, in NumPy."""
        values = np.zeros(r.shape)
        for k, noise in enumerate(self.kinds):
            rows = np.flatnonzero(self.of_row == k)
            values[..., rows] = special.ndtr(noise.normal_score(r[..., rows]))
        return values

    def draw(self, rng: np.random.Generator, batch: tuple[int, ...]) -> Float[np.ndarray, "*batch rows"]:
        """Independent residuals, batch × rows."""
        drawn = np.zeros((*batch, len(self.of_row)))
        for k, noise in enumerate(self.kinds):
            rows = np.flatnonzero(self.of_row == k)
            drawn[..., rows] = noise.draw(rng, (*batch, len(rows)))
        return drawn

    def _each(self, of: Callable[[Noise], Float[Array, "*batch rows"]]) -> Float[Array, "*batch rows"]:
        *others, last = range(len(self.kinds))
        if not others:
            return of(self.kinds[last])
        return jnp.select([self.of_row == k for k in others], [of(self.kinds[k]) for k in others], of(self.kinds[last]))
