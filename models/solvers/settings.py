"""How a trajectory is solved."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal, NamedTuple, get_args
from warnings import warn

from jaxtyping import Array, Float

from ..listing import did_you_mean, known_names
from .solver import Auto, Derivative, Diffrax, Fused, Precision, Solver, engine_options
from .solver_words import WORDS, restored_solver, solver_by_words, stored_solver

Device = Literal["auto", "cpu", "gpu"]
# What a precision can keep: errors fall no further below this rtol, and an atol below this may be no number in it.
LEAST_RTOL: Mapping[Precision, float] = {"float64": 0.0, "float32": 1e-5}
LEAST_ATOL: Mapping[Precision, float] = {"float64": 0.0, "float32": 1e-30}


class Tolerances(NamedTuple):
    """Error a step of one trajectory set, as data: it may differ from set to set, and be traced."""

    rtol: Float[Array, ""]
    atol: Float[Array, ""] | None  # None: from the model's own scale, see `hexamer.models.solvers.scale`


@dataclass(frozen=True, init=False)
class Settings:
    """Solver and tolerances of a simulation.

    Parameters
    ----------
    solver : Fused, Diffrax or Auto
        What solves: by default the fused engine if it can, else diffrax.
    rtol : float
        Error per step, relative to each species' size (dimensionless).
    atol : float, optional
        Error per step in the model's units, for all species alike. By default each species has its own, which follows
        from `rtol` and from what the species starts at, is set to, or soon comes to, so that it fits any unit.
    max_steps : int
        Most steps in each segment of a protocol, rejected ones included.
    longest_step : float
        As a fraction of a segment. The controller sees the state alone: without this limit, a trajectory in steady
        state whose sensitivities move would take steps that ruin its gradient. A smooth pulse in time that is shorter
        may be stepped over; one written with `piecewise` is not.
    device : str
        Where hexamer's own functions solve: `"cpu"`, `"gpu"`, or `"auto"`: few trajectories on the CPU, others on JAX's
        default device if it is faster. In functions of your own that JAX transforms or compiles, JAX decides.
    **words
        Old words for parts of `solver`, for one release: `engine`, `derivative`, `precision`, `threads`, `record`,
        `memory`.

    Raises
    ------
    ValueError
        For numbers that are not positive, and for tolerances that the precision cannot keep.
    TypeError
        For a word that is unknown.
    """

    solver: Solver = Auto()  # noqa: RUF009 (it does not change)
    rtol: float = 1e-6
    atol: float | None = None
    max_steps: int = 4096
    longest_step: float = 1 / 16
    device: Device = "auto"

    def __init__(
        self,
        solver: Solver = Auto(),  # noqa: B008
        rtol: float = 1e-6,
        atol: float | None = None,
        max_steps: int = 4096,
        longest_step: float = 1 / 16,
        device: Device = "auto",
        **words: Any,
    ):
        if words or isinstance(solver, str):
            solver = _by_old_words(solver, words)
        # Settings are keys of what is compiled, which an array cannot be.
        values = {"solver": solver, "rtol": float(rtol), "atol": None if atol is None else float(atol)}
        values |= {"max_steps": max_steps, "longest_step": longest_step, "device": device}
        for name, value in values.items():
            object.__setattr__(self, name, value)
        self._check()

    def _check(self) -> None:
        if not isinstance(self.solver, Solver):
            raise ValueError(
                f"solver must be Fused(...), Diffrax(...) or Auto(...) of hexamer, not {type(self.solver).__name__}; "
                "a solver of diffrax as in Diffrax(diffrax.Kvaerno5())"
            )
        if self.device not in get_args(Device):
            raise ValueError(f"unknown device {self.device!r}; {known_names(str(self.device), get_args(Device))}")
        if not (0 < self.rtol < 1 and (self.atol is None or self.atol > 0)):
            raise ValueError(f"tolerances must be positive and rtol below 1, not rtol={self.rtol}, atol={self.atol}")
        if (why := too_fine(self.precision, self.rtol, self.atol)) is not None:
            raise ValueError(why)
        if not 1 <= self.max_steps < 2**31:
            raise ValueError(f"max_steps must be at least 1 and less than 2**31, not {self.max_steps}")
        if not 0 < self.longest_step <= 1:
            raise ValueError(f"longest_step is a fraction of a segment, not {self.longest_step}")

    @property
    def fused(self) -> Fused:
        """The options of the fused engine; the default ones if it is not to solve."""
        return engine_options(self.solver)[0]

    @property
    def diffrax(self) -> Diffrax:
        """The solver of diffrax; Rodas5P if diffrax is not to solve."""
        return engine_options(self.solver)[1]

    @property
    def precision(self) -> Precision:
        """The number format in which the fused engine takes its steps."""
        return self.fused.precision

    @property
    def derivative(self) -> Derivative:
        """The mode of differentiation that a solve allows."""
        return self.diffrax.derivative

    def stored(self) -> dict[str, Any]:
        """The settings as plain values for a file, which `Settings.restored` reads.

        Returns
        -------
        dict
            Strings, numbers and None by name.
        """
        return {f.name: getattr(self, f.name) for f in fields(self) if f.name != "solver"} | stored_solver(self.solver)

    @staticmethod
    def restored(values: Mapping[str, Any], solver: Solver | None = None) -> Settings:
        """The settings that `stored` wrote, also in an earlier version.

        Parameters
        ----------
        values : dict
            What `stored` returned.
        solver : Fused, Diffrax or Auto, optional
            The solver that was stored, if it may have options or be of a class that diffrax does not have.

        Returns
        -------
        Settings
            The settings.

        Raises
        ------
        ValueError, TypeError
            For others than this version knows, and for a method with options of its own that is not given.
        """
        words = {n: v for n, v in values.items() if n in WORDS}
        return Settings(restored_solver(words, solver), **{n: v for n, v in values.items() if n not in WORDS})


def _by_old_words(solver: Solver | str, words: Mapping[str, Any]) -> Solver:
    """The solver by the words that `Settings` had before solvers were objects, for one release."""
    if unknown := sorted(set(words) - WORDS):
        known = [f.name for f in fields(Settings)]
        raise TypeError(f"Settings has no {unknown[0]!r}: it has {', '.join(known)}{did_you_mean(unknown, known)}")
    if isinstance(solver, str):
        if meant := {"fused": "Fused()", "diffrax": "Diffrax()", "auto": "Auto()"}.get(solver.casefold()):
            raise ValueError(f"solver must be an object, not a name: hexamer.{meant}")
        words, solver = {**words, "solver": solver}, Auto()
    new_solver = solver_by_words(solver, **words)
    said = ", ".join(f"{n}={v!r}" for n, v in words.items())
    warn(
        f"Settings({said}) is now Settings({new_solver!r}); the old form goes with the next release",
        DeprecationWarning,
        3,
    )
    return new_solver


def too_fine(precision: Precision, rtol: float, atol: float | None) -> str | None:
    """What is wrong with tolerances that `precision` cannot keep, else None."""
    if rtol < LEAST_RTOL[precision]:
        return (
            f"rtol={rtol:g} is finer than {precision} can keep ({LEAST_RTOL[precision]:g}): "
            f"choose a coarser one (rtol=1e-4, say), or precision='float64'"
        )
    if atol is not None and atol < LEAST_ATOL[precision]:
        return f"atol={atol:g} is finer than {precision} can keep ({LEAST_ATOL[precision]:g})"
    return None
