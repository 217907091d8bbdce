"""The notebook runs from start to end on a small posterior, and is kept without outputs."""

import os
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

from hexamer.infer.posterior import save

NOTEBOOK = Path(__file__).parents[2] / "notebooks" / "posterior_summary.ipynb"


def test_it_is_kept_without_outputs():
    cells = nbformat.read(NOTEBOOK, as_version=4).cells
    assert not [c for c in cells if c.cell_type == "code" and (c.outputs or c.execution_count)]


def execute(tmp_path: Path, **environment: str) -> nbformat.NotebookNode:
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    client = NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}})
    client.execute(env={**os.environ, **environment})
    return notebook


def test_it_runs(conversion_folder, conversion_tree, tmp_path):
    path = save(conversion_tree, tmp_path / "posterior.nc")
    notebook = execute(tmp_path, HEXAMER_POSTERIOR=str(path), HEXAMER_PROBLEM=str(conversion_folder))
    outputs = [o for c in notebook.cells if c.cell_type == "code" for o in c.outputs]
    text = "".join(o.text for o in outputs if o.output_type == "stream" and o.name == "stdout")
    assert "conversion: 6 parameters, 4 chains × 60 draws" in text
    assert "scale_blot_B[gel-1]" in text
    figures = [o for o in outputs if "image/png" in o.get("data", {})]
    assert len(figures) == 6  # chains, prior and posterior, fit, dose, residuals, observed against predicted
    assert not [o for o in outputs if o.output_type == "stream" and o.name == "stderr"]


def test_without_a_posterior_it_says_what_to_do(tmp_path):
    with pytest.raises(CellExecutionError, match="run `make demo`"):
        execute(tmp_path, HEXAMER_POSTERIOR=str(tmp_path / "none.nc"))
