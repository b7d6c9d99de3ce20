"""Claims about deep-learning frameworks: their convolution, their mean squared error, their weight decay.

What a framework computes is written here from its documentation, in pixel space and without the framework; the tests
compare it with PyTorch.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lineardyn import LinearCNN, SecondMoments
from lineardyn.closed_form import convert_learning_rate, convert_weight_decay
from proofs_check.claim import Claim, absolute_distance
from proofs_check.claims.arithmetic import FLOAT, Arithmetic, exactly, in_extended_precision, unit
from proofs_check.claims.deep_network import (
    complex_step_gradient,
    draw_problem,
    flat,
    size_of_outputs,
    size_of_terms,
    squared_error,
    squared_norm,
)
from proofs_check.claims.definitions import correlate, dft, kernel_spectrum, phases, spectrum
from proofs_check.claims.fourier import CORNERS, KERNEL_CASES, ROUND_OFF, ROUND_OFF_REASON, draw_kernel_and_image
from proofs_check.verdict import Instance, Outcome

__all__ = ["FRAMEWORK_CLAIMS", "correlate_same", "framework_step", "network_and_moments"]

Floats = NDArray[np.float64]


def correlate_same(kernel: NDArray[Any], image: NDArray[Any]) -> NDArray[Any]:
    """A framework's circular convolution with ``padding="same"``: pads (k-1)//2 in front, the rest behind, correlates.

    ``kernel`` ``(n, C_out, H, W, C_in)``, ``image`` ``(n, C_in, H, W)``; PyTorch stores the kernel as (o, c, m, n).
    """
    n, c_out, height, width, c_in = kernel.shape
    front = (height - 1) // 2, (width - 1) // 2
    behind = height - 1 - front[0], width - 1 - front[1]
    padded = np.pad(image, [(0, 0), (0, 0), (front[0], behind[0]), (front[1], behind[1])], mode="wrap")
    windows = np.lib.stride_tricks.sliding_window_view(padded, (height, width), axis=(2, 3))  # (n, c, i, j, m, k)
    rows = windows.transpose(0, 4, 5, 1, 2, 3).reshape(n, height * width * c_in, height * width)
    outputs: NDArray[Any] = kernel.reshape(n, c_out, -1) @ rows
    return outputs.reshape(n, c_out, height, width)


def correlation_sides(
    instance: Instance,
    *,
    conjugate: str = "ŵ",
    power_of_p: float = 0.5,
    arithmetic: Arithmetic = FLOAT,
) -> tuple[Any, Any]:
    """The spectrum of ``y[p] = Σ_q w[q] x[p+q]``, and ``√P conj(ŵ) x̂``; ``conjugate``: "ŵ", "x̂", "neither"."""
    kernel, image = unit(instance["kernel"], arithmetic), unit(instance["image"], arithmetic)
    w, x = kernel_spectrum(kernel, arithmetic), spectrum(image, arithmetic).transpose(0, 2, 1)[..., None]
    product = (w.conj() if conjugate == "ŵ" else w) @ (x.conj() if conjugate == "x̂" else x)
    left = dft(correlate(kernel, image), arithmetic).transpose(0, 2, 1)
    return left, arithmetic.power(image.shape[2] * image.shape[3], power_of_p) * product[..., 0]


def padding_sides(
    instance: Instance,
    *,
    half: str = "(H-1)//2",
    sign: int = 1,
    conjugate: bool = True,
    arithmetic: Arithmetic = FLOAT,
) -> tuple[Any, Any]:
    """The spectrum of a framework's circular ``padding="same"``, and that of the correlation times a phase.

    ``half``: by how much it is shifted, "(H-1)//2", "H//2" or "0".
    """
    kernel, image = unit(instance["kernel"], arithmetic), unit(instance["image"], arithmetic)
    height, width = image.shape[2:]
    a, b = ({"(H-1)//2": (side - 1) // 2, "H//2": side // 2, "0": 0}[half] for side in (height, width))
    turn = phases((height, width), arithmetic)[sign * a % height * width + sign * b % width]
    w, x = kernel_spectrum(kernel, arithmetic), spectrum(image, arithmetic).transpose(0, 2, 1)[..., None]
    product = ((w.conj() if conjugate else w) @ x)[..., 0] * turn[:, None]
    left = dft(correlate_same(kernel, image), arithmetic).transpose(0, 2, 1)
    return left, arithmetic.power(height * width, 0.5) * product


def draw_step(rng: np.random.Generator) -> Instance:
    """A network with its data, and what a user sets in a framework."""
    return {**draw_problem(rng), "lr": float(10.0 ** rng.uniform(-4, 0))}


def framework_step(instance: Instance, *, framework: str, loss: str = "mse") -> list[Floats]:
    """What one full-batch step of plain SGD takes off each weight, differentiated in pixel space.

    ``mse`` averages over samples *and* outputs; ``half`` is ``½⟨‖y - f‖²⟩``. ``weight_decay`` is added to the gradient
    as ``wd·w`` (PyTorch), or to the loss as ``a‖w‖²`` (Keras); ``framework="none"`` has no decay.
    """
    images, targets, decay = instance["images"], instance["targets"], instance["weight_decay"]
    share = {"mse": 1.0 / targets.shape[1], "half": 0.5}[loss]

    def objective(weights: Sequence[NDArray[Any]]) -> NDArray[Any]:
        error: NDArray[Any] = share * squared_error(weights, images, targets)
        return error + decay * squared_norm(weights) if framework == "keras" else error

    slopes = complex_step_gradient(objective, instance["weights"])
    added = decay if framework == "torch" else 0.0
    return [instance["lr"] * (g + added * w) for g, w in zip(slopes, instance["weights"], strict=True)]


def library_step(instance: Instance, learning_rate: float, weight_decay: float) -> list[Floats]:
    """The same of this library: ``learning_rate ∇ℒ``."""
    network, moments = network_and_moments(instance)
    slopes = network.gradient(instance["weights"], moments, weight_decay=weight_decay)
    return [learning_rate * g for g in slopes]


def network_and_moments(instance: Instance, form: str = "dense") -> tuple[LinearCNN, SecondMoments]:
    """The library's network and the moments of the data."""
    images, targets = instance["images"], instance["targets"]
    widths = tuple(w.shape[3] for w in instance["weights"][1:])
    network = LinearCNN(images.shape[1:], widths=widths, n_outputs=targets.shape[1])
    return network, SecondMoments.from_data(images, targets, form=form)


