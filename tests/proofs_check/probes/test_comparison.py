"""A linear model at the minimum of its loss is what the theory says; a small ReLU network is compared without error."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from lineardyn import LinearCNN, SecondMoments, to_torch
from lineardyn.errors import ArgumentError
from proofs_check.probes import compare_with_theory, frequency_sensitivity
from solvers import RegularizedProblem, factorize, solve
from tests.proofs_check.probes.models import images_of, nn, relu_net, torch

pytestmark = pytest.mark.torch


@pytest.fixture(autouse=True)
def _one_thread():
    pytest.importorskip("torch").set_num_threads(1)


def problem_of():
    rng = np.random.default_rng(0)
    base = rng.standard_normal((3, 1, 4, 4)) * np.array([3.0, 2.0, 1.0])[:, None, None, None]
    labels = np.repeat(np.arange(3), 8)
    return base[labels] + 0.3 * rng.standard_normal((24, 1, 4, 4)), labels


class Biased(nn.Module if nn else object):
    """A linear model and the bias that fits the mean of the targets at the mean of the images."""

    def __init__(self, model, images, targets):
        super().__init__()
        self.model = model
        with torch.no_grad():
            bias = torch.tensor(targets.mean(axis=0)) - model(torch.tensor(images.mean(axis=0, keepdims=True)))[0]
        self.bias = nn.Parameter(bias)

    def forward(self, x):
        return self.model(x) + self.bias


@pytest.mark.parametrize("depth", [1, 2])
def test_the_minimum_that_the_theory_predicts_agrees_with_it_in_every_row(depth):
    images, labels = problem_of()
    targets = np.eye(3)[labels]
    lam = 0.02
    moments = SecondMoments.from_data(images, targets - targets.mean(axis=0), center=True)
    solution = solve(RegularizedProblem(moments, depth=depth, lam=lam), tol=1e-12)
    widths = (3,) * (depth - 1)
    network = LinearCNN((1, 4, 4), widths=widths, n_outputs=3)
    weights = factorize(solution, widths=widths)
    model = Biased(to_torch(network, weights), images, targets)
    found = compare_with_theory(model, images, labels, lam)
    assert found.depth == depth
    assert found.alignment == pytest.approx(1.0, abs=1e-6)  # the solver's default gap, 1e-8, as the square of an angle
    assert found.norm == pytest.approx(found.least_norm, rel=1e-5)
    assert found.loss == pytest.approx(0.5 * found.solution.loss, rel=1e-4)
    assert found.predicted_rho > 0.99
    assert found.order_tau == pytest.approx(1.0)
    assert np.abs(found.predictor - found.solution.predictor).max() <= 1e-4 * np.abs(found.predictor).max()


def test_training_leads_there():
    """Gradient descent with weight decay on two layers and biases."""
    images, labels = problem_of()
    lam = 0.05
    torch.manual_seed(0)
    network = LinearCNN((1, 4, 4), widths=(3,), n_outputs=3)
    model = Biased(to_torch(network, network.init_glorot(rng=0)), images, np.eye(3)[labels])
    x, y = torch.tensor(images), torch.tensor(np.eye(3)[labels])
    optimizer = torch.optim.LBFGS(
        list(model.parameters()), max_iter=400, tolerance_change=0, line_search_fn="strong_wolfe"
    )

    def closure():
        optimizer.zero_grad()
        penalty = sum((p**2).sum() for p in model.model.parameters())
        loss = 0.5 * ((y - model(x)) ** 2).sum() / len(x) + 0.5 * lam * penalty
        loss.backward()
        return loss

    optimizer.step(closure)
    found = compare_with_theory(model, images, labels, lam)
    assert found.alignment > 0.9999
    assert found.norm == pytest.approx(found.least_norm, rel=1e-3)
    assert found.loss == pytest.approx(0.5 * found.solution.loss, rel=1e-3)


def test_what_a_relu_network_does_is_measured_on_the_images():
    model, (images, labels) = relu_net((1, 3), (4, 4), 3), problem_of()
    found = compare_with_theory(model, images, torch.tensor(labels), 0.05, depth=1, n_jacobians=5, batch_size=3)
    assert np.allclose(found.sensitivity, frequency_sensitivity(model, images[:5]).mean, rtol=1e-12)
    outputs = model(torch.tensor(images)).detach().numpy()
    assert found.loss == pytest.approx(0.5 * np.mean(np.sum((outputs - np.eye(3)[labels]) ** 2, axis=1)))
    assert found.norm == pytest.approx(sum((p.detach() ** 2).sum().item() for p in model.parameters() if p.ndim > 1))
    centred = images - images.mean(axis=0)
    moved = (outputs - outputs.mean(axis=0)).T @ centred.reshape(24, -1) / 24
    modes, alive = found.modes, ~found.modes.null  # the modes are the data's, at any depth
    wanted = np.einsum("ka,kd,ad->a", modes.u, moved, modes.v.reshape(len(modes.v), -1))
    assert np.allclose(found.learned[alive], (wanted / np.where(alive, modes.s, 1))[alive], rtol=1e-10)
    assert found.learned[~alive].tolist() == [0.0]  # targets with their mean subtracted have a null mode


def test_a_relu_network_beside_the_theory():
    model, (images, labels) = relu_net((1, 3), (4, 4), 3), problem_of()
    found = compare_with_theory(model, images, labels, 0.05)
    assert found.depth == 2
    text = found.table()
    assert "linear, depth 2, λ = 0.05" in text
    assert f"{found.alignment:.2f}" in text
    assert compare_with_theory(model, images, labels, 0.05, depth=3).depth == 3
    left, right = found.plot().axes
    assert np.array_equal(left.lines[1].get_ydata(), found.learned[~found.modes.null])
    assert right.lines[0].get_label() == "model"


def test_a_model_that_has_learned_nothing_has_no_order_and_no_angle():
    model, (images, labels) = relu_net((1, 3), (4, 4), 3), problem_of()
    with torch.no_grad():
        model[-1].weight.zero_()
    found = compare_with_theory(model, images, labels, 0.05)
    assert (found.alignment, found.order_tau, found.predicted_rho) == (0.0, 0.0, 0.0)
    assert "nan" not in found.table()
    found.plot()


def test_correlations_and_angle_have_signs_and_two_sides():
    """A model that moves as the data have power, or against it; a predictor, or its negative."""
    images, labels = problem_of()
    found = compare_with_theory(relu_net((1, 3), (4, 4), 3), images, labels, 0.05, depth=1)
    for sign in (1.0, -1.0):
        by_power = replace(found, sensitivity=sign * found.power**3)  # ranks do not see the power of the power
        assert by_power.spectrum_rho == pytest.approx(sign)
        assert abs(by_power.predicted_rho) < 0.99
        assert replace(found, sensitivity=sign * found.predicted).predicted_rho == pytest.approx(sign)
        assert replace(found, predictor=sign * found.solution.predictor).alignment == pytest.approx(sign)
        learned = sign * found.modes.s
        assert replace(found, learned=learned).order_tau == pytest.approx(sign)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"weight_decay": 0.0}, "weight_decay is 0"),
        ({"depth": 0}, "depth is 0"),
        ({"n_jacobians": 0}, "n_jacobians is 0"),
    ],
)
def test_bad_numbers(options, said):
    with pytest.raises(ArgumentError, match=said):
        compare_with_theory(
            relu_net((1, 2), (3, 3), 2), images_of(4, 1, 3, 3), [0, 1, 0, 1], **{"weight_decay": 0.1, **options}
        )
