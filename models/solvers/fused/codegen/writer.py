"""C functions as text: of values of a graph, and of tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from .graph import GraphValue, emit


class Writer:
    """Functions in the order in which they were written, and what each costs in operations."""

    def __init__(self) -> None:
        self.parts: list[str] = []
        self.operations: dict[str, int] = {}

    def function(self, name: str, signature: str, outputs: Mapping[str, GraphValue], *, add: bool = False) -> None:
        """A function that sets each name of `outputs`, or adds to it."""
        self.operations[name] = next(iter(outputs.values())).graph.operations(outputs.values()) if outputs else 0
        apart = signature.replace("real* ", "real* __restrict__ ")  # what is read is not what is written
        self.parts.append(f"STATIC void {name}({apart})\n{{\n{emit(outputs, add=add)}\n}}")


def indexed(name: str, values: Sequence[GraphValue]) -> dict[str, GraphValue]:
    """Values as elements of an array."""
    return {f"{name}[{i}]": v for i, v in enumerate(values)}


def summed(bars: Mapping[str, GraphValue], **names: str) -> dict[str, GraphValue]:
    """Pull-backs to inputs `y[i]` as additions to `y_bar[i]`, for names y=y_bar."""
    return {
        f"{names[key.split('[')[0]]}[{key.split('[')[1]}": value
        for key, value in bars.items()
        if key.split("[")[0] in names
    }


def lookup_function(kind: str, name: str, values: Sequence[float]) -> str:
    """A function of an index that returns one of `values`."""
    entries = ", ".join(repr(v) for v in values) or "0"
    return f"INLINE {kind} {name}(int i)\n{{\nstatic const {kind} table[] = {{{entries}}};\nreturn table[i];\n}}"
