"""Whether the papers are right: every statement a claim that is tried, with verdict, evidence and witness."""

from __future__ import annotations

from proofs_check.adversary import attack
from proofs_check.campaigns import Ledger, campaign
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
from proofs_check.symbolic import check_symbolic
from proofs_check.verdict import Outcome, Verdict, Witness

__all__ = [
    "Claim",
    "CyclicCNN",
    "Kind",
    "Ledger",
    "Outcome",
    "Verdict",
    "Witness",
    "attack",
    "bottleneck_gap",
    "build_bottleneck",
    "campaign",
    "check",
    "check_symbolic",
    "claims",
    "cost_expansion",
    "get",
    "lower_bound",
    "representation_cost",
]
