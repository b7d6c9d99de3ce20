"""Linear convolutional networks, in packed Fourier coordinates."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lineardyn.fourier import check_kernel
from lineardyn.networks.network import LinearNetwork, Weights
from lineardyn.networks.starts import check_rank, isometries
from lineardyn.validation import Rng, as_generator, check_choice, check_number

if TYPE_CHECKING:
    from lineardyn.moments import SecondMoments

__all__ = ["LinearCNN"]

Floats = NDArray[np.float64]
Complexes = NDArray[np.complex128]
CONVENTIONS = ("convolution", "correlation")


@dataclass(frozen=True)
class LinearCNN(LinearNetwork):
    r"""``f(x) = w_L · (w_{L-1} * ... * (w_1 * x))``: full-size circular kernels, then a dense last layer.

    Weights: ``(C_l, H, W, C_{l-1})`` each, the last ``(K, H, W, C_{L-1})``. ``widths=(C_1, .., C_{L-1})``; the default
    ``(1,)`` with one input channel is the network of Pinson et al.; ``()`` is one dense layer.

    ``convention`` says how the pixels of the kernels, layers 1..L-1, are read: ``"convolution"`` as
    ``y[i, j] = Σ w[m, n] x[i-m, j-n]``, ``"correlation"`` as ``y[i, j] = Σ w[m, n] x[i+m, j+n]``, which is what
    deep-learning frameworks compute. ``A_l = ŵ_l`` becomes ``conj(ŵ_l)``; the dynamics of the spectra are the same, and
    every list of weights that goes in or comes out keeps to the convention.

    >>> network = LinearCNN((3, 8, 8), widths=(2,), n_outputs=4)
    >>> network.shapes
    [(2, 8, 8, 3), (4, 8, 8, 2)]
    """

    _: KW_ONLY
    widths: tuple[int, ...] = (1,)
    convention: str = "convolution"

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "convention", check_choice("convention", self.convention, CONVENTIONS))

    @property
    def shapes(self) -> list[tuple[int, ...]]:
        _, height, width = self.image_shape
        return [(out, height, width, into) for into, out in itertools.pairwise(self.sizes)]

    @property
    def sizes(self) -> tuple[int, ...]:
        return (self.image_shape[0], *self.widths, self.n_outputs)

    @property
    def fans(self) -> list[tuple[int, int]]:
        p, (*hidden, last) = self.n_pixels, itertools.pairwise(self.sizes)
        return [*((p * into, p * out) for into, out in hidden), (p * last[0], last[1])]

    @property
    def _state_shapes(self) -> list[tuple[int, ...]]:
        return [(out, into, 2, self.half.size) for into, out in itertools.pairwise(self.sizes)]

    def _check_layer(self, index: int, weight: ArrayLike, shape: tuple[int, ...]) -> Floats:
        return check_kernel(f"weights[{index}]", weight, shape)  # type: ignore[arg-type]

    def pack(self, weights: Sequence[ArrayLike]) -> Floats:
        kernels = [w.transpose(0, 3, 1, 2).reshape(-1, *w.shape[1:3]) for w in self.check_weights(weights)]
        packed = self.half.pack_images(np.concatenate(kernels))
        if self.convention == "convolution":
            convolutions = packed[: -len(kernels[-1]), 1]  # their spectrum is ŵ, the last layer's conj(ŵ)
            np.negative(convolutions, out=convolutions)
        return packed.ravel()

    def unpack(self, state: Floats) -> Weights:
        *hidden, last = (block[0] for block in self._blocks(state[None]))
        if self.convention == "convolution":
            hidden = [layer * [[1.0], [-1.0]] for layer in hidden]  # as in pack
        images = [self.half.unpack_images(layer) for layer in (*hidden, last)]
        return [np.ascontiguousarray(layer.transpose(0, 2, 3, 1)) for layer in images]

    def spectra(self, weights: Sequence[ArrayLike]) -> list[Complexes]:
        r"""``A_1[f], .., A_{L-1}[f], B_f`` at every frequency: ``(H, W, C_l, C_{l-1})`` each [theory section 1].

        ``A_l = ŵ_l`` for ``convention="convolution"``, ``conj(ŵ_l)`` for ``"correlation"``; ``B = conj(ŵ_L)`` in both.

        >>> network = LinearCNN((1, 2, 4), n_outputs=3)
        >>> first, last = network.spectra(network.init_small(0.1, rng=0))
        >>> np.allclose(network.constant * last @ first, network.effective_predictor(network.init_small(0.1, rng=0)))
        True
        """
        return [self._full(s[0]).transpose(2, 3, 0, 1) for s in self._spectra(self.pack(weights)[None])]

    def _full(self, spectrum: Complexes) -> Complexes:
        """Both frequencies of each conjugate pair: ``(.., F)`` to ``(.., H, W)``."""
        return self.half.unpack(np.stack([spectrum.real, spectrum.imag], axis=-2))

    def _spectra(self, states: Floats) -> list[Complexes]:
        """``A_1, .., A_{L-1}, B`` on the half spectrum: ``(T, C_l, C_{l-1}, F)`` each."""
        return [b[..., 0, :] + 1j * b[..., 1, :] for b in self._blocks(states)]

    def _blocks(self, states: Floats) -> list[Floats]:
        """The layers of packed states ``(T, n)``: ``(T, C_l, C_{l-1}, 2, F)`` each."""
        cuts, shapes = self.offsets, self._state_shapes
        return [states[:, cuts[i] : cuts[i + 1]].reshape(-1, *shapes[i]) for i in range(self.depth)]

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
            gradients.append(_packed(g))
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
        return self.unpack(np.concatenate([_packed(live * layer) for layer in layers]))

    def init_low_rank(self, rank: int, scale: float, *, rng: Rng) -> Weights:
        r"""Random start of the given rank at each frequency, balanced: ``A_l[f] = scale Q_l[f] Q_{l-1}[f]^H``.

        ``Q_l[f]`` (``C_l × rank``, ``Q_0`` of the image's channels, ``Q_L`` of the outputs) are independent uniform
        matrices with orthonormal columns, complex, real at self-conjugate frequencies. So every layer has ``rank``
        singular values ``scale`` and no others, ``v̂_f = P^{(L-1)/2} scale^L Q_L Q_0^H`` has that rank too,
        ``‖w_l‖² = P rank scale²``, and ``⟨|ŵ_l|²⟩ = scale² rank / (C_l C_{l-1})`` for each entry. Neighbours share
        their subspaces, ``A_l A_l^H = A_{l+1}^H A_{l+1}``: gradient flow keeps the rank, with weight decay too.

        Raises
        ------
        ArgumentError
            For a rank above the smallest of C, C_1, .., C_{L-1}, K.

        Examples
        --------
        >>> import numpy as np
        >>> network = LinearCNN((3, 4, 4), widths=(4, 3), n_outputs=5)
        >>> predictor = network.effective_predictor(network.init_low_rank(2, 0.1, rng=0))
        >>> np.unique(np.linalg.matrix_rank(predictor))
        array([2])
        """
        rank, scale = check_rank(rank, self.sizes), check_number("scale", scale, minimum=0.0)
        generator, real = as_generator(rng), self.half.weights == 1
        bases = [isometries(size, rank, real, generator) for size in self.sizes]
        layers = [scale * out @ into.conj().swapaxes(1, 2) for into, out in itertools.pairwise(bases)]
        return self.unpack(np.concatenate([_packed(a.transpose(1, 2, 0)) for a in layers]))

    def _unit_vectors(self, channels: int, generator: np.random.Generator) -> Complexes:
        """``(channels, F)`` random unit vectors, real at self-conjugate frequencies."""
        draws = generator.standard_normal((2, channels, self.half.size))
        z = draws[0] + 1j * np.where(self.half.weights == 1, 0.0, draws[1])
        unit: Complexes = z / np.linalg.norm(z, axis=0)
        return unit


def _packed(layer: NDArray[Any]) -> Floats:
    """One layer ``(C_l, C_{l-1}, F)`` as its part of the flat state."""
    return np.stack([layer.real, layer.imag], axis=-2).ravel()
