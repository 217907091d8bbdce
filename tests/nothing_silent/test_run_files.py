"""What a run leaves: every piece knows whose it is, and is found where it is damaged, missing or foreign."""

from __future__ import annotations

import errno
import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from hexamer import Protocol, simulate
from hexamer.infer import LockedError, StoreError
from hexamer.infer.calibration import describe_progress
from hexamer.infer.posterior.file import PosteriorFileError, read_datatree, save_datatree
from hexamer.infer.sampling.store import RUN, Store, chunk_numbers
from hexamer.infer.storage.files import FileError, write
from hexamer.models import compile_function, compile_network, read_antimony
from hexamer.models.protocols.text import parse_protocol
from support.command_line import Run

pytestmark = pytest.mark.tier("test")

IDENTITY = {"format": 2, "seed": 1, "model": {"rates": "abc"}}
OTHER = {**IDENTITY, "seed": 5}


def arrays(number: int) -> dict[str, np.ndarray]:
    return {"u": np.full((2, 10, 3), number, float), "scale": np.eye(3)}


def filled(folder: Path, identity: dict = IDENTITY, count: int = 4) -> Path:
    """A folder of `count` chunks."""
    with Store.open(folder, identity) as store:
        for i in range(store.count, count):
            store.append(arrays(i))
    return folder


def everything(folder: Path, identity: dict = IDENTITY) -> list[dict[str, np.ndarray]]:
    with Store.open(folder, identity) as store:
        return [store.load(i) for i in range(store.count)]


def chunk(number: int) -> str:
    return f"chunk-{number:05d}.npz"


def test_chunks_come_back_as_they_were(tmp_path: Path) -> None:
    for i, found in enumerate(everything(filled(tmp_path))):
        assert found.keys() == arrays(i).keys()
        for name, value in arrays(i).items():
            np.testing.assert_array_equal(found[name], value)


def test_chunk_of_another_run_is_refused(tmp_path: Path) -> None:
    """Of the same shapes, from another seed."""
    a, b = filled(tmp_path / "a"), filled(tmp_path / "b", OTHER)
    shutil.copy(b / chunk(2), a / chunk(2))
    with pytest.raises(StoreError, match=rf"a/{chunk(2)} belongs to another run.*remove it and the chunks after it"):
        everything(a)


def test_chunks_that_changed_places_are_refused(tmp_path: Path) -> None:
    folder = filled(tmp_path)
    shutil.copy(folder / chunk(1), folder / chunk(2))
    with pytest.raises(StoreError, match=rf"{chunk(2)} is chunk 1 of this run, not 2"):
        everything(folder)


def test_a_damaged_description_costs_no_draws(tmp_path: Path) -> None:
    """What its message advises."""
    before = everything(filled(tmp_path))
    (tmp_path / RUN).write_text("{")
    (tmp_path / RUN).unlink()
    assert len(everything(tmp_path)) == len(before)


@pytest.mark.parametrize("missing", [0, 1, 2])
def test_missing_chunk_is_named_as_a_gap(missing: int, tmp_path: Path) -> None:
    folder = filled(tmp_path)
    (folder / chunk(missing)).unlink()
    said = rf"{chunk(missing)} is missing from .*, though {chunk(missing + 1)} is there: put it back, or remove"
    with pytest.raises(StoreError, match=said):
        everything(folder)


def test_missing_run_description_with_foreign_chunks_is_refused(tmp_path: Path) -> None:
    folder = filled(tmp_path, OTHER)
    (folder / RUN).unlink()
    with pytest.raises(StoreError, match="belongs to another run"):
        everything(folder)


@pytest.mark.parametrize("left", [0, 1, 100, -1, -80])
def test_truncated_chunk_is_found(left: int, tmp_path: Path) -> None:
    path = filled(tmp_path) / chunk(1)
    path.write_bytes(path.read_bytes()[:left])
    with pytest.raises(StoreError, match=rf"{chunk(1)} is damaged .*cut short.*: remove it and the chunks after it"):
        everything(tmp_path)


def test_every_flipped_bit_of_a_chunk_is_found(tmp_path: Path) -> None:
    path = filled(tmp_path) / chunk(3)
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    for position in [0, len(whole) - 1, *rng.integers(len(whole), size=60)]:
        flipped = bytearray(whole)
        flipped[position] ^= 1 << int(rng.integers(8))
        path.write_bytes(flipped)
        with pytest.raises(StoreError, match=rf"{chunk(3)} is damaged"):
            everything(tmp_path)
    path.write_bytes(whole)
    assert len(everything(tmp_path)) == 4


@pytest.mark.parametrize(
    "content", ["", "{", "[]", '{"id": "x", "identity": {"format": 2}}', '{"identity": 3, "id": 1}']
)
def test_damaged_run_description_is_found(content: str, tmp_path: Path) -> None:
    (filled(tmp_path) / RUN).write_text(content)
    said = r"run\.json is damaged \((line 1 is not JSON|it does not hold|its hash).*\): remove this one file; the draws"
    with pytest.raises(StoreError, match=said):
        everything(tmp_path)


