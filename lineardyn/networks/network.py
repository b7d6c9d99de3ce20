"""What every linear network does, whatever its layers: predict, loss, gradient, starts without regard to the data."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lineardyn.errors import ArgumentError
from lineardyn.fourier import HalfSpectrum, half_spectrum
from lineardyn.networks.starts import independent
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

__all__ = ["LinearNetwork", "Weights"]

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
    def fans(self) -> list[tuple[int, int]]:
        """``(fan_in, fan_out)`` of each layer, as frameworks count them.

        P times the channels for a kernel, whose receptive field is the image; inputs and outputs for a dense layer.
        """

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

    @abstractmethod
    def init_low_rank(self, rank: int, scale: float, *, rng: Rng) -> Weights:
        """Random start of the given rank, balanced, without regard to the data."""

    def init_small(self, scale: float, *, rng: Rng) -> Weights:
        """Independent ``N(0, scale²)`` weights in pixel space; the unitary DFT keeps that law."""
        scale = check_number("scale", scale, minimum=0.0)
        generator = as_generator(rng)
        return [scale * generator.standard_normal(shape) for shape in self.shapes]

    def init_glorot(self, *, rng: Rng, gain: float = 1.0, distribution: str = "normal") -> Weights:
        r"""Independent weights of variance ``σ_l² = 2 gain² / (fan_in + fan_out)`` [Glorot and Bengio 2010, eq 12].

        Kernels: ``σ_l² = 2 gain² / (P (C_{l-1} + C_l))``; the dense last layer of a CNN: ``2 gain² / (P C_{L-1} + K)``;
        fully connected: ``2 gain² / (M_{l-1} + M_l)``. The unitary DFT keeps the variance: ``⟨|ŵ_l[f]|²⟩ = σ_l²`` at
        every frequency. Between equal widths a layer keeps the power of the image: ``⟨‖√P A_l x̂_f‖²⟩ = ‖x̂_f‖²``.

        ``distribution``: ``"normal"``, as ``torch.nn.init.xavier_normal_`` (Keras cuts its tails), or ``"uniform"`` in
        ``±√3 σ_l``.

        >>> from lineardyn import LinearCNN
        >>> kernel, dense = LinearCNN((3, 32, 32), widths=(5,), n_outputs=10).init_glorot(rng=0)
        >>> bool(abs(kernel.var() / (2 / (1024 * (3 + 5))) - 1) < 0.05)
        True
        >>> bool(abs(dense.var() / (2 / (1024 * 5 + 10)) - 1) < 0.05)
        True
        """
        gain = check_number("gain", gain, minimum=0.0)
        return independent(self.shapes, [2 * gain**2 / (into + out) for into, out in self.fans], distribution, rng)

    def init_he(self, *, rng: Rng, gain: float = 1.0, distribution: str = "normal") -> Weights:
        r"""Independent weights of variance ``σ_l² = 2 gain² / fan_in`` [He et al. 2015, eq 10].

        Kernels and the dense last layer of a CNN: ``fan_in = P C_{l-1}``; fully connected: ``M_{l-1}``. The 2 makes up
        for the half that a ReLU loses; in a linear network each layer of unchanged width doubles the power, and
        ``gain=√½`` keeps it (LeCun's start; ``torch.nn.init.kaiming_normal_`` with ``nonlinearity="linear"``).

        ``distribution``: ``"normal"``, or ``"uniform"`` in ``±√3 σ_l``.

        >>> from lineardyn import LinearCNN
        >>> kernel, dense = LinearCNN((3, 32, 32), widths=(5,), n_outputs=10).init_he(rng=0)
        >>> bool(abs(kernel.var() / (2 / (1024 * 3)) - 1) < 0.05)
        True
        >>> bool(abs(dense.var() / (2 / (1024 * 5)) - 1) < 0.05)
        True
        """
        gain = check_number("gain", gain, minimum=0.0)
        return independent(self.shapes, [2 * gain**2 / into for into, _ in self.fans], distribution, rng)

    def init_identity(self, scale: float = 1.0, *, noise: float = 0.0, rng: Rng | None = None) -> Weights:
        r"""Hidden layers that pass the image on, times ``scale``; all weights with noise ``N(0, noise²)`` on top.

        Kernels: ``w_l[o, m, n, c] = scale δ_oc δ_m0 δ_n0``, the same in both conventions, whose spectrum is flat:
        ``Â_l[f] = scale I / √P``, so that ``w_l * x = scale x``. Fully connected: ``W_l = scale I``. The last layer is
        noise alone. Where widths differ, I is cut or filled with zeros: channels beyond the narrower width are passed
        on to nobody and move only from noise.

        Parameters
        ----------
        scale : float
            Factor of each hidden layer.
        noise : float
            Standard deviation >= 0; 0 needs no ``rng``, and the predictor is then 0 at first.
        rng : int or Generator, optional

        Examples
        --------
        >>> import numpy as np
        >>> from lineardyn import LinearCNN
        >>> network = LinearCNN((1, 2, 4), widths=(1, 1), n_outputs=3)
        >>> network.init_identity()[0].reshape(2, 4)
        array([[1., 0., 0., 0.],
               [0., 0., 0., 0.]])
        """
        scale, noise = check_number("scale", scale), check_number("noise", noise, minimum=0.0)
        if noise and rng is None:
            raise ArgumentError(f"rng is None, expected a seed or a numpy.random.Generator: noise is {noise:g}")
        weights = self.init_small(noise, rng=rng) if noise and rng is not None else [np.zeros(s) for s in self.shapes]
        for w in weights[:-1]:
            matrix = w if w.ndim == 2 else w[:, 0, 0, :]
            passed = np.arange(min(matrix.shape))
            matrix[passed, passed] += scale
        return weights

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
        return [self._check_layer(i, w, shape) for i, (w, shape) in enumerate(zip(weights, self.shapes, strict=True))]

    def _check_layer(self, index: int, weight: ArrayLike, shape: tuple[int, ...]) -> Floats:
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
