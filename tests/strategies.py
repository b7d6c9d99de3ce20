"""Hypothesis strategies: small integers and a seed are drawn, the arrays are built with numpy inside."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

Array = NDArray[np.float64]

# Odd, even, mixed, non-square, one row, one column, one pixel.
SHAPES = [(1, 1), (1, 2), (1, 5), (2, 2), (3, 3), (2, 3), (4, 3), (3, 4), (4, 4), (5, 1), (6, 4)]
KINDS = ["coherent", "incoherent", "deficient", "tied"]
DEGENERATE = [*KINDS, "centred", "simplex"]
"""The same, and statistics with null modes that the modes form holds."""

shapes = st.sampled_from(SHAPES)
seeds = st.integers(0, 2**20)
channels = st.integers(1, 3)
outputs = st.integers(1, 4)


@dataclass(frozen=True)
class DataSet:
    """Images ``(N, C, H, W)``, targets ``(N, K)``, and what was asked for."""

    images: Array
    targets: Array
    kind: str
    seed: int

    @property
    def image_shape(self) -> tuple[int, int, int]:
        c, h, w = self.images.shape[1:]
        return c, h, w

    @property
    def n_outputs(self) -> int:
        return self.targets.shape[1]


def make_data(kind: str, image_shape: tuple[int, int, int], n_outputs: int, seed: int) -> DataSet:
    """A data set of the kind: ``coherent`` (all images of a class equal, classes of one size), ``incoherent``
    (nothing special, real targets), ``deficient`` (one column of targets the negative sum of the others, so Σ^yx loses
    a rank; at least two outputs), ``tied`` (orthonormal class images: equal singular values), ``centred`` (coherent
    less their mean: a null mode) and ``simplex`` (centred and tied; both have at least two outputs).
    """
    rng = np.random.default_rng(seed)
    size = int(np.prod(image_shape))
    if kind not in ("incoherent", "deficient"):
        n_outputs = max(n_outputs, 2) if kind in ("centred", "simplex") else n_outputs
        n_outputs = min(n_outputs, size + (kind == "simplex")) if kind != "centred" else n_outputs
        classes = _class_images(kind, n_outputs, size, rng)
        repeats = int(rng.integers(1, 4))
        images, targets = np.repeat(classes, repeats, axis=0), np.repeat(np.eye(n_outputs), repeats, axis=0)
    else:
        n_outputs = max(n_outputs, 2) if kind == "deficient" else n_outputs
        n = int(rng.integers(n_outputs + 1, n_outputs + 8))
        images, targets = rng.standard_normal((n, size)), rng.standard_normal((n, n_outputs))
        if kind == "deficient":
            targets[:, -1] = -targets[:, :-1].sum(axis=1)
    return DataSet(images.reshape(-1, *image_shape), targets, kind, seed)


def _class_images(kind: str, n_classes: int, size: int, rng: np.random.Generator) -> Array:
    """``(K, size)``; the vertices of a simplex span one dimension less than there are classes."""
    x = rng.standard_normal((size, n_classes))
    if kind == "simplex":
        corners = np.linalg.svd(np.eye(n_classes) - 1.0 / n_classes)[0][:, : n_classes - 1]
        return corners @ np.linalg.qr(x[:, 1:])[0].T
    if kind == "tied":
        return np.linalg.qr(x)[0].T
    return (x - x.mean(axis=1, keepdims=True) if kind == "centred" else x).T


@st.composite
def data_sets(draw: st.DrawFn, kinds: tuple[str, ...] = tuple(KINDS)) -> DataSet:
    """A small data set of any shape, channels, outputs and kind."""
    h, w = draw(shapes)
    return make_data(draw(st.sampled_from(kinds)), (draw(channels), h, w), draw(outputs), draw(seeds))


def hidden_widths(depth: int) -> st.SearchStrategy[tuple[int, ...]]:
    """Widths of the depth - 1 hidden layers."""
    return st.tuples(*[st.integers(1, 3)] * (depth - 1))


@st.composite
def wide_data_sets(draw: st.DrawFn) -> DataSet:
    """Up to four channels, any spectrum: null modes and repeated singular values too."""
    h, w = draw(shapes)
    return make_data(draw(st.sampled_from(DEGENERATE)), (draw(st.integers(1, 4)), h, w), draw(outputs), draw(seeds))


wide_widths = st.lists(st.integers(1, 4), min_size=0, max_size=4).map(tuple)
"""Of networks of one to five layers."""

depths = st.integers(1, 4)
widths = depths.flatmap(hidden_widths)


def random_weights(
    kind: str, image_shape: tuple[int, int, int], hidden: tuple[int, ...], n_outputs: int, seed: int, scale: float = 0.5
) -> list[Array]:
    """Normal weights of a ``"cnn"`` or ``"fcn"``, layer 1 first."""
    rng = np.random.default_rng(seed)
    c, h, w = image_shape
    if kind == "cnn":
        ends = (c, *hidden, n_outputs)
        sizes: list[tuple[int, ...]] = [(o, h, w, i) for i, o in pairwise(ends)]
    else:
        ends = (c * h * w, *hidden, n_outputs)
        sizes = [(o, i) for i, o in pairwise(ends)]
    return [scale * rng.standard_normal(size) for size in sizes]
