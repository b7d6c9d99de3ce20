r"""Ridge regression, the one-layer case of what weight decay does to a linear CNN, in closed form.

With L = 1 the network is ``f(x) = w · x`` and weight decay is the ridge penalty

    ``min_v̂  (1/N) Σ ‖y - Σ_f v̂_f x̂_f‖² + λ Σ_f ‖v̂_f‖²``                     [Godfrey et al. eq 4.15 with L = 1]

whose minimiser is linear in the data. Predictors are complex ``(H, W, K, C)``, ``f(x) = Σ v̂[u, v, :, c] x̂[c, u, v]``.
"""

from __future__ import annotations

import numpy as np
import scipy.linalg
from numpy.typing import NDArray

from lineardyn.errors import ArgumentError
from lineardyn.moments import SecondMoments
from lineardyn.validation import check_number

__all__ = ["check_moments", "ridge"]

Floats = NDArray[np.float64]
Complexes = NDArray[np.complex128]


def ridge(moments: SecondMoments, lam: float) -> Complexes:
    r"""Minimiser of ``(1/N) Σ ‖y - f(x)‖² + λ ‖w‖²`` over one linear layer: ``w = Σ^yx (Σ^xx + λ)^{-1}``.

    Parameters
    ----------
    moments
        Statistics of the data in any form. *dense* solves with the ``(C·P)²`` matrix; *modes* and *samples* with the
        smaller of that and the dual (kernel) matrix of the modes or the N samples.
    lam
        λ ≥ 0, in the units of Σ^xx. At λ = 0 (and below the cutoff) the least-squares solution of minimal norm:
        eigenvalues of Σ^xx under ``cutoff = size · 2.2e-16`` of the largest, size that of the matrix solved with,
        count as zero.

    Returns
    -------
    Complex predictor ``(H, W, K, C)``.

    Raises
    ------
    ArgumentError
        ``lam`` negative or not finite; ``moments`` of another type.

    Notes
    -----
    Godfrey et al. eq 4.15 at L = 1; the objective is twice the flow's loss, with the same λ.

    Examples
    --------
    >>> import numpy as np
    >>> from lineardyn.moments import SecondMoments
    >>> moments = SecondMoments.from_data([[[[3.0, 0.0]]]], [[1.0]])  # one image of 2 pixels
    >>> predictor = ridge(moments, lam=1.0)  # w = 3/(9 + 1) on the first pixel
    >>> np.fft.ifft2(predictor[:, :, 0, 0].conj(), norm="ortho").real.round(6)
    array([[0.3, 0. ]])
    """
    check_moments(moments)
    penalty = check_number("lam", lam, minimum=0.0)
    # times √weights the packed coordinates are an orthonormal basis of the images, so that the penalty stays λ‖w‖²
    root = np.sqrt(moments.weights)
    stats = moments.statistics
    if stats.dense:
        weights = _solve(root[:, None] * stats.matrix * root, stats.target * root, penalty)
    else:
        rows = np.sqrt(stats.gain)[:, None] * stats.rows * root
        targets = stats.target / np.sqrt(stats.gain)
        if len(rows) < rows.shape[1]:
            weights = _solve(rows @ rows.T, targets, penalty) @ rows
        else:
            weights = _solve(rows.T @ rows, targets @ rows, penalty)
    return _unpack(moments, weights / root)


def check_moments(moments: SecondMoments) -> None:
    """Refuse what is no :class:`lineardyn.SecondMoments`."""
    if not isinstance(moments, SecondMoments):
        raise ArgumentError(
            f"moments is a {type(moments).__name__}, expected SecondMoments: make them with "
            f"SecondMoments.from_data(images, targets)"
        )


def _solve(gram: Floats, targets: Floats, lam: float) -> Floats:
    """``targets (gram + λ)^{-1}`` for a positive semidefinite ``gram``; pseudo-inverse where λ is under the cutoff."""
    size = len(gram)
    cutoff = size * float(np.finfo(float).eps)
    if lam > cutoff * float(np.trace(gram)):
        factor = scipy.linalg.cho_factor(gram + lam * np.eye(size))
        solution: Floats = scipy.linalg.cho_solve(factor, targets.T).T
        return solution
    values, vectors = scipy.linalg.eigh(gram)
    live = values > cutoff * values[-1]
    basis = vectors[:, live]
    projected: Floats = ((targets @ basis) / (values[live] + lam)) @ basis.T
    return projected


def _unpack(moments: SecondMoments, packed: Floats) -> Complexes:
    """Packed predictors ``(K, D)`` to ``(H, W, K, C)``."""
    channels = moments.image_shape[0]
    spectra = moments.half.unpack(packed.reshape(len(packed), channels, 2, -1))
    return np.ascontiguousarray(spectra.transpose(2, 3, 0, 1))
