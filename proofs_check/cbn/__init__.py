"""The bottleneck of cyclic convolutional networks: cost, lower bounds, and what almost minimal weights look like."""

from __future__ import annotations

from proofs_check.cbn.activations import ActivationBound, activation_bound
from proofs_check.cbn.balancing import balance
from proofs_check.cbn.bounds import LowerBound, lower_bound
from proofs_check.cbn.conjecture import ConjectureSearch, search_counterexample
from proofs_check.cbn.construction import Bottleneck, build_bottleneck
from proofs_check.cbn.cost import CostExpansion, cost_expansion, linear_network, representation_cost
from proofs_check.cbn.curvature import hessian_product, loss_gradient, sharpness, training_loss
from proofs_check.cbn.deepening import deepen
from proofs_check.cbn.downsampling import Downsampling, can_downsample, interpolate, polyphase
from proofs_check.cbn.gap import BottleneckGap, bottleneck_gap
from proofs_check.cbn.network import CyclicCNN, NtkTrace
from proofs_check.cbn.pooling import pooling_eigenvalues
from proofs_check.cbn.rank import BottleneckRank, cbn_rank
from proofs_check.cbn.two_frequencies import TwoFrequencyFactorization, two_frequency_factorization
from proofs_check.cbn.winding import WindingCode, winding_code

__all__ = [
    "ActivationBound",
    "Bottleneck",
    "BottleneckGap",
    "BottleneckRank",
    "ConjectureSearch",
    "CostExpansion",
    "CyclicCNN",
    "Downsampling",
    "LowerBound",
    "NtkTrace",
    "TwoFrequencyFactorization",
    "WindingCode",
    "activation_bound",
    "balance",
    "bottleneck_gap",
    "build_bottleneck",
    "can_downsample",
    "cbn_rank",
    "cost_expansion",
    "deepen",
    "hessian_product",
    "interpolate",
    "linear_network",
    "loss_gradient",
    "lower_bound",
    "polyphase",
    "pooling_eigenvalues",
    "representation_cost",
    "search_counterexample",
    "sharpness",
    "training_loss",
    "two_frequency_factorization",
    "winding_code",
]
