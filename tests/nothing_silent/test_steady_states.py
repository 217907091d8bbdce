"""Rest where a conserved sum is written as rate rules, and where a product only accumulates."""

# sympy's annotations do not say what it takes.
# pyright: reportCallIssue=false, reportArgumentType=false
from __future__ import annotations

import json
import re
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import sympy
from typer.testing import CliRunner

import hexamer
from helpers import ENGINES, SOLVERS, slowly
from hexamer.cli import app
from hexamer.models import Protocol, Settings, Status, compile_network, read_antimony, simulate

pytestmark = pytest.mark.tier("test")

CASES = Path(__file__).parents[1] / "cases" / "hidden-moiety"
EXPECTED = json.loads((CASES / "expected.json").read_text())


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("case", ["hidden_moiety", "starts_at_rest"])
def test_value_and_gradient(case: str, engine: str) -> None:
    problem = hexamer.load_problem(CASES / case / "problem.yaml").with_settings(solver=SOLVERS[engine], rtol=1e-8)
    values = jnp.array([float(p.value or np.nan) for p in problem.parameters.values()])

    def nllh(v: jax.Array) -> jax.Array:
        return -jnp.sum(problem.terms_of(problem.read(v)).rows)

    value, gradient = jax.jit(jax.value_and_grad(nllh))(values)
    np.testing.assert_allclose(value, EXPECTED[case]["nllh"], rtol=1e-6)
    found = dict(zip(problem.names, np.asarray(gradient), strict=True))
    for name, expected in EXPECTED[case]["gradient"].items():
        np.testing.assert_allclose(found[name], expected, rtol=1e-5)


@pytest.mark.tier("slow")
def test_what_only_accumulates_is_named() -> None:
    """It has no value in steady state: whoever reads it would read how long the search took."""
    problem = hexamer.load_problem(CASES / "sink" / "problem.yaml")
    found = problem.evaluate()
    assert found.failed == {"no_steady_state": 1}
    assert len(found.notes) == 1
    assert "since Sink still changes" in found.notes[0]
    done = CliRunner().invoke(app, ["evaluate", str(CASES / "sink" / "problem.yaml")])
    assert "note: pre-equilibration reaches no steady state, since Sink still changes" in done.stderr


@pytest.mark.tier("slow")
def test_simulate_names_it_too(tmp_path: Path) -> None:
    command = ["simulate", str(CASES / "sink" / "model.ant"), "--out", str(tmp_path / "out.csv"), "--times", "0,1"]
    done = CliRunner().invoke(app, [*command, "--protocol", "equilibrate"])
    assert done.exit_code == 2
    assert "failed: pre-equilibration reaches no steady state, since Sink still changes" in done.stderr


@pytest.mark.tier("slow")
def test_an_optimiser_names_it_too(tmp_path: Path) -> None:
    """Some starts may reach a steady state: what failed on the way is said beside what was found."""
    command = ["map", str(CASES / "sink" / "problem.yaml"), "--starts", "2", "--quiet"]
    done = CliRunner().invoke(app, command)
    assert done.exit_code != 0
    assert "since Sink still changes" in str(done.exception) + done.stderr


UNSETTLED = {
    "an oscillator": ("X = 1; Y = 1; X' = 1 + X^2*Y - 4*X; Y' = 3*X - X^2*Y;", r"since (X, Y|Y, X) still change"),
    "growth": ("X = 0.001; Y = 0; k = 0.1; X' = k*X; Y' = 1 - Y;", "since X still changes"),
}


@pytest.mark.tier("slow")
@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", UNSETTLED)
def test_what_grows_or_oscillates_is_named(name: str, engine: str, tmp_path: Path) -> None:
    """However the search ends: without steps, or with numbers beyond floats."""
    body, said = UNSETTLED[name]
    (tmp_path / "model.ant").write_text(f"model m\n{body}\nend")
    command = ["simulate", str(tmp_path / "model.ant"), "--out", str(tmp_path / "out.csv"), "--times", "0,1"]
    done = CliRunner().invoke(app, [*command, "--protocol", "equilibrate", "--engine", engine])
    assert done.exit_code == 2
    assert re.search(said, done.stderr)


