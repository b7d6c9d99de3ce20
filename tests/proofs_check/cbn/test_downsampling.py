"""Down-sampling: the band by reconstruction, phases by function and both norms, identity layers on coarse pixels."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lineardyn.errors import ArgumentError
from proofs_check.cbn import CyclicCNN, linear_network, pooling_eigenvalues, representation_cost
from proofs_check.cbn.construction import build_bottleneck
from proofs_check.cbn.downsampling import band, can_downsample, interpolate, polyphase
from tests.oracles import EPS, error
from tests.proofs_check.cbn.pixels import blocks_of, mirrored, operator_by_definition

# sums of a few hundred terms over a few layers
CLOSE = 1e4 * EPS

seeds = st.integers(0, 2**20)
GRIDS = [
    ((2,), 2),
    ((4,), 2),
    ((6,), 2),
    ((6,), 3),
    ((8,), 4),
    ((8,), 1),
    ((9,), 3),
    ((4, 2), 2),
    ((4, 4), 4),
    ((3, 6), 3),
]


def image_of(grid, frequency, phase):
    """One wave ``cos(2π ω·i/n + phase)``."""
    places = np.indices(grid)
    angle = sum(2 * np.pi * w * i / side for w, i, side in zip(frequency, places, grid, strict=True))
    return np.cos(angle + phase)


def every(x, s, d):
    return x[(..., *(slice(None, None, s),) * d)]


# --- the band -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("grid", "s"), GRIDS)
def test_waves_of_the_band_and_no_others_come_back_from_their_samples(grid, s):
    """One wave at a time, at four phases: |ω| < n/(2s) on every axis, and at equality the sine is lost."""
    inside = band(grid, s)
    for frequency in np.ndindex(grid):
        waves = np.stack([image_of(grid, frequency, phase) for phase in (0.0, 0.7, np.pi / 2, 2.0)])[:, None]
        back = error(interpolate(every(waves, s, len(grid)), s), waves) <= CLOSE
        signed = [min(w, side - w) for w, side in zip(frequency, grid, strict=True)]
        assert inside[frequency] == all(2 * s * w < side for w, side in zip(signed, grid, strict=True)) or s == 1
        assert back == inside[frequency]


@given(case=st.sampled_from(GRIDS), seed=seeds)
def test_images_of_the_band_come_back(case, seed):
    grid, s = case
    rng = np.random.default_rng(seed)
    d = len(grid)
    hat = np.fft.fftn(rng.standard_normal((3, 2, *grid)), axes=range(2, 2 + d)) * band(grid, s)
    x = np.fft.ifftn(hat, axes=range(2, 2 + d)).real
    assert error(interpolate(every(x, s, d), s), x) <= CLOSE


def test_at_equality_the_smallest_witness():
    x = np.array([[0.0, 1.0, 0.0, -1.0]])
    assert not x[:, ::2].any()
    blocks = np.zeros((4, 1, 1))
    blocks[[1, 3]] = 1.0
    answer = can_downsample(blocks, 2)
    assert not answer
    assert "frequency (1,) is not below n/(2s) = 1" in answer.reason
    assert not can_downsample(lambda images: images, 2, samples=x[None])


def test_a_band_is_enough_and_not_necessary():
    """±3 of n = 8 are read as ∓1 on every second pixel: nothing is lost, and the answer is about the band alone."""
    waves = np.cos(2 * np.pi * 3 * np.arange(8) / 8 + np.array([[0.0], [0.7]]))
    assert np.linalg.matrix_rank(waves) == np.linalg.matrix_rank(waves[:, ::2]) == 2
    blocks = np.zeros((8, 1, 1))
    blocks[[3, 5]] = 1.0
    answer = can_downsample(blocks, 2)
    assert not answer.possible
    assert "frequency (3,) is not below n/(2s) = 2" in answer.reason
    assert not np.allclose(interpolate(waves[:, ::2], 2), waves)


@pytest.mark.parametrize(("grid", "s"), GRIDS)
@pytest.mark.parametrize("seed", range(4))
def test_blocks_functions_and_networks_get_the_same_answer(grid, s, seed):
    """Of one random even set of frequencies; the answer is that of reconstruction."""
    rng = np.random.default_rng(seed)
    chosen = band(grid, s) if seed == 0 else rng.random(grid) < 0.3
    chosen.flat[0] = True
    hat = np.fft.fftn(np.fft.ifftn(chosen).real)  # even
    blocks = np.where(np.abs(hat) > 1e-9, hat.real, 0.0)[..., None, None]
    d, x = len(grid), rng.standard_normal((5, 1, *grid))

    def g(images):
        return np.fft.ifftn(np.fft.fftn(images, axes=range(2, 2 + d)) * blocks[..., 0, 0], axes=range(2, 2 + d)).real

    possible = error(interpolate(every(g(x), s, d), s), g(x)) <= CLOSE
    answer = can_downsample(blocks, s)
    assert bool(answer) == answer.possible == possible
    assert np.array_equal(answer.support, np.abs(blocks[..., 0, 0]) > 1e-9)
    assert (answer.coarse is not None) == possible
    assert can_downsample(g, s, samples=x).possible == possible
    net = build_bottleneck(blocks, blocks, depth=4).network
    found = can_downsample(net, s)
    assert found.possible == possible
    assert found.layers == ((1, 2, 3) if possible else ())


@pytest.mark.parametrize(("grid", "s"), [case for case in GRIDS if case[1] > 1])
def test_identity_layers_of_the_band_run_on_the_coarse_grid(grid, s):
    """Sampled after the fine layer is the coarse layer on samples; it costs the same."""
    rng = np.random.default_rng(0)
    d = len(grid)
    hat = np.fft.fftn(rng.standard_normal((*grid, 2, 3)), axes=range(d)) * band(grid, s)[..., None, None]
    coarse = can_downsample(hat, s).coarse
    fine_matrix = operator_by_definition(np.moveaxis(np.fft.ifftn(hat, axes=range(d)).real, -2, 0))
    small = tuple(side // s for side in grid)
    coarse_matrix = operator_by_definition(np.moveaxis(np.fft.ifftn(coarse, axes=range(d)).real, -2, 0))
    assert error(blocks_of(coarse_matrix, small, 2, 3)[0], coarse) <= CLOSE
    x = np.fft.ifftn(
        np.fft.fftn(rng.standard_normal((3, *grid)), axes=range(1, 1 + d)) * band(grid, s), axes=range(1, 1 + d)
    ).real
    fine = (fine_matrix @ x.ravel()).reshape(2, *grid)
    assert error(coarse_matrix @ every(x, s, d).ravel(), every(fine, s, d).ravel()) <= CLOSE
    assert (coarse_matrix**2).sum() == pytest.approx((fine_matrix**2).sum())
    for depth in (2, 5):
        assert representation_cost(coarse, depth=depth) == pytest.approx(representation_cost(hat, depth=depth))


# --- phases ---------------------------------------------------------------------------------------------------------


@st.composite
def cases(draw):
    grid, s = draw(st.sampled_from([case for case in GRIDS if np.prod(case[0]) <= 9]))
    rng = np.random.default_rng(draw(seeds))
    widths = rng.integers(1, 4, draw(st.integers(2, 4)) + 1)
    slope = draw(st.sampled_from([0.0, 0.3, -0.5, 1.0]))
    return CyclicCNN.random(grid, [int(c) for c in widths], rng=rng, slope=slope, bias_scale=0.5), s, rng


@given(case=cases())
@example(case=(CyclicCNN.random((2,), (1, 1, 1), rng=0), 2, np.random.default_rng(0)))
def test_phases_are_the_same_function_at_the_same_operator_norm(case):
    net, s, rng = case
    coarse = polyphase(net, s)
    phases = s ** len(net.grid)
    x = rng.standard_normal((4, net.widths[0], *net.grid))
    fine, dense = mirrored(net), mirrored(coarse)
    for image in x:
        assert error(dense.run(image)[0][-1], fine.run(image)[0][-1]) <= CLOSE
    assert error(coarse(x), net(x)) <= CLOSE
    assert coarse.widths[1:-1] == tuple(phases * c for c in net.widths[1:-1])
    norm = sum(float((w**2).sum()) for w in dense.matrices) + sum(float((b**2).sum()) for b in dense.biases)
    assert coarse.norm() == pytest.approx(norm)
    assert norm == pytest.approx(net.norm())
    # each filter s times, and each bias of a hidden layer: the last has one for each output as before
    last = float((net.biases[-1] ** 2).sum())
    assert coarse.norm("filter") == pytest.approx(phases * (net.norm("filter") - last) + last)


@given(case=cases())
def test_hidden_layers_hold_the_phases_of_the_fine_ones(case):
    """``z'[(o, r), j] = z[o, s j + r]``."""
    net, s, rng = case
    x = rng.standard_normal((net.widths[0], *net.grid))
    for coarse, fine in zip(polyphase(net, s).preactivations(x)[:-1], net.preactivations(x)[:-1], strict=True):
        d = len(net.grid)
        order = [fine[(slice(None), *(slice(q, None, s) for q in r))] for r in np.ndindex((s,) * d)]
        wanted = np.stack(order, axis=1)
        assert error(coarse, wanted.reshape(coarse.shape)) <= CLOSE


