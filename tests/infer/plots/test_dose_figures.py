"""Figures of dose responses: curves, labels with EC50 and IC50, surfaces of two drugs, shares of arms."""

from typing import Any

import numpy as np
import pytest

from hexamer.infer import arm_share, combination, dose_response, plots
from hexamer.infer.reports.dose_response import report_doses
from hexamer.models import Model, compile_network, read_antimony
from support.figures import legend, rendered, y_of

pytestmark = pytest.mark.tier("test")


@pytest.fixture(scope="module")
def two_arms() -> Model:
    """X = 1 + size · (on_a · L/(1 + L)/(1 + a)/(1 + b) + on_b · L/2/(3 + L)) in steady state, reached by 60 min."""
    text = """
    model arms
      species L = 0, X = 1; a = 0; b = 0; on_a = 1; on_b = 1; size = 1;
      drive := size*(on_a*L/(1 + L)/((1 + a)*(1 + b)) + on_b*0.5*L/(3 + L));
      J: -> X; 1 + drive - X;
    end
    """
    return compile_network(read_antimony(text))


SIZES = np.linspace(0.8, 1.2, 5)
DOSES = np.append(0.0, np.geomspace(0.01, 100, 8))
STEADY: dict[str, Any] = {"at": 60.0, "observe": "X", "parameters": {"size": SIZES}, "progress": False}


def test_dose_response(two_arms, tmp_path):
    conditions = {"all": {}, "one arm": {"on_b": 0.0}, "none": {"on_a": 0.0, "on_b": 0.0}}
    result = dose_response(two_arms, "L", DOSES, conditions=conditions, **STEADY)
    figure = plots.dose_response(result)
    (ax,) = figure.axes
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("L [nM]", "X at 60 min")
    labels = legend(ax)
    assert labels[1] == "one arm: EC50 1 nM"
    assert labels[2] == "none: no effect"
    assert len(ax.collections) == 3
    medians = [line for line in ax.lines if line.get_label() in labels]
    np.testing.assert_allclose(y_of(medians[1]), 1 + DOSES / (1 + DOSES), rtol=1e-4)
    assert ax.get_xticklabels()[0].get_text() == "0"
    rendered(figure, tmp_path)
    with pytest.raises(ValueError, match="unknown conditions nothing; known: all, one arm, none"):
        plots.dose_response(result, conditions=["nothing"])
    courses = dose_response(two_arms, "L", [1.0], **(STEADY | {"at": None, "times": [1.0, 2.0]}))
    with pytest.raises(ValueError, match="courses over time"):
        plots.dose_response(courses)


def test_dose_response_beside_a_drug(two_arms, tmp_path):
    """A panel for each condition, and a curve for each dose of the drug; and the same over doses of the drug."""
    conditions = {"all": {}, "one arm": {"on_b": 0.0}}
    drugs = {"a": DOSES}
    result = dose_response(two_arms, "L", DOSES, conditions=conditions, drugs=drugs, **STEADY)
    figure = plots.dose_response(result)
    assert [ax.get_title(loc="left") for ax in figure.axes] == ["all", "one arm"]
    assert len(legend(figure.axes[0])) == len(DOSES)
    assert figure.axes[0].get_ylim() == figure.axes[1].get_ylim()
    one = dose_response(two_arms, "L", [3.0], conditions=conditions, drugs=drugs, **STEADY)
    figure = plots.drug_response(one, "a", conditions=["one arm"])
    (ax,) = figure.axes
    (label,) = legend(ax)
    assert label == "one arm: IC50 1 nM, takes away 43%"  # of 1 + 0.75, all but 1
    assert ax.get_xlabel() == "a [nM]"
    rendered(figure, tmp_path)
    with pytest.raises(ValueError, match="'b' was not given at several doses; what was: a"):
        plots.drug_response(one, "b")


@pytest.mark.tier("slow")
def test_surface(two_arms, tmp_path):
    conditions = {"all": {}, "one arm": {"on_b": 0.0}}
    result = dose_response(two_arms, "L", [0, 1], conditions=conditions, drugs={"a": DOSES, "b": DOSES}, **STEADY)
    with pytest.raises(ValueError, match=r"use plots\.surface"):
        plots.dose_response(result)
    lines = report_doses(result, tmp_path / "report")
    files = {"responses.csv", "curves_a.csv", "curves_b.csv", "combination.csv", "surface.png"}
    assert {p.name for p in (tmp_path / "report").iterdir()} == files
    assert "one arm, b 0 nM, L 1 nM: IC50 of a 1 nM, takes away 33%" in lines  # of 1 + 0.5, all but 1
    figure = plots.surface(combination(result, "a", "b"))
    panels = [ax for ax in figure.axes if ax.get_title(loc="left")]
    assert [ax.get_title(loc="left") for ax in panels[3:]] == [
        "one arm: effect",
        "one arm: beyond Bliss",
        "one arm: beyond Loewe",
    ]
    assert (panels[3].get_xlabel(), panels[3].get_ylabel()) == ("b [nM]", "a [nM]")
    excess = np.asarray(panels[4].collections[0].get_array(), dtype=float)
    np.testing.assert_allclose(excess, 0, atol=1e-5)  # independent where they share no other arm
    assert np.max(np.asarray(panels[5].collections[0].get_array(), dtype=float)) > 0.05
    rendered(figure, tmp_path)


def test_arm_share(two_arms, tmp_path):
    closed = {"a": {"on_a": 0.0}, "b": {"on_b": 0.0}}
    shares = arm_share(two_arms, "L", DOSES, closed=closed, conditions={"": {}, "weak": {"size": 0.001}}, **STEADY)
    figure = plots.arm_share(shares)
    ax, weak = figure.axes
    a, b = ax.lines
    expected = 1 / (1 + DOSES[1:]) / (1 / (1 + DOSES[1:]) + 0.5 / (3 + DOSES[1:]))
    np.testing.assert_allclose(y_of(a)[2:], expected[1:], rtol=1e-3)
    np.testing.assert_allclose(y_of(a)[2:] + y_of(b)[2:], 1, rtol=1e-6)
    assert [t.get_text() for t in weak.texts] == ["no response"]
    assert ax.get_xlabel() == "L [nM]"
    rendered(figure, tmp_path)
    with pytest.raises(ValueError, match="unknown conditions strong"):
        plots.arm_share(shares, conditions=["strong"])
