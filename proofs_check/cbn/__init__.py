"""The bottleneck of cyclic convolutional networks: cost, lower bounds, and what almost minimal weights look like."""

from __future__ import annotations

from proofs_check.cbn.bounds import LowerBound, lower_bound
from proofs_check.cbn.cost import CostExpansion, cost_expansion, linear_network, representation_cost
from proofs_check.cbn.gap import BottleneckGap, bottleneck_gap
from proofs_check.cbn.network import CyclicCNN, NtkTrace
from proofs_check.cbn.pooling import pooling_eigenvalues

__all__ = [
    "BottleneckGap",
    "CostExpansion",
    "CyclicCNN",
    "LowerBound",
    "NtkTrace",
    "bottleneck_gap",
    "cost_expansion",
    "linear_network",
    "lower_bound",
    "pooling_eigenvalues",
    "representation_cost",
]
