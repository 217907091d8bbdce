"""One log density: the published fit, its gradient, failures, scales integrated out, and what is refused."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
from scipy import integrate, stats

from hexamer import Model, Problem, Protocol, Status
from hexamer.data import Dataset, Measurement, Parameter, Prior, direct
from hexamer.models import Step, compile_network, read_antimony

pytestmark = pytest.mark.tier("test")


@pytest.mark.optimised
def test_hepg2_at_the_published_fit(shared_data: Path, hepg2: Problem, published_fit: dict[str, float]) -> None:
    result = hepg2.evaluate(published_fit)
    assert not result.failed
    assert result.n == 812
    assert result.nllh == pytest.approx(908.2765, abs=1e-3)
    table = pd.read_csv(shared_data / "hepg2" / "measurements.csv")
    assert list(table["observable"]) == [m.observable for m in hepg2.dataset.measurements]
    logged = (table["observable"] == "SOCS3_mRNA").to_numpy()
    predictions = result.predictions.copy()
    predictions[logged] = 10.0 ** predictions[logged]
    np.testing.assert_allclose(predictions, table["published_model_value"], rtol=1e-4)
    np.testing.assert_allclose(result.standard_deviations, table["published_sd"], rtol=1e-4)


def test_hepg2_scales_integrated_out(hepg2: Problem) -> None:
    # Seventeen qPCR plates; the scale of one is fixed, since it sets the unit of mRNA.
    assert len(hepg2.nuisance) == 16
    assert all(n.startswith("scale_SOCS3_mRNA[") for n in hepg2.nuisance.names)
    assert np.sum(hepg2.nuisance.group >= 0) == 376
    assert hepg2.fixed == {"scale_SOCS3_mRNA[socs3_qpcr_timecourse-13]": 1.0}
    assert len(hepg2.space) == 76


def test_hepg2_the_marginal_is_the_integral_of_the_joint(hepg2: Problem, published_fit: dict[str, float]) -> None:
    """Over one scale by quadrature, all else at the published fit."""
    g = 3
    name, rows = hepg2.nuisance.names[g], hepg2.nuisance.group == g
    at_one = hepg2.evaluate({**published_fit, name: 1.0})
    residual = jnp.asarray(hepg2.measured.value - at_one.predictions)
    sd = jnp.asarray(at_one.standard_deviations)
    marginal = float(hepg2.nuisance.log_density(residual, sd)[g])
    mean, spread = (float(m[g]) for m in hepg2.nuisance.conditional(residual, sd))
    log_s = mean + spread * np.linspace(-7, 7, 57)
    joint = np.array([hepg2.evaluate({**published_fit, name: math.exp(x)}).log_likelihood for x in log_s])
    joint += stats.norm.logpdf(log_s, hepg2.nuisance.location[g], hepg2.nuisance.spread[g])
    integral = joint.max() + math.log(integrate.trapezoid(np.exp(joint - joint.max()), log_s))
    others = stats.norm.logpdf(hepg2.measured.value, at_one.predictions, at_one.standard_deviations)[~rows].sum()
    assert integral - others == pytest.approx(marginal, abs=1e-6)


@pytest.mark.tier("slow")
def test_decay_marginal_is_the_integral_of_the_joint(decay: Callable[..., Problem]) -> None:
    """`marginalise=None` and `()` agree: both scales integrated out, against a grid over both."""
    marginal, joint = decay(), decay(marginalise=())
    assert marginal.nuisance.names == ("scale_1", "scale_2")
    assert len(joint.nuisance) == 0
    assert joint.space.names == (*marginal.space.names, "scale_1", "scale_2")
    # Given the rest, the two are independent: their joint density is a product of the two lines through a point.
    z, grid = jnp.array([0.3, -0.4, 0.6]), np.linspace(-5, 5, 161)
    lines = np.zeros((2, 161, 2))
    lines[0, :, 0] = lines[1, :, 1] = grid
    points = jnp.concatenate([jnp.broadcast_to(z, (322, 3)), jnp.asarray(lines.reshape(-1, 2))], axis=1)
    first, second = np.asarray(jax.jit(jax.vmap(joint.log_density))(points)).reshape(2, 161)
    over_each = [math.log(integrate.trapezoid(np.exp(line), grid)) for line in (first, second)]
    expected = sum(over_each) - first[80]  # both lines hold the point
    assert float(jax.jit(marginal.log_density)(z)) == pytest.approx(expected, abs=1e-6)
    # With one of them integrated out, too.
    one = decay(marginalise=["scale_2"])
    assert one.space.names == (*marginal.space.names, "scale_1")
    density = float(jax.jit(one.log_density)(jnp.append(z, 0.0)))
    assert density == pytest.approx(over_each[1], abs=1e-6)


@pytest.mark.tier("check")
def test_decay_likelihood_in_closed_form(decay: Callable[..., Problem]) -> None:
    """A = a0 exp(−k t): every kind of row with scipy's densities of the value as measured."""
    problem = decay(marginalise=())
    k, a0, noise, scale_1, scale_2 = 0.4, 1.7, 0.25, 1.2, 0.5
    values = {"k": k, "a0": a0, "noise": noise, "scale_1": scale_1, "scale_2": scale_2}
    ln10 = math.log(10.0)
    expected, predictions = 0.0, []
    for m in problem.dataset.measurements:
        a = a0 * math.exp(-k * m.time)
        scale = values[str(m.arguments[0])] if m.arguments else 1.0
        density, prediction = {
            "A_abs": (stats.norm.logpdf(m.value, a, noise), a),
            "mRNA": (stats.norm.logpdf(m.value, math.log10(scale * a), noise), math.log10(scale * a)),
            "gel": (stats.lognorm.logpdf(m.value, noise, scale=scale * a), scale * a),
            "robust": (stats.loglaplace.logpdf(m.value, 1 / (0.2 * ln10), scale=a), a),
            "lone": (stats.lognorm.logpdf(m.value, noise, scale=3 * a), 3 * a),
        }[m.observable]
        expected += float(density)
        predictions.append(prediction)
    result = problem.evaluate(values)
    np.testing.assert_allclose(result.predictions, predictions, rtol=1e-5)
    assert result.log_likelihood == pytest.approx(expected, abs=1e-4)
    z = jnp.asarray(problem.space.unconstrain(values))
    assert float(jax.jit(problem.log_likelihood)(z)) == pytest.approx(result.log_likelihood, abs=1e-9)
    prior = float(problem.space.log_prior(z))
    assert float(jax.jit(problem.log_density)(z)) == pytest.approx(prior + result.log_likelihood, abs=1e-9)


