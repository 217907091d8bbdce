"""Absolute tolerances: a model in any unit of concentration is solved as exactly as in nM.

Today's default was 1e-8 in the model's own unit, so that a model in mol/l was not solved at all.
"""

from __future__ import annotations

import json
import math
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import sympy
from typer.testing import CliRunner

from helpers import BOTH_ENGINES, ENGINES, SOLVERS
from hexamer import Fused
from hexamer.cli import app
from hexamer.models import (
    Network,
    Protocol,
    Quantity,
    Settings,
    Status,
    bundled,
    compile_network,
    load_model,
    load_network,
    read_antimony,
    simulate,
)
from hexamer.models.solvers.accuracy import inexact, stricter, words

pytestmark = pytest.mark.tier("test")

CASES = Path(__file__).parents[1] / "cases"
TIMES = [0.0, 1.0, 15.0, 60.0, 180.0]
_TIERS = {
    ("hepg2_core", "fused"): pytest.mark.tier("test"),
    # One to six minutes each: diffrax compiles long for large networks.
    **{
        (name, "diffrax"): pytest.mark.tier("programs")
        for name in ("il6_full", "cytokine_release", "hepatocyte_core", "hepg2_core")
    },
}
NETWORKS = [
    pytest.param(name, engine, marks=_TIERS.get((name, engine), pytest.mark.tier("slow")))
    for engine in BOTH_ENGINES
    for name in bundled()
]


# ------------------------------------------------------------------------------------------- models in other units


def power_of_amount(network: Network, unit: str) -> float:
    """How many times a declared unit holds the mole."""
    return sum(u.exponent for u in network.units.get(unit, ()) if u.kind == "mole") + (unit == "mole")


def with_starts_as_parameters(network: Network) -> Network:
    """The same network, whose numbers are all parameters, so that one compiled model serves every unit."""
    numbers = {n: s for n, s in network.species.items() if s.initial.is_number and float(s.initial) != 0}
    own = {f"start_of_{n}": Quantity(float(s.initial), "mole") for n, s in numbers.items()}
    species = {n: replace(s, initial=sympy.Symbol(f"start_of_{n}")) for n, s in numbers.items()}
    return replace(network, species={**network.species, **species}, parameters={**network.parameters, **own})


class Found(NamedTuple):
    """A course in the model's first units, its steps, and d(sum of the course)/d(log parameter)."""

    y: np.ndarray
    steps: np.ndarray
    gradient: np.ndarray


@cache
def compiled(name: str, engine: str):
    """A function of a factor and a relative tolerance: the network where the unit of amount is 1/factor as large."""
    network = with_starts_as_parameters(load_network(name))
    model = compile_network(network)
    protocol = Protocol.equilibrated("p")
    defaults = {n: 1.0 if np.isnan(v) else v for n, v in zip(model.parameters, model.defaults, strict=True)}
    units = {n: power_of_amount(network, q.unit) for n, q in network.parameters.items()}
    if "IL6" in model.species:
        protocol, defaults["dose"], units["dose"] = protocol.add("IL6", "dose"), 0.5, 1.0
    else:  # in ng/ml, which the amount's unit does not change
        protocol = protocol.set(IL6=10.0)
    assert set(units.values()) <= {-1.0, 0.0, 1.0}
    moved = [n for n, v in defaults.items() if v > 0]

    def course(theta: jax.Array, factor: jax.Array, rtol: jax.Array):
        times = {-1.0: 1 / factor, 0.0: 1.0, 1.0: factor}
        given = {n: v * times[units.get(n, 0.0)] for n, v in defaults.items()}
        given |= {n: given[n] * jnp.exp(t) for n, t in zip(moved, theta, strict=True)}
        settings = Settings(SOLVERS[engine], max_steps=10_000)
        out = simulate(model, given, protocol, TIMES, rtol=rtol, settings=settings)
        return jnp.sum(out.y / factor), (out.y / factor, out.steps, out.status)

    return jax.jit(lambda factor, rtol: jax.grad(course, has_aux=True)(jnp.zeros(len(moved)), factor, rtol))


def solved(name: str, engine: str, factor: float, *, rtol: float = 1e-6) -> Found:
    gradient, (y, steps, status) = compiled(name, engine)(factor, rtol)
    np.testing.assert_array_equal(status, Status.OK)
    return Found(np.asarray(y), np.asarray(steps), np.asarray(gradient))


