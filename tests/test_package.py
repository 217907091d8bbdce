"""The package as it is installed: its wheel, its face, its imports."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    subprocess.run(command, check=True, capture_output=True)
    return zipfile.ZipFile(next(folder.glob("*.whl")))


def test_wheel_holds_every_module_and_data_file(wheel: zipfile.ZipFile) -> None:
    kinds = {".py", ".ant", ".csv", ".toml"}
    expected = {
        f"hexamer/{path.relative_to(ROOT)}"
        for part in ("models", "data", "infer")
        for path in (ROOT / part).rglob("*")
        if path.suffix in kinds and "__pycache__" not in path.parts
    }
    assert len(expected) > 60
    held = set(wheel.namelist())
    assert expected <= held
    assert {"hexamer/__init__.py", "hexamer/cli.py", "hexamer/py.typed"} <= held


def test_wheel_takes_no_other_name(wheel: zipfile.ZipFile) -> None:
    top = {name.split("/")[0] for name in wheel.namelist()}
    assert {name for name in top if not name.endswith(".dist-info")} == {"hexamer"}


def _python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False)


def test_import_turns_on_64_bit_floats() -> None:
    done = _python("import hexamer, jax.numpy as jnp; print(jnp.zeros(1).dtype)")
    assert done.stdout.strip() == "float64", done.stderr


def test_layers_point_one_way() -> None:
    """`infer` imports `models` and `data`; neither imports `infer`, and `models` knows no `data`."""
    for part, banned in {
        "models": ("..infer", "..data", "...infer", "...data"),
        "data": ("..infer", "...infer"),
    }.items():
        for path in (ROOT / part).rglob("*.py"):
            text = path.read_text()
            for name in banned:
                assert f"from {name}" not in text, f"{path} imports {name}"


def test_public_names_exist() -> None:
    import hexamer
    from hexamer import data, infer, models

    for module in (hexamer, data, infer, models):
        for name in module.__all__:
            assert hasattr(module, name), f"{module.__name__}.{name}"
