r"""Minimisers where the Fourier coefficients of the images do not correlate: one prox a frequency, at every depth.

With ``⟨x̂_g x̂_f^H⟩ = τ_f δ_fg`` the problem of theory section 3 falls apart,

    ``τ_f ‖v̂_f - v̂_LS,f‖² + μ ‖v̂_f‖_{S_p}^p``,   ``v̂_LS,f = Σ^{yx̂}_f / τ_f``

and each singular value of v̂_LS,f shrinks by the prox of ``(μ/2τ_f) s^p`` [Godfrey et al. §4.3 and appendix A,
corrected: printed without ``P^{-(L-1)/L}``].
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from lineardyn.errors import ArgumentError
from lineardyn.fourier import fft2
from lineardyn.moments import SecondMoments
from lineardyn.sources import slices
from lineardyn.validation import check_number
from solvers._prox_kernels import shrink_blocks
from solvers.closed_form.ridge import check_moments
from solvers.problem import RegularizedProblem, check_problem

__all__ = ["diagonal", "is_diagonal", "ridge_diagonal", "shrink_singular_values"]

Floats = NDArray[np.float64]
Complexes = NDArray[np.complex128]
CORRELATED = 1e-10
"""Correlation of two Fourier coefficients, or difference of two powers that should be equal, that is not round-off of
the images."""
LINES = 64
"""Lines of Σ^xx looked at together."""
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
    check_problem(problem)
    if approximate and problem.depth > 1 and problem.image_shape[0] > 1:
        raise ArgumentError(
            f"approximate is True with {problem.image_shape[0]} channels at depth {problem.depth}, expected one "
            f"channel: the penalty couples channels of unequal power; use solve(problem)"
        )
    power = _powers(problem)
    if not approximate:
        _check_diagonal(problem, power)
    if problem.depth == 1:
        return ridge_diagonal(problem.moments, problem.lam)
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


def is_diagonal(problem: RegularizedProblem) -> bool:
    """Whether :func:`diagonal` gives the minimiser; ends at the first entry of Σ^xx that says no."""
    power = _powers(problem)
    return _uneven_frequency(problem, power) is None and all(
        excess.max() <= 1.0 for _, _, excess in _off_diagonal(problem, power)
    )


def _powers(problem: RegularizedProblem) -> Floats:
    """``τ_cf = ⟨|x̂_cf|²⟩``, ``(C, F)``."""
    power = problem.moments.power_spectrum()
    return np.asarray(power.reshape(len(power), -1)[:, problem.coordinates.half.indices])


def _check_diagonal(problem: RegularizedProblem, power: Floats) -> None:
    """Refuse a Σ^xx that has no closed form, by its largest off-diagonal entry or by the channels that differ."""
    worst, entry, where = 1.0, 0.0, (0, 0)
    for start, lines, excess in _off_diagonal(problem, power):
        if excess.max() > worst:
            row, column = divmod(int(excess.argmax()), problem.coordinates.size)
            worst, entry, where = float(excess.max()), float(lines[row, column]), (start + row, column)
    if worst > 1.0:
        tau = _power_of_columns(problem, power)
        one, other = (_coefficient(problem, column) for column in where)
        raise ArgumentError(
            f"problem has statistics with the off-diagonal entry {entry:.3g} (correlation "
            f"{entry / np.sqrt(tau[where[0]] * tau[where[1]]):.3g}) between the coefficients {one} and {other}, "
            f"expected none; use solve(problem), or approximate=True for the power spectrum alone"
        )
    uneven = _uneven_frequency(problem, power)
    if uneven is not None:
        u, v = divmod(int(problem.coordinates.half.indices[uneven]), problem.image_shape[2])
        raise ArgumentError(
            f"problem has channels of powers {power[:, uneven].min():.3g} to {power[:, uneven].max():.3g} at frequency "
            f"({u}, {v}), expected equal powers at depth {problem.depth}: the penalty couples them; use solve(problem)"
        )


def _off_diagonal(problem: RegularizedProblem, power: Floats) -> Iterator[tuple[int, Floats, Floats]]:
    """Lines of Σ^xx less the power of their coefficients, and how many times what is allowed they hold.

    Real and imaginary part of a coefficient have the same power unless it correlates with its own conjugate.
    """
    columns, tau = problem.coordinates, _power_of_columns(problem, power)
    floor = ROUND_OFF * tau.max()
    for part in slices(columns.size, LINES):
        here = np.arange(columns.size)[part]
        lines = _lines(problem, here)
        lines[np.arange(len(here)), here] -= tau[here]
        yield part.start, lines, np.abs(lines) / (CORRELATED * np.sqrt(tau[here, None] * tau) + floor)


def _lines(problem: RegularizedProblem, chosen: NDArray[np.int64]) -> Floats:
    """These lines of Σ^xx, without forming the others."""
    columns, stats = problem.coordinates, problem.moments.statistics
    scales = columns.scales[chosen, None]
    if stats.dense:
        return np.asarray(stats.matrix[np.ix_(columns.order[chosen], columns.order)] * scales * columns.scales)
    packed = np.zeros((len(chosen), len(problem.moments.weights)))
    packed[np.arange(len(chosen)), columns.order[chosen]] = scales[:, 0]
    return columns.take(problem.moments.apply(packed))


def _power_of_columns(problem: RegularizedProblem, power: Floats) -> Floats:
    """τ of each column of real coordinates, ``(D,)``."""
    power = np.maximum(power, 0.0)  # round-off of a frequency that no image has may be below
    return np.asarray(np.stack([power, power], axis=1).ravel()[problem.coordinates.order])


def _coefficient(problem: RegularizedProblem, column: int) -> str:
    """The name of a column: ``Re x̂[c, u, v]`` or ``Im x̂[c, u, v]``."""
    channels, _, width = problem.image_shape
    half = problem.coordinates.half
    c, part, b = np.unravel_index(problem.coordinates.order[column], (channels, 2, half.size))
    u, v = divmod(int(half.indices[b]), width)
    return f"{'Im' if part else 'Re'} x̂[{c}, {u}, {v}]"


def _uneven_frequency(problem: RegularizedProblem, power: Floats) -> int | None:
    """The frequency whose channels differ most in power, if that matters at this depth."""
    spread = np.ptp(power, axis=0)
    allowed = CORRELATED * power.max(axis=0) + ROUND_OFF * power.max()
    worst = int(np.argmax(spread - allowed))
    return worst if problem.depth > 1 and spread[worst] > allowed[worst] else None


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