def terms_of(instance: Instance) -> float:
    """The size of the terms of the instance's gradient."""
    return size_of_terms(*(instance[name] for name in ("weights", "images", "targets", "weight_decay")))


def conversion_sides(
    instance: Instance,
    *,
    framework: str,
    loss: str = "mse",
    rate_factor: float = 1.0,
    decay_factor: float = 1.0,
    outputs: str = "K",
) -> tuple[Any, Any]:
    """One step of a framework, and ``lr' ∇ℒ`` with the converted learning rate and weight decay.

    ``outputs``: the K of the conversion, or "1" if it is forgotten. With ``loss="half"`` nothing is to be converted.
    """
    n_outputs = instance["targets"].shape[1] if outputs == "K" else 1
    rate, decay = instance["lr"], 0.0 if framework == "none" else instance["weight_decay"]
    if loss == "mse":
        name = "torch" if framework == "none" else framework
        rate = convert_learning_rate(rate, n_outputs=n_outputs, framework=name)
        decay = convert_weight_decay(decay, n_outputs=n_outputs, framework=name)
    step = framework_step(instance, framework=framework, loss=loss)
    right = library_step(instance, rate_factor * rate, decay_factor * decay)
    scale = instance["lr"] * terms_of(instance)
    return flat(step) / scale, flat(right) / scale


