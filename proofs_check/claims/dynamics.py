"""Claims about gradient flow on any data: its relation to descent, and what it conserves at each frequency."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from lineardyn import LinearCNN, SecondMoments, gradient_flow
from proofs_check.claim import Claim, absolute_distance
from proofs_check.claims.pixel_space import gradient, shift_matrices, two_layer_weights
from proofs_check.instances import draw_scale, draw_shape
from proofs_check.verdict import Instance, Outcome

__all__ = ["DYNAMICS_CLAIMS"]

Floats = NDArray[np.float64]
Complexes = NDArray[np.complex128]


def draw_descent(rng: np.random.Generator) -> Instance:
    """A few random images with random targets and a start of order one, in units in which rates are of order one."""
    height, width = draw_shape(rng, min_pixels=2, max_pixels=12)
    n_samples, n_outputs = int(rng.integers(2, 5)), int(rng.integers(1, 4))
    images = rng.standard_normal((n_samples, height, width))
    return {
        "images": images / np.sqrt(height * width),
        "targets": rng.standard_normal((n_samples, n_outputs)),
        "kernel": 0.5 * rng.standard_normal((height, width)),
        "dense": 0.5 * rng.standard_normal((n_outputs, height, width)),
    }


def descent_order_sides(
    instance: Instance, *, speed: float = 1.0, average: bool = True, power_of_p: float = 0.0
) -> tuple[Any, Any]:
    """The fitted order in η of the distance between descent and flow at one time; and 1."""
    images, targets = instance["images"], instance["targets"]
    n_samples, height, width = images.shape
    start = two_layer_weights(instance["kernel"], instance["dense"])
    network = LinearCNN((1, height, width), widths=(1,), n_outputs=targets.shape[1])
    factor = speed * (1.0 if average else n_samples) * (height * width) ** power_of_p
    horizon = 1.0
    moments = SecondMoments.from_data(images[:, None], targets)
    trajectory = gradient_flow(network, moments, start, [factor * horizon], method="dop853", rtol=1e-11, atol=1e-13)
    flow = np.concatenate([w.ravel() for w in trajectory.weights(-1)])
    steps = np.array([200, 400, 800])
    gaps = [np.linalg.norm(_descend(instance, int(n), horizon) - flow) for n in steps]
    order = -np.polyfit(np.log(steps), np.log(gaps), 1)[0]
    return order, 1.0


def _descend(instance: Instance, steps: int, horizon: float) -> Floats:
    """All weights after ``steps`` steps of averaged gradient descent in pixel space, learning rate horizon/steps."""
    kernel, dense = instance["kernel"].ravel(), instance["dense"].reshape(len(instance["dense"]), -1)
    shifts, rate = shift_matrices(instance["images"]), horizon / steps
    for _ in range(steps):
        to_kernel, to_dense = gradient(shifts, instance["targets"], kernel, dense)
        kernel, dense = kernel - rate * to_kernel, dense - rate * to_dense
    return np.concatenate([kernel, dense.ravel()])


def draw_network(rng: np.random.Generator) -> Instance:
    """Any data, any depth from 2 to 4, any widths, weight decay half of the time."""
    shape = (int(rng.integers(1, 4)), *draw_shape(rng, max_pixels=12))
    n_outputs, n_samples = int(rng.integers(1, 4)), int(rng.integers(1, 6))
    widths = [int(w) for w in rng.integers(1, 4, size=int(rng.integers(1, 4)))]
    network = LinearCNN(shape, widths=tuple(widths), n_outputs=n_outputs)
    scale = 1.0 / np.sqrt(np.prod(shape))
    return {
        "images": draw_scale(rng, decades=1.0) * rng.standard_normal((n_samples, *shape)),
        "targets": rng.standard_normal((n_samples, n_outputs)),
        "widths": widths,
        "weights": network.init_small(float(scale), rng=rng),
        "weight_decay": float(rng.choice([0.0, 0.3])),
    }


def _problem(instance: Instance) -> tuple[LinearCNN, SecondMoments]:
    images, targets = instance["images"], instance["targets"]
    network = LinearCNN(images.shape[1:], widths=tuple(instance["widths"]), n_outputs=targets.shape[1])
    return network, SecondMoments.from_data(images, targets)


def _blocks(weights: list[Floats], *, conjugate_last: bool = True) -> list[Complexes]:
    """``A_1, .., A_{L-1}, B``: ``(H, W, C_l, C_{l-1})`` each; B is the conjugate of the last layer's spectrum."""
    spectra = [np.fft.fft2(w, axes=(1, 2), norm="ortho").transpose(1, 2, 0, 3) for w in weights]
    return [*spectra[:-1], spectra[-1].conj() if conjugate_last else spectra[-1]]


