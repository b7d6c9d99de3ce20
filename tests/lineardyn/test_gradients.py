"""Every gradient by differences: of networks and of the kernels, every depth, form and decay; the kernels' products.

The loss is a polynomial, and of degree two in any single weight: each layer enters f linearly. So central differences
of one weight are exact at any h. With h = ½ the bound is round-off alone: 1e-13 of losses up to 10², over h.
"""

from __future__ import annotations

import numpy as np
import pytest

from lineardyn.flow import _kernels
from lineardyn.flow.arguments import flow_arguments, kernel_arguments, right_hand_side
from lineardyn.moments import SecondMoments
from lineardyn.networks import LinearCNN, LinearFCN
from tests import oracles
from tests import strategies as own

EXACT = 1e-11
DEPTHS = {1: (), 2: (3,), 3: (2, 4), 4: (1, 3, 2), 5: (2, 1, 2, 2)}
# Coherent data, so that all forms hold the same statistics; 2×3 has no conjugate pair along its rows, 1×5 along both.
COHERENT = own.make_data("centred", (2, 2, 3), 3, 50), own.make_data("centred", (1, 1, 5), 4, 51)


def case(kind, depth, form, shape=0):
    data = COHERENT[shape]
    network = {"cnn": LinearCNN, "fcn": LinearFCN}[kind](
        data.image_shape, widths=DEPTHS[depth], n_outputs=data.n_outputs
    )
    weights = own.random_weights(kind, data.image_shape, DEPTHS[depth], data.n_outputs, depth, 0.4)
    return data, network, weights, SecondMoments.from_data(data.images, data.targets, form=form)


def slopes(data, weights, decay):
    """Of the mean over samples of the pixel-space network: nothing of the library."""
    return oracles.finite_differences(lambda w: oracles.loss(w, data.images, data.targets, decay), weights, h=0.5)


def worst_entry(got, wanted):
    return max(float(np.abs(a - b).max()) for a, b in zip(got, wanted, strict=True))


every_case = pytest.mark.parametrize(
    ("kind", "depth", "form", "decay"),
    [
        (kind, depth, form, decay)
        for kind in ("cnn", "fcn")
        for depth in DEPTHS
        for form in ("modes", "dense", "samples")
        for decay in (0.0, 0.3)
    ],
)


@every_case
def test_gradient_of_a_network(kind, depth, form, decay):
    data, network, weights, moments = case(kind, depth, form)
    got = network.gradient(weights, moments, weight_decay=decay)
    wanted = slopes(data, weights, decay)
    assert worst_entry(got, wanted) <= EXACT * max(1.0, *(np.abs(g).max() for g in wanted))


@every_case
def test_right_hand_side_of_the_kernels(kind, depth, form, decay):
    """In both layouts: as packed, and padded to whole vectors as the integrators have it."""
    data, network, weights, moments = case(kind, depth, form)
    wanted = [-g for g in slopes(data, weights, decay)]
    bound = EXACT * max(1.0, *(np.abs(g).max() for g in wanted))
    state = network.pack(weights)
    assert (
        worst_entry(network.unpack(right_hand_side(kernel_arguments(network, moments, decay), state)), wanted) <= bound
    )
    arguments, layout = flow_arguments(network, moments, decay)
    padded = layout.unpad(right_hand_side(arguments, layout.pad(state)))
    assert worst_entry(network.unpack(padded), wanted) <= bound


@pytest.mark.parametrize("depth", sorted(DEPTHS))
@pytest.mark.parametrize("form", ["modes", "dense", "samples"])
def test_padding_stays_zero(form, depth):
    """Integrators count on it: what is padded never moves, whatever the decay."""
    _, network, weights, moments = case("cnn", depth, form, shape=1)
    arguments, layout = flow_arguments(network, moments, 0.3)
    if layout.padded == 1:
        assert form == "dense"
        return
    slope = right_hand_side(arguments, layout.pad(network.pack(weights))).reshape(-1, layout.padded)
    assert layout.padded > layout.length
    assert (slope[:, layout.length :] == 0).all()


@pytest.mark.parametrize("kind", ["cnn", "fcn"])
@pytest.mark.parametrize("n", [1, 4, 5, 31, 32, 33, 37])  # samples; up to 32 rows have loops of their own
@pytest.mark.parametrize("n_outputs", [3, 5, 33, _kernels.OUTPUTS + 5])  # and up to 32 outputs, and blocks of them
@pytest.mark.parametrize("widths", [(), (2,), (2, 3)])
def test_right_hand_side_on_both_sides_of_few(kind, n, n_outputs, widths):
    """Against the backward pass in pixel space; sums of at most 40 terms, so 1e-12."""
    rng = np.random.default_rng(n)
    images, targets = rng.standard_normal((n, 2, 1, 3)), rng.standard_normal((n, n_outputs))
    weights = own.random_weights(kind, (2, 1, 3), widths, n_outputs, 1)
    network = {"cnn": LinearCNN, "fcn": LinearFCN}[kind]((2, 1, 3), widths=widths, n_outputs=n_outputs)
    wanted = [-g for g in oracles.gradient(weights, images, targets, 0.2)]
    for form in ("dense", "samples"):
        moments = SecondMoments.from_data(images, targets, form=form)
        arguments, layout = flow_arguments(network, moments, 0.2)
        got = network.unpack(layout.unpad(right_hand_side(arguments, layout.pad(network.pack(weights)))))
        assert worst_entry(got, wanted) <= 1e-12 * max(1.0, *(np.abs(g).max() for g in wanted))


