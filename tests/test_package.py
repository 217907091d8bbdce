"""The package as it is installed: its wheel, its face, its imports."""

from __future__ import annotations

import importlib
import inspect
import json
import os
import pydoc
import re
import subprocess
import sys
import sysconfig
import venv
import warnings
import zipfile
from pathlib import Path

import pytest

import hexamer
from hexamer.models import Model, Network, Settings, load_model
from hexamer.models.compiled.identity import model_digest
from hexamer.moved import MOVED

pytestmark = pytest.mark.tier("check")

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    subprocess.run(command, check=True, capture_output=True)
    return zipfile.ZipFile(next(folder.glob("*.whl")))


@pytest.mark.tier("test")
def test_wheel_holds_every_module_and_data_file(wheel: zipfile.ZipFile) -> None:
    kinds = {".py", ".h", ".ant", ".csv", ".toml"}
    expected = {
        f"hexamer/{path.relative_to(ROOT)}"
        for part in ("models", "data", "infer")
        for path in (ROOT / part).rglob("*")
        if path.suffix in kinds and "__pycache__" not in path.parts
    }
    assert len(expected) > 60
    own = ROOT / "src/hexamer"
    expected |= {f"hexamer/{path.relative_to(own)}" for path in (*own.glob("*.py"), *(own / "cli").glob("*.py"))}
    held = set(wheel.namelist())
    assert expected <= held
    assert {"hexamer/__init__.py", "hexamer/cli/application.py", "hexamer/py.typed"} <= held


def test_wheel_takes_no_other_name(wheel: zipfile.ZipFile) -> None:
    top = {name.split("/")[0] for name in wheel.namelist()}
    assert {name for name in top if not name.endswith(".dist-info")} == {"hexamer"}


FROM_THE_WHEEL = """
import json, sys
from pathlib import Path
import hexamer
from hexamer.infer import find_map
from hexamer.infer.reports.calibration import report_fits

assert "site-packages" in hexamer.__file__, hexamer.__file__
model = hexamer.load_model("hepg2_core")
course = hexamer.simulate(model, {}, hexamer.Protocol().set(IL6=5.0), [5.0, 30.0])
assert all(s == hexamer.Status.OK for s in course.status)
folder = Path(sys.argv[1])
(folder / "model.ant").write_text("model decay; species A = 2; k = 0.5; J: A -> ; k*A; end")
(folder / "problem.toml").write_text(
    'name = "decay"\\nmodel = "model.ant"\\n'
    '[observables.A]\\nassay = "direct"\\nsignal = "A"\\nunit = "nM"\\nsd = 0.1\\n'
)
(folder / "measurements.csv").write_text("observable,time,value,unit\\nA,1,1.2,nM\\nA,2,0.7,nM\\n")
(folder / "priors.csv").write_text("parameter,unit,distribution,location,scale\\nk,1/min,log10_normal,-0.3,0.5\\n")
problem = hexamer.load_problem(folder)
fits = find_map(problem, starts=2, progress=False)
report_fits(fits, problem, folder / "out")
print(json.dumps({"k": float(fits.best["k"]), "files": sorted(p.name for p in (folder / "out").rglob("*.png"))}))
"""


@pytest.mark.tier("slow")
def test_the_wheel_works_where_nothing_else_of_hexamer_is(wheel: zipfile.ZipFile, tmp_path: Path) -> None:
    """A course, a fit and a figure, in an environment of its own that shares what hexamer depends on."""
    venv.create(tmp_path / "venv", symlinks=True)
    (site,) = (tmp_path / "venv").glob("lib/python*/site-packages")
    wheel.extractall(site)
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib"))  # whose own .pth files are not followed
    (tmp_path / "decay").mkdir()
    command = [str(tmp_path / "venv/bin/python"), "-c", FROM_THE_WHEEL, str(tmp_path / "decay")]
    environment = {n: v for n, v in os.environ.items() if n != "PYTHONPATH"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path, env=environment)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert 0.4 < found["k"] < 0.7
    assert found["files"]


def test_the_version_is_the_same_everywhere(wheel: zipfile.ZipFile) -> None:
    """It is written in one place, and named by what people read."""
    import hexamer

    (metadata,) = (name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
    assert f"\nVersion: {hexamer.__version__}\n" in wheel.read(metadata).decode()
    assert f"hexamer, version {hexamer.__version__} " in (ROOT / "README.md").read_text()
    newest = next(line for line in (ROOT / "CHANGELOG.md").read_text().splitlines() if line.startswith("## "))
    assert newest.split()[1] == hexamer.__version__


def _python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False)


@pytest.mark.tier("slow")
def test_import_turns_on_64_bit_floats() -> None:
    done = _python("import hexamer, jax.numpy as jnp; print(jnp.zeros(1).dtype)")
    assert done.stdout.strip() == "float64", done.stderr


def test_public_names_exist() -> None:
    import hexamer
    from hexamer import data, infer, models

    for module in (hexamer, data, infer, models):
        for name in module.__all__:
            assert hasattr(module, name), f"{module.__name__}.{name}"