def _gram(a: Complexes, b: Complexes) -> Complexes:
    product: Complexes = a @ b.conj().swapaxes(-1, -2)
    return product


def _gram_rate(a: Complexes, a_dot: Complexes, decay: float) -> Complexes:
    """``d/dt (a a^H) + decay a a^H``."""
    moving = _gram(a_dot, a)
    rate: Complexes = moving + moving.conj().swapaxes(-1, -2) + decay * _gram(a, a)
    return rate


def conservation_sides(
    instance: Instance, *, decay_factor: float = 2.0, conjugate_last: bool = True, last_factor: float = 1.0
) -> tuple[Any, Any]:
    """``d/dt (A_l A_l^H) + 2λ A_l A_l^H`` and the same of ``A_{l+1}^H A_{l+1}``, at every l and frequency.

    Over ``⟨‖f‖²⟩ + ‖f‖‖y‖ + λΣ‖w‖²``, of which the sums consist: E = Σ^yx - v̂ Σ^xx may cancel.
    """
    network, moments = _problem(instance)
    decay = instance["weight_decay"]
    slopes = network.gradient(instance["weights"], moments, weight_decay=decay)
    a = _blocks(instance["weights"], conjugate_last=conjugate_last)
    a_dot = [-g for g in _blocks(slopes, conjugate_last=conjugate_last)]
    left, right = [], []
    for layer in range(len(a) - 1):
        left.append(_gram_rate(a[layer], a_dot[layer], decay_factor * decay))
        above, above_dot = (x[layer + 1].swapaxes(-1, -2).conj() for x in (a, a_dot))
        factor = last_factor if layer == len(a) - 2 else 1.0
        right.append(factor * _gram_rate(above, above_dot, 2.0 * decay))
    outputs = network.predict(instance["weights"], instance["images"])
    power = float((outputs**2).sum() / len(outputs))
    scale = power + np.sqrt(power * moments.target_power) + decay * sum((w**2).sum() for w in instance["weights"])
    return np.concatenate([x.ravel() for x in left]) / scale, np.concatenate([x.ravel() for x in right]) / scale


def invariant_sides(
    instance: Instance, *, exponent: float = 2.0, conjugate_last: bool = True, weight: float = 1.0
) -> tuple[Any, Any]:
    """``A_l A_l^H - A_{l+1}^H A_{l+1}`` at a later time, and its start times ``exp(-2λt)``; over the largest ‖A‖²."""
    network, moments = _problem(instance)
    decay, weights = instance["weight_decay"], instance["weights"]
    # a time of order one in the units of the fastest rate: the weights change by O(1)
    speed = float(np.sqrt(sum((g**2).sum() for g in network.gradient(weights, moments)) + 1e-300))
    size = float(np.sqrt(sum((w**2).sum() for w in weights)))
    horizon = min(size / speed, 2.0)
    trajectory = gradient_flow(
        network, moments, weights, [horizon], weight_decay=decay, method="dop853", rtol=1e-11, atol=1e-13
    )
    later, start = (_balance(w, conjugate_last, weight) for w in (trajectory.weights(-1), weights))
    scale = max(float((np.abs(b) ** 2).max()) for b in (*_blocks(weights), *_blocks(trajectory.weights(-1))))
    return later / scale, start * np.exp(-exponent * decay * horizon) / scale


