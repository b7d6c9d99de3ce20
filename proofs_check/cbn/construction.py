r"""A network of any depth through a bottleneck: the upper bound ``R ≤ L Σ_ω |m_ω|^{-2} k_ω + const``.

For ``f = h∘g`` the layers between the last of g and the first of h are identities of the bottleneck,
``Ŵ_ω = m_ω^{-1} P_{V_ω}`` with ``V_ω = span{ĝ(x)_ω}`` of dimension ``k_ω``: each costs ``Σ_ω |m_ω|^{-2} k_ω``. They must
not meet the kink of the activation. If ``k_0 ≥ 1``, a constant offset rides on a dimension of DC for nothing; if
``k_0 = 0`` either one dimension of DC is added (1 a layer) or each layer sets its own offset by a bias, with the signal
of layer l scaled by ``1/min(l, L-l)``, so that ``Σ n‖b_l‖²`` and ``Σ_l (a_l/a_{l-1})² - 1`` stay bounded
[theory, section 4; Wen & Jacot, reconstructed: the paper's own formulas were not available].
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lineardyn.errors import ArgumentError
from lineardyn.validation import check_choice, check_count, check_finite, check_number, shown
from proofs_check.cbn.arguments import check_slope
from proofs_check.cbn.network import CyclicCNN
from proofs_check.cbn.pooling import check_pooling, reflect

__all__ = ["Bottleneck", "as_network", "build_bottleneck", "filters_of_blocks"]

Floats = NDArray[np.float64]
Complexes = NDArray[np.complex128]

POSITIVITY = ("auto", "dc", "biases")
_REAL = 1e-12
"""How far from conjugate-symmetric: blocks that were computed as a transform are so to a few roundings."""


@dataclass(frozen=True)
class Bottleneck:
    """A network equal to ``h∘g`` for ``‖x‖ ≤ radius``, and what its bottleneck costs.

    Attributes
    ----------
    network
        The :class:`CyclicCNN`.
    ranks
        ``k_ω`` of the identity layers, shape ``grid``; an added dimension of DC is counted.
    cost_per_layer
        ``Σ_ω |m_ω|^{-2} k_ω``: what one layer more costs.
    intercept
        ``‖θ‖² - L · cost_per_layer`` (operator convention): bounded in L.
    positivity
        How the bottleneck avoids the kink: ``"dc"``, ``"biases"`` or, for the identity activation, ``"none"``.
    amplitudes
        Scale ``a_l`` of the signal in the layers of the bottleneck.
    radius
        Of the ball ``‖x‖ ≤ radius`` (Euclidean, over channels and pixels) on which the network equals ``h∘g``.
    """

    network: CyclicCNN
    ranks: NDArray[np.int64]
    cost_per_layer: float
    intercept: float
    positivity: str
    amplitudes: Floats
    radius: float


@dataclass(frozen=True)
class _Joint:
    """``left_ω right_ω = B_ω``, the product of the last filter of g and the first of h, through ``C`` channels."""

    left: Complexes
    right: Complexes
    projection: Complexes
    offset: Floats
    bias: Floats


def build_bottleneck(
    inner: CyclicCNN | ArrayLike,
    outer: CyclicCNN | ArrayLike,
    *,
    depth: int,
    radius: float = 1.0,
    pooling: ArrayLike | None = None,
    slope: float | None = None,
    positivity: str = "auto",
    tol: float = 1e-12,
) -> Bottleneck:
    r"""``f = h∘g`` as a network of ``depth`` layers with ``‖θ‖² = L Σ_ω |m_ω|^{-2} k_ω + bounded``.

    The last filter of g and the first of h are replaced by the balanced factors of their product
    ``B_ω = Ŵ^h_{1,ω} Ŵ^g_{last,ω} = U S V^*``, so that ``k_ω = rank B_ω``, at most the ranks of g and of h.

    Parameters
    ----------
    inner, outer : CyclicCNN or array_like
        g and h; a linear map by its blocks ``(*grid, C_out, C_in)``, the unnormalised DFT of its filter.
    depth : int
        L, at least the depths of g and h together.
    radius : float
        f is reproduced for ``‖x‖ ≤ radius``.
    pooling : array_like, optional
        ``m_ω``; that of the networks, if one is given (they must agree); ones if not.
    slope : float, optional
        Of the activation below zero; that of the networks, if one is given; 0 (ReLU) if not.
    positivity : {"auto", "dc", "biases"}
        How the identity layers avoid the kink where ``k_0 = 0``: one dimension of DC more, costing 1 a layer, or
        biases; "auto" takes the cheaper of both at this depth. Where ``k_0 ≥ 1`` it is always "dc" and costs nothing.
    tol : float
        Singular values of B below ``tol`` times the largest are dropped.

    Raises
    ------
    ArgumentError
        For maps that do not chain, of different grids, poolings or slopes, or a depth that is too small.

    Notes
    -----
    Source: theory, section 4 (the upper bound by construction). The offset is large enough for every x in the ball, by
    the operator norms of the layers of g: no sample is looked at.

    Examples
    --------
    The projection on frequencies 0, ±1 of 8 pixels, with local pooling:

    >>> from proofs_check.cbn.pooling import pooling_eigenvalues
    >>> m = pooling_eigenvalues((8,), "local", 0.3)
    >>> blocks = np.zeros((8, 1, 1))
    >>> blocks[[0, 1, 7]] = 1.0
    >>> short, long = (build_bottleneck(blocks, blocks, depth=L, pooling=m) for L in (5, 160))
    >>> round(long.cost_per_layer, 3), bool(abs(long.intercept - short.intercept) < 1e-9)
    (3.404, True)
    """
    g, h, m, a = _checked(inner, outer, pooling, slope)
    layers = check_count("depth", depth)
    if layers < g.depth + h.depth:
        raise ArgumentError(
            f"depth is {depth}, expected at least {g.depth + h.depth}: {g.depth} layers of inner and {h.depth} of outer"
        )
    rho = check_number("radius", radius, minimum=0.0, strict=True)
    choice = check_choice("positivity", positivity, POSITIVITY)
    cut = check_number("tol", tol, minimum=0.0, maximum=0.5)
    product = h.operator_blocks()[0] @ g.operator_blocks()[-1]
    reach = _reach(g, rho)
    kinds = ("dc", "biases") if choice == "auto" else (choice,)
    built = [_assemble(g, h, product, reach, layers, kind, cut, rho) for kind in kinds]
    return min(built, key=lambda b: b.network.norm())


def _checked(
    inner: CyclicCNN | ArrayLike, outer: CyclicCNN | ArrayLike, pooling: ArrayLike | None, slope: float | None
) -> tuple[CyclicCNN, CyclicCNN, Floats, float]:
    """g and h as networks of one grid, pooling and slope."""
    given = [net for net in (inner, outer) if isinstance(net, CyclicCNN)]
    m = given[0].pooling if given and pooling is None else pooling
    a = check_slope(0.0 if slope is None and not given else given[0].slope if slope is None else slope)
    g, h = as_network(inner, name="inner", pooling=m, slope=a), as_network(outer, name="outer", pooling=m, slope=a)
    if g.grid != h.grid:
        raise ArgumentError(f"outer has grid {h.grid}, expected {g.grid}: the pixels of inner")
    if g.widths[-1] != h.widths[0]:
        raise ArgumentError(f"outer takes {h.widths[0]} channels, expected {g.widths[-1]}: as many as inner gives")
    eigenvalues = check_pooling(m, g.grid)
    for name, net in (("inner", g), ("outer", h)):
        if net.strides[0] != 1:
            raise ArgumentError(f"{name} is strided, expected a network with all layers on the grid {g.grid}")
        if net.slope != a:
            raise ArgumentError(f"{name} has slope {net.slope:g}, expected {a:g}: one activation for all layers")
        if not np.array_equal(net.pooling, eigenvalues):
            raise ArgumentError(f"{name} has another pooling, expected one pooling for all layers")
    return g, h, eigenvalues, a


def as_network(
    value: CyclicCNN | ArrayLike, *, name: str = "blocks", pooling: ArrayLike | None = None, slope: float = 0.0
) -> CyclicCNN:
    """A network as it is, or the network of one layer of the blocks ``(*grid, C_out, C_in)``."""
    if isinstance(value, CyclicCNN):
        return value
    try:
        blocks = np.asarray(value, dtype=np.complex128)
    except (TypeError, ValueError):
        raise ArgumentError(f"{name} is {shown(value)}, expected a CyclicCNN or blocks (*grid, C_out, C_in)") from None
    if blocks.ndim not in (3, 4) or 0 in blocks.shape:
        raise ArgumentError(
            f"{name} has shape {blocks.shape}, expected (n, C_out, C_in) or (H, W, C_out, C_in), none of them 0"
        )
    check_finite(name, blocks)
    odd = float(np.abs(blocks - reflect(blocks, range(blocks.ndim - 2)).conj()).max())
    if odd > _REAL * float(np.abs(blocks).max()):
        raise ArgumentError(
            f"{name} differs by {odd:.2g} from its conjugate at -ω, expected blocks[-ω] = conj(blocks[ω]): the "
            f"unnormalised DFT of a real filter"
        )
    return CyclicCNN([filters_of_blocks(blocks)], pooling=pooling, slope=slope)


def filters_of_blocks(blocks: NDArray[np.complex128] | Floats) -> Floats:
    """The real filter ``(C_out, *grid, C_in)`` whose unnormalised DFT is ``blocks (*grid, C_out, C_in)``."""
    pixels = np.fft.ifftn(blocks, axes=tuple(range(blocks.ndim - 2))).real
    return np.ascontiguousarray(np.moveaxis(pixels, -2, 0))


def _reach(g: CyclicCNN, radius: float) -> float:
    """A bound of ``‖α‖`` before the last layer of g over ``‖x‖ ≤ radius``: neither M nor the activation enlarges."""
    bound = radius
    for blocks, b in zip(g.operator_blocks()[:-1], g.biases[:-1], strict=True):
        largest = float(np.linalg.norm(blocks, ord=2, axis=(-2, -1)).max())
        bound = largest * bound + float(np.sqrt(g.n_pixels) * np.linalg.norm(b))
    return bound


def _assemble(
    g: CyclicCNN, h: CyclicCNN, product: Complexes, reach: float, depth: int, kind: str, tol: float, radius: float
) -> Bottleneck:
    """The network with one way to stay away from the kink."""
    m = g.pooling
    positive = "none" if g.slope == 1.0 else kind
    u, s, v, ranks = _singular(product, tol)
    if ranks.flat[0] and positive == "biases":
        positive = "dc"
    joint = _joint(u, s, v, ranks, positive, reach)
    if positive == "dc":
        ranks.flat[0] = max(1, int(ranks.flat[0]))
    cost = float((ranks / m**2).sum())
    scales = _amplitudes(joint, m, cost, depth - g.depth - h.depth + 1, positive)
    weights, biases = _identity_layers(joint, m, scales, positive)
    last = h.operator_blocks()[0][(0,) * len(g.grid)].real @ g.biases[-1] + h.biases[0] - joint.bias
    network = CyclicCNN(
        [*g.weights[:-1], *weights, *h.weights[1:]],
        [*g.biases[:-1], *biases, last, *h.biases[1:]],
        pooling=m,
        slope=g.slope,
    )
    return Bottleneck(network, ranks, cost, network.norm() - depth * cost, positive, scales, radius)


def _singular(product: Complexes, tol: float) -> tuple[Complexes, Floats, Complexes, NDArray[np.int64]]:
    """Singular vectors and values at each frequency, conjugate at conjugate ones, real where ω = -ω; their number."""
    grid = product.shape[:-2]
    flat = product.reshape(-1, *product.shape[-2:])
    partner = reflect(np.arange(len(flat)).reshape(grid), range(len(grid))).ravel()
    u, s, v = np.linalg.svd(flat, full_matrices=False)
    own = partner == np.arange(len(flat))
    u_real, _, v_real = np.linalg.svd(flat[own].real, full_matrices=False)
    u[own], v[own] = u_real, v_real
    for i in np.flatnonzero(partner < np.arange(len(flat))):
        u[i], s[i], v[i] = u[partner[i]].conj(), s[partner[i]], v[partner[i]].conj()
    s = np.where(s > tol * s.max(initial=0.0), s, 0.0)
    shape = (*grid, -1)
    ranks = np.asarray((s > 0.0).sum(axis=-1).reshape(grid), dtype=np.int64)
    return u.reshape(*grid, *u.shape[1:]), s.reshape(shape), v.reshape(*grid, *v.shape[1:]), ranks


def _joint(
    u: Complexes, s: Floats, v: Complexes, ranks: NDArray[np.int64], positive: str, reach: float
) -> _Joint:
    """Balanced factors through as few channels as the largest rank, with an offset that keeps the signal positive."""
    channels, grid = max(1, int(ranks.max())), ranks.shape
    dc = (0,) * len(grid)
    frames = np.zeros((*grid, channels, channels), dtype=np.complex128)
    frames[...] = np.eye(channels)
    if ranks[dc]:  # the offset must lie in V_0: its first direction has all channels alike
        frames[dc] = _frame(np.ones(channels))
    kept = np.arange(channels) < ranks[..., None]
    root = np.sqrt(s[..., :channels])
    left = (u[..., :channels] * root[..., None, :]) @ frames.conj().swapaxes(-1, -2)
    right = frames @ (root[..., None] * v[..., :channels, :])
    rows = np.sqrt((filters_of_blocks(right) ** 2).sum(axis=tuple(range(1, len(grid) + 2))))
    offset = reach * (np.full(channels, rows.max()) if ranks[dc] else rows)
    if positive == "none":
        offset = np.zeros(channels)
    if positive == "dc" and not ranks[dc]:
        frames[dc] = _frame(rows if rows.any() else np.ones(channels))
        kept[dc] = np.arange(channels) < 1
    projection = (frames * kept[..., None, :]) @ frames.conj().swapaxes(-1, -2)
    return _Joint(left, right, projection, offset, left[dc].real @ offset)


def _frame(direction: Floats) -> Floats:
    """An orthonormal basis, in columns, whose first vector is along ``direction``."""
    basis, _ = np.linalg.qr(np.column_stack([direction, np.eye(len(direction))]))
    frame: Floats = basis * np.where(np.arange(len(direction)) == 0, np.sign(basis[:, 0] @ direction), 1.0)
    return frame


def _amplitudes(joint: _Joint, m: Floats, cost: float, count: int, positive: str) -> Floats:
    """``a_l = a / min(l, L'-l)`` where biases set the offsets, else constant; the one factor a is the cheapest."""
    places = np.arange(count)
    shape = 1.0 / np.minimum(places + 1, count - places) if positive == "biases" else np.ones(count)
    n = m.size
    offsets = shape**2 if positive == "biases" else shape[:1] ** 2
    first = float((np.abs(joint.right) ** 2).sum()) + n * float(joint.offset @ joint.offset) * float(offsets.sum())
    last = float((np.abs(joint.left) ** 2 / m[..., None, None] ** 2).sum())
    scale = (last / first) ** 0.25 if first > 0.0 and last > 0.0 else 1.0
    return scale * shape


def _identity_layers(joint: _Joint, m: Floats, scales: Floats, positive: str) -> tuple[list[Floats], list[Floats]]:
    """From the last layer of g to the first of h: their filters, and the biases of all but the last."""
    identity = filters_of_blocks(joint.projection / m[..., None, None])
    weights = [filters_of_blocks(scales[0] * joint.right)]
    biases = [scales[0] * joint.offset]
    for before, scale in zip(scales[:-1], scales[1:], strict=True):
        weights.append(scale / before * identity)
        biases.append(scale * joint.offset if positive == "biases" else np.zeros(len(joint.offset)))
    weights.append(filters_of_blocks(joint.left / (scales[-1] * m[..., None, None])))
    return weights, biases
