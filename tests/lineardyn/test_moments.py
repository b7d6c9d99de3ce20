"""Second moments against sums taken sample by sample, and the modes against their definition.

Sums of n products carry n·eps of round-off relative to the sum of magnitudes; ``ROUND_OFF`` leaves room for N ≤ 50
samples and the transforms of 72 numbers.
"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lineardyn.errors import ArgumentError
from lineardyn.moments import SecondMoments
from tests import oracles
from tests import strategies as own

ROUND_OFF = 500 * oracles.EPS  # 1e-13
EXACT_FORMS = ["dense", "samples"]


def close(got, wanted, scale=None):
    """Within round-off of the largest entry wanted, or of ``scale``."""
    largest = float(np.abs(wanted).max()) if scale is None else scale
    assert np.shape(got) == np.shape(wanted)
    assert np.abs(np.asarray(got) - wanted).max() <= ROUND_OFF * largest


def same_moments(a, b):
    """Everything public of two moments agrees to round-off, and the losses, which see what the kernels see."""
    assert (a.form, a.image_shape, a.n_outputs, a.n_samples) == (b.form, b.image_shape, b.n_outputs, b.n_samples)
    close(a.target_power, b.target_power)
    scale = np.sqrt(b.target_power * np.trace(b.gram()))
    close(a.sigma_yx, b.sigma_yx, scale)
    close(a.gram(), b.gram())
    close(a.power_spectrum(), b.power_spectrum())
    close(a.image_power, b.image_power)
    predictors = np.random.default_rng(0).standard_normal((2, b.n_outputs, len(b.weights)))
    close(a.losses(predictors), b.losses(predictors))


def in_batches(data, size):
    return [(data.images[i : i + size], data.targets[i : i + size]) for i in range(0, len(data.images), size)]


@pytest.mark.parametrize("form", EXACT_FORMS)
@given(data=own.data_sets())
def test_exact_forms_equal_the_sums_over_samples(form, data):
    moments = SecondMoments.from_data(data.images, data.targets, form=form)
    yx, xx, power = oracles.second_moments(data.images, data.targets)
    scale = np.sqrt(power * np.trace(xx))
    assert moments.form == form
    assert moments.image_shape == data.image_shape
    assert (moments.n_outputs, moments.n_samples) == (data.n_outputs, len(data.images))
    close(moments.sigma_yx.reshape(yx.shape), yx, scale)
    close(moments.target_power, power)
    close(moments.gram(), xx)


@pytest.mark.parametrize("form", EXACT_FORMS)
@given(data=own.data_sets())
def test_power_spectrum_is_the_mean_square_coefficient(form, data):
    moments = SecondMoments.from_data(data.images, data.targets, form=form)
    close(moments.power_spectrum(), (np.abs(oracles.dft2(data.images)) ** 2).mean(axis=0))


@given(data=own.data_sets())
def test_modes_form_holds_v_d_vt(data):
    """Asked for by name it is the diagonal approximation; null modes carry nothing."""
    moments = SecondMoments.from_data(data.images, data.targets, form="modes")
    modes = moments.modes()
    v = modes.v.reshape(len(modes.v), -1)[~modes.null]
    approximation = (v.T * modes.d[~modes.null]) @ v
    close(moments.gram(), approximation)
    power = (np.abs(oracles.dft2(modes.v[~modes.null])) ** 2 * modes.d[~modes.null, None, None, None]).sum(axis=0)
    close(moments.power_spectrum(), power)


@given(data=own.data_sets(), form=st.sampled_from(["auto", "modes", "dense", "samples"]))
def test_modes_are_the_thin_singular_value_decomposition(data, form):
    modes = SecondMoments.from_data(data.images, data.targets, form=form).modes()
    yx, xx, power = oracles.second_moments(data.images, data.targets)
    scale, kept = np.sqrt(power * np.trace(xx)), ~modes.null
    r = min(yx.shape)
    assert modes.u.shape == (len(yx), r)
    assert modes.v.shape == (r, *data.image_shape)
    assert modes.image_shape == data.image_shape
    assert modes.n_outputs == len(yx)
    u, v = modes.u, modes.v.reshape(r, -1)
    close((u * modes.s) @ v, yx, scale)
    close(u.T @ u, np.eye(r))
    close(v @ v.T, np.eye(r))
    assert (np.diff(modes.s) <= 0).all()
    close(modes.d[kept], np.einsum("rd,de,re->r", v, xx, v)[kept], np.trace(xx))
    close(modes.q, oracles.dft2(modes.v))


@given(data=own.data_sets())
def test_largest_entry_of_each_mode_is_positive(data):
    modes = SecondMoments.from_data(data.images, data.targets).modes()
    for v in modes.v:
        largest = np.abs(v).max()
        assert any(np.isclose(v, largest, rtol=1e-8, atol=0).ravel())  # one of those that tie is positive


def test_signs_of_modes_do_not_hang_on_the_targets_sign():
    data = own.make_data("incoherent", (2, 4, 3), 3, 5)
    one = SecondMoments.from_data(data.images, data.targets).modes()
    two = SecondMoments.from_data(data.images, -data.targets).modes()
    close(two.v, one.v)
    close(two.u, -one.u)


@given(data=own.data_sets())
def test_moments_and_modes_are_reproducible_bit_for_bit(data):
    one, two = (SecondMoments.from_data(data.images, data.targets) for _ in range(2))
    assert np.array_equal(one.modes().v, two.modes().v)
    assert np.array_equal(one.gram(), two.gram())


def defect(images, targets):
    """``‖Σ^xx - V D Vᵀ‖ / tr Σ^xx`` by brute force, null modes left out."""
    yx, xx, _ = oracles.second_moments(images, targets)
    _, s, v = np.linalg.svd(yx, full_matrices=False)
    v = v[s > 1e-12 * s[0]]
    d = np.einsum("rd,de,re->r", v, xx, v)
    return np.linalg.norm(xx - (v.T * d) @ v) / np.trace(xx)


@given(data=own.data_sets())
def test_auto_is_modes_only_where_that_is_exact(data):
    form = SecondMoments.from_data(data.images, data.targets).form
    if defect(data.images, data.targets) <= 1e-14:
        assert form == "modes"
    elif defect(data.images, data.targets) >= 1e-11:
        assert form in EXACT_FORMS


@pytest.mark.parametrize(("size", "exact"), [(0.0, True), (1e-9, True), (1e-4, False), (1e-1, False)])
def test_auto_notices_a_slight_incoherence(size, exact):
    """Differences e inside a class of zero mean enter Σ^xx as ⟨e eᵀ⟩: the square of the size, against 1e-12."""
    data = own.make_data("coherent", (1, 3, 4), 3, 0)
    images = np.concatenate([data.images, data.images])
    noise = size * np.random.default_rng(1).standard_normal(images.shape)
    moments = SecondMoments.from_data(images + noise, np.concatenate([data.targets, data.targets]))
    assert (moments.form == "modes") == exact


def test_classes_of_different_sizes_are_not_coherent_in_the_modes():
    """All images of a class equal, but Σ^xx = Xᵀ diag(p) X and Σ^yx = diag(p) X have other singular vectors."""
    x = np.random.default_rng(0).standard_normal((2, 1, 3, 3))
    moments = SecondMoments.from_data(x[[0, 0, 0, 1]], np.array([0, 0, 0, 1]))
    assert defect(x[[0, 0, 0, 1]], np.eye(2)[[0, 0, 0, 1]]) > 1e-3
    assert moments.form in EXACT_FORMS


@given(data=own.data_sets(("coherent", "tied")))
def test_one_hot_uniform_coherent_classes_have_d_equal_k_s_squared(data):
    """E11: P appendix A can be read as s²."""
    moments = SecondMoments.from_data(data.images, data.targets)
    modes = moments.modes()
    kept = ~modes.null
    close(modes.d[kept], data.n_outputs * modes.s[kept] ** 2)
    assert abs(moments.coherence() - 1) <= ROUND_OFF


def test_tied_class_images_keep_their_own_frequencies():
    """Cosines of equal amplitude: the class images are the modes, not the SVD's arbitrary basis (notes, 2.1)."""
    i, j = np.arange(4)[:, None], np.arange(6)
    cosines = [np.cos(2 * np.pi * (u * i / 4 + v * j / 6)) for u, v in [(1, 1), (1, 2), (0, 1)]]
    modes = SecondMoments.from_data(np.array(cosines)[:, None], np.eye(3)).modes()
    assert modes.s == pytest.approx([modes.s[0]] * 3, rel=ROUND_OFF)
    occupied = (np.abs(modes.q[:, 0]) ** 2 > 1e-12).sum(axis=(1, 2))
    assert occupied.tolist() == [2, 2, 2]  # each a frequency and its conjugate
    close(np.abs(modes.u).sum(axis=0), np.ones(3))


