"""Claims about networks built through a bottleneck, and about its rank (theory, section 4, T3, T4, conjecture)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from proofs_check.cbn import CyclicCNN
from proofs_check.cbn.construction import build_bottleneck
from proofs_check.claim import Claim, Kind, absolute_distance
from proofs_check.claims.cyclic_space import (
    RECONSTRUCTED,
    blocks,
    dft,
    draw_grid,
    draw_pooling,
    even,
    operator,
    pooling_matrix,
)
from proofs_check.verdict import Instance, Outcome

__all__ = ["CONSTRUCTION_CLAIMS", "dense_norm", "evaluate"]

Floats = NDArray[np.float64]
Complexes = NDArray[np.complex128]

DEPTHS = (8, 16, 32)
"""At which the norm is taken for its slope: biases of size 1/l leave c/L² in one, and c'/L⁴ in a combination of two."""


def layers_of(network: CyclicCNN) -> list[tuple[Floats, Floats]]:
    """Filters ``(C_out, n, C_in)`` and biases."""
    pairs = zip(network.weights, network.biases, strict=True)
    return [(w.reshape(w.shape[0], -1, w.shape[-1]), b) for w, b in pairs]


def evaluate(network: CyclicCNN, image: Floats) -> Floats:
    """``f(x)`` of images ``(.., C, n)`` by dense matrices, nothing but the network's numbers."""
    pooling, hidden = pooling_matrix(network.pooling.ravel(), network.grid), image
    for layer, (w, b) in enumerate(layers_of(network)):
        if layer > 0:
            hidden = np.where(hidden > 0, hidden, network.slope * hidden) @ pooling
        flat = operator(w, network.grid) @ hidden.reshape(*hidden.shape[:-2], -1, 1)
        hidden = flat.reshape(*hidden.shape[:-2], len(w), -1) + b[:, None]
    return hidden


def dense_norm(network: CyclicCNN) -> float:
    """``‖θ‖²`` of the dense matrices."""
    layers = layers_of(network)
    return float(sum((operator(w, network.grid) ** 2).sum() + w.shape[1] * (b**2).sum() for w, b in layers))


def spectra(filters: Floats, grid: Sequence[int]) -> Complexes:
    """Unnormalised DFT ``(n, C_out, C_in)`` of filters ``(C_out, n, C_in)``."""
    return blocks(operator(filters, grid), grid)


def masked(filters: Floats, kept: NDArray[np.bool_], grid: Sequence[int]) -> Floats:
    """The filters with the frequencies that are kept alone."""
    waves = dft(tuple(grid))
    found = np.einsum("wi,woc->oic", waves.conj(), np.where(kept[:, None, None], spectra(filters, grid), 0.0))
    return np.asarray(found.real / np.sqrt(len(waves)))


def draw_frequencies(rng: np.random.Generator, grid: Sequence[int], *, constant: bool) -> NDArray[np.bool_]:
    """Which frequencies pass, both of each pair; DC does or does not, but for one pixel."""
    n = int(np.prod(grid))
    kept = even(rng.random(n), grid) < 0.5
    kept[0] = constant or n == 1
    if not kept.any():
        kept[1] = kept[
            int(np.flatnonzero(np.abs(dft(tuple(grid))[1].conj() - dft(tuple(grid))).max(axis=1) < 1e-9)[0])
        ] = 1
    return np.asarray(kept)


def draw_maps(rng: np.random.Generator) -> Instance:
    """g and h of one or two layers of random filters; the last of g passes some frequencies, DC among them."""
    grid = draw_grid(rng, max_pixels=6)
    n, channels, inner = int(np.prod(grid)), int(rng.integers(1, 3)), int(rng.integers(1, 4))
    kept = draw_frequencies(rng, grid, constant=True)
    shapes = [(channels, inner)] if rng.random() < 0.5 else [(channels, 2), (2, inner)]
    back = [(inner, 1)] if rng.random() < 0.5 else [(inner, 2), (2, 1)]
    g = [rng.standard_normal((out, n, into)) / np.sqrt(n * into) for into, out in shapes]
    h = [rng.standard_normal((out, n, into)) / np.sqrt(n * into) for into, out in back]
    g[-1] = masked(g[-1], kept, grid)
    return {
        "grid": grid,
        "inner": g,
        "outer": h,
        "inner_biases": [0.3 * rng.standard_normal(len(w)) for w in g],
        "outer_biases": [0.3 * rng.standard_normal(len(w)) for w in h],
        "pooling": draw_pooling(rng, grid, 1)[0],
        "slope": float(rng.choice([0.0, 0.3])),
        "images": in_ball(rng, 6, channels, n),
    }


def in_ball(rng: np.random.Generator, count: int, channels: int, n: int) -> Floats:
    """Images of norm ≤ 1."""
    images = rng.standard_normal((count, channels, n))
    sizes = np.linalg.norm(images.reshape(count, -1), axis=1)[:, None, None]
    return np.asarray(images / sizes * rng.uniform(0, 1, (count, 1, 1)))


