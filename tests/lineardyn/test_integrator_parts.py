"""The parts of the integrators that no observed order sees: damping, error estimates, step control."""

from __future__ import annotations

import numpy as np
import pytest

from lineardyn.flow import _kernels, _screened_kernels
from lineardyn.flow.arguments import kernel_arguments
from lineardyn.flow.gradient_flow import gradient_flow
from lineardyn.flow.tableaus import TABLEAUS
from lineardyn.moments import SecondMoments
from lineardyn.networks import LinearCNN, LinearFCN
from tests import oracles
from tests.lineardyn.problems import cosine_images


def linear_flow(rates):
    """One layer, one output: ``dw/dt = -diag(rates) (w - w*)``."""
    n = len(rates)
    images = np.diag(np.sqrt(n * np.asarray(rates, float))).reshape(n, 1, n, 1)
    network = LinearFCN((1, n, 1), widths=(), n_outputs=1)
    moments = SecondMoments.from_data(images, np.ones((n, 1)), form="samples")
    return network, moments


def stability(n_stages, z, h=0.5):
    """RKC's stability polynomial at -z: one step of ``dy/dt = -z/h y``."""
    network, moments = linear_flow([z / h])
    arguments = kernel_arguments(network, moments, 0.0)
    arguments = arguments._replace(target=np.zeros_like(arguments.target))
    y = network.pack([np.ones((1, 1))])
    f0, one, two, f = (np.empty_like(y) for _ in range(4))
    _kernels.flow(y, f0, *arguments)
    return float(_kernels.rkc_step(y, f0, h, n_stages, one, two, f, *arguments)[0] / y[0])


@pytest.mark.parametrize("n_stages", [2, 3, 5, 9, 20])
def test_steps_damp_up_to_the_limit_that_stages_are_chosen_for(n_stages):
    """``|R(-z)| <= 1 - ε/3`` up to z = 0.653 (s² - 1), ε = 2/13 [Sommeijer, Shampine, Verwer 1997, section 2.1]:
    the end of ``R = a_s + b_s T_s(w0 - w1 z)``, which reaches 1 - ε/3 there; a tenth of ε is left for the rounding of
    0.653. And the limit is no more than needed: at 1.4 times it steps grow.
    """
    limit = 0.653 * (n_stages**2 - 1)
    inside = [abs(stability(n_stages, z)) for z in np.linspace(0.4, limit, 200)]
    assert max(inside) <= 1 - 0.3 / 13
    assert abs(stability(n_stages, 1.4 * limit)) > 1


def test_error_estimate_vanishes_on_quadratics_and_measures_cubics():
    """``0.8 (y0 - y1) + 0.4 h (f0 + f1)``: 0 for t², and 0.4 h³ for t³ [Sommeijer, Shampine, Verwer 1997, eq 2.9]."""
    t, h = 1.3, 0.2
    for power, wanted in [(2, 0.0), (3, 0.4 * h**3)]:
        y, z = np.full(4, t**power), np.full(4, (t + h) ** power)
        f0, f1 = power * np.full(4, t ** (power - 1)), power * np.full(4, (t + h) ** (power - 1))
        error = _kernels.rkc_error(y, z, f0, f1, h, 4.0, 1e-3, 1e-2)
        assert error == pytest.approx(wanted / (1e-2 + 1e-3 * z[0]), rel=1e-10, abs=1e-12)


def test_interpolation_is_exact_on_cubics():
    cubic, h = np.polynomial.Polynomial([0.3, -1.0, 2.0, 0.7]), 0.4
    slope, out = cubic.deriv(), np.empty(1)
    for theta in (0.0, 0.2, 0.7, 1.0):
        ends = [np.array([p(t)]) for p in (cubic, slope) for t in (0.0, h)]
        _kernels.hermite(out, *ends, h, theta)
        assert out[0] == pytest.approx(cubic(theta * h), rel=1e-14)


def test_step_control_aims_at_the_tolerance():
    """An estimate of order 3: a step c times as long has c³ of the error, so the next one errs by 0.9³."""
    for error in (0.02, 0.3, 1.0):
        assert _kernels.chebyshev_growth(error, 0.0, 0.1, 0.0) ** 3 * error == pytest.approx(0.9**3)
    assert _kernels.chebyshev_growth(0.0, 1.0, 0.1, 0.1) == 10.0


def test_a_step_is_judged_by_the_rms_of_its_scaled_error():
    """One estimate: ``(1/n Σ (h Σ_j e_j k_j / (atol + rtol max(|y|, |z|)))²)^½`` [Hairer, Nørsett, Wanner, II.4]."""
    tableau, rng, h, n = TABLEAUS["tsit5"], np.random.default_rng(0), 0.3, 40
    stages, y, z = rng.standard_normal((7, n)), rng.standard_normal(n), rng.standard_normal(n)
    scale = 1e-3 + 1e-2 * np.maximum(np.abs(y), np.abs(z))
    wanted = np.sqrt(np.mean((h * tableau.errors[0] @ stages / scale) ** 2))
    error, _ = _kernels._judge(stages, 6, tableau.measured, tableau.measures, h, y, z, float(n), 1e-2, 1e-3)
    assert error == pytest.approx(wanted, rel=1e-12)


def test_what_the_first_step_is_chosen_by():
    """RMS of y over its scale ``atol + rtol |y|``, RMS of y, and the largest ``|f|``."""
    rng = np.random.default_rng(1)
    y, f = rng.standard_normal(30), rng.standard_normal(30)
    wanted = [np.sqrt(np.mean((y / (1e-3 + 1e-2 * np.abs(y))) ** 2)), np.sqrt(np.mean(y**2)), np.abs(f).max()]
    assert _kernels.growth(y, f, 30.0, 1e-2, 1e-3) == pytest.approx(wanted, rel=1e-13)


