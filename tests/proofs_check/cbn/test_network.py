"""Cyclic networks against pixels: convolution by definition, dense matrices, finite differences, symmetries."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lineardyn import LinearCNN
from lineardyn.errors import ArgumentError
from proofs_check.cbn import CyclicCNN, convolution, pooling, pooling_eigenvalues
from proofs_check.cbn.convolution import Convolution
from tests.oracles import EPS, error
from tests.proofs_check.cbn import nets as own
from tests.proofs_check.cbn.pixels import (
    blocks_of,
    mirrored,
    operator_by_definition,
    pooling_matrix,
)

# sums of at most a few hundred terms of order 1, a few layers: 1e3 roundings
CLOSE = 1e3 * EPS

seeds = st.integers(0, 2**20)


@pytest.fixture(params=[0, 1 << 20], ids=["transforms", "matrices"])
def either_way(request, monkeypatch):
    """Layers and pooling multiply by transforms when large and by their matrix when small: both, for all sizes."""
    monkeypatch.setattr(convolution, "_DENSE", request.param)
    monkeypatch.setattr(pooling, "_DENSE", request.param)


# --- layers ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stride", [1, 2, -2, 4, -4])
@pytest.mark.parametrize("grid", [(4,), (8,), (4, 8)])
def test_a_layer_is_the_sum_of_its_definition(either_way, grid, stride):
    rng = np.random.default_rng(0)
    layer = Convolution(rng.standard_normal((3, *grid, 2)), stride)
    matrix = operator_by_definition(layer.weight, stride)
    x = rng.standard_normal((2, 5, 2, *layer.grid_in))
    y = rng.standard_normal((2, 5, 3, *layer.grid_out))
    assert np.array_equal(layer.matrix, matrix)
    assert error(layer(x), (x.reshape(10, -1) @ matrix.T).reshape(y.shape)) <= CLOSE
    assert error(layer.transpose(y), (y.reshape(10, -1) @ matrix).reshape(x.shape)) <= CLOSE


def test_transposes_of_strides_are_transposes():
    """The filter of the transpose of a strided layer is reflected: ``w[o, i - sj, c]`` for ``w[c, sj - i, o]``."""
    weight = np.random.default_rng(0).standard_normal((3, 6, 2))
    reflected = np.roll(weight[:, ::-1], 1, axis=1).transpose(2, 1, 0)
    assert np.array_equal(Convolution(weight, 2).matrix.T, Convolution(reflected, -2).matrix)


def test_operators_are_diagonal_blocks_in_fourier():
    net = own.make_net(3, (3, 4))
    for layer, blocks in enumerate(net.operator_blocks(), start=1):
        found, off = blocks_of(net.operator(layer), net.grid, *blocks.shape[-2:])
        assert off <= CLOSE
        assert error(found, blocks) <= CLOSE


# --- the network ----------------------------------------------------------------------------------------------------


@given(net=own.nets(), seed=seeds)
@example(net=own.make_net(0, (4,), stride=2, depth=2), seed=0)
@example(net=own.make_net(0, (1,), depth=1), seed=0)
def test_everything_equals_the_dense_network(net, seed):
    x = np.random.default_rng(seed).standard_normal((net.widths[0], *net.grid))
    oracle = mirrored(net)
    before, read, _ = oracle.run(x)
    assert error(net(x).ravel(), before[-1]) <= CLOSE
    assert all(error(a.ravel(), b) <= CLOSE for a, b in zip(net.preactivations(x), before, strict=True))
    assert all(error(a.ravel(), b) <= CLOSE for a, b in zip(net.activations(x), read, strict=True))
    shape = (net.widths[-1], *net.grid, net.widths[0], *net.grid)
    assert error(net.jacobian(x), oracle.jacobian(x).reshape(shape)) <= CLOSE
    hidden = [float(np.abs(z).min()) for z in before[:-1]] if net.slope != 1.0 else []
    assert abs(net.kinks(x) - min(hidden, default=np.inf)) <= CLOSE if hidden else net.kinks(x) == np.inf
    squares = sum((w**2).sum() + (b**2).sum() for w, b in zip(oracle.matrices, oracle.biases, strict=True))
    assert net.norm() == pytest.approx(squares, rel=1e-13)


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("slope", own.SLOPES)
def test_both_ways_of_multiplying_agree(either_way, slope, stride):
    net = own.make_net(4, (4, 6), slope, "local", depth=4, stride=stride)
    x = np.random.default_rng(5).standard_normal((3, net.widths[0], 4, 6))
    oracle = mirrored(net)
    for image, value, jacobian in zip(x, net(x), net.jacobian(x), strict=True):
        assert error(value.ravel(), oracle.run(image)[0][-1]) <= CLOSE
        assert error(jacobian.ravel(), oracle.jacobian(image).ravel()) <= CLOSE


@given(net=own.nets(), seed=seeds)
def test_jacobian_is_the_finite_difference(net, seed):
    """f is linear between kinks: the quotient is exact up to round-off / h as long as no sign changes."""
    x = own.image_away_from_kinks(net, seed)
    v = np.random.default_rng(seed).standard_normal(x.shape)
    h = 2.0**-6
    signs = [z >= 0 for z in net.preactivations(x)[:-1]]
    while any(
        not np.array_equal(s, z >= 0)
        for t in (h, -h)
        for s, z in zip(signs, net.preactivations(x + t * v)[:-1], strict=True)
    ):
        h /= 2.0
    quotient = (net(x + h * v) - net(x - h * v)) / (2.0 * h)
    along = np.tensordot(net.jacobian(x), v, axes=x.ndim)
    size = 1.0 + float(np.abs(net(x)).max()) + float(np.abs(along).max())
    assert float(np.abs(quotient - along).max()) <= max(1e-10, 100.0 * EPS / h) * size


@given(net=own.nets(strided=False), seed=seeds)
def test_blocks_at_a_constant_are_those_of_the_dense_jacobian(net, seed):
    x = own.image_away_from_kinks(net, seed, constant=True)
    found, off = blocks_of(mirrored(net).jacobian(x), net.grid, net.widths[-1], net.widths[0])
    assert error(net.jacobian_blocks(x), found) <= CLOSE
    assert off <= CLOSE * max(1.0, np.abs(found).max())
    many = np.stack([x, x])
    assert np.array_equal(net.jacobian_blocks(many)[1], net.jacobian_blocks(x))


def test_the_derivative_at_a_kink_is_from_the_right():
    net = CyclicCNN([np.ones((1, 1, 1)), np.ones((1, 1, 1))], slope=0.25)
    assert net.jacobian([[0.0]]).ravel() == 1.0
    assert net.jacobian([[-1e-300]]).ravel() == 0.25


@given(net=own.nets(), seed=seeds, shift=st.tuples(st.integers(-3, 3), st.integers(-3, 3)))
def test_a_network_commutes_with_shifts(net, seed, shift):
    axes = tuple(range(-len(net.grid), 0))
    steps = tuple(net.strides[0] * s for s in shift[: len(net.grid)])
    x = np.random.default_rng(seed).standard_normal((net.widths[0], *net.grid))
    assert error(net(np.roll(x, steps, axes)), np.roll(net(x), steps, axes)) <= CLOSE


def test_a_strided_network_commutes_with_no_other_shift():
    net = own.make_net(1, (4,), 0.3, stride=2)
    x = np.random.default_rng(0).standard_normal((net.widths[0], 4))
    assert error(net(np.roll(x, 1, -1)), np.roll(net(x), 1, -1)) > 0.01


def test_leading_axes_are_looked_at_one_by_one():
    net = own.make_net(2, (2, 3), 0.3, "local")
    x = np.random.default_rng(0).standard_normal((2, 3, net.widths[0], 2, 3))
    trace = net.ntk_trace(x)
    for i, j in np.ndindex(2, 3):
        assert error(net(x)[i, j], net(x[i, j])) <= CLOSE
        assert error(net.jacobian(x)[i, j], net.jacobian(x[i, j])) <= CLOSE
        assert error(net.kinks(x)[i, j], net.kinks(x[i, j])) <= CLOSE
        assert error(trace.weights[i, j], net.ntk_trace(x[i, j]).weights) <= CLOSE
        assert error(trace.total[i, j], net.ntk_trace(x[i, j]).total) <= CLOSE


def test_a_line_is_a_picture_of_one_row():
    line = own.make_net(6, (6,), 0.3, "local")
    row = CyclicCNN(
        [w[:, None] for w in line.weights], line.biases, pooling=pooling_eigenvalues((6,), "local")[None], slope=0.3
    )
    x = np.random.default_rng(0).standard_normal((line.widths[0], 6))
    assert error(row(x[:, None])[:, 0], line(x)) <= CLOSE
    assert error(row.jacobian_blocks(np.ones((line.widths[0], 1, 6)))[0], line.jacobian_blocks(0.0 * x + 1)) <= CLOSE


# --- norms and parameters -------------------------------------------------------------------------------------------


def test_the_operator_convention_is_n_times_that_of_filters():
    net = own.make_net(0, (3, 4))
    by_frequency = sum((np.abs(b) ** 2).sum() for b in net.operator_blocks())
    assert net.norm() == pytest.approx(by_frequency + 12 * sum((b**2).sum() for b in net.biases), rel=1e-13)
    assert net.norm() == pytest.approx(12 * net.norm("filter"), rel=1e-13)
    assert net.norm("filter") == pytest.approx(net.parameters() @ net.parameters(), rel=1e-13)


def test_polyphase_has_the_same_function_and_operator_norm():
    """``x'[(c, r), j] = x[c, sj + r]`` runs the hidden layers on n/s pixels (theory, section 4, T7)."""
    s, net = 2, own.make_net(8, (6,), 0.3, depth=3)
    first, middle, last = net.weights
    w1 = np.stack([np.roll(first, -r, axis=1) for r in range(s)], axis=1).reshape(-1, 6, first.shape[-1])
    w2 = np.zeros((len(middle), s, 3, middle.shape[-1], s))
    for r in range(s):
        for q in range(s):
            for j in range(3):
                w2[:, r, j, :, q] = middle[:, (s * j + r - q) % 6]
    w3 = np.stack([np.roll(last, r, axis=1) for r in range(s)], axis=-1).reshape(len(last), 6, -1)
    coarse = CyclicCNN(
        [w1, w2.reshape(len(middle) * s, 3, -1), w3],
        [np.repeat(net.biases[0], s), np.repeat(net.biases[1], s), net.biases[2]],
        slope=0.3,
        strides=(s, 1, -s),
    )
    x = np.random.default_rng(0).standard_normal((4, net.widths[0], 6))
    assert error(coarse(x), net(x)) <= CLOSE
    assert coarse.norm() == pytest.approx(net.norm(), rel=1e-13)
    without = [CyclicCNN(n.weights, slope=0.3, strides=n.strides) for n in (coarse, net)]
    assert without[0].norm("filter") == pytest.approx(s * without[1].norm("filter"), rel=1e-13)


