"""The GPU's kernels compile for GPUs that are not here, divide as CUDA divides, and take the stack they are said to."""

from __future__ import annotations

import json
import re
import shutil
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from benchmarks import gpu_compile

from hexamer.models import Model, bundled, load_model
from hexamer.models.solvers.fused.codegen.model_source import write_functions
from hexamer.models.solvers.fused.compilation import OPTIONS, quiet, warp
from hexamer.models.solvers.fused.gpu_kernels import Kernels, write_kernels
from hexamer.models.solvers.fused.source import defined, join
from hexamer.models.solvers.fused.stacks import STACK, stack

pytestmark = pytest.mark.tier("test")


# ---------------------------------------------------------------------------------------------------- quotients

QUOTIENTS = """
struct Check {
@TYPES@
// As the hardware's approximation is: right to some 20 bits, of float32 to 13.
static real coarse(real x) { return x - x == 0 && x != 0 ? 1 / x * (SINGLE ? 1 + real(1e-4) : 1 + real(1e-6)) : 1 / x; }
static void run(const double* a, const double* b, double* out, int64 count)
{
  for (int64 i = 0; i < count; i++) {
    const real x = (real)b[i], inverse = refined_(x, coarse(x));
    out[2 * i] = inverse;
    out[2 * i + 1] = quotient_((real)a[i], x, inverse);
  }
}
};
Check::run(a.data, b.data, out.data, a.shape[0]);
"""


def quotients(a: np.ndarray, b: np.ndarray, *, single: bool) -> np.ndarray:
    """1 / b and a / b as CUDA has them."""
    wp = warp()
    annotations: dict[str, Any] = dict.fromkeys(("a", "b", "out"), wp.array(dtype=wp.float64))

    def call(a, b, out): ...

    def launch(a, b, out):
        native(a, b, out)

    call.__annotations__ = launch.__annotations__ = annotations
    source = defined(1, single=single) + QUOTIENTS.replace("@TYPES@", join("lanes.h", {}))
    native = wp.func_native(source)(call)
    kernel = wp.kernel(launch, module="unique", enable_backward=False, module_options=OPTIONS)
    with quiet(wp):
        arrays = [wp.array(x, dtype=wp.float64, device="cpu") for x in (a, b, np.zeros(2 * len(a)))]
        wp.launch(kernel, dim=1, inputs=arrays, device="cpu")
        return arrays[2].numpy().reshape(-1, 2)


@pytest.mark.parametrize("single", [False, True])
def test_quotients_of_cuda(single: bool) -> None:
    """Newton's iteration comes to the last digits, at any size, and what is 0, infinite or no number stays so."""
    kind = np.float32 if single else np.float64
    exponents = np.random.default_rng(0).uniform(*((-30, 30) if single else (-290, 290)), size=(2, 4000))
    a, b = np.array(10 ** (exponents / 2), kind) * np.where(np.arange(4000) % 2, 1, -1).astype(kind)
    found = quotients(a.astype(float), b.astype(float), single=single)
    few = 2 * np.finfo(kind).eps
    np.testing.assert_allclose(found[:, 0], 1 / b.astype(np.longdouble), rtol=few)
    np.testing.assert_allclose(found[:, 1], a.astype(np.longdouble) / b.astype(np.longdouble), rtol=few)
    with np.errstate(divide="ignore", invalid="ignore"):
        special = np.array([[1, 0], [1, np.inf], [0, 3], [np.inf, 2], [0, 0], [np.nan, 1], [1, np.nan], [-1, 0]], kind)
        a, b = special.T
        found = quotients(a.astype(float), b.astype(float), single=single)
        np.testing.assert_array_equal(found, np.stack([1 / b, a / b], 1))


# ---------------------------------------------------------------------------------------------------- compilation

COMPILED = [
    ("il6_stat3", 90, "float64"),
    ("hepg2_core", 80, "float64"),
    ("il6_stat3", 80, "float32"),
    ("hepg2_core", 90, "float32"),
    pytest.param("il6_stat3", 80, "float64", marks=pytest.mark.tier("slow")),
    pytest.param("hepg2_core", 90, "float64", marks=pytest.mark.tier("slow")),
    pytest.param("il6_stat3", 90, "float32", marks=pytest.mark.tier("slow")),
    pytest.param("hepg2_core", 80, "float32", marks=pytest.mark.tier("slow")),
]


