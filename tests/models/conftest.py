"""Models that several tests share: compiling them takes longer than solving them."""

from __future__ import annotations

import pytest

from hexamer.models import Model, compile_network, load_model, read_antimony


@pytest.fixture(scope="session")
def il6_stat3() -> Model:
    return load_model("il6_stat3")


@pytest.fixture(scope="session")
def il6_full() -> Model:
    return load_model("il6_full")


@pytest.fixture(scope="session")
def hepg2_core() -> Model:
    return load_model("hepg2_core")


@pytest.fixture(scope="session")
def growth() -> Model:
    """y' = s − k y from y = 1."""
    return compile_network(read_antimony("model growth; species y = 1; k = 0.4; s = 1; J: -> y; s - k*y; end"))
