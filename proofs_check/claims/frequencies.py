"""Claims about single frequencies of two layers on any data: balance of a frequency, and which frequencies meet."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from proofs_check.claim import Claim, absolute_distance
from proofs_check.claims.disjoint import DISJOINT
from proofs_check.claims.pixel_space import gradient, shift_matrices
from proofs_check.claims.two_layers import ROUND_OFF, ROUND_OFF_REASON, flat_weights, size_of, size_of_gradient
from proofs_check.instances import draw_scale, draw_shape, one_of_each_pair
from proofs_check.verdict import Instance, Outcome

__all__ = ["FREQUENCY_CLAIMS"]

Floats = NDArray[np.float64]


def draw_any_data(rng: np.random.Generator, n: int) -> Instance:
    """Any images of several channels, any targets, any weights."""
    shape = draw_shape(rng, max_pixels=12)
    channels, n_samples, n_outputs = (int(rng.integers(1, top)) for top in (4, 5, 4))
    size = draw_scale(rng, decades=2.0)
    return {
        "images": rng.standard_normal((n, n_samples, channels, *shape)),
        "targets": rng.standard_normal((n, n_samples, n_outputs)),
        "kernel": size * rng.standard_normal((n, channels, *shape)),
        "dense": rng.standard_normal((n, n_outputs, *shape)) / size,
    }


def draw_with_gaps(rng: np.random.Generator, n: int) -> Instance:
    """Images without power at some frequencies, any targets and weights."""
    shape = draw_shape(rng, min_pixels=2, max_pixels=15)
    pairs = one_of_each_pair(shape)
    empty = [pairs[i] for i in rng.permutation(len(pairs))[: int(rng.integers(1, len(pairs)))]]
    n_samples, n_outputs = int(rng.integers(1, 5)), int(rng.integers(1, 4))
    keep = np.ones(shape)
    for u, v in empty:
        keep[u, v] = keep[-u % shape[0], -v % shape[1]] = 0.0
    images = rng.standard_normal((n, n_samples, *shape))
    return {
        "images": np.fft.ifft2(keep * np.fft.fft2(images)).real,
        "others": images,
        "targets": rng.standard_normal((n, n_samples, n_outputs)),
        "kernel": rng.standard_normal((n, *shape)),
        "dense": rng.standard_normal((n, n_outputs, *shape)),
        "empty": empty,
    }


def draw_disjoint_images(rng: np.random.Generator, n: int) -> Instance:
    """Images of one class each whose spectra do not meet, and two starts without any symmetry."""
    shape = draw_shape(rng, min_pixels=2, max_pixels=15)
    pairs = one_of_each_pair(shape)
    k = int(rng.integers(2, min(3, len(pairs)) + 1)) if len(pairs) > 1 else 1
    owner = np.zeros(shape, dtype=int)
    for place, i in enumerate(rng.permutation(len(pairs))):
        u, v = pairs[i]
        owner[u, v] = owner[-u % shape[0], -v % shape[1]] = place if place < k else int(rng.integers(-1, k))
    noise = np.fft.fft2(rng.standard_normal((n, k, *shape)))
    return {
        "images": np.fft.ifft2(np.where(owner == np.arange(k)[:, None, None], noise, 0.0)).real,
        "kernel": rng.standard_normal((n, 2, *shape)),
        "dense": rng.standard_normal((n, 2, k, *shape)),
        "owner": owner.tolist(),
    }


def balance_sides(instance: Instance, *, factor: float = 1.0, channels: str = "all", shift: int = 0) -> tuple[Any, Any]:
    """``d/dt Σ_c|κ_cf|²`` and ``d/dt Σ_γ|A_γf|²`` at every frequency, from the pixel-space gradient; over their terms.

    ``channels``: "all" or "first"; ``shift``: compare with another frequency.
    """
    images, kernel, dense = instance["images"], instance["kernel"], instance["dense"]
    n, _, n_channels, height, width = images.shape
    n_pixels = height * width
    shifts = np.concatenate(list(np.moveaxis(shift_matrices(images), 2, 0)), axis=-1)  # (n, N, P, C·P)
    k, w = kernel.reshape(n, -1), dense.reshape(n, -1, n_pixels)
    to_kernel, to_dense = gradient(shifts, instance["targets"], k, w)
    kappa, slope = (np.fft.fft2(z.reshape(n, n_channels, height, width), norm="ortho") for z in (k, to_kernel))
    a, a_slope = (np.fft.fft2(z.reshape(dense.shape), norm="ortho") for z in (w, to_dense))
    used = slice(None) if channels == "all" else slice(1)
    left = -2 * (kappa.conj() * slope).real[:, used].sum(axis=1)
    right = -2 * factor * (a.conj() * a_slope).real.sum(axis=1)
    sizes = size_of(k), size_of(w)
    scale = sizes[0] * sizes[1] / (sizes[0] + sizes[1]) * size_of_gradient(shifts, instance["targets"], k, w)
    return left / scale, np.roll(right, shift, axis=-1) / scale


def balance_form(*, factor: float = 1.0, channels: str = "all", shift: int = 0) -> list[Any]:
    """From P eq 15-16 with E and q free symbols, two classes and two channels: the difference vanishes identically."""
    import sympy as sp

    kappa = sp.symbols("kappa:2", complex=True)
    a = sp.symbols("A:2", complex=True)
    q = [sp.symbols(f"q{beta}_:2", complex=True) for beta in range(2)]
    e = [sp.symbols(f"E{gamma}_:2", real=True) for gamma in range(2)]

    def drive(gamma: int, channel: int) -> Any:
        return sum(e[gamma][beta] * sp.conjugate(q[beta][channel]) for beta in range(2))

    kappa_dot = [sum(sp.conjugate(a[g]) * drive(g, c) for g in range(2)) for c in range(2)]
    a_dot = [sum(sp.conjugate(kappa[c]) * drive(g, c) for c in range(2)) for g in range(2)]
    if shift:
        q = [sp.symbols(f"p{beta}_:2", complex=True) for beta in range(2)]  # another frequency has another q
        a_dot = [sum(sp.conjugate(kappa[c]) * drive(g, c) for c in range(2)) for g in range(2)]
    used = range(2) if channels == "all" else range(1)
    left = sum(sp.conjugate(kappa[c]) * kappa_dot[c] + kappa[c] * sp.conjugate(kappa_dot[c]) for c in used)
    right = sum(sp.conjugate(a[g]) * a_dot[g] + a[g] * sp.conjugate(a_dot[g]) for g in range(2))
    return [sp.expand(left - sp.nsimplify(factor) * right)]


def still_sides(instance: Instance, *, images: str = "images", weight_decay: float = 0.0) -> tuple[Any, Any]:
    """The gradient's spectrum at frequencies that no image has, over the size of its terms; and 0."""
    shifts, kernel, dense = flat_weights({**instance, "images": instance[images]})
    to_kernel, to_dense = gradient(shifts, instance["targets"], kernel, dense)
    slopes = np.concatenate([to_kernel[:, None], to_dense], axis=1)
    slopes = slopes + weight_decay * np.concatenate([kernel[:, None], dense], axis=1)
    spectra = np.fft.fft2(slopes.reshape(*slopes.shape[:2], *instance["kernel"].shape[1:]), norm="ortho")
    places = tuple(np.array(instance["empty"]).T)
    left = spectra[:, :, places[0], places[1]] / size_of_gradient(shifts, instance["targets"], kernel, dense)
    return left, np.zeros_like(left)


