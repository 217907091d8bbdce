"""The published hepatocyte model: its equations, its units, its own numbers, and the same run by libroadrunner."""

from __future__ import annotations

import re

import jax
import jax.numpy as jnp
import libsbml
import numpy as np
import pytest
import roadrunner

from hexamer import Fused
from hexamer.models import Model, Network, Protocol, Settings, Status, load_model, load_network, simulate, write_sbml

pytestmark = pytest.mark.tier("test")

VC, VN = 12.67, 0.5  # pl
FINE = Settings(Fused(), rtol=1e-9, atol=1e-12)
REST = Protocol.equilibrated
DOSES = np.geomspace(0.1, 1e4, 41)  # ng/ml
TIMES = np.arange(0.0, 121.0, 0.5)
PROTOCOLS = {
    "rest": REST(),
    "start values": Protocol(),
    "IL6": REST().set(IL6=40.0),
    "pulse": REST().set(IL6=40.0).set(at=20, IL6=0.0),
    "ActD": REST().set(IL6=80.0, ActD=1.0),
    "Rux": Protocol("Rux", {}, start=-60).set(at=-60, Rux=500.0).set(IL6=40.0),
    "Stat": Protocol("Stat", {}, start=-60).set(at=-60, Stat=60.0).set(IL6=40.0),
    "IL6 20": REST().set(IL6=20.0),
}
RUX = (0.0, 10.0, 50.0, 166.0, 500.0, 5000.0)  # nM


@pytest.fixture(scope="module")
def network() -> Network:
    return load_network("hepatocyte_core")


@pytest.fixture(scope="module")
def model() -> Model:
    return load_model("hepatocyte_core")


@pytest.fixture(scope="module")
def courses(model: Model) -> dict[str, np.ndarray]:
    """Species by time of every protocol and dose, in one batch."""
    protocols = dict(PROTOCOLS)
    protocols |= {f"dose {i}": REST().set(IL6=float(d)) for i, d in enumerate(DOSES)}
    protocols |= {f"Rux {r:g}": REST().set(IL6=40.0, Rux=r) for r in RUX}
    out = simulate(model, {}, list(protocols.values()), TIMES, settings=FINE)
    assert np.all(out.status == Status.OK)
    return dict(zip(protocols, np.asarray(out.y), strict=True))


@pytest.fixture(scope="module")
def course(model: Model, courses: dict[str, np.ndarray]):
    return lambda protocol, species: courses[protocol][:, model.species.index(species)]


def published(y: dict, p: dict) -> dict:
    """The equations as they are published, in concentrations."""
    jak = 1 + p["jak1_inh_ruxolitinib"] * y["Rux"]
    act, g = (p["jak1_act_basal"] + p["jak1_act_il6"] * p["IL6"]) / jak, p["gp130_act_jak1"] / jak
    lost = p["gp130_deg"] + p["jak1_gp130_dea"] + p["socs3_assoc"] * y["X"]
    u = p["stat3_act_gp130"] * y["S"] * y["ppR"]
    u /= (1 + p["stat3_inh_socs3"] * y["X"]) * (1 + p["stat3_inh_stattic"] * p["Stat"])
    w = p["stat3_imp"] * (1 + p["f_pstat3_imp"]) * y["pS"]
    on, delay, bound = 1 - p["ActD"], p["socs3rna_delay"], p["socs3_assoc"] * y["X"]
    d = {
        "Rux": -p["rux_degrade"] * y["Rux"],
        "R": p["gp130_pro"] * on - (p["gp130_deg"] + act + bound) * y["R"] + p["jak1_gp130_dea"] * (y["pR"] + y["ppR"]),
        "pR": act * y["R"] - (g + lost) * y["pR"],
        "ppR": g * y["pR"] - lost * y["ppR"],
        "S": -u - p["stat3_imp"] * y["S"] + p["stat3_exp"] * y["nS"] * VN / VC,
        "pS": u - w,
        "nS": (p["stat3_imp"] * y["S"] + w) * VC / VN - p["stat3_exp"] * y["nS"],
        "m1": p["socs3rna_pro"] * on * (w * VC / VN) ** p["socs3rna_hill"] - delay * y["m1"],
        "m": delay * y["m5"] * VN / VC - p["socs3rna_des"] * y["m"],
        "X": p["socs3_pro"] * y["m"] - p["socs3_des"] * y["X"] - bound * (y["R"] + y["pR"] + y["ppR"]),
    }
    return d | {f"m{i}": delay * (y[f"m{i - 1}"] - y[f"m{i}"]) for i in range(2, 6)}


