"""Minimisers under a power-law spectrum, the model of natural images: how much each frequency shrinks."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lineardyn.validation import check_count, check_number
from solvers.closed_form.diagonal import shrink_singular_values
from solvers.penalties import penalty_weight
from solvers.predictors import check_predictor

__all__ = ["power_law", "ridge_power_law"]

Floats = NDArray[np.float64]
Complexes = NDArray[np.complex128]


def power_law(
    least_squares: ArrayLike,
    lam: float,
    *,
    depth: int,
    gamma: float,
    alpha: float,
    beta: float | None = None,
    rank: int | None = None,
) -> Complexes:
    r"""Minimiser at any depth under a power-law spectrum ``τ = γ/(|u|^α + |v|^β)``, the same in all channels.

    Each singular value s_LS of v̂_LS,f shrinks as in :func:`solvers.diagonal`:

    - L = 1: ``s_LS / (1 + (λ/γ)(|u|^α + |v|^β))`` [Godfrey et al. eq 4.20];
    - L = 2: ``max(0, s_LS - (λ/(γ√P))(|u|^α + |v|^β))`` [eq A.9, corrected: printed without √P];
    - L >= 3: the jump and the root of theory section 3, with that τ.

    High frequencies shrink most, and from depth 2 on vanish; DC, where τ = ∞, stays.

    Parameters
    ----------
    least_squares
        ``v_LS`` ``(H, W, K, C)``, complex or real.
    lam
        λ >= 0.
    depth
        L >= 1.
    gamma
        γ > 0, the power at ``|u|^α + |v|^β = 1``.
    alpha, beta
        Exponents > 0 of the row and column frequencies (cycles per image, on the torus); ``beta=None`` is alpha.
    rank
        At most this many singular values are kept at each frequency, the largest; None: all.

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
    >>> power_law(np.ones((1, 4, 1, 1)), 1.0, depth=2, gamma=1.0, alpha=2.0).real.ravel()  # √P = 2
    array([1. , 0.5, 0. , 0.5])
    """
    start = check_predictor("least_squares", least_squares)
    inverse_tau = _inverse_power(start.shape, gamma, alpha, beta)
    depth = check_count("depth", depth)
    mu = penalty_weight(lam, depth=depth, n_pixels=inverse_tau.size)
    kept = 0 if rank is None else check_count("rank", rank)
    blocks = start.reshape(-1, *start.shape[2:])
    shrunk = shrink_singular_values(blocks, 0.5 * mu * inverse_tau.ravel(), depth, kept)
    return shrunk.reshape(start.shape)


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
    start = check_predictor("least_squares", least_squares)
    penalty = check_number("lam", lam, minimum=0.0)
    inverse_tau = _inverse_power(start.shape, gamma, alpha, beta)
    return np.asarray(start / (1.0 + penalty * inverse_tau)[:, :, None, None])


def _inverse_power(shape: tuple[int, ...], gamma: float, alpha: float, beta: float | None) -> Floats:
    """``1/τ = (|u|^α + |v|^β)/γ`` ``(H, W)``."""
    power = check_number("gamma", gamma, minimum=0.0, strict=True)
    exponents = [check_number("alpha", alpha, minimum=0.0, strict=True)]
    exponents.append(exponents[0] if beta is None else check_number("beta", beta, minimum=0.0, strict=True))
    u, v = (np.abs(np.fft.fftfreq(n) * n) for n in shape[:2])
    return np.asarray((u[:, None] ** exponents[0] + v ** exponents[1]) / power)
