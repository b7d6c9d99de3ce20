r"""Second moments of a data set, all that gradient flow on a linear network ever sees of it.

``Σ^yx = ⟨y xᵀ⟩`` and ``Σ^xx = ⟨x xᵀ⟩``, uncentred, in one of three forms:

- *modes*: ``Σ^xx = V D Vᵀ`` in the right singular vectors of Σ^yx (exact for coherent classes),
- *dense*: the whole matrix,
- *samples*: the images themselves, Σ^xx never formed.

They are held in the packed coordinates of :class:`lineardyn.fourier.HalfSpectrum`: the image x is the real row
``c = (Re x̂, -Im x̂)``, so that a predictor ``f(x) = Σ_f v̂_f x̂_f`` is the dot product of ``c`` with
``weights·(Re v̂, Im v̂)``.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lineardyn.accumulation import mean_image
from lineardyn.errors import ArgumentError
from lineardyn.fourier import HalfSpectrum, half_spectrum
from lineardyn.modes import Modes, singular_modes
from lineardyn.packed_rows import map_rows, mapped_file
from lineardyn.sources import PIECE_BYTES, ArraySource, Batches, BatchSource, slices
from lineardyn.validation import check_choice

__all__ = ["SecondMoments", "Statistics"]

Floats = NDArray[np.float64]
FORMS = ("auto", "modes", "dense", "samples")
LARGEST_PRODUCT = 2**24
"""Products of predictors with rows that are held at once."""
COHERENT = 1e-12
"""Largest defect of ``Σ^xx = V D Vᵀ``, relative to the trace, at which ``form="auto"`` takes the modes form."""


class Statistics(NamedTuple):
    """What the kernels read: the residual is ``(target - V rowsᵀ diag(gain)) rows``, or ``target - V matrix``."""

    dense: bool
    rows: Floats
    target: Floats
    gain: Floats
    matrix: Floats


@dataclass(frozen=True, eq=False)
class SecondMoments:
    r"""Second moments ``Σ^yx``, ``Σ^xx``, ``⟨‖y‖²⟩`` of images and targets. Make them with :meth:`from_data`.

    Attributes
    ----------
    form : "modes", "dense" or "samples"
    image_shape : (C, H, W)
    n_samples : number of images averaged over
    target_power, image_power : ``⟨‖y‖²⟩``, so that losses are exact, and ``⟨‖x‖²⟩ = tr Σ^xx``
    sigma_yx : (K, C, H, W) ``⟨y xᵀ⟩``
    statistics : the same in packed Fourier coordinates, for the kernels

    Examples
    --------
    >>> from lineardyn import SecondMoments, pure_cosines
    >>> images, targets = pure_cosines((8, 8), [(0, 0), (1, 2)], [1.0, 0.5])
    >>> moments = SecondMoments.from_data(images, targets)
    >>> moments.form, moments.modes().s.round(3)
    ('modes', array([4.   , 1.414]))
    """

    form: str
    image_shape: tuple[int, int, int]
    n_samples: int
    target_power: float
    image_power: float
    sigma_yx: Floats
    statistics: Statistics

    @staticmethod
    def from_data(
        images: ArrayLike,
        targets: ArrayLike,
        *,
        form: str = "auto",
        center: bool = False,
        store: str | os.PathLike[str] | None = None,
        copy: bool = True,
    ) -> SecondMoments:
        """Second moments of ``images (N, C, H, W)`` and ``targets (N, K)``, or integer labels ``(N,)``.

        Images may be larger than memory: a ``numpy.memmap``, or an array in chunks (dask, h5py, zarr), of any real
        type. They are read piece by piece (one chunk must fit in memory) and summed in float64, once for *dense* and
        *samples*, twice for *modes*.

        Parameters
        ----------
        form : "auto", "modes", "dense" or "samples"
            "auto" is always exact: *modes* only if ``Σ^xx = V D Vᵀ`` to 1e-12, else *dense* or *samples* by size.
            "modes" asks for the diagonal approximation by name.
        center : bool
            Subtract the per-pixel mean, which takes a pass more.
        store : path, optional
            With ``form="samples"``: the rows are written to this ``.npy`` file, whole or not at all, and mapped, so
            that they need not fit in memory. The file must stay; :meth:`save` refers to it.
        copy : bool
            False, with ``form="samples"``: no rows are made; each pass over the data reads ``images`` again, which must
            stay as they are. What needs the rows themselves (gradient flow, training) makes them when it first does.

        Raises
        ------
        ArgumentError
            For images that are not ``(N, C, H, W)``, not finite, all zero, or targets that do not match.
        DataFileError
            If ``store`` cannot be written.

        Notes
        -----
        The transforms run in one thread; ``with scipy.fft.set_workers(n):`` gives them more.
        """
        form = check_choice("form", form, FORMS)
        source = ArraySource.of(images, targets)
        source = replace(source, mean=mean_image(source)) if center else source
        if copy:
            return _estimate(source, form, store)
        if form != "samples" or store is not None:
            raise ArgumentError(
                f"copy is False with form={form!r} and store={store!r}, expected form='samples' and no store: no other "
                f"form has rows that could be left where they are"
            )
        from lineardyn.images_in_place import MomentsInPlace

        return MomentsInPlace.of(source)

    @staticmethod
    def from_batches(
        batches: Batches, *, form: str = "auto", store: str | os.PathLike[str] | None = None
    ) -> SecondMoments:
        """The same from an iterable of ``(images, targets)`` batches (numpy, torch or dask), summed in float64.

        One pass for *dense* and *samples*. *modes* needs two, and *auto* a third where the modes do not hold Σ^xx: pass
        something that can be iterated again (a list, a PyTorch DataLoader), or a function that returns a fresh
        iterator. A one-shot iterator with ``form="auto"`` is read once, as *dense* or *samples*. ``store`` is that of
        :meth:`from_data`. How images are split into batches does not change a bit of the result.

        Raises
        ------
        ArgumentError
            For no batch, batches of different image shapes, what :meth:`from_data` refuses, a one-shot iterator with
            ``form="modes"``, or other images on the second pass.
        DataFileError
            If ``store`` cannot be written.

        Examples
        --------
        >>> from lineardyn import SecondMoments, natural_patches
        >>> images, targets = natural_patches(4, 100, rng=0)
        >>> batches = [(images[:60], targets[:60]), (images[60:], targets[60:])]
        >>> moments = SecondMoments.from_batches(batches)
        >>> moments.form, moments.n_samples, moments.sigma_yx.shape
        ('dense', 100, (4, 1, 4, 4))
        """
        return _estimate(BatchSource(batches), check_choice("form", form, FORMS), store)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write one ``.npz``, whole or not at all; rows that ``store`` keeps in a file stay there, and are named."""
        from lineardyn.moments_file import save_moments

        save_moments(self, path)

    @staticmethod
    def load(path: str | os.PathLike[str]) -> SecondMoments:
        """Read what :meth:`save` wrote; stored rows are mapped again.

        Raises
        ------
        DataFileError
            If the file is missing, holds no saved moments, or its stored rows are missing or were written over.

        Examples
        --------
        >>> import pathlib, tempfile
        >>> from lineardyn import SecondMoments, natural_patches
        >>> with tempfile.TemporaryDirectory() as name:
        ...     folder = pathlib.Path(name)
        ...     data = natural_patches(4, 100, rng=0)
        ...     SecondMoments.from_data(*data, form="samples", store=folder / "rows.npy").save(folder / "moments.npz")
        ...     SecondMoments.load(folder / "moments.npz").n_samples
        100
        """
        from lineardyn.moments_file import load_moments

        return load_moments(path)

    def __getstate__(self) -> dict[str, Any]:
        """For pickle: stored rows go by the name of their file, which the other process maps too."""
        state, stored = dict(self.__dict__), mapped_file(self.statistics.rows)
        if stored is not None:
            state |= {"statistics": self.statistics._replace(rows=np.empty((0, 0))), "stored": stored}
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        stored = state.pop("stored", None)
        self.__dict__.update(state)
        if stored is not None:
            self.__dict__["statistics"] = self.statistics._replace(rows=map_rows(stored))

    @property
    def n_outputs(self) -> int:
        """K."""
        return len(self.sigma_yx)

    @property
    def half(self) -> HalfSpectrum:
        """The packing of the spectra."""
        return half_spectrum(self.image_shape[1:])

    @cached_property
    def weights(self) -> Floats:
        """``(D,)``: how many frequencies each packed coordinate stands for, in the order of the packed rows."""
        return np.tile(self.half.weights, 2 * self.image_shape[0])

    @property
    def dense(self) -> bool:
        """Whether Σ^xx is held as a matrix."""
        return self.form == "dense"

    def __copy__(self) -> SecondMoments:
        return replace(self)

    def modes(self) -> Modes:
        """Singular value decomposition of Σ^yx, with ``d_α = v_αᵀ Σ^xx v_α``."""
        u, s, v = singular_modes(self.sigma_yx)
        weighted = self.pack(v)
        weighted *= self.weights
        return Modes(u, s, v, np.einsum("rd,rd->r", self.apply(weighted), weighted))

    def apply(self, weighted: Floats) -> Floats:
        """``weighted · ⟨c cᵀ⟩`` for rows ``(..., D)`` in packed coordinates (already times :attr:`weights`)."""
        if self.statistics.dense:
            dense: Floats = weighted @ self.statistics.matrix
            return dense
        rows, gain = self.statistics.rows, self.statistics.gain
        if weighted.size * len(rows) <= LARGEST_PRODUCT * len(self.weights):
            products = weighted @ rows.T
            products *= gain
            applied: Floats = products @ rows
            return applied
        total = np.zeros_like(weighted)
        for part in self._row_parts():
            total += ((weighted @ rows[part].T) * gain[part]) @ rows[part]
        return total

    def rows_in_single(self, places: NDArray[np.int64], *, every: int = 1) -> Iterator[NDArray[np.float32]]:
        """Of every n-th packed row of the samples form the numbers at ``places``, in single precision, part by part.

        They are divided by ``⟨‖x‖²⟩^½``, to be of a size that single precision has. The next part may overwrite one.
        """
        stats = self.statistics
        for part in self._row_parts():
            chosen = stats.rows[part][-part.start % every :: every].take(places, axis=1)
            chosen *= np.sqrt(self.n_samples * stats.gain[part][-part.start % every :: every, None] / self.image_power)
            yield chosen.astype(np.float32)

    def lines_in_single(self, places: NDArray[np.int64]) -> Floats:
        """Lines ``(n, D)`` of ``⟨c cᵀ⟩``, in single precision where that is less work."""
        return self.apply(np.eye(len(self.weights))[places])

    def losses(self, predictors: Floats) -> Floats:
        """``½⟨‖y - f(x)‖²⟩`` ``(T,)`` of packed predictors ``(T, K, D)``."""
        stats, weighted = self.statistics, predictors * self.weights
        if stats.dense:
            fit = np.einsum("tkd,tkd->t", weighted @ stats.matrix, weighted)
            cross = np.einsum("tkd,kd->t", weighted, stats.target)
            return np.asarray(0.5 * np.maximum(self.target_power - 2 * cross + fit, 0.0))
        # distance to the least-squares values on the rows: no cancellation when the loss goes to its minimum
        gap, fitted = np.zeros(len(predictors)), 0.0
        for part in self._row_parts():
            gain, best = stats.gain[part], stats.target[:, part] / stats.gain[part]
            gap += np.einsum("tkr,r->t", (weighted @ stats.rows[part].T - best) ** 2, gain)
            fitted += float(((best**2) * gain).sum())
        return np.asarray(0.5 * (gap + max(self.target_power - fitted, 0.0)))

    def coherence(self) -> float:
        """``Σ_α d_α / tr Σ^xx`` over the modes that are not null: 1 where all images of a class are equal.

        >>> from lineardyn import SecondMoments, pure_cosines
        >>> round(SecondMoments.from_data(*pure_cosines((8, 8), [(0, 0), (1, 2)], [1.0, 0.5])).coherence(), 12)
        1.0
        """
        modes = self.modes()
        return float(modes.d[~modes.null].sum() / self.image_power)

    def power_spectrum(self) -> Floats:
        """``⟨|x̂_cf|²⟩`` ``(C, H, W)``; in the modes form that of ``V D Vᵀ`` [Godfrey et al. eq 4.17]."""
        stats = self.statistics
        power = np.diag(stats.matrix) if stats.dense else np.einsum("rd,rd,r->d", stats.rows, stats.rows, stats.gain)
        per_half = power.reshape(self.image_shape[0], 2, -1).sum(axis=1)
        return self.half.unpack(np.stack([per_half, np.zeros_like(per_half)], axis=1)).real

    def gram(self) -> Floats:
        """``Σ^xx`` ``(C·H·W, C·H·W)`` in pixel space, C order; in the modes form ``V D Vᵀ``."""
        stats = self.statistics
        if stats.dense:
            return self._unpack(np.ascontiguousarray(self._unpack(stats.matrix).T))
        total = np.zeros(2 * (int(np.prod(self.image_shape)),))
        for part in self._row_parts():
            pixels = self._unpack(stats.rows[part])
            total += (pixels.T * stats.gain[part]) @ pixels
        return total

    def pack(self, images: Floats) -> Floats:
        """Real images ``(n, C, H, W)`` to packed rows ``(n, D)``."""
        packed = np.empty((len(images), self.image_shape[0], 2, self.half.size))
        for part in slices(len(images), self._rows_at_once):
            self.half.pack_images(images[part], out=packed[part])
        return packed.reshape(len(images), -1)

    @property
    def _rows_at_once(self) -> int:
        return max(256, PIECE_BYTES // (8 * len(self.weights)))

    def _row_parts(self) -> Iterator[slice]:
        """Slices of the rows, which may be more than memory holds."""
        return slices(len(self.statistics.gain), self._rows_at_once)

    def _unpack(self, rows: Floats) -> Floats:
        """Packed rows ``(n, D)`` to images ``(n, C·H·W)``."""
        images = self.half.unpack_images(rows.reshape(len(rows), self.image_shape[0], 2, -1))
        return images.reshape(len(rows), -1)

    def __add__(self, other: SecondMoments) -> SecondMoments:
        """Moments of both data sets together; both must have the same form, image shape and outputs."""
        if not isinstance(other, SecondMoments):
            return NotImplemented
        for name in ("form", "image_shape", "n_outputs"):
            if getattr(self, name) != getattr(other, name):
                raise ArgumentError(
                    f"other has {name} {getattr(other, name)!r}, expected {getattr(self, name)!r} as in the first: "
                    f"moments add up only when made alike"
                )
        stored = mapped_file(self.statistics.rows) or mapped_file(other.statistics.rows)
        if stored is not None:
            raise ArgumentError(
                f"other cannot be added: rows are stored in {str(stored)!r}, expected rows in memory; give both data "
                f"sets to from_batches at once, with a store of their own"
            )
        from lineardyn.mixtures import mix, remake_modes

        n = self.n_samples + other.n_samples
        a, b = self.n_samples / n, other.n_samples / n
        mixed = replace(
            self,
            n_samples=n,
            target_power=a * self.target_power + b * other.target_power,
            image_power=a * self.image_power + b * other.image_power,
            sigma_yx=a * self.sigma_yx + b * other.sigma_yx,
            statistics=mix(self.statistics, other.statistics, a, b),
        )
        return remake_modes(mixed, self, other) if self.form == "modes" else mixed


def _estimate(source: ArraySource | BatchSource, form: str, store: str | os.PathLike[str] | None) -> SecondMoments:
    from lineardyn.estimation import estimate

    return estimate(source, form, store)


def is_coherent(modes: Modes, v: Floats, image: Floats, weights: Floats, trace: float) -> bool:
    """``Σ^xx V = V D`` and ``tr Σ^xx = tr D`` to 1e-12 of the trace, null modes left out.

    ``v (R, D)`` and ``image = Σ^xx v`` are given in coordinates whose dot product has these ``weights``.
    """
    off, total = 0.0, 0.0
    for alpha in np.flatnonzero(~modes.null):
        off += float(((image[alpha] - modes.d[alpha] * v[alpha]) ** 2) @ weights)
        total += float(modes.d[alpha])
    return max(float(np.sqrt(off)), abs(trace - total)) <= COHERENT * trace


def modes_form(modes: Modes, like: SecondMoments) -> SecondMoments:
    """The moments whose Σ^xx is V D Vᵀ; the rest as in ``like``."""
    kept = ~modes.null
    stats = Statistics(
        dense=False,
        rows=like.pack(modes.v[: int(kept.sum())]),  # descending: null modes come last
        target=np.ascontiguousarray(modes.u[:, kept] * modes.s[kept]),
        gain=modes.d[kept].copy(),
        matrix=np.empty((0, 0)),
    )
    return replace(like, form="modes", statistics=stats)
