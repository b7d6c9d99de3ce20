"""The printed statements that are wrong: each is to be refuted, by the same code that does not refute the correction.

An erratum shares ``sides`` with its corrected claim and differs in the formula alone, so that a fault of the checker
would show in the corrected claim.
"""

from __future__ import annotations

from proofs_check.claim import Claim, Kind, absolute_distance
from proofs_check.claims.arithmetic import exactly
from proofs_check.claims.cosines import ALTERNATING, DELAY_REASON, delay_form, delay_sides
from proofs_check.claims.fourier import (
    CORNERS,
    KERNEL_CASES,
    ONE_BY_THREE,
    ONE_BY_TWO,
    ROUND_OFF,
    ROUND_OFF_REASON,
    TWO_BY_TWO,
    convolution_sides,
    draw_kernel_and_image,
    parseval_sides,
)
from proofs_check.claims.pixel_space import draw_cosines
from proofs_check.claims.statistics import (
    ORTHONORMAL,
    SPECTRUM_REASON,
    coherent_spectrum_sides,
    draw_coherent_classes,
)
from proofs_check.claims.statistics_exact import coherent_spectrum_exactly
from proofs_check.claims.sums import NORM_REASON, TWO_PIXELS, draw_for_norm, minimal_norm_sides, norm_form
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
        kind=Kind.ERRATUM,
        mutants={"P for √P": {"power_of_p": 1.0}, "conj(ŵ) for ŵ": {"conjugate": True}},
        tolerance=ROUND_OFF,
        tolerance_reason=ROUND_OFF_REASON,
        draw=draw_kernel_and_image,
        sides=convolution_sides,
        distance=absolute_distance,
        formula={"power_of_p": 0.0},
        quantity="(w∗x)^_f/(‖w‖‖x‖)",
        smallest=CORNERS,
        counterpart="convolution-theorem",
        batched=True,
        attacked=("kernel", "image"),
        symbolic=exactly(convolution_sides, *KERNEL_CASES),
    ),
    Claim(
        id="E2",
        title="Dot product in Fourier space without the conjugate",
        statement="Σ w x = Σ_f ŵ_f x̂_f",
        source="Godfrey et al. eq 3.8, as printed",
        hypotheses=("unitary DFT over the spatial axes",),
        expected=Outcome.REFUTED,
        kind=Kind.ERRATUM,
        mutants={"factor √P": {"factor_power": 0.5}, "factor 1/P": {"factor_power": -1.0}},
        tolerance=ROUND_OFF,
        tolerance_reason=ROUND_OFF_REASON,
        draw=draw_kernel_and_image,
        sides=parseval_sides,
        distance=absolute_distance,
        formula={"conjugate": False},
        quantity="⟨w, x⟩/(‖w‖‖x‖)",
        smallest=(ONE_BY_THREE, ONE_BY_TWO, TWO_BY_TWO),
        counterpart="parseval",
        batched=True,
        attacked=("kernel", "image"),
        symbolic=exactly(parseval_sides, *KERNEL_CASES),
    ),
    Claim(
        id="E6",
        title="The delay √2 at every frequency but (0, 0)",
        statement="ḃ = (2√P/√m) b (s − b), with m = 1 at (0, 0) alone, else m = 2",
        source="Pinson et al. eq 22, as printed",
        hypotheses=("one pure cosine a class, all frequencies different up to conjugation", "balanced, aligned start"),
        expected=Outcome.REFUTED,
        kind=Kind.ERRATUM,
        mutants={"√2 at every frequency": {"undelayed": "none"}, "m for √m": {"exponent": 1.0}},
        tolerance=1e-12,
        tolerance_reason=DELAY_REASON,
        draw=draw_cosines,
        sides=delay_sides,
        formula={"undelayed": "DC"},
        quantity="rate ḃ/(b(1 − b/s))",
        smallest=(ALTERNATING,),
        counterpart="self-conjugate-delay",
        symbolic=delay_form,
    ),
    Claim(
        id="E7",
        title="Minimal norm if and only if S.73 holds",
        statement="balanced, aligned weights with √P Σ_{F_α} |q_αf||κ_f|² = s_α/d_α are of minimal norm",
        source="Pinson et al. appendix F, S.73, as printed",
        hypotheses=("modes on disjoint frequency sets", "kernel zero off their union"),
        expected=Outcome.REFUTED,
        kind=Kind.ERRATUM,
        mutants={"√P dropped": {"weights": "without √P"}, "kernel alone (1 for 2)": {"factor": 0.5}},
        tolerance=1e-8,
        tolerance_reason=NORM_REASON,
        draw=draw_for_norm,
        sides=minimal_norm_sides,
        formula={"weights": "S.73"},
        quantity="‖k‖² + ‖W‖²",
        smallest=(TWO_PIXELS,),
        max_instances=100,
        counterpart="minimal-norm",
        symbolic=norm_form,
    ),
    Claim(
        id="E11",
        title="Eigenvalues of Σ^xx read as S²",
        statement="d_α = s_α²",
        source="Pinson et al. appendix A, as it can be read",
        hypotheses=("all images of a class equal", "one-hot labels", "classes of equal size"),
        expected=Outcome.REFUTED,
        kind=Kind.ERRATUM,
        mutants={"√K for K": {"factor": "√K"}, "exponent 1% off": {"exponent": 2.02}},
        tolerance=1e-12,
        tolerance_reason=SPECTRUM_REASON,
        draw=draw_coherent_classes,
        sides=coherent_spectrum_sides,
        formula={"factor": "1"},
        quantity="d_α",
        smallest=(ORTHONORMAL,),
        counterpart="coherent-spectrum",
        symbolic=coherent_spectrum_exactly,
    ),
)
