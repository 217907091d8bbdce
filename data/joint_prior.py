"""Joint priors: correlations between parameters whose own priors are normal."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from ..models.listing import known_names
from .parameter import Parameter, draw_prior, effective_prior

_ROUNDED = 1e-9  # by which entries of a stated matrix may differ from those of a correlation matrix


@dataclass(frozen=True, init=False)
class JointPrior:
    """Parameters whose priors are jointly normal: their correlations.

    Each parameter keeps its own normal prior, whose location and spread are those of the joint distribution. The
    density of the standardised parameters s is exp(−½ sᵀ R⁻¹ s) / √((2π)ⁿ |R|), with the correlation matrix R. It does
    not depend on units, since a change of the unit shifts or scales each parameter by itself.

    Parameters
    ----------
    parameters : sequence of str
        Names of two parameters or more. Each has a normal prior without bounds, and is searched on its prior's scale.
    correlation : array, parameters × parameters
        R, on the scales of the priors, dimensionless: that of log10 k if the prior of k is normal in log10 k.

    Raises
    ------
    ValueError
        For names that are not distinct, and a matrix that is not a correlation matrix of full rank.

    Examples
    --------
    >>> JointPrior(["kon", "koff"], [[1, 0.9], [0.9, 1]]).text
    'kon, koff: correlation [1, 0.9], [0.9, 1]'
    """

    parameters: tuple[str, ...]
    correlation: tuple[tuple[float, ...], ...]

    def __init__(self, parameters: Sequence[str], correlation: Sequence[Sequence[float]] | np.ndarray) -> None:
        names = tuple(parameters)
        if len(names) < 2 or len(set(names)) < len(names):
            raise ValueError(f"a joint prior is of two parameters or more, each named once, not of {list(names)}")
        matrix = _correlation_matrix(names, correlation)
        object.__setattr__(self, "parameters", names)
        object.__setattr__(self, "correlation", tuple(tuple(row) for row in matrix.tolist()))

    @property
    def text(self) -> str:
        """The joint prior in words, with exact numbers."""
        rows = (f"[{', '.join(repr(x).removesuffix('.0') for x in row)}]" for row in self.correlation)
        return f"{', '.join(self.parameters)}: correlation {', '.join(rows)}"

    def among(self, names: Iterable[str]) -> JointPrior | None:
        """The joint prior of those of its parameters that `names` has, in that order; None if that leaves no two.

        Parameters
        ----------
        names : iterable of str
            Of parameters, also of others.
        """
        kept = [n for n in names if n in self.parameters]
        if len(kept) < 2:
            return None
        rows = [self.parameters.index(n) for n in kept]
        return JointPrior(kept, np.array(self.correlation)[np.ix_(rows, rows)])

    def factor(self) -> Float[np.ndarray, "parameters parameters"]:
        """The lower triangular L with L Lᵀ = R, by which independent standard normal numbers become correlated."""
        return np.linalg.cholesky(np.array(self.correlation))

    def given(self, name: str, known: Sequence[str]) -> tuple[Float[np.ndarray, " known"], float]:
        """The conditional prior of one standardised parameter: normal about `weights @ s` with a standard deviation.

        Parameters
        ----------
        name : str
            Of the parameter.
        known : sequence of str
            Others of this joint prior, whose standardised values s are given.

        Returns
        -------
        tuple
            The weights (dimensionless) and the standard deviation (dimensionless).
        """
        matrix, i = np.array(self.correlation), self.parameters.index(name)
        rows = [self.parameters.index(n) for n in known]
        weights = np.linalg.solve(matrix[np.ix_(rows, rows)], matrix[rows, i])
        return weights, float(np.sqrt(1.0 - matrix[rows, i] @ weights))


def _correlation_matrix(names: tuple[str, ...], correlation: Sequence[Sequence[float]] | np.ndarray) -> np.ndarray:
    size, words = len(names), f"the correlation of {', '.join(names)}"
    try:
        matrix = np.array(correlation, dtype=float)
    except (TypeError, ValueError):
        matrix = np.zeros(0)
    if matrix.shape != (size, size) or not np.all(np.isfinite(matrix)):
        raise ValueError(f"{words} must be {size} rows of {size} numbers, one for each parameter")
    if np.abs(np.diag(matrix) - 1).max() > _ROUNDED:
        raise ValueError(f"{words} must have 1 on its diagonal: spreads belong to the priors of the parameters")
    if np.abs(matrix - matrix.T).max() > _ROUNDED:
        raise ValueError(f"{words} must be symmetric")
    matrix = (matrix + matrix.T) / 2
    np.fill_diagonal(matrix, 1.0)
    if np.linalg.eigvalsh(matrix).min() < _ROUNDED:
        raise ValueError(
            f"{words} must be positive definite: these numbers are correlations of no distribution, or make one "
            "parameter a function of the others"
        )
    return matrix


def joint_prior_faults(joint: Collection[JointPrior], parameters: Mapping[str, Parameter]) -> list[str]:
    """A sentence for each parameter that cannot be in the joint prior that names it; empty if all can."""
    faults: list[str] = []
    seen: set[str] = set()
    for name in (n for j in joint for n in j.parameters):
        parameter = parameters.get(name)
        if name in seen:
            faults.append(f"{name} is in two joint priors: join them into one")
        elif parameter is None or parameter.prior is None:
            why = "is fixed" if parameter is not None else f"has no prior; {known_names(name, parameters)}"
            faults.append(f"{name} {why}: give it a normal prior, or leave it out of the joint prior")
        elif parameter.prior.family != "normal" or effective_prior(parameter).truncated:
            what = effective_prior(parameter).short_text
            faults.append(f"{name} has the prior {what}; expected a normal one (also of a logarithm) without bounds")
        elif parameter.search_scale != parameter.prior.scale:
            faults.append(f"{name} is searched on another scale than that of its prior: leave its search scale out")
        seen.add(name)
    return faults


def draw_joint(
    joint: Collection[JointPrior], parameters: Mapping[str, Parameter], n: int, rng: np.random.Generator
) -> dict[str, Float[np.ndarray, " n"]]:
    """Draws from joint priors, by name, in the parameters' own units."""
    drawn: dict[str, Float[np.ndarray, " n"]] = {}
    for block in joint:
        scores = rng.standard_normal((n, len(block.parameters))) @ block.factor().T
        for name, s in zip(block.parameters, scores.T, strict=True):
            prior = parameters[name].prior
            assert prior is not None
            drawn[name] = prior.scale.natural(prior.location + prior.spread * s)
    return drawn


def draw_priors(
    parameters: Sequence[Parameter], joint: Collection[JointPrior], n: int, rng: np.random.Generator
) -> dict[str, Float[np.ndarray, " n"]]:
    """Draws of all parameters by name, in their own units: from the joint priors, and from the others' own ones."""
    independent = {p.name: draw_prior(p, n, rng) for p in parameters}
    return independent | draw_joint(joint, {p.name: p for p in parameters}, n, rng)


__all__ = ["JointPrior", "draw_joint", "draw_priors", "joint_prior_faults"]
