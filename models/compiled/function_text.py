"""A JAX function as text: what it computes, whatever its names, source lines and objects are called."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

import jax
import numpy as np

from .canonical import NoIdentityError, canonical_text

# Names are labels; meshes, layouts and options of the compiler are the same for all that runs here.
_LABELS = {
    "name",
    "debug_info",
    "ctx_mesh",
    "in_shardings",
    "out_shardings",
    "in_layouts",
    "out_layouts",
    "donated_invars",
    "keep_unused",
    "inline",
    "compiler_options_kvs",
}
# Rules of derivatives written by the user are Python functions. They are seen where they are used: in the text of the
# derivatives.
_RULES = {"jvp_jaxpr_fun", "jvp_jaxpr_thunk", "fwd_jaxpr_thunk", "fwd", "bwd", "out_trees"}
_LIBRARIES = {"jax", "jaxlib", "numpy", "builtins", "functools"}
_ADDRESS = re.compile(r"\bat 0x[0-9a-fA-F]+|id=\d{6,}|<function |<locals>")


def text_of_function(f: Callable, *shapes: tuple[int, ...], second: bool = True) -> str:
    """The text of `f` over float64 arguments of `shapes`, and of its derivatives.

    The derivatives are the forward and the reverse one, and (`second`) the reverse of the forward one. They belong to
    the text because a `custom_jvp` or `custom_vjp` may change without the value. Raises `NoIdentityError` for a
    function that calls Python from inside (`jax.pure_callback`), of which JAX knows nothing.
    """
    arguments = [jax.ShapeDtypeStruct(s, np.dtype(float)) for s in shapes]

    def forward(*at):
        return jax.jvp(f, at, at)[1]

    def reverse_of(g: Callable) -> Callable:
        def reverse(*at):
            value, pull = jax.vjp(g, *at)
            return pull(value)

        return reverse

    forms = {"value": f, "forward": forward, "reverse": reverse_of(f)}
    forms |= {"second": reverse_of(forward)} if second else {}
    return "\n".join(f"{name} {_traced(g, arguments, needed=name == 'value')}" for name, g in forms.items())


def _traced(f: Callable, arguments: Sequence[jax.ShapeDtypeStruct], *, needed: bool) -> str:
    try:
        jaxpr = jax.make_jaxpr(f)(*arguments)
    except Exception as error:  # any: what a function without this derivative raises is its own affair
        if needed:
            raise
        return f"none ({type(error).__name__})"
    return _jaxpr(jaxpr)


def _jaxpr(closed) -> str:
    """The text of a jaxpr: variables numbered as they come, constants by their content."""
    inner = closed.jaxpr if hasattr(closed, "jaxpr") else closed
    names: dict[object, str] = {}

    def new(variable) -> str:
        if type(variable).__name__ == "DropVar":
            return "_"
        names[variable] = f"v{len(names)}"
        return f"{names[variable]}:{_aval(variable.aval)}"

    def use(atom) -> str:
        return f"{_param('', atom.val)}:{_aval(atom.aval)}" if hasattr(atom, "val") else names[atom]

    constants = [_param("", c) for c in getattr(closed, "consts", ())]
    lines = [f"({' '.join(map(new, inner.constvars))} = {' '.join(constants)}; {' '.join(map(new, inner.invars))})"]
    for equation in inner.eqns:
        operands = " ".join(map(use, equation.invars))
        params = " ".join(
            f"{k}={_param(k, v)}" for k, v in sorted(equation.params.items()) if k not in _LABELS | _RULES
        )
        lines.append(f"{' '.join(map(new, equation.outvars))} = {equation.primitive.name}[{params}] {operands}")
    return "{" + "\n".join(lines) + f"\n-> {' '.join(map(use, inner.outvars))}" + "}"


def _aval(aval) -> str:
    if not hasattr(aval, "dtype"):
        return type(aval).__name__
    return f"{aval.dtype}{tuple(aval.shape)}{'w' if getattr(aval, 'weak_type', False) else ''}"


def _param(name: str, value) -> str:
    if hasattr(value, "eqns") or hasattr(getattr(value, "jaxpr", None), "eqns"):
        return _jaxpr(value)
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{k}: {_param(str(k), v)}" for k, v in sorted(value.items(), key=str)) + "}"
    if isinstance(value, (tuple, list)) and not hasattr(value, "_fields"):
        return "(" + ", ".join(_param(name, v) for v in value) + ")"
    try:
        return canonical_text(value)
    except NoIdentityError:
        pass
    if hasattr(value, "__array__"):
        return canonical_text(np.asarray(value))
    if isinstance(value, type):
        return f"{value.__module__}.{value.__qualname__}"
    if not callable(value) and not _ADDRESS.search(text := repr(value)):
        return text
    return _object(name, value)


def _object(name: str, value) -> str:
    """An object that belongs to JAX, whose code is known by JAX's version: its class or name, and what it holds."""
    owner = value if hasattr(value, "__qualname__") else type(value)
    if str(owner.__module__).partition(".")[0] not in _LIBRARIES:
        raise NoIdentityError(
            f"a function of the model uses Python that JAX cannot look into ({name}: {owner.__qualname__}), so a run "
            "of it could not be told from that of an edited one: write it in JAX"
        )
    cells = {str(i): c.cell_contents for i, c in enumerate(getattr(value, "__closure__", None) or ())}
    slots = [n for c in type(value).__mro__ for n in getattr(c, "__slots__", ()) if n[:2] != "__"]
    content = {**{n: getattr(value, n) for n in slots}, **getattr(value, "__dict__", {}), **cells}
    content.pop("__wrapped__", None)
    return f"{owner.__module__}.{owner.__qualname__}{_param(name, content)}"
