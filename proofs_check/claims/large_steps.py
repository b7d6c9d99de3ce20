"""Claims about what a large learning rate bounds: kernel trace, Hessian, activations (theory, section 4, T6)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from proofs_check.cbn import CyclicCNN
from proofs_check.claim import Claim, absolute_distance, excess
from proofs_check.claims.cyclic_space import (
    RECONSTRUCTED,
    constant_network,
    dft,
    draw_grid,
    draw_pooling,
    jacobians,
    operator,
    pooling_matrix,
    preactivations,
)
from proofs_check.verdict import Instance, Outcome

__all__ = ["STEP_CLAIMS"]

Floats = NDArray[np.float64]

FILTERS = "parameters are filters and one bias a channel, circular convolution, M any even pooling"
NO_KINK = "no pre-activation 0 at the images"


def patterns(network: Instance, image: Floats) -> list[Floats]:
    """``D_l = σ'(z_l)`` ``(.., C, n)`` of the hidden layers."""
    slope = np.asarray(network["slope"])[..., None, None]
    return [np.where(z > 0, 1.0, slope) for z in preactivations(network, image)[:-1]]


def with_layer(
    network: Instance, image: Floats, frozen: list[Floats], layer: int, filters: Floats, biases: Floats
) -> Floats:
    """``f(x)`` ``(p, C n)`` with p other filters and biases in one layer and the ``D_l`` held fixed (``frozen``).

    What f is near its weights: linear in each layer. ``filters (p, C, n, C)``, ``biases (p, C)``.
    """
    weights, grid = network["weights"], network["grid"]
    depth, channels, n = weights.shape[:3]
    pooling = pooling_matrix(network["pooling"], grid)
    hidden: Floats = np.broadcast_to(image, (1, channels, n))
    for here in range(depth):
        changed = here == layer
        dense = operator(filters if changed else weights[here], grid)
        z = (dense @ hidden.reshape(len(hidden), -1, 1))[..., 0].reshape(-1, channels, n)
        z = z + (biases if changed else network["biases"][here])[..., None]
        if here < depth - 1:
            hidden = (z * frozen[here]) @ pooling
    return np.asarray(z.reshape(len(z), -1))


def unit_changes(network: Instance) -> tuple[Floats, Floats]:
    """One weight or bias of a layer at a time raised by 1: ``(p, C, n, C)`` and ``(p, C)``."""
    channels, n = network["weights"].shape[1:3]
    size = channels * n * channels
    filters, biases = np.zeros((size + channels, channels, n, channels)), np.zeros((size + channels, channels))
    filters.reshape(len(filters), -1)[range(size), range(size)] = 1.0
    biases[range(size, size + channels), range(channels)] = 1.0
    return filters, biases


def parameter_jacobian(network: Instance, image: Floats) -> Floats:
    """``∂f/∂θ`` ``(L, p, C n)``, each layer's weights and then its biases: exact differences over 1."""
    filters, biases = unit_changes(network)
    rows, frozen = [], patterns(network, image)
    for layer, (w, b) in enumerate(zip(network["weights"], network["biases"], strict=True)):
        at = with_layer(network, image, frozen, layer, w[None], b[None])
        rows.append(with_layer(network, image, frozen, layer, w + filters, b + biases) - at)
    return np.array(rows)


def as_network(instance: Instance) -> CyclicCNN:
    """The library's network of the instance."""
    weights, grid = instance["weights"], tuple(instance["grid"])
    depth, channels = weights.shape[:2]
    return CyclicCNN(
        list(weights.reshape(depth, channels, *grid, channels)),
        list(instance["biases"]),
        pooling=instance["pooling"].reshape(grid),
        slope=float(instance["slope"]),
    )


def draw_with_images(rng: np.random.Generator) -> Instance:
    """A random network and up to three images, with targets."""
    batch = constant_network(rng, 1, max_pixels=4, max_depth=3)
    network = {name: value[0] if isinstance(value, np.ndarray) else value for name, value in batch.items()}
    count, (channels, n) = int(rng.integers(1, 4)), network["ripple"].shape
    kept = {name: network[name] for name in ("grid", "weights", "pooling", "slope")}
    return {
        **kept,
        "biases": network["biases"] + 0.1 * rng.standard_normal(network["biases"].shape),
        "images": rng.standard_normal((count, channels, n)),
        "targets": rng.standard_normal((count, channels, n)),
        "limit": float(rng.choice([0.7, 1.5, 1.95, 2.05, 2.6, 3.5])),
    }


