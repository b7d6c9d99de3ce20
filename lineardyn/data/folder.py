"""A folder of pictures, one subfolder a class: a user's own images."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lineardyn.data.images import resize
from lineardyn.errors import ArgumentError, DataFileError
from lineardyn.validation import check_path, check_shape

__all__ = ["load_folder"]

Floats = NDArray[np.float64]
_SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".pgm", ".ppm"}


def load_folder(root: str | os.PathLike[str], *, size: int | Sequence[int] | None = None) -> tuple[Floats, Floats]:
    r"""Pictures ``root/<class>/*``: every subfolder is a class, in the order of their sorted names.

    Parameters
    ----------
    root : path
        PNG, JPEG, BMP, GIF, TIFF, WebP, PGM and PPM files are read, sorted by name; other files, and names that begin
        with a dot, are passed over.
    size : int or (int, int), optional
        Cut each picture to the largest centred part of this shape and average it down to ``H = W = size``, or ``(H,
        W)`` (see :func:`lineardyn.data.resize`). Without it all pictures must have the same size.

    Returns
    -------
    images : float64 (N, C, H, W)
        In [0, 1], not centred; C = 1 where all pixels of all pictures are grey, else C = 3.
    targets : float64 (N, K)
        One-hot; column k is the k-th subfolder.

    Raises
    ------
    DataFileError
        Naming the file that is broken, transparent or of another size, or the folder that holds none.
    ArgumentError
        For a size above that of a picture.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> import numpy as np
    >>> from PIL import Image
    >>> with tempfile.TemporaryDirectory() as root:
    ...     for name, level in [("dark", 0), ("light", 255)]:
    ...         (pathlib.Path(root) / name).mkdir()
    ...         Image.new("L", (6, 4), level).save(pathlib.Path(root) / name / "1.png")
    ...     images, targets = load_folder(root)
    >>> images.shape, images.mean(axis=(1, 2, 3)), targets.tolist()
    ((2, 1, 4, 6), array([0., 1.]), [[1.0, 0.0], [0.0, 1.0]])
    """
    folders = _classes(check_path(root, "root"))
    sides = (size, size) if isinstance(size, int | np.integer) else size
    shape = None if sides is None else check_shape("size", sides, 2, "(H, W)")
    files = [(k, file) for k, folder in enumerate(folders) for file in _pictures(folder)]
    pictures = [_read(file) if shape is None else _fit(_read(file), shape, file) for _, file in files]
    for picture, (_, file) in zip(pictures, files, strict=True):
        if picture.shape != pictures[0].shape:
            raise DataFileError(
                f"{file} has {_size(picture)} pixels, expected {_size(pictures[0])}, those of {files[0][1]}: "
                f"pass size= to cut and average all pictures to one size"
            )
    images = np.stack(pictures)
    if (images == images[:, :1]).all():
        images = images[:, :1]
    return np.ascontiguousarray(images), np.eye(len(folders))[[k for k, _ in files]]


def _size(picture: Floats) -> str:
    return f"{picture.shape[1]}×{picture.shape[2]}"


def _classes(root: Path) -> list[Path]:
    if not root.is_dir():
        state = "is a file" if root.exists() else "does not exist"
        raise DataFileError(f"root is {root}, which {state}, expected a folder with one subfolder of pictures a class")
    folders = sorted(child for child in root.iterdir() if child.is_dir() and not child.name.startswith("."))
    if len(folders) < 2:
        raise DataFileError(
            f"root is {root}, which holds {len(folders)} subfolders, expected at least two, one for each class: "
            f"sort the pictures into folders root/<class>/"
        )
    return folders


def _pictures(folder: Path) -> list[Path]:
    inside = sorted(folder.iterdir())
    files = [f for f in inside if f.suffix.lower() in _SUFFIXES and not f.name.startswith(".") and f.is_file()]
    if not files:
        raise DataFileError(
            f"{folder} holds no picture, expected files such as 1.png: fill the folder, or remove it if it is no class"
        )
    return files


def _read(file: Path) -> Floats:
    """One picture as ``(3, H, W)`` in [0, 1]."""
    from PIL import Image, ImageOps

    try:
        with Image.open(file) as opened:
            picture = ImageOps.exif_transpose(opened)
            deep = picture.mode.startswith("I;16")
            if picture.mode in ("I", "F"):
                raise DataFileError(f"{file} has pixels of mode {picture.mode}, expected 8 or 16 bits: convert it")
            if picture.has_transparency_data and np.asarray(picture.convert("RGBA"))[..., 3].min() < 255:
                raise DataFileError(f"{file} has transparent pixels, expected opaque ones: put it on a background")
            levels = np.asarray(picture if deep else picture.convert("RGB"), dtype=np.float64)
    except DataFileError:
        raise
    except Exception as error:  # a broken picture can raise anything
        raise DataFileError(f"{file} cannot be read ({error}), expected a picture: replace or remove it") from None
    if deep:
        levels = np.repeat(levels[..., None], 3, axis=2) / 257.0
    return np.ascontiguousarray(levels.transpose(2, 0, 1)) / 255.0


def _fit(picture: Floats, shape: tuple[int, ...], file: Path) -> Floats:
    """The largest centred part with the proportions of ``shape``, averaged to it."""
    height, width = picture.shape[1:]
    rows, columns = min(height, width * shape[0] // shape[1]), min(width, height * shape[1] // shape[0])
    if rows < shape[0] or columns < shape[1]:
        raise ArgumentError(
            f"size is {shape}, expected at most ({height}, {width}), the size of {file}: averaging makes pictures "
            f"smaller only"
        )
    top, left = (height - rows) // 2, (width - columns) // 2
    return np.asarray(resize(picture[None, :, top : top + rows, left : left + columns], shape)[0])
