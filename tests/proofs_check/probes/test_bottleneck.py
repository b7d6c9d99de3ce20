"""Ranks by their definition, norms of dense operators, the bound by the Jacobian as a property of random networks."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lineardyn.errors import ArgumentError
from lineardyn.fourier import fft2
from proofs_check.cbn import CyclicCNN, lower_bound
from proofs_check.probes import bottleneck_report
from tests import strategies as own
from tests.proofs_check.probes.models import conv, dense_operator, differences, images_of, nn, relu_net, torch

pytestmark = [pytest.mark.torch, pytest.mark.filterwarnings("ignore:Using padding='same' with even")]

ROUND_OFF = 1e-12


@pytest.fixture(autouse=True)
def _one_thread():
    pytest.importorskip("torch").set_num_threads(1)


def operators_of(model, images):
    """The dense matrix and the bias term of each layer with weights."""
    x, found = torch.tensor(images), []
    for part in model:
        if isinstance(part, nn.Conv2d):
            grid = tuple(x.shape[2:])
            bias = 0.0 if part.bias is None else part(x)[0, 0].numel() * (part.bias.detach() ** 2).sum().item()
            found.append((dense_operator(part, grid), bias))
        elif isinstance(part, nn.Linear):
            found.append((part.weight.detach().numpy(), (part.bias.detach() ** 2).sum().item()))
        x = part(x)
    return found


OPTIONS = [
    {"padding_mode": "zeros"},
    {"padding_mode": "reflect", "padding": 2},
    {"stride": 2, "padding": 1},
    {"stride": 2, "padding": 1, "padding_mode": "zeros"},
    {"dilation": 2, "bias": False},
    {"groups": 2},
    {"padding": (0, 1), "padding_mode": "replicate"},
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_norms_are_those_of_the_dense_operators(options):
    torch.manual_seed(0)
    model = nn.Sequential(
        conv(2, 4, 3, **options), nn.ReLU(), conv(4, 2, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
        nn.Linear(2, 3, dtype=torch.float64),
    )  # fmt: skip
    images = images_of(3, 2, 6, 4)
    report = bottleneck_report(model, images)
    wanted = [np.sum(matrix**2) + bias for matrix, bias in operators_of(model, images)]
    assert [layer.norm for layer in report.layers] == pytest.approx(wanted, rel=ROUND_OFF)
    assert report.norm == pytest.approx(sum(wanted), rel=ROUND_OFF)
    assert report.depth == 3
    assert [layer.kind for layer in report.layers] == ["Conv2d", "Conv2d", "Linear"]


@settings(max_examples=40)
@given(
    seed=own.seeds, shape=st.tuples(*[st.integers(2, 4)] * 2), hidden=st.lists(st.integers(1, 3), max_size=3),
    mode=st.sampled_from(["circular", "zeros"]), kernel=st.integers(1, 5), scale=st.sampled_from([0.2, 1.0, 5.0]),
    narrow=st.booleans(),
)  # fmt: skip
def test_no_random_network_costs_less_than_the_bound_by_its_jacobian(seed, shape, hidden, mode, kernel, scale, narrow):
    # kernels larger than the image, which fold their taps onto one another, as far as PyTorch pads the pooled image
    size = min(kernel, *(2 * (n // 2) + 1 for n in shape))
    torch.manual_seed(seed)
    widths = [2, *hidden, 2]
    layers = []
    for inputs, outputs in pairwise(widths):
        layers += [conv(inputs, outputs, size, padding_mode=mode), nn.LeakyReLU(0.1)]
    layers.insert(2, nn.AvgPool2d(2))
    model = nn.Sequential(*layers)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(scale)
    images = images_of(2, 2, *shape, seed=seed)
    report = bottleneck_report(model.float() if narrow else model, images)
    assert report.jacobian_bound is not None, report.note
    assert report.jacobian_bound <= report.norm * (1 + (1e-5 if narrow else 1e-12))


def test_balanced_linear_layers_meet_the_bound():
    """Two layers of the identity: `‖θ‖² = 2 n = L Σ s_i^{2/L}`."""
    model = nn.Sequential(conv(2, 2, 1, bias=False), conv(2, 2, 1, bias=False))
    with torch.no_grad():
        for part in model:
            part.weight.copy_(torch.eye(2)[:, :, None, None])
    report = bottleneck_report(model, images_of(5, 2, 3, 4))
    assert report.norm == pytest.approx(2 * 24)
    assert report.jacobian_bound == pytest.approx(report.norm, rel=ROUND_OFF)
    assert report.rank == 24
    assert report.norm_per_rank == pytest.approx(1.0)


def test_round_off_zeros_do_not_count_in_the_bound():
    """Twelve layers of one projection in float32: at power 2/12 a zero of 1e-8 would count for a twentieth."""
    v = np.array([0.48, 0.6, 0.64])
    model = nn.Sequential(*[conv(3, 3, 1, bias=False) for _ in range(12)])
    with torch.no_grad():
        for part in model:
            part.weight.copy_(torch.tensor(np.outer(v, v))[:, :, None, None])
    report = bottleneck_report(model.float(), images_of(2, 3, 2, 2))
    assert report.norm == pytest.approx(12 * 4, rel=1e-6)
    assert report.jacobian_bound == pytest.approx(12 * 4, rel=1e-5)


def test_the_bound_is_that_of_the_jacobian_by_differences():
    model, images = relu_net((1, 3, 2), (3, 3), 4), images_of(5, 1, 3, 3)
    bounds = []
    for slopes in differences(model, images):
        bounds.append(3 * np.sum(np.linalg.svd(slopes.reshape(4, -1), compute_uv=False) ** (2 / 3)))
    report = bottleneck_report(model, images, n_jacobians=3)
    assert report.jacobian_bound == pytest.approx(max(bounds[:3]), rel=1e-7)
    assert bottleneck_report(model, images, n_jacobians=99).jacobian_bound == pytest.approx(max(bounds), rel=1e-7)


def test_it_is_the_bound_of_the_cyclic_networks():
    """The same network in both forms; biases cost the same in both."""
    net = CyclicCNN.random((4, 4), (2, 3, 2), rng=0, bias_scale=0.1)
    layers = []
    for weight, bias in zip(net.weights, net.biases, strict=True):
        layer = conv(weight.shape[-1], weight.shape[0], (4, 4))
        rows = (1 - np.arange(4)) % 4  # correlation with one pixel of padding before
        with torch.no_grad():
            layer.weight.copy_(torch.tensor(weight[:, rows][:, :, rows].transpose(0, 3, 1, 2)))
            layer.bias.copy_(torch.tensor(bias))
        layers += [layer, nn.ReLU()]
    model, x = nn.Sequential(*layers[:-1]), images_of(1, 2, 4, 4)
    assert np.allclose(model(torch.tensor(x)).detach().numpy(), net(x), atol=1e-12)
    report = bottleneck_report(model, x)
    assert report.norm == pytest.approx(net.norm("operator"), rel=ROUND_OFF)
    assert report.jacobian_bound == pytest.approx(lower_bound(net, x[0]).jacobian, rel=1e-9)


STRETCH = {
    "MaxPool2d": lambda: nn.MaxPool2d(3, stride=1, padding=1),
    "AvgPool2d": lambda: nn.AvgPool2d(3, stride=1, padding=1, count_include_pad=False),
    "AdaptiveAvgPool2d": lambda: nn.AdaptiveAvgPool2d((8, 8)),
    "LeakyReLU": lambda: nn.LeakyReLU(2.0),
    "CircularPad2d": lambda: nn.CircularPad2d(1),
    "GELU": lambda: nn.GELU(),
    "BatchNorm2d": lambda: nn.BatchNorm2d(2, dtype=torch.float64).eval(),
}
SHRINK = [
    lambda: nn.MaxPool2d(2),
    lambda: nn.AvgPool2d(3, stride=1, padding=1),
    lambda: nn.AdaptiveAvgPool2d(1),
    lambda: nn.LeakyReLU(-0.5),
    lambda: nn.Softplus(),
]


@pytest.mark.parametrize("kind", STRETCH)
def test_where_the_bound_does_not_apply_the_report_says_why(kind):
    report = bottleneck_report(nn.Sequential(conv(1, 2, 3), STRETCH[kind]()), images_of(2, 1, 4, 4))
    assert report.jacobian_bound is None
    assert f"does not apply: {kind} may stretch" in report.note
    assert "does not apply" in report.table()


@pytest.mark.parametrize("make", [*STRETCH.values(), *SHRINK])
def test_no_part_that_may_not_stretch_does(make):
    """The norm of each part's Jacobian at random points, and which parts are said to be at most 1."""
    from proofs_check.probes.bottleneck import _shrinks

    part = make()
    jacobian = differences(part, images_of(4, 2, 4, 4))
    norm = max(np.linalg.norm(j.reshape(len(j), -1), 2) for j in jacobian)
    assert norm <= 1 + 1e-8 or not _shrinks(part)
    assert _shrinks(part) == (make in SHRINK)


