"""What a notebook shows of an object: sound HTML without scripts or colours, escaped, and short however large it is."""

from __future__ import annotations

from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
import sympy
import xarray as xr

from hexamer import Network, Problem, load_model, load_network
from hexamer.data import Parameter, Prior
from hexamer.html import ROWS, bullets, form, paragraph, section, table
from hexamer.infer import Curvature, DoseResponse, Evaluation, Fits, GradientCheck, Summary, dose_response, summarise
from hexamer.infer.optimisation.optima import Optimum
from hexamer.infer.posterior.verdicts import Verdict
from hexamer.models import Quantity, Reaction, Species, compile_network, read_antimony

pytestmark = pytest.mark.tier("check")

MODEL = "model decay; species A = 2; k = 0.5; twice := 2*A; J: A -> ; k*A; end"


class Page(HTMLParser):
    """Reads a form: its tags must be closed in order, and none may run or colour anything."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self._open: list[str] = []
        self.rows: list[list[str]] = []
        self.bold = self.words = ""
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in {
            "b",
            "details",
            "div",
            "li",
            "p",
            "style",
            "summary",
            "table",
            "tbody",
            "td",
            "th",
            "thead",
            "tr",
            "ul",
        }
        assert {name for name, _ in attrs} <= {"class", "colspan", "open"}
        self._open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" in self._open:
            assert "color" not in data
            assert "background" not in data
            return
        self.words += data
        if self._open[-1:] == ["b"]:
            self.bold += data
        if self._open[-1:] in (["td"], ["th"]):
            self.rows[-1][-1] += data


@pytest.fixture
def fits(conversion: Problem) -> Fits:
    """Two starts that end in two places."""
    z = np.zeros((2, len(conversion.space)))
    z[1, 0] = 1.0
    ends = {"low": z[1], "high": z[1]}
    return Fits(
        problem=conversion,
        kind="posterior",
        z=z,
        start=z,
        objective=np.array([12.25, 14.5]),
        reason=("gradient", "iterations"),
        iterations=np.array([7, 1000]),
        evaluations=np.array([9, 1234]),
        failed={},
        redrawn=0,
        traces=(np.zeros(3), np.zeros(4)),
        seconds=1.0,
        optima=(Optimum((0,), 12.25, np.nan, z[0], z[0]), Optimum((1,), 14.5, 3.0, **ends)),
    )


def test_a_network() -> None:
    network = read_antimony(MODEL)
    page = Page(network._repr_html_())
    assert page.bold == repr(network)
    assert ["A", "default_compartment", "2"] in page.rows
    assert ["k", "0.5"] in page.rows
    assert ["default_compartment", "1"] in page.rows
    assert ["twice", "2*A"] in page.rows
    reaction = next(row for row in page.rows if row[0] == "J")
    assert reaction[1] == "A → ∅"


def test_a_model() -> None:
    model = compile_network(read_antimony(MODEL))
    page = Page(model._repr_html_())
    assert page.bold == repr(model)
    assert ["k", "0.5"] in page.rows
    assert ["twice", "2*A"] in page.rows
    bundled = Page(load_model("hepg2_core")._repr_html_())
    assert any("nM" in row for row in bundled.rows)


def test_a_problem(conversion: Problem) -> None:
    page = Page(conversion._repr_html_())
    assert page.bold == repr(conversion)
    name, parameter = conversion.space.names[0], conversion.space.parameters[0]
    assert parameter.prior is not None
    row = next(row for row in page.rows if row[0] == name)
    assert row[5] == parameter.prior.short_text
    assert float(row[2]) < float(row[1]) < float(row[3])
    used = [f"{len(conversion.space)} sampled", f"{len(conversion.nuisance)} integrated out"]
    assert all(words in page.words for words in used)
    counts = {row[0]: row[1] for row in page.rows if row[0] in conversion.dataset.observables}
    assert sum(map(int, counts.values())) == len(conversion.dataset)


def test_numbers_of_a_prior_are_short_in_the_form_and_exact_in_the_text() -> None:
    prior = Prior("normal", "log", location=2.1972245773362196, spread=1.0, upper=5.0)
    assert prior.short_text == "ln θ ~ normal(2.197, 1) in [-inf, 5]"
    assert prior.text == "ln θ ~ normal(2.1972245773362196, 1) in [-inf, 5]"


def test_fits(fits: Fits) -> None:
    page = Page(fits._repr_html_())
    assert page.bold == repr(fits)
    assert repr(fits) == "Fits('conversion', 2 starts, 1 converged, best −log posterior 12.2500, 1 within 0.1 of it)"
    assert ["1", "12.25", "0", "1"] in page.rows
    assert ["2", "14.5", "2.25", "1"] in page.rows
    assert ["2", "14.5", "iterations", "1,000", "1,234"] in page.rows
    values = {row[0]: row[1] for row in page.rows if row[0] in fits.problem.space.names}
    expected = dict(zip(fits.problem.names, np.asarray(fits.problem.values(fits.z[0])), strict=True))
    assert {n: float(v) for n, v in values.items()} == pytest.approx({n: expected[n] for n in values}, rel=1e-3)
    assert values.keys() == set(fits.problem.space.names)


@pytest.mark.tier("test")
def test_a_summary(conversion_tree: xr.DataTree, conversion_truth: dict[str, float]) -> None:
    summary = summarise(conversion_tree, truth=conversion_truth)
    page = Page(summary._repr_html_())
    assert page.bold == summary.title
    assert repr(summary) == f"Summary({summary.title!r}, {summary.verdict!r})"
    assert all(sentence in page.words for sentence in summary.words)
    for name in summary.table.index:
        median = summary.table.loc[name, "median"]
        assert any(row[:2] == [name, f"{median:.4g}"] for row in page.rows)
    assert all(str(verdict) in page.words for verdict in summary.verdicts)
    assert "against the truth" in page.words


@pytest.mark.tier("test")
def test_a_dose_response() -> None:
    model = compile_network(read_antimony(MODEL))
    routes = {"<plain>": {}, "slow": {"k": 0.1}}
    found = dose_response(
        model, "A", [0, 1, 2], at=1, observe="A", conditions=routes, preequilibrate=False, progress=False
    )
    page = Page(found._repr_html_())
    assert page.bold == repr(found)
    assert "\n" not in repr(found)
    table = found.table()
    assert page.rows[0] == [str(n) for n in table.columns]
    assert len(page.rows) == 1 + len(table)
    assert {row[0] for row in page.rows[1:]} == set(routes)
    assert "<plain>" not in found._repr_html_()


def test_a_large_dose_response_shows_its_first_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Quantiles are taken of what is shown alone: those of all take as long as the experiment."""
    model = compile_network(read_antimony(MODEL))
    routes = {str(i): {"k": 0.1 * i} for i in range(1, 5)}
    found = dose_response(
        model,
        "A",
        np.arange(8.0),
        times=np.arange(40.0),
        observe="A",
        conditions=routes,
        preequilibrate=False,
        progress=False,
    )
    seen = []
    whole = found.table()
    table_of = DoseResponse.table
    monkeypatch.setattr(DoseResponse, "table", lambda self: seen.append(self.response.size) or table_of(self))
    page = Page(found._repr_html_())
    assert seen == [ROWS]
    first = table([str(n) for n in whole.columns], whole.to_numpy(object).tolist(), list)
    assert page.rows == Page(first).rows[: 1 + ROWS]
    assert f"… and {4 * 8 * 40 - ROWS:,} more rows" in page.words


