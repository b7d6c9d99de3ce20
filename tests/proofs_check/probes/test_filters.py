"""Filter spectra and operator norms against dense operators, built by applying each layer to basis vectors.

Singular values of order one of matrices of at most 100 rows: 1e-12 is some ten times their round-off.
"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lineardyn.errors import ArgumentError
from proofs_check.probes import filter_spectra
from proofs_check.probes.filters import operator_norm
from tests import strategies as own
from tests.proofs_check.probes.models import conv, dense_operator, nn, torch

pytestmark = [pytest.mark.torch, pytest.mark.filterwarnings("ignore:Using padding='same' with even")]

ROUND_OFF = 1e-12


@pytest.fixture(autouse=True)
def _one_thread():
    pytest.importorskip("torch").set_num_threads(1)


@st.composite
def layers(draw):
    """A ``Conv2d`` of any kind and a grid that it takes."""
    grid = draw(st.tuples(st.integers(2, 6), st.integers(2, 6)))
    kernel = draw(st.tuples(st.integers(1, 4), st.integers(1, 4)))
    dilation = draw(st.tuples(st.integers(1, 2), st.integers(1, 2)))
    stride = draw(st.tuples(st.integers(1, 3), st.integers(1, 3)))
    groups = draw(st.integers(1, 2))
    mode = draw(st.sampled_from(["circular", "circular", "zeros", "reflect", "replicate"]))
    reach = [d * (k - 1) for d, k in zip(dilation, kernel, strict=True)]
    most = [n - 1 if mode == "reflect" else n for n in grid]
    if draw(st.booleans()) and stride == (1, 1) and all((r + 1) // 2 <= m for r, m in zip(reach, most, strict=True)):
        padding = "same"
    else:  # enough that the filter fits, usually what keeps the size
        padding = tuple(
            draw(st.sampled_from(sorted({min(r // 2, m), min((r + 1) // 2, m), min(r, m), 0})))
            for r, m in zip(reach, most, strict=True)
        )
        padding = tuple(
            max(p, min(-(-(r + 1 - n) // 2), m)) for p, r, n, m in zip(padding, reach, grid, most, strict=True)
        )
        if any(n + 2 * p < r + 1 for n, p, r in zip(grid, padding, reach, strict=True)):
            kernel, padding = (1, 1), (0, 0)
    torch.manual_seed(draw(own.seeds))
    inputs, outputs = groups * draw(st.integers(1, 2)), groups * draw(st.integers(1, 2))
    options = {"stride": stride, "dilation": dilation, "groups": groups, "padding": padding, "padding_mode": mode}
    return conv(inputs, outputs, kernel, **options), grid


def values_of(spectrum, count):
    """The ``count`` largest, filled with zeros: a matrix may have more of them than the blocks."""
    found = -np.sort(-spectrum.singular_values.ravel())
    return np.concatenate([found, np.zeros(max(0, count - len(found)))]), found[count:]


@settings(max_examples=150)
@given(case=layers())
def test_exact_spectra_are_those_of_the_dense_operator_and_norms_always(case):
    layer, grid = case
    matrix = dense_operator(layer, grid)
    assert operator_norm(layer, grid, "it") == pytest.approx(np.sum(matrix**2), rel=ROUND_OFF)
    (spectrum,) = filter_spectra(nn.Sequential(layer), image_shape=(layer.in_channels, *grid))
    if not spectrum.exact:
        assert "exact" not in spectrum.note
        return
    wanted = np.linalg.svd(matrix, compute_uv=False)
    found, rest = values_of(spectrum, len(wanted))
    assert np.abs(found[: len(wanted)] - wanted).max() <= ROUND_OFF * max(wanted[0], 1.0)
    assert np.abs(rest).max(initial=0.0) <= ROUND_OFF
    assert spectrum.frobenius == pytest.approx(np.sum(matrix**2), rel=ROUND_OFF)


EXACT = [
    (3, {}),
    (4, {}),
    ((1, 6), {}),
    (5, {"groups": 2}),
    (3, {"dilation": 2}),
    (3, {"padding": 1, "stride": 2}),
    (3, {"padding": 1, "stride": (3, 1)}),
    (2, {"padding": 0, "stride": 2}),
    (2, {"padding": 0, "stride": 2, "padding_mode": "zeros"}),
    (1, {"padding_mode": "zeros"}),
    (7, {"padding": 3}),
]
NEARLY = [
    (3, {"padding_mode": "zeros"}, "'zeros'.*outer 1 rows"),
    (5, {"padding_mode": "reflect"}, "'reflect'.*outer 2 rows"),
    (3, {"padding": 1, "stride": 4}, "stride .4, 4. does not divide the grid .6, 6."),
    (3, {"padding": 0}, "does not keep the size"),
    (3, {"padding": 2}, "does not keep the size"),
]


@pytest.mark.parametrize(("size", "options"), EXACT)
def test_what_is_exact(size, options):
    torch.manual_seed(0)
    layer = conv(2, 4, size, **options)
    (spectrum,) = filter_spectra(layer, image_shape=(2, 6, 6))
    assert spectrum.exact
    wanted = np.linalg.svd(dense_operator(layer, (6, 6)), compute_uv=False)
    found, _ = values_of(spectrum, len(wanted))
    assert np.abs(found[: len(wanted)] - wanted).max() <= ROUND_OFF * wanted[0]
    assert spectrum.largest == pytest.approx(wanted[0], rel=ROUND_OFF)


@pytest.mark.parametrize(("size", "options", "said"), NEARLY)
def test_what_is_approximate_is_said(size, options, said):
    (spectrum,) = filter_spectra(conv(2, 4, size, **options), image_shape=(2, 6, 6))
    assert not spectrum.exact
    import re

    assert re.search(said, spectrum.note)


def test_zero_padding_comes_near_the_circular_layer_on_large_grids():
    """The edges are a share of 2/n of the rows: the mean square of the singular values differs by no more."""
    torch.manual_seed(0)
    layer = conv(1, 1, 3, padding_mode="zeros")
    for n in (8, 16, 32):
        (spectrum,) = filter_spectra(layer, image_shape=(1, n, n))
        share = operator_norm(layer, (n, n), "it") / spectrum.frobenius
        assert 1 - 4 / n <= share < 1


@pytest.mark.parametrize(
    ("size", "options"),
    [((4, 2), {"padding_mode": "zeros"}), (3, {"padding_mode": "reflect", "padding": 2}), (3, {"padding": 2})],
)
def test_norms_at_the_edges(size, options):
    """An even filter has one pixel more of padding behind than before; padding may fold two taps onto one pixel."""
    torch.manual_seed(0)
    layer = conv(2, 3, size, **options)
    matrix = dense_operator(layer, (4, 5))
    assert operator_norm(layer, (4, 5), "it") == pytest.approx(np.sum(matrix**2), rel=ROUND_OFF)


def test_rings_are_of_the_largest_singular_value():
    """``diag(3, 1)`` at every frequency."""
    layer = conv(2, 2, 1, bias=False)
    with torch.no_grad():
        layer.weight.copy_(torch.diag(torch.tensor([1.0, 3.0]))[:, :, None, None])
    (spectrum,) = filter_spectra(layer, image_shape=(2, 4, 4))
    assert spectrum.radial()[1].tolist() == pytest.approx([3.0] * 4, rel=ROUND_OFF)


def test_layers_are_taken_on_the_grid_that_they_see():
    model = nn.Sequential(conv(1, 2, 3), nn.MaxPool2d(2), conv(2, 3, 3, groups=1), nn.Flatten())
    first, second = filter_spectra(model, image_shape=(1, 8, 6))
    assert (first.grid, second.grid) == ((8, 6), (4, 3))
    assert (first.name, second.name) == ("0", "2")
    assert second.singular_values.shape == (4, 3, 2)
    assert [s.grid for s in filter_spectra(model)] == [(32, 32), (32, 32)]
    assert filter_spectra(conv(1, 1, (40, 3)))[0].grid == (40, 32)


def test_pooling_weighs_the_layers_of_its_grid():
    model = nn.Sequential(conv(1, 2, 3), nn.MaxPool2d(2), conv(2, 3, 3))
    plain = filter_spectra(model, image_shape=(1, 4, 4))
    weight = np.random.default_rng(0).uniform(-1, 1, (4, 4))
    pooled = filter_spectra(model, image_shape=(1, 4, 4), pooling=weight)
    assert np.allclose(pooled[0].singular_values, plain[0].singular_values * np.abs(weight)[:, :, None], rtol=1e-15)
    assert np.array_equal(pooled[1].singular_values, plain[1].singular_values)
    with pytest.raises(ArgumentError, match=r"pooling has shape \(3, 3\), expected one of \(2, 2\), \(4, 4\)"):
        filter_spectra(model, image_shape=(1, 4, 4), pooling=np.ones((3, 3)))


def test_kept_and_radial():
    layer = conv(1, 1, 1, bias=False)
    with torch.no_grad():
        layer.weight.fill_(2.0)
    (spectrum,) = filter_spectra(layer, image_shape=(1, 4, 4))
    assert spectrum.kept().tolist() == [[1] * 4] * 4
    assert spectrum.kept(1.0).sum() == 0
    assert spectrum.radial()[1].tolist() == [2.0] * 4
    ax = spectrum.plot().axes[0]
    assert set(ax.lines[0].get_ydata()) == {2.0}


def test_no_warning_for_a_model_in_training_mode_whose_filters_alone_are_read():
    model = nn.Sequential(conv(1, 2, 3), nn.BatchNorm2d(2, dtype=torch.float64))
    before = model[1].running_mean.clone()
    filter_spectra(model, image_shape=(1, 4, 4))
    assert model[1].training
    assert torch.equal(model[1].running_mean, before)
