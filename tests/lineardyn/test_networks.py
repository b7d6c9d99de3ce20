"""Networks against explicit circulant sums in pixel space, finite differences and torch's autograd.

Round-off: at most 4 products of sums of ≤ 72 terms, 4·72·eps = 6e-14 relative to the sums of magnitudes; 1e-12 leaves
room for the cancellation in those sums.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lineardyn.errors import ArgumentError
from lineardyn.moments import SecondMoments
from lineardyn.networks import LinearCNN, LinearFCN
from tests import oracles
from tests import strategies as own

ROUND_OFF = 1e-12
KINDS = {"cnn": LinearCNN, "fcn": LinearFCN}


def case(kind, data, widths, seed=0):
    """A network for the data, and weights of order one."""
    network = KINDS[kind](data.image_shape, widths=widths, n_outputs=data.n_outputs)
    return network, own.random_weights(kind, data.image_shape, widths, data.n_outputs, seed)


kinds = st.sampled_from(sorted(KINDS))


def scale_of_outputs(weights, images):
    """Sum of magnitudes behind ``f(x)``: what its round-off is relative to."""
    return float(oracles.predict([np.abs(w) for w in weights], np.abs(images)).max()) or 1.0


@given(kind=kinds, data=own.data_sets(), widths=own.widths)
def test_predict_equals_the_pixel_space_sums(kind, data, widths):
    network, weights = case(kind, data, widths)
    wanted = oracles.predict(weights, data.images)
    assert network.shapes == [w.shape for w in weights]
    assert network.depth == len(weights)
    assert np.abs(network.predict(weights, data.images) - wanted).max() <= ROUND_OFF * scale_of_outputs(
        weights, data.images
    )


def effective_predictor_error(network, weights, images, wanted):
    """``f(x) = Σ_f v̂_f x̂_f`` and ``v̂_{f*} = conj(v̂_f)``: the larger deviation, relative."""
    v = network.effective_predictor(weights)
    _, height, width = network.image_shape
    assert v.shape == (height, width, network.n_outputs, network.image_shape[0])
    f = np.einsum("uvkc,ncuv->nk", v, oracles.dft2(images))
    mirrored = v[-np.arange(height) % height][:, -np.arange(width) % width]
    scale = scale_of_outputs(weights, images)
    asymmetry = np.abs(mirrored - v.conj()).max() / (np.abs(v).max() or 1.0)
    return max(float(np.abs(f - wanted).max()) / scale, float(asymmetry))


@example("cnn", own.make_data("incoherent", (2, 4, 3), 3, 1), (3, 2, 2))
@given(kind=kinds, data=own.data_sets(), widths=own.widths)
def test_effective_predictor_identity(kind, data, widths):
    network, weights = case(kind, data, widths)
    wanted = oracles.predict(weights, data.images)
    assert effective_predictor_error(network, weights, data.images, wanted) <= ROUND_OFF


def test_effective_predictor_is_the_product_with_its_constant():
    """``v̂_f = P^{(L-1)/2} conj(ŵ_L) ŵ_{L-1} ... ŵ_1`` written out (notes, section 1)."""
    weights = own.random_weights("cnn", (2, 3, 4), (3, 2), 2, 0)
    a1, a2, b = (oracles.dft2(w.transpose(0, 3, 1, 2)).transpose(2, 3, 0, 1) for w in weights)
    network = LinearCNN((2, 3, 4), widths=(3, 2), n_outputs=2)
    assert oracles.error(network.effective_predictor(weights), 12 * b.conj() @ a2 @ a1) <= ROUND_OFF


@given(kind=kinds, data=own.data_sets(), widths=own.widths, decay=st.sampled_from([0.0, 0.3]))
def test_loss_equals_the_mean_over_samples(kind, data, widths, decay):
    network, weights = case(kind, data, widths)
    wanted = oracles.loss(weights, data.images, data.targets, decay)
    # ⟨‖y‖²⟩ - 2⟨y·f⟩ + ⟨‖f‖²⟩ cancels when f is near y: relative to the larger of the terms
    terms = wanted + oracles.loss(weights, data.images, 0 * data.targets) + (data.targets**2).sum()
    for form in ("dense", "samples"):
        moments = SecondMoments.from_data(data.images, data.targets, form=form)
        assert abs(network.loss(weights, moments, weight_decay=decay) - wanted) <= ROUND_OFF * terms


@given(data=own.data_sets(("coherent", "tied")), widths=own.widths)
def test_loss_and_gradient_agree_in_the_three_forms(data, widths):
    network, weights = case("cnn", data, widths)
    moments = [SecondMoments.from_data(data.images, data.targets, form=f) for f in ("modes", "dense", "samples")]
    losses = [network.loss(weights, m) for m in moments]
    assert losses == pytest.approx([losses[1]] * 3, rel=ROUND_OFF, abs=ROUND_OFF)
    gradients = [network.gradient(weights, m) for m in moments]
    assert_gradient(gradients[0], gradients[1], weights)
    assert_gradient(gradients[2], gradients[1], weights)


@pytest.mark.parametrize("form", ["modes", "dense", "samples"])
def test_loss_at_the_bottom_is_round_off_of_the_targets_power(form):
    """A predictor that interpolates: ½⟨‖y‖²⟩ = ½ cancels to its round-off, and never below zero."""
    images = np.linalg.qr(np.random.default_rng(0).standard_normal((12, 3)))[0].T.reshape(3, 1, 3, 4)
    network = LinearFCN((1, 3, 4), widths=(), n_outputs=3)
    moments = SecondMoments.from_data(images, np.eye(3), form=form)
    assert 0 <= network.loss([images.reshape(3, -1)], moments) <= 8 * oracles.EPS


def assert_gradient(got, wanted, weights):
    """Layer by layer to round-off, relative to the largest entry of the whole gradient and of the weights."""
    scale = max(1.0, *(float(np.abs(g).max()) for g in wanted)) * max(1.0, *(float(np.abs(w).max()) for w in weights))
    for a, b in zip(got, wanted, strict=True):
        assert a.shape == b.shape
        assert a.dtype == np.float64
        assert np.abs(a - b).max() <= 100 * ROUND_OFF * scale


@pytest.mark.parametrize("form", ["dense", "samples"])
@given(kind=kinds, data=own.data_sets(), widths=own.widths, decay=st.sampled_from([0.0, 0.3]))
def test_gradient_equals_the_backward_pass_in_pixel_space(form, kind, data, widths, decay):
    network, weights = case(kind, data, widths)
    moments = SecondMoments.from_data(data.images, data.targets, form=form)
    got = network.gradient(weights, moments, weight_decay=decay)
    assert_gradient(got, oracles.gradient(weights, data.images, data.targets, decay), weights)


@pytest.mark.parametrize("kind", sorted(KINDS))
@pytest.mark.parametrize("widths", [(), (1,), (2,), (2, 3), (1, 2, 2)])
def test_gradient_equals_finite_differences_of_the_loss(kind, widths):
    """Central differences, h = 1e-5: h² times a third derivative (≤ 1e2) + eps·loss/h (≤ 1e-9 for losses ≤ 1e2)."""
    data = own.make_data("incoherent", (2, 2, 3), 2, 3)
    network, weights = case(kind, data, widths)
    moments = SecondMoments.from_data(data.images, data.targets)
    slope = oracles.finite_differences(lambda w: network.loss(w, moments, weight_decay=0.2), weights)
    gradient = network.gradient(weights, moments, weight_decay=0.2)
    assert oracles.worst(gradient, slope) <= 1e-7


@given(data=own.data_sets(("incoherent",)), widths=own.widths)
def test_gradient_of_the_diagonal_approximation_is_that_of_its_statistics(data, widths):
    network, weights = case("cnn", data, widths)
    moments = SecondMoments.from_data(data.images, data.targets, form="modes")
    yx = moments.sigma_yx.reshape(data.n_outputs, -1)
    wanted = oracles.gradient_from_moments(weights, yx, moments.gram())
    assert_gradient(network.gradient(weights, moments), wanted, weights)


def torch_forward(torch, weights, images):
    """The network in torch, by explicit circular shifts (no FFT, no framework convolution)."""
    x = images
    if weights[0].ndim == 2:
        x = x.reshape(len(x), -1)
        for w in weights:
            x = x @ w.T
        return x
    for w in weights[:-1]:
        shifted = torch.stack(
            [torch.roll(x, (m, n), (2, 3)) for m in range(w.shape[1]) for n in range(w.shape[2])], dim=-1
        )
        x = torch.einsum("ncijs,osc->noij", shifted, w.reshape(len(w), -1, w.shape[3]))
    return torch.einsum("ncij,kijc->nk", x, weights[-1])


@pytest.mark.torch
@pytest.mark.parametrize("kind", sorted(KINDS))
@pytest.mark.parametrize("widths", [(), (1,), (3, 2)])
def test_gradient_equals_torch_autograd(kind, widths):
    torch = pytest.importorskip("torch")
    data = own.make_data("incoherent", (2, 4, 3), 3, 1)
    network, weights = case(kind, data, widths)
    leaves = [torch.tensor(w, requires_grad=True) for w in weights]
    out = torch_forward(torch, leaves, torch.tensor(data.images))
    loss = 0.5 * ((torch.tensor(data.targets) - out) ** 2).sum(dim=1).mean()
    loss = loss + 0.5 * 0.1 * sum((w**2).sum() for w in leaves)
    loss.backward()
    moments = SecondMoments.from_data(data.images, data.targets)
    assert network.loss(weights, moments, weight_decay=0.1) == pytest.approx(loss.item(), rel=ROUND_OFF)
    assert_gradient(network.gradient(weights, moments, weight_decay=0.1), [w.grad.numpy() for w in leaves], weights)


def test_pinson_equations_for_two_layers_and_one_channel():
    """``dκ/dt, dA/dt`` of P eq 15-16 are minus the gradient, in the mode and Fourier bases (one channel, modes)."""
    data = own.make_data("coherent", (1, 4, 3), 3, 2)
    network, (kernel, dense) = case("cnn", data, (1,))
    moments = SecondMoments.from_data(data.images, data.targets, form="modes")
    modes = moments.modes()
    q, root = modes.q[:, 0].reshape(3, -1), np.sqrt(12)
    kappa = oracles.dft2(kernel[0, :, :, 0]).ravel()
    a = modes.u.T @ oracles.dft2(dense[..., 0]).reshape(3, -1).conj()
    b = root * ((a * kappa) @ q.T) * modes.d
    pulled = (np.diag(modes.s) - b) @ q.conj()
    d_kernel, d_dense = network.gradient([kernel, dense], moments)
    scale = np.abs(b).max() * np.abs(a).max()
    assert np.abs(-oracles.dft2(d_kernel[0, :, :, 0]).ravel() - root * (a.conj() * pulled).sum(axis=0)).max() <= (
        ROUND_OFF * scale
    )
    moved = modes.u.T @ -oracles.dft2(d_dense[..., 0]).reshape(3, -1).conj()
    assert np.abs(moved - root * kappa.conj() * pulled).max() <= ROUND_OFF * scale * 10


# --- starts ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_small_start_is_normal_in_pixel_space(kind):
    """Mean and standard deviation of 12,000 draws: 4 standard errors, 4·scale/√n and 4·scale/√(2n)."""
    network = KINDS[kind]((3, 20, 20), widths=(5,), n_outputs=3)
    weights = network.init_small(0.1, rng=1)
    assert [w.shape for w in weights] == network.shapes
    draws = np.concatenate([w.ravel() for w in weights])
    assert abs(draws.mean()) <= 4 * 0.1 / np.sqrt(draws.size)
    assert abs(draws.std() - 0.1) <= 4 * 0.1 / np.sqrt(2 * draws.size)


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_starts_are_reproducible_and_take_a_seed_or_a_generator(kind):
    data = own.make_data("coherent", (1, 3, 4), 2, 0)
    network, _ = case(kind, data, (2,))
    moments = SecondMoments.from_data(data.images, data.targets)
    for start in (
        lambda rng: network.init_small(0.1, rng=rng),
        lambda rng: network.init_balanced(moments, 0.1, rng=rng),
    ):
        same = [start(3), start(3), start(np.random.default_rng(3))]
        assert all(np.array_equal(a, b) for other in same[1:] for a, b in zip(same[0], other, strict=True))
        assert not all(np.array_equal(a, b) for a, b in zip(same[0], start(4), strict=True))


def blocks(network, weights):
    """``A_1, .., B`` as matrices: per frequency for kernels, whole for a fully connected network."""
    if isinstance(network, LinearFCN):
        return weights
    spectra = [oracles.dft2(w.transpose(0, 3, 1, 2)).transpose(2, 3, 0, 1) for w in weights]
    return [*spectra[:-1], spectra[-1].conj()]


@given(kind=kinds, data=own.data_sets(), widths=own.widths)
def test_balanced_start_is_balanced(kind, data, widths):
    """``A_l A_l^H = A_{l+1}^H A_{l+1}`` for every hidden layer."""
    network, _ = case(kind, data, widths)
    moments = SecondMoments.from_data(data.images, data.targets)
    weights = network.init_balanced(moments, 0.3, rng=0)
    parts = blocks(network, weights)
    for lower, upper in pairwise(parts):
        gap = lower @ np.swapaxes(lower, -1, -2).conj() - np.swapaxes(upper, -1, -2).conj() @ upper
        assert np.abs(gap).max() <= ROUND_OFF


@given(data=own.data_sets(), widths=own.widths)
def test_balanced_start_has_one_singular_value_a_frequency(data, widths):
    """``scale`` at the frequencies of a mode and 0 elsewhere, at every layer (``|κ_f| = scale`` with one channel)."""
    network, _ = case("cnn", data, widths)
    moments = SecondMoments.from_data(data.images, data.targets)
    if widths == () or moments.modes().null.all():
        widths = (1,)
        network, _ = case("cnn", data, widths)
    for block in blocks(network, network.init_balanced(moments, 0.3, rng=1)):
        singular = np.linalg.svd(block, compute_uv=False)
        assert np.all(np.minimum(np.abs(singular[..., 0] - 0.3), singular[..., 0]) <= ROUND_OFF)
        assert np.all(singular[..., 1:] <= 1e-7)  # square roots of round-off


def test_balanced_start_of_pure_cosines_is_that_of_the_notes():
    """Section 2.1: ``|κ_f| = scale``, ``A_αf = |κ_f| exp(-i(arg κ_f + arg q_αf))`` on the mode's frequencies."""
    i, j = np.arange(4)[:, None], np.arange(6)
    images = np.array([a * np.cos(2 * np.pi * (u * i / 4 + v * j / 6)) for u, v, a in [(1, 2, 1.0), (2, 0, 0.7)]])
    moments = SecondMoments.from_data(images[:, None], np.eye(2))
    modes = moments.modes()
    network = LinearCNN((1, 4, 6), widths=(1,), n_outputs=2)
    kernel, dense = network.init_balanced(moments, 0.2, rng=0)
    kappa = oracles.dft2(kernel[0, :, :, 0])
    a = np.einsum("ka,kuv->auv", modes.u, oracles.dft2(dense[..., 0]).conj())
    for alpha, q in enumerate(modes.q[:, 0]):
        here = np.abs(q) > 1e-8
        assert np.abs(np.abs(kappa[here]) - 0.2).max() <= ROUND_OFF
        wanted = 0.2 * np.exp(-1j * (np.angle(kappa[here]) + np.angle(q[here])))
        assert np.abs(a[alpha][here] - wanted).max() <= ROUND_OFF
        assert np.abs(a[1 - alpha][here]).max() <= ROUND_OFF
    assert np.abs(kappa[(np.abs(modes.q[:, 0]) < 1e-8).all(axis=0)]).max() <= ROUND_OFF


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_balanced_start_is_aligned(kind):
    """The effective singular values ``Uᵀ v Σ^xx V`` of an aligned start are diagonal and not negative."""
    i, j = np.arange(4)[:, None], np.arange(6)
    images = np.array([a * np.cos(2 * np.pi * (u * i / 4 + v * j / 6)) for u, v, a in [(1, 2, 1.0), (2, 0, 0.7)]])
    moments = SecondMoments.from_data(images[:, None], np.eye(2))
    modes = moments.modes()
    network = KINDS[kind]((1, 4, 6), widths=(3, 2), n_outputs=2)
    weights = network.init_balanced(moments, 0.5, rng=0)
    b = modes.u.T @ network.predict(weights, modes.v).T * modes.d
    assert np.abs(b - np.diag(np.diag(b))).max() <= ROUND_OFF
    assert (np.diag(b) > 1e-6).all()


