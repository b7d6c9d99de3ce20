"""Models of PyTorch and their weights here: the same outputs, the same gradients, and what is refused.

Outputs of order one are sums of at most 3 layers of 4·36 terms: 1e-12 is some thousand roundings in float64; 1e-5 is a
hundred in float32.
"""

from __future__ import annotations

import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lineardyn import LinearCNN, LinearFCN, SecondMoments, from_torch, gradient_descent, gradient_flow, to_torch
from lineardyn.errors import ArgumentError, LineardynError
from tests import oracles
from tests import strategies as own

try:
    import torch
    from torch import nn
except ImportError:  # the tests are then skipped one by one, so that they are counted
    torch = nn = None

pytestmark = pytest.mark.torch

ROUND_OFF = 1e-12
hidden = st.lists(st.integers(1, 4), max_size=2).map(tuple)


@pytest.fixture(autouse=True)
def _seed():
    pytest.importorskip("torch").manual_seed(0)


def conv(inputs, outputs, size, *, dtype="float64", **options):
    options = {"padding": "same", "padding_mode": "circular", "bias": False, **options}
    return nn.Conv2d(inputs, outputs, size, dtype=getattr(torch, dtype), **options)


def dense(inputs, outputs, *, dtype="float64", bias=False):
    return nn.Linear(inputs, outputs, bias=bias, dtype=getattr(torch, dtype))


def outputs_of(model, images):
    dtype = next(model.parameters()).dtype
    return model(torch.tensor(images, dtype=dtype)).detach().numpy()


def assert_same_outputs(model, network, weights, images, tolerance=ROUND_OFF):
    wanted = outputs_of(model, images)
    scale = max(1.0, float(np.abs(wanted).max()))
    assert np.abs(network.predict(weights, images) - wanted).max() <= tolerance * scale


@given(
    shape=own.shapes, channels=own.channels, widths=hidden, outputs=own.outputs, seed=own.seeds,
    convention=st.sampled_from(["convolution", "correlation"]),
)  # fmt: skip
def test_to_torch_computes_the_same_and_comes_back(shape, channels, widths, outputs, seed, convention):
    network = LinearCNN((channels, *shape), widths=widths, n_outputs=outputs, convention=convention)
    weights = network.init_glorot(rng=seed)
    images = np.random.default_rng(seed).standard_normal((3, channels, *shape))
    model = to_torch(network, weights)
    assert all(p.dtype == torch.float64 and p.requires_grad for p in model.parameters())
    assert_same_outputs(model, network, weights, images)
    again, theirs = from_torch(model, network.image_shape)
    assert_same_outputs(model, again, theirs, images)
    if widths:
        assert again == LinearCNN(network.image_shape, widths=widths, n_outputs=outputs, convention="correlation")
    if widths and convention == "correlation":
        assert all(np.array_equal(a, b) for a, b in zip(theirs, weights, strict=True))


@given(shape=own.shapes, channels=own.channels, widths=hidden, outputs=own.outputs, seed=own.seeds)
def test_fully_connected_models_go_there_and_back(shape, channels, widths, outputs, seed):
    network = LinearFCN((channels, *shape), widths=widths, n_outputs=outputs)
    weights = network.init_he(rng=seed)
    model = to_torch(network, weights)
    images = np.random.default_rng(seed).standard_normal((3, channels, *shape))
    assert_same_outputs(model, network, weights, images)
    again, theirs = from_torch(model, network.image_shape)
    assert again == network
    assert all(np.array_equal(a, b) for a, b in zip(theirs, weights, strict=True))
    assert from_torch(model[1:], network.image_shape)[0] == network  # of flat images


