"""Numba's compilation as a step of its own: tiny problems with the methods that the report uses, and no others."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from lineardyn import LinearCNN, LinearFCN, SecondMoments, gradient_descent, gradient_flow
from lineardyn.data import planted_modes
from proofs_check.checking import check
from proofs_check.claims import claims

__all__ = ["compile_kernels", "n_parts"]


def n_parts() -> int:
    """How often :func:`compile_kernels` advances its bar."""
    return 4 + len(claims())


def compile_kernels(advance: Callable[[], None]) -> None:
    """Compile (or read from the cache) integration by each method, both kinds of descent, the claims' own."""
    images = np.random.default_rng(0).standard_normal((4, 1, 2, 2))
    labels = np.array([0, 1, 0, 1])
    dense = SecondMoments.from_data(images, labels, form="dense")
    samples = SecondMoments.from_data(images, labels, form="samples")
    for network in (LinearCNN((1, 2, 2), n_outputs=2), LinearFCN((1, 2, 2), widths=(2,), n_outputs=2)):
        start = network.init_small(0.1, rng=0)
        for method in ("dop853", "rkc"):
            gradient_flow(network, dense, start, [0.0, 0.01], method=method)
        advance()
        gradient_descent(network, dense, start, learning_rate=0.01, n_steps=1)
        gradient_descent(network, samples, start, learning_rate=0.01, n_steps=1, batch_size=1, rng=0)
        advance()
    _compile_screening()
    for claim in claims():
        check(claim, n=1, rng=0)
        advance()


def _compile_screening() -> None:
    """A stiff flow, on which ``method="auto"`` goes over to RKC for the frequencies that matter."""
    moments = SecondMoments.from_data(*planted_modes((4, 4), [16.0, 1.0], rng=0))
    network = LinearCNN((1, 4, 4), n_outputs=2)
    gradient_flow(network, moments, network.init_small(1e-3, rng=0), [20.0], rtol=1e-3)
