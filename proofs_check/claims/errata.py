"""The printed statements that are wrong: each is to be refuted, by the same code that does not refute the correction.

An erratum shares ``sides`` with its corrected claim and differs in the formula alone, so that a fault of the checker
would show in the corrected claim.
"""

from __future__ import annotations

from proofs_check.claim import Claim, absolute_distance
from proofs_check.claims.fourier import (
    ONE_BY_THREE,
    ONE_BY_TWO,
    ROUND_OFF,
    ROUND_OFF_REASON,
    TWO_BY_TWO,
    convolution_sides,
    draw_kernel_and_image,
    parseval_sides,
)
from proofs_check.verdict import Outcome

__all__ = ["ERRATA"]

ERRATA = (
    Claim(
        id="E1",
        title="Convolution theorem without √P",
        statement="(w ∗ x)^_f = ŵ_f x̂_f, with the unitary DFT",
        source="Godfrey et al. eq 3.7, as printed",
        hypotheses=("circular convolution, kernel as large as the image", "unitary DFT over the spatial axes"),
        expected=Outcome.REFUTED,
        mutants={"P for √P": {"power_of_p": 1.0}, "conj(ŵ) for ŵ": {"conjugate": True}},
        tolerance=ROUND_OFF,
        tolerance_reason=ROUND_OFF_REASON,
        draw=draw_kernel_and_image,
        sides=convolution_sides,
        formula={"power_of_p": 0.0},
        quantity="(w∗x)^_f",
        smallest=(ONE_BY_TWO, ONE_BY_THREE, TWO_BY_TWO),
        counterpart="convolution-theorem",
    ),
    Claim(
        id="E2",
        title="Dot product in Fourier space without the conjugate",
        statement="Σ w x = Σ_f ŵ_f x̂_f",
        source="Godfrey et al. eq 3.8, as printed",
        hypotheses=("unitary DFT over the spatial axes",),
        expected=Outcome.REFUTED,
        mutants={"factor √P": {"factor_power": 0.5}, "factor 1/P": {"factor_power": -1.0}},
        tolerance=ROUND_OFF,
        tolerance_reason=ROUND_OFF_REASON + "; relative to ‖w‖‖x‖, as the sum itself may cancel",
        draw=draw_kernel_and_image,
        sides=parseval_sides,
        distance=absolute_distance,
        formula={"conjugate": False},
        quantity="⟨w, x⟩/(‖w‖‖x‖)",
        smallest=(ONE_BY_THREE, ONE_BY_TWO, TWO_BY_TWO),
        counterpart="parseval",
    ),
)
