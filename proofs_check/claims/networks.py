"""Claims about the deep linear CNN in Fourier space [G §3-4]: its effective predictor, its norm, its loss."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from lineardyn import LinearCNN
from proofs_check.claim import Claim, absolute_distance
from proofs_check.claims.arithmetic import FLOAT, Arithmetic, exactly, in_extended_precision, size, unit
from proofs_check.claims.deep_network import (
    blocks,
    draw_layers,
    draw_problem,
    effective_predictor,
    forward,
    layers_of,
)
from proofs_check.claims.definitions import conjugates, delta, dft, spectrum
from proofs_check.verdict import Instance, Outcome

__all__ = ["LAYERS", "NETWORK_CASES", "NETWORK_CLAIMS", "ONE_LAYER", "PRODUCT_REASON"]

Floats = NDArray[np.float64]
LAYERS = ("w1", "w2", "w3", "w4")
PRODUCT_REASON = (
    "products of ≤ 4 layers of norm 1 and ≤ 24 coordinates in float64, times P^{3/2} ≤ 23: 4·24·23·ε ≈ 5e-13 at worst, "
    "and 1e-15 seen"
)
HYPOTHESES = ("circular full-size kernels, a dense last layer", "any depth L ≥ 1, widths, channels")

TWO_LAYERS = {
    "text": "1×2, L = 2, w_1 = w_2 = x = δ_0",
    "w1": delta((1, 1, 2, 1), (0, 0, 0, 0)),
    "w2": delta((1, 1, 2, 1), (0, 0, 0, 0)),
    "images": delta((1, 1, 1, 2), (0, 0, 0, 0)),
    "targets": np.zeros((1, 1)),
}
THREE_LAYERS = {
    "text": "1×3, L = 3, w_l = δ_1, x = δ_0",
    **{f"w{layer}": delta((1, 1, 3, 1), (0, 0, 1, 0)) for layer in (1, 2, 3)},
    "images": delta((1, 1, 1, 3), (0, 0, 0, 0)),
    "targets": np.ones((1, 1)),
}
CORNERS = (TWO_LAYERS, THREE_LAYERS)
NETWORK_CASES = (
    {"w1": (1, 1, 2, 1), "w2": (1, 1, 2, 1), "images": (1, 1, 1, 2), "targets": (1, 1)},
    {"w1": (1, 1, 3, 1), "w2": (1, 1, 3, 1), "images": (1, 1, 1, 3), "targets": (1, 1)},
    {"w1": (1, 1, 2, 1), "w2": (1, 1, 2, 1), "w3": (1, 1, 2, 1), "images": (1, 1, 1, 2), "targets": (1, 1)},
)
"""1×2 at depths 2 and 3, and 1×3, where frequencies are complex: for symbolic weights, images and targets."""
ONE_LAYER = {"w1": (1, 1, 3, 1), "images": (2, 1, 1, 3), "targets": (2, 1)}
"""1×3 at depth 1, with two samples."""


def predictor_sides(
    instance: Instance,
    *,
    power_of_p: float = 0.5,
    extra: float = 0.0,
    conjugate_last: bool = True,
    arithmetic: Arithmetic = FLOAT,
) -> tuple[Any, Any]:
    """``f(x)`` by convolutions in pixel space, and ``Σ_f v̂_f x̂_f``; for weights and images of norm 1."""
    weights = [unit(w, arithmetic) for w in layers_of(instance)]
    images = unit(instance["images"], arithmetic)
    a = blocks(weights, arithmetic, conjugate_last=conjugate_last)
    v = effective_predictor(a, arithmetic, power_of_p=power_of_p, extra=extra)  # (n, P, K, C)
    x = spectrum(images, arithmetic)[:, 0]  # (n, C, P)
    right = np.sum(v * x.transpose(0, 2, 1)[:, :, None, :], axis=(1, 3))
    return forward(weights, images)[:, 0], right


def draw_weights(rng: np.random.Generator) -> Instance:
    """The layers of a network, of norm 1."""
    weights = draw_problem(rng, max_pixels=12)["weights"]
    return {f"w{layer}": w / np.linalg.norm(w) for layer, w in enumerate(weights, start=1)}


def _network(weights: list[Floats]) -> LinearCNN:
    """The library's network of these weights."""
    _, height, width, channels = weights[0].shape
    widths = tuple(w.shape[3] for w in weights[1:])
    return LinearCNN((channels, height, width), widths=widths, n_outputs=len(weights[-1]))


def pixel_predictor_sides(instance: Instance, *, conjugate: bool = True, power_of_p: float = 0.0) -> tuple[Any, Any]:
    """v̂ of the library, and the (conjugate) DFT of the outputs on unit images, which are the pixel predictor."""
    weights = layers_of(instance)
    network = _network(weights)
    channels, height, width = network.image_shape
    units = np.eye(channels * height * width).reshape(1, -1, channels, height, width)
    pixels = forward([w[None] for w in weights], units)[0].T.reshape(-1, channels, height, width)
    transformed = dft(pixels).reshape(pixels.shape).transpose(2, 3, 0, 1)
    factor = float(height * width) ** power_of_p
    return network.effective_predictor(weights), factor * (transformed.conj() if conjugate else transformed)