def _balance(weights: list[Floats], conjugate_last: bool, weight: float) -> Complexes:
    a = _blocks(weights, conjugate_last=conjugate_last)
    aboves = [x.swapaxes(-1, -2).conj() for x in a[1:]]
    return np.concatenate([(_gram(x, x) - weight * _gram(y, y)).ravel() for x, y in zip(a, aboves, strict=False)])


DYNAMICS_CLAIMS = (
    Claim(
        id="averaged-descent",
        title="Gradient flow is averaged gradient descent up to O(learning rate)",
        statement="‖w_descent(t/η steps) − w_flow(t)‖ = O(η): order 1, fitted over η = 1/200, 1/400, 1/800",
        source="Pinson et al. §2.3, appendix D.4; standard, with the order fitted",
        hypotheses=(
            "gradient averaged over all samples",
            "loss ½⟨‖y − f(x)‖²⟩",
            "t fixed, η → 0",
            "a start that moves",
        ),
        expected=Outcome.NOT_REFUTED,
        mutants={
            "loss without its ½": {"speed": 2.0},
            "sum over samples for average": {"average": False},
            "factor √P": {"power_of_p": 0.5},
            "time 1% off": {"speed": 1.01},
        },
        tolerance=0.1,
        tolerance_reason="the next order changes the slope by O(ηr) ≲ 0.05 at the rates r ≲ 10 of these instances",
        draw=draw_descent,
        sides=descent_order_sides,
        distance=absolute_distance,
        quantity="order",
        max_instances=20,
    ),
    Claim(
        id="conservation-law",
        title="The conserved quantity of each frequency, as a law of the gradient",
        statement="d/dt(A_l A_lᴴ) + 2λ A_l A_lᴴ = d/dt(A_{l+1}ᴴ A_{l+1}) + 2λ A_{l+1}ᴴ A_{l+1} at each f, l = 1..L−1",
        source="new; what keeps the balanced starts of Pinson et al. appendix G balanced",
        hypotheses=("any data", "A_l = ŵ_l, A_L = conj(ŵ_L)", "gradient flow with weight decay λ ≥ 0"),
        expected=Outcome.NOT_REFUTED,
        mutants={
            "conjugate of the last layer dropped": {"conjugate_last": False},
            "λ for 2λ": {"decay_factor": 1.0},
            "√2 on the last layer": {"last_factor": float(np.sqrt(2))},
        },
        tolerance=1e-12,
        tolerance_reason="products of ≤ 4 layers of ≤ 36 coordinates in float64: 4·36·ε ≈ 3e-14 of the terms' size",
        draw=draw_network,
        sides=conservation_sides,
        distance=absolute_distance,
        quantity="d/dt of the balance",
    ),
    Claim(
        id="conserved-quantity",
        title="The conserved quantity of each frequency, along the flow",
        statement="A_l A_lᴴ − A_{l+1}ᴴ A_{l+1} at each f is constant for λ = 0, and decays as exp(−2λt)",
        source="new; what keeps the balanced starts of Pinson et al. appendix G balanced",
        hypotheses=("any data", "A_l = ŵ_l, A_L = conj(ŵ_L)", "gradient flow with weight decay λ ≥ 0"),
        expected=Outcome.NOT_REFUTED,
        mutants={
            "conjugate of the last layer dropped": {"conjugate_last": False},
            "exp(−λt)": {"exponent": 1.0},
            "√2 on the upper layer": {"weight": float(np.sqrt(2))},
        },
        tolerance=1e-8,
        tolerance_reason="the flow is integrated at rtol 1e-11 over a few hundred steps at most",
        draw=draw_network,
        sides=invariant_sides,
        distance=absolute_distance,
        quantity="balance",
        max_instances=60,
    ),
)
