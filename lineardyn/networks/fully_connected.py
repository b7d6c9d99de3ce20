"""Linear fully connected networks; the first layer sees the packed spectrum of the image."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lineardyn.networks.network import LinearNetwork, Weights
from lineardyn.networks.starts import check_rank, isometries
from lineardyn.validation import Rng, as_generator, check_number

if TYPE_CHECKING:
    from lineardyn.moments import SecondMoments

__all__ = ["LinearFCN"]

Floats = NDArray[np.float64]


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
    def fans(self) -> list[tuple[int, int]]:
        return [(into, out) for out, into in self.shapes]

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
        pixels = self.half.unpack_images(parts)
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

    def init_low_rank(self, rank: int, scale: float, *, rng: Rng) -> Weights:
        r"""Random start of the given rank, balanced: ``W_l = scale R_l R_{l-1}ᵀ``.

        ``R_l`` (``M_l × rank``, ``M_L = K``) are independent uniform matrices with orthonormal columns. So every layer
        has ``rank`` singular values ``scale`` and no others, ``W_L ⋯ W_1 = scale^L R_L R_0ᵀ`` has that rank too, and
        ``⟨W_l²⟩ = scale² rank / (M_l M_{l-1})`` for each entry. Neighbours share their subspaces: gradient flow
        keeps the rank, with weight decay too.

        Raises
        ------
        ArgumentError
            For a rank above the smallest of C·H·W, M_1, .., M_{L-1}, K.

        Examples
        --------
        >>> import numpy as np
        >>> weights = LinearFCN((1, 4, 4), widths=(6, 5), n_outputs=3).init_low_rank(2, 0.1, rng=0)
        >>> [int(np.linalg.matrix_rank(w)) for w in weights]
        [2, 2, 2]
        """
        units = [self.fans[0][0], *self.widths, self.n_outputs]
        rank, scale = check_rank(rank, units), check_number("scale", scale, minimum=0.0)
        generator, real = as_generator(rng), np.ones(1, dtype=bool)
        bases = [isometries(size, rank, real, generator)[0].real for size in units]
        return [np.ascontiguousarray(scale * out @ into.T) for into, out in itertools.pairwise(bases)]