def distance(a: np.ndarray, b: np.ndarray, axes: tuple[int, ...]) -> float:
    """The largest difference, relative to the largest value over `axes`.

    Of a complex whose parts are not there, the steady state is rounding of others (1e-33 beside 1e3), and not compared.
    """
    size = np.max(np.abs(b), axis=axes, keepdims=True)
    return float(np.max(np.where(size > 1e-25 * np.max(size), np.abs(a - b) / np.where(size > 0, size, 1.0), 0.0)))


def test_every_parameter_of_the_bundled_networks_has_a_unit() -> None:
    """Else it could not be said how it is rescaled."""
    without = {name: [n for n, q in load_network(name).parameters.items() if not q.unit] for name in bundled()}
    assert not any(without.values()), without


@pytest.mark.parametrize(("name", "engine"), NETWORKS)
def test_a_power_of_two_changes_nothing(name: str, engine: str) -> None:
    plain, small = solved(name, engine, 1.0), solved(name, engine, 2.0**-30)
    np.testing.assert_array_equal(small.steps, plain.steps)
    assert distance(small.y, plain.y, (0, 1)) < 1e-12
    largest = np.max(np.abs(plain.gradient))
    np.testing.assert_allclose(small.gradient, plain.gradient, rtol=1e-12, atol=1e-14 * largest)  # each part of it


@pytest.mark.parametrize(("name", "engine"), NETWORKS)
def test_nano_changes_less_than_the_tolerance(name: str, engine: str) -> None:
    plain, small = solved(name, engine, 1.0, rtol=1e-9), solved(name, engine, 1e-9, rtol=1e-9)
    assert distance(small.y, plain.y, (0, 1)) < 1e-6
    assert distance(small.gradient, plain.gradient, (0,)) < 1e-6


# ---------------------------------------------------------------------------------------------------- closed forms


@pytest.mark.parametrize("engine", ENGINES)
def test_moles_per_litre(engine: str) -> None:
    folder = CASES / "moles-per-litre"
    expected = json.loads((folder / "expected.json").read_text())
    for unit, factor in (("M", 1e-9), ("nM", 1.0)):
        binding = expected[f"binding_{unit}"]
        model = load_model(folder / f"binding_{unit}.ant")
        out = simulate(model, {}, Protocol(), binding["times"], solver=SOLVERS[engine])
        for name in ("C", "P"):
            np.testing.assert_allclose(out.y[0, :, model.index(name)], binding[name], rtol=1e-5, atol=1e-12 * factor)
        steady = expected[f"turnover_at_rest_{unit}"]
        model = load_model(folder / f"turnover_{unit}.ant")
        out = simulate(model, {}, Protocol.equilibrated(), [0.0, 1e4], solver=SOLVERS[engine])
        for name, value in steady.items():
            np.testing.assert_allclose(out.y[0, :, model.index(name)], value, rtol=1e-9)


@pytest.mark.parametrize("engine", ENGINES)
def test_growth_from_far_below(engine: str) -> None:
    folder = CASES / "tiny-concentrations"
    expected = json.loads((folder / "expected.json").read_text())
    out = simulate(load_model(folder / "model.ant"), {}, Protocol(), expected["times"], solver=SOLVERS[engine])
    np.testing.assert_allclose(out.y[0, :, 0], expected["I"], rtol=1e-4)


def test_a_number_of_the_users_own_means_what_it_says() -> None:
    """In the model's units, for all species, as before: the course of P is then not solved, and the check says so."""
    folder = CASES / "moles-per-litre"
    model = load_model(folder / "binding_M.ant")
    settings = Settings(Fused(), atol=1e-8)
    times = json.loads((folder / "expected.json").read_text())["binding_M"]["times"]
    y, strict = (
        np.asarray(simulate(model, {}, Protocol(), times, settings=s).y) for s in (settings, stricter(settings))
    )
    given = simulate(model, {}, Protocol(), times, atol=1e-8, solver=Fused())
    np.testing.assert_array_equal(given.y, y)
    found = inexact(model, y, strict)
    assert found["P"] > 2e-3
    assert "P by" in words(found, settings)[0]


REBOUND = """
model rebound
  species V = 1, drug = 0; r = 1; k = 3;
  -> V; r*V; V -> ; k*drug*V;
end
"""