def as_network(instance: Instance, part: str) -> CyclicCNN:
    """g or h."""
    grid = tuple(instance["grid"])
    filters = [np.asarray(w).reshape(len(w), *grid, w.shape[-1]) for w in instance[part]]
    biases = [np.asarray(b) for b in instance[f"{part}_biases"]]
    return CyclicCNN(filters, biases, pooling=instance["pooling"].reshape(grid), slope=instance["slope"])


def built_sides(
    instance: Instance, *, pooling_power: float = 2.0, pairs: bool = False, moved: float = 1.0
) -> tuple[Any, Any]:
    """``h(g(x))`` and 0, 1; the built networks' outputs at both depths, and the norm of 8 layers over their cost."""
    g, h = as_network(instance, "inner"), as_network(instance, "outer")
    images, grid = instance["images"], tuple(instance["grid"])
    # g's output reaches h as it is: no activation, no pooling between them
    wanted = evaluate(h, evaluate(g, images))
    networks = [build_bottleneck(g, h, depth=depth, positivity="dc").network for depth in (7, 15)]
    found = [evaluate(network, moved * images) for network in networks]
    product = spectra(layers_of(h)[0][0], grid) @ spectra(layers_of(g)[-1][0], grid)
    singular = np.linalg.svd(product, compute_uv=False)
    ranks = (singular > 1e-10 * singular.max()).sum(axis=-1)
    if pairs:
        ranks = np.where(np.arange(len(ranks)) <= len(ranks) // 2, ranks, 0)
    per_layer = (ranks / np.abs(instance["pooling"]) ** pooling_power).sum()
    more = dense_norm(networks[1]) - dense_norm(networks[0])
    scale = max(float(np.abs(wanted).max()), 1e-3)
    left = np.concatenate([wanted.ravel() / scale, wanted.ravel() / scale, [1.0]])
    return left, np.concatenate([*[f.ravel() / scale for f in found], [more / (8 * per_layer)]])


def draw_linear(rng: np.random.Generator) -> Instance:
    """One layer of random filters that passes some frequencies, DC among them or not."""
    grid = draw_grid(rng, max_pixels=6)
    n, c_in, c_out = int(np.prod(grid)), int(rng.integers(1, 3)), int(rng.integers(1, 3))
    kept = draw_frequencies(rng, grid, constant=rng.random() < 0.5)
    filters = masked(rng.standard_normal((c_out, n, c_in)) / np.sqrt(n * c_in), kept, grid)
    return {"grid": grid, "filters": filters, "images": in_ball(rng, 4, c_in, n)}


def linear_rank_sides(
    instance: Instance, *, pairs: bool = False, channels: bool = True, extra: int = 0
) -> tuple[Any, Any]:
    """Slope of the norm of built ReLU networks in their depth, and their error; rank of the map, and 0."""
    filters, grid = instance["filters"], tuple(instance["grid"])
    found = spectra(filters, grid)
    identity = np.broadcast_to(np.eye(len(filters)), (len(found), len(filters), len(filters)))
    maps = [part.reshape(*grid, *part.shape[1:]) for part in (found, identity + 0j)]
    constant = np.linalg.norm(found[0]) > 1e-10 * np.linalg.norm(found)
    way = "dc" if constant else "biases"
    networks = [build_bottleneck(*maps, depth=depth, positivity=way).network for depth in DEPTHS]
    norms = [dense_norm(network) for network in networks]
    first, second = ((norms[i + 1] - norms[i]) / (DEPTHS[i + 1] - DEPTHS[i]) for i in range(2))
    slope = (4 * second - first) / 3
    images = instance["images"]
    flat = operator(filters, grid) @ images.reshape(len(images), -1, 1)
    wanted = flat.reshape(len(images), len(filters), -1)
    error = np.abs(evaluate(networks[-1], images) - wanted).max() / max(float(np.abs(wanted).max()), 1e-3)
    dense = np.linalg.matrix_rank(operator(filters, grid), tol=1e-10)
    if pairs or not channels:
        ranks = np.linalg.matrix_rank(found, tol=1e-10)
        ranks = ranks[: len(ranks) // 2 + 1] if pairs else (ranks > 0).astype(int)
        dense = ranks.sum()
    return [slope, error], [float(dense + extra), 0.0]


def draw_invertible(rng: np.random.Generator) -> Instance:
    """g and h with leaky activations and square, well-conditioned filters, and a bottleneck of some frequencies."""
    grid, channels = draw_grid(rng, max_pixels=5), int(rng.integers(1, 3))
    n = int(np.prod(grid))
    kept = draw_frequencies(rng, grid, constant=True)
    one = np.zeros((channels, n, channels))
    one[range(channels), 0, range(channels)] = 1.0

    def near_identity() -> Floats:
        return np.asarray(one + 0.2 * rng.standard_normal(one.shape) / np.sqrt(n * channels))

    return {
        "grid": grid,
        "inner": [near_identity(), masked(near_identity(), kept, grid)],
        "outer": [near_identity(), near_identity()],
        "inner_biases": [0.3 * rng.standard_normal(channels) for _ in range(2)],
        "outer_biases": [0.3 * rng.standard_normal(channels) for _ in range(2)],
        "pooling": np.ones(n),
        "slope": 0.3,
        "images": in_ball(rng, 5, channels, n),
    }


def rank_sides(instance: Instance, *, pairs: bool = False, constant: bool = True, extra: int = 0) -> tuple[Any, Any]:
    """The largest rank of Jf, and the slope of the norm of built networks; twice ``Σ_ω k_ω`` of the bottleneck."""
    g, h = as_network(instance, "inner"), as_network(instance, "outer")
    images, grid = instance["images"], tuple(instance["grid"])
    channels, n = images.shape[1:]
    basis = 1e-6 * np.eye(channels * n).reshape(-1, 1, channels, n)
    changes = evaluate(h, evaluate(g, images + basis)) - evaluate(h, evaluate(g, images - basis))
    jacobians = np.moveaxis(changes.reshape(channels * n, len(images), -1), 0, -1) / 2e-6
    lower = max(int(np.linalg.matrix_rank(j, tol=1e-6)) for j in jacobians)
    networks = [build_bottleneck(g, h, depth=depth, positivity="dc").network for depth in (8, 16)]
    slope = (dense_norm(networks[1]) - dense_norm(networks[0])) / 8
    # dimension of span{ĝ(x)_ω}: of the last filter's range, as what it reads spans everything
    ranks = np.linalg.matrix_rank(spectra(layers_of(g)[-1][0], grid), tol=1e-10)
    if pairs:
        ranks = ranks[: len(ranks) // 2 + 1]
    total = float(ranks[0 if constant else 1 :].sum()) + extra
    return [lower, slope], [total, total]


PAIRS = {"ω and -ω counted once": {"pairs": True}}

CONSTRUCTION_CLAIMS = (
    Claim(
        id="bottleneck-construction",
        title="Any depth through a bottleneck",
        statement=(
            "f = h∘g is a network of any depth, ‖θ‖² = L Σ_ω |m_ω|^{-2} k_ω + const, k_ω the rank of h's first filter "
            "after g's last"
        ),
        source=RECONSTRUCTED,
        hypotheses=("k_0 ≥ 1", "‖x‖ ≤ 1", "leaky ReLU, any pooling"),
        expected=Outcome.NOT_REFUTED,
        mutants={
            "|m|^{-1} for |m|^{-2}": {"pooling_power": 1.0},
            "exponent of m 1% off": {"pooling_power": 2.02},
            "another point of the ball": {"moved": 0.9},
            **PAIRS,
        },
        tolerance=1e-8,
        tolerance_reason="15 layers whose offsets are ≤ 1e3 of the outputs, in float64: 15·1e3·1e-15 ≈ 1e-11",
        draw=draw_maps,
        sides=built_sides,
        distance=absolute_distance,
        quantity="output, or norm of eight more layers over theirs,",
        max_instances=40,
    ),
    Claim(
        id="linear-rank",
        title="The bottleneck rank of a linear map is its rank",
        statement="R⁽⁰⁾ = Rank_CBN = Σ_ω rank â_ω for f(x) = a ∗ x on a set with an interior, M = I",
        source=RECONSTRUCTED,
        hypotheses=("one layer, M = I, ReLU", "‖x‖ ≤ 1; positivity by biases where DC is empty"),
        expected=Outcome.NOT_REFUTED,
        mutants={**PAIRS, "one more": {"extra": 1}, "frequencies, not dimensions": {"channels": False}},
        tolerance=2e-2,
        tolerance_reason="biases of size 1/l leave c/L + c'/L³ + .. of the norm, of 8 to 32 layers: 0.003 seen",
        draw=draw_linear,
        sides=linear_rank_sides,
        distance=absolute_distance,
        quantity="slope of ‖θ‖² in L",
        max_instances=30,
    ),
    Claim(
        id="cost-is-the-rank",
        title="The cost per layer is the bottleneck rank",
        statement="R⁽⁰⁾(f) = Rank_CBN(f)",
        source="Wen & Jacot's open conjecture, reconstructed: the paper's own formula was not available",
        hypotheses=(
            "only maps f = h∘g for which both sides are known are tried: M = I, leaky activations, invertible filters "
            "but for the last of g; max_x rank Jf(x) ≤ R⁽⁰⁾, Rank_CBN ≤ Σ k_ω(g), and the two ends are found equal",
        ),
        expected=Outcome.NOT_REFUTED,
        kind=Kind.CONJECTURE,
        mutants={**PAIRS, "DC not counted": {"constant": False}, "one more": {"extra": 1}},
        tolerance=1e-6,
        tolerance_reason="whole numbers, and a slope of norms from 8 to 16 layers, exact where k_0 ≥ 1: 1e-12·‖θ‖²",
        draw=draw_invertible,
        sides=rank_sides,
        distance=absolute_distance,
        quantity="rank of Jf, or slope of ‖θ‖² in L:",
        max_instances=40,
    ),
)
