"""The parts of the integrators that no observed order sees: damping, error estimates, step control."""

from __future__ import annotations

import numpy as np
import pytest

from lineardyn.flow import _kernels, _screened_kernels, stepping
from lineardyn.flow import _stabilised_kernels as kernels
from lineardyn.flow.arguments import flow_arguments, kernel_arguments
from lineardyn.flow.gradient_flow import gradient_flow
from lineardyn.flow.rock4 import RECURRENCES, most_stages, quartic, recurrences
from lineardyn.flow.tableaus import TABLEAUS
from lineardyn.moments import SecondMoments
from lineardyn.networks import LinearCNN, LinearFCN
from tests import oracles
from tests.lineardyn.problems import cosine_images, solve


def linear_flow(rates):
    """One layer, one output: ``dw/dt = -diag(rates) (w - w*)``."""
    n = len(rates)
    images = np.diag(np.sqrt(n * np.asarray(rates, float))).reshape(n, 1, n, 1)
    network = LinearFCN((1, n, 1), widths=(), n_outputs=1)
    moments = SecondMoments.from_data(images, np.ones((n, 1)), form="samples")
    return network, moments


def one_step(order, n_stages, z, h=0.5):
    """``(R(-z), estimated error)`` of one step of ``dy/dt = -z/h y`` from 1, by RKC (order 2) or ROCK4."""
    network, moments = linear_flow([z / h])
    arguments = kernel_arguments(network, moments, 0.0)
    arguments = arguments._replace(target=np.zeros_like(arguments.target))
    y, table = network.pack([np.ones((1, 1))]), recurrences()
    stages = np.full((kernels.ROOM, y.size), np.nan)
    _kernels.flow(y, stages[kernels.BASE], *arguments)
    row = list(table.n_stages).index(n_stages) if order == 4 else 0
    steps = (row, table.starts, table.steps, table.ends)
    new, error = kernels.stabilised_step(y, stages, h, order, n_stages, *steps, 1.0, 0.0, 1.0, *arguments)
    assert stages[kernels.NEW][0] == pytest.approx(-z / h * new[0], rel=1e-12)
    return float(new[0] / y[0]), float(error / abs(y[0]))


@pytest.mark.parametrize("n_stages", [2, 3, 5, 9, 20])
def test_steps_damp_up_to_the_limit_that_stages_are_chosen_for(n_stages):
    """``|R(-z)| <= 1 - ε/3`` up to z = 0.653 (s² - 1), ε = 2/13 [Sommeijer, Shampine, Verwer 1997, section 2.1]:
    the end of ``R = a_s + b_s T_s(w0 - w1 z)``, which reaches 1 - ε/3 there; a tenth of ε is left for the rounding of
    0.653. And the limit is no more than needed: at 1.4 times it steps grow.
    """
    limit = 0.653 * (n_stages**2 - 1)
    inside = [abs(one_step(2, n_stages, z)[0]) for z in np.linspace(0.4, limit, 200)]
    assert max(inside) <= 1 - 0.3 / 13
    assert abs(one_step(2, n_stages, 1.4 * limit)[0]) > 1


@pytest.mark.parametrize("n_stages", [5, 8, 12, 24])
def test_steps_of_rock_damp_up_to_the_limit_that_stages_are_chosen_for(n_stages):
    """``|R(-z)|`` at most the ripple 0.8 up to the tabulated ℓ, and no more than needed: at 1.2 ℓ steps grow.

    The ripple is exact to the rounding of the table, which the last stages multiply by up to ℓ⁴/110: 1e-5.
    """
    table = recurrences()
    limit = table.lengths[list(table.n_stages).index(n_stages)]
    inside = [abs(one_step(4, n_stages, z)[0]) for z in np.linspace(0.4, limit, 200)]
    assert max(inside[i] for i, z in enumerate(np.linspace(0.4, limit, 200)) if z > 5.0) <= 0.8 + 1e-5
    assert max(inside) < 1
    assert abs(one_step(4, n_stages, 1.2 * limit)[0]) > 1


