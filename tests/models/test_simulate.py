"""Trajectories against closed forms, under every kind of protocol and solver."""

from __future__ import annotations

import subprocess
import sys

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from helpers import slowly
from hexamer import Diffrax
from hexamer.models import (
    Model,
    Protocol,
    Settings,
    Status,
    compile_function,
    compile_network,
    read_antimony,
    simulate,
)

pytestmark = pytest.mark.tier("test")

TIGHT = Settings(rtol=1e-9, atol=1e-11)
SOLVERS = {
    "rodas5p": TIGHT,
    "kvaerno5": Settings(Diffrax(diffrax.Kvaerno5()), rtol=1e-9, atol=1e-11),
    "tsit5": Settings(Diffrax(diffrax.Tsit5()), rtol=1e-9, atol=1e-11),
    "rodas5p, forward": Settings(rtol=1e-9, atol=1e-11, solver=Diffrax(derivative="forward")),
}


@pytest.fixture(scope="module")
def chain() -> Model:
    """A → B → C."""
    text = "model chain\n species A = 2, B = 0, C = 0; a = 0.7; b = 0.2; J0: A -> B; a*A; J1: B -> C; b*B;\nend\n"
    return compile_network(read_antimony(text))


@pytest.fixture(scope="module")
def binding() -> Model:
    """L + R ⇌ LR within one compartment of volume 3."""
    text = """
    model binding
      compartment c = 3; species L in c = 0, R in c = 2, LR in c = 0; kon = 0.5; Kd = 0.8; r = 0.1;
      J0: L + R -> LR; c*kon*(L*R - Kd*LR);
      bound := LR/(R + LR);
    end
    """
    return compile_network(read_antimony(text))


@pytest.fixture(scope="module")
def decay() -> Model:
    """A decays at k, and is made at an input."""
    return compile_function(
        lambda t, y, p: p["input"] - p["k"] * y,
        species=["A"],
        parameters={"k": 0.3, "input": 0.0},
        initial=[0.0],
        name="decay",
    )


TIMES = np.array([0.0, 0.5, 1.0, 3.0, 10.0, 40.0])


@pytest.mark.parametrize("solver", ["rodas5p", *slowly("kvaerno5", "tsit5", "rodas5p, forward")])
def test_linear_chain(chain: Model, solver: str) -> None:
    a, b = jnp.array([0.7, 0.05, 3.0])[:, None], jnp.array([0.2, 1.3, 0.9])[:, None]
    t = TIMES[None, :]
    first = 2 * jnp.exp(-a * t)
    second = 2 * a / (b - a) * (jnp.exp(-a * t) - jnp.exp(-b * t))
    exact = jnp.stack([first, second, 2 - first - second], -1)
    out = simulate(chain, {"a": a[:, 0], "b": b[:, 0]}, Protocol(), TIMES, settings=SOLVERS[solver])
    assert out.y.shape == (3, 1, 6, 3)
    assert np.all(out.status == Status.OK)
    np.testing.assert_allclose(out.y[:, 0], exact, rtol=1e-7, atol=1e-8)


@pytest.mark.tier("check")
def test_binding_equilibrium(binding: Model) -> None:
    """LR = (L + R + Kd − √((L + R + Kd)² − 4 L R))/2, reached from the dose and held by pre-equilibration."""
    ligand, kd = np.array([0.01, 0.3, 1.0, 20.0]), np.array([0.8, 0.1, 5.0, 0.02])
    s = ligand + 2 + kd
    exact = (s - np.sqrt(s**2 - 8 * ligand)) / 2
    protocols = [Protocol("dose").add("L", "ligand"), Protocol.equilibrated("rest", L="ligand")]
    out = simulate(
        binding,
        {"ligand": ligand, "Kd": kd},
        protocols,
        [0.0, 1e3],
        observe=["bound", "L + LR", "1000*LR/kon"],
        settings=TIGHT,
    )
    np.testing.assert_allclose(out.y[:, 0, 1, 2], exact, rtol=1e-8)
    np.testing.assert_allclose(out.y[:, 1, :, 2], np.stack([exact, exact], 1), rtol=1e-8)
    np.testing.assert_allclose(out.observed["bound"][:, 0, 1], exact / 2, rtol=1e-8)
    np.testing.assert_allclose(out.observed["L + LR"], np.broadcast_to(ligand[:, None, None], (4, 2, 2)))
    np.testing.assert_allclose(out.observed["1000*LR/kon"], 2000 * out.y[..., 2])


def exact_decay(t: np.ndarray, k: float, events: list[tuple[float, float, float]]) -> np.ndarray:
    """A(t) for events (time, jump, input from then on); a jump of −∞ is a wash-out."""
    values = []
    for at in t:
        y, made, now = 0.0, 0.0, 0.0
        for time, jump, rate in [*events, (np.inf, 0.0, 0.0)]:
            until = min(time, at)
            y = made / k + (y - made / k) * np.exp(-k * (until - now))
            now = until
            if time > at:
                break
            y, made = (0.0 if jump == -np.inf else y + jump), rate
        values.append(y)
    return np.array(values)