@st.composite
def models(draw):
    """Circular models of every way to pad, any kernel up to the image's size, as large as it, or larger."""
    height, width = draw(st.tuples(st.integers(1, 6), st.integers(1, 6)))
    torch.manual_seed(draw(own.seeds))
    channels = first = draw(st.integers(1, 3))
    layers = []
    for _ in range(draw(st.integers(1, 2))):
        outputs, way = draw(st.integers(1, 4)), draw(st.sampled_from(["same", "numbers", "pad"]))
        if way == "numbers":  # an odd kernel with (size - 1)/2 pixels on both sides, which may pass the image's size
            p, q = draw(st.integers(0, height)), draw(st.integers(0, width))
            layers.append(conv(channels, outputs, (2 * p + 1, 2 * q + 1), padding=(p, q)))
        elif way == "same":
            layers.append(conv(channels, outputs, (draw(st.integers(1, height)), draw(st.integers(1, width)))))
        else:  # any split of size - 1 pixels over the two sides
            kh, kw = draw(st.integers(1, height)), draw(st.integers(1, width))
            left, top = draw(st.integers(0, kw - 1)), draw(st.integers(0, kh - 1))
            pad = nn.CircularPad2d((left, kw - 1 - left, top, kh - 1 - top))
            plain = conv(channels, outputs, (kh, kw), padding=0, padding_mode="zeros")
            layers.append(nn.Sequential(pad, nn.Identity(), plain))
        channels = outputs
    model = nn.Sequential(*layers, nn.Flatten(), dense(channels * height * width, draw(own.outputs)))
    return model, (first, height, width)


@given(case=models(), seed=own.seeds)
def test_from_torch_computes_the_same(case, seed):
    model, shape = case
    network, weights = from_torch(model, shape)
    assert network.convention == "correlation"
    images = np.random.default_rng(seed).standard_normal((3, *shape))
    assert_same_outputs(model, network, weights, images)
    back = to_torch(network, weights)
    assert np.abs(outputs_of(back, images) - outputs_of(model, images)).max() <= 10 * ROUND_OFF


def test_models_in_float32_agree_to_float32():
    layers = conv(3, 2, 5, dtype="float32"), nn.Flatten(), dense(2 * 8 * 6, 4, dtype="float32")
    model = nn.Sequential(*layers)
    network, weights = from_torch(model, (3, 8, 6))
    images = np.random.default_rng(0).standard_normal((5, 3, 8, 6))
    assert all(w.dtype == np.float64 for w in weights)
    assert_same_outputs(model, network, weights, images, 1e-5)
    assert_same_outputs(to_torch(network, weights).float(), network, weights, images, 1e-5)


def test_biases_that_are_zero_pass():
    model = nn.Sequential(conv(1, 2, 3, bias=True), nn.Flatten(), dense(2 * 16, 3, bias=True))
    for layer in (model[0], model[2]):
        nn.init.zeros_(layer.bias)
    network, weights = from_torch(model, (1, 4, 4))
    assert_same_outputs(model, network, weights, np.random.default_rng(0).standard_normal((3, 1, 4, 4)))


@pytest.mark.parametrize("widths", [(2,), (3, 2), (2, 1, 2)])
def test_sgd_of_torch_tends_to_the_flow(widths):
    """Autograd knows nothing of Fourier: at t = 1 its distance to our flow is O(η), of slope 1 to 10 %."""
    data = own.make_data("incoherent", (2, 3, 4), 2, 1)
    network = LinearCNN(data.image_shape, widths=widths, n_outputs=2, convention="correlation")
    start = own.random_weights("cnn", data.image_shape, widths, 2, 3, scale=0.2)
    moments = SecondMoments.from_data(data.images, data.targets)
    end = gradient_flow(network, moments, start, [1.0], rtol=1e-9, atol=1e-12).weights(-1)
    images, targets = torch.tensor(data.images), torch.tensor(data.targets)
    distances = []
    for steps in (400, 800):
        model = to_torch(network, start)
        optimiser = torch.optim.SGD(model.parameters(), lr=1 / steps)
        for _ in range(steps):
            optimiser.zero_grad()
            (0.5 * ((targets - model(images)) ** 2).sum(dim=1).mean()).backward()
            optimiser.step()
        distances.append(oracles.worst(from_torch(model, data.image_shape)[1], end))
    assert distances[0] <= 0.02
    assert distances[0] / distances[1] == pytest.approx(2.0, rel=0.1)


