r"""A linear map that a ReLU network represents at less cost than any linear network: a code that winds.

Five pixels, pooling ``m = (1, m_1, m_2)``, f the projection on frequencies ±2. Its one complex coordinate
``z = x̂_2`` turns by ``ρ^{-2p}`` under a shift by p, ``ρ = e^{2πi/5}``. The bound by the Jacobian at constant images is
``‖θ‖² ≥ L Σ_{±2} |m_2|^{-2(L-1)/L}``, about ``2L/m_2²``. It needs that no pre-activation vanishes there, and without
this condition it is false:

* ``w ~ z³/|z|²`` turns by ``ρ^{-6p} = ρ^{-p}``: it may live at frequencies ±1;
* ``v ~ z⁵/|z|⁴`` does not turn: its two parts may live at DC;
* the angles 3θ and 5θ together determine θ, so nothing is lost.

Both are taken linear between 30 rays, ``θ_j = 2πj/30``: w runs through 10 rays three times, v through 6 rays five
times. With the hats ``H_j(z)`` of the rays (1 on ray j, 0 on all others, ``z = Σ_j H_j(z) e^{iθ_j}``), ``w = Σ H_j
e^{3iθ_j}``, ``v = Σ H_j e^{5iθ_j}``, and h finds the hats again as ``H_j = min(A_{j mod 10}(w), B_{j mod 6}(v))``, A
and B the hats of the rays of w and v: on the sector of rays i and i+1 only ``j = i, i+1`` have both positive, since ``j
≡ i mod 10`` and ``j ≡ i+1 mod 6`` differ in parity. The hats are ``σ(σ(l) - σ(l - l'))`` for two linear forms, so that
g has 3 layers, h has 4, both without bias, and f is exact. The bottleneck costs ``2/m_1² + 2`` a layer instead of
``2/m_2²`` [theory, section 4, the caveat; the codes as piecewise linear maps and h are new].
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lineardyn.errors import ArgumentError
from lineardyn.validation import check_count, check_number
from proofs_check.cbn.construction import Bottleneck, build_bottleneck
from proofs_check.cbn.network import CyclicCNN
from proofs_check.cbn.pooling import check_pooling
from proofs_check.cbn.spectrum import filters_of_blocks

__all__ = ["WindingCode", "winding_code"]

Floats = NDArray[np.float64]
Complexes = NDArray[np.complex128]

_PIXELS, _RAYS, _W, _V = 5, 30, 10, 6
_PARTS = 6
"""Channels of hats: channel b at pixel p is the hat of ray ``b - 12p``, all 30 of them once."""


@dataclass(frozen=True)
class WindingCode:
    """``h∘g`` = projection on ±2 of five pixels, through frequencies 0 (two dimensions) and ±1 (one each).

    ``inner`` g and ``outer`` h; ``cost_per_layer`` ``2/m_1² + 2`` against ``linear_cost`` ``2/m_2²``.
    """

    inner: CyclicCNN
    outer: CyclicCNN
    cost_per_layer: float
    linear_cost: float

    def build(self, depth: int, *, radius: float = 1.0) -> Bottleneck:
        """The network of ``depth`` layers, exact for ``‖x‖ ≤ radius``: :func:`build_bottleneck`."""
        check_number("radius", radius, minimum=0.0, strict=True)
        # ‖g(x)‖² = (2/5)|w|² + (1/5)|v|² ≤ (3/5)|z|², and |z|² ≤ (5/2) ‖x‖²
        return build_bottleneck(self.inner, self.outer, depth=depth, radius=radius, inner_bound=np.sqrt(1.5) * radius)

    def linear_norm(self, depth: int) -> float:
        """``2 L |m_2|^{-2(L-1)/L}``: the cheapest linear network, and the bound at images without a kink."""
        layers = check_count("depth", depth)
        return float(2.0 * layers * (self.linear_cost / 2.0) ** ((layers - 1) / layers))


def winding_code(pooling: ArrayLike = (1.0, 0.9, 0.5, 0.5, 0.9)) -> WindingCode:
    r"""g and h of the code for the eigenvalues ``(1, m_1, m_2, m_2, m_1)`` of the pooling.

    Raises
    ------
    ArgumentError
        For a pooling that is not one of five pixels, or that leaves the linear network cheaper.

    Notes
    -----
    Checked in the tests by brute force: f is exact to round-off, and for m = (1, .9, .5) and L = 1000 the network has
    ``‖θ‖² = 6295`` where no linear network has less than 7989 (radius 3); the lines cross at L = 521 (radius 0.1:
    L = 400; with m_2 = .1 L = 45). The pre-activations of the hats vanish at every constant image, which is what the
    bound excludes.

    Examples
    --------
    >>> code = winding_code()
    >>> round(code.cost_per_layer, 3), code.linear_cost
    (4.469, 8.0)
    >>> deep = code.build(1000)
    >>> deep.network.norm() < code.linear_norm(1000), deep.ranks.tolist()
    (True, [2, 1, 0, 0, 1])
    """
    m = check_pooling(pooling, (_PIXELS,))
    cost, linear = 2.0 / m[1] ** 2 + 2.0, 2.0 / m[2] ** 2
    if cost >= linear:
        raise ArgumentError(
            f"pooling has m_1 = {m[1]:g}, m_2 = {m[2]:g}, expected 2/m_1² + 2 < 2/m_2²: the code costs {cost:.3g} a "
            f"layer, the linear network {linear:.3g}"
        )
    return WindingCode(_network(_inner_blocks(), m), _network(_outer_blocks(), m), float(cost), float(linear))


def _network(layers: list[Complexes], m: Floats) -> CyclicCNN:
    """Each layer but the first undoes the pooling before it."""
    undone = [layers[0], *(blocks / m[:, None, None] for blocks in layers[1:])]
    return CyclicCNN([filters_of_blocks(blocks) for blocks in undone], pooling=m)


def _forms(rays: int, j: int) -> tuple[complex, complex]:
    """c, c' with ``l = Im(c z)``, ``l - l' = Im(c' z)``: l is 0 on ray j-1, l' on ray j+1, both are 1 on ray j."""
    step = 2.0 * np.pi / rays
    turn = np.exp(-1j * step * j)
    return complex(turn * np.exp(1j * step) / np.sin(step)), complex(2.0 * np.cos(step) * turn / np.sin(step))


def _hats(count: int) -> Complexes:
    """``σ(l) - σ(l - l')`` of ``count`` pairs of channels, the same at every frequency."""
    return np.broadcast_to(np.kron(np.eye(count), [[1.0, -1.0]]), (_PIXELS, count, 2 * count)).astype(np.complex128)


def _read(blocks: Complexes, frequency: int, channel: int, form: complex, column: int) -> None:
    """Channel ``Im(c z e^{2πi ω p/5})`` at pixel p, from the channel whose transform at ω is z."""
    value = _PIXELS * form / 2j
    blocks[frequency, channel, column], blocks[-frequency, channel, column] = value, np.conj(value)


def _inner_blocks() -> list[Complexes]:
    """x to the hats of z, to w at ±1 and v at DC."""
    forms = np.zeros((_PIXELS, 2 * _PARTS, 1), dtype=np.complex128)
    code = np.zeros((_PIXELS, 3, _PARTS), dtype=np.complex128)
    for b in range(_PARTS):
        for k, form in enumerate(_forms(_RAYS, b)):
            _read(forms, 2, 2 * b + k, form, 0)
        angle = 2.0 * np.pi * b / _RAYS
        code[1, 0, b], code[-1, 0, b] = np.exp(3j * angle), np.exp(-3j * angle)
        code[0, 1, b], code[0, 2, b] = np.cos(5 * angle), np.sin(5 * angle)
    return [forms, _hats(_PARTS), code]


def _outer_blocks() -> list[Complexes]:
    """w and v to their hats A and B, to ``min(A, B) = A - σ(A - B)``, to z at ±2."""
    forms = np.zeros((_PIXELS, 2 * (2 + _V), 3), dtype=np.complex128)
    for c in range(2):  # channel c at pixel q is the hat of ray c - 2q of w
        for k, form in enumerate(_forms(_W, c)):
            _read(forms, 1, 2 * c + k, form, 0)
    for b in range(_V):  # the same at all pixels, where v/5 is what the channels hold
        for k, form in enumerate(_forms(_V, b)):
            forms[0, 4 + 2 * b + k, 1:] = _PIXELS * form.imag, _PIXELS * form.real
    minima = np.zeros((2 + _V, 2 + _V))
    minima[[0, 1], [0, 1]] = 1.0
    result = np.zeros((_PIXELS, 1, 2 + _V), dtype=np.complex128)
    for b in range(_V):
        minima[2 + b, [b % 2, 2 + b]] = 1.0, -1.0
        ray = b - 12 * (b // 2)  # at pixel q: j = b - 12(q + b//2), the ray with j ≡ b mod 6 and j ≡ b%2 - 2q mod 10
        turn = np.exp(2j * np.pi * ray / _RAYS)
        result[2, 0, [b % 2, 2 + b]] += np.array([turn, -turn])
    result[-2] = result[2].conj()
    pointwise = np.broadcast_to(minima, (_PIXELS, *minima.shape)).astype(np.complex128)
    return [forms, _hats(2 + _V), pointwise, result]
