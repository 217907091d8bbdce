"""The kernels without JAX and Warp: the driver under sanitizers, and CUDA's own compiler."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from benchmarks.gpu_driver import SANITIZED, DriverFailed, build, nvcc, run, source_of
from benchmarks.gpu_sanitize import cases_of, good, line, model_of, rows

pytestmark = pytest.mark.tier("test")

needs_a_compiler = pytest.mark.skipif(
    not (shutil.which("c++") or shutil.which("g++")), reason="the driver needs a C++ compiler with sanitizers"
)


@pytest.mark.tier("slow")
@needs_a_compiler
@pytest.mark.parametrize("precision", ["float64", pytest.param("float32", marks=pytest.mark.tier("slow"))])
@pytest.mark.parametrize(
    ("name", "lanes"),
    [
        ("switched", 1),
        *(pytest.param(n, w, marks=pytest.mark.tier("slow")) for n, w in [("switched", 4), ("switched", 8)]),
        *(
            pytest.param(n, w, marks=pytest.mark.tier("slow"))
            for n in ("events", "hepg2_core", "il6_stat3")
            for w in (1, 4, 8)
        ),
    ],
)
def test_sanitizers_find_nothing(name: str, lanes: int, precision: str, tmp_path: Path) -> None:
    """Jumps, rests, switches, events and failing sets; and values, gradients and steps are the CPU's."""
    found = list(rows([name], [precision], [lanes], tmp_path))
    assert len(found) == 6
    for row in found:
        assert row["good"], line(row)
    assert any(row["unrecorded"] for row in found)


@needs_a_compiler
@pytest.mark.tier("slow")
def test_sanitizers_find_what_is_there(tmp_path: Path) -> None:
    """A number written one beyond a row, and an integer that overflows."""
    model = model_of("switched")
    case = cases_of("switched", model, "float64")["mixed"]
    case.write(tmp_path / "mixed.bin")
    source = source_of(model)
    broken = {
        "heap-buffer-overflow": ("row[RECORD_STEP] = h;", "row[RECORD_STEP] = h; row[ROW] = h;"),
        "signed integer overflow": ("c.taken++;", "c.taken++; static int many = 2147483000; many += 400;"),
    }
    for said, (found, instead) in broken.items():
        assert source.count(found) == 1
        program = build(tmp_path, "broken", source.replace(found, instead), cuda=False, flags=SANITIZED)
        with pytest.raises(DriverFailed, match=said):
            run(program, tmp_path / "mixed.bin", sets=12, capacity=256)


@needs_a_compiler
@pytest.mark.tier("slow")
@pytest.mark.parametrize(
    ("found", "instead"),
    [
        ("const real inverse = rcp_(h);\n  linearise", "const real inverse = rcp_(h) * scalar(1 + 1e-9);\n  linearise"),
        ("M(i) * late[n]", "M(i) * late[n] * scalar(1 + 1e-9)"),
    ],
)
def test_a_small_error_is_not_good(found: str, instead: str, tmp_path: Path) -> None:
    """A stage, or a weight of the adjoint pass, that is off by 1e-9 fails; the unchanged source passes."""
    model = model_of("switched")
    rounding = cases_of("switched", model, "float64")["mixed"].write(tmp_path / "mixed.bin")
    source, judged = source_of(model), []
    assert source.count(found) == 1
    for text in (source, source.replace(found, instead)):
        program = build(tmp_path, "engine", text, cuda=False, flags=SANITIZED)
        judged.append(good(run(program, tmp_path / "mixed.bin", sets=12, capacity=256), "float64", rounding))
    assert judged == [True, False]


@pytest.mark.tier("slow")
@pytest.mark.skipif(nvcc() is None, reason="CUDA's own compiler is not installed")
@pytest.mark.parametrize("name", ["switched", "events"])
@pytest.mark.parametrize("single", [False, True])
def test_nvcc_takes_the_source(name: str, single: bool, tmp_path: Path) -> None:
    """All kernels of a network with switches, rests and jumps, and of one with events, for all major architectures."""
    build(tmp_path, name, source_of(model_of(name), single=single), cuda=True, flags=("-arch=all-major",))
