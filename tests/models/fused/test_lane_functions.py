"""The functions that lanes.h gives to generated C, in float64 and float32, against numpy and JAX."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hexamer.models.compiled.codegen import guarded_log, guarded_power, guarded_slope
from support.c_harness import harness

pytestmark = pytest.mark.tier("test")

UNARY = ("exp_", "log_", "guarded_inverse_", "abs_", "sign_", "floor_", "ceil_", "tan_", "tanh_")
BINARY = ("power_", "slope_", "curvature_", "slope_by_exponent_")


@dataclass(frozen=True)
class Types:
    """The functions of lanes.h, of one or two arrays."""

    run: Callable[[np.ndarray, int], np.ndarray]
    lanes: int

    def __call__(self, name: str, x: np.ndarray, n: np.ndarray | float = 0.0) -> np.ndarray:
        x, n = np.broadcast_arrays(np.asarray(x, float), n)
        filled = -(-x.size // self.lanes) * self.lanes
        given = np.zeros((2, filled))
        given[:, : x.size] = np.stack([x.ravel(), n.ravel()])
        which = (*UNARY, *BINARY, "safe_log_").index(name)
        return self.run(np.append(given.ravel(), which), filled)[: x.size].reshape(x.shape)


@pytest.fixture(scope="module", params=[1, 4])
def types(request: pytest.FixtureRequest, compile_c: Callable) -> Types:
    return types_of(compile_c, request.param)


@pytest.fixture(scope="module", params=[1, 8])
def single(request: pytest.FixtureRequest, compile_c: Callable) -> Types:
    """Those of float32."""
    return types_of(compile_c, request.param, single=True)


def types_of(compile_c: Callable, lanes: int, *, single: bool = False) -> Types:
    cases = [f"case {i}: r = {name}(a); break;" for i, name in enumerate(UNARY)]
    for name in BINARY:
        power = "b" if name == "power_" else "(b - 1)"
        cases.append(f"case {len(cases)}: r = {name}(a, b, l, exp_({power} * l), real_of(1.0)); break;")
    cases.append(f"case {len(cases)}: r = l; break;")
    run = f"""
    static void run(const double* x, double* out, long size)
    {{
      const long count = (size - 1) / 2;
      for (long i = 0; i < count; i += LANES) {{
        real a, b, r;
        read(&a, x + i, 1); read(&b, x + count + i, 1);
        const real l = safe_log_(a);
        switch ((int)x[2 * count]) {{ {" ".join(cases)} }}
        write(out + i, &r, 1);
      }}
    }}"""
    return Types(compile_c(harness(lanes, "", run, single=single)), lanes)


def relative_error(found: np.ndarray, exact: np.ndarray) -> float:
    return float(np.max(np.abs(found - exact) / np.abs(exact)))


def test_exp_is_accurate(types: Types) -> None:
    random = np.random.default_rng(0)
    x = np.concatenate([np.linspace(-700, 700, 100_001), random.normal(size=50_000), 1e-9 * random.normal(size=1000)])
    assert relative_error(types("exp_", x), np.exp(x.astype(np.longdouble))) < 3e-16


def test_log_is_accurate(types: Types) -> None:
    random = np.random.default_rng(0)
    x = [
        10 ** random.uniform(-300, 300, 100_000),
        1 + random.normal(0, 0.2, 50_000),
        1 + 1e-9 * random.normal(size=999),
    ]
    x = np.concatenate([*x, 2.0 ** np.arange(-1022, 1024), 10 ** random.uniform(-323, -308, 1000), [5e-324]])
    x = x[(x > 0) & (x != 1)]
    assert relative_error(types("log_", x), np.log(x.astype(np.longdouble))) < 3e-16
    assert types("log_", np.ones(1)) == 0


def test_exp_and_log_at_their_ends(types: Types) -> None:
    inf, nan = np.inf, np.nan
    np.testing.assert_array_equal(types("exp_", np.array([0.0, -0.0, 710.0, inf, -inf, nan])), [1, 1, inf, inf, 0, nan])
    low = types("exp_", np.array([-708.5, -745.0, -1e5, -1e300]))
    assert np.all((low >= 0) & (low < 4e-308))
    found = types("log_", np.array([0.0, -0.0, -1.0, -5e-324, -inf, inf, nan]))
    np.testing.assert_array_equal(found, [-inf, -inf, nan, nan, nan, inf, nan])


def test_rounding_and_signs(types: Types) -> None:
    x = np.array([-1.5, -1.0, -0.0, 0.0, 0.3, 2.0, 7.9, np.inf, -np.inf])
    for name, function in {"abs_": np.abs, "sign_": np.sign, "floor_": np.floor, "ceil_": np.ceil}.items():
        np.testing.assert_array_equal(types(name, x), function(x))
    for name, function in {"tan_": np.tan, "tanh_": np.tanh}.items():
        np.testing.assert_allclose(types(name, x[:-2]), function(x[:-2]), rtol=1e-15)
    assert np.isnan(types("abs_", np.array([np.nan]))[0])


@pytest.mark.tier("slow")
def test_guarded_functions(types: Types) -> None:
    """Against the derivatives of the JAX functions, at, below and above 0, for exponents with cases of their own."""
    bases = [0.0, -0.0, -1e-12, -0.5, 1e-300, 1e-8, 0.5, 1.0, 37.0, 1e30]
    exponents = [0.0, 0.7, 1.0, 1.3, 1.713, 2.0, 3.0, 4.0, -1.0, -1.5]
    x, n = (a.ravel() for a in np.meshgrid(bases, exponents))
    references = {
        "power_": guarded_power,
        "slope_": guarded_slope,
        "curvature_": jax.grad(guarded_slope),
        "slope_by_exponent_": jax.grad(guarded_slope, argnums=1),
    }
    for name, function in references.items():
        expected = np.asarray(jax.vmap(function)(jnp.asarray(x), jnp.asarray(n)))
        compare = np.isfinite(expected) | (x == 0)
        np.testing.assert_allclose(types(name, x, n)[compare], expected[compare], rtol=1e-12, atol=1e-290, err_msg=name)
    tiny = np.array([5e-324, 1e-310])  # 0 times an infinite power
    assert not types("slope_", tiny, 0.0).any()
    assert not types("curvature_", tiny, 0.0).any()
    assert not types("curvature_", tiny, 1.0).any()
    np.testing.assert_allclose(types("safe_log_", x), guarded_log(jnp.asarray(x)), rtol=1e-15)
    np.testing.assert_array_equal(types("guarded_inverse_", np.array([-2.0, 0.0, 4.0])), [-0.5, 0, 0.25])


def ulps(found: np.ndarray, exact: np.ndarray) -> float:
    """Largest error, in units of the last place of the nearest float32."""
    assert found.dtype == float
    np.testing.assert_array_equal(found, found.astype(np.float32))
    return float(np.max(np.abs(found - exact) / np.spacing(np.abs(exact).astype(np.float32))))


def test_float32_exp_and_log_are_accurate(single: Types) -> None:
    random = np.random.default_rng(0)
    x = np.concatenate([np.linspace(-87, 88, 100_001), random.normal(size=50_000), 1e-5 * random.normal(size=1000)])
    x = x.astype(np.float32).astype(float)
    assert ulps(single("exp_", x), np.exp(x)) < 1
    x = [10 ** random.uniform(-37, 38, 100_000), 1 + random.normal(0, 0.2, 50_000), 1 + 1e-5 * random.normal(size=999)]
    x = np.concatenate([*x, 2.0 ** np.arange(-149, 128), 10 ** random.uniform(-44, -38, 1000)])
    x = x.astype(np.float32).astype(float)
    x = x[(x > 0) & (x != 1)]
    assert ulps(single("log_", x), np.log(x)) < 1
    assert single("log_", np.ones(1)) == 0


@pytest.mark.tier("slow")
def test_float32_ends_and_guards(single: Types) -> None:
    inf, nan = np.inf, np.nan
    found = single("exp_", np.array([0.0, -0.0, 89.0, inf, -inf, nan]))
    np.testing.assert_array_equal(found, [1, 1, inf, inf, 0, nan])
    low = single("exp_", np.array([-88.0, -104.0, -1e5, -1e30]))
    assert np.all((low >= 0) & (low < 1e-38))
    found = single("log_", np.array([0.0, -0.0, -1.0, -inf, inf, nan]))
    np.testing.assert_array_equal(found, [-inf, -inf, nan, nan, inf, nan])
    x, n = (a.ravel() for a in np.meshgrid([0.0, -1e-12, -0.5, 0.5, 1.0, 37.0], [0.0, 0.7, 1.0, 1.3, 2.0, 4.0, -1.5]))
    for name, function in {
        "power_": guarded_power,
        "slope_": guarded_slope,
        "curvature_": jax.grad(guarded_slope),
    }.items():
        expected = np.asarray(jax.vmap(function)(jnp.asarray(x), jnp.asarray(n)))
        compare = np.isfinite(expected) | (x == 0)
        np.testing.assert_allclose(single(name, x, n)[compare], expected[compare], rtol=3e-6, atol=1e-12, err_msg=name)
    assert not single("curvature_", np.array([1e-44]), 1.0).any()  # 0 times an infinite power
