"""The search for counterexamples: its objective and gradient, its constructions, what it may conclude."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lineardyn.errors import ArgumentError
from proofs_check.cbn import CyclicCNN, conjecture, representation_cost
from proofs_check.cbn.conjecture import penalised_cost, search_counterexample, star_map
from tests.proofs_check.cbn.test_construction import in_ball, norm_by_definition

seeds = st.integers(0, 2**20)


@given(seed=seeds, n=st.integers(1, 5), depth=st.integers(1, 4))
def test_the_objective_is_its_definition(seed, n, depth):
    rng = np.random.default_rng(seed)
    widths = [int(c) for c in rng.integers(1, 4, depth + 1)]
    net = CyclicCNN.random((n,), widths, rng=rng, bias_scale=0.5)
    x, y = rng.standard_normal((6, widths[0], n)), rng.standard_normal((6, widths[-1], n))
    value, gradient = penalised_cost(net.parameters(), widths, x, y, 7.0)
    assert value == pytest.approx(norm_by_definition(net) + 7.0 * ((net(x) - y) ** 2).sum() / 6)
    direction = rng.standard_normal(gradient.shape)
    # a central difference of a piecewise polynomial; a kink within the step would show as an error of the step's size
    step = 1e-6
    ends = [penalised_cost(net.parameters() + s * step * direction, widths, x, y, 7.0)[0] for s in (1, -1)]
    slack = 1e-4 * (1.0 + np.linalg.norm(gradient))
    assert (ends[0] - ends[1]) / (2 * step) == pytest.approx(gradient @ direction, abs=slack)


@given(seed=seeds, n=st.integers(2, 6))
def test_stars_light_the_largest_pixel_and_have_slopes_of_at_least_one(seed, n):
    x = np.random.default_rng(seed).standard_normal((1, n))
    y = star_map(x)[0]
    top, second = np.argsort(x[0])[::-1][:2]
    wanted = np.zeros(n)
    wanted[top] = x[0, top] - x[0, second]
    assert np.array_equal(y, wanted)
    assert np.array_equal(star_map(np.roll(x, 1, axis=-1)), np.roll(star_map(x), 1, axis=-1))
    jacobian = np.zeros((n, n))
    jacobian[top, [top, second]] = 1.0, -1.0
    assert np.linalg.svd(jacobian, compute_uv=False) == pytest.approx([np.sqrt(2), *[0.0] * (n - 1)])


@pytest.mark.parametrize("depth", [6, 9, 40])
@pytest.mark.parametrize(("kind", "n"), [("star", 3), ("star", 4), ("linear", 2), ("linear", 3), ("linear", 5)])
def test_every_start_is_the_map_at_the_cost_of_its_rank(kind, n, depth):
    net = conjecture._construction(kind, n, depth)
    x = in_ball(np.random.default_rng(0), 200, 1, (n,), 1.0)
    wanted = star_map(x) if kind == "star" else np.fft.ifft(np.fft.fft(x) * np.isin(np.arange(n), (1, n - 1))).real
    # 40 layers on an offset some tens of the signal
    assert np.abs(net(x) - wanted).max() <= 1e-12
    norms = [conjecture._construction(kind, n, depth + more).norm() for more in (100, 300)]
    slope = (norms[1] - norms[0]) / 200
    rank = 1.0 if n == 2 else 2.0
    # the intercept approaches its bound from below: the sums of 1/min(l, L-l)² lack some 4/L, times tens
    assert rank <= slope <= rank + 0.02
    wider = conjecture._widened(net, 2, 0.0, np.random.default_rng(0))
    assert wider.widths[1:-1] == tuple(c + 2 for c in net.widths[1:-1])
    assert np.array_equal(wider(x), net(x))


def test_linear_maps_are_trained_down_to_their_cost_and_not_below():
    """Equality is proved for them, so that the search must not see a lead; the norm stays near its minimum 2 L."""
    found = search_counterexample(
        n_pixels=(3,), families=("linear",), depths=(6, 9), n_starts=1, n_samples=60, max_iterations=150, rng=0
    )
    (trial,) = found.trials
    blocks = np.zeros((3, 1, 1))
    blocks[1:] = 1.0
    for depth, norm, fit in zip(trial.depths, trial.norms, trial.fits, strict=True):
        # the error may save up to L times twice its share of the norm of each layer
        assert norm >= representation_cost(blocks, depth=depth) * (1 - 2 * fit)
        assert norm < conjecture._construction("linear", 3, depth).norm()
        assert fit <= 0.03
    assert trial.slope == pytest.approx((trial.norms[1] - trial.norms[0]) / 3)
    assert trial.ratio == trial.slope / 2
    assert not found.lead
    assert found.size == 2
    assert "proves nothing" in str(found)


def test_stars_are_searched_and_reported():
    found = search_counterexample(
        n_pixels=(3, 5), families=("star",), depths=(6, 8), n_starts=2, n_samples=40, max_iterations=30, rng=0
    )
    assert [(t.family, t.n_pixels, t.rank, t.lower) for t in found.trials] == [("star", 3, 2.0, 1)]
    assert found.size == 4
    assert 0 < found.evaluations <= 4 * 2 * 30 + 40
    again = search_counterexample(
        n_pixels=(3, 5), families=("star",), depths=(6, 8), n_starts=2, n_samples=40, max_iterations=30, rng=0
    )
    assert again.trials == found.trials


def test_what_counts_as_a_lead(monkeypatch):
    """A planted run whose norm hardly grows is a lead if it fits, and nothing if it does not."""
    norms = {6: 20.0, 8: 21.0}

    def run(fit):
        return lambda net, *rest: conjecture._Run(1.0, norms[net.depth], fit, 5)

    arguments = {"n_pixels": (3,), "families": ("star",), "depths": (6, 8), "n_starts": 1}
    monkeypatch.setattr(conjecture, "_train", run(0.01))
    found = search_counterexample(**arguments)
    assert found.lead
    assert found.best.ratio == pytest.approx(0.25)
    assert "a lead, to be followed" in str(found)
    monkeypatch.setattr(conjecture, "_train", run(0.5))
    found = search_counterexample(**arguments)
    assert found.best is None
    assert not found.lead
    assert "none fits" in str(found)
    assert str(replace(found, size=3)).startswith("3 networks")


BAD = {
    "other family": ({"families": ("stars",)}, "did you mean 'star'"),
    "one depth": ({"depths": (6,)}, r"depths is \(6,\), expected two depths"),
    "shallow": ({"depths": (5, 8)}, r"depths\[0\] is 5"),
    "same depth": ({"depths": (8, 8)}, "expected the second larger"),
    "too many pixels": ({"n_pixels": (6,)}, "n_pixels has no size that families allow"),
    "one pixel": ({"n_pixels": (1,)}, r"n_pixels\[0\] is 1"),
    "no start": ({"n_starts": 0}, "n_starts is 0"),
    "no weight": ({"weight": 0.0}, "weight is 0"),
    "no seed": ({"rng": "a"}, "rng is 'a'"),
    "thinner": ({"extra_width": -1}, "extra_width is -1"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_calls_say_what_to_do(case):
    keywords, text = BAD[case]
    with pytest.raises(ArgumentError, match=text):
        search_counterexample(**keywords)
