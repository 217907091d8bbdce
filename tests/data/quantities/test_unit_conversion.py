import pytest

from hexamer.data import UnitError, to_model
from hexamer.data.quantities.units import is_concentration, molar_mass_kda

pytestmark = pytest.mark.tier("check")


@pytest.mark.parametrize(
    ("value", "unit", "target", "mass", "expected"),
    [
        (10, "ng/ml", "nM", "21 kDa", 10 / 21),
        (10, "ng/ml", "nM", 21, 10 / 21),
        (10, "ng/mL", "nM", "21000 g/mol", 10 / 21),
        (1, "ug/ml", "nM", "147.5 kDa", 1000 / 147.5),
        (0.5, "nM", "ng/ml", "60 kDa", 30.0),
        (40, "pM", "nM", None, 0.04),
        (2, "h", "min", None, 120.0),
        (90, "s", "min", None, 1.5),
        (602.214076, "molecules/cell", "zmol/cell", None, 1.0),
        (50, "percent", "1", None, 0.5),
        (3, "au", "au", None, 3.0),
        (7, "percent of untreated", "percent of  untreated", None, 7.0),
    ],
)
def test_conversion(value, unit, target, mass, expected):
    assert to_model(value, unit, target, mass) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(
    ("unit", "target", "mass", "message"),
    [
        ("ng/ml", "nM", None, "unit 'ng/ml' needs a molar mass, such as '21 kDa', to become 'nM'"),
        (
            "ng/ml",
            "min",
            "21 kDa",
            r"unit 'ng/ml' \(\[mass\] / \[length\] \*\* 3\) cannot become 'min' \(\[time\]\)",
        ),
        ("au", "m", None, "unit 'au' .* cannot become 'm'"),
        ("furlongs/fortnite", "nM", None, "unit 'furlongs/fortnite' is not known"),
        ("10 nM", "nM", None, "unit '10 nM' cannot be read as a unit"),
        ("ng/ml", "nM", "21 min", "molar mass '21 min' cannot be read; expected such as '21 kDa'"),
        ("ng/ml", "nM", -21.0, "molar mass -21.0 must be positive and finite"),
        ("degC", "kelvin", None, "unit 'degC' is a temperature"),
    ],
)
def test_refusals_name_the_unit_and_what_was_expected(unit, target, mass, message):
    with pytest.raises(UnitError, match=message):
        to_model(1.0, unit, target, mass)


def test_same_text_needs_no_known_unit():
    assert to_model(1.5, "spots", "spots") == 1.5


def test_molar_mass_in_words():
    assert molar_mass_kda("52.5 kDa") == pytest.approx(52.5)
    assert molar_mass_kda("21000 g/mol") == pytest.approx(21)


def test_what_is_a_concentration():
    assert is_concentration("nM")
    assert is_concentration("ng/ml")
    assert not is_concentration("au")
    assert not is_concentration("percent of untreated")
