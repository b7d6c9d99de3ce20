"""Natural images: patches of the photograph in matplotlib; grey levels and smaller sizes; a user's own file."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lineardyn.errors import ArgumentError, DataFileError
from lineardyn.validation import Rng, as_generator, check_count, check_images, check_path, check_shape, check_targets

__all__ = ["greyscale", "load_npz", "natural_patches", "resize"]

Floats = NDArray[np.float64]

_LUMA = np.array([0.299, 0.587, 0.114])  # ITU-R BT.601: how bright red, green and blue look


def natural_patches(size: int, n: int, *, rng: Rng) -> tuple[Floats, Floats]:
    r"""Patches of a photograph in its four rotations; the task is to tell which rotation a patch is shown in.

    The photograph is matplotlib's ``grace_hopper.jpg`` (600×512) in grey levels. A patch is a square at a random place,
    upright, then turned; its pixels are averages over blocks whose side is the largest integer that leaves two patches
    to the photograph's width. So a patch of any size shows nearly half that width (for size 32, 256 of 512 pixels).

    Parameters
    ----------
    size : int
        H = W of a patch, 2 to 512.
    n : int
        Number of patches in all, a multiple of 4. Image i has the rotation ``i mod 4``: every part whose length is a
        multiple of 4 is balanced.
    rng : int or numpy.random.Generator

    Returns
    -------
    images : float64 (n, 1, size, size)
        In [0, 1], not centred.
    targets : float64 (n, 4)
        One-hot: rotation by 0, 90, 180, 270 degrees, counter-clockwise.

    Raises
    ------
    ArgumentError
        For an n that four classes cannot share equally, or a size larger than the photograph.
    DataFileError
        If matplotlib was installed without its sample data.

    Examples
    --------
    >>> images, targets = natural_patches(16, 8, rng=0)
    >>> images.shape, targets.sum(axis=0).tolist()
    ((8, 1, 16, 16), [2.0, 2.0, 2.0, 2.0])
    """
    side, count = check_count("size", size, minimum=2), check_count("n", n, minimum=4)
    if count % 4:
        raise ArgumentError(
            f"n is {count}, expected a multiple of 4 (as many patches of each rotation): use {count - count % 4} "
            f"or {count + 4 - count % 4}"
        )
    photograph = _photograph()
    narrow = min(photograph.shape)
    if side > narrow:
        raise ArgumentError(f"size is {side}, expected at most {narrow}: the photograph has {photograph.shape} pixels")
    block = max(1, narrow // (2 * side))
    generator = as_generator(rng)
    rows = generator.integers(0, photograph.shape[0] - block * side + 1, count)
    columns = generator.integers(0, photograph.shape[1] - block * side + 1, count)
    patches = _block_averages(photograph, rows, columns, side, block)
    for turn in range(1, 4):
        patches[turn::4] = np.rot90(patches[turn::4], turn, axes=(1, 2))
    return patches[:, None], np.eye(4)[np.arange(count) % 4]


def greyscale(images: ArrayLike) -> Floats:
    r"""Colour images ``(N, 3, H, W)`` to grey ones ``(N, 1, H, W)``: ``0.299 R + 0.587 G + 0.114 B`` (ITU-R BT.601).

    Images of one channel come back as they are.

    Examples
    --------
    >>> import numpy as np
    >>> greyscale(np.ones((2, 3, 4, 4))).shape
    (2, 1, 4, 4)
    """
    array = check_images(images)
    if array.shape[1] == 1:
        return array
    if array.shape[1] != 3:
        raise ArgumentError(f"images has {array.shape[1]} channels, expected 3 (red, green, blue) or 1")
    grey = np.zeros((len(array), 1, *array.shape[2:]))
    for channel, weight in enumerate(_LUMA):
        grey[:, 0] += weight * array[:, channel]
    return grey


def resize(images: ArrayLike, size: int | Sequence[int]) -> Floats:
    r"""Smaller images by area average: each new pixel is the mean over the area it covers, ``x' = A_H x A_Wᵀ``.

    Row r of A holds the overlaps of the interval ``[r H/H', (r+1) H/H')`` with the old pixels, divided by its length:
    block means where the new size divides the old one, shares of pixels elsewhere. The mean of an image is kept, values
    stay within their range, nothing wraps around.

    Parameters
    ----------
    images : (N, C, H, W)
    size : int or (int, int)
        The new side H' = W', or (H', W'); at most the old ones.

    Returns
    -------
    images : float64 (N, C, H', W')

    Raises
    ------
    ArgumentError
        For a size above that of the images: averages make no detail.

    Examples
    --------
    >>> import numpy as np
    >>> resize(np.arange(4.0).reshape(1, 1, 2, 2), 1)
    array([[[[1.5]]]])
    """
    array = check_images(images)
    both = (size, size) if isinstance(size, int | np.integer) else size
    height, width = check_shape("size", both, 2, "a side, or (H, W)")
    if height > array.shape[2] or width > array.shape[3]:
        raise ArgumentError(
            f"size is ({height}, {width}), expected at most {array.shape[2:]}, the size of the images: "
            f"averaging makes images smaller only"
        )
    if (height, width) == array.shape[2:]:
        return array.copy()
    rows, columns = _area_weights(array.shape[2], height), _area_weights(array.shape[3], width)
    return np.ascontiguousarray(rows @ (array @ columns.T))


def load_npz(path: str | os.PathLike[str]) -> tuple[Floats, Floats]:
    r"""A user's own data: an ``.npz`` file with ``images (N, C, H, W)`` and ``labels``.

    ``labels`` are ``(N,)`` integers or text, any values: the targets' columns follow their sorted order (labels 3, 5, 8
    give three columns); or ``(N, K)`` real targets, taken as they are. Images become float64 and are not rescaled.
    Write such a file with ``numpy.savez("mine.npz", images=images, labels=labels)``.

    Returns
    -------
    images : float64 (N, C, H, W)
    targets : float64 (N, K)

    Raises
    ------
    DataFileError
        If the file is missing, truncated or no npz, lacks an array, or holds pickled objects (never unpickled).
    ArgumentError
        If images or labels have another shape, are not finite, do not match, or are of one class only.

    Examples
    --------
    >>> import numpy as np, pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = pathlib.Path(folder) / "mine.npz"
    ...     np.savez(file, images=np.random.default_rng(0).random((6, 1, 4, 4)), labels=[3, 5, 8, 3, 5, 8])
    ...     images, targets = load_npz(file)
    >>> images.shape, targets.shape
    ((6, 1, 4, 4), (6, 3))
    """
    file = check_path(path)
    arrays = _npz_arrays(file, ("images", "labels"))
    images = check_images(arrays["images"], f"images in {file.name}")
    return images, _npz_targets(arrays["labels"], len(images), f"labels in {file.name}")


def _photograph() -> Floats:
    """Grey levels in [0, 1] of the photograph in matplotlib's sample data."""
    from matplotlib import cbook, image

    try:
        path = cbook.get_sample_data("grace_hopper.jpg", asfileobj=False)
        pixels = np.asarray(image.imread(str(path), format="jpg"), dtype=np.float64)
    except FileNotFoundError as error:
        raise DataFileError(
            f"matplotlib's sample photograph grace_hopper.jpg is missing ({error}): some systems package matplotlib "
            f"without it; pip install --force-reinstall matplotlib, or choose other data"
        ) from None
    grey: Floats = pixels @ _LUMA / 255.0
    return grey


