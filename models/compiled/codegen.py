"""sympy expressions to JAX functions, with common parts shared, and powers, quotients and branches guarded."""

# sympy's annotations say Basic where an expression is meant.
# pyright: reportArgumentType=false, reportReturnType=false, reportAssignmentType=false
# pyright: reportIncompatibleMethodOverride=false
from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce

import jax
import jax.numpy as jnp
import sympy
from jaxtyping import Array, Bool, Float
from sympy.printing.numpy import JaxPrinter

from ..listing import did_you_mean
from ..networks.operations import real
from .branches import shielded
from .guarded import Ceiling, Floor, Power, Size
from .inverses import BY_ROOTS
from .stable import LOG_OF_ZERO, ROOM, logarithm, quotient_in_range, saturated

Elements = Float[Array, "..."] | float  # what acts on each element
Compiled = Callable[..., Float[Array, " n"]]


def guarded_power(base: Elements, exponent: Elements, scale: Elements = 0.0) -> Float[Array, ...]:
    """x^n e^(-m) for x > 0, and for x < 0 with a whole n.

    At 0 it is 1 for n = 0, ∞ for n < 0 and else 0, with finite first and second derivatives: an infinite one (of x^0.7,
    or the second of x^1.7) is 0. x^n log x has limit 0 there for n > 0, but arithmetic gives 0·(−∞).
    For x < 0 and another n it is 0: a stage of the solver may lie just below 0. That no accepted state lies further
    below is checked apart; see `hexamer.models.compiled.domain`. By n the derivative is x^n log |x|.
    """
    zero, size = base == 0, guarded_log(base)
    raised, lower = jnp.exp(exponent * size - scale), base * jnp.exp((exponent - 1.0) * size - scale)
    at_zero = jnp.where(exponent == 1, base, jnp.where(exponent == 2, base * base, 0.0))
    at_zero = jnp.where(exponent == 0, 1.0, at_zero) * jnp.exp(-scale)
    at_zero = jnp.where(exponent < 0, jnp.inf, at_zero)
    below = jnp.where(_odd(exponent), lower, jnp.where(_odd(exponent + 1), -lower, 0.0))
    return jnp.where(zero, at_zero, jnp.where(base < 0, below, raised))


def guarded_slope(base: Elements, exponent: Elements, scale: Elements = 0.0) -> Float[Array, ...]:
    """n x^(n−1) e^(-m), the derivative of `guarded_power` by its base, and 0 where that is infinite."""
    zero, raised = base == 0, exponent * jnp.exp((exponent - 1.0) * guarded_log(base) - scale)
    at_zero = jnp.where(exponent == 1, 1.0, jnp.where(exponent == 2, 2.0 * base, 0.0)) * jnp.exp(-scale)
    below = jnp.where(_odd(exponent), raised, jnp.where(_odd(exponent + 1), -raised, 0.0))
    return jnp.where(zero, at_zero, jnp.where(base < 0, below, raised))


def _odd(n: Elements) -> Bool[Array, ...]:
    half = (n - 1.0) / 2.0
    return half == jnp.floor(half)


def guarded_log(base: Elements) -> Float[Array, ...]:
    """log |x|, and 0 at 0: the factor of x^n in its derivative by n."""
    zero = base == 0
    return jnp.where(zero, 0.0, jnp.log(jnp.abs(jnp.where(zero, 1.0, base))))


def excess(size: Float[Array, ...]) -> Float[Array, ...]:
    """How far `size` lies beyond ±`ROOM`, with no derivative; see `hexamer.models.compiled.stable`."""
    constant = jax.lax.stop_gradient(size)
    return jnp.maximum(constant - ROOM, 0.0) + jnp.minimum(constant + ROOM, 0.0)


def _log_size(x: Elements) -> Float[Array, ...]:
    return jax.lax.stop_gradient(jnp.where(x == 0, LOG_OF_ZERO, guarded_log(x)))


