"""The fused engine's numbers: convergence, stiff standard problems, and the controller at a steady state."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import solve_ivp

from helpers import network
from hexamer import Fused
from hexamer.models import Model, Protocol, Settings, simulate
from support.fused import relative

pytestmark = pytest.mark.tier("test")


# ------------------------------------------------------------------------------------------------- convergence

PREY = """
model prey
  species X = 1.2, Y = 0.7; a = 1; b = 0.8;
  J0: X -> 2 X; a*X; J1: X + Y -> 2 Y; b*X*Y; J2: Y -> ; Y;
end
"""


@pytest.mark.tier("slow")
def test_errors_fall_with_the_tolerance() -> None:
    """Value and gradient, at times inside steps and at the end; without a longest step that would hide it."""
    model = network(PREY)
    point = jnp.array([1.0, 0.8])

    def run(rtol: float) -> tuple[np.ndarray, np.ndarray]:
        settings = Settings(Fused(), rtol=rtol, atol=rtol, longest_step=1.0, max_steps=100_000)

        def y(z: jax.Array) -> jax.Array:
            parameters = dict(zip("ab", z, strict=True))
            return simulate(model, parameters, Protocol(), np.linspace(0.5, 10, 20), settings=settings).y

        return np.asarray(y(point)), np.asarray(jax.jacrev(y)(point))

    exact = run(1e-13)
    errors = np.array([[relative(a, b) for a, b in zip(run(r), exact, strict=True)] for r in (1e-4, 1e-6, 1e-8, 1e-10)])
    assert np.all(errors[:-1] > 30 * errors[1:])
    assert np.all(errors[-1] < 1e-8)


# --------------------------------------------------------------------------------- stiff standard problems


class Problem(NamedTuple):
    """A problem of Hairer and Wanner's or of the IVP test set, with the scale of its absolute tolerance."""

    text: str
    times: list[float]
    atol: float = 1e-6  # times rtol


ROBERTSON = """
model robertson
  species A = 1, B = 0, C = 0; k1 = 0.04; k2 = 3e7; k3 = 1e4;
  J0: A -> B; k1*A; J1: 2 B -> B + C; k2*B^2; J2: B -> A; k3*B*C;
end
"""
OREGONATOR = """
model oregonator
  s = 77.27; q = 8.375e-6; w = 0.161; x = 1; y = 2; z = 3;
  x' = s*(y + x*(1 - q*x - y)); y' = (z - (1 + x)*y)/s; z' = w*(x - z);
end
"""
VAN_DER_POL = """
model vdp
  mu = 1000; k = 1; x = 2; v = 0;
  x' = v; v' = mu*(1 - x^2)*v - k*x;
end
"""
HIRES = """
model hires
  k1 = 1.71; k2 = 0.43; k3 = 8.32; k4 = 8.75; k5 = 0.035; k6 = 10.03; k7 = 1.12; k8 = 1.745; k9 = 280; k10 = 1.81;
  kp = 0.69; os = 0.0007;
  y1 = 1; y2 = 0; y3 = 0; y4 = 0; y5 = 0; y6 = 0; y7 = 0; y8 = 0.0057;
  y1' = -k1*y1 + k2*y2 + k3*y3 + os;
  y2' = k1*y1 - k4*y2;
  y3' = -k6*y3 + k2*y4 + k5*y5;
  y4' = k3*y2 + k1*y3 - k7*y4;
  y5' = -k8*y5 + k2*y6 + k2*y7;
  y6' = -k9*y6*y8 + kp*y4 + k1*y5 - k2*y6 + kp*y7;
  y7' = k9*y6*y8 - k10*y7;
  y8' = -k9*y6*y8 + k10*y7;
end
"""
PROBLEMS = {
    "robertson to 40": Problem(ROBERTSON, [0.4, 4.0, 40.0]),
    "robertson to 1e4": Problem(ROBERTSON, [4.0, 1e2, 1e3, 1e4]),
    "oregonator": Problem(OREGONATOR, [0.5, 3.0, 30.0, 90.0, 180.0, 270.0]),
    # The jump at 807 turns a change of mu into one of its time: to 600 the gradient is well-conditioned.
    "van der pol": Problem(VAN_DER_POL, [1e-3, 1.0, 100.0, 300.0, 600.0]),
    "hires": Problem(HIRES, [0.3, 5.0, 50.0, 321.8122]),
}


def by_the_engine(model: Model, problem: Problem, rtol: float) -> tuple[np.ndarray, np.ndarray]:
    """y (times × species) and ∂y/∂log p (× parameters)."""
    settings = Settings(Fused(), rtol=rtol, atol=rtol * problem.atol, max_steps=100_000)

    def y(z: jax.Array) -> jax.Array:
        parameters = dict(zip(model.parameters, jnp.exp(z), strict=True))
        return simulate(model, parameters, Protocol(), problem.times, settings=settings).y[0]

    z = jnp.log(jnp.asarray(model.defaults))
    return np.asarray(y(z)), np.asarray(jax.jit(jax.jacrev(y))(z))


