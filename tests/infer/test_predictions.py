"""`hexamer.predict`: courses under protocols of the data and under new ones, against closed forms."""

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import hexamer
from hexamer import Problem, Protocol
from hexamer.infer.posterior.file import save_datatree

pytestmark = pytest.mark.tier("test")


@pytest.fixture(scope="module")
def folder(conversion_tree: xr.DataTree, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("fitted")
    save_datatree(conversion_tree, path / "posterior.nc")
    return path


@pytest.fixture(scope="module")
def result(folder: Path, conversion: Problem) -> hexamer.Calibration:
    return hexamer.read_posterior(folder, conversion)


def test_what_was_measured_is_predicted_over_its_times(result, conversion):
    prediction = hexamer.predict(result, draws=20)
    measured = {(m.observable, m.protocol) for m in conversion.dataset.measurements}
    assert set(prediction.curves) == measured
    for (observable, _), curve in prediction.curves.items():
        times = [m.time for m in conversion.dataset.measurements if m.observable == observable]
        assert curve.x[0] == min(times)
        assert curve.x[-1] == max(times)
        assert set(times) <= set(curve.x)
    assert repr(prediction) == "Prediction(3 observables, 5 protocols, 20 draws)"


def test_a_new_protocol_against_the_closed_form(result, conversion_course):
    text = "equilibrate; set L 2"
    prediction = hexamer.predict(result, [40, 5], observables="blot_B", protocols=text, draws=None)
    curve = prediction.curves["blot_B", text]
    assert list(curve.x) == [5.0, 40.0]
    k1, total, first, second = (
        result.tree["posterior"][n].values.reshape(-1)
        for n in ("k1", "total", "scale_blot_B[gel-1]", "scale_blot_B[gel-2]")
    )
    average = np.sqrt(first * second)  # of both gels, per draw
    rows = zip(k1, total, average, strict=True)
    expected = [[s * conversion_course(2, t, k1=k, total=n) for t in (5, 40)] for k, n, s in rows]
    np.testing.assert_allclose(curve.mean, expected, rtol=1e-4)
    table = prediction.table(0.5)
    np.testing.assert_allclose(table["median"], np.median(expected, axis=0), rtol=1e-4)
    np.testing.assert_allclose(table["lower"], np.quantile(expected, 0.25, axis=0), rtol=1e-4)
    for new, of_curve in (("new_lower", "lower"), ("upper", "new_upper")):
        assert np.all(table[new].to_numpy() < table[of_curve].to_numpy())
    assert list(table["unit"]) == ["au", "au"]
    assert list(table["time_unit"]) == ["min", "min"]
    assert list(table["failed"]) == [0, 0]


def test_a_folder_and_a_protocol_of_your_own(folder, result):
    own = Protocol.equilibrated("pulse").set(at=10, L=5.0).set(at=20, L=0.0)
    by_folder = hexamer.predict(folder, [0, 10, 30], observables=["fraction"], protocols=[own, "L 1 nM"], draws=5)
    assert list(by_folder.curves) == [("fraction", "pulse"), ("fraction", "L 1 nM")]
    assert by_folder.table()["protocol"].tolist() == ["pulse"] * 3 + ["L 1 nM"] * 3
    same = hexamer.predict(result, [0, 10, 30], observables=["fraction"], protocols=[own, "L 1 nM"], draws=5)
    np.testing.assert_array_equal(by_folder.table()["median"], same.table()["median"])
    assert "<table>" in same._repr_html_()
    assert "time in min" in same._repr_html_()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"observables": "blot_C"}, "'blot_C' was not measured; known: .*did you mean 'blot_B'"),
        ({"protocols": "L 2 nM"}, "'L 2 nM' is not a protocol of the data .*'L 1 nM', .* and cannot read"),
        ({"protocols": "  "}, "'' is not a protocol of the data .* cannot be empty"),
        ({"protocols": Protocol("L 1 nM").set(L=1.5)}, "a protocol of the data is named 'L 1 nM', and differs"),
        ({"protocols": "set L 2", "times": [-2, -1]}, "'set L 2' starts at 0, after the last of times, -1"),
        ({"protocols": []}, "protocols is an empty list; leave it out"),
        ({"observables": []}, "observables is an empty list; leave it out"),
        ({"protocols": "add ligand 2"}, "changes 'ligand', which"),
        ({"protocols": "add L 2"}, "adds to 'L', which is a parameter .* set it"),
        ({"protocols": "add A -2"}, "-2"),
        ({"protocols": "set L k9"}, "k9"),
        ({"protocols": [Protocol("p"), Protocol("p").set(L=1.0)]}, "two different protocols are named 'p'"),
        ({"times": []}, "one or more finite numbers"),
        ({"times": [0, np.nan]}, "one or more finite numbers"),
        ({"times": ["soon"]}, "one or more finite numbers"),
        ({"draws": 0}, "draws must be a whole number of at least 1"),
    ],
)
def test_what_cannot_be_predicted_is_refused_by_name(result, options, message):
    with pytest.raises(ValueError, match=message):
        hexamer.predict(result, **options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"draws": 2.5}, "draws must be a whole number"),
        ({"draws": "all"}, "draws must be a whole number"),
        ({"observables": 3}, "observables is a name or a list of them, not 3"),
        ({"protocols": [5]}, r"protocols is a name or a list of them, not \[5\]"),
    ],
)
def test_arguments_of_another_kind_are_refused_by_name(result, options, message):
    with pytest.raises(TypeError, match=message):
        hexamer.predict(result, **options)
    with pytest.raises(TypeError, match="result is what fit returned, or its folder, not 3"):
        hexamer.predict(3)  # pyright: ignore[reportArgumentType]


def test_an_interval_is_a_probability(result):
    prediction = hexamer.predict(result, [5], draws=2)
    for wrong in (90, 0, "half"):
        with pytest.raises(ValueError, match="between 0 and 1"):
            prediction.table(wrong)  # pyright: ignore[reportArgumentType]


def test_a_start_unlike_that_of_the_data_is_said(result, caplog):
    every = result.problem.dataset.protocols.values()
    steady = all(q.preequilibration is not None for q in every)
    hexamer.predict(result, [5], protocols="set L 2", draws=2)
    assert ("starts from the model's initial values" in caplog.text) == steady
    caplog.clear()
    hexamer.predict(result, [5], protocols="equilibrate; set L  2", draws=2)
    assert not caplog.text


def test_a_folder_without_a_posterior(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"posterior\.nc"):
        hexamer.predict(tmp_path)
