"""Conserved moieties, exactly."""

from __future__ import annotations

from fractions import Fraction

import jax.numpy as jnp
import numpy as np
import pytest
import sympy

from hexamer.models import Model, compile_network, read_antimony
from hexamer.models.compiled.balances import _greatest_common_divisor
from hexamer.models.compiled.moieties import conserved_moieties

pytestmark = pytest.mark.tier("test")


def of(rows: list[list[int]]) -> tuple[np.ndarray, tuple[int, ...]]:
    return conserved_moieties([{j: Fraction(x) for j, x in enumerate(row) if x} for row in rows])


KNOWN = {  # stoichiometry, species × reactions; a basis of what is conserved
    "A → B": ([[-1], [1]], [[1, 1]]),
    "A → ∅": ([[-1]], np.zeros((0, 1))),
    "2 A → B": ([[-2], [1]], [[1, 2]]),
    "A + B ⇌ C": ([[-1], [-1], [1]], [[1, 0, 1], [0, 1, 1]]),
    "enzyme: E + S ⇌ ES → E + P": ([[-1, 1], [-1, 0], [1, -1], [0, 1]], [[1, 0, 1, 0], [0, 1, 1, 1]]),
    "A constant": ([[0], [-1]], [[1, 0]]),
    "a futile circle": ([[-1, 0, 1], [1, -1, 0], [0, 1, -1]], [[1, 1, 1]]),
}


@pytest.mark.parametrize("name", KNOWN)
def test_known_cases(name: str) -> None:
    stoichiometry, expected = KNOWN[name]
    moieties, dependent = of(stoichiometry)
    assert moieties.shape == np.shape(expected)
    assert not np.any(moieties @ np.array(stoichiometry))
    assert np.linalg.matrix_rank(np.vstack([moieties, expected])) == len(expected)
    np.testing.assert_array_equal(moieties[:, list(dependent)], np.eye(len(expected)))


def test_exact_where_rounding_would_lose_one() -> None:
    """A chain of 40 third-order steps: 3^40 in the coefficients."""
    n = 40
    rows = [[0] * n for _ in range(n + 1)]
    for j in range(n):
        rows[j][j], rows[j + 1][j] = -3, 1
    moieties, _ = of(rows)
    np.testing.assert_allclose(moieties[0], [float(3**i) for i in range(n + 1)], rtol=0)


def test_il6_stat3(il6_stat3: Model) -> None:
    """STAT3 with and without phosphate, and sgp130 with what it has bound; receptors are made and lost."""
    assert [il6_stat3.species[i] for i in il6_stat3.dependent] == ["sgp130", "STAT3"]
    found = [{s: n for s, n in zip(il6_stat3.species, row, strict=True) if n} for row in il6_stat3.moieties]
    assert found == [
        {"sgp130": 1, "IL6_sIL6R_sgp130": 1, "HyperIL6_sgp130": 1},
        {"STAT3": 1, "pSTAT3": 1, "pSTAT3_2": 2, "npSTAT3_2": 2, "nSTAT3": 1},
    ]


def test_hepg2_core(hepg2_core: Model) -> None:
    (row,) = hepg2_core.moieties
    assert {s: n for s, n in zip(hepg2_core.species, row, strict=True) if n} == {"S": 1, "cpS": 1, "npS": 1}


@pytest.mark.tier("test")
@pytest.mark.parametrize("name", ["il6_stat3", "hepg2_core"])
def test_rates_conserve_them(name: str, request: pytest.FixtureRequest) -> None:
    model: Model = request.getfixturevalue(name)
    p = jnp.asarray(model.defaults)
    y = jnp.asarray(np.random.default_rng(3).lognormal(0, 2, len(model.species)))
    sums, flow = np.asarray(model.conserved(p)), np.asarray(model.rhs(y, p))
    assert np.all(np.abs(sums @ flow) <= 1e-14 * np.abs(sums) @ np.abs(flow))


def test_what_has_a_rule_belongs_to_none() -> None:
    text = "model m\n species A = 1, B = 2, $F = 3; w = 1; w' = -w; J0: A + F -> B; A*F;\nend\n"
    model = compile_network(read_antimony(text))
    assert model.species == ("A", "B", "w")
    np.testing.assert_array_equal(model.moieties, [[1, 1, 0]])


A, B, C = sympy.symbols("A B C")


@pytest.mark.parametrize(
    "polynomials",
    [
        [2 * A * B, -4 * A * C - 6 * A],
        [A**2 * B, A**3 + A**2 * C],
        [-A, A],
        [sympy.Integer(4), 6 * A + 2],
        [A * B, C],
        [A * (B + C), A * B],
        [A**2 - B**2, A + B],
        [sympy.pi * A, sympy.pi * B],
        [A / 2, A / 3],
    ],
    ids=str,
)
def test_what_divides_polynomials_is_what_sympy_finds(polynomials: list[sympy.Expr]) -> None:
    assert _greatest_common_divisor(polynomials) == sympy.gcd_list(polynomials)
