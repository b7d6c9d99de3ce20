"""The claims' own network in pixel space, their formulas against the library's, and that the bounds are met."""

from __future__ import annotations

import numpy as np
import pytest

from proofs_check import Outcome, check, get
from proofs_check.cbn import (
    CyclicCNN,
    bottleneck_gap,
    cost_expansion,
    lower_bound,
    representation_cost,
)
from proofs_check.cbn.construction import build_bottleneck
from proofs_check.claims.bottleneck import BOTTLENECK_CLAIMS
from proofs_check.claims.bottleneck_bounds import as_network, frequency_bound_sides, gap_sides, jacobian_bound_sides
from proofs_check.claims.bottleneck_construction import dense_norm, evaluate
from proofs_check.claims.bottleneck_cost import draw_map, map_blocks, on_grid
from proofs_check.claims.bottleneck_kinks import draw_kinked, kinked_network, pairs_jacobian
from proofs_check.claims.bottleneck_samples import interpolating
from proofs_check.claims.cyclic_space import (
    GRIDS,
    balanced_filters,
    blocks,
    constant_network,
    draw_pooling,
    jacobians,
    layer_sizes,
    operator,
    pooling_matrix,
    preactivations,
    squared_norm,
    weighted_cost,
)
from proofs_check.claims.downsampling import BANDPASS, coarse_sides
from proofs_check.claims.winding import unconditional_bound_sides

ATTACKED = [claim.id for claim in BOTTLENECK_CLAIMS if claim.attacked]
TIGHT = ["linear-cost-bound", "jacobian-bound", "frequency-bound", "bottleneck-gap", "activation-bound"]


def rows(batch, i):
    """One instance of a batch."""
    return {name: value[i] if isinstance(value, np.ndarray) else value for name, value in batch.items()}


# --- The network by dense matrices ----------------------------------------------------------------------------------


@pytest.mark.parametrize("grid", GRIDS)
def test_operator_is_the_circular_convolution(grid):
    rng, n = np.random.default_rng(0), int(np.prod(grid))
    filters, image = rng.standard_normal((2, n, 3)), rng.standard_normal((3, n))
    axes = tuple(range(len(grid)))
    expected = np.zeros((2, *grid))
    for i, shift in enumerate(np.ndindex(*grid)):
        moved = [np.roll(channel.reshape(grid), shift, axes) for channel in image]
        expected += np.einsum("oc,c...->o...", filters[:, i], np.array(moved))
    np.testing.assert_allclose(operator(filters, grid) @ image.ravel(), expected.ravel(), atol=1e-13)


@pytest.mark.parametrize("seed", range(8))
def test_dense_network_is_the_library_s_and_its_jacobian_the_difference(seed):
    batch = constant_network(np.random.default_rng(seed), 3)
    rng = np.random.default_rng(seed)
    image = batch["level"][..., None] + rng.standard_normal(batch["ripple"].shape)
    z, found = preactivations(batch, image), jacobians(batch, image)
    step, direction = 1e-7, rng.standard_normal(image.shape)
    ends = [preactivations(batch, image + s * direction)[-1] for s in (step, -step)]
    slope = (ends[0] - ends[1]).reshape(3, -1) / (2 * step)
    expected = np.einsum("nij,nj->ni", found[0], direction.reshape(3, -1))
    # f is linear unless a kink lies within 1e-7; differences over 1e-7 keep 1e-9
    np.testing.assert_allclose(slope, expected, atol=1e-6 * np.abs(expected).max())
    for i in range(3):
        network, grid = as_network(rows(batch, i)), batch["grid"]
        outputs = network(image[i].reshape(-1, *grid))
        np.testing.assert_allclose(z[-1][i].ravel(), outputs.ravel(), atol=1e-12 * (1 + np.abs(outputs).max()))
        np.testing.assert_allclose(
            found[0][i], network.jacobian(image[i].reshape(-1, *grid)).reshape(found[0][i].shape), atol=1e-11
        )
        assert squared_norm(batch)[i] == pytest.approx(network.norm(), rel=1e-12)


@pytest.mark.parametrize("grid", GRIDS)
def test_pooling_has_its_eigenvalues_and_every_kind_is_drawn(grid):
    drawn = draw_pooling(np.random.default_rng(1), grid, 60)
    n = int(np.prod(grid))
    assert (drawn[:, 0] == 1.0).all()
    assert (np.abs(drawn) <= 1.0).all()
    assert (np.abs(drawn) > 0.0).all()
    if n > 2:
        assert (drawn < 0).any()
    for m in drawn[:5]:
        CyclicCNN([np.ones((1, *grid, 1))] * 2, pooling=m.reshape(grid))  # the library's door: real, even, m_0 = 1
        np.testing.assert_allclose(blocks(pooling_matrix(m, grid), grid).ravel(), m, atol=1e-13)


