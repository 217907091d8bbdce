"""The bundled networks against other codes: libroadrunner (CVODE) from the exported SBML, and scipy's LSODA."""

from __future__ import annotations

from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import roadrunner
from scipy.integrate import solve_ivp

from helpers import slowly
from hexamer.models import Model, Protocol, Settings, Status, load_model, simulate, write_sbml
from hexamer.models.solvers.solver_words import diffrax_by_name

pytestmark = pytest.mark.tier("test")

TIMES = np.array([0.0, 1.0, 5.0, 15.0, 16.0, 40.0, 120.0])
TIGHT = Settings(rtol=1e-9, atol=1e-11)
TOLERANCE = 1e-6  # relative to the largest value of each species
FAR_BACK = -2e4

PROTOCOLS = {
    "il6_stat3": [
        Protocol("untreated"),
        Protocol("dose").add("IL6", 0.48).add("sIL6R", 2.0),
        Protocol.equilibrated("pulse after rest").pulse("IL6", 0.48, start=0, stop=15),
        Protocol.equilibrated("two inputs after rest", k_tl=0.0).add("HyperIL6", 0.2).set(at=15, k_jak=0.0),
    ],
    "hepg2_core": [
        Protocol("untreated"),
        Protocol("input").set(IL6=10.0),
        Protocol.equilibrated("input after rest").set(IL6=10.0).set(at=15, CHX=1.0),
        Protocol.equilibrated("primed", IL6=0.5).set(at=5, IL6=40.0).set(at=16, pR=0.0),
    ],
    "il6_classic": [Protocol("untreated"), Protocol.equilibrated("dose after rest").add("IL6", 0.48)],
    "il6_full": [
        Protocol("untreated"),
        Protocol.equilibrated("dose after rest", contact=0.2).add("IL6", 0.48).add("sIL6R", 2.0).set(at=15, CHX=1.0),
    ],
    "cytokine_release": [
        Protocol("untreated"),
        Protocol("burst").set(at=5, IL6_burst=500.0).add("IL6", 0.1, at=15).set(at=40, IL6_burst=0.0),
    ],
    "il6_stat3+tocilizumab+sgp130Fc+olokizumab+ruxolitinib": [
        Protocol("untreated"),
        Protocol("drugs before the dose")
        .add("tocilizumab", 10.0)
        .add("sgp130Fc", 5.0)
        .add("olokizumab", 5.0)
        .add("ruxolitinib", 50.0)
        .add("IL6", 0.48, at=5)
        .add("sIL6R", 2.0, at=5)
        .add("HyperIL6", 0.2, at=16),
    ],
}
ALL = [(name, q.name) for name, some in PROTOCOLS.items() for q in some]


@cache
def load(name: str) -> Model:
    return load_model(name)


@pytest.fixture(scope="module")
def ours():
    """Every protocol of a network in one call, by its name."""
    done = {}

    def course(name: str, protocol: str) -> np.ndarray:
        if name not in done:
            out = simulate(load(name), {}, PROTOCOLS[name], TIMES, settings=TIGHT)
            assert np.all(out.status == Status.OK)
            done[name] = dict(zip([q.name for q in PROTOCOLS[name]], np.asarray(out.y), strict=True))
        return done[name][protocol]

    return course


def by_name(name: str, protocol: str) -> Protocol:
    return next(q for q in PROTOCOLS[name] if q.name == protocol)


def assert_close(found: np.ndarray, expected: np.ndarray) -> None:
    largest = np.abs(expected).max(0)
    largest = np.where(largest > 1e-9, largest, 1.0)
    assert np.abs((found - expected) / largest).max() < TOLERANCE


class Runner:
    """A protocol carried out by libroadrunner, one output time or step after the other."""

    def __init__(self, model: Model) -> None:
        assert model.network is not None
        self.model = model
        self.runner = roadrunner.RoadRunner(write_sbml(model.network))
        self.runner.integrator.relative_tolerance = 1e-11
        self.runner.integrator.absolute_tolerance = 1e-14
        self.runner.integrator.maximum_num_steps = 1_000_000

    def set(self, values) -> None:
        for name, value in values.items():
            self.runner[f"[{name}]" if name in self.model.species else name] = value

    def state(self) -> np.ndarray:
        return np.array([self.runner[f"[{n}]"] for n in self.model.species])

    def course(self, protocol: Protocol, times: np.ndarray) -> np.ndarray:
        start = protocol.start
        if protocol.preequilibration is not None:
            before = {n: self.runner[n] for n in protocol.preequilibration}
            self.set(protocol.preequilibration)
            self.runner.simulate(FAR_BACK, start, 2)
            self.set(before)
        steps = {s.time: s for s in protocol.steps}
        out, now = {}, start
        for time in sorted({*times, *steps}):
            if time > now:
                self.runner.simulate(now, time, 2)
                now = time
            if time in steps:
                self.set(steps[time].assign)
                for name, amount in steps[time].add.items():
                    self.runner[f"[{name}]"] += amount
            out[time] = self.state()
        return np.array([out[t] for t in times])


@pytest.mark.parametrize(("name", "protocol"), [c if c[0] == "hepg2_core" else slowly(c)[0] for c in ALL])
def test_libroadrunner(ours, name: str, protocol: str) -> None:
    """The exported SBML, run by another code, is our trajectory, doses included."""
    runner = Runner(load(name))
    assert_close(ours(name, protocol), runner.course(by_name(name, protocol), TIMES))


@pytest.mark.tier("slow")
@pytest.mark.parametrize("name", ["il6_stat3", "hepg2_core"])
def test_scipy(ours, name: str) -> None:
    """The same right-hand side, solved by scipy's LSODA from the model's start values."""
    model = load(name)
    rhs, jacobian = jax.jit(model.rhs), jax.jit(model.jacobian)
    p = jnp.asarray(model.defaults)
    solved = solve_ivp(
        lambda t, y: np.asarray(rhs(y, p)),
        (0, TIMES[-1]),
        np.asarray(model.initial(p)),
        method="LSODA",
        jac=lambda t, y: np.asarray(jacobian(y, p)),
        t_eval=TIMES,
        rtol=1e-10,
        atol=1e-12,
    )
    assert_close(ours(name, "untreated"), solved.y.T)


@pytest.mark.tier("slow")
@pytest.mark.parametrize("solver", ["Kvaerno5", "Tsit5", "Dopri8", "Kvaerno4"])
def test_solvers_agree(ours, hepg2_core: Model, solver: str) -> None:
    settings = Settings(diffrax_by_name(solver), rtol=1e-9, atol=1e-11, max_steps=100_000)
    protocols = PROTOCOLS["hepg2_core"]
    out = simulate(hepg2_core, {}, protocols, TIMES, settings=settings)
    for protocol, y in zip(protocols, np.asarray(out.y), strict=True):
        assert_close(y, ours("hepg2_core", protocol.name))
