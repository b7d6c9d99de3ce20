"""The networks of the papers in PyTorch, small and for any image size. Importing this module needs PyTorch."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import torch
from torch import nn

from lineardyn.errors import ArgumentError

__all__ = [
    "CircularConv2d",
    "ConvActually",
    "CyclicBottleneck",
    "CyclicClassifier",
    "DeepLinear",
    "DeepReLU",
    "MyrtleCNN",
    "Pooling",
    "ResNet",
]

Activation = Callable[[], nn.Module]


class CircularConv2d(nn.Conv2d):
    """A ``Conv2d`` with a circular kernel as large as the image; the same function, by FFT: O(P log P), not O(P²).

    It is a ``Conv2d`` with ``padding="same", padding_mode="circular"`` to everything that reads its weights.
    """

    def __init__(self, inputs: int, outputs: int, size: int, *, bias: bool = True) -> None:
        super().__init__(inputs, outputs, size, padding="same", padding_mode="circular", bias=bias)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """``y[o, i] = Σ_c,a w[o, c, a] x[c, i + a - p]``, ``p = (size - 1)//2``."""
        size = self.kernel_size[0]
        if images.shape[-2:] != (size, size):
            raise ArgumentError(f"images have shape {tuple(images.shape)}, expected (N, C, {size}, {size})")
        before = (size - 1) // 2
        kernels = torch.roll(self.weight, (-before, -before), (-2, -1))
        spectrum = torch.einsum("nchw,ochw->nohw", torch.fft.rfft2(images), torch.fft.rfft2(kernels).conj())
        moved = torch.fft.irfft2(spectrum, s=(size, size))
        return moved if self.bias is None else moved + self.bias[:, None, None]


class ConvActually(nn.Module):
    """``depth`` circular full-size convolutions with biases and activations, then a dense layer [Godfrey et al. §5].

    ``residual``: from the second convolution on, the input of each block is added to its output [fig 6].
    """

    def __init__(
        self,
        depth: int,
        channels: int = 64,
        *,
        size: int = 32,
        inputs: int = 3,
        outputs: int = 10,
        residual: bool = False,
        activation: Activation = nn.ReLU,
    ) -> None:
        super().__init__()
        widths = [inputs, *[channels] * depth]
        self.residual = residual
        self.blocks = nn.ModuleList(
            nn.Sequential(CircularConv2d(a, b, size), activation()) for a, b in pairwise(widths)
        )
        self.dense = nn.Linear(widths[-1] * size * size, outputs)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """``(N, C, H, W)`` to ``(N, K)``."""
        hidden = images
        for i, block in enumerate(self.blocks):
            hidden = hidden + block(hidden) if self.residual and i else block(hidden)
        found: torch.Tensor = self.dense(hidden.flatten(1))
        return found


class MyrtleCNN(nn.Sequential):
    """3×3 convolutions of c, 2c, 4c, 8c channels, a max-pool after all but the first [Godfrey et al. C.5 (b)]."""

    def __init__(self, channels: int = 64, *, inputs: int = 3, outputs: int = 10) -> None:
        widths = [channels * 2**i for i in range(4)]
        layers: list[nn.Module] = [nn.Conv2d(inputs, channels, 3, padding=1), nn.ReLU()]
        for a, b in pairwise(widths):
            layers += [nn.Conv2d(a, b, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
        super().__init__(*layers, nn.AdaptiveMaxPool2d(1), nn.Flatten(), nn.Linear(widths[-1], outputs))


class ResNet(nn.Module):
    """Three stages of ``blocks`` basic blocks, c, 2c and 4c channels, batch norm: depth ``6·blocks + 2`` [He 2016]."""

    def __init__(self, blocks: int = 3, channels: int = 16, *, inputs: int = 3, outputs: int = 10) -> None:
        super().__init__()
        self.first = nn.Sequential(
            nn.Conv2d(inputs, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels), nn.ReLU()
        )
        parts, width = [], channels
        for stage in range(3):
            for i in range(blocks):
                stride = 2 if stage and not i else 1
                parts.append(_Block(width, channels * 2**stage, stride))
                width = channels * 2**stage
        self.blocks = nn.Sequential(*parts)
        self.dense = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, outputs))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """``(N, C, H, W)`` to ``(N, K)``."""
        found: torch.Tensor = self.dense(self.blocks(self.first(images)))
        return found


