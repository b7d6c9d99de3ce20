"""Proxes a second, of numbers and of small matrices: ``python -m benchmarks.peers.proxes [--fresh]``.

A million numbers, half of them above the jump (for one layer, which has none, all move), one threshold for all or one
for each; a batch of complex matrices whose singular values lie around the jump. Errors are those of the same calls,
relative, against forty digits at the exact floats, a few units in the last place around the jump left out; of matrices
against LAPACK, relative to the largest singular value. skglm has the proxes of two to four layers, one number each; it
is called from a compiled loop.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.peers import machine
from benchmarks.peers.command import command
from benchmarks.peers.problems import Floats


@dataclass(frozen=True)
class Config:
    """Numbers and matrices of each call; ``n_checked`` numbers are compared with forty digits."""

    depths: tuple[int, ...] = (1, 2, 3, 4, 5, 6, 8, 20)
    n_numbers: int = 1_000_000
    n_checked: int = 2_000
    sizes: tuple[tuple[int, int], ...] = ((1, 1), (10, 1), (3, 3), (10, 3), (10, 10))
    n_matrices: int = 512
    matrix_depths: tuple[int, ...] = (2, 3, 4)
    threshold: float = 0.7
    repeats: int = 15


TINY = Config(
    depths=(1, 2, 3, 4, 5), n_numbers=1_000, n_checked=50, sizes=((1, 1), (3, 2)), n_matrices=8, matrix_depths=(2, 4),
    repeats=2,
)  # fmt: skip


def run(
    config: Config, path: Path | None = None, *, fresh: bool = False, say: Callable[[str], None] = print
) -> dict[str, Any]:
    """Measure what is missing from ``path`` and return the record."""
    record = machine.Record(path, asdict(config), fresh=fresh)
    for depth in config.depths:
        key = f"numbers|{depth}"
        if key not in record:
            record.keep(key, _numbers(config, depth))
            cell = record[key]
            say(f"{key}: {cell['millions_a_second']:.1f} million a second, error {cell['error']:.1e}")
    for size in config.sizes:
        for depth in config.matrix_depths:
            key = f"matrices|{size[0]}×{size[1]}|{depth}"
            if key not in record:
                record.keep(key, _matrices(config, size, depth))
                cell = record[key]
                say(f"{key}: {cell['microseconds']:.2f} µs, LAPACK {cell['microseconds_lapack']:.2f}")
    record.write()
    return record.data


def numbers(config: Config, depth: int) -> Floats:
    """Of both signs, even up to twice the jump."""
    from solvers import jump

    rng = np.random.default_rng(depth)
    edge = jump(config.threshold, depth=depth)[0] or 1.0
    return rng.uniform(-2.0 * edge, 2.0 * edge, config.n_numbers)


def _numbers(config: Config, depth: int) -> dict[str, Any]:
    from solvers import jump, prox

    z, u = numbers(config, depth), config.threshold
    many = np.full(len(z), u)
    x = prox(z, u, depth=depth)
    checked = slice(0, config.n_checked)
    cell: dict[str, Any] = {
        "above_the_jump": float(np.mean(np.abs(z) > jump(u, depth=depth)[0])),
        "millions_a_second": len(z) / _median(lambda: prox(z, u, depth=depth), config.repeats) / 1e6,
        "millions_a_second_many": len(z) / _median(lambda: prox(z, many, depth=depth), config.repeats) / 1e6,
        "millions_a_second_kernel": len(z) / _kernel_seconds(z, u, depth, config.repeats) / 1e6,
        "error": worst_error(x[checked], z[checked], u, depth),
    }
    peer = _skglm(depth)
    if peer is not None:
        cell["millions_a_second_skglm"] = len(z) / _median(lambda: peer(z, u), config.repeats) / 1e6
        cell["error_skglm"] = worst_error(peer(z[checked], u), z[checked], u, depth)
        cell["ratio"] = cell["millions_a_second_kernel"] / cell["millions_a_second_skglm"]
    return cell


def _kernel_seconds(z: Floats, u: float, depth: int, repeats: int) -> float:
    """The loop alone, as solvers call it: neither checks nor a new array."""
    from solvers._prox_kernels import shrink_array

    out, level = np.empty_like(z), np.array([u])
    return _median(lambda: shrink_array(z, level, depth, out), repeats)


def worst_error(x: Floats, z: Floats, u: float, depth: int) -> float:
    """Largest relative distance from the minimiser in forty digits; numbers within 1e-15 of the jump left out."""
    import mpmath

    from solvers import jump

    edge = jump(u, depth=depth)[0]
    worst = 0.0
    with mpmath.workdps(40):
        for got, number in zip(np.abs(x), np.abs(z), strict=True):
            if abs(number - edge) > 1e-15 * edge:
                wanted = _exact(mpmath.mpf(float(number)), mpmath.mpf(u), depth) if number > edge else mpmath.mpf(0)
                error = abs(mpmath.mpf(float(got)) - wanted)
                worst = max(worst, float(error / wanted if wanted else error))
    return worst


def _exact(z: Any, u: Any, depth: int) -> Any:
    """The largest root of ``x = z - u p x^{p-1}`` above the jump, by Newton's steps from the right."""
    if depth == 1:
        return z / (1 + 2 * u)
    p, x = type(z)(2) / depth, z
    for _ in range(100):
        pull = u * p * x ** (p - 1)
        step = (x - z + pull) / (1 - (1 - p) * pull / x)
        x -= step
        if abs(step) < 1e-35 * x:
            break
    return x


