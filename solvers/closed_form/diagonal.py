r"""Minimisers where the Fourier coefficients of the images do not correlate: one prox a frequency, at every depth.

With ``⟨x̂_g x̂_f^H⟩ = τ_f δ_fg`` the problem of theory section 3 falls apart,

    ``τ_f ‖v̂_f - v̂_LS,f‖² + μ ‖v̂_f‖_{S_p}^p``,   ``v̂_LS,f = Σ^{yx̂}_f / τ_f``

and each singular value of v̂_LS,f shrinks by the prox of ``(μ/2τ_f) s^p`` [Godfrey et al. §4.3 and appendix A,
corrected: printed without ``P^{-(L-1)/L}``].
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lineardyn.errors import ArgumentError
from lineardyn.fourier import fft2
from lineardyn.moments import SecondMoments
from lineardyn.sources import PIECE_BYTES, slices
from lineardyn.validation import check_number, shown
from solvers._prox_kernels import shrink_blocks
from solvers.closed_form.ridge import check_moments
from solvers.problem import RegularizedProblem
from solvers.quadratic import Quadratic

__all__ = ["diagonal", "ridge_diagonal"]

Floats = NDArray[np.float64]
Complexes = NDArray[np.complex128]
CORRELATED = 1e-10
"""Correlation of two Fourier coefficients, or difference of two powers that should be equal, that is not round-off of
the images."""
NO_POWER = float(np.finfo(float).eps)
"""Power that counts as none, relative to the largest, for each of the coefficients."""
ROUND_OFF = 1e-14
"""The same relative to the largest power: what the transform of the largest coefficients leaves at the others."""


def diagonal(problem: RegularizedProblem, *, approximate: bool = False) -> Complexes:
    r"""The regularised minimiser at any depth, where the Fourier coefficients of the images do not correlate.

    Parameters
    ----------
    problem
        Its Σ^xx must be diagonal in frequency and channel, ``⟨|x̂_cf|²⟩ = τ_cf``; for depth >= 2 with τ_cf the same for
        all channels c of a frequency.
    approximate
        Read the power spectrum alone, as if nothing else were there: for one channel, or depth 1.

    Returns
    -------
    Complex predictor ``(H, W, K, C)``: with ``v_LS = Σ^{yx̂}/τ``, for each singular value s_LS of v̂_LS,f

    - L = 1: ``v = v_LS τ/(λ + τ)`` (for each coefficient) [Godfrey et al. eq 4.18];
    - L = 2: ``s = max(0, s_LS - λ/(√P τ))`` [eq A.6-A.9, corrected: printed without √P, and for real v_LS only];
    - L >= 3: 0 up to ``s*(2-p)/(2(1-p))``, where it jumps to ``s* = ((1-p)μ/τ)^{1/(2-p)}``; above, the largest root of
      ``2τ(s - s_LS) + μ p s^{p-1} = 0`` [theory section 3]. At the jump: 0.

    Of these at most ``problem.rank`` are kept, the largest. Where ``τ = 0``, v = 0.

    Raises
    ------
    ArgumentError
        Statistics that are not diagonal (the error names the largest correlation); at depth >= 2 channels of unequal
        power, which the Schatten penalty couples; ``approximate`` with several channels at depth >= 2.

    Examples
    --------
    >>> from lineardyn import SecondMoments
    >>> from solvers import RegularizedProblem
    >>> moments = SecondMoments.from_data([[[[2.0, 0.0]]], [[[0.0, 2.0]]]], [[1.0], [3.0]])  # Σ^xx = 2·1
    >>> least = diagonal(RegularizedProblem(moments, depth=1, lam=1e-12))
    >>> shrunk = diagonal(RegularizedProblem(moments, depth=2, lam=1.0))
    >>> (abs(least) - abs(shrunk)).ravel().round(3)  # λ/(√P τ)
    array([0.354, 0.354])
    """
    if not isinstance(problem, RegularizedProblem):
        raise ArgumentError(f"problem is {shown(problem)}, expected a RegularizedProblem")
    if approximate and problem.depth > 1 and problem.image_shape[0] > 1:
        raise ArgumentError(
            f"approximate is True with {problem.image_shape[0]} channels at depth {problem.depth}, expected one "
            f"channel: the penalty couples channels of unequal power; use solve(problem)"
        )
    half = problem.coordinates.half
    power = problem.moments.power_spectrum().reshape(problem.image_shape[0], -1)[:, half.indices]
    if not approximate:
        _check_diagonal(problem.quadratic, power)
    if problem.depth == 1:
        return ridge_diagonal(problem.moments, problem.lam)
    if not approximate:
        _check_channels(problem, power)
    tau = power.mean(axis=0)
    live = tau > tau.max() * NO_POWER * problem.coordinates.size
    blocks = problem.coordinates.blocks(problem.quadratic.cross)
    least, thresholds = blocks[live] / tau[live, None, None], problem.thresholds[live] / tau[live]
    blocks[:] = 0.0
    blocks[live] = shrink_singular_values(least, thresholds, problem.depth, problem.max_rank)
    return problem.coordinates.unpack(problem.coordinates.from_blocks(blocks))


def shrink_singular_values(blocks: Complexes, thresholds: Floats, depth: int, rank: int) -> Complexes:
    """The prox on the singular values of each block ``(n, K, C)``, at most ``rank`` of them kept."""
    out = np.empty(blocks.shape, dtype=np.complex128)
    shrink_blocks(np.ascontiguousarray(blocks, dtype=np.complex128), thresholds, depth, rank, out)
    return out


def _check_diagonal(quadratic: Quadratic, power: Floats) -> None:
    """Refuse a Σ^xx with correlations; ``power`` is ``τ_cf``, ``(C, F)``."""
    columns = quadratic.coordinates
    tau = np.stack([power, power], axis=1).ravel()[columns.order]  # of √2 Re and √2 Im alike
    floor = ROUND_OFF * tau.max()
    worst, entry, where = 1.0, 0.0, (0, 0)
    for part in slices(columns.size, max(1, PIECE_BYTES // (8 * columns.size))):
        here = np.arange(part.start, min(part.stop, columns.size))
        rows = quadratic.gram[part].copy() if quadratic.forms_gram else quadratic.apply(np.eye(columns.size)[part])
        rows[np.arange(len(here)), here] -= tau[here]
        excess = np.abs(rows) / (CORRELATED * np.sqrt(tau[here, None] * tau) + floor)
        if excess.max() > worst:
            row, column = divmod(int(excess.argmax()), columns.size)
            worst, entry, where = float(excess.max()), float(rows[row, column]), (here[row], column)
    if worst > 1.0:
        one, other = (_coefficient(quadratic, int(i)) for i in where)
        raise ArgumentError(
            f"problem has statistics with the off-diagonal entry {entry:.3g} (correlation "
            f"{entry / np.sqrt(tau[where[0]] * tau[where[1]]):.3g}) between the coefficients {one} and {other}, "
            f"expected none; use solve(problem), or approximate=True for the power spectrum alone"
        )


def _coefficient(quadratic: Quadratic, column: int) -> str:
    """The name of a column: ``Re x̂[c, u, v]`` or ``Im x̂[c, u, v]``."""
    channels, _, width = quadratic.coordinates.image_shape
    half = quadratic.coordinates.half
    c, part, b = np.unravel_index(quadratic.coordinates.order[column], (channels, 2, half.size))
    u, v = divmod(int(half.indices[b]), width)
    return f"{'Im' if part else 'Re'} x̂[{c}, {u}, {v}]"


def _check_channels(problem: RegularizedProblem, power: Floats) -> None:
    """Refuse channels of unequal power at one frequency; ``power`` is ``τ_cf``, ``(C, F)``."""
    spread = np.ptp(power, axis=0)
    allowed = CORRELATED * power.max(axis=0) + ROUND_OFF * power.max()
    worst = int(np.argmax(spread - allowed))
    if spread[worst] > allowed[worst]:
        u, v = divmod(int(problem.coordinates.half.indices[worst]), problem.image_shape[2])
        raise ArgumentError(
            f"problem has channels of powers {power[:, worst].min():.3g} to {power[:, worst].max():.3g} at frequency "
            f"({u}, {v}), expected equal powers at depth {problem.depth}: the penalty couples them; use solve(problem)"
        )


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
    >>> from solvers import ridge
    >>> moments = SecondMoments.from_data([[[[2.0, 0.0]]], [[[0.0, 2.0]]]], [[1.0], [3.0]])  # Σ^xx = 2·1
    >>> abs(ridge_diagonal(moments, lam=2.0) - ridge(moments, lam=2.0)).max() < 1e-15
    np.True_
    """
    check_moments(moments)
    penalty = check_number("lam", lam, minimum=0.0)
    tau = moments.power_spectrum()
    live = tau > tau.max() * NO_POWER * tau.size
    cross = fft2(moments.sigma_yx).conj()  # Σ^{yx̂} (K, C, H, W) = v_LS τ
    predictor = np.where(live, cross / np.where(live, tau + penalty, 1.0), 0.0)
    return np.ascontiguousarray(predictor.transpose(2, 3, 0, 1))
