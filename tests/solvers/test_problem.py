"""The problem in real coordinates against its definition in pixel space, on the data themselves.

Tolerances are those of sums of at most a few hundred numbers of order one: 1e-12.
"""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lineardyn import SecondMoments
from lineardyn.errors import ArgumentError
from solvers import RegularizedProblem, certify, quadratic, solve
from solvers import gram as lines_module
from solvers.coordinates import coordinates
from tests import oracles
from tests import strategies as own
from tests.solvers import families

TOLERANCE = 1e-12
SHAPES = [(1, 1), (1, 2), (1, 5), (2, 2), (3, 3), (2, 3), (4, 3), (4, 4)]
FORMS = ["dense", "samples", "modes"]


def random_data(image_shape, k, n=20, seed=0):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((n, *image_shape)), rng.standard_normal((n, k))


def random_problem(image_shape=(2, 4, 3), k=2, *, form="dense", depth=3, lam=0.3, n=20, seed=0, rank=None):
    moments = SecondMoments.from_data(*random_data(image_shape, k, n, seed), form=form)
    return RegularizedProblem(moments, depth=depth, lam=lam, rank=rank)


def random_predictor(image_shape, k, seed=1):
    """The predictor ``(H, W, K, C)`` of random weights in pixel space, by the matrix of the transform."""
    pixels = np.random.default_rng(seed).standard_normal((k, *image_shape))
    return np.conj(oracles.dft2(pixels)).transpose(2, 3, 0, 1)


# --- Coordinates -----------------------------------------------------------------------------------------------------


@given(shape=st.sampled_from(SHAPES), c=own.channels, k=st.integers(1, 3), seed=own.seeds)
def test_coordinates_are_lossless_and_isometric(shape, c, k, seed):
    """Both ways, the norm over *all* frequencies, and blocks that say the same."""
    columns, predictor = coordinates((c, *shape)), random_predictor((c, *shape), k, seed)
    values = columns.pack(predictor)
    assert values.shape == (k, c * shape[0] * shape[1])
    assert values.dtype == np.float64
    assert oracles.error(columns.unpack(values), predictor) <= TOLERANCE
    assert np.linalg.norm(values) == pytest.approx(np.linalg.norm(predictor), rel=TOLERANCE)
    assert np.array_equal(columns.from_blocks(columns.blocks(values)), values)


@given(shape=st.sampled_from(SHAPES), c=own.channels, k=st.integers(1, 3), seed=own.seeds)
def test_any_coordinates_are_those_of_a_real_function(shape, c, k, seed):
    """Conjugate symmetry holds to the last bit, so that images are real."""
    columns = coordinates((c, *shape))
    values = np.random.default_rng(seed).standard_normal((k, columns.size))
    predictor = columns.unpack(values)
    for u, v in np.ndindex(shape):
        assert np.array_equal(predictor[-u % shape[0], -v % shape[1]], predictor[u, v].conj())
    assert oracles.error(columns.pack(predictor), values) <= TOLERANCE


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("c", "k"), [(1, 1), (2, 3), (3, 2)])
def test_blocks_are_the_frequencies(shape, c, k):
    """√m v̂_f at one frequency of each pair, and its singular values."""
    columns, predictor = coordinates((c, *shape)), random_predictor((c, *shape), k)
    values, half = columns.pack(predictor), columns.half
    assert half.weights.sum() == shape[0] * shape[1]
    assert columns.n_blocks == len(half.weights)
    for b, (block, singular) in enumerate(zip(columns.blocks(values), columns.singular_values(values), strict=True)):
        f = np.unravel_index(half.indices[b], shape)
        wanted = np.sqrt(half.weights[b]) * predictor[f]
        assert oracles.error(block, wanted) <= TOLERANCE
        assert oracles.error(np.sort(singular), np.sort(np.linalg.svd(wanted, compute_uv=False))) <= TOLERANCE
        inside = values[:, columns.starts[b] : columns.starts[b + 1]]
        assert np.linalg.norm(inside) == pytest.approx(np.linalg.norm(block), rel=TOLERANCE)
        assert columns.paired[b] == (tuple(-np.array(f) % shape) != tuple(f))