def test_second_process_is_refused_clearly(tmp_path: Path) -> None:
    folder = filled(tmp_path)
    said = rf"another process writes to .* \(process {os.getpid()} on .*\): wait until it has ended, stop it, or choose"
    with Store.open(folder, IDENTITY), pytest.raises(LockedError, match=said):
        everything(folder)
    assert len(everything(folder)) == 4


def test_full_disk_names_the_file_and_leaves_no_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = filled(tmp_path)

    def full(_) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with Store.open(folder, IDENTITY) as store:
        monkeypatch.setattr("hexamer.infer.storage.files._sync", full)
        said = rf"cannot write '.*{chunk(4)}': No space left on device; choose a folder .* or make room"
        with pytest.raises(ValueError, match=said):
            store.append(arrays(4))
        monkeypatch.undo()
        assert [p.name for p in folder.iterdir() if p.suffix == ".part"] == []
        assert chunk_numbers(folder) == [0, 1, 2, 3]
        store.append(arrays(4))
    assert len(everything(folder)) == 5


def test_half_written_files_of_killed_runs_are_removed(tmp_path: Path) -> None:
    folder = filled(tmp_path)
    (folder / f".{chunk(4)}.1-2.part").write_bytes(b"half a chunk")
    everything(folder)
    assert list(folder.glob("*.part")) == list(folder.glob(".*.part")) == []


def test_files_have_the_mode_of_others(tmp_path: Path) -> None:
    old = os.umask(0o022)
    try:
        folder = filled(tmp_path / "run")
        save_datatree(xr.DataTree.from_dict({"/": xr.Dataset()}), folder / "posterior.nc")
    finally:
        os.umask(old)
    for path in folder.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o644, path


@pytest.fixture
def posterior(tmp_path: Path) -> Path:
    rng = np.random.default_rng(1)
    draws = xr.Dataset({"k": (("chain", "draw"), rng.normal(size=(4, 50)))})
    tree = {"/": xr.Dataset(attrs={"hexamer_version": "0"}), "posterior": draws, "sample_stats": draws}
    return save_datatree(xr.DataTree.from_dict(tree), tmp_path / "posterior.nc")


