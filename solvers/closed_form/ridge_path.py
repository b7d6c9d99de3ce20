"""Ridge regression for a whole path of λ from one factorisation."""

from __future__ import annotations

import time
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lineardyn.errors import ArgumentError, Status
from lineardyn.moments import SecondMoments
from lineardyn.validation import check_array
from solvers.closed_form.ridge import check_moments
from solvers.closed_form.tridiagonal import Tridiagonal, tridiagonal
from solvers.predictors import ROUND_OFF
from solvers.quadratic import Quadratic, quadratic
from solvers.result import Certificate, PathResult, Solution

__all__ = ["ridge_path"]

Floats = NDArray[np.float64]
CLOSE = 1e-5
"""Gap, relative to the objective, up to which a predictor is called the global minimum."""


def ridge_path(moments: SecondMoments, lams: ArrayLike) -> PathResult:
    r""":func:`solvers.ridge` at every λ: ``w = Σ^yx (Σ^xx + λ)^{-1}``, the whole path from one factorisation.

    Householder reflections bring Σ^xx (or, where it is smaller, the kernel matrix of the samples or modes) to
    tridiagonal form, ``Q T Qᵀ``. Then each λ costs one tridiagonal solve, and all of them one product with Q: no
    eigenvectors, and no factorisation for each λ.

    Parameters
    ----------
    moments
        Statistics of the data in any form.
    lams
        ``(n,)``, λ > 0 in any order, in the units of Σ^xx. Under the cutoff ``size · 2.2e-16 · tr Σ^xx``, directions
        whose eigenvalue is round-off stay zero, as in :func:`solvers.ridge`.

    Returns
    -------
    PathResult, in the order of ``lams``. ``certificate.gap`` is the bound ``‖g‖²/4λ`` of the strongly convex objective
    with gradient g, which is computed with Σ^xx itself and not with its factors.

    Raises
    ------
    ArgumentError
        A λ that is not positive and finite; ``moments`` of another type, or with a negative eigenvalue of Σ^xx.

    Notes
    -----
    Godfrey et al. eq 4.15 at L = 1. Errors are those of a backward stable solve: the relative error of the predictor is
    at most about ``2.2e-16 (1 + s/λ)``, s the largest eigenvalue of Σ^xx, and the error of the objective
    ``2.2e-16 s ‖v̂‖²``.

    Examples
    --------
    >>> from lineardyn import SecondMoments, natural_patches
    >>> moments = SecondMoments.from_data(*natural_patches(4, 200, rng=0))
    >>> result = ridge_path(moments, [1.0, 0.01])
    >>> result.objectives.round(4)
    array([0.8244, 0.5848])
    """
    check_moments(moments)
    penalties = _check_lams(lams)
    start = time.perf_counter()
    form = normal_form(quadratic(moments))
    factors = tridiagonal(form.matrix)
    _check_semidefinite(factors)
    targets = factors.into(form.targets)
    solved = factors.back(np.concatenate([factors.solve(targets, float(lam)) for lam in penalties]))
    values = solved @ form.rows if form.dual else solved
    return certified(form, penalties, values, time.perf_counter() - start)


class NormalForm(NamedTuple):
    """``V = α rows`` (dual) or ``V = α`` with ``α (matrix + λ) = targets``."""

    quadratic: Quadratic
    dual: bool
    matrix: Floats
    targets: Floats
    rows: Floats


def normal_form(problem: Quadratic) -> NormalForm:
    """With Σ^xx, or with the kernel matrix of rows that are fewer than columns."""
    stats, columns = problem.moments.statistics, problem.coordinates
    if stats.dense or len(stats.gain) >= columns.size:
        return NormalForm(problem, False, problem.gram, problem.cross, np.empty((0, columns.size)))
    roots = np.sqrt(stats.gain)
    rows = columns.take(stats.rows)
    rows *= roots[:, None]
    return NormalForm(problem, True, rows @ rows.T, stats.target / roots, rows)