@given(data=own.data_sets())
def test_coherence_is_a_share(data):
    assert 0 < SecondMoments.from_data(data.images, data.targets).coherence() <= 1 + ROUND_OFF


def test_centring_makes_one_null_mode():
    """One-hot targets sum to 1, so Σ_k Σ^yx_k = ⟨x⟩ = 0: rank K-1, and the null mode is not counted."""
    rng = np.random.default_rng(3)
    images, labels = rng.standard_normal((40, 2, 4, 3)) + 1, np.arange(40) % 4
    moments = SecondMoments.from_data(images, labels, center=True)
    same_moments(moments, SecondMoments.from_data(images - images.mean(axis=0), np.eye(4)[labels]))
    assert moments.modes().null.tolist() == [False, False, False, True]


def test_null_modes_are_no_obstacle_to_the_modes_form():
    x = np.random.default_rng(0).standard_normal((3, 1, 4, 4))
    moments = SecondMoments.from_data(x, np.eye(3), center=True)
    assert moments.modes().null.sum() == 1
    assert moments.form == "modes"
    _, xx, _ = oracles.second_moments(x - x.mean(axis=0), np.eye(3))
    close(moments.gram(), xx)


def test_rank_deficient_statistics():
    """Fewer images than outputs or pixels, repeated targets: every form is made, modes beyond the rank are null."""
    x = np.random.default_rng(0).standard_normal((1, 1, 2, 3))
    for form in ("modes", "dense", "samples", "auto"):
        moments = SecondMoments.from_data(x, np.ones((1, 4)), form=form)
        assert moments.modes().null.tolist() == [False, True, True, True]
        close(moments.gram(), np.outer(x, x))


