r"""T2: what the Jacobian at one image says about the norm of every network that has it.

::

    A1   ‖θ‖² ≥ L Σ_i s_i(Jf(x))^{2/L}                                 at every x without kinks
    A2   ‖θ‖² ≥ L Σ_ω |m_ω|^{-2(L-1)/L} Σ_i s_i(Ĵ_ω)^{2/L}             at a constant x without kinks

[theory, section 4, T2; Wen & Jacot, reconstructed: the paper's own formula was not available].
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from lineardyn.errors import ArgumentError
from lineardyn.validation import shown
from proofs_check.cbn.arguments import check_image
from proofs_check.cbn.cost import schatten_cost
from proofs_check.cbn.network import CyclicCNN
from proofs_check.cbn.spectrum import singular_values

__all__ = ["LowerBound", "check_cyclic", "check_one_image", "lower_bound"]


@dataclass(frozen=True)
class LowerBound:
    """Lower bounds of ``‖θ‖²`` (operator convention): ``jacobian`` (A1) and ``frequency`` (A2, or ``None``)."""

    jacobian: float
    frequency: float | None


def lower_bound(net: CyclicCNN, x: ArrayLike) -> LowerBound:
    r"""Bounds of ``‖θ‖²`` from below by the Jacobian at x: of any network, of the same depth, that has it there.

    A1: ``L Σ_i s_i(Jf(x))^{2/L}``; A2, at a constant image with no hidden pre-activation 0: ``L Σ_ω
    |m_ω|^{-2(L-1)/L} Σ_i s_i(Ĵ_ω)^{2/L}``, Ĵ_ω the block of the Jacobian at ω. A2 >= A1, with equality without pooling.

    Parameters
    ----------
    net : CyclicCNN
    x : array (C_0, *grid)

    Returns
    -------
    LowerBound
        ``.jacobian`` (A1); ``.frequency`` (A2), ``None`` unless x is constant without kinks (and no strides).

    Raises
    ------
    ArgumentError
        For what is no network, or an image of another shape.

    Notes
    -----
    Proof: ``Jf = W_L M D_{L-1} W_{L-1} ⋯ M D_1 W_1`` with ``‖M‖, ‖D‖ <= 1``; Schatten-Hölder, then the arithmetic and
    the geometric mean. It holds for any D between -1 and 1, so A1 holds at kinks too, of the matrix that
    :meth:`CyclicCNN.jacobian` gives, though it is no derivative there. Singular values up to 1e-10 of the largest are
    left out, which can only lower the bounds. Source: theory, section 4, T2.

    Examples
    --------
    >>> import numpy as np
    >>> net = CyclicCNN.random((5,), (1, 3, 1), rng=0)
    >>> bound = lower_bound(net, np.ones((1, 5)))
    >>> bool(bound.jacobian <= bound.frequency <= net.norm())
    True
    """
    check_cyclic(net)
    image = check_one_image(net, x)
    size = (net.widths[-1] * net.n_pixels, net.widths[0] * net.n_pixels)
    first = schatten_cost(singular_values(net.jacobian(image).reshape(size)), np.ones(()), net.depth)
    try:
        blocks = net.jacobian_blocks(image)
    except ArgumentError:  # strided, not constant, or at a kink: A2 says nothing
        return LowerBound(first, None)
    second = schatten_cost(singular_values(blocks), net.pooling, net.depth)
    return LowerBound(first, second)


def check_cyclic(net: CyclicCNN) -> None:
    """Refuse what is no :class:`CyclicCNN`."""
    if not isinstance(net, CyclicCNN):
        raise ArgumentError(f"net is {shown(net)}, expected a CyclicCNN: make one with CyclicCNN(weights)")


def check_one_image(net: CyclicCNN, x: ArrayLike, name: str = "x") -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """Return x as one image ``(C_0, *grid)`` of the network."""
    image = check_image(x, net.widths[0], net.grid, name)
    if image.ndim != len(net.grid) + 1:
        raise ArgumentError(f"{name} has shape {image.shape}, expected one image {(net.widths[0], *net.grid)}")
    return image
