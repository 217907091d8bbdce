"""The HepG2 measurements as the assembly models read them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from hexamer import load_problem
from hexamer.data import Dataset, TableError, literature, load, read_folder
from hexamer.models import load_network

pytestmark = pytest.mark.tier("test")


@pytest.fixture(scope="module")
def hepg2_assembly(shared_data) -> Dataset:
    if not (shared_data / "hepg2").is_dir():
        pytest.skip(f"the published HepG2 data are absent: no folder hepg2/ in {shared_data}")
    return load("hepg2_assembly")


def test_reads_the_same_rows_as_hepg2(hepg2_assembly: Dataset) -> None:
    def said(dataset: Dataset) -> list[tuple]:
        return [(m.observable, m.time, m.value, m.experiment) for m in dataset.measurements]

    assert said(hepg2_assembly) == said(load("hepg2"))
    (step,) = hepg2_assembly.protocols["IL6 10 ng/ml"].steps
    assert step.add["IL6"] == pytest.approx(10 / 21)  # nM
    assert step.assign["CHX"] == 0.0


def test_constants_have_the_priors_of_the_literature(hepg2_assembly: Dataset) -> None:
    known = literature()
    constants = set(load_network("il6_stat3").parameters) & set(known)
    held = {n for n, p in hepg2_assembly.parameters.items() if not p.estimated}
    assert held == {"kon2", "Kd2H", "k_shed", "k_clear_sIL6R"}
    for name in constants - held:
        assert hepg2_assembly.parameters[name] == known[name]


@pytest.fixture(scope="module")
def nllh(hepg2_assembly: Dataset) -> Callable[[str], np.ndarray]:
    """Of three draws of the priors, under a network."""
    drawn: list[dict[str, float]] = []
    rng = np.random.default_rng(4)
    for _ in range(3):
        values = {}
        for name, p in hepg2_assembly.parameters.items():
            if p.prior is not None:
                shift = 0.3 * p.prior.spread * rng.standard_normal()
                base = {"log": np.e, "log10": 10.0}.get(p.prior.scale)
                values[name] = float(base ** (p.prior.location + shift)) if base else p.prior.spread
        drawn.append(values)

    def of(model: str) -> np.ndarray:
        problem = load_problem("hepg2_assembly", model=model).with_settings(rtol=1e-9, atol=1e-11)
        return np.array([problem.evaluate(values).nllh for values in drawn])

    return of


@pytest.mark.tier("slow")
def test_the_other_pathways_leave_it_as_it_is(nllh: Callable[[str], np.ndarray]) -> None:
    """ERK, Akt, STAT1, reporter and genes hand nothing back to STAT3, nor does a neighbour that is not in contact."""
    small = nllh("il6_stat3")
    assert np.all(np.isfinite(small))
    np.testing.assert_allclose(nllh("il6_full"), small, rtol=1e-6)


def test_literature_is_true_or_false(tmp_path) -> None:
    (tmp_path / "problem.toml").write_text(
        'model = "il6_stat3"\nliterature = "yes"\n[observables.a]\nassay = "direct"\nsignal = "act"\nunit = "nM"\n'
    )
    with pytest.raises(TableError, match="'literature' holds 'yes'; expected true or false"):
        read_folder(tmp_path)
