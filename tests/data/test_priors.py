import math

import numpy as np
import pytest
from scipy import stats

from hexamer.data import Parameter, Prior, Scale, TableError, read_priors
from hexamer.data.native.prior_table import covers
from hexamer.data.prior import FAMILIES

pytestmark = pytest.mark.tier("check")

HEADER = "parameter,unit,distribution,location,scale,note,value,lower,upper,source\n"


def read(tmp_path, rows, header=HEADER):
    (tmp_path / "priors.csv").write_text(header + rows)
    return read_priors(tmp_path / "priors.csv")


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ("k,1/min,log10_normal,-2,1,,,,,", Prior("normal", "log10", -2, 1)),
        ("k,1/min,lognormal,0,0.5,,,,,", Prior("normal", "log", 0, 0.5)),
        ("k,1/min,normal,1,2,,,0,3,", Prior("normal", "lin", 1, 2, 0, 3)),
        ("k,1/min,half_normal,0,0.3,,,,,", Prior("half_normal", "lin", 0, 0.3)),
        ("k,1/min,half_normal,,0.3,,,,,", Prior("half_normal", "lin", 0, 0.3)),
        ("k,1/min,laplace,1,2,,,,,", Prior("laplace", "lin", 1, 2)),
        ("k,1/min,uniform,,,,,0,5,", Prior("uniform", "lin", lower=0, upper=5)),
        ("k,1/min,log10_uniform,,,,,0.001,10,", Prior("uniform", "log10", lower=-3, upper=1)),
        ("k,1/min,log_uniform,,,,,1,2,", Prior("uniform", "log", lower=0, upper=math.log(2))),
        ("k,1/min,log10_normal,0,1,,,0,100,", Prior("normal", "log10", 0, 1, upper=2)),
    ],
)
def test_each_distribution(tmp_path, row, expected):
    parameter = read(tmp_path, row).named["k"]
    assert parameter.unit == "1/min"
    prior = parameter.prior
    assert prior is not None
    assert (prior.family, prior.scale) == (expected.family, expected.scale)
    assert (prior.location, prior.spread) == (expected.location, expected.spread)
    assert (prior.lower, prior.upper) == pytest.approx((expected.lower, expected.upper))


CUTS = {"whole": (0.0, 1.0), "above": (0.3, 1.0), "below": (0.0, 0.8), "both": (0.3, 0.8), "tail": (0.999, 0.9999)}
EACH_FAMILY = [
    pytest.param(f, s, cut, id=f"{f} {s} {cut}")
    for f, family in FAMILIES.items()
    for s in Scale
    for cut in CUTS
    if (family.on_real_line or s is Scale.LIN) and not (family.folded and cut != "whole")
]


@pytest.mark.parametrize(("name", "scale", "cut"), EACH_FAMILY)
def test_each_family_of_the_table_is_scipys(name, scale, cut):
    """Density, support, bounds, quantiles and another unit, at numbers of each family's own."""
    family, (least, most) = FAMILIES[name], CUTS[cut]
    numbers = {n: v for n, v in {"location": 0.4, "spread": 0.7, "shape": 2.5}.items() if n in family.uses}
    oracle = getattr(stats, family.scipy)(
        *([2.5] if "shape" in numbers else []), loc=numbers.get("location", 0.0), scale=numbers.get("spread", 1.0)
    )
    if name == "uniform":
        prior = Prior(name, scale, lower=oracle.ppf(least), upper=oracle.ppf(most))
    else:
        bounds = {"lower": (least, 0.0), "upper": (most, 1.0)}
        prior = Prior(name, scale, **numbers, **{n: oracle.ppf(u) for n, (u, free) in bounds.items() if u != free})
    u = np.linspace(0.05, 0.95, 7)
    t = oracle.ppf(least + u * (most - least))
    np.testing.assert_allclose(prior.quantile(u), t, rtol=1e-7)
    of_each = [np.full_like(t, numbers.get(n, 1.0)) for n in ("location", "spread", "shape")]
    found = np.asarray(family.log_density(t, *of_each)) - prior.log_mass
    np.testing.assert_allclose(found, oracle.logpdf(t) - math.log(most - least), rtol=1e-7, atol=1e-7)
    np.testing.assert_allclose(oracle.support(), FAMILIES[name].support if name != "uniform" else (0, 1))
    shift = 60.0 if scale is Scale.LIN else math.log(60.0) / scale.log_base
    expected = t * shift if scale is Scale.LIN else t + shift
    np.testing.assert_allclose(prior.scaled(60.0).quantile(u), expected, rtol=1e-7)


