r"""A network of any depth through a bottleneck: the upper bound ``R ≤ L Σ_ω |m_ω|^{-2} k_ω + const``.

For ``f = h∘g`` the layers between the last of g and the first of h are identities of the bottleneck,
``Ŵ_ω = m_ω^{-1} P_{V_ω}`` with ``V_ω = span{ĝ(x)_ω}`` of dimension ``k_ω``: each costs ``Σ_ω |m_ω|^{-2} k_ω``. They
must not meet the kink of the activation. If ``k_0 ≥ 1``, a constant offset rides on a dimension of DC for nothing; if
``k_0 = 0`` either one dimension of DC is added (1 a layer) or each layer sets its own offset by a bias, with the signal
of layer l scaled by ``1/min(l, L-l)``, so that ``Σ n‖b_l‖²`` and ``Σ_l (a_l/a_{l-1})² - 1`` stay bounded
[theory, section 4; Wen & Jacot, reconstructed: the paper's own formulas were not available].
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lineardyn.errors import ArgumentError
from lineardyn.validation import check_choice, check_count, check_finite, check_number, shown
from proofs_check.cbn.arguments import check_slope
from proofs_check.cbn.balancing import balance_layers
from proofs_check.cbn.network import CyclicCNN
from proofs_check.cbn.pooling import check_pooling, reflect
from proofs_check.cbn.spectrum import counted, filters_of_blocks, symmetric_svd

__all__ = ["Bottleneck", "as_network", "build_bottleneck"]

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
        Scale ``a_l`` of the signal in the layers of the bottleneck, up to one factor for all.
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
class _Request:
    """What was asked for besides the maps."""

    radius: float
    inner_bound: float | None


@dataclass(frozen=True)
class _Singular:
    """``B_ω = u s v`` and its ranks."""

    u: Complexes
    s: Floats
    v: Complexes
    ranks: NDArray[np.int64]


@dataclass(frozen=True)
class _Joint:
    """``left_ω right_ω = B_ω``, the product of the last filter of g and the first of h, through ``C`` channels.

    ``projection`` is ``P_{V_ω}``; ``offset (C,)`` is added to the signal, ``bias`` is what h then sees of it.
    """

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
    inner_bound: float | None = None,
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
    inner_bound : float, optional
        A bound of ``‖g(x) - b‖`` for ``‖x‖ ≤ radius``, b the bias of the last layer of g, if one is known that is
        better than the product of the operator norms of the layers: the offset, and with it the intercept, is smaller
        then. It is believed.
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
    g, h = _checked(inner, outer, pooling, slope)
    layers = check_count("depth", depth)
    if layers < g.depth + h.depth:
        raise ArgumentError(
            f"depth is {depth}, expected at least {g.depth + h.depth}: {g.depth} layers of inner and {h.depth} of outer"
        )
    rho = check_number("radius", radius, minimum=0.0, strict=True)
    choice = check_choice("positivity", positivity, POSITIVITY)
    cut = check_number("tol", tol, minimum=0.0, maximum=0.5)
    if inner_bound is not None:
        inner_bound = check_number("inner_bound", inner_bound, minimum=0.0)
    factors = _singular(h.operator_blocks()[0] @ g.operator_blocks()[-1], cut)
    free = bool(factors.ranks.flat[0]) or g.slope == 1.0  # an offset costs nothing, or is not needed
    kinds = (choice,) if choice != "auto" else ("dc",) if free else ("dc", "biases")
    built = [_assemble(g, h, layers, kind, factors, _Request(rho, inner_bound)) for kind in kinds]
    return min(built, key=lambda b: b.intercept + layers * b.cost_per_layer)


def _checked(
    inner: CyclicCNN | ArrayLike, outer: CyclicCNN | ArrayLike, pooling: ArrayLike | None, slope: float | None
) -> tuple[CyclicCNN, CyclicCNN]:
    """g and h as networks of one grid, pooling and slope."""
    given = {k: net for k, net in {"inner": inner, "outer": outer}.items() if isinstance(net, CyclicCNN)}
    for name, net in given.items():
        if net.strides[0] != 1:
            raise ArgumentError(f"{name} is strided, expected a network with all layers on one grid")
    first = next(iter(given.values()), None)
    m = first.pooling if first is not None and pooling is None else pooling
    a = check_slope(slope if slope is not None else 0.0 if first is None else first.slope)
    g, h = as_network(inner, name="inner", pooling=m, slope=a), as_network(outer, name="outer", pooling=m, slope=a)
    if g.grid != h.grid:
        raise ArgumentError(f"outer has grid {h.grid}, expected {g.grid}: the pixels of inner")
    if g.widths[-1] != h.widths[0]:
        raise ArgumentError(f"outer takes {h.widths[0]} channels, expected {g.widths[-1]}: as many as inner gives")
    eigenvalues = check_pooling(m, g.grid)
    for name, net in given.items():
        if net.slope != a:
            raise ArgumentError(f"{name} has slope {net.slope:g}, expected {a:g}: one activation for all layers")
        if not np.array_equal(net.pooling, eigenvalues):
            raise ArgumentError(f"{name} has another pooling, expected one pooling for all layers")
    return g, h


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


def _reach(g: CyclicCNN, radius: float) -> float:
    """A bound of ``‖α‖`` before the last layer of g over ``‖x‖ ≤ radius``: neither M nor the activation enlarges."""
    bound = radius
    for blocks, b in zip(g.operator_blocks()[:-1], g.biases[:-1], strict=True):
        largest = float(np.linalg.norm(blocks, ord=2, axis=(-2, -1)).max())
        bound = largest * bound + float(np.sqrt(g.n_pixels) * np.linalg.norm(b))
    return bound


def _assemble(g: CyclicCNN, h: CyclicCNN, depth: int, kind: str, factors: _Singular, request: _Request) -> Bottleneck:
    """The network with one way to stay away from the kink; ``factors`` of h's first filter after g's last."""
    m = g.pooling
    positive = "none" if g.slope == 1.0 else kind
    ranks = factors.ranks.copy()
    if ranks.flat[0] and positive == "biases":
        positive = "dc"
    joint = _joint(factors, h.operator_blocks()[0], positive, _reach(g, request.radius), request.inner_bound)
    if positive == "dc":
        ranks.flat[0] = max(1, int(ranks.flat[0]))
    cost = float((ranks / m**2).sum())
    # the shortest network, every neuron at its cheapest scale; the channels of the bottleneck share theirs
    weights, biases = balance_layers(
        [*g.weights[:-1], filters_of_blocks(joint.right), filters_of_blocks(joint.left / _column(m)), *h.weights[1:]],
        [*g.biases[:-1], joint.offset, _first_bias(g, h) - joint.bias, *h.biases[1:]],
        together={g.depth},
    )
    end = g.depth
    scales = _amplitudes(weights[end - 1 : end + 1], biases[end - 1], depth - end - h.depth + 1, positive)
    identity = filters_of_blocks(joint.projection / _column(m))
    between = [scale / before * identity for before, scale in pairwise(scales)]
    offsets = [scale * biases[end - 1] * (positive == "biases") for scale in scales[1:]]
    network = CyclicCNN(
        [*weights[: end - 1], scales[0] * weights[end - 1], *between, weights[end] / scales[-1], *weights[end + 1 :]],
        [*biases[: end - 1], scales[0] * biases[end - 1], *offsets, *biases[end:]],
        pooling=m,
        slope=g.slope,
    )
    return Bottleneck(network, ranks, cost, network.norm() - depth * cost, positive, scales, request.radius)


def _column(m: Floats) -> Floats:
    """``m_ω`` beside blocks."""
    return m[..., None, None]


def _first_bias(g: CyclicCNN, h: CyclicCNN) -> Floats:
    """Of h after g, with the last bias of g moved into it."""
    return np.asarray(h.weights[0].sum(axis=tuple(range(1, len(h.grid) + 1))) @ g.biases[-1] + h.biases[0])


def _singular(product: Complexes, tol: float) -> _Singular:
    """``U S V`` at each frequency, conjugate at conjugate ones, real where ω = -ω; what is dropped is 0 in S."""
    grid = product.shape[:-2]
    u, s, v = symmetric_svd(product)
    s = np.where(counted(s, tol), s, 0.0)
    ranks = np.asarray((s > 0.0).sum(axis=-1).reshape(grid), dtype=np.int64)
    return _Singular(u.reshape(*grid, *u.shape[1:]), s.reshape(*grid, -1), v.reshape(*grid, *v.shape[1:]), ranks)


def _joint(factors: _Singular, first: Complexes, positive: str, reach: float, inner_bound: float | None) -> _Joint:
    """Balanced factors through as few channels as the largest rank, with an offset that keeps the signal positive."""
    ranks, s = factors.ranks, factors.s
    channels, grid = max(1, int(ranks.max())), ranks.shape
    dc = (0,) * len(grid)
    frames = np.zeros((*grid, channels, channels), dtype=np.complex128)
    frames[...] = np.eye(channels)
    if ranks[dc]:  # the offset must lie in V_0: its first direction has all channels alike
        frames[dc] = _frame(np.ones(channels))
    kept = np.arange(channels) < ranks[..., None]
    root, u = np.sqrt(s[..., :channels]), factors.u[..., :channels]
    left = (u * root[..., None, :]) @ frames.conj().swapaxes(-1, -2)
    right = frames @ (root[..., None] * factors.v[..., :channels, :])
    rows = reach * _row_norms(right)
    if inner_bound is not None:  # right α = read (g(x) - b)
        inverse = np.where(kept, 1.0 / np.where(kept, root, 1.0), 0.0)
        rows = np.minimum(
            rows, inner_bound * _row_norms(frames @ (inverse[..., None] * (u.conj().swapaxes(-1, -2) @ first)))
        )
    offset = np.full(channels, rows.max()) if ranks[dc] else rows
    if positive == "none":
        offset = np.zeros(channels)
    if positive == "dc" and not ranks[dc]:
        frames[dc] = _frame(rows if rows.any() else np.ones(channels))
        kept[dc] = np.arange(channels) < 1
    projection = (frames * kept[..., None, :]) @ frames.conj().swapaxes(-1, -2)
    return _Joint(left, right, projection, offset, left[dc].real @ offset)


def _row_norms(blocks: Complexes) -> Floats:
    """``sup |(W x)[c, i]|`` over ``‖x‖ ≤ 1``, the same at every pixel i: the norm of the filters of channel c."""
    filters = filters_of_blocks(blocks)
    return np.asarray(np.sqrt((filters**2).sum(axis=tuple(range(1, filters.ndim)))))


def _frame(direction: Floats) -> Floats:
    """An orthonormal basis, in columns, whose first vector is along ``direction``."""
    basis, _ = np.linalg.qr(np.column_stack([direction, np.eye(len(direction))]))
    return np.asarray(basis * np.where(np.arange(len(direction)) == 0, np.sign(basis[:, 0] @ direction), 1.0))


def _amplitudes(ends: list[Floats], offset: Floats, count: int, positive: str) -> Floats:
    """``a_l = a / min(l, L'-l)`` where biases set the offsets, else constant; the one factor a is the cheapest."""
    places = np.arange(count)
    shape = 1.0 / np.minimum(places + 1, count - places) if positive == "biases" else np.ones(count)
    offsets = shape if positive == "biases" else shape[:1]
    first = float((ends[0] ** 2).sum()) + float(offset @ offset) * float((offsets**2).sum())
    last = float((ends[1] ** 2).sum())
    return (last / first) ** 0.25 * shape if first > 0.0 and last > 0.0 else shape
