"""Files as others might write them: names with a meaning elsewhere, levels, nested functions; by libroadrunner."""

from __future__ import annotations

import antimony
import libsbml
import numpy as np
import pytest
import roadrunner

from helpers import slowly
from hexamer import Protocol, simulate
from hexamer.models import compile_network, read_sbml

TIMES = [0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 6.0]
DECAY = "model m\n species A, B; A = 1; B = 0; k = 0.5; J: A -> B; k*A;"
TEXTS = {  # the text, and what is compared
    "names of constants and letters": (
        "model m\n species S, I, Q, lambda; S = 1; I = 0; Q = 0; lambda = 0; beta = 0.5; N = 2; E = 0.1; t = 0.2;\n"
        "C = 0.3; O = 2; J1: S -> I; beta*S*t; J2: I -> Q; C*I*E*O; J3: Q -> lambda; N*Q*0.1;\n"
        "r := S*I + Q - lambda*beta;\nend",
        ("S", "I", "Q", "lambda", "r"),
    ),
    "names of Python and sympy": (
        "model m\n species zeta, None_; zeta = 1; None_ = 0; self = 0.2; np = 0.1; re = 0.3; im = 0.1; oo = 0.5;\n"
        "J: zeta -> None_; self*zeta*oo + re*zeta; K: None_ -> ; im*None_ + np*None_;\nend",
        ("zeta", "None_"),
    ),
    "names of C": (
        "model m\n species double, int; double = 1; int = 0; y = 0.5; p = 0.3;\n"
        "J: double -> int; y*double; K: int -> ; p*int;\nend",
        ("double", "int"),
    ),
    "functions of functions": (
        "function f(x, y)\n x*y\nend\nfunction g(x)\n f(x, f(x, 2)) + 1\nend\nfunction h(a)\n g(g(a))\nend\n"
        "model m\n species A, B; A = 1; B = 0; k = 0.1; J: A -> B; k*h(A)*A;\n"
        "e: at (f(time, 2) >= f(k, 20)): A = f(A, 3);\nend",
        ("A", "B"),
    ),
    "an event at the start": (f"{DECAY}\n e: at (time >= 0), t0=false: A = A + 2;\nend", ("A", "B")),
    "an event at the very end": (f"{DECAY}\n e: at (time >= 6): A = A + 2;\nend", ("A", "B")),
    "priorities that are formulas": (
        f"{DECAY}\n a: at (time >= 1), priority=k: A = A*2;\n b: at (1 <= time), priority=2*k: A = A + 3;\nend",
        ("A", "B"),
    ),
    "a start value that follows what an event sets": (
        "model m\n species A; d = 2; A = d*3; k = 0.5; J: A -> ; k*A;\n e: at (time >= 1): d = 7;\nend",
        ("A", "d"),
    ),
    "an event that sets a volume and what lies in it": (
        "model m\n compartment c = 2; species A in c, B in c; A = 1; B = 0; k = 0.5; J: A -> B; k*A*c;\n"
        "e: at (time >= 1): c = 4, A = 3;\nend",
        ("A", "B", "c"),
    ),
    "an event on the state with a delay": (
        f"{DECAY}\n e: at 0.5 after (B > 0.3), t0=false: A = A + 1;\nend",
        ("A", "B"),
    ),
}


def written(text: str, level: int) -> str:
    """The text as SBML of level 3, or of level 2 by libsbml."""
    antimony.clearPreviousLoads()
    assert antimony.loadAntimonyString(text) >= 0, antimony.getLastError()
    source = str(antimony.getSBMLString(str(antimony.getMainModuleName())))
    if level == 3:
        return source
    document = libsbml.readSBMLFromString(source)
    assert document.setLevelAndVersion(2, 4, False)
    return str(libsbml.writeSBMLToString(document))


def by_roadrunner(source: str, names: tuple[str, ...]) -> np.ndarray:
    runner = roadrunner.RoadRunner(source)
    runner.integrator.relative_tolerance, runner.integrator.absolute_tolerance = 1e-10, 1e-13
    species = {*runner.model.getFloatingSpeciesIds(), *runner.model.getBoundarySpeciesIds()}
    runner.timeCourseSelections = [f"[{n}]" if n in species else n for n in names]
    return np.asarray(runner.simulate(times=TIMES))


# Level 2 has no priorities, and all its triggers are true before the start.
FILES = [(what, 3) for what in TEXTS]
FILES += [(what, 2) for what, (text, _) in TEXTS.items() if "priority" not in text and "t0=false" not in text]


@pytest.mark.parametrize(("what", "level"), [FILES[0], *slowly(*FILES[1:])])
@pytest.mark.tier("test")
def test_libroadrunner_agrees(what: str, level: int) -> None:
    text, names = TEXTS[what]
    source = written(text, level)
    found = simulate(compile_network(read_sbml(source)), {}, Protocol(), TIMES, observe=names, rtol=1e-9).observed
    ours = np.stack([np.asarray(found[n])[0] for n in names], axis=-1)
    np.testing.assert_allclose(ours, by_roadrunner(source, names), rtol=1e-6, atol=1e-7)
