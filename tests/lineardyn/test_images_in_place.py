"""``copy=False``: what is read from the images again is what the packed rows say."""

from __future__ import annotations

import pickle
from copy import copy

import numpy as np
import pytest

from lineardyn import LinearCNN, SecondMoments, gradient_flow
from lineardyn.errors import ArgumentError

SHAPES = [(1, 4, 4), (2, 3, 5), (3, 1, 6)]
ROUND_OFF = 1e-13
"""Of sums of 70 products of standard normal numbers, through two transforms."""
SINGLE = 1e-6
"""Single precision of numbers below 10, through a transform."""


def both(shape, *, n=70, center=False, dtype=float):
    rng = np.random.default_rng(3)
    images, targets = rng.standard_normal((n, *shape)), rng.standard_normal((n, 2))
    images = (20 * images).astype(dtype) if dtype is not float else images
    return [
        SecondMoments.from_data(images, targets, form="samples", center=center, copy=kept) for kept in (True, False)
    ]


def close(a, b, tolerance=ROUND_OFF):
    return np.abs(a - b).max() <= tolerance * max(1.0, np.abs(a).max())


@pytest.mark.parametrize("center", [False, True])
@pytest.mark.parametrize("dtype", [float, np.int8])
@pytest.mark.parametrize("shape", SHAPES)
def test_products_and_losses_are_those_of_the_rows(shape, dtype, center):
    rows, images = both(shape, center=center, dtype=dtype)
    packed = rows.pack(np.random.default_rng(4).standard_normal((6, *shape))).reshape(3, 2, -1)
    assert close(rows.apply(packed * rows.weights), images.apply(packed * images.weights))
    assert close(rows.losses(packed), images.losses(packed))
    assert "statistics" not in vars(images)  # no rows were made for that


@pytest.mark.parametrize("every", [1, 4])
@pytest.mark.parametrize("shape", SHAPES)
def test_chosen_numbers_of_the_rows(shape, every, monkeypatch):
    monkeypatch.setattr("lineardyn.images_in_place.AT_ONCE", 16)
    monkeypatch.setattr("lineardyn.images_in_place.PART_BYTES", 8 * 37 * int(np.prod(shape)))  # 37 images, then 33
    rows, images = both(shape)
    places = np.random.default_rng(5).permutation(len(rows.weights))[:7]
    wanted = rows.statistics.rows[::every][:, places] / np.sqrt(rows.image_power)
    for moments in (rows, images):
        found = np.concatenate([part.copy() for part in moments.rows_in_single(places, every=every)])
        assert found.dtype == np.float32
        assert found.shape == wanted.shape
        assert close(wanted, found, SINGLE)
        lines = (rows.statistics.rows.T * rows.statistics.gain)[places] @ rows.statistics.rows
        assert close(lines, moments.lines_in_single(places), SINGLE)


def test_rows_are_made_when_a_kernel_asks_for_them():
    rows, images = both((1, 4, 4))
    for name in ("rows", "target", "gain"):
        assert np.array_equal(getattr(rows.statistics, name), getattr(images.statistics, name))
    network = LinearCNN((1, 4, 4), n_outputs=2)
    weights = network.init_small(0.1, rng=0)
    ends = [gradient_flow(network, m, weights, [0.0, 1.0]).weights(-1)[0] for m in both((1, 4, 4))]
    assert np.array_equal(*ends)


def test_copies_sums_and_pickles():
    rows, images = both((1, 4, 4))
    assert "statistics" not in vars(copy(images))
    assert np.array_equal(pickle.loads(pickle.dumps(images)).statistics.rows, rows.statistics.rows)
    assert np.array_equal((images + rows).statistics.rows, (rows + images).statistics.rows)


@pytest.mark.parametrize("form", ["auto", "dense", "modes"])
def test_other_forms_have_no_rows_to_leave_out(form):
    with pytest.raises(ArgumentError, match=f"copy is False with form='{form}'.*expected form='samples' and no store"):
        SecondMoments.from_data(np.ones((3, 1, 2, 2)), np.ones((3, 1)), form=form, copy=False)


def test_a_store_has_rows(tmp_path):
    with pytest.raises(ArgumentError, match="expected form='samples' and no store"):
        SecondMoments.from_data(
            np.ones((3, 1, 2, 2)), np.ones((3, 1)), form="samples", copy=False, store=tmp_path / "rows.npy"
        )


def test_images_that_are_not_finite_are_refused():
    images = np.ones((3, 1, 2, 2))
    images[1, 0, 1, 1] = np.nan
    with pytest.raises(ArgumentError, match="images"):
        SecondMoments.from_data(images, np.ones((3, 1)), form="samples", copy=False)
