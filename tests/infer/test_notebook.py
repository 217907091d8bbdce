"""The notebooks run from start to end, on few draws, and are kept without outputs."""

import os
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

from hexamer.infer.posterior import save_datatree

pytestmark = pytest.mark.tier("test")

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"


@pytest.mark.parametrize("notebook", sorted(p.name for p in NOTEBOOKS.glob("*.ipynb")))
def test_it_is_kept_without_outputs(notebook: str):
    cells = nbformat.read(NOTEBOOKS / notebook, as_version=4).cells
    assert not [c for c in cells if c.cell_type == "code" and (c.outputs or c.execution_count)]


def execute(name: str, tmp_path: Path, **environment: str) -> nbformat.NotebookNode:
    notebook = nbformat.read(NOTEBOOKS / name, as_version=4)
    client = NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}})
    client.execute(env={**os.environ, **environment})
    return notebook


def outputs_of(notebook: nbformat.NotebookNode) -> tuple[list, str]:
    """All outputs, and what was printed."""
    outputs = [o for c in notebook.cells if c.cell_type == "code" for o in c.outputs]
    return outputs, "".join(o.text for o in outputs if o.output_type == "stream" and o.name == "stdout")


@pytest.mark.tier("slow")
def test_it_runs(conversion_folder, conversion_tree, tmp_path):
    path = save_datatree(conversion_tree, tmp_path / "posterior.nc")
    notebook = execute(
        "posterior_summary.ipynb", tmp_path, HEXAMER_POSTERIOR=str(path), HEXAMER_PROBLEM=str(conversion_folder)
    )
    outputs, text = outputs_of(notebook)
    assert "conversion: 6 parameters, 4 chains × 60 draws" in text
    assert "scale_blot_B[gel-1]" in text
    figures = [o for o in outputs if "image/png" in o.get("data", {})]
    assert len(figures) == 6  # chains, prior and posterior, fit, dose, residuals, observed against predicted
    assert not [o for o in outputs if o.output_type == "stream" and o.name == "stderr"]


@pytest.mark.tier("slow")
def test_without_a_posterior_it_says_what_to_do(tmp_path):
    with pytest.raises(CellExecutionError, match="run `make demo`"):
        execute("posterior_summary.ipynb", tmp_path, HEXAMER_POSTERIOR=str(tmp_path / "none.nc"))


@pytest.mark.tier("slow")
def test_tocilizumab_against_sgp130fc(tmp_path):
    notebook = execute("dose_response.ipynb", tmp_path, HEXAMER_DRAWS="8")
    outputs, text = outputs_of(notebook)
    assert "44 species" in text
    assert "8 draws" in text
    assert "failed simulations: 0" in text
    figures = [o for o in outputs if "image/png" in o.get("data", {})]
    assert len(figures) == 5  # routes, two drugs, arms, both drugs
    tables = "".join(o["data"]["text/html"] for o in outputs if "text/html" in o.get("data", {}))
    for row in ("no receptor", "sgp130Fc", "sIL-6R 300 ng/ml"):
        assert row in tables
    assert not [o for o in outputs if o.output_type == "stream" and o.name == "stderr"]
