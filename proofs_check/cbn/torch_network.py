"""The cyclic network in PyTorch, float64, for training: dense operators gathered from the filters."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from lineardyn.errors import LineardynError
from proofs_check.cbn.network import CyclicCNN

__all__ = ["TorchCyclic", "import_torch"]

Floats = NDArray[np.float64]


def import_torch() -> Any:
    """The module, or an error that names the extra."""
    try:
        import torch
    except ImportError:
        raise LineardynError(
            "PyTorch is not installed, expected it to train a network: pip install 'lineardyn[torch]'"
        ) from None
    return torch


class TorchCyclic:
    """Parameters of a :class:`CyclicCNN` as tensors that require a gradient, and its function and norm.

    ``parameters`` is the flat list ``w_1, b_1, .., w_L, b_L``, each of the shape that it has in the network.
    """

    def __init__(self, network: CyclicCNN) -> None:
        torch = import_torch()
        self.network, self._torch = network, torch
        pairs = zip(network.weights, network.biases, strict=True)
        self.parameters = [torch.tensor(part, requires_grad=True) for pair in pairs for part in pair]
        self._places = [torch.as_tensor(_places(network, layer)) for layer in range(network.depth)]
        self._pooling = None if (network.pooling == 1.0).all() else torch.as_tensor(_matrix(network.pooling))
        self._copies = [float(np.prod(layer.coarse)) for layer in network.layers]
        self._pixels = [float(np.prod(layer.grid_out)) for layer in network.layers]

    def __call__(self, images: Any) -> tuple[Any, Any]:
        """``f(x)`` ``(N, C_L, n)`` of flattened images ``(N, C_0, n)``, and ``Σ_{l<L} ‖α_l‖²`` of each image."""
        hidden, size = images, images.new_zeros(len(images))
        for layer, places in enumerate(self._places):
            w, b = self.parameters[2 * layer : 2 * layer + 2]
            if layer > 0:
                hidden = self._torch.where(hidden > 0, hidden, self.network.slope * hidden)
                hidden = hidden if self._pooling is None else hidden @ self._pooling
                size = size + (hidden**2).sum(dim=(1, 2))
            # index_select: its gradient is far cheaper than that of fancy indexing
            flat = w.reshape(w.shape[0], -1, w.shape[-1]).index_select(1, places.ravel())
            flat = flat.reshape(w.shape[0], *places.shape, w.shape[-1])  # (o, i, j, c)
            matrix = flat.permute(0, 1, 3, 2).reshape(w.shape[0] * places.shape[0], -1)
            hidden = (hidden.flatten(1) @ matrix.T).reshape(len(images), w.shape[0], -1) + b[:, None]
        return hidden, size

    def squared_norm(self) -> Any:
        """``‖θ‖² = Σ_l (‖W_l‖_F² + n_l ‖b_l‖²)``, operator convention."""
        total = 0.0
        for layer, (copies, pixels) in enumerate(zip(self._copies, self._pixels, strict=True)):
            w, b = self.parameters[2 * layer : 2 * layer + 2]
            total = total + copies * (w**2).sum() + pixels * (b**2).sum()
        return total

    def to_network(self) -> CyclicCNN:
        """The network with the present parameters."""
        flat = np.concatenate([p.detach().numpy().ravel() for p in self.parameters])
        return self.network.with_parameters(flat)


def _places(network: CyclicCNN, layer: int) -> NDArray[np.int64]:
    """Which filter entry stands at ``(i, j)`` of the layer's operator on one channel."""
    convolution = network.layers[layer]
    count = int(np.prod(convolution.grid))
    numbered = np.arange(count, dtype=np.float64).reshape(1, *convolution.grid, 1)
    matrix = type(convolution)(numbered, convolution.stride).matrix
    return np.asarray(np.rint(matrix), dtype=np.int64)


def _matrix(pooling: Floats) -> Floats:
    """M on flattened images, the circulant matrix of the even eigenvalues."""
    kernel = np.fft.ifftn(pooling).real
    network = CyclicCNN([kernel[None, ..., None]])
    return np.array(network.operator(1))
