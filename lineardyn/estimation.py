"""From sums over images to second moments in one of the three forms."""

from __future__ import annotations

import os

import numpy as np
from numpy.typing import NDArray

from lineardyn.accumulation import DENSE_BYTES, Sums, sum_images, sum_projections
from lineardyn.errors import ArgumentError
from lineardyn.fourier import half_spectrum
from lineardyn.modes import Modes, singular_modes
from lineardyn.moments import SecondMoments, Statistics, is_coherent, modes_form
from lineardyn.packed_rows import RowsInFile, RowsInMemory
from lineardyn.sources import PIECE_BYTES, Source, slices

__all__ = ["estimate", "sums_alone"]

Floats = NDArray[np.float64]


def estimate(source: Source, form: str, store: str | os.PathLike[str] | None) -> SecondMoments:
    """Moments of a source: one pass, two for the modes, three where those turn out not to be exact."""
    if store is not None and form != "samples":
        raise ArgumentError(f"store comes with form={form!r}, expected form='samples': no other form holds rows")
    if source.once and form == "modes":
        raise ArgumentError(
            "batches is an iterator that can be read once, expected one that can be read twice for form='modes': "
            "pass a list, a DataLoader, or a function that returns an iterator"
        )
    if not source.once and form in ("auto", "modes"):
        moments, exact = _in_modes(source)
        if form == "modes" or exact:
            return moments
        form = _exact_form(moments.n_samples, moments.sigma_yx[0].size)
    with RowsInMemory(source.n_images) if store is None else RowsInFile(store) as rows:
        return _averages(sum_images(source, "any" if form == "auto" else form, rows))


def sums_alone(source: Source) -> SecondMoments:
    """Σ^yx and the powers; no Σ^xx, in no form."""
    return _averages(sum_images(source, "nothing", RowsInMemory(None)))


def _exact_form(n: int, size: int) -> str:
    """Dense costs K·D² a right-hand side, samples 2·K·N·D."""
    return "dense" if size <= 2 * n and 8 * size**2 <= DENSE_BYTES else "samples"


def _in_modes(source: Source) -> tuple[SecondMoments, bool]:
    """The modes form and whether it is exact, from a second pass for Σ^xx V."""
    bare = sums_alone(source)
    u, s, v = singular_modes(bare.sigma_yx)
    directions = v.reshape(len(s), -1)
    image, n, power = sum_projections(source, directions)
    if n != bare.n_samples:
        raise ArgumentError(
            f"batches gave {bare.n_samples} images on the first pass and {n} on the second, expected the same"
        )
    # the order may change, as where a loader shuffles, and with it the round-off
    if abs(power / n - bare.image_power) > 1e-9 * bare.image_power:
        raise ArgumentError(
            "batches gave other images on the second pass, expected the same in any order: draw random augmentations "
            "from a seed that starts again with each pass, or take form='dense' or 'samples', which need one"
        )
    image /= n
    modes = Modes(u, s, v, np.einsum("rd,rd->r", image, directions))
    exact = is_coherent(modes, directions, image, np.ones(directions.shape[1]), bare.image_power)
    return modes_form(modes, bare), exact


def _averages(sums: Sums) -> SecondMoments:
    """Sums over their number, in packed coordinates; takes the arrays of ``sums`` over."""
    if not np.isfinite([sums.image_power, sums.target_power]).all():
        raise ArgumentError(
            "images or targets are so large that their squares overflow, expected numbers below 1e150: rescale them, "
            "for instance to [0, 1]"
        )
    if sums.image_power == 0.0:
        raise ArgumentError(
            "images are all zero, expected images that differ: constant images vanish when their mean is subtracted"
        )
    k, n = len(sums.yx), sums.n
    sigma_yx = np.divide(sums.yx, n, out=sums.yx).reshape(k, *sums.shape)
    stats = Statistics(False, np.empty((0, 0)), np.empty((k, 0)), np.empty(0), np.empty((0, 0)))
    if sums.keep == "dense":
        stats = stats._replace(dense=True, target=_pack_rows(sums.yx, sums.shape), matrix=_packed_gram(sums))
    elif sums.keep == "samples":
        target, start = np.zeros((k, n)), 0
        for part in sums.targets:
            target[: part.shape[1], start : start + len(part)] = part.T / n
            start += len(part)
        stats = stats._replace(rows=sums.rows.finish(), target=target, gain=np.full(n, 1 / n))
    return SecondMoments(sums.keep, sums.shape, n, sums.target_power / n, sums.image_power / n, sigma_yx, stats)


def _packed_gram(sums: Sums) -> Floats:
    """``Σ^xx`` from its upper triangle in pixel space to packed coordinates on both sides.

    Block by block, so that at no time more than two matrices of this size are held.
    """
    upper, sums.xx = sums.xx, np.empty((0, 0))
    upper /= sums.n
    for part in slices(len(upper), 128):
        upper[part.stop :, part] = upper[part, part.stop :].T
        upper[part, part] = np.triu(upper[part, part]) + np.triu(upper[part, part], 1).T
    one_side = _pack_rows(upper.T, sums.shape)
    del upper
    both = _pack_rows(one_side.T, sums.shape)
    for part in slices(len(both), 128):  # each product of the two transforms rounds in its own way
        mean = 0.5 * (both[part, part.start :] + both[part.start :, part].T)
        both[part, part.start :] = mean
        both[part.start :, part] = mean.T
    return both


def _pack_rows(matrix: Floats, shape: tuple[int, int, int]) -> Floats:
    """Rows ``(n, C·H·W)`` to packed rows ``(n, D)``."""
    half = half_spectrum(shape[1:])
    packed = np.empty((len(matrix), shape[0], 2, half.size))
    for part in slices(len(matrix), max(1, PIECE_BYTES // (8 * matrix.shape[1]))):
        half.pack_images(matrix[part].reshape(-1, *shape), out=packed[part])
    return packed.reshape(len(matrix), -1)
