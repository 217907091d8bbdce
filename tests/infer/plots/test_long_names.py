"""Titles of panels stay apart and on the page if the names of observables are long."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text

from hexamer import Problem, Protocol
from hexamer.data import Dataset, Measurement, Parameter, Prior, direct
from hexamer.infer import plots
from hexamer.infer.plots.style import wrapped
from hexamer.infer.posterior import to_datatree
from hexamer.models import compile_network, read_antimony

pytestmark = pytest.mark.tier("test")

NAMES = (
    "phosphorylated_STAT3_in_cytosol_and_nucleus_B",
    "phosphorylatedSTAT3incytosolandnucleusbyblot4",  # nothing to break a line at
    "mRNA_SOCS3_qPCR",
)


@pytest.fixture(scope="module")
def problem() -> Problem:
    """A = 10 e^(−k t), read four times by observables of 45 and of 15 characters, and once below a limit."""
    model = compile_network(read_antimony("model decay; species A = 10; k = 0.5; J: A -> ; k*A; end"))
    rows = [Measurement(name, "p", t, 10 * np.exp(-0.5 * t)) for name in NAMES for t in (0.5, 1.0, 2.0, 4.0)]
    rows += [Measurement(name, "p", 8.0, 1.0, censored="left") for name in NAMES]
    observables = {name: direct(name, "A", sd=0.5, unit="nM") for name in NAMES}
    prior = {"k": Parameter("k", Prior("normal", "log", np.log(0.5), 0.1), value=0.5, unit="1/min")}
    return Problem(model, Dataset("decay", observables, {"p": Protocol("p")}, tuple(rows), prior))


@pytest.fixture(scope="module")
def tree(problem: Problem):
    z = np.linspace(-1, 1, 21).reshape(1, 21, 1)
    return to_datatree(problem, z, {"diverging": np.zeros((1, 21), bool)}, seed=3, failures={})


def inked(figure: Figure) -> list[tuple[str, np.ndarray]]:
    """Each title with the pixels that it covers: those that differ if it is drawn."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    titles = [t for ax in figure.axes for t in vars(ax).values() if isinstance(t, Text) if t.get_text()]

    def drawn(shown: list) -> np.ndarray:
        for title in titles:
            title.set_alpha(float(title in shown))  # a hidden one would have no place
        canvas.draw()
        return np.array(canvas.buffer_rgba())

    without = drawn([])
    return [(t.get_text(), np.any(drawn([t]) != without, axis=-1)) for t in titles]


@pytest.mark.tier("slow")
@pytest.mark.parametrize("draw", [plots.observed_predicted, plots.residuals, plots.fit])
def test_titles_stay_apart(draw, problem: Problem, tree) -> None:
    """No two titles cover one pixel, and none leaves the page; regression: a name of 45 characters hid the count."""
    (figure,) = pages if isinstance(pages := draw(problem, tree), list) else [pages]
    covered = inked(figure)
    assert {text.replace("\n", "") for text, _ in covered} >= set(NAMES)
    for (one, a), (other, b) in combinations(covered, 2):
        assert not np.any(a & b), (one, other)
    for text, pixels in covered:
        assert np.any(pixels), text
        assert not np.any(pixels[:, -1]), text


def test_lines_end_at_marks() -> None:
    assert wrapped("short", 10) == "short"
    assert wrapped("pSTAT3_total_in_nucleus", 13) == "pSTAT3_total_\nin_nucleus"
    assert wrapped("a" * 25, 10) == "\n".join(["a" * 9, "a" * 9, "a" * 7])
    assert max(map(len, wrapped(NAMES[0], 20).splitlines())) <= 20
