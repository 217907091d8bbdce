"""Shares of a response by arms of the signalling: closed forms first, then what the model's biology demands."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from hexamer import Model, Protocol
from hexamer.infer import Condition, arm_share, dose_response
from hexamer.infer.doses.hill import CurveStatus
from hexamer.models import compile_network, il6, read_antimony

pytestmark = pytest.mark.tier("test")

TWO_ARMS = """
model arms()
  species L = 0, X = 0;
  on_a = 1; on_b = 1; on_c = 1;
  drive := on_a*L + 2*on_b*L + on_a*on_c*L;
  J: -> X; 5 + drive - X;
end
"""


@pytest.fixture(scope="module")
def arms() -> Model:
    """In steady state X = 5 + L·(a + 2b + ac): shares of 1.5, 2 and 0.5 in 4."""
    return compile_network(read_antimony(TWO_ARMS))


def test_shares_are_shapley_values(arms: Model) -> None:
    closed = {n: {f"on_{n}": 0.0} for n in "abc"}
    found = arm_share(arms, "L", [0.0, 1.0, 3.0], at=60, observe="X", closed=closed, progress=False)
    np.testing.assert_allclose(found["share"].isel(draw=0, condition=0, dose=1), [1.5 / 4, 2 / 4, 0.5 / 4], rtol=1e-5)
    np.testing.assert_allclose(found["alone"].isel(draw=0, condition=0, dose=2), [3, 6, 0], atol=1e-4)
    np.testing.assert_allclose(found["lost"].isel(draw=0, condition=0, dose=2), [6, 6, 3], rtol=1e-5)
    assert np.isnan(found["share"].sel(dose=0.0)).all()
    assert int(found["failed"]) == 0


def test_arms_that_the_model_does_not_have(arms: Model) -> None:
    with pytest.raises(ValueError, match=r"arms does not say what its arms are: say by closed= .* on_a, on_b, on_c"):
        arm_share(arms, "L", [1.0], at=1)
    with pytest.raises(ValueError, match=r"arms has no kon2, kon2m, which would close an arm: say by closed="):
        arm_share(arms, "L", [1.0], at=1, closed={"classic": {"kon2m": 0.0}, "trans": {"kon2": 0.0}})
    with pytest.raises(ValueError, match="at least two arms"):
        arm_share(arms, "L", [1.0], at=1, closed={"a": {"on_a": 0.0}})


@pytest.fixture(scope="module")
def cells() -> Model:
    return il6("il6_stat3", drugs=("tocilizumab", "sgp130Fc"))


@pytest.fixture(scope="module")
def touching() -> Model:
    return il6(["receptor", "stat3"])


ALONE: dict[str, Any] = {"IL6R_0": 0.0}
MORE_ARMS: dict[str, tuple[dict[str, Any], str]] = {
    "parameters": (dict(parameters={"contact": [0.0, 0.5]}), "contact may be above 0: a neighbour presents IL-6"),
    "condition": (
        dict(conditions={"a": {}, "x": {"contact": 0.5, **ALONE}}),
        "contact may be above 0 in condition 'x'",
    ),
    "draws of a condition": (
        dict(parameters={"k_jak": [0.05, 0.06]}, conditions={"x": {"contact": [0.0, 0.1]}}),
        "contact may be above 0 in condition 'x'",
    ),
    "protocol": (dict(conditions={"x": Protocol.equilibrated(contact=0.5)}), "contact may .* in condition 'x'"),
    "step": (dict(conditions={"x": Condition(ALONE, Protocol().set(contact=0.5))}), "contact may .* in condition 'x'"),
    "ligand": (dict(ligand="contact"), "contact may be above 0: "),
    "presented receptor": (dict(conditions={"x": {"IL6R_P": "10 nM"}}), "IL6R_P may be above 0 in condition 'x'"),
    "Hyper-IL-6": (dict(ligand="HyperIL6"), "HyperIL6 may be above 0: it needs neither receptor"),
    "Hyper-IL-6 besides": (dict(conditions={"x": {"HyperIL6": "1 ng/ml"}}), "HyperIL6 may .* in condition 'x'"),
    "no condition": (dict(conditions={}), "conditions is empty"),
    "condition of another kind": (dict(conditions={"x": 3}), "must be a mapping of names"),
}


@pytest.mark.parametrize("case", MORE_ARMS)
def test_arms_beyond_the_two_are_not_passed_over(case: str, touching: Model) -> None:
    changes, words = MORE_ARMS[case]
    arguments: dict[str, Any] = dict(ligand="IL6", doses=[0.5], at=20, progress=False) | changes
    with pytest.raises(ValueError, match=words):
        arm_share(touching, **arguments)


def test_cluster_arm(touching: Model) -> None:
    """With what the error suggests: a cell without IL6R answers to its neighbour; one not in contact has two arms."""
    closed = {"classic": ALONE, "trans": {"kon2": 0.0}, "cluster": {"contact": 0.0}}
    options: dict[str, Any] = dict(at=20, parameters={"contact": 0.5}, progress=False)
    found = arm_share(touching, "IL6", [0.5], closed=closed, conditions={"x": ALONE}, **options)
    np.testing.assert_allclose(found["share"].squeeze(), [0, 0, 1], atol=1e-6)
    apart = arm_share(touching, "IL6", [0.5], conditions={"x": {"contact": 0.0}}, **options)["share"]
    assert apart.squeeze().sel(arm="classic") > 0.95


def test_arms_under_a_protocol(cells: Model) -> None:
    """A condition may be a protocol, as in dose_response."""
    wash = Protocol.equilibrated().wash_out("IL6", at=10)
    both: dict[str, Any] = {"protocol": wash, "condition": Condition({}, wash)}
    found = arm_share(cells, "IL6", [0.5], at=20, conditions=both, progress=False)
    protocol, condition = (found["increment"].sel(condition=c).item() for c in both)
    assert protocol == pytest.approx(condition, rel=1e-9)


CONDITIONS: dict[str, Any] = {"classic": {}, "trans": {"IL6R_0": 0.0, "sIL6R": "100 ng/ml"}}


def test_tocilizumab_and_sgp130fc(cells: Model) -> None:
    """The antibody stops both routes; sgp130Fc the trans route alone (Rose-John 2012; science.md 4 and 5)."""
    amounts = "0, 0.01:100:9 ug/ml"
    options: dict[str, Any] = dict(at=20, conditions=CONDITIONS, progress=False)
    both = {
        drug: dose_response(cells, "IL6", "10 ng/ml", drugs={drug: amounts}, **options).hill(drug)
        for drug in ("tocilizumab", "sgp130Fc")
    }
    for drug, condition in (("tocilizumab", "classic"), ("tocilizumab", "trans"), ("sgp130Fc", "trans")):
        one = both[drug].data.sel(condition=condition).squeeze()
        assert one["kind"] == CurveStatus.OK
        assert 0.01 < both[drug].interval().sel(condition=condition, quantile=0.5).item() < 10
        assert one["emax"] < 0.1 * one["bottom"]
    assert both["sgp130Fc"].data["kind"].sel(condition="classic").item() == CurveStatus.FLAT


def test_which_arm_drives(cells: Model) -> None:
    """Hepatocytes alone signal by the classic route; without IL6R the trans route is all there is; both add to one."""
    found = arm_share(
        cells,
        "IL6",
        [0.1, 0.5],
        at=20,
        conditions={**CONDITIONS, "both": {"sIL6R": "100 ng/ml"}},
        progress=False,
    )["share"].squeeze("draw")
    np.testing.assert_allclose(found.sum("arm"), 1, rtol=1e-9)
    assert float(found.sel(arm="classic", condition="classic").min()) > 0.95
    np.testing.assert_allclose(found.sel(arm="trans", condition="trans"), 1, atol=1e-6)
    assert 0.1 < float(found.sel(arm="trans", condition="both").isel(dose=1)) < 0.9