# --- streaming and merging -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["modes", "dense", "samples", "auto"])
@given(data=own.data_sets(), size=st.integers(1, 5))
def test_batches_equal_the_whole(form, data, size):
    whole = SecondMoments.from_data(data.images, data.targets, form=form)
    same_moments(SecondMoments.from_batches(in_batches(data, size), form=form), whole)
    same_moments(SecondMoments.from_batches(lambda: iter(in_batches(data, size)), form=form), whole)


@pytest.mark.parametrize("form", EXACT_FORMS)
@given(data=own.data_sets())
def test_order_of_batches_does_not_matter(form, data):
    batches = in_batches(data, 2)
    same_moments(SecondMoments.from_batches(batches[::-1], form=form), SecondMoments.from_batches(batches, form=form))


@pytest.mark.parametrize("form", EXACT_FORMS)
@given(data=own.data_sets())
def test_a_one_shot_iterator_is_read_once(form, data):
    whole = SecondMoments.from_data(data.images, data.targets, form=form)
    same_moments(SecondMoments.from_batches(iter(in_batches(data, 2)), form=form), whole)
    assert SecondMoments.from_batches(iter(in_batches(data, 2))).form in EXACT_FORMS


def test_modes_of_a_one_shot_iterator_are_refused():
    data = own.make_data("coherent", (1, 3, 3), 2, 0)
    with pytest.raises(ValueError, match=r"batches is an iterator that can be read once.*pass a list"):
        SecondMoments.from_batches(iter(in_batches(data, 2)), form="modes")