def objective_sides(
    instance: Instance, *, factor: float = 2.0, decay_factor: float = 1.0, average: bool = True
) -> tuple[Any, Any]:
    """``(1/N) Σ‖y - f‖² + λ Σ‖w_l‖²`` and its gradient in pixel space, and twice the library's ℒ and gradient."""
    images, targets, decay, weights = (instance[name] for name in ("images", "targets", "weight_decay", "weights"))
    count = 1.0 if average else float(len(images))

    def objective(w: Sequence[NDArray[Any]]) -> NDArray[Any]:
        total: NDArray[Any] = count * squared_error(w, images, targets) + decay * squared_norm(w)
        return total

    network, moments = network_and_moments(instance)
    value = float(objective([w[None] for w in weights])[0])
    ours = network.loss(weights, moments, weight_decay=decay_factor * decay)
    largest = size_of_outputs(weights, images) + float(np.sqrt(np.sum(targets**2) / len(targets)))
    power = largest**2 + decay * sum(float(np.sum(w**2)) for w in weights)
    slopes = flat(network.gradient(weights, moments, weight_decay=decay_factor * decay))
    scale = 2 * terms_of(instance)
    left = np.append(flat(complex_step_gradient(objective, weights)) / scale, value / power)
    return left, factor * np.append(slopes / scale, ours / power)


CONVERSION: dict[str, Any] = {
    "expected": Outcome.NOT_REFUTED,
    "tolerance": 1e-12,
    "tolerance_reason": (
        "≤ 4 layers, ≤ 5 samples and ≤ 18 coordinates, relative to a product of norms: 4·5·18·ε ≈ 8e-14"
    ),
    "draw": draw_step,
    "sides": conversion_sides,
    "distance": absolute_distance,
    "quantity": "step",
}
PLAIN_SGD = ("plain SGD, full batch: no momentum, no adaptive step", "any depth, widths, channels, outputs")


def _conversion(**fields: Any) -> Claim:
    """A claim about one step of plain SGD."""
    return Claim(**{**CONVERSION, **fields})


