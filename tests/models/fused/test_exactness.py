"""The fused engine's numbers: the derivative of the very steps taken, convergence, stiff standard problems, rest."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import solve_ivp

from hexamer import Fused
from hexamer.models import (
    Model,
    Protocol,
    Settings,
    Status,
    compile_network,
    load_model,
    read_antimony,
    simulate,
)
from hexamer.models.compiled.plan import UNCHANGED, Plan, compile_plan
from hexamer.models.solvers.fused.cpu import forward
from hexamer.models.solvers.fused.engine import _described, _environment, solve
from hexamer.models.solvers.reference.rodas5p import GAMMA, A, C, H, M

pytestmark = pytest.mark.tier("test")


def network(text: str) -> Model:
    return compile_network(read_antimony(text))


def relative(found: np.ndarray, expected: np.ndarray) -> float:
    return float(np.linalg.norm(found - expected) / np.linalg.norm(expected))


# ---------------------------------------------------------------------------- the derivative of the steps taken


LOOP = """
model loop
  compartment c = 2; compartment m = 0.5;
  species R in m = 1, S in c = 2, P in c = 0, X in c = 0, Q in m = 0.3;
  n = 1.7; k = 0.8; d = 0.4; x = 0.3; f = 0.5; s0 = 1.5; input = 0;
  S = s0*n;
  J0: S -> P; c*(k*R + input)*S/(1 + X);
  J1: P -> Q; c*d*P;
  J2: Q -> S; m*0.9*Q;
  J3: -> X;   c*f*P^n/(1 + P^n);
  J4: X -> ;  c*x*X;
