"""Tables and words about posteriors made up so that the verdict is known."""

import json
import re

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from hexamer.infer.posterior.intervals import COLUMNS
from hexamer.infer.posterior.summary import summarise

pytestmark = pytest.mark.tier("test")


def make(draws, *, prior=None, stats=None, failures=None, attrs=None) -> xr.DataTree:
    def dataset(arrays):
        return xr.Dataset({n: (("chain", "draw"), np.asarray(v)) for n, v in arrays.items()})

    groups = {"posterior": dataset(draws), "sample_stats": dataset(stats or {})}
    groups["sample_stats"].attrs = {f"failures_{k}": json.dumps(v) for k, v in (failures or {}).items()}
    if prior is not None:
        groups["prior"] = dataset(prior)
    return xr.DataTree.from_dict({"/": xr.Dataset(attrs=attrs or {}), **groups})


def good(chains: int = 4, draws: int = 500, seed: int = 0, **names: tuple[float, float]):
    return normal(names or {"a": (2.0, 0.5)}, chains, draws, seed)


def normal(names: dict[str, tuple[float, float]], chains: int, draws: int, seed: int = 0):
    rng = np.random.default_rng(seed)
    return {n: m + s * rng.normal(size=(chains, draws)) for n, (m, s) in names.items()}


def words(summary) -> str:
    return " ".join(summary.words)


def test_table():
    draws = good(a=(2.0, 0.5), b=(-10.0, 3.0))
    summary = summarise(make(draws))
    table = summary.table
    assert list(table.columns[: len(COLUMNS)]) == list(COLUMNS)
    assert list(table.index) == ["a", "b"]
    a = draws["a"].ravel()
    assert table.loc["a", "mean"] == pytest.approx(a.mean())
    assert table.loc["a", "sd"] == pytest.approx(a.std(ddof=1))
    np.testing.assert_allclose(
        table.loc["a", ["5%", "median", "95%"]].to_numpy(float), np.quantile(a, [0.05, 0.5, 0.95])
    )
    assert table.loc["a", "ess_bulk"] == pytest.approx(2000, rel=0.15)
    assert table.loc["a", "mcse"] == pytest.approx(0.5 / np.sqrt(2000), rel=0.2)
    assert (summary.verdict, summary.words, summary.converged) == ("good", (), True)
    assert "Converged." in str(summary)


def test_csv(tmp_path):
    summary = summarise(make(good()))
    summary.table.to_csv(tmp_path / "t.csv")
    again = pd.read_csv(tmp_path / "t.csv", index_col="parameter", keep_default_na=False)
    assert again.loc["a", "mean"] == pytest.approx(summary.table.loc["a", "mean"])


def test_chains_that_disagree():
    draws = good(a=(0.0, 1.0), b=(0.0, 1.0))
    draws["b"][0] += 5
    summary = summarise(make(draws))
    assert summary.verdict == "not converged"
    assert not summary.converged
    assert "worst: b. The chains disagree" in words(summary)
    assert "NOT CONVERGED" in str(summary)


def test_few_draws_are_acceptable():
    summary = summarise(make(good(draws=75)))
    assert summary.verdict == "acceptable"
    assert "effective sample size is only" in words(summary)
    assert "times as much" in words(summary)


def test_divergences():
    diverging = np.zeros((4, 500), dtype=bool)
    diverging[0, :3] = True
    summary = summarise(make(good(), stats={"diverging": diverging}))
    assert summary.verdict == "acceptable"
    assert "3 of 2000 draws diverged (0.15%)" in words(summary)
    diverging[:, :20] = True
    assert summarise(make(good(), stats={"diverging": diverging})).verdict == "not converged"


@pytest.mark.parametrize("stats", [{"n_steps": 255}, {"tree_depth": 8}])
def test_tree_depth(stats):
    (name, value), *_ = stats.items()
    hits = np.ones((4, 500), dtype=int)
    hits[1, :7] = value
    tree = make(good(), stats={name: hits}, attrs={"max_tree_depth": 8})
    assert "7 of 2000 draws stopped at the tree depth 8" in words(summarise(tree))


def test_failed_solves_by_kind():
    tree = make(good(), failures={"warmup": {"not_finite": 2}, "draws": {"too_many_steps": 5}})
    said = words(summarise(tree))
    assert "while drawing: 5 too_many_steps. Each was a rejected step; the solver ran out of steps" in said
    assert "during warmup: 2 not_finite." in said


def test_energy():
    energy = np.random.default_rng(0).normal(size=(4, 500)).cumsum(1)
    summary = summarise(make(good(), stats={"energy": energy}))
    assert summary.verdict == "acceptable"
    assert "BFMI" in words(summary)


def test_what_the_prior_decides():
    tree = make(good(a=(0.0, 1.0), b=(0.0, 0.1)), prior=good(1, 2000, 1, a=(0.0, 1.0), b=(0.0, 1.0)))
    summary = summarise(tree)
    assert summary.table.loc["b", "contraction"] == pytest.approx(0.1, rel=0.1)
    assert "The data say little about a: posterior as wide as the prior" in words(summary)
    assert summary.verdict == "good"


