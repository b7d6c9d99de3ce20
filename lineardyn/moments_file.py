"""Second moments in a file, whole or not at all; stored rows stay in their own."""

from __future__ import annotations

import json
import os
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lineardyn.errors import DataFileError
from lineardyn.fourier import half_spectrum
from lineardyn.moments import FORMS, SecondMoments, Statistics
from lineardyn.packed_rows import map_rows, mapped_file
from lineardyn.validation import check_array, check_choice, check_count, check_image_shape, check_number, check_path

__all__ = ["load_moments", "save_moments"]

Floats = NDArray[np.float64]
FILE_FORMAT = "lineardyn moments 1"
ARRAYS = ("sigma_yx", "rows", "target", "gain", "matrix")


def save_moments(moments: SecondMoments, path: str | os.PathLike[str]) -> None:
    """See :meth:`SecondMoments.save`."""
    target = check_path(path)
    stats, stored = moments.statistics, mapped_file(moments.statistics.rows)
    header = {
        "format": FILE_FORMAT,
        "form": moments.form,
        "image_shape": moments.image_shape,
        "n_samples": moments.n_samples,
        "target_power": moments.target_power,
        "image_power": moments.image_power,
        "stored": None if stored is None else [str(stored), stored.name, _fingerprint(stats.rows)],
    }
    arrays = {"sigma_yx": moments.sigma_yx} | {name: getattr(stats, name) for name in ARRAYS[1:]}
    if stored is not None:
        arrays["rows"] = np.empty((0, 0))
    partial = target.with_name(target.name + ".part")
    try:
        with partial.open("wb") as file:
            np.savez(file, header=json.dumps(header), **arrays)
        partial.replace(target)
    except BaseException as error:
        partial.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise DataFileError(f"path {str(target)!r} cannot be written ({error}): choose a folder that can") from None
        raise


def load_moments(path: str | os.PathLike[str]) -> SecondMoments:
    """See :meth:`SecondMoments.load`."""
    source = check_path(path)
    try:
        with source.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
            header = json.loads(str(file["header"]))
            arrays = {name: file[name] for name in ARRAYS}
        if header["format"] != FILE_FORMAT:
            raise KeyError("format")
        stored = header["stored"]
        rows = arrays["rows"] if stored is None else _stored_rows(source, *stored)
        return _from_file(header, arrays | {"rows": rows}, stored is not None)
    except FileNotFoundError:
        raise DataFileError(
            f"path {str(path)!r} does not exist, expected a file written by SecondMoments.save"
        ) from None
    except DataFileError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise DataFileError(
            f"path {str(path)!r} holds no saved moments ({error}), expected a file written by SecondMoments.save"
        ) from None


def _from_file(header: dict[str, Any], arrays: dict[str, Floats], is_stored: bool) -> SecondMoments:
    """The moments, unless the arrays do not fit one another: compiled code trusts their shapes."""
    form = check_choice("form", header["form"], FORMS[1:])
    image_shape = check_image_shape(header["image_shape"])
    n = check_count("n_samples", header["n_samples"])
    k, width = len(arrays["sigma_yx"]), 2 * image_shape[0] * half_spectrum(image_shape[1:]).size
    dense, n_rows = form == "dense", {"dense": 0, "samples": n}.get(form, len(arrays["gain"]))
    shapes: dict[str, tuple[int, ...]] = {
        "sigma_yx": (k, *image_shape),
        "rows": (0, 0) if dense else (n_rows, width),
        "target": (k, width if dense else n_rows),
        "gain": (n_rows,),
        "matrix": (width, width) if dense else (0, 0),
    }
    for name, shape in shapes.items():
        if name == "rows" and is_stored:  # may be more than memory: that they are the same rows was seen
            if arrays[name].shape != shape:
                raise ValueError(f"rows have shape {arrays[name].shape}, expected {shape}")
        else:
            arrays[name] = check_array(name, arrays[name], shape=shape, why="as the rest of this file has it")
    return SecondMoments(
        form=form,
        image_shape=image_shape,
        n_samples=n,
        target_power=check_number("target_power", header["target_power"], minimum=0.0),
        image_power=check_number("image_power", header["image_power"], minimum=0.0, strict=True),
        sigma_yx=arrays["sigma_yx"],
        statistics=Statistics(dense, *(arrays[name] for name in ARRAYS[1:])),
    )


def _stored_rows(moments: Path, path: str, name: str, fingerprint: int) -> Floats:
    """Rows beside the file of the moments, or where they were when that was saved."""
    for candidate in (moments.parent / name, Path(path)):
        try:
            rows = map_rows(candidate)
        except (OSError, ValueError, EOFError):
            continue
        if rows.dtype == np.float64 and rows.ndim == 2 and _fingerprint(rows) == fingerprint:
            return rows
    raise DataFileError(
        f"path {str(moments)!r} refers to rows stored in {path!r}, which are missing or were written over: put them "
        f"there or beside it, or make the moments again"
    )


def _fingerprint(rows: Floats) -> int:
    """Of a few rows spread over all: enough to notice another data set, without reading it."""
    chosen = rows[np.unique(np.linspace(0, len(rows) - 1, 32).astype(int))]
    return zlib.crc32(np.ascontiguousarray(chosen).tobytes(), len(rows))
