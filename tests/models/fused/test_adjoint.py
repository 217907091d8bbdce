"""The fused engine's adjoint is the derivative of the very steps taken."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from helpers import network
from hexamer import Fused
from hexamer.models import Model, Protocol, Settings, Status, load_model, simulate
from hexamer.models.compiled.plan import UNCHANGED, Plan, compile_plan
from hexamer.models.solvers.fused.cpu import forward
from hexamer.models.solvers.fused.engine import _described, _environment, solve
from hexamer.models.solvers.reference.rodas5p import GAMMA, A, C, H, M
from support.fused import relative

pytestmark = pytest.mark.tier("test")

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


def stages_of(model: Model):
    """The stages of a step of size h from y: k of Rodas5P, stages × species."""

    @jax.jit
    def stages(y, p, h):
        w = jnp.eye(y.size) / (GAMMA * h) - jax.jacfwd(model.rhs)(y, p)
        k: list[jax.Array] = []
        for i in range(8):
            inside = y + sum((A[i, j] * k[j] for j in range(i)), jnp.zeros_like(y))
            right = model.rhs(inside, p) + sum((C[i, j] / h * k[j] for j in range(i)), jnp.zeros_like(y))
            k.append(jnp.linalg.solve(w, right))
        return jnp.stack(k)

    return stages


def steady_state_of(model: Model):
    """The derivative of the steady state by one Newton step from it, whose matrix is a number."""

    @jax.jit
    def steady(y, start, p):
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

    return steady


class Steps(NamedTuple):
    """What the engine recorded: steps per segment of each course, (t, h, ...) of each step, steady states."""

    accepted: np.ndarray
    rows: np.ndarray
    steady: np.ndarray
    steady_status: np.ndarray


def fill(y, index, environment):
    return jnp.where(index == UNCHANGED, y, environment[index])


def starts(model: Model, plan: Plan, environment, steps: Steps) -> list[jax.Array]:
    """y of each course before its first segment."""
    steady = steady_state_of(model)

    def start(c: int) -> jax.Array:
        e = plan.equilibration_of[c]
        if e < 0:
            return model.initial(environment[plan.parameters[c, 0]])
        assert steps.steady_status[e] == Status.OK
        p = environment[plan.equilibration_parameters[e]]
        return steady(steps.steady[e, 0], fill(model.initial(p), plan.equilibration_set[e], environment), p)

    return [start(c) for c in range(len(plan.times))]


def interpolated(y0, k, theta):
    """y within a step, at the share theta of it."""
    inner = H[0] + theta * (H[1] + theta * H[2])
    return y0 + jnp.asarray(theta * (M + (1 - theta) * inner)) @ k


def replay(model: Model, plan: Plan, environment, steps: Steps):
    """y at every output and before every step, through the recorded steps; step sizes are numbers."""
    stages = stages_of(model)
    result, before = [], []
    for c, (times, y) in enumerate(zip(plan.times, starts(model, plan, environment, steps), strict=True)):
        row, saved = 0, []
        for s, number in enumerate(steps.accepted[c]):
            p = environment[plan.parameters[c, s]]
            y = fill(y, plan.assign[c, s], environment) + environment[plan.add[c, s]]
            wanted = [t for t, segment in zip(times, plan.segment[c], strict=True) if segment == s]
            wanted = [*reversed(wanted)]
            while wanted and (number == 0 or wanted[-1] <= plan.start[c, s]):
                saved.append(y)
                wanted.pop()
            for i in range(number):
                t, h = steps.rows[c, row, :2]
                before.append(y)
                k, y0, row = stages(y, p, h), y, row + 1
                y = y0 + jnp.asarray(M) @ k
                while wanted and (i == number - 1 or wanted[-1] <= t + h):
                    saved.append(interpolated(y0, k, min((wanted.pop() - t) / h, 1.0)))
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
    y, status, _, _, accepted, rows, steady, steady_status = (
        np.asarray(a[0])
        for a in jax.jit(lambda v: forward(task, 400, _environment(model, plan, settings, v, None)[None]))(
            jnp.asarray(values)
        )
    )
    assert np.all(status == Status.OK)
    assert accepted.sum(1).max() < 400
    everything = replace(plan, names=tuple(map(str, range(environment.size))), constants=np.zeros(0))
    found = np.asarray(
        jax.jit(jax.jacrev(lambda e: solve(model, everything, settings, e, small_batch=few).y))(environment)
    )

    def replayed(e):
        return replay(model, plan, e, Steps(accepted, rows, steady, steady_status))

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
