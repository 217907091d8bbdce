"""A model's functions in generated C, compiled, against JAX."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hexamer.models import Model, compile_function, compile_network, read_antimony
from hexamer.models.solvers.fused.codegen.lower import Unsupported
from hexamer.models.solvers.fused.codegen.model_source import LARGEST, Functions, write_functions
from support.c_harness import harness

pytestmark = pytest.mark.tier("test")

NETWORK = """
model mixed
  compartment cell = 2.5, nucleus = 0.4
  species A in cell, B in cell, C in cell, D in nucleus, E in nucleus, F in cell, G in cell, H in nucleus
  A = 1; B = 0.5; C = 0; D = start*k2; E = 0; F = 0.2; G = 1; H = 0.5
  J1: A -> B; cell*k1*A^n1
  J2: B -> A; cell*k2*B^n2
  J3: B -> C; cell*v*C^n3/(K^n3 + C^n3)*B
  J4: C -> D; k1*C^n4/(K + D^n5)
  J5: D -> 2 E; nucleus*piecewise(k1*D, E < 0.5, k2*D*E^n6, E < 1.5 && time > 1, D/(K + E))
  J6: E -> ; nucleus*active*E/(1 + (E/K)^n5)
  J7: A + F -> C; cell*k1*A*F - cell*k2*C^2
  J8: F -> ; cell*v*F^0.5/(1 + exp(-F))
  J9: G -> 2 H; k1*G - k2*H^2
  active := total/(1 + total)
  total := A + 2*B + s
  s' = k2*A^n4 - k1*s*tanh(s)
  n1 = 0.7; n2 = 1; n3 = 1.3; n4 = 1.713; n5 = 2; n6 = 4
  k1 = 0.3; k2 = 0.8; v = 1.4; K = 0.6; start = 2; s = 0.1