end
"""
NEAR_AND_FAR = [0.0, 0.3, 1.0, 1.0, 2.5, 7.0, 30.0]


class Case(NamedTuple):
    model: Model
    plan: Plan
    values: list[float]


def loop_protocols() -> list[Protocol]:
    return [
        Protocol("dose").add("R", "dose", at=1.0),
        Protocol.equilibrated("pulse after rest").pulse("R", "dose", start=0, stop=2.5),
        Protocol.equilibrated("set before and after", S="start", input=0.2).set(at=1.0, input="dose", P=0.1),
        Protocol("set").set(X=0.7, k="dose").set(at=5.0, k=0.3).add("Q", 0.4, at=40.0),
    ]


def loop_case() -> Case:
    model = network(LOOP)
    values = [*model.defaults, 0.6, 2.2]
    protocols = loop_protocols()
    return Case(model, compile_plan(model, protocols, [NEAR_AND_FAR] * 4, [*model.parameters, "dose", "start"]), values)


def hepg2_case() -> Case:
    model = load_model("hepg2_core")
    protocols = [Protocol("input").set(IL6="dose"), Protocol.equilibrated("rest").set(IL6="dose").set(at=15, IL6=0.0)]
    times = [[0.0, 5.0, 20.0, 90.0]] * 2
    return Case(model, compile_plan(model, protocols, times, [*model.parameters, "dose"]), [*model.defaults, 10.0])


def replay(model: Model, plan: Plan, environment, accepted, rows, rest, rest_status):
    """y at every output and before every step, through the recorded steps (t, h); step sizes are numbers."""

    @jax.jit
    def stages(y, p, h):
        w = jnp.eye(y.size) / (GAMMA * h) - jax.jacfwd(model.rhs)(y, p)
        k: list[jax.Array] = []
        for i in range(8):
            inside = y + sum((A[i, j] * k[j] for j in range(i)), jnp.zeros_like(y))
            right = model.rhs(inside, p) + sum((C[i, j] / h * k[j] for j in range(i)), jnp.zeros_like(y))
            k.append(jnp.linalg.solve(w, right))
        return jnp.stack(k)

    @jax.jit
    def at_rest(y, start, p):
        """The derivative of the steady state by one Newton step from it, whose matrix is a number."""

        def g(y, start, p):
            moved = model.rhs(y, p)
            if model.dependent:
                totals = model.conserved(p) @ (y - start)
                moved = moved.at[np.array(model.dependent)].set(totals)
            return moved

        y = jax.lax.stop_gradient(y)
        matrix = jax.lax.stop_gradient(jax.jacfwd(g)(y, start, p))
        moved = g(y, start, p)
        return y - jnp.linalg.solve(matrix, moved - jax.lax.stop_gradient(moved))

    def fill(y, index):
        return jnp.where(index == UNCHANGED, y, environment[index])

    result, before = [], []
    for c, times in enumerate(plan.times):
        e = plan.equilibration_of[c]
        if e >= 0:
            assert rest_status[e] == Status.OK
            p = environment[plan.equilibration_parameters[e]]
            y = at_rest(rest[e, 0], fill(model.initial(p), plan.equilibration_set[e]), p)
        else:
            y = model.initial(environment[plan.parameters[c, 0]])
        row, saved = 0, []
        for s, number in enumerate(accepted[c]):
            p = environment[plan.parameters[c, s]]
            y = fill(y, plan.assign[c, s]) + environment[plan.add[c, s]]
            wanted = [t for t, segment in zip(times, plan.segment[c], strict=True) if segment == s]
            wanted = [*reversed(wanted)]
            while wanted and (number == 0 or wanted[-1] <= plan.start[c, s]):
                saved.append(y)
                wanted.pop()
            for i in range(number):
                t, h = rows[c, row, :2]
                before.append(y)
                k, y0, row = stages(y, p, h), y, row + 1
                y = y0 + jnp.asarray(M) @ k
                while wanted and (i == number - 1 or wanted[-1] <= t + h):
                    theta = min((wanted.pop() - t) / h, 1.0)
                    inner = H[0] + theta * (H[1] + theta * H[2])
                    saved.append(y0 + jnp.asarray(theta * (M + (1 - theta) * inner)) @ k)
            assert not wanted
        result.append(jnp.stack(saved))
    return jnp.stack(result), jnp.stack(before)


@pytest.mark.tier("slow")
@pytest.mark.parametrize("case", [loop_case, pytest.param(hepg2_case, marks=pytest.mark.tier("slow"))])
@pytest.mark.parametrize("few", [False, True])
def test_the_adjoint_is_the_derivative_of_the_steps(case, few: bool) -> None:
    """All outputs by all of the environment: parameters, initial values, doses, constants of protocols."""
    model, plan, values = case()
    settings = Settings(Fused(), rtol=1e-4, atol=1e-6)
    task = _described(model, plan, settings, few, "platform")
    environment = jnp.concatenate([jnp.asarray(values), plan.constants])
    y, status, _, _, accepted, rows, rest, rest_status = (
        np.asarray(a[0])
        for a in jax.jit(lambda v: forward(task, 400, _environment(model, plan, settings, v, None)[None]))(
            jnp.asarray(values)
        )
    )
    assert np.all(status == Status.OK)
    assert accepted.sum(1).max() < 400
    everything = replace(plan, names=tuple(map(str, range(environment.size))), constants=np.zeros(0))
    found = jax.jit(jax.jacrev(lambda e: solve(model, everything, settings, e, small_batch=few).y))(environment)

    def replayed(e):
        return replay(model, plan, e, accepted, rows, rest, rest_status)

    again, before = replayed(environment)
    recorded = np.concatenate([r[:number] for r, number in zip(rows, accepted.sum(1), strict=True)])
    np.testing.assert_allclose(recorded[:, 2 : 2 + len(model.species)], before, rtol=1e-10, atol=1e-13)
    np.testing.assert_allclose(y, again, rtol=1e-10, atol=1e-13)
    expected = np.asarray(jax.jacfwd(lambda e: replayed(e)[0])(environment))
    scaled = np.asarray(environment)
    assert relative(found * scaled, expected * scaled) < 1e-10
    for c in range(len(plan.protocols)):  # and each protocol by itself, the entries at 0 included
        assert relative(found[c], expected[c]) < 1e-10
    error = np.abs(found - expected).max((0, 1, 2)) / np.abs(expected).max((0, 1, 2)).clip(1e-6)
    assert error.max() < 1e-8  # each slot


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
model rest
  species Y = 2, D = 0; Y = y0; a = 0.7; b = 2; y0 = 2; e = 0.4;
  J0: -> Y; a*b; J1: Y -> ; a*Y; J2: -> Y; D; J3: D -> ; e*D;
end
"""


@pytest.mark.tier("check")
@pytest.mark.parametrize("record", [0, 256])
def test_at_rest(record: int) -> None:
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
def test_at_rest_after_equilibration() -> None:
    """The rest that pre-equilibration finds stays, and its ∂/∂b is 1 whatever the time; the dose is at 0."""
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


def test_dose_at_zero() -> None:
    """By way of a power that starts at 0: the limit of small doses."""
    model = network(LOOP)
    protocol = Protocol().set(at=0, R=0.0, Q=0.0).add("R", "dose", at=1.0)
    values = {"n": 1.0, "input": 0.0}

    def y(dose: jax.Array, rtol: float) -> jax.Array:
        settings = Settings(Fused(), rtol=rtol, atol=1e-2 * rtol)
        return simulate(model, {**values, "dose": dose}, protocol, [2.0, 10.0], settings=settings).y[0]

    found = jax.jacrev(y)(0.0, 1e-6)
    h = 1e-4  # and an extrapolated difference, for no dose is negative
    at_0, at_h, at_2h = (y(jnp.asarray(d), 1e-11) for d in (0.0, h, 2 * h))
    expected = (4 * at_h - 3 * at_0 - at_2h) / (2 * h)
    assert relative(np.asarray(found), np.asarray(expected)) < 1e-5
    assert float(jnp.abs(found[:, model.index("X")]).min()) > 1e-3