HIDDEN = {
    "rate rules": ("A = 3; B = 0; A' = -0.8*A + 0.6*B; B' = 0.8*A - 0.6*B;", [[1, 1]]),
    "two for one": ("A = 3; B = 0; A' = -2*k*A + 0.6*B; B' = k*A - 0.3*B; k = 1;", [[1, 2]]),
    "products of sums": ("A = 3; B = 0; A' = -k*(A - B); B' = k*A - k*B; k = 1;", [[1, 1]]),
    "saturation": ("A = 3; B = 0; A' = -v*A/(K + A) + B; B' = v*A/(K + A) - B; v = 1; K = 2;", [[1, 1]]),
    "reactions with one rate": ("species A = 3, B = 0; J0: A ->; k*A; J1: -> B; k*A; J2: B -> A; B; k = 1;", [[1, 1]]),
    "a rule and a reaction": ("species A = 3; B = 0; J0: A ->; k*A - B; B' = k*A - B; k = 1;", [[1, 1]]),
    "none": ("A = 3; B = 0; A' = -k*A + B; B' = k*A - 2*B; k = 1;", np.zeros((0, 2))),
}


@pytest.mark.parametrize("name", HIDDEN)
def test_conserved_sums_are_found_in_the_rates(name: str) -> None:
    body, expected = HIDDEN[name]
    model = compile_network(read_antimony(f"model m\n{body}\nend"))
    order = [model.species.index(n) for n in ("A", "B")]
    found = model.moieties[:, order]
    assert found.shape == np.shape(expected)
    for row, other in zip(found, np.asarray(expected, float), strict=True):
        np.testing.assert_allclose(row / row[0], other / other[0])


WITH_PARAMETERS = {
    "two volumes": ("A' = -k*(A - B)/V; B' = k*(A - B)/W;", "V*A + W*B", ["A = B"]),
    "one volume": ("A' = -k*(A - B); B' = k*(A - B)/V;", "A + V*B", ["A = B"]),
    "a ratio": ("A' = k*B - W*A; B' = V*(W*A - k*B);", "V*A + B", ["W*A = k*B"]),
    "two losses": ("A' = -k*A - V*A; B' = W*A;", "W*A + (k + V)*B", ["A = 0"]),
    "two losses of one": (
        "species C = 0; J1: A -> B; k*A; J2: A -> C; V*A;",
        "V*B - k*C",
        ["A = 0", "A + B + C = 4"],
    ),
    "a sum of volumes": ("A' = k*B/(V + W) - A/(V + W); B' = A/W - k*B/W;", "(V + W)*A + W*B", ["A = k*B"]),
}


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", ["a sum of volumes", *slowly(*sorted(WITH_PARAMETERS.keys() - {"a sum of volumes"}))])
def test_conserved_sums_may_hold_parameters(name: str, engine: str) -> None:
    """Value in steady state and derivative by each parameter, against the solution of the sum and the balances."""
    body, conserved, balances = WITH_PARAMETERS[name]
    model = compile_network(read_antimony(f"model m\nA = 3; B = 1; k = 0.7; V = 2; W = 5;\n{body}\nend"))
    assert len(model.moieties) == len(balances)
    species = [sympy.Symbol(n) for n in model.species]
    names = [*model.parameters]
    known = {n: sympy.Symbol(n) for n in (*names, *model.species)}
    total = sympy.sympify(conserved, known)
    equations = [total - total.subs({"A": 3, "B": 1, "C": 0})]
    for balance in balances:
        left, right = balance.split("=")
        equations.append(sympy.sympify(left, known) - sympy.sympify(right, known))
    at_rest = sympy.solve(equations, species)[known["B"]]
    point = dict(zip(names, model.defaults, strict=True))
    expected = [float(sympy.diff(at_rest, n).subs(point)) for n in names]

    def steady(v: jax.Array) -> jax.Array:
        found = simulate(model, dict(zip(names, v, strict=True)), Protocol.equilibrated(), [0.0], settings=settings)
        return found.y[0, 0, model.index("B")]

    settings = Settings(SOLVERS[engine], rtol=1e-8)
    value, gradient = jax.value_and_grad(steady)(jnp.asarray(model.defaults))
    np.testing.assert_allclose(value, float(at_rest.subs(point)), rtol=1e-8)
    np.testing.assert_allclose(gradient, expected, rtol=1e-6, atol=1e-9)


