r"""The network of the bottleneck: circular convolutions, biases, (leaky) ReLU, pooling.

::

    α_0 = x,    z_l = W_l α_{l-1} + b_l,    α_l = M σ_a(z_l)  (l < L),    f(x) = z_L
    ‖θ‖² = Σ_l (‖W_l‖_F² + n ‖b_l‖²) = Σ_l (Σ_ω ‖Ŵ_{l,ω}‖_F² + n ‖b_l‖²)

``Ŵ_ω`` is the *unnormalised* DFT of the filter, one block ``(C_l, C_{l-1})`` for each frequency [theory, section 4;
Wen & Jacot, reconstructed: the paper's own formulas were not available].
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lineardyn.errors import ArgumentError
from lineardyn.validation import Rng, as_generator, check_array, check_choice, check_count, check_number, check_shape
from proofs_check.cbn.arguments import (
    check_biases,
    check_image,
    check_layers,
    check_slope,
    check_strides,
    constant_channels,
)
from proofs_check.cbn.convolution import Convolution
from proofs_check.cbn.pooling import Pooling, check_grid, check_pooling

__all__ = ["CyclicCNN", "NtkTrace"]

Floats = NDArray[np.float64]
Complexes = NDArray[np.complex128]

_ROUNDINGS = 64 * float(np.finfo(np.float64).eps)
"""A pre-activation below this share of the sum of its magnitudes is round-off: exactly 0."""


@dataclass(frozen=True)
class NtkTrace:
    """Trace of the neural tangent kernel ``Tr Θ(x, x) = Σ ‖∂f/∂θ‖²`` (filter parameters), layer by layer.

    ``weights (..., L)`` and ``biases (..., L)``, with the leading axes of x.
    """

    weights: Floats
    biases: Floats

    @property
    def total(self) -> Floats:
        """Over weights and biases of all layers, ``(...)``."""
        return np.asarray(self.weights.sum(axis=-1) + self.biases.sum(axis=-1))


@dataclass(frozen=True, eq=False, init=False)
class CyclicCNN:
    r"""``f: (C_0, *grid) → (C_L, *grid)``, layers ``z_l = W_l α_{l-1} + b_l``, ``α_l = M σ_a(z_l)``, output ``z_L``.

    Parameters
    ----------
    weights : list of array (C_l, *grid, C_{l-1})
        Filters as large as the image, layer 1 first; grid ``(n,)`` or ``(H, W)``. True circular convolution:
        ``(W x)[o, i] = Σ_{c,m} w[o, m, c] x[c, i - m]``.
    biases : list of array (C_l,), optional
        One for each channel; ``None``, for all or for one layer: zeros.
    pooling : array, optional
        Eigenvalues ``m_ω`` of M on the grid of the hidden layers, real and even, ``m_0 = 1``, ``0 < |m_ω| <= 1``
        (:func:`pooling_eigenvalues`); applied after each activation. ``None``: no pooling.
    slope : float
        a of ``σ_a(t) = t`` for t >= 0, ``a t`` below: ``|a| < 1`` (0: ReLU), or exactly 1: the identity. At a kink the
        derivative is taken from the right, ``σ'(0) = 1``.
    strides : list of int, optional
        ``(s, 1, .., 1, -s)``: the hidden layers live on the coarse grid of every s-th pixel. The first layer computes
        ``z_1[o, j] = Σ_{c,m} w[o, m, c] x[c, s j - m] + b[o]``, the last, its transpose, ``z_L[o, i] = Σ_{c,j}
        w[o, i - s j, c] α[c, j] + b[o]``: their filters have the fine grid, those between and the pooling the coarse
        one. Such a network commutes with shifts by multiples of s only.

    Raises
    ------
    ArgumentError
        For weights that do not chain, biases of another shape, pooling that is not as above, a slope outside, strides
        of another form; by the methods, for images of another shape.

    Notes
    -----
    Arrays are copied and read-only; ``weights`` and ``biases`` are tuples. Source: theory, section 4.

    Examples
    --------
    >>> import numpy as np
    >>> net = CyclicCNN.random((5,), (1, 3, 1), rng=0)
    >>> x = np.ones((1, 5))
    >>> bool(np.allclose(net(np.roll(x, 2, axis=-1)), np.roll(net(x), 2, axis=-1)))
    True
    >>> net.jacobian(x).shape, net.jacobian_blocks(x).shape
    ((1, 5, 1, 5), (5, 1, 1))
    """

    weights: tuple[Floats, ...]
    biases: tuple[Floats, ...]
    pooling: Floats
    slope: float
    strides: tuple[int, ...]

    def __init__(
        self,
        weights: Sequence[ArrayLike],
        biases: Sequence[ArrayLike] | None = None,
        *,
        pooling: ArrayLike | None = None,
        slope: float = 0.0,
        strides: Sequence[int] | None = None,
    ) -> None:
        filters, steps = check_layers(weights, strides)
        layers = tuple(Convolution(w, s) for w, s in zip(filters, steps, strict=True))
        m = check_pooling(pooling, layers[-1].grid_in)
        values = {
            "weights": filters,
            "biases": check_biases(biases, [len(w) for w in filters]),
            "pooling": m,
            "slope": check_slope(slope),
            "strides": steps,
            "layers": layers,
            "pool": Pooling(m),
        }
        for name, value in values.items():
            object.__setattr__(self, name, value)

    layers: tuple[Convolution, ...] = field(init=False, repr=False)
    pool: Pooling = field(init=False, repr=False)

    @classmethod
    def random(
        cls,
        grid: Sequence[int],
        widths: Sequence[int],
        *,
        rng: Rng,
        slope: float = 0.0,
        pooling: ArrayLike | None = None,
        scale: float = 1.0,
        bias_scale: float = 0.0,
        stride: int = 1,
    ) -> CyclicCNN:
        """Normal weights: filter entries of deviation ``scale / √(n C_{l-1})``, biases of ``bias_scale``.

        So that ``Ŵ_ω`` has entries of mean square ``scale² / C_{l-1}``. ``widths`` is ``(C_0, .., C_L)``; ``stride``
        is s of the strides ``(s, 1, .., 1, -s)``.

        Examples
        --------
        >>> CyclicCNN.random((3, 4), (2, 5, 1), rng=0).widths
        (2, 5, 1)
        """
        shape, channels = check_grid(grid), check_shape("widths", widths, None, "(C_0, C_1, .., C_L)")
        if len(channels) < 2:
            raise ArgumentError(f"widths is {channels}, expected (C_0, C_1, .., C_L): at least one layer")
        check_number("scale", scale, minimum=0.0)
        check_number("bias_scale", bias_scale, minimum=0.0)
        depth, step = len(channels) - 1, check_count("stride", stride)
        strides = check_strides(None if step == 1 else (step, *(1,) * (depth - 2), -step), depth, shape)
        coarse = tuple(side // step for side in shape)
        grids = [shape if i in (0, depth - 1) else coarse for i in range(depth)]
        generator, weights, biases = as_generator(rng), [], []
        for g, c_in, c_out in zip(grids, channels[:-1], channels[1:], strict=True):
            deviation = scale / math.sqrt(math.prod(g) * c_in)
            weights.append(deviation * generator.standard_normal((c_out, *g, c_in)))
            biases.append(bias_scale * generator.standard_normal(c_out))
        return cls(weights, biases, pooling=pooling, slope=slope, strides=strides)

    # --- what it is made of ---------------------------------------------------------------------------------------

    @property
    def depth(self) -> int:
        """L, the number of layers."""
        return len(self.weights)

    @property
    def grid(self) -> tuple[int, ...]:
        """Of the images: ``(n,)`` or ``(H, W)``."""
        return self.layers[0].grid

    @property
    def hidden_grid(self) -> tuple[int, ...]:
        """Of the hidden layers: the grid itself, or the coarse one where the first layer is strided."""
        return self.layers[-1].grid_in

    @property
    def n_pixels(self) -> int:
        """n, of the images."""
        return math.prod(self.grid)

    @property
    def widths(self) -> tuple[int, ...]:
        """``(C_0, .., C_L)``."""
        return (self.weights[0].shape[-1], *(len(w) for w in self.weights))

    def norm(self, convention: str = "operator") -> float:
        """``‖θ‖²``: ``"operator"``, ``Σ_l (‖W_l‖_F² + n_l ‖b_l‖²)``, or ``"filter"``, ``Σ_l (‖w_l‖² + ‖b_l‖²)``.

        ``n_l`` are the pixels of the layer's output; the first is n times the second, unless the network is strided.

        Examples
        --------
        >>> net = CyclicCNN.random((4,), (1, 2, 1), rng=0, bias_scale=1.0)
        >>> round(net.norm() / net.norm("filter"), 12)
        4.0
        """
        operator = check_choice("convention", convention, ("operator", "filter")) == "operator"
        total = 0.0
        for layer, b in zip(self.layers, self.biases, strict=True):
            # each row of a strided operator, each column of its transpose, holds the filter once
            copies = math.prod(layer.coarse) if operator else 1
            total += copies * float((layer.weight**2).sum())
            total += (math.prod(layer.grid_out) if operator else 1) * float((b**2).sum())
        return total

    def parameters(self) -> Floats:
        """All of ``w_1, b_1, .., w_L, b_L`` in C order, one real vector."""
        parts = [part.ravel() for pair in zip(self.weights, self.biases, strict=True) for part in pair]
        return np.concatenate(parts)

    def with_parameters(self, vector: ArrayLike) -> CyclicCNN:
        """The same architecture with the parameters of ``vector``, in the order of :meth:`parameters`."""
        size = sum(w.size + b.size for w, b in zip(self.weights, self.biases, strict=True))
        flat, start = check_array("vector", vector, shape=(size,), why="one entry for each parameter"), 0
        weights, biases = [], []
        for w, b in zip(self.weights, self.biases, strict=True):
            weights.append(flat[start : start + w.size].reshape(w.shape))
            biases.append(flat[start + w.size : start + w.size + b.size])
            start += w.size + b.size
        return CyclicCNN(weights, biases, pooling=self.pooling, slope=self.slope, strides=self.strides)

    def operator_blocks(self) -> list[Complexes]:
        """``Ŵ_{l,ω}``, unnormalised DFT of the filters: a list of ``(*grid, C_l, C_{l-1})``, layer 1 first."""
        return [layer.blocks for layer in self.layers]

    def operator(self, layer: int) -> Floats:
        """``W_l`` as a matrix on images flattened in C order, ``layer = 1..L``; block circulant unless strided."""
        place = check_count("layer", layer)
        if place > self.depth:
            raise ArgumentError(f"layer is {place}, expected 1..{self.depth}: layer 1 reads the image")
        return self.layers[place - 1].matrix

    # --- forward ----------------------------------------------------------------------------------------------------

    def __call__(self, x: ArrayLike) -> Floats:
        """``f(x)``: ``(..., C_0, *grid)`` to ``(..., C_L, *grid)``."""
        return self.preactivations(x)[-1]

    def preactivations(self, x: ArrayLike) -> list[Floats]:
        """``z_1, .., z_L``; the last is f(x)."""
        return self.forward(self._image(x))[0]

    def activations(self, x: ArrayLike) -> list[Floats]:
        """``α_0 = x, α_1, .., α_{L-1}``: what each layer reads, after the pooling."""
        return self.forward(self._image(x))[1]

    def kinks(self, x: ArrayLike) -> Floats:
        """Smallest ``|z_l|`` of the hidden layers, ``(...)``: 0 at a kink; infinite where there is none (L = 1)."""
        image = self._image(x)
        lead = image.shape[: image.ndim - len(self.grid) - 1]
        smallest = np.full(lead, np.inf)
        if self.slope != 1.0:
            for z in self.forward(image)[0][:-1]:
                smallest = np.minimum(smallest, np.abs(z).reshape(*lead, -1).min(axis=-1))
        return smallest

    def _image(self, x: ArrayLike) -> Floats:
        return check_image(x, self.widths[0], self.grid)

    def forward(self, x: Floats) -> tuple[list[Floats], list[Floats]]:
        """``([z_1, .., z_L], [α_0, .., α_{L-1}])`` of checked images: the pass that all others read."""
        before, read = [], [x]
        column = (-1, *(1,) * len(self.grid))
        for i, layer in enumerate(self.layers):
            z = layer(read[-1]) + self.biases[i].reshape(column)
            before.append(z)
            if i + 1 < self.depth:
                read.append(self.pool(np.where(z >= 0.0, z, self.slope * z)))
        return before, read

    def slopes_of(self, before: list[Floats]) -> list[Floats]:
        """``D_l = σ_a'(z_l)`` of the hidden layers, 1 or a (1 at a kink), of what :meth:`forward` gave."""
        return [np.where(z >= 0.0, 1.0, self.slope) for z in before[:-1]]

    # --- derivatives ------------------------------------------------------------------------------------------------

    def jacobian(self, x: ArrayLike) -> Floats:
        """``∂f/∂x`` at x: ``(..., C_L, *grid, C_0, *grid)``; at a kink the derivative from the right of σ."""
        image = self._image(x)
        rows = self.layers[0].transpose(self.output_jacobians(self.forward(image)[0])[0])
        lead = image.shape[: image.ndim - len(self.grid) - 1]
        return rows.reshape(*lead, self.widths[-1], *self.grid, self.widths[0], *self.grid)

    def output_jacobians(self, before: list[Floats]) -> list[Floats]:
        """``B_l = ∂f/∂z_l``, ``(..., C_L n, C_l, *grid_l)``, layer 1 first: ``B_{l-1} = B_l W_l M D_{l-1}``."""
        d, outputs = len(self.grid), self.widths[-1] * self.n_pixels
        lead = before[0].shape[: before[0].ndim - d - 1]
        identity = np.eye(outputs).reshape(outputs, self.widths[-1], *self.grid)
        result = [np.broadcast_to(identity, (*lead, *identity.shape))]
        for layer, slope in zip(self.layers[:0:-1], self.slopes_of(before)[::-1], strict=True):
            result.append(self.pool(layer.transpose(result[-1])) * np.expand_dims(slope, -d - 2))
        return result[::-1]

    def constant_slopes(self, x: ArrayLike) -> list[Floats]:
        """``D_l (..., C_l)`` at a constant image, where each channel of each layer is on one side of its kink.

        Raises
        ------
        ArgumentError
            If x is not constant, a hidden pre-activation is 0 (unless the activation is the identity), or the network
            is strided: then the Jacobian is not diagonal over frequencies.
        """
        if self.strides[0] != 1:
            raise ArgumentError(
                f"strides is {self.strides}, expected none: a strided network has no block at each frequency, it "
                f"commutes with some shifts only"
            )
        alpha = constant_channels(self._image(x), len(self.grid))
        if alpha is None:
            raise ArgumentError("x is not constant, expected one value in each channel: take numpy.full")
        result = []
        for i, (w, b) in enumerate(zip(self.weights[:-1], self.biases[:-1], strict=True)):
            flat = w.reshape(len(w), -1, w.shape[-1])
            z = alpha @ flat.sum(axis=1).T + b
            size = np.abs(alpha) @ np.abs(flat).sum(axis=1).T + np.abs(b)
            zero = np.abs(z) <= _ROUNDINGS * size
            if self.slope != 1.0 and zero.any():
                channel = int(np.argwhere(zero)[0][-1])
                raise ArgumentError(
                    f"x puts channel {channel} of layer {i + 1} on its kink (pre-activation 0), expected a constant "
                    f"image at which none is: move x a little, or remove channels that are dead"
                )
            result.append(np.where(z >= 0.0, 1.0, self.slope))
            alpha = np.where(z >= 0.0, z, self.slope * z)  # m_0 = 1: the pooling keeps constants
        return result

    def jacobian_blocks(self, x: ArrayLike) -> Complexes:
        """``Ĵ_ω = Ŵ_L m_ω D_{L-1} Ŵ_{L-1} ⋯ m_ω D_1 Ŵ_1`` at a constant image: complex ``(..., *grid, C_L, C_0)``.

        Raises
        ------
        ArgumentError
            As :meth:`constant_slopes`.
        """
        slopes, lead = self.constant_slopes(x), np.shape(x)[: -1 - len(self.grid)]
        product = np.broadcast_to(self.layers[0].blocks, (*lead, *self.layers[0].blocks.shape))
        for layer, slope in zip(self.layers[1:], slopes, strict=True):
            rows = np.expand_dims(slope, tuple(range(-1 - len(self.grid), -1)))[..., None]
            product = layer.blocks @ (self.pooling[..., None, None] * rows * product)
        return product

    def ntk_trace(self, x: ArrayLike) -> NtkTrace:
        """``Tr Θ_{w_l}(x, x) = Σ_ω ‖α̂_{l-1,ω}‖² ‖B_l (F_ω ⊗ I)‖_F²`` and that of the biases, layer by layer.

        α̂ is the unnormalised DFT, ``F_ω = (e^{2πiωj/n}/√n)_j``, ``B_l = ∂f/∂z_l``. Strided layers: on the fine grid,
        with zeros between the coarse pixels.
        """
        image = self._image(x)
        before, read = self.forward(image)
        d = len(self.grid)
        lead, pixels = image.shape[: image.ndim - d - 1], tuple(range(-d, 0))
        weights, biases = [], []
        for layer, alpha, jacobian in zip(self.layers, read, self.output_jacobians(before), strict=True):
            left, right = layer.spectra(jacobian, alpha)
            power = (np.abs(left) ** 2).sum(axis=(-d - 2, -d - 1)) / math.prod(layer.grid)
            weights.append(((np.abs(right) ** 2).sum(axis=-d - 1) * power).reshape(*lead, -1).sum(axis=-1))
            biases.append((jacobian.sum(axis=pixels) ** 2).sum(axis=(-2, -1)))
        return NtkTrace(np.stack(weights, axis=-1), np.stack(biases, axis=-1))
