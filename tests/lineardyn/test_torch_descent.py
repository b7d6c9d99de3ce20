"""Deep flows against gradient descent of the same network in PyTorch, by autograd, at shrinking learning rate.

The torch network knows nothing of ours: circular convolutions as sums of rolled images, in pixel space, float64.
"""

from __future__ import annotations

import numpy as np
import pytest

from lineardyn.flow.gradient_flow import gradient_flow
from lineardyn.moments import SecondMoments
from lineardyn.networks import LinearCNN, LinearFCN
from lineardyn.training import gradient_descent
from tests import oracles
from tests import strategies as own

pytestmark = pytest.mark.torch

CASES = [  # kind, image shape, hidden widths, outputs, weight decay
    ("cnn", (1, 2, 3), (1,), 3, 0.0),
    ("cnn", (2, 3, 3), (3,), 2, 0.2),
    ("cnn", (2, 2, 3), (2, 3), 3, 0.1),
    ("cnn", (1, 1, 5), (3, 1, 2), 2, 0.0),
    ("fcn", (1, 2, 2), (4, 2), 3, 0.1),
]
END = 0.4


def build(torch, weights):
    """The network, its layers as parameters."""

    class Network(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = torch.nn.ParameterList([torch.nn.Parameter(torch.tensor(w)) for w in weights])

        def forward(self, x):
            if self.layers[0].ndim == 2:
                x = x.flatten(1)
                for w in self.layers:
                    x = torch.nn.functional.linear(x, w)
                return x
            for w in self.layers[:-1]:
                _, height, width, _ = w.shape
                x = sum(
                    torch.einsum("oc,ncij->noij", w[:, m, n], x.roll((m, n), (2, 3)))
                    for m in range(height)
                    for n in range(width)
                )
            return torch.einsum("kijc,ncij->nk", self.layers[-1], x)

    return Network()


def train(torch, weights, data, n_steps, decay):
    """Plain SGD over the full batch up to the time END; ``weight_decay`` of torch adds ``wd·w`` to the gradient."""
    network = build(torch, weights)
    optimiser = torch.optim.SGD(network.parameters(), lr=END / n_steps, weight_decay=decay)
    x, y = torch.tensor(data.images), torch.tensor(data.targets)
    for _ in range(n_steps):
        optimiser.zero_grad()
        (0.5 * ((y - network(x)) ** 2).sum(dim=1).mean()).backward()
        optimiser.step()
    return [w.detach().numpy() for w in network.layers]


def problem(kind, image_shape, widths, n_outputs, scale=0.4):
    data = own.make_data("incoherent", image_shape, n_outputs, 60)
    network = {"cnn": LinearCNN, "fcn": LinearFCN}[kind](image_shape, widths=widths, n_outputs=n_outputs)
    weights = own.random_weights(kind, image_shape, widths, n_outputs, 61, scale)
    return data, network, weights, SecondMoments.from_data(data.images, data.targets)


@pytest.mark.parametrize(("kind", "image_shape", "widths", "n_outputs", "decay"), CASES)
def test_autograd_descent_tends_to_the_flow_at_first_order(kind, image_shape, widths, n_outputs, decay):
    """The error at t = 0.4 over four learning rates: slope 1 up to their squares, which shrink with the rates."""
    torch = pytest.importorskip("torch")
    data, network, weights, moments = problem(kind, image_shape, widths, n_outputs)
    run = gradient_flow(network, moments, weights, [END], weight_decay=decay, method="dop853", rtol=1e-10, atol=1e-12)
    counts = np.array([80, 160, 320, 640])
    errors = [oracles.worst(train(torch, weights, data, n, decay), run.weights(0)) for n in counts]
    assert 1e-5 <= errors[-1] <= errors[0] <= 0.1
    assert abs(np.polyfit(np.log(END / counts), np.log(errors), 1)[0] - 1) <= 0.1


@pytest.mark.parametrize(("kind", "image_shape", "widths", "n_outputs", "decay"), CASES)
def test_our_descent_is_autograds(kind, image_shape, widths, n_outputs, decay):
    """The same steps: round-off of 40 of them, each a gradient good to 1e-14."""
    torch = pytest.importorskip("torch")
    data, network, weights, moments = problem(kind, image_shape, widths, n_outputs)
    run = gradient_descent(
        network, moments, weights, learning_rate=END / 40, n_steps=40, weight_decay=decay, record_every=40
    )
    assert oracles.worst(run.weights(-1), train(torch, weights, data, 40, decay)) <= 1e-12
