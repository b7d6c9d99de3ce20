"""Numba's compilation as a step of its own: tiny problems with the methods that the report uses, and no others."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from lineardyn import LinearCNN, LinearFCN, SecondMoments, gradient_descent, gradient_flow

__all__ = ["N_PARTS", "compile_kernels"]

N_PARTS = 4


def compile_kernels(advance: Callable[[], None]) -> None:
    """Compile (or read from the cache) integration by tsit5, dop853 and RKC, and both kinds of descent."""
    images = np.random.default_rng(0).standard_normal((4, 1, 2, 2))
    labels = np.array([0, 1, 0, 1])
    dense = SecondMoments.from_data(images, labels, form="dense")
    samples = SecondMoments.from_data(images, labels, form="samples")
    for network in (LinearCNN((1, 2, 2), n_outputs=2), LinearFCN((1, 2, 2), widths=(2,), n_outputs=2)):
        start = network.init_small(0.1, rng=0)
        for method in ("dop853", "tsit5", "rkc"):
            gradient_flow(network, dense, start, [0.0, 0.01], method=method)
        advance()
        gradient_descent(network, dense, start, learning_rate=0.01, n_steps=1)
        gradient_descent(network, samples, start, learning_rate=0.01, n_steps=1, batch_size=1, rng=0)
        advance()