def test_it_is_the_published_model_equation_by_equation(model: Model) -> None:
    rng = np.random.default_rng(3)
    for _ in range(5):
        p = dict(zip(model.parameters, model.defaults * rng.lognormal(0, 0.5, model.defaults.size), strict=True))
        # The compartments and the unit of the flux are no parameters of the published model.
        p |= {"cytosol": VC, "nucleus": VN, "one_nM_per_min": 1.0}
        p |= {"IL6": rng.uniform(0, 50), "ActD": rng.uniform(0, 1), "Stat": rng.uniform(0, 60)}
        y = {n: rng.lognormal() for n in model.species}
        found = model.rhs(jnp.array(list(y.values())), jnp.array([p[n] for n in model.parameters]))
        expected = published(y, p)
        assert set(expected) == set(model.species)
        np.testing.assert_allclose(found, [expected[n] for n in model.species], rtol=1e-11, atol=1e-12)


def complaints(network: Network) -> list[str]:
    """What libsbml finds in the exported SBML, every warning included, where bare numbers are dimensionless."""
    text = re.sub(r"<cn\b", '<cn sbml:units="dimensionless"', write_sbml(network))
    text = re.sub(r'<math xmlns="[^"]*"', r'\g<0> xmlns:sbml="http://www.sbml.org/sbml/level3/version1/core"', text)
    document = libsbml.readSBMLFromString(text)
    assert (document.getLevel(), document.getVersion()) == (3, 1)
    document.setConsistencyChecks(libsbml.LIBSBML_CAT_UNITS_CONSISTENCY, True)
    document.checkConsistency()
    return [document.getError(i).getMessage() for i in range(document.getNumErrors())]


def test_every_symbol_has_a_unit_and_the_units_agree(network: Network) -> None:
    assert complaints(network) == []


@pytest.mark.parametrize("name", ["gp130_deg", "jak1_inh_ruxolitinib", "stat3_inh_stattic", "one_nM_per_min"])
def test_a_wrong_unit_is_found(network: Network, name: str) -> None:
    parameters = dict(network.parameters)
    parameters[name] = type(parameters[name])(parameters[name].value, "per_nM_min")
    wrong = Network(**{**vars(network), "parameters": parameters})
    assert any(name in message for message in complaints(wrong))


def test_without_il6_it_rests(model: Model, courses) -> None:
    rest = courses["rest"]
    np.testing.assert_allclose(rest, np.broadcast_to(rest[0], rest.shape), rtol=1e-6, atol=1e-12)
    slope = np.asarray(model.rhs(jnp.asarray(rest[0]), jnp.asarray(model.defaults)))
    assert np.abs(slope).max() < 1e-6
    # Nothing is inhibited, so every reaction but ruxolitinib's loss runs: no state of it is empty.
    assert np.all((rest[0] > 0) == (np.array(model.species) != "Rux"))


def test_stat3_is_the_one_moiety_and_is_conserved(model: Model, courses) -> None:
    (row,) = model.moieties  # in amounts
    assert {n: w for n, w in zip(model.species, row, strict=True) if w} == {"S": 1, "pS": 1, "nS": 1}
    total = VN * model.defaults[model.parameters.index("total_STAT3")]
    for name, y in courses.items():
        S, pS, nS = (y[:, model.species.index(n)] for n in ("S", "pS", "nS"))
        np.testing.assert_allclose(VC * (S + pS) + VN * nS, total, rtol=1e-8, err_msg=name)


@pytest.mark.parametrize("protocol", ["IL6", "IL6 20"])
def test_pstat3_peaks_at_15_to_22_minutes(course, protocol: str) -> None:
    """Published course of pSTAT3 under constant IL-6 (Sobotta et al. 2017); by 120 min it has fallen far."""
    pS = course(protocol, "pS")
    assert 15 <= TIMES[pS.argmax()] <= 22
    assert pS[-1] < 0.5 * pS.max()


def test_half_of_the_response_is_at_11_ng_per_ml(course) -> None:
    """Dose response of pSTAT3 at 20 min, where most doses were measured (Sobotta et al. 2017)."""
    at_20 = np.array([course(f"dose {i}", "pS")[TIMES == 20.0][0] for i in range(len(DOSES))])
    assert np.all(np.diff(at_20[DOSES < 200]) > 0)
    half = 0.5 * at_20.max()
    above = np.argmax(at_20 > half)
    ec50 = np.exp(np.interp(half, at_20[above - 1 : above + 1], np.log(DOSES[above - 1 : above + 1])))
    assert ec50 == pytest.approx(11.0, rel=0.1)


