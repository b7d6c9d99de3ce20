"""Images and targets to learn from: synthetic ones whose modes are known, natural ones, standard files, your own."""

from __future__ import annotations

from lineardyn.data.folder import load_folder
from lineardyn.data.images import greyscale, load_npz, natural_patches, resize
from lineardyn.data.shapes import SHAPES, geometric_shapes
from lineardyn.data.standard import load_cifar10, load_digits, load_mnist
from lineardyn.data.synthetic import planted_modes, power_law_images, pure_cosines, sums_of_cosines

__all__ = [
    "SHAPES",
    "geometric_shapes",
    "greyscale",
    "load_cifar10",
    "load_digits",
    "load_folder",
    "load_mnist",
    "load_npz",
    "natural_patches",
    "planted_modes",
    "power_law_images",
    "pure_cosines",
    "resize",
    "sums_of_cosines",
]