def test_error_estimate_vanishes_on_quadratics_and_measures_cubics():
    """``0.8 (y0 - y1) + 0.4 h (f0 + f1)``: 0 for t², and 0.4 h³ for t³ [Sommeijer, Shampine, Verwer 1997, eq 2.9]."""
    t, h = 1.3, 0.2
    for power, wanted in [(2, 0.0), (3, 0.4 * h**3)]:
        y, z = np.full(4, t**power), np.full(4, (t + h) ** power)
        f0, f1 = power * np.full(4, t ** (power - 1)), power * np.full(4, (t + h) ** (power - 1))
        error = kernels._rkc_error(y, z, f0, f1, h, 4.0, 1e-3, 1e-2)
        assert error == pytest.approx(wanted / (1e-2 + 1e-3 * z[0]), rel=1e-10, abs=1e-12)


@pytest.mark.parametrize("n_stages", [5, 9, 20])
def test_error_estimate_of_rock_is_half_of_the_term_of_order_four(n_stages):
    """On ``dy/dt = -z y`` a method of order 3 that lacks half of ``z⁴/24`` errs by ``z⁴/48``; the next term is O(z⁵).

    Twice the step: 16 times the error, to 2 z of it.
    """
    errors = [one_step(4, n_stages, z, h=1.0)[1] for z in (0.01, 0.02)]
    assert errors[0] == pytest.approx(0.01**4 / 48, rel=0.04)
    assert errors[1] / errors[0] == pytest.approx(16.0, rel=0.04)


def test_error_of_rock_is_the_rms_of_its_scaled_estimate():
    """``(1/n Σ (h Σ_j e_j k_j / (atol + rtol max(|y|, |z|)))²)^½``, the fifth stage f at the new point."""
    rng, h, n = np.random.default_rng(2), 0.3, 30
    y, z, k, end = rng.standard_normal(n), rng.standard_normal(n), rng.standard_normal((5, n)), rng.standard_normal(15)
    scale = 1e-3 + 1e-2 * np.maximum(np.abs(y), np.abs(z))
    wanted = np.sqrt(np.mean((h * end[10:] @ k / scale) ** 2))
    assert kernels._rock_error(y, z, *k, h, end, float(n), 1e-2, 1e-3) == pytest.approx(wanted, rel=1e-12)


def test_interpolation_is_exact_on_cubics():
    cubic, h = np.polynomial.Polynomial([0.3, -1.0, 2.0, 0.7]), 0.4
    slope, out = cubic.deriv(), np.empty(1)
    for theta in (0.0, 0.2, 0.7, 1.0):
        ends = [np.array([p(t)]) for p in (cubic, slope) for t in (0.0, h)]
        kernels.hermite(out, *ends, h, theta)
        assert out[0] == pytest.approx(cubic(theta * h), rel=1e-14)


def controlled(**slots):
    """``control`` and ``counts`` with these slots set."""
    control, counts = np.zeros(_kernels.CONTROLS), np.zeros(_kernels.COUNTS, dtype=np.int64)
    for name, value in slots.items():
        control[getattr(_kernels, name)] = value
    return control, counts


def next_step(order, error, h=0.1, **slots):
    """The step after an accepted one."""
    control, counts = controlled(**slots)
    kernels.accept(control, counts, error, h, order)
    assert counts[_kernels.STEPS] == 1
    return control[_kernels.STEP]


# Their error estimates are of order h³ and h⁴
powers = pytest.mark.parametrize(("order", "power"), [(2, 3), (4, 4)])


@powers
def test_step_control_aims_at_the_tolerance(order, power):
    """A step c times as long has c^p of the error, so the next one errs by 0.9^p; ten times longer or shorter at most.

    Predicting: errors that grew by e from the step before to this one will grow by e once more
    [Sommeijer, Shampine, Verwer 1997, eq 2.11].
    """
    for error in (0.02, 0.3, 1.0):
        assert (next_step(order, error) / 0.1) ** power * error == pytest.approx(0.9**power)
        grown = next_step(order, error, OLD_STEP=0.1, OLD_ERROR=error / 3)
        assert (grown / 0.1) ** power * error * 3 == pytest.approx(0.9**power)
        shorter = next_step(order, error, OLD_STEP=0.2, OLD_ERROR=error)  # at half the step the same: 2^p worse
        assert (shorter / 0.1) ** power * error * 2**power == pytest.approx(0.9**power)
        assert next_step(order, error, OLD_STEP=0.1, OLD_ERROR=3 * error) == pytest.approx(next_step(order, error))
    assert next_step(order, 0.0) == pytest.approx(0.9)
    assert next_step(order, 1e-9) == pytest.approx(1.0)
    assert next_step(order, 1.0, OLD_STEP=0.1, OLD_ERROR=1e-9) == pytest.approx(0.01)
    assert next_step(order, 0.3, FIXED=5.0, STEP=0.1) == 0.1


