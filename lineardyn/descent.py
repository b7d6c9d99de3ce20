"""Driving the kernels of gradient descent: from a network and its data to states at the recorded steps.

The kernels take a bounded number of steps at each call, so that Python sees Ctrl-C and can show progress.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from lineardyn import _descent_kernels, _sample_kernels
from lineardyn.errors import ArgumentError
from lineardyn.flow.arguments import KernelArguments, kernel_arguments, scratch
from lineardyn.flow.stepping import CALL_FLOPS
from lineardyn.moments import SecondMoments
from lineardyn.networks import LinearNetwork
from lineardyn.trajectory import RECORD_BYTES

__all__ = ["Descent", "descend_together", "recorded_steps"]

Floats = NDArray[np.float64]
Report = Callable[[float], None]


def recorded_steps(n_steps: int, every: int, n_bytes: int) -> NDArray[np.int64]:
    """Numbers of the recorded steps: the first, every ``every``-th, the last; each record takes ``n_bytes``."""
    count = 1 + -(-n_steps // every)  # before any list of that length is made
    if n_bytes * count > RECORD_BYTES:
        fits = -(-n_steps * n_bytes // RECORD_BYTES)
        raise ArgumentError(
            f"record_every is {every}, expected at least {fits}: {count} states of "
            f"{n_bytes} bytes would take {n_bytes * count / 2**30:.1f} GiB"
        )
    return np.minimum(every * np.arange(count), n_steps)


class Descent:
    """What the runs of one network on one data set share, one thread's own: kernel arguments, images, scratch."""

    def __init__(
        self, network: LinearNetwork, moments: SecondMoments, *, n_steps: int, every: int, batch_size: int | None
    ) -> None:
        self.network, self.moments = network, moments
        self.n_steps, self.every, self.batch_size = n_steps, every, batch_size
        self.arguments = kernel_arguments(network, moments, 0.0)
        if batch_size is not None:
            self.images = moments.statistics.rows
            self.answers = np.ascontiguousarray(moments.statistics.target.T * moments.n_samples)

    def run(
        self,
        start: Floats,
        rate: float,
        decay: float,
        out: Floats,
        *,
        rng: np.random.Generator | None = None,
        report: Report | None = None,
    ) -> int:
        """Fill ``out (T, n)`` with the recorded states; returns how many there are, fewer than T if it diverged.

        With ``rng`` each step draws its images.
        """
        arguments = self.arguments._replace(decay=decay)
        if rng is None:
            states = out[None]
            return int(
                descend_together(arguments, start[None], np.array([rate]), states, self.every, self.n_steps, report)[0]
            )
        out[0] = start
        batch, n = self.batch_size, self.moments.n_samples
        assert batch is not None
        y, filled = start.copy(), 1
        advance = (self._single if batch == 1 else self._batched)(y, rate, arguments, out)
        cost = 20.0 * y.size if batch == 1 else arguments.flops * batch / n + 40.0 * y.size
        for first, stop in _calls(self.n_steps, cost):
            order = rng.integers(n, size=(stop - first, batch))
            filled = advance(order, first, stop, filled)
            if filled < 0:
                break
            if report is not None:
                report(float(stop))
        return abs(filled)

    def _single(
        self, y: Floats, rate: float, a: KernelArguments, out: Floats
    ) -> Callable[[NDArray[np.int64], int, int, int], int]:
        units, length = (int(max(a.sizes[:-1])), 2 * self.network.half.size) if a.conv else (1, int(max(a.sizes[1:])))
        hidden = np.empty((self.network.depth + 1, units, length))
        pulled, weighted = np.empty_like(hidden), np.empty((units, length if a.conv else len(a.weights)))

        def advance(order: NDArray[np.int64], start: int, stop: int, filled: int) -> int:
            return int(
                _sample_kernels.descend_samples(
                    y, rate, start, stop, self.every, self.n_steps, out, filled,
                    np.ascontiguousarray(order[:, 0]), self.images, self.answers, *a[:6], hidden, pulled, weighted,
                )
            )  # fmt: skip

        return advance

    def _batched(
        self, y: Floats, rate: float, a: KernelArguments, out: Floats
    ) -> Callable[[NDArray[np.int64], int, int, int], int]:
        assert self.batch_size is not None
        work = scratch(self.network, len(a.weights), self.batch_size)
        batch, dy = np.empty((self.batch_size, len(a.weights))), np.empty_like(y)

        def advance(order: NDArray[np.int64], start: int, stop: int, filled: int) -> int:
            return int(
                _descent_kernels.descend_batches(
                    y, dy, rate, start, stop, self.every, self.n_steps, out, filled,
                    order, self.images, self.answers, batch, *a[:6], work,
                )
            )  # fmt: skip

        return advance


def descend_together(
    arguments: KernelArguments,
    starts: Floats,
    rates: Floats,
    out: Floats,
    every: int,
    n_steps: int,
    report: Report | None = None,
) -> NDArray[np.int64]:
    """Full-batch steps of runs from ``starts (R, n)``, states to ``out (R, T, n)``; how many each run recorded."""
    y = np.ascontiguousarray(starts).ravel().copy()
    dy, recorded = np.empty_like(y), np.ones(len(starts), dtype=np.int64)
    out[:, 0] = starts
    for first, stop in _calls(n_steps, len(starts) * arguments.flops):
        going = _descent_kernels.descend_full(y, dy, rates, first, stop, every, n_steps, out, recorded, *arguments)
        if going == 0:
            break
        if report is not None:
            report(float(stop))
    return np.abs(recorded)


def _calls(n_steps: int, flops: float) -> list[tuple[int, int]]:
    """First and last step of each call of a kernel, about 0.1 s each."""
    stride = int(np.clip(CALL_FLOPS / flops, 1, 100_000))
    return [(first, min(n_steps, first + stride)) for first in range(0, n_steps, stride)]
