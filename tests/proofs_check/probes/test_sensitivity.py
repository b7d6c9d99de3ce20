"""Sensitivity against closed forms, finite differences, the other mode of differentiation, and its invariances.

Round-off: derivatives of order one are sums of some hundred products, 1e-12 in float64 and 1e-6 in float32 relative to
the largest. Central differences with step 1e-6 of functions of order one are good to 1e-16/1e-6 = 1e-10.
"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lineardyn import LinearCNN, to_torch
from lineardyn.errors import ArgumentError
from lineardyn.fourier import fft2, radius
from proofs_check.probes import frequency_sensitivity
from tests import strategies as own
from tests.proofs_check.probes.models import conv, differences, images_of, nn, relu_net, torch

pytestmark = pytest.mark.torch

ROUND_OFF = 1e-12


@pytest.fixture(autouse=True)
def _one_thread():
    pytest.importorskip("torch").set_num_threads(1)


def close(a, b, tolerance=ROUND_OFF):
    return np.abs(a - b).max() <= tolerance * max(np.abs(b).max(), 1e-300)


@settings(max_examples=15)
@given(
    shape=own.shapes, channels=own.channels, widths=st.lists(st.integers(1, 3), max_size=2).map(tuple),
    outputs=own.outputs, seed=own.seeds, convention=st.sampled_from(["convolution", "correlation"]),
)  # fmt: skip
def test_of_a_linear_model_it_is_the_length_of_its_predictors_columns(
    shape, channels, widths, outputs, seed, convention
):
    network = LinearCNN((channels, *shape), widths=widths, n_outputs=outputs, convention=convention)
    weights = network.init_glorot(rng=seed)
    wanted = np.linalg.norm(network.effective_predictor(weights), axis=2).transpose(2, 0, 1)
    images = images_of(3, channels, *shape, seed=seed)
    # the sums over hidden channels may cancel: their terms are of this size on the average over frequencies
    terms = np.prod([np.linalg.norm(w) for w in weights]) / np.sqrt(np.prod(shape))
    scale = max(wanted.max(), terms)
    found = frequency_sensitivity(to_torch(network, weights), images)
    assert np.abs(found.mean - wanted).max() <= ROUND_OFF * scale
    assert np.abs(found.standard_error).max() <= ROUND_OFF * scale  # the same at every image
    narrow = frequency_sensitivity(to_torch(network, weights).float(), images)
    assert np.abs(narrow.mean - wanted).max() <= 1e-6 * scale


@pytest.mark.parametrize("reduce", ["l2", "l1", "max"])
@pytest.mark.parametrize("basis", ["dft", "pixel"])
def test_of_a_relu_network_it_is_that_of_finite_differences(basis, reduce):
    model, images = relu_net((2, 3, 3), (4, 3), 3), images_of(5, 2, 4, 3)
    slopes = differences(model, images)
    size = np.abs(fft2(slopes) if basis == "dft" else slopes)
    wanted = {"l2": np.sqrt((size**2).sum(axis=1)), "l1": size.sum(axis=1), "max": size.max(axis=1)}[reduce]
    found = frequency_sensitivity(model, images, basis=basis, reduce=reduce)
    assert close(found.mean, wanted.mean(axis=0), 1e-8)  # 1e-10 over slopes of order 1e-2
    assert close(found.standard_error, wanted.std(axis=0, ddof=1) / np.sqrt(5), 1e-7)


def test_more_outputs_than_numbers_go_forward_to_the_same_answer(monkeypatch):
    from proofs_check.probes import sensitivity

    model, images = relu_net((1, 2), (3, 2), 40), images_of(4, 1, 3, 2)
    forward = frequency_sensitivity(model, images)
    went = []
    monkeypatch.setattr(sensitivity, "_gradient", lambda *a, **k: went.append(1))
    assert close(frequency_sensitivity(model, images).mean, forward.mean)
    assert not went
    monkeypatch.undo()
    each = [  # at most 6 outputs, of one image: backwards
        sum(frequency_sensitivity(some_of(model, range(i, min(i + 6, 40))), [one]).mean ** 2 for i in range(0, 40, 6))
        for one in images
    ]
    assert close(np.sqrt(each).mean(axis=0), forward.mean)


def some_of(model, outputs):
    """The model with some of its outputs."""

    class _Some(nn.Module):
        def __init__(self):
            super().__init__()
            self.whole = model

        def forward(self, x):
            return self.whole(x)[:, list(outputs)]

    return _Some()


def test_the_transform_keeps_lengths():
    """Parseval for each output: the squares over pixels are those over frequencies."""
    model, image = relu_net((2, 3), (5, 4), 3), images_of(1, 2, 5, 4)
    pixels = frequency_sensitivity(model, image, basis="pixel").mean
    frequencies = frequency_sensitivity(model, image).mean
    assert np.allclose((pixels**2).sum(axis=(1, 2)), (frequencies**2).sum(axis=(1, 2)), rtol=ROUND_OFF)


@settings(max_examples=8)
@given(seed=own.seeds, shift=st.tuples(st.integers(0, 4), st.integers(0, 3)))
def test_translated_images_and_permuted_channels(seed, shift):
    """Circular layers and a sum over pixels do not see where the image lies; channels carry their names along."""
    torch.manual_seed(seed)
    model = nn.Sequential(conv(2, 3, 3), nn.ReLU(), conv(3, 4, (2, 3)), nn.ReLU(), nn.AdaptiveAvgPool2d(1))
    images = images_of(3, 2, 5, 4, seed=seed)
    found = frequency_sensitivity(model, images)
    moved = frequency_sensitivity(model, np.roll(images, shift, axis=(2, 3)))
    assert close(moved.mean, found.mean)
    with torch.no_grad():
        model[0].weight.copy_(model[0].weight.flip(1))
    swapped = frequency_sensitivity(model, images[:, ::-1])
    assert close(swapped.mean[::-1], found.mean)


def test_batches_change_nothing_but_round_off():
    model, images = relu_net((1, 2), (4, 4), 3), images_of(7, 1, 4, 4)
    whole = frequency_sensitivity(model, images, batch_size=64)
    for size in (1, 2, 7):
        part = frequency_sensitivity(model, images, batch_size=size)
        for name in ("mean", "standard_error", "first_moments", "second_moments"):
            assert close(getattr(part, name), getattr(whole, name)), name


def test_an_image_as_output_counts_as_its_numbers():
    torch.manual_seed(0)
    model = nn.Sequential(conv(1, 2, 3), nn.Tanh(), conv(2, 1, 3))
    images = images_of(2, 1, 3, 4)
    flat = frequency_sensitivity(nn.Sequential(model, nn.Flatten()), images)
    assert np.array_equal(frequency_sensitivity(model, images).mean, flat.mean)


def test_moments_and_radial_average_are_those_of_their_definition():
    found = frequency_sensitivity(relu_net((2, 2), (4, 5), 2), images_of(3, 2, 4, 5))
    weights = found.mean.sum(axis=0)
    assert found.first_moment == pytest.approx((weights * radius((4, 5))).sum() / weights.sum(), rel=1e-13)
    assert found.second_moment == pytest.approx((weights * radius((4, 5)) ** 2).sum() / weights.sum(), rel=1e-13)
    radii, values = found.radial()
    assert radii[0] == 0
    assert values[0] == pytest.approx(found.mean[:, 0, 0].mean())
    one = frequency_sensitivity(relu_net((2, 2), (4, 5), 2), images_of(3, 2, 4, 5)[1:2])
    assert one.first_moment == pytest.approx(found.first_moments[1], rel=1e-12)
    assert one.second_moment == pytest.approx(found.second_moments[1], rel=1e-12)
    assert np.isnan(one.standard_error).all()


def test_a_shift_invariant_mean_moves_with_dc_alone():
    found = frequency_sensitivity(nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten()), images_of(2, 1, 4, 4))
    assert found.mean[0, 0, 0] == pytest.approx(0.25)  # the mean of 16 pixels is x̂_0/√16
    assert np.abs(found.mean).sum() == pytest.approx(0.25)
    assert found.first_moment == pytest.approx(0.0, abs=1e-12)


def test_outputs_that_move_with_nothing_are_zero_and_pixels_have_no_radius():
    model = relu_net((1, 2), (3, 3), 2)
    with torch.no_grad():
        model[-1].weight.zero_()
    found = frequency_sensitivity(model, images_of(2, 1, 3, 3))
    assert found.mean.max() == 0
    assert found.first_moments.tolist() == [0.0, 0.0]
    pixels = frequency_sensitivity(model, images_of(2, 1, 3, 3), basis="pixel")
    assert np.isnan(pixels.first_moments).all()
    for ask in (lambda: pixels.first_moment, lambda: pixels.second_moment, pixels.radial):
        with pytest.raises(ArgumentError, match="basis is 'pixel', expected 'dft'"):
            ask()


def test_a_model_that_works_in_place_leaves_the_images_alone():
    model = nn.Sequential(nn.ReLU(inplace=True), relu_net((1, 2), (3, 3), 2))
    images = images_of(2, 1, 3, 3)
    kept = images.copy()
    images.setflags(write=False)  # as a mapped file is; PyTorch warns of it where it does not copy
    apart = nn.Sequential(nn.ReLU(), model[1])
    assert np.array_equal(frequency_sensitivity(model, images).mean, frequency_sensitivity(apart, images).mean)
    assert np.array_equal(images, kept)


def test_figures():
    found = frequency_sensitivity(relu_net((1, 2), (6, 6), 2), images_of(3, 1, 6, 6))
    left, right = found.plot().axes[0], found.plot().axes[1]
    assert left.get_images()[0].get_array().max() == pytest.approx(found.mean.max())
    assert np.array_equal(right.lines[0].get_ydata(), found.radial()[1])
    pixels = frequency_sensitivity(relu_net((1, 2), (6, 6), 2), images_of(3, 1, 6, 6), basis="pixel")
    assert np.array_equal(pixels.plot().axes[0].get_images()[0].get_array(), pixels.mean[0])
