"""The data of the report: each name to images, targets, names of the classes, and a test split where there is one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import lineardyn
import lineardyn.data
from lineardyn.errors import ArgumentError
from proofs_check.report.options import ReportOptions

__all__ = ["AMPLITUDES", "FREQUENCIES", "Dataset", "load_dataset"]

Floats = NDArray[np.float64]

FREQUENCIES = ((0, 0), (5, 2), (1, 7), (0, 4))
AMPLITUDES = (1.5, 1.0, 0.5, 0.2)
"""Frequencies and amplitudes of the pure cosines of Pinson et al. fig 3."""

CIFAR10 = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
_N_PATCHES = 4000
_TEST_SHARE = 5  # every fifth image is held out where the data have no test split of their own


@dataclass(frozen=True)
class Dataset:
    """Images ``(N, C, H, W)``, targets ``(N, K)``; ``test`` is None or the same pair, centred by the training mean."""

    name: str
    title: str
    description: str
    images: Floats
    targets: Floats
    class_names: Sequence[str]
    examples: Floats
    centred: bool = False
    test: tuple[Floats, Floats] | None = None
    notes: list[str] = field(default_factory=list)


def load_dataset(name: str, options: ReportOptions) -> Dataset:
    """Make or read the data called ``name``."""
    makers = {
        "shapes": _shapes,
        "patches": _patches,
        "cosines": _cosines,
        "digits": _digits,
        "cifar10": _cifar10,
        "mnist": _mnist,
    }
    return makers[name](options) if name in makers else _from_file(Path(name), options)


def _shapes(options: ReportOptions) -> Dataset:
    size = max(options.pixels, 12)
    images, targets = lineardyn.geometric_shapes(size)
    notes = (
        [f"The shapes are drawn on {size} × {size} pixels, the fewest that show their outlines."]
        if size != options.pixels
        else []
    )
    text = (
        f"{len(images)} geometric shapes, one image a class, {size} × {size} pixels; the mean is kept. The paper does "
        f"not print its images: these are ours."
    )
    return Dataset("shapes", "Geometric shapes", text, images, targets, lineardyn.data.SHAPES, images, notes=notes)


def _patches(options: ReportOptions) -> Dataset:
    images, targets = lineardyn.natural_patches(options.pixels, _N_PATCHES, rng=options.seed)
    text = (
        f"{_N_PATCHES} patches of {options.pixels} × {options.pixels} pixels of the photo shipped with matplotlib; "
        f"the task is to tell in which of the four rotations a patch is shown. Per-pixel training mean subtracted. All "
        f"are cut from one picture, so that training and held-out patches overlap."
    )
    return _split(
        Dataset("patches", "Natural-image patches", text, images, targets, ("0°", "90°", "180°", "270°"), images),
        options,
    )


def _cosines(options: ReportOptions) -> Dataset:
    images, targets = lineardyn.pure_cosines((options.pixels, options.pixels), FREQUENCIES, AMPLITUDES)
    names = [f"({u}, {v})" for u, v in FREQUENCIES]
    text = "Four classes, one cosine each: the data of the paper's fig 3, here from small random starts."
    return Dataset("cosines", "Pure cosines", text, images, targets, names, images)


def _digits(options: ReportOptions) -> Dataset:
    classes = options.classes or tuple(range(10))
    images, targets = lineardyn.load_digits(classes=classes)
    names = tuple(str(c) for c in classes)
    text = f"scikit-learn's handwritten digits {', '.join(names)}: {len(images)} images, training mean subtracted."
    images = _resized(images, options)
    return _split(Dataset("digits", "Handwritten digits", text, images, targets, names, images), options)


def _cifar10(options: ReportOptions) -> Dataset:
    classes = options.classes or tuple(range(10))
    train = lineardyn.load_cifar10(options.root, classes=classes, split="train")
    test = lineardyn.load_cifar10(options.root, classes=classes, split="test")
    names = tuple(CIFAR10[c] for c in classes)
    return _with_test("cifar10", f"CIFAR-{len(classes)}", f"CIFAR-10, {', '.join(names)}", train, test, names, options)


def _mnist(options: ReportOptions) -> Dataset:
    classes = options.classes or tuple(range(10))
    train = lineardyn.load_mnist(options.root, classes=classes, split="train")
    test = lineardyn.load_mnist(options.root, classes=classes, split="test")
    names = tuple(str(c) for c in classes)
    return _with_test("mnist", "MNIST", f"MNIST, digits {', '.join(names)}", train, test, names, options)


def _from_file(path: Path, options: ReportOptions) -> Dataset:
    images, targets = lineardyn.load_npz(path)
    with np.load(path, allow_pickle=False) as archive:
        labels = archive["labels"]
    names: Sequence[str] = [f"output {k}" for k in range(targets.shape[1])]
    if labels.ndim == 1 and targets.shape[1] > 1:
        names = [str(value) for value in np.unique(labels)]
    if options.classes is not None:
        images, targets, names = _chosen(images, targets, names, options.classes, path.name)
    images = _resized(images, options)
    text = f"The images of {path.name}: {len(images)}, {targets.shape[1]} classes"
    data = Dataset("file", path.name, text + ".", images, targets, names, images)
    if len(images) <= targets.shape[1]:
        _check_varied(data)
        return replace(data, class_names=list(names)[: len(images)])
    return _split(replace(data, description=text + "; per-pixel training mean subtracted."), options)


def _chosen(
    images: Floats, targets: Floats, names: Sequence[str], classes: Sequence[int], file: str
) -> tuple[Floats, Floats, Sequence[str]]:
    """The images whose label is one of ``classes``, columns in that order."""
    wanted = [str(c) for c in classes]
    unknown = [c for c in wanted if c not in names]
    if unknown:
        raise ArgumentError(f"--classes names {unknown[0]}, expected labels of {file}: {', '.join(list(names)[:20])}")
    columns = [list(names).index(c) for c in wanted]
    kept = targets[:, columns].sum(axis=1) > 0
    return images[kept], targets[kept][:, columns], wanted


def _resized(images: Floats, options: ReportOptions) -> Floats:
    """As they are where --size is not given."""
    height, width = images.shape[2:]
    if options.size is None or (height, width) == (options.size, options.size):
        return images
    if options.size > min(height, width):
        raise ArgumentError(
            f"--size is {options.size}, expected at most {min(height, width)}, the size of these images ({height}, "
            f"{width}): averaging makes images smaller only"
        )
    return lineardyn.data.resize(images, options.size)


def _examples(images: Floats, targets: Floats) -> Floats:
    """The first image of each class, copied."""
    first: Floats = images[targets.argmax(axis=0)].copy()
    return first


def _split(data: Dataset, options: ReportOptions) -> Dataset:
    """Hold out every fifth image of a random order; classes stay as they are."""
    if len(data.images) < 20 * data.targets.shape[1]:
        return _centred(replace(data, examples=_examples(data.images, data.targets)))
    order = np.random.default_rng(options.seed).permutation(len(data.images))
    held, kept = order[::_TEST_SHARE], np.delete(order, slice(None, None, _TEST_SHARE))
    text = data.description + f" {len(held)} images are held out for the test loss."
    examples = _examples(data.images, data.targets)
    split = replace(data, description=text, examples=examples, images=data.images[kept], targets=data.targets[kept])
    return _centred(replace(split, test=(data.images[held], data.targets[held])))


def _with_test(
    name: str,
    title: str,
    text: str,
    train: tuple[Floats, Floats],
    test: tuple[Floats, Floats],
    names: Sequence[str],
    options: ReportOptions,
) -> Dataset:
    images, held = _resized(train[0], options), _resized(test[0], options)
    text += f": {len(images)} training and {len(held)} test images, per-pixel training mean subtracted."
    data = Dataset(name, title, text, images, train[1], names, _examples(images, train[1]), test=(held, test[1]))
    return _centred(data)


def _check_varied(data: Dataset) -> None:
    if np.ptp(data.images, axis=0).max() <= 1e-14 * np.abs(data.images).max():
        raise ArgumentError(
            f"--data {data.title}: all images are equal (constant), expected images that differ: nothing is left when "
            "their mean is subtracted"
        )


def _centred(data: Dataset) -> Dataset:
    """Subtract the per-pixel training mean, in place: 20,000 colour images are half a gigabyte."""
    _check_varied(data)
    mean = data.images.mean(axis=0)
    data.images.__isub__(mean)
    if data.test is not None:
        data.test[0].__isub__(mean)
    return replace(data, centred=True)