@pytest.mark.parametrize("shape", [(5, 4), (3, 3), (1, 6)])
def test_descent_is_that_of_torch_sgd(shape):
    """Full-size kernels have the same gradients: 30 steps of SGD on ½⟨‖y - f‖²⟩, weight decay included."""
    data = own.make_data("incoherent", (2, *shape), 3, 1)
    network = LinearCNN(data.image_shape, widths=(3, 2), n_outputs=3, convention="correlation")
    start = network.init_glorot(rng=3)
    model = to_torch(network, start)
    optimiser = torch.optim.SGD(model.parameters(), lr=0.01, weight_decay=0.1)
    images, targets = torch.tensor(data.images), torch.tensor(data.targets)
    for _ in range(30):
        optimiser.zero_grad()
        (0.5 * ((targets - model(images)) ** 2).sum(dim=1).mean()).backward()
        optimiser.step()
    run = gradient_descent(
        network, (data.images, data.targets), start, learning_rate=0.01, n_steps=30, weight_decay=0.1
    )
    assert oracles.worst(from_torch(model, data.image_shape)[1], run.weights(-1)) <= 100 * ROUND_OFF
    assert oracles.worst(run.weights(-1), start) > 0.01


def test_gradient_of_a_model_is_that_of_its_network():
    """``network.gradient`` through the same map as the weights: layout, shift and all."""
    data = own.make_data("incoherent", (1, 4, 5), 2, 2)
    model = nn.Sequential(conv(1, 2, (4, 5)), conv(2, 1, (4, 5)), nn.Flatten(), dense(20, 2))
    network, weights = from_torch(model, data.image_shape)
    (0.5 * ((torch.tensor(data.targets) - model(torch.tensor(data.images))) ** 2).sum(dim=1).mean()).backward()
    with torch.no_grad():
        for p in model.parameters():
            p.copy_(p.grad)
    gradient = network.gradient(weights, SecondMoments.from_data(data.images, data.targets))
    assert oracles.worst(gradient, from_torch(model, data.image_shape)[1]) <= 100 * ROUND_OFF


def test_weights_are_copies():
    """Training the model on must not change what was read from it."""
    model = nn.Sequential(conv(1, 1, (4, 5)), nn.Flatten(), dense(20, 2))
    _, weights = from_torch(model, (1, 4, 5))
    before = [w.copy() for w in weights]
    for p in model.parameters():
        nn.init.zeros_(p)
    assert all(np.array_equal(a, b) for a, b in zip(weights, before, strict=True))


def test_the_random_state_of_torch_is_left_as_it_is():
    before = torch.get_rng_state()
    network = LinearCNN((1, 3, 3), n_outputs=2)
    to_torch(network, network.init_glorot(rng=0))
    assert torch.equal(before, torch.get_rng_state())


def test_without_torch_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    network = LinearFCN((1, 2, 2), widths=(), n_outputs=2)
    with pytest.raises(LineardynError, match=r"PyTorch is not installed.*pip install"):
        to_torch(network, network.init_small(0.1, rng=0))


# --- what is refused -------------------------------------------------------------------------------------------------


def model(*layers, head=16):
    return nn.Sequential(*layers, nn.Flatten(), dense(head, 2))


def twice(layer):
    return model(layer, layer)


