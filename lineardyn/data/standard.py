"""The standard files: CIFAR-10 (python batches), MNIST (idx-ubyte), and the digits that scikit-learn brings."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lineardyn.data.idx import read_idx
from lineardyn.data.pickles import read_pickled_arrays
from lineardyn.errors import ArgumentError, DataFileError
from lineardyn.validation import check_choice, shown

__all__ = ["load_cifar10", "load_digits", "load_mnist"]

Floats = NDArray[np.float64]
Bytes = NDArray[np.uint8]

_CIFAR10 = {"train": [f"data_batch_{i}" for i in range(1, 6)], "test": ["test_batch"]}
_MNIST = {
    "train": ["train-images-idx3-ubyte", "train-labels-idx1-ubyte"],
    "test": ["t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"],
}
_NAMESAKES = ("fashion", "kmnist", "kuzushiji", "qmnist")  # other data sets whose files have MNIST's names


def load_cifar10(
    root: str | os.PathLike[str] | None = None, *, classes: Sequence[int] | None = None, split: str = "train"
) -> tuple[Floats, Floats]:
    r"""CIFAR-10 from the standard python batches (Krizhevsky 2009), the data of Pinson et al. fig 5.

    Parameters
    ----------
    root : path, optional
        The folder of the files (``cifar-10-batches-py``) or one of its two parents; by default what the environment
        variable LINEARDYN_DATA names.
    classes : integers 0..9, optional
        Which classes, at least two; column k of the targets is ``classes[k]``. Default: all ten.
    split : {"train", "test"}

    Returns
    -------
    images : float64 (N, 3, 32, 32)
        In [0, 1] (bytes / 255), not centred, in the order of the files: 5000 (train) or 1000 (test) a class.
    targets : float64 (N, K)
        One-hot rows.

    Raises
    ------
    DataFileError
        If a file is missing, truncated, or a pickle of anything but arrays and bytes (nothing else is ever executed).
    ArgumentError
        For classes out of range or twice, or an unknown split.

    Examples
    --------
    ``load_cifar10("data", classes=(0, 1, 2, 3))`` gives images of shape (20000, 3, 32, 32).

    >>> load_cifar10("no-such-folder")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    lineardyn.errors.DataFileError: root is no-such-folder, which does not exist, ...
    """
    names = _CIFAR10[check_choice("split", split, ("train", "test"))]
    wanted = _check_classes(classes, 10)
    folder = find_folder(root, "CIFAR-10", [name for known in _CIFAR10.values() for name in known])
    parts = [_cifar10_batch(_require(folder, name, "CIFAR-10"), wanted) for name in names]
    return _join([data for data, _ in parts], [labels for _, labels in parts], wanted, folder)


def load_mnist(
    root: str | os.PathLike[str] | None = None, *, classes: Sequence[int] | None = None, split: str = "train"
) -> tuple[Floats, Floats]:
    r"""MNIST from the standard idx-ubyte files, gzipped or not (LeCun, Cortes, Burges).

    Parameters
    ----------
    root : path, optional
        The folder of the files or one of its two parents; by default what the environment variable LINEARDYN_DATA
        names.
    classes : integers 0..9, optional
        Which digits, at least two; column k of the targets is ``classes[k]``. Default: all ten.
    split : {"train", "test"}

    Returns
    -------
    images : float64 (N, 1, 28, 28)
        In [0, 1] (bytes / 255), not centred, in the order of the file.
    targets : float64 (N, K)
        One-hot rows.

    Raises
    ------
    DataFileError
        If a file is missing, truncated or of another format.
    ArgumentError
        For classes out of range or twice, or an unknown split.

    Examples
    --------
    ``load_mnist("data", classes=(3, 8), split="test")`` gives images of shape (1984, 1, 28, 28).

    >>> load_mnist("no-such-folder")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    lineardyn.errors.DataFileError: root is no-such-folder, which does not exist, ...
    """
    names = _MNIST[check_choice("split", split, ("train", "test"))]
    wanted = _check_classes(classes, 10)
    folder = find_folder(root, "MNIST", [name for known in _MNIST.values() for name in known])
    image_path, label_path = (_require(folder, name, "MNIST") for name in names)
    images, labels = read_idx(image_path, 3), read_idx(label_path, 1)
    if len(images) != len(labels):
        raise DataFileError(
            f"{image_path} holds {len(images)} images and {label_path.name} {len(labels)} labels, "
            f"expected as many: the files do not belong together; download both again"
        )
    data, chosen = _choose(images[:, None], labels.astype(np.int64), wanted, label_path)
    return _join([data], [chosen], wanted, folder)


def load_digits(*, classes: Sequence[int] | None = None) -> tuple[Floats, Floats]:
    r"""The 1797 handwritten digits of 8×8 pixels that scikit-learn brings; the extra ``sklearn`` installs it.

    Parameters
    ----------
    classes : integers 0..9, optional
        Which digits, at least two; column k of the targets is ``classes[k]``. Default: all ten.

    Returns
    -------
    images : float64 (N, 1, 8, 8)
        In [0, 1] (grey levels / 16), not centred.
    targets : float64 (N, K)
        One-hot rows.

    Raises
    ------
    DataFileError
        If scikit-learn is not installed.

    Examples
    --------
    ``load_digits(classes=(0, 1))`` gives images of shape (360, 1, 8, 8).

    >>> load_digits(classes=(0, 10))
    Traceback (most recent call last):
    lineardyn.errors.ArgumentError: classes holds 10, expected integers from 0 to 9
    """
    wanted = _check_classes(classes, 10)
    try:
        from sklearn.datasets import load_digits as bundled
    except ImportError:
        raise DataFileError(
            "the digits come with scikit-learn, which is not installed: "
            "pip install 'lineardyn[sklearn]', or choose other data (natural_patches and geometric_shapes need nothing)"
        ) from None
    digits: Any = bundled()
    chosen = np.isin(digits.target, wanted)
    images = np.ascontiguousarray(digits.images[chosen, None], dtype=np.float64) / 16.0
    return images, one_hot(digits.target[chosen], wanted)


def one_hot(labels: NDArray[np.int64], classes: Sequence[int]) -> Floats:
    """Rows ``(N, K)``, the columns in the order of ``classes``; every label must be one of them."""
    return np.asarray(labels[:, None] == np.asarray(classes), dtype=np.float64)


def find_folder(root: str | os.PathLike[str] | None, title: str, names: Sequence[str]) -> Path:
    """The folder that holds any of ``names`` (or ``name.gz``): ``root``, a folder in it, or one in those."""
    start = _root(root, title)
    for level in _levels(start):
        found = [folder for folder in level if any(_locate(folder, name) for name in names)]
        if len(found) > 1:
            listed = ", ".join(str(folder) for folder in found)
            raise DataFileError(
                f"{title} is in {len(found)} folders below {start} ({listed}): name one of them as root"
            )
        if found:
            return found[0]
    raise DataFileError(
        f"{title} is not in {start}: looked for {names[0]} there and two folders down; set root (or the environment "
        f"variable LINEARDYN_DATA) to the folder that holds {names[0]}, or to one of its two parents"
    )


def _root(root: str | os.PathLike[str] | None, title: str) -> Path:
    if root is not None and not isinstance(root, str | os.PathLike):
        raise ArgumentError(f"root is {shown(root)}, expected the path of a folder")
    named = os.environ.get("LINEARDYN_DATA", "") if root is None else os.fspath(root)
    if not named:
        raise DataFileError(
            f"root is not given and the environment variable LINEARDYN_DATA is not set: "
            f"set either to the folder of the {title} files, or to one of its two parents"
        )
    start = Path(named).expanduser()
    source = "LINEARDYN_DATA" if root is None else "root"
    if not start.is_dir():
        state = "is a file" if start.exists() else "does not exist"
        raise DataFileError(
            f"{source} is {start}, which {state}, expected the folder of the {title} files or one of its two parents"
        )
    return start


def _levels(start: Path) -> Iterable[list[Path]]:
    level = [start]
    for _ in range(3):
        yield level
        level = [child for folder in level for child in _folders(folder)]


def _folders(folder: Path) -> list[Path]:
    try:
        inside = sorted(child for child in folder.iterdir() if child.is_dir())
    except OSError:  # a folder that may not be listed holds no data for this user
        return []
    return [child for child in inside if not any(other in child.name.lower() for other in _NAMESAKES)]


def _locate(folder: Path, name: str) -> Path | None:
    for path in (folder / name, folder / f"{name}.gz"):
        try:
            if path.is_file():
                return path
        except OSError:
            return None
    return None


def _require(folder: Path, name: str, title: str) -> Path:
    path = _locate(folder, name)
    if path is None:
        raise DataFileError(
            f"{folder / name} is missing, though other {title} files are in that folder: put it there, "
            f"or set root (or LINEARDYN_DATA) to a folder that has them all"
        )
    return path


def _check_classes(classes: Sequence[int] | None, n_classes: int) -> list[int]:
    if classes is None:
        return list(range(n_classes))
    wanted: list[int] = []
    for value in _listed(classes):
        if isinstance(value, bool) or not isinstance(value, int | np.integer):
            raise ArgumentError(f"classes holds {value!r}, expected integers from 0 to {n_classes - 1}")
        if not 0 <= value < n_classes:
            raise ArgumentError(f"classes holds {value}, expected integers from 0 to {n_classes - 1}")
        if value in wanted:
            raise ArgumentError(f"classes holds {value} twice, expected different classes: name each once")
        wanted.append(int(value))
    if len(wanted) < 2:
        raise ArgumentError(f"classes is {wanted}, expected at least two classes: there is nothing to tell apart")
    return wanted


def _listed(classes: Sequence[int]) -> list[Any]:
    if isinstance(classes, str | bytes):
        raise ArgumentError(f"classes is {classes!r}, expected a list of integers such as (0, 1, 2, 3)")
    try:
        return list(classes)
    except TypeError:
        raise ArgumentError(f"classes is {classes!r}, expected a list of integers such as (0, 1, 2, 3)") from None


def _cifar10_batch(path: Path, wanted: Sequence[int]) -> tuple[Bytes, NDArray[np.int64]]:
    content = read_pickled_arrays(path)
    fields = content if isinstance(content, dict) else {}
    data = fields.get(b"data", fields.get("data"))
    labels = fields.get(b"labels", fields.get("labels"))
    if not isinstance(data, np.ndarray) or not isinstance(labels, list | np.ndarray):
        raise DataFileError(f"{path} holds no 'data' and 'labels', expected a CIFAR-10 batch: download it again")
    if data.dtype != np.uint8 or data.ndim != 2 or data.shape[1] != 3072:
        raise DataFileError(
            f"{path} holds data of shape {data.shape} and dtype {data.dtype}, expected (N, 3072) of uint8: "
            f"it is no CIFAR-10 batch; download it again"
        )
    if len(labels) != len(data) or not all(isinstance(label, int | np.integer) for label in labels):
        raise DataFileError(f"{path} holds {len(labels)} labels for {len(data)} images, expected one integer for each")
    return _choose(data.reshape(-1, 3, 32, 32), np.asarray(labels, dtype=np.int64), wanted, path)


def _choose(
    data: Bytes, labels: NDArray[np.int64], wanted: Sequence[int], path: Path
) -> tuple[Bytes, NDArray[np.int64]]:
    """The images of the wanted classes, still as bytes: eight times smaller than what is returned in the end."""
    if len(labels) and not 0 <= labels.min() <= labels.max() <= 9:
        raise DataFileError(
            f"{path} holds the labels {labels.min()} to {labels.max()}, expected 0 to 9: it is another file"
        )
    chosen = np.isin(labels, wanted)
    return data[chosen], labels[chosen]


def _join(
    parts: Sequence[Bytes], labels: Sequence[NDArray[np.int64]], wanted: Sequence[int], folder: Path
) -> tuple[Floats, Floats]:
    joined = np.concatenate(labels)
    for k in wanted:
        if not (joined == k).any():
            raise DataFileError(f"the files in {folder} hold no image of class {k}: choose other classes")
    images = np.empty((len(joined), *parts[0].shape[1:]))
    start = 0
    for part in parts:
        np.divide(part, 255.0, out=images[start : start + len(part)])
        start += len(part)
    return images, one_hot(joined, wanted)