# --- The formulas against the library's -----------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(20))
def test_cost_of_the_claims_is_the_library_s(seed):
    instance = draw_map(np.random.default_rng(seed))
    found, depth = map_blocks(instance), instance["depth"]
    s = np.linalg.svd(found, compute_uv=False)
    s = np.where(s > 1e-12 * s.max(initial=0.0), s, 0.0)
    pooling = on_grid(instance["pooling"], instance)
    library = representation_cost(on_grid(found, instance), depth=depth, pooling=pooling)
    assert weighted_cost(s, instance["pooling"], depth) == pytest.approx(library, rel=1e-12)


@pytest.mark.parametrize("seed", range(20))
def test_bounds_and_gap_of_the_claims_are_the_library_s(seed):
    # but for singular values that one of both thresholds may count and the other not
    batch = constant_network(np.random.default_rng(seed), 8, isometric=True)
    grid = batch["grid"]
    first, _ = jacobian_bound_sides({**batch, "ripple": 0 * batch["ripple"]})
    second, _ = frequency_bound_sides(batch)
    distance, norm = gap_sides(batch)
    compared, sizes = 0, layer_sizes(batch["weights"], grid)
    for i in range(8):
        network = as_network(rows(batch, i))
        image = np.broadcast_to(batch["level"][i][:, None], batch["ripple"][i].shape).reshape(-1, *grid)
        found = np.linalg.svd(network.jacobian_blocks(image), compute_uv=False)
        if ((found > 1e-15 * sizes[i]) & (found < 1e-8 * sizes[i])).any() or found.max() < 1e-8 * sizes[i]:
            continue
        compared += 1
        library = lower_bound(network, image)
        assert first[i] == pytest.approx(library.jacobian, rel=1e-6)
        assert second[i] == pytest.approx(library.frequency, rel=1e-6)
        gap = bottleneck_gap(network, image)
        # the same inequality: distance + (‖θ‖² - bound) ≤ ‖θ‖²
        assert norm[i] == pytest.approx(network.norm(), rel=1e-12)
        assert distance[i] == pytest.approx(gap.layers.sum() + network.norm() - gap.bound, rel=1e-6, abs=1e-8)
    assert compared >= 2


def test_the_expansion_is_what_is_left_of_many_layers():
    instance = draw_map(np.random.default_rng(5))
    found, pooling = on_grid(map_blocks(instance), instance), on_grid(instance["pooling"], instance)
    terms = cost_expansion(found, pooling=pooling)
    rest = [
        depth * (representation_cost(found, depth=depth, pooling=pooling) - depth * terms.R0 - terms.R1)
        for depth in (2000, 4000)
    ]
    # the next term is of order 1/L: Richardson leaves 1/L²; round-off 1e-16·L²·R⁽⁰⁾ ≈ 1e-8
    assert 2 * rest[1] - rest[0] == pytest.approx(terms.R2, rel=1e-4)


@pytest.mark.parametrize("changes", [{}, *get("cost-expansion").mutants.values()], ids=str)
def test_symbolic_form_vanishes_for_the_statement_alone(changes):
    pytest.importorskip("sympy")
    expressions = get("cost-expansion").symbolic(**changes)
    assert (set(expressions) == {0}) is (not changes)


# --- The claims can fail, and their bounds are met ------------------------------------------------------------------


@pytest.mark.parametrize("claim_id", TIGHT)
def test_somewhere_the_bound_is_nearly_met(claim_id):
    claim = get(claim_id)
    ratios = []
    for seed in range(6):
        left, right = claim.sides(claim.draw(np.random.default_rng(seed), 32))
        keep = right > 0
        ratios.append((left[keep] / right[keep]).max(initial=0.0))
    assert 0.999 < max(ratios) <= 1 + 1e-9


@pytest.mark.parametrize("claim_id", ATTACKED)
def test_moved_arrays_keep_the_hypotheses(claim_id):
    # an adversary may put any numbers there: large, tiny, zero
    claim, rng = get(claim_id), np.random.default_rng(3)
    for scale in (0.0, 1e-6, 1.0, 30.0):
        instance = claim.instance(len(claim.smallest) + 4, 7)
        for name in claim.attacked:
            instance[name] = scale * rng.standard_normal(np.shape(instance[name]))
        assert claim.residual_of(instance) <= claim.tolerance