@pytest.mark.parametrize("s", [2, 3])
def test_the_best_linear_network_costs_no_more_on_coarse_pixels(s):
    """R_s ≤ R: its phases attain the cost of the map, whatever its frequencies."""
    blocks = np.fft.fft(np.random.default_rng(0).standard_normal((6, 2, 2)), axis=0)
    net = linear_network(blocks, 4)
    coarse = polyphase(net, s)
    assert coarse.strides == (s, 1, 1, -s)
    assert coarse.norm() == pytest.approx(representation_cost(blocks, depth=4))


def test_a_network_gets_its_coarse_form_where_it_has_one():
    net = CyclicCNN.random((6,), (1, 2, 1), rng=0)
    answer = can_downsample(net, 2)
    assert not answer.possible  # random filters have all frequencies
    assert answer.coarse.strides == (2, -2)
    waves = np.cos(2 * np.pi * np.arange(6) / 6).reshape(1, 6, 1)
    assert can_downsample(CyclicCNN([waves, waves]), 2).support.tolist() == [False, True, False, False, False, True]
    biased = can_downsample(CyclicCNN([waves, waves], [[1.0], [0.0]]), 2)
    assert biased.support.tolist() == [True, True, False, False, False, True]
    pooled = CyclicCNN.random((6,), (1, 2, 1), rng=0, pooling=pooling_eigenvalues((6,), "local"))
    assert can_downsample(pooled, 2).coarse is None
    assert polyphase(net, 1) is net