def _largest(*x: Elements) -> Float[Array, ...]:
    return jax.lax.stop_gradient(reduce(jnp.maximum, x))


def _whole(exponent: sympy.Expr) -> bool:
    return bool(exponent.is_Integer or (exponent.is_Float and float(exponent).is_integer()))


def guard(expression: sympy.Expr) -> sympy.Expr:
    """`expression` with functions whose derivatives are finite numbers wherever a solver may evaluate them.

    Guarded once or twice it is the same.
    """
    return _Guard()(real(expression))


class _Guard:
    """From the leaves up, each part once."""

    def __init__(self) -> None:
        self._done: dict[sympy.Basic, sympy.Basic] = {}

    def __call__(self, e: sympy.Basic) -> sympy.Basic:
        if not e.args:
            return sympy.nan if e is sympy.I else e  # the root or logarithm of a negative number
        if e not in self._done:
            self._done[e] = self._rewrite(e)
        return self._done[e]

    def _rewrite(self, e: sympy.Basic) -> sympy.Basic:
        if isinstance(e, sympy.Mul):
            # A factor's denominator and what stands above it are brought into range together.
            return quotient_in_range(
                _rebuilt(e, [self._raised(a) if isinstance(a, sympy.Pow) else self(a) for a in e.args])
            )
        if isinstance(e, sympy.Pow):
            return quotient_in_range(self._raised(e))
        arguments = [self(a) for a in e.args]
        match e:
            case sympy.exp() | sympy.tanh():
                return e.func(saturated(arguments[0]))
            case sympy.log():
                return logarithm(arguments[0])
            case sympy.Function() if e.func in BY_ROOTS and not arguments[0].is_number:
                return BY_ROOTS[e.func](arguments[0])
        return _rebuilt(e, arguments)

    def _raised(self, e: sympy.Pow) -> sympy.Expr:
        base, exponent = self(e.base), self(e.exp)
        if _whole(exponent) or (base.is_number and base.is_positive):
            return _rebuilt(e, [base, exponent])
        return sympy.nan if base.is_number and exponent.is_number else Power(base, exponent)


_GUARDED = {sympy.Abs: Size, sympy.floor: Floor, sympy.ceiling: Ceiling}


def _rebuilt(e: sympy.Basic, arguments: Sequence[sympy.Basic]) -> sympy.Basic:
    function = _GUARDED.get(e.func, e.func)
    return e if function is e.func and tuple(arguments) == e.args else function(*arguments)


class _Printer(JaxPrinter):
    def _print_Pow(self, expr, rational=False):
        base, exponent = expr.base, expr.exp
        if exponent == -1:
            return f"(1.0/({self._print(base)}))"
        if _whole(exponent):
            return f"({self._print(base)})**({int(exponent)})"
        return f"guarded_power({self._print(base)}, {self._print(exponent)})"

    def _print_ITE(self, expr):
        return f"if_then_else({', '.join(self._print(a) for a in expr.args)})"

    def _joined(self, function: str, expr) -> str:
        """Two by two, so that the shapes of conditions are broadcast."""
        return reduce(lambda before, a: f"{function}({before}, {a})", map(self._print, expr.args))

    def _print_And(self, expr):
        return self._joined("logical_and", expr)

    def _print_Or(self, expr):
        return self._joined("logical_or", expr)

    def _print_Xor(self, expr):
        return self._joined("logical_xor", expr)

    def _print_Float(self, expr):
        return repr(float(expr))

    def _print_Rational(self, expr):
        return repr(expr.p / expr.q)

    def _print_Integer(self, expr):
        return f"{int(expr)}.0"