@pytest.mark.parametrize("n", range(1, 6))  # rows; up to four go two outputs at a time
@pytest.mark.parametrize("n_outputs", range(1, 6))
@pytest.mark.parametrize("shape", [(1, 2), (3, 3), (4, 6)])
def test_right_hand_side_of_one_channel(shape, n_outputs, n):
    """The network of Pinson et al. Against numpy's; sums of at most 100 terms of size up to 10."""
    rng = np.random.default_rng(n)
    moments = SecondMoments.from_data(
        rng.standard_normal((n, 1, *shape)), rng.standard_normal((n, n_outputs)), form="samples"
    )
    network = LinearCNN((1, *shape), n_outputs=n_outputs)
    weights = network.init_small(1.0, rng=0)
    wanted = [-g for g in network.gradient(weights, moments, weight_decay=0.2)]
    arguments, layout = flow_arguments(network, moments, 0.2)
    got = network.unpack(layout.unpad(right_hand_side(arguments, layout.pad(network.pack(weights)))))
    assert worst_entry(got, wanted) <= 1e-13 * max(1.0, *(np.abs(g).max() for g in wanted))


# --- products with few rows: every number of rows and columns has its own pattern of tiles ---------------------------


@pytest.mark.parametrize("columns", range(1, 18))
@pytest.mark.parametrize("rows", [*range(1, 10), 32])
def test_products_of_few_rows_equal_numpys(rows, columns):
    """``v xᵀ`` and ``c x`` in tiles of four by four or five; 11 terms of order one: 1e-14."""
    rng = np.random.default_rng(100 * rows + columns)
    v, x, c = rng.standard_normal((rows, 11)), rng.standard_normal((columns, 11)), rng.standard_normal((rows, columns))
    products, sums = np.full((rows, columns), np.nan), np.full((rows, 11), np.nan)
    _kernels.inner_products(v, x, products)
    _kernels.combinations(c, x, sums)
    assert np.abs(products - v @ x.T).max() <= 1e-13
    assert np.abs(sums - c @ x).max() <= 1e-13


@pytest.mark.parametrize("rows", range(1, 6))
@pytest.mark.parametrize("terms", [1, 3, 7, 8, 9, 13])
@pytest.mark.parametrize("n", [1, 5, 2 * _kernels.BLOCK + 3])
def test_stage_sums_equal_numpys(rows, terms, n):
    """``y + h Σ_j table[row, j] k_j``: one pass over up to eight terms, block by block."""
    rng = np.random.default_rng(rows + 10 * terms)
    y, k, table = rng.standard_normal(n), rng.standard_normal((terms, n)), rng.standard_normal((rows, terms))
    places = rng.permutation(terms)  # stage j is in row places[j]
    table[-1, ::2] = 0.0  # coefficients that are zero are left out
    at, c = np.zeros(_kernels.TERMS, dtype=np.uintp), np.zeros(_kernels.TERMS)
    out = np.full(n, np.nan)
    for row in range(rows):
        _kernels.stage_sum(out, y, k, places, table, row, terms, 0.3, at, c)
        assert np.abs(out - (y + 0.3 * table[row] @ k[places])).max() <= 1e-14 * (1 + terms)


@pytest.mark.parametrize("row", range(1, 11))
@pytest.mark.parametrize("n", [1, 5, 2 * _kernels.BLOCK + 3])
def test_two_stage_sums_are_those_of_one_at_a_time(row, n):
    """To the last bit, as steps may not depend on it, for three to eight terms between the two rows."""
    rng, places = np.random.default_rng(row), np.arange(13)
    y, k, table = rng.standard_normal(n), rng.standard_normal((13, n)), rng.standard_normal((13, 13))
    table[row, 1] = table[row + 1, 2] = 0.0  # terms of one of them only
    left = k.copy()
    at, c, d = np.zeros(_kernels.TERMS, dtype=np.uintp), np.zeros(_kernels.TERMS), np.zeros(_kernels.TERMS)
    first, second, wanted = np.full(n, np.nan), np.full(n, np.nan), np.empty(n)
    assert _kernels.two_stage_sums(first, y, left, places, table, row, 0.3, at, c, d) == (3 <= row <= 8)
    assert np.array_equal(np.delete(left, row + 1, axis=0), np.delete(k, row + 1, axis=0))
    if not 3 <= row <= 8:
        assert np.array_equal(left, k)
        return
    _kernels.stage_sum(wanted, y, k, places, table, row, row, 0.3, at, c)
    assert np.array_equal(first, wanted)
    _kernels.finish_sum(second, left, places, row + 1, 0.3 * table[row + 1, row])
    _kernels.stage_sum(wanted, y, k, places, table, row + 1, row + 1, 0.3, at, c)
    assert np.array_equal(second, wanted)


def test_what_flows_share_is_that_of_their_network():
    """Arguments are kept for the next flow on the same moments: of the same network, scratch and decay apart."""
    rng = np.random.default_rng(0)
    moments = SecondMoments.from_data(rng.standard_normal((4, 1, 3, 3)), rng.standard_normal((4, 2)), form="samples")
    networks = [LinearCNN((1, 3, 3), widths=widths, n_outputs=2) for widths in ((1,), (2,), (1, 2), (1,))]
    for network in networks:
        for decay in (0.0, 0.3):
            weights = network.init_small(1.0, rng=1)
            arguments, layout = flow_arguments(network, moments, decay)
            got = network.unpack(layout.unpad(right_hand_side(arguments, layout.pad(network.pack(weights)))))
            wanted = [-g for g in network.gradient(weights, moments, weight_decay=decay)]
            # sums of at most 9 terms of size up to 10
            assert worst_entry(got, wanted) <= 1e-12 * max(1.0, *(np.abs(g).max() for g in wanted))
    again, other = flow_arguments(networks[0], moments, 0.0)[0], flow_arguments(networks[0], moments, 0.0)[0]
    assert again.rows is other.rows
    assert not np.may_share_memory(again.work, other.work)
