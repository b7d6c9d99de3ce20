r"""Linear networks: shapes, starts, effective predictor, loss and gradient.

Weights are a list of real float64 arrays in pixel space, layer 1 first. Internally a network moves in packed Fourier
coordinates (one flat *state*), where the flow of theory section 1 couples frequencies only through the residual.
"""

from __future__ import annotations

import itertools
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lineardyn.errors import ArgumentError
from lineardyn.fourier import HalfSpectrum, check_kernel, half_spectrum, ifft2
from lineardyn.validation import (
    Rng,
    as_generator,
    check_array,
    check_count,
    check_image_shape,
    check_images,
    check_number,
    check_shape,
)

if TYPE_CHECKING:
    from lineardyn.moments import SecondMoments

__all__ = ["LinearCNN", "LinearFCN", "LinearNetwork", "Weights"]

Floats = NDArray[np.float64]
Complexes = NDArray[np.complex128]
Weights = list[Floats]


@dataclass(frozen=True)
class LinearNetwork(ABC):
    """What both kinds of network share. ``f(x) = Σ_f v̂_f x̂_f`` with the effective predictor v̂."""

    image_shape: tuple[int, int, int]
    _: KW_ONLY
    widths: tuple[int, ...]
    n_outputs: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "image_shape", check_image_shape(self.image_shape))
        if isinstance(self.widths, int):
            raise ArgumentError(f"widths is {self.widths}, expected a tuple (C_1, .., C_L-1): write ({self.widths},)")
        object.__setattr__(self, "widths", check_shape("widths", self.widths, None, "hidden widths (C_1, .., C_L-1)"))
        object.__setattr__(self, "n_outputs", check_count("n_outputs", self.n_outputs))

    @property
    def n_pixels(self) -> int:
        """P = H·W."""
        return self.image_shape[1] * self.image_shape[2]

    @property
    def depth(self) -> int:
        """L, the number of layers."""
        return len(self.widths) + 1

    @property
    def half(self) -> HalfSpectrum:
        """The packing of the spectra."""
        return half_spectrum(self.image_shape[1:])

    @cached_property
    def offsets(self) -> NDArray[np.int64]:
        """``(L + 1,)``: where each layer starts in the flat state."""
        return np.cumsum([0] + [int(np.prod(shape)) for shape in self._state_shapes], dtype=np.int64)

    @property
    @abstractmethod
    def shapes(self) -> list[tuple[int, ...]]:
        """Shape of each weight array, layer 1 first."""

    @property
    @abstractmethod
    def sizes(self) -> tuple[int, ...]:
        """Channels (units) before the first layer, after it, .., and the outputs."""

    @property
    @abstractmethod
    def _state_shapes(self) -> list[tuple[int, ...]]: ...

    @abstractmethod
    def pack(self, weights: Sequence[ArrayLike]) -> Floats:
        """Weights in pixel space to the flat state."""

    @abstractmethod
    def unpack(self, state: Floats) -> Weights:
        """Inverse of :meth:`pack`."""

    @abstractmethod
    def predictors(self, states: Floats) -> Floats:
        """Packed effective predictors ``(T, K, D)`` of states ``(T, n)``."""

    @abstractmethod
    def pullback(self, state: Floats, residual: Floats) -> Floats:
        """``Σ_k ∂v_k/∂state · residual_k``: minus the gradient of the bare loss for the residual E ``(K, D)``."""

    @abstractmethod
    def init_balanced(self, moments: SecondMoments, scale: float, *, rng: Rng) -> Weights:
        """Balanced start, aligned with the modes of the data."""

    def init_small(self, scale: float, *, rng: Rng) -> Weights:
        """Independent ``N(0, scale²)`` weights in pixel space; the unitary DFT keeps that law."""
        scale = check_number("scale", scale, minimum=0.0)
        generator = as_generator(rng)
        return [scale * generator.standard_normal(shape) for shape in self.shapes]

    def check_weights(self, weights: Sequence[ArrayLike]) -> Weights:
        """Return the weights as finite float64 arrays of this network's shapes, or say which one does not fit."""
        if isinstance(weights, np.ndarray) or not isinstance(weights, Sequence):
            raise ArgumentError(
                f"weights is a {type(weights).__name__}, expected a list of {self.depth} arrays, layer 1 first"
            )
        if len(weights) != self.depth:
            raise ArgumentError(
                f"weights has {len(weights)} arrays, expected {self.depth}: one for each layer of {self}"
            )
        return [self._check_layer(i, w) for i, w in enumerate(weights)]

    def _check_layer(self, index: int, weight: ArrayLike) -> Floats:
        shape = self.shapes[index]
        return check_array(f"weights[{index}]", weight, shape=shape, why=f"layer {index + 1} of {self}")

    def check_moments(self, moments: SecondMoments) -> None:
        """Raise unless the moments are of this network's images and outputs."""
        if not hasattr(moments, "statistics"):
            raise ArgumentError(
                f"moments is a {type(moments).__name__}, expected SecondMoments: make them with "
                f"SecondMoments.from_data(images, targets)"
            )
        for name in ("image_shape", "n_outputs"):
            if getattr(moments, name) != getattr(self, name):
                raise ArgumentError(
                    f"moments has {name} {getattr(moments, name)}, expected {getattr(self, name)}: that of {self}"
                )

    def predict(self, weights: Sequence[ArrayLike], images: ArrayLike) -> Floats:
        """``f(x)`` ``(N, K)`` for images ``(N, C, H, W)``."""
        x = check_images(images)
        if x.shape[1:] != self.image_shape:
            raise ArgumentError(f"images have shape {x.shape[1:]}, expected {self.image_shape}: that of {self}")
        rows = self.half.pack_images(x).reshape(len(x), -1)
        outputs: Floats = rows @ (self._predictor(weights) * self._coordinate_weights).T
        return outputs

    def effective_predictor(self, weights: Sequence[ArrayLike]) -> Complexes:
        r"""``v̂`` ``(H, W, K, C)`` with ``f(x) = Σ v̂[u, v, :, c] x̂[c, u, v]``, the full spectrum.

        ``v̂_f = P^{(L-1)/2} B_f A_{L-1}[f] ... A_1[f]`` [Godfrey et al. §3, corrected]: the conjugate of the unitary
        DFT of the predictor in pixel space.
        """
        channels, _, _ = self.image_shape
        packed = self._predictor(weights).reshape(self.n_outputs, channels, 2, -1)
        return np.ascontiguousarray(self.half.unpack(packed).transpose(2, 3, 0, 1))

    def loss(self, weights: Sequence[ArrayLike], moments: SecondMoments, *, weight_decay: float = 0.0) -> float:
        """``½⟨‖y - f(x)‖²⟩ + ½ weight_decay Σ_l ‖w_l‖²``."""
        self.check_moments(moments)
        decay = check_number("weight_decay", weight_decay, minimum=0.0)
        arrays = self.check_weights(weights)
        penalty = 0.5 * decay * sum(float((w * w).sum()) for w in arrays)
        return float(moments.losses(self._predictor(arrays)[None])[0]) + penalty

    def gradient(self, weights: Sequence[ArrayLike], moments: SecondMoments, *, weight_decay: float = 0.0) -> Weights:
        """Gradient of :meth:`loss`, a list like the weights."""
        self.check_moments(moments)
        decay = check_number("weight_decay", weight_decay, minimum=0.0)
        state = self.pack(weights)
        predictor = self.predictors(state[None])[0]
        target = self._packed_target(moments)
        residual = target - moments.apply(predictor * self._coordinate_weights)
        return self.unpack(decay * state - self.pullback(state, residual))

    def _packed_target(self, moments: SecondMoments) -> Floats:
        packed: Floats = self.half.pack_images(moments.sigma_yx).reshape(self.n_outputs, -1)
        return packed

    def _predictor(self, weights: Sequence[ArrayLike]) -> Floats:
        packed: Floats = self.predictors(self.pack(weights)[None])[0]
        return packed

    @property
    def _coordinate_weights(self) -> Floats:
        return np.tile(self.half.weights, 2 * self.image_shape[0])

    @cached_property
    def state_weights(self) -> Floats:
        """``(n,)``: the squared norm of the weights is ``Σ state_weights · state²``."""
        parts = [self._layer_weights(i, shape) for i, shape in enumerate(self._state_shapes)]
        return np.concatenate(parts)

    def _layer_weights(self, index: int, shape: tuple[int, ...]) -> Floats:
        return np.tile(self.half.weights, int(np.prod(shape)) // self.half.size)


@dataclass(frozen=True)
class LinearCNN(LinearNetwork):
    r"""``f(x) = w_L · (w_{L-1} * ... * (w_1 * x))``: full-size circular kernels, then a dense last layer.

    Weights: ``(C_l, H, W, C_{l-1})`` each, the last ``(K, H, W, C_{L-1})``. ``widths=(C_1, .., C_{L-1})``; the default
    ``(1,)`` with one input channel is the network of Pinson et al.; ``()`` is one dense layer.

    >>> network = LinearCNN((3, 8, 8), widths=(2,), n_outputs=4)
    >>> network.shapes
    [(2, 8, 8, 3), (4, 8, 8, 2)]
    """

    _: KW_ONLY
    widths: tuple[int, ...] = (1,)

    @property
    def shapes(self) -> list[tuple[int, ...]]:
        _, height, width = self.image_shape
        return [(out, height, width, into) for into, out in itertools.pairwise(self.sizes)]

    @property
    def sizes(self) -> tuple[int, ...]:
        return (self.image_shape[0], *self.widths, self.n_outputs)

    @property
    def _state_shapes(self) -> list[tuple[int, ...]]:
        return [(out, into, 2, self.half.size) for into, out in itertools.pairwise(self.sizes)]

    def _check_layer(self, index: int, weight: ArrayLike) -> Floats:
        return check_kernel(f"weights[{index}]", weight, self.shapes[index])  # type: ignore[arg-type]

    def pack(self, weights: Sequence[ArrayLike]) -> Floats:
        kernels = [w.transpose(0, 3, 1, 2).reshape(-1, *w.shape[1:3]) for w in self.check_weights(weights)]
        packed = self.half.pack_images(np.concatenate(kernels))
        convolutions = packed[: -len(kernels[-1]), 1]  # their spectrum is ŵ, the last layer's conj(ŵ)
        np.negative(convolutions, out=convolutions)
        return packed.ravel()

    def unpack(self, state: Floats) -> Weights:
        spectra = self._spectra(state[None])
        spectra[-1] = spectra[-1].conj()
        full = [self.half.unpack(np.stack([s[0].real, s[0].imag], axis=-2)) for s in spectra]
        return [np.ascontiguousarray(ifft2(f).real.transpose(0, 2, 3, 1)) for f in full]

    def _spectra(self, states: Floats) -> list[Complexes]:
        """``A_1, .., A_{L-1}, B`` on the half spectrum: ``(T, C_l, C_{l-1}, F)`` each."""
        cuts, shapes = self.offsets, self._state_shapes
        blocks = [states[:, cuts[i] : cuts[i + 1]].reshape(-1, *shapes[i]) for i in range(self.depth)]
        return [b[..., 0, :] + 1j * b[..., 1, :] for b in blocks]

    @property
    def constant(self) -> float:
        """``P^{(L-1)/2}``, by which the product of unitary spectra must be multiplied."""
        return float(self.n_pixels ** ((self.depth - 1) / 2))

    def predictors(self, states: Floats) -> Floats:
        first, *rest = self._spectra(states)
        product = self.constant * first
        for layer in rest:
            product = np.einsum("toif,tijf->tojf", layer, product)
        packed = np.stack([product.real, product.imag], axis=-2)
        return packed.reshape(len(states), self.n_outputs, -1)

    def pullback(self, state: Floats, residual: Floats) -> Floats:
        layers = [s[0] for s in self._spectra(state[None])]
        below = [self.constant * np.ones((1, 1, 1))]  # A_{l-1} ... A_1, the empty product first
        for layer in layers[:-1]:
            below.append(layer * below[-1] if len(below) == 1 else np.einsum("oif,ijf->ojf", layer, below[-1]))
        parts = residual.reshape(self.n_outputs, self.image_shape[0], 2, -1)
        above = parts[:, :, 0] + 1j * parts[:, :, 1]  # E, then (A_L ... A_{l+1})^H E
        gradients = []
        for i in reversed(range(self.depth)):
            g = above * below[0] if i == 0 else np.einsum("ojf,ijf->oif", above, below[i].conj())
            gradients.append(np.stack([g.real, g.imag], axis=-2).ravel())
            above = np.einsum("oif,ojf->ijf", layers[i].conj(), above)
        return np.concatenate(gradients[::-1])

    def init_balanced(self, moments: SecondMoments, scale: float, *, rng: Rng) -> Weights:
        r"""Balanced and aligned: at each frequency f of a mode every layer has the one singular value ``scale``.

        f goes to the mode with the largest ``s_α ‖q_αf‖``; ``A_1 ∝ h_1 q_αf^H``, ``B ∝ u_α h_{L-1}^H`` with unit
        vectors h of random phase drawn from ``rng``; 0 at frequencies in no mode. With one channel this is theory
        section 2.1: ``|κ_f| = scale``, ``A_αf = |κ_f| exp(-i(arg κ_f + arg q_αf))``.
        """
        self.check_moments(moments)
        scale = check_number("scale", scale, minimum=0.0)
        generator = as_generator(rng)
        modes = moments.modes()
        kept = np.flatnonzero(~modes.null)
        q = modes.q[kept].reshape(len(kept), self.image_shape[0], -1)[:, :, self.half.indices]
        size = np.linalg.norm(q, axis=1)
        owner = np.argmax(modes.s[kept, None] * size, axis=0)
        here = np.arange(self.half.size)
        largest = size[owner, here]
        live = largest > 1e-10 * size.max()
        right = np.where(live, q[owner, :, here].T / np.where(live, largest, 1.0), 0.0)  # (C, F)
        vectors = [right, *(self._unit_vectors(c, generator) for c in self.widths), modes.u[:, kept[owner]] * live]
        layers = [scale * out[:, None] * into.conj() for into, out in itertools.pairwise(vectors)]
        # layer 1 multiplies by conj(q), the others by h^H: both are the conjugate of what comes in
        state = [np.stack([a.real, a.imag], axis=-2).ravel() for a in (live * layer for layer in layers)]
        return self.unpack(np.concatenate(state))

    def _unit_vectors(self, channels: int, generator: np.random.Generator) -> Complexes:
        """``(channels, F)`` random unit vectors, real at self-conjugate frequencies."""
        draws = generator.standard_normal((2, channels, self.half.size))
        z = draws[0] + 1j * np.where(self.half.weights == 1, 0.0, draws[1])
        unit: Complexes = z / np.linalg.norm(z, axis=0)
        return unit


@dataclass(frozen=True)
class LinearFCN(LinearNetwork):
    """``f(x) = W_L ... W_1 vec(x)``: fully connected, weights ``(M_l, M_{l-1})``, ``M_0 = C·H·W`` in C order.

    >>> LinearFCN((1, 8, 8), widths=(16,), n_outputs=4).shapes
    [(16, 64), (4, 16)]
    """

    @property
    def shapes(self) -> list[tuple[int, ...]]:
        units = (int(np.prod(self.image_shape)), *self.widths, self.n_outputs)
        return [(out, into) for into, out in itertools.pairwise(units)]

    @property
    def sizes(self) -> tuple[int, ...]:
        return (self.image_shape[0] * 2 * self.half.size, *self.widths, self.n_outputs)

    @property
    def _state_shapes(self) -> list[tuple[int, ...]]:
        return [(out, into) for into, out in itertools.pairwise(self.sizes)]

    def _layer_weights(self, index: int, shape: tuple[int, ...]) -> Floats:
        # only the first layer sees the spectrum; the others are as they are
        return super()._layer_weights(index, shape) if index == 0 else np.ones(int(np.prod(shape)))

    def pack(self, weights: Sequence[ArrayLike]) -> Floats:
        first, *rest = self.check_weights(weights)
        packed = self.half.pack_images(first.reshape(-1, *self.image_shape))
        return np.concatenate([packed.ravel(), *(w.ravel() for w in rest)])

    def unpack(self, state: Floats) -> Weights:
        first, *rest = (m[0] for m in self._matrices(state[None]))
        parts = first.reshape(len(first), self.image_shape[0], 2, -1)
        pixels = ifft2(self.half.unpack(parts).conj()).real
        return [np.ascontiguousarray(pixels.reshape(len(first), -1)), *(m.copy() for m in rest)]

    def _matrices(self, states: Floats) -> list[Floats]:
        cuts, shapes = self.offsets, self._state_shapes
        return [states[:, cuts[i] : cuts[i + 1]].reshape(-1, *shapes[i]) for i in range(self.depth)]

    def predictors(self, states: Floats) -> Floats:
        first, *rest = self._matrices(states)
        if not rest:
            return first
        above = rest[-1]
        for matrix in reversed(rest[:-1]):
            above = above @ matrix
        product: Floats = above @ first
        return product

    def pullback(self, state: Floats, residual: Floats) -> Floats:
        layers = [m[0] for m in self._matrices(state[None])]
        # (W_L..W_{l+1})ᵀ E (W_{l-1}..W_1)ᵀ, the second transpose in the metric of the pixels
        above, gradients = residual, []
        for i in reversed(range(self.depth)):
            below = layers[0] * self._coordinate_weights if i else None
            for matrix in layers[1:i]:
                below = matrix @ below
            gradients.append((above if below is None else above @ below.T).ravel())
            above = layers[i].T @ above
        return np.concatenate(gradients[::-1])

    def init_balanced(self, moments: SecondMoments, scale: float, *, rng: Rng) -> Weights:
        r"""Balanced and aligned: ``W_1 = scale R_1 Vᵀ``, ``W_l = scale R_l R_{l-1}ᵀ``, ``W_L = scale U R_{L-1}ᵀ``.

        ``R_l`` are random matrices with orthonormal columns, one for each mode that is not null; a hidden layer
        narrower than that keeps the first modes only.
        """
        self.check_moments(moments)
        scale = check_number("scale", scale, minimum=0.0)
        generator = as_generator(rng)
        modes = moments.modes()
        kept = np.flatnonzero(~modes.null)[: min(self.widths, default=len(modes.s))]
        bases = [modes.v[kept].reshape(len(kept), -1).T]
        bases += [np.linalg.qr(generator.standard_normal((m, len(kept))))[0] for m in self.widths]
        bases.append(modes.u[:, kept])
        return [np.ascontiguousarray(scale * out @ into.T) for into, out in itertools.pairwise(bases)]
