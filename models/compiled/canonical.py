"""Content as one text that is the same in every process and on every machine: what hashes are taken of."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Collection, Mapping, Sequence, Set
from dataclasses import fields, is_dataclass
from enum import Enum

import jax
import jax.numpy as jnp
import numpy as np
import sympy

from ...errors import HexamerError

LeftOut = Mapping[type, Collection[str]]
"""Fields of dataclasses that a text does not hold, by class; all other fields are in it, new ones too."""


class NoIdentityError(HexamerError, ValueError):
    """Content that has no canonical text, such as a Python function that JAX cannot look into."""


def canonical_text(value: object, left_out: LeftOut = {}) -> str:  # noqa: B006
    """The text of plain values, arrays, sympy expressions, and collections and dataclasses of them.

    Equal content has equal text. Numbers are exact; the order of a sequence counts, that of a mapping or a set does
    not. Raises `NoIdentityError` for anything else.
    """
    if value is None or (isinstance(value, (bool, int, str)) and not isinstance(value, Enum)):
        return repr(value)
    if isinstance(value, Enum):
        return f"{type(value).__name__}.{value.name}"
    if isinstance(value, float):
        return "nan" if math.isnan(value) else float(value).hex()
    if isinstance(value, sympy.Basic):
        return sympy.srepr(value)
    if isinstance(value, (np.ndarray, np.generic, jax.Array)):
        return _array(value)
    if isinstance(value, np.dtype):
        return f"dtype {value}"
    if is_dataclass(value) and not isinstance(value, type):
        names = [f.name for f in fields(value) if f.name not in left_out.get(type(value), ())]
        content = ", ".join(f"{n}={canonical_text(getattr(value, n), left_out)}" for n in names)
        return f"{type(value).__name__}({content})"
    if isinstance(value, Mapping):
        pairs = sorted((canonical_text(k, left_out), canonical_text(v, left_out)) for k, v in value.items())
        return "{" + ", ".join(f"{k}: {v}" for k, v in pairs) + "}"
    if isinstance(value, Set):
        return "{" + ", ".join(sorted(canonical_text(v, left_out) for v in value)) + "}"
    if isinstance(value, Sequence) and not isinstance(value, (bytes, bytearray)):
        return "(" + ", ".join(canonical_text(v, left_out) for v in value) + ")"
    raise NoIdentityError(f"a {type(value).__name__} has no content that can be compared between runs")


def content_hash(value: object, left_out: LeftOut = {}) -> str:  # noqa: B006
    """The first 32 digits of the SHA-256 of `canonical_text`."""
    return hashlib.sha256(canonical_text(value, left_out).encode()).hexdigest()[:32]


def _array(value: np.ndarray | np.generic | jax.Array) -> str:
    if jax.dtypes.issubdtype(value.dtype, jax.dtypes.extended):  # random keys
        return f"{value.dtype} {_array(jax.random.key_data(jnp.asarray(value)))}"
    array = np.asarray(value)
    if array.dtype.hasobject:
        return canonical_text(array.tolist())
    # NaNs of several bit patterns are one value.
    if array.dtype.kind == "f":
        array = np.where(np.isnan(array), np.array(np.nan, array.dtype), array)
    content = hashlib.sha256(np.ascontiguousarray(array).astype(array.dtype.newbyteorder("<"), copy=False).tobytes())
    return f"array({array.dtype.name}, {array.shape}, {content.hexdigest()})"
