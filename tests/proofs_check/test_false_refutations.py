"""No true claim is refuted by round-off: ten thousand instances of each cheap one, a million in the deep profile.

    HYPOTHESIS_PROFILE=deep python -m pytest tests/proofs_check/test_false_refutations.py

takes hours: a campaign for each claim, over as many processes as there are cores. With LINEARDYN_CAMPAIGN=FILE it goes
on where it was interrupted.
"""

from __future__ import annotations

import os

import pytest

from proofs_check import Claim, Outcome, campaign, claims, get

DEEP = os.environ.get("HYPOTHESIS_PROFILE") == "deep"
SEED = 20_261_129

CHEAP = {
    "convolution-theorem", "parseval", "circulant-diagonalisation", "real-spectrum", "inverse-transform",
    "shift-theorem", "even-image", "correlation", "padding-same", "effective-predictor", "parameter-norm",
    "loss-from-moments", "residual", "balance-identity", "prox-beats-every-point", "prox-stationarity", "prox-jump",
    "prox-small-threshold", "zero-is-a-local-minimum", "balance-of-a-frequency", "still-frequencies",
}  # fmt: skip
"""Batched, and at 20,000 instances a second and core or more."""

TRIED = [c.id for c in claims() if c.expected is Outcome.NOT_REFUTED and (c.batched or c.max_instances is None)]


def instances(claim: Claim) -> int:
    if DEEP:
        return 10**6
    return 10**4 if claim.id in CHEAP and claim.batched else 500 if claim.batched else 40


@pytest.mark.parametrize("claim_id", TRIED)
def test_round_off_refutes_nothing(claim_id):
    claim = get(claim_id)
    row = campaign(
        [claim], n=instances(claim), rng=SEED, dear=True, store=os.environ.get("LINEARDYN_CAMPAIGN") if DEEP else None,
        executor=f"processes:{os.cpu_count()}" if DEEP else None, progress=DEEP,
    )[claim_id]  # fmt: skip
    assert row.outcome is Outcome.NOT_REFUTED, f"{row.reason}; {row.witness().text}"
    assert row.n == instances(claim)