EVIL = "<script>alert('a')</script>&\"<b>"


def test_names_are_escaped(conversion: Problem, fits: Fits) -> None:
    symbol = sympy.Symbol(EVIL)
    network = Network(
        EVIL,
        {EVIL: Quantity(1.0, EVIL)},
        {EVIL: Species(EVIL, EVIL, symbol, unit=EVIL)},
        {EVIL: Quantity(1.0, EVIL)},
        (Reaction(EVIL, symbol, {EVIL: sympy.Integer(1)}, (), ((EVIL, sympy.Integer(1)),)),),
        {EVIL: symbol},
    )
    data = replace(conversion.dataset, name=EVIL, notes=(EVIL,))
    problem = Problem(conversion.model, data)
    summary = Summary(
        pd.DataFrame({n: [1.0] for n in ("mean", "sd", "median", "5%", "95%", "r_hat", "ess_bulk", "ess_tail", "mcse")})
        .assign(contraction=1.0, scale="lin", unit=EVIL)
        .set_axis([EVIL]),
        (Verdict("sampled", EVIL, (EVIL,)),),
        EVIL,
    )
    model = replace(compile_network(read_antimony(MODEL)), name=EVIL, species=(EVIL,), parameters=(EVIL,), network=None)
    model = replace(model, defaults=np.ones(1))
    for shown in (network, model, problem, replace(fits, problem=problem, notes=(EVIL,)), summary):
        text = shown._repr_html_()
        assert "<script" not in text
        page = Page(text)
        assert EVIL in page.words.replace("\\'", "'")