@given(net=own.nets())
def test_parameters_and_back(net):
    again = net.with_parameters(net.parameters())
    assert all(np.array_equal(a, b) for a, b in zip(again.weights, net.weights, strict=True))
    assert all(np.array_equal(a, b) for a, b in zip(again.biases, net.biases, strict=True))
    assert (again.slope, again.strides) == (net.slope, net.strides)
    assert np.array_equal(again.pooling, net.pooling)
    assert np.array_equal(net.parameters()[: net.weights[0].size], net.weights[0].ravel())


def test_weights_are_copies_that_cannot_be_changed():
    w = np.ones((1, 3, 1))
    net = CyclicCNN([w])
    w[0] = 2.0
    assert net.weights[0].max() == 1.0
    with pytest.raises(ValueError, match="read-only"):
        net.weights[0][0] = 2.0


def test_random_weights_have_the_deviation_they_say():
    net = CyclicCNN.random((6, 5), (40, 50, 30), rng=0, scale=3.0, bias_scale=2.0)
    for w, c in zip(net.weights, (40, 50), strict=True):
        assert w.std() == pytest.approx(3.0 / np.sqrt(30 * c), rel=0.02)  # 6e4 entries: 0.3 % of deviation
    assert np.concatenate(net.biases).std() == pytest.approx(2.0, rel=0.3)
    same = CyclicCNN.random((6, 5), (40, 50, 30), rng=np.random.default_rng(0), scale=3.0, bias_scale=2.0)
    assert np.array_equal(same.parameters(), net.parameters())


