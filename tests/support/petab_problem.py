"""Small PEtab problems, written from texts: A ⇌ B in a compartment, with rates k1 and k2."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import antimony

MODEL = """
model tiny
  compartment cell = 2;
  species A in cell, B in cell;
  A = a0; B = 0;
  a0 = 1; k1 = 0.5; k2 = 0.25;
  forward: A -> B; cell * k1 * A;
  backward: B -> A; cell * k2 * B;
end
"""

YAML_V1 = """
format_version: 1
parameter_file: parameters.tsv
problems:
- sbml_files: [model.xml]
  condition_files: [conditions.tsv]
  observable_files: [observables.tsv]
  measurement_files: [measurements.tsv]
"""

YAML = """
format_version: 2.0.0
model_files: {tiny: {location: model.xml, language: sbml}}
parameter_files: [parameters.tsv]
observable_files: [observables.tsv]
measurement_files: [measurements.tsv]
condition_files: [conditions.tsv]
experiment_files: [experiments.tsv]
mapping_files: [mapping.tsv]
"""

TABLES = {
    "parameters": """
parameterId lowerBound upperBound nominalValue estimate
k1          0          10         0.8          true
k2          0          10         0.6          true
""",
    "observables": """
observableId observableFormula noiseFormula
obs_a        A                 0.5
""",
    "measurements": """
observableId experimentId time measurement
obs_a        NaN          0    0.7
obs_a        NaN          4    0.1
""",
    "conditions": "conditionId targetId targetValue",
    "experiments": "experimentId time conditionId",
    "mapping": "petabEntityId modelEntityId",
}


def table(text: str) -> str:
    """A table of columns that blanks separate, with tabs; `NaN` is an empty cell."""
    lines = ["\t".join("" if c == "NaN" else c for c in line.split()) for line in text.strip().splitlines()]
    return "\n".join(lines) + "\n"


def write_problem(folder: Path, tables: Mapping[str, str], *, model: str = MODEL, yaml: str = YAML) -> Path:
    """The path of a problem's YAML file, with `tables` in place of those above."""
    antimony.clearPreviousLoads()
    assert antimony.loadAntimonyString(model) >= 0, antimony.getLastError()
    (folder / "model.xml").write_text(str(antimony.getSBMLString(str(antimony.getMainModuleName()))))
    (folder / "_tiny.yaml").write_text(yaml)
    for name, text in {**TABLES, **tables}.items():
        (folder / f"{name}.tsv").write_text(table(text))
    return folder / "_tiny.yaml"


def relaxed(a: float, b: float, k1: float, k2: float, t: float) -> float:
    """A after a time t from concentrations a and b."""
    rest = (a + b) * k2 / (k1 + k2)
    return rest + (a - rest) * math.exp(-(k1 + k2) * t)
