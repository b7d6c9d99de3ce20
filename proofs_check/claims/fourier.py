"""Claims about the Fourier transform: what G §3 and P eq 6 rest on, in the unitary convention."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from proofs_check.claim import Claim, absolute_distance
from proofs_check.claims.arithmetic import EXACT, FLOAT, Arithmetic, exactly, in_extended_precision, unit
from proofs_check.claims.definitions import (
    conjugates,
    convolution_matrix,
    convolve,
    delta,
    dft,
    dft_matrix,
    kernel_spectrum,
    spectrum,
)
from proofs_check.instances import cosine, draw_shape
from proofs_check.verdict import Instance, Outcome

__all__ = [
    "CORNERS",
    "FOURIER_CLAIMS",
    "KERNEL_CASES",
    "ONE_BY_THREE",
    "ONE_BY_TWO",
    "ROUND_OFF",
    "ROUND_OFF_REASON",
    "convolution_sides",
    "draw_images",
    "draw_kernel_and_image",
    "parseval_sides",
]

ROUND_OFF = 1e-12
ROUND_OFF_REASON = (
    "sums of at most C·P ≤ 72 products in float64 and two transforms, of arrays of norm 1: C·P·ε ≈ 2e-14, fifty times "
    "below the tolerance"
)


def draw_images(rng: np.random.Generator, n: int, *shape: int) -> NDArray[np.float64]:
    """``(n, *shape)``, the last two axes (H, W): noise, small integers, one pixel or one cosine, of any scale."""
    height, width = shape[-2:]
    kind = rng.integers(6)
    if kind == 0:
        images = rng.integers(-1, 2, (n, *shape)).astype(np.float64)
    elif kind == 1:
        images = np.zeros((n, *shape))
        images.reshape(n, -1)[np.arange(n), rng.integers(int(np.prod(shape)), size=n)] = 1.0
    elif kind == 2:
        wave = cosine((height, width), (int(rng.integers(height)), int(rng.integers(width))), phase=rng.uniform(0, 7))
        images = rng.standard_normal((n, *[1] * len(shape))) * np.broadcast_to(wave, (n, *shape))
    else:
        images = rng.standard_normal((n, *shape))
    scales = np.where(rng.random(n) < 0.5, 1.0, 10.0 ** rng.uniform(-6, 6, n))
    return images * scales.reshape(n, *[1] * len(shape))


def draw_kernel_and_image(rng: np.random.Generator, n: int) -> Instance:
    """Kernels ``(C_out, H, W, C_in)`` and images ``(C_in, H, W)``; three batches of four have at most 8 pixels."""
    height, width = draw_shape(rng, max_pixels=8 if rng.random() < 0.75 else 24)
    c_in, c_out = int(rng.integers(1, 4)), int(rng.integers(1, 4))
    kernel = draw_images(rng, n, c_out, c_in, height, width).transpose(0, 1, 3, 4, 2)
    return {"kernel": np.ascontiguousarray(kernel), "image": draw_images(rng, n, c_in, height, width)}


def convolution_sides(
    instance: Instance, *, power_of_p: float, conjugate: bool = False, arithmetic: Arithmetic = FLOAT
) -> tuple[Any, Any]:
    """``(w*x)^`` from the definition, and ``P^power ŵ x̂``; for w and x of norm 1."""
    kernel, image = unit(instance["kernel"], arithmetic), unit(instance["image"], arithmetic)
    n_pixels = image.shape[2] * image.shape[3]
    w, x = kernel_spectrum(kernel, arithmetic), spectrum(image, arithmetic)  # (n, P, o, c), (n, c, P)
    product = (w.conj() if conjugate else w) @ x.transpose(0, 2, 1)[..., None]
    left = dft(convolve(kernel, image), arithmetic).transpose(0, 2, 1)
    return left, arithmetic.power(n_pixels, power_of_p) * product[..., 0]


def parseval_sides(
    instance: Instance, *, conjugate: bool, factor_power: float = 0.0, arithmetic: Arithmetic = FLOAT
) -> tuple[Any, Any]:
    """``Σ w x`` in pixel space, and ``P^power Σ conj(ŵ) x̂`` with or without the conjugate; w and x of norm 1."""
    kernel = unit(instance["kernel"][:, 0].transpose(0, 3, 1, 2), arithmetic)
    image = unit(instance["image"], arithmetic)
    w, x = spectrum(kernel, arithmetic), spectrum(image, arithmetic)
    total = np.sum((w.conj() if conjugate else w) * x, axis=(1, 2))
    n_pixels = image.shape[2] * image.shape[3]
    return np.sum(kernel * image, axis=(1, 2, 3)), arithmetic.power(n_pixels, factor_power) * total


def circulant_sides(
    instance: Instance, *, power_of_p: float, conjugate: bool = False, arithmetic: Arithmetic = FLOAT
) -> tuple[Any, Any]:
    """``F C F^H`` of the doubly block-circulant matrix, and the matrix of diagonal blocks ``P^power ŵ_f``."""
    kernel = unit(instance["kernel"], arithmetic)
    n, c_out, height, width, c_in = kernel.shape
    n_pixels = height * width
    matrix = dft_matrix((height, width), arithmetic)
    columns = convolution_matrix(kernel).transpose(0, 1, 3, 4, 2).reshape(-1, n_pixels) @ matrix  # (n, o, c, q; f)
    both = columns.reshape(-1, n_pixels, n_pixels).swapaxes(1, 2).reshape(-1, n_pixels) @ matrix.conj()
    left = both.reshape(n, c_out, c_in, n_pixels, n_pixels)
    w = kernel_spectrum(kernel, arithmetic).transpose(0, 2, 3, 1)
    blocks = arithmetic.power(n_pixels, power_of_p) * (w.conj() if conjugate else w)
    return left, blocks[..., None] * np.eye(n_pixels, dtype=int if arithmetic is EXACT else float)


def real_spectrum_sides(
    instance: Instance, *, negate: bool = True, conjugate: bool = True, arithmetic: Arithmetic = FLOAT
) -> tuple[Any, Any]:
    """``x̂[f*]`` from the definition of the DFT, and ``conj(x̂[f])``, at every frequency; x of norm 1."""
    image = unit(instance["image"], arithmetic)
    left, right = dft(image, arithmetic), spectrum(image, arithmetic)
    if negate:
        left = left[..., conjugates(image.shape[2:])]
    return left, right.conj() if conjugate else right


ONE_BY_TWO = {
    "text": "1×2, w = x = δ_0",
    "kernel": delta((1, 1, 2, 1), (0, 0, 0, 0)),
    "image": delta((1, 1, 2), (0, 0, 0)),
}
ONE_BY_THREE = {
    "text": "1×3, w = x = δ_1",
    "kernel": delta((1, 1, 3, 1), (0, 0, 1, 0)),
    "image": delta((1, 1, 3), (0, 0, 1)),
}
TWO_BY_TWO = {
    "text": "2×2, w = δ_(1,0), x = δ_(0,1)",
    "kernel": delta((1, 2, 2, 1), (0, 1, 0, 0)),
    "image": delta((1, 2, 2), (0, 0, 1)),
}
CORNERS = (ONE_BY_TWO, ONE_BY_THREE, TWO_BY_TWO)

KERNEL_CASES = (
    {"kernel": (1, 1, 2, 1), "image": (1, 1, 2)},
    {"kernel": (1, 1, 3, 2), "image": (2, 1, 3)},
    {"kernel": (1, 2, 2, 1), "image": (1, 2, 2)},
)
"""Shapes over which the identities hold for symbolic entries: two, one and four self-conjugate frequencies."""

FOURIER_CLAIMS = (
    Claim(
        id="convolution-theorem",
        title="Convolution theorem with √P",
        statement="(w ∗ x)^_f = √P ŵ_f x̂_f at every frequency f, with the unitary DFT and circular convolution",
        source="Godfrey et al. eq 3.7, corrected: printed without √P (see E1)",
        hypotheses=("circular convolution, kernel as large as the image", "unitary DFT over the spatial axes"),
        expected=Outcome.NOT_REFUTED,
        mutants={
            "√P dropped": {"power_of_p": 0.0},
            "P for √P": {"power_of_p": 1.0},
            "conj(ŵ) for ŵ (correlation)": {"conjugate": True},
        },
        tolerance=ROUND_OFF,
        tolerance_reason=ROUND_OFF_REASON,
        draw=draw_kernel_and_image,
        sides=convolution_sides,
        distance=absolute_distance,
        formula={"power_of_p": 0.5},
        quantity="(w∗x)^_f/(‖w‖‖x‖)",
        smallest=CORNERS,
        counterpart="E1",
        batched=True,
        extended=in_extended_precision(convolution_sides),
        attacked=("kernel", "image"),
        symbolic=exactly(convolution_sides, *KERNEL_CASES),
    ),
    Claim(
        id="parseval",
        title="Dot product in Fourier space, with the conjugate",
        statement="Σ w x = Σ_f conj(ŵ_f) x̂_f",
        source="Godfrey et al. eq 3.8, corrected: printed without the conjugate (see E2)",
        hypotheses=("unitary DFT over the spatial axes",),
        expected=Outcome.NOT_REFUTED,
        mutants={
            "conjugate dropped": {"conjugate": False},
            "factor √P": {"factor_power": 0.5},
            "factor 1/P": {"factor_power": -1.0},
        },
        tolerance=ROUND_OFF,
        tolerance_reason=ROUND_OFF_REASON,
        draw=draw_kernel_and_image,
        sides=parseval_sides,
        distance=absolute_distance,
        formula={"conjugate": True},
        quantity="⟨w, x⟩/(‖w‖‖x‖)",
        smallest=(ONE_BY_THREE, ONE_BY_TWO, TWO_BY_TWO),
        counterpart="E2",
        batched=True,
        extended=in_extended_precision(parseval_sides),
        attacked=("kernel", "image"),
        symbolic=exactly(parseval_sides, *KERNEL_CASES),
    ),
    Claim(
        id="circulant-diagonalisation",
        title="The DFT diagonalises the block-circulant matrix",
        statement="F C_w F^H = blockdiag_f(√P ŵ_f), for the doubly block-circulant matrix C_w of x ↦ w ∗ x",
        source="Pinson et al. eq 6; blocks for several channels: new",
        hypotheses=("circular convolution, kernel as large as the image", "F unitary"),
        expected=Outcome.NOT_REFUTED,
        mutants={
            "√P dropped": {"power_of_p": 0.0},
            "P for √P": {"power_of_p": 1.0},
            "conj(ŵ) for ŵ": {"conjugate": True},
            "exponent of P 1% off": {"power_of_p": 0.505},
        },
        tolerance=ROUND_OFF,
        tolerance_reason=ROUND_OFF_REASON,
        draw=draw_kernel_and_image,
        sides=circulant_sides,
        distance=absolute_distance,
        formula={"power_of_p": 0.5},
        quantity="entry of F C F^H, over ‖w‖",
        smallest=CORNERS,
        batched=True,
        extended=in_extended_precision(circulant_sides),
        attacked=("kernel",),
        symbolic=exactly(circulant_sides, *KERNEL_CASES),
    ),
    Claim(
        id="real-spectrum",
        title="Spectra of real images are conjugate symmetric",
        statement="x real ⇒ x̂[f*] = conj(x̂[f]), f* = (−u mod H, −v mod W)",
        source="Pinson et al. §1; standard",
        hypotheses=("x real",),
        expected=Outcome.NOT_REFUTED,
        mutants={"f for f*": {"negate": False}, "conjugate dropped": {"conjugate": False}},
        tolerance=ROUND_OFF,
        tolerance_reason=ROUND_OFF_REASON,
        draw=draw_kernel_and_image,
        sides=real_spectrum_sides,
        distance=absolute_distance,
        quantity="x̂[f*]/‖x‖",
        smallest=CORNERS,
        batched=True,
        extended=in_extended_precision(real_spectrum_sides),
        attacked=("image",),
        symbolic=exactly(real_spectrum_sides, *KERNEL_CASES),
    ),
)