def certified(form: NormalForm, lams: Floats, values: Floats, seconds: float) -> PathResult:
    """Predictors, objectives and duality gaps of coordinates ``(n·K, D)``."""
    moments, columns, cross = form.quadratic.moments, form.quadratic.coordinates, form.quadratic.cross
    k, height, width = moments.n_outputs, *moments.image_shape[1:]
    applied = (values @ form.rows.T) @ form.rows if form.dual else values @ form.matrix
    shape = (len(lams), k, columns.size)
    values, applied = values.reshape(shape), applied.reshape(shape)
    losses = _losses(form, values, applied)
    squares = np.einsum("nkd,nkd->n", values, values)
    residual = applied - cross + lams[:, None, None] * values  # half the gradient
    slopes = np.einsum("nkd,nkd->n", residual, residual)
    spectra = columns.unpack(values.reshape(-1, columns.size)).reshape(height, width, len(lams), k, -1)
    predictors = np.ascontiguousarray(spectra.transpose(2, 0, 1, 3, 4))
    power = moments.target_power
    message = f"ridge: {'kernel matrix' if form.dual else 'Σ^xx'} of size {len(form.matrix)} made tridiagonal once"
    return PathResult(
        tuple(
            Solution(
                predictor=predictors[i],
                objective=float(losses[i] + lam * squares[i]),
                penalty=float(lam * squares[i]),
                prove=partial(_certificate, float(losses[i] + lam * squares[i]), float(slopes[i] / lam), power),
                status=Status.SUCCESS,
                message=message,
                depth=1,
                lam=float(lam),
                rank=None,
                stats={"n_factorisations": 1, "n_lams": len(lams), "seconds": seconds},
            )
            for i, lam in enumerate(lams)
        )
    )


def _certificate(objective: float, gap: float, power: float) -> Certificate:
    """By strong convexity: ``‖g‖²/4λ``, or the round-off of the objective where that is larger."""
    known = max(gap, ROUND_OFF * max(objective, power))
    # with Lipschitz constant ℓ the prox moves by g/2(ℓ + λ), and √ℓ/(ℓ + λ) ≤ 1/2√λ
    residual = 0.5 * float(np.sqrt(gap / power)) if power else 0.0
    status = f"a global minimum to {known:.2g}, of an objective of {objective:.4g}"
    return Certificate("global" if known <= CLOSE * objective else "none", known, residual, status)


def _losses(form: NormalForm, values: Floats, applied: Floats) -> Floats:
    """``(1/N) Σ‖y - f(x)‖²`` ``(n,)``."""
    moments, cross = form.quadratic.moments, form.quadratic.cross
    if not form.dual:
        fit, linear = np.einsum("nkd,nkd->n", values, applied), np.einsum("nkd,kd->n", values, cross)
        return np.asarray(np.maximum(moments.target_power - 2 * linear + fit, 0.0))
    # distance to the least-squares values on the rows: no cancellation when the loss goes to its minimum
    fitted = values.reshape(-1, values.shape[2]) @ form.rows.T
    off = fitted.reshape(*values.shape[:2], -1) - form.targets
    rest = max(moments.target_power - float((form.targets**2).sum()), 0.0)
    return np.asarray(np.einsum("nkr,nkr->n", off, off) + rest)


def _check_lams(lams: ArrayLike) -> Floats:
    penalties = check_array("lams", lams, shape=(None,), why="a list of λ")
    if not len(penalties):
        raise ArgumentError("lams is empty, expected at least one λ")
    if penalties.min() <= 0:
        i = int(np.argmax(penalties <= 0))
        raise ArgumentError(
            f"lams[{i}] is {penalties[i]:g}, expected numbers > 0: ridge(moments, 0) gives the least squares"
        )
    return penalties


def _check_semidefinite(factors: Tridiagonal) -> None:
    if not np.isfinite(factors.cutoff):
        raise ArgumentError("moments hold NaN or infinity in Σ^xx, expected finite numbers: make them anew")
    if not factors.is_semidefinite() and (lowest := factors.lowest()) < -factors.cutoff:
        raise ArgumentError(
            f"moments have the eigenvalue {lowest:.3g} of Σ^xx (largest allowed by round-off: {-factors.cutoff:.3g}), "
            f"expected a positive semidefinite matrix: make them with SecondMoments.from_data"
        )