def predictor_symmetry_sides(
    instance: Instance, *, negate: bool = True, conjugate: bool = True, conjugate_last: bool = True
) -> tuple[Any, Any]:
    """``v̂[f*]`` of the library, and ``conj(v̂_f)`` from the product of spectra."""
    weights = layers_of(instance)
    network = _network(weights)
    _, height, width = network.image_shape
    left = network.effective_predictor(weights).reshape(height * width, network.n_outputs, -1)
    a = blocks([w[None] for w in weights], conjugate_last=conjugate_last, dense=True)
    right = effective_predictor(a)[0]
    return left[conjugates((height, width))] if negate else left, right.conj() if conjugate else right


def norm_sides(
    instance: Instance, *, power_of_p: float = 0.0, counted: str = "every f", arithmetic: Arithmetic = FLOAT
) -> tuple[Any, Any]:
    """``Σ_l ‖w_l‖²`` in pixel space, and ``Σ_l Σ_f ‖A_l[f]‖_F²``; over the former.

    ``counted``: "every f", or "one of each pair" f, f*.
    """
    weights = layers_of(instance)
    total = np.stack([size(w, arithmetic) for w in weights], axis=1)
    scale = size(total, arithmetic)[:, None, None, None, None]
    weights = [w / scale for w in weights]
    left = sum(np.sum(w * w, axis=(1, 2, 3, 4)) for w in weights)
    shape = weights[0].shape[2:4]
    mask = np.ones(shape[0] * shape[1], dtype=int)
    if counted == "one of each pair":
        mask = (np.arange(mask.size) <= conjugates(shape)).astype(int)
    power = (np.sum(a * a.conj(), axis=(2, 3)) @ mask for a in blocks(weights, arithmetic))
    return left, arithmetic.power(mask.size, power_of_p) * sum(power)


def loss_sides(
    instance: Instance,
    *,
    target_power: float = 1.0,
    cross: float = 2.0,
    conjugate: bool = True,
    off_diagonal: bool = True,
    arithmetic: Arithmetic = FLOAT,
) -> tuple[Any, Any]:
    """``½⟨‖y - f(x)‖²⟩`` over the samples, and from the moments; weights, images and targets of norm 1.

    The latter: ``½(⟨‖y‖²⟩ - 2 Re Σ_f tr(Σ^yx̂_f v̂_f^H) + Σ_gf tr(v̂_g Σ^x̂x̂_gf v̂_f^H))``.
    """
    weights = [unit(w, arithmetic) for w in layers_of(instance)]
    images, y = unit(instance["images"], arithmetic), unit(instance["targets"], arithmetic)
    n_samples = y.shape[1]
    half = 1 / arithmetic.power(2, 1.0)
    gap = y - forward(weights, images)
    left = half * np.sum(gap * gap, axis=(1, 2)) / n_samples
    v = effective_predictor(blocks(weights, arithmetic), arithmetic)  # (n, P, K, C)
    x = spectrum(images, arithmetic)  # (n, N, C, P)
    n, n_pixels, n_outputs, _ = v.shape
    rows = v.transpose(0, 2, 1, 3).reshape(n, n_outputs, -1)  # (n, K, (f, c))
    columns = x.transpose(0, 3, 2, 1).reshape(n, rows.shape[2], n_samples)  # (n, (f, c), N)
    yx = y.swapaxes(1, 2) @ columns.conj().swapaxes(1, 2) / n_samples
    xx = columns @ columns.conj().swapaxes(1, 2) / n_samples
    if not off_diagonal:
        f = np.arange(rows.shape[2]) // (rows.shape[2] // n_pixels)
        xx = xx * (f[:, None] == f).astype(int)
    other = rows.conj() if conjugate else rows
    linear, quadratic = np.sum(yx * other, axis=(1, 2)), np.sum((rows @ xx) * other, axis=(1, 2))
    power = np.sum(y * y, axis=(1, 2)) / n_samples
    right = half * (_factor(target_power) * power - _factor(cross) * half * (linear + linear.conj()) + quadratic)
    return left, right


def _factor(number: float) -> Any:
    """A whole number stays one, so that exact arithmetic stays exact."""
    return int(number) if number == int(number) else number


def draw_one_sample(rng: np.random.Generator, n: int) -> Instance:
    """Networks and one image for each."""
    return draw_layers(rng, n)


def draw_samples(rng: np.random.Generator, n: int) -> Instance:
    """Networks and one to four samples for each."""
    return draw_layers(rng, n, max_pixels=6, n_samples=int(rng.integers(1, 5)))