def test_a_fall_far_below_the_start_is_followed() -> None:
    """By four decades, and up again: 1e-2 does not see it, and the scale of the start does."""
    model = compile_network(read_antimony(REBOUND))
    protocol = Protocol().set(drug=1.0).set(at=5.0, drug=0.0)
    settings = (Settings(Fused(), atol=1e-2), Settings(Fused()))
    coarse, default = (np.asarray(simulate(model, {}, protocol, [30.0], settings=s).y) for s in settings)
    np.testing.assert_allclose(default[0, 0, 0], np.exp(30.0 - 3 * 5.0), rtol=1e-4)
    assert "V" in inexact(model, coarse, default)


@pytest.mark.parametrize(("end", "atol"), [(5, ["--atol", "1e-2"]), (40, [])])
def test_what_no_floor_sees_is_named_on_the_command_line(tmp_path: Path, end: int, atol: list[str]) -> None:
    """A virus is cut down by 4 or by 35 decades, and grows again; the latter's floor would cost every other model."""
    (tmp_path / "rebound.ant").write_text(REBOUND)
    command = ["simulate", str(tmp_path / "rebound.ant"), "--out", str(tmp_path / "out.csv"), "--times", "0:100:50"]
    command += ["--protocol", f"set drug 1; set drug 0 at {end}", *atol, "--engine", "fused"]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.output
    assert "warning: The solver is not exact enough at rtol 1e-06" in done.stderr
    assert "V by" in done.stderr


@pytest.mark.parametrize("command", ["fit", "map", "evaluate", "simulate", "dose-response"])
def test_every_command_has_both_tolerances(command: str) -> None:
    said = CliRunner().invoke(app, [command, "--help"], env={"COLUMNS": "200"}).output
    assert "--rtol" in said
    assert "--atol" in said


def test_draws_far_from_the_nominal_values() -> None:
    """Regression: where the steps that look ahead go astray, the scale was as large as they, and all errors passed."""
    model = load_model("hepg2_core")
    free = [n for n, v in zip(model.parameters, model.defaults, strict=True) if v > 0]
    centre = np.log(model.defaults[model.defaults > 0])
    draws = np.exp(centre + 0.6 * np.random.default_rng(3).normal(size=(64, len(centre))))
    values = dict(zip(free, draws.T, strict=True))
    protocols = [Protocol.equilibrated().set(IL6=10.0), Protocol().set(IL6=10.0)]
    strict = Settings(Fused(), rtol=1e-9, atol=1e-11, max_steps=100_000)
    found, right = (
        simulate(model, values, protocols, [5.0, 20.0, 90.0], settings=settings)
        for settings in (Settings(Fused()), strict)
    )
    solved = np.asarray(right.status) == Status.OK
    assert np.mean(solved) > 0.9
    np.testing.assert_array_equal(found.status, right.status)
    y, exact = np.asarray(found.y)[solved], np.asarray(right.y)[solved]
    largest = np.max(np.abs(exact), axis=1, keepdims=True)
    np.testing.assert_array_less(np.abs(y - exact) + 0 * largest, 1e-5 * (largest + 1e-5) + 0 * y)


# All start at 0 or are switched on late: body, time, species, its value.
LATE = {
    "a smooth step": ("x = 0; x' = 1/(1 + exp(-10*(time - 100))) - x", 110, "x", 0.9999538440515676),
    "a smooth pulse": ("x = 0; x' = 10*exp(-((time - 5)/0.1)^2) - 0.1*x", 10, "x", math.pi**0.5 * math.exp(-0.499975)),
    "a condition on another": (
        "x = 3; y = 0; x' = -0.3*x; y' = piecewise(1, x < 1.1, 0) - 0.1*y",
        8,
        "y",
        10 * (1 - math.exp(-0.1 * (8 - math.log(3 / 1.1) / 0.3))),
    ),
    "a condition on a clock": (
        "tau = 0; x = 0; tau' = 1; x' = piecewise(1, tau > 3, 0) - 0.3*x",
        8,
        "x",
        (1 - math.exp(-1.5)) / 0.3,
    ),
}


@pytest.mark.tier("slow")
@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", LATE)
def test_what_comes_late_is_solved_at_the_defaults(name: str, engine: str) -> None:
    """Its rate is nothing at the start, so that nothing says how large it becomes; no step is spent on that."""
    body, time, species, right = LATE[name]
    model = compile_network(read_antimony(f"model m\n{body}\nend"))
    for rtol in (1e-6, 1e-8):
        out = simulate(model, {}, Protocol(), [float(time)], settings=Settings(SOLVERS[engine], rtol=rtol))
        assert out.status[0] == Status.OK
        assert int(out.steps[0]) < 500
        np.testing.assert_allclose(out.y[0, 0, model.index(species)], right, rtol=10 * rtol)