@pytest.mark.tier("slow")
def test_a_failed_simulation_is_minus_infinity_with_zero_gradient(blow_up: Problem) -> None:
    """y = 1/(1 − k): where k ≥ 1 there is nothing to compare."""
    f = jax.jit(jax.value_and_grad(blow_up.log_density))
    value, gradient = f(jnp.array([0.0]))
    assert float(value) == pytest.approx(stats.norm.logpdf(2.0, 2.0, 0.1) + stats.norm.logpdf(0.0), abs=1e-3)
    # ∂/∂z: z is standard (−z = 0) and the residual is 0.
    assert float(gradient[0]) == pytest.approx(0.0, abs=0.1)
    objective = jax.jit(blow_up.objective_unfolded)
    assert int(objective(jnp.array([0.0]))[1]) == Status.OK
    for z in (0.7, 1.5):
        value, gradient = f(jnp.array([z]))
        assert float(value) == -math.inf
        assert float(gradient[0]) == 0.0
        value, status = objective(jnp.array([z]))
        assert float(value) == math.inf
        assert Status(int(status)).label in {"too_many_steps", "step_too_small", "not_finite"}
    batch = jnp.linspace(-1.0, 2.0, 9)[:, None]
    values, gradients = jax.jit(jax.vmap(jax.value_and_grad(blow_up.log_density)))(batch)
    failed = batch[:, 0] > 0.5
    np.testing.assert_array_equal(np.isneginf(values), failed)
    np.testing.assert_array_equal(gradients[failed], 0.0)
    assert np.all(np.isfinite(gradients))
    status = jax.jit(jax.vmap(blow_up.objective_unfolded))(batch)[1]
    np.testing.assert_array_equal(np.asarray(status) != Status.OK, failed)
    values, status = jax.jit(blow_up.objective)(jnp.array([1.5]))
    assert float(values) == math.inf
    assert int(status) != 0
    result = blow_up.evaluate({"k": 1.5})
    assert result.failed
    assert result.nllh == math.inf
    assert np.isnan(result.predictions).all()


