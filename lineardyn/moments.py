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

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lineardyn.accumulation import DENSE_BYTES, Batches, Sums, chunks, read_batches, sum_batches
from lineardyn.errors import ArgumentError
from lineardyn.fourier import HalfSpectrum, half_spectrum, ifft2
from lineardyn.modes import Modes, singular_modes
from lineardyn.validation import check_choice, check_images, check_targets

__all__ = ["SecondMoments", "Statistics"]

Floats = NDArray[np.float64]
FORMS = ("auto", "modes", "dense", "samples")
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
    def from_data(images: ArrayLike, targets: ArrayLike, *, form: str = "auto", center: bool = False) -> SecondMoments:
        """Second moments of ``images (N, C, H, W)`` and ``targets (N, K)``, or integer labels ``(N,)``.

        ``form="auto"`` is always exact: *modes* only if ``Σ^xx = V D Vᵀ`` to 1e-12, else *dense* or *samples* by size.
        ``form="modes"`` asks for the diagonal approximation by name. ``center`` subtracts the per-pixel mean.

        Raises
        ------
        ArgumentError
            For images that are not ``(N, C, H, W)``, not finite, all zero, or targets that do not match.
        """
        x = check_images(images)
        y = check_targets(targets, len(x))
        mean = _mean_of_varied(x) if center else None

        def batches() -> Iterator[tuple[Floats, Floats]]:
            for part in chunks(len(x), x[0].size):
                yield (x[part] if mean is None else x[part] - mean), y[part]

        return SecondMoments.from_batches(batches, form=form)

    @staticmethod
    def from_batches(batches: Batches, *, form: str = "auto") -> SecondMoments:
        """The same from an iterable of ``(images, targets)`` batches (numpy or torch), summed in float64.

        One pass for *dense* and *samples*. *modes* needs two, and *auto* a third where the modes do not hold Σ^xx: pass
        something that can be iterated again (a list, a PyTorch DataLoader), or a function that returns a fresh
        iterator. A one-shot iterator with ``form="auto"`` is read once, as *dense* or *samples*.

        Raises
        ------
        ArgumentError
            For no batch, batches of different image shapes, what :meth:`from_data` refuses, or a one-shot iterator with
            ``form="modes"``.

        Examples
        --------
        >>> from lineardyn import SecondMoments, natural_patches
        >>> images, targets = natural_patches(4, 100, rng=0)
        >>> batches = [(images[:60], targets[:60]), (images[60:], targets[60:])]
        >>> moments = SecondMoments.from_batches(batches)
        >>> moments.form, moments.n_samples, moments.sigma_yx.shape
        ('dense', 100, (4, 1, 4, 4))
        """
        form = check_choice("form", form, FORMS)
        once = isinstance(batches, Iterator)
        if once and form == "modes":
            raise ArgumentError(
                "batches is an iterator that can be read once, expected one that can be read twice for form='modes': "
                "pass a list, a DataLoader, or a function that returns an iterator"
            )
        if not once and form in ("auto", "modes"):
            first = sum_batches(read_batches(batches), "correlation")
            moments, coherent = _modes_form(first, read_batches(batches))
            if form == "modes" or coherent:
                return moments
            form = _exact_form(first.n, first.size)
        return _finish(sum_batches(read_batches(batches), "any" if form == "auto" else form))

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

    def modes(self) -> Modes:
        """Singular value decomposition of Σ^yx, with ``d_α = v_αᵀ Σ^xx v_α``."""
        u, s, v = singular_modes(self.sigma_yx)
        rows = self.pack(v)
        weighted = rows * self.weights
        return Modes(u, s, v, np.einsum("rd,rd->r", self.apply(weighted), weighted))

    def apply(self, weighted: Floats) -> Floats:
        """``weighted · ⟨c cᵀ⟩`` for rows ``(..., D)`` in packed coordinates (already times :attr:`weights`)."""
        if self.statistics.dense:
            dense: Floats = weighted @ self.statistics.matrix
            return dense
        rows = self.statistics.rows
        applied: Floats = ((weighted @ rows.T) * self.statistics.gain) @ rows
        return applied

    def losses(self, predictors: Floats) -> Floats:
        """``½⟨‖y - f(x)‖²⟩`` ``(T,)`` of packed predictors ``(T, K, D)``."""
        stats, weighted = self.statistics, predictors * self.weights
        if stats.dense:
            fit = np.einsum("tkd,tkd->t", weighted @ stats.matrix, weighted)
            cross = np.einsum("tkd,kd->t", weighted, stats.target)
            return np.asarray(0.5 * np.maximum(self.target_power - 2 * cross + fit, 0.0))
        # distance to the least-squares values on the rows: no cancellation when the loss goes to its minimum
        best = stats.target / stats.gain
        gap = np.einsum("tkr,r->t", (weighted @ stats.rows.T - best) ** 2, stats.gain)
        floor = self.target_power - float(((best**2) * stats.gain).sum())
        return np.asarray(0.5 * (gap + max(floor, 0.0)))

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
        pixels = self._unpack(stats.rows)
        return (pixels.T * stats.gain) @ pixels

    def pack(self, images: Floats) -> Floats:
        """Real images ``(n, C, H, W)`` to packed rows ``(n, D)``."""
        return self.half.pack_images(images).reshape(len(images), -1)

    def _unpack(self, rows: Floats) -> Floats:
        """Packed rows ``(n, D)`` to images ``(n, C·H·W)``."""
        spectra = self.half.unpack(rows.reshape(len(rows), self.image_shape[0], 2, -1)).conj()
        return np.ascontiguousarray(ifft2(spectra).real.reshape(len(rows), -1))

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
        n = self.n_samples + other.n_samples
        a, b = self.n_samples / n, other.n_samples / n
        mixed = replace(
            self,
            n_samples=n,
            target_power=a * self.target_power + b * other.target_power,
            image_power=a * self.image_power + b * other.image_power,
            sigma_yx=a * self.sigma_yx + b * other.sigma_yx,
            statistics=_mix(self.statistics, other.statistics, a, b),
        )
        return _remake_modes(mixed, self, other) if self.form == "modes" else mixed


