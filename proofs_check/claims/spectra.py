"""Claims about single spectra: the inverse transform, translations, even images, self-conjugate frequencies."""

from __future__ import annotations

from typing import Any

import numpy as np

from proofs_check.claim import Claim, absolute_distance
from proofs_check.claims.arithmetic import FLOAT, Arithmetic, exactly, in_extended_precision, unit
from proofs_check.claims.definitions import conjugates, delta, dft_matrix, phases, spectrum
from proofs_check.claims.fourier import ROUND_OFF, ROUND_OFF_REASON, draw_images
from proofs_check.instances import draw_shape
from proofs_check.verdict import Instance, Outcome

__all__ = ["SPECTRA_CLAIMS"]

IMAGE_CASES = ({"image": (1, 2)}, {"image": (1, 3)}, {"image": (2, 2)}, {"image": (1, 6)})


def draw_image(rng: np.random.Generator, n: int) -> Instance:
    """Images ``(H, W)`` and pixels ``(2,)`` to move them by; three batches of four have at most 8 pixels."""
    height, width = draw_shape(rng, max_pixels=8 if rng.random() < 0.75 else 24)
    image = draw_images(rng, n, height, width)
    return {"image": image, "shift": rng.integers(-9, 10, size=(n, 2))}


def inverse_sides(
    instance: Instance, *, conjugate: bool = True, power_of_p: float = 0.0, arithmetic: Arithmetic = FLOAT
) -> tuple[Any, Any]:
    """``x``, and ``P^power Σ_f x̂_f exp(+2πi f·p)/√P``; x of norm 1."""
    image = unit(instance["image"], arithmetic)
    n, *shape = image.shape
    matrix = dft_matrix((shape[0], shape[1]), arithmetic)
    back = spectrum(image, arithmetic) @ (matrix.conj() if conjugate else matrix)
    return image.reshape(n, -1), arithmetic.power(shape[0] * shape[1], power_of_p) * back


def translation_sides(
    instance: Instance, *, sign: int = 1, transposed: bool = False, excess: int = 0, arithmetic: Arithmetic = FLOAT
) -> tuple[Any, Any]:
    """The spectrum of ``x[i-a, j-b]``, and ``exp(-2πi(u a/H + v b/W)) x̂_f``; x of norm 1."""
    image, shift = unit(instance["image"], arithmetic), instance["shift"]
    n, height, width = image.shape
    i, j = np.divmod(np.arange(height * width), width)
    a, b = shift[:, :1], shift[:, 1:]
    moved = image[np.arange(n)[:, None], (i - a) % height, (j - b) % width].reshape(n, height, width)
    down, right = (b, a) if transposed else (a, b)
    pixel = sign * down % height * width + sign * (right + excess) % width
    turn = phases((height, width), arithmetic)[pixel[:, 0]]
    return spectrum(moved, arithmetic), turn * spectrum(image, arithmetic)


def even_sides(
    instance: Instance, *, about: str = "pixel 0", wave: str = "cos", arithmetic: Arithmetic = FLOAT
) -> tuple[Any, Any]:
    """The spectrum of the even image ``x[p] + x[-p]``, and ``Σ_p (x[p] + x[-p]) cos(2π f·p)/√P``; x of norm 1.

    ``about`` says what the image is reflected about: "pixel 0", or "the edge" (x[H-1-i], as an array is flipped).
    """
    image = unit(instance["image"], arithmetic)
    n, height, width = image.shape
    flat = image.reshape(n, -1)
    even = flat + (flat[:, conjugates((height, width))] if about == "pixel 0" else flat[:, ::-1])
    matrix = dft_matrix((height, width), arithmetic)
    conjugate = matrix.conj()
    cosines = matrix + conjugate if wave == "cos" else (matrix - conjugate) * _imaginary(arithmetic)
    return 2 * spectrum(even.reshape(image.shape), arithmetic), even @ cosines


def _imaginary(arithmetic: Arithmetic) -> Any:
    """``i``; that of the arithmetic is a root of unity."""
    return arithmetic.roots(4)[3]


def draw_grid(rng: np.random.Generator) -> Instance:
    """Any shape up to 9×9."""
    return {"shape": rng.integers(1, 10, size=2)}


def self_conjugate_sides(instance: Instance, *, count: str = "2 per even side") -> tuple[Any, Any]:
    """Characters ``exp(-2πi f·p)`` that are real, and the pairs of conjugates with them: by inspection, by formula."""
    height, width = (int(n) for n in instance["shape"])
    u, v = np.divmod(np.arange(height * width), width)
    turns = (np.outer(u, u) * width + np.outer(v, v) * height) % (height * width)
    real = int(np.sum(np.all(2 * turns % (height * width) == 0, axis=1)))
    distinct = len({tuple(np.minimum(row, -row % (height * width))) for row in turns})  # as cosines
    even = (height % 2 == 0) + (width % 2 == 0)
    formula = {"2 per even side": 2**even, "(0, 0) alone": 1, "at most 2": min(2**even, 2), "1 more": 1 + even}[count]
    return np.array([real, distinct]), np.array([formula, (height * width + formula) / 2])


