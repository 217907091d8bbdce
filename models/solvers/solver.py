"""Solvers of trajectories: the fused engine, any solver of diffrax, or the first of the two that can."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Literal, get_args

from .diffrax_methods import RODAS5P, check_method

if TYPE_CHECKING:
    from diffrax import AbstractAdaptiveSolver

Derivative = Literal["reverse", "forward"]
Precision = Literal["float64", "float32"]


class _Shown:
    """Shows the fields alone that are not as by default."""

    def __repr__(self) -> str:
        changed = ((f.name, getattr(self, f.name)) for f in fields(self) if getattr(self, f.name) != f.default)  # pyright: ignore[reportArgumentType]
        return f"{type(self).__name__}({', '.join(f'{n}={v!r}' for n, v in changed)})"


@dataclass(frozen=True, repr=False)
class Fused(_Shown):
    """The fused engine, which compiles code for the model at hand.

    It takes steps of Rodas5P and has their exact adjoint: derivatives in reverse mode alone. A model that it cannot
    solve is an error that says why.

    Parameters
    ----------
    precision : str
        In which it takes its steps. `"float32"` needs an rtol of 1e-5 or more, which must be given:
        `Settings(Fused(precision="float32"), rtol=1e-4)`. Inputs and results are float64 all the same, and so are time,
        the parts of rates that depend on parameters alone, and the steady state with its derivative.
    threads : int
        Threads for one batch; 0 for as many as there are cores.
    record : int
        Steps of a trajectory that it keeps for the adjoint pass; it solves longer ones twice.
    memory : int, optional
        Bytes that the kept steps of one batch may take. Of a larger batch it keeps nothing, and solves it again piece
        by piece in the adjoint pass. By default 4 GiB on the CPU, and on a GPU a quarter of what JAX has of the card.

    Raises
    ------
    ValueError
        For another precision, and for negative numbers.
    """

    precision: Precision = "float64"
    threads: int = 0
    record: int = 256
    memory: int | None = None

    def __post_init__(self) -> None:
        if self.precision not in get_args(Precision):
            raise ValueError(f"precision must be 'float64' or 'float32', not {self.precision!r}")
        if min(self.threads, self.record, self.memory or 0) < 0:
            raise ValueError(
                f"threads, record and memory cannot be negative: {self.threads}, {self.record}, {self.memory}"
            )


@dataclass(frozen=True, repr=False)
class Diffrax(_Shown):
    """A solver of diffrax, in float64, wherever JAX runs.

    Parameters
    ----------
    method : diffrax.AbstractAdaptiveSolver, optional
        Any of diffrax's adaptive solvers of one term, such as `diffrax.Kvaerno5()`. By default Rodas5P, which is
        implicit: real posteriors reach stiff corners. An explicit one, such as `diffrax.Tsit5()`, is cheap where the
        model is not stiff.
    derivative : str
        `"reverse"` for `jax.grad` and `jax.vjp`, `"forward"` for `jax.jvp` and `jax.jacfwd`.

    Raises
    ------
    ValueError
        For a method that is not such a solver, with what to give.
    """

    method: AbstractAdaptiveSolver | None = None
    derivative: Derivative = "reverse"

    def __post_init__(self) -> None:
        if self.derivative not in get_args(Derivative):
            raise ValueError(f"derivative must be 'reverse' or 'forward', not {self.derivative!r}")
        if self.method is not None:
            check_method(self.method)

    @property
    def name(self) -> str:
        """`Rodas5P`, or the method as Python writes it, without the brackets of one that has no options."""
        return RODAS5P if self.method is None else repr(self.method).removesuffix("()")

    @property
    def explicit(self) -> bool:
        """True of methods that take ever smaller steps where the model is stiff."""
        if self.method is None:
            return False
        from diffrax import AbstractImplicitSolver

        return not isinstance(self.method, AbstractImplicitSolver)


@dataclass(frozen=True, repr=False)
class Auto(_Shown):
    """The fused engine if it can solve the model, else diffrax; the reason is logged once.

    Parameters
    ----------
    fused : Fused
        Options of the fused engine.
    diffrax : Diffrax
        What solves if the fused engine cannot.

    Raises
    ------
    ValueError
        For forward derivatives, which the fused engine does not have.
    """

    fused: Fused = Fused()
    diffrax: Diffrax = Diffrax()

    def __post_init__(self) -> None:
        if self.diffrax.derivative == "forward":
            raise ValueError(
                "Auto prefers the fused engine, which has no forward mode: for forward derivatives give "
                'Diffrax(derivative="forward") itself'
            )


Solver = Fused | Diffrax | Auto


def engine_options(solver: Solver) -> tuple[Fused, Diffrax]:
    """The options of the fused engine and those of diffrax that `solver` states; the default ones if it states none."""
    if isinstance(solver, Auto):
        return solver.fused, solver.diffrax
    return (solver, Diffrax()) if isinstance(solver, Fused) else (Fused(), solver)


def in_doubles(solver: Solver) -> Solver:
    """The same solver, in float64."""
    return _with_fused(solver, replace(engine_options(solver)[0], precision="float64"))


def with_resources_of(solver: Solver, other: Solver) -> Solver:
    """`solver` with the threads, record and memory of `other`, which change no number."""
    return _with_fused(solver, replace(engine_options(other)[0], precision=engine_options(solver)[0].precision))


def _with_fused(solver: Solver, fused: Fused) -> Solver:
    """`solver` with these options of the fused engine; `Diffrax` has none."""
    if isinstance(solver, Auto):
        return replace(solver, fused=fused)
    return fused if isinstance(solver, Fused) else solver


__all__ = [
    "Auto",
    "Derivative",
    "Diffrax",
    "Fused",
    "Precision",
    "Solver",
    "engine_options",
    "in_doubles",
    "with_resources_of",
]