def test_a_huge_object_has_a_short_form() -> None:
    small = load_network("hepg2_core")
    names = [f"parameter_with_a_long_name_{i}" for i in range(5000)]
    species = next(iter(small.species.values()))
    reaction = replace(small.reactions[0], rate=sympy.Add(*map(sympy.Symbol, names[:200])))
    huge = replace(
        small,
        species={n: replace(species, name=n) for n in names},
        parameters={n: Quantity(1.0, "nM") for n in names},
        reactions=(reaction,) * 5000,
    )
    text = huge._repr_html_()
    assert len(text) < 10_000
    words = Page(text).words
    assert words.count(f"… and {5000 - ROWS:,} more") == 2
    assert f"… and {5000 + len(small.compartments) - ROWS:,} more" in words
    model = replace(load_model("hepg2_core"), parameters=tuple(names), defaults=np.ones(5000))
    assert len(model._repr_html_()) < 5_000


def test_a_problem_with_many_scales_has_a_short_form(conversion: Problem) -> None:
    priors = {f"scale_x[{i}]": Parameter(f"scale_x[{i}]", Prior("normal", "log10")) for i in range(3000)}
    wide = object.__new__(Problem)
    wide.__dict__.update({**conversion.__dict__, "parameters": {**conversion.parameters, **priors}})
    text = wide._repr_html_()
    assert len(text) < 10_000
    assert "more" in Page(text).words


def test_cells_and_parts() -> None:
    rows = [(1234, np.float64(np.nan), "", "a" * 100), (True, np.inf, None, None)]
    page = Page(
        form(
            "title",
            section("empty", table(["a"], [], lambda x: [x])),
            section("full", table(["n", "x", "nothing", "text"], rows, list)),
            paragraph(""),
            bullets([]),
            bullets([f"sentence {i}" for i in range(ROWS + 2)]),
        )
    )
    assert page.rows == [["n", "x", "text"], ["1,234", "–", "a" * 71 + "…"], ["True", "∞", ""]]
    assert "empty" not in page.words
    assert page.words.rstrip().endswith("… and 2 more")


def test_results_show_themselves_in_one_line() -> None:
    start = Curvature(*(np.ones(s) for s in ((4,), (4, 4), (4, 4), (4,))))
    assert repr(start) == "Curvature(4 parameters, eigenvalues 1 to 1)"
    check = GradientCheck(("k",), *(np.array([x]) for x in (1.0, 1.0, 1e-3, 1e-6)), tolerance=1e-4)
    assert repr(check) == "GradientCheck(1 parameters, passes: error 1.0e-06, tolerance 1e-04)"
    evaluation = Evaluation(-12.5, 3.25, 9, {"not_finite": 2}, np.ones(9), np.ones(9), censored=1)
    assert repr(evaluation) == "Evaluation(nllh 12.5000, chi2 3.2 over 8 measurements, 1 limits; failed: 2 not_finite)"
