"""Random draws that the starts of both kinds of network share."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from lineardyn.errors import ArgumentError
from lineardyn.validation import Rng, as_generator, check_choice, check_count

__all__ = ["DISTRIBUTIONS", "check_rank", "independent", "isometries"]

Floats = NDArray[np.float64]
Complexes = NDArray[np.complex128]
DISTRIBUTIONS = ("normal", "uniform")


def independent(
    shapes: Sequence[tuple[int, ...]], variances: Sequence[float], distribution: str, rng: Rng
) -> list[Floats]:
    """Weights of mean 0 and the given variances: ``N(0, σ²)``, or uniform in ``±√3 σ``."""
    uniform = check_choice("distribution", distribution, DISTRIBUTIONS) == "uniform"
    generator = as_generator(rng)
    draw = (lambda shape: generator.uniform(-(3**0.5), 3**0.5, shape)) if uniform else generator.standard_normal
    return [variance**0.5 * draw(shape) for shape, variance in zip(shapes, variances, strict=True)]


def isometries(size: int, rank: int, real: NDArray[np.bool_], generator: np.random.Generator) -> Complexes:
    """Uniform (Haar) matrices ``(len(real), size, rank)`` with orthonormal columns, real where ``real`` says so."""
    draws = generator.standard_normal((2, len(real), size, rank))
    q, r = np.linalg.qr(draws[0] + 1j * np.where(real[:, None, None], 0.0, draws[1]))
    diagonal = np.diagonal(r, axis1=-2, axis2=-1)
    uniform: Complexes = q * (diagonal / np.abs(diagonal))[:, None]  # the signs that LAPACK chose are not uniform
    return uniform


def check_rank(rank: int, sizes: Sequence[int]) -> int:
    """Return ``rank`` if every layer between these sizes can have it."""
    wanted, largest = check_count("rank", rank), min(sizes)
    if wanted > largest:
        raise ArgumentError(
            f"rank is {wanted}, expected at most {largest}: the smallest of the inputs, hidden widths and outputs "
            f"{tuple(sizes)}; lower it or widen the network"
        )
    return wanted