@pytest.mark.tier("check")
def test_a_reading_that_does_not_exist_is_a_failure(decay_model: Model) -> None:
    """The simulation is fine, the logarithm of what is read is not."""
    data = Dataset(
        "offset",
        {"y": direct("y", "A - offset", sd=0.1, scale="log")},
        {"rest": Protocol("rest")},
        (Measurement("y", "rest", 1.0, 1.0),),
        {"offset": Parameter("offset", Prior("normal", "lin", 0.0, 1.0))},
    )
    problem = Problem(decay_model, data)
    value, gradient = jax.jit(jax.value_and_grad(problem.log_density))(jnp.array([5.0]))
    assert float(value) == -math.inf
    assert float(gradient[0]) == 0.0
    assert int(problem.objective(jnp.array([5.0]))[1]) == Status.NOT_FINITE
    assert problem.evaluate({"offset": 5.0}).failed == {"not_finite": 1}


# What is refused


def with_observable(data: Dataset, formula: str, **parameters: Parameter) -> Dataset:
    observables = {**data.observables, "extra": direct("extra", formula, sd=1)}
    more = (*data.measurements, Measurement("extra", "rest", 1.0, 1.0))
    return replace(data, observables=observables, measurements=more, parameters={**data.parameters, **parameters})


def test_an_observable_of_something_unknown(decay_model: Model, decay_data: Dataset) -> None:
    with pytest.raises(ValueError, match="observable 'extra' uses pSTAT3, typo: no species, rule or parameter"):
        Problem(decay_model, with_observable(decay_data, "pSTAT3*A + typo"))


def test_a_row_with_a_parameter_that_nobody_gives(decay_model: Model, decay_data: Dataset) -> None:
    parameters = {n: p for n, p in decay_data.parameters.items() if n != "scale_2"}
    with pytest.raises(ValueError, match="parameter 'scale_2', which has neither a prior nor a value"):
        Problem(decay_model, replace(decay_data, parameters=parameters))


def test_a_model_parameter_without_value(decay_model: Model, decay_data: Dataset) -> None:
    parameters = {n: p for n, p in decay_data.parameters.items() if n != "k"}
    unknown = np.array([n == "k" for n in decay_model.parameters])
    bare = replace(decay_model, defaults=np.where(unknown, math.nan, decay_model.defaults))
    with pytest.raises(ValueError, match="decay has no value for k: give one"):
        Problem(bare, replace(decay_data, parameters=parameters))


def test_a_prior_that_nothing_uses(decay_model: Model, decay_data: Dataset) -> None:
    extra = {"unused": Parameter("unused", Prior("normal")), "unused_too": Parameter("unused_too", Prior("normal"))}
    with pytest.raises(ValueError, match="no part of the model or the data uses unused, unused_too"):
        Problem(decay_model, decay_data, extra)
    # One that is held at a value does no harm.
    assert Problem(decay_model, decay_data, {"unused": Parameter("unused", value=1.0)}).fixed == {"unused": 1.0}


def test_a_value_that_has_no_logarithm(decay_model: Model, decay_data: Dataset) -> None:
    rows = [replace(m, value=-1.0) if m.observable in ("gel", "lone") else m for m in decay_data.measurements]
    with pytest.raises(ValueError, match="must be positive: row 5: gel is -1; row 10: lone is -1"):
        Problem(decay_model, replace(decay_data, measurements=tuple(rows)))


def test_evaluate_names_what_it_does_not_know_or_have(decay: Callable[..., Problem]) -> None:
    problem = decay()
    with pytest.raises(ValueError, match="this problem has no parameter other, typo: leave out"):
        problem.evaluate({"k": 1.0, "other": 1.0, "typo": 2.0})
    assert problem.unknown({"k": 1.0, "other": 1.0}) == ("other",)
    bare = decay(priors={"k": Parameter("k", Prior("normal", "log"))})
    with pytest.raises(ValueError, match="no value for k"):
        bare.evaluate()
    assert bare.evaluate({"k": 0.5}).nllh == pytest.approx(problem.evaluate().nllh)


