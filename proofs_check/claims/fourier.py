"""Claims about the Fourier transform: what G §3 and P eq 6 rest on, in the unitary convention."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from lineardyn.fourier import circulant, fft2
from proofs_check.claim import Claim, absolute_distance
from proofs_check.instances import draw_scale, draw_shape
from proofs_check.verdict import Instance, Outcome

__all__ = ["FOURIER_CLAIMS", "convolution_sides", "delta", "draw_kernel_and_image", "parseval_sides"]

ROUND_OFF = 1e-12
ROUND_OFF_REASON = (
    "sums of at most C·P ≤ 72 products in float64 and two transforms: C·P·ε ≈ 2e-14, fifty times below the tolerance"
)


def delta(shape: tuple[int, ...], index: tuple[int, ...]) -> NDArray[np.float64]:
    """The array that is 1 at ``index`` and 0 elsewhere."""
    array = np.zeros(shape)
    array[index] = 1.0
    return array


def draw_kernel_and_image(rng: np.random.Generator) -> Instance:
    """A kernel ``(C_out, H, W, C_in)`` and an image ``(C_in, H, W)`` of scales of their own."""
    height, width = draw_shape(rng)
    c_in, c_out = int(rng.integers(1, 4)), int(rng.integers(1, 4))
    return {
        "kernel": draw_scale(rng) * rng.standard_normal((c_out, height, width, c_in)),
        "image": draw_scale(rng) * rng.standard_normal((c_in, height, width)),
    }


def _kernel_spectrum(kernel: NDArray[np.float64]) -> NDArray[np.complex128]:
    """ŵ ``(C_out, H, W, C_in)``: the unitary DFT over the spatial axes."""
    return np.moveaxis(fft2(np.moveaxis(kernel, -1, 1)), 1, -1)


def convolve_by_shifts(kernel: NDArray[np.float64], image: NDArray[np.float64]) -> NDArray[np.float64]:
    """``(w*x)[o,i,j] = Σ w[o,m,n,c] x[c,i-m,j-n]``, the definition: no Fourier transform in it."""
    _, height, width, _ = kernel.shape
    shifts = ((m, n) for m in range(height) for n in range(width))
    shifted = [np.einsum("oc,chw->ohw", kernel[:, m, n], np.roll(image, (m, n), (1, 2))) for m, n in shifts]
    total: NDArray[np.float64] = np.sum(shifted, axis=0)
    return total


def convolution_sides(instance: Instance, *, power_of_p: float, conjugate: bool = False) -> tuple[Any, Any]:
    """``(w*x)^`` from the definition, and ``P^power ŵ x̂``."""
    kernel, image = instance["kernel"], instance["image"]
    spectrum = _kernel_spectrum(kernel)
    if conjugate:
        spectrum = spectrum.conj()
    n_pixels = image.shape[1] * image.shape[2]
    product = np.einsum("ohwc,chw->ohw", spectrum, fft2(image))
    return fft2(convolve_by_shifts(kernel, image)), n_pixels**power_of_p * product


def parseval_sides(instance: Instance, *, conjugate: bool, factor_power: float = 0.0) -> tuple[Any, Any]:
    """``Σ w x`` in pixel space, and ``P^power Σ conj(ŵ) x̂`` with or without the conjugate; both over ‖w‖‖x‖."""
    kernel, image = instance["kernel"][0].transpose(2, 0, 1), instance["image"]
    spectrum = fft2(kernel).conj() if conjugate else fft2(kernel)
    scale = np.linalg.norm(kernel) * np.linalg.norm(image)
    n_pixels = image.shape[1] * image.shape[2]
    return np.sum(kernel * image) / scale, n_pixels**factor_power * np.sum(spectrum * fft2(image)) / scale


def _dft_matrix(n: int) -> NDArray[np.complex128]:
    """The unitary DFT as a matrix, from its definition."""
    k = np.arange(n)
    matrix: NDArray[np.complex128] = np.exp(-2j * np.pi * (np.outer(k, k) % n) / n) / np.sqrt(n)
    return matrix


def circulant_sides(instance: Instance, *, power_of_p: float, conjugate: bool = False) -> tuple[Any, Any]:
    """``F C F^H`` of the doubly block-circulant matrix, and the matrix of diagonal blocks ``P^power ŵ_f``."""
    kernel = instance["kernel"]
    c_out, height, width, c_in = kernel.shape
    n_pixels = height * width
    dft = np.kron(_dft_matrix(height), _dft_matrix(width))
    blocks = circulant(kernel).reshape(c_out, n_pixels, c_in, n_pixels)
    left = np.einsum("fp,opcq,gq->ofcg", dft, blocks, dft.conj(), optimize=True)
    spectrum = _kernel_spectrum(kernel).reshape(c_out, n_pixels, c_in)
    right = np.zeros_like(left)
    index = np.arange(n_pixels)
    right[:, index, :, index] = n_pixels**power_of_p * np.moveaxis(spectrum.conj() if conjugate else spectrum, 1, 0)
    return left, right


def real_spectrum_sides(instance: Instance, *, negate: bool = True, conjugate: bool = True) -> tuple[Any, Any]:
    """``x̂[f*]`` from the definition of the DFT, and ``conj(x̂[f])``, at every frequency of every channel."""
    image = instance["image"]
    _, height, width = image.shape
    spectrum = _dft_matrix(height) @ image @ _dft_matrix(width)
    sign = -1 if negate else 1
    u, v = sign * np.arange(height) % height, sign * np.arange(width) % width
    return spectrum[:, u[:, None], v], fft2(image).conj() if conjugate else fft2(image)


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
        formula={"power_of_p": 0.5},
        quantity="(w∗x)^_f",
        smallest=(ONE_BY_TWO, ONE_BY_THREE, TWO_BY_TWO),
        counterpart="E1",
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
        tolerance_reason=ROUND_OFF_REASON + "; relative to ‖w‖‖x‖, as the sum itself may cancel",
        draw=draw_kernel_and_image,
        sides=parseval_sides,
        distance=absolute_distance,
        formula={"conjugate": True},
        quantity="⟨w, x⟩/(‖w‖‖x‖)",
        smallest=(ONE_BY_THREE, ONE_BY_TWO, TWO_BY_TWO),
        counterpart="E2",
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
        formula={"power_of_p": 0.5},
        quantity="entry of F C F^H",
        smallest=(ONE_BY_TWO, ONE_BY_THREE, TWO_BY_TWO),
    ),
    Claim(
        id="real-spectrum",
        title="Spectra of real images are conjugate symmetric",
        statement="x real ⇒ x̂[f*] = conj(x̂[f]), f* = (−u mod H, −v mod W)",
        source="Pinson et al. §3; standard",
        hypotheses=("x real",),
        expected=Outcome.NOT_REFUTED,
        mutants={"f for f*": {"negate": False}, "conjugate dropped": {"conjugate": False}},
        tolerance=ROUND_OFF,
        tolerance_reason=ROUND_OFF_REASON,
        draw=draw_kernel_and_image,
        sides=real_spectrum_sides,
        quantity="x̂[f*]",
        smallest=(ONE_BY_TWO, ONE_BY_THREE, TWO_BY_TWO),
    ),
)
