"""Whether the papers are right: every statement a claim that is tried, with verdict, evidence and witness."""

from __future__ import annotations

from proofs_check.cbn import (
    CyclicCNN,
    bottleneck_gap,
    build_bottleneck,
    cost_expansion,
    lower_bound,
    representation_cost,
)
from proofs_check.checking import check
from proofs_check.claim import Claim, Kind
from proofs_check.claims import claims, get
from proofs_check.verdict import Outcome, Verdict, Witness

__all__ = [
    "Claim",
    "CyclicCNN",
    "Kind",
    "Outcome",
    "Verdict",
    "Witness",
    "bottleneck_gap",
    "build_bottleneck",
    "check",
    "claims",
    "cost_expansion",
    "get",
    "lower_bound",
    "representation_cost",
]