# --- what is refused -------------------------------------------------------------------------------------------------

CNN = LinearCNN((1, 2, 4), widths=(1,), n_outputs=3)
FCN = LinearFCN((1, 2, 4), widths=(4,), n_outputs=3)
GOOD = CNN.init_small(0.1, rng=0)
DATA = own.make_data("incoherent", (1, 2, 4), 3, 0)
MOMENTS = SecondMoments.from_data(DATA.images, DATA.targets)
BAD = [
    (lambda: LinearCNN((2, 4), n_outputs=2), r"image_shape is \(2, 4\), expected \(C, H, W\)"),
    (lambda: LinearCNN((1, 2, 4), n_outputs=0), r"n_outputs is 0, expected an integer >= 1"),
    (lambda: LinearCNN((1, 2, 4), widths=2, n_outputs=2), r"widths is 2, expected a tuple.*\(2,\)"),
    (lambda: LinearCNN((1, 2, 4), widths=(0,), n_outputs=2), r"widths\[0\] is 0"),
    (lambda: CNN.predict(GOOD[:1], DATA.images), r"weights has 1 arrays, expected 2"),
    (lambda: CNN.predict(GOOD[0], DATA.images), r"weights is a ndarray, expected a list of 2 arrays"),
    (lambda: CNN.predict(3, DATA.images), r"weights is a int, expected a list"),
    (
        lambda: CNN.predict([GOOD[0], GOOD[1][:2]], DATA.images),
        r"weights\[1\] has shape \(2, 2, 4, 1\), expected \(3, 2, 4, 1\)",
    ),
    (
        lambda: CNN.predict([GOOD[0][:, :, :2], GOOD[1]], DATA.images),
        r"weights\[0\].*circular and as large as the image",
    ),
    (lambda: CNN.predict([GOOD[0] * np.inf, GOOD[1]], DATA.images), r"weights\[0\] holds (inf|-inf|nan)"),
    (lambda: CNN.predict(GOOD, DATA.images[:, :, :, :3]), r"images have shape \(1, 2, 3\), expected \(1, 2, 4\)"),
    (lambda: CNN.predict(GOOD, DATA.images[0]), r"expected \(N, C, H, W\)"),
    (
        lambda: FCN.predict([np.ones((4, 7)), np.ones((3, 4))], DATA.images),
        r"weights\[0\] has shape \(4, 7\), expected \(4, 8\)",
    ),
    (lambda: FCN.predict(GOOD, DATA.images), r"weights\[0\] has shape \(1, 2, 4, 1\), expected \(4, 8\)"),
    (lambda: CNN.loss(GOOD, MOMENTS, weight_decay=-1), r"weight_decay is -1, expected a number >= 0"),
    (lambda: CNN.gradient(GOOD, MOMENTS, weight_decay=np.nan), r"weight_decay is nan"),
    (lambda: CNN.gradient(GOOD, DATA.images), r"moments is a ndarray, expected SecondMoments"),
    (lambda: LinearCNN((1, 2, 4), n_outputs=2).loss(GOOD, MOMENTS), r"moments has n_outputs 3, expected 2"),
    (
        lambda: LinearCNN((1, 4, 2), n_outputs=3).loss(GOOD, MOMENTS),
        r"moments has image_shape \(1, 2, 4\), expected \(1, 4, 2\)",
    ),
    (lambda: CNN.init_small(-1.0, rng=0), r"scale is -1, expected a number >= 0"),
    (lambda: CNN.init_small(1.0, rng="a"), r"rng is 'a', expected a seed"),
    (lambda: CNN.init_balanced(MOMENTS, np.inf, rng=0), r"scale is inf"),
]


@pytest.mark.parametrize(("call", "text"), BAD, ids=range(len(BAD)))
def test_bad_argument_is_named(call, text):
    with pytest.raises(ArgumentError, match=text):
        call()


def test_rng_is_required():
    with pytest.raises(TypeError, match="rng"):
        CNN.init_small(1.0)
