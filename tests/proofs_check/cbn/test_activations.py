"""Sharpness, traces and activations: finite differences, dense Hessians, gradient descent at its limit of stability."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse.linalg
from hypothesis import given
from hypothesis import strategies as st

from lineardyn.errors import ArgumentError, ComputationError, Status
from proofs_check.cbn import (
    CyclicCNN,
    activation_bound,
    hessian_product,
    loss_gradient,
    pooling_eigenvalues,
    sharpness,
    training_loss,
)
from tests.oracles import error
from tests.proofs_check.cbn import nets as own
from tests.proofs_check.cbn.pixels import mirrored

seeds = st.integers(0, 2**20)


def data_for(net, seed, n=3):
    """Images away from kinks, where derivatives are those of a polynomial, and unrelated targets."""
    rng = np.random.default_rng(seed)
    images = np.stack([own.image_away_from_kinks(net, [seed, i]) for i in range(n)])
    return images, rng.standard_normal((n, net.widths[-1], *net.grid))


def dense_hessian(net, data, **options):
    return np.stack([hessian_product(net, data, row, **options) for row in np.eye(net.parameters().size)])


@given(net=own.nets(), seed=seeds)
def test_gradient_and_hessian_are_finite_differences(net, seed):
    """Away from kinks; central differences of a polynomial at step h are right to h²."""
    data = data_for(net, seed)
    theta, h = net.parameters(), 1e-3 * min(0.1, float(net.kinks(data[0]).min()))
    v = np.random.default_rng(seed).standard_normal(theta.shape)
    v /= np.linalg.norm(v)
    up, down = (net.with_parameters(theta + t * v) for t in (h, -h))
    gradient, product = loss_gradient(net, data), hessian_product(net, data, v)
    slope = (training_loss(up, data) - training_loss(down, data)) / (2 * h)
    turn = (loss_gradient(up, data) - loss_gradient(down, data)) / (2 * h)
    size = 1 + np.abs(gradient).max() + np.abs(product).max() + training_loss(net, data)
    allowed = (1e3 * h**2 + 1e-14 / h) * size
    assert abs(slope - gradient @ v) <= allowed
    assert np.abs(turn - product).max() <= allowed


@given(net=own.nets(largest=3, deepest=3), seed=seeds)
def test_the_trace_of_the_hessian_is_that_of_the_tangent_kernel(net, seed):
    """At any loss away from kinks, for both losses: no second derivative of f in one parameter."""
    data = data_for(net, seed)
    for loss, factor in (("regression", 2.0), ("flow", 1.0)):
        hessian = dense_hessian(net, data, loss=loss)
        assert error(hessian, hessian.T) <= 1e-10
        bound = activation_bound(net, data, 0.1, loss=loss)
        scale = np.abs(np.diag(hessian)).sum()
        assert np.trace(hessian) == pytest.approx(bound.hessian_trace, rel=1e-10, abs=1e-12 * scale)
        assert bound.hessian_trace == pytest.approx(factor / 3 * net.ntk_trace(data[0]).total.sum(), rel=1e-12)
        assert bound.sharpness == pytest.approx(np.linalg.eigvalsh(hessian)[-1], rel=1e-8)


@pytest.mark.parametrize("seed", range(4))
def test_lanczos_finds_what_the_dense_hessian_has(seed):
    net = own.make_net(seed, (2, 4), own.SLOPES[seed], "local", depth=3)
    assert net.parameters().size > 40  # below, the Hessian is written out
    data = data_for(net, seed)
    dense = np.linalg.eigvalsh(dense_hessian(net, data))[-1]
    assert sharpness(net, data, rng=seed) == pytest.approx(dense, rel=1e-8)


def test_sharpness_is_the_largest_eigenvalue_and_not_the_most_negative():
    """A product of three layers far below its target: the Hessian bends down more than up."""
    net = CyclicCNN([np.ones((6, 1, 1)), np.ones((6, 1, 6)), np.ones((1, 1, 6))], slope=1.0)
    data = (np.ones((1, 1, 1)), np.full((1, 1, 1), 1e4))
    eigenvalues = np.linalg.eigvalsh(dense_hessian(net, data))
    assert net.parameters().size > 40
    assert -eigenvalues[0] > 1.1 * eigenvalues[-1] > 0
    assert sharpness(net, data) == pytest.approx(eigenvalues[-1], rel=1e-8)


@pytest.mark.parametrize(("loss", "factor"), [("regression", 1.0), ("flow", 0.5)])
def test_the_loss_is_a_mean_over_images_and_a_sum_over_pixels(loss, factor):
    net = own.make_net(0, (2, 3), 0.3)
    images, targets = data_for(net, 0)
    squares = [((net(x) - y) ** 2).sum() for x, y in zip(images, targets, strict=True)]
    assert training_loss(net, (images, targets), loss=loss) == pytest.approx(factor * np.mean(squares), rel=1e-12)


def test_a_loss_that_is_flat_has_no_sharpness():
    """All units off: of all parameters the last bias alone bends the loss, by 2n."""
    net = CyclicCNN([np.zeros((8, 4, 2)), np.zeros((2, 4, 8))], [-np.ones(8), None], slope=0.0)
    data = (np.ones((1, 2, 4)), np.zeros((1, 2, 4)))
    assert sharpness(net, data) == pytest.approx(2.0 * 4, rel=1e-9)


@given(seed=seeds, pooling=st.sampled_from(["none", "global", "local"]), stride=st.sampled_from([1, 2]))
def test_activations_are_below_the_trace(seed, pooling, stride):
    """``Σ_{l≥2} ‖α_{l-1}‖² ‖B_l (F_0 ⊗ I)‖²`` from dense matrices; a ReLU net with nonnegative pooling."""
    net = own.make_net(seed, (4,), 0.0, pooling, depth=2 + seed % 2, stride=stride)
    images = np.random.default_rng(seed).standard_normal((2, net.widths[0], 4))
    bound = activation_bound(net, (images, net(images)), 0.1)
    oracle, wanted = mirrored(net), []
    for x in images:
        read, jacobians = oracle.run(x)[1], oracle.output_jacobians(x)
        total = 0.0
        for layer, alpha, b in list(zip(net.layers, read, jacobians, strict=True))[1:]:
            # F_0 is 1/√n on the pixels of the filter, which of a transposed stride are the fine ones
            sums = b.reshape(len(b), layer.weight.shape[0], -1).sum(axis=-1) / np.sqrt(np.prod(layer.grid))
            total += (alpha**2).sum() * (sums**2).sum()
        wanted.append(total)
    assert bound.activations == pytest.approx(wanted, rel=1e-10, abs=1e-14)
    assert (bound.activations <= bound.traces * (1 + 1e-12)).all()


def test_one_pixel_nets_with_one_bias_free_path_are_tight():
    """f = w_2 relu(w_1 x) at n = 1: the sum is the trace of layer 2 exactly."""
    net = CyclicCNN([np.full((1, 1, 1), 2.0), np.full((1, 1, 1), 3.0)])
    images = np.full((1, 1, 1), 5.0)
    bound = activation_bound(net, (images, net(images)), 0.1)
    assert bound.activations == pytest.approx([100.0])
    assert net.ntk_trace(images).weights[0] == pytest.approx([15.0**2, 100.0])
    assert bound.traces == pytest.approx([15.0**2 + 100.0 + 9.0 + 1.0])


def test_only_relu_with_nonnegative_pooling_has_that_bound():
    x = np.ones((1, 1, 4))
    for slope, m, has in [
        (0.0, None, True),
        (0.3, None, False),
        (1.0, None, False),
        (0.0, pooling_eigenvalues((4,), "local", 0.3), True),
        (0.0, [1.0, 0.5, 1.0, 0.5], True),
        (0.0, [1.0, 1.0, 0.5, 1.0], False),  # of filter (7, 1, -1, 1)/8
    ]:
        net = CyclicCNN.random((4,), (1, 2, 1), rng=0, slope=slope, pooling=m)
        assert (activation_bound(net, (x, x), 0.1).activations is not None) is has


def at_a_minimum(seed=0):
    """A network, its own outputs as targets, and its sharpness."""
    net = own.make_net(seed, (3,), 0.3, "local", depth=2)
    images = np.stack([own.image_away_from_kinks(net, [seed, i]) for i in range(4)])
    return net, (images, net(images))


@pytest.mark.parametrize("loss", ["regression", "flow"])
@pytest.mark.parametrize(("factor", "stable"), [(1.9, True), (2.1, False)])
def test_gradient_descent_leaves_a_minimum_that_is_too_sharp(loss, factor, stable):
    """Along the top eigenvector: a step of 1.9/λ_max leaves .9 of the distance, one of 2.1/λ_max makes 1.1 of it."""
    net, data = at_a_minimum()
    top = np.linalg.eigh(dense_hessian(net, data, loss=loss))[1][:, -1]
    rate = factor / sharpness(net, data, loss=loss)
    bound = activation_bound(net, data, rate, loss=loss)
    assert bound.stable is stable
    assert bound.limit == pytest.approx(2.0 / rate)
    start, theta = net.parameters(), net.parameters() + 1e-7 * top
    for _ in range(10):
        theta = theta - rate * loss_gradient(net.with_parameters(theta), data, loss=loss)
    grown = np.linalg.norm(theta - start) / 1e-7
    assert grown == pytest.approx(abs(1 - factor) ** 10, rel=1e-3)  # second order: 1e-7 times curvature changes


def test_a_stable_minimum_has_a_bounded_trace():
    for seed in range(5):
        net, data = at_a_minimum(seed)
        bound = activation_bound(net, data, 2.0 / sharpness(net, data) * 0.999)
        assert bound.stable
        assert bound.hessian_trace <= bound.trace_limit
        rank = np.linalg.matrix_rank(dense_hessian(net, data), tol=1e-9 * bound.sharpness)
        assert rank * bound.limit <= bound.trace_limit * (1 + 1e-12)


def test_lanczos_that_does_not_converge_says_so(monkeypatch):
    def give_up(*_, **__):
        raise scipy.sparse.linalg.ArpackNoConvergence("no luck", np.zeros(0), np.zeros((0, 0)))

    monkeypatch.setattr(scipy.sparse.linalg, "eigsh", give_up)
    net = own.make_net(0, (6,), depth=4)
    assert net.parameters().size > 40
    with pytest.raises(ComputationError, match=r"largest eigenvalue was not found: .*no luck") as caught:
        sharpness(net, data_for(net, 0))
    assert caught.value.status is Status.MAX_ITERATIONS


NET = CyclicCNN.random((4,), (1, 2, 1), rng=0)
WIDE = CyclicCNN.random((4,), (1, 9, 1), rng=0)
X = np.ones((2, 1, 4))
BAD = {
    "network": (lambda: training_loss(3, (X, X)), r"net is 3, expected a CyclicCNN"),
    "data": (lambda: training_loss(NET, X), r"data is array.*, expected a pair \(images, targets\)"),
    "data three": (lambda: training_loss(NET, (X, X, X)), r"data is \(array.*, expected a pair"),
    "images": (
        lambda: training_loss(NET, (X[:, :, :3], X)),
        r"data\[0\] has shape \(2, 1, 3\), expected \(\.\.\., 1, 4",
    ),
    "one image": (lambda: training_loss(NET, (X[0], X)), r"data\[0\] has shape \(1, 4\), expected \(N, 1, 4\)"),
    "none": (lambda: training_loss(NET, (X[:0], X[:0])), r"data\[0\] has shape \(0, 1, 4\).* at least one image"),
    "targets": (lambda: loss_gradient(NET, (X, X[:1])), r"data\[1\] has shape \(1, 1, 4\), expected \(2, 1, 4\)"),
    "nan": (lambda: loss_gradient(NET, (X, np.nan * X)), r"data\[1\] holds nan at index \(0, 0, 0\)"),
    "loss": (lambda: training_loss(NET, (X, X), loss="flown"), r"loss is 'flown'.*did you mean 'flow'"),
    "loss of the sharpness": (lambda: sharpness(NET, (X, X), loss="mse"), r"loss is 'mse', expected one of"),
    "vector": (lambda: hessian_product(NET, (X, X), [1.0]), r"vector has shape \(1,\), expected \(19,\)"),
    "rate": (lambda: activation_bound(NET, (X, X), 0.0), r"learning_rate is 0, expected a number > 0"),
    "rng": (lambda: sharpness(WIDE, (X, X), rng=None), r"rng is None, expected a seed"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_calls_name_the_argument(name):
    call, text = BAD[name]
    with pytest.raises(ArgumentError, match=text):
        call()
