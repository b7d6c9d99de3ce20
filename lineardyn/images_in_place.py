"""Second moments of images that stay where they are: read again at each pass, not kept as packed rows."""

from __future__ import annotations

from collections.abc import Iterator
from copy import copy
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lineardyn.estimation import estimate, sums_alone
from lineardyn.moments import SecondMoments, Statistics
from lineardyn.sources import ArraySource, slices

__all__ = ["MomentsInPlace"]

Floats = NDArray[np.float64]
PART_BYTES = 2**23
"""Of images in one product: few sums of products, but for a loaded chunk or a mean taken off no more memory."""
AT_ONCE = 256
"""Images that are transformed at once: their spectra stay in the cache."""


class MomentsInPlace(SecondMoments):
    """What ``SecondMoments.from_data(images, targets, form="samples", copy=False)`` gives.

    A product with Σ^xx is two products with the images, in pixels: no transform but that of the answer. For few
    products (sparse predictors) that is less work than to transform and keep the images.
    """

    source: ArraySource

    @staticmethod
    def of(source: ArraySource) -> MomentsInPlace:
        """One pass over the images, for Σ^yx and the powers."""
        return MomentsInPlace._made({**vars(sums_alone(source)), "form": "samples", "source": source})

    @staticmethod
    def _made(state: dict[str, Any]) -> MomentsInPlace:
        moments = MomentsInPlace.__new__(MomentsInPlace)
        moments.__dict__.update(state)
        moments.__dict__.pop("statistics", None)
        return moments

    def __copy__(self) -> MomentsInPlace:
        return MomentsInPlace._made(self.__dict__)

    def __reduce__(self) -> tuple[Any, ...]:
        return copy, (self.stored(),)

    def __add__(self, other: SecondMoments) -> SecondMoments:
        return self.stored() + other

    def stored(self) -> SecondMoments:
        """The same with packed rows, which images may then change without."""
        return estimate(self.source, "samples", None)

    @cached_property
    def statistics(self) -> Statistics:
        """Made when first asked for."""
        return self.stored().statistics

    def apply(self, weighted: Floats) -> Floats:
        """``weighted · ⟨c cᵀ⟩``, as of the rows."""
        predictors = self._unpack((weighted / self.weights).reshape(-1, len(self.weights)))
        total = np.zeros_like(predictors)
        for _, x in self._parts():
            total += (predictors @ x.T) @ x
        total /= self.n_samples
        return self.pack(total.reshape(-1, *self.image_shape)).reshape(weighted.shape)

    def losses(self, predictors: Floats) -> Floats:
        """``½⟨‖y - f(x)‖²⟩`` ``(T,)`` of packed predictors ``(T, K, D)``."""
        pixels = self._unpack(predictors.reshape(-1, len(self.weights)))
        total = np.zeros(len(predictors))
        targets = np.concatenate([piece.targets for piece in self.source.pieces()])
        for part, x in self._parts():
            residual = (pixels @ x.T).reshape(len(predictors), -1, len(x)) - targets[part].T
            total += np.einsum("tkn,tkn->t", residual, residual)
        return 0.5 * total / self.n_samples

    def rows_in_single(self, places: NDArray[np.int64], *, every: int = 1) -> Iterator[NDArray[np.float32]]:
        """Transformed in single precision, too."""
        rows = np.empty((0, len(places)), dtype=np.float32)
        for _, x in self._parts(every):
            if len(rows) < len(x):
                rows = np.empty((len(x), len(places)), dtype=np.float32)
            for part, narrow in self._narrow(x):
                self.half.select_images(narrow.reshape(-1, *self.image_shape), places, rows[part])
            yield rows[: len(x)]

    def lines_in_single(self, places: NDArray[np.int64]) -> Floats:
        """As two products with the images, in pixels."""
        pixels = self._unpack(np.eye(len(self.weights))[places] / self.weights).astype(np.float32)
        total = np.zeros((len(places), pixels.shape[1]))
        for _, x in self._parts():
            for _, narrow in self._narrow(x):
                total += (pixels @ narrow.T) @ narrow
        total *= self.image_power / self.n_samples
        return self.pack(total.reshape(-1, *self.image_shape))

    def _narrow(self, x: Floats) -> Iterator[tuple[slice, NDArray[np.float32]]]:
        """Images ``x (n, C·P)`` over ``⟨‖x‖²⟩^½`` in single precision; the next some are written over the last."""
        scale, room = self.image_power**-0.5, np.empty((AT_ONCE, x.shape[1]), dtype=np.float32)
        for part in slices(len(x), AT_ONCE):
            images = x[part]
            yield part, np.multiply(images, scale, out=room[: len(images)], casting="same_kind")

    def _parts(self, every: int = 1) -> Iterator[tuple[slice, Floats]]:
        """Every n-th image, ``(n, C·P)``, a view where it can be, and where a piece of all of them stands."""
        for first, piece in self.source.loads(PART_BYTES):
            images = np.asarray(piece[-first % every :: every], dtype=np.float64)
            x = images.reshape(len(images), -1)
            yield slice(first, first + len(piece)), x if self.source.mean is None else x - self.source.mean.ravel()