def trace_sides(
    instance: Instance, *, transform: float = 0.0, unit: bool = True, activations: str = "all"
) -> tuple[Any, Any]:
    """``Tr Θ_{w_l}(x, x)`` of each layer: from exact differences, twice; by the formula, and by the library."""
    image, grid = instance["images"][0], tuple(instance["grid"])
    depth, (channels, n) = len(instance["weights"]), image.shape
    left = (parameter_jacobian(instance, image)[:, : channels * n * channels] ** 2).sum(axis=(1, 2))
    frozen, z = patterns(instance, image), preactivations(instance, image)
    pooling = pooling_matrix(instance["pooling"], grid)
    read = [image, *((z[i] * frozen[i]) @ pooling for i in range(depth - 1))]
    back = jacobians(instance, image)
    waves = dft(grid).conj()  # e^{2πiωj/n}/√n, of unit norm
    right = []
    for layer in range(depth):
        spectrum = np.abs(read[layer] @ dft(grid)) ** 2 * n ** (1 + transform)
        rows = back[layer + 1].reshape(channels * n, channels, n) @ waves.T * (1.0 if unit else np.sqrt(n))
        gains = (np.abs(rows) ** 2).sum(axis=(0, 1))
        kept = slice(None) if activations == "all" else slice(0, 1)
        right.append((spectrum.sum(axis=0) * gains)[kept].sum())
    library = as_network(instance).ntk_trace(image.reshape(channels, *grid)).weights
    return np.concatenate([left, left]), np.concatenate([right, library])


def hessian_sides(
    instance: Instance, *, factor: float = 2.0, biases: bool = True, power: float = 1.0
) -> tuple[Any, Any]:
    """Trace of the Hessian of ``(1/N) Σ‖f - y‖²`` by second differences, and ``(2/N) Σ_x Tr Θ(x, x)``."""
    images, targets, grid = instance["images"], instance["targets"], tuple(instance["grid"])
    filters, shifts = unit_changes(instance)
    network, left, right = as_network(instance), 0.0, 0.0
    for image, target in zip(images, targets, strict=True):
        frozen = patterns(instance, image)
        for layer, (w, b) in enumerate(zip(instance["weights"], instance["biases"], strict=True)):
            changed = [with_layer(instance, image, frozen, layer, w + h * filters, b + h * shifts) for h in (1, 0, -1)]
            above, at, below = (((f - target.ravel()) ** 2).sum(axis=-1) for f in changed)
            left += float((above - 2 * at + below).sum())
        trace = network.ntk_trace(image.reshape(len(image), *grid))
        right += float(trace.total) if biases else float(trace.weights.sum())
    return left / len(images), factor / len(images) ** power * right


def limit_sides(instance: Instance, *, limit: float = 2.0, factor: float = 2.0) -> tuple[Any, Any]:
    """Whether descent on the loss of the linearised network stays bounded for 400 steps; and whether ``ηλ_max ≤ 2``.

    λ_max of its Hessian, which is that of the network at zero loss, is that of ``(2/N) Θ`` on the images.
    """
    count, outputs = len(instance["images"]), instance["images"][0].size
    rows = np.concatenate([parameter_jacobian(instance, image).reshape(-1, outputs).T for image in instance["images"]])
    residual = instance["targets"].ravel().copy()
    kernel = rows @ rows.T
    largest = float(np.linalg.eigvalsh(kernel)[-1])
    if largest <= 0.0:
        return 1.0, 1.0
    rate = instance["limit"] / (2 / count * largest)
    change, first = np.zeros(rows.shape[1]), float(residual @ residual)
    bounded = True
    for _ in range(400):
        error = rows @ change - residual
        bounded = bool(error @ error <= 1e6 * first)
        if not bounded:
            break
        change = change - rate * (2 / count) * (rows.T @ error)
    return float(bounded), float(rate * factor / count * largest <= limit)


