"""The data of the figures at each scale: generated ones where it is *tiny*, the real files elsewhere."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lineardyn import load_cifar10, natural_patches, sums_of_cosines
from lineardyn.data import resize
from proofs_check.report.datasets import Dataset, load_dataset
from proofs_check.report.options import ReportOptions
from proofs_check.report.sums import TERMS

__all__ = ["cifar4", "cosine_sums", "geometric", "labelled"]

Floats = NDArray[np.float64]

CIFAR4 = (0, 1, 2, 3)
"""Airplane, automobile, bird, cat."""


def geometric(scale: str) -> Dataset:
    """The geometric shapes of fig 2; the paper does not print them, these are ours."""
    return load_dataset("shapes", ReportOptions(size=12 if scale == "tiny" else 32))


def cifar4(scale: str) -> Dataset:
    """CIFAR-4 with the training mean subtracted, at 16² for *cpu*; rotated patches of a photograph for *tiny*."""
    if scale == "tiny":
        return load_dataset("patches", ReportOptions(size=8))
    return load_dataset(
        "cifar10", ReportOptions(data=("cifar10",), classes=CIFAR4, size=16 if scale == "cpu" else None)
    )


def cosine_sums(scale: str) -> Dataset:
    """Two classes of three cosines each, as in fig 4 with frequencies of ours."""
    size = 12 if scale == "tiny" else 32
    images, targets = sums_of_cosines((size, size), TERMS)
    text = f"Two classes, each a sum of three cosines, {size} × {size} pixels."
    return Dataset("sums", "Sums of cosines", text, images, targets, ("class 1", "class 2"), images)


def labelled(scale: str, *, size: int, n_train: int, n_test: int, seed: int) -> tuple[Floats, Floats, Floats, Floats]:
    """``(images, targets, test images, test targets)`` with mean 0 and standard deviation 1 in each channel [G app. C].

    CIFAR-10, the first images of each file, smaller where ``size`` is; rotated patches of a photograph for *tiny*.
    """
    if scale == "tiny":
        images, targets = natural_patches(size, n_train + n_test, rng=seed)
        parts = images[:n_train], targets[:n_train], images[n_train:], targets[n_train:]
    else:
        found = [load_cifar10(split=split) for split in ("train", "test")]
        (images, targets), (held, held_targets) = (
            (resize(x[:n], size), y[:n]) for (x, y), n in zip(found, (n_train, n_test), strict=True)
        )
        parts = images, targets, held, held_targets
    mean, deviation = parts[0].mean(axis=(0, 2, 3), keepdims=True), parts[0].std(axis=(0, 2, 3), keepdims=True)
    return (parts[0] - mean) / deviation, parts[1], (parts[2] - mean) / deviation, parts[3]
