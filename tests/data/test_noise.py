"""Distributions of noise: against scipy's."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import sympy
from scipy import integrate, optimize, special, stats

from helpers import slowly
from hexamer.data import Observable, noise_of
from hexamer.data.noise import Contaminated, Laplace, Noise, Normal, StudentT
from hexamer.infer.problem.row_noise import RowNoise
from hexamer.models.compiled.canonical import content_hash

pytestmark = pytest.mark.tier("check")


class Mixture:
    """(1−ε) N(0, 1) + ε N(0, k²), of scipy's parts."""

    def __init__(self, share: float, times: float):
        self.share = share
        self.wide: Any = stats.norm(scale=times)

    def cdf(self, r):
        return (1 - self.share) * stats.norm.cdf(r) + self.share * self.wide.cdf(r)

    def logpdf(self, r):
        parts = [np.log1p(-self.share) + stats.norm.logpdf(r), np.log(self.share) + self.wide.logpdf(r)]
        return special.logsumexp(parts, axis=0)

    def logcdf(self, r):
        parts = [np.log1p(-self.share) + stats.norm.logcdf(r), np.log(self.share) + self.wide.logcdf(r)]
        return special.logsumexp(parts, axis=0)

    def ppf(self, u):
        return np.array([optimize.brentq(lambda r, p=p: self.cdf(r) - p, -1e3, 1e3, xtol=1e-13) for p in u])


OF_SCIPY: dict[Noise, Any] = {
    Normal(): stats.norm(),
    Laplace(): stats.laplace(),
    StudentT(1.0): stats.t(1),
    StudentT(4.0): stats.t(4),
    StudentT(2.5): stats.t(2.5),
    StudentT(1000): stats.t(1000),
    Contaminated(0.05, 10): Mixture(0.05, 10),
    Contaminated(0.3, 3): Mixture(0.3, 3),
}
SLOPES_TOO = (StudentT(1.0), StudentT(2.5), StudentT(1000), Contaminated(0.05, 10))
R = np.array([-60.0, -8.0, -1.3, 0.0, 0.4, 5.0, 30.0])


@pytest.mark.parametrize("noise", OF_SCIPY, ids=lambda n: n.text)
def test_is_that_of_scipy(noise: Noise) -> None:
    expected = OF_SCIPY[noise]
    np.testing.assert_allclose(noise.log_density(jnp.asarray(R)), expected.logpdf(R), rtol=1e-12)
    known = expected.logcdf(R)
    r = R[np.isfinite(known)]  # scipy's underflows at 1000 degrees of freedom
    np.testing.assert_allclose(noise.log_distribution(jnp.asarray(r)), expected.logcdf(r), rtol=1e-9, atol=1e-15)
    u = np.linspace(0.01, 0.99, 15)
    np.testing.assert_allclose(noise.quantile(u), expected.ppf(u), rtol=1e-9, atol=1e-12)
    draws = noise.draw(np.random.default_rng(0), (4000,))
    assert stats.kstest(draws, expected.cdf).pvalue > 1e-3
    of_numpyro = noise.numpyro(jnp.full(7, 2.0), jnp.full(7, 0.5))
    np.testing.assert_allclose(of_numpyro.log_prob(2 + 0.5 * R), expected.logpdf(R) - np.log(0.5), rtol=1e-12)


@pytest.mark.tier("slow")
@pytest.mark.parametrize("noise", [Normal(), Laplace(), StudentT(4.0), *slowly(*SLOPES_TOO)], ids=lambda n: n.text)
def test_slopes_are_finite_everywhere(noise: Noise) -> None:
    for f in (noise.log_density, noise.log_distribution):
        slopes = jax.vmap(jax.grad(f))(jnp.asarray(R))
        curvatures = jax.vmap(jax.grad(jax.grad(f)))(jnp.asarray(R))
        assert np.all(np.isfinite(slopes))
        assert np.all(np.isfinite(curvatures))


