"""Checks of predictors ``(H, W, K, C)`` that come in from outside."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lineardyn.errors import ArgumentError
from lineardyn.fourier import half_spectrum
from lineardyn.validation import check_finite

__all__ = ["ROUND_OFF", "check_predictor", "check_symmetric"]

Complexes = NDArray[np.complex128]
ROUND_OFF = 64 * float(np.finfo(float).eps)
"""Singular values up to this part of the largest *at the same frequency* are no rank: a power 2/L would make them count
(L = 8: (1e-16)^{1/4} = 1e-4)."""
ASYMMETRY = 1e-10
"""Largest part of a predictor that breaks ``v̂_{f*} = conj(v̂_f)``, relative to its norm."""


def check_predictor(name: str, value: ArrayLike) -> Complexes:
    """Return ``value`` as a finite complex array ``(H, W, K, C)``."""
    try:
        array = np.asarray(value)
    except ValueError:
        raise ArgumentError(f"{name} is no array, expected numbers (H, W, K, C)") from None
    if array.ndim != 4 or array.dtype.kind not in "biufc" or not array.size:
        raise ArgumentError(
            f"{name} has shape {array.shape} and dtype {array.dtype}, expected numbers (H, W, K, C): a predictor, such "
            f"as that of ridge(moments, 0)"
        )
    check_finite(name, array)
    return array.astype(np.complex128)


def check_symmetric(name: str, predictor: Complexes) -> None:
    """Refuse a predictor that is not that of a real function."""
    spectra = predictor.transpose(2, 3, 0, 1)
    half = half_spectrum(predictor.shape[:2])
    off = float(np.linalg.norm(spectra - half.unpack(half.pack(spectra))))
    if off > ASYMMETRY * float(np.linalg.norm(predictor)):
        raise ArgumentError(
            f"{name} breaks the conjugate symmetry v̂[f*] = conj(v̂[f]) by {off:.3g}, expected that of a real "
            f"function: transform a real predictor w with conj(fft2(w, norm='ortho'))"
        )