# --- bad calls ------------------------------------------------------------------------------------------------------

NET = CyclicCNN.random((6,), (1, 2, 1), rng=0)
POOLED = CyclicCNN.random((6,), (1, 2, 1), rng=0, pooling=pooling_eigenvalues((6,), "local"))
SHALLOW = CyclicCNN.random((6,), (1, 1), rng=0)
BAD = {
    "no divisor": (lambda: polyphase(NET, 4), r"stride is 4, expected a divisor of every side of the grid \(6,\)"),
    "no divisor of blocks": (lambda: can_downsample(np.ones((6, 1, 1)), 4), "stride is 4, expected a divisor"),
    "no stride": (lambda: can_downsample(NET, 0), "stride is 0, expected an integer >= 1"),
    "pools": (lambda: polyphase(POOLED, 2), "network pools, expected pooling=None"),
    "one layer": (lambda: polyphase(SHALLOW, 2), "network has one layer"),
    "one layer asked": (lambda: can_downsample(SHALLOW, 2), "bottleneck has one layer"),
    "strided": (lambda: polyphase(polyphase(NET, 2), 2), "network is strided already"),
    "strided asked": (lambda: can_downsample(polyphase(NET, 2), 2), "bottleneck is strided"),
    "no network": (lambda: polyphase(np.ones(6), 2), "network is ndarray, expected a CyclicCNN"),
    "no samples": (lambda: can_downsample(lambda x: x, 2), r"samples is None, expected images \(N, C, \*grid\)"),
    "flat samples": (lambda: can_downsample(lambda x: x, 2, samples=np.ones(4)), r"samples has shape \(4,\)"),
    "other images": (
        lambda: can_downsample(lambda x: x[..., ::2], 2, samples=np.ones((1, 1, 4))),
        r"bottleneck\(samples\) has shape \(1, 1, 2\)",
    ),
    "no blocks": (lambda: can_downsample([1.0, 2.0], 2), r"bottleneck has shape \(2,\)"),
    "no coarse image": (lambda: interpolate(np.ones(3), 2), r"samples has shape \(3,\)"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_calls_say_what_to_do(case):
    call, text = BAD[case]
    with pytest.raises(ArgumentError, match=text):
        call()