@pytest.mark.parametrize("old", MOVED)
def test_old_names_of_modules_warn_and_are_those_of_today(old: str) -> None:
    today = importlib.import_module(f"hexamer.{MOVED[old]}")
    name = next(n for n, v in vars(today).items() if getattr(v, "__module__", "") == today.__name__)
    with pytest.warns(
        DeprecationWarning, match=rf"^hexamer\.{re.escape(old)} is now hexamer\.{re.escape(MOVED[old])};"
    ):
        assert getattr(importlib.import_module(f"hexamer.{old}"), name) is getattr(today, name)


def test_old_attributes_warn_and_do_what_the_functions_of_today_do(tmp_path: Path) -> None:
    text = "model m; species y = 1; k = 0.4; J: y -> ; k*y; end"
    (tmp_path / "m.ant").write_text(text)
    with pytest.warns(DeprecationWarning, match=r"^Network.from_antimony is now hexamer.models.read_antimony; "):
        network = Network.from_antimony(text)  # pyright: ignore[reportAttributeAccessIssue]
    with pytest.warns(DeprecationWarning, match=r"^Network.to_sbml is now hexamer.models.write_sbml; "):
        sbml = network.to_sbml()
    with pytest.warns(DeprecationWarning, match=r"^Network.from_sbml is now hexamer.models.read_sbml; "):
        assert list(Network.from_sbml(sbml).species) == ["y"]  # pyright: ignore[reportAttributeAccessIssue]
    with pytest.warns(DeprecationWarning, match=r"^Network.load is now hexamer.models.load_network; "):
        assert list(Network.load(tmp_path / "m.ant").species) == ["y"]  # pyright: ignore[reportAttributeAccessIssue]
    with pytest.warns(DeprecationWarning, match=r"^Model.load is now hexamer.models.load_model; "):
        model = Model.load(tmp_path / "m.ant", independent=())  # pyright: ignore[reportAttributeAccessIssue]
    assert model.species == ("y",)
    with pytest.warns(
        DeprecationWarning, match=r"^Model.digest is now hexamer.models.compiled.identity.model_digest; "
    ):
        assert model.digest == model_digest(model)
    with pytest.warns(DeprecationWarning, match=r"^Model.from_function is now hexamer.models.compile_function; "):
        made = Model.from_function(  # pyright: ignore[reportAttributeAccessIssue]
            lambda t, y, p: -p["k"] * y, species=["y"], parameters={"k": 0.1}, initial=[1.0]
        )
    assert made.parameters == ("k",)


def test_old_names_of_attributes_and_parameters_warn_and_give_those_of_today() -> None:
    from hexamer import data
    from hexamer.infer import Condition

    model = load_model("il6_classic")
    with pytest.warns(DeprecationWarning, match=r"^Model.at_rest is now Model.for_steady_state; "):
        assert model.at_rest is model.for_steady_state  # pyright: ignore[reportAttributeAccessIssue]
    with pytest.warns(
        DeprecationWarning, match=r"^Condition\(own_start=...\) is now Condition\(start_from_protocol=...\)"
    ):
        condition = Condition(own_start=False)  # pyright: ignore[reportCallIssue]
    with pytest.warns(DeprecationWarning, match=r"^Condition.own_start is now Condition.start_from_protocol; "):
        assert condition.own_start is False  # pyright: ignore[reportAttributeAccessIssue]
    fused = hexamer.Fused()
    with pytest.warns(DeprecationWarning, match=r"^hexamer.models.Settings.restored\(given=...\) is now "):
        assert Settings.restored({"engine": "fused"}, given=fused).solver == fused  # pyright: ignore[reportCallIssue]
    network = model.network
    assert network is not None
    with pytest.warns(DeprecationWarning, match=r"^hexamer.data.Problem is now hexamer.data.Issue; "):
        assert data.Problem is data.Issue  # pyright: ignore[reportAttributeAccessIssue]
    wrong = data.TableError("table", [data.Issue("a.csv", "a number")])
    with pytest.warns(DeprecationWarning, match=r"^TableError.problems is now TableError.issues; "):
        assert wrong.problems == wrong.issues  # pyright: ignore[reportAttributeAccessIssue]
    with pytest.warns(DeprecationWarning, match=r"^hexamer.data.composition is now hexamer.data.parts_by_species; "):
        assert data.composition(network) == data.parts_by_species(network)  # pyright: ignore[reportAttributeAccessIssue]
    with pytest.warns(DeprecationWarning, match=r"^hexamer.data.seen is now hexamer.data.total_concentration; "):
        total = data.seen(network, "IL6", where="medium")  # pyright: ignore[reportAttributeAccessIssue]
    assert total == data.total_concentration(network, "IL6", where="medium")
    with pytest.warns(DeprecationWarning, match=r"^hexamer.data.complexes\(given=...\) is now "):
        assert data.complexes(network, ["IL6"], given={}) == data.complexes(network, ["IL6"])  # pyright: ignore[reportCallIssue]


