"""The squared loss of a linear predictor as a quadratic form in the coordinates of its frequencies."""

from __future__ import annotations

import weakref
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import scipy.linalg
from numpy.typing import NDArray

from lineardyn.errors import ArgumentError
from lineardyn.moments import SecondMoments
from lineardyn.sources import PIECE_BYTES, slices
from solvers.coordinates import Coordinates, coordinates

__all__ = ["Quadratic", "quadratic"]

Floats = NDArray[np.float64]
LARGEST_GRAM = 8192
"""Columns up to which solvers form Σ^xx (512 MiB); above, they apply it."""
SILENT = 1e-15
"""Share of the largest curvature below which a frequency is round-off: the data have nothing there."""


@dataclass(frozen=True, eq=False)
class Quadratic:
    """``⟨‖y - V x‖²⟩ = target_power - 2⟨cross, V⟩ + ⟨V G, V⟩``, G = Σ^xx; make it with :func:`quadratic`.

    Attributes
    ----------
    moments : the statistics, which apply G where it is too large to be formed
    coordinates : of V's columns
    cross : (K, D), Σ^yx
    """

    moments: SecondMoments
    coordinates: Coordinates
    cross: Floats

    @property
    def target_power(self) -> float:
        """``⟨‖y‖²⟩``."""
        return self.moments.target_power

    @property
    def forms_gram(self) -> bool:
        """Whether G is small enough to be formed, and no low-rank product is cheaper."""
        stats = self.moments.statistics
        size = self.coordinates.size
        return stats.dense or (size <= LARGEST_GRAM and 8 * len(stats.gain) > size)

    @cached_property
    def gram(self) -> Floats:
        """``(D, D)``."""
        moments, columns = self.moments, self.coordinates
        stats = moments.statistics
        if stats.dense:
            gram = stats.matrix[np.ix_(columns.order, columns.order)]
            gram *= columns.scales
            gram *= columns.scales[:, None]
            return gram
        gram = np.zeros((columns.size, columns.size))
        for part in slices(len(stats.gain), max(256, PIECE_BYTES // (8 * columns.size))):
            rows = columns.take(stats.rows[part])
            rows *= np.sqrt(stats.gain[part])[:, None]
            gram += rows.T @ rows  # numpy sees the square of one matrix, and takes half the work
        return gram

    @cached_property
    def curvatures(self) -> Floats:
        """``(F,)``: ℓ_b, the largest eigenvalue of G within each block; 0 where the data have nothing."""
        columns = self.coordinates
        firsts = columns.starts[:-1]
        width = int(np.diff(columns.starts).max())
        places = np.minimum(firsts[:, None] + np.arange(width), columns.size - 1)
        inside = columns.block_of_column[places] == np.arange(columns.n_blocks)[:, None]
        if self.forms_gram:
            blocks = self.gram[places[:, :, None], places[:, None, :]]
        else:
            rows = columns.take(self.moments.statistics.rows) * np.sqrt(self.moments.statistics.gain)[:, None]
            parts = rows[:, places]
            blocks = np.einsum("rbi,rbj->bij", parts, parts)
        blocks = blocks * (inside[:, :, None] & inside[:, None, :])
        largest = np.linalg.eigvalsh(blocks)[:, -1]
        return np.where(largest > largest.max() * SILENT, largest, 0.0)

    def apply(self, values: Floats) -> Floats:
        """``V G`` of ``(..., D)``."""
        if self.forms_gram:
            product: Floats = values @ self.gram
            return product
        columns = self.coordinates
        packed = np.zeros((*values.shape[:-1], len(self.moments.weights)))
        packed[..., columns.order] = values * columns.scales
        return columns.take(self.moments.apply(packed))

    def gradient(self, values: Floats) -> Floats:
        """``V G - cross``, half the gradient of the loss."""
        return self.apply(values) - self.cross

    def loss(self, values: Floats) -> float:
        """``⟨‖y - V x‖²⟩`` of ``(K, D)``."""
        packed = self.coordinates.put(values)
        return 2.0 * float(self.moments.losses(packed[None])[0])

    def check_semidefinite(self) -> None:
        """Refuse a Σ^xx with an eigenvalue below round-off, which no average ⟨x xᵀ⟩ has."""
        if not self.moments.statistics.dense or self.__dict__.get("checked"):
            return
        gram = self.gram
        slack = len(gram) * np.finfo(float).eps * float(np.trace(gram))
        if not np.isfinite(slack):
            raise ArgumentError("moments hold NaN or infinity in Σ^xx, expected finite numbers: make them anew")
        shifted = gram + slack * np.eye(len(gram))
        try:
            scipy.linalg.cholesky(shifted, overwrite_a=True, check_finite=False)
        except scipy.linalg.LinAlgError:
            lowest = float(scipy.linalg.eigvalsh(gram, subset_by_index=(0, 0))[0])
            if lowest < -slack:
                raise ArgumentError(
                    f"moments have the eigenvalue {lowest:.3g} of Σ^xx (largest allowed by round-off: {-slack:.3g}), "
                    f"expected a positive semidefinite matrix: make them with SecondMoments.from_data"
                ) from None
        self.__dict__["checked"] = True


_made: weakref.WeakKeyDictionary[SecondMoments, Quadratic] = weakref.WeakKeyDictionary()


def quadratic(moments: SecondMoments) -> Quadratic:
    """The loss on these statistics; made once for each, so that Σ^xx is formed once for a whole path."""
    made = _made.get(moments)
    if made is None:
        columns = coordinates(moments.image_shape)
        cross = columns.take(moments.pack(moments.sigma_yx))
        # a copy (of names, not of arrays): a value that held its own key would keep it alive for ever
        made = _made[moments] = Quadratic(replace(moments), columns, cross)
    return made