def _mean_of_varied(images: Floats) -> Floats:
    """The per-pixel mean, where at least two images differ by more than round-off."""
    mean: Floats = images.mean(axis=0)
    if np.ptp(images, axis=0).max() <= 1e-14 * np.abs(images).max():
        raise ArgumentError(
            "images are all equal, expected images that differ: nothing is left when center=True takes their mean off"
        )
    return mean


def _mix(one: Statistics, two: Statistics, a: float, b: float) -> Statistics:
    if one.dense:
        return one._replace(target=a * one.target + b * two.target, matrix=a * one.matrix + b * two.matrix)
    return one._replace(
        rows=np.concatenate([one.rows, two.rows]),
        target=np.concatenate([a * one.target, b * two.target], axis=1),
        gain=np.concatenate([a * one.gain, b * two.gain]),
    )


def _remake_modes(mixed: SecondMoments, *parts: SecondMoments) -> SecondMoments:
    """The modes form of a mixture whose Σ^xx is, for now, a sum over the rows of both parts."""
    modes = mixed.modes()
    made = _from_modes(modes, mixed)
    exact = _is_coherent(mixed, modes)
    if not exact:
        lossy = next((p for p in parts if p.coherence() < 1 - COHERENT), None)
        reason = "one of them is a diagonal approximation" if lossy else "their sum is not diagonal in its own modes"
        raise ArgumentError(
            f"other cannot be added in the modes form: {reason}, expected coherent classes in the sum; "
            f"make both with form='dense' or 'samples', or take form='modes' of all the data at once"
        )
    return made


def _is_coherent(moments: SecondMoments, modes: Modes) -> bool:
    """``Σ^xx V = V D`` and ``tr Σ^xx = tr D`` to 1e-12 of the trace, null modes left out."""
    kept = ~modes.null
    v = moments.pack(modes.v[kept])
    image = moments.apply(v * moments.weights)
    return _defect(image, v, modes.d[kept], moments.weights, moments.image_power) <= COHERENT * moments.image_power


def _defect(image: Floats, v: Floats, d: Floats, weights: Floats, trace: float) -> float:
    off = np.sqrt((((image - d[:, None] * v) ** 2) @ weights).sum())
    return float(max(off, abs(trace - d.sum())))