# --- the tangent kernel ---------------------------------------------------------------------------------------------


@given(net=own.nets(), seed=seeds)
def test_trace_of_the_tangent_kernel_by_its_definition(net, seed):
    """``Σ (∂f/∂θ)²`` by differences along each parameter, in which f is linear between kinks."""
    x = own.image_away_from_kinks(net, seed)
    theta, h = net.parameters(), 1e-4 * min(1.0, float(net.kinks(x)))
    squares = np.zeros(len(theta))
    for k, row in enumerate(np.eye(len(theta))):
        up, down = (net.with_parameters(theta + t * row)(x) for t in (h, -h))
        squares[k] = (((up - down) / (2 * h)) ** 2).sum()
    trace, start = net.ntk_trace(x), 0
    scale = 1.0 + squares.sum()
    for i, (w, b) in enumerate(zip(net.weights, net.biases, strict=True)):
        # a quotient of round-off: eps |f| / h, squared with itself
        assert abs(trace.weights[i] - squares[start : start + w.size].sum()) <= 1e4 * EPS / h * scale
        assert abs(trace.biases[i] - squares[start + w.size : start + w.size + b.size].sum()) <= 1e4 * EPS / h * scale
        start += w.size + b.size
    assert trace.total == pytest.approx(trace.weights.sum() + trace.biases.sum(), rel=1e-13)