# --- The objective ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["dense", "samples"])
@given(
    shape=st.sampled_from(SHAPES), c=own.channels, k=st.integers(1, 3), seed=own.seeds,
    depth=st.integers(1, 8), lam=st.sampled_from([1e-3, 0.3, 20.0]),
)  # fmt: skip
def test_objective_is_its_definition_in_pixel_space(form, shape, c, k, seed, depth, lam):
    data, predictor = random_data((c, *shape), k, seed=seed), random_predictor((c, *shape), k, seed + 1)
    problem = RegularizedProblem(SecondMoments.from_data(*data, form=form), depth=depth, lam=lam)
    wanted = families.pixel_objective(data, predictor, depth, lam)
    assert problem.objective(predictor) == pytest.approx(wanted, rel=TOLERANCE)
    assert problem.loss(predictor) + problem.penalty(predictor) == problem.objective(predictor)
    values = problem.pack(predictor)
    h = problem.half_objective(values, problem.quadratic.gradient(values))
    assert problem.moments.target_power + 2 * h == pytest.approx(wanted, rel=TOLERANCE)


@pytest.mark.parametrize("depth", [1, 2, 5])
def test_objective_of_coherent_classes_in_the_modes_form(depth):
    data, predictor = families.coherent(0), random_predictor((2, 3, 3), 3)
    moments = SecondMoments.from_data(*data)
    assert moments.form == "modes"
    wanted = families.pixel_objective(data, predictor, depth, 0.2)
    assert RegularizedProblem(moments, depth=depth, lam=0.2).objective(predictor) == pytest.approx(wanted, rel=1e-12)


@given(
    shape=st.sampled_from(SHAPES), c=own.channels, k=st.integers(1, 3), seed=own.seeds, depth=st.integers(1, 8)
)  # fmt: skip
def test_the_penalty_is_what_a_network_pays(shape, c, k, seed, depth):
    """L layers in a row on one frequency after the other: the Schatten norm, with √P and both of each pair."""
    predictor = random_predictor((c, *shape), k, seed)
    problem = random_problem((c, *shape), k, depth=depth, lam=0.7)
    s, pixels = np.linalg.svd(predictor, compute_uv=False), shape[0] * shape[1]
    # P^{(L-1)/2} s = s_1 ⋯ s_L with all equal costs L (s P^{-(L-1)/2})^{2/L}
    wanted = 0.7 * depth * ((s * pixels ** (-(depth - 1) / 2)) ** (2 / depth)).sum()
    assert problem.penalty(predictor) == pytest.approx(wanted, rel=TOLERANCE)


@pytest.mark.parametrize("form", ["dense", "samples"])
def test_the_gradient_is_the_slope_of_the_loss(form):
    """Central differences of a quadratic are exact up to round-off, eps/step."""
    problem = random_problem(form=form)
    values = np.random.default_rng(3).standard_normal(problem.quadratic.cross.shape)
    slope, step = problem.quadratic.gradient(values), 1e-2
    for k, i in [(0, 0), (1, 5), (0, 23), (1, 11)]:
        ahead, behind = values.copy(), values.copy()
        ahead[k, i] += step
        behind[k, i] -= step
        measured = (problem.quadratic.loss(ahead) - problem.quadratic.loss(behind)) / (4 * step)
        assert slope[k, i] == pytest.approx(measured, abs=1e-11)


