"""The command line: what it prints, and that bad input ends in one message and status 2, never in a traceback."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pandas as pd
import pytest

from hexamer import load_problem
from hexamer.infer import export_petab
from hexamer.infer.posterior import save_datatree
from hexamer.models.solvers.fused import cuda
from support.command_line import Run

pytestmark = pytest.mark.tier("test")


def test_help_names_every_command(run: Run) -> None:
    status, out, _ = run("--help")
    assert status == 0
    for command in ("fit", "map", "sbc", "evaluate", "simulate", "dose-response", "export"):
        assert command in out
        assert run(command, "--help")[0] == 0


def test_evaluate_prints_one_json_object(run: Run, conversion_folder: Path, tmp_path: Path) -> None:
    values = tmp_path / "values.csv"
    names = {"k1": 0.8, "k2": 0.6, "sd_A": 0.1, "sd_rel_A": 0.1, "unused": 1.0}

    problem = load_problem(conversion_folder)
    rows = [f"{n},{names.get(n, 1.0)}" for n in problem.names if problem.parameters[n].estimated]
    values.write_text("\n".join(["parameter,value", *rows, "unused,1.0"]) + "\n")
    status, out, err = run("evaluate", conversion_folder, "--at", values)
    assert status == 0, err
    found = json.loads(out)
    assert {"nllh", "chi2", "n", "failed"} <= set(found)
    assert found["n"] == len(problem.dataset)
    assert found["failed"] == {}
    assert "no use for unused" in err


@pytest.mark.parametrize("version", ["1", "2"])
def test_export_writes_what_evaluate_reads(run: Run, conversion_folder: Path, tmp_path: Path, version: str) -> None:
    problem = load_problem(conversion_folder)
    values = {n: 0.7 + 0.01 * i for i, n in enumerate(problem.names) if problem.parameters[n].estimated}
    table, out = tmp_path / "values.csv", tmp_path / "petab"
    table.write_text("\n".join(["parameter,value", *(f"{n},{v}" for n, v in values.items()), "unused,1.0"]) + "\n")
    status, said, err = run("export", conversion_folder, "--to", "petab", out, "--at", table, "--version", version)
    assert status == 0, err
    assert said == f"{problem.name} as PEtab v{version} in {out / 'problem.yaml'}\n"
    assert f"note: {problem.name} has no use for unused" in err
    expected = problem.with_settings(rtol=1e-8).evaluate(values)
    status, said, err = run("evaluate", out / "problem.yaml")
    assert status == 0, err
    assert json.loads(said)["nllh"] == pytest.approx(expected.nllh, rel=1e-9)
    status, _, err = run("export", conversion_folder, "--to", "petab", out)
    assert status == 2
    assert f"error: the folder {out} is not empty" in err
    assert "(option --force)" in err
    assert run("export", conversion_folder, "--to", "petab", out, "--force")[0] == 0
    before = {file: file.read_bytes() for file in out.iterdir()}
    status, _, err = run("export", out / "problem.yaml", "--to", "petab", out, "--force")
    assert status == 2
    assert f"error: DIR {out} is the folder of {out / 'problem.yaml'}, which this command reads" in err
    with pytest.raises(FileExistsError, match="is that of the problem's model"):
        export_petab(load_problem(out / "problem.yaml"), out, overwrite=True)
    assert before == {file: file.read_bytes() for file in out.iterdir()}


OVER_ITS_INPUTS = (
    ("export", "problem", "--to", "petab", "problem", "--force"),
    ("export", "problem/problem.toml", "--to", "petab", "problem/../problem", "--force"),
    ("export", "problem", "--model", "models/m.ant", "--to", "petab", "models", "--force"),
    ("fit", "problem", "--out", "problem"),
    ("map", "problem", "--out", "link"),
    ("sbc", "problem", "--out", "problem"),
    ("simulate", "models/m.ant", "--out", "models/m.ant"),
    ("simulate", "models/m.ant", "--at", "values.csv", "--out", "./values.csv"),
)


@pytest.mark.parametrize("arguments", OVER_ITS_INPUTS)
def test_nothing_is_written_over_what_is_read(
    arguments: tuple[str, ...], run: Run, conversion_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(conversion_folder, "problem")
    Path("link").symlink_to("problem")
    Path("models").mkdir()
    Path("models/m.ant").write_text("model m\n A -> B; k*A; A = 1; k = 1\nend\n")
    Path("values.csv").write_text("parameter,value\nk,2\n")
    before = {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()}
    status, _, err = run(*arguments)
    assert status == 2
    assert "which this command reads" in err or "that this command reads" in err
    assert "name another" in err
    assert before == {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()}


def test_evaluate_hepg2_at_the_published_fit(run: Run, shared_data: Path) -> None:
    """The negative log likelihood that an independent solver reproduced (data/README.md)."""
    status, out, _ = run("evaluate", "hepg2", "--at", shared_data / "hepg2/published_fit.csv")
    assert status == 0
    found = json.loads(out)
    assert found["n"] == 812
    assert found["nllh"] == pytest.approx(908.2765, abs=1e-3)


def test_a_device_that_is_not_there(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cuda, "gpus", lambda: ())
    monkeypatch.setattr(cuda, "why_none", lambda: "the NVIDIA driver is too old")
    for device, status in (("gpu", 2), ("cpu", 0), ("auto", 0)):
        found, _, err = run(
            "simulate", "hepg2_core", "--device", device, "--times", "0,1", "--out", tmp_path / "out.csv"
        )
        assert found == status, err
        assert ("device='gpu' asks for it: the NVIDIA driver is too old" in err) is (status == 2)
    found, _, err = run("fit", "il6_demo", "--device", "gpu", "--out", tmp_path / "fit")
    assert found == 2, err
    assert not (tmp_path / "fit").exists()
    assert "cpu" in run("simulate", "--help")[1]


def test_simulate_writes_a_table(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "decay.ant"
    file.write_text("model decay\n species A = 2;\n k = 0.5;\n twice := 2*A;\n J: A -> ; k*A;\nend\n")
    out = tmp_path / "out.csv"
    protocol = "add A 1 at 2; wash out A at 3"
    status, _, err = run("simulate", file, "--protocol", protocol, "--times", "0:4:1", "--set", "k=0", "--out", out)
    assert status == 0, err
    table = pd.read_csv(out)
    assert table["A"].tolist() == [2.0, 2.0, 3.0, 0.0, 0.0]
    assert table["twice"].tolist() == [4.0, 4.0, 6.0, 0.0, 0.0]
    assert set(table["status"]) == {"ok"}


def test_dose_response_of_a_model(run: Run, tmp_path: Path) -> None:
    """EC50 of the classic and the trans route, and the IC50 of an antibody; tables and figures beside."""
    routes = ["--condition", "classic:", "--condition", "trans: IL6R_0=0, sIL6R=100 ng/ml", "--quiet"]
    status, out, err = run("dose-response", "il6_stat3", "--out", tmp_path / "a", *routes)
    assert status == 0, err
    lines = dict(line.split(": ", 1) for line in out.splitlines() if "EC50" in line)
    assert set(lines) == {"classic", "trans"}
    assert 0.5 < float(lines["classic"].split()[1]) < 20
    assert "64 simulations" in out
    table = pd.read_csv(tmp_path / "a" / "responses.csv")
    assert len(table) == 64
    assert set(table["failed"].tolist()) == {0}
    curves = pd.read_csv(tmp_path / "a" / "curves.csv").set_index("condition")
    assert f"{curves['ec50']['classic']:.3g}" == lines["classic"].split()[1]
    assert (tmp_path / "a" / "dose_response.png").stat().st_size > 5000

    drug = ["--drug", "tocilizumab=0, 0.01:50:6 ug/ml", "--doses", "0, 10 ng/ml", "--summary", "peak"]
    status, out, err = run("dose-response", "il6_stat3+tocilizumab", "--out", tmp_path / "b", *routes, *drug)
    assert status == 0, err
    assert "classic, IL6 10 ng/ml: IC50 of tocilizumab " in out
    assert {p.name for p in (tmp_path / "b").iterdir()} == {
        "responses.csv",
        "curves_tocilizumab.csv",
        "drug_response_tocilizumab.png",
    }


def test_dose_response_of_a_model_that_states_no_readout(run: Run, tmp_path: Path) -> None:
    (tmp_path / "own.ant").write_text("model own(); species L, A; k = 1; J: L -> A; k*L; end")
    options = ["dose-response", tmp_path / "own.ant", "--ligand", "L", "--doses", "1:10:5", "--out", tmp_path / "o"]
    status, _, err = run(*options, "--no-preequilibrate", "--quiet")
    assert status == 2
    assert "say what is read of own" in err
    assert "(option --observe)" in err


@pytest.mark.tier("slow")
def test_dose_response_of_a_posterior(run: Run, conversion_tree, conversion_folder: Path, tmp_path: Path) -> None:
    """The half-saturating dose of A ⇌ B at 200 min is about k2/k1, over the draws."""
    save_datatree(conversion_tree, tmp_path / "posterior.nc")
    options = ["--ligand", "L", "--observe", "B", "--doses", "0.001:100:20", "--at", "200", "--quiet"]
    status, out, err = run("dose-response", tmp_path, *options, "--out", tmp_path / "o")
    assert status == 0, err
    assert out.startswith("L: EC50 0.")
    assert "4800 simulations" in out
    curve = pd.read_csv(tmp_path / "o" / "curves.csv").iloc[0]
    assert curve["ec50_lower"] < 0.4 < curve["ec50_upper"]
    older = conversion_tree.drop_nodes("fitted")
    save_datatree(older, tmp_path / "posterior.nc")
    status, _, err = run("dose-response", tmp_path, *options, "--out", tmp_path / "o")
    assert status == 2
    assert "does not hold its problem" in err
    assert "--problem" in err
    status, again, err = run(
        "dose-response", tmp_path, "--problem", conversion_folder, *options, "--out", tmp_path / "o"
    )
    assert status == 0, err
    assert again.splitlines()[0] == out.splitlines()[0]


@pytest.mark.tier("slow")
def test_sbc_of_a_folder(run: Run, conversion_folder: Path, tmp_path: Path) -> None:
    options = ["--chains", "1", "--warmup", "20", "--draws", "20", "--starts", "1", "--quiet", "--out", tmp_path / "o"]
    status, _, err = run("sbc", conversion_folder, "--replicates", "5", *options)
    assert status == 2
    assert "replicates must be at least 20, not 5" in err
    status, out, err = run("sbc", conversion_folder, "--replicates", "20", "--minutes", "0.001", *options)
    assert status == 3, err
    assert "the same command resumes the run in" in out
    status, out, err = run("sbc", conversion_folder, "--replicates", "20", *options)
    assert status == 0, err
    assert " replicates, ranks among 20 draws" in out  # of so short chains, some never move
    assert "alibrated." in out or "NOT CALIBRATED." in out
    written = {p.name for p in (tmp_path / "o").iterdir() if not p.name.startswith("chunk-")}
    assert written == {".lock", "ranks.csv", "ranks.png", "run.json", "sbc.npz", "summary.txt", "uniformity.csv"}
    table = pd.read_csv(tmp_path / "o" / "ranks.csv")
    assert {"k1", "log likelihood"} < set(table)
    assert table["k1"].between(0, 20).all()
    status, again, err = run("sbc", conversion_folder, "--replicates", "20", *options)
    assert status == 0, err
    assert again == out


BAD = {
    "unknown problem": (["evaluate", "hepg3"], ["hepg3", "il6_demo", "hepg2"]),
    "no such values": (["evaluate", "il6_demo", "--at", "absent.csv"], ["absent.csv"]),
    "no such model": (["simulate", "absent.ant", "--out", "x.csv"], ["absent.ant"]),
    "torn model": (["simulate", "torn.ant", "--out", "x.csv"], ["torn.ant", "Antimony"]),
    "unknown species": (["simulate", "il6_stat3", "--protocol", "add IL7 1", "--out", "x.csv"], ["IL7", "il6_stat3"]),
    "unreadable protocol": (
        ["simulate", "il6_stat3", "--protocol", "drink IL6", "--out", "x.csv"],
        ["drink IL6", "wash out"],
    ),
    "unreadable times": (["simulate", "il6_stat3", "--times", "0:x", "--out", "x.csv"], ["--times", "0:x"]),
    "unknown parameter": (["simulate", "il6_stat3", "--set", "Kd99=1", "--out", "x.csv"], ["Kd99", "Kd1"]),
    "not a number": (["simulate", "il6_stat3", "--set", "Kd1=nine", "--out", "x.csv"], ["--set", "Kd1=nine"]),
    "option out of range": (["fit", "il6_demo", "--out", "here", "--chains", "0"], ["chains"]),
    "dose without a molar mass": (
        ["dose-response", "il6_stat3", "--ligand", "STAT3", "--doses", "1 ng/ml", "--out", "here"],
        ["STAT3", "molar mass"],
    ),
    "negative dose": (["dose-response", "il6_stat3", "--doses=-1,2 nM", "--out", "here"], ["IL6", "negative"]),
    "drug that is not there": (
        ["dose-response", "il6_stat3", "--drug", "tocilizumab=1 nM", "--out", "here"],
        ["tocilizumab", "load a model with it, such as 'il6_stat3+tocilizumab'"],
    ),
    "a time and a summary": (
        ["dose-response", "il6_stat3", "--at", "5", "--summary", "peak", "--out", "here"],
        ["--at is a single time: leave out --summary and --times, or --at"],
    ),
    "unreadable drug": (["dose-response", "il6_stat3", "--drug", "tocilizumab", "--out", "here"], ["NAME=DOSES"]),
    "unreadable condition": (
        ["dose-response", "il6_stat3", "--condition", "a: IL6R_0", "--out", "here"],
        ["'IL6R_0'", "PARAMETER=VALUE"],
    ),
    "condition twice": (
        ["dose-response", "il6_stat3", "--condition", "a:", "--condition", "a: IL6R_0=0", "--out", "here"],
        ["two conditions are called 'a'"],
    ),
    "no posterior": (["dose-response", "empty", "--out", "here"], ["posterior.nc", "hexamer fit"]),
    "unknown format": (["export", "il6_demo", "--to", "sbml", "here"], ["--to", "petab"]),
    "doses added, in PEtab v1": (
        ["export", "il6_demo", "--to", "petab", "--version", "1", "here"],
        ["il6_demo cannot be written as PEtab v1", "'IL6 10 ng/ml'", "write version 2"],
    ),
    "folder is a file": (["fit", "il6_demo", "--out", "torn.ant"], ["torn.ant", "cannot write"]),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input(case: str, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "torn.ant").write_text("model m\n A -> B k*A;\nend\n")
    arguments, words = BAD[case]
    status, _, err = run(*arguments)
    assert status == 2
    assert "Traceback" not in err
    for word in words:
        assert word in err


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_folder_that_is_not_writable(run: Run, tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    status, _, err = run("fit", "il6_demo", "--out", tmp_path / "out")
    tmp_path.chmod(0o700)
    assert status == 2
    assert "cannot write" in err


def test_hepg2_without_its_data_says_where_it_was_published(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HEXAMER_DATA", raising=False)
    status, _, err = run("evaluate", "hepg2")
    assert status == 2
    assert "Zeilfelder" in err
    assert "HEXAMER_DATA" in err
