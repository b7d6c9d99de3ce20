r"""T5: a norm close to its lower bound forces the bottleneck into the weights, layer by layer.

For *every* network, at a constant image x̄ with no hidden pre-activation 0::

    Σ_l [Σ_ω ‖Ŵ_{l,ω} - |m_ω|^{-1} U_{l,ω} V_{l-1,ω}^*‖_F² + n ‖b_l‖²]
        ≤  c_1 - 2 Σ_ω |m_ω|^{-2} (log |Ĵ_ω|_+ + k_ω log |m_ω|),         c_1 = ‖θ‖² - L Σ_ω k_ω / m_ω²

[theory, section 4, T5; Wen & Jacot, reconstructed: the paper's own formula was not available].
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lineardyn.validation import check_number
from proofs_check.cbn.bounds import check_cyclic, check_one_image
from proofs_check.cbn.network import CyclicCNN
from proofs_check.cbn.spectrum import RANK_TOLERANCE, conjugate_places, counted, symmetric_svd

__all__ = ["BottleneckGap", "bottleneck_gap"]

Floats = NDArray[np.float64]
Complexes = NDArray[np.complex128]


@dataclass(frozen=True, eq=False)
class BottleneckGap:
    r"""How far the weights are from a bottleneck, and how far they can be at their norm.

    r is the largest rank; where ``k_ω < r`` the last columns of U and V and the last rows and columns of P and Q are 0.

    Attributes
    ----------
    total : float
        ``c_1 = ‖θ‖² - L Σ_ω k_ω/m_ω²``, operator convention.
    bound : float
        ``c_1 - 2 Σ_ω |m_ω|^{-2} (log |Ĵ_ω|_+ + k_ω log |m_ω|)``; at least ``layers.sum()``.
    layers : array (L,)
        ``Σ_ω ‖Ŵ_{l,ω} - |m_ω|^{-1} U_{l,ω} V_{l-1,ω}^*‖_F² + n ‖b_l‖²``.
    weights, biases : array (L,)
        The two parts of ``layers``.
    frequencies : array (L, *grid)
        ``‖Ŵ_{l,ω} - |m_ω|^{-1} U_{l,ω} V_{l-1,ω}^*‖_F²``.
    ranks : array grid
        ``k_ω = rank Ĵ_ω(x̄)``.
    log_volumes : array grid
        ``log |Ĵ_ω|_+``, of the product of the non-zero singular values (0 where there is none).
    U : tuple of array (*grid, C_l, r)
        ``U_1, .., U_L``.
    V : tuple of array (*grid, C_l, r)
        ``V_0, .., V_{L-1}``.
    P, Q : tuple of array (*grid, r, r)
        The positive factors: ``Ŵ_l V_{l-1} = U_l P_l`` (L of them), ``D_l U_l = V_l Q_l`` (L-1 of them).
    """

    total: float
    bound: float
    weights: Floats
    biases: Floats
    frequencies: Floats
    ranks: NDArray[np.int64]
    log_volumes: Floats
    U: tuple[Complexes, ...]
    V: tuple[Complexes, ...]
    P: tuple[Complexes, ...]
    Q: tuple[Complexes, ...]

    @property
    def layers(self) -> Floats:
        """Distance of each layer to its bottleneck form, squared, with its bias: ``(L,)``."""
        return np.asarray(self.weights + self.biases)

    def __repr__(self) -> str:
        return (
            f"BottleneckGap(total={self.total:.6g}, sum of layers={self.layers.sum():.6g}, bound={self.bound:.6g}, "
            f"rank={int(self.ranks.sum())})"
        )


def bottleneck_gap(net: CyclicCNN, x: ArrayLike, *, rank_tolerance: float = RANK_TOLERANCE) -> BottleneckGap:
    r"""Distance of the weights to ``Ŵ_{l,ω} = |m_ω|^{-1} U_{l,ω} V_{l-1,ω}^*``, and its bound by the norm.

    At each frequency, with ``D_l = diag σ_a'(z_l(x̄))`` (one slope a channel, for x̄ is constant):

    - ``V_0 (C_0, k_ω)``: an orthonormal basis of ``(ker Ĵ_ω)^⊥``: the right singular vectors;
    - ``Ŵ_l V_{l-1} = U_l P_l``, polar: ``U_l (C_l, k_ω)`` has orthonormal columns, ``P_l > 0``;
    - ``D_l U_l = V_l Q_l``, polar: ``V_l (C_l, k_ω)`` has orthonormal columns, ``0 < Q_l <= 1``.

    The pooling stands between V_l and the next layer, as the number m_ω: ``Ĵ_ω V_0 = m_ω^{L-1} U_L P_L Q_{L-1} P_{L-1}
    ⋯ Q_1 P_1``. Its sign moves nothing, so that the target is ``|m_ω|^{-1}`` for negative m_ω too. The products
    ``U_l V_{l-1}^*`` do not depend on the basis V_0.

    Parameters
    ----------
    net : CyclicCNN
        Not strided.
    x : array (C_0, *grid)
        x̄, constant; no hidden pre-activation may be 0 there (unless the activation is the identity).
    rank_tolerance : float
        Singular values of ``Ĵ_ω`` up to this share of the largest of all frequencies count as 0. The inequality holds
        whatever it is: with fewer directions it is that of ``Ĵ_ω`` on the directions kept.

    Returns
    -------
    BottleneckGap
        ``.layers.sum() <= .bound``; ``.ranks``, ``.U``, ``.V``, ``.P``, ``.Q``.

    Raises
    ------
    ArgumentError
        For what is no network, strides, an image that is not constant, or one at a kink.

    Notes
    -----
    Proof: ``‖Ŵ - |m|^{-1} U V^*‖² = ‖Ŵ‖² - 2|m|^{-1} tr P + k/m²``, ``|m| tr P >= k + log det(|m| P)``, and
    ``Σ_l log det P_l >= log|Ĵ|_+ - (L-1) k log|m|`` because ``det Q_l <= 1``. So all but few layers have k_ω
    singular values near ``1/|m_ω|`` and the others near 0. Source: theory, section 4, T5.

    Examples
    --------
    The identity, made of identities at depth 3, is its own bottleneck:

    >>> import numpy as np
    >>> net = CyclicCNN([np.eye(1, 4).reshape(1, 4, 1)] * 3)
    >>> gap = bottleneck_gap(net, np.ones((1, 4)))
    >>> bool(np.isclose(gap.layers.sum(), 0.0)), gap.ranks
    (True, array([1, 1, 1, 1]))
    """
    check_cyclic(net)
    image = check_one_image(net, x)
    tolerance = check_number("rank_tolerance", rank_tolerance, minimum=0.0, maximum=1.0)
    slopes = net.constant_slopes(image)
    _, s, vh = symmetric_svd(net.jacobian_blocks(image))
    keep = counted(s, tolerance)
    ranks = keep.sum(axis=-1)
    u, v, p, q = _polar_chain(net, slopes, vh, ranks)
    m = np.abs(net.pooling).ravel()
    targets = [left @ _adjoint(right) / m[:, None, None] for left, right in zip(u, v, strict=True)]
    blocks = [layer.blocks.reshape(len(m), *layer.blocks.shape[-2:]) for layer in net.layers]
    distances = np.stack([_square(w - t) for w, t in zip(blocks, targets, strict=True)])
    volumes = np.log(np.where(keep, s, 1.0)).sum(axis=-1)
    total = net.norm() - net.depth * float((ranks / m**2).sum())
    return BottleneckGap(
        total=total,
        bound=total - 2.0 * float(((volumes + ranks * np.log(m)) / m**2).sum()),
        weights=distances.sum(axis=1),
        biases=net.n_pixels * np.array([float((b**2).sum()) for b in net.biases]),
        frequencies=distances.reshape(-1, *net.grid),
        ranks=ranks.reshape(net.grid),
        log_volumes=volumes.reshape(net.grid),
        U=tuple(a.reshape(*net.grid, *a.shape[1:]) for a in u),
        V=tuple(a.reshape(*net.grid, *a.shape[1:]) for a in v),
        P=tuple(a.reshape(*net.grid, *a.shape[1:]) for a in p),
        Q=tuple(a.reshape(*net.grid, *a.shape[1:]) for a in q),
    )


def _polar_chain(
    net: CyclicCNN, slopes: list[Floats], vh: Complexes, ranks: NDArray[np.int64]
) -> tuple[list[Complexes], list[Complexes], list[Complexes], list[Complexes]]:
    """U, V, P, Q over flat frequencies; frequencies of one rank together, one of each conjugate pair."""
    n, r = len(ranks), int(ranks.max())
    mirror = conjugate_places(net.grid)
    u = [np.zeros((n, c, r), dtype=np.complex128) for c in net.widths[1:]]
    v = [np.zeros((n, c, r), dtype=np.complex128) for c in net.widths[:-1]]
    p = [np.zeros((n, r, r), dtype=np.complex128) for _ in net.weights]
    q = [np.zeros((n, r, r), dtype=np.complex128) for _ in slopes]
    for k in np.unique(ranks[ranks > 0]):
        at = np.flatnonzero((ranks == k) & (np.arange(n) <= mirror))
        basis = _adjoint(vh[at, :k])
        for i, layer in enumerate(net.layers):
            v[i][at, :, :k] = basis
            hat = layer.blocks.reshape(n, *layer.blocks.shape[-2:])[at]
            basis, factor = _polar(hat @ basis)
            u[i][at, :, :k], p[i][at, :k, :k] = basis, factor
            if i < len(slopes):
                basis, factor = _polar(slopes[i][:, None] * basis)
                q[i][at, :k, :k] = factor
    second = mirror < np.arange(n)
    for factors in (*u, *v, *p, *q):
        factors[second] = factors[mirror[second]].conj()
    return u, v, p, q


def _polar(a: Complexes) -> tuple[Complexes, Complexes]:
    """``A = U P``: orthonormal columns, positive semidefinite; on the last two axes."""
    x, s, yh = np.linalg.svd(a, full_matrices=False)
    return x @ yh, _adjoint(yh) @ (s[..., None] * yh)


def _adjoint(a: Complexes) -> Complexes:
    return a.conj().swapaxes(-1, -2)


def _square(a: Complexes) -> Floats:
    return np.asarray((a.real**2 + a.imag**2).sum(axis=(-2, -1)))
