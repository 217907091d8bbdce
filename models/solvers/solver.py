"""What solves a trajectory: the fused engine, any solver of diffrax, or the first of them that can."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import TYPE_CHECKING, Any, Literal, get_args

from ..listing import known_names

if TYPE_CHECKING:
    from diffrax import AbstractAdaptiveSolver

Derivative = Literal["reverse", "forward"]
Precision = Literal["float64", "float32"]
RODAS5P = "Rodas5P"


class _Shown:
    """Shows the fields alone that are not as by default."""

    def __repr__(self) -> str:
        given = ((f.name, getattr(self, f.name)) for f in fields(self) if getattr(self, f.name) != f.default)  # pyright: ignore[reportArgumentType]
        return f"{type(self).__name__}({', '.join(f'{n}={v!r}' for n, v in given)})"


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
        the parts of rates that depend on parameters alone, and the state at rest with its derivative.
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
        For a method that is no such solver, with what to give.
    """

    method: AbstractAdaptiveSolver | None = None
    derivative: Derivative = "reverse"

    def __post_init__(self) -> None:
        if self.derivative not in get_args(Derivative):
            raise ValueError(f"derivative must be 'reverse' or 'forward', not {self.derivative!r}")
        if self.method is not None:
            _check(self.method)

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


def _check(method: Any) -> None:
    import diffrax

    if isinstance(method, str):
        raise ValueError(f"method must be a solver of diffrax, not a name: diffrax.{_class_of(method).__name__}()")
    if inspect.isclass(method) and issubclass(method, diffrax.AbstractSolver):
        raise ValueError(f"method must be an object, not a class: diffrax.{method.__name__}()")
    if not isinstance(method, diffrax.AbstractSolver):
        raise ValueError(f"method must be a solver of diffrax, such as diffrax.Kvaerno5(), not {type(method).__name__}")
    name = type(method).__name__
    if not isinstance(method, diffrax.AbstractAdaptiveSolver):
        raise ValueError(f"diffrax.{name} does not estimate its error, which the step control needs")
    term = method.term_structure
    if not (inspect.isclass(term) and issubclass(diffrax.ODETerm, term)):
        raise ValueError(f"diffrax.{name} splits the equations into several terms; a model here is one")


# ------------------------------------------------------------------------------------------------------------- words


def method_names() -> list[str]:
    """The solvers of diffrax that `Diffrax` takes without options, by name, and Rodas5P."""
    import diffrax

    return sorted([RODAS5P, *(name for name, method in _methods() if _takes(diffrax, method))])


def _methods() -> Iterator[tuple[str, type]]:
    import diffrax

    for name, found in vars(diffrax).items():
        if inspect.isclass(found) and issubclass(found, diffrax.AbstractAdaptiveSolver) and not name.startswith("Abs"):
            yield name, found


def _takes(diffrax: Any, method: type) -> bool:
    term = inspect.getattr_static(method, "term_structure", None)
    return inspect.isclass(term) and issubclass(diffrax.ODETerm, term)


def _class_of(name: str) -> type:
    known = {n.casefold(): n for n in method_names() if n != RODAS5P}
    if name.casefold() not in known:
        raise ValueError(f"unknown solver {name!r}; {known_names(name, sorted([RODAS5P, *known.values()]))}")
    return dict(_methods())[known[name.casefold()]]


def diffrax_by_name(name: str, derivative: Derivative = "reverse") -> Diffrax:
    """`Diffrax` by the name of its method, in any case of letters: Rodas5P, or a solver of diffrax.

    Raises `ValueError` for a name that is neither, with those known.
    """
    if name.casefold() == RODAS5P.casefold():
        return Diffrax(None, derivative)
    return Diffrax(_class_of(name)(), derivative)


def solver_by_words(
    base: Solver | None = None,
    *,
    engine: str | None = None,
    solver: str | None = None,
    derivative: Derivative | None = None,
    **of_fused: Any,
) -> Solver:
    """A solver by the names of an engine (`fused`, `diffrax`, `auto`), of a method, and options of the fused engine.

    What is not named is as in `base`. A method of diffrax's or a forward derivative asks for diffrax.
    Raises `ValueError` for names that are unknown or do not go together.
    """
    fused, found = parts_of(base or Auto())
    kind = _KINDS[type(base or Auto())] if engine is None else engine
    if kind not in _KINDS.values():
        raise ValueError(f"unknown engine {engine!r}; {known_names(str(engine), tuple(_KINDS.values()))}")
    fused = replace(fused, **of_fused)
    if solver is not None:
        found = diffrax_by_name(solver, found.derivative)
    if derivative is not None:
        found = replace(found, derivative=derivative)
    other = found.method is not None or found.derivative == "forward"
    if kind == "fused":
        if other:
            what = found.name if found.method is not None else "forward derivatives"
            raise ValueError(f"the fused engine's solver is Rodas5P, in reverse mode: {what} needs engine 'diffrax'")
        return fused
    if kind == "auto" and not other:
        return Auto(fused, found)
    if fused.precision == "float32":
        raise ValueError("diffrax solves in float64 here: precision 'float32' is for the engine 'fused'")
    return found


_NUMBERS = ("engine", "solver", "derivative", "precision")  # what a solver's numbers depend on
_KINDS = {Auto: "auto", Fused: "fused", Diffrax: "diffrax"}


def parts_of(solver: Solver) -> tuple[Fused, Diffrax]:
    """The options of the fused engine and those of diffrax that `solver` states; the default ones where it has none."""
    if isinstance(solver, Auto):
        return solver.fused, solver.diffrax
    return (solver, Diffrax()) if isinstance(solver, Fused) else (Fused(), solver)


def in_doubles(solver: Solver) -> Solver:
    """The same solver, in float64."""
    if isinstance(solver, Auto):
        return replace(solver, fused=replace(solver.fused, precision="float64"))
    return replace(solver, precision="float64") if isinstance(solver, Fused) else solver


def shared_out_as(solver: Solver, other: Solver) -> Solver:
    """`solver` with the threads, record and memory of `other`, which change no number."""
    fused = replace(parts_of(other)[0], precision=parts_of(solver)[0].precision)
    if isinstance(solver, Auto):
        return replace(solver, fused=fused)
    return fused if isinstance(solver, Fused) else solver


def stored(solver: Solver) -> dict[str, Any]:
    """The solver as plain values, for a file; `restored` reads them."""
    fused, found = parts_of(solver)
    return {
        "engine": _KINDS[type(solver)],
        "solver": found.name,
        "derivative": found.derivative,
        **asdict(fused),
    }


def restored(words: Mapping[str, Any], given: Solver | None = None) -> Solver:
    """The solver that `stored` wrote, also as versions before it did.

    `given`, if it is stored in the same words, is the one that was meant. Without it, raises `ValueError` for a method
    with options or of a class that diffrax does not have, which no text can bring back.
    """
    if given is not None and all(words.get(n) == stored(given)[n] for n in _NUMBERS):
        return given
    if "(" in str(words.get("solver", "")):
        raise ValueError(f"the solver {words['solver']} has options of its own: give it again")
    return solver_by_words(**words)


__all__ = [
    "Auto",
    "Derivative",
    "Diffrax",
    "Fused",
    "Precision",
    "Solver",
    "diffrax_by_name",
    "in_doubles",
    "method_names",
    "parts_of",
    "restored",
    "shared_out_as",
    "solver_by_words",
    "stored",
]