def decoupling_sides(instance: Instance, *, kept: str = "mode", errors: str = "own") -> tuple[Any, Any]:
    """The gradient on F_0, in spectra, of a start and of another one that is the same on F_0 alone. Over terms.

    ``kept``: "mode" (all that lies on F_0), "kernel" (its kernel alone); ``errors``: "own" (the first image's), "all"
    (of a sum of the images: one class that has all frequencies).
    """
    mine = np.array(instance["owner"]) == 0
    images, k = instance["images"], instance["images"].shape[1]
    if errors == "all":
        images = images.sum(axis=1, keepdims=True)
    shifts, targets = shift_matrices(images), np.eye(k)[: images.shape[1]]
    (first, second), (dense, other) = (np.moveaxis(instance[name], 1, 0) for name in ("kernel", "dense"))
    starts = (
        (first, dense),
        (_merged(first, second, mine), _merged(dense, other, mine if kept == "mode" else np.zeros_like(mine))),
    )
    found, sizes = [], []
    for kernel, rows in starts:
        flat = kernel.reshape(len(kernel), -1), rows.reshape(*rows.shape[:2], -1)
        to_kernel, to_dense = gradient(shifts, targets, *flat)
        sizes.append(size_of_gradient(shifts, targets, *flat))
        slopes = np.concatenate([to_kernel[:, None], to_dense], axis=1).reshape(len(kernel), k + 1, *mine.shape)
        found.append(np.fft.fft2(slopes, norm="ortho"))
    scale = np.maximum(*sizes)
    return found[0][:, :, mine] / scale, found[1][:, :, mine] / scale


