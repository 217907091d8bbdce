import pytest

from hexamer.data import TableError, literature, read_values

pytestmark = pytest.mark.tier("check")


def write(tmp_path, text):
    path = tmp_path / "fit.csv"
    path.write_text(text)
    return path


def test_values_in_order(tmp_path):
    path = write(tmp_path, 'parameter,value\nb,1e-3\na,0\n"scale_x[g,1]",2\n')
    assert read_values(path) == {"b": 1e-3, "a": 0.0, "scale_x[g,1]": 2.0}


@pytest.mark.parametrize(
    ("text", "messages"),
    [
        ("parameter\na\n", ["'value': the column is missing; the table has parameter"]),
        (
            "parameter,value,best\na,1,2\n",
            ["'best': unknown column; known are note, parameter, source, unit, value"],
        ),
        (
            "parameter,value\na,1\na,2\nb,inf\nc,\n,3\n",
            [
                "row 2, 'parameter' holds 'a'; expected each name once",
                "row 3, 'value' holds 'inf'; expected a finite number",
                "row 4, 'value' holds nothing; expected a finite number",
                "row 5, 'parameter' holds nothing; expected a name",
            ],
        ),
        ("", ["the file is empty; expected a header line and rows"]),
        ("parameter,value\n", ["the table has a header but no rows"]),
        (
            'parameter,value\na,1_000\nb,"1,5"\n',
            ["holds '1_000'", "holds '1,5'; expected a finite number; write decimals"],
        ),
        ("parameter,value\na,1,2\n", ["row 1 holds 3 cells; expected 2 cells, as the header has"]),
        ("parameter,parameter\na,1\n", ["column 'parameter' appears twice"]),
    ],
)
def test_problems(tmp_path, text, messages):
    with pytest.raises(TableError) as caught:
        read_values(write(tmp_path, text))
    for message in messages:
        assert message in str(caught.value)


def test_a_missing_file(tmp_path):
    with pytest.raises(TableError, match=r"none\.csv: there is no such file in"):
        read_values(tmp_path / "none.csv")


def test_row_numbers_are_those_of_the_file_despite_blank_lines(tmp_path):
    with pytest.raises(TableError, match="row 3, 'value' holds 'x'"):
        read_values(write(tmp_path, "parameter,value\na,1\n\nb,x\n"))


def test_a_byte_order_mark_and_windows_line_ends(tmp_path):
    path = tmp_path / "fit.csv"
    path.write_bytes("\ufeffparameter,value\r\na, 1 \r\n".encode())
    assert read_values(path) == {"a": 1.0}


def test_literature_gives_lognormal_priors(tmp_path):
    header = "quantity,symbol,model_parameter,median,unit,log_sd,low,high,grade,source,note\n"
    path = tmp_path / "literature.csv"
    path.write_text(header + "Kd,K,Kd1,9,nM,1.0,0.5,34,A,somebody 1995,\nmass,M,,21,kDa,,,,A,,\n")
    prior = literature(path)["Kd1"].prior
    assert prior is not None
    assert (prior.family, prior.scale, prior.spread) == ("normal", "log", 1.0)
    assert prior.location == pytest.approx(2.1972245773)
    path.write_text(header + "Kd,K,Kd1,-9,nM,,,,A,,\nKd,K,Kd1,9,nM,1,,,A,,\n")
    with pytest.raises(TableError) as caught:
        literature(path)
    assert "row 1, 'median' holds '-9'; expected a number above 0" in str(caught.value)
    assert "row 1, 'log_sd' holds nothing; expected a finite number" in str(caught.value)


def test_the_bundled_literature_is_sound():
    constants = literature()
    assert constants["Kd1"].unit == "nM"
    assert all(p.estimated and p.unit and p.source for p in constants.values())