_FUNCTIONS = {
    "guarded_power": guarded_power,
    "Power": guarded_power,
    "Slope": guarded_slope,
    "GuardedLog": guarded_log,
    "Arcsin": jnp.arctan2,
    "Arccos": lambda cosine, sine: jnp.arctan2(sine, cosine),
    "Size": jnp.abs,
    "Taken": lambda x, taken: jnp.where(taken, x, jax.lax.stop_gradient(x)),
    "Frozen": jax.lax.stop_gradient,
    "Excess": excess,
    "LogSize": _log_size,
    "Largest": _largest,
    "Fade": lambda m: jnp.exp(-m),
    "Floor": jnp.floor,
    "Ceiling": jnp.ceil,
    "logical_and": jnp.logical_and,
    "logical_or": jnp.logical_or,
    "logical_xor": jnp.logical_xor,
    "if_then_else": jnp.where,
}


Name = str | sympy.Symbol


def as_symbol(name: Name) -> sympy.Symbol:
    """The symbol of a name; the time of a simulation has a symbol that no name has."""
    return sympy.Symbol(name) if isinstance(name, str) else name


def compile_elementwise(
    names: Sequence[Name], expressions: Sequence[sympy.Expr]
) -> tuple[tuple[int, ...], Callable[..., Sequence[Float[Array, ...]]]]:
    """Which of `names` the expressions use (positions), and a function of those, array by array, that broadcasts.

    Raises `ValueError` for names that are not in `names`.
    """
    # Names of models may be Python's keywords or clash with numpy's: number them.
    symbols = [sympy.Symbol(f"x_{i}") for i in range(len(names))]
    numbered = {as_symbol(n): s for n, s in zip(names, symbols, strict=True)}
    free = set().union(*(e.free_symbols for e in expressions)) if expressions else set()
    if unknown := free - numbered.keys():
        strange = sorted(map(str, unknown))
        raise ValueError(f"unknown names in a formula: {', '.join(strange)}{did_you_mean(strange, map(str, names))}")
    renamed = [shielded(guard(sympy.sympify(e))).xreplace(numbered) for e in expressions]
    used = set().union(*(e.free_symbols for e in renamed)) if renamed else set()
    where = tuple(i for i, s in enumerate(symbols) if s in used)
    printer = _Printer({"fully_qualified_modules": False, "inline": True, "allow_unknown_functions": True})
    wanted = [symbols[i] for i in where]
    return where, sympy.lambdify(wanted, renamed, modules=[_FUNCTIONS, "jax"], printer=printer, cse=True)


def compile_vector(arguments: Sequence[Sequence[Name]], expressions: Sequence[sympy.Expr]) -> Compiled:
    """A function of one array for each list of names in `arguments`, returning the stacked `expressions`.

    The arrays' last axis runs over the names; leading axes broadcast.
    """
    used, function = compile_elementwise([n for group in arguments for n in group], expressions)
    place = [(i, j) for i, group in enumerate(arguments) for j in range(len(group))]
    where = [place[k] for k in used]
    if not expressions:
        return lambda *arrays: jnp.zeros((*arrays[0].shape[:-1], 0))

    def compiled(*arrays: Float[Array, ...]) -> Float[Array, ...]:
        if len(arrays) != len(arguments):
            raise TypeError(
                f"expected {len(arguments)} arrays, not {len(arrays)}; a model with switches takes them last"
            )
        shape = jnp.broadcast_shapes(*(a.shape[:-1] for a in arrays))
        parts = [_unstack(jnp.broadcast_to(a, (*shape, a.shape[-1]))) for a in arrays]
        values = function(*(parts[i][j] for i, j in where))
        dtype = jnp.result_type(float, *arrays)
        return jnp.stack([jnp.broadcast_to(jnp.asarray(v, dtype), shape) for v in values], axis=-1)

    return compiled


def _unstack(array: Float[Array, "*batch n"]) -> list[Float[Array, "*batch"]]:
    """The entries along the last axis. The adjoint of a split is one concatenation, that of n slices n sums."""
    if not array.shape[-1]:
        return []
    return [part[..., 0] for part in jax.lax.split(array, (1,) * array.shape[-1], axis=array.ndim - 1)]
