"""The ledger's claims, one file for each subject, and how to find one."""

from __future__ import annotations

import difflib
from functools import lru_cache

from lineardyn.errors import ArgumentError
from proofs_check.claim import Claim

__all__ = ["claims", "get"]


@lru_cache(maxsize=1)
def claims() -> tuple[Claim, ...]:
    """Every registered claim, in the order of the ledger.

    >>> "E1" in [claim.id for claim in claims()]
    True
    """
    from proofs_check.claims.alignment import ALIGNMENT_CLAIMS
    from proofs_check.claims.araki_lieb_thirring import ALT_CLAIMS
    from proofs_check.claims.bottleneck import BOTTLENECK_CLAIMS
    from proofs_check.claims.clocks import CLOCK_CLAIMS
    from proofs_check.claims.cosine_laws import COSINE_LAW_CLAIMS
    from proofs_check.claims.cosines import COSINE_CLAIMS
    from proofs_check.claims.deep import DEEP_CLAIMS
    from proofs_check.claims.discrete import DISCRETE_CLAIMS
    from proofs_check.claims.dynamics import DYNAMICS_CLAIMS
    from proofs_check.claims.equivalence import EQUIVALENCE_CLAIMS
    from proofs_check.claims.errata import ERRATA
    from proofs_check.claims.factorisations import FACTOR_CLAIMS
    from proofs_check.claims.fourier import FOURIER_CLAIMS
    from proofs_check.claims.frameworks import FRAMEWORK_CLAIMS
    from proofs_check.claims.frequencies import FREQUENCY_CLAIMS
    from proofs_check.claims.holder import HOELDER_CLAIMS
    from proofs_check.claims.networks import NETWORK_CLAIMS
    from proofs_check.claims.norms import NORM_CLAIMS
    from proofs_check.claims.penalties import PENALTY_CLAIMS
    from proofs_check.claims.right_hand_side import RIGHT_HAND_SIDE_CLAIMS
    from proofs_check.claims.shrinkage import SHRINKAGE_CLAIMS
    from proofs_check.claims.spectra import SPECTRA_CLAIMS
    from proofs_check.claims.stability import STABILITY_CLAIMS
    from proofs_check.claims.statistics import STATISTICS_CLAIMS
    from proofs_check.claims.stiffness import STIFFNESS_CLAIMS
    from proofs_check.claims.sums import SUM_CLAIMS
    from proofs_check.claims.two_layers import TWO_LAYER_CLAIMS
    from proofs_check.claims.winding import WINDING_CLAIMS
    from proofs_check.claims.winners import WINNER_CLAIMS

    return (
        *FOURIER_CLAIMS,
        *SPECTRA_CLAIMS,
        *FRAMEWORK_CLAIMS,
        *NETWORK_CLAIMS,
        *RIGHT_HAND_SIDE_CLAIMS,
        *STATISTICS_CLAIMS,
        *DYNAMICS_CLAIMS,
        *TWO_LAYER_CLAIMS,
        *FREQUENCY_CLAIMS,
        *COSINE_CLAIMS,
        *COSINE_LAW_CLAIMS,
        *DISCRETE_CLAIMS,
        *STABILITY_CLAIMS,
        *STIFFNESS_CLAIMS,
        *CLOCK_CLAIMS,
        *WINNER_CLAIMS,
        *SUM_CLAIMS,
        *NORM_CLAIMS,
        *ALIGNMENT_CLAIMS,
        *DEEP_CLAIMS,
        *PENALTY_CLAIMS,
        *SHRINKAGE_CLAIMS,
        *FACTOR_CLAIMS,
        *EQUIVALENCE_CLAIMS,
        *HOELDER_CLAIMS,
        *ALT_CLAIMS,
        *BOTTLENECK_CLAIMS,
        *WINDING_CLAIMS,
        *ERRATA,
    )


def get(claim: Claim | str) -> Claim:
    """Return the claim of this id (upper or lower case), or the claim itself.

    Raises
    ------
    ArgumentError
        No claim has this id; the text suggests the nearest one.
    """
    if isinstance(claim, Claim):
        return claim
    by_id = {known.id.lower(): known for known in claims()}
    if isinstance(claim, str) and claim.lower() in by_id:
        return by_id[claim.lower()]
    near = difflib.get_close_matches(str(claim).lower(), list(by_id), n=1, cutoff=0.5)
    hint = f"did you mean {by_id[near[0]].id!r}?" if near else "proofs_check.claims() lists them all"
    raise ArgumentError(f"claim is {claim!r}, expected the id of a registered claim: {hint}")
