"""What a person sees of an object at a prompt: one line."""

from __future__ import annotations

import pytest

from hexamer import load_model, load_network, load_problem

pytestmark = pytest.mark.tier("check")


def test_each_shows_itself_in_one_line() -> None:
    network, model = load_network("hepg2_core"), load_model("hepg2_core")
    assert repr(network) == (
        f"Network('hepg2_core', 12 species, {len(network.reactions)} reactions, {len(network.parameters)} parameters)"
    )
    assert repr(model) == f"Model('hepg2_core', {len(model.species)} species, {len(model.parameters)} parameters)"
    problem = load_problem("il6_demo")
    assert repr(problem.dataset) == (
        f"Dataset('il6_demo', {len(problem.dataset)} measurements, {len(problem.dataset.observables)} observables, "
        f"{len(problem.dataset.protocols)} protocols)"
    )
    assert repr(problem).startswith("Problem('il6_demo', Model('il6_stat3', ")
    assert repr(problem).endswith(f"{len(problem.dataset)} measurements, 25 estimated parameters)")