def test_socs3_follows_pstat3_and_takes_the_receptor_down(course) -> None:
    peaks = [TIMES[course("IL6", n).argmax()] for n in ("ppR", "pS", "m", "X")]
    assert peaks[1] < peaks[2] < peaks[3]
    with_socs3, without = (sum(course(q, n)[TIMES == 60] for n in ("R", "pR", "ppR")) for q in ("IL6", "ActD"))
    assert with_socs3 < 0.5 * without


def test_ruxolitinib_decays_and_inhibits_monotonically(model: Model, course) -> None:
    rate = model.defaults[model.parameters.index("rux_degrade")]
    np.testing.assert_allclose(course("Rux", "Rux"), 500 * np.exp(-rate * (TIMES + 60)), rtol=1e-7)
    peaks = [course(f"Rux {r:g}", "pS").max() for r in RUX]
    assert np.all(np.diff(peaks) < 0)
    assert peaks[-1] < 0.1 * peaks[0]


def test_actinomycin_leaves_only_what_was_transcribed(model: Model, course) -> None:
    rate = model.defaults[model.parameters.index("socs3rna_delay")]
    m1 = course("ActD", "m1")
    np.testing.assert_allclose(m1, m1[0] * np.exp(-rate * TIMES), rtol=1e-5, atol=1e-11)
    # The receptor, which binds SOCS3, is no longer made either: SOCS3 rises by that little, and then goes.
    X = course("ActD", "X")
    assert X.max() < 1.001 * X[0]
    assert X[-1] < 1e-6 * X[0]


def test_stattic_holds_stat3_back_and_spares_the_receptor(course) -> None:
    assert course("Stat", "pS").max() < 0.5 * course("IL6", "pS").max()
    assert course("Stat", "ppR").max() > 0.95 * course("IL6", "ppR").max()


@pytest.mark.parametrize("name", PROTOCOLS)
def test_libroadrunner(network: Network, model: Model, courses, name: str) -> None:
    """The exported SBML, run by another code, is our trajectory, resting state and inhibitors included."""
    protocol, runner = PROTOCOLS[name], roadrunner.RoadRunner(write_sbml(network))
    runner.integrator.relative_tolerance = 1e-11
    runner.integrator.absolute_tolerance = 1e-15
    runner.integrator.maximum_num_steps = 1_000_000
    if protocol.preequilibration is not None:
        runner.simulate(-2e4, 0, 2)
    steps = {s.time: s.assign for s in protocol.steps}
    now, found = protocol.start, {}
    wanted = TIMES[::20]
    for time in sorted({*wanted, *steps}):
        if time > now:
            runner.simulate(now - protocol.start, time - protocol.start, 2)
            now = time
        for symbol, value in steps.get(time, {}).items():
            runner[f"[{symbol}]" if symbol in model.species else symbol] = value
        found[time] = np.array([runner[f"[{n}]"] for n in model.species])
    expected, ours = np.array([found[t] for t in wanted]), courses[name][::20]
    largest = np.maximum(np.abs(expected).max(0), 1e-9)
    assert np.abs((ours - expected) / largest).max() < 1e-6


def test_the_gradient_through_powers_at_zero(model: Model) -> None:
    """Message starts from (pS flux)^1.7 at 0; the fused adjoint still is the central difference."""
    names = ("socs3rna_hill", "stat3_imp", "jak1_act_il6", "total_STAT3", "socs3_assoc", "jak1_inh_ruxolitinib")
    start = np.array([model.defaults[model.parameters.index(n)] for n in names])
    protocols = [PROTOCOLS["IL6"], PROTOCOLS["Rux"], Protocol("from zero").set(IL6=20.0)]
    settings = Settings(Fused(), rtol=1e-10, atol=1e-14, max_steps=20_000)

    @jax.jit
    def f(factors):
        values = {n: start[i] * factors[i] for i, n in enumerate(names)}
        out = simulate(model, values, protocols, [20.0, 60.0], settings=settings)
        return jnp.sum(jnp.log(out.y[:, :, jnp.array([model.species.index(n) for n in ("pS", "m", "X", "R")])]))

    gradient, h = jax.grad(f)(jnp.ones(len(names))), 1e-4
    for i, e in enumerate(np.eye(len(names))):
        assert float(f(1 + h * e) - f(1 - h * e)) / (2 * h) == pytest.approx(float(gradient[i]), rel=1e-5, abs=1e-6)
