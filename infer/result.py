"""`Calibration`: the result of a fit, in memory and in its folder."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr

from .. import html
from ..models.listing import listed
from .checks.exactness import solver_words
from .checks.reweighting import reweighted
from .checks.solver_noise import drowned_noise
from .optimisation.fits import SEARCH, Fits
from .optimisation.laplace import Curvature
from .optimisation.modes import Modes, nearest, record
from .posterior.datatree import safe, to_datatree
from .posterior.draw_evaluation import thinned
from .posterior.file import POSTERIOR, PosteriorFileError, file_of, read_datatree, save_datatree
from .posterior.fitted import fitted_settings, read_fitted
from .posterior.mode_words import of_populations
from .posterior.predictive import SAMPLE
from .posterior.summary import Summary, summarise
from .posterior.verdicts.solved import NOISE, REWEIGHTED, judge_solved
from .problem.problem import Problem
from .sampling.draws import Draws

_JUDGED = 8  # draws at which noise is compared with the solver's error


@dataclass(frozen=True, eq=False)
class Calibration:
    """A posterior with its problem, the best fits, and the folder that holds them.

    Attributes
    ----------
    problem : Problem
        With the solver that sampled.
    folder : Path
        Holds `posterior.nc`.
    sampled : Draws, optional
        The sampler's draws; None if the calibration was read from its folder, as `start` and `modes` are.
    start : Curvature, optional
        What the sampler started from.
    modes : Modes, optional
        The modes at which the chains began, in turn (`modes.origins(chains)`).
    """

    problem: Problem
    folder: Path
    sampled: Draws | None = None
    start: Curvature | None = None
    modes: Modes | None = None

    @property
    def draws(self) -> Draws:
        """The sampler's draws. Raises `ValueError` if the calibration was read from its folder."""
        if self.sampled is None:
            raise ValueError("this calibration was read from its folder: its draws are in .tree")
        return self.sampled

    @cached_property
    def tree(self) -> xr.DataTree:
        """The posterior as an ArviZ `DataTree`; of draws in memory it is computed and written to `posterior.nc`."""
        if self.sampled is None:
            return read_datatree(self.folder / POSTERIOR)
        tree = self.datatree()
        save_datatree(tree, self.folder / POSTERIOR)
        return tree

    def datatree(self, *, predictive: bool = True) -> xr.DataTree:
        """The draws as a tree, with the mode each chain began in and the optimum that each draw is nearest to.

        Parameters
        ----------
        predictive : bool
            False leaves out what takes a simulation of each draw.
        """
        draws, problem = self.draws, self.problem
        stats, optima = dict(draws.stats), {}
        if self.modes is not None and len(self.modes) > 1:
            stats["optimum"] = 1 + nearest(self.modes, problem.space.unfold(draws.z))
            of_prior = of_populations(draws.facts)  # where its populations begin
            optima = record(problem, self.modes, None if of_prior else len(draws.z))
        known: dict[str, Any] = {"seconds": draws.seconds, "complete": draws.complete, **draws.facts, **optima}
        tree = to_datatree(
            problem,
            draws.z,
            stats,
            seed=draws.seed,
            failures=draws.failed,
            provenance={**known, NOISE: self._noise_warnings()},
            predictive=predictive,
        )
        if predictive:
            tree.attrs[REWEIGHTED] = json.dumps(self._reweighted(tree))
        return tree

    @cached_property
    def fits(self) -> Fits | None:
        """The runs of the search for the best fit, from `map.json`; None if that is not there."""
        path = self.folder / SEARCH
        return Fits.load(path, self.problem) if path.is_file() else None

    @cached_property
    def summary(self) -> Summary:
        """Table, verdicts and what to do."""
        solved = judge_solved(self.tree, solver_words(self.problem, self._centre()))
        return summarise(self.tree).with_verdict(solved)

    def sampled_of(self, values: Mapping[str, float]) -> dict[str, float]:
        """The entries of `values` that the posterior has, by the names of its variables.

        Parameters
        ----------
        values : dict of float
            Parameter values by name, in each parameter's unit.
        """
        posterior = self.tree["posterior"].dataset
        return {safe(n): v for n, v in values.items() if safe(n) in posterior}

    @property
    def verdict(self) -> str:
        """`good`, `acceptable`, `not converged` or, of one chain, `not judged`; `summary.verdicts` says more."""
        return self.summary.verdict

    def __repr__(self) -> str:
        known = self.__dict__.get("summary")
        verdict = [] if known is None else [known.verdict]
        shape = None if self.sampled is None else self.sampled.z.shape
        draws = [] if shape is None else [f"{shape[0]} chains × {shape[1]} draws"]
        return f"Calibration({', '.join([repr(self.problem.name), *draws, *verdict, repr(str(self.folder))])})"

    def _repr_html_(self) -> str:
        """For notebooks: the summary."""
        return html.form(repr(self), html.section("summary", self.summary._repr_html_(), unfolded=True))

    def _centre(self) -> jax.Array:
        """Values of all parameters at the start of the sampler, or at the posterior's medians."""
        if self.start is not None:
            return self.problem.values(self.problem.space.fold(jnp.asarray(self.start.centre)))
        posterior = self.tree["posterior"].dataset
        medians = {str(n): float(np.median(v.values)) for n, v in posterior.data_vars.items()}
        named = {n: medians[safe(n)] for n in self.problem.space.names}
        return self.problem.values(jnp.asarray(self.problem.space.unconstrain(named)))

    def _noise_warnings(self) -> list[str]:
        """Sentences about noise that lies below the solver's error, judged at a few draws."""
        z = self.draws.z.reshape(-1, self.draws.z.shape[-1])
        some = jnp.asarray(z[thinned(len(z), _JUDGED)])
        return drowned_noise(self.problem, np.asarray(jax.vmap(self.problem.values)(some)))

    def _reweighted(self, tree: xr.DataTree) -> dict[str, Any] | None:
        """How strict solves of a few draws move their log likelihood."""
        joint = tree["log_likelihood_by_scale"].dataset
        log_likelihood = joint["other_rows"] + joint["shared_scale"].sum("scale")
        z = self.draws.z.reshape(-1, self.draws.z.shape[-1])
        return reweighted(self.problem, z, np.ravel(log_likelihood.transpose(*SAMPLE).values))


