r"""T6: gradient descent with a large step stays only where the activations are bounded.

With ``J = ∂f/∂θ`` on filter parameters, ``Tr Θ(x, x) = ‖J(x)‖_F²``, and the regression loss ``(1/N) Σ ‖f(x) - y‖²``::

    stable with step η  ⇒  λ_max(H) ≤ 2/η,         Tr H = (2/N) Σ_x Tr Θ(x, x)
    Σ_{l≥2} ‖α_{l-1}‖² ‖B_l (F_0 ⊗ I)‖_F² ≤ Tr Θ(x, x)            (ReLU and nonnegative pooling)

[theory, section 4, T6; Wen & Jacot, reconstructed: the paper's own formula was not available].
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lineardyn.validation import Rng, check_number
from proofs_check.cbn.curvature import check_data, loss_factor, sharpness
from proofs_check.cbn.network import CyclicCNN

__all__ = ["ActivationBound", "activation_bound"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class ActivationBound:
    r"""What stability at a learning rate says, and what there is.

    Attributes
    ----------
    sharpness : float
        ``λ_max`` of the Hessian of the loss.
    limit : float
        ``2/η``: gradient descent with step η leaves a minimum whose sharpness is larger.
    traces : array (N,)
        ``Tr Θ(x, x)`` of each image, weights and biases.
    hessian_trace : float
        ``Tr H``: ``(2/N) Σ Tr Θ`` for the regression loss, ``(1/N) Σ Tr Θ`` for the flow loss.
    trace_limit : float
        ``r · 2/η``, above ``Tr H`` at zero loss if stable; ``r = min(N n C_L, parameters)`` bounds the rank of H there.
    activations : array (N,) or None
        ``Σ_{l≥2} ‖α_{l-1}‖² ‖B_l (F_0 ⊗ I)‖_F²``, at most ``traces``; ``None`` unless ReLU with nonnegative pooling.
    """

    sharpness: float
    limit: float
    traces: Floats
    hessian_trace: float
    trace_limit: float
    activations: Floats | None

    @property
    def stable(self) -> bool:
        """Whether ``λ_max <= 2/η``."""
        return self.sharpness <= self.limit


def activation_bound(
    net: CyclicCNN, data: Sequence[ArrayLike], learning_rate: float, *, loss: str = "regression", rng: Rng = 0
) -> ActivationBound:
    r"""Sharpness against ``2/η``, traces of the tangent kernel, and the sum of activations that they bound.

    ``Tr H = (2/N) Σ Tr Θ`` for the loss ``(1/N) Σ ‖f - y‖²`` (``(1/N) Σ Tr Θ`` for ``½⟨‖y - f‖²⟩``), so that at zero
    loss, where H is positive of rank ``r <= N n C_L``, a stable step η gives ``(2/N) Σ Tr Θ <= 2r/η``, and with it
    bounds ``Σ_{l≥2} ‖α_{l-1}‖² ‖B_l (F_0 ⊗ I)‖_F²``.

    Parameters
    ----------
    net : CyclicCNN
    data : (images, targets)
        ``(N, C_0, *grid)`` and ``(N, C_L, *grid)``.
    learning_rate : float
        η, of plain gradient descent on the filter parameters.
    loss : {"regression", "flow"}
        The loss that is descended: ``(1/N) Σ ‖f - y‖²``, or half of it.
    rng : int or Generator
        Start of the iteration for ``λ_max``.

    Raises
    ------
    ArgumentError
        For data of another shape, or a learning rate that is not positive.

    Notes
    -----
    f is linear in the parameters of one layer while no pre-activation crosses 0, so the diagonal of its second
    derivative vanishes: the identity for ``Tr H`` holds at any loss, not only at zero, away from kinks. Source: theory,
    section 4, T6.

    Examples
    --------
    >>> import numpy as np
    >>> net = CyclicCNN.random((4,), (1, 3, 1), rng=1, bias_scale=0.1)
    >>> x = np.random.default_rng(0).standard_normal((2, 1, 4))
    >>> bound = activation_bound(net, (x, net(x)), 0.1)
    >>> bool((bound.activations <= bound.traces).all()), bool(bound.sharpness <= bound.hessian_trace)
    (True, True)
    """
    images, _ = check_data(net, data)
    eta = check_number("learning_rate", learning_rate, minimum=0.0, strict=True)
    top = sharpness(net, data, loss=loss, rng=rng)
    traces = net.ntk_trace(images).total
    rank = min(len(images) * net.widths[-1] * net.n_pixels, net.parameters().size)
    return ActivationBound(
        sharpness=top,
        limit=2.0 / eta,
        traces=traces,
        hessian_trace=float(loss_factor(loss, len(images)) * traces.sum()),
        trace_limit=2.0 * rank / eta,
        activations=_activation_sums(net, images) if net.slope == 0.0 and _nonnegative(net) else None,
    )


def _activation_sums(net: CyclicCNN, images: Floats) -> Floats:
    """``Σ_{l≥2} ‖α_{l-1}‖² ‖B_l (F_0 ⊗ I)‖_F²`` of each image; F_0 is ``1/√n`` on the pixels of the layer's filter."""
    before, read = net.forward(images)
    pixels = tuple(range(-len(net.grid), 0))
    total = np.zeros(len(images))
    for layer, alpha, jacobian in zip(net.layers[1:], read[1:], net.output_jacobians(before)[1:], strict=True):
        constant = (jacobian.sum(axis=pixels) ** 2).sum(axis=(-2, -1)) / math.prod(layer.grid)
        total += (alpha.reshape(len(alpha), -1) ** 2).sum(axis=1) * constant
    return total


def _nonnegative(net: CyclicCNN) -> bool:
    """Whether the filter of M has no negative entry, up to round-off."""
    return bool(net.pool.kernel.min() >= -1e-14)