def _skglm(depth: int) -> Callable[[Floats, float], Floats] | None:
    """skglm's prox in a compiled loop; None where it has none or is not installed."""
    try:
        from numba import njit
        from skglm.utils import prox_funcs
    except ImportError:
        return None
    prox = {2: prox_funcs.ST, 3: prox_funcs.prox_2_3, 4: prox_funcs.prox_05}.get(depth)
    if prox is None:
        return None

    @njit
    def loop(z: Floats, u: float) -> Floats:
        out = np.empty_like(z)
        for i in range(len(z)):
            out[i] = prox(z[i], u)
        return out

    return loop  # type: ignore[no-any-return]


def _matrices(config: Config, size: tuple[int, int], depth: int) -> dict[str, Any]:
    from solvers import jump, prox
    from solvers._prox_kernels import shrink_blocks

    rng = np.random.default_rng(depth)
    shape = (config.n_matrices, *size)
    z = rng.standard_normal(shape) + 1j * rng.standard_normal(shape)
    values = np.linalg.svd(z, compute_uv=False)
    z *= jump(config.threshold, depth=depth)[0] / np.median(values)  # half of the singular values are above the jump
    u, out = np.full(len(z), config.threshold), np.empty_like(z)

    def by_lapack() -> Any:
        left, values, right = np.linalg.svd(z, full_matrices=False)
        return (left * prox(values, config.threshold, depth=depth)[:, None]) @ right

    seconds = _median(lambda: shrink_blocks(z, u, depth, 0, out), config.repeats)
    lapack = _median(by_lapack, config.repeats)
    largest = np.linalg.norm(z, ord=2, axis=(1, 2))
    return {
        "microseconds": seconds / len(z) * 1e6,
        "microseconds_lapack": lapack / len(z) * 1e6,
        "ratio": lapack / seconds,
        "difference": float((np.linalg.norm(out - by_lapack(), axis=(1, 2)) / largest).max()),
    }


def _median(call: Callable[[], Any], repeats: int) -> float:
    """Median wall time; the first call, which compiles, apart."""
    call()
    seconds = []
    for _ in range(repeats):
        begin = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - begin)
    return statistics.median(seconds)


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line."""
    return command("proxes", run, Config(), TINY, __doc__, arguments)


if __name__ == "__main__":
    raise SystemExit(main())
