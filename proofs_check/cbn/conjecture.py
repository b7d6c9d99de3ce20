r"""Search for a counterexample to ``R⁽⁰⁾(f; Ω) = Rank_CBN(f; Ω)``: evidence, never a proof.

``max_x rank Jf(x) ≤ R⁽⁰⁾ ≤ Rank_CBN`` is known (no pooling); whether the second is an equality is open. A
counterexample needs a map whose Jacobians have a smaller rank than any factorisation, such as the *star* ``f(x)[p] =
σ(x_p - max_{q≠p} x_q)``: at each x one pixel is lit, rank 1, but the image is n legs that meet in a point, which no
line holds for n ≥ 3 and the plane of frequencies ±1 does, ``Rank_CBN = 2``. The search takes the weights of
:func:`build_bottleneck`, plain and with noise, and lowers ``‖θ‖² + weight · N^{-1} Σ ‖net(x) - f(x)‖²`` by L-BFGS, on
samples of a ball, at two depths. What one layer more costs, ``(‖θ_{L'}‖² - ‖θ_L‖²)/(L' - L)``, estimates ``R⁽⁰⁾``
without its constant; it is an estimate from two upper bounds at a finite weight, so that even a value below the rank is
only a lead [theory, section 4].

Pooling is left out: with it the bound by the ranks of the Jacobian at constant images fails already for linear maps
(:func:`winding_code`), while the conjecture, whose rank counts all codes, stands.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from lineardyn.errors import ArgumentError
from lineardyn.validation import Rng, as_generator, check_choice, check_count, check_number
from proofs_check.cbn.balancing import balance
from proofs_check.cbn.construction import as_network, build_bottleneck
from proofs_check.cbn.network import CyclicCNN
from proofs_check.cbn.spectrum import filters_of_blocks

__all__ = ["ConjectureSearch", "Trial", "penalised_cost", "search_counterexample", "star_map"]

Floats = NDArray[np.float64]
Target = Callable[[Floats], Floats]

FAMILIES = ("linear", "star")
"""``"linear"``: projection on frequencies ±1, for which equality is proved: it shows what the search can see."""


@dataclass(frozen=True)
class Trial:
    """One map at two depths.

    ``rank`` is ``Rank_CBN``, ``lower`` the rank of its Jacobians; ``norms`` and ``fits`` (root mean square error
    relative to f) are the best at each of ``depths``; ``slope`` is what one layer more costs.
    """

    family: str
    n_pixels: int
    rank: float
    lower: int
    depths: tuple[int, int]
    norms: tuple[float, float]
    fits: tuple[float, float]
    slope: float

    @property
    def ratio(self) -> float:
        """``slope / rank``: below 1 a lead."""
        return self.slope / self.rank


@dataclass(frozen=True)
class ConjectureSearch:
    """All trials; ``best`` has the smallest ratio among those that fit, ``lead`` says whether it is below 1.

    ``size`` counts trained networks, ``evaluations`` gradients.
    """

    trials: tuple[Trial, ...]
    best: Trial | None
    lead: bool
    size: int
    evaluations: int

    def __str__(self) -> str:
        if self.best is None:
            return f"{self.size} networks trained, none fits: nothing can be said"
        found = "a lead, to be followed" if self.lead else "no counterexample found, which proves nothing"
        return (
            f"{self.size} networks trained, {self.evaluations} gradients: smallest cost of a layer over the rank "
            f"{self.best.ratio:.4f} ({self.best.family}, n = {self.best.n_pixels}): {found}"
        )


@dataclass(frozen=True)
class _Run:
    """One trained network."""

    value: float
    norm: float
    fit: float
    evaluations: int


def star_map(x: Floats) -> Floats:
    """``f(x)[p] = max(0, x_p - max_{q≠p} x_q)``, images ``(..., 1, n)``: only the largest pixel is lit.

    >>> star_map(np.array([[1.0, 4.0, 2.0]]))
    array([[0., 2., 0.]])
    """
    ordered = np.sort(x, axis=-1)
    return np.where(x == ordered[..., -1:], x - ordered[..., -2:-1], 0.0)


def search_counterexample(
    *,
    n_pixels: Sequence[int] = (3, 4),
    families: Sequence[str] = FAMILIES,
    depths: tuple[int, int] = (8, 12),
    extra_width: int = 1,
    n_starts: int = 2,
    n_samples: int = 150,
    weight: float = 1e4,
    max_iterations: int = 400,
    max_fit: float = 0.03,
    margin: float = 0.02,
    rng: Rng = 0,
) -> ConjectureSearch:
    r"""Train small networks without pooling to cost less a layer than the bottleneck rank of what they compute.

    Parameters
    ----------
    n_pixels : sequence of int
        3 or 4 for the star, 2 to 5 for linear maps; other combinations are left out.
    families : sequence of {"linear", "star"}
    depths : (int, int)
        Two depths, at least 6, increasing.
    extra_width : int
        Channels beyond those of the construction, in each hidden layer.
    n_starts : int
        For each map and depth: the first from the construction, the others from it with larger and larger noise.
    n_samples : int
        Points of the ball of radius 1, interior.
    weight : float
        Of the mean square error against ``‖θ‖²``.
    max_iterations : int
        Of L-BFGS, for each start.
    max_fit : float
        A trial whose relative error is larger at either depth is not counted.
    margin : float
        A lead has ``slope/rank < 1 - margin``: the error and the weight make the slope uncertain by so much.
    rng : int or Generator

    Raises
    ------
    ArgumentError
        For unknown families, depths that do not increase, or no map at all.

    Notes
    -----
    Source: theory, section 4 (the open conjecture). See the module for what a lead is worth. Seen for stars at depths
    10 and 20, four starts each, up to 2500 iterations: slope over rank 1.040 (n = 3) and 0.995 (n = 4) with one channel
    more, 1.042 and 1.035 with three, at relative errors of 0.006 (n = 3) and 0.011 to 0.016: no lead in 32 networks.

    Examples
    --------
    >>> found = search_counterexample(n_pixels=(3,), families=("linear",), depths=(6, 8), n_starts=1, max_iterations=60)
    >>> found.size, found.lead
    (2, False)
    """
    generator = as_generator(rng)
    kinds = [check_choice(f"families[{i}]", kind, FAMILIES) for i, kind in enumerate(families)]
    sides = [check_count(f"n_pixels[{i}]", n, minimum=2) for i, n in enumerate(n_pixels)]
    first, second = _check_depths(depths)
    starts, samples = check_count("n_starts", n_starts), check_count("n_samples", n_samples)
    steps, extra = check_count("max_iterations", max_iterations), check_count("extra_width", extra_width, minimum=0)
    trade = check_number("weight", weight, minimum=0.0, strict=True)
    largest, room = check_number("max_fit", max_fit, minimum=0.0), check_number("margin", margin, minimum=0.0)
    maps = [(kind, n) for kind in kinds for n in sides if n <= 5 and (kind == "linear" or n in (3, 4))]
    if not maps:
        raise ArgumentError("n_pixels has no size that families allow, expected 3 or 4 (star), 2..5 (linear)")
    trials, evaluations = [], 0
    for kind, n in maps:
        x = _ball(generator, samples, n)
        y = _targets(kind, x)
        best = []
        for depth in (first, second):
            nets = [_widened(_construction(kind, n, depth), extra, 0.03 * i, generator) for i in range(starts)]
            runs = [_train(net, x, y, trade, steps) for net in nets]
            evaluations += sum(run.evaluations for run in runs)
            best.append(min(runs, key=lambda run: run.value))
        trials.append(_trial(kind, n, (first, second), best))
    fitting = [trial for trial in trials if max(trial.fits) <= largest]
    top = min(fitting, key=lambda trial: trial.ratio) if fitting else None
    lead = top is not None and top.ratio < 1.0 - room
    return ConjectureSearch(tuple(trials), top, lead, 2 * starts * len(maps), evaluations)


def _trial(kind: str, n: int, depths: tuple[int, int], best: Sequence[_Run]) -> Trial:
    rank = 1.0 if n == 2 else 2.0
    short, long = best
    slope = (long.norm - short.norm) / (depths[1] - depths[0])
    lower = int(rank) if kind == "linear" else 1
    return Trial(kind, n, rank, lower, depths, (short.norm, long.norm), (short.fit, long.fit), slope)


def _check_depths(depths: tuple[int, int]) -> tuple[int, int]:
    if not isinstance(depths, tuple | list) or len(depths) != 2:
        raise ArgumentError(f"depths is {depths!r}, expected two depths")
    first, second = (check_count(f"depths[{i}]", depth, minimum=6) for i, depth in enumerate(depths))
    if second <= first:
        raise ArgumentError(f"depths is {(first, second)}, expected the second larger: a slope is taken between them")
    return first, second


def _ball(rng: np.random.Generator, count: int, n: int) -> Floats:
    """Uniform in the ball of radius 1."""
    x = rng.standard_normal((count, 1, n))
    return np.asarray(x / np.linalg.norm(x, axis=2, keepdims=True) * rng.random((count, 1, 1)) ** (1.0 / n))


def _projection(n: int) -> NDArray[np.complex128]:
    """Blocks of the projection on ±1."""
    blocks = np.zeros((n, 1, 1), dtype=np.complex128)
    blocks[[1, -1]] = 1.0
    return blocks


def _targets(kind: str, x: Floats) -> Floats:
    """Scaled so that the singular values of the Jacobian are at least 1: then a layer costs at least their number."""
    return star_map(x) if kind == "star" else as_network(_projection(x.shape[-1]))(x)


def _construction(kind: str, n: int, depth: int) -> CyclicCNN:
    if kind == "linear":
        return build_bottleneck(_projection(n), _projection(n), depth=depth, positivity="biases").network
    return build_bottleneck(_star_inner(n), _star_outer(n), depth=depth, positivity="biases").network


def _star_inner(n: int) -> CyclicCNN:
    """``min_q σ(x_p - x_{p+q})``, one pixel more in each layer by ``min(a, b) = a - σ(a - b)``, projected on ±1."""
    differences = np.zeros((n - 1, n, 1))
    differences[:, 0] = 1.0
    differences[np.arange(n - 1), -np.arange(1, n)] = -1.0
    weights, numbers = [differences], np.eye(n - 1)  # what the channels hold: numbers whose minimum is wanted
    for left in range(n - 1, 1, -1):
        pair = np.eye(left)
        pair[1, :2] = 1.0, -1.0  # a stays, b becomes a - b
        weights.append(_pointwise(pair @ numbers, n))
        numbers = np.delete(np.eye(left), 1, axis=0)
        numbers[0, 1] = -1.0
    return CyclicCNN([*weights, filters_of_blocks(_projection(n) * numbers)])


def _pointwise(matrix: Floats, n: int) -> Floats:
    """A filter that mixes channels and leaves pixels alone."""
    w = np.zeros((len(matrix), n, matrix.shape[1]))
    w[:, 0] = matrix
    return w


def _star_outer(n: int) -> CyclicCNN:
    """``t (e_k)`` from its projection: ``(n/2) σ(y)``, since the cosine is not positive away from k for n = 3, 4."""
    one = np.zeros((1, n, 1))
    one[0, 0, 0] = 1.0
    return CyclicCNN([one, 0.5 * n * one])


def _widened(net: CyclicCNN, extra: int, noise: float, rng: np.random.Generator) -> CyclicCNN:
    """More channels, and noise of the given size on every weight."""
    weights, biases = [], []
    for i, (w, b) in enumerate(zip(net.weights, net.biases, strict=True)):
        more = (0 if i + 1 == net.depth else extra, *(0,) * len(net.grid), extra if i else 0)
        wider = np.pad(w, [(0, k) for k in more])
        weights.append(wider + noise * rng.standard_normal(wider.shape))
        biases.append(np.pad(b, (0, more[0])) + noise * rng.standard_normal(len(b) + more[0]))
    return CyclicCNN(weights, biases, pooling=net.pooling, slope=net.slope)


def penalised_cost(vector: Floats, widths: Sequence[int], x: Floats, y: Floats, weight: float) -> tuple[float, Floats]:
    """``‖θ‖² + weight · N^{-1} Σ ‖net(x_i) - y_i‖²`` (operator convention, ReLU, no pooling) and its gradient.

    ``vector`` as :meth:`CyclicCNN.parameters`, images ``(N, C, n)``. Block-circulant matrices, which are small here.
    """
    n, count = x.shape[-1], len(x)
    shifts = (np.arange(n)[:, None] - np.arange(n)) % n
    layers, start = [], 0
    for before, after in pairwise(widths):
        middle, end = start + after * n * before, start + after * n * before + after
        w = vector[start:middle].reshape(after, n, before)
        layers.append((w[:, shifts].transpose(0, 1, 3, 2).reshape(after * n, before * n), vector[middle:end]))
        start = end
    read, open_ = [x.reshape(count, -1)], []
    for i, (matrix, b) in enumerate(layers):
        z = read[-1] @ matrix.T + np.repeat(b, n)
        open_.append(z > 0.0)
        read.append(z if i + 1 == len(layers) else np.maximum(z, 0.0))
    residual = read[-1] - y.reshape(count, -1)
    value = n * float(vector @ vector) + weight / count * float((residual**2).sum())
    slope, parts = 2.0 * weight / count * residual, []
    places = shifts[None, :, None, :]
    for i in reversed(range(len(layers))):
        after, before = widths[i + 1], widths[i]
        product = (slope.T @ read[i]).reshape(after, n, before, n)
        # entry (o, i, c, j) of the matrix is w[o, i - j, c]: sum over each shift
        kernel = np.take_along_axis(product, np.broadcast_to(places, product.shape), axis=3).sum(axis=1)
        parts += [slope.reshape(count, after, n).sum(axis=(0, 2)), kernel.transpose(0, 2, 1).ravel()]
        if i:
            slope = open_[i - 1] * (slope @ layers[i][0])
    return value, np.concatenate(parts[::-1]) + 2.0 * n * vector


def _train(net: CyclicCNN, x: Floats, y: Floats, weight: float, steps: int) -> _Run:
    """L-BFGS from the weights of ``net``."""

    def objective(vector: Floats) -> tuple[float, Floats]:
        return penalised_cost(vector, net.widths, x, y, weight)

    options = {"maxiter": steps, "maxfun": 2 * steps, "maxcor": 30}
    found = minimize(objective, net.parameters(), jac=True, method="L-BFGS-B", options=options)
    end = balance(net.with_parameters(found.x))
    fit = float(np.linalg.norm(end(x) - y) / np.linalg.norm(y))
    return _Run(float(found.fun), end.norm(), fit, int(found.nfev))