# --- where it overlaps with the linear network of lineardyn ---------------------------------------------------------


@pytest.mark.parametrize("shape", [(3, 4), (4, 4), (1, 5)])
@pytest.mark.parametrize("depth", [1, 2, 4])
def test_a_linear_network_has_the_predictor_of_its_output_at_one_pixel(shape, depth):
    """The unitary predictor is the unnormalised block divided by √P: at pixel 0 the last layer is a dot product."""
    rng = np.random.default_rng(0)
    widths = (2, *(3,) * (depth - 1), 2)
    net = CyclicCNN.random(shape, widths, rng=rng, slope=1.0)
    dot = np.roll(np.flip(net.weights[-1], (1, 2)), (1, 1), (1, 2))
    other = LinearCNN((2, *shape), widths=widths[1:-1], n_outputs=2)
    weights = [*net.weights[:-1], dot]
    blocks = net.jacobian_blocks(np.ones((2, *shape)))
    assert error(other.effective_predictor(weights), blocks / np.sqrt(net.n_pixels)) <= CLOSE
    assert net.norm("filter") == pytest.approx(sum((w**2).sum() for w in weights), rel=1e-13)


# --- pooling --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("grid", [(1,), (2,), (5,), (3, 4)])
def test_pooling_mixes_with_the_mean_or_the_neighbours(grid):
    n, axes = int(np.prod(grid)), range(len(grid))
    shifts = [np.roll(np.eye(n).reshape(*grid, n), s, a).reshape(n, n) for a in axes for s in (1, -1)]
    averages = {"global": np.full((n, n), 1 / n), "local": sum(shifts) / len(shifts), "none": np.eye(n)}
    for kind, average in averages.items():
        matrix = pooling_matrix(pooling_eigenvalues(grid, kind, 0.3))
        assert error(matrix, 0.7 * np.eye(n) + 0.3 * average) <= CLOSE


# --- bad calls ------------------------------------------------------------------------------------------------------