class _Block(nn.Module):
    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(),
            nn.Conv2d(outputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs),
        )  # fmt: skip
        same = stride == 1 and inputs == outputs
        self.way = (
            nn.Identity()
            if same
            else nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride=stride, bias=False), nn.BatchNorm2d(outputs))
        )

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.body(images) + self.way(images))


class DeepLinear(nn.Sequential):
    """Four zero-padded convolutions, dense 16, dense K, no activation [Pinson et al. fig 6].

    Small Glorot normal start, biases absent. The paper's kernel size was not available: 3 unless given.
    """

    def __init__(
        self,
        channels: int = 16,
        *,
        size: int = 32,
        inputs: int = 3,
        outputs: int = 10,
        kernel: int = 3,
        gain: float = 1.0,
    ) -> None:
        layers = _deep(channels, size, inputs, outputs, kernel, pooled=False)
        super().__init__(*layers)
        _glorot(self, gain)


class DeepReLU(nn.Sequential):
    """The same with ReLU after every hidden layer and max-pooling after convolutions 2 and 4 [Pinson et al. fig 6]."""

    def __init__(
        self,
        channels: int = 16,
        *,
        size: int = 32,
        inputs: int = 3,
        outputs: int = 10,
        kernel: int = 3,
        gain: float = 1.0,
    ) -> None:
        layers = _deep(channels, size, inputs, outputs, kernel, pooled=True)
        super().__init__(*layers)
        _glorot(self, gain)


def _deep(channels: int, size: int, inputs: int, outputs: int, kernel: int, *, pooled: bool) -> list[nn.Module]:
    layers: list[nn.Module] = []
    for i in range(4):
        layers.append(nn.Conv2d(channels if i else inputs, channels, kernel, padding="same", bias=False))
        layers += [nn.ReLU()] if pooled else []
        layers += [nn.MaxPool2d(2)] if pooled and i % 2 else []
    side = size // 4 if pooled else size
    layers += [nn.Flatten(), nn.Linear(channels * side * side, 16, bias=False)]
    layers += [nn.ReLU()] if pooled else []
    return [*layers, nn.Linear(16, outputs, bias=False)]


def _glorot(model: nn.Module, gain: float) -> None:
    for weight in model.parameters():
        nn.init.xavier_normal_(weight, gain)


class Pooling(nn.Module):
    """Translation-invariant pooling: frequency ω is multiplied by the real even ``m_ω`` ``(H, W)``."""

    def __init__(self, eigenvalues: torch.Tensor) -> None:
        super().__init__()
        self.register_buffer("eigenvalues", eigenvalues)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Of images ``(N, C, H, W)``."""
        size = images.shape[-2:]
        half = self.eigenvalues[:, : size[1] // 2 + 1]
        return torch.fft.irfft2(torch.fft.rfft2(images) * half, s=size)


class CyclicBottleneck(nn.Sequential):
    """``depth`` circular full-size convolutions, ReLU and pooling between, images to images [Wen & Jacot]."""

    def __init__(
        self,
        depth: int,
        channels: int,
        *,
        size: int,
        inputs: int = 1,
        outputs: int = 1,
        pooling: torch.Tensor | None = None,
    ) -> None:
        layers: list[nn.Module] = []
        for i in range(depth):
            last = i + 1 == depth
            layers.append(CircularConv2d(channels if i else inputs, outputs if last else channels, size))
            if not last:
                layers.append(nn.ReLU())
                layers += [] if pooling is None else [Pooling(pooling)]
        super().__init__(*layers)


class CyclicClassifier(nn.Sequential):
    """``depth`` circular full-size convolutions, each with ReLU and pooling; the mean of each channel; a dense layer.

    Images to K numbers that no translation changes [Wen & Jacot].
    """

    def __init__(
        self,
        depth: int,
        channels: int,
        *,
        size: int,
        inputs: int = 1,
        outputs: int = 10,
        pooling: torch.Tensor | None = None,
    ) -> None:
        layers: list[nn.Module] = []
        for i in range(depth):
            layers += [CircularConv2d(channels if i else inputs, channels, size), nn.ReLU()]
            layers += [] if pooling is None else [Pooling(pooling)]
        super().__init__(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, outputs))
