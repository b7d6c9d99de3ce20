r"""The same function with more layers: identities ``Ŵ_ω = m_ω^{-1} I`` in the middle of a network.

After ``α_l = M σ(z_l)`` such a layer computes ``z_{l+1} = M^{-1} α_l = σ(z_l)``, and ``σ(σ(z)) = σ(z)`` for the ReLU
and for the identity: ``α_{l+1} = α_l`` [theory, section 4; new].
"""

from __future__ import annotations

import numpy as np

from lineardyn.errors import ArgumentError
from lineardyn.validation import check_count, shown
from proofs_check.cbn.network import CyclicCNN
from proofs_check.cbn.spectrum import filters_of_blocks

__all__ = ["deepen"]


def deepen(network: CyclicCNN, depth: int, *, after: int | None = None) -> CyclicCNN:
    r"""Equal to ``network`` everywhere, with ``depth`` layers: where the training of a deeper network may start.

    Each new layer costs ``C_l Σ_ω |m_ω|^{-2}`` in ``‖θ‖²``: weight decay then takes what is not used.

    Parameters
    ----------
    network : CyclicCNN
        With at least two layers, and the ReLU or no activation (slope 0 or 1).
    depth : int
        At least that of the network.
    after : int, optional
        The layer l, 1 to L-1, after which the new ones come; the middle unless given.

    Raises
    ------
    ArgumentError
        For what is no such network, a smaller depth, or a layer that is not there.

    Examples
    --------
    >>> import numpy as np
    >>> net = CyclicCNN.random((4,), (1, 3, 1), rng=0, bias_scale=1.0)
    >>> x = np.ones((1, 4))
    >>> deepen(net, 10).depth, bool(np.allclose(deepen(net, 10)(x), net(x)))
    (10, True)
    """
    if not isinstance(network, CyclicCNN):
        raise ArgumentError(f"network is {shown(network)}, expected a CyclicCNN")
    layers, own = check_count("depth", depth), network.depth
    if layers < own:
        raise ArgumentError(f"depth is {layers}, expected at least {own}: the layers that the network has")
    if own < 2:
        raise ArgumentError("network has one layer, expected a hidden layer after which others can come")
    if network.slope not in (0.0, 1.0):
        raise ArgumentError(
            f"network has slope {network.slope:g}, expected 0 or 1: σ(σ(z)) is σ(z) for the ReLU and the identity alone"
        )
    place = own // 2 if after is None else check_count("after", after)
    if place >= own:
        raise ArgumentError(f"after is {place}, expected 1..{own - 1}: a layer that another follows")
    channels, more = network.widths[place], layers - own
    identity = filters_of_blocks(np.eye(channels) / network.pooling[..., None, None])
    return CyclicCNN(
        [*network.weights[:place], *[identity] * more, *network.weights[place:]],
        [*network.biases[:place], *[np.zeros(channels)] * more, *network.biases[place:]],
        pooling=network.pooling,
        slope=network.slope,
        strides=None if network.strides[0] == 1 else (*network.strides[:-1], *[1] * more, network.strides[-1]),
    )