def read_posterior(folder: str | Path, problem: Problem | None = None) -> Calibration:
    """The calibration whose `posterior.nc` lies in a folder, with the problem that the file holds.

    Parameters
    ----------
    folder : path
        The folder, or the file itself.
    problem : Problem, optional
        Takes the place of the file's problem; needed if the model was written in Python.

    Returns
    -------
    Calibration
        With the posterior as an ArviZ `DataTree` in `.tree`.

    Raises
    ------
    FileNotFoundError
        If there is no posterior.
    PosteriorFileError
        If it is damaged, does not hold its problem, or is of another problem than `problem`.
    """
    path = file_of(folder)
    tree = read_datatree(path)
    calibration = Calibration(_problem(tree, path) if problem is None else problem, path.parent)
    _check_problem(calibration.problem, tree, path)
    calibration.__dict__["tree"] = tree
    return calibration


def _problem(tree: xr.DataTree, path: Path) -> Problem:
    """The problem that a posterior's file holds."""
    fitted = read_fitted(tree)
    model = None if fitted is None else fitted.model()
    if fitted is None or model is None:
        why = "was written before files held their problem" if fitted is None else "is of a model written in Python"
        raise PosteriorFileError(f"{path} {why}: pass problem=, the problem that was fitted")
    return Problem(
        model,
        fitted.dataset if fitted.priors is None else replace(fitted.dataset, parameters=fitted.priors),
        marginalise=json.loads(tree.attrs.get("integrated_out", "[]")),
        settings=fitted_settings(tree),
        source=fitted.source,
        other_model=fitted.other_model,
    )


def _check_problem(problem: Problem, tree: xr.DataTree, path: Path) -> None:
    """Raises `PosteriorFileError` unless a posterior is of `problem`: its parameters, priors and fixed values."""
    posterior = tree["posterior"].dataset
    names = {safe(n): p for n, p in problem.parameters.items() if p.estimated}
    differ = sorted(set(names) ^ set(map(str, posterior.data_vars)))
    texts = {n: None if p.prior is None else p.prior.text for n, p in names.items()}
    differ += [n for n in names if n in posterior and posterior[n].attrs.get("prior", texts[n]) != texts[n]]
    joint = [j.text for j in problem.dataset.joint_priors]
    differ += [] if json.loads(tree.attrs.get("joint_priors", "[]")) == joint else ["the joint priors"]
    fixed = json.loads(tree.attrs.get("fixed", "{}"))
    differ += [n for n in sorted({*fixed, *problem.fixed}) if fixed.get(n) != problem.fixed.get(n)]
    if differ:
        raise PosteriorFileError(
            f"{path} is of a problem with other parameters, priors or fixed values than {problem.name!r}: "
            f"{listed(differ)}; pass problem=, the problem that was fitted"
        )


__all__ = ["Calibration", "read_posterior"]
