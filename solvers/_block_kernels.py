"""Singular values of the blocks of a predictor in real coordinates, without a call of LAPACK for each."""

import math

import numpy as np
from numba import njit

from solvers._prox_kernels import JIT, rotate, scaled_columns, square_norm, triangle


@njit(**JIT)
def read_block(values, first, paired, channels, out):
    """Block ``(K, C)`` of coordinates ``(K, D)``; whether any entry differs from zero."""
    found = False
    for k in range(values.shape[0]):
        for c in range(channels):
            real = values[k, first + c]
            imaginary = values[k, first + channels + c] if paired else 0.0
            out[k, c] = complex(real, imaginary)
            found = found or real != 0.0 or imaginary != 0.0
    return found


@njit(**JIT)
def block_singular_values(values, starts, channels, out):
    """``out (F, min(K, C))``, in no order."""
    outputs = values.shape[0]
    small, large = min(outputs, channels), max(outputs, channels)
    block = np.empty((outputs, channels), dtype=np.complex128)
    columns = np.empty((small, large), dtype=np.complex128)
    rows = np.empty((small, small), dtype=np.complex128)
    for b in range(starts.size - 1):
        if not read_block(values, starts[b], starts[b + 1] - starts[b] > channels, channels, block):
            for i in range(small):
                out[b, i] = 0.0
            continue
        exponent = scaled_columns(block, columns)
        if small == 1:
            out[b, 0] = math.ldexp(math.sqrt(square_norm(columns[0])), exponent)
            continue
        triangle(columns, rows)
        rotate(rows)
        for i in range(small):
            out[b, i] = math.ldexp(math.sqrt(square_norm(rows[i])), exponent)


@njit(**(JIT | {"fastmath": {"contract", "reassoc"}}))
def add_block_grams(rows, gain, out):
    """``Σ_n gain_n z z^T`` of each block's 2C packed numbers: ``rows (N, C·2·F)``, ``out (2C, 2C, F)``, i ≥ j only."""
    width, n_blocks = out.shape[0], out.shape[2]
    for n in range(rows.shape[0]):
        row, weight = rows[n], gain[n]
        for i in range(width):
            for j in range(i + 1):
                one, other, total = row[i * n_blocks :], row[j * n_blocks :], out[i, j]
                for b in range(n_blocks):
                    total[b] += weight * one[b] * other[b]