@pytest.mark.tier("slow")
@pytest.mark.skipif(shutil.which("ptxas") is None, reason="CUDA's assembler is not installed")
@pytest.mark.parametrize("name", ["hepg2_core", "il6_stat3", "il6_full"])
def test_stacks_are_as_large_as_they_are_said_to_be(name: str, tmp_path: Path) -> None:
    """What is checked before a launch: never less than they are, and little more of the largest."""
    model = load_model(name)
    text = gpu_compile.cubin(name, "float64", 90, tmp_path)[1]
    found = {}
    for entry in text.split("Compiling entry function")[1:]:
        size = re.search(r"(\d+) bytes cumulative stack size", entry)
        if (kernel := gpu_compile.kernel_in(entry.split("'")[1])) and size:
            found[kernel] = int(size[1])
    assert {*STACK} <= {*found}
    assert all(found[kernel] <= stack(kernel, len(model.species)) for kernel in STACK)
    largest = max(STACK, key=lambda kernel: found[kernel])
    assert stack(largest, len(model.species)) < 1.35 * found[largest]


@pytest.mark.tier("slow")
@pytest.mark.skipif(sys.platform == "darwin", reason="Warp has no CUDA compiler on macOS")
@pytest.mark.parametrize(("name", "arch", "precision"), COMPILED)
def test_kernels_compile_for_gpus(
    name: str, arch: int, precision: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """To PTX, by the compiler that Warp brings along: there need be neither a GPU, nor its driver, nor nvcc."""
    kernels = write_kernels(write_functions(request.getfixturevalue(name)), single=precision == "float32")
    arithmetic = {}
    for field in fields(Kernels):
        kernel = getattr(kernels, field.name)
        with quiet(warp()):
            (file,) = warp().compile_aot_module(kernel.module, arch=arch, use_ptx=True, module_dir=tmp_path)
        text = file.read_text()
        assert f".target sm_{arch}" in text
        assert ".entry" in text
        arithmetic[field.name] = {
            k: len(re.findall(rf"\b(?:fma|mul|add|sub)[.\w]*\.{k}\b", text)) for k in ("f32", "f64")
        }
    if precision == "float32":  # but for time, the parameters' coefficients and rests
        for kernel in ("course", "course_adjoint"):
            assert arithmetic[kernel]["f64"] < 0.3 * arithmetic[kernel]["f32"], arithmetic


@pytest.mark.tier("slow")
def test_stacks_are_never_less_than_on_record() -> None:
    """The stack reserved for each kernel on record: all bundled networks, compilers and architectures."""
    record = Path(gpu_compile.__file__).parent / "results/gpu_compile.json"
    rows = [row for row in json.loads(record.read_text())["kernels"] if row["kernel"] in STACK]
    assert {row["model"] for row in rows} >= set(bundled())
    for what, known in {
        "arch": [f"sm_{arch}" for arch in gpu_compile.ARCHITECTURES],
        "precision": gpu_compile.PRECISIONS,
        "compiler": gpu_compile.COMPILERS,
    }.items():
        assert {row[what] for row in rows} == set(known)
    species = {name: len(load_model(name).species) for name in {row["model"] for row in rows}}
    assert not [row for row in rows if row["stack_bytes"] > stack(row["kernel"], species[row["model"]])]


@pytest.mark.tier("slow")
@pytest.mark.skipif(sys.platform == "darwin", reason="Warp has no CUDA compiler on macOS")
@pytest.mark.parametrize("kernel", ["steady", "steady_adjoint"])
def test_dense_loops_stay_loops(kernel: str, hepg2_core: Model, tmp_path: Path) -> None:
    """NVRTC unrolled them from sm_100 on: `rest` of il6_stat3 took more than 6 minutes and 6 GB to compile."""
    compiled, size = getattr(write_kernels(write_functions(hepg2_core)), kernel), {}
    for arch in (90, 100):
        with quiet(warp()):
            (file,) = warp().compile_aot_module(compiled.module, arch=arch, use_ptx=True, module_dir=tmp_path)
        size[arch] = file.stat().st_size
    assert size[100] < 1.25 * size[90]


@pytest.mark.tier("slow")
@pytest.mark.skipif(sys.platform == "darwin", reason="Warp has no CUDA compiler on macOS")
@pytest.mark.parametrize("single", [False, True])
def test_kernels_that_keep_stages_compile_for_gpus(single: bool, hepg2_core: Model, tmp_path: Path) -> None:
    kernels = write_kernels(write_functions(hepg2_core), single=single, keep_stages=True)
    for kernel in (kernels.course, kernels.course_adjoint):
        with quiet(warp()):
            (file,) = warp().compile_aot_module(kernel.module, arch=90, use_ptx=True, module_dir=tmp_path)
        assert ".target sm_90" in file.read_text()