end
"""
# y, p, u, c in, all switches gone; all that a model's functions return out. Sums start at 1: they are added to.
MODEL_RUN = """
static void run(const double* x, double* out, long)
{
  const int Y = SPECIES * LANES, P = PARAMETERS * LANES, J = ENTRIES * LANES;
  real y[SPECIES], p[ARGUMENTS], u[SPECIES], c[ENTRIES], f[SPECIES], j[ENTRIES], w[FACTORS], b[ARGUMENTS];
  real q[COEFFICIENTS], q_bar[COEFFICIENTS];
  read(y, x, SPECIES); read(p, x + Y, PARAMETERS); read(u, x + Y + P, SPECIES); read(c, x + Y + P + Y, ENTRIES);
  for (int k = PARAMETERS; k < ARGUMENTS; k++) p[k] = real_of(1.0);
  coefficients(p, q);
  rates(y, q, f); write(out, f, SPECIES); out += Y;
  jacobian(y, q, j); write(out, j, ENTRIES); out += J;
  for (int i = 0; i < 2; i++) {
    for (int k = 0; k < SPECIES; k++) f[k] = real_of(1.0);
    for (int k = 0; k < ARGUMENTS; k++) b[k] = real_of(1.0);
    for (int k = 0; k < COEFFICIENTS; k++) q_bar[k] = real_of(0.0);
    if (i) pull_jacobian(y, q, c, f, q_bar); else pull_rates(y, q, u, f, q_bar);
    pull_coefficients(p, q_bar, b);
    write(out, f, SPECIES); out += Y;
    write(out, b, PARAMETERS); out += P;
  }
  for (int i = 0; i < 2; i++) {
    if (i) weights(p, f); else initial(p, f);
    write(out, f, i ? COUNTED : SPECIES); out += (i ? COUNTED : SPECIES) * LANES;
    for (int k = 0; k < ARGUMENTS; k++) b[k] = real_of(1.0);
    if (i) pull_weights(p, u, b); else pull_initial(p, u, b);
    write(out, b, PARAMETERS); out += P;
  }
  factorise(j, real_of(30.0), w);
  for (int i = 0; i < 2; i++) {
    for (int k = 0; k < SPECIES; k++) f[k] = u[k];
    if (i) solve_transposed(w, f); else solve(w, f);
    write(out, f, SPECIES); out += Y;
  }
  for (int k = 0; k < ENTRIES; k++) c[k] = real_of(1.0);
  add_outer(u, y, c); write(out, c, ENTRIES); out += J;
  for (int k = 0; k < ENTRIES; k++) c[k] = real_of(row_of(k) * SPECIES + column_of(k));
  write(out, c, ENTRIES);
}
"""


@dataclass(frozen=True)
class Compared:
    """What C and JAX say of the same states, each by the name of what was asked."""

    found: dict[str, np.ndarray]
    expected: dict[str, np.ndarray]


@pytest.fixture(scope="module")
def model() -> Model:
    return compile_network(read_antimony(NETWORK))


def states(model: Model) -> np.ndarray:
    """Positive ones; exact zeros, all and some; just below zero; one small in all."""
    random = np.random.default_rng(7)
    y = random.uniform(0.05, 2.0, (16, len(model.species)))
    y[4] = 0.0
    y[5:9][random.random((4, y.shape[1])) < 0.5] = 0.0
    y[9] = -1e-13
    y[10:13] *= np.where(random.random((3, y.shape[1])) < 0.5, -1e-9, 1.0)
    y[13] = 1e-7
    y[14] = -0.0
    return y


@pytest.fixture(scope="module", params=[1, 4])
def compared(request: pytest.FixtureRequest, model: Model, compile_c: Callable) -> Compared:
    lanes: int = request.param
    functions = write_functions(model)
    random = np.random.default_rng(8)
    y = states(model)
    batch, count = len(y), functions.sizes["ENTRIES_USED"]
    p = model.defaults * random.uniform(0.8, 1.2, (batch, len(model.parameters)))
    exponents = [i for i, name in enumerate(model.parameters) if name.startswith("n") and name[1:].isdigit()]
    p[:, exponents] = model.defaults[exponents]
    u, c = random.normal(size=y.shape), random.normal(size=(batch, count))
    found = in_c(compile_c, functions, lanes, (y, p, u, c))
    place = found.pop("place").astype(int)
    assert np.all(place == place[0])
    rows, columns = np.divmod(place[0], y.shape[1])
    expected = jax.jit(jax.vmap(lambda *a: in_jax(model, rows, columns, *a)))(y, p, u, c)
    dense = np.zeros((batch, y.shape[1], y.shape[1]))
    dense[:, rows, columns] = found["jacobian"]
    return Compared(found | {"jacobian": dense}, {k: np.asarray(v) for k, v in expected.items()})


def in_c(
    compile_c: Callable, functions: Functions, lanes: int, inputs: tuple[np.ndarray, ...]
) -> dict[str, np.ndarray]:
    sizes = f"enum {{ {', '.join(f'{k} = {v}' for k, v in functions.sizes.items())} }};"
    run = compile_c(harness(lanes, f"{sizes}\n{functions.text}", MODEL_RUN))
    n, m, count, counted = (functions.sizes[k] for k in ("SPECIES", "PARAMETERS", "ENTRIES", "COUNTED"))
    assert counted
    widths = {"rates": n, "jacobian": count}
    widths |= {"rates by y": n, "rates by p": m, "jacobian by y": n, "jacobian by p": m}
    widths |= {"initial": n, "initial by p": m, "weights": counted, "weights by p": m}
    widths |= {"solve": n, "solve_transposed": n, "add_outer": count, "place": count}
    flat = np.concatenate(inputs, axis=1)
    parts = [
        run(flat[i : i + lanes].T, sum(widths.values()) * lanes).reshape(-1, lanes).T
        for i in range(0, len(flat), lanes)
    ]
    split = np.split(np.concatenate(parts), np.cumsum(list(widths.values()))[:-1], axis=1)
    return dict(zip(widths, split, strict=True))


def in_jax(model: Model, rows: np.ndarray, columns: np.ndarray, y, p, u, c) -> dict[str, jax.Array]:
    gone = (jnp.ones(model.switches),) if model.switches else ()

    def rhs(y, p):
        return model.rhs(y, p, *gone)

    jacobian = model.jacobian(y, p, *gone)
    by_y, by_p = jax.vjp(rhs, y, p)[1](u)
    entries_by_y, entries_by_p = jax.vjp(lambda *a: model.jacobian(*a, *gone)[rows, columns], y, p)[1](c)
    w = 30.0 * jnp.eye(len(y)) - jacobian
    return {
        "rates": rhs(y, p),
        "jacobian": jacobian,
        "rates by y": 1 + by_y,
        "rates by p": 1 + by_p,
        "jacobian by y": 1 + entries_by_y,
        "jacobian by p": 1 + entries_by_p,
        "initial": model.initial(p),
        "initial by p": 1 + jax.vjp(model.initial, p)[1](u)[0],
        "weights": model.weights(p),
        "weights by p": 1 + jax.vjp(model.weights, p)[1](u[: np.count_nonzero(model.moieties)])[0],
        "solve": jnp.linalg.solve(w, u),
        "solve_transposed": jnp.linalg.solve(w.T, u),
        "add_outer": 1 + u[rows] * y[columns],
    }


@pytest.mark.tier("slow")
@pytest.mark.parametrize(
    "what",
    [
        "rates",
        "jacobian",
        "initial",
        "initial by p",
        "weights",
        "weights by p",
        "solve",
        "solve_transposed",
        "add_outer",
    ],
)
def test_functions(what: str, compared: Compared) -> None:
    agree(compared.found[what], compared.expected[what])


@pytest.mark.tier("slow")
@pytest.mark.parametrize("what", ["rates by y", "rates by p", "jacobian by y", "jacobian by p"])
def test_pull_backs(what: str, compared: Compared) -> None:
    agree(compared.found[what], compared.expected[what])


def agree(found: np.ndarray, expected: np.ndarray) -> None:
    assert np.isfinite(expected).all()
    scale = np.abs(expected).max(axis=tuple(range(1, expected.ndim)), keepdims=True)
    assert found.shape == expected.shape
    assert np.all(np.abs(found - expected) <= 1e-12 * np.abs(expected) + 1e-13 * scale)


def chain(length: int) -> Model:
    """Species that turn into each other along a chain, with saturation and a power."""
    steps = [
        f"J{i}: S{i} -> S{i + 1}; v*S{i}/(K + S{i}) - k*S{i + 1}^n; S{i} = {1 + i}; k{i} = 1" for i in range(length - 1)
    ]
    return compile_network(read_antimony("\n".join([*steps, "v = 1; K = 2; k = 0.3; n = 1.5"])))


@pytest.mark.tier("slow")
def test_cost_grows_as_the_network() -> None:
    written = [write_functions(chain(length)) for length in (20, 40, 80)]
    for small, large in pairwise(written):
        assert len(large.text) / len(small.text) < 2.4  # longer numbers too
        for name, cost in small.operations.items():
            assert large.operations[name] <= 2.3 * cost, name
        assert large.sizes["FACTORS"] / small.sizes["FACTORS"] < 2.3


def test_what_cannot_be_written_says_why() -> None:
    function = compile_function(lambda t, y, p: -y, species=["x"], parameters={}, initial=[1.0], name="decay")
    with pytest.raises(Unsupported, match="model 'decay' is a Python function"):
        write_functions(function)
    large = replace(chain(3), name="large", species=("S",) * (LARGEST + 1))
    with pytest.raises(Unsupported, match=f"model 'large' has {LARGEST + 1} species; .* up to {LARGEST}"):
        write_functions(large)


def test_model_without_parameters_or_reactions() -> None:
    functions = write_functions(compile_network(read_antimony("species A, B; A = 1; B = 2; A -> B; A")))
    assert functions.sizes["PARAMETERS"] >= 1
    assert functions.sizes["ENTRIES_USED"] == 2