def _from_modes(modes: Modes, like: SecondMoments) -> SecondMoments:
    kept = ~modes.null
    stats = Statistics(
        dense=False,
        rows=like.pack(modes.v[kept]),
        target=np.ascontiguousarray(modes.u[:, kept] * modes.s[kept]),
        gain=modes.d[kept].copy(),
        matrix=np.empty((0, 0)),
    )
    return replace(like, form="modes", statistics=stats)


def _finish(sums: Sums) -> SecondMoments:
    """Averages of the sums, in packed coordinates."""
    if sums.shape is None:
        raise ArgumentError("batches is empty, expected at least one batch of (images, targets)")
    if not np.isfinite([sums.image_power, sums.target_power]).all():
        raise ArgumentError(
            "images or targets are so large that their squares overflow, expected numbers below 1e150: rescale them, "
            "for instance to [0, 1]"
        )
    _check_classes(sums)
    if sums.image_power == 0.0:
        raise ArgumentError(
            "images are all zero, expected images that differ: constant images vanish when their mean is subtracted"
        )
    k, n = len(sums.yx), sums.n
    sigma_yx = (sums.yx / n).reshape(k, *sums.shape)
    half = half_spectrum(sums.shape[1:])
    stats = Statistics(False, np.empty((0, 0)), np.empty((k, 0)), np.empty(0), np.empty((0, 0)))
    if sums.keep == "dense":
        target = half.pack_images(sigma_yx).reshape(k, -1)
        stats = stats._replace(dense=True, target=target, matrix=_pack_gram(sums.xx / n, sums.shape))
    elif sums.keep == "samples":
        y = np.zeros((n, k))
        start = 0
        for part in sums.targets:
            y[start : start + len(part), : part.shape[1]] = part
            start += len(part)
        stats = stats._replace(
            rows=np.concatenate(sums.rows), target=np.ascontiguousarray(y.T / n), gain=np.full(n, 1 / n)
        )
    return SecondMoments(sums.keep, sums.shape, n, sums.target_power / n, sums.image_power / n, sigma_yx, stats)


def _check_classes(sums: Sums) -> None:
    """Integer labels over all batches, as :func:`check_targets` wants them in one array."""
    if not sums.labels or sums.one_hot:
        return
    if len(sums.labels) == 1:
        raise ArgumentError("targets hold one class only, expected at least two: there is nothing to tell apart")
    missing = set(range(len(sums.yx))) - sums.labels
    if missing:
        raise ArgumentError(
            f"targets have no image of class {min(missing)} although {len(sums.yx)} classes are named, expected labels "
            f"0..K-1 without gaps: renumber them, or give one-hot rows (N, K)"
        )


def _pack_gram(sigma_xx: Floats, shape: tuple[int, int, int]) -> Floats:
    """``Σ^xx`` in pixel space to packed coordinates, on both sides."""
    half = half_spectrum(shape[1:])
    one_side = half.pack_images(sigma_xx.reshape(-1, *shape)).reshape(len(sigma_xx), -1)
    both = half.pack_images(np.ascontiguousarray(one_side.T).reshape(-1, *shape)).reshape(one_side.shape[1], -1)
    return np.ascontiguousarray(0.5 * (both + both.T))


def _exact_form(n: int, size: int) -> str:
    """Dense costs K·D² a right-hand side, samples 2·K·N·D."""
    return "dense" if size <= 2 * n and 8 * size**2 <= DENSE_BYTES else "samples"


def _modes_form(first: Sums, batches: Iterator[tuple[Any, Any]]) -> tuple[SecondMoments, bool]:
    """Second pass: Σ^xx V, from which d and the test for coherent classes follow."""
    bare = _finish(first)
    u, s, v = singular_modes(bare.sigma_yx)
    flat_v = v.reshape(len(s), -1)
    image = np.zeros_like(flat_v)
    count = 0
    for images, _ in batches:
        x = check_images(images).reshape(-1, flat_v.shape[1])
        image += (x @ flat_v.T).T @ x
        count += len(x)
    if count != first.n:
        raise ArgumentError(
            f"batches gave {first.n} images on the first pass and {count} on the second, expected the same"
        )
    image /= count
    modes = Modes(u, s, v, np.einsum("rd,rd->r", image, flat_v))
    kept = ~modes.null
    defect = _defect(image[kept], flat_v[kept], modes.d[kept], np.ones(flat_v.shape[1]), bare.image_power)
    return _from_modes(modes, bare), defect <= COHERENT * bare.image_power