@powers
def test_a_rejected_step_is_shortened_by_its_error(order, power):
    """To 0.8^p of the tolerance, ten times shorter at most; the radius is estimated anew unless that was just done."""
    for error in (1.5, 40.0):
        control, counts = controlled(MEASURED_AT=1.0, UNTIL=1.3)
        assert not kernels.reject(control, counts, min(error, kernels.LEAP), 1.0, 0.1, order)
        assert (control[_kernels.STEP] / 0.1) ** power * min(error, kernels.LEAP) == pytest.approx(0.8**power)
        assert counts[_kernels.REJECTED] == 1
        assert control[_kernels.UNTIL] == 1.3
    for error in (1e9, np.inf, np.nan):
        control, counts = controlled(MEASURED_AT=0.9, UNTIL=1.3)
        assert not kernels.reject(control, counts, error, 1.0, 0.1, order)
        assert control[_kernels.STEP] == pytest.approx(0.01)
        assert control[_kernels.UNTIL] < 0.0
        assert kernels.reject(control, counts, error, 1.0, 1e-17, order) == (not np.isfinite(error))


@powers
def test_a_step_whose_error_leaps_is_tried_again_with_more_stages(order, power):
    """Once, reckoning with a radius that grows by e^0.4 in the step; then it is shortened as any other."""
    rng = np.random.default_rng(0)
    for h in (0.1, *rng.uniform(0.0, 1.0, 100)):  # (0.4/h) h may be below 0.4
        error = [100.0, np.inf, np.nan][rng.integers(3)]
        control, counts = controlled(MEASURED=50.0, MEASURED_AT=1.0, UNTIL=1.3, OLD_ERROR=0.5, OLD_STEP=h, RATE=0.1)
        assert not kernels.reject(control, counts, error, 1.0, h, order)
        assert control[_kernels.STEP] == h
        assert control[_kernels.UNTIL] < 0.0
        kernels.reckon(control, 50.0, 1.0, h)
        assert control[_kernels.RADIUS] == pytest.approx(50.0 * 1.45)
        assert control[_kernels.UNTIL] == pytest.approx(1.0 + h)
        assert not kernels.reject(control, counts, error, 1.0, h, order)
        assert control[_kernels.STEP] < 0.5 * h


# --- the spectral radius ---------------------------------------------------------------------------------------------


def reckoned(radius, t, h, **slots):
    """``(radius reckoned with over the radius, how long)``."""
    control, _ = controlled(**slots)
    kernels.reckon(control, radius, t, h)
    assert (control[_kernels.MEASURED], control[_kernels.MEASURED_AT]) == (radius, t)
    return control[_kernels.RADIUS] / radius, control[_kernels.UNTIL] - t


def test_a_radius_serves_while_it_grows_by_less_than_the_margin():
    """Growth ``e^(r t)``: ``1.05 + r span`` over ``span = 0.15 / r``, one step at least and ten at most."""
    assert reckoned(100.0, 0.0, 0.1) == pytest.approx((1.2, 0.5))  # unknown: five steps
    measured = {"MEASURED": 100.0, "MEASURED_AT": 1.0}
    assert reckoned(100.0 * np.exp(0.5), 2.0, 0.1, **measured) == pytest.approx((1.2, 0.3))
    assert reckoned(100.0, 2.0, 0.1, **measured) == pytest.approx((1.05, 1.0))
    assert reckoned(80.0, 2.0, 0.1, **measured) == pytest.approx((1.05, 1.0))
    assert reckoned(100.0 * np.exp(2.0), 2.0, 0.2, **measured) == pytest.approx((1.45, 0.2))
    assert reckoned(100.0 * np.exp(9.0), 2.0, 0.2, **measured) == pytest.approx((1.6, 0.2))
    assert reckoned(100.0, 1.0, 0.1, RATE=0.5, **measured) == pytest.approx((1.2, 0.3))  # at the same time: as before