def draw_nonnegative(rng: np.random.Generator, n: int) -> Instance:
    """``n`` ReLU networks of one shape with nonnegative pooling, half of them any.

    The others read one pixel (and minus it at the next), scale it up pixel by pixel, and spread it evenly: there the
    bound is an equality up to what the other layers add.
    """
    grid, channels, depth = draw_grid(rng, max_pixels=6), int(rng.integers(1, 4)), int(rng.choice([2, 3, 3, 4]))
    pixels = int(np.prod(grid))
    weights = rng.standard_normal((n, depth, channels, pixels, channels))
    image = rng.standard_normal((n, channels, pixels))
    tight = rng.random((n, 1, 1, 1)) < 0.5
    one = np.zeros(pixels)
    one[0] = 1.0
    even = np.abs(np.broadcast_to(weights[..., :1, :], weights.shape))
    weights[:, 0] = np.where(tight, 1e3 * np.abs(weights[:, 0]) * one[:, None], weights[:, 0])
    weights[:, 1:] = np.where(tight[..., None], even[:, 1:], weights[:, 1:])
    weights[:, 1] *= np.where(tight, 1e-4, 1.0)
    pair = one - np.where(rng.random((n, 1, 1)) < 0.5, 0.0, 0.9 * np.roll(one, 1))
    image = np.where(tight[..., 0], np.abs(image[..., :1]) * pair, image)
    averaging = draw_pooling(rng, grid, n)
    dense = pooling_matrix(averaging, grid)
    allowed = (dense.min(axis=(-2, -1)) >= 0) & ~tight[:, 0, 0, 0]
    return {
        "grid": grid,
        "weights": weights,
        "biases": np.where(tight[..., 0], 0.0, 0.1) * rng.standard_normal((n, depth, channels)),
        "pooling": np.where(allowed[:, None], averaging, 1.0),
        "image": image,
    }


def activation_sides(
    instance: Instance, *, slope: float = 0.0, factor: float = 1.0, pixels: float = 0.0
) -> tuple[Any, Any]:
    """``Σ_{l≥2} ‖α_{l-1}‖² ‖B_l(F_0⊗I)‖²``, and ``Tr Θ`` summed over the filter entries in pixel space."""
    network = {**instance, "slope": np.full(instance["biases"].shape[:-2], slope)}
    image, grid = instance["image"], tuple(instance["grid"])
    depth, channels, n = instance["weights"].shape[-4:-1]
    frozen, z = patterns(network, image), preactivations(network, image)
    pooling = pooling_matrix(instance["pooling"], grid)
    read = [image, *((z[i] * frozen[i]) @ pooling for i in range(depth - 1))]
    back = jacobians(network, image)
    left = right = np.zeros(instance["biases"].shape[:-2])
    for layer in range(depth):
        rows = back[layer + 1].reshape(*back[layer + 1].shape[:-1], channels, n)  # (.., k, o, i)
        summed = rows.sum(axis=-1)
        if layer > 0:
            left = left + n**pixels * (read[layer] ** 2).sum(axis=(-2, -1)) * (summed**2).sum(axis=(-2, -1)) / n
        # ∂f_k/∂w[o, s, c] = Σ_i B[k, o, i] α[c, i - s]: the convolution with α as a dense matrix (i, s)
        moved = operator(read[layer][..., None, :, None], grid)  # (.., c, i, s)
        gradient = np.einsum("...koi,...cis->...kocs", rows, moved, optimize=True)
        right = right + (gradient**2).sum(axis=(-4, -3, -2, -1)) + (summed**2).sum(axis=(-2, -1))
    return factor * left, right


def spreading(image: list[float], text: str) -> Instance:
    """n = 2, L = 3: one pixel is scaled up, then spread evenly by weak filters."""
    return {
        "text": text,
        "grid": (2,),
        "weights": np.array([[1e3, 0.0], [1e-4, 1e-4], [1.0, 1.0]])[:, None, :, None],
        "biases": np.zeros((3, 1)),
        "pooling": np.ones(2),
        "image": np.array([image]),
    }