@pytest.mark.parametrize("form", EXACT_FORMS)
@given(data=own.data_sets(), cut=st.integers(1, 3))
def test_a_plus_b_is_the_union(form, data, cut):
    cut = min(cut, len(data.images) - 1) or 1
    if len(data.images) < 2:
        data = own.make_data("incoherent", data.image_shape, data.n_outputs, data.seed)
    parts = [(data.images[:cut], data.targets[:cut]), (data.images[cut:], data.targets[cut:])]
    a, b = (SecondMoments.from_batches([part], form=form) for part in parts)
    whole = SecondMoments.from_data(data.images, data.targets, form=form)
    same_moments(a + b, whole)
    same_moments(b + a, whole)


def test_modes_add_up_when_the_sum_is_coherent():
    data = own.make_data("coherent", (2, 3, 3), 3, 4)
    one = SecondMoments.from_data(data.images, data.targets, form="modes")
    two = one + one
    assert two.n_samples == 2 * one.n_samples
    close(two.gram(), one.gram())
    close(two.modes().s, one.modes().s)


def test_modes_of_incoherent_parts_do_not_add_up():
    a, b = (
        SecondMoments.from_data(d.images, d.targets, form="modes")
        for d in (own.make_data("incoherent", (1, 3, 3), 3, seed) for seed in (1, 2))
    )
    with pytest.raises(ArgumentError, match=r"cannot be added in the modes form.*form='dense' or 'samples'"):
        a + b


def test_moments_made_differently_do_not_add_up():
    data = own.make_data("incoherent", (1, 3, 3), 2, 0)
    dense = SecondMoments.from_data(data.images, data.targets, form="dense")
    with pytest.raises(ArgumentError, match="other has form 'samples', expected 'dense'"):
        dense + SecondMoments.from_data(data.images, data.targets, form="samples")
    other = own.make_data("incoherent", (1, 3, 4), 2, 0)
    with pytest.raises(ArgumentError, match="other has image_shape"):
        dense + SecondMoments.from_data(other.images, other.targets, form="dense")
    with pytest.raises(TypeError):
        dense + 1


# --- types of input --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", EXACT_FORMS)
def test_float32_images_are_summed_in_float64(form):
    """1 + 2^-20 fits float32; its square does not: a narrow product or sum would lose it."""
    rng = np.random.default_rng(0)
    images = (1 + 2.0**-20 * rng.integers(0, 8, (60, 1, 2, 2))).astype(np.float32)
    targets = rng.standard_normal((60, 2))
    narrow = SecondMoments.from_data(images, targets, form=form)
    _, xx, _ = oracles.second_moments(images.astype(np.float64), targets)
    close(narrow.gram(), xx)


@pytest.mark.parametrize("form", EXACT_FORMS)
def test_uint8_images_do_not_overflow(form):
    images = np.full((2, 1, 2, 3), 255, dtype=np.uint8)
    moments = SecondMoments.from_data(images, np.eye(2, dtype=np.uint8) * 255, form=form)
    close(moments.gram(), np.full((6, 6), 255.0**2))
    close(moments.sigma_yx, np.full((2, 1, 2, 3), 255.0**2 / 2))
    assert moments.target_power == 255.0**2


def test_labels_are_one_hot_targets():
    images, labels = np.random.default_rng(0).standard_normal((6, 1, 3, 3)), np.array([1, 0, 2, 2, 1, 0])
    same_moments(SecondMoments.from_data(images, labels), SecondMoments.from_data(images, np.eye(3)[labels]))


