"""Whether the papers are right: every statement a claim that is tried, with verdict, evidence and witness."""

from __future__ import annotations

from proofs_check.checking import check
from proofs_check.claim import Claim, Kind
from proofs_check.claims import claims, get
from proofs_check.symbolic import check_symbolic
from proofs_check.verdict import Outcome, Verdict, Witness

__all__ = ["Claim", "Kind", "Outcome", "Verdict", "Witness", "check", "check_symbolic", "claims", "get"]
