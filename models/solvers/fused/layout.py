"""The layout of a call's numbers: declared once, packed by Python, read by C that is written from it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import prod
from typing import Literal, NamedTuple

import numpy as np

NumberType = Literal["int", "double"]
_DTYPES: Mapping[NumberType, type[np.generic]] = {"int": np.int32, "double": np.float64}
_ARRAYS: Mapping[NumberType, str] = {"int": "integers", "double": "floats"}


class Packed(NamedTuple):
    """The values of a layout: all integers in one array, all floats in another."""

    integers: np.ndarray  # int32
    floats: np.ndarray  # float64


@dataclass(frozen=True)
class Field:
    """A number of a layout or, if it has a shape, an array.

    `shape` names integers of the same layout (`protocols`) and sizes of the model (`SPECIES`).
    """

    name: str
    shape: tuple[str, ...] = ()
    kind: NumberType = "int"
    comment: str = ""


@dataclass(frozen=True)
class Layout:
    """A struct of C, and the two arrays that it is read from.

    In each array the numbers stand first, then the arrays, both in the order of the fields.
    """

    struct: str
    fields: tuple[Field, ...]

    def pack(self, values: Mapping[str, object], sizes: Mapping[str, int]) -> Packed:
        """The values of all fields, flat. Raises `ValueError` for other names or shapes than those declared."""
        names = [f.name for f in self.fields]
        if set(names) != set(values):
            raise ValueError(f"the fields of {self.struct} are {', '.join(names)}, not {', '.join(values)}")
        arrays = {name: np.asarray(value) for name, value in values.items()}
        lengths = {**sizes, **{f.name: int(arrays[f.name]) for f in self._numbers("int")}}
        for field in self.fields:
            shape = tuple(lengths[n] for n in field.shape)
            actual_shape = arrays[field.name].shape
            if actual_shape != shape:
                raise ValueError(
                    f"{field.name} of {self.struct} has the shape {actual_shape}, and is declared as {shape}"
                )
        return Packed(*(self._flat(kind, arrays) for kind in _DTYPES))

    def _flat(self, kind: NumberType, arrays: Mapping[str, np.ndarray]) -> np.ndarray:
        parts = [arrays[f.name].ravel() for f in (*self._numbers(kind), *self._arrays(kind))]
        return np.concatenate([np.zeros(0), *parts]).astype(_DTYPES[kind])

    def require(self, packed: Packed, sizes: Mapping[str, int]) -> None:
        """Raises `ValueError` if arrays do not have the lengths that follow from the numbers at their head."""
        heads = [f.name for f in self._numbers("int")]
        lengths = {**sizes, **dict(zip(heads, map(int, packed.integers), strict=False))}
        whole = len(packed.integers) >= len(heads)
        for kind, array in zip(_DTYPES, packed, strict=True):
            needed = len(self._numbers(kind))
            if whole:  # else there is no telling
                needed += sum(prod(lengths[n] for n in f.shape) for f in self._arrays(kind))
            if len(array) != needed:
                raise ValueError(
                    f"{self.struct} is read from {needed} {_ARRAYS[kind]}, and {len(array)} arrived: the plan was "
                    "packed by another layout than that of the compiled code"
                )

    def _numbers(self, kind: NumberType) -> list[Field]:
        return [f for f in self.fields if f.kind == kind and not f.shape]

    def _arrays(self, kind: NumberType) -> list[Field]:
        return [f for f in self.fields if f.kind == kind and f.shape]

    # ------------------------------------------------------------------------------------------------------- as C

    def c(self) -> str:
        """The struct, and the function that reads it."""
        members = "\n".join(map(_member, self.fields))
        return f"struct {self.struct} {{\n{members}\n}};\n\n{self._reader()}"

    def _reader(self) -> str:
        out = self.struct.lower()
        kinds: list[NumberType] = [k for k in _DTYPES if any(f.kind == k for f in self.fields)]
        arguments = "".join(f"const {k}* {_ARRAYS[k]}, int64 {_ARRAYS[k]}_count, " for k in kinds)
        short = " || ".join(f"{_ARRAYS[k]}_count < {len(self._numbers(k))}" for k in kinds)
        lines = [line for k in kinds for line in self._read_numbers(k)]
        lines += [line for k in kinds for line in self._read_arrays(k)]
        whole = " && ".join(f"{_ARRAYS[k]}_used == {_ARRAYS[k]}_count" for k in kinds)
        return "\n".join(
            [
                "// Points into the arrays. False if their lengths do not follow from the numbers at their head.",
                f"STATIC bool read_{out}({arguments}{self.struct}& {out})",
                "{",
                f"  if ({short}) return false;",
                *lines,
                f"  return {whole};",
                "}",
            ]
        )

    def _read_numbers(self, kind: NumberType) -> Iterator[str]:
        for i, field in enumerate(self._numbers(kind)):
            yield f"  {self.struct.lower()}.{field.name} = {_ARRAYS[kind]}[{i}];"

    def _read_arrays(self, kind: NumberType) -> Iterator[str]:
        out, used, own_fields = self.struct.lower(), f"{_ARRAYS[kind]}_used", {f.name for f in self.fields}
        yield f"  int64 {used} = {len(self._numbers(kind))};"
        for field in self._arrays(kind):
            length = " * ".join(["(int64)1", *(f"{out}.{n}" if n in own_fields else n for n in field.shape)])
            yield f"  {out}.{field.name} = {_ARRAYS[kind]} + {used};"
            yield f"  {used} += {length};"


def _member(field: Field) -> str:
    remark = "; ".join(filter(None, [" x ".join(field.shape), field.comment]))
    pointer = f"const {field.kind}* " if field.shape else f"{field.kind} "
    return f"  {pointer}{field.name};{'  // ' + remark if remark else ''}"