def by_scipy(model: Model, problem: Problem) -> tuple[np.ndarray, np.ndarray]:
    """The same by Radau on the equations of y and of its sensitivities."""
    n, m = len(model.species), len(model.parameters)
    p = jnp.asarray(model.defaults)

    @jax.jit
    def f(state):
        y, s = state[:n], state[n:].reshape(m, n)
        slopes = jax.vmap(lambda v, e: jax.jvp(model.rhs, (y, p), (v, e * p))[1])(s, jnp.eye(m))
        return jnp.concatenate([model.rhs(y, p), slopes.ravel()])

    jacobian = jax.jit(jax.jacfwd(f))
    start = jnp.concatenate([model.initial(p), jnp.zeros(n * m)])
    solved = solve_ivp(
        lambda t, x: np.asarray(f(x)),
        (0.0, problem.times[-1]),
        np.asarray(start),
        method="Radau",
        jac=lambda t, x: np.asarray(jacobian(x)),
        t_eval=problem.times,
        rtol=1e-10,
        atol=1e-16,
    )
    y, slopes = solved.y[:n].T, solved.y[n:].T.reshape(-1, m, n)
    return y, np.swapaxes(slopes, 1, 2)


def errors(name: str) -> np.ndarray:
    """Rows for rtol 1e-6, 1e-8, 1e-10; columns value (worst species, by its largest |y|) and gradient (norm)."""
    problem = PROBLEMS[name]
    model = network(problem.text)
    y, slope = by_scipy(model, problem)
    largest = np.abs(y).max(0)

    def error(rtol: float) -> list[float]:
        found, found_slope = by_the_engine(model, problem, rtol)
        off = (found_slope - slope) / largest[:, None]
        worst = np.abs((found - y) / largest).max()
        return [float(worst), float(np.linalg.norm(off) / np.linalg.norm(slope / largest[:, None]))]

    return np.array([error(r) for r in (1e-6, 1e-8, 1e-10)])


@pytest.mark.tier("slow")
@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=pytest.mark.tier("slow") if n in ("oregonator", "hires") else ()) for n in PROBLEMS]
)
def test_standard_problems(name: str) -> None:
    found = errors(name)
    assert found[0, 0] < 1e-5
    assert np.all(found[:-1] > 10 * found[1:])
    assert found[-1, 1] < 1e-6


# ------------------------------------------------------------------------------- the controller sees only the state

AT_REST = """
model steady
  species Y = 2, D = 0; Y = y0; a = 0.7; b = 2; y0 = 2; e = 0.4;
  J0: -> Y; a*b; J1: Y -> ; a*Y; J2: -> Y; D; J3: D -> ; e*D;
end
"""


@pytest.mark.tier("check")
@pytest.mark.parametrize("record", [0, 256])
def test_in_steady_state(record: int) -> None:
    """y' = −a (y − b) from y0 = b never moves: ∂y/∂a = 0, ∂y/∂b = 1 − e^(−at), ∂y/∂y0 = e^(−at); and ∂/∂dose at 0."""
    model = network(AT_REST)
    times = np.array([0.0, 0.3, 1.0, 4.0, 10.0])
    settings = Settings(Fused(record=record))

    def y(z: jax.Array) -> jax.Array:
        values = dict(zip(["a", "b", "y0", "dose"], z, strict=True))
        return simulate(model, values, Protocol().add("D", "dose"), times, settings=settings).y[0, :, 0]

    found = jax.jit(jax.jacrev(y))(jnp.array([0.7, 2.0, 2.0, 0.0]))
    gone = np.exp(-0.7 * times)
    by_dose = (np.exp(-0.4 * times) - gone) / 0.3
    np.testing.assert_allclose(found, np.stack([0 * gone, 1 - gone, gone, by_dose], -1), atol=1e-5)


@pytest.mark.tier("check")
def test_in_steady_state_after_equilibration() -> None:
    """The steady state that pre-equilibration finds stays, and its ∂/∂b is 1 whatever the time; the dose is at 0."""
    model = network(AT_REST)
    times = np.array([0.0, 1.0, 4.0, 20.0])

    def y(z: jax.Array) -> jax.Array:
        values = dict(zip(["a", "b", "y0", "dose"], z, strict=True))
        protocol = Protocol.equilibrated().add("D", "dose", at=1.0)
        return simulate(model, values, protocol, times, solver=Fused()).y[0, :, 0]

    found = jax.jit(jax.jacrev(y))(jnp.array([0.7, 2.0, 5.0, 0.0]))
    later = times.clip(1.0) - 1.0
    by_dose = (np.exp(-0.4 * later) - np.exp(-0.7 * later)) / 0.3
    np.testing.assert_allclose(found, np.stack([0 * later, 1 + 0 * later, 0 * later, by_dose], -1), atol=1e-5)
