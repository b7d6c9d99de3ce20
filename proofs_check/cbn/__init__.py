"""The bottleneck of cyclic convolutional networks: cost, lower bounds, and what almost minimal weights look like."""

from __future__ import annotations

from proofs_check.cbn.network import CyclicCNN, NtkTrace
from proofs_check.cbn.pooling import pooling_eigenvalues

__all__ = ["CyclicCNN", "NtkTrace", "pooling_eigenvalues"]
