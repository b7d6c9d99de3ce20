r"""The proxes of weight decay's penalty, for every depth: of numbers, and of matrices through their singular values.

    ``prox(z, u) = argmin_x ½|x - z|² + u |x|^{2/L}``

In closed form for L = 1, 2; for L >= 3 by a fixed number of Newton-like steps that end at round-off
(``_prox_kernels.py`` says how).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lineardyn.errors import ArgumentError
from lineardyn.validation import check_count
from solvers._prox_kernels import shrink_array, shrink_blocks
from solvers.penalties import as_matrices, as_numbers, check_depth, check_thresholds

__all__ = ["prox", "schatten_prox", "shrink_singular_values"]

Floats = NDArray[np.float64]
Complexes = NDArray[np.complex128]

LARGEST_SMALL = 8  # smaller side up to which rotations in numba are faster than LAPACK


def prox(z: ArrayLike, u: ArrayLike, *, depth: int) -> NDArray[Any]:
    r"""``argmin_x ½|x - z|² + u|x|^{2/depth}``, elementwise; complex numbers keep their phase.

    * depth 1: ``z/(1 + 2u)``; depth 2: ``|z|`` less ``u``, or 0.
    * depth >= 3: 0 up to the jump ``v*`` of :func:`solvers.penalties.jump`, *at the jump 0* (there 0 and ``s*`` are
      both minimisers), and above it the largest root of ``x = |z| - u p x^{p-1}``, p = 2/depth.

    Parameters
    ----------
    z
        Real or complex, any shape.
    u
        Thresholds >= 0; one, or a shape that broadcasts to that of z.
    depth
        L >= 1, the number of layers; 1 is ridge, 2 the soft threshold, large L the hard threshold at √(2u).

    Returns
    -------
    float64 or complex128 like z, relative error below 1e-15 (complex: 2e-15) unless it is no normal float.

    Raises
    ------
    ArgumentError
        NaN or infinity; a negative u or one that does not broadcast; ``depth`` no integer >= 1.

    Notes
    -----
    Theory, section 3. ``prox(c z, c^{2-p} u) = c prox(z, u)``. The jump is computed to two units in the last place:
    closer to it than that, either side may be returned.

    Examples
    --------
    >>> prox([3.0, -0.5], 1.0, depth=2).tolist()
    [2.0, 0.0]
    >>> prox([6.0, 6.0001, 6.0j], 8.0, depth=4).round(3).tolist()  # the jump, from 0 to 4, is at 6
    [0j, (4+0j), 0j]
    """
    numbers = as_numbers("z", z)
    layers = check_depth(depth)
    levels = check_thresholds(u, numbers.shape, "z")
    if numbers.dtype.kind == "c":
        return _group_prox(numbers, levels, layers)
    out = np.empty(numbers.size)
    shrink_array(numbers.reshape(-1), levels, layers, out)
    return out.reshape(numbers.shape)


def _group_prox(z: Complexes, u: Floats, depth: int) -> Complexes:
    """z times (shrunk modulus over modulus)."""
    moduli = np.abs(z).reshape(-1)
    if not np.isfinite(moduli).all():
        raise ArgumentError("z holds a modulus above 1.8e308, expected one that is a float: scale z, and u by c^(2-p)")
    shrunk = np.empty_like(moduli)
    shrink_array(moduli, u, depth, shrunk)
    factors = np.divide(shrunk, moduli, out=np.zeros_like(moduli), where=moduli > 0.0)
    return z * factors.reshape(z.shape)


def schatten_prox(Z: ArrayLike, u: ArrayLike, *, depth: int, rank: int | None = None) -> NDArray[Any]:
    r"""``argmin_X ½‖X - Z‖² + u Σ_i s_i(X)^{2/depth}``: :func:`prox` on the singular values of each matrix.

    Depth 1 scales, depth 2 is the prox of the nuclear norm. With ``rank`` the minimum is over matrices of at most that
    rank: the largest singular values are kept.

    Parameters
    ----------
    Z
        ``(..., K, C)``, real or complex.
    u
        Thresholds >= 0; one, or a shape that broadcasts to ``(...)``, one for each matrix.
    depth
        L >= 1.
    rank
        Largest rank allowed, >= 1; None: any.

    Returns
    -------
    float64 or complex128 like Z.

    Raises
    ------
    ArgumentError
        Fewer than two axes, NaN, infinity or entries near 1e308; a negative u or one that does not broadcast;
        ``depth`` or ``rank`` no integer >= 1.

    Notes
    -----
    Theory, section 3; the minimiser has the singular vectors of Z by von Neumann's trace inequality. Where singular
    values are equal and the jump or the rank falls on them, the minimiser is not unique; one is returned.

    Singular vectors come from a triangle R of Z (Gram-Schmidt, the largest column first) and one-sided Jacobi
    rotations of R*, where the smaller side is at most 8, else from LAPACK. The eigenvectors of ``Z*Z`` would cost as
    much and lose half of the digits: a singular value 1e-9 of the largest is 1e-18 of it when squared, below
    round-off, but above the jump if u is small. Errors here are below 1e-14 of the largest singular value, those of
    the Gram matrix up to 1e-8 (``test_gram_matrix_would_lose_half_of_the_digits``).

    Examples
    --------
    >>> import numpy as np
    >>> schatten_prox(np.diag([3.0, 0.5]), 1.0, depth=2).round(12).tolist()
    [[2.0, 0.0], [0.0, 0.0]]
    >>> schatten_prox(np.diag([3.0, 2.0]), 0.5, depth=2, rank=1).round(12).tolist()
    [[2.5, 0.0], [0.0, 0.0]]
    """
    matrices = as_matrices("Z", Z)
    layers = check_depth(depth)
    levels = check_thresholds(u, matrices.shape[:-2], "the matrices")
    kept = min(matrices.shape[-2:]) if rank is None else check_count("rank", rank)
    if not matrices.size:
        return matrices
    largest = float(np.abs(matrices).max())
    if largest > 1.7e308 / np.sqrt(matrices.shape[-2] * matrices.shape[-1]):
        raise ArgumentError(
            f"Z holds an entry of {largest:g}, expected singular values below 1.8e308: scale Z, and u by c^(2-p)"
        )
    blocks = matrices.reshape(-1, *matrices.shape[-2:])
    shrunk = shrink_singular_values(blocks.astype(np.complex128), levels, layers, kept)
    return (shrunk if matrices.dtype.kind == "c" else shrunk.real).reshape(matrices.shape)


def shrink_singular_values(blocks: Complexes, u: Floats, depth: int, rank: int) -> Complexes:
    """The prox on singular values of ``(n, K, C)`` with ``u (n,)`` or ``(1,)``, by the faster of rotations and LAPACK.

    Nothing is checked; at most ``rank`` singular values are kept (0: all).
    """
    levels = np.full(len(blocks), u)  # a copy: numba compiles again for what is read-only
    if min(blocks.shape[1:]) <= LARGEST_SMALL:
        out = np.empty_like(blocks)
        shrink_blocks(np.ascontiguousarray(blocks), levels, depth, rank, out)
        return out
    left, values, right = np.linalg.svd(blocks, full_matrices=False)
    shrunk = np.empty(values.size)
    shrink_array(values.reshape(-1), np.repeat(levels, values.shape[1]), depth, shrunk)
    kept = shrunk.reshape(values.shape)
    if 0 < rank < values.shape[1]:
        kept[:, rank:] = 0.0
    product: Complexes = (left * kept[:, None, :]) @ right
    return product