def test_contraction_is_on_the_search_scale(conversion_tree):
    table = summarise(conversion_tree).table
    assert table.loc["total", "contraction"] == pytest.approx(1.0, abs=0.15)
    assert table.loc["k1", "contraction"] == pytest.approx(0.05, rel=0.2)
    assert table.loc["k1", "unit"] == "1/(nM min)"


def test_truth():
    summary = summarise(make(good(a=(0.0, 1.0), b=(0.0, 1.0), c=(0.0, 1.0))), truth={"a": 0.0, "b": 2.2, "c": 9.0})
    truth = summary.truth
    assert truth is not None
    assert list(truth["inside_90"]) == [True, False, False]
    assert list(truth["inside_99.9"]) == [True, True, False]
    assert truth.loc["a", "5%"] == pytest.approx(-1.645, abs=0.1)
    assert "inside: 1 of 3 (90%), 2 of 3 (99.9%)" in str(summary)
    with pytest.raises(ValueError, match="does not have: x"):
        summarise(make(good()), truth={"x": 1.0})


def test_one_chain_and_draws_that_stand_still():
    one = summarise(make(good(chains=1, draws=2000)))
    assert one.verdict == "not judged"
    assert not one.converged
    assert "One chain" in words(one)
    still = summarise(make({**good(), "b": np.ones((4, 500))}))
    assert still.verdict == "not converged"
    assert "b: draws that never move" in words(still)


def test_too_few_draws():
    summary = summarise(make(good(draws=3)))
    assert (summary.verdict, summary.converged) == ("not judged", False)
    assert words(summary) == "3 draws per chain are too few to judge anything: draw at least 100."


def test_one_chain_that_diverges_is_judged():
    diverging = np.arange(2000)[None] % 20 == 0
    assert summarise(make(good(chains=1, draws=2000), stats={"diverging": diverging})).verdict == "not converged"


def test_answers_stand_above_the_table_and_sentences_below():
    summary = summarise(make(good(a=(0.0, 1.0)), prior=good(1, 2000, 1, a=(0.0, 1.0))))
    lines = str(summary).splitlines()
    assert lines[1] == "sampled: yes · fits: not judged: it takes a posterior with predictions, of 100 draws or more ·"
    assert lines[2] == "identified: 0 of 1 parameters · solved: not checked at a stricter tolerance"
    assert [v.name for v in summary.verdicts] == ["sampled", "fits", "identified", "solved"]
    places = [lines.index(line) for line in ("sampled: yes. Converged.", "identified: 0 of 1 parameters")]
    assert lines[places[1] + 1].startswith("- The data say little about a")
    assert places[0] < places[1]
    assert summary.words == tuple(s for v in summary.verdicts for s in v.sentences)
    assert summary.with_words(["One more."]).words[-1] == "One more."


def test_parameters_on_a_logarithmic_scale_have_no_mean_in_print(conversion_tree):
    summary = summarise(conversion_tree)
    line = next(line for line in str(summary).splitlines() if line.startswith("k1 "))
    table = summary.table.loc["k1"]
    assert line.split()[1:6] == [f"{table[c]:.3g}" for c in ("median", "5%", "95%")] + ["–", "–"]
    assert np.isfinite(table["mean"])


def test_populations_that_disagree():
    """The standard error of a mean that one population dominates is 1 nat at most; errors above 10% read 1e+01%."""
    attrs = {"sampler": "SMC", "log_evidence": -450.7, "log_evidence_error": 1.0}
    optima = [{"objective": 1.0, "starts": 3, "values": {"a": x}} for x in (2.0, 3.0)]
    attrs |= {"optima": json.dumps(optima), "optima_differ_in": '["a"]'}
    place = np.repeat([[1], [2]], 500, axis=1)
    place[:, :100] = 1
    apart, close = (
        words(summarise(make(good(chains=2), stats={"optimum": place}, attrs={**attrs, **more})))
        for more in (
            {"log_evidence_of_populations": "[-450.0, -500.0]"},
            {"log_evidence_of_populations": "[-450, -451]"},
        )
    )
    assert "-450.70 ± 1 nats (standard error between populations). But the populations differ by up to 50.0" in apart
    assert "nats (standard error between populations). 2 optima" in close
    attrs = {"sampler": "SMC", "prior_draws": 4000, "prior_draws_impossible": 1200}
    assert words(summarise(make(good(), attrs=attrs))).startswith("At 1200 of 4000 draws from the prior the simulation")
    few = words(summarise(make(good(chains=2, draws=60), attrs={"sampler": "SMC"})))
    assert re.search(r"least: a. Take about \d+ times as many particles\.", few)
    assert "60 ± 40% near optimum 1, 40 ± 40% near optimum 2" in close


def test_a_terminal_can_show_it():
    names = {f"parameter_{i}": (1.0, 0.1) for i in range(30)}
    gels = {f"scale_a_long_observable[experiment of the {i}th of May]": (1e-7, 1e-9) for i in range(20)}
    draws = normal({**names, **gels}, 4, 30)
    draws["parameter_3"][0] += 1
    text = str(summarise(make(draws), truth={"parameter_1": 1.0}))
    assert max(map(len, text.splitlines())) <= 100
    assert "… and 20 of single gels or plates" in text
    assert sum(line.startswith("parameter_") for line in text.splitlines()) == 31
