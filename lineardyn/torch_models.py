r"""Weights from a PyTorch model, and a PyTorch model from weights: the same function of the image.

Three things lie between a circular ``Conv2d`` and a kernel here. PyTorch correlates, ``y[i] = Σ_a w[a] x[i + a - p]``
(both axes alike, ``p`` pixels of padding in front); it stores ``(o, c, m, n)``; and ``padding="same"`` puts ``p =
(size - 1)//2`` pixels in front. So ``w[a]`` is pixel ``a - p`` (modulo the image) of a correlation kernel as large as
the image, exactly; smaller kernels are filled up with zeros.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lineardyn.errors import ArgumentError, LineardynError
from lineardyn.networks import LinearCNN, LinearFCN, LinearNetwork, Weights
from lineardyn.validation import check_array, check_image_shape, check_network

if TYPE_CHECKING:
    import torch

__all__ = ["from_torch", "to_torch"]

Floats = NDArray[np.float64]


def from_torch(model: torch.nn.Module, image_shape: Sequence[int]) -> tuple[LinearNetwork, Weights]:
    r"""The network that a linear ``torch.nn.Sequential`` computes on images of this shape, and its weights.

    Circular ``Conv2d`` layers, ``Flatten`` and one ``Linear`` make a ``LinearCNN`` of ``convention="correlation"``, so
    that its weights (and their gradients) are PyTorch's, up to layout and a circular shift by the padding; ``Linear``
    layers alone, with or without ``Flatten`` before them, make a ``LinearFCN``.

    Parameters
    ----------
    model : torch.nn.Sequential
        May be nested, and hold ``Identity``. Each ``Conv2d`` keeps the image's size and wraps around:
        ``padding_mode="circular"`` with ``padding="same"`` or ``padding=(size - 1)/2``, or a ``CircularPad2d`` before
        it; stride, dilation and groups 1. Biases are absent or 0. Any dtype and device; computed in float64.
    image_shape : (C, H, W)

    Returns
    -------
    network : LinearCNN or LinearFCN
    weights : list of float64 arrays
        Layer 1 first: ``network.predict(weights, images)`` is the model's output.

    Raises
    ------
    ArgumentError
        Naming the layer that is not linear, not circular or does not fit, and what is needed.

    Examples
    --------
    A model for colour images of 8×8 pixels::

        model = nn.Sequential(
            nn.Conv2d(3, 2, 5, padding="same", padding_mode="circular", bias=False),
            nn.Flatten(),
            nn.Linear(2 * 8 * 8, 4, bias=False),
        )
        network, weights = from_torch(model, (3, 8, 8))
        network.shapes  # [(2, 8, 8, 3), (4, 8, 8, 2)]
    """
    shape = check_image_shape(image_shape)
    reader = _Reader(shape)
    for name, module in _layers(model):
        reader.read(name, module)
    return reader.network()


def to_torch(network: LinearNetwork, weights: Sequence[ArrayLike]) -> torch.nn.Sequential:
    r"""The same network as ``torch.nn`` layers in float64, which take images ``(N, C, H, W)``.

    A ``LinearCNN`` becomes circular ``Conv2d`` layers as large as the image with ``padding="same"``, ``Flatten`` and a
    ``Linear``; a ``LinearFCN`` becomes ``Flatten`` and ``Linear`` layers; no biases. PyTorch's global random state is
    left as it is. :func:`from_torch` is the inverse, up to the convention of the kernels.

    Raises
    ------
    ArgumentError
        For weights that do not fit the network.
    LineardynError
        If PyTorch is not installed.

    Examples
    --------
    A network of Pinson et al., with PyTorch's usual start::

        network = LinearCNN((1, 8, 8), n_outputs=4)
        model = to_torch(network, network.init_glorot(rng=0))
    """
    check_network(network)
    arrays = network.check_weights(weights)
    nn = _torch_nn()
    if not isinstance(network, LinearCNN):
        return nn.Sequential(nn.Flatten(), *(_dense(nn, w) for w in arrays))
    *kernels, last = arrays
    layers = [_convolution(nn, w, flip=network.convention == "convolution") for w in kernels]
    return nn.Sequential(*layers, nn.Flatten(), _dense(nn, last.transpose(0, 3, 1, 2).reshape(len(last), -1)))


def _torch_nn() -> Any:
    try:
        from torch import nn
    except ImportError:
        raise LineardynError(
            "PyTorch is not installed, expected it for a torch.nn model: pip install 'lineardyn[torch]'"
        ) from None
    return nn


def _convolution(nn: Any, kernel: Floats, *, flip: bool) -> Any:
    outputs, height, width, inputs = kernel.shape
    rows, columns = (np.arange(n) - (n - 1) // 2 for n in (height, width))
    if flip:
        rows, columns = -rows, -columns
    pixels = kernel[:, rows % height][:, :, columns % width].transpose(0, 3, 1, 2)
    options = {"padding": "same", "padding_mode": "circular"}
    return _filled(nn, nn.Conv2d, pixels, inputs, outputs, (height, width), **options)


def _dense(nn: Any, matrix: Floats) -> Any:
    return _filled(nn, nn.Linear, matrix, matrix.shape[1], matrix.shape[0])


def _filled(nn: Any, kind: Any, values: Floats, *sizes: Any, **options: Any) -> Any:
    """A layer with these weights, none drawn."""
    import torch

    layer = nn.utils.skip_init(kind, *sizes, bias=False, dtype=torch.float64, **options)
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(np.ascontiguousarray(values)))
    return layer


def _layers(model: Any, prefix: str = "model") -> Iterator[tuple[str, Any]]:
    """Name and module of each layer, in order."""
    nn = _torch_nn()
    if type(model) is nn.Sequential:
        for index, child in enumerate(model):
            yield from _layers(child, f"{prefix}[{index}]")
    elif prefix == "model" and type(model) is not nn.Linear:
        raise ArgumentError(
            f"model is a {type(model).__name__}, expected a torch.nn.Sequential: list the layers in their order, "
            f"nn.Sequential(model.conv1, .., nn.Flatten(), model.head)"
        )
    else:
        yield prefix, model


class _Reader:
    """Follows an image of this shape through the layers, and keeps their weights."""

    def __init__(self, shape: tuple[int, int, int]) -> None:
        self.shape = shape
        self.channels = shape[0]
        self.units: int | None = None  # once the image is flat
        self.pad: tuple[int, int, int, int] | None = None  # left, right, top, bottom, of a CircularPad2d
        self.kernels: Weights = []
        self.matrices: Weights = []
        self.seen: dict[int, str] = {}

    def read(self, name: str, module: Any) -> None:
        nn = _torch_nn()
        if type(module) is nn.Identity:
            return
        readers = {
            nn.Conv2d: self._conv2d,
            nn.CircularPad2d: self._circular_pad,
            nn.Flatten: self._flatten,
            nn.Linear: self._linear,
        }
        if type(module) not in readers:
            raise ArgumentError(
                f"{name} is a {type(module).__name__}, expected Conv2d, CircularPad2d, Flatten, Linear or Identity: "
                f"the network here is linear and circular; take the layer out of the model"
            )
        if self.pad is not None and type(module) is not nn.Conv2d:
            raise ArgumentError(f"{name} is a {type(module).__name__}, expected a Conv2d after a CircularPad2d")
        readers[type(module)](name, module)

    def network(self) -> tuple[LinearNetwork, Weights]:
        """What was read, once all layers were."""
        if not self.matrices:
            raise ArgumentError("model has no Linear layer, expected one at its end: add nn.Flatten() and nn.Linear")
        widths = [len(w) for w in (*self.kernels, *self.matrices)]
        options: dict[str, Any] = {"widths": tuple(widths[:-1]), "n_outputs": widths[-1]}
        if not self.kernels:
            return LinearFCN(self.shape, **options), self.matrices
        last = self.matrices[0].reshape(-1, self.channels, *self.shape[1:]).transpose(0, 2, 3, 1)
        return LinearCNN(self.shape, convention="correlation", **options), [*self.kernels, np.ascontiguousarray(last)]

    def _conv2d(self, name: str, module: Any) -> None:
        if self.units is not None:
            raise ArgumentError(
                f"{name} is a Conv2d after the image was flattened, expected Linear there: reorder them"
            )
        self._check_inputs(name, "in_channels", module.in_channels, self.channels)
        for option, wanted in (("stride", (1, 1)), ("dilation", (1, 1)), ("groups", 1)):
            if getattr(module, option) != wanted:
                raise ArgumentError(
                    f"{name} is a Conv2d with {option} {getattr(module, option)}, expected {wanted}: "
                    f"kernels here see every pixel and channel"
                )
        weight = self._weight(name, module)
        height, width = weight.shape[2:]
        left, right, top, bottom = self._padding(name, module, height, width)
        if (top + bottom, left + right) != (height - 1, width - 1):
            raise ArgumentError(
                f"{name} is a Conv2d with a kernel of ({height}, {width}) and paddings of ({top + bottom}, "
                f"{left + right}) pixels in all, expected one less than the kernel, so that the image keeps its size: "
                f"use padding='same', padding_mode='circular'"
            )
        full = np.zeros((len(weight), *self.shape[1:], self.channels))
        rows, columns = (np.arange(height) - top) % self.shape[1], (np.arange(width) - left) % self.shape[2]
        np.add.at(full.transpose(1, 2, 0, 3), np.ix_(rows, columns), weight.transpose(2, 3, 0, 1))
        self.kernels.append(full)
        self.channels, self.pad = len(weight), None

    def _padding(self, name: str, module: Any, height: int, width: int) -> tuple[int, int, int, int]:
        """Pixels at the left, right, top and bottom, all of them circular."""
        own = module.padding
        if own == "same":
            vertical, horizontal = (height - 1) // 2, (width - 1) // 2
            padding = (horizontal, width - 1 - horizontal, vertical, height - 1 - vertical)
        else:
            vertical, horizontal = (0, 0) if own == "valid" else own
            padding = (horizontal, horizontal, vertical, vertical)
        if any(padding) and module.padding_mode != "circular":
            raise ArgumentError(
                f"{name} is a Conv2d with padding_mode {module.padding_mode!r}, expected 'circular': "
                f"images here wrap around at their borders"
            )
        if self.pad is not None and any(padding):
            raise ArgumentError(
                f"{name} is a Conv2d with padding {own} after a CircularPad2d, expected one of both: use padding=0"
            )
        return padding if self.pad is None else self.pad

    def _circular_pad(self, name: str, module: Any) -> None:
        if self.units is not None:
            raise ArgumentError(f"{name} is a CircularPad2d after the image was flattened, expected Linear there")
        left, right, top, bottom = module.padding
        if min(module.padding) < 0:
            raise ArgumentError(
                f"{name} is a CircularPad2d of {module.padding}, expected pixels >= 0: it cuts the image"
            )
        self.pad = (left, right, top, bottom)

    def _flatten(self, name: str, module: Any) -> None:
        if module.start_dim != 1 or module.end_dim not in (-1, 3):
            raise ArgumentError(
                f"{name} is {module}, expected nn.Flatten(): all of an image in one row, the images apart"
            )
        if self.units is None:
            self.units = self.channels * self.shape[1] * self.shape[2]

    def _linear(self, name: str, module: Any) -> None:
        if self.units is None:
            if self.kernels:
                raise ArgumentError(f"{name} is a Linear on images, expected nn.Flatten() between Conv2d and Linear")
            self.units = self.channels * self.shape[1] * self.shape[2]
        if self.kernels and self.matrices:
            raise ArgumentError(
                f"{name} is the second Linear after Conv2d, expected one: the last layer of a LinearCNN alone is "
                f"dense; multiply the matrices into one layer"
            )
        self._check_inputs(name, "in_features", module.in_features, self.units)
        self.matrices.append(self._weight(name, module))
        self.units = len(self.matrices[-1])

    def _check_inputs(self, name: str, option: str, got: int, wanted: int) -> None:
        if got != wanted:
            raise ArgumentError(
                f"{name} has {option} {got}, expected {wanted}: what comes in for images of shape {self.shape}"
            )

    def _weight(self, name: str, module: Any) -> Floats:
        first = self.seen.setdefault(id(module.weight), name)
        if first != name:
            raise ArgumentError(f"{name} shares its weight with {first}, expected weights of its own: clone the layer")
        if module.bias is not None and bool((module.bias != 0).any()):
            raise ArgumentError(
                f"{name} is a {type(module).__name__} with a bias that is not 0, expected bias=False: "
                f"the network here has none"
            )
        if module.weight.is_complex() or not module.weight.is_floating_point():
            raise ArgumentError(f"{name} has weights of dtype {module.weight.dtype}, expected real floats")
        return check_array(f"{name}.weight", module.weight.detach().cpu().double()).copy()  # not the model's memory