@pytest.mark.parametrize("form", ["dense", "samples"])
@pytest.mark.parametrize("size", [1e-3, 1e-9])
def test_a_loss_near_interpolation_keeps_its_digits(form, size):
    """The quadratic form would be wrong by ``eps/size²`` of the loss: 1e2 of it for the last."""
    images, _ = random_data((1, 4, 4), 2, n=7)
    predictor = random_predictor((1, 4, 4), 2)
    targets = images.reshape(7, -1) @ families.pixel_weights(predictor).T
    noise = size * np.random.default_rng(5).standard_normal(targets.shape)
    moments = SecondMoments.from_data(images, targets + noise, form="samples" if form == "samples" else "dense")
    loss = RegularizedProblem(moments, depth=2, lam=0.1).loss(predictor)
    if form == "samples":
        # residuals have round-off of 1e-15 of targets of size 4
        assert loss == pytest.approx((noise**2).sum() / 7, rel=1e-14 / size, abs=0.0)
    else:  # nothing but moments is left of the data
        assert loss == pytest.approx((noise**2).sum() / 7, abs=1e-13)
        assert loss >= 0.0


# --- Σ^xx ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("shape", [(1, 2), (3, 3), (4, 3), (4, 4)])
@pytest.mark.parametrize("c", [1, 3])
def test_the_gram_matrix_is_the_mean_over_images_in_coordinates(form, shape, c):
    data = (
        own.make_data("coherent", (c, *shape), 2, seed=4)
        if form == "modes"
        else own.DataSet(*random_data((c, *shape), 2), "", 0)
    )
    moments = SecondMoments.from_data(data.images, data.targets, form=form)
    quad, columns = quadratic.quadratic(moments), coordinates((c, *shape))
    # f(x) = V · x for the coordinates of every predictor: those of images are of conj(x̂)
    rows = columns.pack(np.conj(oracles.dft2(data.images)).transpose(2, 3, 0, 1))
    assert oracles.error(quad.gram, rows.T @ rows / len(rows)) <= TOLERANCE
    assert oracles.error(quad.cross, data.targets.T @ rows / len(rows)) <= TOLERANCE


@pytest.mark.parametrize("form", ["samples", "modes"])
@pytest.mark.parametrize("family", ["coherent", "silent", "interpolated"])
def test_lines_formed_one_after_the_other_are_those_of_the_whole(form, family, monkeypatch):
    monkeypatch.setattr(lines_module, "MANY", 1.0)
    data = families.FAMILIES[family][0](0)
    whole = quadratic.quadratic(SecondMoments.from_data(*data, form=form)).gram.copy()
    lines = quadratic.quadratic(SecondMoments.from_data(*data, form=form)).lines
    order = np.random.default_rng(0).permutation(lines.coordinates.n_blocks)
    assert not lines.formed.any()
    for chosen in (order[:1], order[1:4]):
        lines.form(chosen)
        inside = np.isin(lines.coordinates.block_of_column, np.flatnonzero(lines.formed))
        assert np.array_equal(np.flatnonzero(lines.formed), np.sort(order[: len(lines.formed.nonzero()[0])]))
        assert np.abs(lines.lines[inside] - whole[inside]).max() <= TOLERANCE * np.abs(whole).max()
    assert np.abs(lines.whole() - whole).max() <= TOLERANCE * np.abs(whole).max()


def test_from_a_quarter_of_the_lines_on_all_are_formed():
    """Whatever lines were there before: they are then those of the whole, to the last bit."""
    data = random_data((1, 6, 7), 1)
    moments = [SecondMoments.from_data(*data, form="samples") for _ in range(2)]
    whole, lines = quadratic.quadratic(moments[0]).gram, quadratic.quadratic(moments[1]).lines
    few = int(lines_module.MANY * lines.coordinates.n_blocks) - 1
    lines.form(np.arange(few))
    assert lines.formed.sum() == few > 1
    lines.form(np.array([few, few + 1]))
    assert lines.formed.all()
    assert np.array_equal(lines.lines, whole)


