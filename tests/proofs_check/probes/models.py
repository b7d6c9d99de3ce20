"""Small models for the tests of the probes, seeded, and dense operators by their definition."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

try:
    import torch
    from torch import nn
except ImportError:  # the tests are then skipped one by one, so that they are counted
    torch = nn = None


def conv(inputs, outputs, size, **options):
    options = {"padding": "same", "padding_mode": "circular", "dtype": torch.float64, **options}
    return nn.Conv2d(inputs, outputs, size, **options)


def relu_net(widths, shape, n_outputs, *, seed=0, dtype=None, **options):
    """Convolutions with ReLU between them, a dense layer on top."""
    torch.manual_seed(seed)
    dtype = torch.float64 if dtype is None else dtype
    layers = []
    for inputs, outputs in pairwise(widths):
        layers += [conv(inputs, outputs, 3, dtype=dtype, **options), nn.ReLU()]
    flat = nn.Flatten()
    return nn.Sequential(*layers, flat, nn.Linear(widths[-1] * shape[0] * shape[1], n_outputs, dtype=dtype))


def images_of(count, *shape, seed=0):
    return np.random.default_rng(seed).standard_normal((count, *shape))


def dense_operator(layer, grid):
    """The matrix of a ``Conv2d`` without its bias: what it makes of each basis vector."""
    size = layer.in_channels * grid[0] * grid[1]
    with torch.no_grad():
        basis = torch.eye(size, dtype=layer.weight.dtype).reshape(size, layer.in_channels, *grid)
        out = layer(basis)
        if layer.bias is not None:
            out = out - layer.bias[:, None, None]
    return out.reshape(size, -1).double().numpy().T


def differences(model, images, step=1e-6):
    """``∂f/∂x (n, K, C, H, W)`` by central differences, pixel by pixel."""
    x = torch.tensor(images, dtype=torch.float64)
    flat = x.reshape(len(x), -1)
    columns = []
    with torch.no_grad():
        for i in range(flat.shape[1]):
            moved = []
            for sign in (1, -1):
                there = flat.clone()
                there[:, i] += sign * step
                moved.append(model(there.reshape(x.shape)).reshape(len(x), -1))
            columns.append((moved[0] - moved[1]) / (2 * step))
    return torch.stack(columns, dim=-1).numpy().reshape(len(x), -1, *images.shape[1:])
