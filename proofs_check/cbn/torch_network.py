"""The cyclic network in PyTorch, float64, for training: dense operators gathered from the filters."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from lineardyn.errors import LineardynError
from proofs_check.cbn.convolution import Convolution
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
    """A :class:`CyclicCNN` whose parameters are one tensor that requires a gradient, and its function and norm.

    ``parameters`` is in the order of :meth:`CyclicCNN.parameters`. All operators are gathered from it at once: the
    time of a step is the number of calls to PyTorch.
    """

    def __init__(self, network: CyclicCNN) -> None:
        self.network, self._torch = network, import_torch()
        self.parameters = self._torch.tensor(network.parameters(), requires_grad=True)
        parts = [self._torch.as_tensor(part) for part in _places(network)]
        self._places = self._torch.cat([part.ravel() for part in parts])
        self._shapes = [tuple(part.shape) for part in parts]
        self._copies = self._torch.as_tensor(_copies(network))
        self._pooling = None if (network.pooling == 1.0).all() else self._torch.as_tensor(_matrix(network.pooling))

    def __call__(self, images: Any, *, sizes: bool = False) -> Any:
        """``f(x)`` ``(N, C_L·n)`` of images ``(N, C_0·n)``; with ``sizes`` also ``Σ_{l<L} ‖α_l‖²`` of each image."""
        found = self.parameters.index_select(0, self._places)
        pieces = found.split([int(np.prod(shape)) for shape in self._shapes])
        hidden, size = images, images.new_zeros(len(images))
        linear, leaky = self._torch.nn.functional.linear, self._torch.nn.functional.leaky_relu
        for layer in range(self.network.depth):
            if layer > 0:
                hidden = leaky(hidden, self.network.slope)
                if self._pooling is not None:
                    hidden = (hidden.reshape(-1, len(self._pooling)) @ self._pooling).reshape(len(images), -1)
                if sizes:
                    size = size + (hidden**2).sum(dim=1)
            hidden = linear(hidden, pieces[2 * layer].reshape(self._shapes[2 * layer]), pieces[2 * layer + 1])
        return (hidden, size) if sizes else hidden

    def squared_norm(self) -> Any:
        """``‖θ‖² = Σ_l (‖W_l‖_F² + n_l ‖b_l‖²)``, operator convention."""
        return (self._copies * self.parameters**2).sum()

    def to_network(self) -> CyclicCNN:
        """The network with the present parameters."""
        return self.network.with_parameters(self.parameters.detach().numpy())


def _places(network: CyclicCNN) -> list[NDArray[np.int64]]:
    """Which parameter stands at each entry of ``W_1, b_1, W_2, ..`` (each bias once for every pixel)."""
    places, start = [], 0
    for layer, b in zip(network.layers, network.biases, strict=True):
        size, pixels = layer.weight.size, int(np.prod(layer.grid_out))
        numbered = np.arange(start, start + size, dtype=np.float64).reshape(layer.weight.shape)
        places.append(np.rint(Convolution(numbered, layer.stride).matrix).astype(np.int64))
        places.append(np.repeat(np.arange(start + size, start + size + b.size), pixels))
        start += size + b.size
    return places


def _copies(network: CyclicCNN) -> Floats:
    """How often each parameter stands in the operators and biases."""
    counts = np.zeros(network.parameters().size)
    for part in _places(network):
        counts += np.bincount(part.ravel(), minlength=counts.size)
    return counts


def _matrix(pooling: Floats) -> Floats:
    """M on flattened images, the circulant matrix of the even eigenvalues."""
    kernel = np.fft.ifftn(pooling).real
    return np.array(CyclicCNN([kernel[None, ..., None]]).operator(1))