def test_every_flipped_bit_of_a_posterior_is_found(posterior: Path) -> None:
    whole = posterior.read_bytes()
    assert read_datatree(posterior)["posterior"]["k"].shape == (4, 50)
    assert "checksum" not in read_datatree(posterior).attrs
    rng = np.random.default_rng(0)
    for position in [8, len(whole) // 2, len(whole) - 1, *rng.integers(8, len(whole), size=40)]:
        flipped = bytearray(whole)
        flipped[position] ^= 1 << int(rng.integers(8))
        posterior.write_bytes(flipped)
        with pytest.raises(PosteriorFileError, match=r"posterior\.nc': it is damaged.*copy it again, or sample again"):
            read_datatree(posterior)


@pytest.mark.parametrize("lost", [1, 40, 73, 74, 500])
def test_truncated_posterior_is_found(lost: int, posterior: Path) -> None:
    posterior.write_bytes(posterior.read_bytes()[:-lost])
    with pytest.raises(PosteriorFileError, match=r"posterior\.nc': it is (damaged|cut short)"):
        read_datatree(posterior)


def test_posterior_is_read_by_other_programs(posterior: Path) -> None:
    """What follows the end of the file does not disturb them."""
    import h5py

    with h5py.File(posterior) as file:
        values = file["posterior/k"]
        assert isinstance(values, h5py.Dataset)
        assert values.shape == (4, 50)
    xr.testing.assert_equal(
        xr.open_dataset(posterior, group="posterior"), read_datatree(posterior)["posterior"].to_dataset()
    )


def test_what_an_interrupted_fit_left_is_said_as_it_is(tmp_path: Path) -> None:
    assert describe_progress(tmp_path).startswith("nothing is kept yet")
    (tmp_path / "start.npz").touch()
    assert describe_progress(tmp_path).startswith(f"no draws yet; the best fit is in {tmp_path}")
    filled(tmp_path / "chains")
    assert describe_progress(tmp_path).startswith(f"draws are in {tmp_path / 'chains'}")


BLOW_UP = "model grows; species y = 1; k = 1; J: -> y; k*y^2; end"
PROBLEM = """
[observables.y]
assay = "direct"
signal = "y"
unit = "nM"
sd = 0.1
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """y' = k y² from 1 is infinite at 1/k; it is read at 2."""
    (tmp_path / "model.ant").write_text(BLOW_UP)
    (tmp_path / "problem.toml").write_text(PROBLEM)
    (tmp_path / "measurements.csv").write_text("observable,time,value,unit\ny,2,3,nM\n")
    (tmp_path / "priors.csv").write_text("parameter,unit,distribution,location,scale\nk,1,log10_normal,0,1\n")
    (tmp_path / "values.csv").write_text("parameter,value\nk,1\n")
    return tmp_path


def test_evaluate_fails_where_a_solve_does(folder: Path, run: Run) -> None:
    status, out, err = run("evaluate", folder, "--at", folder / "values.csv")
    assert status == 2
    assert '"nllh": null' in out
    assert "the likelihood does not exist at these values: failed solves (1 " in err


@pytest.mark.parametrize(
    "statement", ["add y -1", "add y -0.5 at 3", "set y -2", "pulse y -1 from 0 to 1", "equilibrate y=-1", "add y dose"]
)
def test_negative_doses_are_refused(statement: str, folder: Path, run: Run) -> None:
    out = folder / "out.csv"
    given = ["--set", "dose=-1"] if statement.endswith("dose") else []
    status, _, err = run("simulate", folder / "model.ant", "--protocol", statement, *given, "--out", out)
    assert status == 2
    assert "y is given as -" in err
    assert "a dose cannot be negative" in err
    assert not out.exists()


def test_negative_doses_are_refused_in_python() -> None:
    with pytest.raises(ValueError, match="at time 3, L is given as -1: a dose cannot be negative"):
        Protocol().add("L", -1.0, at=3)
    model = compile_network(read_antimony(BLOW_UP))
    with pytest.raises(ValueError, match="y is given as -1: a dose cannot be negative"):
        simulate(model, {"dose": np.array([1.0, -1.0])}, Protocol("p").add("y", "dose"), [1.0])
    assert parse_protocol("set k -1; add y 0").targets == {"k", "y"}  # a parameter may be negative


@pytest.mark.tier("slow")
def test_models_that_are_no_networks_may_have_negative_states() -> None:
    model = compile_function(lambda t, y, p: -y, species=["v"], parameters={"k": 1.0}, initial=[1.0])
    found = simulate(model, {}, Protocol().set(v=-2.0), [0.0])
    assert found.y[0, 0, 0] == -2.0


@pytest.mark.parametrize(
    "name", ["/etc/passwd", "../secret.csv", "a/../../secret.csv", "~/secret.csv", "C:\\secret.csv"]
)
@pytest.mark.parametrize("key", ["standards", "schedules"])
def test_a_description_names_no_file_elsewhere(name: str, key: str, folder: Path, run: Run) -> None:
    """Nor does a message quote what is in it."""
    (folder.parent / "secret.csv").write_text("secret of mine\n")
    more = {
        "standards": f"[observables.e]\nassay = 'elisa'\nsignal = 'y'\nunit = 'nM'\nstandards_unit = 'nM'\n"
        f"standards = '{name}'\n",
        "schedules": f"[schedules]\nfile = '{name}'\n",
    }[key]
    (folder / "problem.toml").write_text(PROBLEM + more)
    status, _, err = run("evaluate", folder)
    assert status == 2
    assert "a file in the folder of this description, by its name" in err
    assert repr(name) in err
    assert "secret of mine" not in err
    assert "root:" not in err
    assert "unknown key" not in err


def test_a_link_stays_and_its_target_is_replaced(tmp_path: Path) -> None:
    target, link, second = tmp_path / "kept" / "target.csv", tmp_path / "link.csv", tmp_path / "second.csv"
    target.parent.mkdir()
    target.write_text("old")
    link.symlink_to(Path("kept") / "target.csv")
    second.symlink_to(link)
    for at, text in ((link, "new"), (second, "newer")):
        write(at, text)
        assert (at.is_symlink(), target.read_text()) == (True, text)
    assert [p.name for p in target.parent.iterdir()] == ["target.csv"]
    ahead = tmp_path / "ahead.csv"
    ahead.symlink_to(tmp_path / "not yet" / "there.csv")
    write(ahead, "made")
    assert (tmp_path / "not yet" / "there.csv").read_text() == "made"


def test_a_pipe_is_written_to(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    write(pipe, "through")
    assert os.read(reader, 100) == b"through"
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    os.close(reader)


@pytest.mark.skipif(not Path("/dev/full").is_char_device(), reason="there is no /dev/full")
def test_a_device_is_written_to(tmp_path: Path) -> None:
    """Through a link, so that a mistake replaces the link and not the machine's device."""
    for name in ("full", "null"):
        (tmp_path / name).symlink_to(f"/dev/{name}")
    write(tmp_path / "null", "gone")
    with pytest.raises(FileError, match=r"cannot write '.*full': No space left on device; name a file instead"):
        write(tmp_path / "full", "much")
    for name in ("full", "null"):
        assert (tmp_path / name).is_char_device()
        assert (tmp_path / name).is_symlink()


@pytest.mark.tier("slow")
def test_standard_output_is_written_to(tmp_path: Path) -> None:
    """Behind what was written to it before, also where it is a file."""
    script = (
        "from pathlib import Path; from hexamer.infer.storage.files import write\n"
        "print('first', flush=True); write(Path('/dev/stdout'), 'second\\n'); print('third')"
    )
    with (tmp_path / "out").open("w") as out:
        subprocess.run([sys.executable, "-c", script], stdout=out, check=True)
    assert (tmp_path / "out").read_text().split() == ["first", "second", "third"]
