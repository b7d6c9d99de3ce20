"""Theorem 4.9, cross-validated: trained networks on one side, the minimum over predictors on the other.

Both sides are computed to 1e-8 and better; what differs by more is another local minimum. The cases are small enough
for every one to be found; the large set is ``benchmarks/papers/theorem.py``.
"""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.papers.theorem import AGREE, SLACK, Case
from lineardyn import LinearCNN
from solvers import factorize, solve, train_factorized

CASES = [
    Case((3, 3), 1, 2, 3, (), 0.1),
    Case((3, 3), 2, 1, 1, (1,), 0.1),
    Case((4, 3), 2, 2, 3, (1,), 0.1),  # below min(C, K)
    Case((4, 3), 2, 2, 3, (3,), 0.02),  # above
    Case((6, 5), 2, 3, 3, (3,), 0.1),
    Case((3, 3), 3, 1, 3, (1, 1), 0.1),
    Case((4, 3), 3, 2, 3, (2, 2), 0.1),
    Case((3, 3), 3, 3, 3, (2, 2), 0.02),
    Case((4, 4), 3, 1, 1, (2, 1), 0.1),
    Case((3, 3), 4, 2, 2, (2, 3, 2), 0.1),
    Case((4, 3), 4, 1, 1, (1, 1, 1), 0.1),
    Case((3, 3), 5, 1, 1, (2, 2, 2, 2), 0.1),
    Case((3, 3), 5, 2, 2, (2, 2, 2, 2), 0.1),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.key)
def test_the_best_of_many_networks_is_the_minimum_over_predictors(case):
    problem = case.problem()
    solution = solve(problem)
    trained = train_factorized(problem, case.widths, n_starts=30, rng=0)
    assert trained.objective >= solution.objective - SLACK
    assert trained.objective <= solution.objective * (1 + AGREE)


@pytest.mark.parametrize("case", [case for case in CASES if case.depth > 1], ids=lambda case: case.key)
def test_the_printed_constant_is_refuted(case):
    """Without ``P^{-(L-1)/L}`` the right side is 10% too large and more [theory section 3 (a)]."""
    problem = case.problem()
    pixels = case.shape[0] * case.shape[1]
    printed = problem.with_lam(problem.lam * pixels ** ((case.depth - 1) / case.depth))
    assert printed.mu == pytest.approx(problem.lam * case.depth, rel=1e-14)
    assert solve(printed).objective > 1.1 * solve(problem).objective


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.key)
def test_factors_of_the_minimiser_attain_it_and_are_at_rest(case):
    problem = case.problem()
    solution = solve(problem, tol=1e-13, throw=False)
    network = LinearCNN(problem.image_shape, widths=case.widths, n_outputs=case.outputs)
    weights = factorize(solution, case.widths)
    twice = 2 * network.loss(weights, problem.moments, weight_decay=problem.lam)
    assert twice == pytest.approx(solution.objective, rel=1e-10)
    slopes = network.gradient(weights, problem.moments, weight_decay=problem.lam)
    size = np.sqrt(problem.lam * problem.quadratic.target_power)  # of λw
    # the objective to 1e-13 is the gradient to its root
    assert max(np.abs(g).max() for g in slopes) <= 3e-6 * size


@pytest.mark.torch
def test_networks_trained_by_another_framework_end_there_too():
    """Convolutions by shifts in pixel space, autograd, PyTorch's L-BFGS."""
    torch = pytest.importorskip("torch", reason="PyTorch is not installed (extra: torch)")
    case = Case((3, 4), 3, 2, 2, (2, 3), 0.1)
    problem = case.problem()
    xx = torch.tensor(problem.moments.gram())
    yx = torch.tensor(problem.moments.sigma_yx.reshape(2, -1))
    network = LinearCNN((2, 3, 4), widths=(2, 3), n_outputs=2)
    rows, columns = (torch.arange(3)[:, None] + torch.arange(3)) % 3, (torch.arange(4)[:, None] + torch.arange(4)) % 4

    def predictor(weights):
        """``(K, C·P)``: the last layer pulled back through each convolution."""
        row = weights[-1].permute(0, 3, 1, 2)  # (K, C, H, W)
        for w in reversed(weights[:-1]):
            shifted = row[:, :, rows[:, :, None, None], columns[None, None]]  # (K, C_l, h, m, w, n): at h + m, w + n
            row = torch.einsum("kohmwn,omnc->kchw", shifted, w)
        return row.reshape(2, -1)

    def objective(weights):
        p = predictor(weights)
        fit = problem.moments.target_power - 2 * (p * yx).sum() + ((p @ xx) * p).sum()
        return fit + problem.lam * sum((w**2).sum() for w in weights)

    ends = []
    for seed in range(4):
        weights = [torch.tensor(w, requires_grad=True) for w in network.init_small(0.4, rng=seed)]
        optimiser = torch.optim.LBFGS(weights, max_iter=200, tolerance_grad=1e-9, line_search_fn="strong_wolfe")

        def closure(weights=weights, optimiser=optimiser):
            optimiser.zero_grad()
            value = objective(weights)
            value.backward()
            return value

        optimiser.step(closure)
        ends.append(float(objective(weights).detach()))
    best = solve(problem).objective
    assert min(ends) >= best - SLACK
    assert min(ends) <= best * (1 + AGREE)
