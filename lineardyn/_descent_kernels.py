"""Steps of gradient descent, of all samples or of batches; arguments as in :mod:`lineardyn.flow._kernels`.

numba's disk cache does not see changes of that file from here (numba#1833): the tests clear it where it is older.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from lineardyn.flow._kernels import U, bounded, clear, copy, flow


@njit(nogil=True, cache=True)
def descend_full(
    y, dy, rates, start, stop, every, n_steps, out, recorded,
    conv, sizes, offsets, weights, constant, decay, dense, rows, target, gain, matrix, work,
):  # fmt: skip
    """Full-batch steps ``start..stop`` of as many runs as there are ``rates``.

    Every ``every``-th state and the last of each run go to its ``out[run]``; ``recorded[run]`` says how many rows are
    filled, negative if it diverged: such a run rests at 0, apart from the others. Returns how many go on.
    """
    n, going = y.size // rates.size, rates.size
    for step in range(start, stop):
        flow(y, dy, conv, sizes, offsets, weights, constant, decay, dense, rows, target, gain, matrix, work)
        for run in range(rates.size):
            _move(y, dy, rates[run], U(run * n), U(n))
        if (step + 1) % every == 0 or step + 1 == n_steps:
            going = 0
            for run in range(rates.size):
                if recorded[run] > 0:
                    part = y[run * n : (run + 1) * n]
                    if bounded(part):
                        copy(part, out[run, recorded[run]])
                        recorded[run] += 1
                        going += 1
                    else:
                        recorded[run] = -recorded[run]
                        clear(y, U(run * n), U(n))
            if going == 0:
                break
    return going


@njit(nogil=True, cache=True)
def _move(y, dy, rate, at, n):
    for i in range(n):
        y[at + i] += rate * dy[at + i]


@njit(nogil=True, cache=True)
def descend_batches(
    y, dy, rate, start, stop, every, n_steps, out, recorded, order, images, answers, batch,
    conv, sizes, offsets, weights, constant, decay, work,
):  # fmt: skip
    """Mini-batch steps: ``order (steps, B)`` names the rows of ``images (N, D)``, ``answers (N, K)`` of each step."""
    size = order.shape[1]
    target = np.empty((answers.shape[1], size))
    gain = np.full(size, 1.0 / size)
    matrix = np.empty((0, 0))
    for step in range(start, stop):
        for b in range(size):
            n = order[step - start, b]
            batch[b] = images[n]
            for k in range(answers.shape[1]):
                target[k, b] = answers[n, k] / size
        flow(y, dy, conv, sizes, offsets, weights, constant, decay, False, batch, target, gain, matrix, work)
        for i in range(y.size):
            y[i] += rate * dy[i]
        if (step + 1) % every == 0 or step + 1 == n_steps:
            if not bounded(y):
                return -recorded
            out[recorded] = y
            recorded += 1
    return recorded