# --- stages ----------------------------------------------------------------------------------------------------------


def stages_for(order, reach, most=kernels.MOST):
    """``(s, h)`` of a step of 2 where the spectral radius is ``reach/2``."""
    table = recurrences()
    s, row, h = kernels.choose_stages(order, 2.0, reach / 2.0, most, table.n_stages, table.lengths)
    assert order == 2 or table.n_stages[row] == s
    return s, h


@pytest.mark.parametrize("reach", [0.0, 0.1, 1.0, 7.0, 30.0, 1e3, 8e3])
def test_stages_are_enough_and_not_more_than_needed(reach):
    """RKC: ``hρ <= 0.653 (s² - 1)`` [eq 2.4 of the same]; ROCK4: ``hρ <= ℓ_s``, the next smaller of the table is not.

    RKC has two at least, and one more where the square root is a whole number.
    """
    s, h = stages_for(2, reach)
    assert h == 2.0
    assert reach <= 0.653 * (s**2 - 1)
    assert s == 2 or reach > 0.64 * ((s - 1) ** 2 - 1)
    table = recurrences()
    s, h = stages_for(4, reach)
    row = list(table.n_stages).index(s)
    assert h == 2.0
    assert reach <= table.lengths[row]
    assert row == 0 or reach > table.lengths[row - 1]


@pytest.mark.parametrize("most", [5, 7, 17, 60])
def test_where_stages_are_limited_the_step_is_as_long_as_they_allow(most):
    """At most ``most`` stages, of ROCK4 the next lower number of its table."""
    s, h = stages_for(2, 1e4, most)
    assert s == most
    assert 0.98 <= h / 2.0 * 1e4 / (0.653 * (s**2 - 1)) <= 1.0
    table = recurrences()
    s, h = stages_for(4, 1e4, most)
    assert s == max(n for n in table.n_stages if n <= most)
    assert h / 2.0 * 1e4 == pytest.approx(table.lengths[list(table.n_stages).index(s)], rel=1e-12)


@pytest.mark.parametrize("rtol", [1e-3, 1e-5, 1e-7, 1e-10])
def test_round_off_of_the_most_stages_is_a_tenth_of_the_tolerance(rtol):
    """Of ROCK4 it is what the last stages make of it in the fastest direction, ``w(-ℓ) ε``; of RKC ``s² ε``."""
    lost = {s: quartic(np.array(zeros), np.array(-length)) * 2.2e-16 for s, length, zeros in RECURRENCES}
    most = most_stages(rtol)
    assert lost[most] <= 0.1 * rtol
    assert min([x for s, x in lost.items() if s > most], default=np.inf) > 0.099 * rtol
    network, moments = linear_flow([1.0])
    arguments, layout = flow_arguments(network, moments, 0.0)
    start = layout.pad(network.pack([np.ones((1, 1))]))
    runs = [stepping._Run(arguments, layout, start, np.ones(1), m, rtol, 1.0) for m in ("rkc", "rock4")]
    assert runs[1].most_stages == most
    assert runs[0].most_stages == min(kernels.MOST, int(np.sqrt(0.1 * rtol / 2.3e-16)))


def test_a_step_is_judged_by_the_rms_of_its_scaled_error():
    """One estimate: ``(1/n Σ (h Σ_j e_j k_j / (atol + rtol max(|y|, |z|)))²)^½`` [Hairer, Nørsett, Wanner, II.4]."""
    tableau, rng, h, n = TABLEAUS["tsit5"], np.random.default_rng(0), 0.3, 40
    stages, y, z = rng.standard_normal((7, n)), rng.standard_normal(n), rng.standard_normal(n)
    scale = 1e-3 + 1e-2 * np.maximum(np.abs(y), np.abs(z))
    wanted = np.sqrt(np.mean((h * tableau.errors[0] @ stages / scale) ** 2))
    pair = (tableau.places, 6, tableau.measured, tableau.measures)
    error, _ = _kernels._judge(stages, *pair, h, y, z, float(n), 1e-2, 1e-3)
    assert error == pytest.approx(wanted, rel=1e-12)


