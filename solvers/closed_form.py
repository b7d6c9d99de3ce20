r"""Ridge regression, the one-layer case of what weight decay does to a linear CNN, in closed form.

With L = 1 the network is ``f(x) = w · x`` and weight decay is the ridge penalty

    ``min_v̂  (1/N) Σ ‖y - Σ_f v̂_f x̂_f‖² + λ Σ_f ‖v̂_f‖²``                     [Godfrey et al. eq 4.15 with L = 1]

whose minimiser is linear in the data. Predictors are complex ``(H, W, K, C)``, ``f(x) = Σ v̂[u, v, :, c] x̂[c, u, v]``.
"""

from __future__ import annotations

import numpy as np
import scipy.linalg
from numpy.typing import ArrayLike, NDArray

from lineardyn.errors import ArgumentError
from lineardyn.fourier import fft2
from lineardyn.moments import SecondMoments
from lineardyn.validation import check_number

__all__ = ["ridge", "ridge_diagonal", "ridge_power_law"]

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
    _check_moments(moments)
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


def ridge_diagonal(moments: SecondMoments, lam: float) -> Complexes:
    r"""The same when Σ^xx is diagonal in frequency and channel: ``v = v_LS τ/(λ + τ)`` [Godfrey et al. eq 4.18].

    ``τ_cf = ⟨|x̂_cf|²⟩``, ``v_LS = Σ^{yx̂}_cf / τ_cf``; 0 where ``τ_cf = 0``. For other statistics it is the
    diagonal approximation. It equals :func:`ridge` exactly when no two Fourier coefficients correlate.

    Parameters
    ----------
    moments
        Statistics of the data; of Σ^xx the power spectrum alone is read.
    lam
        λ ≥ 0.

    Returns
    -------
    Complex predictor ``(H, W, K, C)``.

    Raises
    ------
    ArgumentError
        ``lam`` negative or not finite; ``moments`` of another type.

    Examples
    --------
    >>> from lineardyn.moments import SecondMoments
    >>> moments = SecondMoments.from_data([[[[2.0, 0.0]]], [[[0.0, 2.0]]]], [[1.0], [3.0]])  # Σ^xx = 2·1
    >>> abs(ridge_diagonal(moments, lam=2.0) - ridge(moments, lam=2.0)).max() < 1e-15
    np.True_
    """
    _check_moments(moments)
    penalty = check_number("lam", lam, minimum=0.0)
    tau = moments.power_spectrum()
    live = tau > tau.max() * tau.size * np.finfo(float).eps
    cross = fft2(moments.sigma_yx).conj()  # Σ^{yx̂} (K, C, H, W) = v_LS τ
    predictor = np.where(live, cross / np.where(live, tau + penalty, 1.0), 0.0)
    return np.ascontiguousarray(predictor.transpose(2, 3, 0, 1))


def ridge_power_law(
    least_squares: ArrayLike, lam: float, *, gamma: float, alpha: float, beta: float | None = None
) -> Complexes:
    r"""Ridge under a power-law spectrum ``τ = γ/(|u|^α + |v|^β)``: ``v = v_LS / (1 + (λ/γ)(|u|^α + |v|^β))``.

    High frequencies shrink most; DC, where τ = ∞, not at all [Godfrey et al. eq 4.20].

    Parameters
    ----------
    least_squares
        ``v_LS`` ``(H, W, K, C)``, complex or real.
    lam
        λ ≥ 0.
    gamma
        γ > 0, the power at ``|u|^α + |v|^β = 1``.
    alpha, beta
        Exponents > 0 of the row and column frequencies (cycles per image, on the torus); ``beta=None`` is alpha.

    Returns
    -------
    Complex predictor ``(H, W, K, C)``.

    Raises
    ------
    ArgumentError
        A number out of its range; ``least_squares`` of another rank or not finite.

    Examples
    --------
    >>> import numpy as np
    >>> ridge_power_law(np.ones((1, 4, 1, 1)), 1.0, gamma=1.0, alpha=2.0).real.ravel()
    array([1. , 0.5, 0.2, 0.5])
    """
    try:
        start = np.asarray(least_squares)
    except ValueError:
        raise ArgumentError("least_squares is no array, expected numbers (H, W, K, C)") from None
    if start.ndim != 4 or start.dtype.kind not in "biufc" or not start.size:
        raise ArgumentError(
            f"least_squares has shape {start.shape} and dtype {start.dtype}, expected numbers (H, W, K, C): "
            f"the predictor of ridge(moments, 0)"
        )
    if not np.isfinite(start).all():
        raise ArgumentError("least_squares holds NaN or infinity, expected finite numbers: remove or replace them")
    penalty = check_number("lam", lam, minimum=0.0)
    power = check_number("gamma", gamma, minimum=0.0, strict=True)
    exponents = [check_number("alpha", alpha, minimum=0.0, strict=True)]
    exponents.append(exponents[0] if beta is None else check_number("beta", beta, minimum=0.0, strict=True))
    u, v = (np.abs(np.fft.fftfreq(n) * n) for n in start.shape[:2])
    inverse_tau = (u[:, None] ** exponents[0] + v ** exponents[1]) / power
    shrunk: Complexes = start / (1.0 + penalty * inverse_tau)[:, :, None, None] + 0j
    return shrunk


def _check_moments(moments: SecondMoments) -> None:
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