STEP_CLAIMS = (
    Claim(
        id="kernel-trace",
        title="Trace of the neural tangent kernel over frequencies",
        statement="Tr Θ_{w_l}(x, x) = Σ_ω ‖α̂_{l-1,ω}‖² ‖B_l(F_ω⊗I)‖_F², B_l = ∂f/∂z_l, α̂ unnormalised, ‖F_ω‖ = 1",
        source=RECONSTRUCTED,
        hypotheses=(FILTERS, NO_KINK),
        expected=Outcome.NOT_REFUTED,
        mutants={
            "unitary DFT": {"transform": -1.0},
            "exponent of n 1% off": {"transform": 0.01},
            "F_ω not of unit norm": {"unit": False},
            "ω = 0 alone": {"activations": "constant"},
        },
        tolerance=1e-9,
        tolerance_reason="f is linear in each layer, so that differences over 1 are exact up to 1e-16 of f/∂f ≤ 1e5",
        draw=draw_with_images,
        sides=trace_sides,
        quantity="Tr Θ_{w_l}",
        max_instances=2000,
    ),
    Claim(
        id="hessian-trace",
        title="Trace of the Hessian is the trace of the kernel, at any loss",
        statement="Tr H = (2/N) Σ_x Tr Θ(x, x) for ℒ = (1/N) Σ‖f - y‖², Θ over weights and biases",
        source=RECONSTRUCTED + "; at any loss: new (said at zero loss; f is linear in each single parameter)",
        hypotheses=(FILTERS, NO_KINK),
        expected=Outcome.NOT_REFUTED,
        mutants={
            "1/N for 2/N": {"factor": 1.0},
            "biases dropped": {"biases": False},
            "1/N dropped": {"power": 0.0},
            "exponent of N 1% off": {"power": 1.01},
        },
        tolerance=1e-8,
        tolerance_reason="second differences over 1 of a quadratic: 1e-16 of ℒ over its second derivative, ≤ 1e6",
        draw=draw_with_images,
        sides=hessian_sides,
        quantity="Tr H",
        max_instances=1000,
    ),
    Claim(
        id="hessian-stability",
        title="Descent is stable up to a curvature of 2/η",
        statement="where f is linear in the weights gradient descent of step η stays bounded iff λ_max(H) ≤ 2/η",
        source=RECONSTRUCTED + "; standard",
        hypotheses=(
            FILTERS,
            NO_KINK,
            "f to first order in the weights: H as at zero loss",
            "ηλ_max not within 2% of 2",
        ),
        expected=Outcome.NOT_REFUTED,
        mutants={"1/η": {"limit": 1.0}, "4/η": {"limit": 4.0}, "1/N for 2/N in H": {"factor": 1.0}},
        tolerance=0.5,
        tolerance_reason="yes or no: at ηλ_max = 2.05 the error grows by 1.05^400, at 1.95 it shrinks",
        draw=draw_with_images,
        sides=limit_sides,
        distance=absolute_distance,
        quantity="stable (1) or not (0):",
        max_instances=200,
    ),
    Claim(
        id="activation-bound",
        title="The kernel's trace bounds the activations",
        statement="Σ_{l≥2} ‖α_{l-1}‖² ‖B_l(F_0⊗I)‖² ≤ Tr Θ(x, x) for ReLU",
        source=RECONSTRUCTED,
        hypotheses=("ReLU, pooling with nonnegative entries", FILTERS, NO_KINK),
        expected=Outcome.NOT_REFUTED,
        mutants={
            "√2": {"factor": float(np.sqrt(2))},
            "activations of both signs": {"slope": 0.9},
            "n‖α‖² for ‖α‖²": {"pixels": 1.0},
            "exponent 1% off": {"pixels": 0.01},
        },
        tolerance=1e-10,
        tolerance_reason="sums of nonnegative terms in float64; what cancels in B_l is the same on both sides: 1e-13",
        draw=draw_nonnegative,
        sides=activation_sides,
        distance=excess,
        quantity="the sum over activations, and Tr Θ:",
        smallest=(
            spreading([1.0, 0.0], "n = 2, L = 3, x = (1, 0), w = 1000 δ₀, (1, 1)/10000, (1, 1)"),
            spreading([1.0, -0.9], "n = 2, L = 3, x = (1, -0.9), w = 1000 δ₀, (1, 1)/10000, (1, 1)"),
        ),
        batched=True,
        attacked=("weights", "biases", "image"),
    ),
)
