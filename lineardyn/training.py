"""Gradient descent as it is run in practice: full batch, mini-batch, one sample."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lineardyn import _sample_kernels
from lineardyn.errors import ArgumentError, ComputationError, Status
from lineardyn.flow import _kernels
from lineardyn.flow.arguments import kernel_arguments, scratch
from lineardyn.flow.stepping import CALL_FLOPS
from lineardyn.moments import SecondMoments
from lineardyn.networks import LinearNetwork
from lineardyn.progress import progress_bar
from lineardyn.stability import divergence, max_learning_rate
from lineardyn.trajectory import RECORD_BYTES, DescentSettings, Trajectory
from lineardyn.validation import Rng, as_generator, check_count, check_network, check_number

__all__ = ["gradient_descent", "max_learning_rate"]

Floats = NDArray[np.float64]
Data = SecondMoments | tuple[ArrayLike, ArrayLike]


def gradient_descent(
    network: LinearNetwork,
    data: Data,
    weights: Sequence[ArrayLike],
    *,
    learning_rate: float,
    n_steps: int,
    batch_size: int | None = None,
    weight_decay: float = 0.0,
    rng: Rng | None = None,
    record_every: int = 1,
    throw: bool = True,
    progress: bool = False,
) -> Trajectory:
    r"""Gradient descent ``w ← w - η ∇ℒ``, ``ℒ = ½⟨‖y - f(x)‖²⟩ + ½ weight_decay Σ_l ‖w_l‖²``.

    The step is taken in Fourier space, where it is the same step: the DFT is unitary.

    Parameters
    ----------
    network : LinearCNN or LinearFCN
    data : (images, targets) or SecondMoments
        Full batch takes either. With ``batch_size``, images are needed: a pair, or SecondMoments of ``form="samples"``
        (made once, they serve many runs).
    weights : list of arrays
        The start, in pixel space, layer 1 first.
    learning_rate : float
        η; ``Trajectory.t`` is η × step. Frameworks' ``mse`` has another unit: see ``convert_learning_rate``.
    n_steps : int
    batch_size : int, optional
        Images of each step, drawn uniformly with replacement: ``rng.integers(N, size=(n_steps, batch_size))``.
    weight_decay : float
    rng : int or Generator
        Required with ``batch_size``.
    record_every : int
        The first and the last step are always recorded.
    throw : bool
        Raise where the weights become infinite, or return the part before.
    progress : bool
        Show a progress bar.

    Returns
    -------
    Trajectory
        ``stats`` holds ``method`` ("full batch" or "batches of n") and ``n_steps``, the last recorded one.

    Raises
    ------
    ArgumentError
        For arguments that do not fit one another.
    ComputationError
        With ``throw``, if the descent diverged; it holds the finite part, and says which rates are stable.

    References
    ----------
    Pinson, Lenaerts, Ginis (ICML 2023), eq 9-11 (one sample a step); its distance to the flow is O(η) at a fixed time.

    Examples
    --------
    >>> from lineardyn import LinearCNN, gradient_descent, pure_cosines
    >>> data = pure_cosines((8, 8), [(0, 0), (1, 2)], [1.0, 0.5])
    >>> network = LinearCNN((1, 8, 8), n_outputs=2)
    >>> run = gradient_descent(network, data, network.init_small(1e-2, rng=0), learning_rate=0.01, n_steps=200,
    ...                        batch_size=1, rng=0, record_every=100)
    >>> run.t
    array([0., 1., 2.])
    """
    settings = DescentSettings(
        weight_decay=check_number("weight_decay", weight_decay, minimum=0.0),
        learning_rate=check_number("learning_rate", learning_rate, minimum=0.0, strict=True),
        n_steps=check_count("n_steps", n_steps),
        batch_size=None if batch_size is None else check_count("batch_size", batch_size),
    )
    if rng is None and batch_size is not None:
        raise ArgumentError("rng is None, expected a seed or a numpy.random.Generator: batch_size draws images")
    generator = None if rng is None else as_generator(rng)
    check_network(network)
    moments = _moments(data, batch_size)
    network.check_moments(moments)
    start = network.pack(weights)
    every = check_count("record_every", record_every)
    run = _Descent(network, moments, start, settings, every)
    with progress_bar("gradient descent", float(settings.n_steps), shown=progress) as report:
        if batch_size is None or generator is None:
            status = run.full_batch(report)
        else:
            status = run.stochastic(generator, report)
    trajectory = run.trajectory(status)
    if throw and status is not Status.SUCCESS:
        reached = f"gradient_descent stopped after step {trajectory.stats['n_steps']} of {n_steps}. {status.value}"
        limits = divergence(network, moments, start, settings.learning_rate, settings.weight_decay, batch_size)
        raise ComputationError(status, f"{reached} {limits}", trajectory)
    return trajectory


def _moments(data: Data, batch_size: int | None) -> SecondMoments:
    form = "auto" if batch_size is None else "samples"
    if isinstance(data, SecondMoments):
        if batch_size is not None and data.form != "samples":
            raise ArgumentError(
                f"data holds moments of form {data.form!r}, expected images for batch_size={batch_size}: pass "
                f"(images, targets), or SecondMoments.from_data(images, targets, form='samples')"
            )
        return data
    try:
        images, targets = data
    except (TypeError, ValueError):
        raise ArgumentError(f"data is a {type(data).__name__}, expected (images, targets) or SecondMoments") from None
    return SecondMoments.from_data(images, targets, form=form)


@dataclass
class _Descent:
    """One run: the state, what is recorded, and how many rows of that are filled."""

    network: LinearNetwork
    moments: SecondMoments
    start: Floats
    settings: DescentSettings
    every: int

    def __post_init__(self) -> None:
        n, every = self.settings.n_steps, self.every
        count = 1 + -(-n // every)  # before any list of that length is made
        size = 8 * self.start.size * count
        if size > RECORD_BYTES:
            fits = -(-n * 8 * self.start.size // RECORD_BYTES)
            raise ArgumentError(
                f"record_every is {every}, expected at least {fits}: {count} states of "
                f"{8 * self.start.size} bytes would take {size / 2**30:.1f} GiB"
            )
        self.steps = np.minimum(every * np.arange(count), n)
        self.out = np.empty((count, self.start.size))
        self.out[0] = self.start
        self.y = self.start.copy()
        self.recorded = 1
        self.arguments = kernel_arguments(self.network, self.moments, self.settings.weight_decay)

    def full_batch(self, report: Callable[[float], None] | None) -> Status:
        dy = np.empty_like(self.y)

        def advance(start: int, stop: int) -> int:
            return int(
                _kernels.descend_full(
                    self.y, dy, self.settings.learning_rate, start, stop, self.every, self.settings.n_steps,
                    self.out, self.recorded, *self.arguments,
                )
            )  # fmt: skip

        return self._advance_all(advance, self.arguments.flops, report)

    def stochastic(self, rng: np.random.Generator, report: Callable[[float], None] | None) -> Status:
        batch = self.settings.batch_size
        assert batch is not None
        images, n = self.moments.statistics.rows, self.moments.n_samples
        answers = np.ascontiguousarray(self.moments.statistics.target.T * n)
        single, batched = self._single(images, answers), self._batched(images, answers, batch)

        def advance(start: int, stop: int) -> int:
            order = rng.integers(n, size=(stop - start, batch))
            return single(order[:, 0], start, stop) if batch == 1 else batched(order, start, stop)

        cost = 20.0 * self.y.size if batch == 1 else self.arguments.flops * batch / n + 40.0 * self.y.size
        return self._advance_all(advance, cost, report)

    def _single(self, images: Floats, answers: Floats) -> Callable[[NDArray[np.int64], int, int], int]:
        a = self.arguments
        units, length = (int(max(a.sizes[:-1])), 2 * self.network.half.size) if a.conv else (1, int(max(a.sizes[1:])))
        hidden = np.empty((self.network.depth + 1, units, length))
        pulled, weighted = np.empty_like(hidden), np.empty((units, length if a.conv else len(a.weights)))

        def advance(order: NDArray[np.int64], start: int, stop: int) -> int:
            return int(
                _sample_kernels.descend_samples(
                    self.y, self.settings.learning_rate, start, stop, self.every, self.settings.n_steps,
                    self.out, self.recorded, np.ascontiguousarray(order), images, answers,
                    *a[:6], hidden, pulled, weighted,
                )
            )  # fmt: skip

        return advance

    def _batched(self, images: Floats, answers: Floats, size: int) -> Callable[[NDArray[np.int64], int, int], int]:
        a = self.arguments
        work = scratch(self.network, len(a.weights), size)
        batch, dy = np.empty((size, len(a.weights))), np.empty_like(self.y)

        def advance(order: NDArray[np.int64], start: int, stop: int) -> int:
            return int(
                _kernels.descend_batches(
                    self.y, dy, self.settings.learning_rate, start, stop, self.every, self.settings.n_steps,
                    self.out, self.recorded, order, images, answers, batch, *a[:6], work,
                )
            )  # fmt: skip

        return advance

    def _advance_all(
        self, advance: Callable[[int, int], int], flops: float, report: Callable[[float], None] | None
    ) -> Status:
        n = self.settings.n_steps
        stride = int(np.clip(CALL_FLOPS / flops, 1, 100_000))
        for start in range(0, n, stride):
            stop = min(n, start + stride)
            filled = advance(start, stop)
            self.recorded = abs(filled)
            if filled < 0:
                return Status.DIVERGED
            if report is not None:
                report(float(stop))
        return Status.SUCCESS

    def trajectory(self, status: Status) -> Trajectory:
        reached = self.steps[: self.recorded]
        method = "full batch" if self.settings.batch_size is None else f"batches of {self.settings.batch_size}"
        stats: dict[str, Any] = {"method": method, "n_steps": int(reached[-1])}
        return Trajectory(
            network=self.network,
            moments=self.moments,
            t=self.settings.learning_rate * reached,
            states=self.out[: self.recorded],
            start=self.start,
            settings=self.settings,
            status=status,
            stats=stats,
        )