W = np.ones((2, 4, 1))
V = np.ones((1, 4, 2))
NET = CyclicCNN([W, V])
X = np.ones((1, 4))
HOLE = np.where(np.arange(4).reshape(1, 4, 1) == 2, np.nan, W)
BAD = {
    "no weights": (lambda: CyclicCNN([]), r"weights is empty, expected at least one filter"),
    "one array": (lambda: CyclicCNN(W), r"weights is array.*, expected a list of filters"),
    "two axes": (lambda: CyclicCNN([np.ones((2, 4))]), r"weights\[0\] has shape \(2, 4\), expected \(C_1, n, C_0\)"),
    "no pixel": (lambda: CyclicCNN([np.ones((2, 0, 1))]), r"weights\[0\] has shape \(2, 0, 1\), expected"),
    "complex": (lambda: CyclicCNN([1j * W]), r"weights\[0\] has dtype complex128, expected real numbers"),
    "nan": (lambda: CyclicCNN([HOLE]), r"weights\[0\] holds nan at index \(0, 2, 0\), expected finite numbers"),
    "chain": (lambda: CyclicCNN([W, W]), r"weights\[1\] takes 1 channels, expected 2: as many as weights\[0\] gives"),
    "grid": (
        lambda: CyclicCNN([W, np.ones((1, 3, 2))]),
        r"weights\[1\] has grid \(3,\), expected \(4,\): pad smaller filters with zeros",
    ),
    "biases": (lambda: CyclicCNN([W, V], [[0, 0]]), r"biases has 1 entries, expected 2: one for each layer"),
    "bias": (lambda: CyclicCNN([W], [[0.0]]), r"biases\[0\] has shape \(1,\), expected \(2,\): one bias for each"),
    "biases array": (lambda: CyclicCNN([W], np.zeros((1, 2))), r"biases is array.*, expected a list of arrays"),
    "bias nan": (lambda: CyclicCNN([W], [[0.0, np.inf]]), r"biases\[0\] holds inf at index \(1,\)"),
    "slope one": (lambda: CyclicCNN([W], slope=-1.0), r"slope is -1, expected -1 < slope < 1 .*or exactly 1"),
    "slope two": (lambda: CyclicCNN([W], slope=2), r"slope is 2, expected -1 < slope < 1"),
    "slope nan": (lambda: CyclicCNN([W], slope=np.nan), r"slope is nan, expected a finite number"),
    "pooling shape": (
        lambda: CyclicCNN([W], pooling=np.ones(3)),
        r"pooling has shape \(3,\), expected \(4,\): one eigenvalue for each frequency",
    ),
    "pooling odd": (
        lambda: CyclicCNN([W], pooling=[1, 0.5, 0.5, 0.6]),
        r"pooling differs by 0\.1 between frequency \(1,\) and its conjugate, expected even eigenvalues",
    ),
    "pooling dc": (lambda: CyclicCNN([W], pooling=[0.9] * 4), r"pooling\[0\] is 0\.9, expected 1: pooling keeps const"),
    "pooling large": (
        lambda: CyclicCNN([W], pooling=[1, 1, -2, 1]),
        r"pooling is -2 at frequency \(2,\), expected 0 <",
    ),
    "pooling zero": (lambda: CyclicCNN([W], pooling=[1, 1, 0, 1]), r"pooling vanishes at frequency \(2,\)"),
    "pooling complex": (lambda: CyclicCNN([W], pooling=np.ones(4, complex)), r"pooling has dtype complex128"),
    "strides length": (lambda: CyclicCNN([W, V], strides=[2]), r"strides has 1 entries, expected 2: one for each"),
    "strides form": (lambda: CyclicCNN([W, V], strides=[2, 1]), r"strides is \(2, 1\), expected \(s, 1, \.\., 1, -s\)"),
    "strides divisor": (lambda: CyclicCNN([W, V], strides=[3, -3]), r"strides\[0\] is 3, expected a divisor of every"),
    "strides half": (lambda: CyclicCNN([W, V], strides=[0.5, 1]), r"strides\[0\] is 0\.5, expected an integer"),
    "strides zero": (lambda: CyclicCNN([W, V], strides=[0, 0]), r"strides is \(0, 0\), expected \(s, 1"),
    "strides of one layer": (lambda: CyclicCNN([W], strides=[2]), r"strides is \(2,\), expected \(s, 1"),
    "strided grid": (
        lambda: CyclicCNN([W, np.ones((1, 4, 2)), V[:, :, :1]], strides=[2, 1, -2]),
        r"weights\[1\] has grid \(4,\), expected \(2,\): the coarse grid of the hidden layers",
    ),
    "image": (lambda: NET(np.ones((2, 4))), r"x has shape \(2, 4\), expected \(\.\.\., 1, 4\)"),
    "image short": (lambda: NET(np.ones(4)), r"x has shape \(4,\), expected \(\.\.\., 1, 4\)"),
    "image nan": (lambda: NET(np.full((1, 4), np.nan)), r"x holds nan at index \(0, 0\)"),
    "norm": (lambda: NET.norm("filters"), r"convention is 'filters'.*did you mean 'filter'"),
    "layer zero": (lambda: NET.operator(0), r"layer is 0, expected an integer >= 1"),
    "layer three": (lambda: NET.operator(3), r"layer is 3, expected 1\.\.2"),
    "parameters": (lambda: NET.with_parameters(np.ones(3)), r"vector has shape \(3,\), expected \(19,\)"),
    "not constant": (lambda: NET.jacobian_blocks([[1, 1, 1, 2]]), r"x is not constant, expected one value in each"),
    "kink": (lambda: NET.jacobian_blocks(0 * X), r"x puts channel 0 of layer 1 on its kink"),
    "strided blocks": (
        lambda: CyclicCNN([W, V], strides=[2, -2]).jacobian_blocks(X),
        r"strides is \(2, -2\), expected none: a strided network has no block",
    ),
    "random widths": (lambda: CyclicCNN.random((4,), (1,), rng=0), r"widths is \(1,\), expected \(C_0, C_1, \.\., C_L"),
    "random grid": (lambda: CyclicCNN.random((4, 4, 4), (1, 1), rng=0), r"grid is \(4, 4, 4\), expected \(n,\) or"),
    "random rng": (lambda: CyclicCNN.random((4,), (1, 1), rng=None), r"rng is None, expected a seed"),
    "random scale": (lambda: CyclicCNN.random((4,), (1, 1), rng=0, scale=-1), r"scale is -1, expected a number >= 0"),
    "random stride": (lambda: CyclicCNN.random((4,), (1, 1, 1), rng=0, stride=3), r"strides\[0\] is 3, expected a div"),
    "kind": (lambda: pooling_eigenvalues((4,), "globel"), r"kind is 'globel'.*did you mean 'global'"),
    "strength": (lambda: pooling_eigenvalues((4,), "global", 1.0), r"strength is 1, expected a number < 1"),
    "strength large": (lambda: pooling_eigenvalues((4,), "local", 1.5), r"strength is 1\.5, expected a number <= 1"),
    "strength local": (lambda: pooling_eigenvalues((4,), "local", 0.5), r"strength is 0\.5, at which an eigenvalue"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_calls_name_the_argument(name):
    call, text = BAD[name]
    with pytest.raises(ArgumentError, match=text):
        call()


def test_a_dead_channel_is_a_kink_however_its_zero_comes_about():
    """Weights that sum to 0 but for round-off leave the pre-activation at 0."""
    w = np.array([0.1, 0.2, -0.3]).reshape(1, 3, 1)
    assert w.sum() != 0.0
    with pytest.raises(ArgumentError, match="on its kink"):
        CyclicCNN([w, w]).jacobian_blocks(np.ones((1, 3)))
    assert CyclicCNN([w, w], slope=1.0).jacobian_blocks(np.ones((1, 3))).shape == (3, 1, 1)