BAD = {
    "relu": (lambda: model(conv(1, 1, 3), nn.ReLU()), r"model\[1\] is a ReLU, expected Conv2d.*take the layer out"),
    "nested": (lambda: model(nn.Sequential(conv(1, 1, 3), nn.Tanh())), r"model\[0\]\[1\] is a Tanh"),
    "zeros": (lambda: model(conv(1, 1, 3, padding_mode="zeros")), r"padding_mode 'zeros', expected 'circular'"),
    "bias": (lambda: model(conv(1, 1, 3, bias=True)), r"model\[0\] is a Conv2d with a bias that is not 0"),
    "dense bias": (lambda: nn.Sequential(dense(16, 2, bias=True)), r"model\[0\] is a Linear with a bias that is not 0"),
    "stride": (lambda: model(conv(1, 1, 3, stride=2, padding=1), head=4), r"stride \(2, 2\), expected \(1, 1\)"),
    "dilation": (lambda: model(conv(1, 1, 3, dilation=2)), r"dilation \(2, 2\), expected \(1, 1\)"),
    "groups": (lambda: model(conv(1, 2, 3), conv(2, 2, 3, groups=2), head=32), r"groups 2, expected 1: kernels"),
    "shrinks": (lambda: model(conv(1, 1, 3, padding=0), head=4), r"paddings of \(0, 0\) pixels in all"),
    "grows": (lambda: model(conv(1, 1, 3, padding=2), head=36), r"paddings of \(4, 4\) pixels in all"),
    "channels": (lambda: model(conv(3, 1, 3)), r"model\[0\] has in_channels 3, expected 1: .*\(1, 4, 4\)"),
    "features": (lambda: model(conv(1, 1, 3), head=15), r"model\[2\] has in_features 15, expected 16"),
    "no flatten": (lambda: nn.Sequential(conv(1, 1, 3), dense(16, 2)), r"Linear on images, expected nn.Flatten\(\)"),
    "flatten": (lambda: nn.Sequential(nn.Flatten(0), dense(16, 2)), r"is Flatten\(start_dim=0.*expected nn.Flatten"),
    "two dense": (lambda: nn.Sequential(model(conv(1, 1, 3)), dense(2, 2)), r"model\[1\] is the second Linear"),
    "no dense": (lambda: nn.Sequential(conv(1, 1, 3)), r"model has no Linear layer, expected one at its end"),
    "empty": (lambda: nn.Sequential(), r"model has no Linear layer"),
    "conv last": (lambda: nn.Sequential(model(conv(1, 1, 3)), conv(2, 1, 3)), r"Conv2d after the image was flattened"),
    "pad last": (lambda: nn.Sequential(model(), nn.CircularPad2d(1)), r"CircularPad2d after the image was flattened"),
    "two pads": (lambda: model(nn.CircularPad2d(1), nn.CircularPad2d(1)), r"expected a Conv2d after a CircularPad2d"),
    "crop": (lambda: model(nn.CircularPad2d(-1)), r"expected pixels >= 0"),
    "both pads": (lambda: model(nn.CircularPad2d(1), conv(1, 1, 3)), r"padding same after a CircularPad2d"),
    "tied": (lambda: twice(conv(1, 1, 3)), r"model\[1\] shares its weight with model\[0\]"),
    "complex": (lambda: nn.Sequential(dense(16, 2, dtype="complex64")), r"dtype torch.complex64, expected real"),
    "no model": (lambda: [1, 2], r"model is a list, expected a torch.nn.Sequential"),
    "class": (lambda: nn.Conv2d(1, 1, 3), r"model is a Conv2d, expected a torch.nn.Sequential: list the layers"),
}  # fmt: skip


@pytest.mark.parametrize("name", list(BAD))
def test_what_is_not_linear_and_circular_is_named(name):
    make, text = BAD[name]
    with pytest.raises(ArgumentError, match=text):
        from_torch(make(), (1, 4, 4))


def test_weights_that_are_not_finite_are_named():
    bad = model()
    nn.init.constant_(bad[1].weight, float("nan"))
    with pytest.raises(ArgumentError, match=r"model\[1\].weight holds nan"):
        from_torch(bad, (1, 4, 4))


def test_other_bad_arguments_are_named():
    network = LinearCNN((1, 2, 2), n_outputs=2)
    with pytest.raises(ArgumentError, match="image_shape"):
        from_torch(model(), (4, 4))
    with pytest.raises(ArgumentError, match=r"weights has 1 arrays, expected 2"):
        to_torch(network, network.init_small(0.1, rng=0)[:1])
    with pytest.raises(ArgumentError, match=r"network is 3, expected a LinearCNN"):
        to_torch(3, [])
