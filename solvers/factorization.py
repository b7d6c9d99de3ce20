"""Weights of a network that compute a given predictor at the least weight decay."""

from __future__ import annotations

import itertools

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lineardyn.errors import ArgumentError
from lineardyn.networks import LinearCNN
from solvers.predictors import ROUND_OFF, check_predictor, check_symmetric
from solvers.result import Solution

__all__ = ["factorize", "factors", "pack_layers", "singular_vectors"]

Floats = NDArray[np.float64]
Complexes = NDArray[np.complex128]
Weights = list[Floats]
NEGLIGIBLE = 1e-13
"""Singular values below this part of the largest *of all frequencies* may be left out where layers are too narrow."""


def factorize(solution: Solution | ArrayLike, widths: tuple[int, ...], *, convention: str = "convolution") -> Weights:
    r"""Real weights of a :class:`lineardyn.LinearCNN` with the given predictor and the smallest ``Σ_l ‖w_l‖²``.

    With ``v̂_f = U S V^H`` and ``σ = (S P^{-(L-1)/2})^{1/L}``: ``A_1 = σ V^H``, ``A_l = σ``, ``B = U σ``, embedded in
    the leading channels of each layer. Then ``P^{(L-1)/2} B A_{L-1} ⋯ A_1 = v̂_f`` and

    .. math:: \sum_l \|w_l\|^2 = L P^{-(L-1)/L} \sum_f \|\hat v_f\|_{S_{2/L}}^{2/L},

    which no weights with this predictor undercut.

    Parameters
    ----------
    solution
        What :func:`solvers.solve` returned, or a predictor ``(H, W, K, C)``, conjugate symmetric.
    widths
        ``(C_1, .., C_{L-1})``, each at least the largest rank of a v̂_f; ``()`` at depth 1.
    convention
        How the pixels of kernels are read: that of :class:`lineardyn.LinearCNN`.

    Returns
    -------
    A list, layer 1 first: ``(C_l, H, W, C_{l-1})`` each, the last ``(K, H, W, C_{L-1})``: weights for
    ``LinearCNN((C, H, W), widths=widths, n_outputs=K, convention=convention)``. Of the phases that the singular vectors
    leave open, those are taken that make the largest entry of each right one positive. At a minimum of the regularised
    problem they are a stationary point of ``network.loss(.., weight_decay=λ)``.

    Raises
    ------
    ArgumentError
        A width below the rank of some v̂_f; another number of widths than ``solution.depth - 1``; a predictor of another
        shape, not finite, or not conjugate symmetric.

    Notes
    -----
    The minimiser of Godfrey et al. theorem 4.9 (corrected in theory section 3): equality in the Schatten-Hölder
    inequality, with equal exponents. Singular values up to 64 ε of the largest at their frequency count as zero.

    Examples
    --------
    >>> import numpy as np
    >>> from lineardyn import LinearCNN, SecondMoments, natural_patches
    >>> from solvers import factorize, ridge
    >>> predictor = ridge(SecondMoments.from_data(*natural_patches(4, 200, rng=0)), 0.1)
    >>> network = LinearCNN((1, 4, 4), widths=(3, 1), n_outputs=4)
    >>> weights = factorize(predictor, network.widths)
    >>> bool(np.allclose(network.effective_predictor(weights), predictor, rtol=0, atol=1e-14))
    True
    """
    predictor = check_predictor("solution", solution.predictor if isinstance(solution, Solution) else solution)
    check_symmetric("solution", predictor)
    height, width, k, channels = predictor.shape
    network = LinearCNN((channels, height, width), widths=widths, n_outputs=k, convention=convention)
    if isinstance(solution, Solution) and network.depth != solution.depth:
        raise ArgumentError(
            f"widths is {network.widths}, expected {solution.depth - 1} hidden widths: the solution is of depth "
            f"{solution.depth}"
        )
    blocks = predictor.reshape(-1, k, channels)[network.half.indices]
    return network.unpack(pack_layers(factors(network, blocks)))


def factors(network: LinearCNN, blocks: Complexes) -> list[Complexes]:
    """The same of blocks ``v̂_f (F, K, C)``: ``A_1, .., A_{L-1}, B`` at each frequency, ``(F, C_l, C_{l-1})``."""
    left, singular, right = singular_vectors(blocks, network.half.weights == 1)
    _check_rank(singular, network)
    return _layers(network, left, singular, right)


def pack_layers(layers: list[Complexes]) -> Floats:
    """Layers ``(F, C_l, C_{l-1})`` as the flat state of the network."""
    spectra = [layer.transpose(1, 2, 0) for layer in layers]
    return np.concatenate([np.stack([a.real, a.imag], axis=-2).ravel() for a in spectra])


def _layers(network: LinearCNN, left: Complexes, singular: Floats, right: Complexes) -> list[Complexes]:
    """The layers from the SVD of the blocks."""
    sizes = network.sizes
    kept = np.arange(min(sizes))  # the leading channels carry the singular values, the others are zero
    roots = (singular[:, kept] / network.constant) ** (1.0 / network.depth)
    if network.depth == 1:
        return [(left[:, :, kept] * roots[:, None, :]) @ right[:, kept]]
    layers = [np.zeros((len(roots), out, into), dtype=np.complex128) for into, out in itertools.pairwise(sizes)]
    layers[0][:, kept] = roots[:, :, None] * right[:, kept]
    for hidden in layers[1:-1]:
        hidden[:, kept, kept] = roots
    layers[-1][:, :, kept] = left[:, :, kept] * roots[:, None, :]
    return layers


def singular_vectors(blocks: Complexes, real: NDArray[np.bool_]) -> tuple[Complexes, Floats, Complexes]:
    """Thin SVD of each block ``(F, K, C)``, round-off set to zero, phases chosen, real where the block is."""
    left, singular, right = np.linalg.svd(blocks, full_matrices=False)
    left[real], singular[real], right[real] = np.linalg.svd(blocks[real].real, full_matrices=False)
    singular[singular <= ROUND_OFF * singular[:, :1]] = 0.0
    largest = np.take_along_axis(right, np.abs(right).argmax(axis=2)[:, :, None], axis=2)
    phase = largest / np.abs(largest)
    return left * phase.swapaxes(1, 2), singular, right / phase


def _check_rank(singular: Floats, network: LinearCNN) -> None:
    """Refuse a layer that is narrower than the rank at some frequency."""
    if not network.widths:
        return
    rank = (singular > NEGLIGIBLE * singular.max()).sum(axis=1)
    narrowest = int(np.argmin(network.widths))
    worst = int(np.argmax(rank))
    if rank[worst] > network.widths[narrowest]:
        u, v = divmod(int(network.half.indices[worst]), network.image_shape[2])
        raise ArgumentError(
            f"widths[{narrowest}] is {network.widths[narrowest]}, expected at least {rank[worst]}: the rank of the "
            f"predictor at frequency ({u}, {v}); widen the layer, or solve with rank={network.widths[narrowest]}"
        )
