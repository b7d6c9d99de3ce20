"""The claims about the bottleneck of cyclic networks (theory, section 4), in the order of the theory."""

from __future__ import annotations

from proofs_check.claims.bottleneck_bounds import BOUND_CLAIMS
from proofs_check.claims.bottleneck_construction import CONSTRUCTION_CLAIMS
from proofs_check.claims.bottleneck_cost import COST_CLAIMS
from proofs_check.claims.bottleneck_kinks import KINK_CLAIMS
from proofs_check.claims.bottleneck_samples import SAMPLE_CLAIMS
from proofs_check.claims.downsampling import DOWNSAMPLING_CLAIMS
from proofs_check.claims.large_steps import STEP_CLAIMS

__all__ = ["BOTTLENECK_CLAIMS"]

BOTTLENECK_CLAIMS = (
    *COST_CLAIMS,
    *BOUND_CLAIMS,
    *KINK_CLAIMS,
    *CONSTRUCTION_CLAIMS,
    *SAMPLE_CLAIMS,
    *STEP_CLAIMS,
    *DOWNSAMPLING_CLAIMS,
)
