"""Rooted trees, and what they ask of a Runge-Kutta method [Hairer, Nørsett, Wanner, Solving ODEs I, II.2].

A tree is the sorted tuple of its branches. A method with stages k_j has order p if ``Σ_j b_j Φ_j = 1/γ`` for all trees
of up to p nodes, and an interpolant ``Σ_j b_j(θ) k_j`` if the sum is ``θ^|tree| / γ``.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from itertools import combinations_with_replacement

import numpy as np
from numpy.typing import NDArray

Tree = tuple["Tree", ...]
Floats = NDArray[np.float64]


@cache
def trees(n: int) -> list[Tree]:
    """All trees of n nodes: 1, 1, 2, 4, 9, 20, 48, .."""
    return [tuple(sorted(forest)) for forest in _forests(n - 1, n - 1)]


def _forests(n: int, largest: int) -> Iterator[Tree]:
    """Bundles of trees of n nodes in all, none of them with more than ``largest``."""
    if n == 0:
        yield ()
        return
    for size in range(min(n, largest), 0, -1):
        for count in range(1, n // size + 1):
            for bundle in combinations_with_replacement(trees(size), count):
                for rest in _forests(n - size * count, size - 1):
                    yield bundle + rest


@cache
def nodes(tree: Tree) -> int:
    return 1 + sum(map(nodes, tree))


def density(tree: Tree) -> int:
    """γ."""
    return nodes(tree) * int(np.prod([density(branch) for branch in tree], dtype=np.int64))


def elementary_weights(tree: Tree, table: Floats) -> Floats:
    """``Φ_j`` for each stage j."""
    weights = np.ones(len(table))
    for branch in tree:
        weights = weights * (table @ elementary_weights(branch, table))
    return weights


def conditions(table: Floats, order: int) -> tuple[Floats, Floats, NDArray[np.int64]]:
    """``Φ (trees, stages)``, ``1/γ`` and the number of nodes of each tree up to ``order``."""
    every = [tree for n in range(1, order + 1) for tree in trees(n)]
    weights = np.array([elementary_weights(tree, table) for tree in every])
    return weights, 1.0 / np.array([density(tree) for tree in every]), np.array([nodes(tree) for tree in every])


def free_interpolant(table: Floats, n_main: int, hermite: Floats, order: int) -> Floats:
    """Weights ``(3, stages)`` of ``θ²(1-θ)²``, ``.. θ``, ``.. θ²`` beside Hermite's cubic: all trees up to ``order``,
    and those of one node more in the sense of least squares; of all such weights the smallest.
    """
    weights, targets, sizes = conditions(table, order + 1)
    degree = hermite.shape[1] + 3
    wanted = np.zeros((len(targets), degree + 1))
    wanted[np.arange(len(targets)), sizes - 1] = targets
    cubic = np.pad(hermite, ((0, 0), (0, degree + 1 - hermite.shape[1])))
    shapes = np.zeros((3, degree + 1))
    for power in range(3):
        shapes[power, 1 + power : 4 + power] = (1.0, -2.0, 1.0)
    heavy = np.where(sizes <= order, 1e7, 1.0)[:, None]
    used = [j for j in range(n_main + 1) if table[n_main, j] != 0.0 or j == n_main]
    matrix = np.kron(weights[:, used] * heavy, shapes.T)
    solution = np.linalg.lstsq(matrix, ((wanted - weights @ cubic) * heavy).ravel(), rcond=1e-12)[0]
    found = np.zeros((3, len(table)))
    found[:, used] = solution.reshape(-1, 3).T
    return found