@pytest.mark.parametrize("width", [7, 8])
def test_columns_in_which_no_image_has_anything_are_silent(width):
    """Images that equal their reflection have real spectra; what the DFT leaves of the imaginary parts is dropped."""
    images, targets = random_data((2, 9 if width == 7 else 8, width), 2)
    even = 0.5 * (images + np.roll(images[:, :, ::-1, ::-1], 1, axis=(2, 3)))
    quad = quadratic.quadratic(SecondMoments.from_data(even, targets, form="samples"))
    columns, channels = quad.coordinates, 2
    real = np.arange(columns.size) - columns.starts[columns.block_of_column] < channels
    assert np.array_equal(quad.lines.seen, real)
    assert np.array_equal(quad.lines.widths, np.full(columns.n_blocks, channels))
    assert not quad.cross[:, ~real].any()
    assert not quad.gram[~real].any()
    dense = quadratic.quadratic(SecondMoments.from_data(even, targets, form="dense")).gram
    assert np.abs(quad.gram - dense).max() <= TOLERANCE * np.abs(dense).max()
    plain = quadratic.quadratic(SecondMoments.from_data(images, targets, form="samples")).lines
    assert plain.seen.all()
    assert np.array_equal(plain.widths, np.diff(columns.starts))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("shape", [(1, 1), (1, 2), (2, 2), (3, 3), (4, 3)])
def test_diagonal_blocks_and_curvatures(form, shape):
    moments = SecondMoments.from_data(*random_data((2, *shape), 2), form=form)
    quad = quadratic.quadratic(moments)
    early = quad.diagonal_blocks  # before any line
    assert early.shape == (quad.coordinates.n_blocks, 4, 4)
    starts, gram = quad.coordinates.starts, quad.gram
    for b, block in enumerate(early):
        inside = slice(starts[b], starts[b + 1])
        size = starts[b + 1] - starts[b]
        assert np.abs(block[:size, :size] - gram[inside, inside]).max() <= TOLERANCE * np.abs(gram).max()
        assert not block[size:].any()
        assert not block[:, size:].any()
        largest = np.linalg.eigvalsh(gram[inside, inside])[-1]
        assert quad.curvatures[b] == pytest.approx(largest, rel=TOLERANCE)


def test_a_frequency_that_no_image_has_has_no_curvature():
    problem = families.make_problem("silent", 3)
    assert problem.coordinates.starts[0] == 0
    assert problem.quadratic.curvatures[0] == 0.0
    assert np.all(problem.quadratic.curvatures[1:] > 0.0)
    assert np.isinf(problem.jumps[0])


def branches(family, form, cut, monkeypatch):
    """A quadratic, and values whose product takes each way: all lines, some lines, none yet, too many columns."""
    data = families.FAMILIES[family][0](0)
    moments = SecondMoments.from_data(*data, form=form)
    if cut:
        monkeypatch.setattr(quadratic, "LARGEST_GRAM", 4)
    return moments, quadratic.Quadratic(moments, coordinates(moments.image_shape), quadratic.quadratic(moments).cross)


@pytest.mark.parametrize(("family", "form"), [("coherent", "modes"), ("power law", "samples"), ("coloured", "dense")])
@pytest.mark.parametrize("way", ["fresh", "some lines", "all lines", "not formed"])
def test_products_are_those_with_the_gram_matrix_however_they_are_made(family, form, way, monkeypatch):
    moments, quad = branches(family, form, way == "not formed", monkeypatch)
    gram = quadratic.quadratic(SecondMoments.from_data(*families.FAMILIES[family][0](0), form=form))
    monkeypatch.undo()
    whole = gram.gram.copy()
    if way == "not formed":
        monkeypatch.setattr(quadratic, "LARGEST_GRAM", 4)
    values = np.random.default_rng(2).standard_normal((3, quad.coordinates.size))
    if way == "some lines":
        monkeypatch.setattr(lines_module, "MANY", 1.0)
        inside = np.isin(quad.coordinates.block_of_column, [1, 2])
        values[:, ~inside] = 0.0
        if not moments.statistics.dense:
            quad.lines.form(np.array([1, 2]))
            assert quad.lines.formed.sum() == 2
    elif way == "all lines":
        quad.lines.whole()
    product = quad.apply(values)
    assert np.abs(product - values @ whole).max() <= TOLERANCE * np.abs(whole).max() * 10
    if way == "some lines" and not moments.statistics.dense:
        assert quad.lines.formed.sum() == 2  # nothing formed for it