ONE_WAY = {
    "slope": lambda: nn.LeakyReLU(-2.0),
    "stride": lambda: nn.MaxPool2d(3, stride=(3, 1)),
    "dilation": lambda: nn.MaxPool2d(2, stride=2, dilation=2),  # windows of pixels 0 and 2, 2 and 4
}


@pytest.mark.parametrize("kind", ONE_WAY)
def test_parts_that_stretch_in_one_way_only(kind):
    """Their Jacobian has a norm above 1 at some image, so that the bound must not be claimed."""
    part = ONE_WAY[kind]()
    jacobian = differences(part, images_of(20, 1, 5, 5))
    assert max(np.linalg.norm(j.reshape(len(j), -1), 2) for j in jacobian) > 1.1
    assert bottleneck_report(nn.Sequential(conv(1, 1, 3), part), images_of(2, 1, 5, 5)).jacobian_bound is None


def test_the_rank_is_that_of_the_narrowest_place_after_the_first_layer():
    """Waves of frequency ±1, of which ReLUs make the six harmonics of six pixels: 2 numbers, then 6, then up to 3·6."""
    phases = np.random.default_rng(0).uniform(0, 2 * np.pi, 30)
    waves = np.cos(2 * np.pi * np.arange(6) / 6 + phases[:, None])[:, None, None, :] * np.ones((1, 1, 4, 1))
    torch.manual_seed(1)
    model = nn.Sequential(conv(1, 1, 3), nn.ReLU(), conv(1, 3, 3), nn.ReLU(), conv(3, 1, 3))
    report = bottleneck_report(model, waves, threshold=1e-6)
    images, narrow, wide = (layer.activations_rank for layer in report.layers)
    assert images == 2
    assert images < narrow < wide
    assert report.rank == narrow