def test_what_the_first_step_is_chosen_by():
    """RMS of y over its scale ``atol + rtol |y|``, RMS of y, and the largest ``|f|``."""
    rng = np.random.default_rng(1)
    y, f = rng.standard_normal(30), rng.standard_normal(30)
    wanted = [np.sqrt(np.mean((y / (1e-3 + 1e-2 * np.abs(y))) ** 2)), np.sqrt(np.mean(y**2)), np.abs(f).max()]
    assert _kernels.growth(y, f, 30.0, 1e-2, 1e-3) == pytest.approx(wanted, rel=1e-13)


@pytest.mark.parametrize(("method", "length"), [("rkc", 0.65), ("rock4", 0.34)])
def test_stages_grow_with_the_root_of_the_stiffness(method, length):
    """``s² ≈ hρ/0.65`` (RKC) or ``hρ/0.34`` (ROCK4) for the radius reckoned with, a fifth more than ρ at most; no step
    is longer than the whole. One more for the rounding, and a tenth more for the gaps of the table.
    """
    network, moments = linear_flow([1.0, 300.0])
    run = gradient_flow(network, moments, network.init_small(1.0, rng=0), [1.0], method=method, rtol=1e-3)
    assert 10 <= run.stats["max_stages"] <= 2 + 1.1 * np.sqrt(1.2 * 300 / length + 1)


@pytest.mark.parametrize("row", [True, False])
def test_auto_follows_the_sigmoid_through_its_change_of_method(row):
    """P eq 22 at times before, at and after the change: each of both modes to 20 tolerances of itself (seen: 4)."""
    shape, frequencies = ((1, 6), [(0, 1), (0, 3)]) if row else ((3, 3), [(0, 1), (1, 1)])
    moments = SecondMoments.from_data(cosine_images(shape, frequencies, [8.0, 0.5]), np.eye(2))
    network, modes, n_pixels = LinearCNN((1, *shape), n_outputs=2), moments.modes(), shape[0] * shape[1]
    weights = network.init_balanced(moments, 0.05, rng=0)
    times = np.linspace(0.05, 1.0, 12) * 8 / (np.sqrt(n_pixels) * modes.s[1])
    run = gradient_flow(network, moments, weights, times, rtol=1e-3, atol=1e-6)
    assert times[0] < run.stats["t_stiff"] < times[-2]
    b0 = np.diag(modes.u.T @ oracles.predict(weights, modes.v).T * modes.d)
    for mode, m in enumerate([2, 1 if row else 2]):
        wanted = oracles.sigmoid(times, modes.s[mode], b0[mode], n_pixels, m)
        assert np.abs(run.effective_singular_values[:, mode, mode] / wanted - 1).max() <= 20e-3


@pytest.mark.parametrize("rtol", [1e-3, 1e-6])
def test_auto_changes_where_the_rest_of_the_way_is_cheaper(rtol):
    """``√(SN/2) + 2N`` right-hand sides of RKC, ``N = 2.5 rtol^(-1/3)``, S = ρ·span, or DOP853's, 12 a step of 3/ρ.

    It pays from the S on where both are equal, ``√S = (√(N/2) + √(N/2 + 32N))/8``.
    """
    share, n_main, n = stepping.EARLY_SHARE, TABLEAUS["dop853"].n_main, 2.5 * rtol ** (-1.0 / 3.0)
    limit = ((np.sqrt(n / 2) + np.sqrt(n / 2 + 32 * n)) / 8) ** 2
    for stiffness, wanted in [(0.95 * limit, False), (1.05 * limit, True)]:
        radius = stiffness / 4.0
        control, _ = controlled(TIME=1.0, RADIUS=radius, STEP=3.0 / radius, WATCH=share)
        assert _kernels.stabilised_is_cheaper(control, 5.0, share * rtol, n_main) == wanted


@pytest.mark.parametrize("rtol", [1e-2, 1e-5, stepping.FINEST_STABILISED / 2])
def test_auto_starts_with_a_fifth_of_the_tolerance(rtol):
    """Up to the change of method, to the last bit; with all of it where RKC's order is too low for a change."""
    share = 0.2 if rtol >= 1e-8 else 1.0
    auto = solve("cnn-2-row", "auto", rtol=rtol, atol=1e-2 * rtol)
    plain = solve("cnn-2-row", "dop853", rtol=share * rtol, atol=share * (1e-2 * rtol))
    assert auto.stats["method"] == "dop853"
    assert np.array_equal(auto.states, plain.states)


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
