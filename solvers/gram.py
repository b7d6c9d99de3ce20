"""Σ^xx in real coordinates, in lines that are computed when a solver first moves their frequency."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from lineardyn.moments import SecondMoments
from lineardyn.sources import PIECE_BYTES, slices
from solvers._block_kernels import add_block_grams
from solvers.coordinates import Coordinates

__all__ = ["Gram"]

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
SILENT = 1e-28
"""Share of the largest power below which a column is the round-off of zeros: ε² of a DFT, and some room."""
MANY = 0.25
"""Share of the lines from which on all are formed: the square of a matrix takes half the work of a product."""


class Gram:
    """The matrix G ``(D, D)``: given in the dense form, else the sum over rows of the statistics, line by line.

    A sparse predictor needs the lines of the frequencies that it uses; they cost 2·N·D operations each, which for
    thousands of images is more than all the rest of a solution. What has not been computed takes no memory.

    Attributes
    ----------
    formed : (F,)
        The blocks whose lines have been computed.
    """

    def __init__(self, moments: SecondMoments, coordinates: Coordinates) -> None:
        self.moments, self.coordinates = moments, coordinates
        self.formed = np.full(coordinates.n_blocks, moments.dense)

    @cached_property
    def lines(self) -> Floats:
        """``(D, D)``: rows of G; those of block b hold numbers where ``formed[b]``."""
        stats, columns = self.moments.statistics, self.coordinates
        if not stats.dense:
            return np.empty((columns.size, columns.size))
        lines: Floats = stats.matrix[np.ix_(columns.order, columns.order)]
        lines *= columns.scales
        lines *= columns.scales[:, None]
        return lines

    def whole(self) -> Floats:
        """All lines."""
        if not self.formed.all():
            places = np.flatnonzero(self.seen)
            self.lines[:] = 0.0
            square = self.lines if self.seen.all() else np.zeros((len(places), len(places)))
            for rows in self._pieces(places):
                square += rows.T @ rows  # numpy sees the square of one matrix, and takes half the work
            if square is not self.lines:
                self.lines[np.ix_(places, places)] = square
            self.formed[:] = True
        return self.lines

    def form(self, blocks: NDArray[np.int64]) -> None:
        """The lines of these blocks; those of all, where that is little more work."""
        stats, columns = self.moments.statistics, self.coordinates
        chosen = np.isin(columns.block_of_column, blocks)
        if np.count_nonzero(self.seen & (chosen | self.formed[columns.block_of_column])) > MANY * self.seen.sum():
            self.whole()
            return
        self.lines[chosen] = 0.0
        places = np.flatnonzero(chosen & self.seen)
        packed = columns.order[places]
        total = np.zeros((len(places), stats.rows.shape[1]))
        for part in self._slices():
            total += (stats.rows[part].take(packed, axis=1) * stats.gain[part][:, None]).T @ stats.rows[part]
        lines = columns.take(total) * columns.scales[places][:, None]
        self.lines[places] = np.where(self.seen, lines, 0.0)
        self.formed[blocks] = True

    @cached_property
    def diagonal_blocks(self) -> Floats:
        """``(F, w, w)``, w = 2C: G within each block, padded with zeros."""
        columns = self.coordinates
        width = 2 * self.moments.image_shape[0]  # also where every frequency is its own conjugate, as in 2×2 images
        blocks = np.zeros((columns.n_blocks, width, width))
        if self.formed.all():
            for b, (first, last) in enumerate(zip(columns.starts[:-1], columns.starts[1:], strict=True)):
                blocks[b, : last - first, : last - first] = self.lines[first:last, first:last]
            return blocks
        stats, counts = self.moments.statistics, columns.half.weights
        sums = np.zeros((width, width, columns.n_blocks))
        for part in self._slices():
            add_block_grams(stats.rows[part], stats.gain[part], sums)
        below = np.tril_indices(width)
        packed = np.arange(width).reshape(-1, 2).T.ravel()  # there Re and Im of a channel take turns
        sums[below[::-1]] = sums[below]
        blocks[:] = sums[np.ix_(packed, packed)].transpose(2, 0, 1)
        single, channels = counts == 1, width // 2
        blocks[single, channels:] = 0.0
        blocks[single, :, channels:] = 0.0
        return np.asarray(blocks * counts[:, None, None])

    @cached_property
    def powers(self) -> Floats:
        """``(D,)``: the diagonal of G."""
        columns = self.coordinates
        inside = np.arange(columns.size) - columns.starts[columns.block_of_column]
        return np.asarray(self.diagonal_blocks[columns.block_of_column, inside, inside])

    @cached_property
    def seen(self) -> Mask:
        """``(D,)``: columns in which some image has anything: those with a symmetry have nothing in half of them."""
        return np.asarray(self.powers > SILENT * self.powers.max())

    @cached_property
    def widths(self) -> NDArray[np.int64]:
        """``(F,)``: columns of each block, C where no image has anything in its imaginary parts."""
        columns, channels = self.coordinates, self.moments.image_shape[0]
        widths = np.diff(columns.starts)
        imaginary = np.arange(columns.size) - columns.starts[columns.block_of_column] >= channels
        seen = np.bincount(columns.block_of_column, weights=self.seen & imaginary, minlength=len(widths))
        return np.asarray(np.where(seen > 0, widths, channels))

    def _pieces(self, places: NDArray[np.int64]) -> Iterator[Floats]:
        """The rows in these coordinates, times the root of their weights."""
        stats, columns = self.moments.statistics, self.coordinates
        packed, scales = columns.order[places], columns.scales[places]
        for part in self._slices():
            rows = stats.rows[part].take(packed, axis=1)
            rows *= scales
            rows *= np.sqrt(stats.gain[part])[:, None]
            yield rows

    def _slices(self) -> Iterator[slice]:
        """Of the rows, which may be more than memory holds."""
        return slices(len(self.moments.statistics.gain), max(256, PIECE_BYTES // (8 * self.coordinates.size)))