def test_a_factor_that_all_amounts_share_is_left_out() -> None:
    """A' = -k A, B' = k A: no sum is divided by k, which may be 0."""
    model = compile_network(read_antimony("model m\nA = 3; B = 0; k = 0;\nA' = -k*A; B' = k*A;\nend"))
    np.testing.assert_array_equal(model.conserved(jnp.zeros(1)), [[1, 1]])


def test_products_of_sums_are_not_written_out() -> None:
    """30 sums of two: 2^30 terms."""
    product = "*".join(f"(A + {n})" for n in range(1, 31))
    model = compile_network(read_antimony(f"model m\nA = 3; B = 0; k = 1;\nA' = -k*{product}; B' = k*A;\nend"))
    assert not len(model.moieties)


@pytest.mark.parametrize("engine", ENGINES)
def test_what_is_used_up_has_its_gradient_in_steady_state(engine: str) -> None:
    """A + B -> P with too little of A: P is what A was."""
    model = compile_network(read_antimony("model m\nspecies A = 2, B = 3, P = 0; k = 1;\nJ: A + B -> P; k*A*B;\nend"))

    def product(start: jax.Array) -> jax.Array:
        protocol = Protocol("rest", {"A": "A0"})
        settings = Settings(SOLVERS[engine], rtol=1e-8)
        return simulate(model, {"A0": start}, protocol, [0.0], settings=settings).y[0, 0, model.index("P")]

    value, gradient = jax.value_and_grad(product)(jnp.array(2.0))
    np.testing.assert_allclose([value, gradient], [2, 1], rtol=1e-7)


LOST = {
    "a product": "A = 3; B = 0; k = 1; A' = -A; B' = k*A^2;",
    "what a catalyst leaves": "A = 3; B = 2; k = 1; A' = -A; B' = -k*A*B;",
}


@pytest.mark.tier("slow")
@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", LOST)
def test_what_depends_on_the_way_to_steady_state_is_named(name: str, engine: str, tmp_path: Path) -> None:
    """No state says what it came to: neither value nor derivative would be exact."""
    text = f"model m\n{LOST[name]}\nend"
    model = compile_network(read_antimony(text))

    def left(k: jax.Array) -> tuple[jax.Array, jax.Array]:
        settings = Settings(SOLVERS[engine], rtol=1e-8)
        found = simulate(model, {"k": k}, Protocol.equilibrated(), [0.0], settings=settings)
        return found.y[0, 0, model.index("B")], found.status[0]

    value, status = left(jnp.array(1.0))
    assert status == Status.PATH_DEPENDENT
    assert np.isnan(value)
    (tmp_path / "model.ant").write_text(text)
    command = ["simulate", str(tmp_path / "model.ant"), "--out", str(tmp_path / "out.csv"), "--times", "0,1"]
    done = CliRunner().invoke(app, [*command, "--protocol", "equilibrate", "--engine", engine])
    assert done.exit_code == 2
    assert "the steady state of B depends on the path from the initial values" in done.stderr


@pytest.mark.parametrize("engine", ENGINES)
def test_the_way_out_of_it_is_right(engine: str) -> None:
    """A course that starts earlier has B = k A0^2 / 2 and its derivatives."""
    model = compile_network(read_antimony(f"model m\n{LOST['a product']}\nend"))

    def left(k: jax.Array) -> jax.Array:
        protocol = Protocol(start=-1000.0)
        settings = Settings(SOLVERS[engine], rtol=1e-8)
        return simulate(model, {"k": k}, protocol, [0.0], settings=settings).y[0, 0, model.index("B")]

    np.testing.assert_allclose(jax.value_and_grad(left)(jnp.array(2.0)), [9, 4.5], rtol=1e-6)