# Initial assignments, protocols and their parameters

ASSIGNED = """model assigned
  compartment c = 1
  species A in c, B in c
  k0 = 0.2; k = 2*k0; total = 3; unused = 1
  A = total; B = 0
  J0: A -> B; c*k*A
end
"""


def assigned_problem(protocols: dict[str, Protocol], *parameters: Parameter, signal: str = "A") -> Problem:
    given = {n for q in protocols.values() for n in q.targets} | {p.name for p in parameters}
    model = compile_network(read_antimony(ASSIGNED), independent=given)
    rows = tuple(Measurement("y", n, 1.0, 1.0) for n in protocols)
    known = {p.name: p for p in parameters}
    return Problem(model, Dataset("d", {"y": direct("y", signal, sd=1)}, protocols, rows, known))


def read(problem: Problem, **values: float) -> list[float]:
    return list(problem.evaluate(values).predictions)


def test_an_estimated_parameter_no_longer_follows_from_its_initial_assignment() -> None:
    rest = {"rest": Protocol("rest")}
    follows = assigned_problem(rest, Parameter("k0", value=0.3))
    assert read(follows) == pytest.approx([3 * math.exp(-0.6)], rel=1e-5)
    given = assigned_problem(rest, Parameter("k", Prior("normal", "log"), 0.7))
    assert read(given) == pytest.approx([3 * math.exp(-0.7)], rel=1e-5)


def test_overrides_at_the_start_enter_initial_assignments() -> None:
    protocols = {
        "total": Protocol("total", steps=(Step(0.0, {"total": 5.0}),)),
        "species": Protocol("species", steps=(Step(0.0, {"A": "a", "total": 5.0}),)),
        "both": Protocol("both", steps=(Step(0.0, {"k0": 0.05, "A": 1.0}),)),
    }
    problem = assigned_problem(protocols, Parameter("a", value=7.0), Parameter("k0", value=0.2))
    expected = [5 * math.exp(-0.4), 7 * math.exp(-0.4), math.exp(-0.1)]
    assert read(problem) == pytest.approx(expected, rel=1e-5)


def test_a_name_overridden_in_one_protocol_alone_must_have_a_value_for_the_others() -> None:
    """The file's own value is not what the model means: that is its initial assignment."""
    protocols = {"rest": Protocol("rest"), "set": Protocol("set", steps=(Step(0.0, {"k": 1.0}),))}
    with pytest.raises(ValueError, match="assigned has no value for k: give one"):
        assigned_problem(protocols)
    problem = assigned_problem(protocols, Parameter("k", value=0.1))
    assert read(problem) == pytest.approx([3 * math.exp(-0.1), 3 * math.exp(-1)], rel=1e-5)


def test_what_protocols_set_and_nothing_uses_is_harmless() -> None:
    protocols = {"p": Protocol("p", steps=(Step(0.0, {"unused": 4.0}),))}
    assert read(assigned_problem(protocols)) == pytest.approx([3 * math.exp(-0.4)], rel=1e-5)


def test_observables_see_the_values_of_the_protocol() -> None:
    """Inputs that only observables use, parameters of the model, and rules, at the time of the measurement."""
    protocols = {
        "a": Protocol("a", steps=(Step(0.0, {"gain": 2.0, "total": 5.0}),)),
        "b": Protocol("b", steps=(Step(0.0, {"gain": "g", "total": 1.0}), Step(0.5, {"total": 8.0}))),
    }
    problem = assigned_problem(protocols, Parameter("g", value=10.0), signal="gain*total + time")
    assert "gain" in problem.model.parameters
    assert read(problem) == pytest.approx([11.0, 81.0])


def test_names_that_are_species_or_nothing_are_harmless_as_independent() -> None:
    network = read_antimony(ASSIGNED)
    plain = compile_network(network)
    other = compile_network(network, independent=["A", "B", "c", "total", "nobody", "J0"])
    assert other.parameters == plain.parameters
    np.testing.assert_array_equal(other.defaults, plain.defaults)
    assert "k" not in plain.parameters
