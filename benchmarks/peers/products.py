"""One right-hand side against the two real matrix products it cannot do without, and against a large square dgemm."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from numba import njit

from benchmarks.peers.problems import Floats, FlowProblem

DGEMM_SIDE = 768
SECONDS_A_SAMPLE = 0.01


@njit
def _two_products(z: Floats, to_b: Floats, b: Floats, q: Floats, pull: Floats, n: int) -> None:
    for _ in range(n):
        np.dot(z, to_b, b)
        np.dot(b, q, pull)


@njit
def _dgemm(a: Floats, b: Floats, c: Floats, n: int) -> None:
    for _ in range(n):
        np.dot(a, b, c)


def measure_products(problem: FlowProblem, repeats: int) -> dict[str, Any]:
    """Seconds of each, the ratio right-hand side / products, GFLOP/s, and the share of dgemm's rate.

    All are timed in turn, ``repeats`` times, so that a change of clock speed or load meets all of them. Flops count the
    two products alone (``8 K² F``). The tall factor is handed over as the transpose of a C-ordered array and as a
    C-ordered (2F, K) array; the faster one counts as bare.
    """
    k = problem.n_outputs
    half = (problem.n_pixels + int(np.count_nonzero(_self_conjugate(problem.shape)))) // 2
    rng = np.random.default_rng(0)
    z, q = rng.standard_normal((2, k, 2 * half))
    b, pull = np.empty((k, k)), np.empty((k, 2 * half))
    tall = np.ascontiguousarray(q.T)
    square = rng.standard_normal((DGEMM_SIDE, DGEMM_SIDE))
    product = np.empty_like(square)
    timed: dict[str, Callable[[int], None]] = {
        "rhs": _our_loop(problem),
        "products_transposed": lambda n: _two_products(z, q.T, b, q, pull, n),
        "products_tall": lambda n: _two_products(z, tall, b, q, pull, n),
        "dgemm": lambda n: _dgemm(square, square, product, n),
    }
    samples = _in_turn(timed, repeats)
    seconds = {name: float(np.median(values)) for name, values in samples.items()}
    bare = min(seconds["products_transposed"], seconds["products_tall"])
    flops = 2 * 2 * k * k * 2 * half
    rate, dgemm_rate = flops / seconds["rhs"], 2 * DGEMM_SIDE**3 / seconds["dgemm"]
    return {
        "seconds": seconds,
        "ratio": seconds["rhs"] / bare,
        "gflops_rhs": rate / 1e9,
        "gflops_products": flops / bare / 1e9,
        "gflops_dgemm": dgemm_rate / 1e9,
        "share_of_dgemm": rate / dgemm_rate,
        "samples": samples,
    }


def _self_conjugate(shape: tuple[int, int]) -> Any:
    u, v = np.arange(shape[0])[:, None], np.arange(shape[1])
    return (2 * u % shape[0] == 0) & (2 * v % shape[1] == 0)


@cache
def _loop() -> Any:
    """Our jitted right-hand side, called n times from jitted code as the integrators call it; compiled once."""
    from lineardyn.flow import _kernels

    flow = _kernels.flow

    @njit
    def loop(y, dy, n, conv, sizes, offsets, weights, constant, decay, dense, rows, target, gain, matrix, work):  # type: ignore[no-untyped-def]
        for _ in range(n):
            flow(y, dy, conv, sizes, offsets, weights, constant, decay, dense, rows, target, gain, matrix, work)

    return loop


def _our_loop(problem: FlowProblem) -> Callable[[int], None]:
    """n right-hand sides at the start of a problem."""
    from lineardyn import LinearCNN, SecondMoments
    from lineardyn.flow.arguments import flow_arguments

    network = LinearCNN((1, *problem.shape), widths=(1,), n_outputs=problem.n_outputs)
    moments = SecondMoments.from_data(problem.images, problem.targets, form="modes")
    arguments, layout = flow_arguments(network, moments, 0.0)
    state = layout.pad(network.pack(problem.start(np.random.default_rng(0))))
    out = np.empty_like(state)
    loop = _loop()
    return lambda n: loop(state, out, n, *arguments)


def _in_turn(timed: dict[str, Callable[[int], None]], repeats: int) -> dict[str, list[float]]:
    """Seconds of one call of each, ``repeats`` samples, interleaved; each sample takes about 10 ms."""
    counts = {}
    for name, loop in timed.items():
        loop(1)
        begin = time.perf_counter()
        loop(3)
        counts[name] = max(1, int(SECONDS_A_SAMPLE * 3 / (time.perf_counter() - begin)))
    samples: dict[str, list[float]] = {name: [] for name in timed}
    for _ in range(repeats):
        for name, loop in timed.items():
            begin = time.perf_counter()
            loop(counts[name])
            samples[name].append((time.perf_counter() - begin) / counts[name])
    return samples