def test_a_pair_of_neurons_at_its_kink_passes_a_linear_map_on():
    batch = draw_kinked(np.random.default_rng(2), 4)
    network = kinked_network(batch)
    channels, n = batch["weights"].shape[2:4]
    image = np.zeros((4, channels + 2, n))
    image[:, channels] = np.random.default_rng(0).standard_normal((4, n))
    alone = {**network, "biases": np.zeros_like(network["biases"])}
    outputs = preactivations(alone, image)[-1][:, channels]
    expected = np.einsum("bij,bj->bi", pairs_jacobian(network, channels), image[:, channels])
    np.testing.assert_allclose(outputs, expected, atol=1e-12 * np.abs(expected).max())


@pytest.mark.parametrize("depth", [1, 2, 5])
def test_balanced_filters_have_the_map_and_the_norm_of_the_cost(depth):
    rng, grid = np.random.default_rng(depth), (5,)
    target = blocks(operator(rng.standard_normal((2, 5, 2)), grid), grid)
    pooling = draw_pooling(rng, grid, 1)[0]
    layers = [blocks(operator(w, grid), grid) for w in balanced_filters(target, pooling, depth, grid)]
    product = layers[0]
    for layer in layers[1:]:
        product = layer @ (pooling[:, None, None] * product)
    np.testing.assert_allclose(product, target, atol=1e-12)
    cost = weighted_cost(np.linalg.svd(target, compute_uv=False), pooling, depth)
    assert sum((np.abs(layer) ** 2).sum() for layer in layers) == pytest.approx(cost, rel=1e-12)


def test_frequencies_above_the_border_may_be_sampled_where_nothing_aliases():
    # n = 8, s = 2: ±3 become ∓1, and no other frequency is there
    assert coarse_sides(BANDPASS) == (2.0, 2.0)
    with_one = {**BANDPASS, "frames": BANDPASS["frames"] + np.eye(8)[[1, 7]].sum(axis=0)[:, None, None]}
    assert coarse_sides(with_one) == (2.0, 2.0)  # of four dimensions
    assert coarse_sides(with_one, rule="all")[1] == 4.0


def test_samples_of_two_axes_pass_through_frequencies_one_of_each_axis():
    instance = get("finite-samples-on-planes").instance(2, 0)
    samples, grid = instance["samples"], instance["samples"].shape[-2:]
    codes = np.cos(2 * np.pi * np.arange(grid[0]) / grid[0])[:, None] + np.cos(2 * np.pi * np.arange(grid[1]) / grid[1])
    inner = interpolating(samples[:1], codes[None, None], instance["directions"][0])
    np.testing.assert_allclose(inner(samples[:1])[0, 0], codes, atol=1e-9)
    hat = np.abs(np.fft.fft2(inner(np.roll(samples[:1], (1, 1), axis=(-2, -1)))[0, 0]))
    assert {(i, j) for i, j in np.argwhere(hat > 1e-9)} == {(1, 0), (grid[0] - 1, 0), (0, 1), (0, grid[1] - 1)}


def test_the_bound_without_its_condition_needs_a_linear_map():
    # beyond its radius the built network is another map, of which the claim says nothing
    instance = dict(get("frequency-bound-without-condition").instance(0, 0))
    bound, norm = unconditional_bound_sides(instance)
    assert bound > norm > 0.0
    far = unconditional_bound_sides({**instance, "images": 100.0 * instance["images"]})
    assert np.isnan(far).all()


def test_a_built_network_is_evaluated_without_the_library():
    built = build_bottleneck(np.ones((5, 1, 1)), np.ones((5, 1, 1)), depth=4).network
    x = np.random.default_rng(0).standard_normal((3, 1, 5)) / 5
    np.testing.assert_allclose(evaluate(built, x), built(x), atol=1e-13)
    assert dense_norm(built) == pytest.approx(built.norm(), rel=1e-13)


@pytest.mark.parametrize("seed", [1, 2])
def test_other_streams_refute_nothing(seed):
    for claim in BOTTLENECK_CLAIMS:
        n = 256 if claim.batched else 5
        assert check(claim, n=n, rng=seed).outcome is Outcome.NOT_REFUTED, claim.id