WITH_SHAPE = "parameter,unit,distribution,location,scale,shape,lower,upper\n"


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ("k,1/min,gamma,,0.5,2,,", Prior("gamma", spread=0.5, shape=2)),
        ("k,1/min,gamma,0,0.5,2,,3", Prior("gamma", spread=0.5, shape=2, upper=3)),
        ("k,1/min,inverse_gamma,,0.5,2,,", Prior("inverse_gamma", spread=0.5, shape=2)),
        ("k,1/min,exponential,,0.5,,,", Prior("exponential", spread=0.5)),
        ("k,1/min,rayleigh,,0.5,,,", Prior("rayleigh", spread=0.5)),
        ("k,1/min,half_cauchy,,0.5,,,", Prior("half_cauchy", spread=0.5)),
        ("k,1/min,cauchy,1,0.5,,,", Prior("cauchy", location=1, spread=0.5)),
        ("k,1/min,log10_student_t,-2,0.5,4,,", Prior("student_t", "log10", location=-2, spread=0.5, shape=4)),
    ],
)
def test_families_with_other_numbers(tmp_path, row, expected):
    assert read(tmp_path, row, WITH_SHAPE).named["k"].prior == expected


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("k,1/min,gamma,,0.5,,,", "'shape' holds nothing; expected a number for 'gamma'"),
        ("k,1/min,gamma,1,0.5,2,,", "'location' holds '1'; expected 0 or an empty cell for 'gamma', which starts at"),
        ("k,1/min,gamma,,0.5,-2,,", "the prior 'gamma' needs a shape, positive and finite, not -2"),
        ("k,1/min,normal,0,0.5,2,,", "'shape' holds '2'; expected an empty cell for 'normal'"),
        (
            "k,1/min,gamma,,0.5,2,-3,-1",
            "is of positive numbers: the upper bound -1.0 leaves nothing of it",
        ),
        ("k,1/min,log10_gamma,,0.5,2,,", "'distribution' holds 'log10_gamma'; expected one of normal"),
    ],
)
def test_numbers_that_make_no_distribution(tmp_path, row, said):
    with pytest.raises(TableError) as caught:
        read(tmp_path, row, WITH_SHAPE)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Prior("gamma", spread=1000.0, shape=0.001), "goes beyond what floats hold: take a log_normal"),
        (lambda: Prior("inverse_gamma", shape=0.0005), "goes beyond what floats hold"),
        (lambda: Prior("gamma", location=1.0, shape=2.0), "'gamma' has no location, and 1.0 was given"),
        (lambda: Prior("rayleigh", "log10"), "'rayleigh' exists on the linear scale only"),
        (lambda: Prior("student_t"), "'student_t' needs a shape, positive and finite, not None"),
    ],
)
def test_what_makes_no_prior_is_refused(make, said):
    with pytest.raises(ValueError, match=said):
        make()


def test_a_density_that_is_infinite_at_0_is_searched_on_a_logarithm():
    assert Parameter("k", Prior("gamma", shape=0.5)).search_scale == "log"
    assert Parameter("k", Prior("gamma", shape=0.5), scale="lin").search_scale == "lin"
    assert Parameter("k", Prior("gamma", shape=1.5)).search_scale == "lin"


def test_another_unit_is_the_same_distribution():
    """A clearance in 1/h instead of 1/min: 60 times the number, the same probability below each quantile."""
    u = np.linspace(0.05, 0.95, 7)
    for prior in (
        Prior("gamma", spread=0.5, shape=2, upper=3),
        Prior("student_t", location=1, spread=0.5, shape=3),
        Prior("cauchy", "log10", location=-1, spread=0.5, upper=1),
        Prior("rayleigh", spread=0.5),
        Prior("uniform", "log10", lower=-2, upper=1),  # was refused: its location, which it does not have, moved, too
    ):
        found = prior.scale.natural(prior.scaled(60.0).quantile(u))
        np.testing.assert_allclose(found, 60 * prior.scale.natural(prior.quantile(u)), rtol=1e-10)


def test_equal_priors_have_one_text():
    assert Prior("gamma", shape=2.0, spread=0.5).text == Prior("gamma", "lin", 0, 0.5, shape=2).text
    exact = 2.1972245773362196
    assert Prior("normal", "log", exact, 1.0).text == f"ln θ ~ normal({exact}, 1)"
    different = {Prior("normal", "log", x, 1.0).text for x in (exact, np.nextafter(exact, 3))}
    assert len(different) == 2


def test_fixed_nominal_and_source(tmp_path):
    table = read(tmp_path, "a,nM,fixed,,,why,2,,,\nb,nM,normal,0,1,a note,0.5,,,Smith 1999")
    assert table.named["a"] == Parameter("a", None, 2.0, "nM", "why")
    assert table.named["b"].estimated
    assert table.named["b"].value == 0.5
    assert table.named["b"].source == "Smith 1999"


def test_wildcards_stand_for_parameters_named_later(tmp_path):
    rows = "scale_a[g1],au,fixed,,,,1,,,\nscale_*[experiment],au,log10_normal,-1,1,,,,,\nscale_*,au,normal,0,1,,,,,\n"
    table = read(tmp_path, rows)
    assert set(table.named) == {"scale_a[g1]"}
    assert table.parameter("scale_a[g1]") == Parameter("scale_a[g1]", None, 1.0, "au")
    assert table.parameter("scale_a[g2]") == Parameter("scale_a[g2]", Prior("normal", "log10", -1, 1), unit="au")
    assert table.parameter("scale_b") == Parameter("scale_b", Prior("normal"), unit="au")
    assert table.parameter("other") is None


