"""The bottleneck of cyclic convolutional networks: cost, lower bounds, and what almost minimal weights look like."""

from __future__ import annotations

from proofs_check.cbn.activations import ActivationBound, activation_bound
from proofs_check.cbn.bounds import LowerBound, lower_bound
from proofs_check.cbn.cost import CostExpansion, cost_expansion, linear_network, representation_cost
from proofs_check.cbn.curvature import hessian_product, loss_gradient, sharpness, training_loss
from proofs_check.cbn.gap import BottleneckGap, bottleneck_gap
from proofs_check.cbn.network import CyclicCNN, NtkTrace
from proofs_check.cbn.pooling import pooling_eigenvalues

__all__ = [
    "ActivationBound",
    "BottleneckGap",
    "CostExpansion",
    "CyclicCNN",
    "LowerBound",
    "NtkTrace",
    "activation_bound",
    "bottleneck_gap",
    "cost_expansion",
    "hessian_product",
    "linear_network",
    "loss_gradient",
    "lower_bound",
    "pooling_eigenvalues",
    "representation_cost",
    "sharpness",
    "training_loss",
]
