"""Slow references for cyclic networks: index by index and matrix by matrix, nothing of the library but its numbers."""

from __future__ import annotations

from itertools import product

import numpy as np

from tests.oracles import dft_matrix


def pixels_of(grid):
    return list(product(*(range(side) for side in grid)))


def operator_by_definition(weight, stride=1):
    """The matrix of one layer, entry by entry: rows (o, i), columns (c, j), both in C order."""
    c_out, *grid, c_in = weight.shape
    fine = pixels_of(grid)
    coarse = pixels_of([side // abs(stride) for side in grid])
    rows, columns = (coarse, fine) if stride > 0 else (fine, coarse)
    matrix = np.zeros((c_out, len(rows), c_in, len(columns)))
    for (a, i), (b, j) in product(enumerate(rows), enumerate(columns)):
        at = [stride * p if stride > 0 else p for p in i]
        of = [-stride * p if stride < 0 else p for p in j]
        place = tuple((p - q) % side for p, q, side in zip(at, of, grid, strict=True))
        for o, c in product(range(c_out), range(c_in)):
            matrix[o, a, c, b] = weight[(o, *place, c)]
    return matrix.reshape(c_out * len(rows), c_in * len(columns))


def fourier(grid):
    """The unitary DFT on images of this grid, flattened, as a matrix."""
    matrix = np.eye(1)
    for side in grid:
        matrix = np.kron(matrix, dft_matrix(side))
    return matrix


def pooling_matrix(m):
    """M on one channel: diagonal in the Fourier basis."""
    f = fourier(m.shape)
    return (f.conj().T @ np.diag(m.ravel()) @ f).real


class PixelNetwork:
    """``z_l = W_l α_{l-1} + b_l``, ``α_l = M σ(z_l)`` with dense matrices on one flattened image."""

    def __init__(self, weights, biases, m, slope, strides):
        self.matrices = [operator_by_definition(w, s) for w, s in zip(weights, strides, strict=True)]
        self.biases = [np.repeat(b, len(w) // len(b)) for b, w in zip(biases, self.matrices, strict=True)]
        self.pool = [np.kron(np.eye(len(w)), pooling_matrix(m)) for w in weights[:-1]]
        self.slope = slope

    def run(self, x):
        """Pre-activations, what the layers read, and the slopes."""
        before, read, slopes = [], [x.ravel()], []
        for i, (w, b) in enumerate(zip(self.matrices, self.biases, strict=True)):
            before.append(w @ read[-1] + b)
            if i + 1 < len(self.matrices):
                slopes.append(np.array([1.0 if t >= 0 else self.slope for t in before[-1]]))
                read.append(self.pool[i] @ (slopes[-1] * before[-1]))
        return before, read, slopes

    def output_jacobians(self, x):
        """``∂f/∂z_l``, layer 1 first."""
        slopes = self.run(x)[2]
        found = [np.eye(len(self.matrices[-1]))]
        for w, pool, d in zip(self.matrices[:0:-1], self.pool[::-1], slopes[::-1], strict=True):
            found.append(found[-1] @ w @ pool * d)
        return found[::-1]

    def jacobian(self, x):
        return self.output_jacobians(x)[0] @ self.matrices[0]


def mirrored(net):
    """The same network in pixels."""
    return PixelNetwork(net.weights, net.biases, net.pooling, net.slope, net.strides)


def blocks_of(matrix, grid, channels_out, channels_in):
    """Block at each frequency of a matrix that commutes with shifts, and the largest entry off these blocks."""
    f = fourier(grid)
    n = len(f)
    turned = np.kron(np.eye(channels_out), f) @ matrix @ np.kron(np.eye(channels_in), f.conj().T)
    four = turned.reshape(channels_out, n, channels_in, n)
    blocks = np.stack([four[:, k, :, k] for k in range(n)])
    off = max((np.abs(four[:, k, :, q]).max() for k in range(n) for q in range(n) if k != q), default=0.0)
    return blocks.reshape(*grid, channels_out, channels_in), off