def _at(shape: tuple[int, int], pixel: tuple[int, int], shift: tuple[int, int], text: str) -> Instance:
    return {"text": text, "image": delta(shape, pixel), "shift": np.array(shift)}


CORNERS = (
    _at((1, 2), (0, 0), (0, 1), "1×2, δ_0"),
    _at((1, 3), (0, 1), (0, 1), "1×3, δ_1"),
    _at((2, 3), (1, 1), (1, 1), "2×3, δ_(1,1)"),
    _at((1, 1), (0, 0), (2, -3), "one pixel"),
)

SPECTRA_CLAIMS = (
    Claim(
        id="inverse-transform",
        title="The DFT is unitary: its inverse is its conjugate",
        statement="x[i, j] = P^{−1/2} Σ_f x̂_f exp(+2πi(u i/H + v j/W))",
        source="Godfrey et al. eq 3.5; standard",
        hypotheses=("unitary DFT over the spatial axes",),
        expected=Outcome.NOT_REFUTED,
        mutants={
            "conjugate dropped": {"conjugate": False},
            "1/P for 1/√P": {"power_of_p": -0.5},
            "no factor": {"power_of_p": 0.5},
        },
        tolerance=ROUND_OFF,
        tolerance_reason=ROUND_OFF_REASON,
        draw=draw_image,
        sides=inverse_sides,
        distance=absolute_distance,
        quantity="x[p]/‖x‖",
        smallest=CORNERS,
        batched=True,
        extended=in_extended_precision(inverse_sides),
        attacked=("image",),
        symbolic=exactly(inverse_sides, *IMAGE_CASES),
    ),
    Claim(
        id="shift-theorem",
        title="A translation multiplies the spectrum by a phase",
        statement="x'[i, j] = x[i − a, j − b] ⇒ x̂'_f = exp(−2πi(u a/H + v b/W)) x̂_f",
        source="standard; what Pinson et al. and Wen & Jacot use of translation invariance",
        hypotheses=("translation on the torus, by whole pixels",),
        expected=Outcome.NOT_REFUTED,
        mutants={
            "opposite phase": {"sign": -1},
            "rows and columns exchanged": {"transposed": True},
            "one column too far": {"excess": 1},
        },
        tolerance=ROUND_OFF,
        tolerance_reason=ROUND_OFF_REASON,
        draw=draw_image,
        sides=translation_sides,
        distance=absolute_distance,
        quantity="x̂'_f/‖x‖",
        smallest=CORNERS,
        batched=True,
        extended=in_extended_precision(translation_sides),
        attacked=("image",),
        symbolic=exactly(
            translation_sides,
            {"image": (1, 3), "shift": np.array([0, 1])},
            {"image": (2, 3), "shift": np.array([1, 2])},
        ),
    ),
    Claim(
        id="even-image",
        title="A real even image has a real spectrum, its cosine transform",
        statement="x real, x[−p] = x[p] ⇒ x̂_f = P^{−1/2} Σ_p x[p] cos(2π(u i/H + v j/W)), which is real",
        source="standard",
        hypotheses=("x real", "even about pixel (0, 0) on the torus"),
        expected=Outcome.NOT_REFUTED,
        mutants={
            "even about the edge (an array flipped)": {"about": "the edge"},
            "sin for cos": {"wave": "sin"},
        },
        tolerance=ROUND_OFF,
        tolerance_reason=ROUND_OFF_REASON,
        draw=draw_image,
        sides=even_sides,
        distance=absolute_distance,
        quantity="2 x̂_f",
        smallest=CORNERS,
        batched=True,
        extended=in_extended_precision(even_sides),
        attacked=("image",),
        symbolic=exactly(even_sides, *IMAGE_CASES),
    ),
    Claim(
        id="self-conjugate-count",
        title="One, two or four frequencies are their own conjugates",
        statement="#{f: f* = f} = 2^(number of even sides of H×W), and (P + this)/2 pairs {f, f*}",
        source="standard; Pinson et al. name (0, 0) alone (see E6)",
        hypotheses=("any shape H×W",),
        expected=Outcome.NOT_REFUTED,
        mutants={
            "(0, 0) alone": {"count": "(0, 0) alone"},
            "at most 2": {"count": "at most 2"},
            "1 more per even side": {"count": "1 more"},
        },
        tolerance=0.25,
        tolerance_reason="integers, counted: the least possible difference, ½ in the number of pairs, is twice this",
        draw=draw_grid,
        sides=self_conjugate_sides,
        distance=absolute_distance,
        quantity="number of frequencies",
        smallest=tuple({"text": f"{h}×{w}", "shape": np.array([h, w])} for h, w in ((1, 2), (2, 2), (1, 1), (3, 4))),
    ),
)
