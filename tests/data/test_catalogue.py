import pytest

from hexamer.data import DataNotFound, bundled, load

pytestmark = pytest.mark.tier("check")


def test_bundled_names():
    assert "hepg2" in bundled()


def test_an_unknown_name_lists_the_known(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"there is no data set 'hepg3': the bundled data sets are .*hepg2"):
        load("hepg3")
    with pytest.raises(FileNotFoundError, match=r"has no problem\.toml"):
        load(tmp_path)
    (tmp_path / "x.txt").write_text("")
    with pytest.raises(FileNotFoundError, match=r"is neither a folder with problem\.toml nor a PEtab YAML file"):
        load(tmp_path / "x.txt")


def test_published_data_that_are_absent_are_explained(monkeypatch, tmp_path):
    monkeypatch.setenv("HEXAMER_DATA", "")
    with pytest.raises(DataNotFound, match="HEXAMER_DATA is not set") as caught:
        load("hepg2")
    assert "Zeilfelder et al. 2025" in str(caught.value)
    assert "$HEXAMER_DATA/hepg2/measurements.csv" in str(caught.value)
    monkeypatch.setenv("HEXAMER_DATA", str(tmp_path))
    with pytest.raises(DataNotFound, match=r"where hepg2/measurements\.csv is missing"):
        load("hepg2")