@pytest.mark.parametrize(("dof", "r"), [(1000.0, -60.0), (300.0, -200.0), (100.0, -2e4), (100.0, -1e9), (40.0, -1e20)])
def test_far_tails_of_students_t_do_not_underflow(dof: float, r: float) -> None:
    """Against an integral of the density's logarithm, by substitution t = r·e^s."""
    noise = StudentT(dof)
    t: Any = stats.t(dof)
    s = np.linspace(0.0, 60.0 / dof + 1e-3, 400_001) if abs(r) > 1e3 else np.linspace(0.0, 1.0, 400_001)
    log_p = t.logpdf(r * np.exp(s)) + s + np.log(abs(r))
    expected = log_p[0] + np.log(integrate.trapezoid(np.exp(log_p - log_p[0]), s))
    assert float(noise.log_distribution(jnp.asarray(r))) == pytest.approx(expected, abs=0.02)
    slope = float(jax.grad(noise.log_distribution)(jnp.asarray(r)))
    assert slope == pytest.approx(np.exp(t.logpdf(r) - expected), rel=0.02)


def test_text_is_one_for_equal_numbers() -> None:
    assert StudentT(4).text == StudentT(4.0).text
    assert content_hash(StudentT(4)) == content_hash(StudentT(4.0))


def test_normal_scores_of_contaminated_noise_keep_their_digits_far_out() -> None:
    noise, r = Contaminated(0.05, 10), np.array([-60.0, -3.0, 0.0, 3.0, 60.0])
    tail = np.asarray(noise.log_distribution(jnp.asarray(-np.abs(r))))
    np.testing.assert_allclose(noise.normal_score(r), np.sign(r) * -special.ndtri_exp(tail), rtol=1e-9, atol=1e-12)
    far = 10 * special.ndtri(1e-200 / 0.05)  # of the outliers alone
    np.testing.assert_allclose(noise.quantile(np.array([1e-200, 0.5])), [far, 0.0], rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("noise", OF_SCIPY, ids=lambda n: n.text)
def test_its_text_reads_back(noise: Noise) -> None:
    assert noise_of(noise.text) == noise == noise.text
    assert type(noise_of(noise.text)) is type(noise)
    assert Observable("o", sympy.Symbol("x"), sympy.Integer(1), noise=noise.text).noise == noise


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("gauss", r"unknown noise 'gauss'; known: normal, laplace, student_t\(N\) with N degrees of freedom above 0"),
        ("student_t", r"unknown noise 'student_t'; known: .*student_t\(N\) with N degrees"),
        ("student_t(0)", "degrees of freedom above 0, not 0.0"),
        ("student_t(1e)", "the noise 'student_t.1e.': could not convert"),
        ("student_t(4, 2)", r"unknown noise 'student_t.4, 2.'; known: .*student_t\(N\) with N degrees"),
        ("contaminated(0, 10)", "a share of outliers between 0 and 1, not 0.0"),
        ("contaminated(0.05, 1)", "scatter more than 1 times as far, not 1.0"),
        ("contaminated(0.05)", r"unknown noise .*; did you mean 'contaminated\(0.05, 10\)'"),
    ],
)
def test_other_texts_are_refused(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        noise_of(text)


@pytest.mark.tier("test")
def test_rows_have_each_their_own() -> None:
    kinds = (Laplace(), Normal(), StudentT(3.0))
    of_row = np.array([1, 0, 2, 1, 0, 0, 2])
    rows, r = RowNoise(kinds, of_row), jnp.asarray(R)
    expected = [OF_SCIPY.get(kinds[k], stats.t(3)).logpdf(x) for k, x in zip(of_row, R, strict=True)]
    np.testing.assert_allclose(rows.log_density(r), expected, rtol=1e-12)
    some = rows[np.array([2, 4])]
    below = [stats.t(3).cdf(1.0) - stats.t(3).cdf(-0.5), stats.laplace.cdf(1.0) - stats.laplace.cdf(-0.5)]
    np.testing.assert_allclose(some.log_between(jnp.full(2, -0.5), jnp.full(2, 1.0)), np.log(below), rtol=1e-9)
    draws = rows.draw(np.random.default_rng(0), (3000,))
    assert draws.shape == (3000, 7)
    assert stats.kstest(draws[:, 2], stats.t(3).cdf).pvalue > 1e-3
    assert stats.kstest(draws[:, 5], stats.laplace.cdf).pvalue > 1e-3
