"""No true claim is refuted by round-off: ten thousand instances of each cheap one, a million in the deep profile.

    HYPOTHESIS_PROFILE=deep python -m pytest tests/proofs_check/test_false_refutations.py

takes hours: a campaign with its own seed for each claim, over as many processes as there are cores. With
LINEARDYN_CAMPAIGN=FILE it goes on where it was interrupted.
"""

from __future__ import annotations

import os
import zlib

import pytest

from proofs_check import Outcome, campaign, claims, get

DEEP = os.environ.get("HYPOTHESIS_PROFILE") == "deep"
BATCHED, SINGLE = (10**6, 10**6) if DEEP else (10**4, 200)
CHEAP = [c.id for c in claims() if c.expected is Outcome.NOT_REFUTED and (c.batched or c.max_instances is None)]


@pytest.mark.parametrize("claim_id", CHEAP)
def test_round_off_refutes_nothing(claim_id):
    claim = get(claim_id)
    n = BATCHED if claim.batched else SINGLE
    store = os.environ.get("LINEARDYN_CAMPAIGN") if DEEP else None
    row = campaign(
        [claim], n=n, rng=zlib.crc32(b"false refutations"), dear=True, store=store,
        executor=f"processes:{os.cpu_count()}" if DEEP else None, progress=DEEP,
    )[claim_id]  # fmt: skip
    assert row.outcome is Outcome.NOT_REFUTED, f"{row.reason}; {row.witness().text}"
    assert row.n == n
