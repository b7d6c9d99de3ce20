"""The pairs satisfy the order conditions of their trees, and damp what they claim to damp."""

import dataclasses

import numpy as np
import pytest

from lineardyn.flow._run_kernels import stride_below
from lineardyn.flow.tableaus import TABLEAUS, _hermite
from tests.lineardyn.order_conditions import conditions, free_interpolant, trees

PAIRS = sorted(TABLEAUS)
THETA = np.linspace(0.0, 1.0, 11)


def powers(tableau):
    return THETA ** np.arange(1, tableau.interpolant.shape[1] + 1)[:, None]  # (degree, θ)


def test_number_of_trees():
    assert [len(trees(n)) for n in range(1, 9)] == [1, 1, 2, 4, 9, 20, 48, 115]


@pytest.mark.parametrize("name", PAIRS)
def test_solution_satisfies_the_conditions_of_its_order_and_no_more(name):
    """Round-off: coefficients up to 43, sums of 12 of their products, 8 deep: 1e-12."""
    tableau = TABLEAUS[name]
    weights, targets, sizes = conditions(tableau.table, tableau.order + (tableau.order < 8))
    defects = np.abs(weights @ tableau.table[tableau.n_main] - targets)
    assert defects[sizes <= tableau.order].max() <= 1e-12
    if tableau.order < 8:
        assert defects[sizes == tableau.order + 1].max() > 1e-5


@pytest.mark.parametrize("name", PAIRS)
def test_error_estimates_vanish_up_to_their_order(name):
    """The estimates of DOP853 are of orders 5 and 3: y1 less solutions of those orders."""
    tableau = TABLEAUS[name]
    orders = {"bs32": (2,), "tsit5": (4,), "dop853": (5, 3)}[name]
    for row, order in zip(tableau.errors, orders, strict=True):
        weights, _, sizes = conditions(tableau.table[: tableau.n_main + 1, : tableau.n_main + 1], order + 1)
        sums = np.abs(weights @ row)
        assert sums[sizes <= order].max() <= 1e-12
        assert sums[sizes == order + 1].max() > 1e-6


@pytest.mark.parametrize("name", PAIRS)
def test_interpolant_satisfies_the_conditions_of_its_order_at_every_point(name):
    tableau = TABLEAUS[name]
    weights, targets, sizes = conditions(tableau.table, tableau.interpolant_order)
    sums = weights @ tableau.interpolant @ powers(tableau)
    assert np.abs(sums - targets[:, None] * THETA ** sizes[:, None]).max() <= 1e-12


@pytest.mark.parametrize("name", PAIRS)
def test_interpolant_is_smooth_across_steps(name):
    """Value and slope at both ends; bounds are round-off of coefficients up to 400."""
    tableau = TABLEAUS[name]
    degrees = np.arange(1, tableau.interpolant.shape[1] + 1)
    ends = {0: tableau.interpolant[:, 0], tableau.n_main: tableau.interpolant @ degrees}
    for stage, slope in ends.items():
        if name == "tsit5" and stage == tableau.n_main:
            continue  # his is continuous only
        assert np.abs(slope - np.eye(len(slope))[stage]).max() <= 1e-11
    assert np.abs(tableau.interpolant.sum(axis=1) - tableau.table[tableau.n_main]).max() <= 1e-11


def test_interpolant_of_dop853_is_the_one_that_the_conditions_give():
    """Solved again. The smallest singular value that is kept is 1e-7 of the largest: equal to 1e-7 of the largest."""
    tableau = TABLEAUS["dop853"]
    inner = free_interpolant(tableau.table, 12, _hermite(tableau.table, 12), 6)
    rows = np.zeros_like(tableau.interpolant)
    rows[:, :3] = _hermite(tableau.table, 12)
    for power, weights in enumerate(inner):
        rows[:, 1 + power : 4 + power] += np.outer(weights, (1.0, -2.0, 1.0))
    assert np.abs(rows - tableau.interpolant).max() <= 1e-7 * np.abs(rows).max()


def growth(tableau, z):
    """The interpolant over a step of dy/dt = λy with hλ = z."""
    k = np.zeros(len(tableau.table))
    for j in range(len(k)):
        k[j] = 1.0 + z * tableau.table[j, :j] @ k[:j]
    return 1.0 + z * (k @ tableau.interpolant @ powers(tableau))


@pytest.mark.parametrize("name", PAIRS)
def test_nothing_is_amplified_up_to_the_limit_of_stability(name):
    tableau = TABLEAUS[name]
    for z in np.linspace(0.0, tableau.stability, 61):
        assert np.abs(growth(tableau, -z)).max() <= 1.0 + 1e-12


def test_interpolant_of_dop853_errs_no_more_than_ten_times_the_step_where_steps_are_long():
    """On dy/dt = λy. The interpolant of Hairer, Nørsett and Wanner errs 2 to 30 times as much as the step there."""
    tableau = TABLEAUS["dop853"]
    for z in (-6.0, -5.0, -4.0, -3.0, 1.0, 1.5, 2.0, 2.5, 3.0):
        errors = np.abs(growth(tableau, z) - np.exp(THETA * z))
        assert errors.max() <= 10.0 * errors[-1], z


def test_a_wrong_coefficient_is_refused():
    tableau = TABLEAUS["bs32"]
    wrong = tableau.interpolant.copy()
    wrong[0, 1] *= 1.01
    with pytest.raises(ValueError, match="ends at the solution"):
        dataclasses.replace(tableau, interpolant=wrong)


@pytest.mark.parametrize("name", PAIRS)
def test_a_step_is_measured_by_its_own_weights(name):
    tableau = TABLEAUS[name]
    k = np.random.default_rng(0).standard_normal(tableau.n_main + 1)
    sums = tableau.measures @ k[tableau.measured]
    wanted = [*(tableau.errors @ k), *([0.0] * (2 - len(tableau.errors)))]
    wanted.append((tableau.table[tableau.n_main] - tableau.table[tableau.n_main - 1])[: len(k)] @ k)
    np.testing.assert_allclose(sums, wanted, atol=1e-13 * np.abs(tableau.table).max())


@pytest.mark.parametrize("name", PAIRS)
@pytest.mark.parametrize("error", [1e-10, 1e-6, 1e-3])
def test_stride_is_where_the_estimate_of_a_growing_step_reaches_the_error(name, error):
    """The grid of strides is 6% wide, so an estimate of order 8 jumps by 1.06^8 = 1.6 from one to the next."""
    tableau = TABLEAUS[name]
    z = stride_below(error, *tableau.growth_errors)
    k = np.zeros(tableau.n_main + 1)
    for j in range(len(k)):
        k[j] = 1.0 + z * tableau.table[j, :j] @ k[:j]
    estimates = np.append(z * tableau.errors @ k, 0.0)[:2]
    got = estimates[0] ** 2 / np.hypot(estimates[0], 0.1 * estimates[1]) / k[-1]
    assert error / 1.9 <= got <= error