FRAMEWORK_CLAIMS = (
    Claim(
        id="correlation",
        title="Frameworks compute the correlation: the conjugate of the kernel's spectrum",
        statement="y[p] = Σ_q w[q] x[p + q] ⇒ ŷ_f = √P conj(ŵ_f) x̂_f",
        source="standard; what deep-learning frameworks call a convolution",
        hypotheses=("circular, kernel as large as the image", "real kernel", "unitary DFT over the spatial axes"),
        expected=Outcome.NOT_REFUTED,
        mutants={
            "conjugate dropped": {"conjugate": "neither"},
            "conj(x̂) for conj(ŵ)": {"conjugate": "x̂"},
            "√P dropped": {"power_of_p": 0.0},
        },
        tolerance=ROUND_OFF,
        tolerance_reason=ROUND_OFF_REASON,
        draw=draw_kernel_and_image,
        sides=correlation_sides,
        distance=absolute_distance,
        quantity="ŷ_f/(‖w‖‖x‖)",
        smallest=CORNERS,
        batched=True,
        extended=in_extended_precision(correlation_sides),
        attacked=("kernel", "image"),
        symbolic=exactly(correlation_sides, *KERNEL_CASES),
    ),
    Claim(
        id="padding-same",
        title='Circular padding="same" shifts the correlation',
        statement="ŷ_f = √P conj(ŵ_f) exp(−2πi(u⌊(H−1)/2⌋/H + v⌊(W−1)/2⌋/W)) x̂_f",
        source="new; from the padding rule of PyTorch's Conv2d",
        hypotheses=("circular padding of ⌊(k−1)/2⌋ in front and the rest behind", "kernel as large as the image"),
        expected=Outcome.NOT_REFUTED,
        mutants={
            "⌊H/2⌋ for ⌊(H−1)/2⌋": {"half": "H//2"},
            "no shift": {"half": "0"},
            "opposite phase": {"sign": -1},
            "conjugate dropped": {"conjugate": False},
        },
        tolerance=ROUND_OFF,
        tolerance_reason=ROUND_OFF_REASON,
        draw=draw_kernel_and_image,
        sides=padding_sides,
        distance=absolute_distance,
        quantity="ŷ_f/(‖w‖‖x‖)",
        smallest=CORNERS,
        batched=True,
        extended=in_extended_precision(padding_sides),
        attacked=("kernel", "image"),
        symbolic=exactly(padding_sides, *KERNEL_CASES, {"kernel": (1, 1, 4, 1), "image": (1, 1, 4)}),
    ),
    _conversion(
        id="mse-learning-rate",
        title="Learning rate of frameworks: 2 lr / K",
        statement="lr ∇mse = (2 lr/K) ∇½⟨‖y − f(x)‖²⟩, since mse averages over the K outputs too",
        source="new; from the definition of mse in PyTorch and Keras",
        hypotheses=PLAIN_SGD,
        mutants={
            "K forgotten": {"outputs": "1"},
            "lr/K": {"rate_factor": 0.5},
            "1% off": {"rate_factor": 1.01},
        },
        formula={"framework": "none"},
    ),
    _conversion(
        id="torch-weight-decay",
        title="PyTorch's weight_decay under mse: λ = K wd / 2",
        statement="lr (∇mse + wd w) = (2 lr/K) ∇(½⟨‖y − f(x)‖²⟩ + ½λΣ‖w‖²) with λ = K wd/2",
        source="new; from PyTorch's SGD, which adds wd·w to the gradient",
        hypotheses=PLAIN_SGD,
        mutants={
            "K forgotten": {"outputs": "1"},
            "λ = K wd": {"decay_factor": 2.0},
            "λ 1% off": {"decay_factor": 1.01},
        },
        formula={"framework": "torch"},
    ),
    _conversion(
        id="torch-weight-decay-half",
        title="PyTorch's weight_decay under ½‖y − f‖²: λ = wd",
        statement="lr (∇½⟨‖y − f(x)‖²⟩ + wd w) = lr ∇(½⟨‖y − f(x)‖²⟩ + ½λΣ‖w‖²) with λ = wd",
        source="new; from PyTorch's SGD, which adds wd·w to the gradient",
        hypotheses=PLAIN_SGD,
        mutants={
            "λ = 2 wd": {"decay_factor": 2.0},
            "λ 1% off": {"decay_factor": 1.01},
            "2 lr for lr": {"rate_factor": 2.0},
        },
        formula={"framework": "torch", "loss": "half"},
    ),
    _conversion(
        id="keras-weight-decay",
        title="Keras' l2(a) under mse: λ = K a",
        statement="lr ∇(mse + aΣ‖w‖²) = (2 lr/K) ∇(½⟨‖y − f(x)‖²⟩ + ½λΣ‖w‖²) with λ = K a",
        source="new; from Keras' l2 regulariser, which adds a‖w‖² to the loss",
        hypotheses=PLAIN_SGD,
        mutants={
            "K forgotten": {"outputs": "1"},
            "λ = K a/2": {"decay_factor": 0.5},
            "λ 1% off": {"decay_factor": 1.01},
        },
        formula={"framework": "keras"},
    ),
    Claim(
        id="regression-objective",
        title="The regression objective is twice the flow loss",
        statement="(1/N) Σ‖y − f(x)‖² + λ Σ‖w_l‖² = 2ℒ with the same λ, and so is its gradient",
        source="new; Godfrey et al. eq 4.1 against the loss of Pinson et al. §2.3",
        hypotheses=("any data, depth, widths, channels", "ℒ = ½⟨‖y − f(x)‖²⟩ + ½λ Σ‖w_l‖²"),
        expected=Outcome.NOT_REFUTED,
        mutants={
            "factor 1": {"factor": 1.0},
            "λ/2 for λ": {"decay_factor": 0.5},
            "sum over samples for average": {"average": False},
        },
        tolerance=1e-12,
        tolerance_reason=CONVERSION["tolerance_reason"],
        draw=draw_problem,
        sides=objective_sides,
        distance=absolute_distance,
        quantity="objective, gradient",
    ),
)
