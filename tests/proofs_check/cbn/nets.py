"""Random cyclic networks and poolings for the tests: grids odd, even, non-square, one pixel; pooling of either sign."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from proofs_check.cbn import CyclicCNN, pooling_eigenvalues

GRIDS = [(1,), (2,), (3,), (6,), (1, 1), (1, 4), (4, 1), (3, 2), (2, 4)]
SLOPES = [0.0, 0.3, -0.5, 1.0]
POOLINGS = ["none", "global", "local", "any", "signed"]


def negated(grid):
    """Flat index of the conjugate frequency, by definition."""
    places = np.indices(grid).reshape(len(grid), -1).T
    return np.ravel_multi_index(tuple(((-places) % np.array(grid)).T), grid)


def make_pooling(kind, grid, rng):
    """Eigenvalues of the kind; ``any`` and ``signed`` are even and otherwise random."""
    if kind in ("none", "global", "local"):
        return pooling_eigenvalues(grid, kind, 0.3)
    m = rng.uniform(0.2, 1.0, int(np.prod(grid)))
    if kind == "signed":
        m *= rng.choice([-1.0, 1.0], m.shape)
    m = np.where(np.arange(m.size) <= negated(grid), m, m[negated(grid)])
    m[0] = 1.0
    return m.reshape(grid)


def make_net(seed, grid=(6,), slope=0.0, pooling="none", depth=3, stride=1, scale=1.0):
    """Random widths up to 3, biases of 0.3."""
    rng = np.random.default_rng(seed)
    widths = [int(c) for c in rng.integers(1, 4, depth + 1)]
    m = make_pooling(pooling, tuple(side // stride for side in grid), rng)
    return CyclicCNN.random(
        grid, widths, rng=rng, slope=slope, pooling=m, scale=scale, bias_scale=0.3 * scale, stride=stride
    )


def image_away_from_kinks(net, seed, constant=False):
    """Of 30 random images the one that is farthest from all kinks."""
    rng = np.random.default_rng(seed)
    images = rng.standard_normal((30, net.widths[0], *((1,) * len(net.grid) if constant else net.grid)))
    images = np.ascontiguousarray(np.broadcast_to(images, (30, net.widths[0], *net.grid)))
    return images[int(np.argmax(net.kinks(images)))]


@st.composite
def nets(draw, strided=True, largest=8, deepest=4):
    """A network of any grid, depth, slope and pooling; strided now and then."""
    grid = draw(st.sampled_from([grid for grid in GRIDS if np.prod(grid) <= largest]))
    depth = draw(st.integers(1, deepest))
    even = all(side % 2 == 0 for side in grid)
    stride = draw(st.sampled_from([1, 2])) if strided and depth > 1 and even else 1
    return make_net(
        draw(st.integers(0, 2**20)),
        grid,
        draw(st.sampled_from(SLOPES)),
        draw(st.sampled_from(POOLINGS)),
        depth,
        stride,
    )