NETWORK_CLAIMS = (
    Claim(
        id="effective-predictor",
        title="The deep linear CNN is one product per frequency",
        statement="f(x) = Σ_f v̂_f x̂_f, v̂_f = P^{(L−1)/2} conj(ŵ_L[f]) ŵ_{L−1}[f] ⋯ ŵ_1[f]",
        source="Godfrey et al. lemma 4.3, eq 4.4, corrected as its eq 3.7 and 3.8 are (see E1, E2)",
        hypotheses=HYPOTHESES,
        expected=Outcome.NOT_REFUTED,
        mutants={
            "P^{(L−1)/2} dropped": {"power_of_p": 0.0},
            "P for √P": {"power_of_p": 1.0},
            "P^{L/2}": {"extra": 0.5},
            "conjugate of the last layer dropped": {"conjugate_last": False},
            "exponent of P 1% off": {"power_of_p": 0.505},
        },
        tolerance=1e-12,
        tolerance_reason=PRODUCT_REASON,
        draw=draw_one_sample,
        sides=predictor_sides,
        distance=absolute_distance,
        quantity="f(x)/(‖x‖Π‖w_l‖)",
        smallest=CORNERS,
        batched=True,
        extended=in_extended_precision(predictor_sides),
        attacked=(*LAYERS, "images"),
        symbolic=exactly(predictor_sides, *NETWORK_CASES),
    ),
    Claim(
        id="predictor-is-conjugate",
        title="The effective predictor is the conjugate of the pixel predictor's DFT",
        statement="f(x) = Σ_p v_p x_p and f(x) = Σ_f v̂_f x̂_f ⇒ v̂ = conj(DFT v), not DFT v",
        source="new; a convention that Godfrey et al. leave open",
        hypotheses=HYPOTHESES,
        expected=Outcome.NOT_REFUTED,
        mutants={"DFT v itself": {"conjugate": False}, "factor √P": {"power_of_p": 0.5}},
        tolerance=1e-12,
        tolerance_reason=PRODUCT_REASON,
        draw=draw_weights,
        sides=pixel_predictor_sides,
        distance=absolute_distance,
        quantity="v̂_f/Π‖w_l‖",
    ),
    Claim(
        id="predictor-symmetry",
        title="The effective predictor of real weights is conjugate symmetric",
        statement="v̂_{f*} = conj(v̂_f)",
        source="standard",
        hypotheses=(*HYPOTHESES, "real weights"),
        expected=Outcome.NOT_REFUTED,
        mutants={
            "f for f*": {"negate": False},
            "conjugate dropped": {"conjugate": False},
            "conjugate of the last layer dropped": {"conjugate_last": False},
        },
        tolerance=1e-12,
        tolerance_reason=PRODUCT_REASON,
        draw=draw_weights,
        sides=predictor_symmetry_sides,
        distance=absolute_distance,
        quantity="v̂_{f*}/Π‖w_l‖",
    ),
    Claim(
        id="parameter-norm",
        title="The parameter norm is the same in both spaces",
        statement="Σ_l ‖w_l‖² = Σ_l Σ_f ‖A_l[f]‖_F², over all P frequencies",
        source="Godfrey et al. eq 4.1; standard",
        hypotheses=("unitary DFT over the spatial axes", "real weights, any shapes"),
        expected=Outcome.NOT_REFUTED,
        mutants={
            "factor √P": {"power_of_p": 0.5},
            "factor 1/P (DFT not unitary)": {"power_of_p": -1.0},
            "one frequency of each pair": {"counted": "one of each pair"},
        },
        tolerance=1e-12,
        tolerance_reason="sums of ≤ 4·9·8 squares relative to their total: 288·ε ≈ 6e-14",
        draw=draw_one_sample,
        sides=norm_sides,
        distance=absolute_distance,
        quantity="Σ‖A_l[f]‖²/Σ‖w_l‖²",
        smallest=CORNERS,
        batched=True,
        extended=in_extended_precision(norm_sides),
        attacked=LAYERS,
        symbolic=exactly(norm_sides, *NETWORK_CASES),
    ),
    Claim(
        id="loss-from-moments",
        title="The loss over samples is a function of the second moments",
        statement="½⟨‖y − f(x)‖²⟩ = ½(⟨‖y‖²⟩ − 2 Re Σ_f tr(Σ^yx̂_f v̂_fᴴ) + Σ_gf tr(v̂_g Σ^x̂x̂_gf v̂_fᴴ))",
        source="the loss of Pinson et al. §2.3; in these statistics: new",
        hypotheses=(*HYPOTHESES, "any data"),
        expected=Outcome.NOT_REFUTED,
        mutants={
            "⟨‖y‖²⟩ dropped": {"target_power": 0.0},
            "cross term once": {"cross": 1.0},
            "conjugate dropped": {"conjugate": False},
            "diagonal of Σ^x̂x̂ alone": {"off_diagonal": False},
        },
        tolerance=1e-12,
        tolerance_reason=PRODUCT_REASON,
        draw=draw_samples,
        sides=loss_sides,
        distance=absolute_distance,
        quantity="loss",
        smallest=CORNERS,
        batched=True,
        extended=in_extended_precision(loss_sides),
        attacked=(*LAYERS, "images", "targets"),
        symbolic=exactly(loss_sides, NETWORK_CASES[0], ONE_LAYER),
    ),
)