WASH = -np.inf
PROTOCOLS = {
    "nothing": (Protocol("nothing"), []),
    "dose": (Protocol("dose").add("A", 2.0), [(0, 2.0, 0)]),
    "dose later": (Protocol("later").add("A", 2.0, at=3), [(3, 2.0, 0)]),
    "pulse": (Protocol("pulse").pulse("A", 2.0, start=1, stop=10), [(1, 2.0, 0), (10, WASH, 0)]),
    "input": (Protocol("input").set(at=0.5, input=0.4).set(at=3, input=0.0), [(0.5, 0, 0.4), (3, 0, 0)]),
    "several": (
        Protocol("several").add("A", 1.0).set(at=0, input=0.1).add("A", 1.0, at=1).wash_out("A", at=20),
        [(0, 1.0, 0.1), (1, 1.0, 0.1), (20, WASH, 0.1)],
    ),
    "set": (Protocol("set").set(at=2, A=5.0), [(2, WASH, 0), (2, 5.0, 0)]),
    "at the end": (Protocol("end").add("A", 3.0, at=40), [(40, 3.0, 0)]),
    "after the end": (Protocol("after").add("A", 3.0).add("A", 3.0, at=50), [(0, 3.0, 0)]),
    "in steady state": (
        Protocol.equilibrated("rest", input=0.6).add("A", 1.0, at=1),
        [(-1e4, 0, 0.6), (0, 0, 0), (1, 1.0, 0)],
    ),
    "an early start": (Protocol("early", start=-5.0).add("A", 2.0, at=-5), [(-5, 2.0, 0)]),
}


@pytest.mark.tier("slow")
@pytest.mark.parametrize("solver", ["rodas5p", "kvaerno5", "tsit5"])
def test_protocols(decay: Model, solver: str) -> None:
    """All in one call; a measurement at the very time of a step sees it (times 0, 0.5, 1, 3, 10, 40)."""
    out = simulate(decay, {}, [q for q, _ in PROTOCOLS.values()], TIMES, settings=SOLVERS[solver])
    assert np.all(out.status == Status.OK)
    for i, (name, (_, events)) in enumerate(PROTOCOLS.items()):
        first = min([0.0, *(e[0] for e in events)])
        shifted = [(time - first, jump, rate) for time, jump, rate in events]
        exact = exact_decay(TIMES - first, 0.3, shifted)
        np.testing.assert_allclose(out.y[i, :, 0], exact, rtol=1e-7, atol=1e-9, err_msg=name)


@pytest.mark.tier("slow")
def test_a_dose_by_name(decay: Model) -> None:
    """The dose is a parameter like any other, with a derivative: ∂A/∂dose = e^(−kt)."""

    def last(dose, wash):
        protocol = Protocol().add("A", "dose", at=1).set(at=2, input="later")
        return simulate(decay, {"dose": dose, "later": wash}, protocol, [0.5, 4.0], settings=TIGHT).y[0, :, 0]

    def twice(dose, wash):
        y = last(dose, wash)
        return y, y

    slope, y = jax.jit(jax.jacobian(twice, argnums=(0, 1), has_aux=True))(2.0, 0.0)
    np.testing.assert_allclose(y, [0.0, 2 * np.exp(-0.9)], rtol=1e-8)
    np.testing.assert_allclose(slope[0], [0.0, np.exp(-0.9)], rtol=1e-8)
    np.testing.assert_allclose(slope[1], [0.0, (1 - np.exp(-0.6)) / 0.3], rtol=1e-8)


@pytest.mark.tier("slow")
def test_observables_see_the_parameters_of_their_time(decay: Model) -> None:
    protocol = Protocol().set(at=1, input=0.4).set(at=3, input=0.1)
    out = simulate(decay, {}, protocol, TIMES, observe=["input"])
    np.testing.assert_array_equal(out.observed["input"][0], [0, 0, 0.4, 0.1, 0.1, 0.1])


@pytest.mark.tier("check")
def test_initial_values_follow_what_is_set_at_the_start() -> None:
    text = "model m\n species A = 1; A = 2*k; k = 3; J0: A -> ; 0.1*k*A;\nend\n"
    model = compile_network(read_antimony(text))
    protocols = [Protocol("a"), Protocol("b").set(k=5.0), Protocol("c").set(at=1, k=5.0)]
    out = simulate(model, {}, protocols, [0.0])
    np.testing.assert_array_equal(out.y[:, 0, 0], [6.0, 10.0, 6.0])