@pytest.mark.parametrize(
    ("pattern", "name", "yes"),
    [
        ("scale_*[experiment]", "scale_pSTAT3[gel-1]", True),
        ("scale_*[experiment]", "scale_IL6_binding_sites", False),
        ("scale_a[experiment]", "scale_a[x]", True),
        ("scale_a[experiment]", "scale_b[x]", False),
        ("sd_?", "sd_a", True),
        ("sd_?", "sd_ab", False),
        ("sd_*", "SD_a", False),
        ("a[bc]*", "ab", False),
    ],
)
def test_the_rule_of_wildcards(pattern, name, yes):
    assert covers(pattern, name) is yes


def test_all_problems_at_once(tmp_path):
    rows = (
        "a,1,zipf,0,1,,,,,\n"
        "a,1,normal,0,1,,,,,\n"
        ",1,normal,0,1,,,,,\n"
        "b,1,normal,x,,,,,,\n"
        "c,1,half_normal,2,1,,,,,\n"
        "d,1,fixed,,,,,,,\n"
        "e,1,uniform,1,,,,0,nan,\n"
        "f,1,normal,0,-1,,,,,\n"
        "g,1,log10_normal,0,1,,,-1,,\n"
        "h,1,uniform,,,,,5,2,\n"
        "i,1,normal,0,1,,7,0,5,\n"
    )
    with pytest.raises(TableError) as caught:
        read(tmp_path, rows)
    text = str(caught.value)
    for line in (
        "priors.csv, row 1, 'distribution' holds 'zipf'; expected one of normal, lognormal",
        "priors.csv, row 2, 'parameter' holds 'a'; expected each parameter once",
        "priors.csv, row 3, 'parameter' holds nothing; expected a name",
        "priors.csv, row 4, 'location' holds 'x'; expected a finite number",
        "priors.csv, row 4, 'scale' holds nothing; expected a number for 'normal'",
        "priors.csv, row 5, 'location' holds '2'; expected 0 or an empty cell for 'half_normal'",
        "priors.csv, row 6, 'value' holds nothing; expected a number for 'fixed'",
        "priors.csv, row 7, 'location' holds '1'; expected an empty cell for 'uniform'",
        "priors.csv, row 7, 'upper' holds 'nan'; expected a finite number",
        "priors.csv, row 8, 'scale' holds '-1'; expected a number above 0, the width of 'normal'",
        "priors.csv, row 9, 'lower' holds '-1'; expected no negative number for 'log10_normal'",
        "priors.csv, row 10, 'lower' holds '5'; expected a number below the upper bound, 2",
        "priors.csv, row 11, 'value' holds '7'; expected a value within the bounds",
    ):
        assert line in text
    assert len(caught.value.issues) == 13


@pytest.mark.parametrize(
    ("header", "message"),
    [
        (
            "parameter,unit,distribution,location\n",
            "'scale': the column is missing; the table has parameter, unit",
        ),
        (HEADER.replace("note", "remark"), "'remark': unknown column; known are"),
        (
            HEADER.replace(",", ";"),
            "priors.csv: the header must have columns separated by commas; it has semicolons",
        ),
    ],
)
def test_the_header(tmp_path, header, message):
    with pytest.raises(TableError, match=message):
        read(tmp_path, "k,1,normal,0\n" if "scale" not in header else "k,1,normal,0,1,,,,,\n", header)


def test_the_normal_distribution_is_scipys_bit_for_bit():
    """Draws from priors follow from its quantiles."""
    rng = np.random.default_rng(0)
    share, x = np.r_[rng.uniform(size=1000), 0, 1, 1e-300], np.r_[rng.normal(size=1000) * 9, -np.inf, np.inf]
    ours, theirs = FAMILIES["normal"].frozen(1.3, 0.7, None), stats.norm(loc=1.3, scale=0.7)
    assert ours.median() == theirs.median()
    for name, at in {"ppf": share, "isf": share, "cdf": x, "sf": x, "logcdf": x, "logsf": x}.items():
        np.testing.assert_array_equal(getattr(ours, name)(at), getattr(theirs, name)(at))


@pytest.mark.parametrize(("lower", "upper"), [(50.0, 60.0), (-60.0, -50.0)])
def test_bounds_that_leave_nothing_are_refused(lower: float, upper: float) -> None:
    """Their quantiles were infinite."""
    with pytest.raises(ValueError, match="leave nothing of the prior"):
        _ = Prior("normal", "lin", 0.0, 1.0, lower=lower, upper=upper).log_mass
    far = Prior("normal", "lin", 0.0, 1.0, lower=35.0, upper=60.0)
    assert 35.0 <= float(far.quantile(np.asarray(0.5))) < 35.1