def _merged(first: Floats, second: Floats, mine: NDArray[np.bool_]) -> Floats:
    """The spectrum of ``first`` where ``mine``, of ``second`` elsewhere."""
    merged: Floats = np.fft.ifft2(np.where(mine, np.fft.fft2(first), np.fft.fft2(second))).real
    return merged


TWO_CHANNELS = {
    "text": "1×3, two channels, one image",
    "images": np.array([[[[1.0, 0.0, 0.0]], [[0.0, 2.0, 1.0]]]]),
    "targets": np.array([[1.0]]),
    "kernel": np.array([[[1.0, 2.0, 0.0]], [[0.0, 1.0, 0.0]]]),
    "dense": np.array([[[1.0, 0.0, 2.0]]]),
}

FREQUENCY_CLAIMS = (
    Claim(
        id="balance-of-a-frequency",
        title="Kernel and dense layer gain the same power at each frequency",
        statement="d/dt Σ_c |κ_cf|² = d/dt Σ_γ |A_γf|² at each f, whatever the data and the weights",
        source="new; what keeps the balanced starts of Pinson et al. appendix G balanced",
        hypotheses=("two layers, one hidden channel, any input channels", "gradient flow without weight decay"),
        expected=Outcome.NOT_REFUTED,
        mutants={
            "√2 on the dense layer": {"factor": float(np.sqrt(2))},
            "first input channel alone": {"channels": "first"},
            "f + 1 for f": {"shift": 1},
        },
        tolerance=ROUND_OFF,
        tolerance_reason=ROUND_OFF_REASON + "; the gradient itself may cancel",
        draw=draw_any_data,
        sides=balance_sides,
        distance=absolute_distance,
        quantity="d/dt of the power",
        smallest=(TWO_CHANNELS,),
        batched=True,
        attacked=("images", "targets", "kernel", "dense"),
        symbolic=balance_form,
    ),
    Claim(
        id="still-frequencies",
        title="Frequencies in no mode never move",
        statement="x̂_f = 0 for every image ⇒ dκ_f/dt = 0 and dA_γf/dt = 0",
        source="new",
        hypotheses=("two layers, any targets and weights", "gradient flow without weight decay"),
        expected=Outcome.NOT_REFUTED,
        mutants={"power at the frequency": {"images": "others"}, "weight decay": {"weight_decay": 0.01}},
        tolerance=ROUND_OFF,
        tolerance_reason=ROUND_OFF_REASON,
        draw=draw_with_gaps,
        sides=still_sides,
        distance=absolute_distance,
        quantity="gradient at an empty frequency, over its terms",
        batched=True,
        attacked=("targets", "kernel", "dense"),
    ),
    Claim(
        id="modes-decouple",
        title="Modes on disjoint frequencies decouple exactly",
        statement="F_α disjoint ⇒ the motion on F_α depends on the weights on F_α alone, from any start",
        source="new",
        hypotheses=(DISJOINT, "any start: neither balanced nor aligned"),
        expected=Outcome.NOT_REFUTED,
        mutants={
            "the kernel alone agrees on F_α": {"kept": "kernel"},
            "one image with all frequencies": {"errors": "all"},
        },
        tolerance=ROUND_OFF,
        tolerance_reason=ROUND_OFF_REASON,
        draw=draw_disjoint_images,
        sides=decoupling_sides,
        distance=absolute_distance,
        quantity="gradient on F_α",
        batched=True,
        attacked=("kernel", "dense"),
    ),
)