@pytest.mark.parametrize(
    ("module", "old", "today"),
    [
        ("data.composition", "composition", "moved.composition"),  # which warn when they are called
        ("data.composition", "seen", "moved.seen"),
        ("infer", "read", "infer.read_datatree"),
        ("infer", "save", "infer.save_datatree"),
        ("infer.posterior", "read", "infer.read_datatree"),
        ("infer.posterior_file", "save", "infer.save_datatree"),
        ("infer.doses.failing", "NeverAtRestError", "infer.doses.failing.NoSteadyStateError"),
    ],
)
def test_old_names_in_modules_warn_and_are_those_of_today(module: str, old: str, today: str) -> None:
    place, _, name = today.rpartition(".")
    expected = getattr(importlib.import_module(f"hexamer.{place}"), name)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        assert getattr(importlib.import_module(f"hexamer.{module}"), old) is expected
    assert bool(said) == (place != "moved")
    assert all("the old name goes with the next release" in str(w.message) for w in said)


def test_settings_tell_their_solver_in_old_words() -> None:
    settings = Settings(hexamer.Fused(threads=3, record=64, memory=10**6))
    for name, value in {"engine": "fused", "threads": 3, "record": 64, "memory": 10**6}.items():
        with pytest.warns(DeprecationWarning, match=rf"^Settings.{name} is now "):
            assert getattr(settings, name) == value
    assert Settings.restored(settings.stored()) == settings


def test_bundled_networks_as_attributes_warn_and_are_compiled_once() -> None:
    with pytest.warns(
        DeprecationWarning, match=r"^hexamer.models.hepg2_core is now hexamer.load_model.'hepg2_core'.; "
    ):
        model = hexamer.models.hepg2_core  # pyright: ignore[reportAttributeAccessIssue]
    with pytest.warns(DeprecationWarning, match="hepg2_core"):
        assert hexamer.models.hepg2_core is model  # pyright: ignore[reportAttributeAccessIssue]
    with pytest.raises(AttributeError, match="has no attribute 'hepg3_core'"):
        _ = hexamer.models.hepg3_core  # pyright: ignore[reportAttributeAccessIssue]


def test_help_imports_nothing_heavy() -> None:
    command, profiled = [sys.executable, "-m", "hexamer", "--help"], {**os.environ, "PYTHONPROFILEIMPORTTIME": "1"}
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=profiled)
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "typer" in imported
    assert not imported & {"jax", "numpy", "sympy", "scipy", "pandas", "matplotlib", "libsbml", "hexamer.models"}


@pytest.mark.tier("slow")
def test_the_command_computes_in_64_bits(tmp_path: Path) -> None:
    """It does not import what a program does, which turns them on."""
    file = tmp_path / "decay.ant"
    file.write_text("model decay; species A = 2; species B = 0; k = 0.5; A -> B; k*A; end")
    command = [sys.executable, "-m", "hexamer", "simulate", str(file), "--times", "0:3:1", "--protocol", "set k 0.3"]
    subprocess.run([*command, "--out", str(tmp_path / "c.csv")], check=True, capture_output=True)
    course = hexamer.simulate(hexamer.load_model(file), {}, hexamer.Protocol().set(k=0.3), [0, 1, 2, 3])
    head, *_, last = (tmp_path / "c.csv").read_text().splitlines()
    row = dict(zip(head.split(","), last.split(","), strict=True))
    assert [float(row[n]) for n in ("A", "B")] == pytest.approx([float(y) for y in course.y[0, -1]], rel=1e-12)


def test_looking_at_the_package_compiles_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """`dir`, `help` and `inspect.getmembers` show all that is public, and warn of nothing."""
    compiled = []
    monkeypatch.setattr("hexamer.models.load.load_network", compiled.append)
    monkeypatch.setattr("hexamer.models.compiled.from_network.compile_network", compiled.append)
    for module in (hexamer, hexamer.models, hexamer.data, hexamer.infer):
        members = dict(inspect.getmembers(module))
        assert set(module.__all__) <= members.keys() & set(dir(module))
        assert not {"TYPE_CHECKING", "later"} & set(dir(module))
        assert not [n for n, v in members.items() if isinstance(v, Model)]
        helped = pydoc.plain(pydoc.render_doc(module))
        assert [n for n in module.__all__ if n not in helped and n != "__version__"] == []
    assert compiled == []


def test_an_old_name_that_has_left_its_module_is_found() -> None:
    with pytest.warns(DeprecationWarning, match=r"^hexamer.models.model is now hexamer.models.compiled.from_network; "):
        from hexamer.models.model import compile_network  # pyright: ignore[reportMissingImports]
    assert compile_network is hexamer.models.compile_network


def test_old_names_of_modules_hide_nothing() -> None:
    """`hexamer.infer.fit` is a function, and was a module: importing from the module leaves the function."""
    with pytest.warns(DeprecationWarning, match="hexamer.infer.fit is now"):
        from hexamer.infer.fit import fit  # pyright: ignore[reportMissingImports]
    assert hexamer.infer.fit is fit
    with pytest.raises(ImportError, match="nothing"):
        from hexamer.infer.fit import nothing  # noqa: F401  # pyright: ignore[reportMissingImports]
