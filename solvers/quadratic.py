"""The squared loss of a linear predictor as a quadratic form in the coordinates of its frequencies."""

from __future__ import annotations

import weakref
from copy import copy
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy.linalg
from numpy.typing import NDArray

from lineardyn.errors import ArgumentError
from lineardyn.moments import SecondMoments
from solvers.coordinates import Coordinates, coordinates
from solvers.gram import SILENT as ROUND_OFF
from solvers.gram import Gram

__all__ = ["Quadratic", "quadratic"]

Floats = NDArray[np.float64]
LARGEST_GRAM = 8192
"""Columns up to which solvers form Σ^xx (512 MiB); above, they apply it."""
CANCELLED = 1e-4
"""Loss, relative to ⟨‖y‖²⟩, below which it is summed over residuals: the quadratic form has lost four digits there."""
FEW = 0.25
"""Share of the lines of G up to which those that a predictor meets are copied, and the others are not read."""
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

    @cached_property
    def lines(self) -> Gram:
        """Σ^xx line by line; refused where its D² numbers are too many."""
        if self.coordinates.size > LARGEST_GRAM:
            raise ArgumentError(
                f"moments have {self.coordinates.size} Fourier coefficients, expected at most {LARGEST_GRAM} for a "
                f"method that forms Σ^xx: take method='proximal', or smaller images"
            )
        return Gram(self.moments, self.coordinates)

    @property
    def forms_gram(self) -> bool:
        """Whether G as a whole is small enough to be formed, and no low-rank product is cheaper."""
        stats, size = self.moments.statistics, self.coordinates.size
        return stats.dense or (size <= LARGEST_GRAM and 8 * len(stats.gain) > size)

    @property
    def gram(self) -> Floats:
        """G ``(D, D)``."""
        return self.lines.whole()

    @property
    def n_rows(self) -> int:
        """Rank of G at most."""
        stats = self.moments.statistics
        return self.coordinates.size if stats.dense else min(len(stats.gain), self.coordinates.size)

    @cached_property
    def diagonal_blocks(self) -> Floats:
        """``(F, 2C, 2C)``: G within each block, zero where a real number has no imaginary part."""
        gram = self.lines if self.coordinates.size <= LARGEST_GRAM else Gram(self.moments, self.coordinates)
        return gram.diagonal_blocks

    @cached_property
    def curvatures(self) -> Floats:
        """``(F,)``: ℓ_b, the largest eigenvalue of G within each block; 0 where the data have nothing."""
        largest = np.linalg.eigvalsh(self.diagonal_blocks)[:, -1]
        return np.where(largest > largest.max() * SILENT, largest, 0.0)

    @cached_property
    def widths(self) -> NDArray[np.int64]:
        """``(F,)``: columns of each block, C where no image has anything in its imaginary parts, as far as c tells."""
        whole = self.coordinates.size > LARGEST_GRAM or self.cross.any(axis=0).all()
        return np.diff(self.coordinates.starts) if whole else self.lines.widths

    def apply(self, values: Floats) -> Floats:
        """``V G`` of ``(..., D)``: by the lines of G that V meets where they are there, else by the statistics."""
        columns = self.coordinates
        if columns.size <= LARGEST_GRAM:
            met = np.any(values.reshape(-1, columns.size) != 0, axis=0)
            sparse = np.count_nonzero(met) <= FEW * columns.size
            if self.lines.formed.all() and not sparse:
                product: Floats = values @ self.lines.lines
                return product
            if self.lines.formed[columns.block_of_column[met]].all():
                some: Floats = values[..., met] @ self.lines.lines[met]
                return some
            if self.n_rows == columns.size:
                all_of_it: Floats = values @ self.gram
                return all_of_it
        return self.apply_data(values)

    def apply_data(self, values: Floats) -> Floats:
        """The same by the statistics, whatever lines of G are there: all of ``(..., D)`` in one pass over the rows."""
        packed = np.zeros((*values.shape[:-1], len(self.moments.weights)))
        packed[..., self.coordinates.order] = values * self.coordinates.scales
        return self.coordinates.take(self.moments.apply(packed))

    def gradient(self, values: Floats) -> Floats:
        """``V G - cross``, half the gradient of the loss."""
        return self.apply(values) - self.cross

    def loss(self, values: Floats, slope: Floats | None = None) -> float:
        """``⟨‖y - V x‖²⟩`` of ``(K, D)``, whose ``slope = V G - cross`` need not be computed where it is known."""
        slope = self.gradient(values) if slope is None else slope
        loss = self.target_power + float(np.vdot(values, slope - self.cross))
        if loss > CANCELLED * self.target_power:
            return loss
        packed = self.coordinates.put(values)
        return 2.0 * float(self.moments.losses(packed[None])[0])

    def check_semidefinite(self) -> None:
        """Refuse a Σ^xx with an eigenvalue below round-off, which no average ⟨x xᵀ⟩ has."""
        if not self.moments.dense or self.__dict__.get("checked"):
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
        made = _made[moments] = Quadratic(copy(moments), columns, cross)
        if columns.size <= LARGEST_GRAM and _may_be_round_off(made):
            cross[:, ~made.lines.seen] = 0.0  # round-off, which predictors would follow
    return made


def _may_be_round_off(loss: Quadratic) -> bool:
    """Whether a column of Σ^yx may be all that round-off left of nothing.

    By Cauchy and Schwarz ``‖c_j‖² ≤ ⟨‖y‖²⟩ G_jj``: a column with correlations is one that images have, and no powers
    need be computed to know.
    """
    squares = np.sum(loss.cross**2, axis=0)
    least = ROUND_OFF * loss.target_power * loss.moments.image_power
    return bool(np.any(squares[loss.cross.any(axis=0)] <= least))
