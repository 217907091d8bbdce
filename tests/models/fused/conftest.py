"""What runs a graph without a compiler, and a way to run C text as Warp compiles it."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pytest

from hexamer.models import Model, compile_network, read_antimony
from hexamer.models.compiled.stable import LOG_OF_ZERO, ROOM
from hexamer.models.solvers.fused.codegen.graph import Graph, GraphValue
from hexamer.models.solvers.fused.compilation import OPTIONS, quiet, warp

LOOP = """
model loop
  species R = 1, S = 2, P = 0, X = 0; n = 1.7; k = 0.8; d = 0.4; x = 0.3; f = 0.5;
  J0: S -> P; k*R*S/(1 + X);
  J1: P -> S; d*P;
  J2: -> X;   f*P^n;
  J3: X -> ;  x*X;
end
"""

Evaluate = Callable[[Sequence[GraphValue], Mapping[str, np.ndarray | float]], list[np.ndarray]]
Run = Callable[[np.ndarray, int], np.ndarray]


def _log(x: np.ndarray) -> np.ndarray:
    return np.log(np.abs(np.where(x == 0, 1.0, x)))


def _signed(x: np.ndarray, n: np.ndarray, raised: np.ndarray) -> np.ndarray:
    """|x|^n with the sign of x^n; 0 where that is not a number."""
    return np.where(x > 0, raised, np.select([n % 2 == 0, n % 2 == 1], [raised, -raised], 0.0))


def _power(x: np.ndarray, n: np.ndarray, m: np.ndarray | float = 0.0) -> np.ndarray:
    at_zero = np.select([n == 0, n < 0], [np.exp(-m), np.inf], 0.0)
    return np.where(x == 0, at_zero, _signed(x, n, np.exp(n * _log(x) - m)))


def _slope(x: np.ndarray, n: np.ndarray, m: np.ndarray | float = 0.0) -> np.ndarray:
    above = n * _signed(x, n - 1, np.exp((n - 1) * _log(x) - m))
    return np.where(x == 0, np.where(n == 1, np.exp(-m), 0.0), above)


def _curvature(x: np.ndarray, n: np.ndarray, m: np.ndarray | float = 0.0) -> np.ndarray:
    above = n * (n - 1) * _signed(x, n - 2, np.exp((n - 2) * _log(x) - m))
    return np.where(x == 0, np.where(n == 2, 2.0 * np.exp(-m), 0.0), above)


def _slope_by_exponent(x: np.ndarray, n: np.ndarray, m: np.ndarray | float = 0.0) -> np.ndarray:
    return np.where(x == 0, 0.0, (1 + n * _log(x)) * _signed(x, n - 1, np.exp((n - 1) * _log(x) - m)))


_OPERATIONS: dict[str, Callable[..., np.ndarray]] = {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "div": np.divide,
    "neg": np.negative,
    "lt": np.less,
    "le": np.less_equal,
    "eq": np.equal,
    "and": np.logical_and,
    "or": np.logical_or,
    "not": np.logical_not,
    "select": np.where,
    "exp": np.exp,
    "log": np.log,
    "sin": np.sin,
    "cos": np.cos,
    "tan": np.tan,
    "tanh": np.tanh,
    "abs": np.abs,
    "sign": np.sign,
    "floor": np.floor,
    "ceil": np.ceil,
    "power": _power,
    "slope": _slope,
    "curvature": _curvature,
    "slope_by_exponent": _slope_by_exponent,
    "guarded_log": _log,
    "guarded_inverse": lambda x: np.where(x == 0, 0.0, 1 / np.where(x == 0, 1.0, x)),
    "frozen": lambda x: x,
    "excess": lambda x: np.maximum(x - ROOM, 0.0) + np.minimum(x + ROOM, 0.0),
    "log_size": lambda x: np.where(x == 0, LOG_OF_ZERO, _log(x)),
    "fade": lambda m: np.exp(-m),
}


def _evaluate(outputs: Sequence[GraphValue], inputs: Mapping[str, np.ndarray | float]) -> list[np.ndarray]:
    if not outputs:
        return []
    graph: Graph = outputs[0].graph
    known: dict[int, np.ndarray] = {}
    with np.errstate(all="ignore"):
        for i in graph.reachable(outputs):
            op, *arguments = graph.nodes[i]
            if op in ("input", "const"):
                known[i] = np.asarray(inputs[arguments[0]] if op == "input" else arguments[0], float)
            else:
                known[i] = _OPERATIONS[op](*(known[j] for j in arguments))
    return [known[v.index] for v in outputs]


@pytest.fixture(scope="session")
def evaluate() -> Evaluate:
    """`evaluate(outputs, inputs)`: the values of nodes, with numpy, for inputs by name."""
    return _evaluate


def _compile(source: str) -> Run:
    wp = warp()
    numbers = wp.array(dtype=wp.float64)

    @wp.func_native(f"{source}\nHarness::run(x.data, y.data, x.shape[0]);")
    def call(x: numbers, y: numbers): ...  # pyright: ignore[reportInvalidTypeForm]

    @wp.kernel(module="unique", enable_backward=False, module_options=OPTIONS)
    def launch(x: numbers, y: numbers):  # pyright: ignore[reportInvalidTypeForm]
        call(x, y)

    def run(x: np.ndarray, size: int) -> np.ndarray:
        with quiet(wp):
            given = wp.array(np.ascontiguousarray(x, float).ravel(), dtype=wp.float64, device="cpu")
            out = wp.zeros(size, dtype=wp.float64, device="cpu")
            wp.launch(launch, dim=1, inputs=[given, out], device="cpu")
            return out.numpy().copy()

    return run


@pytest.fixture(scope="session")
def compile_c() -> Callable[[str], Run]:
    """From C++ with a struct `Harness` and its `run(const double* x, double* y, long size)` to a function of numpy's.

    The function takes x, and the size of y, which it returns.
    """
    return _compile


@pytest.fixture(scope="session")
def loop_text() -> str:
    """Four species in a loop, with a power whose exponent is a parameter."""
    return LOOP


@pytest.fixture(scope="session")
def loop(loop_text: str) -> Model:
    return compile_network(read_antimony(loop_text))