@pytest.mark.parametrize("form", EXACT_FORMS)
def test_a_batch_may_lack_classes(form):
    images, labels = np.random.default_rng(0).standard_normal((6, 1, 3, 3)), np.array([0, 0, 2, 1, 1, 0])
    batches = [(images[:2], labels[:2]), (images[2:], labels[2:])]
    whole = SecondMoments.from_data(images, labels, form=form)
    same_moments(SecondMoments.from_batches(batches, form=form), whole)
    same_moments(SecondMoments.from_batches(batches[::-1], form=form), whole)


@pytest.mark.torch
@pytest.mark.parametrize("form", ["modes", "dense", "samples"])
def test_a_torch_data_loader_is_a_source_of_batches(form):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    images, labels = rng.standard_normal((10, 2, 3, 3)).astype(np.float32), np.arange(10) % 3
    dataset = torch.utils.data.TensorDataset(torch.from_numpy(images), torch.from_numpy(labels))
    loader = torch.utils.data.DataLoader(dataset, batch_size=4, shuffle=True)
    same_moments(SecondMoments.from_batches(loader, form=form), SecondMoments.from_data(images, labels, form=form))


def test_the_callers_arrays_are_left_alone():
    data = own.make_data("incoherent", (1, 3, 4), 2, 0)
    images, targets = data.images.copy(), data.targets.copy()
    SecondMoments.from_data(images, targets, center=True)
    assert np.array_equal(images, data.images)
    assert np.array_equal(targets, data.targets)


# --- what is refused -------------------------------------------------------------------------------------------------

X = np.random.default_rng(0).standard_normal((4, 1, 3, 3))
Y = np.eye(2)[[0, 1, 0, 1]]
BAD = [
    (lambda: SecondMoments.from_data(X[:, 0], Y), r"images has shape \(4, 3, 3\).*images\[:, None\]"),
    (lambda: SecondMoments.from_data(X, Y[:3]), r"targets has 3 rows, expected 4"),
    (lambda: SecondMoments.from_data(X * np.nan, Y), r"images holds nan"),
    (lambda: SecondMoments.from_data(X, np.zeros(4, int)), r"one class only"),
    (lambda: SecondMoments.from_data(X[:0], Y[:0]), r"at least one image"),
    (lambda: SecondMoments.from_data(X, Y, form="diagonal"), r"form is 'diagonal', expected one of"),
    (lambda: SecondMoments.from_data(X, Y, form="Samles"), r"did you mean 'samples'"),
    (lambda: SecondMoments.from_data(0 * X, Y), r"all zero"),
    (lambda: SecondMoments.from_data(0 * X + 5, Y, center=True), r"images are all equal"),
    (lambda: SecondMoments.from_data(X, 0 * Y), r"Σ\^yx is zero"),
    (lambda: SecondMoments.from_batches([]), r"batches is empty"),
    (lambda: SecondMoments.from_batches(iter([])), r"batches is empty"),
    (lambda: SecondMoments.from_batches(3), r"batches is 3, expected an iterable"),
    (lambda: SecondMoments.from_batches([X]), r"batches\[0\] is no pair"),
    (lambda: SecondMoments.from_batches([(X, Y), (X[:, :, :2], Y)]), r"batches\[1\] has images of shape \(1, 2, 3\)"),
    (lambda: SecondMoments.from_batches([(X, Y), (X, Y[:, :1])]), r"batches\[1\] targets has 1 columns, expected 2"),
    (lambda: SecondMoments.from_batches([(X, Y), (X, Y[:2])]), r"batches\[1\] targets has 2 rows, expected 4"),
]


@pytest.mark.parametrize(("call", "text"), BAD, ids=range(len(BAD)))
def test_bad_data_is_named(call, text):
    with pytest.raises(ArgumentError, match=text):
        call()
