"""ROCK4: its polynomials, its order conditions, and that the kernel is what they describe."""

import numpy as np
import pytest

from lineardyn import LinearCNN, SecondMoments, natural_patches
from lineardyn.flow.rock4 import RECURRENCES, most_stages, orthogonal_recurrence, quartic, recurrences
from lineardyn.flow.stepping import fixed_steps
from lineardyn.plots import plot_stability
from tests.lineardyn.order_conditions import conditions
from tests.lineardyn.rock_polynomials import RIPPLE, stability, table

ROWS = [0, 1, 3, 7, 15, 21]  # 5 .. 44 stages


def tableau(row):
    """The whole method as a Runge-Kutta table, its last row the solution, and the weights of the error."""
    all_rows = recurrences()
    s = int(all_rows.n_stages[row])
    steps = all_rows.steps[all_rows.starts[row] :][: s - 4]
    full, two, one = np.zeros((s + 1, s + 1)), np.zeros(s + 1), np.zeros(s + 1)
    for j, (mu, nu, kappa) in enumerate(steps):
        full[j] = one
        two, one = one, mu * np.eye(s + 1)[j] + nu * one + kappa * two
    a21, a31, a32, a41, a42, a43, *b = all_rows.ends[row][:10]
    for i, extra in enumerate([(), (a21,), (a31, a32), (a41, a42, a43), b]):
        full[s - 4 + i] = one
        full[s - 4 + i, s - 4 : s - 4 + len(extra)] += extra
    errors = np.zeros(s + 1)
    errors[s - 4 :] = all_rows.ends[row][10:]
    return full, errors


@pytest.mark.parametrize("row", ROWS)
def test_conditions_of_order_four_hold_and_those_of_order_five_do_not(row):
    """Round-off: sums of up to 44 products of numbers up to 2, four deep: 1e-13."""
    full, _ = tableau(row)
    weights, targets, sizes = conditions(full, 5)
    defects = np.abs(weights @ full[-1] - targets)
    assert defects[sizes <= 4].max() <= 1e-13
    assert defects[sizes == 5].max() > 1e-3


@pytest.mark.parametrize("row", ROWS)
def test_error_estimate_is_of_order_three_and_lacks_half_of_the_next_terms(row):
    full, errors = tableau(row)
    weights, _, sizes = conditions(full, 4)
    sums = weights @ errors
    assert np.abs(sums[sizes <= 3]).max() <= 1e-13
    assert np.isclose(np.abs(sums[sizes == 4]).max(), 1 / 48, rtol=1e-10)


@pytest.mark.parametrize("row", range(len(RECURRENCES)))
def test_polynomial_is_damped_over_its_whole_interval(row):
    """|R| <= 1, and at most 0.8 beyond the first descent, which ends before z = -5 as e^z is below 1% there."""
    s, length, zeros = RECURRENCES[row]
    z = np.linspace(-length, 0.0, 200 * s)
    size = np.abs(stability(z, orthogonal_recurrence(np.array(zeros), length, s - 4), np.array(zeros)))
    assert size.max() <= 1.0 + 1e-12
    assert size[z < -5.0].max() <= RIPPLE + 1e-5
    assert length >= 0.34 * s**2 * (1 - 9 / s**2)  # 0.343 s² in the limit


def test_table_is_what_the_conditions_give():
    """Found anew for few stages; the search ends at 1e-9 in ℓ/s²."""
    chosen = [5, 6, 8, 12]
    for (s, length, zeros), (s_table, length_table, zeros_table) in zip(
        table(chosen), [row for row in RECURRENCES if row[0] in chosen], strict=True
    ):
        assert s == s_table
        assert length == pytest.approx(length_table, rel=1e-7)
        np.testing.assert_allclose(zeros, zeros_table, rtol=1e-6)


@pytest.mark.parametrize("s", [5, 9, 24, 60])
def test_kernel_multiplies_each_direction_of_a_linear_flow_by_its_polynomial(s):
    """One layer: dw/dt is linear, its rates the eigenvalues of Σ^xx.

    Round-off that the recurrence leaves in the fastest direction is multiplied by w(-ℓ) in the last stages.
    """
    images, targets = natural_patches(3, 40, rng=0)
    moments = SecondMoments.from_data(images, targets, form="dense")
    network = LinearCNN((1, 3, 3), widths=(), n_outputs=4)
    rates, basis = np.linalg.eigh(moments.gram())
    limit = np.linalg.solve(moments.gram(), moments.sigma_yx.reshape(4, -1).T).T
    start = np.random.default_rng(1).standard_normal((4, 9))
    stages, length, zeros = next(row for row in RECURRENCES if row[0] == s)
    step = 0.9 * length / rates[-1]
    weights = fixed_steps(
        network, moments, [start.reshape(4, 3, 3, 1)], [step], method="rock4", step=step, n_stages=stages
    )[0]
    got = (weights[0].reshape(4, 9) - limit) @ basis
    factors = stability(-step * rates, orthogonal_recurrence(np.array(zeros), length, s - 4), np.array(zeros))
    scale = np.abs(start - limit).max() + np.abs(limit).max()
    tolerance = 20 * 2.2e-16 * quartic(np.array(zeros), np.array(-length)) * scale
    np.testing.assert_allclose(got, (start - limit) @ basis * factors, rtol=0, atol=tolerance)


def test_stability_polynomials_are_drawn():
    figure = plot_stability((5, 10, 20))
    curves = [line for line in figure.axes[0].lines if line.get_label().endswith("stages")]
    assert len(curves) == 3
    for s, line in zip((5, 10, 20), curves, strict=True):
        length = next(row[1] for row in RECURRENCES if row[0] == s)
        z, values = line.get_data()
        assert z.min() == pytest.approx(-length)
        assert np.abs(values).max() <= 1.0 + 1e-12
        assert values[np.argmax(z)] == pytest.approx(1.0)


def test_stages_are_fewer_where_round_off_would_show():
    """The limits are read off ℓ⁴/110 ε <= rtol/10."""
    assert [most_stages(rtol) for rtol in (1e-2, 1e-4, 1e-6, 1e-8, 1e-15)] == [107, 60, 36, 20, 5]
