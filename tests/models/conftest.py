"""Models that several tests share: compiling them takes longer than solving them."""

from __future__ import annotations

import pytest

from hexamer.models import Model


@pytest.fixture(scope="session")
def il6_stat3() -> Model:
    return Model.load("il6_stat3")


@pytest.fixture(scope="session")
def hepg2_core() -> Model:
    return Model.load("hepg2_core")