def test_stages_grow_with_the_root_of_the_stiffness():
    """``s = 1 + √(1.54 h ρ + 1)`` for the radius estimated, 10% more than ρ; no step is longer than the whole."""
    network, moments = linear_flow([1.0, 300.0])
    run = gradient_flow(network, moments, network.init_small(1.0, rng=0), [1.0], method="rkc", rtol=1e-3)
    assert 10 <= run.stats["max_stages"] <= 2 + np.sqrt(1.54 * 1.15 * 300 + 1)


@pytest.mark.parametrize("row", [True, False])
def test_auto_follows_the_sigmoid_through_its_change_of_method(row):
    """P eq 22 at times before, at and after the change: each of both modes to 20 tolerances of itself (seen: 4)."""
    shape, frequencies = ((1, 6), [(0, 1), (0, 3)]) if row else ((3, 3), [(0, 1), (1, 1)])
    moments = SecondMoments.from_data(cosine_images(shape, frequencies, [8.0, 0.5]), np.eye(2))
    network, modes, n_pixels = LinearCNN((1, *shape), n_outputs=2), moments.modes(), shape[0] * shape[1]
    weights = network.init_balanced(moments, 0.05, rng=0)
    times = np.linspace(0.05, 1.0, 12) * 8 / (np.sqrt(n_pixels) * modes.s[1])
    run = gradient_flow(network, moments, weights, times, rtol=1e-3, atol=1e-6)
    assert times[1] < run.stats["t_stiff"] < times[-2]
    b0 = np.diag(modes.u.T @ oracles.predict(weights, modes.v).T * modes.d)
    for mode, m in enumerate([2, 1 if row else 2]):
        wanted = oracles.sigmoid(times, modes.s[mode], b0[mode], n_pixels, m)
        assert np.abs(run.effective_singular_values[:, mode, mode] / wanted - 1).max() <= 20e-3


# --- screened frequencies --------------------------------------------------------------------------------------------


def spectra(packed):
    """Packed ``(.., 2F)`` as complex ``(.., F)``."""
    n = packed.shape[-1] // 2
    return packed[..., :n] + 1j * packed[..., n:]


@pytest.mark.parametrize("size", [1e-5, 3e-4, 0.3])
def test_what_a_rotation_puts_where_nothing_was_is_exact(size):
    """``A_k = 0``: ``A_k(h) = e_k conj(κ) sinh(h|e|)/|e|`` to round-off of itself, however small: 1e-13."""
    rng, n = np.random.default_rng(3), 8
    y, e = np.zeros((3, 2 * n)), size * rng.standard_normal((2, 2 * n))
    y[0] = rng.standard_normal(2 * n)
    z, h = np.full(y.size, np.nan), 0.7
    _screened_kernels._rotate(y.ravel(), z, e.ravel(), h, 0.2, np.ones(n), *np.empty((3, n)))
    kappa, pull = spectra(y[0]), spectra(e)
    rate = np.sqrt((np.abs(pull) ** 2).sum(axis=0))
    wanted = np.exp(-0.2 * h) * pull * kappa.conj() * np.sinh(h * rate) / rate
    assert np.abs(spectra(z.reshape(3, 2 * n)[1:]) / wanted - 1).max() <= 1e-13


@pytest.mark.parametrize("outputs", [1, 3, 4, 6])
def test_frozen_residual_is_the_mean_of_both_ends(outputs):
    rng, terms, n = np.random.default_rng(outputs), 5, 16
    before, after, rows = (rng.standard_normal(shape) for shape in ((outputs, terms), (outputs, terms), (terms, n)))
    work, mean = np.zeros((outputs + 4) * n), np.empty((outputs, terms))
    _screened_kernels._mean_rows(before, after, rows, work, 0, mean)
    assert np.abs(work[: outputs * n].reshape(outputs, n) - (before + after) / 2 @ rows).max() <= 1e-14 * 5 * terms


@pytest.mark.parametrize("outputs", [1, 3, 4, 6])
def test_passive_frequencies_have_their_part_in_the_predictor(outputs):
    """``constant · weight · A_k κ`` of the passive frequencies, on the rows of the statistics."""
    rng, terms, n, constant = np.random.default_rng(outputs), 5, 8, 3.0
    y, rows = rng.standard_normal((outputs + 1, 2 * n)), rng.standard_normal((terms, 2 * n))
    weights, passive = np.tile([1.0, 2.0], n), np.arange(n) % 3 > 0
    at = 10 * n
    work = np.zeros(at + (outputs + 4) * terms)
    sizes = np.array([1, 1, outputs])
    _screened_kernels._passive_coefficients(y.ravel(), weights, passive.astype(float), constant, sizes, rows, work, at)
    v = constant * weights[:n] * passive * spectra(y[1:]) * spectra(y[0])
    wanted = np.concatenate([v.real, v.imag], axis=1) @ rows.T
    assert np.abs(work[at : at + outputs * terms].reshape(outputs, terms) - wanted).max() <= 1e-13


def test_what_passive_frequencies_leave_of_the_target():
    """``target - coefficients · gain`` replaces what was left, and the largest change is told; NaN as infinity."""
    rng = np.random.default_rng(4)
    target, coefficients, left = rng.standard_normal((3, 2, 5))
    gain, work = rng.uniform(1, 2, 5), np.append(np.zeros(3), coefficients)
    wanted = target - coefficients * gain
    change = np.abs(wanted - left).max()
    assert _screened_kernels._drift(target, gain, work, 3, left) == pytest.approx(change, rel=1e-13)
    assert np.abs(left - wanted).max() <= 1e-14
    work[5] = np.nan
    assert _screened_kernels._drift(target, gain, work, 3, left) == np.inf