@pytest.mark.tier("slow")
@pytest.mark.parametrize("solver", ["rodas5p", "tsit5"])
def test_explicit_time(solver: str) -> None:
    """y' = cos(t) p from a plain function: time is a state, across a step too."""
    model = compile_function(
        lambda t, y, p: p["p"] * jnp.cos(t)[None],
        species=["y"],
        parameters={"p": 2.0},
        initial=lambda p: jnp.array([p["p"]]),
        depends_on_time=True,
    )
    assert model.species == ("y", "time")
    out = simulate(model, {}, Protocol().add("y", 1.0, at=2), [0.0, 1.0, 5.0], settings=SOLVERS[solver])
    np.testing.assert_allclose(out.y[0, :, 0], 2 + 2 * np.sin([0, 1, 5]) + [0, 0, 1], rtol=1e-7)
    np.testing.assert_allclose(out.y[0, :, 1], [0, 1, 5], rtol=1e-12)


def test_time_of_a_network() -> None:
    text = "model m\n species A = 1; k = 0.3; J0: A -> ; k*A*time; clock := 2*time;\nend\n"
    model = compile_network(read_antimony(text))
    assert model.rhs_depends_on_time
    out = simulate(model, {}, Protocol(), TIMES[:4], observe=["clock"], settings=TIGHT)
    np.testing.assert_allclose(out.y[0, :, 0], np.exp(-0.15 * TIMES[:4] ** 2), rtol=1e-7)
    np.testing.assert_allclose(out.observed["clock"][0], 2 * TIMES[:4], atol=1e-9)


@pytest.mark.tier("slow")
def test_batches_have_the_shape_of_the_parameters(decay: Model) -> None:
    k = jnp.array([[0.1, 0.2, 0.3], [0.4, 0.5, 0.6]])
    protocols = [Protocol("a").add("A", "dose"), Protocol("b")]
    out = simulate(decay, {"k": k, "dose": 2.0}, protocols, [1.0, 2.0], observe=["A"])
    assert out.y.shape == (2, 3, 2, 2, 1)
    assert out.status.shape == out.steps.shape == out.rejected.shape == (2, 3, 2)
    assert out.observed["A"].shape == (2, 3, 2, 2)
    one = simulate(decay, {"k": 0.5, "dose": 2.0}, protocols, [1.0, 2.0])
    np.testing.assert_allclose(out.y[1, 1], one.y, rtol=1e-12)


@pytest.mark.tier("slow")
def test_without_x64_it_refuses() -> None:
    program = """
import hexamer, jax
from hexamer.models import Protocol, compile_function, simulate
import jax.numpy as jnp
assert jnp.zeros(1).dtype == jnp.float64
model = compile_function(lambda t, y, p: -y, species=["A"], parameters={}, initial=[1.0])
jax.config.update("jax_enable_x64", False)
try:
    simulate(model, {}, Protocol(), [1.0])
except RuntimeError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "jax_enable_x64 is off" in done.stdout


def test_time_is_not_ignored_in_silence() -> None:
    """A function that uses t without saying so would be solved with t = 0 throughout."""
    with pytest.raises(ValueError, match="uses the time t"):
        compile_function(lambda t, y, p: -p["k"] * y * t, species=["A"], parameters={"k": 0.1}, initial=[1.0])


@pytest.mark.tier("check")
def test_time_can_be_observed() -> None:
    model = compile_network(read_antimony("model m\n X = 1; X' = -0.1*X\nend"))
    protocols = [Protocol("a"), Protocol("b")]
    out = simulate(model, {}, protocols, [0.0, 2.0, 4.0], observe=["time*X", "piecewise(1, time > 3, 0)"])
    np.testing.assert_allclose(out.observed["time*X"][1], out.y[1, :, 0] * np.array([0, 2, 4]), rtol=1e-12)
    np.testing.assert_array_equal(out.observed["piecewise(1, time > 3, 0)"], [[0, 0, 1]] * 2)


WRONG_TYPES = """
import hexamer
from hexamer import Protocol, simulate
text = "model m(); species L = 1; k = 1; J: L -> ; k*L; end"
model = hexamer.models.compile_network(hexamer.models.read_antimony(text))
for arguments in (
    ("egf", {}, Protocol()),
    (model, {}, "add L 1"),
    (model, {}, [Protocol(), "add L 1"]),
    (model, {"k": "fast"}, Protocol()),
):
    try:
        simulate(*arguments, [1.0])
    except TypeError as error:
        print(error)
"""


@pytest.mark.tier("slow")
def test_arguments_of_wrong_types() -> None:
    """In a process of its own, where annotations are not checked, as users have it."""
    run = subprocess.run([sys.executable, "-c", WRONG_TYPES], capture_output=True, text=True, check=True)
    said = run.stdout.splitlines()
    assert said[0] == "simulate takes a Model, not 'egf': load_model('egf') makes one"
    assert [line.split(";")[0] for line in said[1:3]] == 2 * [
        "a protocol is a Protocol, such as Protocol().add('L', 1.0), not 'add L 1'"
    ]
    assert said[3] == "the parameter k is 'fast': give a number"
