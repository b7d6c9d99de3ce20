"""What a flow holds at a time, in vectors of the size of its state: what the method needs, and no more."""

import tracemalloc

import numpy as np
import pytest

from benchmarks.peers.memory import Case, images_of
from lineardyn import LinearCNN, SecondMoments, gradient_flow
from lineardyn.flow import stepping
from lineardyn.flow.arguments import flow_arguments
from lineardyn.flow.tableaus import TABLEAUS

VECTORS = {
    "bs32": 1 + 1 + 4,  # the state, the one tried, the stages
    "tsit5": 1 + 1 + 7,
    "dop853": 1 + 1 + 11,  # 13 stages, of which two are written over others that no later one is made of
    "rkc": 1 + 6,  # f at both ends, the eigenvector, two stages and the slope of one
    "rock4": 1 + 6 + 4,  # and the last four stages
    "auto": 1 + 1 + 11,  # RKC, screening included, finds room in that of DOP853
}
OBJECTS = 0.3
"""Of a vector: what Python itself holds, and arrays of a few spectra (seen: 0.1)."""
SCREENING = 0.35
"""Of a vector of eleven spectra: seven numbers for each frequency, that is 7/22, and coefficients."""


def problem(form="modes", image_shape=(1, 64, 64), n_outputs=10, n_images=10):
    images = images_of(Case("", form, image_shape, n_outputs, n_images))
    targets = np.eye(n_outputs)[np.arange(n_images) % n_outputs]
    moments = SecondMoments.from_data(images, targets, form=form)
    network = LinearCNN(image_shape, n_outputs=n_outputs)
    return network, moments, network.init_small(0.03, rng=0)


def most_held(network, moments, weights, horizon, **options):
    """``(vectors, run)``: the most at a time, without the states asked for; what is loaded at a first call is not."""
    times = np.linspace(0.0, horizon / moments.modes().s[0], 5)
    size = network.pack(weights).nbytes

    def flow():
        return gradient_flow(network, moments, weights, times, throw=False, **options)

    flow()
    tracemalloc.start()
    try:
        run = flow()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    return peak / size - len(times), run


def shared(network, moments):
    """Scratch of a right-hand side, and the rows of the statistics where they are copied, in vectors."""
    arguments, _ = flow_arguments(network, moments, 0.0)
    copied = arguments.rows.size if arguments.rows is not moments.statistics.rows else 0
    return (arguments.work.size + copied) / network.offsets[-1]


@pytest.mark.parametrize("method", sorted(VECTORS))
def test_a_flow_holds_the_vectors_of_its_method(method):
    network, moments, weights = problem()
    held, run = most_held(network, moments, weights, 50.0, method=method, max_steps=80)
    assert run.stats["n_rhs"] > 150
    assert ("n_active" in run.stats) == (method == "auto")
    assert held <= VECTORS[method] + shared(network, moments) + OBJECTS + SCREENING * (method == "auto")
    assert shared(network, moments) <= 10 / 11 + 5 / 11 + 0.05  # the modes; four outputs and the hidden layer


@pytest.mark.parametrize("method", ["dop853", "rkc", "auto"])
def test_rest_is_looked_for_in_the_room_of_the_steps(method, monkeypatch):
    """Six vectors, and the state without its padding: three of them lack in RKC's, five where all f are active."""
    network, moments, weights = problem()
    monkeypatch.setattr(stepping, "FIRST_LOOK", 2000)
    held, run = most_held(network, moments, weights, 5e3, method=method)
    assert "t_rest" in run.stats
    lacking = {"dop853": 0, "rkc": 3, "auto": 5}[method]
    spectra = OBJECTS + 2 / 11 + SCREENING * (method == "auto")  # the squared lengths of coordinates, and inverses
    assert held <= VECTORS[method] + shared(network, moments) + 1 + lacking + spectra


@pytest.mark.parametrize(
    ("form", "image_shape", "n_outputs", "n_images", "scratch"),
    [
        ("modes", (1, 16, 16), 160, 160, 129 / 161 + 128 / 260),  # 128 predictors, the hidden layer; coefficients
        ("samples", (1, 32, 32), 10, 100, 11 / 11 + 100 / 1028),  # residuals take the place of the predictors
        ("dense", (1, 16, 16), 10, 300, 21 / 11),  # the product with the matrix needs both
    ],
)
def test_a_right_hand_side_holds_what_it_must(form, image_shape, n_outputs, n_images, scratch):
    network, moments, weights = problem(form, image_shape, n_outputs, n_images)
    assert shared(network, moments) <= scratch + 0.05
    size = 8 * network.offsets[-1]
    held, _ = most_held(network, moments, weights, 2.0, method="rkc", max_steps=20)
    assert held <= VECTORS["rkc"] + scratch + max(OBJECTS, 3e5 / size)


@pytest.mark.parametrize("name", sorted(TABLEAUS))
def test_stages_are_kept_until_they_are_needed_no_more(name):
    """A step in so few rows, stage by stage, is the step in as many as there are stages, and so is what judges it.

    The sum for the next stage may be begun, in its row, with that for this one: no row is read and written at once.
    """
    tableau, rng = TABLEAUS[name], np.random.default_rng(0)
    k = rng.standard_normal((tableau.n_main + 1, 3))
    rows = np.full((tableau.places.max() + 1, 3), np.nan)
    rows[0] = k[0]
    for j in range(1, tableau.n_main + 1):
        used = np.flatnonzero(tableau.table[j])
        np.testing.assert_array_equal(rows[tableau.places[used]], k[used])
        both = np.flatnonzero(np.abs(tableau.table[j : j + 2, :j]).sum(axis=0))
        assert tableau.places[min(j + 1, tableau.n_main)] not in tableau.places[both]
        rows[tableau.places[j]] = k[j]
    ends = np.concatenate([tableau.interpolant.T, tableau.errors])
    used = np.flatnonzero(np.abs(ends).sum(axis=0))
    used = np.unique([*used, *tableau.measured, 0, tableau.n_main - 1, tableau.n_main])
    np.testing.assert_array_equal(rows[tableau.places[used]], k[used])
    assert len(rows) == {"bs32": 4, "tsit5": 7, "dop853": 11}[name]
