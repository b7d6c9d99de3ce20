"""Many runs of one network on one data set, integrated and trained, reduced at once to the curves that are shown."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from lineardyn import LinearCNN, LinearFCN, SecondMoments, Trajectory, gradient_descent, gradient_flow
from lineardyn.invariants import balance_ratio, off_diagonal
from proofs_check.report.times import crossing_times

__all__ = ["Curves", "Job", "horizon", "in_threads", "mode_rates", "reduce", "run_job"]

Floats = NDArray[np.float64]
Network = LinearCNN | LinearFCN
T = TypeVar("T")

RTOL, ATOL_SHARE = 1e-3, 1e-3
LEARNED = 0.9
CAP = 10.0
N_RECORDS = 160
BIG = 10**8  # bytes of images above which two threads at a time keep memory small

THREADS = "report"
"""How the names of its threads begin."""


@dataclass(frozen=True)
class Curves:
    """One run: B's diagonal and off-diagonal size, losses, kernel and balance over time; null modes left out."""

    t: Floats
    diagonal: Floats
    off_diagonal: Floats
    loss: Floats
    test_loss: Floats | None
    kernel: Floats
    balance: Floats | None
    kernels: Floats | None


@dataclass(frozen=True)
class Job:
    """What one thread does: integrate (``learning_rate`` None) or train one network from one start."""

    network: Network
    moments: SecondMoments
    test_moments: SecondMoments | None
    weights: list[Floats]
    t: Floats
    samples: SecondMoments | None = None
    learning_rate: float | None = None
    n_steps: int = 0
    seed: int = 0


def run_job(job: Job) -> Curves:
    """Integrate or train, and keep the curves only: a trajectory of a wide network is 100 MB."""
    if job.learning_rate is None:
        atol = _atol(job.network, job.weights)
        path = gradient_flow(job.network, job.moments, job.weights, job.t, rtol=RTOL, atol=atol)
    else:
        assert job.samples is not None
        path = gradient_descent(
            job.network, job.samples, job.weights, learning_rate=job.learning_rate, n_steps=job.n_steps, batch_size=1,
            rng=job.seed, record_every=max(1, job.n_steps // N_RECORDS),
        )  # fmt: skip
        # the same loss and the same B from Σ^xx as from the images one by one, a hundred times sooner
        path = replace(path, moments=job.moments)
    return reduce(path, job.test_moments, pictures=job.learning_rate is None and isinstance(job.network, LinearCNN))


def _atol(network: Network, weights: list[Floats]) -> float:
    """Well below the tolerance of the start itself: what grows from small weights must be right from the beginning."""
    return ATOL_SHARE * RTOL * max(float(np.abs(w).max()) for w in weights) * float(network.n_pixels**0.5)


def reduce(path: Trajectory, test_moments: SecondMoments | None, *, pictures: bool) -> Curves:
    """The curves of one trajectory; ``pictures``: balance and kernels too, of a CNN with one channel."""
    alive = ~path.moments.modes().null
    b = path.effective_singular_values
    return Curves(
        t=path.t,
        diagonal=np.diagonal(b, axis1=1, axis2=2)[:, alive].copy(),
        off_diagonal=off_diagonal(path),
        loss=path.loss,
        test_loss=None if test_moments is None else path.evaluate(test_moments),
        kernel=np.linalg.norm(path.kernel_spectrum, axis=1),
        balance=balance_ratio(path) if pictures else None,
        kernels=np.stack([path.weights(i)[0][0].transpose(2, 0, 1) for i in range(len(path))]) if pictures else None,
    )


def mode_rates(moments: SecondMoments, *, convolutional: bool) -> Floats:
    """``2 c_α s_α``, the rate at which each mode grows at first; ``c = √P max_f ‖q_αf‖``, 1 where fully connected."""
    modes = moments.modes()
    alive = ~modes.null
    q = np.linalg.norm(modes.q[alive], axis=1).max(axis=(1, 2))
    factor = np.sqrt(np.prod(moments.image_shape[1:])) * q if convolutional else np.ones_like(q)
    rates: Floats = 2 * factor * modes.s[alive]
    return rates


def horizon(
    network: Network, moments: SecondMoments, weights: list[Floats], growth: float
) -> tuple[float, bool, list[Floats]]:
    """When to stop, whether all modes were learned by then, and the weights there.

    1.1 times the time at which every mode has 90 %, at most ten times what uncoupled modes would take.

    ``growth`` is the logarithm of final over initial size of an effective singular value. The run is integrated over
    windows that double, from the fastest mode's time on.
    """
    alive = ~moments.modes().null
    s = moments.modes().s[alive]
    expected = growth / mode_rates(moments, convolutional=isinstance(network, LinearCNN))
    cap, reached, window = CAP * float(expected.max()), 0.0, float(expected.min())
    atol = _atol(network, weights)
    while reached < cap:
        window = min(window, cap - reached)
        path = gradient_flow(network, moments, weights, np.linspace(0, window, 33), rtol=RTOL, atol=atol)
        b = np.diagonal(path.effective_singular_values, axis1=1, axis2=2)[:, alive]
        if (b[-1] >= LEARNED * s).all():
            return 1.1 * (reached + float(np.max(crossing_times(path.t, b, s, LEARNED)))), True, path.weights(-1)
        weights, reached = path.weights(-1), reached + window
        window = reached
    return cap, False, weights


def in_threads(
    jobs: Sequence[Job], work: Callable[[Job], T], advance: Callable[[], None], *, data_bytes: int = 0
) -> list[T]:
    """Do all jobs, as many at a time as there are cores (two where the data are big), each on one BLAS thread.

    The kernels release the interpreter lock. After an error or Ctrl-C the jobs not yet begun are dropped.
    """
    cores = os.cpu_count() or 1
    workers = min(cores, 2 if data_bytes > BIG else 8, max(len(jobs), 1))
    executor = ThreadPoolExecutor(workers, thread_name_prefix=THREADS)
    with threadpool_limits(1):
        try:
            futures: list[Future[T]] = [executor.submit(work, job) for job in jobs]
            for future in as_completed(futures):
                future.result()
                advance()
            return [future.result() for future in futures]
        finally:
            executor.shutdown(wait=False, cancel_futures=True)