def _block_averages(
    picture: Floats, rows: NDArray[np.int64], columns: NDArray[np.int64], side: int, block: int
) -> Floats:
    """Patches ``(n, side, side)`` of block means, corners at (rows, columns), from sums over all rectangles."""
    sums = np.zeros((picture.shape[0] + 1, picture.shape[1] + 1))
    sums[1:, 1:] = picture.cumsum(axis=0).cumsum(axis=1)
    steps = block * np.arange(side + 1)
    corners = sums[(rows[:, None] + steps)[:, :, None], (columns[:, None] + steps)[:, None, :]]
    means: Floats = np.diff(np.diff(corners, axis=1), axis=2) / block**2
    return np.clip(means, 0.0, 1.0)  # round-off of the sums


def _area_weights(old: int, new: int) -> Floats:
    """``(new, old)``: which share of each old pixel lies in each new one; rows sum to 1. Exact in integers."""
    start, pixel = np.arange(new)[:, None] * old, np.arange(old) * new  # everything in units of 1/(old·new)
    overlap = np.minimum(start + old, pixel + new) - np.maximum(start, pixel)
    return np.asarray(np.maximum(overlap, 0) / old, dtype=np.float64)


def _npz_arrays(file: Path, names: Sequence[str]) -> dict[str, NDArray[Any]]:
    if not file.is_file():
        raise DataFileError(
            f"{file} is {'a folder' if file.is_dir() else 'missing'}, expected an .npz file: check the path"
        )
    try:
        if not zipfile.is_zipfile(file):
            raise DataFileError(
                f"{file} is no npz file, or is truncated, expected one that numpy.savez wrote, "
                f"with {' and '.join(names)}: write it again"
            )
        with np.load(file, allow_pickle=False) as content:
            missing = [name for name in names if name not in content.files]
            if missing:
                there = ", ".join(content.files) or "nothing"
                raise DataFileError(
                    f"{file} holds {there}, expected {' and '.join(names)}: numpy.savez(path, images=..., labels=...)"
                )
            return {name: content[name] for name in names}
    except DataFileError:
        raise
    except ValueError as error:
        raise DataFileError(
            f"{file} cannot be read ({error}), expected arrays of numbers: pickled objects are refused; "
            f"convert them with numpy.asarray(x, dtype=float) and save again"
        ) from None
    except Exception as error:  # a broken archive can raise anything, an OSError among others
        raise DataFileError(f"{file} cannot be read ({error}): it is truncated or broken; write it again") from None


def _npz_targets(labels: NDArray[Any], n_images: int, name: str) -> Floats:
    if labels.ndim == 2 and labels.shape[1] == 1 and labels.dtype.kind in "biu":
        raise ArgumentError(
            f"{name} has shape {labels.shape} of integers, expected (N,) for classes: save labels[:, 0] "
            f"(or labels.astype(float) for one real output)"
        )
    if labels.ndim == 1 and labels.dtype.kind in "biuUS" and len(labels):
        values, labels = np.unique(labels, return_inverse=True)
        if len(values) == 1 and len(labels) == n_images:
            raise ArgumentError(
                f"{name} are all {values[0]}, expected at least two classes: there is nothing to tell apart"
            )
    targets = check_targets(labels, n_images, name)
    if labels.ndim == 2 and (targets == targets[0]).all():
        raise ArgumentError(
            f"{name} are the same for every image, expected at least two different ones: there is nothing to tell apart"
        )
    return targets