def test_activations_are_counted_frequency_by_frequency():
    """An image of one frequency through a circular network: nothing else is used, channel by channel."""
    j = np.arange(6)
    wave = np.cos(2 * np.pi * j / 6)[None, None, None, :] * np.ones((1, 1, 4, 1))
    images = np.array([1.0, -2.0, 3.0])[:, None, None, None] * wave
    torch.manual_seed(0)
    model = nn.Sequential(conv(1, 3, 3, bias=False), conv(3, 2, 3, bias=False))
    report = bottleneck_report(model, images)
    first, second = report.layers
    used = np.zeros((4, 6), dtype=int)
    used[0, [1, 5]] = 1
    assert np.array_equal(first.activations_kept, used)
    assert np.array_equal(second.activations_kept, used)  # three channels, one direction among them
    assert (first.activations_rank, second.activations_rank, report.rank) == (2, 2, 2)
    assert np.allclose(first.power, np.mean(np.abs(fft2(images)) ** 2, axis=(0, 1)), atol=1e-12)


@pytest.mark.parametrize("count", [2, 9])
def test_ranks_are_those_of_all_images_together_whatever_the_batches(count):
    model, images = relu_net((2, 3), (3, 4), 4), images_of(count, 2, 3, 4)
    with torch.no_grad():
        hidden = model[:-1](torch.tensor(images)).numpy()
    values = np.linalg.svd(fft2(images).transpose(2, 3, 0, 1), compute_uv=False)
    for size in (1, 4, 64):
        first, last = bottleneck_report(model, images, threshold=0.3, batch_size=size).layers
        assert np.array_equal(first.activations_kept, (values > 0.3 * values.max()).sum(axis=-1))
        sizes = np.linalg.svd(hidden, compute_uv=False)
        assert last.activations_rank == (sizes > 0.3 * sizes[0]).sum()
        assert last.activations_kept is last.power is last.weights_kept is None
        sizes = np.linalg.svd(model[-1].weight.detach().numpy(), compute_uv=False)
        assert last.weights_rank == (sizes > 0.3 * sizes[0]).sum()
        assert first.weights_rank == first.weights_kept.sum()


def test_dense_layers_over_the_last_axis_are_met_at_every_place():
    model = nn.Sequential(nn.Flatten(2), nn.Linear(6, 3, dtype=torch.float64))  # (N, 4, 6) -> (N, 4, 3)
    report = bottleneck_report(model, images_of(5, 4, 2, 3))
    matrix, bias = model[1].weight.detach().numpy(), model[1].bias.detach().numpy()
    assert report.norm == pytest.approx(4 * (np.sum(matrix**2) + np.sum(bias**2)), rel=ROUND_OFF)
    assert report.layers[0].activations_rank == 5  # five images of 24 numbers


def test_a_table_and_a_figure():
    report = bottleneck_report(relu_net((1, 3, 2), (4, 4), 2), images_of(8, 1, 4, 4))
    text = report.table()
    assert text.count("\n") == 5
    assert f"norm {report.norm:.4g}; L × rank {3 * report.rank}" in text
    bottom = report.plot().axes[1]
    assert bottom.lines[0].get_ydata().tolist() == [layer.weights_rank for layer in report.layers]
    assert bottom.lines[1].get_ydata().tolist() == [layer.activations_rank for layer in report.layers]
    dense = bottleneck_report(nn.Sequential(nn.Flatten(), nn.Linear(16, 2, dtype=torch.float64)), images_of(3, 1, 4, 4))
    dense.plot()
    assert (dense.depth, dense.rank) == (1, 2)


def test_models_that_the_report_has_no_layers_for():
    shared = conv(1, 1, 3)
    with pytest.raises(ArgumentError, match="passes twice through one Conv2d, expected once"):
        bottleneck_report(nn.Sequential(shared, nn.ReLU(), shared), images_of(3, 1, 4, 4), batch_size=2)
    with pytest.raises(ArgumentError, match="neither a Conv2d nor a Linear"):
        bottleneck_report(nn.Sequential(nn.ReLU()), images_of(3, 1, 4, 4))
    with pytest.raises(ArgumentError, match="threshold is 0"):
        bottleneck_report(shared, images_of(3, 1, 4, 4), threshold=0.0)