def test_a_gram_matrix_too_large_to_be_formed_is_refused(monkeypatch):
    monkeypatch.setattr(quadratic, "LARGEST_GRAM", 8)
    problem = random_problem((1, 4, 4), form="samples", n=5)
    with pytest.raises(ArgumentError, match=r"16 Fourier coefficients, expected at most 8 .*method='proximal'"):
        solve(problem, method="coordinate")


# --- What problems share ---------------------------------------------------------------------------------------------


def test_problems_on_the_same_moments_share_the_gram_matrix():
    problem = random_problem(form="samples")
    assert problem.with_lam(0.1).quadratic is problem.quadratic
    assert problem.with_depth(4).quadratic is problem.quadratic


def test_moments_are_let_go():
    """What is kept for other problems is kept as long as the moments are, no longer."""
    problem = random_problem(form="samples")
    solve(problem)
    certify(problem, np.zeros(problem.predictor_shape))
    made, kept = weakref.ref(problem.moments), weakref.ref(problem.quadratic)
    del problem
    gc.collect()
    assert made() is None
    assert kept() is None


def test_another_lambda_or_depth_is_another_problem():
    problem = random_problem(depth=3, lam=0.3, rank=1)
    assert (problem.with_lam(0.1).lam, problem.with_lam(0.1).depth, problem.with_lam(0.1).rank) == (0.1, 3, 1)
    assert (problem.with_depth(2).depth, problem.with_depth(2).lam) == (2, 0.3)
    assert problem.with_depth(2).thresholds[0] != problem.thresholds[0]
    assert not problem.with_depth(2).convex
    assert random_problem(depth=2).convex


# --- The door --------------------------------------------------------------------------------------------------------


def indefinite():
    moments = random_problem().moments
    matrix = moments.statistics.matrix - 2.0 * np.eye(len(moments.statistics.matrix))
    return type(moments)(**{**vars_of(moments), "statistics": moments.statistics._replace(matrix=matrix)})


def vars_of(moments):
    return {name: getattr(moments, name) for name in moments.__dataclass_fields__}


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda m: RegularizedProblem(np.eye(2), depth=2, lam=0.1), "moments is a ndarray, expected SecondMoments"),
        (lambda m: RegularizedProblem(m, depth=0, lam=0.1), "depth is 0"),
        (lambda m: RegularizedProblem(m, depth=2.5, lam=0.1), "depth is 2.5"),
        (lambda m: RegularizedProblem(m, depth=2, lam=0.0), "lam is 0"),
        (lambda m: RegularizedProblem(m, depth=2, lam=-1.0), "lam is -1"),
        (lambda m: RegularizedProblem(m, depth=2, lam=float("nan")), "lam is nan"),
        (lambda m: RegularizedProblem(m, depth=2, lam=float("inf")), "lam is inf"),
        (lambda m: RegularizedProblem(m, depth=2, lam=0.1, rank=0), "rank is 0"),
        (lambda m: RegularizedProblem(m, depth=1, lam=0.1, rank=1), "rank is 1 at depth 1"),
        (lambda m: RegularizedProblem(indefinite(), depth=2, lam=0.1), r"eigenvalue -\d.* of Σ\^xx"),
        (lambda m: RegularizedProblem(m, depth=2, lam=0.1).objective(np.zeros((4, 3, 2, 1))), "predictor has shape"),
        (lambda m: RegularizedProblem(m, depth=2, lam=0.1).loss(np.full((4, 3, 2, 2), np.nan)), "predictor holds NaN"),
        (lambda m: RegularizedProblem(m, depth=2, lam=0.1).pack(np.full((4, 3, 2, 2), 1j)), "breaks the conjugate"),
    ],
)
def test_bad_input_names_the_argument(call, text):
    with pytest.raises(ArgumentError, match=text):
        call(random_problem().moments)


def test_a_rank_of_all_channels_bounds_nothing():
    assert not random_problem(rank=2).bounds_rank
    assert random_problem(rank=2, depth=2).convex
    assert random_problem(rank=1).bounds_rank
    assert random_problem(rank=7).max_rank == 2
